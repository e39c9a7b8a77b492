/* Canonical predecessors: the NSEC that covers a name (RFC 4035 §3.1.3), the NSEC3 that matches or covers a hash (RFC 5155 §7.2).
 *
 *   1. blind walk to some leaf, in lockstep, unless a look-up of the key has just made it; where it differs from the key decides
 *   2. the same nodes again, now hot: the subtree whose rightmost leaf is the answer, which is the equal leaf, or the last twig
 *      passed on the left
 *   3. down to its rightmost leaf, in lockstep; an END twig that is a cut or a DNAME ends the descent, because names below it
 *      have no NSEC
 *
 * A leaf without NSEC (glue not below a cut, or of another NSEC3 chain) is stepped over; in a sound zone there are none or few. */
#include "zone/snap_priv.h"
#include "zone/walk_priv.h"

enum {
  STEPS_OVER = 256, /* leaves stepped over before the chain counts as broken */
  HASH_BYTES = 20,
  NSEC3_KEY_BYTES = 33,
};

struct floor {
  const struct zone_snap *snap;
  const struct trie_node *root;
  const struct trie_node *node;
  const struct trie_node *end;  /* END twig whose flags decide at the next step of the descent */
  const struct zone_node *near; /* what step 1 finds; NULL: not yet */
  const uint8_t *key;
  size_t size;
  bool nsec3;
  bool strict; /* an equal key does not count */
};

static bool acceptable(const struct floor *f, const struct trie_node *leaf) {
  if (!f->nsec3) return node_word(leaf) & LEAF_NSEC;
  return nsec3_in_chain(node_record(f->snap->table, leaf), &f->snap->nsec3_parameters);
}

INLINE bool blind_step(struct floor *f) {
  const struct trie_node *n = f->node;
  uint64_t word = node_word(n);
  if (!(word & TRIE_BRANCH)) {
    f->near = node_record(f->snap->table, n);
    __builtin_prefetch(f->near);
    return false;
  }
  unsigned symbol = key_symbol(f->key, f->size, word_position(word));
  f->node = node_twigs(f->snap->table, n) + twig_or_first(word, symbol);
  __builtin_prefetch(f->node);
  return true;
}

/* Whether the key, whose twig of this branch is or would be number `at`, stands below a cut or a DNAME. */
static bool below_stop(uint64_t word, const struct trie_node *twigs, unsigned at) {
  return at > 0 && TRIE_HAS_END(word) && node_word(twigs) & (LEAF_CUT | LEAF_DNAME);
}

/* Step 2. NULL: nothing stands before the key. */
static const struct trie_node *subtree_before(const struct floor *f) {
  const struct zone_node *near = f->near;
  unsigned position = trie_difference(f->key, f->size, record_key(near), record_key_size(near));
  const struct trie_node *n = f->root, *left = NULL;
  uint64_t word;
  for (; (word = node_word(n)) & TRIE_BRANCH && word_position(word) < position;) {
    const struct trie_node *twigs = node_twigs(f->snap->table, n);
    unsigned at = twig_or_first(word, key_symbol(f->key, f->size, word_position(word)));
    if (below_stop(word, twigs, at)) return twigs;
    if (at > 0) left = twigs + at - 1;
    n = twigs + at;
  }
  if (position == TRIE_SAME) return f->strict ? left : n;
  unsigned symbol = key_symbol(f->key, f->size, position);
  if (word & TRIE_BRANCH && word_position(word) == position) {
    const struct trie_node *twigs = node_twigs(f->snap->table, n);
    unsigned at = twig_index(word, symbol);
    if (below_stop(word, twigs, at)) return twigs;
    return at ? twigs + at - 1 : left;
  }
  return symbol > key_symbol(record_key(near), record_key_size(near), position) ? n : left;
}

/* Step 3; false: f->node is the leaf. */
INLINE bool descend_step(struct floor *f) {
  if (f->end) {
    if (node_word(f->end) & (LEAF_CUT | LEAF_DNAME)) f->node = f->end;
    f->end = NULL;
  }
  const struct trie_node *n = f->node;
  uint64_t word = node_word(n);
  if (!(word & TRIE_BRANCH)) return false;
  const struct trie_node *twigs = node_twigs(f->snap->table, n);
  f->node = twigs + word_twigs(word) - 1;
  if (TRIE_HAS_END(word)) {
    f->end = twigs;
    __builtin_prefetch(twigs);
  }
  __builtin_prefetch(f->node);
  return true;
}

/* The leaf at or before the key, acceptable or not. */
static const struct trie_node *floor_leaf(struct floor *f) {
  f->node = f->root;
  while (blind_step(f))
    continue;
  f->node = subtree_before(f);
  f->end = NULL;
  while (f->node && descend_step(f))
    continue;
  return f->node;
}

/* From a leaf, or NULL before the first, to the last acceptable one at or before it. */
static const struct trie_node *step_over(struct floor *f, const struct trie_node *leaf) {
  for (unsigned i = 0; i < STEPS_OVER && leaf; i++) {
    if (acceptable(f, leaf)) return leaf;
    const struct zone_node *r = node_record(f->snap->table, leaf);
    f->key = record_key(r);
    f->size = record_key_size(r);
    f->strict = true;
    leaf = floor_leaf(f);
  }
  return NULL;
}

