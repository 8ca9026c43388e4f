/* SPDX-License-Identifier: MIT
 * Directives about the channels: the wrapping of control packets, time limits, renegotiation, ciphers,
 * replay. */
#include "conf/conf.h"

#include "common/crypto/crypto.h"
#include "common/data/data.h"

#include <limits.h>
#include <strings.h>

static const char default_ciphers[] = "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305";

static bool read_direction(struct parse *p, const struct line *line, unsigned i, int *out)
{
	unsigned direction;
	if (!value_unsigned(p, line, i, 0, 1, &direction))
		return false;
	*out = (int)direction;
	return true;
}

void read_tls_auth(struct parse *p, const struct line *line)
{
	if (line->count > 2 && !read_direction(p, line, 2, &p->draft.key_direction))
		return;
	read_file_text(p, line, &p->draft.tls_auth);
}

void read_tls_crypt(struct parse *p, const struct line *line)
{
	if (line->count > 2)
		line_error(p, line, "tls-crypt FILE", "takes one file and nothing else");
	else
		read_file_text(p, line, &p->draft.tls_crypt);
}

void read_tls_crypt_v2(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "allow-noncookie", "force-cookie", NULL };
	int choice = line->count > 2 ? value_choice(p, line, 2, words) : 0;
	if (choice < 0)
		return;
	p->config->force_cookie = choice == 1;
	read_file_text(p, line, &p->draft.tls_crypt_v2);
}

void read_key_direction(struct parse *p, const struct line *line)
{
	read_direction(p, line, 1, &p->draft.key_direction);
}

void read_tls_timeout(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 1, INT_MAX / 1000, &p->config->tls_timeout_s);
}

void read_hand_window(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 1, INT_MAX / 1000, &p->config->hand_window_s);
}

void read_tran_window(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 0, INT_MAX / 1000, &p->config->tran_window_s);
}

void read_reneg_sec(struct parse *p, const struct line *line)
{
	unsigned most, least = 0;
	if (!value_unsigned(p, line, 1, 0, INT_MAX / 1000, &most))
		return;
	if (line->count > 2 && !value_unsigned(p, line, 2, 0, INT_MAX / 1000, &least))
		return;
	if (least > most) {
		line_error(p, line, "reneg-sec MAX [MIN]", "the second number is greater than the first");
		return;
	}
	p->config->reneg_s = most;
	p->config->reneg_min_s = least;
}

void read_reneg_bytes(struct parse *p, const struct line *line)
{
	value_number(p, line, 1, 0, INT64_MAX, &p->config->reneg_bytes);
}

void read_reneg_pkts(struct parse *p, const struct line *line)
{
	value_number(p, line, 1, 0, INT64_MAX, &p->config->reneg_packets);
}

/* -- ciphers -- */

/* A set of ciphers in order. */
struct cipher_list {
	enum cipher ciphers[CIPHER_COUNT];
	unsigned count;
};

static void cipher_list_add(struct cipher_list *list, enum cipher cipher)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->ciphers[i] == cipher)
			return;
	list->ciphers[list->count++] = cipher;
}

/* Ciphers that OpenVPN has and this server may get; all others will never be there. */
static bool cipher_planned(const char *name, size_t len)
{
	static const char *const names[] = { "AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "none" };
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
			return true;
	return false;
}

static void cipher_missing(struct parse *p, const struct line *line, const char *name, size_t len)
{
	if (cipher_planned(name, len))
		line_error(p, line, "put a question mark before it to go on without it",
			"'%.*s' is not supported yet", (int)len, name);
	else
		line_error(p, line, default_ciphers, "'%.*s' is not a data cipher of this server",
			len > 60 ? 60 : (int)len, name);
}

void read_data_ciphers(struct parse *p, const struct line *line)
{
	struct cipher_list list = { .count = 0 };
	unsigned errors = p->errors;

	if (strcmp(line->words[0], "ncp-ciphers") == 0)
		line_warning(p, line, "data-ciphers", "is an old name");
	if (strlen(line->words[1]) > 127) {
		line_error(p, line, NULL, "the list is longer than 127 bytes");
		return;
	}
	for (const char *at = line->words[1]; *at;) {
		size_t len = strcspn(at, ":");
		bool optional = *at == '?';
		const char *name = at + optional;
		size_t name_len = len - optional;
		enum cipher cipher = cipher_by_name(name, name_len);
		if (name_len == 7 && strncasecmp(name, "DEFAULT", 7) == 0) {
			cipher_list_add(&list, CIPHER_AES_256_GCM);
			cipher_list_add(&list, CIPHER_AES_128_GCM);
			cipher_list_add(&list, CIPHER_CHACHA20_POLY1305);
		} else if (cipher != CIPHER_UNKNOWN) {
			cipher_list_add(&list, cipher);
		} else if (name_len && !optional) {
			cipher_missing(p, line, name, name_len);
		}
		at += len;
		at += *at == ':';
	}
	if (p->errors != errors)
		return;
	if (!list.count) {
		line_error(p, line, default_ciphers, "no cipher is left");
		return;
	}
	const char *text = "";
	for (unsigned i = 0; i < list.count && text; i++)
		text = arena_format(p->arena, "%s%s%s", text, i ? ":" : "", cipher_name(list.ciphers[i]));
	p->config->data_ciphers = text;
}

void read_data_ciphers_fallback(struct parse *p, const struct line *line)
{
	const char *name = line->words[1];
	enum cipher cipher = cipher_by_name(name, strlen(name));
	if (cipher == CIPHER_UNKNOWN)
		cipher_missing(p, line, name, strlen(name));
	else
		p->config->data_ciphers_fallback = cipher_name(cipher);
}

void read_cipher(struct parse *p, const struct line *line)
{
	p->draft.cipher = line->words[1];
}

void read_auth(struct parse *p, const struct line *line)
{
	const char *name = line->words[1];
	bool none = strcmp(name, "none") == 0;
	enum digest digest = none ? DIGEST_NONE : digest_by_name(name);
	if (digest == DIGEST_NONE && !none)
		line_error(p, line, "SHA1, SHA256, SHA512", "'%.60s' is not a digest of this server", name);
	else
		p->config->auth = digest_name(digest);
}

void read_replay_window(struct parse *p, const struct line *line)
{
	struct config *c = p->config;
	unsigned packets = 64, seconds = 15;
	if (line->count > 1 && !value_unsigned(p, line, 1, 0, 65536, &packets))
		return;
	if (line->count > 2 && !value_unsigned(p, line, 2, 0, 600, &seconds))
		return;
	if (packets > REPLAY_BITS) {
		line_warning(
			p, line, NULL, "the window is %d packets wide at most; that is used", REPLAY_BITS);
		packets = REPLAY_BITS;
	}
	c->replay_window = packets;
	c->replay_window_s = seconds;
}

void read_mute_replay_warnings(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->mute_replay_warnings = true;
}

void read_allow_compression(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "no", "asym", "yes", NULL };
	int choice = value_choice(p, line, 1, words);
	if (choice > 0)
		line_not_yet(p, line, choice == 1 ? "allow-compression asym" : "allow-compression yes");
}
