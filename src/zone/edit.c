/* Editing a zone. From nothing, records are gathered for bulk.c. On top of a snapshot, each owner is taken apart in a draft at its
 * first change, and stays so (owners_priv.h):
 *
 *   add / remove / set_ttl -> turn_to(owner): load its record, unless it is open -> change the draft
 *   finish                 -> write_all(), seal what was allocated, put the new snapshot into the line
 *
 * NSEC3 records whose owner is a hash right below the apex, with the signatures that cover them, live in a trie of their own:
 * such a name does not exist for lookups (RFC 5155 §7.2.8). */
#include "base/give_way.h"
#include "zone/bulk_priv.h"
#include "zone/content.h"
#include "zone/content_priv.h"
#include "zone/owners_priv.h"
#include "zone/step_priv.h"
#include "zone/walk_priv.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
  NSEC3_KEY_BYTES = 33,               /* 20 octets in base32hex, and 00 */
  OPEN_FEW = 8,                       /* owners: the ways to them were walked just now */
  OPEN_MOST = 8192,                   /* so many, */
  OPEN_ARENA_BYTES = 4 * 1024 * 1024, /* their keys and what was added: then all are written back */
};

struct part { /* rows that were cut off, to be laid out */
  struct bulk names, nsec3;
  struct arena rows;
};

struct laying { /* whoever lays parts out has this and the heap to himself */
  struct bulk_build *names, *nsec3;
  bool parted; /* it was begun before all rows were there */
  enum err failed;
};

struct zone_edit {
  struct zone_line *line;
  struct zone_snap *base; /* NULL: from nothing */
  bool gathering;         /* from nothing, and nothing laid out yet */
  enum err failed;        /* an error that leaves no way on */
  struct arena arena;     /* rows that are gathered, or keys of what is open and RDATA that was added */
  struct bulk names, nsec3;
  struct part part;
  struct laying laying;
  struct hashing *hashing;  /* of the first NSEC3PARAM, on its way to the line */
  struct digest128 content; /* of what was gathered */
  uint64_t conflicts;       /* in it */
  struct snap_parts parts;
  struct trie_edit tries;
  struct name owner_name; /* whose key `owner` is, as last given */
  struct owner_key owner;
  bool has_owner;
  const struct bulk *gathered; /* whose last row is of `owner`; NULL: none */
  struct open_owner *open;     /* `owner`, in one of the tries; NULL: not looked for yet */
  struct owners owners;
  struct step step; /* what was done, if it is to be kept */
};

/* The last edit that ended and had few owners open, with the room for them: updates come one after the other, and it is too large
 * for malloc to have it at hand. */
static _Atomic(struct zone_edit *) spare;

static struct zone_edit *edit_new(void) {
  struct zone_edit *e = atomic_exchange(&spare, NULL);
  return e ? e : calloc(1, sizeof *e);
}

static void part_done(struct part *p) {
  bulk_done(&p->names);
  bulk_done(&p->nsec3);
  arena_done(&p->rows);
}

static void edit_free(struct zone_edit *e) {
  bulk_done(&e->names);
  bulk_done(&e->nsec3);
  part_done(&e->part);
  bulk_build_free(e->laying.names);
  bulk_build_free(e->laying.nsec3);
  span_list_done(&e->tries.dropped);
  arena_done(&e->arena);
  step_done(&e->step);
  hashing_free(e->hashing);
  struct owners owners = e->owners;
  if (owners_are_few(&owners)) owners_clear(&owners);
  else owners_done(&owners);
  *e = (struct zone_edit){.owners = owners};
  e = atomic_exchange(&spare, e);
  if (e) owners_done(&e->owners);
  free(e);
}

static enum err begin_from(struct zone_edit *e, const struct zone_snap *base) {
  enum err r = line_edit_begin(base->line);
  if (r != ERR_OK) return r;
  e->line = base->line;
  e->base = zone_snap_ref(base);
  e->parts = (struct snap_parts){base->names, base->nsec3, base->record_count, base->name_count};
  return ERR_OK;
}

enum err zone_edit_begin(const struct zone_snap *base, const struct name *apex, struct zone_edit **out) {
  assert(base || apex);
  if (base && apex && !name_equal(apex, base->line->apex)) return ERR_RANGE;
  struct zone_edit *e = edit_new();
  if (!e) return ERR_MEMORY;
  enum err r = base ? begin_from(e, base) : line_new(apex, &e->line);
  if (r != ERR_OK) {
    edit_free(e);
    return r;
  }
  e->gathering = !base;
  e->tries.heap = &e->line->heap;
  *out = e;
  return ERR_OK;
}

