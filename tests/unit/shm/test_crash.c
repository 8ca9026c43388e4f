/* SPDX-License-Identifier: MIT
 * A worker dies between any two changes of shared memory. For every writer operation: a process is killed at its first
 * point, at its second, and so on until it comes to its end; each time its successor takes over and everything that must
 * hold is asked. The points are in crash_points.h. */
#include "common/data/data.h"
#include "shm/crew.h"
#include "shm/events.h"
#include "shm/handover_ring.h"
#include "shm/last_words.h"
#include "shm/limits.h"
#include "shm/stats.h"
#include "tests/unit/shm/stats_fixture.h"
#include "tests/unit/shm/usable.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { WORKERS = 3, SLOTS = 12, POOL = 8, RING = 4096, POINTS_MAX = 5000, NETWORKS = 4, KEPT = 0xaa };

/* -- dying -- */

static unsigned points, deadly; /* deadly 0: none */

void crash_point(void)
{
	if (deadly && ++points == deadly)
		kill(getpid(), SIGKILL);
}

/* -- the world before each death -- */

struct world {
	struct shm *shm;
	struct stats *stats;
	struct events *events;
	struct session mine, other; /* of worker 0, who dies, and of worker 1 */
	uint32_t lease, other_lease;
	uint32_t free_lease;
	/* what the dying one wrote down last of all, in memory of its own kind */
	struct {
		_Atomic uint32_t done;
		struct session taken;
		uint32_t lease;
		struct packet_id_block block;
	} *note;
	struct packet_id_source *ids;
};

static struct world world;
static uint8_t *shm_before, *stats_before;
static char directory[64];

static const struct link_address mine_at = { .family = 4, .port = 1, .ip = { 192, 0, 2, 1 } },
				 other_at = { .family = 4, .port = 1, .ip = { 192, 0, 2, 2 } },
				 third_at = { .family = 4, .port = 1, .ip = { 192, 0, 2, 3 } };
static const uint8_t mine_net[4] = { 10, 1, 0, 0 }, other_net[4] = { 10, 2, 0, 0 }, third_net[4] = { 10, 3, 0, 0 };

static struct peer_identity identity(const char *name, uint64_t number)
{
	struct peer_identity id = { .client_id = number, .lease4 = LEASE_NONE, .lease6 = LEASE_NONE };
	snprintf(id.common_name, sizeof(id.common_name), "%s", name);
	return id;
}

static struct session active(struct shm *shm, unsigned worker, const char *name, const struct link_address *at,
	const uint8_t net[4], uint32_t *lease)
{
	struct session s = new_session(shm, worker);
	struct peer_identity id = identity(name, s.slot);

	memset(peers_slot(shm, s.slot)->kept, KEPT, PEER_KEPT_LEN);
	ck_assert(peers_write(shm, s.slot, s.generation, &id));
	ck_assert(peers_set_state(shm, s.slot, s.generation, PEER_ACTIVE));
	ck_assert_int_eq(links_put(shm, at, s.slot, s.generation, NULL, NULL), LINK_PUT);
	ck_assert_int_eq(routes_put(shm, 4, net, 24, s.slot, s.generation, NULL, NULL), ROUTE_PUT);
	*lease = lease_take(shm, name, s.slot, s.generation);
	ck_assert_uint_ne(*lease, LEASE_NONE);
	return s;
}

static void set_up(void)
{
	char error[300] = "";
	struct stats_about about = about_hub("crash");
	void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	new_directory(directory);
	about.sizes = (struct stats_sizes){ .workers = WORKERS, .slots = SLOTS, .networks = NETWORKS };
	world.shm = segment_of((struct shm_sizes){ WORKERS, SLOTS, 16, POOL, 0, RING });
	world.stats = stats_create(directory, &about, error, sizeof(error));
	ck_assert_msg(world.stats != NULL, "%s", error);
	world.events = events_open(directory, "crash", WORKERS, (gid_t)-1, error, sizeof(error));
	ck_assert_msg(world.events != NULL, "%s", error);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	world.note = shared;
	world.ids = (struct packet_id_source *)((uint8_t *)shared + 2048);
	world.mine = active(world.shm, 0, "mine", &mine_at, mine_net, &world.lease);
	world.other = active(world.shm, 1, "other", &other_at, other_net, &world.other_lease);
	while (world.free_lease == world.lease || world.free_lease == world.other_lease)
		world.free_lease++;
	/* Cells and leases of sessions that ended: to be used again. */
	struct session gone = active(world.shm, 2, "gone", &(struct link_address){ .family = 4, .ip = { 1 } },
		(const uint8_t[4]){ 10, 9, 0, 0 }, &(uint32_t){ 0 });
	peers_release(world.shm, gone.slot, gone.generation);
	shm_before = malloc(world.shm->size);
	stats_before = malloc(world.stats->size);
	memcpy(shm_before, world.shm->base, world.shm->size);
	memcpy(stats_before, world.stats->base, world.stats->size);
}

