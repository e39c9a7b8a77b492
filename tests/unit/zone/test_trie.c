/* The trie against a sorted array: keys of all octets, in any order of putting and removing, keep the order of memcmp; what an
 * edit did not seal is gone without a trace; what a sealed trie shows never changes under later edits. */
#include "model.h"
#include "zone/layout_priv.h"
#include "zone/trie_priv.h"

#include <stdlib.h>
#include <string.h>

struct key {
  uint16_t size;
  uint8_t octets[KEY_BYTES_MAX];
};

static int compare_keys(const void *a, const void *b) {
  const struct key *x = a, *y = b;
  size_t shorter = x->size < y->size ? x->size : y->size;
  int c = memcmp(x->octets, y->octets, shorter);
  return c ? c : (int)x->size - (int)y->size;
}

/* A key of one or two labels; half of the octets from few values, so that keys share much. */
static struct key random_key(struct dice *d) {
  struct name n = name_root;
  for (unsigned labels = dice_below(d, 3); labels > 0; labels--) {
    uint8_t label[8];
    unsigned size = 1 + dice_below(d, sizeof label - 1);
    for (unsigned i = 0; i < size; i++)
      label[i] = (uint8_t)(dice_below(d, 2) ? dice_below(d, 256) : (unsigned)"ab\0\1\xff*-z"[dice_below(d, 8)]);
    name_prepend(label, size, &n, &n);
  }
  struct key k;
  uint8_t key[NAME_KEY_BYTES];
  k.size = (uint16_t)name_key(&n, key);
  memcpy(k.octets, key, k.size);
  return k;
}

static void put(struct trie_edit *t, struct trie_node *root, const struct key *k) {
  uint32_t cells = (uint32_t)(sizeof(struct zone_node) + k->size + 7) / 8, ref;
  struct zone_node *r = heap_alloc(t->heap, cells, &ref);
  assert_non_null(r);
  r->cells = cells;
  r->shape = k->size;
  r->sets = 0;
  memcpy(r->data, k->octets, k->size);
  assert_int_equal(trie_put(t, root, k->octets, k->size, LEAF_PRESENT, ref), ERR_OK);
}

static size_t sort_unique(struct key *keys, size_t n) {
  qsort(keys, n, sizeof *keys, compare_keys);
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (!kept || compare_keys(keys + kept - 1, keys + i) != 0) keys[kept++] = keys[i];
  return kept;
}

static void check_order(const struct heap *h, const struct trie_node *root, const struct key *keys, size_t n) {
  struct trie_iter it;
  trie_iter_start(&it, h->table, root);
  for (size_t i = 0; i < n; i++) {
    const struct trie_node *leaf = trie_iter_leaf(&it);
    assert_non_null(leaf);
    const struct zone_node *r = node_record(h->table, leaf);
    assert_int_equal(record_key_size(r), keys[i].size);
    assert_memory_equal(record_key(r), keys[i].octets, keys[i].size);
    assert_ptr_equal(trie_find(h->table, root, keys[i].octets, keys[i].size), leaf);
  }
  assert_null(trie_iter_leaf(&it));
}

static void test_order_of_all_pairs(void **state) {
  (void)state;
  for (unsigned a = 0; a < 256; a++) {
    for (unsigned b = 0; b < 256; b++) {
      uint8_t x = (uint8_t)a, y = (uint8_t)b;
      unsigned position = trie_difference(&x, 1, &y, 1);
      if (a == b) {
        assert_int_equal(position, TRIE_SAME);
        continue;
      }
      unsigned sx = key_symbol(&x, 1, position), sy = key_symbol(&y, 1, position);
      assert_int_not_equal(sx, sy);
      assert_int_equal(sx < sy, a < b);
      assert_true(sx <= TRIE_SYMBOL_LAST && sy <= TRIE_SYMBOL_LAST);
      assert_true(sx > TRIE_END && sy > TRIE_END); /* at both steps: an END twig is always the end of a key */
    }
    uint8_t x = (uint8_t)a;
    unsigned position = trie_difference(&x, 0, &x, 1); /* an end comes before every octet */
    assert_true(key_symbol(&x, 0, position) < key_symbol(&x, 1, position));
  }
  assert_int_equal(trie_symbols['*'], TRIE_STAR);
}

