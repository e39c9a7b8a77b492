#include "control/merge.h"

#include "base/arena.h"
#include "base/serial.h"

#include <stdlib.h>
#include <string.h>

/* ---- what one side has changed ---- */

struct change {
  const uint8_t *key; /* order key of the owner: equal for equal names */
  size_t key_size;
  const uint8_t *owner; /* wire form */
  const uint8_t *rdata;
  uint32_t ttl;
  uint16_t type, size;
  bool added;
};

struct changes {
  struct arena arena;
  struct change *list;
  size_t count, capacity;
  bool failed;
};

static bool keep(struct changes *c, bool added, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                 uint16_t size) {
  uint8_t key[NAME_KEY_BYTES];
  if (type == RR_SOA) return true;
  if (c->count == c->capacity) {
    size_t capacity = c->capacity ? 2 * c->capacity : 64;
    struct change *list = realloc(c->list, capacity * sizeof *list);
    if (!list) return !(c->failed = true);
    c->list = list;
    c->capacity = capacity;
  }
  struct change *x = &c->list[c->count];
  *x = (struct change){.key_size = name_key(owner, key), .ttl = ttl, .type = type, .size = size, .added = added};
  x->key = arena_copy(&c->arena, key, x->key_size);
  x->owner = arena_copy(&c->arena, owner->octets, owner->size);
  x->rdata = arena_copy(&c->arena, rdata, size);
  c->failed = !x->key || !x->owner || !x->rdata;
  c->count++;
  return !c->failed;
}

static bool keep_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  return keep(arg, false, owner, type, ttl, rdata, size);
}

static bool keep_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  return keep(arg, true, owner, type, ttl, rdata, size);
}

/* By owner and type. */
static int compare_sets(const struct change *a, const struct change *b) {
  int order = memcmp(a->key, b->key, a->key_size < b->key_size ? a->key_size : b->key_size);
  if (!order) order = (a->key_size > b->key_size) - (a->key_size < b->key_size);
  return order ? order : a->type - b->type;
}

static bool same_rdata(const struct change *a, const struct change *b) {
  return a->size == b->size && memcmp(a->rdata, b->rdata, a->size) == 0;
}

/* And by what is in them: equal sets of changes become equal runs. */
static int compare(const void *pa, const void *pb) {
  const struct change *a = pa, *b = pb;
  int order = compare_sets(a, b);
  if (!order) order = a->added - b->added;
  if (!order) order = memcmp(a->rdata, b->rdata, a->size < b->size ? a->size : b->size);
  return order ? order : (a->size > b->size) - (a->size < b->size);
}

static enum err collect(const struct zone_snap *from, const struct zone_snap *to, struct changes *out) {
  struct zone_diff d = {keep_removed, keep_added, out};
  enum err err = zone_diff(from, to, &d);
  if (out->failed) return ERR_MEMORY;
  if (!err && out->count) qsort(out->list, out->count, sizeof *out->list, compare);
  return err;
}

static void changes_done(struct changes *c) {
  free(c->list);
  arena_done(&c->arena);
}

/* ---- the changes of one RRset ---- */

struct run {
  const struct change *list;
  size_t count;
};

static struct run next_run(const struct changes *c, size_t at) {
  struct run r = {c->list + at, 0};
  while (at + r.count < c->count && compare_sets(&c->list[at], &c->list[at + r.count]) == 0)
    r.count++;
  return r;
}

static const struct change *find(struct run r, bool added, const struct change *like) {
  for (size_t i = 0; i < r.count; i++)
    if (r.list[i].added == added && same_rdata(&r.list[i], like)) return &r.list[i];
  return NULL;
}

/* A record came with the change, and not only with another TTL. */
static bool is_new(struct run r, const struct change *x) {
  return x->added && !find(r, false, x);
}

static bool removes(struct run r) {
  return r.count && !r.list[0].added;
}

/* Whether all that is new in `a` is so in `b`. */
static bool holds(struct run b, struct run a) {
  for (size_t i = 0; i < a.count; i++) {
    if (!is_new(a, &a.list[i])) continue;
    const struct change *x = find(b, true, &a.list[i]);
    if (!x || x->ttl != a.list[i].ttl) return false;
  }
  return true;
}

/* The TTL that the change gives the RRset; NULL: it stays. */
static const uint32_t *new_ttl(struct run r) {
  for (size_t i = 0; i < r.count; i++)
    if (r.list[i].added && find(r, false, &r.list[i])) return &r.list[i].ttl;
  return NULL;
}

