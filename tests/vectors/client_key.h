/* SPDX-License-Identifier: MIT
 * Known answers of tls-crypt-v2's wrapped client keys, as hex: lengths and tags from OpenVPN's
 * tests/unit_tests/openvpn/test_tls_crypt.c, computed again by an independent program.
 * The server's key is 00..7f, the client's 00..ff. */
#ifndef TESTS_VECTORS_CLIENT_KEY_H
#define TESTS_VECTORS_CLIENT_KEY_H

/* A time stamp of 0 */
#define VECTOR_WRAPPED_A_METADATA "01 0000000000000000"
#define VECTOR_WRAPPED_A_LEN 299
#define VECTOR_WRAPPED_A_TAG "177da5c074a94619b16be4acb71f1a6ccf24f33c6bbaf498459d5f06c369d495"
/* User data, base64 "AABBCCDD" */
#define VECTOR_WRAPPED_B_METADATA "00 0000410820c3"
#define VECTOR_WRAPPED_B_LEN 297
#define VECTOR_WRAPPED_B_TAG "69eda75582aa170b8c9418fe28248cdb7761bea2d277aa1647eb3a9d94083733"

#endif
