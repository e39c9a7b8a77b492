#include "tsig/tsig_priv.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>

/* Sorted by name. The array is of pointers because others keep pointers to keys. */
struct tsig_keyring {
  atomic_uint references;
  struct tsig_key **keys;
  size_t count;
  size_t capacity;
};

#define WIRE(text) \
  { sizeof(text), 1, text }

/* The only algorithm with a name of several labels is HMAC-MD5 (RFC 8945 §6). */
static const struct {
  const char *text;
  struct name name;
} algorithms[HMAC_COUNT] = {
    [HMAC_MD5] = {"hmac-md5", {26, 4, "\x08hmac-md5\x07sig-alg\x03reg\x03int"}},
    [HMAC_SHA1] = {"hmac-sha1", WIRE("\x09hmac-sha1")},
    [HMAC_SHA224] = {"hmac-sha224", WIRE("\x0bhmac-sha224")},
    [HMAC_SHA256] = {"hmac-sha256", WIRE("\x0bhmac-sha256")},
    [HMAC_SHA384] = {"hmac-sha384", WIRE("\x0bhmac-sha384")},
    [HMAC_SHA512] = {"hmac-sha512", WIRE("\x0bhmac-sha512")},
};

const struct name *tsig_algorithm_name(enum hmac_algorithm a) {
  assert(a < HMAC_COUNT);
  return &algorithms[a].name;
}

const char *tsig_algorithm_text(enum hmac_algorithm a) {
  assert(a < HMAC_COUNT);
  return algorithms[a].text;
}

enum err tsig_algorithm_from_text(const char *text, enum hmac_algorithm *out) {
  size_t n = strlen(text);
  if (n > 0 && text[n - 1] == '.') n--;
  static const char md5_long[] = "hmac-md5.sig-alg.reg.int";
  if (n == sizeof md5_long - 1 && strncasecmp(text, md5_long, n) == 0) {
    *out = HMAC_MD5;
    return ERR_OK;
  }
  for (unsigned a = 0; a < HMAC_COUNT; a++)
    if (strlen(algorithms[a].text) == n && strncasecmp(text, algorithms[a].text, n) == 0) {
      *out = (enum hmac_algorithm)a;
      return ERR_OK;
    }
  return ERR_NOT_FOUND;
}

enum err tsig_keyring_new(struct tsig_keyring **out) {
  struct tsig_keyring *k = calloc(1, sizeof *k);
  if (!k) return ERR_MEMORY;
  atomic_init(&k->references, 1);
  *out = k;
  return ERR_OK;
}

/* Where the name stands or would stand. */
static size_t place_of(const struct tsig_keyring *k, const struct name *name, bool *found) {
  size_t low = 0, high = k->count;
  *found = false;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = name_compare(&k->keys[middle]->name, name);
    if (order == 0) {
      *found = true;
      return middle;
    }
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

static void key_free(struct tsig_key *key) {
  hmac_key_free(key->hmac);
  wipe(key->secret, key->secret_size);
  free(key->secret);
  free(key);
}

static enum err key_new(const struct name *name, enum hmac_algorithm a, const uint8_t *secret, size_t secret_size,
                        struct tsig_key **out) {
  struct tsig_key *key = calloc(1, sizeof *key);
  if (!key) return ERR_MEMORY;
  key->name = *name;
  name_lower(&key->name);
  key->algorithm = a;
  key->secret_size = secret_size;
  key->secret = malloc(secret_size ? secret_size : 1);
  enum err e = key->secret ? hmac_key_new(a, secret, secret_size, &key->hmac) : ERR_MEMORY;
  if (e) {
    free(key->secret);
    free(key);
    return e;
  }
  if (secret_size) memcpy(key->secret, secret, secret_size);
  *out = key;
  return ERR_OK;
}

enum err tsig_keyring_add(struct tsig_keyring *k, const struct name *name, enum hmac_algorithm a, const uint8_t *secret,
                          size_t secret_size) {
  bool found;
  size_t at = place_of(k, name, &found);
  if (found) return ERR_EXISTS;
  if (k->count == LIMIT_TSIG_KEYS) return ERR_LIMIT;
  if (k->count == k->capacity) {
    size_t capacity = k->capacity ? 2 * k->capacity : 8;
    struct tsig_key **keys = realloc(k->keys, capacity * sizeof(struct tsig_key *));
    if (!keys) return ERR_MEMORY;
    k->keys = keys;
    k->capacity = capacity;
  }
  struct tsig_key *key;
  enum err e = key_new(name, a, secret, secret_size, &key);
  if (e) return e;
  memmove(k->keys + at + 1, k->keys + at, (k->count - at) * sizeof(struct tsig_key *));
  k->keys[at] = key;
  k->count++;
  return ERR_OK;
}

const struct tsig_key *tsig_keyring_find(const struct tsig_keyring *k, const struct name *name) {
  if (!k) return NULL;
  bool found;
  size_t at = place_of(k, name, &found);
  return found ? k->keys[at] : NULL;
}

struct tsig_keyring *tsig_keyring_ref(struct tsig_keyring *k) {
  atomic_fetch_add_explicit(&k->references, 1, memory_order_relaxed);
  return k;
}

void tsig_keyring_unref(struct tsig_keyring *k) {
  if (!k || atomic_fetch_sub_explicit(&k->references, 1, memory_order_acq_rel) != 1) return;
  for (size_t i = 0; i < k->count; i++)
    key_free(k->keys[i]);
  free(k->keys);
  free(k);
}
