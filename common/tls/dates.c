/* SPDX-License-Identifier: MIT
 * How long certificates and revocation lists last. */
#include "common/tls/certificate.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <string.h>

/* Both libraries give a difference of two times, not a number. */
static bool to_unix(const ASN1_TIME *time, int64_t *out)
{
	int days = 0, seconds = 0;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	bool good = epoch && time && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;

	ASN1_TIME_free(epoch);
	ERR_clear_error();
	*out = (int64_t)days * 86400 + seconds;
	return good;
}

bool tls_certificate_ends(const char *cert_pem, int64_t *unix_seconds)
{
	STACK_OF(X509) *list = pem_certificates(cert_pem);
	bool good = list && sk_X509_num(list) > 0 &&
		to_unix(X509_get0_notAfter(sk_X509_value(list, 0)), unix_seconds);

	certificates_free(list);
	return good;
}

bool tls_crl_ends(const char *crl_pem, int64_t *unix_seconds)
{
	STACK_OF(X509_CRL) *list = pem_crls(crl_pem);
	bool found = false;
	int64_t ends;

	for (size_t i = 0; list && i < (size_t)sk_X509_CRL_num(list); i++) {
		if (!to_unix(X509_CRL_get0_nextUpdate(sk_X509_CRL_value(list, (int)i)), &ends))
			continue;
		if (!found || ends < *unix_seconds)
			*unix_seconds = ends;
		found = true;
	}
	crls_free(list);
	return found;
}
