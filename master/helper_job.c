/* SPDX-License-Identifier: MIT
 * One request from beginning to end: a client's files, its script, what both say. Whatever goes wrong on the
 * way is a refusal. */
#include "master/helper_internal.h"

#include "common/base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* -- lines of settings -- */

struct reading {
	struct helper_state *h;
	struct job *job;
};

static void tell_problem(
	void *context, const char *file, int line, const char *directive, const char *what, const char *hint)
{
	struct reading *r = context;
	char text[900];
	helper_log(r->h, 1, "%s: %s", r->job->name,
		config_problem_line(text, sizeof(text), file, line, directive, what, hint));
}

static void keep_line(void *context, const char *line, size_t len)
{
	struct job *job = ((struct reading *)context)->job;

	if (job->lines_full || job->lines_len + len + 1 > HELPER_LINES_MAX) {
		job->lines_full = true;
		return;
	}
	char *grown = realloc(job->lines, job->lines_len + len + 1);
	if (!grown) {
		job->lines_full = true;
		return;
	}
	job->lines = grown;
	memcpy(grown + job->lines_len, line, len);
	grown[job->lines_len + len] = '\n';
	job->lines_len += len + 1;
}

static bool read_include(void *context, struct client_settings *settings, const char *name)
{
	struct reading *r = context;
	struct client_reading reading = { tell_problem, keep_line, read_include, r };
	char *text;
	size_t len;

	if (!r->h->plan.directory || client_file_read(r->h->plan.directory, name, &text, &len) != 0)
		return false;
	client_settings_read(settings, name, text, len, &reading);
	free(text);
	return true;
}

static void read_lines(
	struct helper_state *h, struct job *job, const char *file, const char *text, size_t len)
{
	struct reading context = { h, job };
	struct client_reading reading = { tell_problem, keep_line, read_include, &context };
	client_settings_read(job->settings, file, text, len, &reading);
}

/* -- what a client's scripts are told -- */

static void tell_address(struct environment *e, const char *kind, const struct link_address *address)
{
	char name[32], text[INET6_ADDRSTRLEN];
	bool six = address->family == 6;

	if (!inet_ntop(six ? AF_INET6 : AF_INET, address->ip, text, sizeof(text)) || !address->family)
		return;
	snprintf(name, sizeof(name), "%s_ip%s", kind, six ? "6" : "");
	environment_set(e, name, text);
	snprintf(name, sizeof(name), "%s_port", kind);
	environment_format(e, name, "%u", address->port);
}

static void tell_text(
	struct environment *e, const char *name, const struct helper_request *r, enum helper_text which)
{
	char text[4200];
	helper_request_text(r, which, text, sizeof(text));
	if (*text)
		environment_set(e, name, text);
}

static void tell_peer_info(struct environment *e, const struct helper_request *r)
{
	char text[HELPER_TEXT_MAX + 1], *save = NULL;

	helper_request_text(r, HELPER_PEER_INFO, text, sizeof(text));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, '=');
		if (!value || (strncmp(line, "IV_", 3) != 0 && strncmp(line, "UV_", 3) != 0))
			continue;
		*value = '\0';
		environment_set(e, line, value + 1);
	}
}

static void tell_ipv4(struct environment *e, const char *name, uint32_t address)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr in = { htonl(address) };
	if (address && inet_ntop(AF_INET, &in, text, sizeof(text)))
		environment_set(e, name, text);
}

static void tell_ipv6(struct environment *e, const char *name, const uint8_t address[16])
{
	static const uint8_t none[16];
	char text[INET6_ADDRSTRLEN];
	if (memcmp(address, none, 16) != 0 && inet_ntop(AF_INET6, address, text, sizeof(text)))
		environment_set(e, name, text);
}

static void tell_time(struct environment *e, uint64_t unix_time)
{
	time_t t = (time_t)unix_time;
	struct tm parts;
	char text[64];

	if (localtime_r(&t, &parts) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts))
		environment_set(e, "time_ascii", text);
	environment_format(e, "time_unix", "%llu", (unsigned long long)unix_time);
}

