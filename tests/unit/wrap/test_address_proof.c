/* SPDX-License-Identifier: MIT
 * The stateless proof: whom it answers, for how long, and what it refuses. */
#include "common/wrap/wrap.h"
#include "tests/lib/suite.h"

enum { HAND_WINDOW = 60000, SLOT = HAND_WINDOW / 2 };

static const struct address_secret secret = { "thirty-two bytes nobody can know" };
static const uint8_t address[] = { 4, 192, 0, 2, 1, 0x04, 0xaa };

static uint64_t made_at(mono_ms now)
{
	return address_proof_make(&secret, address, sizeof(address), 77, now, HAND_WINDOW);
}

static bool good_at(uint64_t proof, mono_ms now)
{
	return address_proof_verify(&secret, address, sizeof(address), 77, proof, now, HAND_WINDOW);
}

START_TEST(a_proof_holds_in_its_slot_and_the_two_after)
{
	/* Made at the very beginning and at the very end of slot 10. */
	static const mono_ms moments[] = { 10 * SLOT, 11 * SLOT - 1 };

	for (int i = 0; i < 2; i++) {
		uint64_t proof = made_at(moments[i]);
		ck_assert_uint_ne(proof, 0);
		ck_assert(good_at(proof, 10 * SLOT));
		ck_assert(good_at(proof, 11 * SLOT));
		ck_assert(good_at(proof, 13 * SLOT - 1));
	}
}
END_TEST

START_TEST(a_proof_is_refused_later_and_earlier)
{
	uint64_t proof = made_at(10 * SLOT);

	ck_assert(!good_at(proof, 13 * SLOT));
	ck_assert(!good_at(proof, 14 * SLOT));
	ck_assert(!good_at(proof, 1000 * (mono_ms)SLOT));
	/* Never of the future. */
	ck_assert(!good_at(proof, 10 * SLOT - 1));
	ck_assert(!good_at(proof, 9 * SLOT));
	ck_assert(!good_at(proof, 0));
}
END_TEST

START_TEST(a_proof_does_not_change_within_its_slot)
{
	ck_assert_uint_eq(made_at(10 * SLOT), made_at(11 * SLOT - 1));
	ck_assert_uint_ne(made_at(10 * SLOT), made_at(11 * SLOT));
}
END_TEST

START_TEST(a_window_of_odd_length_is_halved_upwards)
{
	/* 5 ms: slots of 3 */
	uint64_t proof = address_proof_make(&secret, address, sizeof(address), 77, 30, 5);

	ck_assert_uint_eq(proof, address_proof_make(&secret, address, sizeof(address), 77, 32, 5));
	ck_assert_uint_ne(proof, address_proof_make(&secret, address, sizeof(address), 77, 33, 5));
	ck_assert(address_proof_verify(&secret, address, sizeof(address), 77, proof, 38, 5));
	ck_assert(!address_proof_verify(&secret, address, sizeof(address), 77, proof, 39, 5));
	/* The shortest possible: slots of 1 */
	proof = address_proof_make(&secret, address, sizeof(address), 77, 30, 1);
	ck_assert(address_proof_verify(&secret, address, sizeof(address), 77, proof, 32, 1));
	ck_assert(!address_proof_verify(&secret, address, sizeof(address), 77, proof, 33, 1));
}
END_TEST

START_TEST(another_address_session_or_secret_is_refused)
{
	uint64_t proof = made_at(10 * SLOT);

	for (size_t i = 0; i < sizeof(address); i++) {
		uint8_t other[sizeof(address)];
		memcpy(other, address, sizeof(address));
		other[i] ^= 1;
		ck_assert(!address_proof_verify(
			&secret, other, sizeof(other), 77, proof, 10 * SLOT, HAND_WINDOW));
	}
	ck_assert(!address_proof_verify(
		&secret, address, sizeof(address) - 1, 77, proof, 10 * SLOT, HAND_WINDOW));
	ck_assert(
		!address_proof_verify(&secret, address, sizeof(address), 78, proof, 10 * SLOT, HAND_WINDOW));
	ck_assert(!address_proof_verify(
		&secret, address, sizeof(address), 77ull << 32, proof, 10 * SLOT, HAND_WINDOW));
	struct address_secret other = secret;
	other.bytes[31] ^= 1;
	ck_assert(!address_proof_verify(&other, address, sizeof(address), 77, proof, 10 * SLOT, HAND_WINDOW));
}
END_TEST

START_TEST(every_bit_of_a_proof_is_compared)
{
	uint64_t proof = made_at(10 * SLOT);

	for (int bit = 0; bit < 64; bit++)
		ck_assert(!good_at(proof ^ 1ull << bit, 10 * SLOT));
	ck_assert(!good_at(0, 10 * SLOT));
	ck_assert(!good_at(UINT64_MAX, 10 * SLOT));
}
END_TEST

START_TEST(the_first_slots_after_boot_work)
{
	uint64_t proof = made_at(0);

	ck_assert(good_at(proof, 0));
	ck_assert(good_at(proof, 3 * SLOT - 1));
	ck_assert(!good_at(proof, 3 * SLOT));
}
END_TEST

/* aborts */
START_TEST(a_hand_window_of_nothing_is_our_own_mistake)
{
	address_proof_make(&secret, address, sizeof(address), 77, 30, 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_proof_holds_in_its_slot_and_the_two_after);
	tcase_add_test(tcase, a_proof_is_refused_later_and_earlier);
	tcase_add_test(tcase, a_proof_does_not_change_within_its_slot);
	tcase_add_test(tcase, a_window_of_odd_length_is_halved_upwards);
	tcase_add_test(tcase, another_address_session_or_secret_is_refused);
	tcase_add_test(tcase, every_bit_of_a_proof_is_compared);
	tcase_add_test(tcase, the_first_slots_after_boot_work);
	tcase_add_test_raise_signal(tcase, a_hand_window_of_nothing_is_our_own_mistake, SIGABRT);
}

int main(void)
{
	return suite_run("wrap/address_proof", add);
}
