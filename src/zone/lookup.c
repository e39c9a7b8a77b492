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

/* Looks for `*` below the closest encloser, which ends at boundary `label`. Everything below at[label] agrees with the query up
 * to there, so only the two octets behind it matter. */
static void find_wildcard(const struct walk *w, unsigned label, struct zone_answer *found) {
  unsigned size = w->boundary[label];
  const struct trie_node *n = w->at[label];
  while (node_is_branch(n)) {
    uint64_t word = node_word(n);
    unsigned symbol = wildcard_symbol(word_position(word), size);
    bool there = word >> symbol & 1;
    if (!there && word_position(word) < 2 * (size + WILDCARD_BYTES)) return; /* mostly at the first node: nothing like `*` */
    n = node_twigs(w->table, n) + (there ? twig_index(word, symbol) : 0);
  }
  const struct zone_node *r = node_record(w->table, n);
  const uint8_t *label_at = record_key(r) + size;
  unsigned rest = record_key_size(r) - size;
  if (rest < WILDCARD_BYTES || label_at[0] != '*' || label_at[1] != 0) return;
  found->wildcard_exists = true;
  if (rest == WILDCARD_BYTES) found->wildcard = r;
}

/* The first cut or DNAME above the name, or the cut at it; what stands below one is not looked at (RFC 1034 §4.3.2 step 3b, RFC
 * 6672 §3.2). `here`: the name's own leaf, NULL if it has none. */
static void find_stop(const struct walk *w, unsigned label, const struct trie_node *here, struct zone_answer *found) {
  if (w->stop && w->stop_label <= label) {
    const struct zone_node *r = node_record(w->table, w->stop);
    if (node_word(w->stop) & LEAF_CUT)
      found->cut = r;
    else
      found->dname = r;
    return;
  }
  if (here && node_word(here) & LEAF_CUT) found->cut = node_record(w->table, here);
}

static void resolve(struct walk *w, struct zone_lookup *q) {
  struct zone_answer *found = &q->found;
  unsigned label = walk_compare(w);
  *found = (struct zone_answer){.encloser_labels = (uint8_t)(q->snap->apex_labels + label)};
  found->exists = w->common == w->size;
  const struct trie_node *owner = walk_owner_at(w, label);
  const struct zone_node *record = owner ? node_record(w->table, owner) : NULL;
  if (found->exists)
    found->node = record;
  else
    found->encloser = record;
  if (!found->exists && owner && label < w->labels && !w->stop && node_word(owner) & (LEAF_CUT | LEAF_DNAME)) {
    w->stop = owner; /* a leaf at the walk's end, below which nothing is stored: no END twig was passed */
    w->stop_label = (uint8_t)label;
  }
  find_stop(w, label, found->exists ? owner : NULL, found);
  if (!found->exists && !found->cut && !found->dname) find_wildcard(w, label, found);
  if (found->cut) __builtin_prefetch(found->cut);
  if (found->dname) __builtin_prefetch(found->dname);
  if (found->wildcard) __builtin_prefetch(found->wildcard);
}

static void lookup_some(struct zone_lookup *const *q, size_t count) {
  struct walk walks[LIMIT_BATCH];
  for (size_t i = 0; i < count; i++)
    __builtin_prefetch(q[i]->snap);
  for (size_t i = 0; i < count; i++) {
    const struct zone_snap *s = q[i]->snap;
    assert(q[i]->key_size >= s->apex_key_size);
    walk_start(walks + i, s->table, &s->names, q[i]->key + s->apex_key_size, q[i]->key_size - s->apex_key_size);
  }
  walk_all(walks, count);
  for (size_t i = 0; i < count; i++)
    resolve(walks + i, q[i]);
}

void zone_lookup(struct zone_lookup *q) {
  lookup_some(&q, 1);
}

void zone_lookup_batch(struct zone_lookup *const *q, size_t count) {
  for (size_t done = 0; done < count; done += LIMIT_BATCH)
    lookup_some(q + done, count - done < LIMIT_BATCH ? count - done : LIMIT_BATCH);
}