static void tell_client(struct environment *e, const struct helper_request *r)
{
	tell_text(e, "common_name", r, HELPER_COMMON_NAME);
	tell_text(e, "username", r, HELPER_USERNAME);
	tell_text(e, "tls_id_0", r, HELPER_SUBJECT);
	tell_text(e, "tls_serial_0", r, HELPER_SERIAL);
	tell_peer_info(e, r);
	tell_address(e, "untrusted", &r->peer);
	tell_address(e, "trusted", &r->peer);
	tell_time(e, r->connected_unix);
	tell_ipv4(e, "ifconfig_pool_remote_ip", r->inner4);
	if (r->inner4)
		tell_ipv4(e, "ifconfig_pool_netmask", r->netmask4);
	tell_ipv6(e, "ifconfig_pool_remote_ip6", r->inner6);
	if (environment_get(e, "ifconfig_pool_remote_ip6")) {
		tell_ipv6(e, "ifconfig_pool_local_ip6", r->own6);
		environment_format(e, "ifconfig_pool_ip6_netbits", "%u", r->bits6);
	}
}

/* An address of its own takes the place of the pool's. */
static void tell_own_addresses(struct environment *e, const struct client_settings *s)
{
	if (s->has4) {
		tell_ipv4(e, "ifconfig_pool_remote_ip", s->address4);
		tell_ipv4(e, "ifconfig_pool_netmask", s->second4);
	}
	if (!s->has6)
		return;
	tell_ipv6(e, "ifconfig_pool_remote_ip6", s->address6.s6_addr);
	if (s->has_remote6)
		tell_ipv6(e, "ifconfig_pool_local_ip6", s->remote6.s6_addr);
	environment_format(e, "ifconfig_pool_ip6_netbits", "%u", s->bits6);
}

/* -- scripts -- */

static void tell_output(void *context, const char *line, size_t len)
{
	struct reading *r = context;
	helper_log(r->h, 1, "%s (%s): %.*s",
		r->job->request->kind == HELPER_CONNECT ? "client-connect" : "client-disconnect",
		r->job->name, (int)len, line);
}

/* The configured words, `last` behind them, with the hub's and the client's environment. */
static int start(struct helper_state *h, struct job *job, char *const *words, const char *last,
	const char *type, const struct environment *facts, const struct environment *more)
{
	const char *argv[24];
	struct environment e = { 0 };
	unsigned count = 0;

	for (; words[count] && count + 2 < sizeof(argv) / sizeof(argv[0]); count++)
		argv[count] = words[count];
	if (last)
		argv[count++] = last;
	argv[count] = NULL;
	environment_add(&e, &h->plan.base);
	environment_add(&e, facts);
	environment_add(&e, more);
	environment_set(&e, "script_type", type);
	int error = e.failed ? -ENOMEM
			     : script_start(argv, environment_vector(&e), true,
				       master_now() + h->plan.script_ms, &job->script);
	environment_clear(&e);
	if (error)
		helper_log(h, 0, "%s for %s cannot be started: %s", type, job->name, strerror(-error));
	return error;
}

static void remove_files(struct job *job)
{
	if (job->answer_path[0])
		unlink(job->answer_path);
	if (job->deferred_path[0])
		unlink(job->deferred_path);
	job->answer_path[0] = job->deferred_path[0] = '\0';
}

void job_free(struct job **at)
{
	struct job *job = *at;

	*at = NULL;
	if (job->script.pid > 0) {
		script_kill(&job->script);
		script_clear(&job->script);
	}
	remove_files(job);
	client_settings_free(&job->settings);
	free(job->lines);
	free(job->request);
	free(job);
}

/* -- connect -- */

void client_forget(struct client_slot *slot)
{
	if (!slot->client)
		return;
	environment_clear(&slot->client->facts);
	free(slot->client);
	slot->client = NULL;
}

static struct client_slot *slot_of(struct helper_state *h, const struct job *job)
{
	return &h->slots[job->request->slot];
}

static bool refuse(struct helper_state *h, struct job *job)
{
	client_forget(slot_of(h, job));
	helper_answer(h, job, HELPER_DENY, "");
	return true;
}

static bool allow(struct helper_state *h, struct job *job)
{
	struct client *client = slot_of(h, job)->client;

	if (job->lines_full) {
		helper_log(h, 1, "%s: its settings are longer than %u bytes: refused", job->name,
			HELPER_LINES_MAX);
		/* the script had success: what it did is undone like that of any other client */
		client->succeeded = h->plan.connect != NULL;
		helper_answer(h, job, HELPER_DENY, "");
		return true;
	}
	tell_own_addresses(&client->facts, job->settings);
	client->succeeded = true;
	helper_answer(h, job, HELPER_ALLOW, "");
	return true;
}

