/* SPDX-License-Identifier: MIT
 * A provider for OpenSSL that has no private keys. Its keys are a certificate's public half; a signature is
 * asked of somebody else, who is given the whole input and not its hash, so that he can see what he signs.
 * OpenSSL takes the sign operation from the provider that holds the key, which is why this works without an
 * engine. */
#include "common/tls/tls_openssl.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PROVIDER_NAME "vpnserverd-outside"
#define SIGNER_PARAM "vpnserverd-signer" /* address of the struct outside_signer, by fromdata */
#define PUBLIC_PARAM "vpnserverd-public" /* address of the EVP_PKEY */

/* -- keys -- */

struct outside_key {
	const char *type; /* "RSA", "EC", "ED25519" */
	EVP_PKEY *public_key;
	struct outside_signer *signer; /* NULL: a public key that was brought here to be compared */
};

static void *key_new(const char *type)
{
	struct outside_key *key = calloc(1, sizeof *key);
	if (key)
		key->type = type;
	return key;
}

static void *key_new_rsa(void *provider)
{
	(void)provider;
	return key_new("RSA");
}

static void *key_new_ec(void *provider)
{
	(void)provider;
	return key_new("EC");
}

static void *key_new_ed25519(void *provider)
{
	(void)provider;
	return key_new("ED25519");
}

static void key_free(void *data)
{
	struct outside_key *key = data;
	if (key)
		EVP_PKEY_free(key->public_key);
	free(key);
}

static int key_has(const void *data, int selection)
{
	const struct outside_key *key = data;
	return key && key->public_key && (!(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || key->signer);
}

static int key_match(const void *a, const void *b, int selection)
{
	(void)selection;
	const struct outside_key *one = a, *other = b;
	return one->public_key && other->public_key && EVP_PKEY_eq(one->public_key, other->public_key) == 1;
}

static void *pointer_param(const OSSL_PARAM params[], const char *name)
{
	const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, name);
	void *out = NULL;
	if (param && param->data_type == OSSL_PARAM_OCTET_STRING && param->data_size == sizeof out)
		memcpy(&out, param->data, sizeof out);
	return out;
}

/* Either our own two addresses, or some public key in its usual parameters. */
static int key_import(void *data, int selection, const OSSL_PARAM params[])
{
	(void)selection;
	struct outside_key *key = data;
	EVP_PKEY *public_key = pointer_param(params, PUBLIC_PARAM);
	EVP_PKEY_free(key->public_key);
	key->public_key = NULL;
	key->signer = pointer_param(params, SIGNER_PARAM);
	if (public_key) {
		EVP_PKEY_up_ref(public_key);
		key->public_key = public_key;
		return 1;
	}
	EVP_PKEY_CTX *building = EVP_PKEY_CTX_new_from_name(NULL, key->type, NULL);
	if (building && EVP_PKEY_fromdata_init(building) == 1)
		EVP_PKEY_fromdata(building, &key->public_key, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params);
	EVP_PKEY_CTX_free(building);
	return key->public_key != NULL;
}

static const OSSL_PARAM *key_import_types(int selection)
{
	(void)selection;
	static const OSSL_PARAM types[] = { OSSL_PARAM_octet_string(PUBLIC_PARAM, NULL, 0),
		OSSL_PARAM_octet_string(SIGNER_PARAM, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END };
	return types;
}

/* Bits, sizes, the curve's name: all public. */
static int key_get_params(void *data, OSSL_PARAM params[])
{
	const struct outside_key *key = data;
	return EVP_PKEY_get_params(key->public_key, params);
}

static const OSSL_PARAM *key_gettable_params(void *provider)
{
	(void)provider;
	static const OSSL_PARAM types[] = { OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0), OSSL_PARAM_END };
	return types;
}

static const char *ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define FUNCTION(id, function)                                                                               \
	{                                                                                                    \
		id, (void (*)(void))(function)                                                               \
	}
#define KEY_FUNCTIONS(new_function)                                                                          \
	FUNCTION(OSSL_FUNC_KEYMGMT_NEW, new_function), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),           \
		FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has), FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),      \
		FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                              \
		FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),                                  \
		FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                      \
		FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params)

static const OSSL_DISPATCH rsa_key_functions[] = { KEY_FUNCTIONS(key_new_rsa), { 0, NULL } };
static const OSSL_DISPATCH ec_key_functions[] = { KEY_FUNCTIONS(key_new_ec),
	FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation), { 0, NULL } };
static const OSSL_DISPATCH ed25519_key_functions[] = { KEY_FUNCTIONS(key_new_ed25519), { 0, NULL } };

/* -- signatures -- */

struct signing {
	const struct outside_key *key;
	int hash_bits; /* 0: none (Ed25519) */
	bool pss;
};

/* SignatureScheme of what OpenSSL asks for; 0: nothing that we have signed. */
static uint16_t scheme_of(const struct signing *signing)
{
	const char *type = signing->key->type;
	int step = signing->hash_bits == 256   ? 0
		   : signing->hash_bits == 384 ? 1
		   : signing->hash_bits == 512 ? 2
					       : -1;
	if (strcmp(type, "ED25519") == 0)
		return signing->hash_bits == 0 ? 0x0807 : 0;
	if (step < 0)
		return 0;
	if (strcmp(type, "EC") == 0)
		return (uint16_t)(0x0403 + (step << 8));
	return (uint16_t)(signing->pss ? 0x0804 + step : 0x0401 + (step << 8));
}

