/* SPDX-License-Identifier: MIT
 * What a reload means for each client: asked of a session table that was written by hand. */
#include "master/reload_plan.h"

#include "common/tls/tls.h"
#include "tests/unit/shm/fixture.h"
#include "worker/peer_flags.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t digests_a[1000], digests_b[1000]; /* more than there are rows */
static struct config before, after;
static struct shm *shm;
static struct peer_identity alice;
static char why[PLAN_WHY_MAX];

static void setup(void)
{
	before = (struct config){ .data_ciphers = "AES-256-GCM:AES-128-GCM", .live_revoke = true, .digests = digests_a };
	after = before;
	after.digests = digests_b;
	memset(digests_a, 0, sizeof(digests_a));
	memset(digests_b, 0, sizeof(digests_b));
	shm = small_segment();
	alice = (struct peer_identity){ .common_name = "alice",
		.cipher = "AES-256-GCM",
		.inner4 = 0x0a080002,
		.connected_unix = time(NULL),
		.serial = "4096" };
}

static void teardown(void)
{
	shm_detach(&shm);
}

static struct session connected(const struct peer_identity *who)
{
	struct session s = new_session(shm, 1);
	ck_assert(peers_write(shm, s.slot, s.generation, who));
	ck_assert(peers_set_state(shm, s.slot, s.generation, PEER_ACTIVE));
	return s;
}



struct found {
	enum conf_effect wanted;
	unsigned row;
};

static unsigned asked;
static void each(void *context, const char *directive, enum conf_effect effect, const char *how)
{
	struct found *found = context;
	(void)directive;
	(void)how;
	if (effect == found->wanted)
		found->row = asked;
}

static void differs(enum conf_effect wanted)
{
	struct found found = { .wanted = wanted, .row = 999 };
	uint64_t kept[1000];
	memcpy(kept, digests_b, sizeof(kept));
	for (asked = 0; found.row == 999; asked++) {
		ck_assert_uint_lt(asked, 900);
		memcpy(digests_b, digests_a, sizeof(digests_b));
		digests_b[asked] = 77;
		config_changes(&before, &after, each, &found);
	}
	memcpy(digests_b, kept, sizeof(digests_b));
	digests_b[found.row] = 77;
}

static enum plan_fate fate_of(const struct peer_identity *who)
{
	struct reload_plan plan;
	struct peer_row row = { .state = PEER_ACTIVE, .identity = *who };
	ck_assert(plan_make(&plan, &before, &after));
	enum plan_fate fate = plan_of(&plan, &row, why);
	plan_clear(&plan);
	return fate;
}

static bool new_workers(void)
{
	struct reload_plan plan;
	ck_assert(plan_make(&plan, &before, &after));
	plan_clear(&plan);
	return plan.new_workers;
}

START_TEST(who_is_not_concerned_is_left_alone)
{
	ck_assert_int_eq(fate_of(&alice), PLAN_NOTHING);
	differs(EFFECT_AT_ONCE);
	differs(EFFECT_BY_WORKERS);
	differs(EFFECT_RESTART);
	ck_assert_int_eq(fate_of(&alice), PLAN_NOTHING);
	ck_assert_str_eq(why, "");
}
END_TEST

START_TEST(workers_are_replaced_only_for_what_they_know)
{
	ck_assert(new_workers()); /* nothing differs: somebody wants something that is not seen */
	differs(EFFECT_AT_ONCE);
	ck_assert(!new_workers());
	differs(EFFECT_RESTART);
	differs(EFFECT_NOTHING);
	ck_assert(!new_workers());
	differs(EFFECT_NEW_CLIENTS);
	ck_assert(new_workers());
}
END_TEST

START_TEST(kinds_of_directives_reach_clients_in_their_ways)
{
	differs(EFFECT_NEW_CLIENTS);
	ck_assert_int_eq(fate_of(&alice), PLAN_NEXT_TIME);
	differs(EFFECT_RENEGOTIATION);
	ck_assert_int_eq(fate_of(&alice), PLAN_RENEGOTIATION);
	differs(EFFECT_RECONNECT);
	ck_assert_int_eq(fate_of(&alice), PLAN_RECONNECT);
	ck_assert_ptr_nonnull(strstr(why, "changed"));
}
END_TEST

