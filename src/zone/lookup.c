/* What a name means in a zone: one walk for each question of a batch, and a short second one for the wildcard where the zone has
 * a label beginning like `*` below the closest encloser. */
#include "zone/snap_priv.h"
#include "zone/walk_priv.h"

#include <assert.h>

enum { WILDCARD_BYTES = 2 }; /* `*` and 00 */

/* A symbol of the key of `*.<closest encloser>`: the query's key up to `encloser_size`, then "*" 00. */
static unsigned wildcard_symbol(unsigned position, unsigned encloser_size) {
  unsigned at = (position >> 1) - encloser_size;
  return at >= WILDCARD_BYTES ? TRIE_END : trie_symbols[(position & 1) << 8 | (at ? 0 : '*')];
}

/* Looks for `*` below the closest encloser, the first `size` octets of the key. `n` is the first node on the query's way at or
 * behind there: everything below it agrees with the query so far, so only the two octets behind it matter. */
static void find_wildcard(const struct walk *w, const struct trie_node *n, unsigned size, struct zone_answer *found) {
  while (node_is_branch(n)) {
    uint64_t word = node_word(n);
    unsigned symbol = wildcard_symbol(word_position(word), size);
    bool there = word >> symbol & 1;
    if (!there && word_position(word) < 2 * (size + WILDCARD_BYTES)) return; /* mostly at the first node: nothing like `*` */
    n = node_twigs(w->table, n) + (there ? twig_index(word, symbol) : 0);
  }
  const struct zone_node *r = node_record(w->table, n);
  const uint8_t *label = record_key(r) + size;
  unsigned key_size = record_key_size(r);
  if (key_size < size + WILDCARD_BYTES || label[0] != '*' || label[1] != 0) return;
  found->wildcard_exists = true;
  if (key_size > size + WILDCARD_BYTES) return;
  found->wildcard = r;
  __builtin_prefetch(r);
}

/* A cut ends the search, and so does a DNAME (RFC 1034 §4.3.2 step 3b, RFC 6672 §3.2); of the two at one name the cut does. */
INLINE bool stops_at(const struct walk *w, const struct trie_node *owner, struct zone_answer *found) {
  uint64_t word = node_word(owner);
  if (!(word & (LEAF_CUT | LEAF_DNAME))) return false;
  const struct zone_node *r = node_record(w->table, owner);
  __builtin_prefetch(r);
  if (word & LEAF_CUT) found->cut = r;
  else found->dname = r;
  return true;
}

/* Whether one of the stored ancestors, from the apex down, has a cut or a DNAME. */
INLINE bool ancestor_stops(const struct walk *w, struct zone_answer *found) {
  for (unsigned i = 0; i < w->end_count; i++) {
    const struct trie_node *n = w->ends[i];
    if (word_position(node_word(n)) == 2u * w->size) return false; /* the name itself */
    if (stops_at(w, node_twigs(w->table, n), found)) return true;
  }
  return false;
}

/* The name does not exist: its closest encloser is the longest label boundary that any key shares. Below a cut or a DNAME nobody
 * asks for it. */
static void found_encloser(const struct walk *w, const struct zone_snap *s, struct zone_answer *found) {
  if (ancestor_stops(w, found)) return;
  unsigned size = w->common, labels = 0;
  while (size && w->key[size - 1] != 0)
    size--;
  bool is_leaf = false;
  const struct trie_node *n = w->end_count ? w->ends[w->end_count - 1] : &s->names;
  if (w->end_count && word_position(node_word(n)) == 2 * size) {
    found->encloser = node_record(w->table, node_twigs(w->table, n));
    labels = record_labels(found->encloser);
  } else if (record_key_size(w->leaf) == size) { /* nothing stands below it, no wildcard either */
    if (stops_at(w, w->node, found)) return;
    found->encloser = w->leaf;
    labels = record_labels(w->leaf);
    is_leaf = true;
  } else { /* an empty non-terminal */
    for (uint64_t word; (word = node_word(n)) & TRIE_BRANCH && word_position(word) < 2 * size;)
      n = node_twigs(w->table, n) + twig_or_first(word, key_symbol(w->key, w->size, word_position(word)));
    for (unsigned i = 0; i < size; i++)
      labels += w->key[i] == 0;
  }
  found->encloser_labels = (uint8_t)(s->apex_labels + labels);
  found->encloser_key_size = (uint16_t)(s->apex_key_size + size);
  if (!is_leaf) find_wildcard(w, n, size, found);
}

/* A name that owns nothing. If another one beside it is not there, and neither is it, the same is above both. */
__attribute__((noinline)) static void resolve_nothing(struct walk *w, struct zone_lookup *q, const struct zone_answer *beside) {
  if (w->common < w->size && beside && !beside->exists) {
    q->found = *beside;
    q->found.near = w->leaf;
    return;
  }
  walk_forget_ends(w);
  if (w->common < w->size) {
    found_encloser(w, q->snap, &q->found);
    return;
  }
  q->found.exists = true;
  ancestor_stops(w, &q->found);
}

/* `beside`: what was found of a name that has all but the first label in common with this one; or NULL. */
INLINE void resolve(struct walk *w, struct zone_lookup *q, const struct zone_answer *beside) {
  q->found = (struct zone_answer){.near = w->leaf};
  if (!walk_compare(w)) {
    resolve_nothing(w, q, beside);
    return;
  }
  q->found.exists = true;
  q->found.node = w->leaf;
  bool clear = beside && !beside->cut && !beside->dname; /* there is no cut and no DNAME above them */
  if ((clear || !ancestor_stops(w, &q->found)) && node_word(w->node) & LEAF_CUT) q->found.cut = w->leaf;
}

static void lookup_some(struct zone_lookup *const *q, size_t count) {
  struct walk walks[LIMIT_BATCH];
  for (size_t i = 0; i < count; i++) {
    const struct zone_snap *s = q[i]->snap;
    assert(q[i]->key_size >= s->apex_key_size);
    walk_start(walks + i, s->table, &s->names, q[i]->key + s->apex_key_size, q[i]->key_size - s->apex_key_size);
  }
  walk_all(walks, count);
  resolve(walks, q[0], NULL);
  for (size_t i = 1; i < count; i++)
    resolve(walks + i, q[i], q[i]->shared && q[i]->snap == q[i - 1]->snap ? &q[i - 1]->found : NULL);
}

void zone_lookup(struct zone_lookup *q) {
  lookup_some(&q, 1);
}

void zone_lookup_batch(struct zone_lookup *const *q, size_t count) {
  for (size_t done = 0; done < count; done += LIMIT_BATCH)
    lookup_some(q + done, count - done < LIMIT_BATCH ? count - done : LIMIT_BATCH);
}
