/* SPDX-License-Identifier: MIT
 * Data way: finds the key set, calls data/, and takes out what is not for the tunnel (pings, OCC). */
#include "common/engine/session.h"
#include "common/base/check.h"

static const uint8_t ping_payload[16] = { 0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07, 0xed, 0x2d, 0x0a,
	0x98, 0x1f, 0xc7, 0x48 };
static const uint8_t occ_prefix[16] = { 0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56, 0xb8, 0xd3, 0xaf,
	0xc5, 0x45, 0x9c };

enum { OCC_LOAD_REQUEST = 2, OCC_LOAD = 3, OCC_MTU_REQUEST = 4, OCC_MTU_REPLY = 5, OCC_EXIT = 6 };
enum { TRIAL_MAX = 16384 }; /* a jumbo packet of 9000 and all around it */

_Static_assert((int)VPN_OVERHEAD == (int)DATA_OVERHEAD_V2 && (int)DATA_OVERHEAD_V1 <= (int)DATA_OVERHEAD_V2,
	"what sealing puts in front");
_Static_assert((int)VPN_HEADROOM == (int)DATA_HEADROOM && (int)VPN_BATCH == (int)DATA_BATCH, "one set of limits");

static void hear_occ(struct vpn_session *s, struct bytes in)
{
	switch (read_u8(&in)) {
	case OCC_LOAD_REQUEST:
		s->occ_load = read_u16(&in);
		s->occ_reply = 1 + OCC_LOAD;
		break;
	case OCC_MTU_REQUEST:
		s->occ_reply = 1 + OCC_MTU_REPLY;
		break;
	case OCC_EXIT:
		s->peer_left = true;
		break;
	default:
		break;
	}
}

/* True when the payload was ours to take. */
static bool for_us(struct vpn_session *s, const vpn_job *job)
{
	if (job->len < 16 || (job->data[0] != ping_payload[0] && job->data[0] != occ_prefix[0]))
		return false;
	if (job->len == 16 && memcmp(job->data, ping_payload, 16) == 0)
		return true;
	if (memcmp(job->data, occ_prefix, 16) != 0)
		return false;
	hear_occ(s, bytes_of(job->data + 16, job->len - 16));
	return true;
}

/* The sets of that name that still serve, the current one first; how many. */
static unsigned sets_named(const struct vpn_session *s, uint8_t key_id, mono_ms now, unsigned sets[KEY_SETS])
{
	const struct kept *k = s->kept;
	const unsigned current = session_current(s), all[KEY_SETS] = { current, 1 - current, KEY_SET_OLD };
	unsigned count = 0;

	for (unsigned n = 0; n < KEY_SETS; n++)
		if (s->keys[all[n]] && k->keys[all[n]].key_id == key_id && now < k->expires[all[n]])
			sets[count++] = all[n];
	return count;
}

static uint32_t packet_id_of(const uint8_t *datagram, size_t len)
{
	struct bytes in = bytes_of(datagram, len);

	read_u8(&in);
	if ((datagram[0] >> 3) == OP_DATA_V2)
		read_part(&in, 3);
	return read_u32(&in);
}

/* Several sets of one name, as after the peer began anew, and it may use each: the tag tells which. What is refused is lost
 * where it lay, so each is tried on a copy, first the one whose count the datagram continues. */
__attribute__((noinline)) static void open_by_trial(
	struct vpn_session *s, const vpn_job *job, uint8_t key_id, struct data_job *out, mono_ms now)
{
	uint8_t copy[TRIAL_MAX] __attribute__((uninitialized)); /* rare, but not to be paid for by all: not inlined either */
	unsigned sets[KEY_SETS], count = sets_named(s, key_id, now, sets), first = 0;
	uint32_t id = packet_id_of(job->data, job->len), least = UINT32_MAX;

