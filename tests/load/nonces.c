/* SPDX-License-Identifier: MIT
 * Remembers every packet id that a server sends under each key, as it is seen on the wire of this network
 * namespace: a nonce that is used twice is the worst that can happen. Segments of a train (UDP_SEGMENT) are
 * looked at one by one. SIGTERM: ends and says what it saw, as JSON.
 *
 *   nonces PORT        the server's UDP port, IPv4 */
#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CLIENTS_MAX = 8192, /* a power of two */
	KEY_IDS = 8,
	FIRST_IDS = 256,
	ID_MAX = 1 << 28, /* larger packet ids are only counted */
	SHOWN = 5,
	SOFT_RESET = 3,
	HARD_RESET_SERVER = 8,
	DATA_V1 = 6,
	DATA_V2 = 9,
};

struct key {
	uint64_t *seen; /* a bit per packet id */
	uint32_t room;	/* bits */
	bool begins;	/* a reset was seen: it is another key from its first packet on */
};

struct client {
	uint32_t address; /* 0: free */
	uint16_t port;
	int latest; /* key id of the newest data; -1: none */
	struct key keys[KEY_IDS];
};

static struct client clients[CLIENTS_MAX];
static uint64_t datagrams, keys_seen, repeated, beyond, crowd;
static char shown[512];
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static struct client *client_of(uint32_t address, uint16_t port)
{
	uint32_t at = (address * 2654435761u) ^ (port * 40503u);
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &clients[(at + i) & (CLIENTS_MAX - 1)];
		if (c->address == address && c->port == port)
			return c;
		if (!c->address) {
			c->address = address;
			c->port = port;
			c->latest = -1;
			return c;
		}
	}
	crowd++;
	return NULL;
}

static void forget(struct key *key)
{
	free(key->seen);
	*key = (struct key){ 0 };
}

static void note_id(struct client *c, unsigned key_id, uint32_t id)
{
	struct key *key = &c->keys[key_id];
	if (id >= ID_MAX) {
		beyond++;
		return;
	}
	if (key->begins && id < FIRST_IDS)
		forget(key);
	if (!key->seen)
		keys_seen++;
	if (id >= key->room) {
		uint32_t room = (id / 4096 + 2) * 4096;
		uint64_t *more = realloc(key->seen, room / 8);
		if (!more)
			exit(2);
		memset((uint8_t *)more + key->room / 8, 0, (room - key->room) / 8);
		key->seen = more;
		key->room = room;
	}
	if (key->seen[id / 64] >> (id % 64) & 1) {
		size_t len = strlen(shown);
		if (repeated++ < SHOWN)
			snprintf(shown + len, sizeof(shown) - len, "%s\"port %u key %u id %u\"", len ? ", " : "",
				ntohs(c->port), key_id, id);
	}
	key->seen[id / 64] |= 1ull << (id % 64);
	c->latest = (int)key_id;
}

/* One datagram towards a client. A reset begins a new use of its key id, unless it is one sent again; the old key of
 * that name may be in use until the new one is. */
static void look(uint32_t address, uint16_t port, const uint8_t *at, size_t len)
{
	if (len < 9)
		return;
	unsigned opcode = at[0] >> 3, key_id = at[0] & 7;
	struct client *c = client_of(address, port);
	if (!c)
		return;
	datagrams++;
	if (opcode == HARD_RESET_SERVER) {
		for (unsigned k = 0; k < KEY_IDS; k++)
			c->keys[k].begins = true;
		c->latest = -1;
	} else if (opcode == SOFT_RESET && (int)key_id != c->latest) {
		c->keys[key_id].begins = true;
	} else if (opcode == DATA_V1 || opcode == DATA_V2) {
		uint32_t id;
		memcpy(&id, at + (opcode == DATA_V2 ? 4 : 1), sizeof(id));
		note_id(c, key_id, ntohl(id));
	}
}

static void look_at_frame(const uint8_t *frame, size_t len, unsigned segment, uint16_t port)
{
	struct iphdr ip;
	struct udphdr udp;
	const uint8_t *at = frame + ETH_HLEN;
	if (len < ETH_HLEN + sizeof(ip) || frame[12] != 0x08 || frame[13] != 0x00)
		return;
	len -= ETH_HLEN;
	memcpy(&ip, at, sizeof(ip));
	size_t head = ip.ihl * 4u;
	if (ip.protocol != IPPROTO_UDP || head < sizeof(ip) || len < head + sizeof(udp))
		return;
	memcpy(&udp, at + head, sizeof(udp));
	if (udp.source != port)
		return;
	at += head + sizeof(udp);
	len -= head + sizeof(udp);
	for (size_t piece; len; at += piece, len -= piece) {
		piece = segment && segment < len ? segment : len;
		look(ip.daddr, udp.dest, at, piece);
	}
}

int main(int argc, char **argv)
{
	static uint8_t frame[sizeof(struct virtio_net_hdr) + 70000];
	int on = 1, room = 256 << 20;
	if (argc != 2)
		return 2;
	uint16_t port = htons((uint16_t)atoi(argv[1]));
	int in = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	struct sigaction action = { .sa_handler = on_signal }; /* without SA_RESTART: ends the wait */
	sigaction(SIGTERM, &action, NULL);
	if (in < 0 || setsockopt(in, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0) {
		perror("nonces");
		return 2;
	}
	setsockopt(in, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	printf("watching\n");
	fflush(stdout);
	while (!stop) {
		struct sockaddr_ll from;
		socklen_t from_len = sizeof(from);
		struct virtio_net_hdr how;
		ssize_t len = recvfrom(in, frame, sizeof(frame), 0, (struct sockaddr *)&from, &from_len);
		if (len < (ssize_t)sizeof(how) || from.sll_pkttype != PACKET_OUTGOING || from.sll_hatype != ARPHRD_ETHER)
			continue;
		memcpy(&how, frame, sizeof(how));
		look_at_frame(frame + sizeof(how), (size_t)len - sizeof(how), how.gso_type ? how.gso_size : 0, port);
	}
	struct tpacket_stats missed = { 0 };
	socklen_t missed_len = sizeof(missed);
	getsockopt(in, SOL_PACKET, PACKET_STATISTICS, &missed, &missed_len);
	printf("{\"datagrams\": %llu, \"keys\": %llu, \"repeated\": %llu, \"examples\": [%s], \"beyond\": %llu, "
	       "\"missed\": %u, \"crowd\": %llu}\n",
		(unsigned long long)datagrams, (unsigned long long)keys_seen, (unsigned long long)repeated, shown,
		(unsigned long long)beyond, missed.tp_drops, (unsigned long long)crowd);
	return 0;
}
