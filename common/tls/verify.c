/* SPDX-License-Identifier: MIT
 * Is the peer's certificate good enough? The library judges signatures, dates, CA and CRL; what OpenVPN's
 * directives ask beyond that (profile, usages, name, fingerprint) is judged here, the same with either
 * library. Every refusal leaves one line: whose certificate, what is wrong with it. */
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/tls/certificate.h"
#include "common/tls/kept_chains.h"
#include "common/tls/tls_inside.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "certificate of 'CN' (serial N): what; depth D, subject ..." with outside text escaped, cut at the end. */
static void refuse(struct tls *tls, X509 *certificate, int depth, const char *what)
{
	char name[TLS_NAME_MAX] = "", serial[64] = "", name_shown[100];
	char *subject = NULL;
	if (certificate) {
		certificate_name(certificate, "CN", name);
		certificate_serial(certificate, serial, sizeof serial);
		subject = certificate_subject(X509_get_subject_name(certificate));
	}
	text_escape(name_shown, sizeof name_shown, name, strlen(name), "'");
	int len = snprintf(tls->reason, sizeof tls->reason,
		"certificate of '%s' (serial %s): %s; depth %d, subject ", name_shown,
		serial[0] ? serial : "unknown", what, depth);
	if (subject && len > 0 && (size_t)len < sizeof tls->reason)
		text_escape(
			tls->reason + len, sizeof tls->reason - (size_t)len, subject, strlen(subject), NULL);
	free(subject);
}

static void refuse_issuer(struct tls *tls, X509 *certificate, int depth)
{
	char shown[160], what[192];
	char *issuer = certificate ? certificate_subject(X509_get_issuer_name(certificate)) : NULL;
	text_escape(shown, sizeof shown, issuer ? issuer : "", issuer ? strlen(issuer) : 0, NULL);
	snprintf(what, sizeof what, "unknown CA: %s", shown);
	free(issuer);
	refuse(tls, certificate, depth, what);
}

static void refuse_for_library(struct tls *tls, X509_STORE_CTX *chain)
{
	X509 *certificate = X509_STORE_CTX_get_current_cert(chain);
	int error = X509_STORE_CTX_get_error(chain), depth = X509_STORE_CTX_get_error_depth(chain);
	switch (error) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		refuse_issuer(tls, certificate, depth);
		break;
	case X509_V_ERR_CERT_REVOKED:
		refuse(tls, certificate, depth, "certificate is revoked by the CRL");
		break;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
		refuse(tls, certificate, depth, "there is no CRL of its issuer");
		break;
	default:
		refuse(tls, certificate, depth, X509_verify_cert_error_string(error));
	}
}

/* The CRL of the leaf's issuer must be there; that of a CA above need not (stock warns and goes on). One that
 * is there must be current at every level. */
static int each_certificate(int ok, X509_STORE_CTX *chain)
{
	if (!ok && X509_STORE_CTX_get_error(chain) == X509_V_ERR_UNABLE_TO_GET_CRL &&
		X509_STORE_CTX_get_error_depth(chain) > 0) {
		X509_STORE_CTX_set_error(chain, X509_V_OK);
		return 1;
	}
	return ok;
}

static const char *chain_weakness(
	STACK_OF(X509) * chain, enum tls_profile profile, X509 **certificate, int *depth)
{
	int count = (int)sk_X509_num(chain);
	for (int i = 0; i < count; i++) {
		*certificate = sk_X509_value(chain, i);
		*depth = i;
		const char *wrong = certificate_key_weakness(*certificate, profile);
		/* The last one is trusted for itself, so nobody relies on its signature. */
		if (!wrong && i < count - 1)
			wrong = certificate_signature_weakness(*certificate, profile);
		if (wrong)
			return wrong;
	}
	return NULL;
}

static const char *wrong_usage(const struct peer_policy *policy, X509 *leaf)
{
	bool ssl_usage = policy->want_client_usage || policy->want_server_usage;
	if ((policy->want_key_usage || ssl_usage) && !certificate_has_key_usage(leaf))
		return "it has no key usage extension";
	if (policy->want_client_usage &&
		!certificate_has_extended_usage(leaf, "TLS Web Client Authentication"))
		return "its extended key usage does not allow TLS client authentication (remote-cert-tls)";
	if (policy->want_server_usage &&
		!certificate_has_extended_usage(leaf, "TLS Web Server Authentication"))
		return "its extended key usage does not allow TLS server authentication (remote-cert-tls)";
	if (policy->key_usage_count &&
		!certificate_covers_key_usage(leaf, policy->key_usages, policy->key_usage_count))
		return "its key usage covers none of those asked for (remote-cert-ku)";
	if (policy->extended_usage && !certificate_has_extended_usage(leaf, policy->extended_usage))
		return "its extended key usage is not the one asked for (remote-cert-eku)";
	return NULL;
}