static void tear_down(void)
{
	events_close(&world.events);
	stats_detach(&world.stats);
	shm_detach(&world.shm);
	remove_directory(directory);
	free(shm_before);
	free(stats_before);
	munmap(world.note, 4096);
	memset(&world, 0, sizeof(world));
}

static void begin_anew(void)
{
	memcpy(world.shm->base, shm_before, world.shm->size);
	memcpy(world.stats->base, stats_before, world.stats->size);
	memset(world.note, 0, 4096);
}

/* -- what must hold after each death -- */

static void check_kept(struct shm *shm, uint32_t slot)
{
	uint8_t whole[PEER_KEPT_LEN];
	memset(whole, KEPT, sizeof(whole));
	ck_assert_mem_eq(peers_slot(shm, slot)->kept, whole, sizeof(whole));
}

/* The successor of worker 0, as worker/sessions.c: who was active lives on, all else is ended. */
static void succeed(struct shm *shm)
{
	uint32_t slot = 0, generation;

	for (; (slot = peers_next_owned(shm, 0, slot)) != PEER_NONE; slot++) {
		struct peer_row row;
		enum peer_adoption found = peers_adopt(shm, slot, 0, false, &generation);
		ck_assert_int_ne(found, PEER_NOT_OURS);
		ck_assert(peers_read(shm, slot, &row));
		ck_assert_uint_eq(row.generation, generation);
		if (found == PEER_GIVE_UP || row.state != PEER_ACTIVE) {
			ck_assert(peers_release(shm, slot, generation));
			continue;
		}
		check_kept(shm, slot); /* who lives on has all its keys */
		if (found == PEER_TORN) {
			struct peer_identity id = identity("mine", slot);
			ck_assert_int_eq(row.identity.common_name[0], 0);
			ck_assert(peers_write(shm, slot, generation, &id));
		}
	}
}

/* No row is torn, no word is nonsense; a key or a lease has one holder, and one that lives. */
static void check_tables(struct shm *shm)
{
	uint32_t slot, generation, used = 0;
	struct peer_row row;

	for (uint32_t i = 0; i < SLOTS; i++) {
		ck_assert_uint_eq(atomic_load(&peers_slot(shm, i)->version) & 1, 0);
		used += peers_read(shm, i, &row);
	}
	ck_assert_uint_eq(used, peers_count(shm));
	const struct link_address *addresses[] = { &mine_at, &other_at, &third_at };
	const uint8_t *nets[] = { mine_net, other_net, third_net };
	for (unsigned i = 0; i < 3; i++) {
		if (links_find(shm, addresses[i], &slot, &generation))
			ck_assert(peers_live(shm, slot, generation));
		if (routes_find(shm, 4, nets[i], &slot, &generation))
			ck_assert(peers_live(shm, slot, generation));
	}
	for (uint32_t i = 0; i < POOL; i++) {
		struct lease_row lease;
		ck_assert(lease_read(shm, i, &lease));
		ck_assert(!lease.taken || peers_live(shm, lease.slot, lease.generation));
	}
}

/* What nobody touched is as it was. */
static void check_other(struct shm *shm)
{
	uint32_t slot, generation;
	struct lease_row lease;

	ck_assert(peers_live(shm, world.other.slot, world.other.generation));
	ck_assert(routes_find(shm, 4, other_net, &slot, &generation) && slot == world.other.slot);
	ck_assert(lease_read(shm, world.other_lease, &lease) && lease.taken && lease.slot == world.other.slot);
	check_kept(shm, world.other.slot);
}

