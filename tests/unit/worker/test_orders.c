/* SPDX-License-Identifier: MIT
 * Orders and answers over a real pair, descriptors included, and what an ill-meaning other end may send. */
#include "worker/orders.h"

#include "tests/unit/worker/sockets.h"

#include <sys/mman.h>
#include <sys/stat.h>

static int pair[2];
static struct order order;
static int passed;

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int i = 0; i < 200; i++)
		count += fcntl(i, F_GETFD) >= 0;
	return count;
}

/* A message made by hand, with `fds` descriptors along. */
static void send_raw(const void *bytes, size_t len, unsigned fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct iovec piece = { (void *)(uintptr_t)bytes, len };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };

	if (fds) {
		struct cmsghdr *c;

		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (unsigned i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
	}
	ck_assert_int_eq(sendmsg(pair[0], &message, MSG_DONTWAIT), (ssize_t)len);
}

START_TEST(an_order_arrives_as_it_was_sent)
{
	ck_assert(order_send(pair[0], ORDER_STOP, 2, NULL, 0, -1));
	ck_assert(order_send(pair[1], ANSWER_LOG, -4, "a line", 6, -1));
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 1);
	ck_assert_uint_eq(order.kind, ORDER_STOP);
	ck_assert_int_eq(order.value, 2);
	ck_assert_uint_eq(order.len, 0);
	ck_assert_int_eq(passed, -1);
	ck_assert_int_eq(order_receive(pair[0], &order, &passed), 1);
	ck_assert_uint_eq(order.kind, ANSWER_LOG);
	ck_assert_int_eq(order.value, -4);
	ck_assert_uint_eq(order.len, 6);
	ck_assert_mem_eq(order.text, "a line", 6);
	ck_assert_int_eq(order_receive(pair[0], &order, &passed), 0);
}
END_TEST

START_TEST(a_descriptor_comes_along)
{
	char text[8] = { 0 };
	int memfd = memfd_create("crl", MFD_CLOEXEC);

	ck_assert_int_eq(write(memfd, "crl text", 8), 8);
	ck_assert(order_send(pair[0], ORDER_CRL, 0, NULL, 0, memfd));
	close(memfd);
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 1);
	ck_assert_int_ge(passed, 0);
	ck_assert_int_eq(fcntl(passed, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(pread(passed, text, 8, 0), 8);
	ck_assert_mem_eq(text, "crl text", 8);
	close(passed);
}
END_TEST

START_TEST(the_longest_text_fits_and_a_longer_one_is_refused)
{
	static char text[ORDER_TEXT_MAX + 1];

	memset(text, 'x', sizeof(text));
	ck_assert(order_send(pair[0], ANSWER_LOG, 0, text, ORDER_TEXT_MAX, -1));
	ck_assert(!order_send(pair[0], ANSWER_LOG, 0, text, ORDER_TEXT_MAX + 1, -1));
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 1);
	ck_assert_uint_eq(order.len, ORDER_TEXT_MAX);
	ck_assert_mem_eq(order.text, text, ORDER_TEXT_MAX);
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 0);
}
END_TEST

START_TEST(neither_side_ever_waits)
{
	unsigned sent = 0;

	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 0);
	while (sent < 100000 && order_send(pair[0], ANSWER_CHANGED, 0, NULL, 0, -1))
		sent++;
	ck_assert_uint_gt(sent, 0);
	ck_assert_uint_lt(sent, 100000);
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 1);
}
END_TEST

START_TEST(the_other_end_being_gone_is_told_after_its_last_message)
{
	ck_assert(order_send(pair[0], ORDER_LEAVE, 0, NULL, 0, -1));
	close(pair[0]);
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 1);
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), -1);
	/* And no SIGPIPE. */
	ck_assert(!order_send(pair[1], ANSWER_READY, 0, NULL, 0, -1));
}
END_TEST

START_TEST(ill_formed_messages_are_skipped_and_their_descriptors_closed)
{
	static char long_one[sizeof(struct order) + 10];
	const uint32_t short_one[2] = { ORDER_STOP, 0 };
	const uint32_t bad_kind[3] = { ORDER_COUNT, 0, 0 }, no_kind[3] = { ORDER_NONE, 0, 0 };
	const uint32_t says_more[3] = { ORDER_STOP, 0, 1 }, says_less[4] = { ORDER_STOP, 0, 3, 0 };
	unsigned before = open_descriptors();
	uint32_t head[3] = { ORDER_STOP, 0, ORDER_TEXT_MAX };

	memcpy(long_one, head, sizeof(head));
	send_raw(short_one, sizeof(short_one), 1);
	send_raw(bad_kind, sizeof(bad_kind), 1);
	send_raw(no_kind, sizeof(no_kind), 0);
	send_raw(says_more, sizeof(says_more), 3);
	send_raw(says_less, sizeof(says_less), 0);
	send_raw(long_one, sizeof(long_one), 1);
	ck_assert(order_send(pair[0], ORDER_VERB, 4, NULL, 0, -1));
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 1);
	ck_assert_uint_eq(order.kind, ORDER_VERB);
	ck_assert_int_eq(passed, -1);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

START_TEST(of_many_descriptors_one_is_kept)
{
	const uint32_t good[3] = { ORDER_CRL, 0, 0 };
	unsigned before = open_descriptors();

	send_raw(good, sizeof(good), 3);
	send_raw(good, sizeof(good), 8);
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 1);
	ck_assert_int_ge(passed, 0);
	ck_assert_uint_eq(open_descriptors(), before + 1);
	close(passed);
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 1);
	close(passed);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

START_TEST(a_flood_of_nonsense_does_not_hold_us)
{
	for (unsigned i = 0; i < 150; i++)
		send_raw("nonsense", 8, 0);
	/* "Nothing there" for now: the loop asks again. */
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 0);
	ck_assert(order_send(pair[0], ORDER_STOP, 0, NULL, 0, -1));
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 0);
	ck_assert_int_eq(order_receive(pair[1], &order, &passed), 1);
}
END_TEST

START_TEST(orders_and_answers_have_names)
{
	ck_assert_str_eq(order_name(ORDER_STOP), "STOP");
	ck_assert_str_eq(order_name(ANSWER_READY), "READY");
	ck_assert_str_eq(order_name(ORDER_COUNT), "?");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker/orders");
	TCase *tcase = tcase_create("orders");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, an_order_arrives_as_it_was_sent);
	tcase_add_test(tcase, a_descriptor_comes_along);
	tcase_add_test(tcase, the_longest_text_fits_and_a_longer_one_is_refused);
	tcase_add_test(tcase, neither_side_ever_waits);
	tcase_add_test(tcase, the_other_end_being_gone_is_told_after_its_last_message);
	tcase_add_test(tcase, ill_formed_messages_are_skipped_and_their_descriptors_closed);
	tcase_add_test(tcase, of_many_descriptors_one_is_kept);
	tcase_add_test(tcase, a_flood_of_nonsense_does_not_hold_us);
	tcase_add_test(tcase, orders_and_answers_have_names);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
