/* SPDX-License-Identifier: MIT
 * The load generator: thousands of VPN clients in one process, their handshakes at a given rate, and data
 * through the tunnel with loss, order, latency and throughput measured. Works against our hub and against a
 * stock server. The far end of the tunnel is farend.c, in the server's namespace; without it: --mode hold,
 * storm, pairs. */
#include "tests/load/traffic.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum mode { MODE_HOLD = TRAFFIC_PAIRS + 1, MODE_STORM };
enum { WATCHED = 64, DEFAULT_SIZE = 1400 };

static const struct {
	const char *name;
	int mode;
} modes[] = { { "up", TRAFFIC_UP }, { "down", TRAFFIC_DOWN }, { "both", TRAFFIC_BOTH },
	{ "echo", TRAFFIC_ECHO }, { "pairs", TRAFFIC_PAIRS }, { "hold", MODE_HOLD },
	{ "storm", MODE_STORM } };

static struct {
	struct fleet_options fleet;
	struct traffic_options traffic;
	unsigned start_per_s, at_once, seconds_ms, connect_s;
	pid_t watched[WATCHED];
	unsigned watched_count;
	bool json;
} want;

/* What happened to handshakes. */
static struct {
	struct fleet *fleet;
	struct traffic *traffic;
	struct spread handshakes;
	unsigned started, open, failed, under_way;
	uint64_t done;
	char why[96];
	bool storm;
} run;

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void usage(void)
{
	printf("vpnload %s\n"
	       "  [--mode hold|storm|up|down|both|echo|pairs] [--seconds S] [--start-per-s N] [--connect-s "
	       "S] [--json]\n"
	       "  [--size BYTES] [--rate PER_S] [--window PACKETS] [--burst N] [--trains] [--far IP[:PORT]]\n"
	       "  [--at-once N] [--socket-buffer BYTES] [--watch PID[,PID]...]\n"
	       "hold: all connect and stay. storm: they connect, leave and come again, --at-once at a time, "
	       "until the time\n"
	       "is over. up, down, both, echo: to and from farend at --far. pairs: client to client. --rate "
	       "0: as fast as\n"
	       "--window (0: no limit) lets. --trains: bursts go in one UDP_SEGMENT send. --watch: CPU time "
	       "of these\n"
	       "processes is told too.\n",
		fleet_usage);
	exit(0);
}

/* -- settings -- */

static void read_watched(const char *list)
{
	char *end;
	for (const char *at = list; *at && want.watched_count < WATCHED; at = *end ? end + 1 : end) {
		want.watched[want.watched_count++] = (pid_t)strtol(at, &end, 10);
		if (end == at)
			fleet_die("--watch", list);
	}
}

static void read_far(const char *text)
{
	char host[64];
	const char *colon = strchr(text, ':');
	snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - text) : 63, text);
	want.traffic.far_address = ntohl(inet_addr(host));
	want.traffic.far_port = colon ? (uint16_t)atoi(colon + 1) : PROBE_PORT;
}

static int read_mode(const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(name, modes[i].name) == 0)
			return modes[i].mode;
	fleet_die("--mode", name);
}

static void read_option(int argc, char **argv, int *i)
{
	const struct {
		const char *name;
		unsigned *number;
	} numbers[] = { { "--start-per-s", &want.start_per_s }, { "--at-once", &want.at_once },
		{ "--connect-s", &want.connect_s }, { "--size", &want.traffic.size },
		{ "--rate", &want.traffic.rate }, { "--window", &want.traffic.window },
		{ "--burst", &want.traffic.burst }, { "--socket-buffer", &want.fleet.socket_buffer } };
	const char *name = argv[*i];

	if (fleet_option(&want.fleet, argc, argv, i))
		return;
	for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
		if (strcmp(name, numbers[n].name) == 0) {
			*numbers[n].number = (unsigned)strtoul(fleet_value(argc, argv, i), NULL, 0);
			return;
		}
	if (strcmp(name, "--help") == 0)
		usage();
	else if (strcmp(name, "--json") == 0)
		want.json = true;
	else if (strcmp(name, "--trains") == 0)
		want.traffic.trains = want.fleet.trains = true;
	else if (strcmp(name, "--mode") == 0)
		want.traffic.mode = read_mode(fleet_value(argc, argv, i));
	else if (strcmp(name, "--seconds") == 0)
		want.seconds_ms = (unsigned)(atof(fleet_value(argc, argv, i)) * 1000);
	else if (strcmp(name, "--far") == 0)
		read_far(fleet_value(argc, argv, i));
	else if (strcmp(name, "--watch") == 0)
		read_watched(fleet_value(argc, argv, i));
	else
		fleet_die(name, "not known; see --help");
}

