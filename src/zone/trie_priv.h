/* The qp-trie under a zone's names, its NSEC3 owners and the set of all zones (zone_set.c).
 *
 *   node, 12 bytes                               twigs: the nodes below a branch, packed in order of their symbols
 *
 *   branch  1 | symbols : 47 | owned | position  --ref-->  [END: leaf][00: leaf][digit: branch][a: leaf] ...
 *   leaf    0 | flags        | owned |           --ref-->  struct zone_node (record_priv.h), which begins with the key
 *
 * Keys are the order keys of wire/name.h less the apex's part, so every key is empty or ends in 00, and an ancestor's key is a
 * prefix. A branch tells its twigs apart at one position of the key, (byte offset << 1 | step). Step 0 sees these symbols:
 *
 *   END (no byte: the key ends here)  00  [01-2c]  -  [2e 2f]  0-9  [3a-5e]  _  `  a-z  [7b-a7]  [a8-d4]  [d5-ff]
 *
 * and step 1 tells the bytes of one bracketed group apart. Both keep the order of memcmp. Positions rise on the way down.
 * An END twig is the first one and is always a leaf: the owner at which all names below that branch hang.
 *
 * Copy-on-write: an edit copies the twigs it changes the first time and marks what it allocated as owned, in the word
 * that refers to it. What is owned is reached through owned twigs only, so trie_seal finds and clears all marks by walking them. */
#ifndef ZONE_TRIE_PRIV_H
#define ZONE_TRIE_PRIV_H

#include "base/err.h"
#include "zone/heap_priv.h"
#include "zone/record_priv.h"

#include <limits.h>
#include <string.h>

struct trie_node {
  uint32_t word[2]; /* one u64 in memory order; nodes are only 4-byte aligned */
  uint32_t ref;
};
_Static_assert(sizeof(struct trie_node) == 12, "twigs are packed");

#define TRIE_BRANCH UINT64_C(1)
#define TRIE_SYMBOLS (((UINT64_C(1) << 48) - 1) & ~UINT64_C(1))
#define TRIE_OWNED (UINT64_C(1) << 48)
#define TRIE_UNUSED (UINT64_C(3) << 48) /* zero in what is published */
#define TRIE_POSITION_SHIFT 50

enum {
  TRIE_END = 1,          /* the symbol of a key that ends */
  TRIE_SYMBOL_LAST = 47, /* END and 46 more */
  TRIE_STAR = 3,         /* step 0 symbol of the group that `*` is in */
  TRIE_DEPTH = 2 * KEY_BYTES_MAX + 2,
};
#define TRIE_SAME UINT_MAX /* position where equal keys differ */
#define TRIE_HAS_END(word) ((word)&UINT64_C(1) << TRIE_END)

/* [step * 256 + byte] -> symbol */
extern const uint8_t trie_symbols[512];

static inline uint64_t node_word(const struct trie_node *n) {
  uint64_t w;
  memcpy(&w, n->word, sizeof w);
  return w;
}

static inline struct trie_node node_make(uint64_t word, uint32_t ref) {
  struct trie_node n = {.ref = ref};
  memcpy(n.word, &word, sizeof word);
  return n;
}

static inline bool node_is_branch(const struct trie_node *n) {
  return node_word(n) & TRIE_BRANCH;
}

static inline bool node_is_empty(const struct trie_node *n) { /* a trie without keys */
  return !node_word(n);
}

/* In a form that compilers turn into one instruction where they may (walk.c, denial.c) and keep inline where they may not. */
static inline unsigned bit_count(uint64_t x) {
  x -= x >> 1 & UINT64_C(0x5555555555555555);
  x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
  x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  return (unsigned)(x * UINT64_C(0x0101010101010101) >> 56);
}

static inline unsigned word_position(uint64_t word) {
  return (unsigned)(word >> TRIE_POSITION_SHIFT);
}

static inline unsigned word_twigs(uint64_t word) {
  return bit_count(word & TRIE_SYMBOLS);
}

static inline unsigned key_symbol(const uint8_t *key, size_t size, unsigned position) {
  size_t at = position >> 1;
  return at < size ? trie_symbols[(position & 1) << 8 | key[at]] : TRIE_END;
}

/* Which twig stands for `symbol`, or would be behind it. */
static inline unsigned twig_index(uint64_t word, unsigned symbol) {
  return bit_count(word & TRIE_SYMBOLS & ((UINT64_C(1) << symbol) - 1));
}

/* The twig for `symbol`, or some other one if there is none. */
static inline unsigned twig_or_first(uint64_t word, unsigned symbol) {
  return word >> symbol & 1 ? twig_index(word, symbol) : 0;
}

