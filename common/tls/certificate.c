/* SPDX-License-Identifier: MIT
 * One certificate's names, usages and strength: plain questions with a yes, a text or a reason. Which of them
 * are asked, and of whom, is decided in verify.c. */
#include "common/tls/certificate.h"

#include "common/base/bytes.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/objects.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELD_MAX = 64 };

/* Control characters and DEL, as stock has it; bytes above 127 are UTF-8 and stay. */
static void remap(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 32 || *text == 127)
			*text = '_';
}

char *certificate_subject(const X509_NAME *name)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text = NULL;
	const uint8_t *at = NULL;
	size_t len = 0;
	if (!out)
		return NULL;
	if (X509_NAME_print_ex(out, name, 0,
		    XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN | ASN1_STRFLGS_UTF8_CONVERT |
			    ASN1_STRFLGS_ESC_CTRL) < 0)
		goto cleanup;
	char *start = NULL;
	long have = BIO_get_mem_data(out, &start);
	at = (const uint8_t *)start;
	len = have > 0 ? (size_t)have : 0;
	text = malloc(len + 1);
	if (!text)
		goto cleanup;
	if (len)
		memcpy(text, at, len);
	text[len] = '\0';
	remap(text);
	if (text[0] == '-') /* it becomes an argument of scripts */
		text[0] = '_';
cleanup:
	BIO_free(out);
	return text;
}

/* An ASN.1 string as UTF-8, at most 64 bytes, without a zero byte inside. */
static bool string_text(const ASN1_STRING *string, char out[FIELD_MAX + 1])
{
	unsigned char *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, string);
	bool ok = len >= 0 && len <= FIELD_MAX && memchr(utf8, 0, (size_t)len) == NULL;
	if (ok) {
		memcpy(out, utf8, (size_t)len);
		out[len] = '\0';
	}
	OPENSSL_free(utf8);
	return ok;
}

/* The last occurrence of an attribute counts. */
static bool subject_field(const X509 *certificate, const char *field, char out[FIELD_MAX + 1])
{
	ASN1_OBJECT *object = OBJ_txt2obj(field, 0);
	if (!object)
		return false;
	X509_NAME *subject = X509_get_subject_name(certificate);
	int last = -1, next = -1;
	while ((next = X509_NAME_get_index_by_OBJ(subject, object, next)) >= 0)
		last = next;
	ASN1_OBJECT_free(object);
	X509_NAME_ENTRY *entry = last < 0 ? NULL : X509_NAME_get_entry(subject, last);
	return entry && string_text(X509_NAME_ENTRY_get_data(entry), out);
}

static bool alternative_name(const X509 *certificate, int nid, char out[FIELD_MAX + 1])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, nid, NULL, NULL);
	bool found = false;
	for (size_t i = 0; names && i < (size_t)sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, (int)i);
		if (name->type == GEN_EMAIL && string_text(name->d.rfc822Name, out))
			found = true;
	}
	GENERAL_NAMES_free(names);
	return found;
}

static bool serial_in_hex(const X509 *certificate, char out[FIELD_MAX + 1])
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
	size_t len = (size_t)ASN1_STRING_length(serial);
	const uint8_t *at = ASN1_STRING_get0_data(serial);
	if (2 + 2 * len > FIELD_MAX)
		return false;
	size_t used = (size_t)snprintf(out, FIELD_MAX + 1, "0x");
	for (size_t i = 0; i < len; i++)
		used += (size_t)snprintf(out + used, FIELD_MAX + 1 - used, "%02X", at[i]);
	return true;
}

static bool one_field(const X509 *certificate, const char *field, char out[FIELD_MAX + 1])
{
	if (strcmp(field, "ext:subjectAltName") == 0)
		return alternative_name(certificate, NID_subject_alt_name, out);
	if (strcmp(field, "ext:issuerAltName") == 0)
		return alternative_name(certificate, NID_issuer_alt_name, out);
	if (strcmp(field, "serialNumber") == 0)
		return serial_in_hex(certificate, out);
	return subject_field(certificate, field, out);
}

