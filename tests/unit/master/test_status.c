/* SPDX-License-Identifier: MIT
 * Status texts, byte by byte as OpenVPN writes them, from a session table made up here. */
#include "master/status.h"

#include "shm/peers.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOW_UNIX = 1795362472, NOW_MS = 100000, CONNECTED = 1795362459 };

static struct shm *shm;
static struct status_facts facts;
static struct listener two[2] = { { .proto = PROTO_UDP }, { .proto = PROTO_TCP } };

static void set_up(void)
{
	char error[256];
	setenv("TZ", "UTC", 1);
	struct shm_sizes sizes = { .workers = 1,
		.max_clients = 8,
		.max_routes = 8,
		.pool4_count = 8,
		.pool6_count = 8,
		.ring_bytes = 4096 };
	shm = shm_create(&sizes, error, sizeof(error));
	ck_assert_msg(shm != NULL, "%s", error);
	facts = (struct status_facts){
		.version = 2, .listeners = two, .listener_count = 1, .now_unix = NOW_UNIX, .now_ms = NOW_MS
	};
}

static struct peer_identity identity_of(const char *name)
{
	struct peer_identity id = { .lease4 = LEASE_NONE,
		.lease6 = LEASE_NONE,
		.inner4 = 0x0a4d0002,
		.client_id = 3,
		.connected_unix = CONNECTED,
		.connected_ms = NOW_MS - 13000 };
	snprintf(id.common_name, sizeof(id.common_name), "%s", name);
	snprintf(id.cipher, sizeof(id.cipher), "AES-256-GCM");
	id.peer_address = (struct link_address){ .family = 4, .port = 59911, .ip = { 127, 0, 0, 1 } };
	inet_pton(AF_INET6, "fd00:77::1000", id.inner6);
	return id;
}

static uint32_t session(const struct peer_identity *id, enum peer_state state)
{
	uint32_t generation, slot = peers_take(shm, 0, &generation);
	ck_assert_uint_ne(slot, PEER_NONE);
	ck_assert(peers_write(shm, slot, generation, id));
	if (state != PEER_HANDSHAKE)
		ck_assert(peers_set_state(shm, slot, generation, state));
	peers_count_in(peers_slot(shm, slot), 10, 5401, NOW_MS - 13000);
	peers_count_out(peers_slot(shm, slot), 10, 5478, NOW_MS - 1000);
	return slot;
}

static const char *text(void)
{
	static char *out;
	size_t len;
	free(out);
	FILE *stream = open_memstream(&out, &len);
	status_print(stream, &facts, shm);
	fclose(stream);
	return out;
}

START_TEST(version_1_has_the_four_traditional_blocks)
{
	set_up();
	facts.version = 1;
	struct peer_identity id = identity_of("Test-Client");
	memset(id.inner6, 0, sizeof(id.inner6));
	session(&id, PEER_ACTIVE);
	ck_assert_str_eq(text(), "OpenVPN CLIENT LIST\n"
				 "Updated,2026-11-22 15:47:52\n"
				 "Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since\n"
				 "Test-Client,127.0.0.1:59911,5401,5478,2026-11-22 15:47:39\n"
				 "ROUTING TABLE\n"
				 "Virtual Address,Common Name,Real Address,Last Ref\n"
				 "10.77.0.2,Test-Client,127.0.0.1:59911,2026-11-22 15:47:39\n"
				 "GLOBAL STATS\n"
				 "Max bcast/mcast queue length,0\n"
				 "END\n");
}
END_TEST

static const char version_2[] =
	"TIME,2026-11-22 15:47:52,1795362472\n"
	"HEADER,CLIENT_LIST,Common Name,Real Address,Virtual Address,Virtual IPv6 Address,Bytes "
	"Received,Bytes "
	"Sent,Connected Since,Connected Since (time_t),Username,Client ID,Peer ID,Data Channel Cipher\n"
	"CLIENT_LIST,Test-Client,127.0.0.1:59911,10.77.0.2,fd00:77::1000,5401,5478,2026-11-22 "
	"15:47:39,1795362459,UNDEF,3,0,AES-256-GCM\n"
	"HEADER,ROUTING_TABLE,Virtual Address,Common Name,Real Address,Last Ref,Last Ref (time_t)\n"
	"ROUTING_TABLE,fd00:77::1000,Test-Client,127.0.0.1:59911,2026-11-22 15:47:39,1795362459\n"
	"ROUTING_TABLE,10.77.0.2,Test-Client,127.0.0.1:59911,2026-11-22 15:47:39,1795362459\n"
	"GLOBAL_STATS,Max bcast/mcast queue length,0\n"
	"GLOBAL_STATS,dco_enabled,0\n"
	"END\n";

START_TEST(version_2_is_what_exporters_parse)
{
	set_up();
	struct peer_identity id = identity_of("Test-Client");
	session(&id, PEER_ACTIVE);
	const char *all = text(), *second = strchr(all, '\n') + 1;
	ck_assert_int_eq(strncmp(all, "TITLE,OpenVPN ", 14), 0);
	ck_assert_str_eq(second, version_2);
}
END_TEST

START_TEST(version_3_is_version_2_with_tabs)
{
	set_up();
	facts.version = 3;
	struct peer_identity id = identity_of("Test-Client");
	session(&id, PEER_ACTIVE);
	char *with_tabs = strdup(version_2);
	for (char *c = with_tabs; *c; c++)
		if (*c == ',')
			*c = '\t';
	ck_assert_str_eq(strchr(text(), '\n') + 1, with_tabs);
	free(with_tabs);
}
END_TEST

