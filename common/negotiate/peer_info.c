/* SPDX-License-Identifier: MIT
 * What a peer tells about itself: KEY=value lines, into a small struct and back. The peer is authenticated at
 * most, and its text reaches logs and scripts, so nothing odd survives. */
#include "common/negotiate/negotiate.h"

#include <stdio.h>

enum { LINE_MAX_LEN = 255 };

static bool is_key_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_value_char(char c)
{
	return c > ' ' && c <= '~' && c != '$' && c != '(' && c != '`';
}

/* Copies a value, cleaned, cut to the room. */
static void take_text(const char *value, size_t len, char *out, size_t room)
{
	if (len > room - 1)
		len = room - 1;
	for (size_t i = 0; i < len; i++)
		out[i] = is_value_char(value[i]) ? value[i] : '_';
	out[len] = '\0';
}

static bool take_number(const char *value, size_t len, uint32_t *out)
{
	uint64_t number = 0;
	if (!len || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return false;
		number = number * 10 + (unsigned)(value[i] - '0');
	}
	*out = (uint32_t)number;
	return number <= UINT32_MAX;
}

enum key { KEY_PROTO, KEY_MTU, KEY_NCP, KEY_CIPHERS, KEY_VER, KEY_PLAT, KEY_COMP_STUB_V2, KEY_COUNT };

static const char *const key_names[KEY_COUNT] = {
	[KEY_PROTO] = "IV_PROTO",
	[KEY_MTU] = "IV_MTU",
	[KEY_NCP] = "IV_NCP",
	[KEY_CIPHERS] = "IV_CIPHERS",
	[KEY_VER] = "IV_VER",
	[KEY_PLAT] = "IV_PLAT",
	[KEY_COMP_STUB_V2] = "IV_COMP_STUBv2",
};

static enum key find_key(const char *name, size_t len)
{
	unsigned key = 0;
	while (key < KEY_COUNT && (strlen(key_names[key]) != len || strncmp(key_names[key], name, len)))
		key++;
	return (enum key)key;
}

static bool take_value(struct peer_info *out, enum key key, const char *value, size_t len)
{
	uint32_t number = 0;
	switch (key) {
	case KEY_CIPHERS:
		take_text(value, len, out->ciphers, sizeof(out->ciphers));
		return true;
	case KEY_VER:
		take_text(value, len, out->version, sizeof(out->version));
		return true;
	case KEY_PLAT:
		take_text(value, len, out->platform, sizeof(out->platform));
		return true;
	default:
		break;
	}
	if (!take_number(value, len, &number))
		return false;
	if (key == KEY_PROTO)
		out->proto = number;
	else if (key == KEY_MTU)
		out->mtu = number;
	else if (key == KEY_NCP)
		out->ncp = number;
	else
		out->comp_stub_v2 = number == 1;
	return true;
}

static bool read_line(const char *line, size_t len, unsigned *seen, struct peer_info *out)
{
	size_t key_len = 0;
	if (len > LINE_MAX_LEN)
		return false;
	while (key_len < len && is_key_char(line[key_len]))
		key_len++;
	if (key_len == len || line[key_len] != '=')
		return false;
	bool id = key_len == 2 && !strncmp(line, "ID", 2);
	if (!id && (key_len < 3 || (strncmp(line, "IV_", 3) && strncmp(line, "UV_", 3))))
		return false;
	enum key key = find_key(line, key_len);
	if (key == KEY_COUNT)
		return true; /* legal, and nothing that we act on */
	/* The first one counts, as in every OpenVPN: a second must not change what a log line already said.
	 */
	if (*seen & 1u << key)
		return false;
	*seen |= 1u << key;
	return take_value(out, key, line + key_len + 1, len - key_len - 1);
}

unsigned peer_info_read(const char *text, struct peer_info *out)
{
	unsigned seen = 0, skipped = 0;
	*out = (struct peer_info){ 0 };
	while (*text) {
		size_t len = strcspn(text, "\n");
		if (len && !read_line(text, len, &seen, out))
			skipped++;
		text += len + (text[len] == '\n');
	}
	return skipped;
}

bool cipher_list_has(const char *list, const char *name)
{
	size_t len = strlen(name);
	while (*list) {
		size_t item = strcspn(list, ":");
		if (item == len && !strncmp(list, name, len))
			return true;
		list += item + (list[item] == ':');
	}
	return false;
}

size_t peer_info_write(
	const char *version, uint32_t proto, unsigned mtu, const char *ciphers, char *out, size_t room)
{
	char mtu_line[32] = "";
	if (mtu)
		snprintf(mtu_line, sizeof(mtu_line), "IV_MTU=%u\n", mtu);
	bool ncp = cipher_list_has(ciphers, "AES-256-GCM") && cipher_list_has(ciphers, "AES-128-GCM");
	int len =
		snprintf(out, room, "IV_VER=%s\nIV_PLAT=linux\nIV_TCPNL=1\n%s%sIV_CIPHERS=%s\nIV_PROTO=%u\n",
			version, mtu_line, ncp ? "IV_NCP=2\n" : "", ciphers, (unsigned)proto);
	return len > 0 && (size_t)len < room ? (size_t)len : 0;
}

void peer_info_clean(char *text)
{
	bool in_value = false;
	for (; *text; text++) {
		if (*text == '\n')
			in_value = false;
		else if (!in_value && *text == '=')
			in_value = true;
		else if (in_value && !is_value_char(*text))
			*text = '_';
		else if (!in_value && !is_key_char(*text))
			*text = '?'; /* not '_': an ill-formed key must not become another one */
	}
}
