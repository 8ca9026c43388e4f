/* SPDX-License-Identifier: MIT
 * SipHash-1-3 with a 64-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF"), for hash
 * tables whose keys an outsider chooses. Not a MAC: for those there is common/crypto. */
#ifndef COMMON_BASE_SIPHASH_H
#define COMMON_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* Hash of `len` bytes under a random 128-bit key. */
uint64_t siphash13(const uint64_t key[2], const void *data, size_t len);

#endif
