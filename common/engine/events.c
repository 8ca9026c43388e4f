/* SPDX-License-Identifier: MIT
 * What the host must know or decide, as a queue with an end. */
#include "common/engine/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void session_event(struct vpn_session *s, int kind, int number, const void *data, size_t len)
{
	/* Notes and texts are luxury; the few kinds that drive the host are bounded by the state machine itself. */
	if (s->event_count >= EVENTS_MAX && (kind == VPN_EVENT_NOTE || kind == VPN_EVENT_TEXT))
		return;
	struct event *event = malloc(sizeof(*event) + len + 1);
	if (!event) {
		/* Not ended here: the caller is in the middle of its work. */
		s->event_lost |= kind != VPN_EVENT_NOTE && kind != VPN_EVENT_TEXT;
		return;
	}
	event->next = NULL;
	event->kind = kind;
	event->number = number;
	event->len = len;
	if (len)
		memcpy(event->text, data, len);
	event->text[len] = 0;
	*s->events_end = event;
	s->events_end = &event->next;
	s->event_count++;
}

void session_note(struct vpn_session *s, int verbosity, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	session_event(s, VPN_EVENT_NOTE, verbosity, text, strlen(text));
}

bool vpn_session_next_event(vpn_session *s, vpn_event *out)
{
	free(s->given);
	s->given = s->events;
	if (!s->given) {
		bool last = s->state == SESSION_GONE && !s->closed_told;
		s->closed_told |= last;
		if (last)
			*out = (vpn_event){ .kind = VPN_EVENT_CLOSED, .text = s->close_reason,
				.data = (const uint8_t *)s->close_reason, .len = strlen(s->close_reason) };
		return last;
	}
	s->events = s->given->next;
	if (!s->events)
		s->events_end = &s->events;
	s->event_count--;
	*out = (vpn_event){
		.kind = s->given->kind,
		.number = s->given->number,
		.text = s->given->text,
		.data = (const uint8_t *)s->given->text,
		.len = s->given->len,
	};
	return true;
}
