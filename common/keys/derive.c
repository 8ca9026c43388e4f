/* SPDX-License-Identifier: MIT
 * The key derivation of key method 2, for peers that cannot use the TLS exporter: the sources of both sides
 * become a master secret, and that, with the session ids, the material. */
#include "common/keys/keys.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/secret.h"

static const char master_label[] = "OpenVPN master secret", expansion_label[] = "OpenVPN key expansion";

enum { MASTER_LEN = 48, SEED_MAX = sizeof(expansion_label) - 1 + 2 * KEY_RANDOM_LEN + 2 * 8 };

bool derive_from_sources(const struct key_sources *sources, uint64_t client_session, uint64_t server_session,
	uint8_t out[KEY_MATERIAL_LEN])
{
	uint8_t master[MASTER_LEN], room[SEED_MAX];

	struct bytes_out seed = bytes_into(room, sizeof(room));
	write_data(&seed, master_label, sizeof(master_label) - 1);
	write_data(&seed, sources->client_random1, KEY_RANDOM_LEN);
	write_data(&seed, sources->server_random1, KEY_RANDOM_LEN);
	CHECK(!seed.failed);
	bool ok = prf_tls1(sources->pre_master, PRE_MASTER_LEN, seed.start, seed.len, master, sizeof(master));

	seed = bytes_into(room, sizeof(room));
	write_data(&seed, expansion_label, sizeof(expansion_label) - 1);
	write_data(&seed, sources->client_random2, KEY_RANDOM_LEN);
	write_data(&seed, sources->server_random2, KEY_RANDOM_LEN);
	write_u64(&seed, client_session);
	write_u64(&seed, server_session);
	CHECK(!seed.failed);
	ok = ok && prf_tls1(master, sizeof(master), seed.start, seed.len, out, KEY_MATERIAL_LEN);

	secret_wipe(master, sizeof(master));
	secret_wipe(room, sizeof(room));
	if (!ok)
		secret_wipe(out, KEY_MATERIAL_LEN);
	return ok;
}
