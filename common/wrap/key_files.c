/* SPDX-License-Identifier: MIT
 * The key files: blocks between BEGIN and END lines, hex inside for static keys, base64 for those of
 * tls-crypt-v2. Reading is strict about what stands inside a block and blind to what stands around it. Opens
 * no file. */
#include "common/base/secret.h"
#include "common/wrap/wrap.h"

static const char static_key_title[] = "OpenVPN Static key V1";
static const char server_key_title[] = "OpenVPN tls-crypt-v2 server key";
static const char client_key_title[] = "OpenVPN tls-crypt-v2 client key";

/* -- reading -- */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes a line out of the text, without its line feed and the blanks at its end. False: nothing left. */
static bool next_line(struct bytes *text, struct bytes *line)
{
	if (!text->left)
		return false;
	const uint8_t *feed = memchr(text->at, '\n', text->left);
	*line = read_part(text, feed ? (size_t)(feed - text->at) : text->left);
	if (feed)
		read_u8(text);
	while (line->left && is_space(line->at[line->left - 1]))
		line->left--;
	return true;
}

/* Is the line "-----BEGIN title-----", or the same with END? */
static bool is_marker(struct bytes line, const char *word, const char *title)
{
	const char *const parts[] = { "-----", word, " ", title, "-----" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t len = strlen(parts[i]);
		const uint8_t *at = read_view(&line, len);
		if (!at || strncmp((const char *)at, parts[i], len) != 0)
			return false;
	}
	return !line.left;
}

