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

struct bulk_run { /* leaves in order, of records that are in the heap */
  struct trie_node *leaves;
  size_t count, capacity;
  size_t at; /* the next one to be merged */
};

struct bulk_build {
  struct heap *heap;
  struct hashing *const *hashing;
  struct name apex; /* lower case */
  struct bulk open; /* rows of the last owner: more may come */
  struct arena open_rows;
  struct bulk_run *runs; /* as they came; none: all was in order so far, and is in the layout */
  size_t run_count;
  struct bulk_result result;
  struct draft draft;
  const struct zone_node *record; /* that is being laid out, and its reference */
  uint32_t ref;
  struct layout layout; /* large: left as it is until it is started */
};

/* Records are in the heap already. */
static enum err emit_to_heap(void *arg, const void *bytes, uint32_t cells, uint32_t *ref) {
  struct bulk_build *b = arg;
  if (bytes == b->record) {
    *ref = b->ref;
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
  name_copy(&b->apex, apex);
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
  arena_done(&b->open_rows);
  for (size_t i = 0; i < b->run_count; i++)
    free(b->runs[i].leaves);
  free(b->runs);
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

/* The record of what is in the draft, in the heap. */
static enum err make_record(struct bulk_build *b, struct draft_owner owner, struct trie_node *leaf) {
  uint8_t hash[NSEC3_HASH_BYTES];
  uint32_t cells, ref;
  draft_settle(&b->draft);
  if (b->hashing) owner.hash = draft_hash(&b->draft, *b->hashing, &b->apex, &owner, hash);
  enum err e = draft_measure(&b->draft, &owner, &cells);
  if (e != ERR_OK) return e;
  struct zone_node *record = heap_alloc(b->heap, cells, &ref);
  if (!record) return ERR_MEMORY;
  draft_write(&b->draft, &owner, cells, record);
  b->result.record_count += b->draft.count;
  b->result.name_count++;
  b->result.conflicts += zone_cname_conflict(record);
  content_add(&b->result.content, record, &b->apex);
  *leaf = node_make(record_leaf_flags(record), ref);
  return ERR_OK;
}

static enum err run_add(struct bulk_run *run, struct trie_node leaf) {
  if (run->count == run->capacity) {
    size_t capacity = run->capacity ? 2 * run->capacity : 1024;
    struct trie_node *leaves = realloc(run->leaves, capacity * sizeof *leaves);
    if (!leaves) return ERR_MEMORY;
    run->leaves = leaves;
    run->capacity = capacity;
  }
  run->leaves[run->count++] = leaf;
  return ERR_OK;
}

static const struct zone_node *record_of(const struct bulk_build *b, const struct trie_node *leaf) {
  return cell_at(b->heap->table, leaf->ref);
}

static enum err put_leaf(struct bulk_build *b, const struct trie_node *leaf) {
  b->record = record_of(b, leaf);
  b->ref = leaf->ref;
  return layout_leaf(&b->layout, b->record, node_word(leaf));
}

/* The rows of one owner. */
static enum err put_rows(struct bulk_build *b, const struct bulk_item *rows, size_t n) {
  const struct bulk_row *first = rows[0].row;
  struct trie_node leaf;
  draft_clear(&b->draft);
  enum err e = append_rows(b, rows, n);
  if (e == ERR_OK)
    e = make_record(b, (struct draft_owner){first->data, first->key_size, first->labels, row_case(first), NULL}, &leaf);
  if (e != ERR_OK) return e;
  return b->run_count ? run_add(b->runs + b->run_count - 1, leaf) : put_leaf(b, &leaf);
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

/* ---- runs ---- */

static enum err add_run(struct bulk_build *b) {
  if (!(b->run_count & (b->run_count - 1))) { /* a power of two: full */
    struct bulk_run *runs = realloc(b->runs, (b->run_count ? 2 * b->run_count : 1) * sizeof *runs);
    if (!runs) return ERR_MEMORY;
    b->runs = runs;
  }
  b->runs[b->run_count++] = (struct bulk_run){0};
  return ERR_OK;
}

/* The twigs above them go. */
static enum err take_leaves(struct bulk_build *b, const struct trie_node *n) {
  if (!node_is_branch(n)) return run_add(b->runs, *n);
  unsigned count = word_twigs(node_word(n));
  const struct trie_node *twigs = cell_at(b->heap->table, n->ref);
  enum err e = ERR_OK;
  for (unsigned i = 0; e == ERR_OK && i < count; i++)
    e = take_leaves(b, twigs + i);
  heap_free(b->heap, n->ref, twigs_cells(count));
  return e;
}

/* What comes next does not follow what came before. What was laid out, if that goes for the first time, is a run then as well. */
static enum err next_run(struct bulk_build *b) {
  struct trie_node laid;
  enum err e = open_close(b);
  if (e == ERR_OK && !b->run_count) {
    e = layout_finish(&b->layout, &laid);
    if (e == ERR_OK) e = add_run(b);
    if (e == ERR_OK) e = take_leaves(b, &laid);
  }
  return e == ERR_OK ? add_run(b) : e;
}

enum err bulk_take(struct bulk_build *b, struct bulk *rows) {
  if (!rows->count) return ERR_OK;
  enum err e = sort(rows);
  if (e == ERR_OK && b->open.count && key_compare(b->open.items[0].row, rows->items[0].row) > 0) e = next_run(b);
  return e == ERR_OK ? lay(b, rows) : e;
}

/* ---- the end: runs are merged, the records stay where they are ---- */

static int leaf_order(const struct bulk_build *b, const struct trie_node *x, const struct trie_node *y) {
  return record_key_order(record_of(b, x), record_of(b, y));
}

/* By their next leaves, and of the same owner the one that came first. */
static bool goes_before(const struct bulk_build *b, const struct bulk_run *x, const struct bulk_run *y) {
  int c = leaf_order(b, x->leaves + x->at, y->leaves + y->at);
  return c < 0 || (c == 0 && x < y);
}

/* Of a heap of runs the one at `i` goes down to its place. */
static void sink(const struct bulk_build *b, struct bulk_run **heap, size_t n, size_t i) {
  for (size_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && goes_before(b, heap[child + 1], heap[child])) child++;
    if (!goes_before(b, heap[child], heap[i])) return;
    struct bulk_run *swap = heap[i];
    heap[i] = heap[child];
    heap[child] = swap;
  }
}

static struct trie_node take_leaf(const struct bulk_build *b, struct bulk_run **heap, size_t *n) {
  struct bulk_run *run = heap[0];
  struct trie_node leaf = run->leaves[run->at++];
  if (run->at + AHEAD < run->count) __builtin_prefetch(record_of(b, run->leaves + run->at + AHEAD));
  if (run->at == run->count) heap[0] = heap[--*n];
  sink(b, heap, *n, 0);
  return leaf;
}

static void drop_record(struct bulk_build *b, const struct trie_node *leaf) {
  const struct zone_node *record = record_of(b, leaf);
  b->result.record_count -= record_rr_count(record);
  b->result.name_count--;
  b->result.conflicts -= zone_cname_conflict(record);
  content_take(&b->result.content, record, &b->apex);
  heap_free(b->heap, leaf->ref, record->cells);
}

/* Two records of one owner: `leaf` becomes that of both, as the first one that came has its name. */
static enum err join(struct bulk_build *b, struct trie_node *leaf, struct trie_node other) {
  const struct zone_node *first = record_of(b, leaf);
  struct trie_node joined;
  draft_clear(&b->draft);
  enum err e = draft_load(&b->draft, first);
  if (e == ERR_OK) e = draft_load(&b->draft, record_of(b, &other));
  if (e == ERR_OK) e = make_record(b, record_owner(first), &joined);
  if (e != ERR_OK) return e;
  drop_record(b, leaf);
  drop_record(b, &other);
  *leaf = joined;
  return ERR_OK;
}

static enum err merge(struct bulk_build *b) {
  size_t n = b->run_count;
  struct bulk_run **heap = malloc(n * sizeof *heap);
  if (!heap) return ERR_MEMORY;
  for (size_t i = 0; i < n; i++)
    heap[i] = b->runs + i;
  for (size_t i = n / 2; i > 0; i--)
    sink(b, heap, n, i - 1);
  enum err e = ERR_OK;
  while (e == ERR_OK && n) {
    const struct bulk_run *run = heap[0]; /* in which no owner is twice */
    struct trie_node leaf = take_leaf(b, heap, &n);
    while (e == ERR_OK && n && heap[0] != run && leaf_order(b, &leaf, heap[0]->leaves + heap[0]->at) == 0)
      e = join(b, &leaf, take_leaf(b, heap, &n));
    if (e == ERR_OK) e = put_leaf(b, &leaf);
  }
  free(heap);
  return e;
}

enum err bulk_finish(struct bulk_build *b, struct bulk_result *out) {
  enum err e = open_close(b);
  if (e == ERR_OK && b->run_count) e = merge(b);
  if (e == ERR_OK) e = layout_finish(&b->layout, &b->result.root);
  if (e == ERR_OK) *out = b->result;
  return e;
}
