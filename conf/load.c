/* SPDX-License-Identifier: MIT
 * After the last line: opens the files that were named. Not earlier, because OpenVPN does so too: a `cd`
 * behind a file name counts, and of a repeated directive only the last file must exist. */
#include "conf/conf.h"

#include "common/base/secret.h"
#include "common/wrap/wrap.h"

#include <sys/un.h>

static struct place place_of(const struct parse *p, const char *directive)
{
	const struct place *place = option_place(p, directive);
	return place ? *place : place_at_end(p);
}

static void warn_if_readable_by_others(
	struct parse *p, const char *directive, const char *path, unsigned mode)
{
	struct place place = place_of(p, directive);
	if (mode & 0007)
		conf_warning(p, &place, directive, arena_format(p->arena, "chmod o= %.200s", path),
			"every user of this machine may open %.200s", path);
}

/* False when there is nothing to work with: not configured, or the problem is reported. */
static bool load_limited(
	struct parse *p, const char *directive, struct file_text *file, bool secret, size_t limit)
{
	struct place place = place_of(p, directive);
	char *bytes;
	unsigned mode;

	if (!file->path || file->bytes)
		return file->path != NULL;
	if (!*file->path)
		return false; /* reported by its reader */
	file->path = value_path(p, file->path);
	if (!file->path)
		return false; /* no memory, which is reported at the end */
	int error = p->outside->read(p->outside, p->arena, file->path, limit, &bytes, &file->len, &mode);
	if (error) {
		conf_error(
			p, &place, directive, NULL, "cannot read %.200s: %s", file->path, strerror(-error));
		return false;
	}
	file->bytes = bytes;
	if (file != &p->config->crl) /* compared by itself: it changes without a reload, too */
		digest_file(p, directive, bytes, file->len);
	if (secret)
		warn_if_readable_by_others(p, directive, file->path, mode);
	return true;
}

static bool load(struct parse *p, const char *directive, struct file_text *file, bool secret)
{
	return load_limited(p, directive, file, secret, MAX_FILE_BYTES);
}

static void load_pem(struct parse *p, const char *directive, struct file_text *file, size_t limit)
{
	struct place place = place_of(p, directive);
	if (load_limited(p, directive, file, false, limit) &&
		!memmem(file->bytes, file->len, "-----BEGIN ", 11))
		conf_error(p, &place, directive, "a text with a line that begins with -----BEGIN",
			"%.200s holds nothing in PEM form", file->path);
}

/* Of these only the name is kept: whoever needs the content opens them later. */
static void look_at(struct parse *p, const char *directive, const char **path, bool secret)
{
	struct place place = place_of(p, directive);
	unsigned mode;

	if (!*path || !**path || strcmp(*path, "[inline]") == 0)
		return;
	*path = value_path(p, *path);
	if (!*path)
		return;
	int error = p->outside->look(p->outside, *path, &mode);
	if (error)
		conf_error(p, &place, directive, NULL, "cannot read %.200s: %s", *path, strerror(-error));
	else if (secret)
		warn_if_readable_by_others(p, directive, *path, mode);
}

static void load_inline_key(struct parse *p)
{
	struct config *c = p->config;
	struct place place = place_of(p, "key");

	look_at(p, "key", &c->key.path, true);
	if (c->key.bytes && !memmem(c->key.bytes, c->key.len, "-----BEGIN ", 11))
		conf_error(p, &place, "key", NULL, "the block holds nothing in PEM form");
}

/* The text is wiped: what counts is the key in the configuration. */
static void forget(struct file_text *file)
{
	if (file->bytes)
		secret_wipe((char *)(uintptr_t)file->bytes, file->len);
}

static bool load_static_key(struct parse *p, const char *directive, struct file_text *file)
{
	struct place place = place_of(p, directive);
	struct static_key key;

	if (!load(p, directive, file, true))
		return false;
	bool ok = static_key_read(file->bytes, file->len, &key);
	if (ok) {
		memcpy(p->config->static_key, key.bytes, sizeof(p->config->static_key));
		p->config->wrap_path = file->path;
	} else {
		conf_error(p, &place, directive, "vpnserverd --genkey tls-crypt FILE",
			"%.200s holds no static key", file->path);
	}
	secret_wipe(&key, sizeof(key));
	forget(file);
	return ok;
}

static void load_wraps(struct parse *p)
{
	struct config *c = p->config;
	struct draft *d = &p->draft;
	struct server_key key;

	if (load_static_key(p, "tls-auth", &d->tls_auth)) {
		c->wrap = WRAP_CHOICE_AUTH;
		c->key_direction = d->key_direction;
	}
	if (load_static_key(p, "tls-crypt", &d->tls_crypt))
		c->wrap = WRAP_CHOICE_CRYPT;
	if (!load(p, "tls-crypt-v2", &d->tls_crypt_v2, true))
		return;
	c->crypt_v2 = server_key_read(d->tls_crypt_v2.bytes, d->tls_crypt_v2.len, &key);
	if (c->crypt_v2) {
		memcpy(c->crypt_v2_key, key.bytes, sizeof(c->crypt_v2_key));
		c->crypt_v2_path = d->tls_crypt_v2.path;
	} else {
		struct place place = place_of(p, "tls-crypt-v2");
		conf_error(p, &place, "tls-crypt-v2", "vpnserverd --genkey tls-crypt-v2-server FILE",
			"%.200s holds no tls-crypt-v2 server key", d->tls_crypt_v2.path);
	}
	secret_wipe(&key, sizeof(key));
	forget(&d->tls_crypt_v2);
}

static void name_management_socket(struct parse *p)
{
	struct management *m = &p->config->management;
	struct place place = place_of(p, "management");
	size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);

	m->path = value_path(p, m->path);
	if (m->path && strlen(m->path) >= room)
		conf_error(p, &place, "management", NULL, "%.200s is too long for a socket's name: at most %zu bytes",
			m->path, room - 1);
}

/* The password is the first line. From "stdin" it is asked for later, by whoever has the terminal. */
static void load_management_password(struct parse *p)
{
	struct file_text *file = &p->config->management.password;
	struct place place = place_of(p, "management");

	if (!file->path || strcmp(file->path, "stdin") == 0 || !load(p, "management", file, true))
		return;
	size_t len = strcspn(file->bytes, "\r\n");
	if (!len || len > CONFIG_PASSWORD_MAX)
		conf_error(p, &place, "management", NULL, "the first line of %.200s is no password: 1 to %d bytes",
			file->path, CONFIG_PASSWORD_MAX);
}

void conf_load(struct parse *p)
{
	struct config *c = p->config;

	load_pem(p, "ca", &c->ca, MAX_FILE_BYTES);
	load_pem(p, "cert", &c->cert, MAX_FILE_BYTES);
	load_pem(p, "extra-certs", &c->extra_certs, MAX_FILE_BYTES);
	load_pem(p, "crl-verify", &c->crl, CONFIG_CRL_MAX - 1); /* grows with the years */
	load_inline_key(p);
	look_at(p, "askpass", &c->askpass, true);
	look_at(p, "dh", &p->draft.dh.path, false);
	load_wraps(p);
	name_management_socket(p);
	load_management_password(p);
	c->status_file = value_path(p, c->status_file);
	c->writepid = value_path(p, c->writepid);
	conf_find_scripts(p);
}
