/* SPDX-License-Identifier: MIT
 * The first message that both sides send over TLS ("key method 2"): randoms, options text, credentials, peer
 * info.
 *
 *   0       4        5                53         85         117
 *   | zero  | method | pre-master     | random 1 | random 2 | options | user name | password | peer info
 *           (pre-master: the client's only; each text: length u16 with the NUL counted, bytes, NUL; empty:
 * length 0) */
#include "common/base/secret.h"
#include "common/negotiate/negotiate.h"

enum { METHOD_2 = 2, METHOD_MASK = 15 };

/* Reads one text. Over-long ones are skipped by their length, so that what follows stays readable; false for
 * them. */
static bool read_text(struct bytes *in, char *out, size_t room)
{
	out[0] = '\0';
	if (!in->left)
		return true; /* the message ended before this field */
	size_t len = read_u16(in);
	const uint8_t *text = len ? read_view(in, len) : NULL;
	if (!text)
		return true; /* empty, or the cursor remembers that it is cut */
	if (len > room)
		return false;
	memcpy(out, text, len);
	out[len - 1] = '\0';
	return true;
}

bool key_message_read(struct bytes in, bool from_client, struct key_message *out)
{
	memset(out, 0, sizeof(*out));
	read_u32(&in);
	bool method_known = (read_u8(&in) & METHOD_MASK) == METHOD_2;
	if (from_client)
		read_data(&in, out->pre_master, sizeof(out->pre_master));
	read_data(&in, out->random1, sizeof(out->random1));
	read_data(&in, out->random2, sizeof(out->random2));

	bool has_options = in.left > 0;
	bool options_fit = read_text(&in, out->options, sizeof(out->options));
	bool user_fits = read_text(&in, out->username, sizeof(out->username));
	bool password_fits = read_text(&in, out->password, sizeof(out->password));
	out->credentials_too_long = !user_fits || !password_fits;
	read_text(&in, out->peer_info, sizeof(out->peer_info));

	if (bytes_ok(&in) && method_known && has_options && options_fit)
		return true;
	secret_wipe(out, sizeof(*out));
	return false;
}

static void write_text(struct bytes_out *to, const char *text, size_t room)
{
	size_t len = strnlen(text, room);
	if (len == room)
		to->failed = true; /* not terminated */
	write_u16(to, (uint16_t)(len ? len + 1 : 0));
	if (len) {
		write_data(to, text, len);
		write_u8(to, 0);
	}
}

size_t key_message_write(const struct key_message *in, bool from_client, void *out, size_t room)
{
	struct bytes_out to = bytes_into(out, room);
	write_u32(&to, 0);
	write_u8(&to, METHOD_2);
	if (from_client)
		write_data(&to, in->pre_master, sizeof(in->pre_master));
	write_data(&to, in->random1, sizeof(in->random1));
	write_data(&to, in->random2, sizeof(in->random2));
	write_text(&to, in->options, sizeof(in->options));
	write_text(&to, from_client ? in->username : "", CREDENTIAL_MAX);
	write_text(&to, from_client ? in->password : "", CREDENTIAL_MAX);
	write_text(&to, from_client ? in->peer_info : "", PEER_INFO_MAX);
	return to.failed ? 0 : to.len;
}