INLINE void floors_walk(struct floor *floors, size_t count) {
  bool more = true;
  while (more) {
    more = false;
    for (size_t i = 0; i < count; i++)
      if (!floors[i].near) more |= blind_step(floors + i);
  }
  for (size_t i = 0; i < count; i++) {
    struct floor *f = floors + i;
    f->node = subtree_before(f);
    if (f->node) __builtin_prefetch(f->node);
  }
  for (more = true; more;) {
    more = false;
    for (size_t i = 0; i < count; i++)
      if (floors[i].node) more |= descend_step(floors + i);
  }
}
#if defined(__x86_64__)
__attribute__((target("popcnt"))) static void floors_walk_popcnt(struct floor *floors, size_t count) {
  floors_walk(floors, count);
}
#endif

static void floors_find(struct floor *floors, size_t count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("popcnt")) {
    floors_walk_popcnt(floors, count);
    return;
  }
#endif
  floors_walk(floors, count);
}

/* 40 bits as eight digits of base32hex: the bits of each are moved into an octet of their own, then all become digits at once. */
static inline uint64_t base32_digits(uint64_t bits) {
  const uint64_t ones = UINT64_C(0x0101010101010101);
  uint64_t x = (bits & UINT64_C(0xfffff00000)) << 12 | (bits & 0xfffff);
  x = (x & UINT64_C(0x000ffc00000ffc00)) << 6 | (x & UINT64_C(0x000003ff000003ff));
  x = (x & UINT64_C(0x03e003e003e003e0)) << 3 | (x & UINT64_C(0x001f001f001f001f));
  uint64_t letters = (x + (0x80 - 10) * ones) >> 7 & ones; /* where a value is 10 or more */
  return x + '0' * ones + letters * ('a' - 10 - '0');
}

/* base32hex (RFC 4648 §7) in lower case, with the 00 that ends the label. */
static void hash_key(const uint8_t hash[HASH_BYTES], uint8_t key[NSEC3_KEY_BYTES]) {
  for (unsigned i = 0; i < HASH_BYTES / 5; i++) { /* 5 octets are 8 digits */
    const uint8_t *h = hash + 5 * (size_t)i;
    put_u64(key + 8 * (size_t)i, base32_digits((uint64_t)h[0] << 32 | get_u32(h + 1)));
  }
  key[NSEC3_KEY_BYTES - 1] = 0;
}

/* What the walk of a question found, with the wrap-around of NSEC3's ring. */
static void conclude(struct floor *f, struct zone_cover *q) {
  const struct trie_node *found = f->node;
  q->match = f->nsec3 && found &&
             trie_difference(f->key, f->size, record_key(node_record(f->snap->table, found)),
                             record_key_size(node_record(f->snap->table, found))) == TRIE_SAME;
  const struct trie_node *leaf = step_over(f, found);
  if (leaf != found) q->match = false;
  if (!leaf && f->nsec3) {
    f->node = f->root;
    f->end = NULL;
    while (descend_step(f))
      continue;
    leaf = step_over(f, f->node);
  }
  q->node = leaf ? node_record(f->snap->table, leaf) : NULL;
}

static void cover_some(struct zone_cover *const *q, size_t count) {
  struct floor floors[LIMIT_BATCH];
  uint8_t keys[LIMIT_BATCH][NSEC3_KEY_BYTES];
  uint8_t which[LIMIT_BATCH]; /* questions that a walk is made for */
  size_t walks = 0;
  for (size_t i = 0; i < count; i++) {
    const struct zone_snap *s = q[i]->snap;
    q[i]->node = NULL;
    q[i]->match = false;
    if (!(s->flags & (q[i]->hash ? SNAP_NSEC3 : SNAP_NSEC))) continue;
    struct floor *f = floors + walks;
    *f = (struct floor){.snap = s, .nsec3 = q[i]->hash};
    if (q[i]->hash) {
      hash_key(q[i]->hash, keys[walks]);
      f->key = keys[walks];
      f->size = NSEC3_KEY_BYTES;
    } else {
      f->key = q[i]->key + s->apex_key_size;
      f->size = (size_t)(q[i]->key_size - s->apex_key_size);
      f->near = q[i]->near;
    }
    f->node = f->root = q[i]->hash ? &s->nsec3 : &s->names;
    which[walks++] = (uint8_t)i;
  }
  floors_find(floors, walks);
  for (size_t i = 0; i < walks; i++)
    conclude(floors + i, q[which[i]]);
}

void zone_cover_batch(struct zone_cover *const *q, size_t count) {
  for (size_t done = 0; done < count; done += LIMIT_BATCH)
    cover_some(q + done, count - done < LIMIT_BATCH ? count - done : LIMIT_BATCH);
}

const struct zone_node *zone_nsec_cover(const struct zone_snap *s, const uint8_t *key, size_t key_size) {
  struct zone_cover q = {.snap = s, .key = key, .key_size = (uint16_t)key_size}, *at = &q;
  cover_some(&at, 1);
  return q.node;
}

const struct zone_node *zone_nsec3_find(const struct zone_snap *s, const uint8_t hash[20], bool *match) {
  struct zone_cover q = {.snap = s, .hash = hash}, *at = &q;
  cover_some(&at, 1);
  *match = q.match;
  return q.node;
}
