/* What a new apex means for each record is found out once: where in its RDATA the old one stands. Making the zone again is copying
 * then, in the order in which the trie is laid out. */
#include "zone/move.h"

#include "zone/draft_priv.h"
#include "zone/layout_priv.h"
#include "zone/snap_priv.h"

#include <stdlib.h>

/* A record of the zone whose RDATA changes: an item of its owner's draft. */
struct moving {
  struct draft_item was;
  unsigned cut_count;
  uint16_t cuts[RR_NAMES_MAX]; /* where the old apex stands */
};

struct moving_owner {
  const struct zone_node *record;
  size_t first, count; /* of `rrs`; 0: the record stays as it is */
};

struct zone_mover {
  const struct zone_snap *from;
  const struct name *apex; /* of `from` */
  struct moving_owner *owners;
  size_t owner_count, names; /* those in the trie of NSEC3 come behind `names` */
  struct moving *rrs;
  size_t rr_count, rr_capacity;
  struct name *staying; /* names outside the zone, each once */
  size_t staying_count, staying_capacity;
  size_t longest;   /* octets in front of the apex, of any name that moves */
  size_t cut_count; /* in all */
  struct draft draft;
  uint8_t *rdata; /* room for what the draft points at */
  size_t rdata_room;
  struct layout layout;
};

/* ---- what moves ---- */

/* The list with room for one more; NULL: out of memory, and it is as it was. */
static void *grow(void *list, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return list;
  size_t more = *capacity ? 2 * *capacity : 16;
  void *grown = realloc(list, more * size);
  if (grown) *capacity = more;
  return grown;
}

static enum err add_staying(struct zone_mover *m, const struct name *n) {
  for (size_t i = 0; i < m->staying_count; i++)
    if (name_equal(&m->staying[i], n)) return ERR_OK;
  struct name *staying = grow(m->staying, m->staying_count, &m->staying_capacity, sizeof *staying);
  if (!staying) return ERR_MEMORY;
  m->staying = staying;
  m->staying[m->staying_count++] = *n;
  return ERR_OK;
}

static enum err look_at_name(struct zone_mover *m, struct moving *r, const struct name_range *at) {
  struct name n;
  name_from_wire(r->was.rdata + at->at, &n);
  if (!name_is_under(&n, m->apex)) return add_staying(m, &n);
  size_t front = (size_t)n.size - m->apex->size;
  if (front > m->longest) m->longest = front;
  r->cuts[r->cut_count++] = (uint16_t)(at->at + front);
  m->cut_count++;
  return ERR_OK;
}

static enum err look_at_rr(struct zone_mover *m, struct moving_owner *o, const struct draft_item *item) {
  struct name_range names[RR_NAMES_MAX];
  struct moving *rrs = grow(m->rrs, m->rr_count, &m->rr_capacity, sizeof *rrs);
  if (!rrs) return ERR_MEMORY;
  m->rrs = rrs;
  struct moving *r = &rrs[m->rr_count++];
  *r = (struct moving){.was = *item};
  unsigned count = rr_rdata_names(item->signature ? RR_RRSIG : item->type, item->rdata, item->size, names);
  enum err e = ERR_OK;
  for (unsigned i = 0; e == ERR_OK && i < count; i++)
    e = look_at_name(m, r, &names[i]);
  if (r->cut_count) o->count = 1;
  return e;
}

static enum err look_at_owner(struct zone_mover *m, struct moving_owner *o) {
  struct name owner;
  zone_node_owner(m->from, o->record, &owner);
  if ((size_t)owner.size - m->apex->size > m->longest) m->longest = (size_t)owner.size - m->apex->size;
  o->first = m->rr_count;
  draft_clear(&m->draft);
  enum err e = draft_load(&m->draft, o->record);
  for (size_t i = 0; e == ERR_OK && i < m->draft.count; i++)
    e = look_at_rr(m, o, &m->draft.items[i]);
  if (o->count || record_has_hash(o->record)) o->count = m->rr_count - o->first;
  else m->rr_count = o->first;
  return e;
}

static enum err look_at_trie(struct zone_mover *m, const struct trie_node *root) {
  struct trie_iter it;
  const struct trie_node *leaf;
  enum err e = ERR_OK;
  trie_iter_start(&it, m->from->table, root);
  while (e == ERR_OK && (leaf = trie_iter_leaf(&it))) {
    struct moving_owner *o = &m->owners[m->owner_count++];
    o->record = node_record(m->from->table, leaf);
    e = look_at_owner(m, o);
  }
  return e;
}

enum err zone_mover_new(const struct zone_snap *from, struct zone_mover **out) {
  struct zone_mover *m = calloc(1, sizeof *m);
  if (!m) return ERR_MEMORY;
  m->from = zone_snap_ref(from);
  m->apex = from->line->apex;
  m->owners = calloc(from->name_count, sizeof *m->owners);
  enum err e = m->owners ? look_at_trie(m, &from->names) : ERR_MEMORY;
  m->names = m->owner_count;
  if (e == ERR_OK) e = look_at_trie(m, &from->nsec3);
  if (e == ERR_OK) *out = m;
  else zone_mover_free(m);
  return e;
}

