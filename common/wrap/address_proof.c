/* SPDX-License-Identifier: MIT
 * The stateless proof: the server's session id is a MAC over the client's address and session id and a slot
 * of time, so only who got the answer can echo it, and only for a while. The MAC is our own choice; clients
 * just echo it. */
#include "common/wrap/wrap.h"
#include "common/base/check.h"
#include "common/base/secret.h"

enum { PROOF_LEN = 8, SLOTS_ACCEPTED = 3 };

static int64_t slot_of(mono_ms now, span_ms hand_window)
{
	CHECK(hand_window > 0);
	return now / (hand_window / 2 + hand_window % 2);
}

/* Big endian: slot 8 | address | client session 8. Only the address varies in length, so no two inputs look
 * alike. False: the library failed. */
static bool make(const struct address_secret *secret, const void *address, size_t address_len,
	uint64_t client_session, int64_t slot, uint64_t *proof)
{
	uint8_t slot_bytes[8], session_bytes[8], mac[DIGEST_MAX_LEN];
	struct bytes_out slot_out = bytes_into(slot_bytes, 8), session_out = bytes_into(session_bytes, 8);
	const struct piece pieces[] = { { slot_bytes, 8 }, { address, address_len }, { session_bytes, 8 } };

	write_u64(&slot_out, (uint64_t)slot);
	write_u64(&session_out, client_session);
	bool ok = crypto_hmac(DIGEST_SHA256, secret->bytes, sizeof(secret->bytes), pieces, 3, mac);
	struct bytes in = bytes_of(mac, PROOF_LEN);
	*proof = read_u64(&in);
	/* 0 is no session id. */
	*proof += *proof == 0;
	secret_wipe(mac, sizeof(mac));
	return ok;
}

uint64_t address_proof_make(const struct address_secret *secret, const void *address, size_t address_len,
	uint64_t client_session, mono_ms now, span_ms hand_window)
{
	uint64_t proof;

	/* Without a MAC the answer is one that nobody can use: the client will try again. */
	if (!make(secret, address, address_len, client_session, slot_of(now, hand_window), &proof)) {
		do
			crypto_random(&proof, sizeof(proof));
		while (!proof);
	}
	return proof;
}

bool address_proof_verify(const struct address_secret *secret, const void *address, size_t address_len,
	uint64_t client_session, uint64_t proof, mono_ms now, span_ms hand_window)
{
	int64_t slot = slot_of(now, hand_window);
	bool genuine = false;

	/* All are computed and compared, so that the time taken does not tell which one it was. */
	for (int back = 0; back < SLOTS_ACCEPTED; back++) {
		uint64_t expected;
		bool made = make(secret, address, address_len, client_session, slot - back, &expected);
		genuine |= made & secret_equal(&expected, &proof, sizeof(proof));
	}
	return genuine;
}