void zone_edit_keep_step(struct zone_edit *e, bool any_order) {
  e->step.kept = e->base != NULL;
  e->step.any_order = any_order;
}

size_t zone_edit_step_bytes(const struct zone_edit *e) {
  return e->step.kept ? e->step.body.size : SIZE_MAX;
}

bool zone_edit_is_change(struct zone_edit *e) {
  return step_is_change(&e->step);
}

void zone_edit_abort(struct zone_edit *e) {
  if (!e) return;
  if (e->base) {
    trie_abandon(&e->tries, &e->parts.names);
    trie_abandon(&e->tries, &e->parts.nsec3);
    assert(e->tries.owned == 0);
    line_edit_end(e->line);
    zone_snap_unref(e->base);
  } else {
    line_free(e->line);
  }
  edit_free(e);
}

static bool is_base32hex(uint8_t c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'v');
}

static bool is_nsec3_owner(const struct owner_key *o, uint16_t type) {
  if (type != RR_NSEC3 || o->labels != 1 || o->size != NSEC3_KEY_BYTES) return false;
  for (int i = 0; i < NSEC3_KEY_BYTES - 1; i++)
    if (!is_base32hex(o->key[i])) return false;
  return true;
}

static struct trie_node *root_of(struct zone_edit *e, const struct open_owner *o) {
  return o->nsec3 ? &e->parts.nsec3 : &e->parts.names;
}

static struct draft_owner describe_owner(const struct zone_edit *e, const struct open_owner *o, uint8_t hash[NSEC3_HASH_BYTES]) {
  const uint8_t *stored = o->stored ? record_hash(o->stored) : NULL;
  struct draft_owner owner = {o->key, o->size, o->labels, o->has_case ? o->key + o->size : NULL, stored};
  owner.hash = draft_hash(&o->draft, o->nsec3 ? NULL : e->line->hashing, e->line->apex, &owner, hash);
  return owner;
}

static enum err store_draft(struct zone_edit *e, const struct open_owner *o) {
  uint8_t hash[NSEC3_HASH_BYTES];
  struct draft_owner owner = describe_owner(e, o, hash);
  uint32_t cells, ref;
  enum err r = draft_measure(&o->draft, &owner, &cells);
  if (r != ERR_OK) return r;
  void *at = heap_alloc(e->tries.heap, cells, &ref);
  if (!at) return ERR_MEMORY;
  draft_write(&o->draft, &owner, cells, at);
  if (e->step.kept && o->gained) step_looked_at(&e->step, at);
  r = trie_put(&e->tries, root_of(e, o), o->key, o->size, record_leaf_flags(at), ref);
  if (r != ERR_OK) heap_free(e->tries.heap, ref, cells);
  return r;
}

/* The draft becomes its owner's record, or its end. */
static enum err write_back(struct zone_edit *e, struct open_owner *o) {
  bool changed = o->loaded && o->changed;
  o->loaded = false; /* what it points to may be gone */
  if (!changed) return ERR_OK;
  enum err r = ERR_OK;
  if (o->draft.count) r = store_draft(e, o);
  else if (o->stored) r = trie_remove(&e->tries, root_of(e, o), o->key, o->size);
  if (r != ERR_OK) {
    e->failed = r;
    return r;
  }
  e->parts.name_count += (uint64_t)(o->draft.count > 0) - (uint64_t)(o->stored != NULL);
  return ERR_OK;
}

/* So that the misses of many overlap. */
static void fetch_ways(struct zone_edit *e, uint32_t first, uint32_t end) {
  struct walk walks[LIMIT_BATCH];
  size_t n = 0;
  for (uint32_t i = first; i < end; i++) {
    const struct open_owner *o = e->owners.list + i;
    if (o->loaded && o->changed && !node_is_empty(root_of(e, o)))
      walk_start(walks + n++, e->tries.heap->table, root_of(e, o), o->key, o->size);
  }
  walk_all(walks, n);
}

static enum err write_all(struct zone_edit *e) {
  enum err r = ERR_OK;
  for (uint32_t i = 0; r == ERR_OK && i < e->owners.count; i++) {
    if (i % LIMIT_BATCH == 0 && e->owners.count > OPEN_FEW)
      fetch_ways(e, i, e->owners.count - i < LIMIT_BATCH ? e->owners.count : i + LIMIT_BATCH);
    give_way();
    r = write_back(e, e->owners.list + i);
  }
  owners_clear(&e->owners);
  arena_done(&e->arena);
  e->open = NULL;
  return r;
}

