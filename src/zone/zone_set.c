#include "zone/zone_set.h"
#include "zone/grace_priv.h"
#include "zone/walk_priv.h"

#include <assert.h>
#include <stdlib.h>

/* What readers see: one version of the trie. */
struct set_version {
  uint8_t *const *table;
  struct trie_node root;
  /* the writer's, for when the next version has taken over and its readers are gone */
  struct grace grace;
  struct zone_set *set;
  struct span_list dropped;
  struct zone_entry **retired;
  size_t retired_count;
  struct set_version *next_gone;
};

/* A leaf's record is a struct zone_node without sets; behind the key, at a multiple of 8, stands the entry's slot. */
typedef _Atomic(struct zone_entry *) entry_slot;

struct zone_set {
  _Atomic(struct set_version *) current;
  _Atomic(struct set_version *) gone; /* versions without readers, for the writer to take apart */
  _Atomic size_t count;
  struct heap heap;
  struct trie_edit edit;
  struct trie_node root; /* the next version's */
  bool bulk;
  struct zone_entry **retired; /* entries that the next version has no more */
  size_t retired_count, retired_capacity;
};

static uint32_t slot_at(unsigned key_size) {
  return ((uint32_t)sizeof(struct zone_node) + key_size + 7) & ~7u;
}

static entry_slot *record_slot(const struct zone_node *r) {
  return (entry_slot *)((uintptr_t)r + slot_at(record_key_size(r)));
}

static void entry_free(void *arg) {
  struct zone_entry *e = arg;
  zone_snap_unref(e->snap);
  free(e);
}

static void version_gone(void *arg) {
  struct set_version *v = arg;
  for (size_t i = 0; i < v->retired_count; i++)
    entry_free(v->retired[i]);
  struct set_version *first = atomic_load(&v->set->gone);
  do
    v->next_gone = first;
  while (!atomic_compare_exchange_weak(&v->set->gone, &first, v));
}

/* Cells of versions without readers are free for new ones. */
static void reclaim(struct zone_set *s) {
  for (struct set_version *v = atomic_exchange(&s->gone, NULL), *next; v; v = next) {
    next = v->next_gone;
    for (size_t i = 0; i < v->dropped.count; i++)
      heap_free(&s->heap, v->dropped.items[i].ref, v->dropped.items[i].cells);
    span_list_done(&v->dropped);
    free(v->retired);
    free(v);
  }
}

enum err zone_set_new(struct zone_set **out) {
  struct zone_set *s = calloc(1, sizeof *s);
  struct set_version *v = calloc(1, sizeof *v);
  if (!s || !v) {
    free(s);
    free(v);
    return ERR_MEMORY;
  }
  heap_init(&s->heap);
  s->edit.heap = &s->heap;
  v->set = s;
  v->table = s->heap.table;
  atomic_store(&s->current, v);
  *out = s;
  return ERR_OK;
}

void zone_set_free(struct zone_set *s) {
  if (!s) return;
  zone_grace_barrier();
  reclaim(s);
  struct trie_iter it;
  const struct trie_node *leaf;
  trie_iter_start(&it, s->heap.table, &s->root);
  while ((leaf = trie_iter_leaf(&it)))
    entry_free(atomic_load(record_slot(node_record(s->heap.table, leaf))));
  for (size_t i = 0; i < s->retired_count; i++)
    entry_free(s->retired[i]);
  free(s->retired);
  span_list_done(&s->edit.dropped);
  heap_done(&s->heap);
  free(atomic_load(&s->current));
  free(s);
}

size_t zone_set_count(const struct zone_set *s) {
  return atomic_load_explicit(&s->count, memory_order_relaxed);
}

size_t zone_set_memory_bytes(const struct zone_set *s) {
  return atomic_load_explicit(&s->heap.bytes, memory_order_relaxed) + zone_set_count(s) * sizeof(struct zone_entry);
}

/* ---- writing ---- */

/* Readers go over to `v`; what it no longer uses waits for those who stay behind. */
static void publish(struct zone_set *s, struct set_version *v) {
  struct set_version *old = atomic_load(&s->current);
  trie_seal(&s->edit, &s->root, NULL);
  *v = (struct set_version){.table = s->heap.table, .root = s->root, .set = s};
  old->dropped = s->edit.dropped;
  old->retired = s->retired;
  old->retired_count = s->retired_count;
  s->edit.dropped = (struct span_list){0};
  s->retired = NULL;
  s->retired_count = s->retired_capacity = 0;
  atomic_store_explicit(&s->current, v, memory_order_release);
  grace_defer(&old->grace, version_gone, old);
}

