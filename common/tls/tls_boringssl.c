/* SPDX-License-Identifier: MIT
 * What only BoringSSL has: signatures that are given later, and its own lists of accepted algorithms. Its
 * defaults already leave out renegotiation, compression and early data. */
#include "common/tls/tls_inside.h"

#include <stdlib.h>
#include <string.h>

/* Its default list lacks Ed25519 and ECDSA P-521, which stock accepts. */
static const uint16_t accepted[] = {
	SSL_SIGN_ED25519, SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384,
	SSL_SIGN_ECDSA_SECP521R1_SHA512, SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA384,
	SSL_SIGN_RSA_PSS_RSAE_SHA512, SSL_SIGN_RSA_PKCS1_SHA256, SSL_SIGN_RSA_PKCS1_SHA384,
	SSL_SIGN_RSA_PKCS1_SHA512, SSL_SIGN_RSA_PKCS1_SHA1, /* last: only in profile "insecure" */
};
static const uint16_t accepted_suiteb[] = { SSL_SIGN_ECDSA_SECP256R1_SHA256,
	SSL_SIGN_ECDSA_SECP384R1_SHA384 };

bool library_prepare(struct tls_context *context, const struct tls_settings *settings)
{
	const uint16_t *list = accepted;
	size_t count = sizeof accepted / sizeof accepted[0] - 1;
	if (settings->profile == TLS_PROFILE_SUITEB) {
		list = accepted_suiteb;
		count = sizeof accepted_suiteb / sizeof accepted_suiteb[0];
	}
	bool sha1 = settings->profile == TLS_PROFILE_INSECURE;
	context->library = SSL_CTX_new(TLS_method());
	if (!context->library)
		return false;
	SSL_CTX_set_options(context->library, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
	return SSL_CTX_set_verify_algorithm_prefs(context->library, list, count + sha1) &&
	       SSL_CTX_set_signing_algorithm_prefs(context->library, list, count);
}

void library_clear(struct tls_context *context)
{
	(void)context;
}

bool library_set_groups(SSL_CTX *library, const char *list)
{
	return SSL_CTX_set1_curves_list(library, list) == 1;
}

bool library_waits_for_signature(int error)
{
	return error == SSL_ERROR_WANT_PRIVATE_KEY_OPERATION;
}

bool library_signature_refused(struct tls *tls)
{
	return tls->sign_answered && tls->signature_len == 0;
}

static enum ssl_private_key_result_t begin_signature(SSL *library, uint8_t *out, size_t *out_len, size_t room,
	uint16_t algorithm, const uint8_t *input, size_t len)
{
	(void)out;
	(void)out_len;
	(void)room;
	struct tls *tls = SSL_get_app_data(library);
	free(tls->sign_input);
	tls->sign_input = malloc(len);
	if (!tls->sign_input)
		return ssl_private_key_failure;
	memcpy(tls->sign_input, input, len);
	tls->sign_input_len = len;
	tls->sign_algorithm = algorithm;
	tls->sign_answered = false;
	return ssl_private_key_retry;
}

static enum ssl_private_key_result_t end_signature(SSL *library, uint8_t *out, size_t *out_len, size_t room)
{
	struct tls *tls = SSL_get_app_data(library);
	if (!tls->sign_answered)
		return ssl_private_key_retry;
	if (tls->signature_len == 0 || tls->signature_len > room)
		return ssl_private_key_failure;
	memcpy(out, tls->signature, tls->signature_len);
	*out_len = tls->signature_len;
	tls->sign_answered = false;
	return ssl_private_key_success;
}

/* Static RSA key exchange is in none of our cipher lists. */
static enum ssl_private_key_result_t never_decrypt(
	SSL *library, uint8_t *out, size_t *out_len, size_t room, const uint8_t *input, size_t len)
{
	(void)input;
	(void)len;
	(void)library;
	(void)out;
	(void)out_len;
	(void)room;
	return ssl_private_key_failure;
}

static const SSL_PRIVATE_KEY_METHOD outside = { begin_signature, never_decrypt, end_signature };

bool library_sign_outside(struct tls_context *context, X509 *certificate, const struct tls_settings *settings,
	char error[TLS_REASON_MAX])
{
	(void)certificate;
	(void)settings;
	(void)error;
	SSL_CTX_set_private_key_method(context->library, &outside);
	return true;
}
