/* SPDX-License-Identifier: MIT
 * What strangers send first. Byte 0 chooses: each wrapping's open, the cut of a client key, a whole first
 * contact; or the rest is wrapped by us, spoilt in one place by bytes 1 to 3, and must not open any more. */
#include "common/base/check.h"
#include "common/engine/engine.h"
#include "common/wrap/wrap.h"
#include "tests/lib/test_pki.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ROOM = 2300 };

static struct static_key key;
static struct server_key server;

static struct wrap wrap_of(unsigned which, bool is_server)
{
	struct wrap wrap = { 0 };
	if (which % 3 == 1)
		wrap_init_auth(&wrap, &key, which & 4 ? DIGEST_SHA512 : DIGEST_SHA1, is_server ? 0 : 1);
	else if (which % 3 == 2)
		wrap_init_crypt(&wrap, &key, is_server);
	return wrap;
}

static void open_it(unsigned which, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len + 1);
	struct wrap wrap = wrap_of(which, true);
	struct wrap_window window = { .width = 64 };
	struct wrap_opened opened;
	struct control_head head;

	memcpy(copy, data, len);
	if (wrap_open(&wrap, copy, len, &opened) == FATE_NONE) {
		CHECK(opened.body.left < len);
		wire_read_control(opened.opcode, opened.body, &head);
		if (wrap_window_accepts(&window, opened.packet_id, opened.net_time)) {
			wrap_window_note(&window, opened.packet_id, opened.net_time);
			CHECK(!wrap_window_accepts(&window, opened.packet_id, opened.net_time));
		}
	}
	free(copy);
}

static void cut_it(const uint8_t *data, size_t len)
{
	struct client_key out;
	size_t left = len;
	enum fate fate = client_key_cut(&server, data, &left, &out);

	CHECK(fate == FATE_NONE ? left < len && len - left <= CLIENT_KEY_WRAPPED_MAX : left == len);
	left = len;
	client_key_cut(NULL, data, &left, NULL);
	CHECK(left <= len);
}

/* Sealed by one side, opened by the other; spoilt, by nobody. */
static void there_and_back(unsigned which, const uint8_t *data, size_t len)
{
	uint8_t out[ROOM], good[ROOM];
	struct wrap from = wrap_of(which, false), to = wrap_of(which, true);
	struct wrap_counter counter = { 0 };
	struct wrap_opened opened;

	if (len < 4 || len > 2000)
		return;
	size_t made = wrap_seal(
		&from, &counter, 1000, OP_CONTROL_V1, data[0] & 7, 77, data + 4, len - 4, out, sizeof(out));
	CHECK(made > 0);
	memcpy(good, out, made);
	CHECK(wrap_open(&to, out, made, &opened) == FATE_NONE);
	CHECK(opened.body.left == len - 4 && !memcmp(opened.body.at, data + 4, len - 4) &&
		opened.sender == 77);
	if (from.kind == WRAP_NONE || !data[3])
		return;
	size_t at = ((size_t)data[1] << 8 | data[2]) % made;
	good[at] ^= data[3];
	CHECK(wrap_open(&to, good, made, &opened) == FATE_WRAP_FORGED);
}

static vpn_endpoint *endpoint_of(unsigned which)
{
	static vpn_endpoint *made[4];
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];
	vpn_settings s;

	which %= 4;
	if (!made[which]) {
		vpn_settings_default(&s, true);
		s.ca_pem = test_pki()->ca_cert;
		s.cert_pem = test_pki()->server_cert;
		s.key_pem = test_pki()->server_key;
		s.wrapping = which == 1 ? VPN_WRAP_AUTH : which == 2 ? VPN_WRAP_CRYPT : VPN_WRAP_NONE;
		s.static_key = key.bytes;
		s.key_direction = 0;
		s.server_key = which == 3 ? server.bytes : NULL;
		made[which] = vpn_endpoint_new(&s, error, warning);
		CHECK(made[which] != NULL);
		vpn_endpoint_set_secret(made[which], key.bytes);
	}
	return made[which];
}

static void contact_it(unsigned which, const uint8_t *data, size_t len)
{
	static vpn_contact contact;

	vpn_first_contact(endpoint_of(which), "somebody", 8, data, len, 1000000, &contact);
	CHECK(contact.verdict != VPN_CONTACT_REPLY || contact.reply_len <= 2 * len);
	CHECK(contact.verdict != VPN_CONTACT_DROP || contact.fate != FATE_NONE);
	CHECK(contact.metadata_len <= sizeof(contact.metadata));
	/* Nobody comes in without a proof; a client without the early mark needs a key that unwraps. That nobody guesses one
	 * cannot be asked here: the fuzzer sees what our instructions compare, and does. */
	CHECK(contact.verdict != VPN_CONTACT_OPEN || which % 4 != 0 || contact.proven);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	for (unsigned i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (uint8_t)(i * 7 + 3);
	for (unsigned i = 0; i < sizeof(server.bytes); i++)
		server.bytes[i] = (uint8_t)i;
	if (!len)
		return 0;
	unsigned which = data[0] >> 2;
	switch (data[0] & 3) {
	case 0:
		open_it(which, data + 1, len - 1);
		break;
	case 1:
		cut_it(data + 1, len - 1);
		break;
	case 2:
		contact_it(which, data + 1, len - 1);
		break;
	default:
		there_and_back(which, data + 1, len - 1);
		break;
	}
	return 0;
}