/* Begins one change. In a bulk no version is made for it. */
static enum err change_begin(struct zone_set *s, struct set_version **v) {
  reclaim(s);
  *v = NULL;
  if (s->retired_count == s->retired_capacity) {
    size_t capacity = s->retired_capacity ? 2 * s->retired_capacity : 1;
    struct zone_entry **retired = realloc(s->retired, capacity * sizeof(struct zone_entry *));
    if (!retired) return ERR_MEMORY;
    s->retired = retired;
    s->retired_capacity = capacity;
  }
  if (s->bulk) return ERR_OK;
  *v = malloc(sizeof **v);
  return *v ? ERR_OK : ERR_MEMORY;
}

static enum err change_end(struct zone_set *s, struct set_version *v, enum err e) {
  if (e != ERR_OK) free(v);
  else if (v) publish(s, v);
  return e;
}

/* An entry that the next version does not have. Readers may look at it, unless it came in the same bulk. */
static void retire(struct zone_set *s, struct zone_entry *entry, bool unseen) {
  if (unseen) entry_free(entry);
  else s->retired[s->retired_count++] = entry;
}

static enum err insert(struct zone_set *s, const uint8_t *key, size_t size, unsigned labels, struct zone_entry *entry) {
  uint32_t cells = slot_at((unsigned)size) / CELL_BYTES + 1, ref;
  struct zone_node *r = heap_alloc(&s->heap, cells, &ref);
  if (!r) return ERR_MEMORY;
  memset(r, 0, (size_t)cells * CELL_BYTES);
  r->cells = cells;
  r->shape = (uint16_t)(labels << 9 | size);
  memcpy(r->data, key, size);
  atomic_init(record_slot(r), entry);
  enum err e = trie_put(&s->edit, &s->root, key, size, LEAF_PRESENT, ref);
  if (e != ERR_OK) heap_free(&s->heap, ref, cells);
  return e;
}

enum err zone_set_put(struct zone_set *s, const struct name *apex, struct zone_entry *entry) {
  uint8_t key[NAME_KEY_BYTES];
  size_t size = name_key(apex, key);
  const struct trie_node *leaf = trie_find(s->heap.table, &s->root, key, size);
  bool unseen = leaf && node_word(leaf) & TRIE_OWNED;
  struct zone_entry *old = NULL;
  if (leaf && (!s->bulk || unseen)) {
    old = atomic_exchange_explicit(record_slot(node_record(s->heap.table, leaf)), entry, memory_order_acq_rel);
    if (unseen) entry_free(old);
    else zone_after_grace(entry_free, old);
    return ERR_OK;
  }
  struct set_version *v;
  enum err e = change_begin(s, &v);
  if (e != ERR_OK) return e;
  if (leaf) old = atomic_load(record_slot(node_record(s->heap.table, leaf)));
  e = insert(s, key, size, apex->labels, entry);
  if (e == ERR_OK && old) retire(s, old, false);
  if (e == ERR_OK && !old) atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed);
  return change_end(s, v, e);
}

static struct zone_entry *published(const struct zone_set *s, const struct name *apex) {
  uint8_t key[NAME_KEY_BYTES];
  assert(!s->bulk);
  const struct trie_node *leaf = trie_find(s->heap.table, &s->root, key, name_key(apex, key));
  return leaf ? atomic_load(record_slot(node_record(s->heap.table, leaf))) : NULL;
}

enum err zone_set_renew_policy(struct zone_set *s, const struct name *apex, const struct zone_policy *policy) {
  struct zone_entry *e = published(s, apex);
  if (!e) return ERR_NOT_FOUND;
  atomic_store_explicit(&e->policy, policy, memory_order_release);
  return ERR_OK;
}

enum err zone_set_prolong(struct zone_set *s, const struct name *apex, uint32_t expire_s, uint64_t expires_mono_ns) {
  struct zone_entry *e = published(s, apex);
  if (!e || e->state != ZONE_READY) return ERR_NOT_FOUND;
  atomic_store_explicit(&e->expire_s, expire_s, memory_order_relaxed);
  atomic_store_explicit(&e->expires_mono_ns, expires_mono_ns, memory_order_relaxed);
  return ERR_OK;
}

