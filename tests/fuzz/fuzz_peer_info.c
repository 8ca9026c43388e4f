/* SPDX-License-Identifier: MIT
 * Peer info up to the first NUL, an options text behind it: what a server reads before it chooses a cipher.
 */
#include "common/base/check.h"
#include "common/negotiate/negotiate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_clean(const char *text)
{
	for (; *text; text++)
		CHECK(*text == '\n' ||
			(*text > ' ' && *text <= '~' && *text != '$' && *text != '(' && *text != '`'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 2);
	if (!text)
		return 0;
	memcpy(text, data, len);
	text[len] = text[len + 1] = '\0';
	const char *options = text + strlen(text) + 1;

	struct peer_info before, after;
	peer_info_read(text, &before);
	check_clean(before.version);
	check_clean(before.platform);
	check_clean(before.ciphers);

	bool push_it;
	enum cipher cipher = cipher_choose(
		"AES-256-GCM:?AES-128-GCM:CHACHA20-POLY1305", "AES-192-GCM", &before, options, &push_it);
	CHECK((unsigned)cipher < CIPHER_COUNT);
	CHECK(!push_it || (cipher != CIPHER_UNKNOWN && (before.ciphers[0] || before.ncp >= 2)));
	CHECK(cipher == CIPHER_UNKNOWN || !before.ciphers[0] ||
		cipher_list_has(before.ciphers, cipher_name(cipher)));

	char value[16];
	if (options_item(options, "auth", value, sizeof(value)))
		CHECK(strlen(value) < sizeof(value) && !strchr(value, ','));

	/* Cleaning makes no line mean anything else. */
	unsigned skipped = peer_info_read(text, &before);
	peer_info_clean(text);
	check_clean(text);
	CHECK(peer_info_read(text, &after) == skipped);
	CHECK(before.proto == after.proto && before.mtu == after.mtu && before.ncp == after.ncp);
	CHECK(before.comp_stub_v2 == after.comp_stub_v2 && !strcmp(before.ciphers, after.ciphers));
	CHECK(!strcmp(before.version, after.version) && !strcmp(before.platform, after.platform));
	free(text);
	return 0;
}
