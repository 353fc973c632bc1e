/* SPDX-License-Identifier: MIT */
/*
 * SHA-256, for the digest of LUKS2 headers.
 */
#ifndef ABI_TESTS_SHA256_H
#define ABI_TESTS_SHA256_H

#include <stddef.h>
#include <wire.h>

/** The digest of the pieces one after the other. */
void sha256(unsigned char digest[32], const struct wire_bytes *pieces, size_t count);

#endif
