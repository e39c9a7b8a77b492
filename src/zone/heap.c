#include "base/pool.h"
#include "zone/heap_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Under AddressSanitizer free cells are poisoned, so that a reference that outlived its object is found by every test. */
#if defined(__SANITIZE_ADDRESS__)
#define HEAP_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_POISON 1
#endif
#endif
#ifdef HEAP_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

enum {
  EXACT_BINS = 128,               /* bin i holds blocks of i + 1 cells */
  BINS = EXACT_BINS + CHUNK_BITS, /* then one for each power of two */
  BIN_WORDS = (BINS + 63) / 64,
  BIN_TRIES = 8,    /* blocks looked at in a bin of mixed sizes */
  FEW_BYTES = 8192, /* a heap up to this size has one list of free blocks in place of bins */
  FIRST_CHUNK_CELLS = 128,
  NEXT_CHUNK_CELLS = 32,
  ALIGNED_CHUNK_BYTES = 64 * 1024, /* chunks from this size on start at a cache line */
  CACHE_LINE_BYTES = 64,
};

#define NO_REF UINT32_MAX

struct heap_bins {
  uint64_t filled[BIN_WORDS]; /* bit i: bin i is not empty */
  uint32_t head[BINS];
};

struct free_block { /* what a free block's first cell holds */
  uint32_t next;
  uint32_t cells;
};

struct heap_table {
  struct heap_table *older;
  struct image_guard *guard; /* right before the chunks: table_guard */
  uint8_t *chunk[];
};

bool span_list_reserve(struct span_list *l, size_t n) {
  if (l->capacity - l->count >= n) return true;
  size_t capacity = l->capacity ? 2 * l->capacity : 16;
  while (capacity - l->count < n)
    capacity *= 2;
  struct span *items = realloc(l->items, capacity * sizeof *items);
  if (!items) return false;
  l->items = items;
  l->capacity = capacity;
  return true;
}

void span_list_add(struct span_list *l, uint32_t ref, uint32_t cells) {
  assert(l->count < l->capacity);
  l->items[l->count++] = (struct span){ref, cells};
}

void span_list_done(struct span_list *l) {
  free(l->items);
  *l = (struct span_list){0};
}

void heap_init(struct heap *h) {
  *h = (struct heap){0};
  h->table = h->near_table;
  h->chunk_cells = h->near_cells;
  h->capacity = NEAR_CHUNKS;
  h->few = NO_REF;
}

/* Of a hundred thousand small zones each has one small chunk: such chunks stand close together. */
static uint8_t *memory_take(size_t bytes) {
  if (bytes <= POOL_SMALL_BYTES) return pool_take_sized(bytes);
  if (bytes < ALIGNED_CHUNK_BYTES) return malloc(bytes);
  if (bytes > SIZE_MAX - CACHE_LINE_BYTES) return NULL;
  return aligned_alloc(CACHE_LINE_BYTES, (bytes + CACHE_LINE_BYTES - 1) & ~(size_t)(CACHE_LINE_BYTES - 1));
}

static void memory_give(uint8_t *memory, size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
  if (bytes <= POOL_SMALL_BYTES) pool_give_sized(memory, bytes);
  else free(memory);
}

/* NULL: out of memory, and it stays as it is. */
static uint8_t *memory_shorten(uint8_t *memory, size_t bytes, size_t wanted) {
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
  if (wanted > POOL_SMALL_BYTES) return realloc(memory, wanted);
  uint8_t *shorter = memory_take(wanted);
  if (!shorter) return NULL;
  memcpy(shorter, memory, wanted);
  memory_give(memory, bytes);
  return shorter;
}

void heap_done(struct heap *h) {
  for (uint32_t i = h->image_chunks; i < h->chunk_count; i++)
    if (h->chunk_cells[i]) memory_give(h->table[i], (size_t)h->chunk_cells[i] * CELL_BYTES);
  for (struct heap_table *t = h->tables, *older; t; t = older) {
    older = t->older;
    free(t);
  }
  if (h->chunk_cells != h->near_cells) free(h->chunk_cells);
  free(h->bins);
  heap_init(h);
}

