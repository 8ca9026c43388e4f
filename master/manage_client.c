/* SPDX-License-Identifier: MIT
 * One management client without its descriptor: bytes in, lines cut and run; bytes out, queued. Whoever it is, it
 * cannot make us hold more than MANAGE_INPUT_MAX bytes of its own and MANAGE_QUEUE_MAX of ours. */
#include "master/manage_internal.h"

#include "common/base/packet.h"
#include "common/base/secret.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void client_leave(struct manage_client *c, const char *why, bool last_words)
{
	if (c->leaving)
		return;
	c->leaving = why;
	c->last_words = last_words;
}

/* -- out -- */

static void queue(struct manage_client *c, const char *bytes, size_t len)
{
	if (c->leaving && !c->last_words)
		return;
	if (c->out_at && c->out_at + c->out_len + len > c->out_room) {
		memmove(c->out, c->out + c->out_at, c->out_len);
		c->out_at = 0;
	}
	if (c->out_len + len > c->out_room) {
		size_t room = c->out_room ? c->out_room : 4096;
		while (room < c->out_len + len)
			room *= 2;
		char *grown = realloc(c->out, room);
		if (!grown) {
			client_leave(c, "there is no memory for it", false);
			return;
		}
		c->out = grown;
		c->out_room = room;
	}
	memcpy(c->out + c->out_at + c->out_len, bytes, len);
	c->out_len += len;
}

static void queue_line(struct manage_client *c, const char *format, va_list args)
{
	char line[2 * MANAGE_LINE_MAX];
	int len = vsnprintf(line, sizeof(line) - 2, format, args);

	if (len < 0)
		return;
	if ((size_t)len > sizeof(line) - 3)
		len = (int)sizeof(line) - 3;
	memcpy(line + len, "\r\n", 2);
	queue(c, line, (size_t)len + 2);
}

void client_say(struct manage_client *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	queue_line(c, format, args);
	va_end(args);
}

void client_notice(struct manage *g, struct manage_client *c, const char *format, ...)
{
	va_list args;

	if (!c->known || c->leaving)
		return;
	va_start(args, format);
	queue_line(c, format, args);
	va_end(args);
	if (c->out_len > MANAGE_QUEUE_MAX && !c->leaving) {
		client_leave(c, "it does not read what it is told", false);
		g->counts.slow++;
	}
}

void client_say_text(struct manage_client *c, const char *text, size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;
		queue(c, text, line);
		queue(c, "\r\n", 2);
		line += end != NULL;
		text += line;
		len -= line;
	}
}

void client_gave(struct manage_client *c, size_t len, mono_ms now)
{
	c->out_at += len;
	c->out_len -= len;
	c->moved_at = now;
	if (c->out_len)
		return;
	c->out_at = 0;
	if (c->out_room > MANAGE_CHUNK) { /* one long answer does not stay for good */
		free(c->out);
		c->out = NULL;
		c->out_room = 0;
	}
}

/* -- life -- */

static void greet(struct manage *g, struct manage_client *c)
{
	client_say(c, ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info");
	if (g->holding && c->door == DOOR_DIRECTIVE)
		client_say(c, ">HOLD:Waiting for hold release:0");
}

void client_begin(struct manage *g, struct manage_client *c, enum door_kind door, mono_ms now)
{
	int fd = c->fd;

	memset(c, 0, sizeof(*c));
	c->fd = fd;
	c->door = door;
	c->id = ++g->ids;
	c->pid = c->uid = -1;
	c->moved_at = now;
	c->bytecount_slot = PEER_NONE;
	c->known = g->doors[door].password_len == 0;
	c->known_by = now + PASSWORD_MS;
	if (c->known)
		greet(g, c);
	else
		queue(c, "ENTER PASSWORD:", 15);
}

void client_end(struct manage_client *c)
{
	free(c->out);
	secret_wipe(c, sizeof(*c)); /* a password may be in what it sent */
	c->fd = -1;
}

void client_note(struct manage *g, enum event_kind kind, enum door_kind door, long uid, const char *why)
{
	const mono_ms now = master_now();
	char text[EVENT_TEXT_ROOM] = "";
	size_t oldest = 0;

	snprintf(text, sizeof(text), "%s%s%s", door == DOOR_CONTROL ? "control socket" : "management", why[0] ? ": " : "",
		why);
	if (uid >= 0)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " (uid %ld)", uid);
	for (size_t i = 0; i < sizeof(g->noted) / sizeof(g->noted[0]); i++) {
		if (g->noted[i].at && g->noted[i].kind == kind && strcmp(g->noted[i].text, text) == 0 &&
			now - g->noted[i].at < NOTED_MS)
			return;
		if (g->noted[i].at < g->noted[oldest].at)
			oldest = i;
	}
	g->noted[oldest].kind = kind;
	g->noted[oldest].at = now;
	memcpy(g->noted[oldest].text, text, sizeof(text));
	master_note(g->master, kind, 0, text);
}