/* The client's own file, or DEFAULT. False: it is refused. */
static bool read_own_file(struct helper_state *h, struct job *job)
{
	char common_name[256], name[256], shown[1200], *text;
	size_t len;

	if (!h->plan.directory)
		return true;
	helper_request_text(job->request, HELPER_COMMON_NAME, common_name, sizeof(common_name));
	int error = client_file_name(common_name, name, sizeof(name))
			    ? client_file_read(h->plan.directory, name, &text, &len)
			    : -ENOENT;
	if (error == -ENOENT && h->plan.exclusive) {
		helper_log(h, 1, "%s: ccd-exclusive: it has no file", job->name);
		return false;
	}
	if (error == -ENOENT)
		error = client_file_read(h->plan.directory, strcpy(name, "DEFAULT"), &text, &len);
	if (error == -ENOENT)
		return true;
	text_escape(shown, sizeof(shown), name, strlen(name), NULL);
	if (error) {
		helper_log(h, 1, "%s: client-config-dir: %s/%s: %s: refused", job->name, h->plan.directory,
			shown, strerror(-error));
		return false;
	}
	char file[CLIENT_PATH_MAX + 300];
	snprintf(file, sizeof(file), "%s/%s", h->plan.directory, name);
	read_lines(h, job, file, text, len);
	free(text);
	return true;
}

static bool start_connect(struct helper_state *h, struct job *job)
{
	struct client *client = slot_of(h, job)->client;
	struct environment more = { 0 };

	if (!h->plan.allowed) {
		helper_log(
			h, 1, "%s: script-security does not allow client-connect to run: refused", job->name);
		return refuse(h, job);
	}
	int error = answer_file_make(h->plan.tmp_dir, "openvpn_cc", job->answer_path);
	if (error)
		job->answer_path[0] = '\0';
	else if ((error = answer_file_make(h->plan.tmp_dir, "openvpn_ccr", job->deferred_path)))
		job->deferred_path[0] = '\0';
	if (error) {
		helper_log(h, 0, "%s: no file can be made in tmp-dir %s: %s: refused", job->name,
			h->plan.tmp_dir, strerror(-error));
		return refuse(h, job);
	}
	tell_own_addresses(&client->facts, job->settings);
	environment_set(&more, "client_connect_config_file", job->answer_path);
	environment_set(&more, "client_connect_deferred_file", job->deferred_path);
	environment_add(&client->facts, &more); /* they stay set, as in OpenVPN */
	error = start(h, job, h->plan.connect, job->answer_path, "client-connect", &client->facts, &more);
	environment_clear(&more);
	return error ? refuse(h, job) : false;
}

static bool begin_connect(struct helper_state *h, struct job *job)
{
	struct client_slot *slot = slot_of(h, job);

	slot->client = calloc(1, sizeof(*slot->client));
	job->settings = client_settings_new(NULL, 0);
	if (!slot->client || !job->settings) {
		helper_answer(h, job, HELPER_DENY, "");
		client_forget(slot);
		return true;
	}
	slot->client->generation = job->request->generation;
	slot->client->connected_unix = job->request->connected_unix;
	tell_client(&slot->client->facts, job->request);
	job->give_up_at = master_now() + h->plan.deferred_ms;
	if (!read_own_file(h, job))
		return refuse(h, job);
	return h->plan.connect ? start_connect(h, job) : allow(h, job);
}

/* What a script that had success wrote. */
static bool finish_connect(struct helper_state *h, struct job *job)
{
	char *text;
	size_t len;
	int error = answer_file_read(job->answer_path, HELPER_LINES_MAX, &text, &len);

	if (error && error != -ENOENT) { /* it may have removed the file: nothing to say */
		helper_log(h, 1, "%s: what client-connect wrote cannot be read: %s: refused", job->name,
			strerror(-error));
		slot_of(h, job)->client->succeeded = true;
		helper_answer(h, job, HELPER_DENY, "");
		return true;
	}
	if (!error)
		read_lines(h, job, "client-connect", text, len);
	free(text);
	script_clear(&job->script); /* without a kill: what it left in the background may go on */
	return allow(h, job);
}

