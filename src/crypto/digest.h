/* HMAC, digests and random octets: the only room that knows the crypto library (OpenSSL 3).
 *
 * Thread: any. A `struct hmac` has one owner; a computation allocates nothing beyond what the library does with the context
 * that the owner keeps. nsec3_hash allocates nothing at all: it is on the packet path. */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hmac_algorithm { HMAC_MD5, HMAC_SHA1, HMAC_SHA224, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, HMAC_COUNT };
enum { HMAC_BYTES_MAX = 64 };

size_t hmac_size(enum hmac_algorithm a); /* octets of the full MAC */

/* A running HMAC. One owner, one thread. An algorithm that the library was built or configured without: ERR_UNSUPPORTED. */
struct hmac;
MUST_CHECK enum err hmac_new(enum hmac_algorithm a, const uint8_t *secret, size_t secret_size, struct hmac **out);
/* Another one in the same state, for a third of what a new one costs. `h` may be copied by many threads at once. */
MUST_CHECK enum err hmac_copy(const struct hmac *h, struct hmac **out);
void hmac_free(struct hmac *h); /* NULL is fine */
MUST_CHECK enum err hmac_restart(struct hmac *h);
MUST_CHECK enum err hmac_add(struct hmac *h, const void *bytes, size_t n);
/* Writes hmac_size octets; hmac_restart before the next computation. */
MUST_CHECK enum err hmac_finish(struct hmac *h, uint8_t out[HMAC_BYTES_MAX]);

MUST_CHECK enum err sha256(const void *bytes, size_t n, uint8_t out[32]);

/* A running digest of SHA-2. One owner, one thread. */
enum digest_algorithm { DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512 };
enum { DIGEST_BYTES_MAX = 64 };
size_t digest_size(enum digest_algorithm a);
struct digest;
MUST_CHECK enum err digest_new(enum digest_algorithm a, struct digest **out);
MUST_CHECK enum err digest_add(struct digest *d, const void *bytes, size_t n);
MUST_CHECK enum err digest_finish(struct digest *d, uint8_t out[DIGEST_BYTES_MAX]); /* digest_size octets; it is used up then */
void digest_free(struct digest *d);                                                 /* NULL is fine */

enum { NSEC3_HASH_BYTES = 20 };
/* The hash of RFC 5155 §5 with SHA-1, its only algorithm; `name` is lower case, uncompressed wire form. */
void nsec3_hash(const uint8_t *name, size_t name_size, const uint8_t *salt, size_t salt_size, unsigned iterations,
                uint8_t out[NSEC3_HASH_BYTES]);

bool bytes_equal_secret(const void *a, const void *b, size_t n); /* constant time */
MUST_CHECK enum err random_bytes(void *out, size_t n);
/* Overwrites a secret before its memory is given back. */
void wipe(void *secret, size_t n);

/* RFC 4648 §4, strictly: padding is there, the unused bits are zero, nothing else stands between. ERR_FORMAT; ERR_SPACE. */
MUST_CHECK enum err base64_decode(const char *text, size_t n, uint8_t *out, size_t capacity, size_t *out_size);
/* `out` holds 4 * ((n + 2) / 3) + 1 characters. */
void base64_encode(const uint8_t *bytes, size_t n, char *out);

#endif
