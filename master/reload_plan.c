/* SPDX-License-Identifier: MIT
 * See reload_plan.h. Which directive means what stands in its row (conf/options.def); here is what it means
 * for one client. */
#include "master/reload_plan.h"

#include "common/base/text.h"
#include "common/negotiate/negotiate.h"
#include "common/tls/tls.h"
#include "master/client_files.h"
#include "worker/peer_flags.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED_MAX = 2000 }; /* whoever asks has room for so many lines */

/* -- the hub -- */

static void note_change(void *context, const char *directive, enum conf_effect effect, const char *how)
{
	struct reload_plan *plan = context;
	(void)how;
	plan->changed++;
	plan->differs[effect] = true;
	if (effect == EFFECT_RECONNECT)
		plan->reconnect = directive;
}

static bool compare_pushes(struct reload_plan *plan)
{
	const struct config *a = plan->before, *b = plan->after;
	plan->push_differs = a->push_count != b->push_count;
	for (unsigned i = 0; !plan->push_differs && i < a->push_count; i++)
		plan->push_differs = strcmp(a->push[i], b->push[i]) != 0;
	if (!plan->push_differs)
		return true;
	plan->update = calloc(a->push_count + b->push_count, sizeof(*plan->update));
	if (!plan->update)
		return false;
	plan->update_count = push_update_options((const char *const *)a->push, a->push_count,
		(const char *const *)b->push, b->push_count, plan->update, &plan->update_is_all);
	return true;
}

bool plan_make(struct reload_plan *plan, const struct config *before, const struct config *after)
{
	char error[TLS_REASON_MAX], warning[TLS_REASON_MAX];
	*plan = (struct reload_plan){ .before = before, .after = after };
	config_changes(before, after, note_change, plan);
	/* Without a difference somebody wants what no comparison sees: a name that resolves differently now. */
	plan->new_workers = !plan->changed;
	for (int effect = EFFECT_BY_WORKERS; effect <= EFFECT_RECONNECT; effect++)
		plan->new_workers |= plan->differs[effect];
	if (!compare_pushes(plan))
		return false;
	if (!after->live_revoke || !after->crl.bytes || after->crl_is_dir)
		return true;
	struct tls_settings settings = { .ca_pem = after->ca.bytes, .crl_pem = after->crl.bytes };
	plan->revoked = tls_context_new(&settings, error, warning);
	return true; /* one that cannot be read was refused before it came here */
}

void plan_clear(struct reload_plan *plan)
{
	free(plan->update);
	plan->update = NULL;
	if (plan->revoked)
		tls_context_free(&plan->revoked);
}

/* -- one client -- */

static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);
	for (const char *at = list; at && *at; at += strcspn(at, ":"), at += *at == ':')
		if (strcspn(at, ":") == len && strncmp(at, name, len) == 0)
			return true;
	return false;
}

static bool cipher_stays(const struct config *c, const char *cipher)
{
	return !*cipher || in_list(c->data_ciphers, cipher) ||
	       (c->data_ciphers_fallback && strcmp(c->data_ciphers_fallback, cipher) == 0);
}