static void read_arguments(int argc, char **argv)
{
	fleet_options_default(&want.fleet);
	want.fleet.socket_buffer = 2 << 20;
	want.start_per_s = 500;
	want.at_once = 16;
	want.seconds_ms = 5000;
	want.connect_s = 30;
	want.traffic = (struct traffic_options){ .mode = MODE_HOLD, .size = DEFAULT_SIZE, .burst = 1 };
	for (int i = 1; i < argc; i++)
		read_option(argc, argv, &i);
	if (!want.traffic.burst || want.traffic.burst > 64)
		fleet_die("--burst", "1 to 64");
	if (want.traffic.size < 60 || want.traffic.size > 1500)
		fleet_die("--size", "60 to 1500");
	if (want.traffic.mode < TRAFFIC_PAIRS && !want.traffic.far_address)
		fleet_die("--far", "is needed");
	if (!want.start_per_s || !want.at_once)
		fleet_die("--start-per-s and --at-once", "at least 1");
	want.traffic.duration_ns = want.seconds_ms * 1000000ull;
}

/* -- what is watched -- */

static uint64_t process_ns(pid_t pid)
{
	clockid_t clock;
	struct timespec t = { 0, 0 };
	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t watched_ns(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < want.watched_count; i++)
		sum += process_ns(want.watched[i]);
	return sum;
}

static uint64_t own_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* -- handshakes -- */

static void on_event(void *context, struct fleet_member *m, int kind)
{
	(void)context;
	if (kind == VPN_EVENT_OPEN) {
		spread_note(&run.handshakes, fleet_ns() - m->started_ns);
		run.done++;
		run.open++;
		run.under_way--;
		if (run.storm) {
			run.open--;
			fleet_leave(run.fleet, m);
		}
	} else if (kind == VPN_EVENT_CLOSED) {
		if (m->opened >= m->started && m->opened)
			run.open--;
		else
			run.under_way--;
		run.failed++;
		snprintf(run.why, sizeof(run.why), "%s", m->why);
	}
}

static void on_packets(
	void *context, struct fleet_member *const *members, const vpn_job *jobs, size_t n, uint64_t now_ns)
{
	(void)context;
	(void)members;
	if (run.traffic)
		traffic_packets(run.traffic, run.fleet, jobs, n, now_ns);
}

/* All come, at the wanted rate; those that fail are not tried again. */
static void connect_all(uint64_t began)
{
	uint64_t end = began + want.connect_s * 1000000000ull +
		       want.fleet.clients * 1000000000ull / want.start_per_s;
	for (uint64_t now; !stop && (now = fleet_ns()) < end;) {
		uint64_t due = (now - began) * want.start_per_s / 1000000000u + 1;
		for (; run.started < want.fleet.clients && run.started < due; run.started++, run.under_way++)
			fleet_start(run.fleet, fleet_member(run.fleet, run.started));
		if (run.started == want.fleet.clients && !run.under_way)
			return;
		fleet_turn(run.fleet, run.started < want.fleet.clients ? 500000 : 5000000);
	}
}

static void hold(void)
{
	uint64_t end = fleet_ns() + want.seconds_ms * 1000000ull;
	while (!stop && fleet_ns() < end)
		fleet_turn(run.fleet, 20000000);
}

/* Members take turns, so that one that left has a while until its socket closes. */
static void storm(void)
{
	uint64_t end = fleet_ns() + want.seconds_ms * 1000000ull;
	unsigned next = 0;
	run.storm = true;
	while (!stop && fleet_ns() < end) {
		for (unsigned tried = 0; run.under_way < want.at_once && tried < want.fleet.clients;
			tried++) {
			struct fleet_member *m = fleet_member(run.fleet, next);
			next = (next + 1) % want.fleet.clients;
			if (m->session)
				continue;
			run.under_way++;
			run.started++;
			fleet_start(run.fleet, m);
		}
		fleet_turn(run.fleet, 5000000);
	}
}

/* -- telling -- */

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void tell_way(const char *name, uint64_t sent, const struct probe_report *r)
{
	double seconds = (double)(r->last_ns - r->first_ns) / 1e9;
	double per_s = seconds > 0 ? (double)r->received / seconds : 0;
	double mbit = seconds > 0 ? (double)r->bytes * 8 / seconds / 1e6 : 0;
	int64_t lost = (int64_t)sent - (int64_t)r->received;
	double percent = sent ? 100.0 * (double)lost / (double)sent : 0;
	if (want.json)
		printf(", \"%s\": {\"sent\": %llu, \"received\": %llu, \"bytes\": %llu, \"lost\": %lld, "
		       "\"lost_percent\": %.3f, \"reordered\": %llu, \"packets_per_s\": %.0f, "
		       "\"mbit_per_s\": %.1f, "
		       "\"latency_ms\": {\"p50\": %.4f, \"p99\": %.4f, \"p999\": %.4f, \"max\": %.4f}}",
			name, (unsigned long long)sent, (unsigned long long)r->received,
			(unsigned long long)r->bytes, (long long)lost, percent,
			(unsigned long long)r->reordered, per_s, mbit, ms(r->p50_ns), ms(r->p99_ns),
			ms(r->p999_ns), ms(r->max_ns));
	else
		printf("%-5s %11llu %11llu %8.3f %9llu %11.0f %9.1f %9.3f %9.3f %9.3f %9.3f\n", name,
			(unsigned long long)sent, (unsigned long long)r->received, percent,
			(unsigned long long)r->reordered, per_s, mbit, ms(r->p50_ns), ms(r->p99_ns),
			ms(r->p999_ns), ms(r->max_ns));
}

