/* SPDX-License-Identifier: MIT
 * Forced into every source of shm/ for one test alone (-include): each atomic store, addition and compare-and-swap has a point
 * before and one behind it, and a wipe one in its middle, where the process may be told to die. So nobody has to mark such
 * points by hand, and no product has any. */
#ifndef TESTS_UNIT_SHM_CRASH_POINTS_H
#define TESTS_UNIT_SHM_CRASH_POINTS_H

#include <stdatomic.h>
#include <stddef.h>

/* Counted from crash_arm() on; the process dies of SIGKILL at the one it was armed for. */
void crash_point(void);

#ifdef __clang__
#define CRASH_STORE(p, v, o) __c11_atomic_store(p, v, o)
#define CRASH_SWAP(p, e, d, s, f) __c11_atomic_compare_exchange_strong(p, e, d, s, f)
#define CRASH_ADD(p, v, o) __c11_atomic_fetch_add(p, v, o)
#define CRASH_OR(p, v, o) __c11_atomic_fetch_or(p, v, o)
#define CRASH_AND(p, v, o) __c11_atomic_fetch_and(p, v, o)
#else
#define CRASH_STORE(p, v, o) __atomic_store_n(p, v, o)
#define CRASH_SWAP(p, e, d, s, f) __atomic_compare_exchange_n(p, e, d, 0, s, f)
#define CRASH_ADD(p, v, o) __atomic_fetch_add(p, v, o)
#define CRASH_OR(p, v, o) __atomic_fetch_or(p, v, o)
#define CRASH_AND(p, v, o) __atomic_fetch_and(p, v, o)
#endif

#undef atomic_store_explicit
#undef atomic_store
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_weak_explicit
#undef atomic_compare_exchange_weak
#undef atomic_fetch_add_explicit
#undef atomic_fetch_add
#undef atomic_fetch_sub
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_or
#undef atomic_fetch_and_explicit
#undef atomic_fetch_and
#undef atomic_exchange
#undef atomic_exchange_explicit /* a new kind of change is to be added here: without it nothing compiles */

#define CRASH_AROUND(what)                                                                                   \
	__extension__({                                                                                      \
		crash_point();                                                                               \
		__auto_type crash_result = what;                                                             \
		crash_point();                                                                               \
		crash_result;                                                                                \
	})
#define atomic_store_explicit(p, v, o)                                                                       \
	__extension__({                                                                                      \
		crash_point();                                                                               \
		CRASH_STORE(p, v, o);                                                                        \
		crash_point();                                                                               \
	})
#define atomic_store(p, v) atomic_store_explicit(p, v, memory_order_seq_cst)
#define atomic_compare_exchange_strong_explicit(p, e, d, s, f) CRASH_AROUND(CRASH_SWAP(p, e, d, s, f))
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong(p, e, d)                                                              \
	atomic_compare_exchange_strong_explicit(p, e, d, memory_order_seq_cst, memory_order_seq_cst)
#define atomic_fetch_add_explicit(p, v, o) CRASH_AROUND(CRASH_ADD(p, v, o))
#define atomic_fetch_add(p, v) atomic_fetch_add_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_or_explicit(p, v, o) CRASH_AROUND(CRASH_OR(p, v, o))
#define atomic_fetch_or(p, v) atomic_fetch_or_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_and_explicit(p, v, o) CRASH_AROUND(CRASH_AND(p, v, o))
#define atomic_fetch_and(p, v) atomic_fetch_and_explicit(p, v, memory_order_seq_cst)

#include "common/base/secret.h"
static inline void crash_wipe(void *at, size_t len)
{
	secret_wipe(at, len / 2);
	crash_point();
	secret_wipe((char *)at + len / 2, len - len / 2);
}
#define secret_wipe(at, len) crash_wipe(at, len)

#endif
