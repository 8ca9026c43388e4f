/* SPDX-License-Identifier: MIT
 * From the sources of both sides to 256 bytes of key material. */
#include "common/crypto/crypto.h"
#include "common/keys/keys.h"
#include "tests/lib/hex.h"
#include "tests/lib/suite.h"
#include "tests/vectors/prf.h"

static struct key_sources sample(void)
{
	struct key_sources sources;

	for (uint8_t i = 0; i < PRE_MASTER_LEN; i++)
		sources.pre_master[i] = i;
	memset(sources.client_random1, 0x11, KEY_RANDOM_LEN);
	memset(sources.server_random1, 0x22, KEY_RANDOM_LEN);
	memset(sources.client_random2, 0x33, KEY_RANDOM_LEN);
	memset(sources.server_random2, 0x44, KEY_RANDOM_LEN);
	return sources;
}

START_TEST(the_master_secret_is_the_prf_of_pre_master_and_first_randoms)
{
	struct key_sources sources = sample();
	uint8_t seed[21 + 64], master[48];

	memcpy(seed, "OpenVPN master secret", 21);
	memcpy(seed + 21, sources.client_random1, 32);
	memcpy(seed + 53, sources.server_random1, 32);
	ck_assert(prf_tls1(sources.pre_master, PRE_MASTER_LEN, seed, sizeof(seed), master, sizeof(master)));
	assert_hex(master, sizeof(master), VECTOR_CHAIN_MASTER);
}
END_TEST

START_TEST(the_whole_chain_gives_the_known_material)
{
	struct key_sources sources = sample();
	uint8_t material[KEY_MATERIAL_LEN], hash[32];

	ck_assert(derive_from_sources(
		&sources, VECTOR_CHAIN_CLIENT_SESSION, VECTOR_CHAIN_SERVER_SESSION, material));
	assert_hex(key_cipher(material, 0), 32, VECTOR_CHAIN_CIPHER0);
	assert_hex(key_hmac(material, 0), 32, VECTOR_CHAIN_HMAC0);
	assert_hex(key_cipher(material, 1), 32, VECTOR_CHAIN_CIPHER1);
	assert_hex(key_hmac(material, 1), 32, VECTOR_CHAIN_HMAC1);
	ck_assert(crypto_hash(DIGEST_SHA256, &(struct piece){ material, sizeof(material) }, 1, hash));
	assert_hex(hash, 32, VECTOR_CHAIN_SHA256);
}
END_TEST

START_TEST(every_source_and_both_sessions_count)
{
	struct key_sources sources = sample();
	uint8_t first[KEY_MATERIAL_LEN], other[KEY_MATERIAL_LEN], *bytes = (uint8_t *)&sources;

	ck_assert(derive_from_sources(&sources, 1, 2, first));
	for (size_t i = 0; i < sizeof(sources); i += 5) {
		bytes[i] ^= 0x80;
		ck_assert(derive_from_sources(&sources, 1, 2, other));
		ck_assert_mem_ne(first, other, sizeof(first));
		bytes[i] ^= 0x80;
	}
	ck_assert(derive_from_sources(&sources, 2, 1, other));
	ck_assert_mem_ne(first, other, sizeof(first));
	ck_assert(derive_from_sources(&sources, 1, 2, other));
	ck_assert_mem_eq(first, other, sizeof(first));
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, the_master_secret_is_the_prf_of_pre_master_and_first_randoms);
	tcase_add_test(tcase, the_whole_chain_gives_the_known_material);
	tcase_add_test(tcase, every_source_and_both_sessions_count);
}

int main(void)
{
	return suite_run("keys/derive", add);
}
