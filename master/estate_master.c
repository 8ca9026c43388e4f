/* SPDX-License-Identifier: MIT
 * The master's state as an estate, and back. Which descriptors there are is said once, in estate_list(). */
#include "master/estate.h"

#include "common/engine/engine.h"
#include "master/manage.h"
#include "master/master.h"
#include "master/scripts.h"
#include "worker/helper_wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- descriptors -- */

struct listing {
	estate_each *each;
	void *context;
};

__attribute__((format(printf, 4, 5))) static void tell(
	const struct listing *l, int fd, bool lasting, const char *format, ...)
{
	char name[ESTATE_NAME_ROOM];
	va_list args;
	if (fd < 0)
		return;
	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	l->each(l->context, name, fd, lasting);
}

static const struct keyholder *lasting_keyholder(const struct master *m)
{
	/* until all workers are ours, the one of the program before: it may have to go on */
	return m->upgrade.state == UPGRADE_SETTLING && m->before.keyholder.control >= 0 ? &m->before.keyholder
											: &m->now.keyholder;
}

void estate_list(const struct master *m, estate_each *each, void *context)
{
	struct listing l = { each, context };
	tell(&l, m->start_directory, true, "directory");
	tell(&l, m->lock_fd, true, "lock");
	tell(&l, m->shm ? m->shm->fd : -1, true, "state");
	tell(&l, m->stats ? m->stats->fd : -1, true, "stats");
	for (unsigned w = 0; w < m->listeners.workers; w++)
		for (unsigned i = 0; i < m->listeners.count; i++)
			tell(&l, listeners_of(&m->listeners, w)[i], true, "link-%u-%u", w, i);
	for (unsigned w = 0; m->tunnel.queues && w < (m->tunnel.multi_queue ? m->tunnel.workers : 1); w++)
		tell(&l, m->tunnel.queues[w], true, "tun-%u", w);
	for (unsigned w = 0; m->wake_fds && w < m->seat_count; w++)
		tell(&l, m->wake_fds[w], true, "wake-%u", w);
	for (unsigned d = 0; d < MANAGE_DOORS; d++)
		tell(&l, manage_door_fd(m, d), true, "manage-%u", d);
	tell(&l, m->steering.peers_map, true, "steer-peers");
	tell(&l, m->steering.pool_map, true, "steer-pool");
	tell(&l, m->steering.chosen_map, true, "steer-chosen");
	tell(&l, m->steering.link_program, true, "steer-link");
	tell(&l, m->steering.tunnel_program, true, "steer-tunnel");
	for (unsigned w = 0; m->seats && w < m->workers; w++)
		tell(&l, m->seats[w].orders_fd, true, "orders-%u", m->seats[w].serial);
	const struct keyholder *k = lasting_keyholder(m);
	tell(&l, k->control, true, "keyholder-%ld", (long)k->pid);
	tell(&l, m->helper.control, true, "helper-%ld", (long)m->helper.pid);
	/* a service manager's next process opens them itself */
	tell(&l, m->now.key.key_fd, false, "key");
	tell(&l, m->now.key.passphrase_fd, false, "passphrase");
	tell(&l, m->upgrade.own_program, false, "program");
	tell(&l, m->upgrade.guardian_fd, false, "guardian");
}

/* -- writing -- */

struct counting {
	struct bytes_out *out;
	uint32_t count;
};

static void write_descriptor(void *context, const char *name, int fd, bool lasting)
{
	(void)lasting;
	struct counting *c = context;
	char padded[ESTATE_NAME_ROOM] = "";
	snprintf(padded, sizeof(padded), "%s", name);
	write_data(c->out, padded, sizeof(padded));
	write_u32(c->out, (uint32_t)fd);
	c->count++;
}

static void write_descriptors(const struct master *m, struct bytes_out *out)
{
	size_t begun = estate_begin(out, ESTATE_DESCRIPTORS);
	uint8_t *count = write_space(out, 4);
	struct counting c = { .out = out };
	estate_list(m, write_descriptor, &c);
	if (count) {
		struct bytes_out number = bytes_into(count, 4);
		write_u32(&number, c.count);
	}
	estate_end(out, begun);
}

static void copy_text(char *to, size_t room, const char *from)
{
	snprintf(to, room, "%s", from);
}

