/* SPDX-License-Identifier: MIT
 * The plan as bytes: pairs of a key and a value, each ended by a zero byte. */
#include "master/helper_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLAN_MAX = 4 << 20 };

bool helper_wanted(const struct config *c)
{
	return c->scripts.client_connect || c->scripts.client_disconnect || c->client_config_dir;
}

/* -- writing -- */

static void put(FILE *out, const char *key, const char *value)
{
	if (!value)
		return;
	fwrite(key, 1, strlen(key) + 1, out);
	fwrite(value, 1, strlen(value) + 1, out);
}

static void put_number(FILE *out, const char *key, unsigned value)
{
	char text[16];
	snprintf(text, sizeof(text), "%u", value);
	put(out, key, text);
}

static void put_words(FILE *out, const char *key, const char *const *words)
{
	for (; words && *words; words++)
		put(out, key, *words);
}

static void put_all(FILE *out, const struct config *c, const struct environment *base)
{
	unsigned window = c->hand_window_s * 1000u;
	const char *tmp = c->scripts.tmp_dir ? c->scripts.tmp_dir : getenv("TMPDIR");

	for (unsigned i = 0; i < base->count; i++)
		put(out, "environment", base->entries[i]);
	put_words(out, "connect", c->scripts.client_connect);
	put_words(out, "disconnect", c->scripts.client_disconnect);
	put(out, "directory", c->client_config_dir);
	put(out, "tmp-dir", tmp && *tmp ? tmp : "/tmp");
	put_number(out, "exclusive", c->ccd_exclusive);
	put_number(out, "allowed", c->scripts.security >= 2);
	put_number(out, "script-ms", window < HELPER_SCRIPT_MS ? window : HELPER_SCRIPT_MS);
	put_number(out, "deferred-ms", window);
	put_number(out, "slots", c->max_clients);
}

int helper_plan_write(const struct config *c, const struct environment *base)
{
	if (base->failed)
		return -ENOMEM;
	int fd = memfd_create("helper-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int other = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	FILE *out = other >= 0 ? fdopen(other, "w") : NULL;
	int error = out ? 0 : -errno;

	if (out) {
		put_all(out, c, base);
		if (ferror(out))
			error = -EIO;
		if (fclose(out) != 0)
			error = -EIO;
	} else if (other >= 0) {
		close(other);
	}
	if (!error &&
		(lseek(fd, 0, SEEK_SET) < 0 ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0))
		error = -errno;
	if (!error)
		return fd;
	if (fd >= 0)
		close(fd);
	return error;
}

/* -- reading -- */

static bool add_word(char ***words, const char *value)
{
	size_t count = 0;
	while (*words && (*words)[count])
		count++;
	char **grown = realloc(*words, (count + 2) * sizeof(*grown));
	if (!grown)
		return false;
	*words = grown;
	grown[count] = strdup(value);
	grown[count + 1] = NULL;
	return grown[count] != NULL;
}

static bool set_text(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
	return *text != NULL;
}

static bool set_entry(struct helper_plan *p, const char *entry)
{
	char name[256];
	size_t len = strcspn(entry, "=");
	if (len >= sizeof(name) || entry[len] != '=')
		return false;
	memcpy(name, entry, len);
	name[len] = '\0';
	environment_set(&p->base, name, entry + len + 1);
	return !p->base.failed;
}

static bool take(struct helper_plan *p, const char *key, const char *value)
{
	unsigned number = (unsigned)strtoul(value, NULL, 10);

	if (strcmp(key, "environment") == 0)
		return set_entry(p, value);
	if (strcmp(key, "connect") == 0)
		return add_word(&p->connect, value);
	if (strcmp(key, "disconnect") == 0)
		return add_word(&p->disconnect, value);
	if (strcmp(key, "directory") == 0)
		return set_text(&p->directory, value);
	if (strcmp(key, "tmp-dir") == 0)
		return set_text(&p->tmp_dir, value);
	if (strcmp(key, "exclusive") == 0)
		p->exclusive = number != 0;
	else if (strcmp(key, "allowed") == 0)
		p->allowed = number != 0;
	else if (strcmp(key, "script-ms") == 0)
		p->script_ms = number;
	else if (strcmp(key, "deferred-ms") == 0)
		p->deferred_ms = number;
	else if (strcmp(key, "slots") == 0)
		p->slots = number;
	else
		return false;
	return true;
}

bool helper_plan_read(int fd, struct helper_plan *out)
{
	struct stat about;
	size_t len = 0;
	ssize_t got;

	*out = (struct helper_plan){ 0 };
	char *bytes = fstat(fd, &about) == 0 && about.st_size > 0 && about.st_size < PLAN_MAX
			      ? malloc((size_t)about.st_size)
			      : NULL;
	while (bytes && len < (size_t)about.st_size &&
		(got = pread(fd, bytes + len, (size_t)about.st_size - len, (off_t)len)) > 0)
		len += (size_t)got;
	bool good = bytes && len == (size_t)about.st_size && bytes[len - 1] == '\0';
	for (size_t at = 0; good && at < len;) {
		const char *key = bytes + at, *value = key + strlen(key) + 1;
		good = value < bytes + len && take(out, key, value);
		if (good)
			at = (size_t)(value - bytes) + strlen(value) + 1;
	}
	free(bytes);
	if (good && out->tmp_dir && out->slots)
		return true;
	helper_plan_clear(out);
	return false;
}

static void free_words(char **words)
{
	for (char **word = words; word && *word; word++)
		free(*word);
	free(words);
}

void helper_plan_clear(struct helper_plan *p)
{
	environment_clear(&p->base);
	free_words(p->connect);
	free_words(p->disconnect);
	free(p->directory);
	free(p->tmp_dir);
	*p = (struct helper_plan){ 0 };
}
