#include "base/hash.h"
#include "zone/draft_priv.h"
#include "zone/image_priv.h"
#include "zone/layout_priv.h"
#include "zone/snap_priv.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_BLOCK_BYTES = 4096 };
_Static_assert(IMAGE_BLOCK_BYTES == FIRST_BLOCK_BYTES << 4, "a block grows to just its size");

static uint64_t image_mark(const struct image_header *h) {
  return hash64(h, offsetof(struct image_header, mark), 0);
}

/* `seed` is the checksum of what the header vouches for besides itself: the directory. */
static uint64_t image_checksum(const struct image_header *h, uint64_t seed) {
  size_t from = offsetof(struct image_header, bytes);
  return hash64((const uint8_t *)h + from, sizeof *h - from, seed);
}

/* ---- writing: once for the directory and the roots, once for the bytes, unless they are one block ---- */

struct writer {
  image_sink *sink;
  void *arg;
  bool summing; /* the first time */
  uint8_t *block;
  size_t block_used, block_room; /* grows up to IMAGE_BLOCK_BYTES: most images are small */
  uint64_t cells;
  uint64_t *sums; /* the directory */
  uint64_t blocks, sums_room;
  struct hashing *hashing; /* of the snapshot's chain; NULL: no hashes are kept */
  struct draft draft;      /* for a record that has not the hash it should have */
  struct layout layout;
};

static enum err add_sum(struct writer *w, uint64_t sum) {
  if (w->blocks == w->sums_room) {
    uint64_t room = w->sums_room ? 2 * w->sums_room : 1;
    uint64_t *sums = realloc(w->sums, room * sizeof *sums);
    if (!sums) return ERR_MEMORY;
    w->sums = sums;
    w->sums_room = room;
  }
  w->sums[w->blocks++] = sum;
  return ERR_OK;
}

static enum err block_flush(struct writer *w) {
  if (!w->block_used) return ERR_OK;
  enum err e = ERR_OK;
  if (w->summing) e = add_sum(w, hash64(w->block, w->block_used, 0));
  if (e == ERR_OK && !w->sink(w->arg, w->block, w->summing ? 0 : w->block_used)) e = ERR_IO;
  w->block_used = 0;
  return e;
}

static bool block_grow(struct writer *w) {
  size_t room = w->block_room ? 4 * w->block_room : FIRST_BLOCK_BYTES;
  uint8_t *block = realloc(w->block, room);
  if (!block) return false;
  w->block = block;
  w->block_room = room;
  return true;
}

static enum err emit_to_image(void *arg, const void *bytes, uint32_t cells, uint32_t *ref) {
  struct writer *w = arg;
  const uint8_t *from = bytes;
  size_t left = (size_t)cells * CELL_BYTES;
  if (w->cells + cells > UINT32_MAX) return ERR_LIMIT;
  *ref = (uint32_t)w->cells;
  w->cells += cells;
  while (left) {
    if (w->block_used == w->block_room && !block_grow(w)) return ERR_MEMORY;
    size_t n = w->block_room - w->block_used;
    if (n > left) n = left;
    memcpy(w->block + w->block_used, from, n);
    w->block_used += n;
    from += n;
    left -= n;
    enum err e = w->block_used == IMAGE_BLOCK_BYTES ? block_flush(w) : ERR_OK;
    if (e != ERR_OK) return e;
  }
  return ERR_OK;
}

/* The record as a fresh zone of this content has it: with the hash of the chain that there is, if any. */
static enum err settle_hash(struct writer *w, const struct zone_snap *s, const struct zone_node **record) {
  const struct zone_node *r = *record;
  bool good = record_has_hash(r) ? snap_hash(s, r) && record_wants_hash(r) : !w->hashing || !record_wants_hash(r);
  if (good) return ERR_OK;
  uint8_t hash[NSEC3_HASH_BYTES];
  struct draft_owner owner = record_owner(r);
  owner.hash = NULL;
  draft_clear(&w->draft);
  enum err e = draft_load(&w->draft, r);
  owner.hash = draft_hash(&w->draft, w->hashing, s->line->apex, &owner, hash);
  return e == ERR_OK ? draft_make(&w->draft, &owner, record) : e;
}

static enum err write_trie(struct writer *w, const struct zone_snap *s, const struct trie_node *root, struct trie_node *new_root) {
  struct trie_iter it;
  const struct trie_node *leaf;
  trie_iter_start(&it, s->table, root);
  layout_start(&w->layout, emit_to_image, w);
  enum err e = ERR_OK;
  while (e == ERR_OK && (leaf = trie_iter_leaf(&it))) {
    const struct zone_node *record = node_record(s->table, leaf);
    if (root == &s->names) e = settle_hash(w, s, &record);
    if (e == ERR_OK) e = layout_leaf(&w->layout, record, node_word(leaf));
  }
  if (e == ERR_OK) e = layout_finish(&w->layout, new_root);
  layout_done(&w->layout);
  return e;
}