/* A table with room for n chunks. The old one stays: snapshots read it. */
static bool table_grow(struct heap *h, uint32_t n) {
  if (n <= h->capacity) return true;
  if (n > CHUNKS_MAX) return false;
  uint32_t capacity = h->capacity;
  while (capacity < n)
    capacity *= 2;
  uint32_t *cells = malloc(capacity * sizeof *cells);
  struct heap_table *t = malloc(sizeof *t + capacity * sizeof *t->chunk);
  if (!cells || !t) {
    free(cells);
    free(t);
    return false;
  }
  memcpy(cells, h->chunk_cells, h->chunk_count * sizeof *cells);
  memcpy(t->chunk, h->table, h->chunk_count * sizeof *t->chunk);
  if (h->chunk_cells != h->near_cells) free(h->chunk_cells);
  t->older = h->tables;
  t->guard = h->guard;
  h->tables = t;
  h->table = t->chunk;
  h->chunk_cells = cells;
  h->capacity = capacity;
  return true;
}

static void bytes_add(struct heap *h, size_t n) {
  atomic_fetch_add_explicit(&h->bytes, n, memory_order_relaxed);
}

static uint8_t *image_chunk(const uint8_t *bytes, uint32_t i) {
  return (uint8_t *)(uintptr_t)bytes + (size_t)i * CHUNK_BYTES; /* never written: heap_free keeps off */
}

enum err heap_map(struct heap *h, const uint8_t *bytes, uint64_t cells, struct image_guard *guard) {
  assert(h->chunk_count == 0);
  uint64_t chunks = (cells + CHUNK_CELLS - 1) / CHUNK_CELLS;
  if (chunks > CHUNKS_MAX) return ERR_LIMIT;
  h->guard = guard;
  /* The table in the struct has no place for a guard. */
  if (!table_grow(h, guard && chunks <= NEAR_CHUNKS ? NEAR_CHUNKS + 1 : (uint32_t)chunks)) return ERR_MEMORY;
  for (uint32_t i = 0; i < chunks; i++) {
    h->table[i] = guard ? NULL : image_chunk(bytes, i);
    h->chunk_cells[i] = i + 1 < chunks ? CHUNK_CELLS : (uint32_t)(cells - (uint64_t)i * CHUNK_CELLS);
  }
  h->chunk_count = h->image_chunks = (uint32_t)chunks;
  bytes_add(h, cells * CELL_BYTES);
  return ERR_OK;
}

void heap_open_image(struct heap *h, const uint8_t *bytes) {
  for (struct heap_table *t = h->tables; t; t = t->older)
    for (uint32_t i = 0; i < h->image_chunks; i++)
      __atomic_store_n(t->chunk + i, image_chunk(bytes, i), __ATOMIC_RELEASE);
  h->guard = NULL; /* tables to come need none */
}

/* The first of n free chunk numbers in a row: given back by an object larger than a chunk, or new ones. */
static bool numbers_take(struct heap *h, uint32_t n, uint32_t *first) {
  for (uint32_t i = h->image_chunks, run = 0; i < h->chunk_count; i++) {
    run = h->table[i] ? 0 : run + 1;
    if (run == n) {
      *first = i + 1 - n;
      return true;
    }
  }
  if (n > CHUNKS_MAX - h->chunk_count || !table_grow(h, h->chunk_count + n)) return false;
  *first = h->chunk_count;
  for (uint32_t i = 0; i < n; i++) {
    h->table[h->chunk_count] = NULL;
    h->chunk_cells[h->chunk_count++] = 0;
  }
  return true;
}

static uint8_t *chunk_new(struct heap *h, uint64_t cells, uint32_t *first) {
  uint32_t n = (uint32_t)((cells + CHUNK_CELLS - 1) / CHUNK_CELLS);
  size_t bytes = (size_t)cells * CELL_BYTES;
  uint8_t *memory = memory_take(bytes);
  if (!memory) return NULL;
  if (!numbers_take(h, n, first)) {
    memory_give(memory, bytes);
    return NULL;
  }
  for (uint32_t i = 0; i < n; i++) {
    h->table[*first + i] = memory + (size_t)i * CHUNK_BYTES;
    h->chunk_cells[*first + i] = i ? 0 : (uint32_t)cells;
  }
  bytes_add(h, bytes);
  ASAN_POISON_MEMORY_REGION(memory, bytes);
  return memory;
}

static unsigned bin_of(uint32_t cells) {
  if (cells <= EXACT_BINS) return cells - 1;
  return EXACT_BINS - 1 + (31 - (unsigned)__builtin_clz(cells));
}

