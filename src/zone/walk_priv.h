/* The walk down a trie that lookups of zones (lookup.c) and of the set of zones (zone_set.c) share, made for many at a time: each
 * step of a walk ends in a prefetch of what the next one reads, and the steps of a batch take turns.
 *
 * A walk goes to one leaf by looking at one symbol a branch, without comparing anything: the query's own leaf if there is one,
 * otherwise one that shares as much with the query as any. Comparing that leaf's key gives `common`, which decides all. On the
 * way the walk notes the branches with an END twig: as far as their positions go, within `common`, these are the ancestors of
 * the query that are stored. There are at most as many as the leaf's key has labels. */
#ifndef ZONE_WALK_PRIV_H
#define ZONE_WALK_PRIV_H

#include "zone/trie_priv.h"

struct walk {
  uint8_t *const *table;
  const struct trie_node *node; /* looked at next; at the end: the leaf's */
  const uint8_t *key;
  const struct zone_node *leaf;
  uint16_t size;
  uint16_t common;    /* octets of the key that the leaf shares */
  uint16_t end_count; /* ends[0..end_count) */
  const struct trie_node *ends[LIMIT_NAME_LABELS];
};

#define INLINE static inline __attribute__((always_inline))

INLINE void walk_start(struct walk *w, uint8_t *const *table, const struct trie_node *root, const uint8_t *key, size_t size) {
  w->table = table;
  w->node = root;
  w->key = key;
  w->size = (uint16_t)size;
  w->end_count = 0;
}

/* One step; false: the walk has ended. */
INLINE bool walk_step(struct walk *w) {
  const struct trie_node *n = w->node;
  uint64_t word = node_word(n);
  if (!(word & TRIE_BRANCH)) {
    w->leaf = node_record(w->table, n);
    __builtin_prefetch(w->leaf);
    __builtin_prefetch((const uint8_t *)w->leaf + 56); /* most records end in the next line at the latest */
    return false;
  }
  const struct trie_node *twigs = node_twigs(w->table, n);
  if (TRIE_HAS_END(word) && w->end_count < LIMIT_NAME_LABELS) { /* there are never more, but in an image not proven yet */
    w->ends[w->end_count++] = n;
    __builtin_prefetch(twigs);
  }
  unsigned symbol = key_symbol(w->key, w->size, word_position(word));
  n = twigs + twig_or_first(word, symbol);
  __builtin_prefetch(n);
  w->node = n;
  return true;
}

/* All walks to their ends, in lockstep. */
INLINE void walk_all_steps(struct walk *walks, size_t count) {
  struct walk *active[LIMIT_BATCH];
  size_t left = 0;
  for (size_t i = 0; i < count; i++) {
    active[left] = walks + i;
    left += walk_step(walks + i);
  }
  while ((count = left)) {
    left = 0;
    for (size_t i = 0; i < count; i++) {
      struct walk *w = active[i];
      active[left] = w;
      left += walk_step(w);
    }
  }
}

/* At most LIMIT_BATCH of them; with the popcnt instruction where the processor has it. */
void walk_all(struct walk *walks, size_t count);

/* Compares the leaf. True: it is the query's own; then all ends are ancestors of the query or the query itself. */
INLINE bool walk_compare(struct walk *w) {
  unsigned leaf_size = record_key_size(w->leaf);
  w->common = (uint16_t)key_common(w->key, record_key(w->leaf), w->size < leaf_size ? w->size : leaf_size);
  return w->common == w->size && leaf_size == w->size;
}

/* Forgets the ends of keys that are no ancestors of the query nor the query itself. */
INLINE void walk_forget_ends(struct walk *w) {
  unsigned count = w->end_count;
  while (count && word_position(node_word(w->ends[count - 1])) > 2u * w->common)
    count--;
  w->end_count = (uint16_t)count;
}

#endif
