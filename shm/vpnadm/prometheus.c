/* SPDX-License-Identifier: MIT
 * Statistics as Prometheus reads them: one family after the other, each with HELP and TYPE. Counters and
 * fates come from their own lists, so a new row there is a new family or label here. */
#include "shm/vpnadm/prometheus.h"
#include "shm/vpnadm/view.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: UTF-8 without control characters, which a terminal would obey, and escaped as the format
 * asks. */
static void put_label(FILE *out, const char *text)
{
	json_t *json = json_text(text); /* for its check: what is no UTF-8 comes back escaped */
	const char *at = json ? json_string_value(json) : "";

	for (; *at; at++) {
		unsigned char c = (unsigned char)*at;
		if (c == '\\' || c == '"')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\\\x%02x", c);
		else if (c == 0xc2 && (unsigned char)at[1] < 0xa0)
			fprintf(out, "\\\\xc2\\\\x%02x", (unsigned char)*++at);
		else
			putc(c, out);
	}
	json_decref(json);
}

static void put_seconds(FILE *out, uint64_t micros)
{
	fprintf(out, "%" PRIu64 ".%06" PRIu64 "\n", micros / 1000000, micros % 1000000);
}

char *prometheus_counter(char *out, size_t room, enum counter which)
{
	char name[64], *at = name;
	const char *unit = "";

	snprintf(name, sizeof(name), "%s", counter_name(which));
	/* The unit comes last: LINK_BYTES_IN is link_in_bytes_total. */
	char *bytes = strstr(name, "_BYTES");
	if (bytes) {
		memmove(bytes, bytes + 6, strlen(bytes + 6) + 1);
		unit = "_bytes";
	}
	for (; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	/* The only one that goes down again is no total. */
	if (which == COUNTER_SESSIONS)
		snprintf(out, room, "vpnserverd_worker_sessions");
	else
		snprintf(out, room, "vpnserverd_%s%s_total", name, unit);
	return out;
}

/* -- the hub -- */

/* Nothing at all where there is nothing that ends: 0 would be long ago. */
static void expiry(FILE *out, const char *name, const char *help, unix_s ends)
{
	if (!ends)
		return;
	family(out, name, "gauge", help);
	fprintf(out, "%s %" PRId64 "\n", name, ends);
}

static void write_hub(FILE *out, const struct reader *reader)
{
	struct reader_hub hub;

	reader_hub(reader, &hub);
	family(out, "vpnserverd_info", "gauge", "The hub that runs: its name and version.");
	fprintf(out, "vpnserverd_info{name=\"");
	put_label(out, hub.name);
	fprintf(out, "\",version=\"");
	put_label(out, hub.program_version);
	fprintf(out, "\"} 1\n");
	family(out, "vpnserverd_start_time_seconds", "gauge",
		"When the hub was started, seconds since 1970.");
	fprintf(out, "vpnserverd_start_time_seconds %" PRId64 "\n", hub.started_unix);
	family(out, "vpnserverd_reloads_total", "counter", "Reloads since the start.");
	fprintf(out, "vpnserverd_reloads_total %u\n", hub.reloads);
	family(out, "vpnserverd_rebalanced_sessions_total", "counter",
		"Sessions that moved because their worker was busy.");
	fprintf(out, "vpnserverd_rebalanced_sessions_total %" PRIu64 "\n", hub.rebalanced);
	family(out, "vpnserverd_last_reload_timestamp_seconds", "gauge",
		"When it was reloaded last, seconds since 1970; 0: never.");
	fprintf(out, "vpnserverd_last_reload_timestamp_seconds %" PRId64 "\n", hub.reloaded_unix);
	family(out, "vpnserverd_max_clients", "gauge", "How many sessions there is room for.");
	fprintf(out, "vpnserverd_max_clients %u\n", hub.sizes.slots);
	expiry(out, "vpnserverd_certificate_expiry_timestamp_seconds",
		"When the hub's certificate ends, seconds since 1970.", hub.certificate_ends_unix);
	expiry(out, "vpnserverd_crl_expiry_timestamp_seconds",
		"When the revocation list wants to be renewed, seconds since 1970.", hub.crl_ends_unix);
	family(out, "vpnserverd_crl_lost", "gauge", "1 while the revocation list cannot be used and nobody new is let in.");
	fprintf(out, "vpnserverd_crl_lost %d\n", hub.crl_lost_unix != 0);
}

/* -- sessions -- */

/* All sessions of one client name. */
struct client {
	char name[PEER_NAME_ROOM];
	uint64_t sessions, bytes_in, bytes_out, packets_in, packets_out;
	uint64_t renegotiations;
	unix_s last_in_unix;
	int32_t round_trip_ms; /* the longest; -1: not known */
};

struct sessions {
	uint64_t of_state[PEER_CLOSING + 1];
	uint64_t of_listener[STATS_MAX_LISTENERS];
	uint64_t leases;
	struct client *clients; /* one per session at first */
	size_t count, left_out;
};

static void note_client(struct sessions *sessions, const struct stats_row *row)
{
	if (!row->common_name[0])
		return; /* still in its handshake */
	if (sessions->count == PROMETHEUS_MOST_CLIENTS) {
		sessions->left_out++;
		return;
	}
	struct client *client = &sessions->clients[sessions->count++];
	memcpy(client->name, row->common_name, sizeof(client->name));
	client->sessions = 1;
	client->bytes_in = row->bytes_in;
	client->bytes_out = row->bytes_out;
	client->packets_in = row->packets_in;
	client->packets_out = row->packets_out;
	client->renegotiations = row->renegotiations;
	client->last_in_unix = row->last_in_unix;
	client->round_trip_ms = row->round_trip_ms;
}

static void collect(struct sessions *sessions, const struct reader *reader)
{
	struct stats_row row;
	uint32_t slot;

	for (uint32_t from = 0; reader_next_row(reader, from, &slot, &row); from = slot + 1) {
		sessions->of_state[row.state]++;
		if (row.link < STATS_MAX_LISTENERS)
			sessions->of_listener[row.link]++;
		sessions->leases += row.lease != LEASE_NONE;
		if (sessions->clients)
			note_client(sessions, &row);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct client *)a)->name, ((const struct client *)b)->name);
}