static void *signing_new(void *provider, const char *properties)
{
	(void)properties;
	(void)provider;
	return calloc(1, sizeof(struct signing));
}

static void signing_free(void *data)
{
	free(data);
}

static int hash_bits(const char *name)
{
	static const struct {
		const char *name;
		int bits;
	} names[] = { { "SHA256", 256 }, { "SHA2-256", 256 }, { "SHA384", 384 }, { "SHA2-384", 384 },
		{ "SHA512", 512 }, { "SHA2-512", 512 } };
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcasecmp(name, names[i].name) == 0)
			return names[i].bits;
	return -1;
}

/* What TLS sets: the padding; and the salt's length, which it always wants as long as the hash. */
static int signing_set(void *data, const OSSL_PARAM params[])
{
	struct signing *signing = data;
	const OSSL_PARAM *param =
		params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
	if (!param)
		return 1;
	int padding = 0;
	if (param->data_type == OSSL_PARAM_UTF8_STRING)
		signing->pss = strcasecmp(param->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
	else if (OSSL_PARAM_get_int(param, &padding))
		signing->pss = padding == RSA_PKCS1_PSS_PADDING;
	else
		return 0;
	return 1;
}

static const OSSL_PARAM *signing_settable(void *data, void *provider)
{
	(void)data;
	(void)provider;
	static const OSSL_PARAM types[] = { OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0), OSSL_PARAM_END };
	return types;
}

static int signing_init(void *data, const char *hash, void *key, const OSSL_PARAM params[])
{
	struct signing *signing = data;
	if (key)
		signing->key = key;
	signing->hash_bits = hash && hash[0] ? hash_bits(hash) : 0;
	return signing->key && signing->key->signer && signing_set(signing, params);
}

static int signing_sign(void *data, unsigned char *signature, size_t *len, size_t room,
	const unsigned char *input, size_t input_len)
{
	const struct signing *signing = data;
	struct outside_signer *signer = signing->key->signer;
	if (!signature) {
		*len = (size_t)EVP_PKEY_get_size(signing->key->public_key);
		return 1;
	}
	uint16_t scheme = scheme_of(signing);
	*len = scheme ? signer->sign(signer->context, scheme, input, input_len, signature, room) : 0;
	signer->refused = *len == 0 || *len > room;
	return !signer->refused;
}

static const OSSL_DISPATCH signature_functions[] = { FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
	FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
	FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set),
	FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable), { 0, NULL } };

/* -- the provider -- */

#define PROPERTIES "provider=" PROVIDER_NAME

static const OSSL_ALGORITHM key_kinds[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_key_functions, NULL },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_key_functions, NULL },
	{ "ED25519:1.3.101.112", PROPERTIES, ed25519_key_functions, NULL },
	{ NULL, NULL, NULL, NULL },
};
static const OSSL_ALGORITHM signature_kinds[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, signature_functions, NULL },
	{ "ECDSA", PROPERTIES, signature_functions, NULL },
	{ "ED25519:1.3.101.112", PROPERTIES, signature_functions, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM *provider_query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT	? key_kinds
	       : operation == OSSL_OP_SIGNATURE ? signature_kinds
						: NULL;
}

static const OSSL_DISPATCH provider_functions[] = {
	FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query), { 0, NULL }
};

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *from_core,
	const OSSL_DISPATCH **out, void **provider)
{
	(void)from_core;
	*out = provider_functions;
	*provider = (void *)handle;
	return 1;
}

bool outside_library_init(struct outside_library *library)
{
	OSSL_LIB_CTX *context = library->context = OSSL_LIB_CTX_new();
	if (!context || !OSSL_PROVIDER_add_builtin(context, PROVIDER_NAME, provider_init))
		goto failed;
	library->standard = OSSL_PROVIDER_load(context, "default");
	library->ours = OSSL_PROVIDER_load(context, PROVIDER_NAME);
	/* Both provide "RSA": whoever does not ask for ours by name is to have the default's. */
	if (library->standard && library->ours && EVP_set_default_properties(context, "?provider=default"))
		return true;
failed:
	outside_library_clear(library);
	return false;
}

void outside_library_clear(struct outside_library *library)
{
	if (library->ours)
		OSSL_PROVIDER_unload(library->ours);
	if (library->standard)
		OSSL_PROVIDER_unload(library->standard);
	OSSL_LIB_CTX_free(library->context);
	*library = (struct outside_library){ 0 };
}

EVP_PKEY *outside_key_new(
	const struct outside_library *library, EVP_PKEY *public_key, struct outside_signer *signer)
{
	static const char *const types[] = { "RSA", "EC", "ED25519" };
	EVP_PKEY *key = NULL;
	for (size_t i = 0; i < sizeof types / sizeof types[0] && !key; i++) {
		if (!EVP_PKEY_is_a(public_key, types[i]))
			continue;
		OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(
						PUBLIC_PARAM, &public_key, sizeof public_key),
			OSSL_PARAM_construct_octet_string(SIGNER_PARAM, &signer, sizeof signer),
			OSSL_PARAM_construct_end() };
		EVP_PKEY_CTX *building = EVP_PKEY_CTX_new_from_name(library->context, types[i], PROPERTIES);
		if (building && EVP_PKEY_fromdata_init(building) == 1)
			EVP_PKEY_fromdata(building, &key, EVP_PKEY_KEYPAIR, params);
		EVP_PKEY_CTX_free(building);
	}
	ERR_clear_error();
	return key;
}
