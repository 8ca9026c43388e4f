/* SPDX-License-Identifier: MIT
 * Key files: those that OpenVPN makes, our own, and what must be refused. */
#include "common/wrap/wrap.h"
#include "tests/lib/hex.h"
#include "tests/lib/suite.h"
#include "tests/vectors/key_files.h"

#include <stdio.h>

enum { TEXT_MAX = 4096 };

static bool read_static(const char *text, struct static_key *out)
{
	return static_key_read(text, strlen(text), out);
}

static bool read_server(const char *text, struct server_key *out)
{
	return server_key_read(text, strlen(text), out);
}

/* `from` becomes `to`, once, in a copy that the next call overwrites. */
static const char *with(const char *text, const char *from, const char *to)
{
	static char copy[TEXT_MAX];
	const char *at = strstr(text, from);

	ck_assert_ptr_nonnull(at);
	snprintf(copy, sizeof(copy), "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	return copy;
}

START_TEST(openvpns_static_key_is_read_and_written_letter_by_letter)
{
	struct static_key key;
	char text[TEXT_MAX];

	ck_assert(read_static(VECTOR_STATIC_KEY_FILE, &key));
	assert_hex(key.bytes, 16, VECTOR_STATIC_KEY_FIRST);
	assert_hex(key.bytes + 240, 16, VECTOR_STATIC_KEY_LAST);
	ck_assert_uint_eq(static_key_write(&key, text, sizeof(text)), strlen(VECTOR_STATIC_KEY_FILE));
	ck_assert_str_eq(text, VECTOR_STATIC_KEY_FILE);
}
END_TEST

START_TEST(openvpns_server_key_is_read_and_written_letter_by_letter)
{
	struct server_key key;
	char text[TEXT_MAX];

	ck_assert(read_server(VECTOR_SERVER_KEY_FILE, &key));
	ck_assert_uint_eq(server_key_write(&key, text, sizeof(text)), strlen(VECTOR_SERVER_KEY_FILE));
	ck_assert_str_eq(text, VECTOR_SERVER_KEY_FILE);
}
END_TEST

START_TEST(openvpns_client_key_is_read_unwrapped_and_written_letter_by_letter)
{
	struct server_key server;
	struct static_key key;
	struct client_key inside;
	uint8_t datagram[1 + CLIENT_KEY_WRAPPED_MAX];
	size_t wrapped_len = CLIENT_KEY_WRAPPED_MAX;
	char text[TEXT_MAX];

	ck_assert(read_server(VECTOR_SERVER_KEY_FILE, &server));
	ck_assert(client_key_file_read(
		VECTOR_CLIENT_KEY_FILE, strlen(VECTOR_CLIENT_KEY_FILE), &key, datagram + 1, &wrapped_len));
	ck_assert_uint_eq(wrapped_len, 299);
	size_t len = 1 + wrapped_len;
	ck_assert_int_eq(client_key_cut(&server, datagram, &len, &inside), FATE_NONE);
	ck_assert_mem_eq(&inside.key, &key, sizeof(key));
	ck_assert_uint_eq(inside.metadata_len, 9);
	ck_assert_uint_eq(inside.metadata[0], 1);

	ck_assert_uint_eq(client_key_file_write(&key, datagram + 1, wrapped_len, text, sizeof(text)),
		strlen(VECTOR_CLIENT_KEY_FILE));
	ck_assert_str_eq(text, VECTOR_CLIENT_KEY_FILE);
	/* The same key wrapped again is the same file. */
	ck_assert_uint_eq(client_key_wrap(&server, &inside, datagram, sizeof(datagram)), wrapped_len);
	ck_assert_uint_gt(client_key_file_write(&key, datagram, wrapped_len, text, sizeof(text)), 0);
	ck_assert_str_eq(text, VECTOR_CLIENT_KEY_FILE);
}
END_TEST

START_TEST(what_stands_around_a_block_and_line_ends_do_not_matter)
{
	struct static_key expected, key;
	char text[TEXT_MAX], *to = text;

	ck_assert(read_static(VECTOR_STATIC_KEY_FILE, &expected));
	to += sprintf(
		to, "<tls-auth>\r\n-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n");
	for (const char *from = VECTOR_STATIC_KEY_FILE; *from; from++) {
		if (*from == '\n') {
			*to++ = ' ';
			*to++ = '\r';
		}
		*to++ = *from;
	}
	strcpy(to, "-----BEGIN OpenVPN Static key V1-----\nsecond blocks are not looked at\n");
	ck_assert(read_static(text, &key));
	ck_assert_mem_eq(&expected, &key, sizeof(key));
	/* The last line needs no line feed, and the text no terminator. */
	size_t len = strlen(VECTOR_STATIC_KEY_FILE) - 1;
	ck_assert(static_key_read(VECTOR_STATIC_KEY_FILE, len, &key));
	ck_assert_mem_eq(&expected, &key, sizeof(key));
	ck_assert(!static_key_read(VECTOR_STATIC_KEY_FILE, len - 1, &key));
}
END_TEST

START_TEST(upper_case_digits_and_other_line_lengths_are_read)
{
	struct static_key expected, key;

	ck_assert(read_static(VECTOR_STATIC_KEY_FILE, &expected));
	ck_assert(read_static(with(VECTOR_STATIC_KEY_FILE, "6c78baee", "6C78\nBA EE"), &key));
	ck_assert_mem_eq(&expected, &key, sizeof(key));
}
END_TEST

START_TEST(a_text_without_the_block_is_refused)
{
	static const char *const texts[] = { "", "\n", "-----BEGIN OpenVPN Static key V1-----",
		"-----BEGIN OpenVPN Static key V1-----\n-----END OpenVPN Static key V1-----\n",
		VECTOR_SERVER_KEY_FILE };
	struct static_key key;
	struct server_key server;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert(!read_static(texts[i], &key));
	ck_assert(!read_static(with(VECTOR_STATIC_KEY_FILE, "BEGIN", "BEGUN"), &key));
	ck_assert(!read_static(with(VECTOR_STATIC_KEY_FILE, "-----BEGIN", "x-----BEGIN"), &key));
	ck_assert(!read_static(with(VECTOR_STATIC_KEY_FILE, "V1-----\n6", "V1-----6"), &key));
	ck_assert(!read_static(with(VECTOR_STATIC_KEY_FILE, "END OpenVPN", "END"), &key));
	ck_assert(!read_server(VECTOR_STATIC_KEY_FILE, &server));
	ck_assert(!read_server(VECTOR_CLIENT_KEY_FILE, &server));
}
END_TEST

START_TEST(wrong_sizes_and_foreign_letters_in_hex_are_refused_and_leave_nothing)
{
	static const char *const changes[] = { "", "6c78baee", "6c78baeec6131", "6c78baeec613180000",
		"6c78baeec6131g", "6c78=baeec613185", "6c78baeec6131-", "0x6c78baeec613" };
	static const struct static_key empty;

	/* The first stands for "6c78baeec61318" taken out: too little; then bytes missing, halves, too much,
	 * letters. */
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct static_key key;
		ck_assert(!read_static(with(VECTOR_STATIC_KEY_FILE, "6c78baeec61318", changes[i]), &key));
		ck_assert_mem_eq(&key, &empty, sizeof(key));
	}
}
END_TEST