START_TEST(a_push_is_an_update_for_those_who_can_take_it)
{
	const char *a[] = { "route 10.1.0.0", "ping 10" }, *b[] = { "route 10.2.0.0", "ping 10" };
	struct peer_identity modern = alice, special = alice;
	modern.flags = PEER_FLAG_UPDATES;
	special.flags = PEER_FLAG_UPDATES | PEER_FLAG_OWN;
	before.push = a;
	after.push = a;
	before.push_count = after.push_count = 2;
	differs(EFFECT_BY_PUSH); /* in words, not in effect */
	ck_assert_int_eq(fate_of(&modern), PLAN_NOTHING);
	after.push = b;
	ck_assert_int_eq(fate_of(&modern), PLAN_UPDATE);
	ck_assert_str_eq(why, "");
	ck_assert_int_eq(fate_of(&alice), PLAN_NEXT_TIME);
	ck_assert_str_eq(why, "it cannot take an update");
	ck_assert_int_eq(fate_of(&special), PLAN_NEXT_TIME);
	ck_assert_str_eq(why, "it has settings of its own");
	after.push_count = 1;
	ck_assert_int_eq(fate_of(&modern), PLAN_UPDATE);
	ck_assert_str_eq(why, "not all of it can be updated");
	before.push_count = 0; /* what nobody can be told at all */
	after.push = a + 1;
	ck_assert_int_eq(fate_of(&modern), PLAN_NEXT_TIME);
}
END_TEST

START_TEST(a_cipher_that_is_not_allowed_any_more_has_to_go)
{
	after.data_ciphers = "CHACHA20-POLY1305:AES-256-GCM";
	ck_assert_int_eq(fate_of(&alice), PLAN_NOTHING);
	after.data_ciphers = "AES-256-GCM-X:ES-256-GCM:CHACHA20-POLY1305";
	ck_assert_int_eq(fate_of(&alice), PLAN_RECONNECT);
	ck_assert_str_eq(why, "AES-256-GCM is not in data-ciphers any more");
	after.data_ciphers_fallback = "AES-256-GCM";
	ck_assert_int_eq(fate_of(&alice), PLAN_NOTHING);
}
END_TEST

START_TEST(a_list_of_fingerprints_counts_for_those_who_are_there)
{
	uint8_t list[2][32] = { { 1 }, { 2 } };
	alice.fingerprint[0] = 2;
	after.fingerprints = list;
	after.fingerprint_count = 2;
	ck_assert_int_eq(fate_of(&alice), PLAN_NOTHING);
	after.fingerprint_count = 1;
	ck_assert_int_eq(fate_of(&alice), PLAN_REFUSED);
	after.live_revoke = false;
	ck_assert_int_eq(fate_of(&alice), PLAN_NOTHING);
}
END_TEST

START_TEST(the_revoked_must_go)
{
	struct pki_request request = { .common_name = "CA", .days = 5, .is_ca = true };
	char *ca, *key, *cert, *cert_key, *crl, error[TLS_REASON_MAX];
	ck_assert(pki_make(&request, &ca, &key, error));
	request = (struct pki_request){ .common_name = "alice", .days = 5, .issuer_cert_pem = ca, .issuer_key_pem = key };
	ck_assert(pki_make(&request, &cert, &cert_key, error));
	const char *list[] = { cert };
	ck_assert(pki_make_crl(ca, key, list, 1, 5, &crl, error));
	after.ca.bytes = ca;
	after.crl.bytes = crl;
	after.crl.len = strlen(crl);
	ck_assert_int_eq(fate_of(&alice), PLAN_NOTHING); /* a number that is not on it */
	/* which number and issuer the certificate has is test_verify.c's business; here a slot full of bytes */
	memset(alice.serial, '9', sizeof(alice.serial));
	connected(&alice);
	struct reload_plan plan;
	struct plan_counts counts;
	ck_assert(plan_make(&plan, &before, &after));
	ck_assert_ptr_nonnull(plan.revoked);
	plan_count(&plan, shm, &counts);
	ck_assert_uint_eq(counts.of[PLAN_NOTHING], 1);
	plan_clear(&plan);
	after.live_revoke = false;
	ck_assert(plan_make(&plan, &before, &after));
	ck_assert_ptr_null(plan.revoked);
	plan_clear(&plan);
	free(ca);
	free(key);
	free(cert);
	free(cert_key);
	free(crl);
}
END_TEST

