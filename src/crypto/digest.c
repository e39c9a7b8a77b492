/* The low-level SHA-1 calls are deprecated in OpenSSL 3 but are the only ones that need no heap, which nsec3_hash may not
 * touch. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/digest.h"

#include "base/bytes.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/random.h>

enum err sha256(const void *bytes, size_t n, uint8_t out[32]) {
  return EVP_Digest(bytes, n, out, NULL, EVP_sha256(), NULL) == 1 ? ERR_OK : ERR_MEMORY;
}

struct digest {
  EVP_MD_CTX *context;
};

size_t digest_size(enum digest_algorithm a) {
  return a == DIGEST_SHA256 ? 32 : a == DIGEST_SHA384 ? 48 : 64;
}

static const EVP_MD *digest_method(enum digest_algorithm a) {
  return a == DIGEST_SHA256 ? EVP_sha256() : a == DIGEST_SHA384 ? EVP_sha384() : EVP_sha512();
}

enum err digest_new(enum digest_algorithm a, struct digest **out) {
  struct digest *d = malloc(sizeof *d);
  if (!d) return ERR_MEMORY;
  d->context = EVP_MD_CTX_new();
  if (!d->context || EVP_DigestInit_ex(d->context, digest_method(a), NULL) != 1) {
    digest_free(d);
    return ERR_MEMORY;
  }
  *out = d;
  return ERR_OK;
}

enum err digest_add(struct digest *d, const void *bytes, size_t n) {
  return EVP_DigestUpdate(d->context, bytes, n) == 1 ? ERR_OK : ERR_MEMORY;
}

enum err digest_finish(struct digest *d, uint8_t out[DIGEST_BYTES_MAX]) {
  unsigned size = 0;
  return EVP_DigestFinal_ex(d->context, out, &size) == 1 ? ERR_OK : ERR_MEMORY;
}

void digest_free(struct digest *d) {
  if (!d) return;
  EVP_MD_CTX_free(d->context);
  free(d);
}

/* SHA-1 of octets and salt. With its padding nearly all that NSEC3 hashes is one block, of which the library's buffer and its
 * wiping would cost as much again. */
static void sha1_salted(const uint8_t *bytes, size_t size, const uint8_t *salt, size_t salt_size, uint8_t out[NSEC3_HASH_BYTES]) {
  enum { LENGTH_BYTES = 8, PADDING_BEGINS = 0x80 };
  uint8_t block[SHA_CBLOCK] = {0};
  size_t used = size + salt_size;
  SHA_CTX context;
  SHA1_Init(&context);
  if (used + 1 + LENGTH_BYTES > sizeof block) {
    SHA1_Update(&context, bytes, size);
    SHA1_Update(&context, salt, salt_size);
    SHA1_Final(out, &context);
    return;
  }
  memcpy(block, bytes, size);
  if (salt_size) memcpy(block + size, salt, salt_size);
  block[used] = PADDING_BEGINS;
  put_u64(block + sizeof block - LENGTH_BYTES, used * 8);
  SHA1_Transform(&context, block);
  put_u32(out, context.h0);
  put_u32(out + 4, context.h1);
  put_u32(out + 8, context.h2);
  put_u32(out + 12, context.h3);
  put_u32(out + 16, context.h4);
}

void nsec3_hash(const uint8_t *name, size_t name_size, const uint8_t *salt, size_t salt_size, unsigned iterations,
                uint8_t out[NSEC3_HASH_BYTES]) {
  sha1_salted(name, name_size, salt, salt_size, out);
  for (unsigned i = 0; i < iterations; i++)
    sha1_salted(out, NSEC3_HASH_BYTES, salt, salt_size, out);
}

bool bytes_equal_secret(const void *a, const void *b, size_t n) {
  return CRYPTO_memcmp(a, b, n) == 0;
}

/* The system's. The library's own are begun with its configuration and all it can do, which a start would wait for. */
enum err random_bytes(void *out, size_t n) {
  uint8_t *at = out;
  while (n > 0) {
    ssize_t got = getrandom(at, n, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return ERR_IO;
    at += got;
    n -= (size_t)got;
  }
  return ERR_OK;
}

void wipe(void *secret, size_t n) {
  if (secret) OPENSSL_cleanse(secret, n);
}