/* Takes the next word of `fields`; false when there is none, or it is longer than any name. */
static bool next_field(const char **fields, char out[FIELD_MAX + 1])
{
	const char *at = *fields + strspn(*fields, " ");
	size_t len = strcspn(at, " ");
	*fields = at + len;
	if (len == 0 || len > FIELD_MAX)
		return false;
	memcpy(out, at, len);
	out[len] = '\0';
	return true;
}

bool certificate_name_known(const char *fields)
{
	char field[FIELD_MAX + 1];
	size_t count = 0;
	while (next_field(&fields, field)) {
		bool extension = strncmp(field, "ext:", 4) == 0;
		if (extension && strcmp(field, "ext:subjectAltName") && strcmp(field, "ext:issuerAltName"))
			return false;
		if (!extension && OBJ_txt2nid(field) == NID_undef)
			return false;
		count++;
	}
	return count > 0 && *fields == '\0';
}

bool certificate_name(X509 *certificate, const char *fields, char out[TLS_NAME_MAX])
{
	const char *left = fields ? fields : "CN";
	char field[FIELD_MAX + 1], value[FIELD_MAX + 1];
	size_t used = 0, count = 0;
	out[0] = '\0';
	while (next_field(&left, field)) {
		if (!one_field(certificate, field, value))
			return false;
		size_t need = strlen(value) + (count > 0);
		if (need >= TLS_NAME_MAX - used)
			return false;
		used += (size_t)snprintf(out + used, TLS_NAME_MAX - used, "%s%s", count ? "_" : "", value);
		count++;
	}
	remap(out);
	return used > 0;
}

bool certificate_serial(const X509 *certificate, char *out, size_t room)
{
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
	char *text = number ? BN_bn2dec(number) : NULL;
	bool ok = text && strlen(text) < room;
	snprintf(out, room, "%s", ok ? text : "");
	OPENSSL_free(text);
	BN_free(number);
	return ok;
}

bool certificate_fingerprint(const X509 *certificate, uint8_t out[TLS_FINGERPRINT_LEN])
{
	return X509_digest(certificate, EVP_sha256(), out, NULL) == 1;
}

bool certificate_name_hash(const X509_NAME *name, uint8_t out[TLS_FINGERPRINT_LEN])
{
	return X509_NAME_digest(name, EVP_sha256(), out, NULL) == 1;
}

bool certificate_has_key_usage(X509 *certificate)
{
	return X509_get_ext_by_NID(certificate, NID_key_usage, -1) >= 0;
}

bool certificate_covers_key_usage(X509 *certificate, const unsigned *wanted, unsigned count)
{
	if (!certificate_has_key_usage(certificate))
		return false;
	unsigned usage = X509_get_key_usage(certificate) & 0xff;
	for (unsigned i = 0; i < count; i++)
		if (wanted[i] != 0 && (usage & wanted[i]) == wanted[i])
			return true;
	return false;
}

bool certificate_has_extended_usage(X509 *certificate, const char *wanted)
{
	EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);
	bool found = false;
	for (size_t i = 0; list && !found && i < (size_t)sk_ASN1_OBJECT_num(list); i++) {
		const ASN1_OBJECT *usage = sk_ASN1_OBJECT_value(list, (int)i);
		for (int dotted = 0; dotted <= 1 && !found; dotted++) {
			char text[128];
			int len = OBJ_obj2txt(text, sizeof text, usage, dotted);
			found = len > 0 && (size_t)len < sizeof text && strcmp(text, wanted) == 0;
		}
	}
	sk_ASN1_OBJECT_pop_free(list, ASN1_OBJECT_free);
	return found;
}

/* -- tls-cert-profile -- */

static const struct {
	int rsa_bits, curve_bits, hash_bits;
} least[] = {
	[TLS_PROFILE_INSECURE] = { 0, 0, 0 },
	[TLS_PROFILE_LEGACY] = { 1024, 160,
		224 }, /* SHA-1 counts as 160, and is too short everywhere but in "insecure" */
	[TLS_PROFILE_PREFERRED] = { 2048, 224, 224 },
	[TLS_PROFILE_SUITEB] = { 3072, 256, 256 },
};