/* Each ring works, whatever lies in it. */
static void check_rings(struct shm *shm)
{
	for (unsigned from = 0; from < WORKERS; from++)
		for (unsigned to = 0; to < WORKERS; to++) {
			struct ring ring = ring_between(shm, from, to);
			struct ring_item item;
			if (!ring.ends)
				continue;
			uint64_t at = ring_start(ring);
			enum ring_answer answer;
			while ((answer = ring_next(ring, &at, &item)) == RING_ITEM)
				;
			ck_assert_int_eq(answer, RING_EMPTY); /* never RING_BROKEN */
			ring_release(ring, at);
			for (int i = 0; i < 8; i++) {
				ck_assert(ring_reserve(ring, 700, &item));
				item.kind = HANDOVER_PACKET;
				item.slot = 7;
				ring_commit(ring, &item);
				at = ring_start(ring);
				ck_assert_int_eq(ring_next(ring, &at, &item), RING_ITEM);
				ck_assert_uint_eq(item.slot, 7);
				ring_release(ring, at);
			}
		}
}

static void end_all(struct shm *shm)
{
	for (uint32_t slot = peers_next(shm, 0); slot != PEER_NONE; slot = peers_next(shm, slot + 1)) {
		struct peer_word word;
		ck_assert(peers_word(shm, slot, &word));
		ck_assert(peers_release(shm, slot, word.generation));
	}
}

/* -- the operations -- */

struct operation {
	const char *name;
	void (*prepare)(struct world *); /* may be NULL */
	void (*run)(struct world *);
	void (*check)(struct world *, bool done); /* what this one promises; before the successor does anything */
	bool spares_other;			  /* the other session is none of its business */
};

static bool mine_lives(const struct world *w)
{
	return peers_live(w->shm, w->mine.slot, w->mine.generation);
}

/* peers */

static void take(struct world *w)
{
	w->note->taken.slot = peers_take(w->shm, 0, &w->note->taken.generation);
}
static void took(struct world *w, bool done)
{
	uint32_t count = peers_count(w->shm);
	ck_assert_uint_ge(count, done ? 3 : 2);
	ck_assert_uint_le(count, 3);
}
static void release(struct world *w)
{
	peers_release(w->shm, w->mine.slot, w->mine.generation);
}
static void released(struct world *w, bool done)
{
	struct peer_word word;
	if (done)
		ck_assert(!mine_lives(w));
	else if (mine_lives(w)) /* all or none of it is there: half of it says CLOSING */
		ck_assert(peers_word(w->shm, w->mine.slot, &word));
}
static void write_identity(struct world *w)
{
	struct peer_identity id = identity("another", 99);
	peers_write(w->shm, w->mine.slot, w->mine.generation, &id);
}
static void wrote(struct world *w, bool done)
{
	struct peer_row row;
	if (peers_read(w->shm, w->mine.slot, &row)) /* the one or the other, never both */
		ck_assert(strcmp(row.identity.common_name, row.identity.client_id == 99 ? "another" : "mine") == 0);
	else
		ck_assert(!done);
}
static void close_it(struct world *w)
{
	peers_set_state(w->shm, w->mine.slot, w->mine.generation, PEER_CLOSING);
}
static void move(struct world *w)
{
	struct ring ring = ring_between(w->shm, 0, 2);
	struct ring_item item;
	if (peers_move_owner(w->shm, w->mine.slot, w->mine.generation, 0, 2) && ring_reserve(ring, 0, &item)) {
		item.kind = HANDOVER_MOVED;
		item.slot = w->mine.slot;
		item.generation = w->mine.generation;
		ring_commit(ring, &item);
	}
}
static void moved(struct world *w, bool done)
{
	struct ring ring = ring_between(w->shm, 0, 2);
	struct ring_item item;
	uint64_t at = ring_start(ring);
	uint32_t generation;
	unsigned owner = peers_owner(w->shm, w->mine.slot, &generation);

	ck_assert_uint_eq(generation, w->mine.generation);
	ck_assert(owner == 2 || (owner == 0 && !done));
	/* Told only of what is true. */
	if (ring_next(ring, &at, &item) == RING_ITEM)
		ck_assert(owner == 2 && item.kind == HANDOVER_MOVED && item.slot == w->mine.slot);
	else
		ck_assert(!done);
	/* Whoever has it now can adopt it, and nobody else. */
	for (unsigned who = 0; who < WORKERS; who++)
		ck_assert((peers_adopt(w->shm, w->mine.slot, who, false, &generation) == PEER_ADOPTED) == (who == owner));
	check_kept(w->shm, w->mine.slot);
}
static void tear(struct world *w)
{
	atomic_fetch_or(&peers_slot(w->shm, w->mine.slot)->version, 1);
	last_words_note_work(last_words_of(w->shm, 0), w->mine.slot);
}
static void adopt(struct world *w)
{
	uint32_t generation;
	peers_adopt(w->shm, w->mine.slot, 0, true, &generation);
}
static void adopted(struct world *w, bool done)
{
	struct peer_word word;
	(void)done;
	ck_assert(peers_word(w->shm, w->mine.slot, &word) && word.owner == 0 && word.deaths <= 1);
}
static void blame(struct world *w)
{
	uint32_t generation;
	peers_adopt(w->shm, w->mine.slot, 0, true, &generation);
}
static void forgive(struct world *w)
{
	peers_forgive(w->shm, w->mine.slot, w->mine.generation);
}
static void count_traffic(struct world *w)
{
	peers_count_in(peers_slot(w->shm, w->mine.slot), 1, 1000, 5);
	peers_count_out(peers_slot(w->shm, w->mine.slot), 1, 1000, 5);
}

