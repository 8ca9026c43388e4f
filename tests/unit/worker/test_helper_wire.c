/* SPDX-License-Identifier: MIT
 * Messages between worker and helper: what fits is taken, everything else is not. */
#include "worker/helper_wire.h"

#include "tests/lib/suite.h"

#include <check.h>
#include <string.h>

static struct helper_request request;
static struct helper_answer answer;

static size_t whole_request(void)
{
	const char *texts[HELPER_TEXTS] = { "name", NULL, "CN=name", "4097", "IV_VER=2\nIV_PLAT=x" };
	memset(&request, 0, sizeof(request));
	request.kind = HELPER_CONNECT;
	return helper_request_texts(&request, texts);
}

START_TEST(texts_come_out_as_they_went_in)
{
	char text[64];
	size_t len = whole_request();
	ck_assert(helper_request_ok(&request, len));
	ck_assert_str_eq(helper_request_text(&request, HELPER_COMMON_NAME, text, sizeof(text)), "name");
	ck_assert_str_eq(helper_request_text(&request, HELPER_USERNAME, text, sizeof(text)), "");
	ck_assert_str_eq(helper_request_text(&request, HELPER_SERIAL, text, sizeof(text)), "4097");
	ck_assert_str_eq(
		helper_request_text(&request, HELPER_PEER_INFO, text, sizeof(text)), "IV_VER=2\nIV_PLAT=x");
	ck_assert_str_eq(helper_request_text(&request, HELPER_SUBJECT, text, 4), "CN=");
}
END_TEST

START_TEST(what_is_too_long_is_cut_and_still_fits)
{
	static char long_text[HELPER_TEXT_MAX + 100];
	memset(long_text, 'x', sizeof(long_text) - 1);
	const char *texts[HELPER_TEXTS] = { "name", long_text, "lost", "lost", "lost" };
	memset(&request, 0, sizeof(request));
	request.kind = HELPER_DISCONNECT;
	size_t len = helper_request_texts(&request, texts);
	ck_assert_uint_eq(len, HELPER_REQUEST_HEAD + HELPER_TEXT_MAX);
	ck_assert(helper_request_ok(&request, len));
	ck_assert_uint_eq(request.lens[HELPER_SUBJECT], 0);
}
END_TEST

START_TEST(a_request_that_does_not_fit_its_lengths_is_refused)
{
	size_t len = whole_request();
	ck_assert(!helper_request_ok(&request, len - 1));
	ck_assert(!helper_request_ok(&request, len + 1));
	ck_assert(!helper_request_ok(&request, 0));
	ck_assert(!helper_request_ok(&request, HELPER_REQUEST_HEAD - 1));
	ck_assert(!helper_request_ok(&request, sizeof(request) + 1));
	request.lens[HELPER_USERNAME] = 0xffff;
	ck_assert(!helper_request_ok(&request, len));
	len = whole_request();
	request.kind = 0;
	ck_assert(!helper_request_ok(&request, len));
	request.kind = HELPER_DISCONNECT + 1;
	ck_assert(!helper_request_ok(&request, len));
	len = whole_request();
	request.bits6 = 129;
	ck_assert(!helper_request_ok(&request, len));
}
END_TEST

START_TEST(an_answer_that_does_not_fit_its_lengths_is_refused)
{
	answer = (struct helper_answer){ .verdict = HELPER_ALLOW, .reason_len = 3, .lines_len = 10 };
	ck_assert(helper_answer_ok(&answer, HELPER_ANSWER_HEAD + 13));
	ck_assert(!helper_answer_ok(&answer, HELPER_ANSWER_HEAD + 12));
	ck_assert(!helper_answer_ok(&answer, HELPER_ANSWER_HEAD + 14));
	ck_assert(!helper_answer_ok(&answer, HELPER_ANSWER_HEAD - 1));
	answer.verdict = 0;
	ck_assert(!helper_answer_ok(&answer, HELPER_ANSWER_HEAD + 13));
	answer.verdict = HELPER_DENY + 1;
	ck_assert(!helper_answer_ok(&answer, HELPER_ANSWER_HEAD + 13));
	answer = (struct helper_answer){ .verdict = HELPER_DENY, .reason_len = HELPER_REASON_MAX + 1 };
	ck_assert(!helper_answer_ok(&answer, HELPER_ANSWER_HEAD + HELPER_REASON_MAX + 1));
	answer = (struct helper_answer){ .verdict = HELPER_ALLOW, .lines_len = 0xffffffff, .reason_len = 1 };
	ck_assert(!helper_answer_ok(&answer, HELPER_ANSWER_HEAD));
	answer.lines_len = HELPER_LINES_MAX + 1;
	answer.reason_len = 0;
	ck_assert(!helper_answer_ok(&answer, HELPER_ANSWER_HEAD + HELPER_LINES_MAX + 1));
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, texts_come_out_as_they_went_in);
	tcase_add_test(tcase, what_is_too_long_is_cut_and_still_fits);
	tcase_add_test(tcase, a_request_that_does_not_fit_its_lengths_is_refused);
	tcase_add_test(tcase, an_answer_that_does_not_fit_its_lengths_is_refused);
}

int main(void)
{
	return suite_run("worker helper wire", add);
}
