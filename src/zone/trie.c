#include "zone/trie_priv.h"

#include "base/give_way.h"

#include <assert.h>

/* clang-format off */
const uint8_t trie_symbols[512] = {
    /* step 0: groups share a symbol */
    2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5, 5,
    6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 16, 16, 16, 16, 16,
    16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
    16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 17,
    18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33,
    34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 45, 45, 45, 45,
    45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45,
    45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45, 45,
    45, 45, 45, 45, 45, 45, 45, 45, 46, 46, 46, 46, 46, 46, 46, 46,
    46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46,
    46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46, 46,
    46, 46, 46, 46, 46, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47,
    47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47,
    47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47,
    /* step 1: within the group; END's symbol is left free */
    2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 2, 2, 3,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5, 6, 7,
    8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
    24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5, 6,
    7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
    39, 40, 41, 42, 43, 44, 45, 46, 2, 3, 4, 5, 6, 7, 8, 9,
    10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41,
    42, 43, 44, 45, 46, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
};
/* clang-format on */

unsigned trie_difference(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
  size_t shorter = a_size < b_size ? a_size : b_size;
  size_t at = key_common(a, b, shorter);
  if (at == shorter) return a_size == b_size ? TRIE_SAME : (unsigned)at << 1;
  return (unsigned)at << 1 | (trie_symbols[a[at]] == trie_symbols[b[at]]);
}

/* Some leaf below `n`: the key's own if it is there, else one that shares with the key all that any key does. */
static const struct trie_node *any_leaf(uint8_t *const *table, const struct trie_node *n, const uint8_t *key, size_t size) {
  while (node_is_branch(n)) {
    uint64_t word = node_word(n);
    unsigned symbol = key_symbol(key, size, word_position(word));
    n = node_twigs(table, n) + twig_or_first(word, symbol);
  }
  return n;
}

static unsigned leaf_difference(uint8_t *const *table, const struct trie_node *leaf, const uint8_t *key, size_t size) {
  const struct zone_node *r = node_record(table, leaf);
  return trie_difference(key, size, record_key(r), record_key_size(r));
}

const struct trie_node *trie_find(uint8_t *const *table, const struct trie_node *root, const uint8_t *key, size_t size) {
  if (node_is_empty(root)) return NULL;
  const struct trie_node *leaf = any_leaf(table, root, key, size);
  return leaf_difference(table, leaf, key, size) == TRIE_SAME ? leaf : NULL;
}

void trie_iter_start(struct trie_iter *it, uint8_t *const *table, const struct trie_node *root) {
  it->table = table;
  it->depth = node_is_empty(root) ? 0 : 1;
  it->frames[0].next = root;
  it->frames[0].left = 1;
}

const struct trie_node *trie_iter_top(const struct trie_iter *it) {
  return it->depth ? it->frames[it->depth - 1].next : NULL;
}

void trie_iter_skip(struct trie_iter *it) {
  it->frames[it->depth - 1].next++;
  if (--it->frames[it->depth - 1].left == 0) it->depth--;
}

void trie_iter_expand(struct trie_iter *it) {
  const struct trie_node *n = trie_iter_top(it);
  unsigned twigs = word_twigs(node_word(n));
  trie_iter_skip(it);
  assert(it->depth <= TRIE_DEPTH);
  it->frames[it->depth].next = node_twigs(it->table, n);
  it->frames[it->depth].left = twigs;
  it->depth += twigs > 0; /* a map whose file was cut may have become zeros just now */
}

const struct trie_node *trie_iter_leaf(struct trie_iter *it) {
  const struct trie_node *n = trie_iter_top(it);
  while (n && node_is_branch(n)) {
    trie_iter_expand(it);
    n = trie_iter_top(it);
  }
  if (n) trie_iter_skip(it);
  return n;
}

/* The edit stops using an object: what it owns is free at once, what the base sees waits for the base's end. The caller has
 * reserved a place in `dropped`. */
static void let_go(struct trie_edit *t, uint64_t word, uint32_t ref, uint32_t cells) {
  if (word & TRIE_OWNED) {
    heap_free(t->heap, ref, cells);
    t->owned--;
  } else {
    span_list_add(&t->dropped, ref, cells);
  }
}

static void let_go_twigs(struct trie_edit *t, uint64_t word, uint32_t ref) {
  let_go(t, word, ref, twigs_cells(word_twigs(word)));
}

