/* SPDX-License-Identifier: MIT
 * A config file as the parser reads it, in a world without files: what stands behind a record separator
 * (0x1e) is a second file. Whatever is accepted must print as something that is accepted again. */
#include "common/base/check.h"
#include "conf/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct world {
	const char *main, *more;
	size_t main_len, more_len;
};

static int world_read(const struct outside *outside, struct arena *arena, const char *path, size_t limit,
	char **bytes, size_t *len, unsigned *mode)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
	const struct world *world = outside->context;
	const char *text = pem;

	*len = sizeof(pem) - 1;
	if (strcmp(path, "main.conf") == 0) {
		text = world->main;
		*len = world->main_len;
	} else if (strcmp(path, "more.conf") == 0) {
		text = world->more;
		*len = world->more_len;
	} else if (path[0] == 'n') {
		return -ENOENT;
	}
	if (*len > limit)
		return -EFBIG;
	*mode = path[0] == 'o' ? 0644 : 0600;
	*bytes = arena_take(arena, *len + 1);
	if (!*bytes)
		return -ENOMEM;
	memcpy(*bytes, text, *len);
	return 0;
}

static int world_look(const struct outside *outside, const char *path, unsigned *mode)
{
	(void)outside;
	*mode = 0600;
	return path[0] == 'n' ? -ENOENT : 0;
}

static int world_directory(const struct outside *outside, const char *path, char *absolute, size_t room)
{
	(void)outside;
	(void)room;
	strcpy(absolute, "/d");
	return path[0] == 'n' ? -ENOTDIR : 0;
}

static bool world_resolve(
	const struct outside *outside, const char *host, int family, struct sockaddr_storage *out)
{
	(void)outside;
	*out = (struct sockaddr_storage){ .ss_family = AF_UNSPEC };
	if (family != AF_INET6 && inet_pton(AF_INET, host, &((struct sockaddr_in *)out)->sin_addr) == 1)
		out->ss_family = AF_INET;
	else if (family != AF_INET &&
		 inet_pton(AF_INET6, host, &((struct sockaddr_in6 *)out)->sin6_addr) == 1)
		out->ss_family = AF_INET6;
	return out->ss_family != AF_UNSPEC;
}

static unsigned world_service(const struct outside *outside, const char *name)
{
	(void)outside;
	return strcmp(name, "openvpn") == 0 ? 1194 : 0;
}

struct count {
	unsigned problems, errors;
};

static void note(void *context, enum conf_severity severity, const char *file, int line,
	const char *directive, const char *what, const char *hint)
{
	struct count *count = context;
	char text[512];
	count->problems++;
	count->errors += severity == CONF_ERROR;
	CHECK(count->problems <= MAX_PROBLEMS + 1);
	config_problem_line(text, sizeof(text), file, line, directive, what, hint);
	for (const char *c = text; *c; c++)
		CHECK(*c >= ' ' && *c <= '~');
}

static struct config *read_world(const struct world *world)
{
	struct outside outside = { world_read, world_look, world_directory, world_resolve, world_service,
		(void *)(uintptr_t)world };
	struct count count = { 0 };
	struct conf_report report = { note, &count };
	char *argv[] = { "fuzz", "main.conf" };
	struct config *config = conf_read(2, argv, &report, &outside);
	CHECK((config == NULL) == (count.errors > 0));
	return config;
}

static void print_and_read_again(const struct config *config)
{
	char *text = NULL;
	size_t len = 0;
	FILE *stream = open_memstream(&text, &len);
	CHECK(stream);
	config_print(stream, config);
	fclose(stream);
	/* What came inline is not printed, so it would be missing. */
	if (len <= MAX_FILE_BYTES && !strstr(text, "# <")) {
		struct config *again = read_world(&(struct world){ .main = text, .main_len = len });
		CHECK(again);
		config_free(&again);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *separator = len ? memchr(data, 0x1e, len) : NULL;
	struct world world = { .main = (const char *)data, .main_len = len, .more = "" };
	if (separator) {
		world.main_len = (size_t)(separator - data);
		world.more = (const char *)separator + 1;
		world.more_len = len - world.main_len - 1;
	}
	struct config *config = read_world(&world);
	if (config)
		print_and_read_again(config);
	config_free(&config);
	return 0;
}
