/* SPDX-License-Identifier: MIT
 * Certificates for tests. */
#include "tests/lib/test_pki.h"
#include "common/tls/tls.h"

#include <stdio.h>
#include <stdlib.h>

static void make(const struct pki_request *request, char **cert, char **key)
{
	char error[TLS_REASON_MAX];
	if (!pki_make(request, cert, key, error)) {
		fprintf(stderr, "pki: %s\n", error);
		abort();
	}
}

const struct test_pki *test_pki(void)
{
	static struct test_pki pki;

	if (pki.ca_cert)
		return &pki;
	make(&(struct pki_request){ .common_name = "Test CA", .days = 30, .is_ca = true }, &pki.ca_cert, &pki.ca_key);
	make(&(struct pki_request){ .common_name = "server", .days = 30, .is_server = true,
		.issuer_cert_pem = pki.ca_cert, .issuer_key_pem = pki.ca_key },
		&pki.server_cert, &pki.server_key);
	make(&(struct pki_request){ .common_name = "client", .days = 30, .issuer_cert_pem = pki.ca_cert,
		.issuer_key_pem = pki.ca_key },
		&pki.client_cert, &pki.client_key);
	return &pki;
}
