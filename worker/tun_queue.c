/* SPDX-License-Identifier: MIT
 * The tunnel device's queue. In both directions a virtio_net_hdr stands in front of the packet; read, it lies
 * in the last bytes of the headroom:
 *
 *   slot     0          128 - header     128
 *            | not lent | virtio_net_hdr | packet ... | tailroom |                                        */
#include "worker/tun_queue.h"

#include "common/base/check.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* Bytes in front of each packet, or a negative errno. */
static int ask_header_len(int fd)
{
	struct ifreq request;
	int len;

	memset(&request, 0, sizeof(request));
	if (ioctl(fd, TUNGETIFF, &request) < 0)
		return -errno;
	if (!(request.ifr_flags & IFF_VNET_HDR))
		return 0;
	if (ioctl(fd, TUNGETVNETHDRSZ, &len) < 0)
		return -errno;
	return len;
}

int tun_queue_init(struct tun_queue *tq, const struct tun_queue_params *params)
{
	int header_len = params->header_len;

	memset(tq, 0, sizeof(*tq));
	if (header_len == TUN_HEADER_ASK)
		header_len = ask_header_len(params->fd);
	if (header_len < 0)
		return header_len;
	if (header_len > TUN_HEADER_MAX ||
		(header_len > 0 && header_len < (int)sizeof(struct virtio_net_hdr)))
		return -EINVAL;
	tq->fd = params->fd;
	tq->header_len = (unsigned)header_len;
	tq->payload = params->payload;
	/* One byte more than is wanted: the device cuts what is longer without saying so. */
	return buffers_init(&tq->buffers, params->buffers, PACKET_HEADROOM - tq->header_len,
		tq->header_len + tq->payload + 1);
}

void tun_queue_clear(struct tun_queue *tq)
{
	buffers_clear(&tq->buffers);
	memset(tq, 0, sizeof(*tq));
	tq->fd = -1;
}

void tun_queue_give_back(struct tun_queue *tq, const struct packet *p)
{
	CHECK(p->source == FROM_TUNNEL);
	buffers_give_back(&tq->buffers, p->buffer);
}

/* ---- reading ---- */

/* What the kernel left to its device, if anything: a checksum, or to cut a super packet. Whoever does that
 * reads it again. */
static uint8_t offload_of(struct tun_queue *tq, const uint8_t *packet)
{
	struct virtio_net_hdr header;

	if (!tq->header_len)
		return 0;
	memcpy(&header, packet - tq->header_len, sizeof(header));
	if (header.gso_type == VIRTIO_NET_HDR_GSO_NONE && !(header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;
	tq->counts.offloads++;
	return (uint8_t)tq->header_len;
}

/* Slot `id` holds `len` bytes, header included. True: they are a packet in the batch. */
static bool take_slot(struct tun_queue *tq, uint16_t id, size_t len)
{
	struct packet *p = &tq->arriving.packets[tq->arriving.count];
	uint8_t *slot = buffers_slot(&tq->buffers, id);

	buffers_share(&tq->buffers, id, 1);
	if (len <= tq->header_len) {
		buffers_give_back(&tq->buffers, id);
		return false;
	}
	CHECK(tq->arriving.count < BATCH_MAX);
	tq->arriving.count++;
	*p = (struct packet){
		.at = slot + PACKET_HEADROOM,
		.len = (uint32_t)(len - tq->header_len),
		.start = slot,
		.room = tq->buffers.slot_len,
		.peer = PEER_NONE,
		.buffer = id,
		.source = FROM_TUNNEL,
	};
	if (p->len > tq->payload) {
		p->len = tq->payload;
		p->fate = FATE_TOO_LONG;
	} else {
		p->offload = offload_of(tq, p->at);
	}
	return true;
}

/* 0, the end of a file, is one too: no device says that. */
static void note_error(struct tun_queue *tq, int error)
{
	if (error != -EINTR && error != -EAGAIN)
		tq->counts.read_errors++;
}

unsigned tun_queue_receive(struct tun_queue *tq)
{
	unsigned before = tq->arriving.count;
	uint16_t id;

	for (unsigned n = 0; n < TUN_QUEUE_AT_ONCE && tq->arriving.count < BATCH_MAX; n++) {
		ssize_t got;

		if (!buffers_take(&tq->buffers, &id))
			break;
		got = read(
			tq->fd, buffers_slot(&tq->buffers, id) + tq->buffers.lend_at, tq->buffers.lend_len);
		if (got <= 0)
			note_error(tq, got < 0 ? -errno : 0);
		take_slot(tq, id, got < 0 ? 0 : (size_t)got);
		if (got <= 0)
			break;
	}
	return tq->arriving.count - before;
}

void tun_queue_pause(struct tun_queue *tq)
{
	if (!tq->paused)
		tq->counts.pauses++;
	tq->paused = true;
}

void tun_queue_resume(struct tun_queue *tq)
{
	tq->paused = false;
}

/* ---- writing ---- */

static enum fate fate_of_write(ssize_t written, size_t len)
{
	if (written == (ssize_t)len)
		return FATE_DELIVERED;
	return written < 0 && errno == EAGAIN ? FATE_TUNNEL_FULL : FATE_TUNNEL_ERROR;
}

void tun_queue_write(struct tun_queue *tq, struct packet *p)
{
	static const uint8_t zeros[TUN_HEADER_MAX];
	size_t len = tq->header_len + p->len;
	ssize_t written;

	do {
		if (packet_headroom(p) >= tq->header_len) {
			uint8_t *header = p->at - tq->header_len;

			memset(header, 0, tq->header_len);
			written = write(tq->fd, header, len);
		} else {
			struct iovec pieces[2] = { { (void *)(uintptr_t)zeros, tq->header_len },
				{ p->at, p->len } };

			written = writev(tq->fd, pieces, 2);
		}
	} while (written < 0 && errno == EINTR);
	p->fate = fate_of_write(written, len);
}

bool tun_queue_write_train(struct tun_queue *tq, const void *offload, size_t offload_len,
	struct packet *const *packets, unsigned count, uint32_t skip)
{
	uint8_t header[TUN_HEADER_MAX] = { 0 };
	struct iovec *end = tq->pieces;
	size_t len = tq->header_len;
	ssize_t written;
	enum fate fate;

	CHECK(count >= 1 && count <= BATCH_MAX && offload_len <= tq->header_len);
	memcpy(header, offload, offload_len);
	*end++ = (struct iovec){ header, tq->header_len };
	for (unsigned i = 0; i < count; i++) {
		uint32_t from = i ? skip : 0;

		CHECK(from <= packets[i]->len);
		*end++ = (struct iovec){ packets[i]->at + from, packets[i]->len - from };
		len += packets[i]->len - from;
	}
	do {
		written = writev(tq->fd, tq->pieces, (int)(end - tq->pieces));
	} while (written < 0 && errno == EINTR);
	if (written < 0 && errno == EINVAL && !tq->counts.trains)
		return false;
	fate = fate_of_write(written, len);
	tq->counts.trains += fate == FATE_DELIVERED;
	for (unsigned i = 0; i < count; i++)
		packets[i]->fate = fate;
	return true;
}
