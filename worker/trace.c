/* SPDX-License-Identifier: MIT
 * Follows the packets of a few sessions: a line each, with what it was on the link, what in the tunnel, and how it
 * ended. Lines go to the master, so many a second and then their count. What a packet was is noted before a step
 * overwrites it. A successor knows nothing of it until the master asks again. */
#include "worker/internal.h"

#include "common/wire/wire.h"
#include "worker/orders.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TRACED_MAX = 8,
	LINES_A_SECOND = 200,
	NOTE_MAX = 240,
};

struct traced {
	uint32_t slot, generation;
	mono_ms until; /* 0: a free place */
	mono_ms second; /* the one that lines are counted in */
	unsigned lines, left_out;
};

/* What is remembered of a packet until its fate is known. */
struct note {
	struct traced *of; /* NULL: nobody's */
	unsigned len;
	char text[NOTE_MAX];
};

struct tracing {
	struct traced traced[TRACED_MAX];
	struct note in[BATCH_MAX], out[BATCH_MAX];
};

/* -- who -- */

static struct traced *traced_of(const struct worker *w, uint32_t slot, uint32_t generation)
{
	for (unsigned i = 0; i < TRACED_MAX; i++) {
		struct traced *t = &w->tracing->traced[i];
		if (t->until && t->slot == slot && t->generation == generation)
			return t;
	}
	return NULL;
}

void trace_session(struct worker *w, uint32_t slot, uint32_t generation, int32_t seconds)
{
	if (!session_find(w, slot, generation) || (!w->tracing && seconds <= 0))
		return;
	if (!w->tracing && !(w->tracing = calloc(1, sizeof(*w->tracing))))
		return;
	struct traced *t = traced_of(w, slot, generation);
	for (unsigned i = 0; !t && i < TRACED_MAX; i++)
		if (!w->tracing->traced[i].until)
			t = &w->tracing->traced[i];
	if (t && seconds > 0)
		*t = (struct traced){ .slot = slot, .generation = generation, .until = w->now + (mono_ms)seconds * 1000 };
	else if (t)
		t->until = 0;
	trace_tidy(w);
}

/* -- lines -- */

__attribute__((format(printf, 3, 4))) static void say(const struct worker *w, struct traced *t, const char *format, ...)
{
	char message[sizeof(struct order_session) + 2 * NOTE_MAX];
	struct order_session head = { .slot = t->slot, .generation = t->generation };
	size_t room = sizeof(message) - sizeof(head);
	va_list args;

	memcpy(message, &head, sizeof(head));
	va_start(args, format);
	int len = vsnprintf(message + sizeof(head), room, format, args);
	va_end(args);
	if (len < 0)
		return;
	if ((size_t)len >= room)
		len = (int)room - 1;
	if (w->master_gone || !order_send(w->born->orders_fd, ANSWER_TRACE, 0, message, sizeof(head) + (size_t)len, -1))
		t->left_out++;
}

static void say_left_out(const struct worker *w, struct traced *t)
{
	unsigned left_out = t->left_out;

	t->left_out = 0;
	if (left_out)
		say(w, t, "%u more were left out", left_out);
}

/* May one more line be said in this second? */
static bool one_more(const struct worker *w, struct traced *t)
{
	if (w->now - t->second >= 1000) {
		say_left_out(w, t);
		t->second = w->now;
		t->lines = 0;
	}
	if (t->lines++ < LINES_A_SECOND)
		return true;
	t->left_out++;
	return false;
}

void trace_tidy(struct worker *w)
{
	bool any = false;

	for (unsigned i = 0; i < TRACED_MAX; i++) {
		struct traced *t = &w->tracing->traced[i];
		if (t->until && w->now - t->second >= 1000)
			say_left_out(w, t);
		if (t->until && (w->now >= t->until || !session_find(w, t->slot, t->generation)))
			t->until = 0;
		any |= t->until != 0;
	}
	if (any)
		return;
	free(w->tracing);
	w->tracing = NULL;
}

/* -- notes -- */

static char *inner_text(const void *packet, size_t len, char *out, size_t room)
{
	static const struct {
		uint8_t number;
		char name[8];
		bool ports;
	} known[] = { { 1, "ICMP", false }, { 6, "TCP", true }, { 17, "UDP", true }, { 58, "ICMPv6", false } };
	char from[46], to[46], ports[2][8] = { "", "" }, number[16];
	struct inner_view view;
	const uint8_t *bytes = packet;

	if (inner_look(packet, len, &view) != FATE_NONE) {
		snprintf(out, room, "no IP packet, len %zu", len);
		return out;
	}
	snprintf(number, sizeof(number), "protocol %u", view.protocol);
	const char *name = number;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].number != view.protocol)
			continue;
		name = known[i].name;
		if (known[i].ports && view.upper_offset && view.upper_offset + 4u <= view.length)
			for (int p = 0; p < 2; p++) {
				const uint8_t *at = bytes + view.upper_offset + 2 * p;
				snprintf(ports[p], sizeof(ports[p]), " %u", at[0] << 8 | at[1]);
			}
	}
	snprintf(out, room, "%s %s%s > %s%s len %u%s", name, inner_address_text(&view.source, from, sizeof(from)), ports[0],
		inner_address_text(&view.destination, to, sizeof(to)), ports[1], view.length,
		view.fragment ? " fragment" : "");
	return out;
}