static struct free_block *block_at(struct heap *h, uint32_t ref) {
  struct free_block *b = cell_at(h->table, ref);
  ASAN_UNPOISON_MEMORY_REGION(b, sizeof *b);
  return b;
}

static struct free_block block_read(struct heap *h, uint32_t ref) {
  struct free_block *at = block_at(h, ref), b = *at;
  ASAN_POISON_MEMORY_REGION(at, sizeof *at);
  return b;
}

static void block_write(struct heap *h, uint32_t ref, struct free_block b) {
  struct free_block *at = block_at(h, ref);
  *at = b;
  ASAN_POISON_MEMORY_REGION(at, sizeof *at);
}

static void bin_add(struct heap *h, uint32_t ref, uint32_t cells) {
  unsigned bin = bin_of(cells);
  block_write(h, ref, (struct free_block){h->bins->head[bin], cells});
  h->bins->head[bin] = ref;
  h->bins->filled[bin / 64] |= UINT64_C(1) << (bin % 64);
}

/* The heap has grown: its few blocks go to bins. Out of memory: they stay where they are. */
static void bins_make(struct heap *h) {
  h->bins = malloc(sizeof *h->bins);
  if (!h->bins) return;
  memset(h->bins->filled, 0, sizeof h->bins->filled);
  memset(h->bins->head, 0xff, sizeof h->bins->head); /* NO_REF */
  while (h->few != NO_REF) {
    uint32_t ref = h->few;
    struct free_block b = block_read(h, ref);
    h->few = b.next;
    bin_add(h, ref, b.cells);
  }
}

static void bin_put(struct heap *h, uint32_t ref, uint32_t cells) {
  if (!h->bins && atomic_load_explicit(&h->bytes, memory_order_relaxed) > FEW_BYTES) bins_make(h);
  h->bin_cells += cells;
  ASAN_POISON_MEMORY_REGION(cell_at(h->table, ref), (size_t)cells * CELL_BYTES);
  if (h->bins) {
    bin_add(h, ref, cells);
    return;
  }
  block_write(h, ref, (struct free_block){h->few, cells});
  h->few = ref;
}

/* Takes the one that fits best out of a small heap's list, of those with at most `most` cells; the rest goes back. */
static bool few_take(struct heap *h, uint32_t cells, uint32_t most, uint32_t *ref) {
  uint32_t best = NO_REF, best_before = NO_REF, before = NO_REF;
  struct free_block found = {0}, b;
  for (uint32_t at = h->few; at != NO_REF && found.cells != cells; before = at, at = b.next) {
    b = block_read(h, at);
    if (b.cells < cells || b.cells > most || (best != NO_REF && b.cells >= found.cells)) continue;
    found = b;
    best = at;
    best_before = before;
  }
  if (best == NO_REF) return false;
  if (best_before == NO_REF) h->few = found.next;
  else block_write(h, best_before, (struct free_block){found.next, block_read(h, best_before).cells});
  h->bin_cells -= found.cells;
  if (found.cells > cells) bin_put(h, best + cells, found.cells - cells);
  *ref = best;
  return true;
}

/* Takes a block of at least `cells` out of a bin; the rest goes back to where it belongs. */
static bool bin_take(struct heap *h, unsigned bin, uint32_t cells, uint32_t *ref) {
  uint32_t *link = &h->bins->head[bin];
  struct free_block *before = NULL;
  for (unsigned i = 0; *link != NO_REF && i < BIN_TRIES; i++) {
    uint32_t at = *link;
    struct free_block *b = block_at(h, at);
    struct free_block found = *b;
    if (found.cells >= cells) {
      *link = found.next;
      h->bin_cells -= found.cells;
      if (found.next != NO_REF) __builtin_prefetch(cell_at(h->table, found.next), 1); /* the next one of this size */
      if (before) ASAN_POISON_MEMORY_REGION(before, sizeof *before);
      if (h->bins->head[bin] == NO_REF) h->bins->filled[bin / 64] &= ~(UINT64_C(1) << (bin % 64));
      if (found.cells > cells) bin_put(h, at + cells, found.cells - cells);
      *ref = at;
      return true;
    }
    if (before) ASAN_POISON_MEMORY_REGION(before, sizeof *before);
    before = b;
    link = &b->next;
  }
  if (before) ASAN_POISON_MEMORY_REGION(before, sizeof *before);
  return false;
}