START_TEST(base64_is_read_strictly)
{
	static const struct server_key empty;
	/* The true end is "OuQ+I=": 128 bytes are 42 whole groups and one with two bytes. */
	static const char *const ends[] = {
		"OuQ+I",    /* padding missing */
		"OuQ+I==",  /* too much of it */
		"OuQ+I= =", /* also apart */
		"OuQ+J=",   /* bits set that belong to no byte */
		"OuQ+=I",   /* padding in the middle */
		"OuQ+",	    /* shorter */
		"OuQ+IAA",  /* longer */
		"OuQ+IAAA=",
		"OuQ-I=", /* the other alphabet */
		"OuQ+I=\n=",
		"OuQ+\x80=",
		"OuQ*I=",
	};
	struct server_key key;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		ck_assert(!read_server(with(VECTOR_SERVER_KEY_FILE, "OuQ+I=", ends[i]), &key));
		ck_assert_mem_eq(&key, &empty, sizeof(key));
	}
	ck_assert(read_server(with(VECTOR_SERVER_KEY_FILE, "OuQ+I=", "OuQ\r\n +\tI= "), &key));
}
END_TEST

START_TEST(a_nul_inside_a_block_is_refused)
{
	struct server_key key;
	char text[TEXT_MAX] = VECTOR_SERVER_KEY_FILE;

	text[60] = 0;
	ck_assert(!server_key_read(text, strlen(VECTOR_SERVER_KEY_FILE), &key));
}
END_TEST