static void hub_of(const struct master *m, struct estate_hub *h)
{
	const struct keyholder *k = lasting_keyholder(m);
	memset(h, 0, sizeof(*h));
	h->state_layout = shm_layout();
	h->kept_layout = vpn_kept_layout();
	h->helper_wire = helper_wire_layout();
	copy_text(h->version, sizeof(h->version), VPNSERVERD_VERSION);
	copy_text(h->program, sizeof(h->program), m->upgrade.program);
	h->pid = (uint64_t)getpid();
	h->fresh = m->shm == NULL;
	h->confined = 1;
	h->scripts = scripts_wanted_ever(m->born);
	h->upgrades = m->upgrade.count;
	h->seats = m->seat_count;
	h->workers = m->workers;
	h->workers_wanted = m->workers_wanted;
	h->listeners = m->listeners.count;
	h->number = m->upgrade.state == UPGRADE_SETTLING ? m->before.number : m->now.number;
	h->generations = m->generations;
	h->births = m->upgrade.births;
	h->started_unix = (uint64_t)m->started_unix;
	h->was_up = m->was_up;
	h->pid_file = m->pid_file_written;
	copy_text(h->lock_path, sizeof(h->lock_path), m->lock_path);
	copy_text(h->stats_path, sizeof(h->stats_path), m->stats ? m->stats->path : "");
	copy_text(h->device, sizeof(h->device), m->tunnel.name);
	h->device_index = m->tunnel.index;
	h->multi_queue = m->tunnel.multi_queue;
	h->trains = m->tunnel.trains;
	h->udp_trains = m->tunnel.udp_trains;
	h->persistent = m->tunnel.persistent;
	h->steering_peers = m->steering.peer_count;
	h->steered = m->steering.attached;
	h->steering_pool = m->steering.pool_count;
	h->pool4_first = m->steering.pool4_first;
	h->keyholder_pid = k->pid > 0 ? (uint64_t)k->pid : 0;
	h->helper_pid = m->helper.pid > 0 ? (uint64_t)m->helper.pid : 0;
}

static void write_hub(const struct master *m, struct bytes_out *out)
{
	struct estate_hub h;
	hub_of(m, &h);
	size_t begun = estate_begin(out, ESTATE_HUB);
#define HUB_NUMBER(name, what) estate_field_number(out, #name, h.name);
#define HUB_TEXT(name, room, what) estate_field_text(out, #name, h.name);
#include "master/estate_hub.def"
#undef HUB_NUMBER
#undef HUB_TEXT
	estate_end(out, begun);
}

/*  seat   | len, 2 bytes | pid, 8 | serial, 4 | generation, 4 | cpu, 4 | flags, 1 | what later versions add */
enum { SEAT_LEN = 22, SEAT_READY = 1, SEAT_DRAINED = 2, SEAT_SHUNNED = 4 };

static void write_seats(const struct master *m, struct bytes_out *out)
{
	size_t begun = estate_begin(out, ESTATE_SEATS);
	for (unsigned w = 0; w < m->workers; w++) {
		const struct seat *s = &m->seats[w];
		write_u16(out, SEAT_LEN);
		write_u64(out, (uint64_t)s->pid);
		write_u32(out, s->serial);
		write_u32(out, s->generation);
		write_u32(out, (uint32_t)s->cpu);
		write_u8(out, (uint8_t)((s->ready ? SEAT_READY : 0) | (s->drained ? SEAT_DRAINED : 0) |
				       (s->shunned ? SEAT_SHUNNED : 0)));
		write_u8(out, (uint8_t)(s->quick_deaths < UINT8_MAX ? s->quick_deaths : UINT8_MAX));
	}
	estate_end(out, begun);
}

bool estate_describe(const struct master *m, struct bytes_out *out)
{
	write_hub(m, out);
	write_descriptors(m, out);
	estate_born_write(out, m->born);
	write_seats(m, out);
	size_t begun = estate_begin(out, ESTATE_ROUTES);
	for (unsigned i = 0; m->routes_added && i < m->born->route4_count + m->born->route6_count; i++)
		write_u8(out, m->routes_added[i]);
	estate_end(out, begun);
	return !out->failed;
}

int estate_save(struct master *m)
{
	uint8_t *body = malloc(ESTATE_BODY_MAX);
	if (!body)
		return -ENOMEM;
	struct bytes_out out = bytes_into(body, ESTATE_BODY_MAX);
	int error = -E2BIG;
	if (estate_describe(m, &out))
		error = estate_write(m->upgrade.estate_fd, ++m->upgrade.estate_serial, body, out.len);
	free(body);
	return error;
}

/* -- reading -- */

bool estate_hub_read(const struct estate *estate, struct estate_hub *out)
{
	struct bytes record = estate_record(estate, ESTATE_HUB);
	memset(out, 0, sizeof(*out));
	if (!record.left)
		return false;
#define HUB_NUMBER(name, what) estate_find_number(record, #name, &out->name);
#define HUB_TEXT(name, room, what) estate_find_text(record, #name, out->name, sizeof(out->name));
#include "master/estate_hub.def"
#undef HUB_NUMBER
#undef HUB_TEXT
	return out->workers && out->seats >= out->workers && out->seats <= SHM_MAX_WORKERS &&
	       out->workers_wanted && out->workers_wanted <= out->seats;
}

bool estate_seat_read(const struct estate *estate, unsigned index, struct estate_seat *out)
{
	struct bytes record = estate_record(estate, ESTATE_SEATS), seat = { .failed = true };
	for (unsigned i = 0; i <= index; i++)
		seat = read_part(&record, read_u16(&record));
	out->pid = (int64_t)read_u64(&seat);
	out->serial = read_u32(&seat);
	out->generation = read_u32(&seat);
	out->cpu = read_u32(&seat);
	uint8_t flags = read_u8(&seat);
	out->ready = flags & SEAT_READY;
	out->drained = flags & SEAT_DRAINED;
	out->shunned = flags & SEAT_SHUNNED;
	out->quick_deaths = seat.left ? read_u8(&seat) : 0; /* older programs do not say */
	return bytes_ok(&seat);
}