/* One entry a name, or Prometheus would refuse all of it. */
static void merge_clients(struct sessions *sessions)
{
	size_t kept = 0;

	if (!sessions->count)
		return;
	qsort(sessions->clients, sessions->count, sizeof(*sessions->clients), by_name);
	for (size_t i = 1; i < sessions->count; i++) {
		struct client *to = &sessions->clients[kept], *from = &sessions->clients[i];
		if (strcmp(to->name, from->name) != 0) {
			sessions->clients[++kept] = *from;
			continue;
		}
		to->sessions++;
		to->bytes_in += from->bytes_in;
		to->bytes_out += from->bytes_out;
		to->packets_in += from->packets_in;
		to->packets_out += from->packets_out;
		to->renegotiations += from->renegotiations;
		if (from->last_in_unix > to->last_in_unix)
			to->last_in_unix = from->last_in_unix;
		if (from->round_trip_ms > to->round_trip_ms)
			to->round_trip_ms = from->round_trip_ms;
	}
	sessions->count = kept + 1;
}

static void client_line(FILE *out, const char *name, const char *client, uint64_t value)
{
	fprintf(out, "%s{client=\"", name);
	put_label(out, client);
	fprintf(out, "\"} %" PRIu64 "\n", value);
}

static void write_clients(FILE *out, const struct sessions *sessions)
{
	static const struct {
		const char *name, *type, *help;
		size_t at;
	} families[] = {
		{ "vpnserverd_client_sessions", "gauge", "Sessions of this client.",
			offsetof(struct client, sessions) },
		{ "vpnserverd_client_in_bytes_total", "counter",
			"Bytes from this client, of the sessions it has now.",
			offsetof(struct client, bytes_in) },
		{ "vpnserverd_client_out_bytes_total", "counter",
			"Bytes to this client, of the sessions it has now.",
			offsetof(struct client, bytes_out) },
		{ "vpnserverd_client_in_packets_total", "counter",
			"Packets from this client, of the sessions it has now.",
			offsetof(struct client, packets_in) },
		{ "vpnserverd_client_out_packets_total", "counter",
			"Packets to this client, of the sessions it has now.",
			offsetof(struct client, packets_out) },
		{ "vpnserverd_client_renegotiations_total", "counter",
			"Key renegotiations of this client's sessions of now.",
			offsetof(struct client, renegotiations) },
		{ "vpnserverd_client_last_seen_timestamp_seconds", "gauge",
			"When something came from this client last, seconds since 1970.",
			offsetof(struct client, last_in_unix) },
	};

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		family(out, families[f].name, families[f].type, families[f].help);
		for (size_t i = 0; i < sessions->count; i++) {
			uint64_t value;
			memcpy(&value, (const char *)&sessions->clients[i] + families[f].at, sizeof(value));
			client_line(out, families[f].name, sessions->clients[i].name, value);
		}
	}
	family(out, "vpnserverd_client_round_trip_seconds", "gauge",
		"Round trip of the control channel, where it is known; of several sessions the longest.");
	for (size_t i = 0; i < sessions->count; i++) {
		if (sessions->clients[i].round_trip_ms < 0)
			continue;
		fprintf(out, "vpnserverd_client_round_trip_seconds{client=\"");
		put_label(out, sessions->clients[i].name);
		fprintf(out, "\"} %d.%03d\n", sessions->clients[i].round_trip_ms / 1000,
			sessions->clients[i].round_trip_ms % 1000);
	}
	family(out, "vpnserverd_client_sessions_left_out", "gauge",
		"Sessions that are not among the lines for each client, because there are too many.");
	fprintf(out, "vpnserverd_client_sessions_left_out %zu\n", sessions->left_out);
}