/* What stands between the first BEGIN line of that title and the END line after it. */
static bool find_block(const char *text, size_t len, const char *title, struct bytes *inside)
{
	struct bytes in = bytes_of(text, len), line;
	const uint8_t *start = NULL;

	while (next_line(&in, &line)) {
		if (!start) {
			if (is_marker(line, "BEGIN", title))
				start = in.at;
		} else if (is_marker(line, "END", title)) {
			*inside = bytes_of(start, (size_t)(line.at - start));
			return true;
		}
	}
	return false;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Digits of `bits` bits each, blanks between them skipped, to bytes; `pad` counts '=' at the end. False:
 * another character, more than `out` takes, or bits left over. */
static bool read_digits(
	struct bytes in, int (*value)(uint8_t), int bits, size_t *digits, size_t *pad, struct bytes_out *out)
{
	uint32_t held = 0;
	int held_bits = 0;

	*digits = *pad = 0;
	while (in.left) {
		uint8_t c = read_u8(&in);
		if (is_space(c))
			continue;
		if (c == '=') {
			++*pad;
			continue;
		}
		int digit = value(c);
		if (digit < 0 || *pad)
			return false;
		++*digits;
		held = held << bits | (uint32_t)digit;
		held_bits += bits;
		if (held_bits >= 8) {
			held_bits -= 8;
			write_u8(out, (uint8_t)(held >> held_bits));
			held &= (1u << held_bits) - 1;
		}
	}
	return !out->failed && !held && held_bits < bits;
}

static bool read_hex(struct bytes in, struct bytes_out *out)
{
	size_t digits, pad;

	return read_digits(in, hex_value, 4, &digits, &pad, out) && !pad;
}

static bool read_base64(struct bytes in, struct bytes_out *out)
{
	size_t digits, pad;

	return read_digits(in, base64_value, 6, &digits, &pad, out) && pad <= 2 && (digits + pad) % 4 == 0;
}

bool static_key_read(const char *text, size_t len, struct static_key *out)
{
	struct bytes inside;
	struct bytes_out key = bytes_into(out->bytes, sizeof(out->bytes));

	bool ok = find_block(text, len, static_key_title, &inside) && read_hex(inside, &key) &&
		  key.len == sizeof(out->bytes);
	if (!ok)
		secret_wipe(out, sizeof(*out));
	return ok;
}

bool server_key_read(const char *text, size_t len, struct server_key *out)
{
	struct bytes inside;
	struct bytes_out key = bytes_into(out->bytes, sizeof(out->bytes));

	bool ok = find_block(text, len, server_key_title, &inside) && read_base64(inside, &key) &&
		  key.len == sizeof(out->bytes);
	if (!ok)
		secret_wipe(out, sizeof(*out));
	return ok;
}

bool client_key_file_read(
	const char *text, size_t len, struct static_key *key, uint8_t *wrapped, size_t *wrapped_len)
{
	uint8_t both[STATIC_KEY_LEN + CLIENT_KEY_WRAPPED_MAX];
	struct bytes inside;
	struct bytes_out out = bytes_into(both, sizeof(both));

	bool ok = find_block(text, len, client_key_title, &inside) && read_base64(inside, &out);
	struct bytes in = bytes_of(both, out.len);
	read_data(&in, key->bytes, STATIC_KEY_LEN);
	/* The wrapped form ends with its own length. */
	ok = ok && bytes_ok(&in) && in.left >= CLIENT_KEY_WRAPPED_MIN && in.left <= *wrapped_len;
	if (ok) {
		struct bytes tail = bytes_of(in.at + in.left - 2, 2);
		ok = read_u16(&tail) == in.left;
	}
	if (ok) {
		*wrapped_len = in.left;
		read_data(&in, wrapped, in.left);
	} else {
		secret_wipe(key, sizeof(*key));
	}
	secret_wipe(both, sizeof(both));
	return ok;
}

/* -- writing -- */

static void write_text(struct bytes_out *out, const char *text)
{
	write_data(out, text, strlen(text));
}

static void write_marker(struct bytes_out *out, const char *word, const char *title)
{
	write_text(out, "-----");
	write_text(out, word);
	write_text(out, " ");
	write_text(out, title);
	write_text(out, "-----\n");
}

/* Terminates. The text's length, or 0 and an empty text when it did not fit. */
static size_t finish(struct bytes_out *out)
{
	write_u8(out, 0);
	if (!out->failed)
		return out->len - 1;
	secret_wipe(out->start, out->room);
	return 0;
}

size_t static_key_write(const struct static_key *key, char *out, size_t room)
{
	static const char digits[] = "0123456789abcdef";
	enum { PER_LINE = 16 };
	struct bytes_out text = bytes_into(out, room);

	write_text(&text, "#\n# 2048 bit OpenVPN static key\n#\n");
	write_marker(&text, "BEGIN", static_key_title);
	for (size_t i = 0; i < STATIC_KEY_LEN; i++) {
		write_u8(&text, (uint8_t)digits[key->bytes[i] >> 4]);
		write_u8(&text, (uint8_t)digits[key->bytes[i] & 15]);
		if (i % PER_LINE == PER_LINE - 1)
			write_u8(&text, '\n');
	}
	write_marker(&text, "END", static_key_title);
	return finish(&text);
}

/* Lines of 48 bytes, which are 64 digits. */
static void write_base64(struct bytes_out *out, struct bytes in)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t done = 0; in.left; done += 3) {
		if (done && done % 48 == 0)
			write_u8(out, '\n');
		size_t n = in.left < 3 ? in.left : 3;
		uint8_t three[3] = { 0 };
		read_data(&in, three, n);
		uint32_t v = (uint32_t)three[0] << 16 | (uint32_t)three[1] << 8 | three[2];
		for (size_t i = 0; i < 4; i++)
			write_u8(out, (uint8_t)(i <= n ? digits[v >> (18 - 6 * i) & 63] : '='));
	}
	write_u8(out, '\n');
}

size_t server_key_write(const struct server_key *key, char *out, size_t room)
{
	struct bytes_out text = bytes_into(out, room);

	write_marker(&text, "BEGIN", server_key_title);
	write_base64(&text, bytes_of(key->bytes, sizeof(key->bytes)));
	write_marker(&text, "END", server_key_title);
	return finish(&text);
}

size_t client_key_file_write(
	const struct static_key *key, const uint8_t *wrapped, size_t wrapped_len, char *out, size_t room)
{
	uint8_t both[STATIC_KEY_LEN + CLIENT_KEY_WRAPPED_MAX];
	struct bytes_out joined = bytes_into(both, sizeof(both)), text = bytes_into(out, room);

	write_data(&joined, key->bytes, STATIC_KEY_LEN);
	write_data(&joined, wrapped, wrapped_len);
	text.failed = joined.failed;
	write_marker(&text, "BEGIN", client_key_title);
	write_base64(&text, bytes_of(both, joined.len));
	write_marker(&text, "END", client_key_title);
	secret_wipe(both, sizeof(both));
	return finish(&text);
}
