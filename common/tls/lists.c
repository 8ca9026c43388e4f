/* SPDX-License-Identifier: MIT
 * Cipher and group lists as people write them (OpenSSL or IANA spelling) to what the library takes. Names
 * that it lacks are passed over and told, so that one configuration serves both libraries and their versions.
 */
#include "common/tls/tls_inside.h"

#include <openssl/err.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ECDHE alone: our keys sign and never decrypt, and neither library's file has DH parameters. CBC comes last,
 * for peers from before TLS 1.2. */
static const char default_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES";
static const char suiteb_ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
static const char never_ciphers[] =
	":!kRSA:!aNULL:!eNULL:!NULL-SHA:!PSK:!aPSK"; /* each library lacks some of these words */
static const char default_groups[] = "X25519MLKEM768:X25519:P-256:P-384:P-521";
static const char suiteb_groups[] = "P-256:P-384";

/* Takes the next element of a ':' list. False at the end. */
static bool next_element(const char **list, char *out, size_t room)
{
	*list += strspn(*list, ": ");
	size_t len = strcspn(*list, ": ");
	snprintf(out, room, "%.*s", (int)len, *list); /* cut, it is a name that nobody knows */
	*list += len;
	return len > 0;
}

static void add_element(char *list, size_t room, const char *element, const char *between)
{
	size_t len = strlen(list);
	snprintf(list + len, room - len, "%s%s", len ? between : "", element);
}

/* The library's name of an IANA one ("TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384", '-' or '_'), or the name
 * itself. */
static const char *library_name(SSL_CTX *all, const char *name)
{
	const STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(all);
	for (size_t i = 0; i < (size_t)sk_SSL_CIPHER_num(ciphers); i++) {
		const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
		const char *standard = SSL_CIPHER_standard_name(cipher), *at = name;
		if (!standard)
			continue;
		for (; *standard && (*standard == *at || (*standard == '_' && *at == '-')); standard++)
			at++;
		if (!*standard && !*at)
			return SSL_CIPHER_get_name(cipher);
	}
	return name;
}

bool lists_set_ciphers(SSL_CTX *library, const char *list, enum tls_profile profile, char *skipped)
{
	const char *left = list ? list : profile == TLS_PROFILE_SUITEB ? suiteb_ciphers : default_ciphers;
	char element[128], taken[TLS_LIST_MAX] = "", trial[256];
	bool any = false, ok = false;
	SSL_CTX *all = SSL_CTX_new(TLS_method()), *scratch = SSL_CTX_new(TLS_method());
	if (!all || !scratch || !SSL_CTX_set_cipher_list(all, "ALL"))
		goto cleanup;
	while (next_element(&left, element, sizeof element)) {
		/* A modifier is tried on a full list, a name for itself. */
		bool modifier = strchr("!-+@", element[0]) != NULL;
		const char *name = modifier ? element : library_name(all, element);
		snprintf(trial, sizeof trial, "%s%s%s", modifier ? "ALL:" : "", name, never_ciphers);
		if (!SSL_CTX_set_cipher_list(scratch, trial)) {
			add_element(skipped, TLS_REASON_MAX, element, ", ");
			continue;
		}
		add_element(taken, sizeof taken - sizeof never_ciphers, name, ":");
		any |= !modifier;
	}
	strcat(taken, never_ciphers);
	ok = any && SSL_CTX_set_cipher_list(library, taken) == 1;
cleanup:
	SSL_CTX_free(all);
	SSL_CTX_free(scratch);
	ERR_clear_error();
	return ok;
}

/* One spelling for both libraries; what is not here goes to the library as it is. */
static const char *group_name(const char *name)
{
	static const char *const spellings[][2] = { { "secp256r1", "P-256" }, { "prime256v1", "P-256" },
		{ "secp384r1", "P-384" }, { "secp521r1", "P-521" }, { "x25519", "X25519" } };
	for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++)
		if (strcasecmp(name, spellings[i][0]) == 0 || strcasecmp(name, spellings[i][1]) == 0)
			return spellings[i][1];
	return name;
}

bool lists_set_groups(SSL_CTX *library, const char *list, enum tls_profile profile, char *skipped)
{
	const char *left = list ? list : profile == TLS_PROFILE_SUITEB ? suiteb_groups : default_groups;
	char element[64], taken[TLS_LIST_MAX] = "";
	bool ok = false;
	SSL_CTX *scratch = SSL_CTX_new(TLS_method());
	while (scratch && next_element(&left, element, sizeof element)) {
		const char *name = group_name(element);
		if (library_set_groups(scratch, name))
			add_element(taken, sizeof taken, name, ":");
		else if (list) /* nobody asked for the default's */
			add_element(skipped, TLS_REASON_MAX, element, ", ");
	}
	ok = taken[0] && library_set_groups(library, taken);
	SSL_CTX_free(scratch);
	ERR_clear_error();
	return ok;
}
