/*   0 "TANDKEYS"   8 format (1)   9 log2 N   10 r   11 p   12 salt (16)   28 nonce (12)   40 sealed octets, tag (16)
 *
 * All before the sealed octets is beside them, with the caller's own: a changed header does not open. */
#include "crypto/seal.h"

#include "crypto/digest.h"

#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

enum {
  FORMAT = 1,
  LOG_N = 15,
  R = 8,
  P = 3,
  SALT_AT = 12,
  SALT_BYTES = 16,
  NONCE_AT = SALT_AT + SALT_BYTES,
  NONCE_BYTES = 12,
  HEADER_BYTES = NONCE_AT + NONCE_BYTES,
  TAG_BYTES = 16,
  KEY_BYTES = 32,
  LOG_N_MOST = 20, /* what opening may be made to cost */
};

static const uint8_t magic[8] = {'T', 'A', 'N', 'D', 'K', 'E', 'Y', 'S'};

static enum err derive(struct seal_text passphrase, const uint8_t *header, uint8_t key[KEY_BYTES]) {
  uint64_t n = UINT64_C(1) << header[9], r = header[10], p = header[11];
  int done = EVP_PBE_scrypt(passphrase.bytes, passphrase.size, header + SALT_AT, SALT_BYTES, n, r, p, 128 * r * (n + p + 2), key,
                            KEY_BYTES);
  return done == 1 ? ERR_OK : ERR_MEMORY;
}

/* The library's lengths are of type int. */
static bool fits(struct seal_text t) {
  return t.size <= INT_MAX - TAG_BYTES;
}

static enum err run(EVP_CIPHER_CTX *c, bool closing, const uint8_t *key, const uint8_t *header, struct seal_text beside,
                    struct seal_text in, uint8_t *out, uint8_t *tag) {
  int n = 0, rest = 0;
  if (EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, header + NONCE_AT, closing) != 1) return ERR_UNSUPPORTED;
  if (EVP_CipherUpdate(c, NULL, &n, header, HEADER_BYTES) != 1) return ERR_MEMORY;
  if (beside.size && EVP_CipherUpdate(c, NULL, &n, beside.bytes, (int)beside.size) != 1) return ERR_MEMORY;
  n = 0;
  if (in.size && EVP_CipherUpdate(c, out, &n, in.bytes, (int)in.size) != 1) return ERR_MEMORY;
  if (!closing && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) != 1) return ERR_MEMORY;
  if (EVP_CipherFinal_ex(c, out + n, &rest) != 1) return ERR_REFUSED;
  assert((size_t)(n + rest) == in.size);
  if (closing && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) != 1) return ERR_MEMORY;
  return ERR_OK;
}

static enum err with_key(bool closing, struct seal_text passphrase, const uint8_t *header, struct seal_text beside,
                         struct seal_text in, uint8_t *out, uint8_t *tag) {
  uint8_t key[KEY_BYTES];
  EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
  enum err err = c ? derive(passphrase, header, key) : ERR_MEMORY;
  if (!err) err = run(c, closing, key, header, beside, in, out, tag);
  EVP_CIPHER_CTX_free(c);
  wipe(key, sizeof key);
  return err;
}

enum err seal_close(struct seal_text passphrase, struct seal_text beside, struct seal_text plain, struct buf *out) {
  uint8_t header[HEADER_BYTES] = {[8] = FORMAT, [9] = LOG_N, [10] = R, [11] = P};
  memcpy(header, magic, sizeof magic);
  if (!fits(plain) || !fits(beside)) return ERR_LIMIT;
  enum err err = random_bytes(header + SALT_AT, SALT_BYTES + NONCE_BYTES);
  uint8_t *to = buf_reserve(out, HEADER_BYTES + plain.size + TAG_BYTES);
  if (!err && !to) err = ERR_MEMORY;
  if (err) return err;
  memcpy(to, header, HEADER_BYTES);
  err = with_key(true, passphrase, header, beside, plain, to + HEADER_BYTES, to + HEADER_BYTES + plain.size);
  if (!err) out->size += HEADER_BYTES + plain.size + TAG_BYTES;
  return err;
}

enum err seal_open(struct seal_text passphrase, struct seal_text beside, struct seal_text sealed, struct buf *out) {
  const uint8_t *header = sealed.bytes;
  if (sealed.size < HEADER_BYTES + TAG_BYTES || memcmp(header, magic, sizeof magic) != 0) return ERR_FORMAT;
  if (header[8] > FORMAT) return ERR_VERSION;
  if (header[8] != FORMAT || header[9] < 1 || header[9] > LOG_N_MOST || !header[10] || header[10] > 32 || !header[11] ||
      header[11] > 16)
    return ERR_FORMAT;
  if (!fits(sealed) || !fits(beside)) return ERR_LIMIT;
  size_t size = sealed.size - HEADER_BYTES - TAG_BYTES;
  uint8_t tag[TAG_BYTES];
  memcpy(tag, header + HEADER_BYTES + size, TAG_BYTES);
  uint8_t *to = buf_reserve(out, size + 1);
  if (!to) return ERR_MEMORY;
  enum err err = with_key(false, passphrase, header, beside, (struct seal_text){header + HEADER_BYTES, size}, to, tag);
  if (err) wipe(to, size);
  else out->size += size;
  return err;
}
