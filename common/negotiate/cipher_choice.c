/* SPDX-License-Identifier: MIT
 * The one data cipher that both sides accept, and the options text that old peers compare. */
#include "common/negotiate/negotiate.h"

#include <stdio.h>

/* -- the choice -- */

/* Who tells a list means that list. IV_NCP=2 alone means the two ciphers of 2.4 and the one of the options
 * text. Others use the cipher of their options text and cannot be told otherwise. */
static bool client_has(const struct peer_info *peer, const char *from_options, enum cipher cipher)
{
	const char *name = cipher_name(cipher);
	if (peer->ciphers[0])
		return cipher_list_has(peer->ciphers, name);
	if (peer->ncp >= 2 && (cipher == CIPHER_AES_256_GCM || cipher == CIPHER_AES_128_GCM))
		return true;
	return !strcmp(from_options, name);
}

enum cipher cipher_choose(const char *ours, const char *fallback, const struct peer_info *peer,
	const char *options, bool *push_it)
{
	char from_options[64] = "";
	bool told = options_item(options, "cipher", from_options, sizeof(from_options));
	bool negotiates = peer->ciphers[0] || peer->ncp >= 2;
	*push_it = false;
	if (!negotiates && !told)
		return fallback ? cipher_by_name(fallback, strlen(fallback)) : CIPHER_UNKNOWN;
	while (*ours) {
		size_t item = strcspn(ours, ":");
		size_t optional = *ours == '?';
		enum cipher cipher = cipher_by_name(ours + optional, item - optional);
		if (cipher != CIPHER_UNKNOWN && client_has(peer, from_options, cipher)) {
			*push_it = negotiates;
			return cipher;
		}
		ours += item + (ours[item] == ':');
	}
	return CIPHER_UNKNOWN;
}

/* -- the options text -- */

bool options_item(const char *options, const char *item, char *value, size_t room)
{
	size_t name_len = strlen(item);
	while (*options) {
		size_t len = strcspn(options, ",");
		if (len >= name_len && !strncmp(options, item, name_len) &&
			(len == name_len || options[name_len] == ' ')) {
			size_t skip = len == name_len ? len : name_len + 1;
			if (len - skip >= room)
				return false;
			memcpy(value, options + skip, len - skip);
			value[len - skip] = '\0';
			return true;
		}
		options += len + (options[len] == ',');
	}
	return false;
}

/* What the text says about a cipher and what old peers count for it in link-mtu: they add the block size for
 * padding even where a mode has none, and for AEAD modes the IV although it is not sent. */
struct cipher_facts {
	const char *name;
	unsigned bits, block, iv;
	bool aead;
};

static const struct cipher_facts cipher_table[] = {
	{ "AES-128-GCM", 128, 16, 12, true },
	{ "AES-192-GCM", 192, 16, 12, true },
	{ "AES-256-GCM", 256, 16, 12, true },
	{ "CHACHA20-POLY1305", 256, 1, 12, true },
	{ "AES-128-CBC", 128, 16, 16, false },
	{ "AES-192-CBC", 192, 16, 16, false },
	{ "AES-256-CBC", 256, 16, 16, false },
	{ "none", 0, 0, 0, false },
};
static const struct cipher_facts legacy_default = { "BF-CBC", 128, 8, 8, false };

static const struct cipher_facts *facts_of(const char *name)
{
	for (size_t i = 0; name && i < sizeof(cipher_table) / sizeof(cipher_table[0]); i++)
		if (!strcmp(cipher_table[i].name, name))
			return &cipher_table[i];
	return &legacy_default;
}

static unsigned digest_len(const char *name)
{
	static const struct {
		const char *name;
		unsigned len;
	} digests[] = { { "none", 0 }, { "MD5", 16 }, { "SHA1", 20 }, { "SHA224", 28 }, { "SHA256", 32 },
		{ "SHA384", 48 }, { "SHA512", 64 } };
	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++)
		if (!strcmp(digests[i].name, name))
			return digests[i].len;
	return 20;
}

size_t options_text(const struct options_facts *facts, char *out, size_t room)
{
	enum { OPCODE = 1, PACKET_ID = 4, TAG = 16, STREAM_LENGTH = 2 };
	const struct cipher_facts *cipher = facts_of(facts->cipher);
	const char *auth = cipher->aead ? "none" : facts->auth;
	unsigned link_mtu = facts->tun_mtu + OPCODE + PACKET_ID + cipher->block + cipher->iv +
			    (cipher->aead ? TAG : digest_len(auth)) + (facts->tcp ? STREAM_LENGTH : 0);
	const char *proto = !facts->tcp ? "UDPv4" : facts->server ? "TCPv4_SERVER" : "TCPv4_CLIENT";
	char keydir[20] = "", cipher_item[64] = "";
	if (facts->key_direction >= 0)
		snprintf(keydir, sizeof(keydir), ",keydir %d", facts->key_direction);
	if (facts->cipher)
		snprintf(cipher_item, sizeof(cipher_item), ",cipher %s",
			strcmp(facts->cipher, "none") ? facts->cipher : "[null-cipher]");
	int len = snprintf(out, room,
		"V4,dev-type tun,link-mtu %u,tun-mtu %u,proto %s%s%s,auth %s,keysize %u%s,key-method "
		"2,tls-%s",
		link_mtu, facts->told_mtu ? facts->told_mtu : facts->tun_mtu, proto, keydir, cipher_item,
		strcmp(auth, "none") ? auth : "[null-digest]", cipher->bits,
		facts->tls_auth ? ",tls-auth" : "", facts->server ? "server" : "client");
	return len > 0 && (size_t)len < room ? (size_t)len : 0;
}
