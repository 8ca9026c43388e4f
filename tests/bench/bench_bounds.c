/* SPDX-License-Identifier: MIT
 * What is not ours to make faster, on this machine: what a thread pays for each time it sleeps and is woken, and what the
 * TLS library takes for the signatures and the key agreement of a handshake. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void sleeps(unsigned us)
{
	enum { TIMES = 3000 };
	struct timespec t = { .tv_nsec = us * 1000l };
	double began = cpu_us();

	for (unsigned i = 0; i < TIMES; i++)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
	printf("a sleep of %u us with its wake: %.1f us of CPU\n", us, (cpu_us() - began) / TIMES);
}

static void fail(const char *what)
{
	fprintf(stderr, "%s does not work\n", what);
	exit(1);
}

/* A key of `type`; `number` is RSA's bits or the curve. */
static EVP_PKEY *make_key(int type, int number)
{
	EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_id(type, NULL);
	EVP_PKEY *key = NULL;

	if (!making || EVP_PKEY_keygen_init(making) != 1 ||
		(type == EVP_PKEY_RSA && EVP_PKEY_CTX_set_rsa_keygen_bits(making, number) != 1) ||
		(type == EVP_PKEY_EC && EVP_PKEY_CTX_set_ec_paramgen_curve_nid(making, number) != 1) ||
		EVP_PKEY_keygen(making, &key) != 1)
		fail("making a key");
	EVP_PKEY_CTX_free(making);
	return key;
}

static void signatures(const char *name, EVP_PKEY *key, unsigned times)
{
	static const uint8_t text[130];
	uint8_t signature[512];
	size_t len = 0;
	double began = cpu_us();

	for (unsigned i = 0; i < times; i++) {
		EVP_MD_CTX *signing = EVP_MD_CTX_new();
		len = sizeof(signature);
		if (EVP_DigestSignInit(signing, NULL, EVP_sha256(), NULL, key) != 1 ||
			EVP_DigestSign(signing, signature, &len, text, sizeof(text)) != 1)
			fail("signing");
		EVP_MD_CTX_free(signing);
	}
	double signed_at = cpu_us();
	for (unsigned i = 0; i < times; i++) {
		EVP_MD_CTX *judging = EVP_MD_CTX_new();
		if (EVP_DigestVerifyInit(judging, NULL, EVP_sha256(), NULL, key) != 1 ||
			EVP_DigestVerify(judging, signature, len, text, sizeof(text)) != 1)
			fail("verifying");
		EVP_MD_CTX_free(judging);
	}
	printf("%s: to sign %.1f us, to verify %.1f us\n", name, (signed_at - began) / times,
		(cpu_us() - signed_at) / times);
	EVP_PKEY_free(key);
}

static void agreement(void)
{
	enum { TIMES = 1000 };
	EVP_PKEY *other = make_key(EVP_PKEY_X25519, 0);
	double began = cpu_us();

	for (unsigned i = 0; i < TIMES; i++) {
		EVP_PKEY *own = make_key(EVP_PKEY_X25519, 0);
		EVP_PKEY_CTX *deriving = EVP_PKEY_CTX_new(own, NULL);
		uint8_t secret[32];
		size_t len = sizeof(secret);

		if (EVP_PKEY_derive_init(deriving) != 1 || EVP_PKEY_derive_set_peer(deriving, other) != 1 ||
			EVP_PKEY_derive(deriving, secret, &len) != 1)
			fail("X25519");
		EVP_PKEY_CTX_free(deriving);
		EVP_PKEY_free(own);
	}
	printf("X25519, one side: %.1f us\n", (cpu_us() - began) / TIMES);
	EVP_PKEY_free(other);
}

int main(void)
{
	prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
	sleeps(50);
	sleeps(400);
	agreement();
	signatures("ECDSA P-256", make_key(EVP_PKEY_EC, NID_X9_62_prime256v1), 1000);
	signatures("RSA-2048", make_key(EVP_PKEY_RSA, 2048), 200);
	return 0;
}