/* All cells; fills what of the header depends on them. */
static enum err write_cells(struct writer *w, const struct zone_snap *s, struct image_header *h) {
  w->block_used = 0;
  w->cells = 0;
  enum err e = write_trie(w, s, &s->names, &h->names);
  if (e == ERR_OK) e = write_trie(w, s, &s->nsec3, &h->nsec3);
  if (e == ERR_OK) e = block_flush(w);
  h->cells = w->cells;
  return e;
}

static void header_start(struct image_header *h, const struct zone_snap *s) {
  memset(h, 0, sizeof *h);
  memcpy(h->magic, IMAGE_MAGIC, sizeof h->magic);
  h->format = IMAGE_FORMAT;
  h->byte_order = IMAGE_BYTE_ORDER;
  h->record_count = s->record_count;
  h->name_count = s->name_count;
  h->serial = s->serial;
  name_copy(&h->apex, s->line->apex);
  h->mark = image_mark(h);
}

static enum err write_both(struct writer *w, const struct zone_snap *s, struct image_header *h) {
  enum err e = write_cells(w, s, h);
  if (e != ERR_OK) return e;
  size_t directory = w->blocks * sizeof *w->sums;
  h->bytes = sizeof *h + directory + h->cells * CELL_BYTES;
  h->checksum = image_checksum(h, hash64(w->sums, directory, 0));
  w->summing = false;
  if (!w->sink(w->arg, h, sizeof *h) || (directory && !w->sink(w->arg, w->sums, directory))) return ERR_IO;
  if (w->blocks > 1) e = write_cells(w, s, h);
  else if (w->blocks && !w->sink(w->arg, w->block, h->cells * CELL_BYTES)) e = ERR_IO; /* the one block is there still */
  return e == ERR_OK && zone_is_damaged(s) ? ERR_CORRUPT : e;                          /* whatever it was that was summed */
}

enum err zone_image_write(const struct zone_snap *s, image_sink *sink, void *arg, uint64_t *bytes) {
  struct writer *w = malloc(sizeof *w);
  if (!w) return ERR_MEMORY;
  w->sink = sink;
  w->arg = arg;
  w->summing = true;
  w->block = NULL;
  w->block_room = 0;
  w->sums = NULL;
  w->blocks = w->sums_room = 0;
  w->hashing = NULL;
  w->draft = (struct draft){0};
  struct image_header h;
  header_start(&h, s);
  enum err e = zone_has_nsec3(s) && hashing_is_for(&s->nsec3_parameters) ? hashing_new(&s->nsec3_parameters, &w->hashing) : ERR_OK;
  if (e == ERR_OK) e = write_both(w, s, &h);
  hashing_free(w->hashing);
  draft_done(&w->draft);
  free(w->block);
  free(w->sums);
  free(w);
  if (e == ERR_OK) *bytes = h.bytes;
  return e;
}

/* ---- opening ---- */

/* An image's parts, by its header. */
struct parts {
  const struct image_header *header;
  const uint64_t *sums; /* NULL: format 1 */
  const uint8_t *cells;
};

/* Of format 1: the blocks' checksums chained, which makes it the whole or nothing. */
static uint64_t old_seed(const uint8_t *cells, uint64_t bytes) {
  uint64_t hash = 0;
  for (uint64_t at = 0; at < bytes; at += IMAGE_OLD_BLOCK_BYTES)
    hash = hash64(cells + at, bytes - at < IMAGE_OLD_BLOCK_BYTES ? bytes - at : IMAGE_OLD_BLOCK_BYTES, hash);
  return hash;
}

/* Of the bytes alone; nothing is followed yet. */
static enum err header_check(const uint8_t *bytes, size_t n, struct parts *out) {
  const struct image_header *h = (const struct image_header *)bytes;
  if (n < offsetof(struct image_header, checksum) || memcmp(h->magic, IMAGE_MAGIC, sizeof h->magic) != 0) return ERR_CORRUPT;
  if (h->byte_order == __builtin_bswap32(IMAGE_BYTE_ORDER) && h->mark == __builtin_bswap64(image_mark(h))) return ERR_VERSION;
  if (h->mark != image_mark(h)) return ERR_CORRUPT;
  if (h->format < 1 || h->format > IMAGE_FORMAT || h->byte_order != IMAGE_BYTE_ORDER) return ERR_VERSION;
  if (n < sizeof *h || h->bytes != n || n % CELL_BYTES || h->cells > UINT32_MAX) return ERR_CORRUPT;
  uint64_t directory = h->format == 1 ? 0 : image_blocks(h->cells) * sizeof *out->sums;
  if (n - sizeof *h != directory + h->cells * CELL_BYTES) return ERR_CORRUPT;
  *out = (struct parts){h, directory ? (const uint64_t *)(h + 1) : NULL, (const uint8_t *)(h + 1) + directory};
  uint64_t seed = h->format == 1 ? old_seed(out->cells, h->cells * CELL_BYTES) : hash64(h + 1, directory, 0);
  return h->checksum == image_checksum(h, seed) ? ERR_OK : ERR_CORRUPT;
}