START_TEST(an_empty_table_still_has_all_headings)
{
	set_up();
	facts.version = 1;
	ck_assert_ptr_nonnull(strstr(text(), "Connected Since\nROUTING TABLE\n"));
	ck_assert_ptr_nonnull(strstr(text(), "Last Ref\nGLOBAL STATS\n"));
}
END_TEST

START_TEST(who_is_not_authenticated_yet_has_no_name_and_no_route)
{
	set_up();
	struct peer_identity id = identity_of("Claimed-Name");
	session(&id, PEER_HANDSHAKE);
	ck_assert_ptr_nonnull(strstr(text(), "CLIENT_LIST,UNDEF,127.0.0.1:59911,"));
	ck_assert_ptr_null(strstr(text(), "Claimed-Name"));
	ck_assert_ptr_null(strstr(text(), "\nROUTING_TABLE,"));
}
END_TEST

START_TEST(a_name_with_separators_or_line_ends_stays_one_field)
{
	set_up();
	struct peer_identity id = identity_of("evil,name\nEND\t\x1b[0m");
	session(&id, PEER_ACTIVE);
	ck_assert_ptr_nonnull(
		strstr(text(), "CLIENT_LIST,evil\\x2cname\\x0aEND\\x09\\x1b[0m,127.0.0.1:59911,"));
	facts.version = 3;
	ck_assert_ptr_nonnull(
		strstr(text(), "CLIENT_LIST\tevil\\x2cname\\x0aEND\\x09\\x1b[0m\t127.0.0.1:59911\t"));
}
END_TEST

START_TEST(a_name_without_an_end_is_cut_at_its_room)
{
	set_up();
	struct peer_identity id = identity_of("");
	memset(id.common_name, 'a', sizeof(id.common_name));
	session(&id, PEER_ACTIVE);
	const char *at = strstr(text(), "CLIENT_LIST,aaa");
	ck_assert_ptr_nonnull(at);
	ck_assert_uint_le(strspn(at + strlen("CLIENT_LIST,"), "a"), PEER_NAME_ROOM);
}
END_TEST

START_TEST(addresses_name_their_protocol_when_listeners_differ)
{
	set_up();
	facts.name_protocol = true;
	facts.listener_count = 2;
	struct peer_identity id = identity_of("a");
	session(&id, PEER_ACTIVE);
	id.link = 1;
	id.peer_address =
		(struct link_address){ .family = 6, .port = 1194, .ip = { [0] = 0x20, [1] = 1, [15] = 1 } };
	session(&id, PEER_ACTIVE);
	id.link = 4000000000u; /* nonsense in the table does not lead outside the list */
	session(&id, PEER_ACTIVE);
	ck_assert_ptr_nonnull(strstr(text(), ",udp4:127.0.0.1:59911,"));
	ck_assert_ptr_nonnull(strstr(text(), ",tcp6-server:[2001::1]:1194,"));
	ck_assert_ptr_nonnull(strstr(text(), ",udp6:[2001::1]:1194,"));
}
END_TEST

START_TEST(the_file_is_replaced_whole_and_not_readable_by_all)
{
	set_up();
	char dir[] = "/tmp/vpnserverd-status-XXXXXX", path[64];
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/status", dir);
	struct config config = {
		.status_file = path, .status_version = 2, .listeners = two, .listener_count = 1
	};
	FILE *old = fopen(path, "w");
	fputs("old\n", old);
	ck_assert_int_eq(status_write(&config, shm), 0);
	char line[64];
	FILE *in = fopen(path, "r");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), in));
	ck_assert_int_eq(strncmp(line, "TITLE,", 6), 0);
	fclose(in);
	fclose(old);
	struct stat s;
	ck_assert_int_eq(stat(path, &s), 0);
	ck_assert_uint_eq(s.st_mode & 0777, 0640);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0); /* no temporary file left */
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_an_error)
{
	set_up();
	struct config config = { .status_file = "/nonexistent/status", .status_version = 1 };
	ck_assert_int_lt(status_write(&config, shm), 0);
}
END_TEST

START_TEST(what_a_worker_gone_mad_wrote_stays_one_row_of_printable_fields)
{
	for (int fill = 0; fill < 256; fill += 51) {
		set_up();
		struct peer_identity id;
		memset(&id, fill, sizeof(id));
		id.peer_address.family = fill ? (uint8_t)fill : 99;
		id.connected_unix = fill % 2 ? INT64_MIN : INT64_MAX;
		session(&id, PEER_ACTIVE);
		for (int version = 1; version <= 3; version++) {
			facts.version = (unsigned)version;
			const char *out = text();
			int lines = 0;
			for (const char *c = out; *c; c++) {
				lines += *c == '\n';
				ck_assert_msg(
					(*c >= ' ' && *c <= '~') || *c == '\n' || *c == '\t', "%s", out);
			}
			ck_assert_int_le(lines, 11);
		}
		shm_detach(&shm);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("status");
	TCase *t = tcase_create("status");
	tcase_add_test(t, version_1_has_the_four_traditional_blocks);
	tcase_add_test(t, version_2_is_what_exporters_parse);
	tcase_add_test(t, version_3_is_version_2_with_tabs);
	tcase_add_test(t, an_empty_table_still_has_all_headings);
	tcase_add_test(t, who_is_not_authenticated_yet_has_no_name_and_no_route);
	tcase_add_test(t, a_name_with_separators_or_line_ends_stays_one_field);
	tcase_add_test(t, a_name_without_an_end_is_cut_at_its_room);
	tcase_add_test(t, addresses_name_their_protocol_when_listeners_differ);
	tcase_add_test(t, the_file_is_replaced_whole_and_not_readable_by_all);
	tcase_add_test(t, a_directory_that_is_not_there_is_an_error);
	tcase_add_test(t, what_a_worker_gone_mad_wrote_stays_one_row_of_printable_fields);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
