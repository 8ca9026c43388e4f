/* SPDX-License-Identifier: MIT
 * Certificates for tests, made once per process by the project's own pki: a CA, a server, a client. */
#ifndef TESTS_LIB_TEST_PKI_H
#define TESTS_LIB_TEST_PKI_H

struct test_pki {
	char *ca_cert, *ca_key, *server_cert, *server_key, *client_cert, *client_key;
};

/* The same texts at every call; never freed. Aborts when they cannot be made. */
const struct test_pki *test_pki(void);

#endif
