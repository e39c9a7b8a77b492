/* HMAC, digests and random octets: the only room that knows the crypto library (OpenSSL 3).
 *
 * Thread: any. HMAC and nsec3_hash allocate nothing: they are on the packet path. */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hmac_algorithm { HMAC_MD5, HMAC_SHA1, HMAC_SHA224, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, HMAC_COUNT };
enum { HMAC_BYTES_MAX = 64 };

size_t hmac_size(enum hmac_algorithm a); /* octets of the full MAC */

/* What a secret makes of an algorithm. Immutable: any number of threads. */
struct hmac_key;
MUST_CHECK enum err hmac_key_new(enum hmac_algorithm a, const uint8_t *secret, size_t secret_size, struct hmac_key **out);
void hmac_key_free(struct hmac_key *k); /* NULL is fine; wipes it */

/* A running HMAC, which its owner may copy or forget at any time; the key must outlive it. */
struct hmac {
  const struct hmac_key *key;
  uint64_t state[27]; /* the library's */
};
void hmac_begin(struct hmac *h, const struct hmac_key *k);
void hmac_add(struct hmac *h, const void *bytes, size_t n);
void hmac_finish(struct hmac *h, uint8_t out[HMAC_BYTES_MAX]); /* writes hmac_size octets; it has to begin anew then */

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
