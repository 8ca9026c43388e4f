/* SPDX-License-Identifier: MIT
 * Settings to a context: PEM texts read, lists translated, everything that a handshake will need checked
 * before the first one. What only one library has is in its own file. */
#include "common/tls/certificate.h"
#include "common/tls/kept_chains.h"
#include "common/tls/tls_inside.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool complain(char error[TLS_REASON_MAX], const char *text)
{
	snprintf(error, TLS_REASON_MAX, "%s", text);
	ERR_clear_error();
	return false;
}

static bool copy_text(char **out, const char *text)
{
	*out = text ? strdup(text) : NULL;
	return !text || *out;
}

static bool copy_policy(struct peer_policy *out, const struct tls_settings *from, char error[TLS_REASON_MAX])
{
	out->has_ca = from->ca_pem != NULL;
	out->profile = from->profile;
	out->name_check = from->name_check;
	out->want_client_usage = from->want_client_usage;
	out->want_server_usage = from->want_server_usage;
	out->want_key_usage = from->want_key_usage;
	out->key_usage_count = from->key_usage_count;
	out->fingerprint_count = from->fingerprint_count;
	if (!copy_text(&out->name_wanted, from->name_wanted) ||
		!copy_text(&out->username_field, from->username_field) ||
		!copy_text(&out->extended_usage, from->extended_usage))
		return complain(error, "out of memory");
	if (from->key_usage_count) {
		out->key_usages = calloc(from->key_usage_count, sizeof *out->key_usages);
		if (!out->key_usages)
			return complain(error, "out of memory");
		memcpy(out->key_usages, from->key_usages, from->key_usage_count * sizeof *out->key_usages);
	}
	if (from->fingerprint_count) {
		out->fingerprints = calloc(from->fingerprint_count, sizeof *out->fingerprints);
		if (!out->fingerprints)
			return complain(error, "out of memory");
		memcpy(out->fingerprints, from->fingerprints,
			from->fingerprint_count * sizeof *out->fingerprints);
	}
	if (!from->ca_pem && !from->fingerprint_count)
		return complain(
			error, "ca: neither a CA nor peer-fingerprint is set, so no peer could be trusted");
	if (!from->ca_pem && from->crl_pem)
		return complain(error, "crl-verify: a CRL needs a CA");
	if (from->name_check != TLS_NAME_ANY && !from->name_wanted)
		return complain(error, "verify-x509-name: no name");
	if (from->username_field && !certificate_name_known(from->username_field))
		return complain(error, "x509-username-field: no such attribute");
	return true;
}

/* A store of the CA and the CRLs of `crl_pem` (may be NULL, then *crls is, too); `chains` (may be NULL) are those it
 * finds good. */
static X509_STORE *store_new(STACK_OF(X509) * ca, const char *crl_pem, struct kept_chains *chains,
	STACK_OF(X509_CRL) * *crls, char error[TLS_REASON_MAX])
{
	X509_STORE *store = X509_STORE_new();
	*crls = NULL;
	bool ok = store != NULL;
	if (!ok)
		complain(error, "out of memory");
	for (size_t i = 0; ok && i < (size_t)sk_X509_num(ca); i++)
		if (!X509_STORE_add_cert(store, sk_X509_value(ca, (int)i)))
			ok = complain(error, "ca: a certificate cannot be used");
	if (ok && crl_pem) {
		*crls = pem_crls(crl_pem);
		ok = *crls || complain(error, "crl-verify: not a PEM text of CRLs");
		for (size_t i = 0; ok && i < (size_t)sk_X509_CRL_num(*crls); i++)
			if (!X509_STORE_add_crl(store, sk_X509_CRL_value(*crls, (int)i)))
				ok = complain(error, "crl-verify: a CRL cannot be used");
		if (ok)
			X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	}
	if (ok)
		X509_STORE_set_depth(store, TLS_CHAIN_MAX);
	if (ok && chains)
		kept_chains_begin(chains, store, *crls);
	ERR_clear_error();
	if (!ok) {
		crls_free(*crls);
		*crls = NULL;
		X509_STORE_free(store);
		store = NULL;
	}
	return store;
}

static bool use_ca(
	struct tls_context *context, const struct tls_settings *settings, char error[TLS_REASON_MAX])
{
	if (!settings->ca_pem)
		return true;
	context->ca = pem_certificates(settings->ca_pem);
	if (!context->ca)
		return complain(error, "ca: not a PEM text of certificates");
	if (settings->server && !(context->chains = calloc(1, sizeof *context->chains)))
		return complain(error, "out of memory");
	context->store = store_new(context->ca, settings->crl_pem, context->chains, &context->crls, error);
	if (!context->store)
		return false;
	for (size_t i = 0; settings->server && i < (size_t)sk_X509_num(context->ca); i++)
		if (!SSL_CTX_add_client_CA(context->library, sk_X509_value(context->ca, (int)i)))
			return complain(error, "ca: a certificate cannot be named to clients");
	return true;
}

