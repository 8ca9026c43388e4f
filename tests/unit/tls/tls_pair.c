/* SPDX-License-Identifier: MIT
 * See tls_pair.h. Certificates that pki.c rightly cannot make are forged with the TLS library itself. */
#include "tests/unit/tls/tls_pair.h"

#include "common/base/secret.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct identity identity_make(const char *name, unsigned flags, const struct identity *issuer)
{
	struct pki_request request = {
		.common_name = name,
		.days = flags & IDENTITY_EXPIRED ? -2 : 10,
		.is_ca = flags & IDENTITY_CA,
		.is_server = flags & IDENTITY_SERVER,
		.issuer_cert_pem = issuer ? issuer->cert : NULL,
		.issuer_key_pem = issuer ? issuer->key : NULL,
		.rsa = flags & IDENTITY_RSA,
	};
	struct identity out;
	char error[TLS_REASON_MAX];
	ck_assert_msg(pki_make(&request, &out.cert, &out.key, error), "%s", error);
	return out;
}

void identity_free(struct identity *identity)
{
	free(identity->cert);
	if (identity->key)
		secret_wipe(identity->key, strlen(identity->key));
	free(identity->key);
	*identity = (struct identity){ 0 };
}

char *crl_make(const struct identity *ca, const struct identity *revoked, int days)
{
	char *crl, error[TLS_REASON_MAX];
	const char *list[] = { revoked ? revoked->cert : NULL };
	ck_assert_msg(pki_make_crl(ca->cert, ca->key, list, revoked != NULL, days, &crl, error), "%s", error);
	return crl;
}

static EVP_PKEY *forge_key(const struct forgery *forgery)
{
	int type = forgery->ed25519 ? EVP_PKEY_ED25519 : forgery->rsa_bits ? EVP_PKEY_RSA : EVP_PKEY_EC;
	EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_id(type, NULL);
	EVP_PKEY *key = NULL;
	ck_assert_int_eq(EVP_PKEY_keygen_init(making), 1);
	if (type == EVP_PKEY_RSA)
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_keygen_bits(making, forgery->rsa_bits), 1);
	if (type == EVP_PKEY_EC)
		ck_assert_int_eq(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(
					 making, forgery->curve ? forgery->curve : NID_X9_62_prime256v1),
			1);
	ck_assert_int_eq(EVP_PKEY_keygen(making, &key), 1);
	EVP_PKEY_CTX_free(making);
	return key;
}

static void forge_extension(X509 *certificate, int nid, const char *value)
{
	if (!value)
		return;
	X509V3_CTX context;
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, (char *)value);
	ck_assert_ptr_nonnull(extension);
	ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static void forge_name(X509_NAME *name, const char *field, const char *value, int len)
{
	if (value)
		ck_assert_int_eq(X509_NAME_add_entry_by_txt(
					 name, field, MBSTRING_ASC, (const unsigned char *)value, len, -1, 0),
			1);
}

static void forge_signature(X509 *certificate, EVP_PKEY *key, const struct forgery *forgery)
{
	const EVP_MD *hash = EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? NULL
			     : forgery->sha1			  ? EVP_sha1()
								  : EVP_sha256();
	EVP_MD_CTX *signing = EVP_MD_CTX_new();
	EVP_PKEY_CTX *padding = NULL;
	ck_assert_int_eq(
		EVP_DigestSignInit(signing, &padding, forgery->pss_sha1 ? EVP_sha1() : hash, NULL, key), 1);
	if (forgery->pss_sha1 || forgery->pss_sha256) {
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING), 1);
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, -1), 1);
	}
	ck_assert_int_gt(X509_sign_ctx(certificate, signing), 0);
	EVP_MD_CTX_free(signing);
}

