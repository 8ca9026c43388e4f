/* SPDX-License-Identifier: MIT
 * The paper world. */
#include "tests/unit/conf/paper.h"

#include "common/wrap/wrap.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <string.h>

struct paper_file {
	const char *path, *text;
	size_t len;
	unsigned mode;
};

static struct paper_file files[64];
static unsigned file_count;
static char problems[MAX_PROBLEMS + 1][2048];
unsigned paper_problems;

void paper_put(const char *path, const char *text, size_t len, unsigned mode)
{
	unsigned i = 0;
	while (i < file_count && strcmp(files[i].path, path) != 0)
		i++;
	ck_assert_uint_lt(i, 64);
	files[i] = (struct paper_file){ path, text, len, mode };
	if (i == file_count)
		file_count++;
}

static const struct paper_file *find(const char *path)
{
	for (unsigned i = 0; i < file_count; i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}

static int paper_read(const struct outside *outside, struct arena *arena, const char *path, size_t limit,
	char **bytes, size_t *len, unsigned *mode)
{
	(void)outside;
	const struct paper_file *file = find(path);
	if (!file)
		return -ENOENT;
	if (file->mode == 0)
		return -EACCES;
	if (file->len > limit)
		return -EFBIG;
	*bytes = arena_take(arena, file->len + 1);
	if (!*bytes)
		return -ENOMEM;
	memcpy(*bytes, file->text, file->len);
	*len = file->len;
	*mode = file->mode;
	return 0;
}

static int paper_look(const struct outside *outside, const char *path, unsigned *mode)
{
	(void)outside;
	const struct paper_file *file = find(path);
	if (!file)
		return -ENOENT;
	*mode = file->mode;
	return file->mode ? 0 : -EACCES;
}

static int paper_directory(const struct outside *outside, const char *path, char *absolute, size_t room)
{
	(void)outside;
	(void)room;
	if (strcmp(path, "/etc/vpn") == 0 || strcmp(path, "vpn") == 0)
		strcpy(absolute, "/etc/vpn");
	else if (strcmp(path, "/etc/vpn/deep") == 0 || strcmp(path, "/etc/vpnserverd") == 0 ||
		strcmp(path, "/tmp") == 0)
		strcpy(absolute, path);
	else
		return -ENOENT;
	return 0;
}

static bool paper_resolve(
	const struct outside *outside, const char *host, int family, struct sockaddr_storage *out)
{
	(void)outside;
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	bool named = strcmp(host, "vpn.example") == 0;

	*out = (struct sockaddr_storage){ .ss_family = AF_UNSPEC };
	if (family != AF_INET6 && inet_pton(AF_INET, named ? "192.0.2.7" : host, &in->sin_addr) == 1)
		out->ss_family = AF_INET;
	else if (family != AF_INET && inet_pton(AF_INET6, named ? "2001:db8::7" : host, &in6->sin6_addr) == 1)
		out->ss_family = AF_INET6;
	return out->ss_family != AF_UNSPEC;
}

static unsigned paper_service(const struct outside *outside, const char *name)
{
	(void)outside;
	return strcmp(name, "openvpn") == 0 ? 1194 : 0;
}

const struct outside paper = { paper_read, paper_look, paper_directory, paper_resolve, paper_service, NULL };

static void note(void *context, enum conf_severity severity, const char *file, int line,
	const char *directive, const char *what, const char *hint)
{
	(void)context;
	ck_assert_uint_le(paper_problems, MAX_PROBLEMS);
	char *out = problems[paper_problems++];
	out[0] = severity == CONF_ERROR ? 'E' : 'W';
	out[1] = ' ';
	config_problem_line(out + 2, sizeof(problems[0]) - 2, file, line, directive, what, hint);
}

const struct conf_report paper_report = { note, NULL };

const char *paper_problem(unsigned i)
{
	ck_assert_uint_lt(i, paper_problems);
	return problems[i];
}

bool paper_problem_is(const char *text)
{
	for (unsigned i = 0; i < paper_problems; i++)
		if (strcmp(problems[i], text) == 0)
			return true;
	return false;
}

static void furnish(void)
{
	static char static_key[1024], v2_key[512];
	struct static_key key;
	struct server_key server;

	if (find("ca.crt"))
		return;
	for (unsigned i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (uint8_t)(i + 1);
	for (unsigned i = 0; i < sizeof(server.bytes); i++)
		server.bytes[i] = (uint8_t)(200 - i);
	ck_assert_uint_gt(static_key_write(&key, static_key, sizeof(static_key)), 0);
	ck_assert_uint_gt(server_key_write(&server, v2_key, sizeof(v2_key)), 0);
	paper_put("ca.crt", PEM, strlen(PEM), 0644);
	paper_put("server.crt", PEM, strlen(PEM), 0644);
	paper_put("server.key", PEM, strlen(PEM), 0600);
	paper_put("ta.key", static_key, strlen(static_key), 0600);
	paper_put("v2.key", v2_key, strlen(v2_key), 0600);
}

struct config *read_arguments(int count, const char *const *words)
{
	char *argv[40] = { "vpnserverd" };
	ck_assert_int_lt(count, 39);
	for (int i = 0; i < count; i++)
		argv[i + 1] = (char *)(uintptr_t)words[i];
	furnish();
	paper_problems = 0;
	return conf_read(count + 1, argv, &paper_report, &paper);
}

struct config *read_text(const char *text)
{
	paper_put("main.conf", text, strlen(text), 0644);
	return read_arguments(1, (const char *[]){ "main.conf" });
}

struct config *read_more(const char *extra)
{
	static char text[64 * 1024];
	ck_assert_int_lt(snprintf(text, sizeof(text), "%s%s", GOOD, extra), (int)sizeof(text));
	return read_text(text);
}

static void expect_problem(const char *extra, const char *problem)
{
	ck_assert_msg(paper_problems == 1, "%u problems for '%s', first: %s", paper_problems, extra,
		paper_problems ? problems[0] : "");
	ck_assert_str_eq(problems[0], problem);
}

struct config *silent(const char *extra)
{
	struct config *config = read_more(extra);
	ck_assert_msg(paper_problems == 0, "for '%s': %s", extra, problems[0]);
	ck_assert_ptr_nonnull(config);
	return config;
}

void refused_with(const char *extra, const char *problem)
{
	ck_assert_ptr_null(read_more(extra));
	expect_problem(extra, problem);
}

struct config *warned_with(const char *extra, const char *problem)
{
	struct config *config = read_more(extra);
	ck_assert_msg(config != NULL, "for '%s': %s", extra, paper_problems ? problems[0] : "no problem");
	expect_problem(extra, problem);
	return config;
}
