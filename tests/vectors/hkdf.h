/* SPDX-License-Identifier: MIT
 * Known answers of HKDF-Expand over SHA-256, as hex. The first is test case 1 of RFC 5869 appendix A.1, the
 * others are what OpenVPN's tests/unit_tests/openvpn/test_crypto.c and test_ssl.c expect; all computed again
 * by an independent program. The epoch pair is the one of the 2.7 data channel. */
#ifndef TESTS_VECTORS_HKDF_H
#define TESTS_VECTORS_HKDF_H

#define VECTOR_HKDF_SECRET "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
#define VECTOR_HKDF_INFO1 "f0f1f2f3f4f5f6f7f8f9"
#define VECTOR_HKDF_OUT1                                                                                     \
	"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
#define VECTOR_HKDF_INFO2 "001b0e6f76706e20756e6974207465737400"
#define VECTOR_HKDF_OUT2 "875a8eec18556380b8d933ed323c2df8e8eccf4972e683f06a83ac"

/* Label as text, no context, 16 bytes */
#define VECTOR_LABEL "unit test"
#define VECTOR_LABEL_OUT "185eaa1c7f228ab8eb29773214d92046"

/* An epoch key and what is expanded from it: "data_key" (24 bytes) and "data_iv" (12) */
#define VECTOR_EPOCH_KEY "130c000000000000000000000000000000000000000000000000000000000000"
#define VECTOR_EPOCH_DATA_KEY "ed8533db1c28ace418e9006ab29c17417d60ebe6cd90bf0a"
#define VECTOR_EPOCH_DATA_IV "86890aabf032cb59f4cfa34e"

#endif
