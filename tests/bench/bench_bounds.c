/* SPDX-License-Identifier: MIT
 * What is not ours to make faster, on this machine: what a thread pays for each time it sleeps and is
 * woken, and what the
 * TLS library takes for the signatures and the key agreement of a handshake. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "%s does not work\n", what);
	exit(1);
}

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


enum { WAKES = 5000 };

struct echo {
	int cpu, to, from;
};

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fail("staying on a CPU");
}

static void pass_on(int from, int to)
{
	uint64_t count = 1;

	if (read(from, &count, sizeof(count)) != sizeof(count) || write(to, &count, sizeof(count)) != sizeof(count))
		fail("an event");
}

static void *echo(void *argument)
{
	const struct echo *e = argument;

	stay_on(e->cpu);
	for (unsigned i = 0; i < WAKES; i++)
		pass_on(e->to, e->from);
	return NULL;
}

/* Two threads that wake each other in turn. */
static void wakes(int here, int there)
{
	struct echo e = { there, eventfd(0, 0), eventfd(0, 0) };
	const uint64_t one = 1;
	struct timespec from, to;
	pthread_t other;

	if (e.to < 0 || e.from < 0)
		fail("eventfd");
	stay_on(here);
	double began = cpu_us();
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (write(e.from, &one, sizeof(one)) != sizeof(one) || pthread_create(&other, NULL, echo, &e) != 0)
		fail("a thread");
	for (unsigned i = 0; i < WAKES; i++)
		pass_on(e.from, e.to);
	pthread_join(other, NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	double wall_us = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
	printf("a wake on %s: %.1f us of CPU, %.1f us on the way\n", here == there ? "the waker's CPU" : "another CPU",
		(cpu_us() - began) / (2.0 * WAKES), wall_us / (2.0 * WAKES));
	close(e.to);
	close(e.from);
}

static void all_wakes(void)
{
	cpu_set_t all;
	int cpus[2], count = 0;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		fail("sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
		if (CPU_ISSET(cpu, &all))
			cpus[count++] = cpu;
	wakes(cpus[0], cpus[0]);
	if (count == 2)
		wakes(cpus[0], cpus[1]);
	sched_setaffinity(0, sizeof(all), &all);
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
	all_wakes();
	sleeps(50);
	sleeps(400);
	agreement();
	signatures("ECDSA P-256", make_key(EVP_PKEY_EC, NID_X9_62_prime256v1), 1000);
	signatures("RSA-2048", make_key(EVP_PKEY_RSA, 2048), 200);
	return 0;
}