/* A block out of a bin of larger ones: before a new chunk is made, not before fresh cells are used. */
static bool bins_split(struct heap *h, uint32_t cells, uint32_t *ref) {
  if (!h->bins) return few_take(h, cells, UINT32_MAX, ref);
  for (unsigned bin = bin_of(cells) + 1; bin < BINS; bin++) {
    uint64_t rest = h->bins->filled[bin / 64] >> (bin % 64);
    if (!rest) {
      bin |= 63;
      continue;
    }
    bin += (unsigned)__builtin_ctzll(rest);
    if (bin_take(h, bin, cells, ref)) return true;
  }
  return false;
}

static bool fresh_chunk(struct heap *h, uint32_t cells) {
  if (h->fresh_cells) bin_put(h, h->fresh_ref, h->fresh_cells);
  h->fresh_cells = 0;
  uint32_t first;
  if (!chunk_new(h, cells, &first)) return false;
  h->fresh_ref = first << CHUNK_BITS;
  h->fresh_cells = cells;
  return true;
}

/* New chunks grow with the heap, so that a small zone stays small and a large one has few chunks. */
static uint32_t next_chunk_cells(const struct heap *h, uint32_t cells) {
  uint64_t half = atomic_load_explicit(&h->bytes, memory_order_relaxed) / CELL_BYTES / 2,
           least = half ? NEXT_CHUNK_CELLS : FIRST_CHUNK_CELLS;
  if (half < least) half = least;
  if (half < cells) half = cells;
  return half < CHUNK_CELLS ? (uint32_t)half : CHUNK_CELLS;
}

void *heap_alloc(struct heap *h, uint32_t cells, uint32_t *ref) {
  assert(cells);
  if (cells > CHUNK_CELLS) {
    uint32_t first;
    uint8_t *memory = chunk_new(h, cells, &first);
    if (!memory) return NULL;
    *ref = first << CHUNK_BITS;
    ASAN_UNPOISON_MEMORY_REGION(memory, (size_t)cells * CELL_BYTES);
    return memory;
  }
  unsigned bin = bin_of(cells);
  bool kept = h->bins ? h->bins->head[bin] != NO_REF && bin_take(h, bin, cells, ref) : few_take(h, cells, cells, ref);
  if (!kept && (h->fresh_cells >= cells || !bins_split(h, cells, ref))) {
    if (h->fresh_cells < cells && !fresh_chunk(h, next_chunk_cells(h, cells))) return NULL;
    *ref = h->fresh_ref;
    h->fresh_ref += cells;
    h->fresh_cells -= cells;
  }
  void *at = cell_at(h->table, *ref);
  ASAN_UNPOISON_MEMORY_REGION(at, (size_t)cells * CELL_BYTES);
  return at;
}

void heap_expect(struct heap *h, uint64_t cells) {
  if (cells > h->fresh_cells) (void)fresh_chunk(h, cells < CHUNK_CELLS ? (uint32_t)cells : CHUNK_CELLS);
}

void heap_free(struct heap *h, uint32_t ref, uint32_t cells) {
  uint32_t chunk = ref >> CHUNK_BITS;
  if (chunk < h->image_chunks) return;
  if (cells <= CHUNK_CELLS) {
    bin_put(h, ref, cells);
    return;
  }
  memory_give(h->table[chunk], (size_t)cells * CELL_BYTES);
  atomic_fetch_sub_explicit(&h->bytes, (size_t)cells * CELL_BYTES, memory_order_relaxed);
  for (uint32_t i = 0; i < (cells + CHUNK_CELLS - 1) / CHUNK_CELLS; i++) {
    h->table[chunk + i] = NULL;
    h->chunk_cells[chunk + i] = 0;
  }
}

void heap_trim(struct heap *h) {
  if (h->chunk_count != 1 || h->image_chunks || h->bin_cells) return;
  uint32_t used = h->chunk_cells[0] - h->fresh_cells;
  if (!used || !h->fresh_cells) return;
  uint8_t *memory = memory_shorten(h->table[0], (size_t)h->chunk_cells[0] * CELL_BYTES, (size_t)used * CELL_BYTES);
  if (!memory) return;
  atomic_fetch_sub_explicit(&h->bytes, (size_t)h->fresh_cells * CELL_BYTES, memory_order_relaxed);
  h->table[0] = memory;
  h->chunk_cells[0] = used;
  h->fresh_cells = 0;
}
