/* SPDX-License-Identifier: MIT
 * The whole way: command lines, nested files, the order of problems, what may be unknown. */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void put(const char *path, const char *text)
{
	paper_put(path, text, strlen(text), 0644);
}

#define ARGUMENTS(...)                                                                                       \
	read_arguments(                                                                                      \
		sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[]){ __VA_ARGS__ })

START_TEST(a_file_name_alone_is_the_config_file)
{
	struct config *config = silent("");
	ck_assert_str_eq(config->file, "main.conf");
	ck_assert_str_eq(config->name, "main");
	config_free(&config);
	ck_assert_ptr_null(config);
	config_free(&config);
}
END_TEST

START_TEST(options_and_config_mix_on_the_command_line)
{
	put("main.conf", GOOD "verb 3\n");
	struct config *config =
		ARGUMENTS("--verb", "5", "--config", "main.conf", "--port", "1195", "--push", "echo a b");
	ck_assert_ptr_nonnull(config);
	/* A later one wins: the file's over the word before it. */
	ck_assert_int_eq(config->verb, 3);
	ck_assert_str_eq(config->listeners[0].spelled, "udp4 0.0.0.0:1195");
	ck_assert_str_eq(config->push[0], "echo a b");
	config_free(&config);
}
END_TEST

START_TEST(a_server_can_come_from_the_command_line_alone)
{
	struct config *config = ARGUMENTS("--server", "10.8.0.0", "255.255.255.0", "--topology", "subnet",
		"--ca", "ca.crt", "--cert", "server.crt", "--key", "server.key", "--keepalive", "10", "60",
		"--remote-cert-tls", "client");
	ck_assert_ptr_nonnull(config);
	ck_assert_uint_eq(paper_problems, 0);
	ck_assert_ptr_null(config->file);
	ck_assert_str_eq(config->name, "vpnserverd");
	config_free(&config);
}
END_TEST

START_TEST(command_line_problems_have_their_own_label)
{
	put("main.conf", GOOD);
	ck_assert_ptr_null(ARGUMENTS("--config", "main.conf", "--verb", "x", "--nonsense"));
	ck_assert_uint_eq(paper_problems, 2);
	ck_assert_str_eq(paper_problem(0), "E [CMD-LINE]:1: verb: 'x' is not a number");
	ck_assert(strncmp(paper_problem(1), "E [CMD-LINE]:1: nonsense: Unrecognized option", 45) == 0);
}
END_TEST

START_TEST(a_word_without_dashes_is_no_option)
{
	put("main.conf", GOOD);
	ck_assert_ptr_null(ARGUMENTS("main.conf", "--verb", "3"));
	ck_assert(paper_problem_is(
		"E [CMD-LINE]:1: 'main.conf' is not an option: no leading -- (hint: vpnserverd FILE, or "
		"vpnserverd --NAME WORDS... --NAME WORDS...)"));
	ck_assert_ptr_null(ARGUMENTS("--", "x"));
	ck_assert_ptr_null(ARGUMENTS(""));
}
END_TEST

START_TEST(no_argument_at_all_is_an_error)
{
	ck_assert_ptr_null(read_arguments(0, NULL));
	ck_assert_uint_eq(paper_problems, 1);
	ck_assert_str_eq(paper_problem(0), "E [CMD-LINE]: no configuration is given (hint: vpnserverd FILE)");
}
END_TEST

START_TEST(a_missing_file_is_the_only_problem)
{
	ck_assert_ptr_null(ARGUMENTS("absent.conf"));
	ck_assert_uint_eq(paper_problems, 1);
	ck_assert_str_eq(paper_problem(0),
		"E [CMD-LINE]:1: config: cannot read absent.conf: No such file or directory");
	paper_put("locked.conf", "", 0, 0);
	ck_assert_ptr_null(ARGUMENTS("locked.conf"));
	ck_assert_str_eq(
		paper_problem(0), "E [CMD-LINE]:1: config: cannot read locked.conf: Permission denied");
}
END_TEST

START_TEST(too_large_a_file_is_refused)
{
	static char large[MAX_FILE_BYTES + 1];
	memset(large, '\n', sizeof(large));
	paper_put("large.conf", large, sizeof(large), 0644);
	ck_assert_ptr_null(ARGUMENTS("large.conf"));
	ck_assert_str_eq(paper_problem(0), "E [CMD-LINE]:1: config: cannot read large.conf: File too large");
}
END_TEST

