/* SPDX-License-Identifier: MIT
 * Opens the tunnel device and its queues. Addresses, MTU and routes are netlink.c's. */
#include "master/tunnel.h"

#include "master/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Older headers do not have them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* One more queue of the device, or its first. The kernel writes the name it chose. */
static int open_queue(char name[IFNAMSIZ], short flags)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct ifreq request = { .ifr_flags = flags };
	memcpy(request.ifr_name, name, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	memcpy(name, request.ifr_name, IFNAMSIZ);
	return fd;
}

/* Of all queues at once: it is the device that has these features. What a kernel does not know it refuses as a whole. */
static void open_offloads(struct tunnel *t)
{
	const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	t->udp_trains = ioctl(t->queues[0], TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) == 0;
	t->trains = t->udp_trains || ioctl(t->queues[0], TUNSETOFFLOAD, tcp) == 0;
	if (!t->trains)
		log_line(LOG_LEVEL_NOTICE, "%s has no segmentation offload: one packet at a time", t->name);
	else if (!t->udp_trains)
		log_line(LOG_LEVEL_INFO, "%s has no UDP segmentation offload (kernels before 6.2)", t->name);
}

static bool is_persistent(int fd)
{
	struct ifreq state = { 0 };
	return ioctl(fd, TUNGETIFF, &state) == 0 && (state.ifr_flags & IFF_PERSIST);
}

static int open_another(struct tunnel *t, short flags)
{
	if (t->multi_queue)
		return open_queue(t->name, (short)(flags | IFF_MULTI_QUEUE));
	int fd = fcntl(t->queues[0], F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

/* A device made by others without multi-queue has one queue: all workers then read and write that one.
 * Slower, since they meet in it and hand over more, but right. */
static int open_queues(struct tunnel *t, short flags)
{
	int fd = open_queue(t->name, (short)(flags | IFF_MULTI_QUEUE));
	t->multi_queue = fd >= 0;
	if (fd == -EINVAL)
		fd = open_queue(t->name, flags);
	if (fd < 0)
		return fd;
	t->queues[0] = fd;
	/* as others left it; what we want comes later, for all queues at once */
	if (ioctl(fd, TUNSETOFFLOAD, 0) < 0)
		return -errno;
	for (unsigned w = 1; w < t->workers; w++)
		if ((t->queues[w] = open_another(t, flags)) < 0)
			return t->queues[w];
	return 0;
}

static short flags_of(const struct config *config)
{
	return (short)((config->tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR);
}

int tunnel_add(const struct config *config, struct tunnel *t)
{
	int *queues = realloc(t->queues, (t->workers + 1) * sizeof(*queues));
	if (!queues)
		return -ENOMEM;
	t->queues = queues;
	int fd = t->index ? open_another(t, flags_of(config)) : -1;
	if (t->index && fd < 0) {
		log_line(LOG_LEVEL_ERROR, "Cannot open another queue of %s: %s", t->name, strerror(-fd));
		return fd;
	}
	queues[t->workers++] = fd;
	return 0;
}

void tunnel_drop(struct tunnel *t)
{
	struct ifreq request = { .ifr_flags = IFF_DETACH_QUEUE };
	int fd = t->queues[--t->workers];
	if (fd < 0)
		return;
	if (t->multi_queue) /* at once, whoever may still hold it */
		ioctl(fd, TUNSETQUEUE, &request);
	close(fd);
}

int tunnel_open(const struct config *config, unsigned workers, struct tunnel *out)
{
	*out = (struct tunnel){ .workers = workers };
	out->queues = malloc((workers ? workers : 1) * sizeof(*out->queues));
	if (!out->queues)
		return -ENOMEM;
	for (unsigned w = 0; w < workers; w++)
		out->queues[w] = -1;
	if (strcmp(config->dev, "null") == 0)
		return 0;

	bool any_unit = strcmp(config->dev, "tun") == 0 || strcmp(config->dev, "tap") == 0;
	int len = snprintf(out->name, sizeof(out->name), "%s%s", config->dev, any_unit ? "%d" : "");
	int error = len < (int)sizeof(out->name) ? 0 : -ENAMETOOLONG;
	if (!error)
		error = open_queues(out, flags_of(config));
	if (error) {
		log_line(LOG_LEVEL_ERROR, "Cannot open tunnel device %s: %s%s", config->dev, strerror(-error),
			error == -EPERM	  ? " (this takes CAP_NET_ADMIN)"
			: error == -EBUSY ? " (another program has it open)"
					  : "");
		tunnel_close(out);
		return error;
	}
	out->index = if_nametoindex(out->name);
	out->persistent = is_persistent(out->queues[0]);
	if (config->offload && !config->tap)
		open_offloads(out);
	log_line(LOG_LEVEL_NOTICE, "TUN/TAP device %s opened", out->name);
	if (!out->multi_queue && workers > 1)
		log_line(LOG_LEVEL_NOTICE,
			"WARNING: %s was made without multi_queue: all workers share its only queue",
			out->name);
	return 0;
}

void tunnel_close(struct tunnel *tunnel)
{
	/* A device that stays has features that stay: whoever opens it next may not know of them. */
	if (tunnel->persistent && tunnel->trains)
		ioctl(tunnel->queues[0], TUNSETOFFLOAD, 0);
	for (unsigned w = 0; tunnel->queues && w < tunnel->workers; w++)
		if (tunnel->queues[w] >= 0)
			close(tunnel->queues[w]);
	free(tunnel->queues);
	*tunnel = (struct tunnel){ 0 };
}