/* Loads what the owner has, with the case of its name. */
static enum err load(struct zone_edit *e, struct open_owner *o) {
  draft_clear(&o->draft);
  o->changed = o->gained = false;
  const struct trie_node *leaf = trie_find(e->tries.heap->table, root_of(e, o), o->key, o->size);
  const struct zone_node *record = o->stored = leaf ? node_record(e->tries.heap->table, leaf) : NULL;
  if (record) {
    enum err r = draft_load(&o->draft, record);
    if (r != ERR_OK) return r;
    o->has_case = record_has_case(record);
    if (o->has_case) memcpy(o->key + o->size, record_case(record), record_case_bytes(o->size));
  }
  o->loaded = true;
  return ERR_OK;
}

/* ---- from nothing ---- */

static void cut_part(struct zone_edit *e) {
  e->part = (struct part){e->names, e->nsec3, e->arena};
  e->names = e->nsec3 = (struct bulk){0};
  e->gathered = NULL;
  e->arena = (struct arena){0};
  if (e->line->hashing) return;
  e->line->hashing = e->hashing;
  e->hashing = NULL;
}

bool zone_edit_part(struct zone_edit *e, size_t least) {
  if (!e->gathering || e->failed || e->names.records + e->nsec3.records < least) return false;
  cut_part(e);
  e->laying.parted = true;
  return true;
}

enum err zone_edit_join(struct zone_edit *e, struct zone_edit *rear) {
  assert(e->gathering && rear->gathering && !rear->laying.parted && name_equal(e->line->apex, rear->line->apex));
  enum err r = e->failed ? e->failed : rear->failed;
  if (r == ERR_OK) r = bulk_join(&e->names, &rear->names);
  if (r == ERR_OK) r = bulk_join(&e->nsec3, &rear->nsec3);
  if (r != ERR_OK) e->failed = r; /* some rows may be there whose memory goes */
  else arena_join(&e->arena, &rear->arena);
  if (!e->hashing) {
    e->hashing = rear->hashing;
    rear->hashing = NULL;
  }
  e->gathered = NULL;
  zone_edit_abort(rear);
  return r;
}

static enum err lay_rows(struct zone_edit *e, struct bulk_build **build, struct hashing *const *hashing, struct bulk *rows) {
  enum err r = *build || !rows->count ? ERR_OK : bulk_build_new(&e->line->heap, e->line->apex, hashing, build);
  return r == ERR_OK && *build ? bulk_take(*build, rows) : r;
}

enum err zone_edit_lay(struct zone_edit *e) {
  struct laying *l = &e->laying;
  if (l->failed == ERR_OK) l->failed = lay_rows(e, &l->names, &e->line->hashing, &e->part.names);
  if (l->failed == ERR_OK) l->failed = lay_rows(e, &l->nsec3, NULL, &e->part.nsec3);
  part_done(&e->part);
  return l->failed;
}

/* Lays out what was gathered: the edit goes on as if on top of it. */
static enum err settle_gathered(struct zone_edit *e) {
  struct bulk_result names = {0}, nsec3 = {0};
  struct laying *l = &e->laying;
  e->gathering = false;
  if (!l->parted) heap_expect(&e->line->heap, e->names.cells + e->nsec3.cells);
  cut_part(e);
  enum err r = zone_edit_lay(e);
  if (r == ERR_OK && l->names) r = bulk_finish(l->names, &names);
  if (r == ERR_OK && l->nsec3) r = bulk_finish(l->nsec3, &nsec3);
  if (r != ERR_OK) {
    e->failed = r;
    return r;
  }
  heap_trim(&e->line->heap);
  bulk_build_free(l->names);
  bulk_build_free(l->nsec3);
  l->names = l->nsec3 = NULL;
  e->has_owner = false;
  e->content = content_sum(names.content, nsec3.content);
  e->conflicts = names.conflicts + nsec3.conflicts;
  e->parts =
      (struct snap_parts){names.root, nsec3.root, names.record_count + nsec3.record_count, names.name_count + nsec3.name_count};
  return ERR_OK;
}

/* ---- owners ---- */

static enum err open_owner(struct zone_edit *e, bool nsec3) {
  struct open_owner *o = owners_find(&e->owners, &e->owner, nsec3);
  if (!o && (e->owners.count == OPEN_MOST || e->arena.used_bytes > OPEN_ARENA_BYTES)) {
    step_forget_looks(&e->step); /* who is written twice would be counted twice */
    enum err r = write_all(e);
    if (r != ERR_OK) return r;
  }
  if (!o) o = owners_open(&e->owners, &e->arena, &e->owner, nsec3);
  e->open = o;
  if (!o) return ERR_MEMORY;
  return o->loaded ? ERR_OK : load(e, o);
}