void zone_mover_free(struct zone_mover *m) {
  if (!m) return;
  zone_snap_unref(m->from);
  draft_done(&m->draft);
  free(m->owners);
  free(m->rrs);
  free(m->staying);
  free(m->rdata);
  free(m);
}

/* ---- making it again ---- */

static enum err fits(const struct zone_mover *m, const struct name *apex) {
  if (m->longest + apex->size > LIMIT_NAME_BYTES) return ERR_LIMIT;
  for (size_t i = 0; i < m->staying_count; i++)
    if (name_is_under(&m->staying[i], apex)) return ERR_RANGE;
  return ERR_OK;
}

static size_t moved_size(const struct zone_mover *m, const struct moving *r, const struct name *apex) {
  return (size_t)r->was.size + r->cut_count * apex->size - r->cut_count * m->apex->size;
}

static void move_rdata(const struct zone_mover *m, const struct moving *r, const struct name *apex, uint8_t *to) {
  size_t at = 0;
  for (unsigned i = 0; i < r->cut_count; i++) {
    size_t n = r->cuts[i] - at;
    memcpy(to, r->was.rdata + at, n);
    memcpy(to + n, apex->octets, apex->size);
    to += n + apex->size;
    at = (size_t)r->cuts[i] + m->apex->size;
  }
  memcpy(to, r->was.rdata + at, r->was.size - at);
}

/* What the owner has under the new apex. The order of its records may be another. */
static enum err fill_draft(struct zone_mover *m, const struct moving_owner *o, const struct name *apex) {
  size_t room = 0;
  for (size_t i = 0; i < o->count; i++)
    room += moved_size(m, &m->rrs[o->first + i], apex);
  if (room > m->rdata_room) {
    uint8_t *rdata = realloc(m->rdata, room);
    if (!rdata) return ERR_MEMORY;
    m->rdata = rdata;
    m->rdata_room = room;
  }
  draft_clear(&m->draft);
  uint8_t *to = m->rdata;
  for (size_t i = 0; i < o->count; i++) {
    const struct moving *r = &m->rrs[o->first + i];
    size_t size = moved_size(m, r, apex);
    struct draft_item item = r->was;
    if (size > UINT16_MAX) return ERR_LIMIT;
    if (r->cut_count) {
      move_rdata(m, r, apex, to);
      item.rdata = to;
      item.size = (uint16_t)size;
      to += size;
    }
    enum err e = draft_append(&m->draft, &item);
    if (e != ERR_OK) return e;
  }
  draft_settle(&m->draft);
  return ERR_OK;
}

/* A hash is of the old name and left away: what has one is signed, which does not hold under another name. */
static enum err move_owner(struct zone_mover *m, const struct moving_owner *o, const struct name *apex) {
  const struct zone_node *r = o->record;
  if (!o->count) return layout_leaf(&m->layout, r, record_leaf_flags(r));
  struct draft_owner owner = record_owner(r);
  const struct zone_node *made;
  owner.hash = NULL;
  enum err e = fill_draft(m, o, apex);
  if (e == ERR_OK) e = draft_make(&m->draft, &owner, &made);
  return e == ERR_OK ? layout_leaf(&m->layout, made, record_leaf_flags(made)) : e;
}

static enum err move_trie(struct zone_mover *m, const struct name *apex, struct heap *heap, size_t from, size_t to,
                          struct trie_node *root) {
  enum err e = ERR_OK;
  layout_start(&m->layout, layout_to_heap, heap);
  for (size_t i = from; e == ERR_OK && i < to; i++)
    e = move_owner(m, &m->owners[i], apex);
  if (e == ERR_OK) e = layout_finish(&m->layout, root);
  layout_done(&m->layout);
  return e;
}

static uint64_t cells_wanted(const struct zone_mover *m, const struct name *apex) {
  uint64_t bytes = atomic_load_explicit(&m->from->line->heap.bytes, memory_order_relaxed);
  return (bytes + m->cut_count * apex->size) / CELL_BYTES + m->owner_count;
}

enum err zone_mover_make(struct zone_mover *m, const struct name *apex, struct zone_snap **out) {
  struct zone_line *line;
  struct zone_snap *s;
  struct snap_parts parts = {.record_count = m->from->record_count, .name_count = m->from->name_count};
  enum err e = fits(m, apex);
  if (e == ERR_OK) e = line_new(apex, &line);
  if (e != ERR_OK) return e;
  heap_expect(&line->heap, cells_wanted(m, apex));
  e = move_trie(m, apex, &line->heap, 0, m->names, &parts.names);
  if (e == ERR_OK) e = move_trie(m, apex, &line->heap, m->names, m->owner_count, &parts.nsec3);
  if (e == ERR_OK) {
    heap_trim(&line->heap);
    e = snap_new(line, &parts, &s);
  }
  if (e != ERR_OK) {
    line_free(line);
    return e;
  }
  line_add(line, s, NULL, &(struct span_list){0}, &(struct span_list){0});
  *out = s;
  return ERR_OK;
}
