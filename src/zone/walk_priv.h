/* The walk down a trie that lookups of zones (lookup.c) and of the set of zones (zone_set.c) share, made for many at a time: each
 * step of a walk ends in a prefetch of what the next one reads, and the steps of a batch take turns.
 *
 * A walk goes to one leaf by looking at one symbol a branch, without comparing anything: the query's own leaf if there is one,
 * otherwise one that shares as much with the query as any. Comparing that leaf's key gives `common`, which decides all. On the
 * way the walk notes, for each label boundary of the query (0, behind the first label, ...), the first node at or beyond it:
 * every key below that node agrees up to there if any does. */
#ifndef ZONE_WALK_PRIV_H
#define ZONE_WALK_PRIV_H

#include "zone/trie_priv.h"

struct walk {
  uint8_t *const *table;
  const struct trie_node *node; /* looked at next */
  const struct trie_node *end;  /* END twig of a stored ancestor (if the keys agree so far) whose flags are looked at next */
  const uint8_t *key;
  const struct zone_node *leaf; /* where the walk ended */
  const struct trie_node *stop; /* the first END twig passed with a cut or a DNAME; its boundary */
  uint16_t size;
  uint16_t common;
  uint8_t labels;  /* boundary[0..labels]; the last one is the key's end */
  uint8_t crossed; /* boundaries that have their node */
  uint8_t stop_label;
  uint32_t next_position; /* where the next boundary is crossed */
  uint16_t boundary[LIMIT_NAME_LABELS + 1];
  const struct trie_node *at[LIMIT_NAME_LABELS + 1];
};

#define INLINE static inline __attribute__((always_inline))

INLINE void walk_start(struct walk *w, uint8_t *const *table, const struct trie_node *root, const uint8_t *key, size_t size) {
  w->table = table;
  w->node = root;
  w->end = NULL;
  w->stop = NULL;
  w->key = key;
  w->size = (uint16_t)size;
  w->boundary[0] = 0;
  unsigned labels = 0;
  for (size_t i = 0; i < size; i++)
    if (key[i] == 0) w->boundary[++labels] = (uint16_t)(i + 1);
  w->labels = (uint8_t)labels;
  w->crossed = 0;
  w->next_position = 0;
}

/* The node is the first one at or beyond one boundary or more. */
INLINE void walk_cross(struct walk *w, const struct trie_node *n, uint64_t word, const struct trie_node *twigs) {
  unsigned position = word_position(word);
  unsigned i = w->crossed;
  for (; i <= w->labels && 2u * w->boundary[i] <= position; i++)
    w->at[i] = n;
  w->crossed = (uint8_t)i;
  w->next_position = i <= w->labels ? 2u * w->boundary[i] : UINT32_MAX;
  if (TRIE_HAS_END(word) && 2u * w->boundary[i - 1] == position && i <= w->labels && !w->stop) {
    w->end = twigs;
    w->stop_label = (uint8_t)(i - 1);
    __builtin_prefetch(twigs);
  }
}

/* One step; false: the walk has ended. */
INLINE bool walk_step(struct walk *w) {
  const struct trie_node *n = w->node;
  uint64_t word = node_word(n);
  if (w->end) {
    if (node_word(w->end) & (LEAF_CUT | LEAF_DNAME)) w->stop = w->end;
    w->end = NULL;
  }
  if (!(word & TRIE_BRANCH)) {
    for (unsigned i = w->crossed; i <= w->labels; i++)
      w->at[i] = n;
    w->leaf = node_record(w->table, n);
    __builtin_prefetch(w->leaf);
    __builtin_prefetch((const uint8_t *)w->leaf + 56); /* most records end in the next line at the latest */
    return false;
  }
  const struct trie_node *twigs = node_twigs(w->table, n);
  unsigned position = word_position(word);
  if (position >= w->next_position) walk_cross(w, n, word, twigs);
  unsigned symbol = key_symbol(w->key, w->size, position);
  n = twigs + (word >> symbol & 1 ? twig_index(word, symbol) : 0);
  __builtin_prefetch(n);
  w->node = n;
  return true;
}

/* All walks to their ends, in lockstep. */
INLINE void walk_all_steps(struct walk *walks, size_t count) {
  uint8_t active[LIMIT_BATCH];
  size_t left = 0;
  for (size_t i = 0; i < count; i++)
    active[left++] = (uint8_t)i;
  while (left) {
    size_t kept = 0;
    for (size_t i = 0; i < left; i++) {
      uint8_t at = active[i];
      active[kept] = at;
      kept += walk_step(walks + at);
    }
    left = kept;
  }
}

/* At most LIMIT_BATCH of them; with the popcnt instruction where the processor has it. */
void walk_all(struct walk *walks, size_t count);

/* Compares the leaf; the number of the last boundary that it shares. */
INLINE unsigned walk_compare(struct walk *w) {
  unsigned leaf_size = record_key_size(w->leaf);
  size_t common = key_common(w->key, record_key(w->leaf), w->size < leaf_size ? w->size : leaf_size);
  w->common = (uint16_t)common;
  unsigned label = w->labels;
  while (w->boundary[label] > common)
    label--;
  return label;
}

/* The leaf stored exactly at a boundary that the leaf's key shares; NULL: none. */
INLINE const struct trie_node *walk_owner_at(const struct walk *w, unsigned label) {
  const struct trie_node *n = w->at[label];
  uint64_t word = node_word(n);
  if (!(word & TRIE_BRANCH)) return record_key_size(w->leaf) == w->boundary[label] ? n : NULL;
  if (!TRIE_HAS_END(word) || word_position(word) != 2u * w->boundary[label]) return NULL;
  return node_twigs(w->table, n);
}

#endif
