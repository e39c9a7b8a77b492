/* The heap of a zone: cells of 8 bytes named by 32-bit references, in chunks of at most 1 MiB behind a chunk table.
 *
 *   ref  [ chunk number : 15 | cell : 17 ]      table[chunk] + cell * 8 = address
 *
 *   table  -> [ image chunks, mapped, read-only | RAM chunks, each at most as large as half of all before it ]
 *
 * A chunk is memory or part of a mapped image without a reader knowing. A small zone has one chunk of just its size; an
 * object of more than a chunk takes consecutive numbers over one allocation. Cells are handed out by one writer; freed ones
 * go to bins by size, in a small heap to one list, and are used again: whoever frees knows that no reader is left (reclaim.c). A
 * reader never looks into this struct: a snapshot carries the table's address, and a table that is outgrown lives as long as the
 * heap. */
#ifndef ZONE_HEAP_PRIV_H
#define ZONE_HEAP_PRIV_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
  CELL_BYTES = 8,
  CHUNK_BITS = 17,
  CHUNK_CELLS = 1 << CHUNK_BITS,
  CHUNK_BYTES = CHUNK_CELLS * CELL_BYTES,
  CHUNKS_MAX = 1 << (32 - CHUNK_BITS),
  NEAR_CHUNKS = 2, /* tables of this size are kept inside the structs that need them */
};

struct span { /* an object: where it is and its size */
  uint32_t ref;
  uint32_t cells;
};

struct span_list {
  struct span *items;
  size_t count;
  size_t capacity;
};

/* Makes room for n more, so that span_list_add can't fail. */
bool span_list_reserve(struct span_list *l, size_t n);
void span_list_add(struct span_list *l, uint32_t ref, uint32_t cells);
void span_list_done(struct span_list *l);

struct heap_bins;
struct heap_table;
struct image_guard;

struct heap {
  uint8_t **table;
  uint32_t *chunk_cells; /* size of each; 0: no chunk, or goes on from the one before */
  uint32_t chunk_count;
  uint32_t capacity;
  uint32_t image_chunks; /* the first ones, read-only */
  uint32_t fresh_ref;    /* never used rest of the newest chunk */
  uint32_t fresh_cells;
  struct heap_bins *bins;    /* NULL: a small heap's, so far, */
  uint32_t few;              /* whose free blocks are a list */
  struct heap_table *tables; /* all that were ever allocated */
  struct image_guard *guard; /* of the image in front, NULL: it was proven when it was opened, or there is none */
  _Atomic size_t bytes;      /* of all chunks */
  uint64_t bin_cells;        /* free ones in the bins: the writer's to know */
  uint8_t *near_table[NEAR_CHUNKS];
  uint32_t near_cells[NEAR_CHUNKS];
};

void heap_init(struct heap *h);
/* Puts `cells` cells of a mapped image in front; only into an empty heap. With a guard they are reached through it only, until
 * heap_open_image. */
MUST_CHECK enum err heap_map(struct heap *h, const uint8_t *bytes, uint64_t cells, struct image_guard *guard);
/* All that the guard kept is sound: from now on its cells are read like others. Readers may look on. */
void heap_open_image(struct heap *h, const uint8_t *bytes);
void heap_done(struct heap *h);

/* NULL when out of memory or references. Not zeroed. */
void *heap_alloc(struct heap *h, uint32_t cells, uint32_t *ref);
/* Makes sure that the next objects, of `cells` cells in all, lie in one chunk if they fit. A hint: nothing may fail. */
void heap_expect(struct heap *h, uint64_t cells);
/* For cells that nobody reads any more. Those of an image are only let go. */
void heap_free(struct heap *h, uint32_t ref, uint32_t cells);
/* Gives back what a heap of a single chunk did not use of it. Moves the chunk: only before anybody holds an address. */
void heap_trim(struct heap *h);

/* NULL: a chunk of an image that is not proven yet (image_guard.c). */
static inline uint8_t *chunk_at(uint8_t *const *table, uint32_t ref) {
  return __atomic_load_n(table + (ref >> CHUNK_BITS), __ATOMIC_RELAXED);
}

static inline void *cell_in(uint8_t *chunk, uint32_t ref) {
  return chunk + (size_t)(ref & (CHUNK_CELLS - 1)) * CELL_BYTES;
}

/* In a chunk that is there. */
static inline void *cell_at(uint8_t *const *table, uint32_t ref) {
  return cell_in(chunk_at(table, ref), ref);
}

/* Whose image has the chunks that are not there: stands right before the table. */
static inline struct image_guard *table_guard(uint8_t *const *table) {
  struct image_guard *guard;
  memcpy(&guard, table - 1, sizeof guard);
  return guard;
}

#endif
