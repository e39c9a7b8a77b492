#include "zone/bulk_priv.h"
#include "zone/layout_priv.h"

#include <stdlib.h>

enum {
  SMALL_RUN = 24, /* sorted by insertion */
  RADIX = 256,
  PREFIX_BYTES = 8,
  AHEAD = 12,       /* rows fetched before they are looked at: sorted, they lie all over memory */
  CELLS_A_NAME = 9, /* at most: header, set, signatures, twigs and padding, beside key, case bitmap and RDATA */
};

struct bulk_row {
  uint32_t ttl;
  uint16_t type; /* as in struct draft_item */
  uint16_t rdata_size;
  uint16_t key_size;
  uint8_t labels;
  bool signature;
  bool has_case;
  uint8_t data[]; /* key, case bitmap, RDATA */
};

static uint8_t *row_case(struct bulk_row *r) {
  return r->has_case ? r->data + r->key_size : NULL;
}

static uint8_t *row_rdata(struct bulk_row *r) {
  return r->data + r->key_size + (r->has_case ? record_case_bytes(r->key_size) : 0);
}

/* The key's bytes from `from` on as a number. Zeros behind the end sort right: no key has 00 00, so an end is before anything. */
static uint64_t key_prefix(const struct bulk_row *r, size_t from) {
  uint8_t bytes[PREFIX_BYTES] = {0};
  if (from < r->key_size) memcpy(bytes, r->data + from, r->key_size - from < PREFIX_BYTES ? r->key_size - from : PREFIX_BYTES);
  return get_u64(bytes);
}

static void fetch_ahead(const struct bulk_item *items, size_t i, size_t n) {
  if (i + AHEAD < n) __builtin_prefetch(items[i + AHEAD].row);
}

static int key_compare(const struct bulk_row *a, const struct bulk_row *b) {
  size_t shorter = a->key_size < b->key_size ? a->key_size : b->key_size;
  int c = shorter ? memcmp(a->data, b->data, shorter) : 0;
  return c ? c : (int)a->key_size - (int)b->key_size;
}

enum err bulk_add(struct bulk *b, struct arena *arena, const struct owner_key *owner, const struct draft_item *item) {
  if (b->count == b->capacity) {
    size_t capacity = b->capacity ? 2 * b->capacity : 16;
    struct bulk_item *items = realloc(b->items, capacity * sizeof *items);
    if (!items) return ERR_MEMORY;
    b->items = items;
    b->capacity = capacity;
  }
  size_t case_bytes = owner->has_case ? record_case_bytes(owner->size) : 0;
  struct bulk_row *r = arena_alloc(arena, sizeof *r + owner->size + case_bytes + item->size);
  if (!r) return ERR_MEMORY;
  *r = (struct bulk_row){item->ttl, item->type, item->size, owner->size, owner->labels, item->signature, owner->has_case};
  memcpy(r->data, owner->key, owner->size);
  memcpy(r->data + owner->size, owner->case_bits, case_bytes);
  memcpy(row_rdata(r), item->rdata, item->size);
  if (b->count && !b->unsorted) b->unsorted = key_compare(b->items[b->count - 1].row, r) > 0;
  b->items[b->count++].row = r;
  b->cells += CELLS_A_NAME + (owner->size + case_bytes + item->size) / CELL_BYTES;
  return ERR_OK;
}

void bulk_done(struct bulk *b) {
  free(b->items);
  *b = (struct bulk){0};
}

static void insertion_sort(struct bulk_item *items, size_t n) {
  for (size_t i = 1; i < n; i++) {
    struct bulk_item item = items[i];
    size_t j = i;
    for (; j > 0 && (items[j - 1].prefix > item.prefix ||
                     (items[j - 1].prefix == item.prefix && key_compare(items[j - 1].row, item.row) > 0));
         j--)
      items[j] = items[j - 1];
    items[j] = item;
  }
}

/* Sorts by the prefix alone, keeping the order of equals: a radix sort from its last byte on; a byte that all share is skipped.
 * The result is in `items`. */
