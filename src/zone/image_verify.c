#include "zone/image_priv.h"

#include <stdlib.h>

/* ---- one record ---- */

/* Steps over `count` RRs of the type that must lie before `end`; they have one TTL. */
static bool rrs_sound(const uint8_t **at, const uint8_t *end, uint16_t type, unsigned count) {
  const uint8_t *p = *at, *first = p;
  for (unsigned i = 0; i < count; i++) {
    uint8_t fixed[RR_READY_BYTES];
    if (end - p < RR_READY_BYTES) return false;
    rr_ready_put(fixed, type, rr_ready_ttl(first), rr_ready_size(p));
    if (memcmp(p, fixed, sizeof fixed) != 0 || end - p - RR_READY_BYTES < rr_ready_size(p)) return false;
    p += RR_READY_BYTES + rr_ready_size(p);
  }
  *at = p;
  return true;
}

/* Sets in order of type, their data one behind the other up to the end. */
static bool sets_sound(const struct zone_node *r, uint64_t *rr_count) {
  uint32_t bytes = r->cells * CELL_BYTES;
  const uint8_t *base = (const uint8_t *)r, *end = base + bytes;
  unsigned count = record_set_count(r);
  uint32_t sets_at = record_sets_at(record_key_size(r), record_has_case(r));
  uint64_t data_at = sets_at + (uint64_t)count * sizeof(struct record_set) + (record_has_hash(r) ? NSEC3_HASH_BYTES : 0);
  if (!count || data_at > bytes) return false;
  const struct record_set *set = (const struct record_set *)(base + sets_at);
  const uint8_t *at = base + data_at;
  for (unsigned i = 0; i < count; i++) {
    if ((i && set[i].type <= set[i - 1].type) || (set[i].at & ~RECORD_SET_SIGNED) != (uint64_t)(at - base)) return false;
    struct record_signatures s = {0};
    if (set[i].at & RECORD_SET_SIGNED) {
      if (end - at < RECORD_SIGNATURES_BYTES) return false;
      memcpy(&s, at, RECORD_SIGNATURES_BYTES);
      at += RECORD_SIGNATURES_BYTES;
    }
    if (!rrs_sound(&at, end, set[i].type, set[i].count)) return false;
    if (s.at != (set[i].at & RECORD_SET_SIGNED ? (uint64_t)(at - base) : 0) || !rrs_sound(&at, end, RR_RRSIG, s.count))
      return false;
    if (!set[i].count && !s.count) return false;
    *rr_count += (uint64_t)set[i].count + s.count;
  }
  return end - at < CELL_BYTES;
}

/* A key that is a name below the apex: labels of 1-63 octets in lower case, with their escapes, each ended by 00. */
static bool key_sound(const struct zone_node *r, const struct name *apex) {
  const uint8_t *key = record_key(r);
  unsigned size = record_key_size(r), labels = 0, octets = apex->size, label = 0;
  for (unsigned i = 0; i < size; i++) {
    if (key[i] == 0) {
      if (label == 0 || label > LIMIT_LABEL_BYTES) return false;
      octets += label + 1;
      labels++;
      label = 0;
      continue;
    }
    if (key[i] == 1 && (++i == size || key[i] < 1 || key[i] > 2)) return false;
    if (key[i] >= 'A' && key[i] <= 'Z') return false;
    label++;
  }
  return label == 0 && octets <= LIMIT_NAME_BYTES && labels == record_labels(r) && labels + apex->labels < LIMIT_NAME_LABELS;
}

bool image_record_frame_sound(const struct zone_node *r, uint64_t cells_left, const struct name *apex) {
  if (cells_left < 1 || r->cells < 1 || r->cells > cells_left || r->cells > UINT32_MAX / CELL_BYTES) return false;
  uint32_t bytes = r->cells * CELL_BYTES;
  if (record_sets_at(record_key_size(r), record_has_case(r)) > bytes) return false;
  if (r->sets >> 12 & ~(RECORD_CASE | RECORD_HASH)) return false;
  return key_sound(r, apex);
}

bool image_record_sound(const struct zone_node *r, uint64_t cells_left, const struct name *apex, uint64_t *rr_count) {
  return image_record_frame_sound(r, cells_left, apex) && sets_sound(r, rr_count);
}

/* ---- the tries ---- */

static bool in_bounds(const struct image_walk *v, uint32_t ref, uint32_t cells) {
  return ref <= v->header->cells && cells <= v->header->cells - ref;
}

static const void *object_at(const struct image_walk *v, uint32_t ref) {
  return v->cells + (size_t)ref * CELL_BYTES;
}

