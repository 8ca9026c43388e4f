/* SPDX-License-Identifier: MIT
 * What only OpenSSL (3.0 and later) has: its switches, and signatures from outside through a provider of our
 * own, since its handshake cannot wait for one. Its security levels stay at 0: tls-cert-profile is judged in
 * verify.c and the lists here, the same as with the other library. */
#include "common/tls/tls_openssl.h"
#include "common/tls/tls_inside.h"

#include <openssl/crypto.h>

#include <stdio.h>
#include <stdlib.h>

struct library_extra {
	struct outside_library library; /* made only when the key is not our own */
	struct outside_signer signer;
};

static const char accepted[] = "ed25519:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:"
			       "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
			       "RSA+SHA256:RSA+SHA384:RSA+SHA512";
static const char accepted_insecure[] = "ed25519:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:"
					"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
					"RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1";
static const char accepted_suiteb[] = "ECDSA+SHA256:ECDSA+SHA384";

bool library_prepare(struct tls_context *context, const struct tls_settings *settings)
{
	context->extra = calloc(1, sizeof *context->extra);
	if (!context->extra)
		return false;
	if (settings->cert_pem && !settings->key_pem && !outside_library_init(&context->extra->library))
		return false;
	context->library = SSL_CTX_new_ex(context->extra->library.context, NULL, TLS_method());
	if (!context->library)
		return false;
	SSL_CTX_set_security_level(context->library, 0);
	SSL_CTX_set_options(context->library,
		SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
			SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_SINGLE_DH_USE | SSL_OP_SINGLE_ECDH_USE);
	const char *signatures = settings->profile == TLS_PROFILE_SUITEB     ? accepted_suiteb
				 : settings->profile == TLS_PROFILE_INSECURE ? accepted_insecure
									     : accepted;
	return SSL_CTX_set_num_tickets(context->library, 0) == 1 &&
	       SSL_CTX_set1_sigalgs_list(context->library, signatures) == 1;
}

void library_clear(struct tls_context *context)
{
	if (context->extra)
		outside_library_clear(&context->extra->library);
	free(context->extra);
	context->extra = NULL;
}

bool library_set_groups(SSL_CTX *library, const char *list)
{
	return SSL_CTX_set1_groups_list(library, list) == 1;
}

bool library_waits_for_signature(int error)
{
	(void)error;
	return false;
}

bool library_signature_refused(struct tls *tls)
{
	bool refused = tls->context->extra->signer.refused;
	tls->context->extra->signer.refused = false;
	return refused;
}

bool library_sign_outside(struct tls_context *context, X509 *certificate, const struct tls_settings *settings,
	char error[TLS_REASON_MAX])
{
	struct library_extra *extra = context->extra;
	if (!settings->sign) {
		snprintf(error, TLS_REASON_MAX, "key: none, and with OpenSSL nobody who could sign later");
		return false;
	}
	extra->signer = (struct outside_signer){ .sign = settings->sign, .context = settings->sign_context };
	EVP_PKEY *public_key = X509_get_pubkey(certificate);
	EVP_PKEY *key = public_key ? outside_key_new(&extra->library, public_key, &extra->signer) : NULL;
	bool ok = key && SSL_CTX_use_PrivateKey(context->library, key) == 1;
	if (!ok)
		snprintf(error, TLS_REASON_MAX,
			"key: this kind of certificate cannot be signed for from outside");
	EVP_PKEY_free(key);
	EVP_PKEY_free(public_key);
	return ok;
}