static bool fingerprint_stays(const struct config *c, const struct peer_identity *who)
{
	for (unsigned i = 0; i < c->fingerprint_count; i++)
		if (memcmp(c->fingerprints[i], who->fingerprint, sizeof(who->fingerprint)) == 0) /* no secret */
			return true;
	return !c->fingerprint_count;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Its settings are read when it connects; a file that was written since then would give it others. NULL: they
 * stay. */
static const char *own_settings(const struct reload_plan *plan, const struct peer_identity *who)
{
	const struct config *b = plan->before, *a = plan->after;
	bool other = !same_text(b->client_config_dir, a->client_config_dir);
	char name[256];
	int newer = -ENOENT;

	if (a->client_config_dir && client_file_name(who->common_name, name, sizeof(name))) {
		newer = client_file_newer(a->client_config_dir, name, who->connected_unix);
		if (newer == -ENOENT && a->ccd_exclusive && !b->ccd_exclusive)
			return "ccd-exclusive, and it has no file";
		if (newer == -ENOENT)
			newer = client_file_newer(a->client_config_dir, "DEFAULT", who->connected_unix);
	}
	if (newer == 1 || (newer == 0 && other))
		return "its file in client-config-dir changed";
	if ((newer == -ENOENT || newer == -ENOTDIR) && (who->flags & PEER_FLAG_OWN) && b->client_config_dir &&
		!b->scripts.client_connect)
		return "its file in client-config-dir is gone";
	return NULL;
}

enum plan_fate plan_of(const struct reload_plan *plan, const struct peer_row *row, char why[PLAN_WHY_MAX])
{
	const struct config *a = plan->after;
	const struct peer_identity *who = &row->identity;
	const char *settings;

	why[0] = '\0';
	if (plan->revoked && tls_context_revoked(plan->revoked, who->issuer, who->serial)) {
		snprintf(why, PLAN_WHY_MAX, "its certificate is revoked");
		return PLAN_REFUSED;
	}
	if (a->live_revoke && !fingerprint_stays(a, who)) {
		snprintf(why, PLAN_WHY_MAX, "its certificate is not listed in peer-fingerprint any more");
		return PLAN_REFUSED;
	}
	if (plan->reconnect) {
		snprintf(why, PLAN_WHY_MAX, "%s changed", plan->reconnect);
		return PLAN_RECONNECT;
	}
	if (!cipher_stays(a, who->cipher)) {
		snprintf(why, PLAN_WHY_MAX, "%.31s is not in data-ciphers any more", who->cipher);
		return PLAN_RECONNECT;
	}
	if ((settings = own_settings(plan, who))) {
		snprintf(why, PLAN_WHY_MAX, "%s", settings);
		return PLAN_RECONNECT;
	}
	bool takes = (who->flags & PEER_FLAG_UPDATES) && !(who->flags & PEER_FLAG_OWN);
	if (plan->update_count && takes) {
		snprintf(why, PLAN_WHY_MAX, "%s", plan->update_is_all ? "" : "not all of it can be updated");
		return PLAN_UPDATE;
	}
	if (plan->differs[EFFECT_RENEGOTIATION])
		return PLAN_RENEGOTIATION;
	if (plan->push_differs && !takes) {
		bool own = who->flags & PEER_FLAG_OWN;
		snprintf(why, PLAN_WHY_MAX, "it %s", own ? "has settings of its own" : "cannot take an update");
	}
	return plan->push_differs || plan->differs[EFFECT_NEW_CLIENTS] ? PLAN_NEXT_TIME : PLAN_NOTHING;
}

/* -- all of them -- */

/* The next client at or after *slot. What it is called and what it uses was written by a worker: the texts are
 * ended here. */
bool plan_next(const struct shm *shm, uint32_t *slot, struct peer_row *row)
{
	for (uint32_t at = peers_next(shm, *slot); at != PEER_NONE; at = peers_next(shm, at + 1)) {
		if (!peers_read(shm, at, row) || row->state != PEER_ACTIVE)
			continue;
		struct peer_identity *who = &row->identity;
		who->common_name[sizeof(who->common_name) - 1] = '\0';
		who->cipher[sizeof(who->cipher) - 1] = '\0';
		who->serial[sizeof(who->serial) - 1] = '\0';
		*slot = at + 1;
		return true;
	}
	return false;
}

void plan_count(const struct reload_plan *plan, const struct shm *shm, struct plan_counts *counts)
{
	char why[PLAN_WHY_MAX];
	struct peer_row row;

	*counts = (struct plan_counts){ 0 };
	for (uint32_t slot = 0; plan_next(shm, &slot, &row); counts->clients++)
		counts->of[plan_of(plan, &row, why)]++;
}

static const char *fate_text(enum plan_fate fate)
{
	static const char *const texts[PLAN_FATES] = { "nothing", "when it connects anew", "at its next renegotiation",
		"pushed update", "must reconnect", "must go" };
	return texts[fate];
}

const char *plan_summary(const struct plan_counts *c, char out[PLAN_SUMMARY_MAX])
{
	snprintf(out, PLAN_SUMMARY_MAX,
		"%u clients: %u nothing, %u pushed update, %u at next renegotiation, %u when they connect anew, "
		"%u must reconnect",
		c->clients, c->of[PLAN_NOTHING], c->of[PLAN_UPDATE], c->of[PLAN_RENEGOTIATION],
		c->of[PLAN_NEXT_TIME], c->of[PLAN_RECONNECT] + c->of[PLAN_REFUSED]);
	return out;
}

static void print_change(void *out, const char *directive, enum conf_effect effect, const char *how)
{
	fprintf(out, "  %-28s %-8s %s\n", directive, how, config_effect_text(effect));
}

/* True: a line was written. */
static bool print_client(const struct reload_plan *plan, const struct peer_row *row, FILE *out)
{
	char why[PLAN_WHY_MAX], name[4 * PEER_NAME_ROOM], inner[INET_ADDRSTRLEN] = "";
	enum plan_fate fate = plan_of(plan, row, why);
	struct in_addr address = { htonl(row->identity.inner4) };

	if (fate == PLAN_NOTHING)
		return false;
	if (row->identity.inner4)
		inet_ntop(AF_INET, &address, inner, sizeof(inner));
	text_escape(name, sizeof(name), row->identity.common_name, strlen(row->identity.common_name), NULL);
	fprintf(out, "  %-28s %-15s %s%s%s\n", name, inner, fate_text(fate), why[0] ? ": " : "", why);
	return true;
}

void plan_print(const struct reload_plan *plan, const struct shm *shm, FILE *out)
{
	char summary[PLAN_SUMMARY_MAX];
	struct plan_counts counts;
	struct peer_row row;

	fprintf(out, "directives: %u differ\n", plan->changed);
	config_changes(plan->before, plan->after, print_change, out);
	fprintf(out, "workers: %s\n", plan->new_workers ? "are replaced one after another" : "stay");
	for (size_t i = 0; i < plan->update_count; i++)
		fprintf(out, "%s%s%s", i ? ", " : "update: ", plan->update[i], i + 1 == plan->update_count ? "\n" : "");
	fprintf(out, "clients:\n");
	unsigned listed = 0;
	for (uint32_t slot = 0; listed < LISTED_MAX && plan_next(shm, &slot, &row);)
		listed += print_client(plan, &row, out);
	if (listed == LISTED_MAX)
		fprintf(out, "  (no more than %d are listed)\n", LISTED_MAX);
	plan_count(plan, shm, &counts);
	fprintf(out, "%s\n", plan_summary(&counts, summary));
}
