/* SPDX-License-Identifier: MIT
 * common/tls/kept_chains.c: which chains count as judged already, and which never. */
#include "common/tls/certificate.h"
#include "common/tls/kept_chains.h"
#include "tests/lib/suite.h"
#include "tests/unit/tls/tls_pair.h"

#include <openssl/pem.h>

#include <string.h>
#include <time.h>

static struct kept_chains chains;
static struct identity ca;
static X509_STORE *store;

static X509 *certificate_of(const struct identity *identity)
{
	STACK_OF(X509) *list = pem_certificates(identity->cert);
	X509 *out = sk_X509_shift(list);

	certificates_free(list);
	return out;
}

static X509_STORE *store_of(const struct identity *root)
{
	X509_STORE *out = X509_STORE_new();
	X509 *certificate = certificate_of(root);

	ck_assert_int_eq(X509_STORE_add_cert(out, certificate), 1);
	X509_free(certificate);
	return out;
}

static void setup(void)
{
	ca = identity_make("Test CA", IDENTITY_CA, NULL);
	store = store_of(&ca);
	kept_chains_begin(&chains, store, NULL);
}

static void teardown(void)
{
	X509_STORE_free(store);
	identity_free(&ca);
}

/* As a handshake does it: asks, and if it must, verifies and keeps. Returns whether it was kept already. */
static bool comes(X509_STORE *judge, const struct identity *client, const struct identity *along, bool good)
{
	X509 *leaf = certificate_of(client), *other = along ? certificate_of(along) : NULL;
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	X509_STORE_CTX *search = X509_STORE_CTX_new();
	bool kept;

	if (other)
		sk_X509_push(untrusted, other);
	ck_assert_int_eq(X509_STORE_CTX_init(search, judge, leaf, untrusted), 1);
	kept = kept_chains_has(&chains, search);
	if (!kept) {
		ck_assert_int_eq(X509_verify_cert(search) == 1, good);
		if (good)
			kept_chains_add(&chains, search);
	}
	X509_STORE_CTX_free(search);
	sk_X509_free(untrusted);
	X509_free(other);
	X509_free(leaf);
	return kept;
}

START_TEST(who_comes_again_is_known)
{
	struct identity alice = identity_make("alice", 0, &ca), other_alice = identity_make("alice", 0, &ca);

	ck_assert(!comes(store, &alice, NULL, true));
	ck_assert(comes(store, &alice, NULL, true));
	ck_assert(comes(store, &alice, NULL, true));
	/* The same name, another key. */
	ck_assert(!comes(store, &other_alice, NULL, true));
	identity_free(&alice);
	identity_free(&other_alice);
}
END_TEST

START_TEST(a_certificate_changed_in_one_bit_is_not_known)
{
	struct identity alice = identity_make("alice", 0, &ca);
	X509 *leaf = certificate_of(&alice);
	X509_STORE_CTX *search = X509_STORE_CTX_new();
	uint8_t *der = NULL;
	int len = i2d_X509(leaf, &der);

	ck_assert(!comes(store, &alice, NULL, true));
	der[len - 1] ^= 1; /* of the signature */
	const uint8_t *at = der;
	X509 *changed = d2i_X509(NULL, &at, len);
	ck_assert_int_eq(X509_STORE_CTX_init(search, store, changed, NULL), 1);
	ck_assert(!kept_chains_has(&chains, search));
	ck_assert_int_ne(X509_verify_cert(search), 1);
	X509_STORE_CTX_free(search);
	X509_free(changed);
	X509_free(leaf);
	OPENSSL_free(der);
	identity_free(&alice);
}
END_TEST

START_TEST(what_comes_along_counts)
{
	struct identity middle = identity_make("Middle CA", IDENTITY_CA, &ca), client = identity_make("client", 0, &middle);
	struct identity other = identity_make("Middle CA", IDENTITY_CA, &ca);

	ck_assert(!comes(store, &client, &middle, true));
	ck_assert(comes(store, &client, &middle, true));
	ck_assert(!comes(store, &client, NULL, false));
	ck_assert(!comes(store, &client, &other, false));
	ck_assert(!comes(store, &client, &other, false));
	identity_free(&client);
	identity_free(&middle);
	identity_free(&other);
}
END_TEST

START_TEST(another_store_knows_nobody_and_nothing_is_kept_for_an_old_one)
{
	struct identity alice = identity_make("alice", 0, &ca);
	X509_STORE *later = store_of(&ca);

	ck_assert(!comes(store, &alice, NULL, true));
	kept_chains_begin(&chains, later, NULL);
	ck_assert(!comes(store, &alice, NULL, true)); /* a negotiation that began before */
	ck_assert(!comes(store, &alice, NULL, true));
	ck_assert(!comes(later, &alice, NULL, true));
	ck_assert(comes(later, &alice, NULL, true));
	X509_STORE_free(later);
	identity_free(&alice);
}
END_TEST

static void sleep_s(int seconds)
{
	nanosleep(&(struct timespec){ .tv_sec = seconds }, NULL);
}

START_TEST(nothing_is_known_longer_than_its_certificates_hold)
{
	struct identity brief = identity_forge(&(struct forgery){ .name = "brief", .begins_s = -60, .ends_s = 3 }, &ca);

	ck_assert(!comes(store, &brief, NULL, true));
	ck_assert(comes(store, &brief, NULL, true));
	sleep_s(4);
	ck_assert(!comes(store, &brief, NULL, false));
	identity_free(&brief);
}
END_TEST

START_TEST(nor_longer_than_the_crl_holds)
{
	struct identity alice = identity_make("alice", 0, &ca);
	STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
	char *pem[] = { crl_make(&ca, NULL, 5), crl_make(&ca, NULL, -1) };

	for (unsigned i = 0; i < 2; i++) {
		BIO *bio = BIO_new_mem_buf(pem[i], -1);
		sk_X509_CRL_push(crls, PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL));
		BIO_free(bio);
		kept_chains_begin(&chains, store, crls);
		ck_assert(!comes(store, &alice, NULL, true));
		ck_assert_int_eq(comes(store, &alice, NULL, true), i == 0);
		free(pem[i]);
	}
	while (sk_X509_CRL_num(crls) > 0)
		X509_CRL_free(sk_X509_CRL_pop(crls));
	sk_X509_CRL_free(crls);
	identity_free(&alice);
}
END_TEST

START_TEST(a_clock_set_back_forgets)
{
	struct identity alice = identity_make("alice", 0, &ca);

	ck_assert(!comes(store, &alice, NULL, true));
	for (unsigned i = 0; i < KEPT_CHAINS; i++)
		if (chains.chains[i].until) {
			ck_assert_int_le(chains.chains[i].until, time(NULL) + KEPT_CHAIN_S);
			ck_assert_int_ge(chains.chains[i].until, time(NULL) + KEPT_CHAIN_S - 5);
			chains.chains[i].from = time(NULL) + 100;
		}
	ck_assert(!comes(store, &alice, NULL, true));
	identity_free(&alice);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, who_comes_again_is_known);
	tcase_add_test(tcase, a_certificate_changed_in_one_bit_is_not_known);
	tcase_add_test(tcase, what_comes_along_counts);
	tcase_add_test(tcase, another_store_knows_nobody_and_nothing_is_kept_for_an_old_one);
	tcase_add_test(tcase, nothing_is_known_longer_than_its_certificates_hold);
	tcase_add_test(tcase, nor_longer_than_the_crl_holds);
	tcase_add_test(tcase, a_clock_set_back_forgets);
}

int main(void)
{
	return suite_run("tls kept_chains", add);
}