/* Makes `owner` the one the edit is about. `type`: of the record, or what a signature covers. */
static enum err turn_to(struct zone_edit *e, const struct name *owner, uint16_t type, bool *nsec3) {
  if (!e->has_owner || !name_identical(&e->owner_name, owner)) {
    e->has_owner = false;
    e->gathered = NULL;
    e->open = NULL;
    give_way();
    enum err r = owner_key_make(owner, e->line->apex, &e->owner);
    if (r != ERR_OK) return r;
    name_copy(&e->owner_name, owner);
    e->has_owner = true;
  }
  *nsec3 = is_nsec3_owner(&e->owner, type);
  if (e->gathering || (e->open && e->open->nsec3 == *nsec3 && e->open->loaded)) return ERR_OK;
  return open_owner(e, *nsec3);
}

/* Owners laid out from the next part on get hashes of this chain; which one the zone has is known at the end (snap_new). */
static enum err note_chain(struct zone_edit *e, const uint8_t *rdata, uint16_t size) {
  struct zone_nsec3 p;
  if (e->hashing || e->owner.size || !nsec3param_read(rdata, size, &p) || !hashing_is_for(&p)) return ERR_OK;
  return hashing_new(&p, &e->hashing);
}

static enum err gather(struct zone_edit *e, bool nsec3, const struct draft_item *item) {
  struct bulk *b = nsec3 ? &e->nsec3 : &e->names;
  enum err r = bulk_add(b, &e->arena, &e->owner, e->gathered == b, item);
  e->gathered = r == ERR_OK ? b : NULL;
  return r;
}

/* The step gets what was done to a record of the owner in hand. */
static void step_note(struct zone_edit *e, bool added, const struct draft_item *item) {
  struct delta_record r = {added, e->owner_name, item->signature ? RR_RRSIG : item->type, item->size, item->ttl, item->rdata};
  if (added) step_added(&e->step, &r);
  else step_removed(&e->step, &r);
}

/* The RRset of the owner in hand, as what its TTL is taken from or given to. */
static void step_set(struct zone_edit *e, const struct draft_item *like, bool added) {
  const struct draft *d = &e->open->draft;
  size_t first, end;
  draft_set(d, like, &first, &end);
  for (size_t i = first; e->step.kept && i < end; i++)
    step_note(e, added, d->items + i);
}

static bool has_other_ttl(const struct draft *d, const struct draft_item *item) {
  size_t first, end;
  draft_set(d, item, &first, &end);
  return first < end && d->items[first].ttl != item->ttl;
}

enum err zone_edit_add(struct zone_edit *e, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                       uint16_t size, enum zone_add *outcome) {
  struct draft_item item;
  bool nsec3;
  enum err r = e->failed;
  if (r == ERR_OK) r = draft_item_make(type, ttl, rdata, size, &item);
  if (r == ERR_OK) r = turn_to(e, owner, item.type, &nsec3);
  if (r != ERR_OK) return r;
  if (e->gathering) {
    if (type == RR_NSEC3PARAM) r = note_chain(e, rdata, size);
    if (r == ERR_OK) r = gather(e, nsec3, &item);
    if (r == ERR_OK) *outcome = ZONE_ADD_NEW;
    return r;
  }
  struct open_owner *o = e->open;
  item.rdata = arena_copy(&e->arena, rdata, size);
  if (!item.rdata) return ERR_MEMORY;
  size_t before = o->draft.count;
  enum zone_add result;
  bool other_ttl = e->step.kept && has_other_ttl(&o->draft, &item);
  if (other_ttl) step_set(e, &item, false);
  r = draft_add(&o->draft, &item, &result);
  if (other_ttl) step_set(e, &item, true);
  if (r != ERR_OK) {
    if (other_ttl) step_done(&e->step);
    return r;
  }
  if (!before) open_owner_case(o, &e->owner); /* had nothing: its name is as the first record has it */
  e->parts.record_count += o->draft.count - before;
  if (result != ZONE_ADD_DUPLICATE) {
    o->changed = o->gained = true;
    if (e->step.kept && !other_ttl) step_note(e, true, &item);
  }
  *outcome = result;
  return ERR_OK;
}