static void test_put_and_remove(void **state) {
  (void)state;
  enum { KEYS = 600 };
  struct key *keys = malloc(2 * KEYS * sizeof *keys), *left = keys + KEYS;
  assert_non_null(keys);
  for (uint64_t seed = 1; seed <= 30; seed++) {
    struct dice d = {seed};
    struct heap h;
    heap_init(&h);
    struct trie_edit t = {.heap = &h};
    struct trie_node root = {0};
    size_t n = 1 + dice_below(&d, KEYS);
    for (size_t i = 0; i < n; i++) {
      keys[i] = random_key(&d);
      put(&t, &root, keys + i);
    }
    n = sort_unique(keys, n);
    check_order(&h, &root, keys, n);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
      if (dice_below(&d, 2)) left[kept++] = keys[i];
      else assert_int_equal(trie_remove(&t, &root, keys[i].octets, keys[i].size), ERR_OK);
    }
    check_order(&h, &root, left, kept);
    for (size_t i = 0; i < n; i++)
      if (!trie_find(h.table, &root, keys[i].octets, keys[i].size))
        assert_int_equal(trie_remove(&t, &root, keys[i].octets, keys[i].size), ERR_NOT_FOUND);
    trie_abandon(&t, &root);
    assert_int_equal(t.owned, 0);
    assert_int_equal(t.dropped.count, 0);
    span_list_done(&t.dropped);
    heap_done(&h);
  }
  free(keys);
}

/* The same trie, node for node, comes from putting and from laying out. */
static bool same_shape(const struct heap *a, const struct trie_node *x, const struct heap *b, const struct trie_node *y) {
  uint64_t word = node_word(x) & ~TRIE_OWNED;
  if (word != (node_word(y) & ~TRIE_OWNED)) return false;
  if (!(word & TRIE_BRANCH)) return true;
  for (unsigned i = 0; i < word_twigs(word); i++)
    if (!same_shape(a, node_twigs(a->table, x) + i, b, node_twigs(b->table, y) + i)) return false;
  return true;
}

static enum err emit(void *arg, const void *bytes, uint32_t cells, uint32_t *ref) {
  void *at = heap_alloc(arg, cells, ref);
  if (!at) return ERR_MEMORY;
  memcpy(at, bytes, (size_t)cells * CELL_BYTES);
  return ERR_OK;
}

static void test_layout_is_the_same_trie(void **state) {
  (void)state;
  enum { KEYS = 400 };
  struct key *keys = malloc(KEYS * sizeof *keys);
  struct layout *l = calloc(1, sizeof *l);
  assert_true(keys && l);
  for (uint64_t seed = 1; seed <= 20; seed++) {
    struct dice d = {seed * 77};
    struct heap put_heap, laid_heap;
    heap_init(&put_heap);
    heap_init(&laid_heap);
    struct trie_edit t = {.heap = &put_heap};
    struct trie_node put_root = {0}, laid_root;
    size_t n = dice_below(&d, KEYS);
    for (size_t i = 0; i < n; i++) {
      keys[i] = random_key(&d);
      put(&t, &put_root, keys + i);
    }
    n = sort_unique(keys, n);
    layout_start(l, emit, &laid_heap);
    for (size_t i = 0; i < n; i++) {
      const struct trie_node *leaf = trie_find(put_heap.table, &put_root, keys[i].octets, keys[i].size);
      assert_int_equal(layout_leaf(l, node_record(put_heap.table, leaf), LEAF_PRESENT), ERR_OK);
    }
    assert_int_equal(layout_finish(l, &laid_root), ERR_OK);
    layout_done(l);
    assert_true(same_shape(&put_heap, &put_root, &laid_heap, &laid_root));
    check_order(&laid_heap, &laid_root, keys, n);
    span_list_done(&t.dropped);
    heap_done(&put_heap);
    heap_done(&laid_heap);
  }
  free(l);
  free(keys);
}

/* Versions one on the other: each keeps showing its keys, and what is dropped and born adds up. */
static void test_copy_on_write(void **state) {
  (void)state;
  enum { KEYS = 300, VERSIONS = 40 };
  struct {
    struct trie_node root;
    struct key *keys;
    size_t count;
  } versions[VERSIONS];
  struct dice d = {4711};
  struct heap h;
  heap_init(&h);
  struct span_list dropped = {0};
  for (int v = 0; v < VERSIONS; v++) {
    struct trie_edit t = {.heap = &h};
    struct trie_node root = v ? versions[v - 1].root : (struct trie_node){0};
    size_t before = v ? versions[v - 1].count : 0, n = 0;
    struct key *keys = malloc((before + KEYS) * sizeof *keys);
    assert_non_null(keys);
    for (size_t i = 0; i < before; i++) {
      keys[n] = versions[v - 1].keys[i];
      if (dice_below(&d, 8) == 0) assert_int_equal(trie_remove(&t, &root, keys[n].octets, keys[n].size), ERR_OK);
      else n++;
    }
    for (unsigned i = dice_below(&d, KEYS / 4); i > 0; i--) {
      keys[n] = random_key(&d);
      put(&t, &root, keys + n);
      n++;
    }
    struct span_list born = {0};
    assert_true(span_list_reserve(&born, t.owned + 1));
    size_t owned = t.owned;
    trie_seal(&t, &root, &born);
    assert_int_equal(born.count, owned);
    assert_int_equal(t.owned, 0);
    assert_true(span_list_reserve(&dropped, t.dropped.count + 1));
    for (size_t i = 0; i < t.dropped.count; i++)
      span_list_add(&dropped, t.dropped.items[i].ref, t.dropped.items[i].cells);
    span_list_done(&t.dropped);
    span_list_done(&born);
    versions[v].root = root;
    versions[v].keys = keys;
    versions[v].count = sort_unique(keys, n);
    for (int i = 0; i <= v; i++)
      check_order(&h, &versions[i].root, versions[i].keys, versions[i].count);
  }
  for (size_t i = 0; i < dropped.count; i++) /* with all but the last version gone; the sanitizer sees what should have stayed */
    heap_free(&h, dropped.items[i].ref, dropped.items[i].cells);
  check_order(&h, &versions[VERSIONS - 1].root, versions[VERSIONS - 1].keys, versions[VERSIONS - 1].count);
  for (int v = 0; v < VERSIONS; v++)
    free(versions[v].keys);
  span_list_done(&dropped);
  heap_done(&h);
}