	out->fate = FATE_TOO_LONG;
	if (job->len > sizeof(copy))
		return;
	for (unsigned n = 0; n < count; n++) {
		uint32_t highest = s->kept->keys[sets[n]].window.highest;
		uint32_t apart = id > highest ? id - highest : highest - id;
		if (apart < least) {
			least = apart;
			first = n;
		}
	}
	unsigned nearest = sets[first];
	sets[first] = sets[0];
	sets[0] = nearest;
	for (unsigned n = 0; n < count; n++) {
		struct data_job try = { .key = s->keys[sets[n]], .at = copy, .len = job->len, .fate = FATE_NONE };
		memcpy(copy, job->data, job->len);
		data_open(&try, 1, now);
		if (try.fate == FATE_NONE || try.fate == FATE_EMPTY) {
			*out = try;
			out->at = job->data + (try.at - copy);
			memcpy(out->at, try.at, try.len);
			return;
		}
		if (n == 0)
			out->fate = try.fate;
	}
}

/* A key may have served enough: by its own limits, or by reneg-bytes and reneg-pkts. */
static bool worn(struct vpn_session *s)
{
	const struct vpn_endpoint *e = s->endpoint;
	const struct data_key *key = s->keys[session_current(s)];

	if (!key || s->state != SESSION_OPEN || s->renegotiate_now || (s->negotiation && !s->negotiation->keyed))
		return false;
	if (data_key_worn(key) || (e->reneg_packets && data_key_packets(key) >= e->reneg_packets) ||
		(e->reneg_bytes && data_key_bytes(key) >= e->reneg_bytes))
		s->renegotiate_now = true;
	return s->renegotiate_now;
}

/* Before any key is borrowed for the batch: making one ends another. */
static void make_early(const vpn_job *jobs, size_t n, mono_ms now)
{
	struct wire_head head;
	unsigned sets[KEY_SETS];

	for (size_t i = 0; i < n; i++) {
		struct vpn_session *s = jobs[i].session;
		if (jobs[i].fate == FATE_NONE && s->negotiation && s->negotiation->state == NEGOTIATION_AGREEING &&
			wire_read_head(jobs[i].data, jobs[i].len, &head) && !sets_named(s, head.key_id, now, sets))
			agree_early(s, head.key_id, now);
	}
}

void vpn_open(vpn_job *jobs, size_t n, vpn_ms now)
{
	struct data_job data[VPN_BATCH];
	struct wire_head head;
	uint8_t trials[VPN_BATCH]; /* 1 + key id of what several keys may be for */
	unsigned sets[KEY_SETS];

	CHECK(n <= VPN_BATCH);
	make_early(jobs, n, now);
	for (size_t i = 0; i < n; i++) {
		struct vpn_session *s = jobs[i].session;
		struct data_key *key = NULL;
		unsigned count = 0;
		jobs[i].attention = false;
		if (jobs[i].fate == FATE_NONE) {
			if (!wire_read_head(jobs[i].data, jobs[i].len, &head))
				jobs[i].fate = FATE_TOO_SHORT;
			else if (s->state != SESSION_OPEN || !(count = sets_named(s, head.key_id, now, sets)))
				jobs[i].fate = FATE_NO_KEY;
			else
				key = s->keys[sets[0]];
		}
		trials[i] = count > 1 ? 1 + head.key_id : 0;
		data[i] = (struct data_job){ .key = key, .at = jobs[i].data, .len = jobs[i].len,
			.fate = trials[i] ? FATE_CONSUMED : (enum fate)jobs[i].fate }; /* not in this go */
	}
	data_open(data, n, now);
	for (size_t i = 0; i < n; i++) {
		struct vpn_session *s = jobs[i].session;
		if (jobs[i].fate != FATE_NONE)
			continue;
		if (trials[i])
			open_by_trial(s, &jobs[i], trials[i] - 1, &data[i], now);
		if (jobs[i].len > s->occ_in)
			s->occ_in = (uint16_t)jobs[i].len;
		jobs[i].fate = (int)data[i].fate;
		if (data[i].fate != FATE_NONE) {
			/* An empty one has verified all the same. */
			if (data[i].fate == FATE_EMPTY)
				s->last_in = now;
			continue;
		}
		jobs[i].data = data[i].at;
		jobs[i].len = data[i].len;
		s->last_in = now;
		/* The peer uses the current key, so it has it: no need to wait any longer with ours. */
		if (now < s->send_from && data[i].key == s->keys[session_current(s)])
			s->send_from = now;
		if (for_us(s, &jobs[i])) {
			jobs[i].fate = FATE_CONSUMED;
			jobs[i].attention = s->occ_reply || s->peer_left;
		} else {
			s->bytes_in += jobs[i].len;
		}
		jobs[i].attention |= worn(s) || s->events;
	}
}

