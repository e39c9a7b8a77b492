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
  ROWS_BYTES = 16 * 1024,
};

struct bulk_row {
  uint32_t bytes; /* with all its records */
  uint16_t key_size;
  uint8_t labels;
  bool has_case;
  uint8_t data[]; /* key, case bitmap; then records, each at a multiple of 4 */
};

struct bulk_record {
  uint32_t ttl;
  uint16_t type;
  uint16_t size;
  uint8_t rdata[];
};

static size_t round_up(size_t n) {
  return (n + 3) & ~(size_t)3;
}

static const uint8_t *row_case(const struct bulk_row *r) {
  return r->has_case ? r->data + r->key_size : NULL;
}

/* Of the row without its records. */
static size_t head_bytes(unsigned key_size, bool has_case) {
  return round_up(sizeof(struct bulk_row) + key_size + (has_case ? record_case_bytes(key_size) : 0));
}

static size_t record_bytes(uint16_t rdata_size) {
  return round_up(sizeof(struct bulk_record) + rdata_size);
}

/* The key's bytes from `from` on as a number. Zeros behind the end sort right: no key has 00 00, so an end is before anything. */
static uint64_t key_prefix(const struct bulk_row *r, size_t from) {
  if (from >= r->key_size) return 0;
  size_t left = r->key_size - from;
  uint64_t x = get_u64(r->data + from); /* a record is behind the key */
  return left >= PREFIX_BYTES ? x : x & UINT64_MAX << (64 - 8 * left);
}

static void fetch_ahead(const struct bulk_item *items, size_t i, size_t n) {
  if (i + AHEAD < n) __builtin_prefetch(items[i + AHEAD].row);
}

static int key_compare(const struct bulk_row *a, const struct bulk_row *b) {
  size_t shorter = a->key_size < b->key_size ? a->key_size : b->key_size;
  int c = shorter ? memcmp(a->data, b->data, shorter) : 0;
  return c ? c : (int)a->key_size - (int)b->key_size;
}