/* links and routes */

static void put_link(struct world *w)
{
	links_put(w->shm, &third_at, w->mine.slot, w->mine.generation, NULL, NULL);
}
static void put_link_again(struct world *w)
{
	links_put(w->shm, &(struct link_address){ .family = 4, .ip = { 1 } }, w->mine.slot, w->mine.generation, NULL, NULL);
}
static void took_link(struct world *w, bool done)
{
	uint32_t slot, generation;
	bool there = links_find(w->shm, &third_at, &slot, &generation);
	ck_assert(there ? slot == w->mine.slot : !done);
	/* Half an entry is in nobody's way, the successor's least of all. */
	enum link_answer answer = links_put(w->shm, &third_at, w->mine.slot, w->mine.generation, NULL, NULL);
	ck_assert_int_eq(answer, there ? LINK_SAME : LINK_PUT);
	ck_assert(links_remove(w->shm, &third_at, w->mine.slot, w->mine.generation));
	ck_assert_int_eq(links_put(w->shm, &third_at, w->other.slot, w->other.generation, NULL, NULL), LINK_PUT);
	ck_assert(links_remove(w->shm, &third_at, w->other.slot, w->other.generation));
}
static void replace_link(struct world *w)
{
	links_replace(w->shm, &other_at, w->other.slot, w->other.generation, w->mine.slot, w->mine.generation);
}
static void replaced_link(struct world *w, bool done)
{
	uint32_t slot, generation;
	ck_assert(links_find(w->shm, &other_at, &slot, &generation)); /* always somebody's */
	ck_assert(slot == w->mine.slot || (slot == w->other.slot && !done));
}
static void remove_link(struct world *w)
{
	links_remove(w->shm, &mine_at, w->mine.slot, w->mine.generation);
}
static void removed_link(struct world *w, bool done)
{
	uint32_t slot, generation;
	bool there = links_find(w->shm, &mine_at, &slot, &generation);
	ck_assert(there ? !done && slot == w->mine.slot : true);
}
static void put_route(struct world *w)
{
	routes_put(w->shm, 4, third_net, 24, w->mine.slot, w->mine.generation, NULL, NULL);
}
static void put_route_of_a_new_length(struct world *w)
{
	routes_put(w->shm, 4, third_net, 19, w->mine.slot, w->mine.generation, NULL, NULL);
}
static void took_route(struct world *w, bool done)
{
	uint32_t slot, generation;
	bool there = routes_find(w->shm, 4, third_net, &slot, &generation);
	ck_assert(there ? slot == w->mine.slot : !done);
	ck_assert_int_eq(routes_put(w->shm, 4, third_net, 24, w->mine.slot, w->mine.generation, NULL, NULL),
		there ? ROUTE_SAME : ROUTE_PUT);
	ck_assert(routes_remove(w->shm, 4, third_net, 24, w->mine.slot, w->mine.generation));
	ck_assert_int_eq(routes_put(w->shm, 4, third_net, 24, w->other.slot, w->other.generation, NULL, NULL), ROUTE_PUT);
	ck_assert(routes_remove(w->shm, 4, third_net, 24, w->other.slot, w->other.generation));
}
static void replace_route(struct world *w)
{
	routes_replace(w->shm, 4, other_net, 24, w->other.slot, w->other.generation, w->mine.slot, w->mine.generation);
}
static void replaced_route(struct world *w, bool done)
{
	uint32_t slot, generation;
	ck_assert(routes_find(w->shm, 4, other_net, &slot, &generation));
	ck_assert(slot == w->mine.slot || (slot == w->other.slot && !done));
}
static void remove_route(struct world *w)
{
	routes_remove(w->shm, 4, mine_net, 24, w->mine.slot, w->mine.generation);
}