/* For changes of what is there: what was gathered is laid out first. */
static enum err turn_to_change(struct zone_edit *e, const struct name *owner, uint16_t type) {
  bool nsec3;
  enum err r = e->failed;
  if (r == ERR_OK && e->gathering) r = settle_gathered(e);
  return r == ERR_OK ? turn_to(e, owner, type, &nsec3) : r;
}

enum err zone_edit_remove(struct zone_edit *e, const struct name *owner, uint16_t type, const uint8_t *rdata, uint16_t size) {
  struct draft_item item;
  enum err r = draft_item_make(type, 0, rdata, size, &item);
  if (r == ERR_OK) r = turn_to_change(e, owner, item.type);
  if (r == ERR_OK) r = draft_remove(&e->open->draft, &item);
  if (r != ERR_OK) return r;
  e->parts.record_count--;
  e->open->changed = true;
  if (e->step.kept) step_note(e, false, &item);
  return ERR_OK;
}

static enum err set_ttl_in(struct zone_edit *e, const struct name *owner, uint16_t beside, uint16_t type, uint32_t ttl) {
  struct draft_item set = {.type = type};
  enum err r = turn_to_change(e, owner, beside);
  if (r != ERR_OK) return r;
  if (type == RR_RRSIG) step_done(&e->step); /* several sets */
  if (e->step.kept) step_set(e, &set, false);
  r = draft_set_ttl(&e->open->draft, type, ttl);
  if (e->step.kept) step_set(e, &set, true);
  if (r == ERR_OK) e->open->changed = true;
  return r;
}

enum err zone_edit_set_ttl(struct zone_edit *e, const struct name *owner, uint16_t type, uint32_t ttl) {
  enum err r = set_ttl_in(e, owner, type, type, ttl);
  if (type != RR_RRSIG || !is_nsec3_owner(&e->owner, RR_NSEC3) || (r != ERR_OK && r != ERR_NOT_FOUND)) return r;
  enum err other = set_ttl_in(e, owner, RR_NSEC3, type, ttl); /* signatures may stand in both tries */
  return other == ERR_NOT_FOUND ? r : other;
}

enum err zone_edit_find(struct zone_edit *e, const struct name *owner, const struct zone_node **out) {
  enum err r = turn_to_change(e, owner, 0); /* no type: not in the trie of NSEC3 owners */
  if (r != ERR_OK) return r;
  struct open_owner *o = e->open;
  *out = o->changed ? NULL : o->stored;
  if (!o->changed || !o->draft.count) return ERR_OK;
  uint8_t hash[NSEC3_HASH_BYTES];
  struct draft_owner of = describe_owner(e, o, hash);
  return draft_make(&o->draft, &of, out); /* not into the trie: it may change again */
}

/* Everything in place, and room for the list of what is new, so that sealing can't fail. */
static enum err complete(struct zone_edit *e, struct zone_snap **out, struct span_list *born) {
  enum err r = e->failed;
  bool as_gathered = e->gathering;
  if (r == ERR_OK) r = e->gathering ? settle_gathered(e) : write_all(e);
  if (r != ERR_OK) return r;
  if (e->base && zone_is_damaged(e->base)) return ERR_CORRUPT; /* nobody knows what was read of it */
  if (!span_list_reserve(born, e->tries.owned)) return ERR_MEMORY;
  r = snap_new(e->line, &e->parts, out);
  if (r != ERR_OK || !as_gathered) return r;
  zone_content_set(*out, e->content);
  (*out)->conflicts = e->conflicts;
  (*out)->knows_conflicts = true;
  return ERR_OK;
}

enum err zone_edit_finish(struct zone_edit *e, struct zone_snap **out) {
  struct span_list born = {0};
  struct zone_snap *s;
  enum err r = complete(e, &s, &born);
  if (r != ERR_OK) {
    span_list_done(&born);
    zone_edit_abort(e);
    return r;
  }
  trie_seal(&e->tries, &e->parts.names, &born);
  trie_seal(&e->tries, &e->parts.nsec3, &born);
  assert(e->tries.owned == 0);
  s->names = e->parts.names;
  s->nsec3 = e->parts.nsec3;
  if (!e->base) { /* nobody has seen what was laid out and then changed */
    for (size_t i = 0; i < e->tries.dropped.count; i++)
      heap_free(e->tries.heap, e->tries.dropped.items[i].ref, e->tries.dropped.items[i].cells);
    e->tries.dropped.count = 0;
    born.count = 0;
  }
  step_end(&e->step, e->base, s);
  line_add(e->line, s, e->base, &born, &e->tries.dropped);
  line_edit_end(e->line);
  zone_snap_unref(e->base);
  edit_free(e);
  *out = s;
  return ERR_OK;
}
