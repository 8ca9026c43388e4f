/* SPDX-License-Identifier: MIT
 * Many VPN clients in one process that answer ICMP echo requests from inside the tunnel and ask the gateway
 * themselves. Says on standard output what happened, as JSON. Works against our hub and against a stock
 * server.
 *
 *   clients FLEET-OPTIONS --seconds S [--ping-ms MS] [--start-per-s N] [--gateway IP] [--expect-all]
 * [--say-when-open] [--say-texts]
 *
 * SIGTERM: its time is over. */
#include "common/base/fate.h"
#include "common/inner/inner.h"
#include "tests/load/fleet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Beside each fleet_member. */
struct pinger {
	vpn_ms ping_at, last_answer;
	uint16_t sequence;
	uint64_t asked, answered, echoed, renegotiated;
};

static struct {
	struct fleet_options fleet;
	unsigned seconds, ping_ms, start_per_s;
	uint32_t gateway;
	bool expect_all, say_when_open, say_texts;
} want = { .seconds = 10, .ping_ms = 1000, .start_per_s = 500 };

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static struct fleet *fleet;
static struct pinger *pingers;

static void read_arguments(int argc, char **argv)
{
	const struct {
		const char *name;
		unsigned *number;
	} numbers[] = { { "--seconds", &want.seconds }, { "--ping-ms", &want.ping_ms },
		{ "--start-per-s", &want.start_per_s } };

	fleet_options_default(&want.fleet);
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i];
		bool known = fleet_option(&want.fleet, argc, argv, &i);
		for (size_t n = 0; !known && n < sizeof(numbers) / sizeof(numbers[0]); n++)
			if (strcmp(name, numbers[n].name) == 0) {
				*numbers[n].number = (unsigned)atoi(fleet_value(argc, argv, &i));
				known = true;
			}
		if (known)
			continue;
		if (strcmp(name, "--expect-all") == 0)
			want.expect_all = true;
		else if (strcmp(name, "--say-when-open") == 0)
			want.say_when_open = true;
		else if (strcmp(name, "--say-texts") == 0)
			want.say_texts = true;
		else if (strcmp(name, "--gateway") == 0)
			want.gateway = ntohl(inet_addr(fleet_value(argc, argv, &i)));
		else
			fleet_die(name, "not known");
	}
}

/* -- packets inside -- */

static void ask_gateway(struct fleet_member *m, struct pinger *c)
{
	uint8_t *p = fleet_place(fleet);
	uint32_t from = htonl(m->address);
	uint32_t to = htonl(want.gateway ? want.gateway : (m->address & 0xffffff00) | 1);

	memset(p, 0, 84);
	p[0] = 0x45;
	p[3] = 84;
	p[8] = 64;
	p[9] = IPPROTO_ICMP;
	memcpy(p + 12, &from, 4);
	memcpy(p + 16, &to, 4);
	p[20] = 8; /* echo request */
	p[26] = (uint8_t)(++c->sequence >> 8);
	p[27] = (uint8_t)c->sequence;
	inner_checksums_write(p, 84);
	c->asked++;
	fleet_put(fleet, m, 84);
}

static void packet_in(struct fleet_member *m, const uint8_t *packet, size_t len, vpn_ms now)
{
	struct pinger *c = &pingers[m->index];
	struct inner_view view;

	if (inner_look(packet, len, &view) != FATE_NONE || view.protocol != IPPROTO_ICMP ||
		view.source.family != INNER_IP4 || view.upper_offset + 8u > view.length || view.length > 2048)
		return;
	if (!inner_checksums_right(packet, view.length))
		return;
	if (packet[view.upper_offset] == 0) {
		c->answered++;
		c->last_answer = now;
	} else if (packet[view.upper_offset] == 8) {
		uint8_t *answer = fleet_place(fleet);
		memcpy(answer, packet, view.length);
		memcpy(answer + 12, packet + 16, 4);
		memcpy(answer + 16, packet + 12, 4);
		answer[view.upper_offset] = 0;
		inner_checksums_write(answer, view.length);
		c->echoed++;
		fleet_put(fleet, m, view.length);
	}
}