static bool was_there(const struct zone_snap *seed, const struct change *x) {
  struct zone_rrset set;
  struct zone_lookup q = {.snap = seed, .key = x->key, .key_size = (uint16_t)x->key_size};
  zone_lookup(&q);
  return x->type == RR_RRSIG || (q.found.node && zone_find_rrset(q.found.node, x->type, &set));
}

/* Whether both sides have changed the same record, and not in the same way. */
static bool conflicts(const struct zone_snap *seed, struct run file, struct run zone) {
  bool both_gone = false, agree = holds(file, zone) && holds(zone, file);
  for (size_t i = 0; i < file.count && !file.list[i].added; i++) {
    const struct change *x = &file.list[i];
    if (!find(zone, false, x)) continue;
    const struct change *a = find(file, true, x), *b = find(zone, true, x);
    if (!a != !b || (a && a->ttl != b->ttl)) return true;
    both_gone = both_gone || !a;
  }
  if (both_gone) return !agree;
  if (removes(file) || removes(zone) || was_there(seed, file.list)) return false;
  return !holds(file, zone) && !holds(zone, file);
}

/* ---- telling ---- */

static void say(struct run r, struct buf *out) {
  size_t said = 0;
  for (size_t i = 0; i < r.count; i++) {
    if (!r.list[i].added) continue;
    buf_add_text(out, said++ ? ", " : "");
    if (find(r, false, &r.list[i])) buf_printf(out, "TTL %u ", r.list[i].ttl);
    rr_rdata_text(r.list[i].type, r.list[i].rdata, r.list[i].size, out);
  }
  if (!said) buf_add_text(out, "removed");
}

struct merge {
  const struct zone_snap *seed;
  struct zone_edit *edit;
  void (*tell)(void *arg, const struct merge_conflict *c);
  void *arg;
  bool refused;
};

static void tell(struct merge *m, const struct name *owner, uint16_t type, const struct buf *file, const struct buf *zone) {
  m->refused = true;
  m->tell(m->arg, &(struct merge_conflict){owner, type, buf_text(file), buf_text(zone)});
}

static void tell_run(struct merge *m, struct run file, struct run zone) {
  struct buf a = {0}, b = {0};
  struct name owner;
  name_from_wire(file.list->owner, &owner);
  say(file, &a);
  say(zone, &b);
  tell(m, &owner, file.list->type, &a, &b);
  buf_done(&a);
  buf_done(&b);
}

/* ---- doing it ---- */

