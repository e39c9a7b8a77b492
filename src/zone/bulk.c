#include "zone/bulk_priv.h"
#include "zone/check.h"
#include "zone/content_priv.h"
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

static enum err reserve(struct bulk *b, size_t n) {
  if (b->capacity - b->count >= n) return ERR_OK;
  size_t capacity = b->capacity ? b->capacity : 16;
  while (capacity - b->count < n)
    capacity *= 2;
  struct bulk_item *items = realloc(b->items, capacity * sizeof *items);
  if (!items) return ERR_MEMORY;
  b->items = items;
  b->capacity = capacity;
  return ERR_OK;
}

enum err bulk_add(struct bulk *b, struct arena *arena, const struct owner_key *owner, const struct draft_item *item) {
  enum err e = reserve(b, 1);
  if (e != ERR_OK) return e;
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

static enum err sort(struct bulk *rows) {
  if (!rows->unsorted) return ERR_OK;
  struct bulk_item *spare = malloc(rows->count * sizeof *spare);
  if (!spare) return ERR_MEMORY;
  sort_from(rows->items, spare, rows->count, 0);
  free(spare);
  rows->unsorted = false;
  return ERR_OK;
}

/* ---- laying out ---- */

/* The layout's objects go into the heap; records are made by the draft first. */
struct bulk_build {
  struct heap *heap;
  struct hashing *const *hashing;
  struct name apex; /* lower case */
  struct bulk open; /* rows of the last owner: more may come */
  struct arena open_rows;
  struct bulk late; /* in the order they came in */
  struct bulk_result result;
  struct draft draft;
  const void *stays; /* a record that is in the heap already, at `stays_ref` */
  uint32_t stays_ref;
  struct layout layout; /* large: left as it is until it is started */
};

static enum err emit_to_heap(void *arg, const void *bytes, uint32_t cells, uint32_t *ref) {
  struct bulk_build *b = arg;
  if (bytes == b->stays) {
    *ref = b->stays_ref;
    return ERR_OK;
  }
  return layout_to_heap(b->heap, bytes, cells, ref);
}

enum err bulk_build_new(struct heap *heap, const struct name *apex, struct hashing *const *hashing, struct bulk_build **out) {
  struct bulk_build *b = malloc(sizeof *b);
  if (!b) return ERR_MEMORY;
  memset(b, 0, offsetof(struct bulk_build, layout)); /* to clear the layout would be most of the work for a small zone */
  b->heap = heap;
  b->hashing = hashing;
  b->apex = *apex;
  name_lower(&b->apex);
  layout_start(&b->layout, emit_to_heap, b);
  *out = b;
  return ERR_OK;
}

void bulk_build_free(struct bulk_build *b) {
  if (!b) return;
  layout_done(&b->layout);
  draft_done(&b->draft);
  bulk_done(&b->open);
  bulk_done(&b->late);
  arena_done(&b->open_rows);
  free(b);
}

static enum err append_rows(struct bulk_build *b, const struct bulk_item *rows, size_t n) {
  enum err e = ERR_OK;
  for (size_t i = 0; e == ERR_OK && i < n; i++) {
    struct bulk_row *r = rows[i].row;
    e = draft_append(&b->draft, &(struct draft_item){row_rdata(r), r->ttl, r->rdata_size, r->type, r->signature});
  }
  return e;
}

/* The record of what is in the draft. */
static enum err make_record(struct bulk_build *b, struct draft_owner owner, const struct zone_node **out) {
  uint8_t hash[NSEC3_HASH_BYTES];
  draft_settle(&b->draft);
  if (b->hashing) owner.hash = draft_hash(&b->draft, *b->hashing, &b->apex, &owner, hash);
  return draft_make(&b->draft, &owner, out);
}

static enum err put_record(struct bulk_build *b, const struct zone_node *record) {
  b->result.record_count += b->draft.count;
  b->result.name_count++;
  b->result.conflicts += zone_cname_conflict(record);
  content_add(&b->result.content, record, &b->apex);
  return layout_leaf(&b->layout, record, record_leaf_flags(record));
}

/* The rows of one owner. */
static enum err put_rows(struct bulk_build *b, const struct bulk_item *rows, size_t n) {
  struct bulk_row *first = rows[0].row;
  const struct zone_node *record;
  draft_clear(&b->draft);
  enum err e = append_rows(b, rows, n);
  if (e == ERR_OK)
    e = make_record(b, (struct draft_owner){first->data, first->key_size, first->labels, row_case(first), NULL}, &record);
  return e == ERR_OK ? put_record(b, record) : e;
}

/* End of the rows of the owner that begins at i. */
static size_t owner_end(const struct bulk *rows, size_t i) {
  size_t end = i + 1;
  for (; end < rows->count && key_compare(rows->items[i].row, rows->items[end].row) == 0; end++)
    fetch_ahead(rows->items, end, rows->count);
  fetch_ahead(rows->items, end, rows->count);
  return end;
}

static enum err open_add(struct bulk_build *b, const struct bulk_item *rows, size_t n) {
  enum err e = reserve(&b->open, n);
  for (size_t i = 0; e == ERR_OK && i < n; i++) {
    struct bulk_row *r = rows[i].row;
    size_t bytes = sizeof *r + (size_t)(row_rdata(r) - r->data) + r->rdata_size;
    struct bulk_row *copy = arena_copy(&b->open_rows, r, bytes);
    if (!copy) e = ERR_MEMORY;
    else b->open.items[b->open.count++].row = copy;
  }
  return e;
}

static enum err open_close(struct bulk_build *b) {
  if (!b->open.count) return ERR_OK;
  enum err e = put_rows(b, b->open.items, b->open.count);
  b->open.count = 0;
  arena_done(&b->open_rows);
  return e;
}

static enum err lay(struct bulk_build *b, const struct bulk *rows) {
  size_t i = 0, end = b->open.count && key_compare(b->open.items[0].row, rows->items[0].row) == 0 ? owner_end(rows, 0) : 0;
  enum err e = end ? open_add(b, rows->items, end) : ERR_OK;
  if (e != ERR_OK || end == rows->count) return e;
  e = open_close(b);
  for (i = end; e == ERR_OK && (end = owner_end(rows, i)) < rows->count; i = end)
    e = put_rows(b, rows->items + i, end - i);
  return e == ERR_OK ? open_add(b, rows->items + i, rows->count - i) : e;
}

enum err bulk_take(struct bulk_build *b, struct bulk *rows, bool *kept) {
  if (!rows->count) return ERR_OK;
  enum err e = b->late.count ? ERR_OK : sort(rows);
  if (e != ERR_OK) return e;
  bool late = b->late.count || (b->open.count && key_compare(b->open.items[0].row, rows->items[0].row) > 0);
  if (!late) return lay(b, rows);
  *kept = true;
  e = reserve(&b->late, rows->count);
  if (e != ERR_OK) return e;
  memcpy(b->late.items + b->late.count, rows->items, rows->count * sizeof *rows->items);
  b->late.count += rows->count;
  b->late.unsorted = true;
  return ERR_OK;
}

/* ---- the end ---- */

static int leaf_order(const struct bulk_row *r, const struct zone_node *record) {
  unsigned size = record_key_size(record), shorter = r->key_size < size ? r->key_size : size;
  int c = shorter ? memcmp(r->data, record_key(record), shorter) : 0;
  return c ? c : (int)r->key_size - (int)size;
}

/* A record that was laid out stays where it is. */
static enum err put_again(struct bulk_build *b, const struct zone_node *record, const struct trie_node *leaf) {
  b->stays = record;
  b->stays_ref = leaf->ref;
  enum err e = layout_leaf(&b->layout, record, node_word(leaf));
  b->stays = NULL;
  return e;
}

/* One that was laid out, and rows of the same owner that came later. */
static enum err put_joined(struct bulk_build *b, const struct zone_node *record, const struct trie_node *leaf,
                           const struct bulk_item *rows, size_t n) {
  const struct zone_node *joined;
  draft_clear(&b->draft);
  enum err e = draft_load(&b->draft, record);
  if (e == ERR_OK) e = append_rows(b, rows, n);
  if (e == ERR_OK) e = make_record(b, record_owner(record), &joined);
  if (e != ERR_OK) return e;
  b->result.record_count -= record_rr_count(record);
  b->result.name_count--;
  b->result.conflicts -= zone_cname_conflict(record);
  content_take(&b->result.content, record, &b->apex);
  e = put_record(b, joined);
  if (e == ERR_OK) heap_free(b->heap, leaf->ref, record->cells);
  return e;
}

static void free_twigs(struct heap *h, const struct trie_node *n) {
  if (!node_is_branch(n)) return;
  unsigned count = word_twigs(node_word(n));
  const struct trie_node *twigs = cell_at(h->table, n->ref);
  for (unsigned i = 0; i < count; i++)
    free_twigs(h, twigs + i);
  heap_free(h, n->ref, twigs_cells(count));
}

/* The late rows among the `laid` leaves, in one pass over both. */
static enum err merge(struct bulk_build *b, const struct trie_node *laid) {
  struct trie_iter *it = malloc(sizeof *it);
  if (!it) return ERR_MEMORY;
  trie_iter_start(it, b->heap->table, laid);
  const struct trie_node *leaf = trie_iter_leaf(it);
  enum err e = ERR_OK;
  for (size_t i = 0; e == ERR_OK && (leaf || i < b->late.count);) {
    const struct zone_node *record = leaf ? node_record(it->table, leaf) : NULL;
    int c = !leaf ? -1 : i == b->late.count ? 1 : leaf_order(b->late.items[i].row, record);
    size_t end = c <= 0 ? owner_end(&b->late, i) : i;
    if (c < 0) e = put_rows(b, b->late.items + i, end - i);
    else if (c > 0) e = put_again(b, record, leaf);
    else e = put_joined(b, record, leaf, b->late.items + i, end - i);
    i = end;
    if (c >= 0) leaf = trie_iter_leaf(it);
  }
  free(it);
  return e;
}

enum err bulk_finish(struct bulk_build *b, struct bulk_result *out) {
  struct trie_node laid;
  enum err e = open_close(b);
  if (e == ERR_OK) e = layout_finish(&b->layout, &laid);
  if (e == ERR_OK && b->late.count) {
    layout_done(&b->layout);
    layout_start(&b->layout, emit_to_heap, b);
    e = sort(&b->late);
    if (e == ERR_OK) e = merge(b, &laid);
    if (e == ERR_OK) e = layout_finish(&b->layout, &b->result.root);
    if (e == ERR_OK) free_twigs(b->heap, &laid);
  } else if (e == ERR_OK) {
    b->result.root = laid;
  }
  if (e == ERR_OK) *out = b->result;
  return e;
}