static void write_sessions(FILE *out, const struct reader *reader, bool clients)
{
	struct sessions sessions = { 0 };
	struct reader_hub hub;

	reader_hub(reader, &hub);
	if (clients)
		sessions.clients = calloc(PROMETHEUS_MOST_CLIENTS, sizeof(*sessions.clients));
	collect(&sessions, reader);
	family(out, "vpnserverd_sessions", "gauge", "Sessions now, by state.");
	for (unsigned i = PEER_FREE + 1; i <= PEER_CLOSING; i++)
		fprintf(out, "vpnserverd_sessions{state=\"%s\"} %" PRIu64 "\n", show_peer_state(i),
			sessions.of_state[i]);
	family(out, "vpnserverd_listener_sessions", "gauge",
		"Sessions now, by the listener they came in at.");
	for (unsigned i = 0; i < hub.listener_count; i++) {
		fprintf(out, "vpnserverd_listener_sessions{listener=\"");
		put_label(out, hub.listeners[i]);
		fprintf(out, "\"} %" PRIu64 "\n", sessions.of_listener[i]);
	}
	family(out, "vpnserverd_pool_addresses", "gauge",
		"Size of the pool that clients' addresses are from.");
	fprintf(out, "vpnserverd_pool_addresses %u\n", hub.pool.size);
	family(out, "vpnserverd_pool_leased", "gauge", "How many of them clients have now.");
	fprintf(out, "vpnserverd_pool_leased %" PRIu64 "\n", sessions.leases);
	if (sessions.clients) {
		merge_clients(&sessions);
		write_clients(out, &sessions);
		free(sessions.clients);
	}
}

/* -- workers -- */

static void worker_line(FILE *out, const char *name, unsigned worker)
{
	fprintf(out, "%s{worker=\"%u\"} ", name, worker);
}

