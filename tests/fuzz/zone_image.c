/* Zone images from a forger who knows the checksum: what opens can be read to its last octet, finds every owner it shows, and is
 * the same zone when it is written and opened again. */
#include "base/hash.h"
#include "zone/image_priv.h"
#include "zone/snap_priv.h"
#include "zone/zone_set.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct copy {
  struct image_backing backing;
  uint8_t *bytes;
  size_t size;
};

static void copy_release(struct image_backing *backing) {
  struct copy *c = (struct copy *)backing;
  free(c->bytes);
  free(c);
}

static struct copy *copy_new(size_t size) {
  struct copy *c = calloc(1, sizeof *c);
  if (!c) abort();
  c->backing.release = copy_release;
  c->bytes = malloc(size);
  c->size = 0;
  if (!c->bytes) abort();
  return c;
}

/* The fields that no forger gets wrong. */
static void seal(uint8_t *bytes, size_t size) {
  struct image_header *h = (struct image_header *)bytes;
  uint64_t *sums = (uint64_t *)(h + 1);
  size_t blocks = 0, directory;
  while (blocks * (IMAGE_BLOCK_BYTES + sizeof *sums) < size - sizeof *h)
    blocks++;
  directory = blocks * sizeof *sums;
  memcpy(h->magic, IMAGE_MAGIC, sizeof h->magic);
  if (h->format != 2) h->format = IMAGE_FORMAT; /* the last one before has a directory, too */
  h->byte_order = IMAGE_BYTE_ORDER;
  h->bytes = size;
  h->cells = (size - sizeof *h - directory) / CELL_BYTES;
  for (size_t at = sizeof *h + directory; at < size; at += IMAGE_BLOCK_BYTES)
    *sums++ = hash64(bytes + at, size - at < IMAGE_BLOCK_BYTES ? size - at : IMAGE_BLOCK_BYTES, 0);
  h->mark = hash64(h, offsetof(struct image_header, mark), 0);
  size_t from = offsetof(struct image_header, bytes);
  h->checksum = hash64(bytes + from, sizeof *h - from, hash64(h + 1, directory, 0));
}

static volatile unsigned read_sum;

static void read_rrs(const uint8_t *at, unsigned count) {
  for (; count > 0; count--) {
    const uint8_t *rdata;
    uint16_t size;
    zone_rr_next(&at, &rdata, &size);
    for (unsigned i = 0; i < size; i++)
      read_sum += rdata[i];
  }
}

/* It may be any, but is all there. */
static void read_hash(const struct zone_snap *s, const struct zone_node *n) {
  const uint8_t *hash = zone_nsec3_hash(s, n);
  bool match;
  if (hash) (void)zone_nsec3_find(s, hash, &match);
}

static void read_node(const struct zone_snap *s, const struct zone_node *n, bool in_names) {
  struct name owner;
  uint8_t key[NAME_KEY_BYTES];
  zone_node_owner(s, n, &owner);
  assert(name_is_under(&owner, zone_apex(s)));
  struct zone_lookup q = {.snap = s, .key = key, .key_size = (uint16_t)name_key(&owner, key)};
  zone_lookup(&q);
  assert(!in_names || q.found.node == n);
  const struct zone_node *cover = zone_nsec_cover(s, key, q.key_size);
  struct zone_rrset set;
  assert(!cover || (zone_find_rrset(cover, RR_NSEC, &set) && set.count));
  read_hash(s, n);
  for (unsigned i = 0; i < zone_rrset_count(n); i++) {
    struct zone_rrset same;
    zone_rrset_at(n, i, &set);
    bool found = zone_find_rrset(n, set.type, &same);
    assert(found && same.rrs == set.rrs && same.count == set.count && same.sigs == set.sigs);
    (void)found;
    read_rrs(set.rrs, set.count);
    read_rrs(set.sigs, set.sig_count);
  }
}

/* Where the cursor goes over to the owners of NSEC3. */
static const struct zone_node *first_nsec3(const struct zone_snap *s) {
  struct trie_iter it;
  trie_iter_start(&it, s->table, &s->nsec3);
  const struct trie_node *leaf = trie_iter_leaf(&it);
  return leaf ? node_record(s->table, leaf) : NULL;
}

static void read_all(const struct zone_snap *s) {
  struct zone_cursor c;
  const struct zone_node *n;
  struct name last, owner;
  uint64_t names = 0;
  bool in_names = true;
  if (zone_cursor_open(s, &c)) abort();
  for (; (n = zone_cursor_next(&c)); names++, last = owner) {
    zone_node_owner(s, n, &owner);
    if (n == first_nsec3(s)) in_names = false;
    assert(!in_names || !names || name_compare(&last, &owner) < 0);
    read_node(s, n, in_names);
  }
  zone_cursor_close(&c);
  assert(names == zone_name_count(s));
  uint8_t hash[20] = {0x55};
  bool match;
  (void)zone_nsec3_find(s, hash, &match);
}

/* Before the proof anything may be found, but nothing out of bounds. */
static void look_around(const struct zone_snap *s) {
  struct zone_cursor c;
  const struct zone_node *n;
  if (zone_cursor_open(s, &c)) abort();
  for (unsigned i = 0; i < 4096 && (n = zone_cursor_next(&c)); i++) {
    struct name owner;
    uint8_t key[NAME_KEY_BYTES];
    struct zone_rrset set;
    zone_node_owner(s, n, &owner);
    struct zone_lookup q = {.snap = s, .key = key, .key_size = (uint16_t)name_key(&owner, key)};
    zone_lookup(&q);
    (void)zone_nsec_cover(s, key, q.key_size);
    read_hash(s, n);
    for (unsigned j = 0; j < zone_rrset_count(n); j++) {
      zone_rrset_at(n, j, &set);
      read_rrs(set.rrs, set.count);
      read_rrs(set.sigs, set.sig_count);
    }
  }
  zone_cursor_close(&c);
}

static bool take(void *arg, const void *bytes, size_t n) {
  struct copy *c = arg;
  if (!n) return true;
  uint8_t *grown = realloc(c->bytes, c->size + n);
  if (!grown) abort();
  c->bytes = grown;
  memcpy(c->bytes + c->size, bytes, n);
  c->size += n;
  return true;
}

static void write_again(const struct zone_snap *s) {
  struct copy *c = copy_new(1);
  struct zone_snap *again;
  uint64_t bytes;
  enum err err = zone_image_write(s, take, c, &bytes);
  assert(!err && bytes == c->size);
  err = zone_image_open(c->bytes, c->size, &c->backing, &again);
  assert(!err && zone_equal(s, again));
  (void)err;
  zone_snap_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static unsigned runs;
  size_t whole = size < sizeof(struct image_header) ? sizeof(struct image_header) : size & ~(size_t)7;
  struct copy *c = copy_new(whole);
  memset(c->bytes, 0, whole);
  memcpy(c->bytes, data, size < whole ? size : whole);
  seal(c->bytes, whole);
  struct zone_snap *s;
  bool more = true;
  enum err err = image_open(c->bytes, whole, &c->backing, 0, &s);
  assert(err == ERR_OK || err == ERR_CORRUPT);
  if (err) {
    copy_release(&c->backing);
    return 0;
  }
  look_around(s);
  while (!err && more)
    err = zone_image_prove(s, &more);
  if (!err) {
    read_all(s);
    write_again(s);
  }
  zone_snap_unref(s);
  if (++runs % 256 == 0) zone_grace_barrier();
  return 0;
}