struct manage_client *client_by_id(struct manage *g, uint64_t id)
{
	EACH_CLIENT (g, c)
		if (c->id == id && !c->leaving)
			return c;
	return NULL;
}

/* -- in -- */

static void check_password(struct manage *g, struct manage_client *c, const char *line, size_t len, mono_ms now)
{
	const struct door *door = &g->doors[c->door];
	char given[sizeof(door->password)] = "";
	bool right;

	memcpy(given, line, len < sizeof(given) ? len : sizeof(given));
	right = secret_equal(given, door->password, sizeof(given));
	right &= len == door->password_len;
	secret_wipe(given, sizeof(given));
	if (right) {
		c->known = true;
		client_say(c, "SUCCESS: password is correct");
		greet(g, c);
		client_note(g, EVENT_MANAGER_CAME, c->door, c->uid, "");
		return;
	}
	g->counts.wrong_password++;
	client_say(c, "ERROR: bad password");
	if (++c->tries == PASSWORD_TRIES) {
		client_note(g, EVENT_MANAGER_REFUSED, c->door, c->uid, "wrong password");
		client_leave(c, "it does not know the password", true);
		return;
	}
	c->held_until = now + PASSWORD_PAUSE_MS;
	queue(c, "ENTER PASSWORD:", 15);
}

/* Names may be in any script, but one record is one line. */
static bool clean(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)line[i] < ' ' ? line[i] != '\t' : line[i] == 0x7f)
			return false;
	return true;
}

static void take_line(struct manage *g, struct manage_client *c, char *line, size_t len, mono_ms now)
{
	while (len && line[len - 1] == '\r')
		len--;
	line[len] = '\0'; /* where its line end was */
	if (!c->known)
		check_password(g, c, line, len, now);
	else if (!clean(line, len))
		client_say(c, "ERROR: a command line has no control characters");
	else
		command_run(g, c, line, len);
	secret_wipe(line, len);
}

bool client_held(const struct manage_client *c, mono_ms now)
{
	return c->leaving || c->answer.kind != LONG_NONE || c->out_len > MANAGE_CHUNK || now < c->held_until;
}

void client_go_on(struct manage *g, struct manage_client *c, mono_ms now)
{
	size_t at = 0;
	uint64_t id = c->id;

	if (now >= c->held_until)
		c->held_until = 0;
	while (!client_held(c, now) && at < c->in_len) {
		char *line = c->in + at, *end = memchr(line, '\n', c->in_len - at);
		size_t len = end ? (size_t)(end - line) : c->in_len - at;
		if (!end && len <= MANAGE_LINE_MAX && !c->in_skipping)
			break;
		at += len + (end != NULL);
		if (len > MANAGE_LINE_MAX && !c->in_skipping) {
			g->counts.long_lines++;
			if (!c->known)
				check_password(g, c, line, len, now); /* it is wrong */
			else
				client_say(c, "ERROR: a command line has at most %d bytes", MANAGE_LINE_MAX);
		} else if (end && !c->in_skipping) {
			take_line(g, c, line, len, now);
			if (c->id != id || c->fd < 0)
				return; /* what it asked for was its end */
		}
		c->in_skipping = !end;
	}
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
	secret_wipe(c->in + c->in_len, at);
}

char *client_room(struct manage_client *c, size_t *room)
{
	*room = sizeof(c->in) - c->in_len;
	return c->in + c->in_len;
}

void client_took(struct manage *g, struct manage_client *c, size_t len, mono_ms now)
{
	c->in_len += len;
	client_go_on(g, c, now);
}
