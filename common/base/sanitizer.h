/* SPDX-License-Identifier: MIT
 * Whether this build runs under a sanitizer. Their runtimes map shadow memory, open /proc and call much else that our
 * processes never do: what they find is worth more than a filter in front of them. */
#ifndef COMMON_BASE_SANITIZER_H
#define COMMON_BASE_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

#endif