struct identity identity_forge(const struct forgery *forgery, const struct identity *issuer)
{
	X509 *certificate = X509_new(), *ca = NULL;
	EVP_PKEY *key = forge_key(forgery), *ca_key = NULL;
	if (issuer) {
		BIO *text = BIO_new_mem_buf(issuer->cert, -1);
		ca = PEM_read_bio_X509(text, NULL, NULL, NULL);
		BIO_free(text);
		text = BIO_new_mem_buf(issuer->key, -1);
		ca_key = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
		BIO_free(text);
	}
	bool usual = forgery->begins_s == 0 && forgery->ends_s == 0;
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 4711);
	X509_gmtime_adj(X509_getm_notBefore(certificate), usual ? -60 : forgery->begins_s);
	X509_gmtime_adj(X509_getm_notAfter(certificate), usual ? 86400 : forgery->ends_s);
	X509_NAME *subject = X509_get_subject_name(certificate);
	forge_name(subject, "C", forgery->organization ? "KG" : NULL, -1);
	forge_name(subject, "O", forgery->organization, -1);
	forge_name(subject, "CN", forgery->name, forgery->name_len ? forgery->name_len : -1);
	forge_name(subject, "emailAddress", forgery->email, -1);
	X509_set_issuer_name(certificate, X509_get_subject_name(ca ? ca : certificate));
	X509_set_pubkey(certificate, key);
	forge_extension(certificate, NID_basic_constraints, forgery->ca ? "critical,CA:TRUE" : NULL);
	forge_extension(certificate, NID_key_usage, forgery->usage);
	forge_extension(certificate, NID_ext_key_usage, forgery->extended_usage);
	forge_extension(certificate, NID_subject_alt_name, forgery->alternative_name);
	forge_signature(certificate, ca_key ? ca_key : key, forgery);

	struct identity out;
	char *start;
	BIO *text = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(text, certificate);
	long len = BIO_get_mem_data(text, &start);
	out.cert = strndup(start, (size_t)len);
	BIO_free(text);
	text = BIO_new(BIO_s_mem());
	PEM_write_bio_PKCS8PrivateKey(text, key, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(text, &start);
	out.key = strndup(start, (size_t)len);
	BIO_free(text);
	X509_free(certificate);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	ERR_clear_error();
	return out;
}

struct tls_settings settings_of(bool server, const struct identity *ca, const struct identity *own)
{
	return (struct tls_settings){
		.server = server,
		.ca_pem = ca ? ca->cert : NULL,
		.cert_pem = own->cert,
		.key_pem = own->key,
		.version_min = 0x0303,
		.profile = TLS_PROFILE_LEGACY,
	};
}

static size_t sign_at_once(void *context, uint16_t algorithm, const uint8_t *input, size_t input_len,
	uint8_t *signature, size_t room)
{
	return tls_key_sign(context, algorithm, input, input_len, signature, room);
}

struct tls_settings settings_of_worker(
	const struct identity *ca, const struct identity *own, struct tls_key *key)
{
	struct tls_settings settings = settings_of(true, ca, own);
	settings.key_pem = NULL;
	settings.sign = sign_at_once;
	settings.sign_context = key;
	return settings;
}

struct tls_context *context_of(const struct tls_settings *settings)
{
	char error[TLS_REASON_MAX], warning[TLS_REASON_MAX];
	struct tls_context *context = tls_context_new(settings, error, warning);
	ck_assert_msg(context != NULL, "%s", error);
	ck_assert_str_eq(error, "");
	return context;
}

void assert_settings_refused(const struct tls_settings *settings, const char *beginning)
{
	char error[TLS_REASON_MAX], warning[TLS_REASON_MAX];
	struct tls_context *context = tls_context_new(settings, error, warning);
	ck_assert_ptr_null(context);
	ck_assert_msg(strncmp(error, beginning, strlen(beginning)) == 0, "'%s'", error);
}

void assert_contains(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "'%s' does not say '%s'", text, part);
}

struct pair pair_new(const struct tls_settings *client, const struct tls_settings *server)
{
	struct pair pair = { .client_context = context_of(client), .server_context = context_of(server) };
	pair.client = tls_new(pair.client_context);
	pair.server = tls_new(pair.server_context);
	pair.key = server->sign_context;
	ck_assert_ptr_nonnull(pair.client);
	ck_assert_ptr_nonnull(pair.server);
	return pair;
}

void pair_carry(struct tls *from, struct tls *to)
{
	uint8_t some[1000];
	size_t len;
	while ((len = tls_drain(from, some, sizeof some)) > 0)
		tls_feed(to, some, len);
}

static void answer(struct pair *pair)
{
	struct tls_signature_request request;
	uint8_t signature[TLS_SIGNATURE_MAX];
	if (!pair->key || !tls_signature_wanted(pair->server, &request))
		return;
	size_t len = tls_key_sign(
		pair->key, request.algorithm, request.input, request.input_len, signature, sizeof signature);
	pair->signatures++;
	tls_signature_give(pair->server, signature, len);
	tls_step(pair->server);
}

void pair_run(struct pair *pair)
{
	tls_step(pair->client);
	do {
		pair_carry(pair->client, pair->server);
		answer(pair);
		pair_carry(pair->server, pair->client);
	} while (tls_pending(pair->client) > 0);
}

struct pair pair_met(const struct tls_settings *client, const struct tls_settings *server)
{
	struct pair pair = pair_new(client, server);
	pair_run(&pair);
	return pair;
}

void pair_free(struct pair *pair)
{
	tls_free(&pair->client);
	tls_free(&pair->server);
	tls_context_free(&pair->client_context);
	tls_context_free(&pair->server_context);
}