/* The named curve stands in the public key's algorithm parameters. */
static int curve_of(X509 *certificate)
{
	X509_ALGOR *algorithm = NULL;
	const void *curve = NULL;
	int type = V_ASN1_UNDEF;
	if (X509_PUBKEY_get0_param(NULL, NULL, NULL, &algorithm, X509_get_X509_PUBKEY(certificate)) == 1)
		X509_ALGOR_get0(NULL, &type, &curve, algorithm);
	return type == V_ASN1_OBJECT ? OBJ_obj2nid(curve) : NID_undef;
}

const char *certificate_key_weakness(X509 *certificate, enum tls_profile profile)
{
	EVP_PKEY *key = X509_get_pubkey(certificate);
	const char *wrong = NULL;
	if (!key)
		return "its public key cannot be read";
	int type = EVP_PKEY_id(key), bits = EVP_PKEY_bits(key);
	bool rsa = type == EVP_PKEY_RSA || type == NID_rsassaPss;
	if (profile == TLS_PROFILE_SUITEB) {
		int curve = type == EVP_PKEY_EC ? curve_of(certificate) : NID_undef;
		if (curve != NID_X9_62_prime256v1 && curve != NID_secp384r1)
			wrong = "its key is not ECDSA P-256 or P-384, which tls-cert-profile suiteb asks for";
	} else if (rsa ? bits < least[profile].rsa_bits : bits < least[profile].curve_bits) {
		wrong = "its key is too short for tls-cert-profile";
	} else if (!rsa && type != EVP_PKEY_EC && type != EVP_PKEY_ED25519 &&
		   profile != TLS_PROFILE_INSECURE) {
		wrong = "its key is of a kind that tls-cert-profile does not know";
	}
	EVP_PKEY_free(key);
	return wrong;
}

/* The hash of an RSA-PSS signature stands in its parameters:
 *   SEQUENCE { [0] { SEQUENCE { OID hash ... } } ... };  absent: SHA-1.
 * Only the SHA-2 family is known here: 2.16.840.1.101.3.4.2.{1,2,3}. All lengths are below 128. */
static int pss_hash_bits(const X509_ALGOR *algorithm)
{
	static const uint8_t sha2[] = { 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02 };
	const ASN1_OBJECT *object;
	const void *value = NULL;
	int type;
	X509_ALGOR_get0(&object, &type, &value, algorithm);
	if (type != V_ASN1_SEQUENCE)
		return 160;
	const ASN1_STRING *string = value;
	struct bytes in = bytes_of(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
	if (read_u8(&in) != 0x30 || read_u8(&in) >= 0x80 || read_u8(&in) != 0xa0 || read_u8(&in) >= 0x80 ||
		read_u8(&in) != 0x30 || read_u8(&in) >= 0x80 || read_u8(&in) != 0x06 ||
		read_u8(&in) != sizeof sha2 + 1)
		return 160;
	const uint8_t *at = read_view(&in, sizeof sha2);
	uint8_t which = read_u8(&in);
	if (!bytes_ok(&in) || memcmp(at, sha2, sizeof sha2) != 0)
		return 160;
	return which == 1 ? 256 : which == 2 ? 384 : which == 3 ? 512 : 160;
}

/* Output bits of the hash that was signed, with SHA-1 and MD5 at their length. 0: unknown. */
static int signature_hash_bits(const X509 *certificate, int *hash)
{
	int key = NID_undef, nid = X509_get_signature_nid(certificate);
	*hash = NID_undef;
	if (nid == NID_rsassaPss)
		return pss_hash_bits(X509_get0_tbs_sigalg(certificate));
	if (nid == NID_ED25519)
		return 512;
	if (!OBJ_find_sigid_algs(nid, hash, &key))
		return 0;
	const EVP_MD *digest = EVP_get_digestbynid(*hash);
	return digest ? (int)EVP_MD_size(digest) * 8 : 0;
}

const char *certificate_signature_weakness(const X509 *certificate, enum tls_profile profile)
{
	int hash, bits = signature_hash_bits(certificate, &hash);
	if (profile == TLS_PROFILE_SUITEB && ((hash != NID_sha256 && hash != NID_sha384) ||
						     X509_get_signature_nid(certificate) == NID_rsassaPss))
		return "it is not signed with SHA-256 or SHA-384, which tls-cert-profile suiteb asks for";
	if (bits < least[profile].hash_bits)
		return "its signature uses a hash that is too weak for tls-cert-profile";
	return NULL;
}
