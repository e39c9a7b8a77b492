#include "base/hash.h"
#include "zone/image_priv.h"
#include "zone/layout_priv.h"
#include "zone/snap_priv.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_BLOCK_BYTES = 4096 };
_Static_assert(IMAGE_BLOCK_BYTES == FIRST_BLOCK_BYTES << 8, "a block grows to just its size");

static uint64_t image_mark(const struct image_header *h) {
  return hash64(h, offsetof(struct image_header, mark), 0);
}

/* Checksums are chained over the cells' blocks, so that the whole may be read and written in pieces. */
static uint64_t image_checksum(const struct image_header *h, uint64_t cells_hash) {
  size_t from = offsetof(struct image_header, bytes);
  return hash64((const uint8_t *)h + from, sizeof *h - from, cells_hash);
}

/* ---- writing: once for the checksum and the roots, once for the bytes ---- */

struct writer {
  image_sink *sink; /* NULL: the first time */
  void *arg;
  uint8_t *block;
  size_t block_used, block_room; /* grows up to IMAGE_BLOCK_BYTES: most images are small */
  uint64_t cells;
  uint64_t hash;
  struct layout layout;
};

static enum err block_flush(struct writer *w) {
  if (!w->block_used) return ERR_OK;
  w->hash = hash64(w->block, w->block_used, w->hash);
  if (w->sink && !w->sink(w->arg, w->block, w->block_used)) return ERR_IO;
  w->block_used = 0;
  return ERR_OK;
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

static enum err write_trie(struct writer *w, const struct zone_snap *s, const struct trie_node *root, struct trie_node *new_root) {
  struct trie_iter it;
  const struct trie_node *leaf;
  trie_iter_start(&it, s->table, root);
  layout_start(&w->layout, emit_to_image, w);
  enum err e = ERR_OK;
  while (e == ERR_OK && (leaf = trie_iter_leaf(&it)))
    e = layout_leaf(&w->layout, node_record(s->table, leaf), node_word(leaf));
  if (e == ERR_OK) e = layout_finish(&w->layout, new_root);
  layout_done(&w->layout);
  return e;
}

/* All cells; fills what of the header depends on them. */
static enum err write_cells(struct writer *w, const struct zone_snap *s, struct image_header *h) {
  w->block_used = 0;
  w->cells = 0;
  w->hash = 0;
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
  memcpy(&h->apex, s->line->apex, offsetof(struct name, octets) + s->line->apex->size);
  h->mark = image_mark(h);
}

enum err zone_image_write(const struct zone_snap *s, image_sink *sink, void *arg, uint64_t *bytes) {
  struct writer *w = malloc(sizeof *w);
  if (!w) return ERR_MEMORY;
  w->sink = NULL;
  w->block = NULL;
  w->block_room = 0;
  struct image_header h;
  header_start(&h, s);
  enum err e = write_cells(w, s, &h);
  if (e == ERR_OK) {
    h.bytes = sizeof h + h.cells * CELL_BYTES;
    h.checksum = image_checksum(&h, w->hash);
    w->sink = sink;
    w->arg = arg;
    e = sink(arg, &h, sizeof h) ? write_cells(w, s, &h) : ERR_IO;
  }
  free(w->block);
  free(w);
  if (e == ERR_OK) *bytes = h.bytes;
  return e;
}

/* ---- opening ---- */

/* Of the bytes alone; nothing is followed yet. */
static enum err header_check(const uint8_t *bytes, size_t n) {
  const struct image_header *h = (const struct image_header *)bytes;
  if (n < offsetof(struct image_header, checksum) || memcmp(h->magic, IMAGE_MAGIC, sizeof h->magic) != 0) return ERR_CORRUPT;
  if (h->byte_order == __builtin_bswap32(IMAGE_BYTE_ORDER) && h->mark == __builtin_bswap64(image_mark(h))) return ERR_VERSION;
  if (h->mark != image_mark(h)) return ERR_CORRUPT;
  if (h->format != IMAGE_FORMAT || h->byte_order != IMAGE_BYTE_ORDER) return ERR_VERSION;
  if (n < sizeof *h || h->bytes != n || h->cells != (n - sizeof *h) / CELL_BYTES || n % CELL_BYTES) return ERR_CORRUPT;
  if (h->cells > UINT32_MAX) return ERR_CORRUPT;
  uint64_t hash = 0;
  for (size_t at = sizeof *h; at < n; at += IMAGE_BLOCK_BYTES)
    hash = hash64(bytes + at, n - at < IMAGE_BLOCK_BYTES ? n - at : IMAGE_BLOCK_BYTES, hash);
  return h->checksum == image_checksum(h, hash) ? ERR_OK : ERR_CORRUPT;
}

static bool apex_sound(const struct name *apex) {
  struct rd r = rd_make(apex->octets, apex->size < LIMIT_NAME_BYTES ? apex->size : LIMIT_NAME_BYTES);
  struct name n;
  return name_read_plain(&r, &n) == ERR_OK && n.size == apex->size && n.labels == apex->labels;
}

static enum err open_line(const struct image_header *h, struct zone_line **out) {
  struct zone_line *line;
  enum err e = line_new(NULL, &line);
  if (e != ERR_OK) return e;
  line->apex = &h->apex;
  e = heap_map(&line->heap, (const uint8_t *)(h + 1), h->cells);
  if (e != ERR_OK) {
    line_free(line);
    return e;
  }
  *out = line;
  return ERR_OK;
}

enum err zone_image_open(const void *bytes, size_t n, struct image_backing *backing, struct zone_snap **out) {
  assert((uintptr_t)bytes % CELL_BYTES == 0);
  enum err e = header_check(bytes, n);
  if (e != ERR_OK) return e;
  const struct image_header *h = bytes;
  struct zone_line *line;
  struct zone_snap *s;
  struct image_totals totals;
  if (!apex_sound(&h->apex)) return ERR_CORRUPT;
  e = open_line(h, &line);
  if (e != ERR_OK) return e;
  bool sound =
      image_verify(h, line->heap.table, &totals) && totals.record_count == h->record_count && totals.name_count == h->name_count;
  struct snap_parts parts = {h->names, h->nsec3, h->record_count, h->name_count};
  e = sound ? snap_new(line, &parts, &s) : ERR_CORRUPT;
  if (e == ERR_OK && s->serial != h->serial) {
    snap_free(s);
    e = ERR_CORRUPT;
  }
  if (e != ERR_OK) {
    line_free(line);
    return e == ERR_MEMORY ? e : ERR_CORRUPT;
  }
  line->backing = backing;
  line_add(line, s, NULL, &(struct span_list){0}, &(struct span_list){0});
  *out = s;
  return ERR_OK;
}