static void let_go_record(struct trie_edit *t, const struct trie_node *leaf) {
  const struct zone_node *r = node_record(t->heap->table, leaf);
  let_go(t, node_word(leaf), leaf->ref, r->cells);
}

/* Twigs for `count` nodes; the padding is zero. Reserves a place in `dropped` too, for what they replace. */
static struct trie_node *twigs_new(struct trie_edit *t, unsigned count, uint32_t *ref) {
  if (!span_list_reserve(&t->dropped, 1)) return NULL;
  struct trie_node *twigs = heap_alloc(t->heap, twigs_cells(count), ref);
  if (!twigs) return NULL;
  if (count & 1) memset(twigs + count, 0, CELL_BYTES / 2);
  t->owned++;
  return twigs;
}

/* Makes the twigs of a branch the edit's own. `n` itself must be writable. NULL: no memory, nothing changed. */
static struct trie_node *own_twigs(struct trie_edit *t, struct trie_node *n) {
  uint64_t word = node_word(n);
  if (word & TRIE_OWNED) return cell_at(t->heap->table, n->ref);
  uint32_t ref;
  unsigned count = word_twigs(word);
  struct trie_node *twigs = twigs_new(t, count, &ref);
  if (!twigs) return NULL;
  memcpy(twigs, node_twigs(t->heap->table, n), count * sizeof *twigs);
  let_go_twigs(t, word, n->ref);
  *n = node_make(word | TRIE_OWNED, ref);
  return twigs;
}

/* One twig more for a branch that has none for `symbol`. */
static bool twig_insert(struct trie_edit *t, struct trie_node *n, unsigned symbol, struct trie_node leaf) {
  uint64_t word = node_word(n);
  unsigned count = word_twigs(word), at = twig_index(word, symbol);
  uint32_t ref;
  struct trie_node *twigs = twigs_new(t, count + 1, &ref);
  if (!twigs) return false;
  const struct trie_node *old = node_twigs(t->heap->table, n);
  memcpy(twigs, old, at * sizeof *twigs);
  twigs[at] = leaf;
  memcpy(twigs + at + 1, old + at, (count - at) * sizeof *twigs);
  let_go_twigs(t, word, n->ref);
  *n = node_make(word | UINT64_C(1) << symbol | TRIE_OWNED, ref);
  return true;
}

/* A new branch in the place of `n`, which becomes one of its two twigs. */
static bool branch_insert(struct trie_edit *t, struct trie_node *n, unsigned position, unsigned old_symbol, unsigned new_symbol,
                          struct trie_node leaf) {
  uint32_t ref;
  struct trie_node *twigs = twigs_new(t, 2, &ref);
  if (!twigs) return false;
  twigs[old_symbol > new_symbol] = *n;
  twigs[old_symbol < new_symbol] = leaf;
  uint64_t word = TRIE_BRANCH | TRIE_OWNED | UINT64_C(1) << old_symbol | UINT64_C(1) << new_symbol;
  *n = node_make(word | (uint64_t)position << TRIE_POSITION_SHIFT, ref);
  return true;
}

/* Copies the twigs on the way of `key` down to `position`; the node there, writable, or NULL. */
static struct trie_node *own_path(struct trie_edit *t, struct trie_node *n, const uint8_t *key, size_t size, unsigned position) {
  while (node_is_branch(n) && word_position(node_word(n)) < position) {
    struct trie_node *twigs = own_twigs(t, n);
    if (!twigs) return NULL;
    uint64_t word = node_word(n);
    n = twigs + twig_or_first(word, key_symbol(key, size, word_position(word)));
  }
  return n;
}

enum err trie_put(struct trie_edit *t, struct trie_node *root, const uint8_t *key, size_t size, uint64_t flags, uint32_t ref) {
  struct trie_node leaf = node_make(flags | TRIE_OWNED, ref);
  if (node_is_empty(root)) {
    *root = leaf;
    t->owned++;
    return ERR_OK;
  }
  uint8_t *const *table = t->heap->table;
  const struct trie_node *near = any_leaf(table, root, key, size);
  unsigned position = leaf_difference(table, near, key, size);
  unsigned near_symbol = 0;
  if (position != TRIE_SAME) {
    const struct zone_node *r = node_record(table, near);
    near_symbol = key_symbol(record_key(r), record_key_size(r), position);
  }
  struct trie_node *n = own_path(t, root, key, size, position);
  if (!n) return ERR_MEMORY;
  if (position == TRIE_SAME) {
    if (!span_list_reserve(&t->dropped, 1)) return ERR_MEMORY;
    let_go_record(t, n);
    *n = leaf;
  } else {
    unsigned symbol = key_symbol(key, size, position);
    bool there = node_is_branch(n) && word_position(node_word(n)) == position;
    if (!(there ? twig_insert(t, n, symbol, leaf) : branch_insert(t, n, position, near_symbol, symbol, leaf))) return ERR_MEMORY;
  }
  t->owned++;
  return ERR_OK;
}

