/* Images of formats 1 and 2, as they were before 3. There an RRset kept its TTL once, and an RR was its size and its RDATA:
 *
 *   for each type:  u16 type | u16 count | u32 TTL | u32 at, bit 31: signed
 *   at -> [if signed: u32 TTL, u32 at of the signatures, u16 count, u16 0] RRs  signatures     RR: u16 size | RDATA | pad to 2
 *
 * They are proven whole when they are opened, and made again in memory as today's records; who has opened one writes a fresh image
 * (zone_image_is_old). */
#include "zone/image_priv.h"

#include "zone/draft_priv.h"
#include "zone/layout_priv.h"

#include <stdlib.h>

struct old_set {
  uint16_t type;
  uint16_t count;
  uint32_t ttl;
  uint32_t at;
};

struct old_signatures {
  uint32_t ttl;
  uint32_t at;
  uint16_t count;
  uint16_t zero;
};

/* Steps over `count` RRs that must lie before `end`; into the draft, if there is one. */
static enum err take_rrs(const uint8_t **at, const uint8_t *end, unsigned count, struct draft_item item, struct draft *d) {
  for (; count; count--) {
    const uint8_t *p = *at;
    if (end - p < 2) return ERR_CORRUPT;
    memcpy(&item.size, p, 2);
    size_t bytes = 2u + ((item.size + 1u) & ~1u);
    if ((size_t)(end - p) < bytes) return ERR_CORRUPT;
    *at += bytes;
    item.rdata = p + 2;
    enum err e = d ? draft_append(d, &item) : ERR_OK;
    if (e) return e;
  }
  return ERR_OK;
}

/* Sets in order of type, their data one behind the other up to the end. */
static enum err take_sets(const struct zone_node *r, struct draft *d, uint64_t *rr_count) {
  const uint8_t *base = (const uint8_t *)r, *end = base + (size_t)r->cells * CELL_BYTES;
  unsigned count = record_set_count(r);
  const struct old_set *sets = (const struct old_set *)(base + record_sets_at(record_key_size(r), record_has_case(r)));
  if (!count || (size_t)(end - (const uint8_t *)sets) < count * sizeof *sets) return ERR_CORRUPT;
  const uint8_t *at = (const uint8_t *)(sets + count);
  for (unsigned i = 0; i < count; i++) {
    struct old_set set = sets[i];
    struct old_signatures s = {0};
    struct draft_item item = {.ttl = set.ttl, .type = set.type};
    bool is_signed = set.at & RECORD_SET_SIGNED;
    if ((i && set.type <= sets[i - 1].type) || (set.at & ~RECORD_SET_SIGNED) != (uint64_t)(at - base)) return ERR_CORRUPT;
    if (is_signed) {
      if ((size_t)(end - at) < sizeof s) return ERR_CORRUPT;
      memcpy(&s, at, sizeof s);
      at += sizeof s;
    }
    enum err e = take_rrs(&at, end, set.count, item, d);
    item = (struct draft_item){.ttl = s.ttl, .type = set.type, .signature = true};
    if (!e && is_signed && s.at != (uint64_t)(at - base)) e = ERR_CORRUPT;
    if (!e) e = take_rrs(&at, end, s.count, item, d);
    if (e) return e;
    if (!set.count && !s.count) return ERR_CORRUPT;
    *rr_count += (uint64_t)set.count + s.count;
  }
  return end - at < CELL_BYTES ? ERR_OK : ERR_CORRUPT;
}

bool image_old_record_sound(const struct zone_node *r, uint64_t cells_left, const struct name *apex, uint64_t *rr_count) {
  return image_record_frame_sound(r, cells_left, apex) && !record_has_hash(r) && take_sets(r, NULL, rr_count) == ERR_OK;
}

/* ---- making it again ---- */

struct remaking {
  struct draft draft;
  struct layout layout;
};

static enum err remake_record(struct remaking *m, const struct zone_node *r, uint64_t flags) {
  const struct draft_owner owner = {record_key(r), record_key_size(r), record_labels(r), record_case(r), NULL};
  const struct zone_node *made;
  uint64_t rr_count = 0;
  draft_clear(&m->draft);
  enum err e = take_sets(r, &m->draft, &rr_count);
  if (e == ERR_OK) e = draft_make(&m->draft, &owner, &made);
  if (e != ERR_OK) return e;
  return record_leaf_flags(made) == flags ? layout_leaf(&m->layout, made, flags) : ERR_CORRUPT;
}

static enum err remake_trie(struct remaking *m, const struct heap *from, const struct trie_node *root, struct heap *to,
                            struct trie_node *new_root) {
  struct trie_iter it;
  const struct trie_node *leaf;
  enum err e = ERR_OK;
  trie_iter_start(&it, from->table, root);
  layout_start(&m->layout, layout_to_heap, to);
  while (e == ERR_OK && (leaf = trie_iter_leaf(&it)))
    e = remake_record(m, node_record(from->table, leaf), node_word(leaf));
  if (e == ERR_OK) e = layout_finish(&m->layout, new_root);
  layout_done(&m->layout);
  return e;
}

enum err image_old_remake(const struct image_header *h, const uint8_t *cells, struct heap *to, struct trie_node *names,
                          struct trie_node *nsec3) {
  struct remaking *m = calloc(1, sizeof *m);
  if (!m) return ERR_MEMORY;
  struct heap from;
  heap_init(&from);
  enum err e = heap_map(&from, cells, h->cells, NULL);
  heap_expect(to, h->cells + 2 * h->record_count); /* an RR grows by 10 octets at most */
  if (e == ERR_OK) e = remake_trie(m, &from, &h->names, to, names);
  if (e == ERR_OK) e = remake_trie(m, &from, &h->nsec3, to, nsec3);
  heap_trim(to);
  heap_done(&from);
  draft_done(&m->draft);
  free(m);
  return e;
}
