/* SPDX-License-Identifier: MIT
 * Settings that a server gives a client: a list of options to PUSH_REPLY messages, and back to what the
 * client role obeys. */
#include "common/negotiate/negotiate.h"
#include "common/wire/wire.h"

#include <stdio.h>

static const char push_reply[] = "PUSH_REPLY", push_update[] = "PUSH_UPDATE";

enum {
	/* Where OpenVPN ends a message: it keeps 84 bytes for what comes behind the options. */
	BUNDLE_FULL = PUSH_BUNDLE - 84,
	PEER_ID_MAX = 16777214,
	TUN_MTU_MIN = 100,
	TUN_MTU_MAX = 65535,
};

/* -- to messages -- */

static bool sayable(const char *option)
{
	size_t len = 0;
	for (; option[len]; len++)
		if (len == PUSH_OPTION_MAX || option[len] == ',' || option[len] < ' ' || option[len] > '~')
			return false;
	return len > 0;
}

static void add(char *out, size_t *len, const char *option)
{
	out[(*len)++] = ',';
	size_t option_len = strlen(option);
	memcpy(out + *len, option, option_len + 1);
	*len += option_len;
}

/* As many options as one message takes, from *at on; its length, or 0. */
static size_t bundle(const char *command, size_t full, const char *const *options, size_t count, size_t *at, char *out,
	size_t room)
{
	size_t command_len = strlen(command), len = command_len;
	bool first = *at == 0;
	if (room < PUSH_BUNDLE || (!first && *at >= count))
		return 0;
	memcpy(out, command, len + 1);
	for (; *at < count; ++*at) {
		if (!sayable(options[*at]))
			continue;
		if (len + strlen(options[*at]) >= full) {
			add(out, &len, "push-continuation 2");
			return len + 1;
		}
		add(out, &len, options[*at]);
	}
	if (!first)
		add(out, &len, "push-continuation 1");
	else if (len == command_len)
		add(out, &len, "ping-restart 0");
	if (!count)
		*at = 1;
	return len + 1;
}

size_t push_reply_write(const char *const *options, size_t count, size_t *at, char *out, size_t room)
{
	return bundle(push_reply, BUNDLE_FULL, options, count, at, out, room);
}

size_t push_update_write(const char *const *options, size_t count, size_t *at, char *out, size_t room)
{
	return count ? bundle(push_update, BUNDLE_FULL - sizeof(push_update), options, count, at, out, room) : 0;
}

/* What clients can change while they are connected, as it is removed. */
static const char *const updatable[] = { "-block-ipv6", "-block-outside-dns", "-dhcp-option", "-dns", "-redirect-gateway",
	"-redirect-private", "-route", "-route-gateway", "-route-ipv6", "-route-metric", "-topology", "-tun-mtu" };

static size_t word_len(const char *option)
{
	return strcspn(option, " ");
}

static bool same_word(const char *a, const char *b)
{
	return word_len(a) == word_len(b) && memcmp(a, b, word_len(a)) == 0;
}

/* The next option of this kind at or after *at; NULL: none. */
static const char *next_of(const char *kind, const char *const *options, size_t count, size_t *at)
{
	while (*at < count) {
		const char *option = options[(*at)++];
		if (same_word(kind, option))
			return option;
	}
	return NULL;
}

static bool same_of(const char *kind, const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
	size_t i = 0, j = 0;
	for (;;) {
		const char *x = next_of(kind, a, a_count, &i), *y = next_of(kind, b, b_count, &j);
		if (!x || !y)
			return x == y;
		if (strcmp(x, y) != 0)
			return false;
	}
}

/* Is this the first of its kind in the list? */
static bool first_of(const char *const *options, size_t i)
{
	for (size_t before = 0; before < i; before++)
		if (same_word(options[before], options[i]))
			return false;
	return true;
}

static const char *removal_of(const char *kind)
{
	for (size_t i = 0; i < sizeof(updatable) / sizeof(updatable[0]); i++)
		if (same_word(updatable[i] + 1, kind))
			return updatable[i];
	return NULL;
}

