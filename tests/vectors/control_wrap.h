/* SPDX-License-Identifier: MIT
 * Openers of OpenVPN clients with each wrapping, as hex, and the static key that both sides had. Bytes as in
 * OpenVPN's tests/unit_tests/openvpn/test_pkt.c; MACs and plain text were computed again by an independent
 * program. */
#ifndef TESTS_VECTORS_CONTROL_WRAP_H
#define TESTS_VECTORS_CONTROL_WRAP_H

#define VECTOR_STATIC_KEY                                                                                    \
	"37268ea8f95d7f71f9fb8fc03770c460 daf714a483d815c013ce0a537efc18f2 "                                 \
	"8f4f172669d9e6a413bac6741d8ea054 00f49b7fd6326470f23798c606bf53d4 "                                 \
	"de63ebc64ec59d57ce5d04d5b62e68b5 3ca6e5354351097fa370446c4d269f18 "                                 \
	"7bb6ae54af2dc70ff7317fe2f8754b82 82aad4202f9fa42c8640245d883e2c54 "                                 \
	"a0c1c489a036cf3a8964d8d289c1583b 9447c262b1da5fd167a5d27bd5ac5143 "                                 \
	"17bc2343a31a2efc38dd920d910375f5 1c2e27f3afd36c49269da079f7ce466e "                                 \
	"bb0f9ad13e9bbb4665974e6bc24b513c 5700393bf4a3e7f967e2f384069ac8a8 "                                 \
	"e78b18b15604993fd16515cce9c0f3e4 2b4126b999005ade802797b0eeb8b9e6"

/* Of every opener the body: no acks, message 0 */
#define VECTOR_OPENER_BODY "00 00000000"

#define VECTOR_PLAIN_OPENER "38 6891923fa3103437 00 00000000"
#define VECTOR_PLAIN_SENDER 0x6891923fa3103437u

/* SHA1; the client sent with key direction 1 */
#define VECTOR_AUTH_OPENER                                                                                   \
	"38 de694c5c7bfba274 93537c1ded4e781529ae7cfe4b8c6d6b2b51f05a 00000001 61d3bf6c 00 00000000"
#define VECTOR_AUTH_SENDER 0xde694c5c7bfba274u
#define VECTOR_AUTH_TIME 0x61d3bf6cu

#define VECTOR_CRYPT_OPENER                                                                                  \
	"38 f419cb12d1f9e48f 00000001 61d3f8e1 "                                                             \
	"330206f56802be44fbed905064e3db43416bec5e526719462b7eb90c96defc9b 05c44879f7"
#define VECTOR_CRYPT_SENDER 0xf419cb12d1f9e48fu
#define VECTOR_CRYPT_TIME 0x61d3f8e1u

/* From test_tls_crypt.c: the dynamic key is 256 times ba; "1234567890" was wrapped by the server behind a
 * head of nothing but packet id 1 and time 0, so this is no whole datagram. */
#define VECTOR_DYNAMIC_HEAD "00000001 00000000"
#define VECTOR_DYNAMIC_TEXT "1234567890"
#define VECTOR_DYNAMIC_TAG "e319277f1c8d6e6a7796a855337b9cfb56e1f13a870e6647dfa195c92c17a015"
#define VECTOR_DYNAMIC_HIDDEN "ba4967a11d55ea1a06a7"

#endif