START_TEST(all_problems_are_reported_in_file_order)
{
	/* `ca` is opened after the last line, and yet stands in its place. */
	ck_assert_ptr_null(
		read_text("verb x\nca absent.crt\nmute y\npush \"a,b\"\nserver 10.8.0.0 255.255.255.0\n"
			  "topology subnet\n<key>\n"));
	const char *expected[] = {
		"E main.conf:1: verb: 'x' is not a number",
		"E main.conf:2: ca: cannot read absent.crt: No such file or directory",
		"E main.conf:3: mute: 'y' is not a number",
		"E main.conf:4: push: a pushed option cannot hold a comma (hint: one `push` for each option)",
		"E main.conf:7: this block has no end (hint: it ends with a line that begins with </NAME>)",
		"E main.conf: no certificate is given: `cert` is missing (hint: cert FILE)",
		"E main.conf: no private key is given: `key` is missing (hint: key FILE)",
		"W main.conf: a client that vanishes stays: there is no keepalive (hint: keepalive 10 60)",
		"W main.conf: any certificate of the authority is accepted from clients, a server's too "
		"(hint: "
		"remote-cert-tls client)",
	};
	ck_assert_uint_eq(paper_problems, sizeof(expected) / sizeof(expected[0]));
	for (unsigned i = 0; i < paper_problems; i++)
		ck_assert_str_eq(paper_problem(i), expected[i]);
}
END_TEST

START_TEST(a_flood_of_problems_is_cut)
{
	static char text[64 * 1024];
	for (unsigned i = 0; i < 5000; i++)
		strcpy(text + 4 * i, "x y\n");
	ck_assert_ptr_null(read_text(text));
	ck_assert_uint_eq(paper_problems, MAX_PROBLEMS + 1);
	ck_assert_str_eq(
		paper_problem(MAX_PROBLEMS), "E main.conf: too many problems; the rest is not shown");
}
END_TEST

START_TEST(line_numbers_are_right_after_inline_blocks)
{
	refused_with("<ca>\n" PEM "</ca>\nverb x\n", "E main.conf:13: verb: 'x' is not a number");
}
END_TEST

START_TEST(files_may_include_files)
{
	put("one.conf", "verb 4\nconfig two.conf\nmute 7\n");
	put("two.conf", "verb 5\n");
	struct config *config = silent("config one.conf\nmax-clients 9\n");
	ck_assert_int_eq(config->verb, 5);
	ck_assert_int_eq(config->mute, 7);
	ck_assert_uint_eq(config->max_clients, 9);
	ck_assert_str_eq(config->file, "main.conf");
	config_free(&config);
	put("two.conf", "\n\nverb z\n");
	refused_with("config one.conf\n", "E two.conf:3: verb: 'z' is not a number");
	refused_with("config absent.conf\n",
		"E main.conf:8: config: cannot read absent.conf: No such file or directory");
}
END_TEST

START_TEST(ten_levels_are_read_and_eleven_are_not)
{
	static char names[12][16], texts[12][64];
	for (int i = 1; i < 12; i++) {
		snprintf(names[i], sizeof(names[i]), "level%d.conf", i);
		snprintf(texts[i], sizeof(texts[i]), i < 9 ? "config level%d.conf\n" : "verb 6\n", i + 1);
		put(names[i], texts[i]);
	}
	/* main.conf is the first level, level9.conf the tenth. */
	struct config *config = silent("config level1.conf\n");
	ck_assert_int_eq(config->verb, 6);
	config_free(&config);
	put("level9.conf", "config level10.conf\n");
	refused_with("config level1.conf\n", "E level9.conf:1: config: level10.conf: config files nest too "
					     "deep; does one include itself?");
}
END_TEST

START_TEST(a_file_that_includes_itself_ends_with_one_error)
{
	put("loop.conf", "config loop.conf\nconfig loop.conf\nconfig loop.conf\n");
	refused_with("config loop.conf\nconfig loop.conf\n",
		"E loop.conf:1: config: loop.conf: config files nest too deep; does one include itself?");
}
END_TEST

START_TEST(a_thousand_files_are_enough)
{
	static char many[400 * 16];
	for (int i = 0; i < 400; i++)
		memcpy(many + 16 * i, "config some.cf \n", 16);
	paper_put("many.conf", many, sizeof(many), 0644);
	put("some.cf", "config tiny.cf\nconfig tiny.cf\n");
	put("tiny.cf", "verb 3\n");
	refused_with("config many.conf\n", "E some.cf:2: config: tiny.cf: too many config files");
}
END_TEST

START_TEST(standard_input_can_be_read_once)
{
	put("stdin", "verb 9\n");
	struct config *config = silent("config stdin\n");
	ck_assert_int_eq(config->verb, 9);
	config_free(&config);
	refused_with("config stdin\nconfig stdin\n", "E main.conf:9: config: stdin: stdin can be read once");
}
END_TEST

