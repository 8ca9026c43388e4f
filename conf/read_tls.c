/* SPDX-License-Identifier: MIT
 * Directives about certificates and TLS. Only the master's parser sees them; which names of ciphers and
 * groups the TLS library knows, common/tls says when its context is made. */
#include "conf/conf.h"

#include <ctype.h>
#include <strings.h>

/* A file that load.c will open, or the block that is its content. */
void read_file_text(struct parse *p, const struct line *line, struct file_text *out)
{
	if (line->has_block)
		*out = (struct file_text){ .path = "[inline]", .bytes = line->block, .len = line->block_len };
	else
		*out = (struct file_text){ .path = line->words[1] };
	if (!line->has_block && !*line->words[1])
		line_error(p, line, NULL, "a file name is missing");
}

/* OpenVPN 2.7 takes URIs for certificate and key. "file:" is a way to write a path; others need a provider.
 */
static void read_file_or_uri(struct parse *p, const struct line *line, struct file_text *out)
{
	read_file_text(p, line, out);
	if (line->has_block)
		return;
	const char *path = line->words[1];
	size_t scheme = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+");
	if (scheme < 2 || path[scheme] != ':')
		return;
	if (strncasecmp(path, "file:", 5) == 0) {
		path += 5;
		if (strncmp(path, "///", 3) == 0)
			path += 2;
		out->path = path;
		return;
	}
	out->path = ""; /* nothing to open */
	line_error(p, line, "a file name, or file:NAME", "URIs of this kind are not possible here");
}

void read_ca(struct parse *p, const struct line *line)
{
	read_file_text(p, line, &p->config->ca);
}

void read_cert(struct parse *p, const struct line *line)
{
	read_file_or_uri(p, line, &p->config->cert);
}

void read_key(struct parse *p, const struct line *line)
{
	read_file_or_uri(p, line, &p->config->key);
}

void read_extra_certs(struct parse *p, const struct line *line)
{
	read_file_text(p, line, &p->config->extra_certs);
}

void read_askpass(struct parse *p, const struct line *line)
{
	p->config->askpass = line->count > 1 ? line->words[1] : "";
}

void read_dh(struct parse *p, const struct line *line)
{
	if (!line->has_block && strcmp(line->words[1], "none") == 0)
		p->draft.dh = (struct file_text){ .path = NULL };
	else
		read_file_text(p, line, &p->draft.dh);
}

void read_ecdh_curve(struct parse *p, const struct line *line)
{
	line_warning(p, line, arena_format(p->arena, "tls-groups %s", line->words[1]), "is an old form");
	p->config->tls_groups = line->words[1];
}

static void read_list(struct parse *p, const struct line *line, const char **out)
{
	if (strspn(line->words[1], ":") == strlen(line->words[1]))
		line_error(p, line, NULL, "the list is empty");
	else
		*out = line->words[1];
}

void read_tls_groups(struct parse *p, const struct line *line)
{
	read_list(p, line, &p->config->tls_groups);
}

void read_tls_cipher(struct parse *p, const struct line *line)
{
	read_list(p, line, &p->config->tls_cipher);
}

void read_tls_ciphersuites(struct parse *p, const struct line *line)
{
	static const char *const ours[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
		"TLS_CHACHA20_POLY1305_SHA256" };
	bool some = false;
	for (const char *at = line->words[1]; *at;) {
		size_t len = strcspn(at, ":");
		for (unsigned i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
			bool same = strlen(ours[i]) == len;
			for (size_t c = 0; c < len && same; c++)
				same = toupper((unsigned char)at[c]) == ours[i][c] ||
				       (at[c] == '-' && ours[i][c] == '_');
			some |= same;
		}
		at += len;
		at += *at == ':';
	}
	if (some)
		line_warning(
			p, line, NULL, "the suites of TLS 1.3 and their order are fixed in the TLS library");
	else
		line_error(p, line,
			"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
			"none of these suites exists here");
}

static int tls_version(const char *word)
{
	static const char *const names[] = { "1.0", "1.1", "1.2", "1.3" };
	for (int i = 0; i < 4; i++)
		if (strcmp(word, names[i]) == 0)
			return 0x0301 + i;
	return 0;
}

void read_tls_version_min(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "or-highest", NULL };
	if (line->count > 2 && value_choice(p, line, 2, words) < 0)
		return;
	int version = tls_version(line->words[1]);
	if (!version && line->count > 2)
		version = 0x0304;
	if (version)
		p->config->tls_min = (unsigned)version;
	else
		line_error(p, line, "1.0, 1.1, 1.2, 1.3", "'%.60s' is not a TLS version", line->words[1]);
}

void read_tls_version_max(struct parse *p, const struct line *line)
{
	int version = tls_version(line->words[1]);
	if (version)
		p->config->tls_max = (unsigned)version;
	else
		line_error(p, line, "1.0, 1.1, 1.2, 1.3", "'%.60s' is not a TLS version", line->words[1]);
}

void read_tls_cert_profile(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "insecure", "legacy", "preferred", "suiteb", NULL };
	int choice = value_choice(p, line, 1, words);
	if (choice >= 0)
		p->config->profile = PROFILE_INSECURE + (unsigned)choice;
	if (choice == 0)
		line_warning(p, line, "legacy, preferred or suiteb", "weak certificates are accepted");
}