static void tell_handshakes(uint64_t span_ns, uint64_t spent_ns)
{
	struct rusage used;
	double per_s = span_ns ? (double)run.done * 1e9 / (double)span_ns : 0;
	const struct spread *s = &run.handshakes;

	getrusage(RUSAGE_SELF, &used);
	if (want.json)
		printf("{\"clients\": %u, \"started\": %u, \"open\": %u, \"failed\": %u, \"handshakes\": "
		       "%llu, "
		       "\"handshakes_per_s\": %.1f, \"handshake_s\": %.3f, \"handshake_ms\": {\"p50\": %.2f, "
		       "\"p99\": %.2f, "
		       "\"max\": %.2f}, \"handshake_watched_cpu_s\": %.4f, \"own_rss_kib\": %ld, \"why\": "
		       "\"%s\"",
			want.fleet.clients, run.started, run.open, run.failed, (unsigned long long)run.done,
			per_s, (double)span_ns / 1e9, ms(spread_at(s, 0.5)), ms(spread_at(s, 0.99)),
			ms(s->max), (double)spent_ns / 1e9, used.ru_maxrss, run.why);
	else
		printf("handshakes: %llu done, %u failed%s%s, %.1f/s; p50 %.2f ms, p99 %.2f, max %.2f; "
		       "watched CPU %.3f s\n",
			(unsigned long long)run.done, run.failed, run.why[0] ? ": " : "", run.why, per_s,
			ms(spread_at(s, 0.5)), ms(spread_at(s, 0.99)), ms(s->max), (double)spent_ns / 1e9);
}

static void tell_traffic(const struct traffic_result *r, uint64_t own)
{
	const struct fleet_counts *c = fleet_counts(run.fleet);
	double seconds = (double)(r->ended_ns - r->began_ns) / 1e9;

	if (want.json)
		printf(", \"data_s\": %.3f, \"watched_cpu_s\": %.4f, \"own_cpu_s\": %.4f, \"datagrams_out\": "
		       "%llu, "
		       "\"calls_out\": %llu, \"refused_out\": %llu, \"datagrams_in\": %llu, \"calls_in\": "
		       "%llu, "
		       "\"unopened\": %llu",
			seconds, (double)r->spent_ns / 1e9, (double)own / 1e9,
			(unsigned long long)c->datagrams_out, (unsigned long long)c->calls_out,
			(unsigned long long)c->refused_out, (unsigned long long)c->datagrams_in,
			(unsigned long long)c->calls_in, (unsigned long long)c->unopened);
	else
		printf("data: %.2f s, CPU watched %.3f s, own %.3f s; sends refused %llu\n"
		       "way          sent    received  lost %% reordered   packets/s    Mbit/s    p50 ms    "
		       "p99 ms  "
		       "p99.9 ms    max ms\n",
			seconds, (double)r->spent_ns / 1e9, (double)own / 1e9,
			(unsigned long long)c->refused_out);
	if (r->up)
		tell_way("up", r->up_sent, &r->up_report);
	if (r->down)
		tell_way("down", r->down_report.sent, &r->down_report);
}

/* -- the whole -- */

static bool load(void)
{
	struct traffic_result result;
	uint64_t began = fleet_ns(), spent = watched_ns(), own;
	bool data = want.traffic.mode <= TRAFFIC_PAIRS, good = true;

	if (want.traffic.mode == MODE_STORM)
		storm();
	else
		connect_all(began);
	tell_handshakes(fleet_ns() - began, watched_ns() - spent);
	if (want.traffic.mode == MODE_HOLD) {
		if (want.json)
			printf("}\n"); /* now, so that who started us can look at the server meanwhile */
		fflush(stdout);
		hold();
	} else if (data) {
		want.traffic.spent = watched_ns;
		run.traffic = traffic_new(&want.traffic);
		own = own_ns();
		good = run.open && traffic_run(run.traffic, run.fleet, want.fleet.clients, &result);
		if (good)
			tell_traffic(&result, own_ns() - own);
		else
			fprintf(stderr, "vpnload: %u clients open; the far end did not answer\n", run.open);
	}
	if (want.json && want.traffic.mode != MODE_HOLD)
		printf("}\n");
	fflush(stdout);
	return good && (want.traffic.mode == MODE_STORM || run.open == want.fleet.clients);
}

int main(int argc, char **argv)
{
	const struct fleet_ears ears = { on_event, on_packets };

	read_arguments(argc, argv);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	run.fleet = fleet_new(&want.fleet, &ears, NULL);
	bool good = load();
	for (unsigned i = 0; i < want.fleet.clients; i++)
		fleet_leave(run.fleet, fleet_member(run.fleet, i));
	traffic_free(&run.traffic);
	fleet_free(&run.fleet);
	return good ? 0 : 1;
}