START_TEST(a_byte_of_zero_is_no_text)
{
	static const char text[] = "verb 3\nv\0e\0r\0b\0";
	paper_put("wide.conf", text, sizeof(text), 0644);
	ck_assert_ptr_null(ARGUMENTS("wide.conf"));
	ck_assert_str_eq(paper_problem(0),
		"E wide.conf:2: the file holds a byte of zero (hint: is it text in UTF-8?)");
}
END_TEST

START_TEST(cd_counts_for_later_config_files_and_for_all_other_files)
{
	put("/etc/vpn/more.conf", "verb 7\n");
	put("/etc/vpn/ca.crt", PEM);
	put("/etc/vpn/server.crt", PEM);
	paper_put("/etc/vpn/server.key", PEM, strlen(PEM), 0600);
	struct config *config =
		silent("cd vpn\nconfig more.conf\nstatus st.log\nlog l.log\nwritepid /run/x.pid\n");
	ck_assert_int_eq(config->verb, 7);
	ck_assert_str_eq(config->cd, "/etc/vpn");
	/* Named before `cd`, opened after it, as in OpenVPN. */
	ck_assert_str_eq(config->ca.path, "/etc/vpn/ca.crt");
	ck_assert_str_eq(config->key.path, "/etc/vpn/server.key");
	ck_assert_str_eq(config->status_file, "/etc/vpn/st.log");
	ck_assert_str_eq(config->log, "/etc/vpn/l.log");
	ck_assert_str_eq(config->writepid, "/run/x.pid");
	config_free(&config);
}
END_TEST

START_TEST(the_log_belongs_to_the_directory_of_its_line)
{
	struct config *config = read_more("log early.log\ncd /etc/vpn\ncd deep\n");
	ck_assert_ptr_null(config);
	put("/etc/vpn/deep/ca.crt", PEM);
	put("/etc/vpn/deep/server.crt", PEM);
	paper_put("/etc/vpn/deep/server.key", PEM, strlen(PEM), 0600);
	config = silent("cd /etc/vpn\nlog early.log\ncd deep\n");
	ck_assert_str_eq(config->log, "/etc/vpn/early.log");
	ck_assert_str_eq(config->ca.path, "/etc/vpn/deep/ca.crt");
	config_free(&config);
	refused_with("cd /absent\n", "E main.conf:8: cd: cannot go to /absent: No such file or directory");
}
END_TEST

START_TEST(directives_may_be_allowed_to_be_unknown)
{
	struct config *config =
		read_more("ignore-unknown-option foo --bar\nfoo 1\n--bar\n<foo>\nx\n</foo>\n");
	ck_assert_ptr_nonnull(config);
	ck_assert_uint_eq(paper_problems, 3);
	ck_assert_str_eq(
		paper_problem(0), "W main.conf:9: foo: unknown directive, ignored as the configuration asks");
	config_free(&config);
	/* Only for lines behind it, and only for these names. */
	ck_assert_ptr_null(read_more("foo 1\nignore-unknown-option foo\n"));
	ck_assert_ptr_null(read_more("ignore-unknown-option foo\nbaz 1\n"));
	/* What we know is not ignored. */
	ck_assert_ptr_null(read_more("ignore-unknown-option plugin\nplugin x\n"));
}
END_TEST

START_TEST(setenv_opt_reads_its_directive)
{
	struct config *config = silent("setenv opt verb 8\nsetenv opt hub.workers 3\n");
	ck_assert_int_eq(config->verb, 8);
	ck_assert_uint_eq(config->workers, 3);
	config_free(&config);
	config = warned_with("setenv opt foo bar\n",
		"W main.conf:8: foo: unknown directive, ignored as the configuration asks");
	config_free(&config);
	refused_with("setenv opt verb x\n", "E main.conf:8: verb: 'x' is not a number");
	refused_with("setenv opt plugin x\n", "E main.conf:8: plugin: 'plugin' is not supported yet");
	refused_with("setenv opt\n",
		"E main.conf:8: setenv: a directive is missing (hint: setenv opt DIRECTIVE...)");
	ck_assert_ptr_null(read_more("setenv opt setenv opt verb 3\nfoo\n"));
}
END_TEST

START_TEST(forward_compatible_allows_unknown_directives_from_there_on)
{
	struct config *config = warned_with("setenv FORWARD_COMPATIBLE 1\nfoo\n",
		"W main.conf:9: foo: unknown directive, ignored as the configuration asks");
	config_free(&config);
	ck_assert_ptr_null(read_more("foo\nsetenv FORWARD_COMPATIBLE 1\n"));
	ck_assert_ptr_null(read_more("setenv FORWARD_COMPATIBLE 0\nfoo\n"));
	ck_assert_ptr_null(read_more("setenv FORWARD_COMPATIBLE\nfoo\n"));
	/* A known one must still be right. */
	ck_assert_ptr_null(read_more("setenv FORWARD_COMPATIBLE 1\nverb\n"));
}
END_TEST

