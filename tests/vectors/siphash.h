/* SPDX-License-Identifier: MIT
 * SipHash-1-3 of byte strings, as CPython 3.11 computes hash(b"...") with PYTHONHASHSEED 0 (a key of zeros)
 * and 42 (the other key); computed again by an independent program. 0_TO_63 are the bytes of these values. */
#ifndef TESTS_VECTORS_SIPHASH_H
#define TESTS_VECTORS_SIPHASH_H

#define VECTOR_SIPHASH_KEY                                                                                   \
	{                                                                                                    \
		0xdc504fd368cd90af, 0xb920bb9ffe99e9c1                                                       \
	}
/* VECTOR(text, under the zero key, under the other) */
#define VECTOR_SIPHASH_ROWS                                                                                  \
	VECTOR("a", 0x407448d2b89b1813, 0xfe4a47335692551e)                                                  \
	VECTOR("abc", 0xc03bc3a0042630f2, 0x35b382d0c5d675e9)                                                \
	VECTOR("1234567", 0xa33d651594fdae81, 0xf426c87f0d9890ae)                                            \
	VECTOR("12345678", 0x3489982430560a87, 0x84eb586ab30cc7f5)                                           \
	VECTOR("123456789", 0x0fbc0f0007965fcf, 0x2cc2cece25c33444)
#define VECTOR_SIPHASH_0_TO_63_ZERO_KEY 0x75e05fd5bbc870c6
#define VECTOR_SIPHASH_0_TO_63 0x91639ef7de8d52cb

#endif
