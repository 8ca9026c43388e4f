/* SPDX-License-Identifier: MIT
 * Lines of one client: what they set, and which are told and skipped. */
#include "conf/client_file.h"
#include "tests/lib/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const common[] = { "route-gateway 10.8.0.1", "topology subnet",
	"route 10.1.0.0 255.255.0.0", "ping 10" };
static char told[4096], kept[8192];

static void note_problem(
	void *context, const char *file, int line, const char *directive, const char *what, const char *hint)
{
	(void)context;
	(void)hint;
	size_t len = strlen(told);
	snprintf(told + len, sizeof(told) - len, "%s:%d: %s: %s\n", file, line, directive ? directive : "",
		what);
}

static void note_kept(void *context, const char *line, size_t len)
{
	(void)context;
	size_t at = strlen(kept);
	snprintf(kept + at, sizeof(kept) - at, "%.*s\n", (int)len, line);
}

static bool give_include(void *context, struct client_settings *settings, const char *name)
{
	const char *text = context;
	struct client_reading reading = { note_problem, note_kept, give_include, context };
	if (strcmp(name, "more") != 0)
		return false;
	client_settings_read(settings, "more", text, strlen(text), &reading);
	return true;
}

static struct client_settings *read_with(const char *text, const char *more)
{
	struct client_settings *s = client_settings_new(common, 4);
	struct client_reading reading = { note_problem, note_kept, more ? give_include : NULL,
		(void *)(uintptr_t)more };
	told[0] = kept[0] = '\0';
	ck_assert_ptr_nonnull(s);
	client_settings_read(s, "ccd/x", text, strlen(text), &reading);
	client_settings_finish(s);
	return s;
}

static struct client_settings *good(const char *text)
{
	struct client_settings *s = read_with(text, NULL);
	ck_assert_str_eq(told, "");
	return s;
}