static void write_processes(FILE *out, const struct reader_worker *workers, unsigned count)
{
	family(out, "vpnserverd_worker_up", "gauge", "1: this worker is at work.");
	for (unsigned i = 0; i < count; i++) {
		worker_line(out, "vpnserverd_worker_up", i);
		fprintf(out, "%d\n", workers[i].state == STATS_WORKER_READY);
	}
	family(out, "vpnserverd_worker_starts_total", "counter", "How often this worker was started.");
	for (unsigned i = 0; i < count; i++) {
		worker_line(out, "vpnserverd_worker_starts_total", i);
		fprintf(out, "%u\n", workers[i].births);
	}
	family(out, "vpnserverd_worker_start_time_seconds", "gauge",
		"When this worker was started last, seconds since 1970.");
	for (unsigned i = 0; i < count; i++) {
		worker_line(out, "vpnserverd_worker_start_time_seconds", i);
		fprintf(out, "%" PRId64 "\n", workers[i].born_unix);
	}
	family(out, "vpnserverd_worker_heartbeat_timestamp_seconds", "gauge",
		"When this worker showed last that it lives, seconds since 1970.");
	for (unsigned i = 0; i < count; i++) {
		worker_line(out, "vpnserverd_worker_heartbeat_timestamp_seconds", i);
		fprintf(out, "%" PRId64 "\n", workers[i].heartbeat_unix);
	}
	family(out, "vpnserverd_worker_cpu_seconds_total", "counter", "CPU time of this worker, by mode.");
	for (unsigned i = 0; i < count; i++) {
		fprintf(out, "vpnserverd_worker_cpu_seconds_total{worker=\"%u\",mode=\"user\"} ", i);
		put_seconds(out, workers[i].cpu_user_us);
		fprintf(out, "vpnserverd_worker_cpu_seconds_total{worker=\"%u\",mode=\"system\"} ", i);
		put_seconds(out, workers[i].cpu_system_us);
	}
}

static void write_counters(FILE *out, const struct reader_worker *workers, unsigned count)
{
	char name[96];

	for (int c = 0; c < COUNTER_COUNT; c++) {
		prometheus_counter(name, sizeof(name), (enum counter)c);
		fprintf(out, "# HELP %s Counted by each worker: %s.\n# TYPE %s %s\n", name,
			counter_text((enum counter)c), name, c == COUNTER_SESSIONS ? "gauge" : "counter");
		for (unsigned i = 0; i < count; i++) {
			worker_line(out, name, i);
			fprintf(out, "%" PRIu64 "\n", workers[i].values.named[c]);
		}
	}
	family(out, "vpnserverd_fates_total", "counter",
		"How datagrams and packets ended; `vpnadm fates` has a sentence for each.");
	for (int f = FATE_NONE + 1; f < FATE_COUNT; f++)
		for (unsigned i = 0; i < count; i++) {
			fprintf(out, "vpnserverd_fates_total{worker=\"%u\",fate=\"%s\"} %" PRIu64 "\n", i,
				fate_name((enum fate)f), workers[i].values.fates[f]);
		}
}

static void write_workers(FILE *out, const struct reader *reader)
{
	static struct reader_worker workers[SHM_MAX_WORKERS]; /* all of one moment */
	unsigned count = 0;

	while (count < SHM_MAX_WORKERS && reader_worker(reader, count, &workers[count]))
		count++;
	write_processes(out, workers, count);
	write_counters(out, workers, count);
}

void prometheus_write(FILE *out, const struct reader *reader, bool clients)
{
	enum reader_life life = reader ? reader_life(reader) : HUB_DEAD;

	family(out, "vpnserverd_up", "gauge", "1: the hub runs. 0 and other values there: workers go on without a master.");
	fprintf(out, "vpnserverd_up %d\n", life == HUB_ALIVE);
	/* What a hub left behind would look like one that goes on. */
	if (life != HUB_ALIVE && life != HUB_ORPHANED)
		return;
	write_hub(out, reader);
	write_sessions(out, reader, clients);
	write_workers(out, reader);
}