/* leases */

static void take_lease(struct world *w)
{
	w->note->lease = lease_take(w->shm, "mine too", w->mine.slot, w->mine.generation);
}
static void take_exact(struct world *w)
{
	lease_take_exact(w->shm, w->free_lease, "mine too", w->mine.slot, w->mine.generation);
}
static void took_lease(struct world *w, bool done)
{
	struct lease_row row;
	unsigned held = 0;
	for (uint32_t i = 0; i < POOL; i++)
		held += lease_read(w->shm, i, &row) && row.taken && row.slot == w->mine.slot;
	ck_assert_uint_ge(held, done ? 2 : 1);
	ck_assert_uint_le(held, 2);
}
static void release_lease(struct world *w)
{
	lease_release(w->shm, w->lease, w->mine.slot, w->mine.generation);
}
static void remember_lease(struct world *w)
{
	lease_remember(w->shm, w->free_lease, "remembered");
}
static void remembered_lease(struct world *w, bool done)
{
	struct lease_row row;
	ck_assert(lease_read(w->shm, w->free_lease, &row) && !row.taken);
	/* the whole name or one that was whole before */
	ck_assert(!done || strcmp(row.name, "remembered") == 0);
	ck_assert(row.name[0] == 0 || strcmp(row.name, "remembered") == 0 || strcmp(row.name, "gone") == 0);
}

/* limits */

static const struct source_rates rates = { .host_per_s = 1, .host_burst = 3, .network_per_s = 1, .network_burst = 3 };

static void take_limits(struct world *w)
{
	limit_take(shm_limit(w->shm, LIMIT_OPENERS), 5, 10000, 500);
	limit_give_back(shm_limit(w->shm, LIMIT_OPENERS), 10000, 500);
	limit_take(shm_limit(w->shm, LIMIT_OPENERS), 5, 10000, 500);
	source_take(w->shm, &rates, &third_at, 1000);
}
static void took_limits(struct world *w, bool done)
{
	unsigned left = 0, sources = 0;
	while (left < 10 && limit_take(shm_limit(w->shm, LIMIT_OPENERS), 5, 10000, 500))
		left++;
	while (sources < 10 && source_take(w->shm, &rates, &third_at, 1000))
		sources++;
	ck_assert_uint_ge(left, done ? 3 : 4); /* never more than there is, and never stuck */
	ck_assert_uint_le(left, done ? 4 : 5);
	ck_assert_uint_le(sources, done ? 2 : 3);
	ck_assert_uint_ge(sources, 1);
}

/* rings */

static void fill_ring(struct world *w)
{
	struct ring ring = ring_between(w->shm, 0, 1);
	struct ring_item item;
	for (unsigned i = 0; i < 3; i++) { /* moves on, so that the next record needs a SKIP before it */
		ck_assert(ring_reserve(ring, 700, &item));
		item.kind = HANDOVER_PACKET;
		item.slot = i;
		ring_commit(ring, &item);
	}
	uint64_t at = ring_start(ring);
	ring_next(ring, &at, &item);
	ring_next(ring, &at, &item);
	ring_release(ring, at);
}
static void produce(struct world *w)
{
	struct ring ring = ring_between(w->shm, 0, 1);
	struct ring_item item;
	for (unsigned i = 0; i < 2; i++)
		if (ring_reserve(ring, 900, &item)) {
			item.kind = HANDOVER_DATAGRAM;
			item.slot = 50 + i;
			memset(item.payload, 0x55, item.len);
			ring_commit(ring, &item);
		}
}
static void produced(struct world *w, bool done)
{
	struct ring ring = ring_between(w->shm, 0, 1);
	struct ring_item item;
	uint64_t at = ring_start(ring);
	const uint32_t wanted[] = { 2, 50, 51 };
	unsigned got = 0;
	enum ring_answer answer;
	while ((answer = ring_next(ring, &at, &item)) == RING_ITEM) {
		ck_assert_uint_lt(got, 3);
		ck_assert_uint_eq(item.slot, wanted[got++]);
		bool whole = true;
		for (uint32_t i = 0; got > 1 && i < item.len; i++)
			whole &= item.payload[i] == 0x55;
		ck_assert(whole);
	}
	ck_assert_int_eq(answer, RING_EMPTY);
	ck_assert_uint_ge(got, done ? 2 : 1);
}
static void fill_ring_for_us(struct world *w)
{
	struct ring ring = ring_between(w->shm, 1, 0);
	struct ring_item item;
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(ring_reserve(ring, 400, &item));
		item.kind = HANDOVER_PACKET;
		item.slot = i;
		ring_commit(ring, &item);
	}
}
static void consume(struct world *w)
{
	struct ring ring = ring_between(w->shm, 1, 0);
	struct ring_item item;
	for (uint64_t at = ring_start(ring); ring_next(ring, &at, &item) == RING_ITEM;)
		ring_release(ring, at);
}
static void consumed(struct world *w, bool done)
{
	struct ring ring = ring_between(w->shm, 1, 0);
	struct ring_item item;
	uint64_t at = ring_start(ring);
	int last = -1;
	while (ring_next(ring, &at, &item) == RING_ITEM) {
		ck_assert(!done);
		ck_assert(last < 0 || (int)item.slot == last + 1); /* what is left is the end, in order */
		last = (int)item.slot;
	}
	ck_assert(last == 2 || last == -1);
}