START_TEST(setenv_is_for_scripts_otherwise)
{
	struct config *config =
		silent("setenv NAME value\nsetenv NAME\nsetenv-safe A b\nscript-security 2\ntmp-dir /tmp\n");
	ck_assert_uint_eq(config->scripts.security, 2);
	ck_assert_uint_eq(config->scripts.environment_count, 3);
	ck_assert_str_eq(config->scripts.environment[0], "NAME=value");
	ck_assert_str_eq(config->scripts.environment[1], "NAME=");
	ck_assert_str_eq(config->scripts.environment[2], "OPENVPN_A=b");
	config_free(&config);
	refused_with("setenv NAME a b\n",
		"E main.conf:8: setenv: takes a name and one value (hint: quotes keep words together)");
	refused_with("setenv GENERIC_CONFIG\n", "E main.conf:8: setenv: this is a generic configuration that "
						"cannot be used by itself (hint: ask your "
						"provider for a configuration of this server)");
	refused_with("script-security 4\n", "E main.conf:8: script-security: 4 is not between 0 and 3");
}
END_TEST

START_TEST(garbage_never_hurts)
{
	/* Deterministic noise made of what the grammar knows, against all readers. */
	static const char *const pieces[] = { "<", ">", "</", "ca", "push ", "\"", "'", "\\", "#", "\n",
		"\r\n", " ", "config ", "main.conf", "setenv opt ", "server ", "10.8.0.0 ", "255.255.255.0",
		"fd00::/64", "--", "\xff", "\x01", ":", "peer-fingerprint ", "tls-auth ", "route ",
		"default ", "local ", "* ", "99999999999999999999 ", "-1 ", "dev " };
	static char text[4096];
	uint32_t state = 2463534242u;

	for (int round = 0; round < 3000; round++) {
		size_t len = 0;
		for (int i = 0; i < 60 && len < sizeof(text) - 64; i++) {
			state ^= state << 13;
			state ^= state >> 17;
			state ^= state << 5;
			const struct option_row *row = &option_rows[state / 64 % option_row_count];
			const char *piece =
				state % 5 == 0 && row->name
					? row->name
					: pieces[state / 8 % (sizeof(pieces) / sizeof(pieces[0]))];
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", piece);
		}
		struct config *config = round % 2 ? read_text(text) : read_more(text);
		ck_assert(config || paper_problems);
		config_free(&config);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf config");
	TCase *tcase = tcase_create("config");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_file_name_alone_is_the_config_file);
	tcase_add_test(tcase, options_and_config_mix_on_the_command_line);
	tcase_add_test(tcase, a_server_can_come_from_the_command_line_alone);
	tcase_add_test(tcase, command_line_problems_have_their_own_label);
	tcase_add_test(tcase, a_word_without_dashes_is_no_option);
	tcase_add_test(tcase, no_argument_at_all_is_an_error);
	tcase_add_test(tcase, a_missing_file_is_the_only_problem);
	tcase_add_test(tcase, too_large_a_file_is_refused);
	tcase_add_test(tcase, all_problems_are_reported_in_file_order);
	tcase_add_test(tcase, a_flood_of_problems_is_cut);
	tcase_add_test(tcase, line_numbers_are_right_after_inline_blocks);
	tcase_add_test(tcase, files_may_include_files);
	tcase_add_test(tcase, ten_levels_are_read_and_eleven_are_not);
	tcase_add_test(tcase, a_file_that_includes_itself_ends_with_one_error);
	tcase_add_test(tcase, a_thousand_files_are_enough);
	tcase_add_test(tcase, standard_input_can_be_read_once);
	tcase_add_test(tcase, a_byte_of_zero_is_no_text);
	tcase_add_test(tcase, cd_counts_for_later_config_files_and_for_all_other_files);
	tcase_add_test(tcase, the_log_belongs_to_the_directory_of_its_line);
	tcase_add_test(tcase, directives_may_be_allowed_to_be_unknown);
	tcase_add_test(tcase, setenv_opt_reads_its_directive);
	tcase_add_test(tcase, forward_compatible_allows_unknown_directives_from_there_on);
	tcase_add_test(tcase, setenv_is_for_scripts_otherwise);
	tcase_add_test(tcase, garbage_never_hurts);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
