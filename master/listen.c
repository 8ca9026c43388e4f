/* SPDX-License-Identifier: MIT
 * Opens the outer sockets and sets what only root may set on them. Never reads from one. */
#include "master/listen.h"

#include "master/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void set_option(int fd, int level, int option, int value, const char *name, const char *spelled)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) < 0)
		log_line(LOG_LEVEL_NOTICE, "WARNING: %s: cannot set %s to %d: %s", spelled, name, value,
			strerror(errno));
}

/* Past the system's limit where we may, else as far as it goes. */
static void set_buffer(int fd, int force_option, int option, int bytes, const char *name, const char *spelled)
{
	if (setsockopt(fd, SOL_SOCKET, force_option, &bytes, sizeof(bytes)) < 0)
		set_option(fd, SOL_SOCKET, option, bytes, name, spelled);
}

static void set_buffers(int fd, const struct config *config, const struct listener *l)
{
	int automatic =
		l->proto == PROTO_UDP ? LISTEN_BUFFER_DEFAULT : 0; /* TCP tunes itself, if one lets it */
	int rcvbuf = config->rcvbuf ? config->rcvbuf : automatic,
	    sndbuf = config->sndbuf ? config->sndbuf : automatic;
	if (rcvbuf)
		set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, rcvbuf, "rcvbuf", l->spelled);
	if (sndbuf)
		set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, sndbuf, "sndbuf", l->spelled);
}

static void set_udp(int fd, const struct config *config, const struct listener *l)
{
	if (l->address.ss_family == AF_INET6) {
		set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO", l->spelled);
		/* errors of single peers must not come back as errors of the socket that all share */
		set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 0, "IPV6_RECVERR", l->spelled);
		if (config->mtu_discover >= 0)
			set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, config->mtu_discover, "mtu-disc",
				l->spelled);
		if (l->v6only)
			return;
	}
	if (l->address.ss_family == AF_INET)
		set_option(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO", l->spelled);
	set_option(fd, IPPROTO_IP, IP_RECVERR, 0, "IP_RECVERR", l->spelled);
	if (config->mtu_discover >= 0)
		set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, config->mtu_discover, "mtu-disc", l->spelled);
}

static int open_bound(const struct config *config, const struct listener *l, bool shared)
{
	int type = l->proto == PROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(l->address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int on = 1, v6only = l->v6only;
	if ((shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
		(l->proto == PROTO_TCP && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) ||
		(l->address.ss_family == AF_INET6 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0))
		goto failed;
	if (shared) {
		set_buffers(fd, config, l); /* before bind: no packet meets a small buffer */
		if (l->proto == PROTO_UDP)
			set_udp(fd, config, l);
		else
			set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY", l->spelled);
	}
	if (bind(fd, (const struct sockaddr *)&l->address, l->address_len) < 0)
		goto failed;
	return fd;
failed:;
	int error = -errno;
	close(fd);
	return error;
}

static uint16_t *port_of(struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
					      : &((struct sockaddr_in *)address)->sin_port;
}

/* One more socket of a group. A port that the kernel picked for the first is that of all. */
static int open_member(const struct config *config, struct listener *listener, int *out)
{
	int fd = open_bound(config, listener, true);
	if (fd < 0)
		return fd;
	*out = fd;
	socklen_t len = sizeof(listener->address);
	if (*port_of(&listener->address) == 0 && getsockname(fd, (struct sockaddr *)&listener->address, &len) < 0)
		return -errno;
	return listener->proto == PROTO_TCP && listen(fd, 1024) < 0 ? -errno : 0;
}

/* One group: the sockets of all workers for one listener. The index of a socket in its group is the order of
 * bind(), and that order is what the steering program's answer means: worker 0 first. */
static int open_group(const struct config *config, unsigned l, struct listeners *out)
{
	struct listener listener = config->listeners[l];
	int probe = open_bound(config, &listener, false);
	if (probe < 0)
		return probe;
	close(probe);
	bool any_port = *port_of(&listener.address) == 0;
	for (unsigned w = 0; w < out->workers; w++) {
		int error = open_member(config, &listener, &out->fds[w * out->count + l]);
		if (error)
			return error;
	}
	if (any_port)
		log_line(LOG_LEVEL_NOTICE, "Listening on %s: the port is %u", listener.spelled,
			ntohs(*port_of(&listener.address)));
	return 0;
}

int listeners_open(const struct config *config, unsigned workers, struct listeners *out)
{
	*out = (struct listeners){ .workers = workers, .count = config->listener_count };
	size_t n = (size_t)workers * config->listener_count;
	out->fds = malloc((n ? n : 1) * sizeof(*out->fds));
	if (!out->fds)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		out->fds[i] = -1;
	for (unsigned l = 0; l < out->count; l++) {
		int error = open_group(config, l, out);
		if (error) {
			log_line(LOG_LEVEL_ERROR, "Cannot listen on %s: %s", config->listeners[l].spelled,
				strerror(-error));
			listeners_close(out);
			return error;
		}
		log_line(LOG_LEVEL_INFO, "Listening on %s", config->listeners[l].spelled);
	}
	return 0;
}

int listeners_add(const struct config *config, struct listeners *l)
{
	size_t have = (size_t)l->workers * l->count;
	int *fds = realloc(l->fds, (have + l->count + 1) * sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	l->fds = fds;
	for (unsigned i = 0; i < l->count; i++)
		fds[have + i] = -1;
	l->workers++;
	for (unsigned i = 0; i < l->count; i++) {
		struct listener listener = config->listeners[i];
		socklen_t len = sizeof(listener.address);
		int error = getsockname(fds[i], (struct sockaddr *)&listener.address, &len) < 0 ? -errno : 0;
		if (!error)
			error = open_member(config, &listener, &fds[have + i]);
		if (error) {
			log_line(LOG_LEVEL_ERROR, "Cannot listen on %s once more: %s", listener.spelled,
				strerror(-error));
			listeners_drop(l);
			return error;
		}
	}
	return 0;
}

void listeners_drop(struct listeners *l)
{
	l->workers--;
	for (unsigned i = 0; i < l->count; i++)
		if (l->fds[l->workers * l->count + i] >= 0)
			close(l->fds[l->workers * l->count + i]);
}

void listeners_close(struct listeners *listeners)
{
	for (size_t i = 0; listeners->fds && i < (size_t)listeners->workers * listeners->count; i++)
		if (listeners->fds[i] >= 0)
			close(listeners->fds[i]);
	free(listeners->fds);
	*listeners = (struct listeners){ 0 };
}

const int *listeners_of(const struct listeners *listeners, unsigned worker)
{
	return listeners->fds + (size_t)worker * listeners->count;
}

int listeners_group(const struct listeners *listeners, unsigned listener)
{
	return listeners->fds[listener];
}
