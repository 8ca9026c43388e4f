/* SPDX-License-Identifier: MIT
 * Status texts. Columns and words are those that existing exporters parse (OpenVPN's multi_print_status()).
 * Names come from clients: every one passes the escape, separators included, so that one row is one line. */
#include "master/status.h"

#include "common/base/text.h"
#include "master/clock.h"
#include "master/log.h"
#include "master/runtime.h"
#include "shm/peers.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIELD_MAX = 4 * PEER_NAME_ROOM + 1, TIME_MAX = 32, ADDRESS_MAX = 96 };

static const char *time_text(unix_s t, char out[TIME_MAX])
{
	struct tm local = { 0 }; /* stays where a worker gone mad wrote a time of no year */
	time_t seconds = (time_t)t;
	localtime_r(&seconds, &local);
	strftime(out, TIME_MAX, "%Y-%m-%d %H:%M:%S", &local);
	return out;
}

/* A name from the table: no more than what fits, separators and line ends escaped; nobody yet is UNDEF. */
static const char *name_text(const char name[PEER_NAME_ROOM], char out[FIELD_MAX])
{
	size_t len = strnlen(name, PEER_NAME_ROOM);
	return len ? text_escape(out, FIELD_MAX, name, len, ",") : "UNDEF";
}

static const char *real_address(
	const struct status_facts *facts, const struct peer_identity *id, char out[ADDRESS_MAX])
{
	char address[64];
	link_address_text(&id->peer_address, address, sizeof(address));
	const char *prefix = "";
	if (facts->name_protocol) {
		bool tcp = id->link < facts->listener_count && facts->listeners[id->link].proto == PROTO_TCP;
		bool v4 = id->peer_address.family == 4;
		prefix = tcp ? (v4 ? "tcp4-server:" : "tcp6-server:") : (v4 ? "udp4:" : "udp6:");
	}
	snprintf(out, ADDRESS_MAX, "%s%s", prefix, address);
	return out;
}

static const char *inner4_text(uint32_t address, char out[INET6_ADDRSTRLEN])
{
	struct in_addr in = { .s_addr = htonl(address) };
	out[0] = '\0';
	return address ? inet_ntop(AF_INET, &in, out, INET6_ADDRSTRLEN) : out;
}

static const char *inner6_text(const uint8_t address[16], char out[INET6_ADDRSTRLEN])
{
	static const uint8_t none[16];
	out[0] = '\0';
	return memcmp(address, none, 16) ? inet_ntop(AF_INET6, address, out, INET6_ADDRSTRLEN) : out;
}

/* When the peer was last heard of, as wall-clock time. */
static unix_s last_heard(const struct status_facts *facts, const struct peer_row *row)
{
	if (row->last_in_ms <= 0 || row->last_in_ms > facts->now_ms)
		return row->identity.connected_unix;
	return facts->now_unix - (facts->now_ms - row->last_in_ms) / 1000;
}

/* The next session worth a row; false: no more. */
static bool next_row(const struct shm *shm, uint32_t *at, struct peer_row *row)
{
	for (uint32_t slot; (slot = peers_next(shm, *at)) != PEER_NONE;) {
		*at = slot + 1;
		if (peers_read(shm, slot, row) && row->identity.peer_address.family)
			return true;
	}
	return false;
}

static void print_client(FILE *out, const struct status_facts *facts, const struct peer_row *row)
{
	const struct peer_identity *id = &row->identity;
	char name[FIELD_MAX], address[ADDRESS_MAX], since[TIME_MAX], four[INET6_ADDRSTRLEN],
		six[INET6_ADDRSTRLEN], cipher[4 * sizeof(id->cipher) + 1];
	const char *who = row->state == PEER_ACTIVE || row->state == PEER_CLOSING
				  ? name_text(id->common_name, name)
				  : "UNDEF";
	real_address(facts, id, address);
	time_text(id->connected_unix, since);
	unsigned long long in = row->bytes_in, sent = row->bytes_out;
	if (facts->version == 1) {
		fprintf(out, "%s,%s,%llu,%llu,%s\n", who, address, in, sent, since);
		return;
	}
	char s = facts->version == 3 ? '\t' : ',';
	text_escape(cipher, sizeof(cipher), id->cipher, strnlen(id->cipher, sizeof(id->cipher)), ",");
	fprintf(out, "CLIENT_LIST%c%s%c%s%c%s%c%s%c%llu%c%llu%c%s%c%lld%cUNDEF%c%llu%c%u%c%s\n", s, who, s,
		address, s, inner4_text(id->inner4, four), s, inner6_text(id->inner6, six), s, in, s, sent, s,
		since, s, (long long)id->connected_unix, s, s, (unsigned long long)id->client_id, s,
		row->slot, s, cipher);
}