START_TEST(a_client_file_of_a_wrong_size_is_refused)
{
	struct static_key key, sample = { { 1, 2, 3 } };
	uint8_t wrapped[CLIENT_KEY_WRAPPED_MAX + 1] = { 0 }, out[CLIENT_KEY_WRAPPED_MAX + 1];
	char text[TEXT_MAX];

	for (size_t len = 0; len <= CLIENT_KEY_WRAPPED_MAX; len++) {
		/* Each with a true length at its end, where there is room for one. */
		memset(wrapped, 0, sizeof(wrapped));
		if (len >= 2) {
			wrapped[len - 2] = (uint8_t)(len >> 8);
			wrapped[len - 1] = (uint8_t)len;
		}
		size_t text_len = client_key_file_write(&sample, wrapped, len, text, sizeof(text));
		ck_assert_uint_gt(text_len, 0);
		size_t found = CLIENT_KEY_WRAPPED_MAX;
		bool good = client_key_file_read(text, text_len, &key, out, &found);
		ck_assert(good == (len >= CLIENT_KEY_WRAPPED_MIN));
		if (!good)
			continue;
		ck_assert_uint_eq(found, len);
		ck_assert_mem_eq(out, wrapped, len);
		ck_assert_mem_eq(&key, &sample, sizeof(key));
		/* Room for one less; and a length that lies. */
		found = len - 1;
		ck_assert(!client_key_file_read(text, text_len, &key, out, &found));
		wrapped[len - 1] ^= 1;
		text_len = client_key_file_write(&sample, wrapped, len, text, sizeof(text));
		found = CLIENT_KEY_WRAPPED_MAX;
		ck_assert(!client_key_file_read(text, text_len, &key, out, &found));
	}
	ck_assert_uint_eq(client_key_file_write(&sample, wrapped, sizeof(wrapped), text, sizeof(text)), 0);
}
END_TEST

START_TEST(without_room_nothing_is_written)
{
	struct static_key key = { { 1, 2, 3 } };
	struct server_key server = { { 1, 2, 3 } };
	uint8_t wrapped[300] = { 0 };
	char text[TEXT_MAX];
	size_t static_len = static_key_write(&key, text, sizeof(text));
	size_t server_len = server_key_write(&server, text, sizeof(text));
	size_t client_len = client_key_file_write(&key, wrapped, sizeof(wrapped), text, sizeof(text));

	ck_assert_uint_eq(client_len, strlen(text));
	for (size_t room = 0; room < sizeof(text); room++) {
		ck_assert_uint_eq(static_key_write(&key, text, room), room > static_len ? static_len : 0);
		ck_assert_uint_eq(server_key_write(&server, text, room), room > server_len ? server_len : 0);
		ck_assert_uint_eq(client_key_file_write(&key, wrapped, sizeof(wrapped), text, room),
			room > client_len ? client_len : 0);
		if (room && room <= server_len)
			ck_assert_str_eq(text, "");
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, openvpns_static_key_is_read_and_written_letter_by_letter);
	tcase_add_test(tcase, openvpns_server_key_is_read_and_written_letter_by_letter);
	tcase_add_test(tcase, openvpns_client_key_is_read_unwrapped_and_written_letter_by_letter);
	tcase_add_test(tcase, what_stands_around_a_block_and_line_ends_do_not_matter);
	tcase_add_test(tcase, upper_case_digits_and_other_line_lengths_are_read);
	tcase_add_test(tcase, a_text_without_the_block_is_refused);
	tcase_add_test(tcase, wrong_sizes_and_foreign_letters_in_hex_are_refused_and_leave_nothing);
	tcase_add_test(tcase, base64_is_read_strictly);
	tcase_add_test(tcase, a_nul_inside_a_block_is_refused);
	tcase_add_test(tcase, a_client_file_of_a_wrong_size_is_refused);
	tcase_add_test(tcase, without_room_nothing_is_written);
}

int main(void)
{
	return suite_run("wrap/key_files", add);
}
