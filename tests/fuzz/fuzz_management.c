/* SPDX-License-Identifier: MIT
 * A management client of any kind: what it sends (0x1e: a second passes and it reads; 0x1f: it does not), with and
 * without a password, against a table with names from outside. Whatever it does, what it is told is lines of text, what
 * waits for it is bounded, and nothing is told or done before the password. */
#include "common/base/check.h"
#include "master/log.h"
#include "master/manage_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a command would do to this process is only counted. */
static unsigned deeds;
#define kill(pid, number) ((void)(pid), (void)(number), deeds++)
#define reload(m) ((void)(m), (deeds++ & 1) != 0)
#define reload_plan(m, out) ((void)(m), fputs("a plan\n", out), (int)(deeds++ & 1))
#define drain_worker(m, worker, on, error, room) \
	((void)(m), (void)(worker), (void)(on), snprintf(error, room, "no"), (deeds++ & 1 ? -1 : 0))
#define upgrade(m, error, room) ((void)(m), snprintf(error, room, "no"), (deeds++ & 1 ? -1 : 0))
#include "master/manage_commands.c"
#undef kill

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { NOWHERE = 1000 };

static struct master m;
static struct config config = { .status_version = 1 };
static struct seat seats[2] = { { .orders_fd = -1, .ready = true }, { .orders_fd = -1, .ready = true } };
static struct manage g;
static struct manage_client *c;
static mono_ms now;

static void furnish(void)
{
	static const char *const names[] = { "alice", "bob,\r\nEND", "\x1b[2J\xff", ">LOG:0,I,liar" };
	char error[256];
	struct shm_sizes sizes = { .workers = 2, .max_clients = 8, .max_routes = 8, .pool4_count = 8, .pool6_count = 8,
		.ring_bytes = 4096 };

	m.shm = shm_create(&sizes, error, sizeof(error));
	CHECK(m.shm);
	struct stats_about about = { .name = "fuzz", .program_version = "0", .sizes = { .workers = 2, .slots = 8 },
		.group = (gid_t)-1 };
	char dir[] = "/tmp/fuzz-management-XXXXXX";
	CHECK(mkdtemp(dir));
	m.stats = stats_create(dir, &about, error, sizeof(error));
	CHECK(m.stats);
	stats_remove(m.stats);
	rmdir(dir);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct peer_identity id = { .client_id = i, .connected_unix = 1795362459,
			.peer_address = { .family = 4, .port = (uint16_t)(1000 + i), .ip = { 192, 0, 2, 1 } } };
		uint32_t generation, slot = peers_take(m.shm, i % 2, &generation);
		strcpy(id.common_name, names[i]);
		CHECK(peers_write(m.shm, slot, generation, &id) && peers_set_state(m.shm, slot, generation, PEER_ACTIVE));
	}
	m.phase = PHASE_RUNNING;
	m.now.config = &config;
	m.workers = 2;
	m.seats = seats;
	m.manage = &g;
	log_open(&(struct log_settings){ .file = "/dev/null", .verb = 4 });
}

static void look_at_what_it_is_told(bool was_known)
{
	for (size_t i = 0; i < c->out_len; i++) {
		uint8_t byte = (uint8_t)c->out[c->out_at + i];
		CHECK(byte >= ' ' || byte == '\r' || byte == '\n' || byte == '\t');
		CHECK(byte != '\n' || (i && c->out[c->out_at + i - 1] == '\r'));
	}
	if (!was_known && !c->known)
		CHECK(c->out_len <= 15 + PASSWORD_TRIES * 36 && !deeds && g.verb < 0);
}

static void turn(bool reads)
{
	bool known = c->known;

	client_go_on(&g, c, now);
	answer_go_on(&g, c);
	bytecount_go_on(&g, c, now);
	traces_tidy(&g, now);
	CHECK(c->in_len <= sizeof(c->in));
	CHECK(c->out_len <= MANAGE_QUEUE_MAX + MANAGE_CHUNK);
	look_at_what_it_is_told(known);
	if (reads && c->out_len)
		client_gave(c, c->out_len, now);
}

static void send_some(const uint8_t *data, size_t len)
{
	for (unsigned stuck = 0; len && !c->leaving && stuck < 4;) {
		size_t room;
		char *at = client_room(c, &room);
		size_t some = len < room ? len : room;
		if (client_held(c, now) || !some) {
			stuck++;
			now += PASSWORD_PAUSE_MS;
			turn(true);
			continue;
		}
		bool known = c->known;
		memcpy(at, data, some);
		client_took(&g, c, some, now);
		look_at_what_it_is_told(known);
		data += some;
		len -= some;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!m.shm)
		furnish();
	memset(&g, 0, sizeof(g));
	g.master = &m;
	g.verb = -1;
	now = 1000000;
	deeds = 0;
	for (unsigned i = 0; i < MANAGE_CLIENTS_MAX; i++)
		g.clients[i].fd = -1;
	CHECK(history_init(&g.log, 8) && history_init(&g.states, 8) && history_init(&g.echoes, 1));
	history_add(&g.log, "1,I,a line");
	manage_state(&m, "CONNECTED", "SUCCESS");
	if (len && data[0] == 'p') {
		strcpy(g.doors[DOOR_DIRECTIVE].password, "pass");
		g.doors[DOOR_DIRECTIVE].password_len = 4;
	}
	c = &g.clients[0];
	c->fd = NOWHERE;
	client_begin(&g, c, len && data[0] == 'p' ? DOOR_DIRECTIVE : DOOR_CONTROL, now);
	while (len) {
		size_t some = 0;
		while (some < len && data[some] != 0x1e && data[some] != 0x1f)
			some++;
		send_some(data, some);
		bool reads = some < len && data[some] == 0x1e;
		some += some < len;
		data += some;
		len -= some;
		now += 1000;
		turn(reads);
	}
	client_end(c);
	history_clear(&g.log);
	history_clear(&g.states);
	history_clear(&g.echoes);
	return 0;
}