static void on_packets(
	void *context, struct fleet_member *const *members, const vpn_job *jobs, size_t n, uint64_t now_ns)
{
	(void)context;
	for (size_t i = 0; i < n; i++)
		if (jobs[i].fate == FATE_NONE && members[i]->session)
			packet_in(members[i], jobs[i].data, jobs[i].len, (vpn_ms)(now_ns / 1000000));
	fleet_flush(fleet);
}

static void on_event(void *context, struct fleet_member *m, int kind)
{
	(void)context;
	if (kind == VPN_EVENT_OPEN)
		pingers[m->index].ping_at = m->opened + (want.ping_ms ? rand() % (int)want.ping_ms : 0);
	else if (kind == VPN_EVENT_REKEYED)
		pingers[m->index].renegotiated++;
	else if (kind == VPN_EVENT_TEXT && want.say_texts) {
		printf("client %u is told: %s\n", m->index, m->text);
		fflush(stdout);
	}
}

/* -- the whole -- */

static int report(void)
{
	uint64_t asked = 0, answered = 0, echoed = 0, renegotiated = 0, open = 0, closed = 0;
	vpn_ms slowest = 0;
	const char *why = "";
	struct rusage used;

	for (unsigned i = 0; i < want.fleet.clients; i++) {
		const struct fleet_member *m = fleet_member(fleet, i);
		open += m->open;
		closed += m->closed;
		asked += pingers[i].asked;
		answered += pingers[i].answered;
		echoed += pingers[i].echoed;
		renegotiated += pingers[i].renegotiated;
		if (m->opened && m->opened - m->started > slowest)
			slowest = m->opened - m->started;
		if (m->closed)
			why = m->why;
	}
	getrusage(RUSAGE_SELF, &used);
	printf("{\"clients\": %u, \"open\": %llu, \"closed\": %llu, \"asked\": %llu, \"answered\": %llu, "
	       "\"echoed\": %llu, "
	       "\"renegotiated\": %llu, \"slowest_connect_ms\": %lld, \"rss_kib\": %ld, \"why\": \"%s\"}\n",
		want.fleet.clients, (unsigned long long)open, (unsigned long long)closed,
		(unsigned long long)asked, (unsigned long long)answered, (unsigned long long)echoed,
		(unsigned long long)renegotiated, (long long)slowest, used.ru_maxrss, why);
	return want.expect_all && open != want.fleet.clients ? 1 : 0;
}

/* Asks for those whose turn it is; how many are open. */
static unsigned ask_due(unsigned started, vpn_ms now)
{
	unsigned open = 0;
	for (unsigned i = 0; i < started; i++) {
		struct fleet_member *m = fleet_member(fleet, i);
		if (m->open && want.ping_ms && now >= pingers[i].ping_at) {
			ask_gateway(m, &pingers[i]);
			pingers[i].ping_at += want.ping_ms;
		}
		open += m->open;
	}
	fleet_flush(fleet);
	return open;
}

int main(int argc, char **argv)
{
	const struct fleet_ears ears = { on_event, on_packets };
	unsigned started = 0, said = 0;

	read_arguments(argc, argv);
	signal(SIGTERM, on_signal);
	fleet = fleet_new(&want.fleet, &ears, NULL);
	pingers = calloc(want.fleet.clients, sizeof(*pingers));
	if (!pingers)
		fleet_die("start", "out of memory");
	vpn_ms began = fleet_ms(), end = began + (vpn_ms)want.seconds * 1000, tended = 0;
	for (vpn_ms now; (now = fleet_ms()) < end && !stop;) {
		while (started < want.fleet.clients && (now - began) * want.start_per_s / 1000 >= started)
			fleet_start(fleet, fleet_member(fleet, started++));
		fleet_turn(fleet, 5000000);
		now = fleet_ms();
		if (now - tended < 5)
			continue;
		tended = now;
		if (ask_due(started, now) == want.fleet.clients && want.say_when_open && !said++) {
			printf("all open after %lld ms\n", (long long)(now - began));
			fflush(stdout);
		}
	}
	int status = report();
	for (unsigned i = 0; i < started; i++)
		fleet_leave(fleet, fleet_member(fleet, i));
	free(pingers);
	fleet_free(&fleet);
	return status;
}
