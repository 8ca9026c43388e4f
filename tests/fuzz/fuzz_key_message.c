/* SPDX-License-Identifier: MIT
 * The first message over TLS; the first byte of the input says who sent it. What was read is written and read
 * again. */
#include "common/base/check.h"
#include "common/negotiate/negotiate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct key_message first, second;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t wire[sizeof(struct key_message) + 64];
	if (!len)
		return 0;
	bool from_client = data[0] & 1;
	if (!key_message_read(bytes_of(data + 1, len - 1), from_client, &first))
		return 0;
	CHECK(memchr(first.options, '\0', sizeof(first.options)));
	CHECK(memchr(first.username, '\0', sizeof(first.username)));
	CHECK(memchr(first.password, '\0', sizeof(first.password)));
	CHECK(memchr(first.peer_info, '\0', sizeof(first.peer_info)));

	size_t written = key_message_write(&first, from_client, wire, sizeof(wire));
	CHECK(written);
	CHECK(key_message_read(bytes_of(wire, written), from_client, &second));
	CHECK(!memcmp(first.random1, second.random1, sizeof(first.random1)));
	CHECK(!memcmp(first.random2, second.random2, sizeof(first.random2)));
	CHECK(!strcmp(first.options, second.options));
	if (from_client) {
		CHECK(!memcmp(first.pre_master, second.pre_master, sizeof(first.pre_master)));
		CHECK(!strcmp(first.username, second.username));
		CHECK(!strcmp(first.password, second.password));
		CHECK(!strcmp(first.peer_info, second.peer_info));
	}
	return 0;
}