void read_verify_client_cert(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "require", "none", "optional", NULL };
	int choice = line->count > 1 ? value_choice(p, line, 1, words) : 0;
	if (choice > 0)
		line_not_yet(
			p, line, choice == 1 ? "verify-client-cert none" : "verify-client-cert optional");
}

void read_remote_cert_tls(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "client", "server", NULL };
	int choice = value_choice(p, line, 1, words);
	if (choice < 0)
		return;
	p->config->remote_cert_client = choice == 0;
	p->config->remote_cert_server = choice == 1;
	if (choice == 1)
		line_warning(p, line, "remote-cert-tls client", "clients need certificates made for servers");
}

void read_remote_cert_ku(struct parse *p, const struct line *line)
{
	struct config *c = p->config;
	c->remote_ku = arena_take(p->arena, line->count * sizeof(*c->remote_ku));
	c->remote_ku_count = 0;
	c->remote_ku_any = true;
	for (unsigned i = 1; i < line->count && c->remote_ku; i++) {
		const char *word = line->words[i];
		size_t digits = strspn(word, "0123456789abcdefABCDEF");
		unsigned value = 0;
		if (digits < 1 || digits > 4 || word[digits] || sscanf(word, "%x", &value) != 1 || !value)
			line_error(p, line, "like a0 or 88", "'%.60s' is not a key usage in hex", word);
		else
			c->remote_ku[c->remote_ku_count++] = value;
	}
}

void read_remote_cert_eku(struct parse *p, const struct line *line)
{
	if (*line->words[1])
		p->config->remote_eku = line->words[1];
	else
		line_error(p, line, NULL, "an OID or a name is missing");
}

void read_verify_x509_name(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "subject", "name", "name-prefix", NULL };
	int choice = line->count > 2 ? value_choice(p, line, 2, words) : 0;
	if (choice < 0)
		return;
	if (!*line->words[1]) {
		line_error(p, line, NULL, "a name is missing");
		return;
	}
	p->config->name_check = NAME_CHECK_SUBJECT + (unsigned)choice;
	p->config->name_wanted = line->words[1];
}

/* Pairs of hex digits with colons between, 32 of them. */
static bool parse_fingerprint(const char *text, size_t len, uint8_t out[32])
{
	if (len != 32 * 3 - 1)
		return false;
	for (size_t i = 0; i < 32; i++) {
		const char *pair = text + 3 * i;
		if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]) ||
			(i < 31 && pair[2] != ':'))
			return false;
		for (int n = 0; n < 2; n++) {
			int digit = tolower((unsigned char)pair[n]);
			out[i] = (uint8_t)(out[i] << 4 | (digit <= '9' ? digit - '0' : digit - 'a' + 10));
		}
	}
	return true;
}

static void add_fingerprint(struct parse *p, const struct line *line, const char *text, size_t len)
{
	struct config *c = p->config;
	uint8_t(*grown)[32] = arena_grow(p->arena, c->fingerprints, c->fingerprint_count, sizeof(*grown));
	if (!grown)
		return;
	c->fingerprints = grown;
	memset(grown[c->fingerprint_count], 0, sizeof(*grown));
	if (parse_fingerprint(text, len, grown[c->fingerprint_count]))
		c->fingerprint_count++;
	else
		line_error(p, line, "32 pairs of hex digits with colons between",
			"'%.*s' is not a SHA-256 fingerprint", len > 100 ? 100 : (int)len, text);
}

void read_peer_fingerprint(struct parse *p, const struct line *line)
{
	if (!line->has_block) {
		add_fingerprint(p, line, line->words[1], strlen(line->words[1]));
		return;
	}
	for (const char *at = line->block; *at;) {
		size_t line_len = strcspn(at, "\n");
		size_t skipped = strspn(at, " \t\r");
		if (skipped < line_len) {
			size_t len = strcspn(at + skipped, "#; \t\r\n");
			if (len)
				add_fingerprint(p, line, at + skipped, len);
		}
		at += line_len;
		at += *at == '\n';
	}
}

void read_crl_verify(struct parse *p, const struct line *line)
{
	if (line->count > 2 && strcmp(line->words[2], "dir") == 0)
		line_not_yet(p, line, "crl-verify dir");
	else if (line->count > 2)
		line_error(
			p, line, "crl-verify FILE", "'%.60s' is none of the words it takes", line->words[2]);
	else
		read_file_text(p, line, &p->config->crl);
}

void read_x509_username_field(struct parse *p, const struct line *line)
{
	const char *field = line->words[1];
	if (line->count > 2) {
		line_not_yet(p, line, "x509-username-field with several fields");
		return;
	}
	if (!*field || (strncmp(field, "ext:", 4) == 0 && strcmp(field, "ext:subjectAltName") != 0 &&
			       strcmp(field, "ext:issuerAltName") != 0)) {
		line_error(p, line, "CN, another attribute, ext:subjectAltName or ext:issuerAltName",
			"'%.60s' is not a part of a certificate that can be used", field);
		return;
	}
	p->config->username_field = field;
}