void vpn_seal(vpn_job *jobs, size_t n, vpn_ms now)
{
	struct data_job data[VPN_BATCH];

	CHECK(n <= VPN_BATCH);
	for (size_t i = 0; i < n; i++) {
		struct vpn_session *s = jobs[i].session;
		struct data_key *key = NULL;
		jobs[i].attention = false;
		bool may = s->state == SESSION_OPEN || s->farewells;
		if (jobs[i].fate == FATE_NONE && (!may || !(key = session_send_key(s, now))))
			jobs[i].fate = FATE_NOT_READY;
		data[i] = (struct data_job){ .key = key, .at = jobs[i].data, .payload = jobs[i].payload,
			.len = jobs[i].len, .head = jobs[i].head, .fate = (enum fate)jobs[i].fate };
	}
	data_seal(data, n);
	for (size_t i = 0; i < n; i++) {
		struct vpn_session *s = jobs[i].session;
		if (jobs[i].fate != FATE_NONE)
			continue;
		jobs[i].fate = (int)data[i].fate;
		if (data[i].fate == FATE_NONE) {
			s->bytes_out += jobs[i].len;
			s->last_out = now;
			jobs[i].data = data[i].at;
			jobs[i].len = data[i].len;
			if (jobs[i].len > s->occ_out)
				s->occ_out = (uint16_t)jobs[i].len;
		}
		jobs[i].attention = worn(s);
	}
}

/* -- datagrams of our own -- */

static size_t occ_answer(struct vpn_session *s, uint8_t *out, size_t room)
{
	struct bytes_out b = bytes_into(out, room);
	uint8_t type = s->occ_reply - 1;

	s->occ_reply = 0;
	write_data(&b, occ_prefix, sizeof(occ_prefix));
	write_u8(&b, type);
	if (type == OCC_MTU_REPLY) {
		write_u16(&b, s->occ_in);
		write_u16(&b, s->occ_out);
	} else if (type == OCC_LOAD) {
		/* The load has the asked size as a datagram; it is padded with zeros. */
		size_t used = b.len + DATA_OVERHEAD_V2;
		size_t want = s->occ_load > used ? s->occ_load - used : 0;
		uint8_t *pad = write_space(&b, want);
		if (!pad)
			return 0;
		memset(pad, 0, want);
	}
	return b.failed ? 0 : b.len;
}

size_t session_own_data(struct vpn_session *s, void *out, size_t room, mono_ms now)
{
	uint8_t *payload = (uint8_t *)out + VPN_HEADROOM;
	size_t len = 0;
	bool farewell = s->farewells && now >= s->farewell_at;

	if (s->state != SESSION_OPEN && !farewell)
		return 0;
	if (farewell)
		s->occ_reply = 1 + OCC_EXIT;
	if (s->occ_reply)
		len = occ_answer(s, payload, room - VPN_HEADROOM);
	if (!len && s->ping && now >= s->last_out + s->ping) {
		memcpy(payload, ping_payload, sizeof(ping_payload));
		len = sizeof(ping_payload);
	}
	if (!len)
		return 0;
	vpn_job job = { .session = s, .data = payload, .len = (uint32_t)len };
	uint64_t before = s->bytes_out;
	vpn_seal(&job, 1, now);
	s->bytes_out = before; /* not payload of the tunnel */
	if (farewell) {
		s->farewell_at = now + FAREWELL_EVERY_MS;
		if (--s->farewells == 0)
			s->linger_until = mono_earlier(s->linger_until, s->farewell_at);
	}
	if (job.fate != FATE_NONE) {
		s->last_out = now; /* try again a ping later, not at once */
		return 0;
	}
	memmove(out, job.data, job.len);
	return job.len;
}