/* Takes the twig of `key` out of the branch `n`, which is writable. A branch with one twig left gives way to it. */
static bool twig_remove(struct trie_edit *t, struct trie_node *n, const uint8_t *key, size_t size) {
  uint64_t word = node_word(n);
  unsigned symbol = key_symbol(key, size, word_position(word));
  unsigned count = word_twigs(word), at = twig_index(word, symbol);
  if (!span_list_reserve(&t->dropped, 2)) return false;
  if (count == 2) {
    const struct trie_node *old = node_twigs(t->heap->table, n);
    struct trie_node other = old[!at];
    let_go_record(t, old + at);
    let_go_twigs(t, word, n->ref);
    *n = other;
    return true;
  }
  uint32_t ref;
  struct trie_node *twigs = twigs_new(t, count - 1, &ref);
  if (!twigs) return false;
  const struct trie_node *old = node_twigs(t->heap->table, n);
  memcpy(twigs, old, at * sizeof *twigs);
  memcpy(twigs + at, old + at + 1, (count - at - 1) * sizeof *twigs);
  let_go_record(t, old + at);
  let_go_twigs(t, word, n->ref);
  *n = node_make((word & ~(UINT64_C(1) << symbol)) | TRIE_OWNED, ref);
  return true;
}

enum err trie_remove(struct trie_edit *t, struct trie_node *root, const uint8_t *key, size_t size) {
  if (!trie_find(t->heap->table, root, key, size)) return ERR_NOT_FOUND;
  if (!node_is_branch(root)) {
    if (!span_list_reserve(&t->dropped, 1)) return ERR_MEMORY;
    let_go_record(t, root);
    *root = (struct trie_node){0};
    return ERR_OK;
  }
  struct trie_node *n = root; /* becomes the branch right above the leaf */
  for (;;) {
    uint64_t word = node_word(n);
    unsigned symbol = key_symbol(key, size, word_position(word)), at = twig_index(word, symbol);
    if (!(word >> symbol & 1)) return ERR_CORRUPT; /* found all the same: an image that is not proven yet */
    if (!node_is_branch(node_twigs(t->heap->table, n) + at)) break;
    struct trie_node *twigs = own_twigs(t, n);
    if (!twigs) return ERR_MEMORY;
    n = twigs + at;
  }
  return twig_remove(t, n, key, size) ? ERR_OK : ERR_MEMORY;
}

void trie_seal(struct trie_edit *t, struct trie_node *n, struct span_list *born) {
  uint64_t word = node_word(n);
  if (!(word & TRIE_OWNED)) return;
  uint32_t cells;
  if (word & TRIE_BRANCH) {
    struct trie_node *twigs = cell_at(t->heap->table, n->ref);
    unsigned count = word_twigs(word);
    for (unsigned i = 0; i < count; i++)
      if (node_word(twigs + i) & TRIE_OWNED) __builtin_prefetch(cell_at(t->heap->table, twigs[i].ref));
    for (unsigned i = 0; i < count; i++)
      if (node_word(twigs + i) & TRIE_OWNED) trie_seal(t, twigs + i, born);
    cells = twigs_cells(word_twigs(word));
  } else {
    cells = node_record(t->heap->table, n)->cells;
    give_way();
  }
  if (born) span_list_add(born, n->ref, cells);
  *n = node_make(word & ~TRIE_OWNED, n->ref);
  t->owned--;
}

void trie_abandon(struct trie_edit *t, const struct trie_node *n) {
  uint64_t word = node_word(n);
  if (!(word & TRIE_OWNED)) return;
  if (word & TRIE_BRANCH) {
    const struct trie_node *twigs = node_twigs(t->heap->table, n);
    for (unsigned i = 0; i < word_twigs(word); i++)
      trie_abandon(t, twigs + i);
    let_go_twigs(t, word, n->ref);
  } else {
    let_go_record(t, n);
  }
}