/* words and numbers */

static void say(struct world *w)
{
	last_words_note_work(last_words_of(w->shm, 0), w->mine.slot);
	last_words_say(last_words_of(w->shm, 0), SIGSEGV, w->mine.slot, 0x1234, "because of this");
}
static void said(struct world *w, bool done)
{
	struct last_words_copy copy;
	if (last_words_take(w->shm, 0, &copy)) {
		ck_assert_str_eq(copy.text, "because of this");
		ck_assert_uint_eq(copy.slot, w->mine.slot);
		ck_assert(!last_words_take(w->shm, 0, &copy));
	} else {
		ck_assert(!done);
	}
}
static void rotate(struct world *w)
{
	shm_rotate_secrets(w->shm);
}
static void rotated(struct world *w, bool done)
{
	uint8_t was[SHM_SECRET_LEN], was_before[SHM_SECRET_LEN], now[SHM_SECRET_LEN], before[SHM_SECRET_LEN];
	shm_secrets(w->shm, now, before);
	uint8_t *after = malloc(w->shm->size);
	memcpy(after, w->shm->base, w->shm->size);
	memcpy(w->shm->base, shm_before, w->shm->size);
	shm_secrets(w->shm, was, was_before);
	memcpy(w->shm->base, after, w->shm->size);
	free(after);
	for (unsigned i = 0; i < SHM_SECRET_LEN; i += 8) /* whole, or nobody's secret yet */
		ck_assert(memcmp(now + i, (const uint8_t[8]){ 0 }, 8) != 0);
	bool same = memcmp(now, was, sizeof(now)) == 0;
	ck_assert(same ? !done && memcmp(before, was_before, sizeof(now)) == 0 : memcmp(before, was, sizeof(now)) == 0);
}
static void number(struct world *w)
{
	shm_next_epoch(w->shm);
	shm_next_client_id(w->shm);
	crew_set(w->shm, 0, true);
	crew_set(w->shm, 1, true);
	crew_set(w->shm, 0, false);
}
static void numbered(struct world *w, bool done)
{
	ck_assert(!done || (crew_is_active(w->shm, 1) && !crew_is_active(w->shm, 0)));
	ck_assert_uint_ne(shm_next_epoch(w->shm), 0);
}

/* what readers outside see */

