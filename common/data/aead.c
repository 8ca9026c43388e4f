/* SPDX-License-Identifier: MIT
 * The ciphers by name, and the list of backends to choose from. To add a backend: its file, its row in
 * methods[], and tests/unit/data holds it against the others. Names no library. */
#include "common/data/aead.h"

#include <string.h>
#include <strings.h>

static const struct cipher_row {
	const char *name;
	size_t key_len;
} ciphers[CIPHER_COUNT] = {
	[CIPHER_UNKNOWN] = { "?", 0 },
	[CIPHER_AES_128_GCM] = { "AES-128-GCM", 16 },
	[CIPHER_AES_192_GCM] = { "AES-192-GCM", 24 },
	[CIPHER_AES_256_GCM] = { "AES-256-GCM", 32 },
	[CIPHER_CHACHA20_POLY1305] = { "CHACHA20-POLY1305", 32 },
};

/* Best first. Which of them exist is decided in meson.build. */
#ifdef WITH_NULL_CIPHER
extern const struct aead_method aead_null;
#endif
#ifdef WITH_IPSECMB
extern const struct aead_method aead_ipsecmb;
#endif
#ifdef TLS_BORINGSSL
extern const struct aead_method aead_boringssl;
#else
extern const struct aead_method aead_openssl;
#endif

static const struct aead_method *const methods[] = {
#ifdef WITH_NULL_CIPHER
	&aead_null,
#endif
#ifdef WITH_IPSECMB
	&aead_ipsecmb,
#endif
#ifdef TLS_BORINGSSL
	&aead_boringssl,
#else
	&aead_openssl,
#endif
};

enum cipher cipher_by_name(const char *name, size_t len)
{
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++)
		if (strlen(ciphers[c].name) == len && strncasecmp(ciphers[c].name, name, len) == 0)
			return (enum cipher)c;
	return CIPHER_UNKNOWN;
}

const char *cipher_name(enum cipher cipher)
{
	return (unsigned)cipher < CIPHER_COUNT ? ciphers[cipher].name : ciphers[CIPHER_UNKNOWN].name;
}

size_t cipher_key_len(enum cipher cipher)
{
	return (unsigned)cipher < CIPHER_COUNT ? ciphers[cipher].key_len : 0;
}

const struct aead_method *const *aead_methods(size_t *count)
{
	*count = sizeof(methods) / sizeof(methods[0]);
	return methods;
}

const struct aead_method *aead_method_for(enum cipher cipher)
{
	if (cipher_key_len(cipher) == 0)
		return NULL;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (methods[i]->usable(cipher))
			return methods[i];
	return NULL;
}

const char *data_backend_name(enum cipher cipher)
{
	const struct aead_method *method = aead_method_for(cipher);
	return method ? method->name : "?";
}

void aead_schedule_free(struct aead_schedule **schedule)
{
	if (*schedule)
		(*schedule)->method->schedule_free(*schedule);
	*schedule = NULL;
}

/* How many jobs from the first on belong to the first one's method. */
static size_t run_len(const struct aead_job *jobs, size_t n)
{
	size_t len = 1;
	while (len < n && jobs[len].schedule->method == jobs[0].schedule->method)
		len++;
	return len;
}

void aead_seal(struct aead_job *jobs, size_t n)
{
	while (n > 0) {
		size_t len = run_len(jobs, n);
		jobs[0].schedule->method->seal(jobs, len);
		jobs += len;
		n -= len;
	}
}

void aead_open(struct aead_job *jobs, size_t n)
{
	while (n > 0) {
		size_t len = run_len(jobs, n);
		jobs[0].schedule->method->open(jobs, len);
		jobs += len;
		n -= len;
	}
}