static const char *wrong_name(const struct peer_policy *policy, const char *name, const char *subject)
{
	const char *wanted = policy->name_wanted;
	bool right = true;
	switch (policy->name_check) {
	case TLS_NAME_ANY:
		break;
	case TLS_NAME_SUBJECT:
		right = strcmp(subject, wanted) == 0;
		break;
	case TLS_NAME_EXACT:
		right = strcmp(name, wanted) == 0;
		break;
	case TLS_NAME_PREFIX:
		right = strncmp(name, wanted, strlen(wanted)) == 0;
		break;
	}
	return right ? NULL : "its name is not the one asked for (verify-x509-name)";
}

static bool listed(const struct peer_policy *policy, const uint8_t fingerprint[TLS_FINGERPRINT_LEN])
{
	bool found = false;
	for (unsigned i = 0; i < policy->fingerprint_count; i++)
		found |= secret_equal(policy->fingerprints[i], fingerprint, TLS_FINGERPRINT_LEN);
	return found;
}

/* Fills in tls->peer. NULL, or what is wrong with the leaf. */
static const char *judge_leaf(struct tls *tls, X509 *leaf)
{
	const struct peer_policy *policy = &tls->context->policy;
	struct tls_peer *peer = &tls->peer;
	if (!certificate_fingerprint(leaf, peer->fingerprint))
		return "its fingerprint cannot be computed";
	if (!certificate_name_hash(X509_get_issuer_name(leaf), peer->issuer))
		return "its issuer's name cannot be hashed";
	if (policy->fingerprint_count && !listed(policy, peer->fingerprint))
		return "its fingerprint is not listed (peer-fingerprint)";
	if (!certificate_serial(leaf, peer->serial, sizeof peer->serial))
		return "its serial number is too long";
	if (!certificate_name(leaf, policy->username_field, peer->name))
		return "it has no usable name (x509-username-field, at most 64 bytes)";
	const char *wrong = wrong_usage(policy, leaf);
	if (wrong)
		return wrong;
	char *subject = certificate_subject(X509_get_subject_name(leaf));
	if (!subject)
		return "out of memory";
	snprintf(peer->subject, sizeof peer->subject, "%s", subject);
	wrong = wrong_name(policy, peer->name, subject);
	free(subject);
	return wrong;
}

static int refused(X509_STORE_CTX *chain, int error)
{
	X509_STORE_CTX_set_error(chain, error);
	ERR_clear_error();
	return 0;
}

/* NULL, or what is wrong with which certificate of a chain that the library found good. */
static const char *judge_chain(struct tls *tls, X509_STORE_CTX *chain, X509 **weak, int *depth)
{
	const char *wrong = chain_weakness(
		X509_STORE_CTX_get0_chain(chain), tls->context->policy.profile, weak, depth);
	if (!wrong)
		kept_chains_add(tls->context->chains, chain);
	return wrong;
}

int verify_peer(X509_STORE_CTX *chain, void *unused)
{
	(void)unused;
	SSL *library = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(library);
	const struct peer_policy *policy = &tls->context->policy;
	X509 *leaf = X509_STORE_CTX_get0_cert(chain), *weak = leaf;
	int depth = 0;
	const char *wrong = NULL;

	if (tls->context->crl_lost && !tls->peer_known) {
		wrong = "the CRL is lost, so who is revoked is not known";
	} else if (policy->has_ca && !kept_chains_has(tls->context->chains, chain)) {
		X509_STORE_CTX_set_verify_cb(chain, each_certificate);
		if (X509_verify_cert(chain) != 1) {
			int error = X509_STORE_CTX_get_error(chain);
			refuse_for_library(tls, chain);
			return refused(chain, error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error);
		}
		wrong = judge_chain(tls, chain, &weak, &depth);
	} else if (!policy->has_ca) {
		/* Pinned by its fingerprint: like stock, nothing that an issuer vouches for counts. */
		wrong = certificate_key_weakness(leaf, policy->profile);
	}
	if (wrong) {
		refuse(tls, weak, depth, wrong);
		return refused(chain, X509_V_ERR_APPLICATION_VERIFICATION);
	}
	wrong = judge_leaf(tls, leaf);
	if (wrong) {
		refuse(tls, leaf, 0, wrong);
		memset(&tls->peer, 0, sizeof tls->peer);
		return refused(chain, X509_V_ERR_APPLICATION_VERIFICATION);
	}
	X509_STORE_CTX_set_error(chain, X509_V_OK);
	return 1;
}
