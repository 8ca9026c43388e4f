/* SPDX-License-Identifier: MIT
 * A small certificate authority for quickstart and tests: keys, certificates and CRLs that OpenVPN's usual
 * checks accept. ECDSA P-256 or RSA-2048, always SHA-256. */
#include "common/tls/certificate.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERIAL_BITS = 127, DAY = 86400, MARGIN = 60 /* seconds that clocks may differ */ };

static EVP_PKEY *make_key(bool rsa)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_id(rsa ? EVP_PKEY_RSA : EVP_PKEY_EC, NULL);
	if (making && EVP_PKEY_keygen_init(making) == 1 &&
		(rsa ? EVP_PKEY_CTX_set_rsa_keygen_bits(making, 2048)
		     : EVP_PKEY_CTX_set_ec_paramgen_curve_nid(making, NID_X9_62_prime256v1)) == 1)
		EVP_PKEY_keygen(making, &key);
	EVP_PKEY_CTX_free(making);
	return key;
}

/* A positive life begins a minute ago; a negative one lies wholly in the past. */
static bool set_life(ASN1_TIME *from, ASN1_TIME *until, int days)
{
	long end = (long)days * DAY;
	return X509_gmtime_adj(from, days > 0 ? -MARGIN : end - DAY) && X509_gmtime_adj(until, end);
}

static bool set_serial(X509 *certificate)
{
	BIGNUM *number = BN_new();
	bool ok = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
		  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return ok;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, (char *)value);
	bool ok = extension && X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return ok;
}

static bool add_extensions(X509 *certificate, X509 *issuer, const struct pki_request *request)
{
	const char *usage = request->is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature";
	const char *extended = request->is_server ? "serverAuth" : "clientAuth";
	return add_extension(certificate, issuer, NID_basic_constraints,
		       request->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
	       add_extension(certificate, issuer, NID_key_usage, usage) &&
	       (request->is_ca || add_extension(certificate, issuer, NID_ext_key_usage, extended)) &&
	       add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
	       add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
}

/* The content of a memory BIO as a malloc'ed text. */
static char *text_of(BIO *out)
{
	char *start = NULL;
	long len = BIO_get_mem_data(out, &start);
	return len > 0 ? strndup(start, (size_t)len) : NULL;
}

static bool give(bool ok, char error[TLS_REASON_MAX])
{
	char why[160];
	if (!ok)
		snprintf(error, TLS_REASON_MAX, "cannot make it: %s", library_reason(why, sizeof why));
	ERR_clear_error();
	return ok;
}

static bool read_issuer(
	const char *cert_pem, const char *key_pem, X509 **issuer, EVP_PKEY **key, char error[TLS_REASON_MAX])
{
	STACK_OF(X509) *certificates = pem_certificates(cert_pem);
	bool encrypted = false;
	*issuer = certificates ? sk_X509_shift(certificates) : NULL;
	*key = pem_key(key_pem, strlen(key_pem), NULL, &encrypted);
	certificates_free(certificates);
	const char *wrong = !*issuer ? "the issuer's certificate is not PEM"
			    : !*key  ? "the issuer's key is not PEM, or needs a passphrase"
			    : X509_check_private_key(*issuer, *key) != 1
				    ? "the issuer's key and certificate differ"
				    : NULL;
	ERR_clear_error();
	if (wrong)
		snprintf(error, TLS_REASON_MAX, "%s", wrong);
	return !wrong;
}

bool pki_make(const struct pki_request *request, char **cert_pem, char **key_pem, char error[TLS_REASON_MAX])
{
	X509 *certificate = NULL, *issuer = NULL;
	EVP_PKEY *key = NULL, *issuer_key = NULL;
	BIO *cert_out = NULL, *key_out = NULL;
	bool ok = false;
	*cert_pem = *key_pem = NULL;
	error[0] = '\0';
	ERR_clear_error();
	if (!request->common_name || !request->common_name[0] || request->days == 0 ||
		!request->issuer_cert_pem != !request->issuer_key_pem) {
		snprintf(error, TLS_REASON_MAX,
			"a name, days of life, and both or none of the issuer's texts are needed");
		return false;
	}
	if (request->issuer_cert_pem &&
		!read_issuer(request->issuer_cert_pem, request->issuer_key_pem, &issuer, &issuer_key, error))
		goto cleanup;
	key = make_key(request->rsa);
	certificate = X509_new();
	ok = key && certificate && X509_set_version(certificate, 2) && set_serial(certificate) &&
	     set_life(X509_getm_notBefore(certificate), X509_getm_notAfter(certificate), request->days) &&
	     X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
		     (const unsigned char *)request->common_name, -1, -1, 0) &&
	     X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate)) &&
	     X509_set_pubkey(certificate, key) &&
	     add_extensions(certificate, issuer ? issuer : certificate, request) &&
	     X509_sign(certificate, issuer_key ? issuer_key : key, EVP_sha256());
	cert_out = BIO_new(BIO_s_mem());
	key_out = BIO_new(BIO_s_mem());
	ok = ok && cert_out && key_out && PEM_write_bio_X509(cert_out, certificate) &&
	     PEM_write_bio_PKCS8PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) &&
	     (*cert_pem = text_of(cert_out)) != NULL && (*key_pem = text_of(key_out)) != NULL;
	if (!give(ok, error)) {
		free(*cert_pem);
		*cert_pem = NULL;
	}
