/* SPDX-License-Identifier: MIT
 * vpnserverd: which command was given. Everything that is no command of its own is OpenVPN's command line and
 * starts the hub. */
#include "master/findings.h"
#include "master/keygen.h"
#include "master/log.h"
#include "master/master.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
	"vpnserverd " VPNSERVERD_VERSION ", an OpenVPN-protocol hub\n"
	"\n"
	"  vpnserverd FILE                        runs with that configuration\n"
	"  vpnserverd --config FILE --port 443 ...  the same, OpenVPN's way: options as in a file\n"
	"  vpnserverd --test-config FILE          tells everything that is wrong with it, starts nothing\n"
	"  vpnserverd --genkey TYPE [FILE]        makes a key: secret, tls-auth, tls-crypt, "
	"tls-crypt-v2-server,\n"
	"                                         auth-token, or, with --tls-crypt-v2 SERVERKEY,\n"
	"                                         tls-crypt-v2-client [FILE] [METADATA]\n"
	"  vpnserverd --genpki DIR                makes a CA, a server's and a client's certificate\n"
	"  vpnserverd --help [PART]               options, or those with PART in their names\n"
	"  vpnserverd --version\n";

/* The place of an option in the command line, dashes or not dashes as OpenVPN takes it; 0: not there. */
static int find_option(int argc, char *const *argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0)
			return i;
	return 0;
}

/* The n-th word behind an option, or NULL where the next option begins. */
static char *word_after(int argc, char *const *argv, int option, int n)
{
	for (int i = option + 1; i <= option + n; i++)
		if (i >= argc || strncmp(argv[i], "--", 2) == 0)
			return NULL;
	return argv[option + n];
}

static int run_genkey(int argc, char *const *argv, int at)
{
	const char *type = word_after(argc, argv, at, 1), *file = NULL, *metadata = NULL, *server_key = NULL;
	int option;
	if (type) {
		file = word_after(argc, argv, at, 2);
		metadata = file ? word_after(argc, argv, at, 3) : NULL;
	}
	if (!type && (option = find_option(argc, argv, "secret"))) /* as OpenVPN 2.4 wrote it */
		file = word_after(argc, argv, option, 1);
	if ((option = find_option(argc, argv, "tls-crypt-v2")))
		server_key = word_after(argc, argv, option, 1);
	return keygen(type ? type : "secret", file, metadata, server_key);
}

static int run_help(int argc, char *const *argv, int at)
{
	const char *part = word_after(argc, argv, at, 1);
	if (!part)
		printf("%s\nOptions:\n", usage);
	config_explain(stdout, part ? part : "");
	return 0;
}

/* Does the key belong to the certificate? What cannot be known without asking for a pass phrase is a warning.
 */
static void check_key(struct config *config, struct findings *findings)
{
	char error[KEYHOLDER_ERROR_MAX];
	struct key_source source;
	if (!config->key.path && !config->key.bytes)
		return;
	if (config->askpass && !config->askpass[0] && !isatty(STDIN_FILENO)) {
		findings_add(findings, CONF_WARNING, config->file, 0, "askpass",
			"the key was not looked at: nobody is there to give the pass phrase", NULL);
		return;
	}
	if (key_source_open(config, NULL, &source, error)) {
		findings_add(findings, CONF_ERROR, config->file, 0, NULL, error, NULL);
		return;
	}
	if (config->cert.bytes && !key_source_check(&source, config->cert.bytes, error))
		findings_add(findings, CONF_ERROR, config->file, 0, NULL, error, NULL);
	key_source_close(&source);
}

static int run_test(int argc, char *const *argv, int at)
{
	/* the same command line without the command; its FILE alone is `vpnserverd FILE` */
	char **rest = calloc((size_t)argc + 2, sizeof(*rest));
	if (!rest)
		return 1;
	int count = 0;
	char config_option[] = "--config";
	bool has_file = word_after(argc, argv, at, 1) != NULL;
	for (int i = 0; i < argc; i++) {
		if (i != at)
			rest[count++] = argv[i];
		else if (has_file && argc > at + 2)
			rest[count++] = config_option;
	}
	struct findings findings = { 0 };
	struct conf_report report = { .problem = findings_add, .context = &findings };
	struct config *config = config_read(count, rest, &report);
	if (config)
		check_key(config, &findings);
	findings_print(stderr, &findings);
	printf("%u errors, %u warnings\n", findings.errors, findings.warnings);
	int status = config && !findings.errors ? 0 : 1;
	findings_clear(&findings);
	if (config)
		config_free(&config);
	free(rest);
	return status;
}

static bool same_stream(int a, int b)
{
	struct stat x, y;
	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int run_hub(int argc, char **argv)
{
	struct findings findings = { 0 };
	struct conf_report report = { .problem = findings_add, .context = &findings };
	struct master m = { .argc = argc, .argv = argv, .start_directory = -1 };
	upgrade_inherit(&m);
	if (m.start_directory < 0)
		m.start_directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	m.now.config = config_read(argc, argv, &report);
	if (!m.now.config) {
		upgrade_go_back(&m, "it does not take the configuration");
		findings_print(stderr, &findings);
		if (!same_stream(STDOUT_FILENO, STDERR_FILENO))
			findings_log(&findings);
		log_line(LOG_LEVEL_ERROR, "Exiting due to fatal error: %u errors in the configuration",
			findings.errors);
		findings_clear(&findings);
		return 1;
	}
	m.warnings = &findings;
	m.exit_status = master_start(&m);
	findings_clear(&findings);
	m.warnings = NULL;
	if (m.exit_status)
		upgrade_go_back(&m, "its start failed, its log says why");
	if (m.exit_status && upgrade_left_alone(&m))
		return m.exit_status;
	if (!m.exit_status)
		supervise(&m);
	master_end(&m);
	return m.exit_status;
}

int main(int argc, char **argv)
{
	int at;
	if (argc < 2) {
		fputs(usage, stderr);
		return 1;
	}
	if (find_option(argc, argv, "version")) {
		printf("vpnserverd %s\n", VPNSERVERD_VERSION);
		return 0;
	}
	if ((at = find_option(argc, argv, "help")))
		return run_help(argc, argv, at);
	if ((at = find_option(argc, argv, "genkey")))
		return run_genkey(argc, argv, at);
	if ((at = find_option(argc, argv, "genpki"))) {
		const char *directory = word_after(argc, argv, at, 1);
		if (directory)
			return pkigen(directory);
		fputs(usage, stderr);
		return 1;
	}
	if ((at = find_option(argc, argv, "test-config")))
		return run_test(argc, argv, at);
	if ((at = find_option(argc, argv, "check-upgrade")))
		return upgrade_check(argc, argv, at);
	return run_hub(argc, argv);
}
