/* SPDX-License-Identifier: MIT
 * The segment is sealed, checked on the way in, and hands out secrets and numbers. */
#include "shm/cells.h"
#include "shm/handover_ring.h"
#include "shm/last_words.h"
#include "shm/leases.h"
#include "tests/unit/shm/fixture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct shm_sizes small = { 3, 100, 50, 40, 60, 8192 };

START_TEST(a_segment_has_its_size_and_cannot_be_resized)
{
	struct shm *shm = segment_of(small);
	ck_assert_uint_eq(shm->size, shm_bytes(&small));
	ck_assert_uint_eq(shm->warnings & SHM_NOT_SEALED, 0);
	ck_assert_int_ne(ftruncate(shm->fd, 4096), 0);
	ck_assert_int_ne(ftruncate(shm->fd, (off_t)shm->size * 2), 0);
	ck_assert_int_ne(fcntl(shm->fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	ck_assert_int_eq(fcntl(shm->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	shm_detach(&shm);
	ck_assert_ptr_null(shm);
}
END_TEST

START_TEST(sizes_out_of_range_are_refused)
{
	const struct shm_sizes bad[] = {
		{ 0, 100, 50, 40, 60, 8192 },
		{ SHM_MAX_WORKERS + 1, 100, 50, 40, 60, 8192 },
		{ 3, 0, 50, 40, 60, 8192 },
		{ 3, SHM_MAX_CLIENTS + 1, 50, 40, 60, 8192 },
		{ 3, 100, UINT32_MAX, 40, 60, 8192 },
		{ 3, 100, 50, UINT32_MAX, 60, 8192 },
		{ 3, 100, 50, 40, UINT32_MAX, 8192 },
		{ 3, 100, 50, 40, 60, SHM_MIN_RING - 1 },
		{ 3, 100, 50, 40, 60, UINT32_MAX },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char error[160] = "";
		ck_assert_ptr_null(shm_create(&bad[i], error, sizeof(error)));
		ck_assert_uint_ne(strlen(error), 0);
		ck_assert_uint_eq(shm_bytes(&bad[i]), 0);
	}
}
END_TEST

START_TEST(tables_stand_apart_and_inside)
{
	struct shm *shm = segment_of(small);
	uint8_t *end = shm->base + sizeof(struct shm_header);
#define TABLE(name, type, count, what)                                                                       \
	ck_assert((uint8_t *)shm->name.at >= end);                                                           \
	ck_assert_uint_eq((uintptr_t)shm->name.at % 128, 0);                                                 \
	end = (uint8_t *)(shm->name.at + shm->name.entries);
#include "shm/tables.def"
#undef TABLE
	ck_assert(end <= shm->base + shm->size);
	ck_assert_uint_eq((uintptr_t)shm->peer_slots.at % 4096, 0);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_successor_attaches_and_sees_the_same)
{
	char error[160] = "";
	struct shm *shm = segment_of(small);
	struct session s = new_session(shm, 1);
	struct shm *other = shm_attach(dup(shm->fd), error, sizeof(error));
	ck_assert_msg(other != NULL, "%s", error);
	ck_assert(peers_live(other, s.slot, s.generation));
	ck_assert_mem_eq(&other->sizes, &shm->sizes, sizeof(shm->sizes));
	ck_assert_uint_eq(shm_name_hash(other, "alice"), shm_name_hash(shm, "alice"));
	shm_detach(&other);
	shm_detach(&shm);
}
END_TEST

START_TEST(what_is_not_our_segment_is_not_attached)
{
	char error[160] = "";
	int fd = memfd_create("other", MFD_CLOEXEC);
	ck_assert_ptr_null(shm_attach(fd, error, sizeof(error)));
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	ck_assert_ptr_null(shm_attach(fd, error, sizeof(error)));
	ck_assert_ptr_null(shm_attach(-1, error, sizeof(error)));
	int pipes[2];
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_ptr_null(shm_attach(pipes[0], error, sizeof(error)));
	close(fd);
}
END_TEST

START_TEST(a_segment_of_another_layout_or_size_is_not_attached)
{
	char error[160] = "";
	struct shm *shm = segment_of(small);
	uint64_t layout = shm->header->layout;
	shm->header->layout++;
	ck_assert_ptr_null(shm_attach(dup(shm->fd), error, sizeof(error)));
	shm->header->layout = layout;
	shm->header->version++;
	ck_assert_ptr_null(shm_attach(dup(shm->fd), error, sizeof(error)));
	shm->header->version--;
	shm->header->sizes.max_clients++;
	ck_assert_ptr_null(shm_attach(dup(shm->fd), error, sizeof(error)));
	shm->header->sizes.max_clients = UINT32_MAX;
	ck_assert_ptr_null(shm_attach(dup(shm->fd), error, sizeof(error)));
	shm->header->sizes.max_clients = small.max_clients;
	shm->header->sizes.ring_bytes = UINT32_MAX;
	ck_assert_ptr_null(shm_attach(dup(shm->fd), error, sizeof(error)));
	shm->header->sizes.ring_bytes = 8192;
	shm->header->magic ^= 1;
	ck_assert_ptr_null(shm_attach(dup(shm->fd), error, sizeof(error)));
	shm->header->magic ^= 1;
	struct shm *other = shm_attach(dup(shm->fd), error, sizeof(error));
	ck_assert_ptr_nonnull(other);
	shm_detach(&other);
	shm_detach(&shm);
}
END_TEST

START_TEST(rotating_keeps_the_newest_secret_as_the_one_before)
{
	struct shm *shm = segment_of(small);
	uint8_t now[SHM_SECRET_LEN], before[SHM_SECRET_LEN], old[SHM_SECRET_LEN];
	shm_secrets(shm, now, before);
	ck_assert_mem_ne(now, before, SHM_SECRET_LEN);
	for (int i = 0; i < 9; i++) {
		memcpy(old, now, sizeof(old));
		ck_assert(shm_rotate_secrets(shm));
		shm_secrets(shm, now, before);
		ck_assert_mem_eq(before, old, SHM_SECRET_LEN);
		ck_assert_mem_ne(now, old, SHM_SECRET_LEN);
	}
	shm_detach(&shm);
}
END_TEST

START_TEST(two_segments_have_other_seeds_and_secrets)
{
	struct shm *a = segment_of(small), *b = segment_of(small);
	uint8_t x[SHM_SECRET_LEN], y[SHM_SECRET_LEN], z[SHM_SECRET_LEN];
	shm_secrets(a, x, z);
	shm_secrets(b, y, z);
	ck_assert_mem_ne(x, y, SHM_SECRET_LEN);
	ck_assert_uint_ne(shm_name_hash(a, "alice"), shm_name_hash(b, "alice"));
	ck_assert_uint_eq(shm_name_hash(a, ""), 0);
	ck_assert_uint_eq(shm_name_hash(a, NULL), 0);
	shm_detach(&a);
	shm_detach(&b);
}
END_TEST

START_TEST(epochs_and_client_ids_never_repeat_and_an_epoch_is_never_zero)
{
	struct shm *shm = segment_of(small);
	ck_assert_uint_eq(shm_next_epoch(shm), 1);
	ck_assert_uint_eq(shm_next_epoch(shm), 2);
	for (int i = 0; i < 70000; i++)
		ck_assert_uint_ne(shm_next_epoch(shm), 0);
	ck_assert_uint_eq(shm_next_client_id(shm), 0);
	ck_assert_uint_eq(shm_next_client_id(shm), 1);
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("segment");
	tcase_add_test(t, a_segment_has_its_size_and_cannot_be_resized);
	tcase_add_test(t, sizes_out_of_range_are_refused);
	tcase_add_test(t, tables_stand_apart_and_inside);
	tcase_add_test(t, a_successor_attaches_and_sees_the_same);
	tcase_add_test(t, what_is_not_our_segment_is_not_attached);
	tcase_add_test(t, a_segment_of_another_layout_or_size_is_not_attached);
	tcase_add_test(t, rotating_keeps_the_newest_secret_as_the_one_before);
	tcase_add_test(t, two_segments_have_other_seeds_and_secrets);
	tcase_add_test(t, epochs_and_client_ids_never_repeat_and_an_epoch_is_never_zero);
	return run_suite(t, "shm segment");
}
