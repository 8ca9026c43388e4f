/* SPDX-License-Identifier: MIT
 * The only way to wipe a secret and the only way to compare one. */
#ifndef COMMON_BASE_SECRET_H
#define COMMON_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Overwrites `len` bytes with zeros; the compiler may not leave it out. */
static inline void secret_wipe(void *secret, size_t len)
{
	explicit_bzero(secret, len);
}

/* Compares in a time that depends on `len` alone. */
static inline bool secret_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t difference = 0;
	for (size_t i = 0; i < len; i++)
		difference |= (uint8_t)(x[i] ^ y[i]);
	return difference == 0;
}

#endif
