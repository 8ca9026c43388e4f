/* SPDX-License-Identifier: MIT
 * PEM texts to certificates, CRLs and keys, and the library's error queue to a line of text. Never asks a
 * terminal for a passphrase, as the libraries do when left alone. */
#include "common/tls/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct passphrase {
	const char *text;
	bool asked;
};

static int give_passphrase(char *out, int room, int writing, void *context)
{
	(void)writing;
	struct passphrase *passphrase = context;
	if (!passphrase)
		return -1;
	passphrase->asked = true;
	size_t len = passphrase->text ? strlen(passphrase->text) : 0;
	if (!passphrase->text || room < 0 || len > (size_t)room)
		return -1;
	memcpy(out, passphrase->text, len);
	return (int)len;
}

/* A PEM reader says "no start line" after the last block; any other complaint is about a broken one. */
static bool at_end(void)
{
	unsigned long error = ERR_peek_last_error();
	bool end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return end;
}

void certificates_free(STACK_OF(X509) * list)
{
	sk_X509_pop_free(list, X509_free);
}

void crls_free(STACK_OF(X509_CRL) * list)
{
	sk_X509_CRL_pop_free(list, X509_CRL_free);
}

STACK_OF(X509) * pem_certificates(const char *pem)
{
	ERR_clear_error();
	BIO *text = BIO_new_mem_buf(pem, (int)strlen(pem));
	STACK_OF(X509) *list = sk_X509_new_null();
	bool ok = text && list;
	X509 *next;
	while (ok && (next = PEM_read_bio_X509(text, NULL, give_passphrase, NULL)) != NULL) {
		ok = sk_X509_push(list, next) != 0;
		if (!ok)
			X509_free(next);
	}
	ok = ok && at_end() && sk_X509_num(list) > 0;
	BIO_free(text);
	if (!ok) {
		certificates_free(list);
		list = NULL;
	}
	ERR_clear_error();
	return list;
}

STACK_OF(X509_CRL) * pem_crls(const char *pem)
{
	ERR_clear_error();
	BIO *text = BIO_new_mem_buf(pem, (int)strlen(pem));
	STACK_OF(X509_CRL) *list = sk_X509_CRL_new_null();
	bool ok = text && list;
	X509_CRL *next;
	while (ok && (next = PEM_read_bio_X509_CRL(text, NULL, give_passphrase, NULL)) != NULL) {
		ok = sk_X509_CRL_push(list, next) != 0;
		if (!ok)
			X509_CRL_free(next);
	}
	ok = ok && at_end() && sk_X509_CRL_num(list) > 0;
	BIO_free(text);
	if (!ok) {
		crls_free(list);
		list = NULL;
	}
	ERR_clear_error();
	return list;
}

EVP_PKEY *pem_key(const char *pem, size_t len, const char *passphrase, bool *encrypted)
{
	struct passphrase answer = { .text = passphrase };
	BIO *text = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, give_passphrase, &answer) : NULL;
	BIO_free(text);
	ERR_clear_error();
	*encrypted = answer.asked;
	return key;
}

char *library_reason(char *out, size_t room)
{
	unsigned long error = ERR_peek_error(), next;
	/* The first complaint of the TLS layer says most; what parsers below it queued before is only the
	 * detail. */
	while ((next = ERR_get_error()) != 0) {
		if (ERR_GET_LIB(next) == ERR_LIB_SSL) {
			error = next;
			break;
		}
	}
	ERR_clear_error();
	int reason = ERR_GET_REASON(error);
	const char *text = ERR_reason_error_string(error);
	if (error == 0)
		snprintf(out, room, "the TLS library failed without a reason");
	else if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET)
		snprintf(out, room, "peer sent alert: %s",
			SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
	else if (text)
		snprintf(out, room, "%s", text);
	else
		snprintf(out, room, "TLS library error %08lx", error);
	for (char *at = out; *at; at++) /* one library says NO_SHARED_CIPHER, the other "no shared cipher" */
		*at = *at == '_' ? ' '
				 : (char)(reason < SSL_AD_REASON_OFFSET ? tolower((unsigned char)*at) : *at);
	return out;
}
