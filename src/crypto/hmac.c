/* HMAC (RFC 2104) of the library's digests. Its own takes several allocations a message and five times the instructions of a short
 * one's digest, so the low-level calls are used: deprecated in OpenSSL 3, but they are the same code below. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/digest.h"

#include <assert.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

union hash_state {
  MD5_CTX md5;
  SHA_CTX sha1;
  SHA256_CTX sha256;
  SHA512_CTX sha512;
};

struct hash {
  void (*begin)(union hash_state *s);
  void (*add)(union hash_state *s, const void *bytes, size_t n);
  void (*end)(union hash_state *s, uint8_t *out);
  size_t size_bytes, block_bytes;
};

/* The three always succeed. */
#define HASH(name, state, NAME)                                              \
  static void name##_begin(union hash_state *s) {                            \
    NAME##_Init(&s->state);                                                  \
  }                                                                          \
  static void name##_add(union hash_state *s, const void *bytes, size_t n) { \
    NAME##_Update(&s->state, bytes, n);                                      \
  }                                                                          \
  static void name##_end(union hash_state *s, uint8_t *out) {                \
    NAME##_Final(out, &s->state);                                            \
  }
HASH(md5, md5, MD5)
HASH(sha1, sha1, SHA1)
HASH(sha224, sha256, SHA224)
HASH(sha256, sha256, SHA256)
HASH(sha384, sha512, SHA384)
HASH(sha512, sha512, SHA512)
#undef HASH

static const struct hash hashes[HMAC_COUNT] = {
    [HMAC_MD5] = {md5_begin, md5_add, md5_end, 16, 64},
    [HMAC_SHA1] = {sha1_begin, sha1_add, sha1_end, 20, 64},
    [HMAC_SHA224] = {sha224_begin, sha224_add, sha224_end, 28, 64},
    [HMAC_SHA256] = {sha256_begin, sha256_add, sha256_end, 32, 64},
    [HMAC_SHA384] = {sha384_begin, sha384_add, sha384_end, 48, 128},
    [HMAC_SHA512] = {sha512_begin, sha512_add, sha512_end, 64, 128},
};

struct hmac_key {
  const struct hash *hash;
  union hash_state inner, outer; /* behind the secret's blocks: where each computation begins and ends */
};

static_assert(sizeof(union hash_state) <= sizeof((struct hmac *)0)->state, "room for each state");

size_t hmac_size(enum hmac_algorithm a) {
  assert(a < HMAC_COUNT);
  return hashes[a].size_bytes;
}

static void begin_with(const struct hash *hash, const uint8_t *secret, uint8_t pad, union hash_state *out) {
  uint8_t block[SHA512_CBLOCK];
  for (size_t i = 0; i < hash->block_bytes; i++)
    block[i] = secret[i] ^ pad;
  hash->begin(out);
  hash->add(out, block, hash->block_bytes);
  wipe(block, sizeof block);
}

enum err hmac_key_new(enum hmac_algorithm a, const uint8_t *secret, size_t secret_size, struct hmac_key **out) {
  enum { INNER_PAD = 0x36, OUTER_PAD = 0x5c };
  uint8_t block[SHA512_CBLOCK] = {0};
  assert(a < HMAC_COUNT);
  struct hmac_key *k = malloc(sizeof *k);
  if (!k) return ERR_MEMORY;
  k->hash = &hashes[a];
  if (secret_size > k->hash->block_bytes) {
    k->hash->begin(&k->inner);
    k->hash->add(&k->inner, secret, secret_size);
    k->hash->end(&k->inner, block);
  } else if (secret_size) {
    memcpy(block, secret, secret_size);
  }
  begin_with(k->hash, block, INNER_PAD, &k->inner);
  begin_with(k->hash, block, OUTER_PAD, &k->outer);
  wipe(block, sizeof block);
  *out = k;
  return ERR_OK;
}

void hmac_key_free(struct hmac_key *k) {
  if (!k) return;
  wipe(k, sizeof *k);
  free(k);
}

static union hash_state *state_of(struct hmac *h) {
  return (union hash_state *)(void *)h->state;
}

void hmac_begin(struct hmac *h, const struct hmac_key *k) {
  h->key = k;
  memcpy(h->state, &k->inner, sizeof k->inner);
}

void hmac_add(struct hmac *h, const void *bytes, size_t n) {
  if (n) h->key->hash->add(state_of(h), bytes, n);
}

void hmac_finish(struct hmac *h, uint8_t out[HMAC_BYTES_MAX]) {
  const struct hmac_key *k = h->key;
  uint8_t digest[HMAC_BYTES_MAX];
  k->hash->end(state_of(h), digest);
  memcpy(h->state, &k->outer, sizeof k->outer);
  k->hash->add(state_of(h), digest, k->hash->size_bytes);
  k->hash->end(state_of(h), out);
}