/* With prefixes of the same depth. */
static int item_compare(const struct bulk_item *a, const struct bulk_item *b) {
  if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
  return key_compare(a->row, b->row);
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

static bool have_room(struct bulk *b, struct arena *arena, size_t bytes) {
  if ((size_t)(b->end - b->at) >= bytes) return true;
  size_t room = bytes > ROWS_BYTES ? bytes : ROWS_BYTES;
  b->at = arena_alloc(arena, room);
  b->end = b->at ? b->at + room : NULL;
  return b->at;
}

static void add_record(struct bulk *b, struct bulk_row *r, const struct draft_item *item) {
  struct bulk_record *record = (struct bulk_record *)b->at;
  record->ttl = item->ttl;
  record->type = item->signature ? RR_RRSIG : item->type;
  record->size = item->size;
  bytes_copy(record->rdata, item->rdata, item->size);
  size_t bytes = record_bytes(item->size);
  r->bytes += (uint32_t)bytes;
  b->at += bytes;
  b->records++;
  b->cells += CELLS_A_NAME + (r->key_size + bytes) / CELL_BYTES;
}

static struct bulk_row *add_row(struct bulk *b, const struct owner_key *owner) {
  struct bulk_row *r = (struct bulk_row *)b->at;
  *r = (struct bulk_row){.key_size = owner->size, .labels = owner->labels, .has_case = owner->has_case};
  r->bytes = (uint32_t)head_bytes(owner->size, owner->has_case);
  bytes_copy(r->data, owner->key, owner->size);
  if (owner->has_case) memcpy(r->data + owner->size, owner->case_bits, record_case_bytes(owner->size));
  b->at += r->bytes;
  return r;
}

static void note_run(struct bulk *b, size_t start) {
  if (b->run_count < BULK_RUNS_MOST) b->runs[b->run_count] = start;
  b->run_count++;
}

enum err bulk_add(struct bulk *b, struct arena *arena, const struct owner_key *owner, bool again, const struct draft_item *item) {
  size_t bytes = record_bytes(item->size);
  if (again && (size_t)(b->end - b->at) >= bytes) {
    add_record(b, b->items[b->count - 1].row, item);
    return ERR_OK;
  }
  enum err e = reserve(b, 1);
  if (e != ERR_OK) return e;
  if (!have_room(b, arena, head_bytes(owner->size, owner->has_case) + bytes)) return ERR_MEMORY;
  struct bulk_item *new = &b->items[b->count];
  new->row = add_row(b, owner);
  add_record(b, new->row, item);
  new->prefix = key_prefix(new->row, 0);
  if (b->count && item_compare(new - 1, new) > 0) note_run(b, b->count);
  b->count++;
  return ERR_OK;
}

enum err bulk_join(struct bulk *b, struct bulk *rear) {
  if (!rear->count) return ERR_OK;
  enum err e = reserve(b, rear->count);
  if (e != ERR_OK) return e;
  memcpy(b->items + b->count, rear->items, rear->count * sizeof *rear->items);
  if (b->count && item_compare(&b->items[b->count - 1], rear->items) > 0) note_run(b, b->count);
  for (unsigned i = 0; i < rear->run_count; i++)
    note_run(b, i < BULK_RUNS_MOST ? b->count + rear->runs[i] : 0);
  b->count += rear->count;
  b->records += rear->records;
  b->cells += rear->cells;
  b->at = rear->at;
  b->end = rear->end;
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
    for (; j > 0 && item_compare(&items[j - 1], &item) > 0; j--)
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

static void fill_prefixes(struct bulk_item *items, size_t n, size_t depth) {
  for (size_t i = 0; i < n; i++) {
    fetch_ahead(items, i, n);
    items[i].prefix = key_prefix(items[i].row, depth);
  }
}

/* Sorts items whose keys agree in their first `depth` bytes and that have the next 8 as prefix; runs that agree in these as well
 * are sorted by those behind. */
static void sort_from(struct bulk_item *items, struct bulk_item *spare, size_t n, size_t depth) {
  if (n <= SMALL_RUN) {
    insertion_sort(items, n);
    return;
  }
  radix_sort(items, spare, n);
  for (size_t i = 0, end; i < n; i = end) {
    bool more = false; /* otherwise all of the run are the same key */
    for (end = i; end < n && items[end].prefix == items[i].prefix; end++)
      more |= items[end].row->key_size > depth + PREFIX_BYTES;
    if (!more || end - i == 1) continue;
    fill_prefixes(items + i, end - i, depth + PREFIX_BYTES);
    sort_from(items + i, spare, end - i, depth + PREFIX_BYTES);
  }
}

/* Two sorted runs, one behind the other. Of equals those of the first one come first. */
static void merge_two(struct bulk_item *items, size_t middle, size_t n, struct bulk_item *spare) {
  size_t from = 0, high = middle; /* items in front of the second run's first one stay */
  while (from < high) {
    size_t half = from + (high - from) / 2;
    if (item_compare(&items[half], &items[middle]) <= 0) from = half + 1;
    else high = half;
  }
  size_t count = middle - from, i = 0;
  memcpy(spare, items + from, count * sizeof *items);
  for (size_t j = middle; i < count; from++)
    items[from] = j < n && item_compare(&items[j], &spare[i]) < 0 ? items[j++] : spare[i++];
}

/* A run is merged with the one behind it once that is half as long, so short ones are merged with each other first. */
static void merge_runs(struct bulk *b, struct bulk_item *spare) {
  size_t first[BULK_RUNS_MOST + 1];
  unsigned open = 0;
  for (unsigned i = 0; i <= b->run_count; i++) {
    bool last = i == b->run_count;
    size_t end = last ? b->count : b->runs[i];
    first[open++] = i ? b->runs[i - 1] : 0;
    for (; open > 1 && (last || first[open - 1] - first[open - 2] <= 2 * (end - first[open - 1])); open--)
      merge_two(b->items + first[open - 2], first[open - 1] - first[open - 2], end - first[open - 2], spare);
  }
}

/* Files are mostly in order, or in few pieces that are: numbered names are sorted by the number of their digits. */
static enum err sort(struct bulk *rows) {
  if (!rows->run_count) return ERR_OK;
  struct bulk_item *spare = malloc(rows->count * sizeof *spare);
  if (!spare) return ERR_MEMORY;
  if (rows->run_count <= BULK_RUNS_MOST) merge_runs(rows, spare);
  else sort_from(rows->items, spare, rows->count, 0);
  free(spare);
  rows->run_count = 0;
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

static enum err append_row(struct bulk_build *b, const struct bulk_row *r) {
  enum err e = ERR_OK;
  for (size_t at = head_bytes(r->key_size, r->has_case); e == ERR_OK && at < r->bytes;) {
    const struct bulk_record *record = (const struct bulk_record *)((const uint8_t *)r + at);
    struct draft_item item;
    e = draft_item_make(record->type, record->ttl, record->rdata, record->size, &item);
    if (e == ERR_OK) e = draft_append(&b->draft, &item);
    at += record_bytes(record->size);
  }
  return e;
}

static enum err append_rows(struct bulk_build *b, const struct bulk_item *rows, size_t n) {
  enum err e = ERR_OK;
  for (size_t i = 0; e == ERR_OK && i < n; i++)
    e = append_row(b, rows[i].row);
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
  const struct bulk_row *first = rows[0].row;
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
    struct bulk_row *copy = arena_copy(&b->open_rows, rows[i].row, rows[i].row->bytes);
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
  b->late.run_count = UINT_MAX; /* not known */
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
    fill_prefixes(b->late.items, b->late.count, 0);
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