static void print_route(
	FILE *out, const struct status_facts *facts, const struct peer_row *row, const char *inner)
{
	char name[FIELD_MAX], address[ADDRESS_MAX], last[TIME_MAX];
	unix_s heard = last_heard(facts, row);
	const char *who = name_text(row->identity.common_name, name);
	real_address(facts, &row->identity, address);
	time_text(heard, last);
	if (facts->version == 1) {
		fprintf(out, "%s,%s,%s,%s\n", inner, who, address, last);
		return;
	}
	char s = facts->version == 3 ? '\t' : ',';
	fprintf(out, "ROUTING_TABLE%c%s%c%s%c%s%c%s%c%lld\n", s, inner, s, who, s, address, s, last, s,
		(long long)heard);
}

static void print_routes(FILE *out, const struct status_facts *facts, const struct peer_row *row)
{
	char inner[INET6_ADDRSTRLEN];
	if (row->state != PEER_ACTIVE)
		return;
	if (inner6_text(row->identity.inner6, inner)[0])
		print_route(out, facts, row, inner);
	if (inner4_text(row->identity.inner4, inner)[0])
		print_route(out, facts, row, inner);
}

/* A heading of versions 2 and 3, written with commas here. */
static void print_heading(FILE *out, char separator, const char *heading)
{
	for (; *heading; heading++)
		fputc(*heading == ',' ? separator : *heading, out);
}

static void print_head(FILE *out, const struct status_facts *facts)
{
	char now[TIME_MAX];
	time_text(facts->now_unix, now);
	if (facts->version == 1) {
		fprintf(out, "OpenVPN CLIENT LIST\nUpdated,%s\n", now);
		fputs("Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since\n", out);
		return;
	}
	char s = facts->version == 3 ? '\t' : ',';
	/* exporters look for the product's name in the title */
	fprintf(out, "TITLE%cOpenVPN compatible vpnserverd %s\nTIME%c%s%c%lld\n", s, VPNSERVERD_VERSION, s,
		now, s, (long long)facts->now_unix);
	print_heading(out, s,
		"HEADER,CLIENT_LIST,Common Name,Real Address,Virtual Address,Virtual IPv6 Address,Bytes "
		"Received,"
		"Bytes Sent,Connected Since,Connected Since (time_t),Username,Client ID,Peer ID,Data Channel "
		"Cipher\n");
}

static void print_routes_head(FILE *out, const struct status_facts *facts)
{
	if (facts->version == 1)
		fputs("ROUTING TABLE\nVirtual Address,Common Name,Real Address,Last Ref\n", out);
	else
		print_heading(out, facts->version == 3 ? '\t' : ',',
			"HEADER,ROUTING_TABLE,Virtual Address,Common Name,Real Address,Last Ref,Last Ref "
			"(time_t)\n");
}

static void print_tail(FILE *out, const struct status_facts *facts)
{
	if (facts->version == 1)
		fputs("GLOBAL STATS\nMax bcast/mcast queue length,0\nEND\n", out);
	else
		print_heading(out, facts->version == 3 ? '\t' : ',',
			"GLOBAL_STATS,Max bcast/mcast queue length,0\nGLOBAL_STATS,dco_enabled,0\nEND\n");
}

bool status_print_some(FILE *out, struct status_place *at, const struct status_facts *facts,
	const struct shm *shm, unsigned rows)
{
	struct peer_row row;
	for (; rows; rows--) {
		switch (at->part) {
		case STATUS_HEAD:
			print_head(out, facts);
			at->part = STATUS_CLIENTS;
			break;
		case STATUS_CLIENTS:
			if (next_row(shm, &at->slot, &row)) {
				print_client(out, facts, &row);
				break;
			}
			print_routes_head(out, facts);
			*at = (struct status_place){ .part = STATUS_ROUTES };
			break;
		case STATUS_ROUTES:
			if (next_row(shm, &at->slot, &row)) {
				print_routes(out, facts, &row);
				break;
			}
			print_tail(out, facts);
			at->part = STATUS_END;
			return false;
		case STATUS_END:
			return false;
		}
	}
	return true;
}

void status_print(FILE *out, const struct status_facts *facts, const struct shm *shm)
{
	struct status_place at = { 0 };
	while (status_print_some(out, &at, facts, shm, UINT_MAX))
		;
}

struct status_facts status_facts_now(const struct config *config)
{
	struct timespec wall;
	clock_gettime(CLOCK_REALTIME, &wall);
	struct status_facts facts = { .version = config->status_version,
		.listeners = config->listeners,
		.listener_count = config->listener_count,
		.now_unix = wall.tv_sec,
		.now_ms = master_now() };
	for (unsigned l = 1; l < config->listener_count; l++)
		facts.name_protocol |= config->listeners[l].proto != config->listeners[0].proto;
	return facts;
}

int status_write(const struct config *config, const struct shm *shm)
{
	struct replacement r;
	int error = replacement_open(&r, config->status_file, 0640);
	if (error)
		return error;
	struct status_facts facts = status_facts_now(config);
	status_print(r.out, &facts, shm);
	return replacement_close(&r);
}

void status_log(const struct config *config, const struct shm *shm)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	if (!out)
		return;
	struct status_facts facts = status_facts_now(config);
	status_print(out, &facts, shm);
	if (fclose(out) == 0)
		for (char *rest = text, *line; (line = strsep(&rest, "\n")) && rest;)
			log_line(LOG_LEVEL_NOTICE, "%s", line);
	free(text);
}
