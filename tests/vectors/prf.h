/* SPDX-License-Identifier: MIT
 * Known answers of the TLS 1.0 PRF and of the old key derivation. Hex without comment is bytes.
 * PRF and HMAC: the values that OpenVPN's tests/unit_tests/openvpn/test_crypto.c and test_ssl.c expect,
 * computed again by an independent program. Chain: made for this project by an independent program whose
 * formula was checked against a running OpenVPN 2.6. */
#ifndef TESTS_VECTORS_PRF_H
#define TESTS_VECTORS_PRF_H

/* Text */
#define VECTOR_LOREM                                                                                         \
	"Lorem ipsum dolor sit amet, consectetur adipisici elit, sed eiusmod tempor incidunt ut labore et "  \
	"dolore magna aliqua."
#define VECTOR_PRF_SEED "Quis aute iure reprehenderit in voluptate velit esse cillum dolore"
/* PRF of both, 32 bytes */
#define VECTOR_PRF_OUT "d98c8518c85e946927916acfc2d592fbb1567e4b4b1459e6a904ac2ddab72d67"
/* Secret and seed as text, 8 bytes */
#define VECTOR_PRF_SHORT_SECRET "tls1-prf-test-secret"
#define VECTOR_PRF_SHORT_SEED "tls1-prf-test"
#define VECTOR_PRF_SHORT_OUT "7144fe2540737595"

/* HMAC-SHA1 over VECTOR_LOREM twice, the key as hex */
#define VECTOR_HMAC_SHA1_KEY "0b00000000000000000000000000000000000000"
#define VECTOR_HMAC_SHA1_OUT "58ea5af04294e917ed84b9f0833023ae8ba77eb8"

/* Chain: pre-master 00..2f; randoms 32 times 11 (client 1), 22 (server 1), 33 (client 2), 44 (server 2) */
#define VECTOR_CHAIN_CLIENT_SESSION 0x0102030405060708u
#define VECTOR_CHAIN_SERVER_SESSION 0x1112131415161718u
#define VECTOR_CHAIN_MASTER                                                                                  \
	"8d4d229a2b8a2af73a3e37ceca8c1a2db162292f18b5b070383cd081b68d82b431f11370733cc4b308ba7d5a0975f368"
#define VECTOR_CHAIN_CIPHER0 "f768d5abf7e4ffd6f2c6c6b9d48d8584d05b443d87aa5880ab173fd01a3bc3f8"
#define VECTOR_CHAIN_HMAC0 "10dddfd8ca6827d3d41525682184d4fc6d8e2b9883992d22aa1a7d49cffcb2f8"
#define VECTOR_CHAIN_CIPHER1 "bf1bfeaf4a1d2661d97edca182bd5d617ea540fec82a96ca2c8e369b5176e5ed"
#define VECTOR_CHAIN_HMAC1 "0ee73fa601577373985294c5f7fc642a9568f252086cdd3ae52f7ea4a866c7a5"
/* SHA-256 of all 256 bytes */
#define VECTOR_CHAIN_SHA256 "39e7f1efd207b0b8c3d71e697bf6167453635cc0c3950bbe6c39ee613a1c812c"

#endif