static void publish(struct world *w)
{
	struct stats_row row = row_of("mine", 77);
	row.connected_unix = 77;
	stats_publish(w->stats, w->mine.slot, &row);
}
static void published(struct world *w, bool done)
{
	char path[400], error[300];
	struct stats_row row;
	snprintf(path, sizeof(path), "%s/crash.stats", directory);
	struct reader *reader = reader_open(path, error, sizeof(error));
	ck_assert_msg(reader != NULL, "%s", error);
	if (reader_row(reader, w->mine.slot, &row))
		ck_assert(row.client_id == 77 ? row.connected_unix == 77 && strcmp(row.common_name, "mine") == 0
					      : row.state == PEER_FREE && !row.client_id && !row.common_name[0]);
	else
		ck_assert(!done);
	publish(w); /* the successor's makes it whole */
	ck_assert(reader_row(reader, w->mine.slot, &row) && row.client_id == 77);
	stats_clear(w->stats, w->mine.slot);
	ck_assert(reader_row(reader, w->mine.slot, &row) && row.state == PEER_FREE);
	reader_close(&reader);
}
static void unpublish(struct world *w)
{
	stats_clear(w->stats, w->mine.slot);
}
static struct stats_network network_of(const struct session *s, uint8_t n)
{
	return (struct stats_network){ .slot = s->slot, .generation = s->generation, .family = 4, .bits = 24,
		.prefix = { 10, n } };
}
static void show_network(struct world *w)
{
	struct stats_network n = network_of(&w->mine, 1);
	stats_network_put(w->stats, w->shm, &n);
}
static void hide_networks(struct world *w)
{
	stats_networks_clear(w->stats, w->mine.slot, w->mine.generation);
}
/* A place that a death left half-written is lost to its session only, not to the table. */
static void showed_network(struct world *w, bool done)
{
	(void)done;
	stats_networks_clear(w->stats, w->mine.slot, w->mine.generation);
	for (uint8_t i = 0; i < NETWORKS; i++) {
		struct stats_network n = network_of(&w->other, i);
		ck_assert(stats_network_put(w->stats, w->shm, &n));
	}
	stats_networks_clear(w->stats, w->other.slot, w->other.generation);
}
static void note_event(struct world *w)
{
	event_note(w->events, EVENT_RING_OF(0), EVENT_MOVED_OUT, w->mine.slot, w->mine.generation, 2, "mine", "to there");
}
static void noted_event(struct world *w, bool done)
{
	char path[400], error[300];
	struct event *events;
	(void)done;
	snprintf(path, sizeof(path), "%s/crash.events", directory);
	note_event(w); /* the successor's */
	struct event_reader *reader = event_reader_open(path, error, sizeof(error));
	ck_assert_msg(reader != NULL, "%s", error);
	ssize_t count = event_reader_take(reader, 0, NULL, NULL, &events);
	ck_assert_int_ge(count, 1);
	for (ssize_t i = 0; i < count; i++)
		ck_assert(events[i].kind == EVENT_MOVED_OUT && strcmp(events[i].name, "mine") == 0 &&
			  strcmp(events[i].text, "to there") == 0 && events[i].cause == 2 &&
			  (i == 0 || events[i].order > events[i - 1].order));
	free(events);
	event_reader_close(&reader);
}

/* packet ids */

static void own_ids(struct world *w)
{
	packet_id_adopt(w->ids, 1);
	packet_id_reserve(w->ids, 1, &w->note->block);
}
static void reserve(struct world *w)
{
	struct packet_id_block block = { .next = 0, .end = 0 };
	if (packet_id_reserve(w->ids, 1, &block))
		w->note->block = block; /* as good as sent */
}
static void reserved(struct world *w, bool done)
{
	struct packet_id_block block = { 0 };
	(void)done;
	packet_id_adopt(w->ids, 2);
	ck_assert(!packet_id_reserve(w->ids, 1, &block)); /* the dead one's epoch gets nothing */
	ck_assert(packet_id_reserve(w->ids, 2, &block));
	ck_assert_uint_ge(block.next, w->note->block.end); /* and nobody gets what it may have used */
}
static void adopt_ids(struct world *w)
{
	packet_id_adopt(w->ids, 3);
}

/* all of it in a row */

static void live_and_die(struct world *w)
{
	struct shm *shm = w->shm;
	struct session s;
	struct peer_identity id = identity("short", 5);
	s.slot = peers_take(shm, 0, &s.generation);
	if (s.slot == PEER_NONE)
		return;
	memset(peers_slot(shm, s.slot)->kept, KEPT, PEER_KEPT_LEN);
	links_put(shm, &third_at, s.slot, s.generation, NULL, NULL);
	peers_write(shm, s.slot, s.generation, &id);
	uint32_t lease = lease_take(shm, "short", s.slot, s.generation);
	routes_put(shm, 4, third_net, 24, s.slot, s.generation, NULL, NULL);
	peers_set_state(shm, s.slot, s.generation, PEER_ACTIVE);
	links_replace(shm, &mine_at, w->mine.slot, w->mine.generation, s.slot, s.generation);
	links_replace(shm, &mine_at, s.slot, s.generation, w->mine.slot, w->mine.generation);
	peers_set_state(shm, s.slot, s.generation, PEER_CLOSING);
	if (s.slot % 2)
		lease_release(shm, lease, s.slot, s.generation);
	links_remove(shm, &third_at, s.slot, s.generation);
	peers_release(shm, s.slot, s.generation);
}
static void lived_and_died(struct world *w, bool done)
{
	ck_assert_uint_le(peers_count(w->shm), done ? 2 : 3);
	ck_assert(mine_lives(w));
}