START_TEST(a_clients_own_file_counts_when_it_was_written_since)
{
	char dir[] = "/tmp/vpn-plan-XXXXXX", path[64];
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/alice", dir);
	before.client_config_dir = after.client_config_dir = dir;
	ck_assert_int_eq(fate_of(&alice), PLAN_NOTHING);
	alice.flags = PEER_FLAG_OWN; /* it had one */
	ck_assert_int_eq(fate_of(&alice), PLAN_RECONNECT);
	ck_assert_str_eq(why, "its file in client-config-dir is gone");
	FILE *out = fopen(path, "w");
	ck_assert_ptr_nonnull(out);
	fclose(out);
	alice.connected_unix += 2;
	ck_assert_int_eq(fate_of(&alice), PLAN_NOTHING);
	alice.connected_unix -= 60;
	ck_assert_int_eq(fate_of(&alice), PLAN_RECONNECT);
	ck_assert_str_eq(why, "its file in client-config-dir changed");
	struct peer_identity other = alice;
	snprintf(other.common_name, sizeof(other.common_name), "bob");
	other.flags = 0;
	ck_assert_int_eq(fate_of(&other), PLAN_NOTHING);
	after.ccd_exclusive = true;
	ck_assert_int_eq(fate_of(&other), PLAN_RECONNECT);
	snprintf(other.common_name, sizeof(other.common_name), "../alice"); /* stays in the directory */
	after.ccd_exclusive = false;
	ck_assert_int_eq(fate_of(&other), PLAN_NOTHING);
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(the_listing_has_numbers_names_and_reasons)
{
	struct peer_identity bob = alice;
	char text[4000] = "", summary[PLAN_SUMMARY_MAX];
	snprintf(bob.common_name, sizeof(bob.common_name), "bob\n!");
	snprintf(bob.cipher, sizeof(bob.cipher), "AES-128-GCM");
	connected(&alice);
	connected(&bob);
	new_session(shm, 0); /* a handshake is no client yet */
	after.data_ciphers = "AES-256-GCM";
	differs(EFFECT_NEW_CLIENTS);
	differs(EFFECT_RESTART);
	struct reload_plan plan;
	ck_assert(plan_make(&plan, &before, &after));
	FILE *out = fmemopen(text, sizeof(text), "w");
	plan_print(&plan, shm, out);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "directives: 2 differ\n"));
	ck_assert_ptr_nonnull(strstr(text, "takes a restart"));
	ck_assert_ptr_nonnull(strstr(text, "workers: are replaced"));
	ck_assert_ptr_nonnull(strstr(text, "  bob\\x0a!"));
	ck_assert_ptr_nonnull(strstr(text, "must reconnect: AES-128-GCM is not in data-ciphers any more\n"));
	ck_assert_ptr_nonnull(strstr(text, "  alice"));
	ck_assert_ptr_nonnull(strstr(text, "2 clients: 0 nothing, 0 pushed update, 0 at next renegotiation, "
					   "1 when they connect anew, 1 must reconnect\n"));
	struct plan_counts counts;
	plan_count(&plan, shm, &counts);
	ck_assert_uint_eq(counts.clients, 2);
	ck_assert_ptr_nonnull(strstr(text, plan_summary(&counts, summary)));
	plan_clear(&plan);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reload_plan");
	TCase *tcase = tcase_create("plan");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, who_is_not_concerned_is_left_alone);
	tcase_add_test(tcase, workers_are_replaced_only_for_what_they_know);
	tcase_add_test(tcase, kinds_of_directives_reach_clients_in_their_ways);
	tcase_add_test(tcase, a_push_is_an_update_for_those_who_can_take_it);
	tcase_add_test(tcase, a_cipher_that_is_not_allowed_any_more_has_to_go);
	tcase_add_test(tcase, a_list_of_fingerprints_counts_for_those_who_are_there);
	tcase_add_test(tcase, the_revoked_must_go);
	tcase_add_test(tcase, a_clients_own_file_counts_when_it_was_written_since);
	tcase_add_test(tcase, the_listing_has_numbers_names_and_reasons);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
