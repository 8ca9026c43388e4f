/* SPDX-License-Identifier: MIT
 * One negotiation: records in and out of two memory buffers, the library between them. Nothing here waits;
 * each call does what can be done with the bytes that are there. Both buffers are bounded, so a peer cannot
 * make us keep more than it is worth. */
#include "common/tls/certificate.h"
#include "common/tls/tls_inside.h"

#include "common/base/check.h"
#include "common/base/secret.h"

#include <openssl/err.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_MAX = 16384 };

void tls_peer_is_known(struct tls *tls)
{
	tls->peer_known = true;
}

struct tls *tls_new(struct tls_context *context)
{
	struct tls *tls = calloc(1, sizeof *tls);
	BIO *in = NULL, *out = NULL;
	if (!tls)
		return NULL;
	tls->context = context;
	tls->state = TLS_HANDSHAKE;
	tls->library = SSL_new(context->library);
	in = BIO_new(BIO_s_mem());
	out = BIO_new(BIO_s_mem());
	if (!tls->library || !in || !out || !SSL_set_app_data(tls->library, tls))
		goto failed;
	if (context->store && !SSL_set1_verify_cert_store(tls->library, context->store))
		goto failed;
	SSL_set_bio(tls->library, in, out);
	tls->in = in;
	tls->out = out;
	if (context->server)
		SSL_set_accept_state(tls->library);
	else
		SSL_set_connect_state(tls->library);
	ERR_clear_error();
	return tls;
failed:
	BIO_free(in);
	BIO_free(out);
	tls_free(&tls);
	ERR_clear_error();
	return NULL;
}

static void forget_signature(struct tls *tls)
{
	free(tls->sign_input);
	tls->sign_input = NULL;
	tls->sign_input_len = 0;
	tls->sign_answered = false;
	tls->signature_len = 0;
}

void tls_free(struct tls **tls)
{
	struct tls *t = *tls;
	*tls = NULL;
	if (!t)
		return;
	SSL_free(t->library);
	forget_signature(t);
	secret_wipe(t, sizeof *t);
	free(t);
}

/* `reason` NULL: what the library says. A reason that is already there (the certificate's) is the better one.
 */
static void fail(struct tls *tls, const char *reason)
{
	tls->state = TLS_FAILED;
	if (!tls->reason[0] && reason)
		snprintf(tls->reason, sizeof tls->reason, "%s", reason);
	else if (!tls->reason[0])
		library_reason(tls->reason, sizeof tls->reason);
	ERR_clear_error();
}

/* After calls that may have made the library answer the peer: it must not fill our memory. */
static bool outgoing_bounded(struct tls *tls)
{
	if (tls_pending(tls) <= TLS_OUTGOING_MAX)
		return true;
	fail(tls, "more bytes wait for the peer than it takes");
	return false;
}

enum tls_state tls_step(struct tls *tls)
{
	if (tls->state == TLS_WANT_SIGNATURE && tls->sign_answered)
		tls->state = TLS_HANDSHAKE;
	if (tls->state != TLS_HANDSHAKE)
		return tls->state;
	ERR_clear_error();
	int result = SSL_do_handshake(tls->library);
	int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->library, result);
	if (result == 1) {
		tls->state = TLS_READY;
		snprintf(tls->description, sizeof tls->description, "%s %s", SSL_get_version(tls->library),
			SSL_get_cipher_name(tls->library));
		forget_signature(tls);
	} else if (library_waits_for_signature(error)) {
		tls->state = TLS_WANT_SIGNATURE;
	} else if (error != SSL_ERROR_WANT_READ) {
		const char *reason = library_signature_refused(tls)
					     ? "the holder of our private key refused to sign"
				     : error == SSL_ERROR_ZERO_RETURN ? "peer closed the TLS session"
								      : NULL;
		fail(tls, reason);
	}
	ERR_clear_error();
	if (tls->state != TLS_FAILED)
		outgoing_bounded(tls);
	return tls->state;
}

enum tls_state tls_feed(struct tls *tls, const void *records, size_t len)
{
	if (tls->state == TLS_FAILED || len == 0)
		return tls->state;
	bool handshake = tls->state != TLS_READY;
	size_t held = handshake ? tls->taken : BIO_ctrl_pending(tls->in);
	if (held > TLS_INCOMING_MAX || len > TLS_INCOMING_MAX - held) {
		fail(tls, handshake ? "peer sent more than 64 KiB before the handshake was done"
				    : "peer sent more than 64 KiB that nobody has read");
		return tls->state;
	}
	if (BIO_write(tls->in, records, (int)len) != (int)len) {
		fail(tls, "out of memory");
		return tls->state;
	}
	if (handshake)
		tls->taken += len;
	return tls_step(tls);
}

size_t tls_pending(const struct tls *tls)
{
	return BIO_ctrl_pending(tls->out);
}

size_t tls_drain(struct tls *tls, void *records, size_t room)
{
	size_t want = tls_pending(tls) < room ? tls_pending(tls) : room;
	int got = want ? BIO_read(tls->out, records, (int)want) : 0;
	return got > 0 ? (size_t)got : 0;
}

bool tls_write(struct tls *tls, const void *message, size_t len)
{
	if (tls->state != TLS_READY || len == 0 || len > RECORD_MAX)
		return false;
	ERR_clear_error();
	if (SSL_write(tls->library, message, (int)len) != (int)len) {
		fail(tls, NULL);
		return false;
	}
	ERR_clear_error();
	return outgoing_bounded(tls);
}

int tls_read(struct tls *tls, void *message, size_t room)
{
	if (tls->state == TLS_FAILED)
		return -1;
	if (tls->state != TLS_READY || room == 0)
		return 0;
	ERR_clear_error();
	int got = SSL_read(tls->library, message, room > INT_MAX ? INT_MAX : (int)room);
	int error = got > 0 ? SSL_ERROR_NONE : SSL_get_error(tls->library, got);
	if (got <= 0 && error != SSL_ERROR_WANT_READ) {
		fail(tls, error == SSL_ERROR_ZERO_RETURN ? "peer closed the TLS session" : NULL);
		return -1;
	}
	ERR_clear_error();
	if (!outgoing_bounded(tls))
		return -1;
	return got > 0 ? got : 0;
}

bool tls_export(struct tls *tls, const char *label, void *out, size_t len)
{
	if (tls->state != TLS_READY)
		return false;
	ERR_clear_error();
	bool ok = SSL_export_keying_material(tls->library, out, len, label, strlen(label), NULL, 0, 0) == 1;
	ERR_clear_error();
	return ok;
}

void tls_peer(const struct tls *tls, struct tls_peer *out)
{
	CHECK(tls->state == TLS_READY);
	*out = tls->peer;
}

const char *tls_description(const struct tls *tls)
{
	return tls->description;
}

const char *tls_reason(const struct tls *tls)
{
	return tls->reason;
}

bool tls_signature_wanted(const struct tls *tls, struct tls_signature_request *out)
{
	if (tls->state != TLS_WANT_SIGNATURE || tls->sign_answered)
		return false;
	*out = (struct tls_signature_request){ tls->sign_algorithm, tls->sign_input, tls->sign_input_len };
	return true;
}

void tls_signature_give(struct tls *tls, const uint8_t *signature, size_t len)
{
	if (tls->state != TLS_WANT_SIGNATURE || tls->sign_answered)
		return; /* a late answer to a negotiation that is over */
	tls->sign_answered = true;
	tls->signature_len = len <= sizeof tls->signature ? len : 0;
	if (tls->signature_len)
		memcpy(tls->signature, signature, tls->signature_len);
}