size_t push_update_options(const char *const *before, size_t before_count, const char *const *after, size_t after_count,
	const char **out, bool *all)
{
	size_t written = 0;
	*all = true;
	/* each kind that either list has, once */
	for (size_t i = 0; i < before_count + after_count; i++) {
		bool old = i < before_count;
		const char *kind = old ? before[i] : after[i - before_count];
		size_t nowhere = 0, at = 0;
		if (old ? !first_of(before, i) :
			  !first_of(after, i - before_count) || next_of(kind, before, before_count, &nowhere))
			continue;
		if (same_of(kind, before, before_count, after, after_count))
			continue;
		const char *removal = removal_of(kind), *option = next_of(kind, after, after_count, &at);
		if (!removal) {
			*all = false;
			continue;
		}
		if (!option)
			out[written++] = removal;
		/* the first of a kind takes all older ones away */
		for (; option; option = next_of(kind, after, after_count, &at))
			out[written++] = option;
	}
	return written;
}

/* -- and back -- */

void pushed_init(struct pushed *p)
{
	*p = (struct pushed){ .peer_id = WIRE_PEER_ID_NONE };
}

static bool number_of(const char *text, unsigned min, unsigned max, unsigned *out)
{
	uint64_t number = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || number > max)
			return false;
		number = number * 10 + (unsigned)(*text - '0');
	}
	if (number < min || number > max)
		return false;
	*out = (unsigned)number;
	return true;
}

static void read_flags(struct pushed *p, char *words)
{
	char *state;
	for (char *word = strtok_r(words, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
		if (!strcmp(word, "cc-exit"))
			p->cc_exit = true;
		else if (!strcmp(word, "tls-ekm"))
			p->tls_ekm = true;
		else if (!strcmp(word, "dyn-tls-crypt"))
			p->dyn_tls_crypt = true;
		else
			p->unusable = true;
	}
}

static void read_option(struct pushed *p, char *option)
{
	char *value = option + strcspn(option, " ");
	if (*value)
		*value++ = '\0';
	unsigned number;
	if (!strcmp(option, "peer-id")) {
		/* Without the number we would not find our own datagrams: better no session than a deaf one.
		 */
		if (number_of(value, 0, PEER_ID_MAX, &number))
			p->peer_id = number;
		else
			p->unusable = true;
	} else if (!strcmp(option, "cipher")) {
		p->cipher = cipher_by_name(value, strlen(value));
		p->unusable |= p->cipher == CIPHER_UNKNOWN;
	} else if (!strcmp(option, "protocol-flags")) {
		read_flags(p, value);
	} else if (!strcmp(option, "key-derivation")) {
		if (!strcmp(value, "tls-ekm"))
			p->tls_ekm = true;
		else
			p->unusable = true;
	} else if (!strcmp(option, "comp-lzo") || (!strcmp(option, "compress") && strcmp(value, "stub-v2"))) {
		p->unusable =
			true; /* stub-v2 leaves IP packets as they are; all others change every packet */
	} else if (!strcmp(option, "ping")) {
		if (number_of(value, 0, INT32_MAX, &number))
			p->ping_s = number;
	} else if (!strcmp(option, "ping-restart")) {
		if (number_of(value, 0, INT32_MAX, &number))
			p->ping_restart_s = number;
	} else if (!strcmp(option, "tun-mtu")) {
		if (number_of(value, TUN_MTU_MIN, TUN_MTU_MAX, &number))
			p->tun_mtu = number;
	} else if (!strcmp(option, "push-continuation")) {
		p->more = !strcmp(value, "2");
	} else if (!strcmp(option, "ifconfig")) {
		if (strlen(value) < sizeof(p->ifconfig))
			strcpy(p->ifconfig, value);
	} else if (!strcmp(option, "ifconfig-ipv6")) {
		if (strlen(value) < sizeof(p->ifconfig6))
			strcpy(p->ifconfig6, value);
	}
}

bool pushed_read(struct pushed *p, const char *message)
{
	size_t word = sizeof(push_reply) - 1;
	if (strncmp(message, push_reply, word) || (message[word] && message[word] != ','))
		return false;
	p->more = false;
	message += word;
	while (*message == ',') {
		char option[PUSH_OPTION_MAX + 1];
		size_t len = strcspn(++message, ",");
		if (len < sizeof(option)) {
			memcpy(option, message, len);
			option[len] = '\0';
			read_option(p, option);
		}
		message += len;
	}
	return true;
}