cleanup:
	BIO_free(cert_out);
	BIO_free(key_out);
	EVP_PKEY_free(key);
	EVP_PKEY_free(issuer_key);
	X509_free(certificate);
	X509_free(issuer);
	ERR_clear_error();
	return ok;
}

static bool add_revoked(X509_CRL *crl, const char *cert_pem)
{
	STACK_OF(X509) *certificates = pem_certificates(cert_pem);
	X509_REVOKED *row = X509_REVOKED_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0);
	bool ok = certificates && row && now &&
		  X509_REVOKED_set_serialNumber(row, X509_get_serialNumber(sk_X509_value(certificates, 0))) &&
		  X509_REVOKED_set_revocationDate(row, now) && X509_CRL_add0_revoked(crl, row);
	if (!ok)
		X509_REVOKED_free(row);
	ASN1_TIME_free(now);
	certificates_free(certificates);
	return ok;
}

/* The number grows with time, so that of two CRLs the later one has the higher number (RFC 5280
 * section 5.2.3). */
static bool add_crl_extensions(X509_CRL *crl, X509 *ca)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, ca, NULL, NULL, crl, 0);
	X509_EXTENSION *issuer =
		X509V3_EXT_nconf_nid(NULL, &context, NID_authority_key_identifier, (char *)"keyid:always");
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;
	bool ok = issuer && number && epoch && X509_CRL_add_ext(crl, issuer, -1) &&
		  ASN1_TIME_diff(&days, &seconds, epoch, X509_CRL_get0_lastUpdate(crl)) &&
		  ASN1_INTEGER_set(number, (long)days * DAY + seconds) &&
		  X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0);
	ASN1_TIME_free(epoch);
	ASN1_INTEGER_free(number);
	X509_EXTENSION_free(issuer);
	return ok;
}

bool pki_make_crl(const char *ca_cert_pem, const char *ca_key_pem, const char *const *revoked_cert_pems,
	size_t count, int days, char **crl_pem, char error[TLS_REASON_MAX])
{
	X509 *ca = NULL;
	EVP_PKEY *key = NULL;
	X509_CRL *crl = NULL;
	BIO *out = NULL;
	ASN1_TIME *from = ASN1_TIME_new(), *until = ASN1_TIME_new();
	bool ok = false;
	*crl_pem = NULL;
	error[0] = '\0';
	ERR_clear_error();
	if (!read_issuer(ca_cert_pem, ca_key_pem, &ca, &key, error))
		goto cleanup;
	crl = X509_CRL_new();
	ok = crl && from && until && X509_CRL_set_version(crl, 1) &&
	     X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) && set_life(from, until, days) &&
	     X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until);
	for (size_t i = 0; ok && i < count; i++)
		ok = add_revoked(crl, revoked_cert_pems[i]);
	out = BIO_new(BIO_s_mem());
	ok = ok && out && add_crl_extensions(crl, ca) && X509_CRL_sort(crl) &&
	     X509_CRL_sign(crl, key, EVP_sha256()) && PEM_write_bio_X509_CRL(out, crl) &&
	     (*crl_pem = text_of(out)) != NULL;
	give(ok, error);
cleanup:
	BIO_free(out);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	X509_CRL_free(crl);
	X509_free(ca);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return ok;
}