START_TEST(without_a_line_it_is_the_common_list)
{
	struct client_settings *s = good("\n# nothing\n");
	ck_assert_uint_eq(s->push_count, 4);
	ck_assert_str_eq(s->push[3], "ping 10");
	ck_assert(!s->has4 && !s->has6 && !s->disable && !s->route_count);
	client_settings_free(&s);
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(addresses_and_networks_are_read)
{
	struct client_settings *s =
		good("ifconfig-push 10.8.0.50 255.255.255.0 10.9.0.1\niroute 192.168.4.0 255.255.255.0\n"
		     "iroute 192.168.5.5\niroute-ipv6 fd44::/64\nifconfig-ipv6-push fd77::50/64 fd77::9\n"
		     "disable\nmax-routes-per-client 7\n");
	ck_assert(s->has4 && s->has6 && s->disable && s->has_remote6);
	ck_assert_uint_eq(s->address4, 0x0a080032);
	ck_assert_uint_eq(s->second4, 0xffffff00);
	ck_assert_uint_eq(s->told4, 0x0a090001);
	ck_assert_uint_eq(s->bits6, 64);
	ck_assert_uint_eq(s->route_count, 3);
	ck_assert_uint_eq(s->routes[0].bits, 24);
	ck_assert_uint_eq(s->routes[1].bits, 32);
	ck_assert_uint_eq(s->routes[2].family, 6);
	ck_assert_uint_eq(s->max_routes, 7);
	client_settings_free(&s);
}
END_TEST

START_TEST(the_pushed_list_is_changed_in_the_order_of_the_lines)
{
	struct client_settings *s = good("push \"dhcp-option DNS 10.8.0.1\"\npush-remove route\npush \"route "
					 "10.2.0.0 255.255.0.0\"\n");
	ck_assert_uint_eq(s->push_count, 4); /* route-gateway begins with `route`, too */
	ck_assert_str_eq(s->push[0], "topology subnet");
	ck_assert_str_eq(s->push[2], "dhcp-option DNS 10.8.0.1");
	ck_assert_str_eq(s->push[3], "route 10.2.0.0 255.255.0.0");
	client_settings_free(&s);
	s = good("push \"ping 1\"\npush-reset\npush \"ping 2\"\npush-remove ifconfig\n");
	ck_assert_uint_eq(s->push_count, 1);
	ck_assert_str_eq(s->push[0], "ping 2");
	ck_assert(s->block4 && !s->block6);
	client_settings_free(&s);
}
END_TEST

START_TEST(a_route_to_its_own_network_is_not_pushed)
{
	struct client_settings *s = good("iroute 10.1.0.0 255.255.0.0\niroute-ipv6 fd01::/64\n"
					 "push \"route-ipv6 fd01::/64\"\npush \"route-ipv6 fd02::/64\"\n");
	ck_assert_uint_eq(s->push_count, 4);
	ck_assert_str_eq(s->push[2], "ping 10");
	ck_assert_str_eq(s->push[3], "route-ipv6 fd02::/64");
	client_settings_free(&s);
}
END_TEST

static const struct {
	const char *line, *problem;
} bad[] = {
	{ "ifconfig-push 10.8.0.300 255.255.255.0",
		"ccd/x:1: ifconfig-push: '10.8.0.300' is not an IPv4 address\n" },
	{ "ifconfig-push 0.0.0.0 255.255.255.0",
		"ccd/x:1: ifconfig-push: '0.0.0.0' cannot be a client's address\n" },
	{ "ifconfig-push 224.0.0.1 255.255.255.0",
		"ccd/x:1: ifconfig-push: '224.0.0.1' cannot be a client's address\n" },
	{ "ifconfig-ipv6-push ff02::1/64",
		"ccd/x:1: ifconfig-ipv6-push: 'ff02::1/64' cannot be a client's address\n" },
	{ "iroute 192.168.4.1 255.255.255.0", "ccd/x:1: iroute: the network has bits behind its netmask\n" },
	{ "port 1194", "ccd/x:1: port: option 'port' cannot be used in this context (ccd/x)\n" },
	{ "inactive 60", "ccd/x:1: inactive: 'inactive' for a single client is not supported yet\n" },
	{ "config other", "ccd/x:1: config: is not possible here\n" },
	{ "push \"a,b\"", "ccd/x:1: push: a pushed option cannot hold a comma\n" },
	{ "push \"ping 10", "ccd/x:1: : no closing quotation mark (\")\n" },
	{ "push-remove \"\"", "ccd/x:1: push-remove: the word is empty\n" },
	{ "disable\x01", "ccd/x:1: : the line holds control characters\n" },
};

START_TEST(a_bad_line_is_told_and_skipped)
{
	char text[200];
	snprintf(text, sizeof(text), "%s\niroute 10.5.0.0 255.255.0.0\n", bad[_i].line);
	struct client_settings *s = read_with(text, NULL);
	ck_assert_str_eq(told, bad[_i].problem);
	ck_assert_uint_eq(s->route_count, 1);
	ck_assert(!s->has4 && !s->has6 && !s->disable);
	ck_assert_uint_eq(s->push_count, 4);
	ck_assert_str_eq(kept, "\"iroute\" \"10.5.0.0\" \"255.255.0.0\"\n");
	client_settings_free(&s);
}
END_TEST

START_TEST(an_unknown_line_is_told_in_openvpns_words)
{
	struct client_settings *s = read_with("irout 10.5.0.0 255.255.0.0\n", NULL);
	ck_assert_str_eq(told,
		"ccd/x:1: irout: Unrecognized option or missing or extra parameter(s) in ccd/x:1: irout\n");
	client_settings_free(&s);
}
END_TEST

START_TEST(what_is_kept_reads_as_the_same_again)
{
	const char *text = "push \"setenv-safe A \\\"b\\\\\\\\c\\\"\"\nconfig more\nconfig nothing\n";
	struct client_settings *s = read_with(text, "push 'ping 3'\n");
	ck_assert_str_eq(told, "ccd/x:3: config: nothing is not read\n");
	char again[sizeof(kept)];
	strcpy(again, kept);
	struct client_settings *other = good(again);
	ck_assert_uint_eq(s->push_count, 6);
	ck_assert_uint_eq(other->push_count, s->push_count);
	for (unsigned i = 0; i < s->push_count; i++)
		ck_assert_str_eq(other->push[i], s->push[i]);
	client_settings_free(&s);
	client_settings_free(&other);
}
END_TEST

START_TEST(a_file_that_includes_itself_ends)
{
	struct client_settings *s = read_with("config more\n", "disable\nconfig more\n");
	ck_assert(s->disable);
	ck_assert_ptr_nonnull(strstr(told, "files nest too deep"));
	client_settings_free(&s);
}
END_TEST

START_TEST(there_is_an_end_to_lines)
{
	char *text = malloc(8 * 5000 + 1);
	text[0] = '\0';
	for (unsigned i = 0; i < 5000; i++)
		memcpy(text + 8 * i, "disable\n", 9);
	struct client_settings *s = read_with(text, NULL);
	ck_assert_ptr_nonnull(strstr(told, "ccd/x:4097: disable: more than 4096 lines for one client\n"));
	client_settings_free(&s);
	free(text);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, without_a_line_it_is_the_common_list);
	tcase_add_test(tcase, addresses_and_networks_are_read);
	tcase_add_test(tcase, the_pushed_list_is_changed_in_the_order_of_the_lines);
	tcase_add_test(tcase, a_route_to_its_own_network_is_not_pushed);
	tcase_add_loop_test(tcase, a_bad_line_is_told_and_skipped, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tcase, an_unknown_line_is_told_in_openvpns_words);
	tcase_add_test(tcase, what_is_kept_reads_as_the_same_again);
	tcase_add_test(tcase, a_file_that_includes_itself_ends);
	tcase_add_test(tcase, there_is_an_end_to_lines);
}

int main(void)
{
	return suite_run("conf client_file", add);
}
