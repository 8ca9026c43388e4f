/* SPDX-License-Identifier: MIT
 * Chains found good, by the hash of what the peer sent; the clock is the library's own. */
#include "common/tls/kept_chains.h"

#include "common/base/secret.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <limits.h>
#include <string.h>

/* Seconds from now until `t`; a time that cannot be read has come. */
static int64_t seconds_until(const ASN1_TIME *t)
{
	int days = 0, seconds = 0;

	return t && ASN1_TIME_diff(&days, &seconds, NULL, t) ? (int64_t)days * 86400 + seconds : INT_MIN;
}

static int64_t now_s(void)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int64_t passed = epoch ? -seconds_until(epoch) : 0;

	ASN1_TIME_free(epoch);
	return passed;
}

/* Leaf and what came along, in order. False: cannot be hashed. */
static bool name_of(X509_STORE_CTX *search, uint8_t name[KEPT_CHAIN_NAME])
{
	STACK_OF(X509) *along = X509_STORE_CTX_get0_untrusted(search);
	X509 *leaf = X509_STORE_CTX_get0_cert(search);
	uint8_t hashes[2][KEPT_CHAIN_NAME];
	unsigned len;

	if (!leaf || !X509_digest(leaf, EVP_sha256(), name, &len))
		return false;
	for (size_t i = 0; along && i < (size_t)sk_X509_num(along); i++) {
		memcpy(hashes[0], name, KEPT_CHAIN_NAME);
		if (!X509_digest(sk_X509_value(along, (int)i), EVP_sha256(), hashes[1], &len) ||
			!EVP_Digest(hashes, sizeof hashes, name, &len, EVP_sha256(), NULL))
			return false;
	}
	return true;
}

static struct kept_chain *place_of(const struct kept_chains *k, const uint8_t name[KEPT_CHAIN_NAME])
{
	unsigned index = (name[0] << 8 | name[1]) % KEPT_CHAINS;

	return (struct kept_chain *)&k->chains[index];
}

static bool usable(const struct kept_chains *k, X509_STORE_CTX *search)
{
	return k && k->store && X509_STORE_CTX_get0_store(search) == k->store;
}

void kept_chains_begin(struct kept_chains *k, const X509_STORE *store, const STACK_OF(X509_CRL) * crls)
{
	int64_t now = now_s();

	memset(k, 0, sizeof *k);
	k->store = store;
	k->crl_until = INT64_MAX;
	for (size_t i = 0; crls && i < (size_t)sk_X509_CRL_num(crls); i++) {
		const ASN1_TIME *ends = X509_CRL_get0_nextUpdate(sk_X509_CRL_value(crls, (int)i));
		int64_t until = ends ? now + seconds_until(ends) : INT64_MAX;

		if (until < k->crl_until)
			k->crl_until = until;
	}
	ERR_clear_error();
}

bool kept_chains_has(const struct kept_chains *k, X509_STORE_CTX *search)
{
	uint8_t name[KEPT_CHAIN_NAME];

	if (!usable(k, search) || !name_of(search, name))
		return false;
	const struct kept_chain *kept = place_of(k, name);
	int64_t now = now_s();
	return now >= kept->from && now < kept->until && secret_equal(kept->name, name, sizeof name);
}

void kept_chains_add(struct kept_chains *k, X509_STORE_CTX *search)
{
	const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(search);
	uint8_t name[KEPT_CHAIN_NAME];

	if (!usable(k, search) || !chain || !name_of(search, name))
		return;
	int64_t now = now_s(), until = now + KEPT_CHAIN_S;
	if (k->crl_until < until)
		until = k->crl_until;
	for (size_t i = 0; i < (size_t)sk_X509_num(chain); i++) {
		int64_t left = seconds_until(X509_get0_notAfter(sk_X509_value(chain, (int)i)));
		if (now + left < until)
			until = now + left;
	}
	struct kept_chain *kept = place_of(k, name);
	memcpy(kept->name, name, sizeof name);
	kept->from = now;
	kept->until = until;
}
