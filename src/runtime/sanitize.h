/* SPDX-License-Identifier: Apache-2.0 */
/* Which sanitizers this build has, 0 or 1, for gcc and clang alike. Private to runtime/. */
#ifndef RUNTIME_SANITIZE_H
#define RUNTIME_SANITIZE_H

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SANITIZE_ADDRESS 1
#else
#define SANITIZE_ADDRESS 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define SANITIZE_THREAD 1
#else
#define SANITIZE_THREAD 0
#endif

#endif