static bool apex_sound(const struct name *apex) {
  struct rd r = rd_make(apex->octets, apex->size < LIMIT_NAME_BYTES ? apex->size : LIMIT_NAME_BYTES);
  struct name n;
  return name_read_plain(&r, &n) == ERR_OK && n.size == apex->size && n.labels == apex->labels;
}

static bool root_sound(const struct image_header *h, const struct trie_node *root) {
  uint64_t word = node_word(root);
  if (node_is_empty(root)) return root->ref == 0;
  return root->ref < h->cells && !(word & TRIE_UNUSED);
}

/* The whole at once. */
static enum err prove_now(const struct parts *p) {
  struct image_walk *walk = malloc(sizeof *walk);
  if (!walk) return ERR_MEMORY;
  bool more, sound = true;
  for (uint64_t i = 0; sound && p->sums && i < image_blocks(p->header->cells); i++) {
    uint64_t at = i * IMAGE_BLOCK_CELLS, cells = p->header->cells - at;
    if (cells > IMAGE_BLOCK_CELLS) cells = IMAGE_BLOCK_CELLS;
    sound = hash64(p->cells + at * CELL_BYTES, cells * CELL_BYTES, 0) == p->sums[i];
  }
  image_walk_start(walk, p->header, p->cells);
  sound = sound && image_walk_on(walk, UINT_MAX, &more);
  free(walk);
  return sound ? ERR_OK : ERR_CORRUPT;
}

/* Its cells as they are mapped. */
static enum err open_line(const struct parts *p, bool lazy, struct zone_line **out) {
  struct zone_line *line;
  enum err e = line_new(&p->header->apex, &line);
  if (e != ERR_OK) return e;
  if (lazy) {
    line->guard = guard_new(p->header, p->sums, p->cells);
    if (!line->guard) e = ERR_MEMORY;
  }
  if (e == ERR_OK) e = heap_map(&line->heap, p->cells, p->header->cells, line->guard);
  if (e != ERR_OK) {
    line_free(line);
    return e;
  }
  *out = line;
  return ERR_OK;
}

/* The whole in memory, from an image of an old format. */
static enum err remake_line(const struct parts *p, struct snap_parts *parts, struct zone_line **out) {
  struct zone_line *line;
  enum err e = line_new(&p->header->apex, &line);
  if (e != ERR_OK) return e;
  e = image_old_remake(p->header, p->cells, &line->heap, &parts->names, &parts->nsec3);
  if (e != ERR_OK) {
    line_free(line);
    return e;
  }
  line->is_remade = true;
  *out = line;
  return ERR_OK;
}

enum err image_open(const void *bytes, size_t n, struct image_backing *backing, size_t lazy_bytes, struct zone_snap **out) {
  assert((uintptr_t)bytes % CELL_BYTES == 0);
  struct parts p;
  struct zone_line *line;
  struct zone_snap *s;
  enum err e = header_check(bytes, n, &p);
  if (e != ERR_OK) return e;
  const struct image_header *h = p.header;
  if (!apex_sound(&h->apex) || !root_sound(h, &h->names) || !root_sound(h, &h->nsec3)) return ERR_CORRUPT;
  bool old = h->format < IMAGE_FORMAT, lazy = !old && n > lazy_bytes;
  struct snap_parts parts = {h->names, h->nsec3, h->record_count, h->name_count};
  if (!lazy) e = prove_now(&p);
  if (e == ERR_OK) e = old ? remake_line(&p, &parts, &line) : open_line(&p, lazy, &line);
  if (e != ERR_OK) return e == ERR_MEMORY ? e : ERR_CORRUPT;
  e = snap_new(line, &parts, &s);
  bool damaged = (lazy && guard_is_damaged(line->guard)) || (old && backing && atomic_load(&backing->lost));
  if (e == ERR_OK && (s->serial != h->serial || damaged)) {
    snap_free(s);
    e = ERR_CORRUPT;
  }
  if (e != ERR_OK) {
    line_free(line);
    return e == ERR_MEMORY ? e : ERR_CORRUPT;
  }
  if (!old) line->backing = backing;
  else if (backing) backing->release(backing);
  line_add(line, s, NULL, &(struct span_list){0}, &(struct span_list){0});
  *out = s;
  return ERR_OK;
}

enum err zone_image_open(const void *bytes, size_t n, struct image_backing *backing, struct zone_snap **out) {
  return image_open(bytes, n, backing, IMAGE_LAZY_BYTES, out);
}

enum err zone_image_prove(const struct zone_snap *s, bool *more) {
  struct zone_line *line = s->line;
  *more = false;
  if (!line->heap.guard) return zone_is_damaged(s) ? ERR_CORRUPT : ERR_OK;
  enum err e = guard_prove(line->guard, more);
  if (e != ERR_OK || *more) return e;
  heap_open_image(&line->heap, guard_cells(line->guard));
  return ERR_OK;
}

bool zone_image_is_old(const struct zone_snap *s) {
  return s->line->is_remade;
}

bool zone_is_damaged(const struct zone_snap *s) {
  const struct zone_line *line = s->line;
  return (line->guard && guard_is_damaged(line->guard)) ||
         (line->backing && atomic_load_explicit(&line->backing->lost, memory_order_acquire));
}