static void note_add(struct note *note, const char *text)
{
	size_t room = sizeof(note->text) - note->len, len = strlen(text);

	if (len >= room)
		len = room - 1;
	memcpy(note->text + note->len, text, len);
	note->len += (unsigned)len;
	note->text[note->len] = '\0';
}

static void note_begin(struct note *note, struct traced *t)
{
	note->of = t;
	note->len = 0;
	note->text[0] = '\0';
}

/* -- inbound -- */

void trace_datagrams(struct worker *w, const struct batch *b)
{
	char text[NOTE_MAX], from[64];

	for (unsigned i = 0; i < b->count; i++) {
		const struct packet *p = &b->packets[i];
		struct note *note = &w->tracing->in[i];
		struct traced *t = p->fate == FATE_NONE ? traced_of(w, p->peer, p->generation) : NULL;
		note_begin(note, t && one_more(w, t) ? t : NULL);
		if (!note->of)
			continue;
		note_add(note, link_address_text(&p->peer_address, from, sizeof(from)));
		note_add(note, " ");
		note_add(note, wire_describe(p->at, p->len, text, sizeof(text)));
	}
}

void trace_opened(struct worker *w, const struct batch *b)
{
	char text[NOTE_MAX];

	for (unsigned i = 0; i < b->count; i++) {
		const struct packet *p = &b->packets[i];
		struct note *note = &w->tracing->in[i];
		if (!note->of || p->fate != FATE_NONE)
			continue;
		note_add(note, " | ");
		note_add(note, inner_text(p->at, p->len, text, sizeof(text)));
	}
}

void trace_inbound_end(struct worker *w, const struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct note *note = &w->tracing->in[i];
		if (note->of)
			say(w, note->of, "in %s: %s", note->text, fate_name(b->packets[i].fate));
		note->of = NULL;
	}
}

/* -- outbound -- */

void trace_walk(struct worker *w, const struct walk *walk)
{
	char text[NOTE_MAX];

	for (unsigned i = 0; i < walk->count; i++) {
		const struct packet *p = walk->packets[i];
		struct note *note = &w->tracing->out[i];
		struct traced *t = traced_of(w, walk->of[i]->slot, walk->of[i]->generation);
		note_begin(note, t && one_more(w, t) ? t : NULL);
		if (note->of)
			note_add(note, inner_text(p->at, p->len, text, sizeof(text)));
	}
}

void trace_walk_end(struct worker *w, const struct walk *walk)
{
	char text[NOTE_MAX];

	for (unsigned i = 0; i < walk->count; i++) {
		const struct packet *p = walk->packets[i];
		struct note *note = &w->tracing->out[i];
		if (note->of)
			say(w, note->of, "out %s | %s: %s", note->text, wire_describe(p->at, p->len, text, sizeof(text)),
				fate_name(p->fate));
		note->of = NULL;
	}
}

void trace_dropped(struct worker *w, const struct session *s, const struct packet *p)
{
	struct traced *t = traced_of(w, s->slot, s->generation);
	char text[NOTE_MAX];

	if (t && one_more(w, t))
		say(w, t, "out %s: %s", inner_text(p->at, p->len, text, sizeof(text)), fate_name(p->fate));
}

void trace_copied(struct worker *w, const struct session *s, const struct packet *p, const void *datagram, size_t len,
	enum fate fate)
{
	struct traced *t = traced_of(w, s->slot, s->generation);
	char inner[NOTE_MAX], outer[NOTE_MAX];

	if (t && one_more(w, t))
		say(w, t, "out %s | %s: %s", inner_text(p->at, p->len, inner, sizeof(inner)),
			wire_describe(datagram, len, outer, sizeof(outer)), fate_name(fate));
}

void trace_sent(struct worker *w, const struct session *s, const void *datagram, size_t len, enum fate fate)
{
	struct traced *t = traced_of(w, s->slot, s->generation);
	char text[NOTE_MAX];

	if (t && one_more(w, t))
		say(w, t, "out %s: %s", wire_describe(datagram, len, text, sizeof(text)), fate_name(fate));
}