/* The first byte of its deferred file: '0' no, '1' or nothing yes, '2' later. */
static char deferred_word(const struct job *job)
{
	char *text, word = '\0';
	size_t len;

	if (answer_file_read(job->deferred_path, 4096, &text, &len) == 0 && len)
		word = text[0];
	free(text);
	return word;
}

static bool look_deferred(struct helper_state *h, struct job *job, mono_ms now)
{
	char word = deferred_word(job);

	if (word == '2' && now < job->give_up_at) {
		job->look_at = now + DEFERRED_LOOK_MS;
		return false;
	}
	if (word == '1')
		return finish_connect(h, job);
	helper_log(h, 1, "%s: client-connect %s", job->name,
		word == '2' ? "did not decide in time: refused" : "says no");
	return refuse(h, job);
}

static bool connect_ended(struct helper_state *h, struct job *job, int status, mono_ms now)
{
	if (status != 0) {
		helper_log(h, 1, "%s: client-connect says no (status %d)", job->name, status);
		return refuse(h, job);
	}
	char word = deferred_word(job);
	if (word == '2' && h->deferred_count < DEFERRED_MAX) {
		job->deferred = true;
		job->look_at = now + DEFERRED_LOOK_MS;
		return false;
	}
	if (word == '\0' || word == '1')
		return finish_connect(h, job);
	helper_log(h, 1, "%s: client-connect %s", job->name,
		word == '0' ? "says no" : "cannot be deferred: refused");
	return refuse(h, job);
}

/* -- disconnect -- */

static bool begin_disconnect(struct helper_state *h, struct job *job)
{
	const struct helper_request *r = job->request;
	struct client_slot *slot = slot_of(h, job);
	struct environment facts = { 0 }, more = { 0 };
	bool known = slot->client && slot->client->generation == r->generation;
	bool due = known ? slot->client->succeeded : r->flags & HELPER_ADMITTED;

	if (slot->has_ended && slot->ended == r->generation)
		due = false;
	if (due) {
		slot->has_ended = true;
		slot->ended = r->generation;
	}
	if (!due || !h->plan.disconnect || !h->plan.allowed) {
		if (known)
			client_forget(slot);
		return true;
	}
	tell_client(&facts, r);
	if (known)
		environment_add(&facts, &slot->client->facts); /* said more, and before */
	environment_format(&more, "bytes_received", "%llu", (unsigned long long)r->bytes_in);
	environment_format(&more, "bytes_sent", "%llu", (unsigned long long)r->bytes_out);
	environment_format(&more, "time_duration", "%llu", (unsigned long long)r->duration_s);
	int error = start(h, job, h->plan.disconnect, NULL, "client-disconnect", &facts, &more);
	environment_clear(&facts);
	environment_clear(&more);
	if (known)
		client_forget(slot);
	return error != 0;
}

/* -- both -- */

bool job_begin(struct helper_state *h, struct job *job)
{
	return job->request->kind == HELPER_CONNECT ? begin_connect(h, job) : begin_disconnect(h, job);
}

bool job_continue(struct helper_state *h, struct job *job, mono_ms now)
{
	struct reading context = { h, job };
	const char *type = job->request->kind == HELPER_CONNECT ? "client-connect" : "client-disconnect";
	int status;

	script_listen(&job->script, tell_output, &context);
	if (job->deferred)
		return now >= job->look_at && look_deferred(h, job, now);
	if (!script_ended(&job->script, &status)) {
		if (now < job->script.kill_at)
			return false;
		helper_log(h, 1, "%s: %s is still not done after %u ms: killed%s", job->name, type,
			h->plan.script_ms, job->request->kind == HELPER_CONNECT ? ", client refused" : "");
		script_kill(&job->script);
		script_clear(&job->script);
		return job->request->kind == HELPER_CONNECT ? refuse(h, job) : true;
	}
	script_listen(&job->script, tell_output, &context);
	if (job->request->kind == HELPER_CONNECT) {
		if (!connect_ended(h, job, status, now))
			return false;
	} else if (status != 0) {
		helper_log(h, 1, "%s: %s ended with status %d", job->name, type, status);
	}
	script_clear(&job->script);
	return true;
}