static inline uint32_t twigs_cells(unsigned twigs) {
  return (twigs * (uint32_t)sizeof(struct trie_node) + CELL_BYTES - 1) / CELL_BYTES;
}

/* image_guard.c: the same in an image that is not proven yet. What turns out to be damaged reads as empty. */
const struct trie_node *guard_twigs(struct image_guard *guard, const struct trie_node *n);
const struct zone_node *guard_record(struct image_guard *guard, const struct trie_node *n);

static inline const struct trie_node *node_twigs(uint8_t *const *table, const struct trie_node *n) {
  uint8_t *chunk = chunk_at(table, n->ref);
  return __builtin_expect(chunk != NULL, 1) ? cell_in(chunk, n->ref) : guard_twigs(table_guard(table), n);
}

static inline const struct zone_node *node_record(uint8_t *const *table, const struct trie_node *n) {
  uint8_t *chunk = chunk_at(table, n->ref);
  return __builtin_expect(chunk != NULL, 1) ? cell_in(chunk, n->ref) : guard_record(table_guard(table), n);
}

static inline uint64_t key_load_short(const uint8_t *p) {
  uint32_t x;
  memcpy(&x, p, sizeof x);
  return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap32(x) : x;
}

/* The first octet in which x, the differences from `at` on, is not zero. */
static inline size_t key_first_difference(uint64_t x, size_t at) {
  return at + (unsigned)__builtin_ctzll(x) / 8;
}

/* How many bytes a and b have in common, of n. The last loads overlap what is known to be equal. */
static inline size_t key_common(const uint8_t *a, const uint8_t *b, size_t n) {
  uint64_t x;
  size_t i = 0;
  if (n < 4) {
    while (i < n && a[i] == b[i])
      i++;
    return i;
  }
  if (n < 8) {
    x = key_load_short(a) ^ key_load_short(b);
    if (x) return key_first_difference(x, 0);
    x = key_load_short(a + n - 4) ^ key_load_short(b + n - 4);
    return x ? key_first_difference(x, n - 4) : n;
  }
  for (; i + 8 < n; i += 8) {
    x = get_u64_low(a + i) ^ get_u64_low(b + i);
    if (x) return key_first_difference(x, i);
  }
  x = get_u64_low(a + n - 8) ^ get_u64_low(b + n - 8);
  return x ? key_first_difference(x, n - 8) : n;
}

/* The position at which two keys differ, or TRIE_SAME. */
unsigned trie_difference(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

/* The leaf of a key; NULL: it is not there. */
const struct trie_node *trie_find(uint8_t *const *table, const struct trie_node *root, const uint8_t *key, size_t size);

/* In order. The top frame's `next` is the node, leaf or branch, that comes next. */
struct trie_iter {
  uint8_t *const *table;
  unsigned depth;
  struct {
    const struct trie_node *next;
    uint32_t left;
  } frames[TRIE_DEPTH + 1];
};

void trie_iter_start(struct trie_iter *it, uint8_t *const *table, const struct trie_node *root);
/* NULL at the end. */
const struct trie_node *trie_iter_top(const struct trie_iter *it);
void trie_iter_skip(struct trie_iter *it);                    /* over the top with all below it */
void trie_iter_expand(struct trie_iter *it);                  /* the top, a branch, becomes its twigs */
const struct trie_node *trie_iter_leaf(struct trie_iter *it); /* the next leaf, skipped; NULL at the end */

/* One transaction on tries of one heap. */
struct trie_edit {
  struct heap *heap;
  struct span_list dropped; /* what the base still uses and this edit no longer does */
  size_t owned;             /* objects allocated by this edit and still in use */
};

/* Sets the leaf of `key` (which is also the key at `ref`); the record it had is dropped. On ERR_MEMORY nothing changed, and the
 * record at `ref` stays the caller's. */
MUST_CHECK enum err trie_put(struct trie_edit *t, struct trie_node *root, const uint8_t *key, size_t size, uint64_t flags,
                             uint32_t ref);
/* ERR_NOT_FOUND, ERR_MEMORY. */
MUST_CHECK enum err trie_remove(struct trie_edit *t, struct trie_node *root, const uint8_t *key, size_t size);
/* Clears the marks; adds what was owned to `born` (NULL: nobody asks), which has room for t->owned more. */
void trie_seal(struct trie_edit *t, struct trie_node *root, struct span_list *born);
/* Frees all that is owned; what is dropped stays in use by the base. */
void trie_abandon(struct trie_edit *t, const struct trie_node *root);

#endif