/* The symbol that the twig now under way stands for. */
static bool twig_is_for(const struct open_twigs *o, unsigned symbol) {
  uint64_t word = node_word(o->branch);
  return word >> symbol & 1 && twig_index(word, symbol) == word_twigs(word) - o->left - 1;
}

/* The first key below each twig is told from the one before by the branch that both hang from; so all of them are. */
static bool key_in_place(const struct image_walk *v, const struct zone_node *r, unsigned first_open) {
  const uint8_t *key = record_key(r);
  unsigned size = record_key_size(r);
  for (unsigned i = first_open; i < v->depth; i++) /* the branches that this key is the first below */
    if (!twig_is_for(v->open + i, key_symbol(key, size, word_position(node_word(v->open[i].branch))))) return false;
  if (!v->last) return true;
  const struct zone_node *last = v->last;
  if (first_open == 0) return false;
  const struct trie_node *branch = v->open[first_open - 1].branch;
  unsigned position = trie_difference(record_key(last), record_key_size(last), key, size);
  return position == word_position(node_word(branch)) && twig_is_for(v->open + first_open - 1, key_symbol(key, size, position));
}

static bool leaf_sound(struct image_walk *v, const struct trie_node *n, unsigned first_open) {
  if (n->ref != v->at || !in_bounds(v, n->ref, 1)) return false;
  const struct zone_node *r = object_at(v, n->ref);
  uint64_t cells_left = v->header->cells - n->ref;
  if (v->header->format < IMAGE_FORMAT) { /* its flags are looked at when it is made again */
    if (!image_old_record_sound(r, cells_left, &v->header->apex, &v->record_count)) return false;
  } else if (!image_record_sound(r, cells_left, &v->header->apex, &v->record_count) || node_word(n) != record_leaf_flags(r)) {
    return false;
  }
  if (!key_in_place(v, r, first_open)) return false;
  v->at += r->cells;
  v->name_count++;
  v->last = r;
  return true;
}

static bool branch_open(struct image_walk *v, const struct trie_node *n) {
  uint64_t word = node_word(n);
  unsigned position = word_position(word), twigs = word_twigs(word);
  if (twigs < 2 || word & TRIE_UNUSED) return false;
  if (!in_bounds(v, n->ref, twigs_cells(twigs)) || position >= TRIE_DEPTH) return false;
  if (v->depth && position <= word_position(node_word(v->open[v->depth - 1].branch))) return false;
  v->open[v->depth++] = (struct open_twigs){n, object_at(v, n->ref), twigs};
  return true;
}

static const struct trie_node *take_twig(struct image_walk *v) {
  v->open[v->depth - 1].left--;
  return v->open[v->depth - 1].next++;
}

/* Down to the next leaf and over it. */
static bool leaf_step(struct image_walk *v) {
  const struct trie_node *n = v->node;
  while (node_is_branch(n)) {
    if (!branch_open(v, n)) return false;
    n = take_twig(v);
  }
  if (!leaf_sound(v, n, v->first_open)) return false;
  while (v->depth && v->open[v->depth - 1].left == 0) { /* its twigs stand behind all below them */
    const struct open_twigs *o = v->open + --v->depth;
    if (o->branch->ref != v->at) return false;
    v->at += twigs_cells(word_twigs(node_word(o->branch)));
  }
  v->first_open = v->depth;
  v->node = v->depth ? take_twig(v) : NULL;
  return true;
}

static void trie_begin(struct image_walk *v, const struct trie_node *root) {
  v->depth = v->first_open = 0;
  v->last = NULL;
  v->node = node_is_empty(root) ? NULL : root;
}

void image_walk_start(struct image_walk *v, const struct image_header *h, const uint8_t *cells) {
  v->header = h;
  v->cells = cells;
  v->at = v->record_count = v->name_count = 0;
  v->in_nsec3 = false;
  trie_begin(v, &h->names);
}

static bool totals_right(const struct image_walk *v) {
  const struct image_header *h = v->header;
  return v->at == h->cells && v->record_count == h->record_count && v->name_count == h->name_count;
}

bool image_walk_on(struct image_walk *v, unsigned leaves, bool *more) {
  for (; leaves; leaves--) {
    if (v->node) {
      if (!leaf_step(v)) return false;
      continue;
    }
    if (v->in_nsec3) break;
    v->in_nsec3 = true;
    trie_begin(v, &v->header->nsec3);
  }
  *more = leaves == 0;
  return *more || totals_right(v);
}
