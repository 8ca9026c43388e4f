/* SPDX-License-Identifier: MIT
 * Settings that a server gives a client: a list of options to PUSH_REPLY messages, and back to what the
 * client role obeys. */
#include "common/negotiate/negotiate.h"
#include "common/wire/wire.h"

#include <stdio.h>

static const char push_reply[] = "PUSH_REPLY";

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

size_t push_reply_write(const char *const *options, size_t count, size_t *at, char *out, size_t room)
{
	size_t len = sizeof(push_reply) - 1;
	bool first = *at == 0;
	if (room < PUSH_BUNDLE || (!first && *at >= count))
		return 0;
	memcpy(out, push_reply, sizeof(push_reply));
	for (; *at < count; ++*at) {
		if (!sayable(options[*at]))
			continue;
		if (len + strlen(options[*at]) >= BUNDLE_FULL) {
			add(out, &len, "push-continuation 2");
			return len + 1;
		}
		add(out, &len, options[*at]);
	}
	if (!first)
		add(out, &len, "push-continuation 1");
	else if (len == sizeof(push_reply) - 1)
		add(out, &len, "ping-restart 0");
	if (!count)
		*at = 1;
	return len + 1;
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