/* A small heap keeps its free blocks in a list, and they go to bins when it grows. */
static void test_small_heap(void **state) {
  (void)state;
  enum { BLOCKS = 40, SMALL_ROUNDS = 3000, ROUNDS = 4000, SMALL_BYTES = 8192 };
  struct {
    uint32_t ref, cells;
    uint8_t mark;
  } blocks[4 * BLOCKS] = {0};
  struct dice d = {7};
  struct heap h;
  heap_init(&h);
  for (unsigned i = 0; i < ROUNDS; i++) {
    unsigned at = dice_below(&d, i < SMALL_ROUNDS ? BLOCKS : 4 * BLOCKS);
    if (blocks[at].cells) {
      const uint8_t *p = cell_at(h.table, blocks[at].ref);
      for (size_t b = 0; b < (size_t)blocks[at].cells * CELL_BYTES; b++)
        assert_int_equal(p[b], blocks[at].mark);
      heap_free(&h, blocks[at].ref, blocks[at].cells);
      blocks[at].cells = 0;
      continue;
    }
    uint32_t cells = 1 + dice_below(&d, 20);
    blocks[at].mark = (uint8_t)dice_next(&d);
    void *p = heap_alloc(&h, cells, &blocks[at].ref);
    assert_non_null(p);
    blocks[at].cells = cells;
    memset(p, blocks[at].mark, (size_t)cells * CELL_BYTES);
    if (i == SMALL_ROUNDS - 1) {
      assert_true(h.bytes <= SMALL_BYTES); /* half of them are taken, 10 cells each: 1,600 octets */
      assert_null(h.bins);
    }
  }
  assert_non_null(h.bins);
  assert_int_equal(h.few, UINT32_MAX);
  for (unsigned i = 0; i < 4 * BLOCKS; i++)
    if (blocks[i].cells) heap_free(&h, blocks[i].ref, blocks[i].cells);
  assert_int_equal((h.bin_cells + h.fresh_cells) * CELL_BYTES, h.bytes);
  heap_done(&h);
}

/* Blocks of all sizes, also larger than a chunk, do not overlap and are used again. */
static void test_heap(void **state) {
  (void)state;
  enum { BLOCKS = 200, ROUNDS = 4000 };
  static const uint32_t large[] = {CHUNK_CELLS, CHUNK_CELLS + 1, 3 * CHUNK_CELLS - 1, CHUNK_CELLS / 2};
  struct {
    uint32_t ref, cells;
    uint8_t mark;
  } blocks[BLOCKS] = {0};
  struct dice d = {99};
  struct heap h;
  heap_init(&h);
  size_t most = 0;
  for (unsigned i = 0; i < ROUNDS; i++) {
    unsigned at = dice_below(&d, BLOCKS);
    if (blocks[at].cells) {
      const uint8_t *p = cell_at(h.table, blocks[at].ref);
      size_t last = (size_t)blocks[at].cells * CELL_BYTES - 1;
      assert_true(p[0] == blocks[at].mark && p[last / 2] == blocks[at].mark && p[last] == blocks[at].mark);
      heap_free(&h, blocks[at].ref, blocks[at].cells);
      blocks[at].cells = 0;
      continue;
    }
    uint32_t cells = 1 + dice_below(&d, 300);
    if (at < 3) cells = large[dice_below(&d, 4)];
    blocks[at].mark = (uint8_t)dice_next(&d);
    void *p = heap_alloc(&h, cells, &blocks[at].ref);
    assert_non_null(p);
    blocks[at].cells = cells;
    memset(p, blocks[at].mark, (size_t)cells * CELL_BYTES);
    assert_ptr_equal(p, cell_at(h.table, blocks[at].ref));
    if (i == ROUNDS / 4) most = h.bytes;
  }
  assert_true(h.bytes <= most + (size_t)12 * CHUNK_BYTES);
  heap_done(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order_of_all_pairs),
      cmocka_unit_test(test_put_and_remove),
      cmocka_unit_test(test_layout_is_the_same_trie),
      cmocka_unit_test(test_copy_on_write),
      cmocka_unit_test(test_small_heap),
      cmocka_unit_test(test_heap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
