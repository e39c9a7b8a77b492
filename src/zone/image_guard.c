/* Reading an image that is not proven yet. The chunk table has no chunks for it, so every step of a reader comes here
 * (trie_priv.h): the blocks that an object lies in are compared with the directory before their first use, and the object is held
 * against the bounds and against what its referrer says of it. That is enough never to leave the bytes and always to come to an
 * end, whoever made them.
 *
 * Meanwhile guard_prove goes through the whole: first all blocks, then the walk of image_verify.c. After that the chunks are put
 * into the table, and nobody comes here any more. Damage makes every object that has it read as empty; readers see that at the end
 * (zone_is_damaged). No lock and no memory of its own: workers run this. */
#include "zone/image_priv.h"
#include "zone/snap_priv.h"

#include "base/hash.h"

#include <stdlib.h>

enum {
  STEP_BLOCKS = 64, /* of one step of the proof: 4 MiB to sum, or so many leaves to walk: about a millisecond */
  STEP_LEAVES = 16384,
};

struct image_guard {
  struct image_header header; /* a copy: the image's own may be lost */
  const uint64_t *sums;
  const uint8_t *cells;
  struct image_walk *walk; /* the writer's; NULL: not begun, or over */
  uint64_t next_block;     /* of the proof */
  _Atomic bool damaged;
  _Atomic uint8_t good[]; /* blocks that were found to be what the directory says */
};

/* What there is where nothing can be read: twigs that are leaves of the first record, and a record without sets. */
static const union {
  struct trie_node twigs[TRIE_SYMBOL_LAST];
  uint64_t cells[(TRIE_SYMBOL_LAST * sizeof(struct trie_node) + CELL_BYTES - 1) / CELL_BYTES];
} nothing;

static _Atomic unsigned damaged_open, damage_found;

unsigned zone_damage(void) {
  return atomic_load_explicit(&damaged_open, memory_order_acquire);
}

unsigned zone_damage_found(void) {
  return atomic_load_explicit(&damage_found, memory_order_acquire);
}

static void note_damage(_Atomic bool *flag) {
  if (atomic_exchange(flag, true)) return;
  atomic_fetch_add(&damaged_open, 1);
  atomic_fetch_add(&damage_found, 1);
}

static void forget_damage(_Atomic bool *flag) {
  if (atomic_exchange(flag, false)) atomic_fetch_sub(&damaged_open, 1);
}

void image_backing_lose(struct image_backing *b) {
  note_damage(&b->lost);
}

void image_backing_done(struct image_backing *b) {
  forget_damage(&b->lost);
}

struct image_guard *guard_new(const struct image_header *h, const uint64_t *sums, const uint8_t *cells) {
  struct image_guard *g = calloc(1, sizeof *g + image_blocks(h->cells));
  if (!g) return NULL;
  g->header = *h;
  g->sums = sums;
  g->cells = cells;
  return g;
}

void guard_free(struct image_guard *g) {
  if (!g) return;
  forget_damage(&g->damaged);
  free(g->walk);
  free(g);
}

bool guard_is_damaged(const struct image_guard *g) {
  return atomic_load_explicit(&g->damaged, memory_order_acquire);
}

const uint8_t *guard_cells(const struct image_guard *g) {
  return g->cells;
}

static bool block_good(struct image_guard *g, uint64_t i) {
  if (atomic_load_explicit(&g->good[i], memory_order_relaxed)) return true;
  uint64_t at = i * IMAGE_BLOCK_CELLS, cells = g->header.cells - at;
  if (cells > IMAGE_BLOCK_CELLS) cells = IMAGE_BLOCK_CELLS;
  if (hash64(g->cells + at * CELL_BYTES, cells * CELL_BYTES, 0) != g->sums[i]) return false;
  atomic_store_explicit(&g->good[i], 1, memory_order_relaxed);
  return true;
}

/* An object's bytes are there, and what was written. */
static bool object_good(struct image_guard *g, uint32_t ref, uint32_t cells) {
  if (!cells || ref >= g->header.cells || cells > g->header.cells - ref) return false;
  uint64_t last = ((uint64_t)ref + cells - 1) / IMAGE_BLOCK_CELLS;
  for (uint64_t i = ref / IMAGE_BLOCK_CELLS; i <= last; i++)
    if (!block_good(g, i)) return false;
  return true;
}

static bool twig_sound(const struct image_guard *g, const struct trie_node *n, unsigned above) {
  uint64_t word = node_word(n);
  if (n->ref >= g->header.cells) return false; /* or its chunk would not even be in the table */
  if (!(word & TRIE_BRANCH)) return word & LEAF_PRESENT && !(word & ~(LEAF_PRESENT | LEAF_CUT | LEAF_DNAME | LEAF_NSEC));
  return !(word & TRIE_UNUSED) && word_twigs(word) >= 2 && word_position(word) > above && word_position(word) < TRIE_DEPTH;
}

const struct trie_node *guard_twigs(struct image_guard *g, const struct trie_node *n) {
  uint64_t word = node_word(n);
  unsigned count = word_twigs(word);
  const struct trie_node *twigs = (const struct trie_node *)(const void *)(g->cells + (size_t)n->ref * CELL_BYTES);
  bool sound = count >= 2 && object_good(g, n->ref, twigs_cells(count));
  for (unsigned i = 0; sound && i < count; i++)
    sound = twig_sound(g, twigs + i, word_position(word));
  if (sound && TRIE_HAS_END(word)) sound = !node_is_branch(twigs);
  if (sound) return twigs;
  note_damage(&g->damaged);
  return nothing.twigs;
}

const struct zone_node *guard_record(struct image_guard *g, const struct trie_node *n) {
  uint64_t rr_count = 0;
  const struct zone_node *r = (const struct zone_node *)(const void *)(g->cells + (size_t)n->ref * CELL_BYTES);
  if (object_good(g, n->ref, 1) && object_good(g, n->ref, r->cells) &&
      image_record_sound(r, g->header.cells - n->ref, &g->header.apex, &rr_count) && node_word(n) == record_leaf_flags(r))
    return r;
  note_damage(&g->damaged);
  return (const struct zone_node *)(const void *)nothing.cells;
}

static bool prove_on(struct image_guard *g, bool *more) {
  uint64_t blocks = image_blocks(g->header.cells);
  *more = true;
  if (g->next_block < blocks) {
    for (unsigned i = 0; i < STEP_BLOCKS && g->next_block < blocks; i++)
      if (!block_good(g, g->next_block++)) return false;
    return true;
  }
  return image_walk_on(g->walk, STEP_LEAVES, more);
}

enum err guard_prove(struct image_guard *g, bool *more) {
  if (!g->walk) {
    g->walk = malloc(sizeof *g->walk);
    if (!g->walk) return ERR_MEMORY;
    image_walk_start(g->walk, &g->header, g->cells);
  }
  if (guard_is_damaged(g) || !prove_on(g, more)) {
    note_damage(&g->damaged);
    *more = false;
    return ERR_CORRUPT;
  }
  if (*more) return ERR_OK;
  free(g->walk);
  g->walk = NULL;
  return ERR_OK;
}