static bool add_to_chain(struct tls_context *context, STACK_OF(X509) * list, size_t first)
{
	for (size_t i = first; i < (size_t)sk_X509_num(list); i++)
		if (!SSL_CTX_add1_chain_cert(context->library, sk_X509_value(list, (int)i)))
			return false;
	return true;
}

/* Without a chain of our own, what lies between our certificate and its root is looked up in the CA file, as
 * stock does: peers may know the root alone. That it cannot be found is no error. */
static bool chain_from_ca(struct tls_context *context, X509 *leaf)
{
	STACK_OF(X509_CRL) *none = NULL;
	X509_STORE *store =
		context->ca ? store_new(context->ca, NULL, NULL, &none, (char[TLS_REASON_MAX]){ 0 }) : NULL;
	X509_STORE_CTX *search = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = NULL;
	bool ok = true;
	if (store && search && X509_STORE_CTX_init(search, store, leaf, NULL)) {
		X509_verify_cert(search);
		chain = X509_STORE_CTX_get1_chain(search);
	}
	for (size_t i = 1; ok && chain && i < (size_t)sk_X509_num(chain); i++) {
		X509 *next = sk_X509_value(chain, (int)i);
		if (X509_NAME_cmp(X509_get_subject_name(next), X509_get_issuer_name(next)) != 0)
			ok = SSL_CTX_add1_chain_cert(context->library, next) == 1;
	}
	certificates_free(chain);
	X509_STORE_CTX_free(search);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

static bool use_key(struct tls_context *context, X509 *leaf, const struct tls_settings *settings,
	char error[TLS_REASON_MAX])
{
	if (!settings->key_pem)
		return library_sign_outside(context, leaf, settings, error);
	bool encrypted;
	EVP_PKEY *key = pem_key(settings->key_pem, strlen(settings->key_pem), NULL, &encrypted);
	bool ok = true;
	if (!key)
		ok = complain(error,
			encrypted ? "key: it needs a passphrase" : "key: not a PEM text of a private key");
	else if (X509_check_private_key(leaf, key) != 1)
		ok = complain(error, "key: it does not belong to the certificate");
	else if (SSL_CTX_use_PrivateKey(context->library, key) != 1)
		ok = complain(error, "key: the TLS library cannot use it");
	EVP_PKEY_free(key);
	return ok;
}

static bool use_certificate(
	struct tls_context *context, const struct tls_settings *settings, char error[TLS_REASON_MAX])
{
	STACK_OF(X509) *own = NULL, *extra = NULL;
	bool ok = false;
	if (!settings->cert_pem) {
		if (settings->server)
			complain(error, "cert: a server needs a certificate");
		return !settings->server;
	}
	own = pem_certificates(settings->cert_pem);
	if (!own) {
		complain(error, "cert: not a PEM text of certificates");
		goto cleanup;
	}
	X509 *leaf = sk_X509_value(own, 0);
	if (SSL_CTX_use_certificate(context->library, leaf) != 1) {
		complain(error, "cert: the TLS library cannot use it");
		goto cleanup;
	}
	if (settings->extra_certs_pem && !(extra = pem_certificates(settings->extra_certs_pem))) {
		complain(error, "extra-certs: not a PEM text of certificates");
		goto cleanup;
	}
	bool chained = extra || sk_X509_num(own) > 1;
	if (!add_to_chain(context, own, 1) || (extra && !add_to_chain(context, extra, 0)) ||
		(!chained && !chain_from_ca(context, leaf))) {
		complain(error, "cert: its chain cannot be used");
		goto cleanup;
	}
	ok = use_key(context, leaf, settings, error);
cleanup:
	certificates_free(own);
	certificates_free(extra);
	return ok;
}

static bool use_lists(struct tls_context *context, const struct tls_settings *settings,
	char error[TLS_REASON_MAX], char warning[TLS_REASON_MAX])
{
	char ciphers[TLS_REASON_MAX] = "", groups[TLS_REASON_MAX] = "";
	if (!lists_set_ciphers(context->library, settings->cipher_list, settings->profile, ciphers))
		return complain(error, "tls-cipher: this TLS library has none of them");
	if (!lists_set_groups(context->library, settings->groups, settings->profile, groups))
		return complain(error, "tls-groups: this TLS library has none of them");
	char *at = warning;
	size_t room = TLS_REASON_MAX;
	if (ciphers[0]) {
		int len = snprintf(at, room, "tls-cipher: not in this TLS library: %.100s%s", ciphers,
			groups[0] ? "; " : "");
		at += len;
		room -= (size_t)len;
	}
	if (groups[0])
		snprintf(at, room, "tls-groups: not in this TLS library: %.60s", groups);
	return true;
}

static bool use_versions(SSL_CTX *library, const struct tls_settings *settings, char error[TLS_REASON_MAX])
{
	unsigned min = settings->version_min ? settings->version_min : TLS1_2_VERSION;
	unsigned max = settings->version_max ? settings->version_max : TLS1_3_VERSION;
	if (min < TLS1_VERSION || min > TLS1_3_VERSION ||
		!SSL_CTX_set_min_proto_version(library, (uint16_t)min))
		return complain(error, "tls-version-min: not a version that this TLS library has");
	if (max < TLS1_VERSION || max > TLS1_3_VERSION ||
		!SSL_CTX_set_max_proto_version(library, (uint16_t)max))
		return complain(error, "tls-version-max: not a version that this TLS library has");
	return min <= max || complain(error, "tls-version-min is above tls-version-max");
}

struct tls_context *tls_context_new(
	const struct tls_settings *settings, char error[TLS_REASON_MAX], char warning[TLS_REASON_MAX])
{
	error[0] = warning[0] = '\0';
	ERR_clear_error();
	struct tls_context *context = calloc(1, sizeof *context);
	if (!context) {
		complain(error, "out of memory");
		return NULL;
	}
	context->server = settings->server;
	if (!library_prepare(context, settings)) {
		complain(error, "the TLS library cannot make a context");
		goto failed;
	}
	SSL_CTX_set_session_cache_mode(context->library, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context->library, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(context->library, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(context->library, verify_peer, NULL);
	if (!copy_policy(&context->policy, settings, error) ||
		!use_versions(context->library, settings, error) ||
		!use_lists(context, settings, error, warning) || !use_ca(context, settings, error) ||
		!use_certificate(context, settings, error))
		goto failed;
	ERR_clear_error();
	return context;
failed:
	tls_context_free(&context);
	return NULL;
}

void tls_context_free(struct tls_context **context)
{
	struct tls_context *c = *context;
	*context = NULL;
	if (!c)
		return;
	free(c->policy.name_wanted);
	free(c->policy.username_field);
	free(c->policy.extended_usage);
	free(c->policy.key_usages);
	free(c->policy.fingerprints);
	X509_STORE_free(c->store);
	crls_free(c->crls);
	certificates_free(c->ca);
	free(c->chains);
	SSL_CTX_free(c->library);
	library_clear(c);
	free(c);
}

bool tls_context_set_crl(struct tls_context *context, const char *crl_pem, char error[TLS_REASON_MAX])
{
	error[0] = '\0';
	if (!context->ca)
		return complain(error, "crl-verify: a CRL needs a CA");
	STACK_OF(X509_CRL) *crls = NULL;
	X509_STORE *store = store_new(context->ca, crl_pem, context->chains, &crls, error);
	if (!store)
		return false;
	X509_STORE_free(context->store); /* negotiations under way hold their own reference */
	context->store = store;
	crls_free(context->crls);
	context->crls = crls;
	context->crl_lost = false;
	return true;
}

void tls_context_lose_crl(struct tls_context *context)
{
	context->crl_lost = true;
}

bool tls_context_revoked(const struct tls_context *context, const uint8_t issuer[TLS_FINGERPRINT_LEN], const char *serial)
{
	BIGNUM *number = NULL;
	ASN1_INTEGER *wanted = NULL;
	bool revoked = false;
	if (!context->crls || !serial[0])
		return false;
	if (BN_dec2bn(&number, serial) == (int)strlen(serial))
		wanted = BN_to_ASN1_INTEGER(number, NULL);
	for (size_t i = 0; wanted && !revoked && i < (size_t)sk_X509_CRL_num(context->crls); i++) {
		X509_CRL *crl = sk_X509_CRL_value(context->crls, (int)i);
		X509_REVOKED *row = NULL;
		uint8_t name[TLS_FINGERPRINT_LEN];
		if (certificate_name_hash(X509_CRL_get_issuer(crl), name) &&
			memcmp(name, issuer, sizeof(name)) == 0) /* no secret */
			revoked = X509_CRL_get0_by_serial(crl, &row, wanted) == 1;
	}
	ASN1_INTEGER_free(wanted);
	BN_free(number);
	ERR_clear_error();
	return revoked;
}