#define OP(function, ...) { .name = #function, .run = function, __VA_ARGS__ }
static const struct operation operations[] = {
	OP(take, .check = took, .spares_other = true),
	OP(release, .check = released, .spares_other = true),
	OP(write_identity, .check = wrote, .spares_other = true),
	OP(close_it, .spares_other = true),
	OP(move, .check = moved, .spares_other = true),
	OP(adopt, .prepare = tear, .check = adopted, .spares_other = true),
	OP(forgive, .prepare = blame, .spares_other = true),
	OP(count_traffic, .spares_other = true),
	OP(put_link, .check = took_link, .spares_other = true),
	OP(put_link_again, .spares_other = true),
	OP(replace_link, .check = replaced_link, .spares_other = true),
	OP(remove_link, .check = removed_link, .spares_other = true),
	OP(put_route, .check = took_route, .spares_other = true),
	OP(put_route_of_a_new_length, .spares_other = true),
	OP(replace_route, .check = replaced_route),
	OP(remove_route, .spares_other = true),
	OP(take_lease, .check = took_lease, .spares_other = true),
	OP(take_exact, .check = took_lease, .spares_other = true),
	OP(release_lease, .spares_other = true),
	OP(remember_lease, .check = remembered_lease, .spares_other = true),
	OP(take_limits, .check = took_limits, .spares_other = true),
	OP(produce, .prepare = fill_ring, .check = produced, .spares_other = true),
	OP(consume, .prepare = fill_ring_for_us, .check = consumed, .spares_other = true),
	OP(say, .check = said, .spares_other = true),
	OP(rotate, .check = rotated, .spares_other = true),
	OP(number, .check = numbered, .spares_other = true),
	OP(publish, .check = published, .spares_other = true),
	OP(unpublish, .prepare = publish, .check = published, .spares_other = true),
	OP(show_network, .check = showed_network, .spares_other = true),
	OP(hide_networks, .prepare = show_network, .check = showed_network, .spares_other = true),
	OP(note_event, .check = noted_event, .spares_other = true),
	OP(reserve, .prepare = own_ids, .check = reserved, .spares_other = true),
	OP(adopt_ids, .prepare = own_ids, .spares_other = true),
	OP(live_and_die, .check = lived_and_died, .spares_other = true),
};
enum { OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

/* True: it came to its end before the point. */
static bool die_at(const struct operation *op, unsigned point)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		deadly = point;
		op->run(&world);
		deadly = 0;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s died by itself: %d", op->name, status);
	return false;
}

START_TEST(a_death_between_any_two_changes_leaves_everything_usable)
{
	const struct operation *op = &operations[_i];
	bool done = false;
	unsigned point = 0;

	while (!done) {
		ck_assert_uint_lt(++point, POINTS_MAX);
		begin_anew();
		if (op->prepare)
			op->prepare(&world);
		done = die_at(op, point);
		if (op->check)
			op->check(&world, done);
		succeed(world.shm);
		check_tables(world.shm);
		if (op->spares_other)
			check_other(world.shm);
		check_rings(world.shm);
		end_all(world.shm);
		check_usable(world.shm);
	}
	printf("%s: killed at %u points\n", op->name, point - 1);
	ck_assert_uint_gt(point, 2); /* or it changes nothing, and the test is none */
}
END_TEST

/* The successor may die, too, and the next one: as often as there are points in adopting. */
START_TEST(successors_may_die_one_after_another)
{
	static const struct operation successor = { .name = "succeed", .run = adopt };
	unsigned deaths = 0;

	begin_anew();
	tear(&world);
	while (!die_at(&successor, 1 + deaths * 5))
		ck_assert_uint_lt(++deaths, 100);
	succeed(world.shm);
	check_tables(world.shm);
	end_all(world.shm);
	check_usable(world.shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("crash");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, a_death_between_any_two_changes_leaves_everything_usable, 0, OPERATIONS);
	tcase_add_test(t, successors_may_die_one_after_another);
	return run_suite(t, "shm crash");
}