enum err zone_set_remove(struct zone_set *s, const struct name *apex) {
  uint8_t key[NAME_KEY_BYTES];
  size_t size = name_key(apex, key);
  const struct trie_node *leaf = trie_find(s->heap.table, &s->root, key, size);
  if (!leaf) return ERR_NOT_FOUND;
  bool unseen = node_word(leaf) & TRIE_OWNED;
  struct zone_entry *old = atomic_load(record_slot(node_record(s->heap.table, leaf)));
  struct set_version *v;
  enum err e = change_begin(s, &v);
  if (e != ERR_OK) return e;
  e = trie_remove(&s->edit, &s->root, key, size);
  if (e == ERR_OK) {
    retire(s, old, unseen);
    atomic_fetch_sub_explicit(&s->count, 1, memory_order_relaxed);
  }
  return change_end(s, v, e);
}

void zone_set_bulk_begin(struct zone_set *s) {
  assert(!s->bulk);
  s->bulk = true;
}

enum err zone_set_bulk_end(struct zone_set *s) {
  assert(s->bulk);
  struct set_version *v = malloc(sizeof *v);
  if (!v) return ERR_MEMORY;
  s->bulk = false;
  publish(s, v);
  return ERR_OK;
}

/* ---- reading ---- */

static const struct zone_entry *slot_read(const struct zone_node *r) {
  return atomic_load_explicit(record_slot(r), memory_order_acquire);
}

/* The longest stored key that is the query's or an ancestor's: the leaf's, or that of the last END twig passed. */
static void conclude(struct walk *w, struct zone_lookup *q) {
  bool is_leaf = walk_compare(w) || record_key_size(w->leaf) == w->common;
  const struct trie_node *end = w->end_count ? w->ends[w->end_count - 1] : NULL;
  q->bare = (uint16_t)(w->common + !(is_leaf && !(end && word_position(node_word(end)) == 2u * w->common)));
  if (is_leaf) {
    q->entry = slot_read(w->leaf);
    return;
  }
  walk_forget_ends(w);
  q->entry = w->end_count ? slot_read(node_record(w->table, node_twigs(w->table, w->ends[w->end_count - 1]))) : NULL;
}

static void find_some(const struct set_version *v, struct zone_lookup *const *q, size_t count) {
  struct walk walks[LIMIT_BATCH];
  for (size_t i = 0; i < count; i++)
    walk_start(walks + i, v->table, &v->root, q[i]->key, q[i]->key_size);
  walk_all(walks, count);
  for (size_t i = 0; i < count; i++) {
    conclude(walks + i, q[i]);
    if (q[i]->entry) __builtin_prefetch(q[i]->entry);
  }
  for (size_t i = 0; i < count && count > 1; i++)
    if (q[i]->entry) __builtin_prefetch(q[i]->entry->snap);
}

/* Names beside each other have the same zone, unless there are some below what they share. So the first of them is looked up first.
 */
static void find_groups(const struct set_version *v, struct zone_lookup *const *q, size_t count) {
  struct zone_lookup *some[LIMIT_BATCH];
  size_t n = 0;
  for (size_t i = 0; i < count; i++)
    if (i == 0 || q[i]->shared == 0) some[n++] = q[i];
  find_some(v, some, n);
  if (n == count) return;
  n = 0;
  for (size_t i = 1; i < count; i++) {
    if (q[i]->shared == 0) continue;
    q[i]->entry = q[i - 1]->entry;
    q[i]->bare = q[i - 1]->bare;
    if (q[i]->shared < q[i]->bare) some[n++] = q[i];
  }
  if (n) find_some(v, some, n);
}

void zone_set_find_batch(const struct zone_set *s, struct zone_lookup *const *q, size_t count) {
  const struct set_version *v = atomic_load_explicit(&s->current, memory_order_acquire);
  if (node_is_empty(&v->root)) {
    for (size_t i = 0; i < count; i++)
      q[i]->entry = NULL;
    return;
  }
  for (size_t done = 0; done < count; done += LIMIT_BATCH)
    find_groups(v, q + done, count - done < LIMIT_BATCH ? count - done : LIMIT_BATCH);
}

const struct zone_entry *zone_set_find(const struct zone_set *s, const uint8_t *key, size_t key_size) {
  struct zone_lookup q = {.key = key, .key_size = (uint16_t)key_size}, *at = &q;
  zone_set_find_batch(s, &at, 1);
  return q.entry;
}

const struct zone_entry *zone_set_exact(const struct zone_set *s, const uint8_t *key, size_t key_size) {
  const struct set_version *v = atomic_load_explicit(&s->current, memory_order_acquire);
  const struct trie_node *leaf = trie_find(v->table, &v->root, key, key_size);
  return leaf ? slot_read(node_record(v->table, leaf)) : NULL;
}