static enum err apply(struct merge *m, struct run file, struct run zone) {
  struct name owner;
  enum zone_add outcome;
  enum err err = ERR_OK;
  bool added = false;
  name_from_wire(file.list->owner, &owner);
  for (size_t i = 0; !err && i < file.count; i++) {
    const struct change *x = &file.list[i];
    added = added || x->added;
    if (x->added) err = zone_edit_add(m->edit, &owner, x->type, x->ttl, x->rdata, x->size, &outcome);
    else if (!find(file, true, x)) err = zone_edit_remove(m->edit, &owner, x->type, x->rdata, x->size);
    if (err == ERR_NOT_FOUND) err = ERR_OK; /* gone on both sides */
  }
  const uint32_t *ttl = new_ttl(file);
  if (!ttl && added) ttl = new_ttl(zone);
  if (!err && ttl) err = zone_edit_set_ttl(m->edit, &owner, file.list->type, *ttl);
  return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err merge_sets(struct merge *m, const struct changes *file, const struct changes *zone) {
  enum err err = ERR_OK;
  size_t at = 0;
  struct run a;
  for (size_t i = 0; !err && i < file->count; i += a.count) {
    struct run b = {0};
    a = next_run(file, i);
    while (at < zone->count && compare_sets(&zone->list[at], a.list) < 0)
      at++;
    if (at < zone->count && compare_sets(&zone->list[at], a.list) == 0) b = next_run(zone, at);
    if (b.count && conflicts(m->seed, a, b)) tell_run(m, a, b);
    else if (!m->refused) err = apply(m, a, b);
  }
  return err;
}

/* ---- the SOA ---- */

enum {
  SOA_NUMBERS = 6 /* serial first, TTL last */,
  SOA_FIXED_BYTES = 20,
  SOA_MOST_BYTES = 2 * LIMIT_NAME_BYTES + SOA_FIXED_BYTES
};

struct soa {
  struct name names[2]; /* primary, mailbox */
  uint32_t numbers[SOA_NUMBERS];
  const uint8_t *rdata;
  uint16_t size;
};

static void read_soa(const struct zone_snap *s, struct soa *out) {
  struct zone_rrset set;
  if (!zone_find_rrset(zone_apex_node(s), RR_SOA, &set)) abort(); /* no snapshot is without */
  const uint8_t *p = set.rrs;
  zone_rr_next(&p, &out->rdata, &out->size);
  name_from_wire(out->rdata, &out->names[0]);
  name_from_wire(out->rdata + out->names[0].size, &out->names[1]);
  for (int i = 0; i < SOA_NUMBERS - 1; i++)
    out->numbers[i] = get_u32(out->rdata + out->size - SOA_FIXED_BYTES + 4 * i);
  out->numbers[SOA_NUMBERS - 1] = set.ttl;
}

static void merge_soa_names(struct merge *m, const struct soa *seed, const struct soa *file, const struct soa *zone,
                            struct soa *out) {
  static const char *const fields[] = {"primary", "mailbox"};
  char text[NAME_TEXT_BYTES];
  for (int i = 0; i < 2; i++) {
    if (name_equal(&file->names[i], &seed->names[i])) continue;
    if (!name_equal(&zone->names[i], &seed->names[i]) && !name_equal(&zone->names[i], &file->names[i])) {
      struct buf a = {0}, b = {0};
      buf_printf(&a, "%s %s", fields[i], name_text(&file->names[i], text));
      buf_printf(&b, "%s %s", fields[i], name_text(&zone->names[i], text));
      tell(m, zone_apex(m->seed), RR_SOA, &a, &b);
      buf_done(&a);
      buf_done(&b);
    }
    out->names[i] = file->names[i];
  }
}

static void merge_soa_numbers(struct merge *m, const struct soa *seed, const struct soa *file, const struct soa *zone,
                              struct soa *out) {
  static const char *const fields[SOA_NUMBERS] = {"serial", "refresh", "retry", "expire", "minimum", "TTL"};
  for (int i = 1; i < SOA_NUMBERS; i++) {
    uint32_t was = seed->numbers[i], a = file->numbers[i], b = zone->numbers[i];
    if (a == was) continue;
    if (b != was && b != a) {
      struct buf x = {0}, y = {0};
      buf_printf(&x, "%s %u", fields[i], a);
      buf_printf(&y, "%s %u", fields[i], b);
      tell(m, zone_apex(m->seed), RR_SOA, &x, &y);
      buf_done(&x);
      buf_done(&y);
    }
    out->numbers[i] = a;
  }
}

static enum err merge_soa(struct merge *m, const struct zone_snap *file_snap, const struct zone_snap *zone_snap) {
  struct soa seed, file, zone, out;
  uint8_t rdata[SOA_MOST_BYTES];
  enum zone_add outcome;
  read_soa(m->seed, &seed);
  read_soa(file_snap, &file);
  read_soa(zone_snap, &zone);
  out = zone;
  merge_soa_names(m, &seed, &file, &zone, &out);
  merge_soa_numbers(m, &seed, &file, &zone, &out);
  if (file.numbers[0] != seed.numbers[0] && serial_gt(file.numbers[0], zone.numbers[0])) out.numbers[0] = file.numbers[0];
  size_t n = 0;
  for (int i = 0; i < 2; n += out.names[i++].size)
    memcpy(rdata + n, out.names[i].octets, out.names[i].size);
  for (int i = 0; i < SOA_NUMBERS - 1; i++, n += 4)
    put_u32(rdata + n, out.numbers[i]);
  enum err err = zone_edit_remove(m->edit, zone_apex(m->seed), RR_SOA, zone.rdata, zone.size);
  if (err) return err;
  return zone_edit_add(m->edit, zone_apex(m->seed), RR_SOA, out.numbers[SOA_NUMBERS - 1], rdata, (uint16_t)n, &outcome);
}

/* ---- the whole ---- */

enum err zone_merge(const struct zone_snap *seed, const struct zone_snap *file, const struct zone_snap *zone,
                    void (*tell_conflict)(void *arg, const struct merge_conflict *c), void *arg, struct zone_snap **out) {
  struct changes of_file = {0}, of_zone = {0};
  struct merge m = {.seed = seed, .tell = tell_conflict, .arg = arg};
  enum err err = collect(seed, file, &of_file);
  if (!err) err = collect(seed, zone, &of_zone);
  if (!err) err = zone_edit_begin(zone, NULL, &m.edit);
  if (!err) err = merge_soa(&m, file, zone);
  if (!err) err = merge_sets(&m, &of_file, &of_zone);
  if (!err && m.refused) err = ERR_REFUSED;
  if (!err) {
    err = zone_edit_finish(m.edit, out);
    m.edit = NULL;
  }
  zone_edit_abort(m.edit);
  changes_done(&of_file);
  changes_done(&of_zone);
  return err;
}