static void radix_sort(struct bulk_item *items, struct bulk_item *spare, size_t n) {
  struct bulk_item *from = items, *to = spare;
  for (unsigned shift = 0; shift < 8 * PREFIX_BYTES; shift += 8) {
    size_t at[RADIX] = {0};
    for (size_t i = 0; i < n; i++)
      at[from[i].prefix >> shift & (RADIX - 1)]++;
    if (at[from[0].prefix >> shift & (RADIX - 1)] == n) continue;
    size_t sum = 0;
    for (unsigned i = 0; i < RADIX; i++) {
      size_t count = at[i];
      at[i] = sum;
      sum += count;
    }
    for (size_t i = 0; i < n; i++)
      to[at[from[i].prefix >> shift & (RADIX - 1)]++] = from[i];
    struct bulk_item *swap = from;
    from = to;
    to = swap;
  }
  if (from != items) memcpy(items, from, n * sizeof *items);
}

/* Sorts items whose keys agree in their first `depth` bytes; runs that agree in the next 8 as well are sorted by those behind. */
static void sort_from(struct bulk_item *items, struct bulk_item *spare, size_t n, size_t depth) {
  for (size_t i = 0; i < n; i++) {
    fetch_ahead(items, i, n);
    items[i].prefix = key_prefix(items[i].row, depth);
  }
  if (n <= SMALL_RUN) {
    insertion_sort(items, n);
    return;
  }
  radix_sort(items, spare, n);
  for (size_t i = 0, end; i < n; i = end) {
    bool more = false; /* otherwise all of the run are the same key */
    for (end = i; end < n && items[end].prefix == items[i].prefix; end++)
      more |= items[end].row->key_size > depth + PREFIX_BYTES;
    if (more) sort_from(items + i, spare, end - i, depth + PREFIX_BYTES);
  }
}

/* The layout's objects go into the heap; records are made in `scratch` first. */
struct build {
  struct draft draft;
  struct layout layout;
  uint64_t *scratch;
  uint32_t scratch_cells;
};

/* The record of the rows of one owner. */
static enum err build_name(struct build *b, const struct bulk_item *rows, size_t n, uint64_t *record_count) {
  draft_clear(&b->draft);
  for (size_t i = 0; i < n; i++) {
    struct bulk_row *r = rows[i].row;
    struct draft_item item = {row_rdata(r), r->ttl, r->rdata_size, r->type, r->signature};
    enum err e = draft_append(&b->draft, &item);
    if (e != ERR_OK) return e;
  }
  draft_settle(&b->draft);
  struct bulk_row *first = rows[0].row;
  uint32_t cells;
  enum err e = draft_measure(&b->draft, first->key_size, first->has_case, &cells);
  if (e != ERR_OK) return e;
  if (cells > b->scratch_cells) {
    uint64_t *scratch = realloc(b->scratch, (size_t)cells * CELL_BYTES);
    if (!scratch) return ERR_MEMORY;
    b->scratch = scratch;
    b->scratch_cells = cells;
  }
  draft_write(&b->draft, first->data, first->key_size, first->labels, row_case(first), cells, b->scratch);
  *record_count += b->draft.count;
  const struct zone_node *record = (const struct zone_node *)b->scratch;
  return layout_leaf(&b->layout, record, record_leaf_flags(record));
}

static enum err build_all(struct build *b, const struct bulk *bulk, struct bulk_result *out) {
  struct bulk_result result = {0};
  for (size_t i = 0, end; i < bulk->count; i = end) {
    for (end = i + 1; end < bulk->count && key_compare(bulk->items[i].row, bulk->items[end].row) == 0; end++)
      fetch_ahead(bulk->items, end, bulk->count);
    fetch_ahead(bulk->items, end, bulk->count);
    enum err e = build_name(b, bulk->items + i, end - i, &result.record_count);
    if (e != ERR_OK) return e;
    result.name_count++;
  }
  enum err e = layout_finish(&b->layout, &result.root);
  if (e == ERR_OK) *out = result;
  return e;
}

enum err bulk_build(struct bulk *bulk, struct heap *heap, struct bulk_result *out) {
  if (bulk->unsorted) {
    struct bulk_item *spare = malloc(bulk->count * sizeof *spare);
    if (!spare) return ERR_MEMORY;
    sort_from(bulk->items, spare, bulk->count, 0);
    free(spare);
  }
  struct build *b = malloc(sizeof *b);
  if (!b) return ERR_MEMORY;
  b->draft = (struct draft){0}; /* one by one: to clear the layout would be most of the work for a small zone */
  b->scratch = NULL;
  b->scratch_cells = 0;
  layout_start(&b->layout, layout_to_heap, heap);
  enum err e = build_all(b, bulk, out);
  layout_done(&b->layout);
  draft_done(&b->draft);
  free(b->scratch);
  free(b);
  return e;
}
