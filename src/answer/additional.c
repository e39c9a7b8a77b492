/* Addresses for the names that an answer or a referral points at (RFC 1034 §4.3.2 step 6, RFC 2782, RFC 9460 §4.1, RFC 9471).
 *
 * Only from the zone that answers. Whatever does not fit is left out and nobody is told, with one exception: the addresses of
 * name servers inside the delegated zone, without which nobody can go on. */
#include "answer/answer_priv.h"

enum { TARGETS_MAX = 16 /* looked up in lockstep; what is beyond them no message needs */ };

/* A name that is pointed at. */
struct target {
  const uint8_t *wire;
  size_t size;                  /* of the RDATA from there on: of the name, where it stands last */
  size_t written_at;            /* where the message has it; 0: nowhere */
  const struct zone_node *node; /* NULL: the zone has no such name, or none that counts */
  const struct zone_node *cut;
};

/* One more look-up of the batch: the key has to live as long. */
struct sought {
  struct zone_lookup lookup;
  struct target *target;
  uint8_t key[NAME_KEY_BYTES];
};

static bool key_is_under(const uint8_t *key, size_t size, const uint8_t *ancestor, size_t ancestor_size) {
  return size >= ancestor_size && memcmp(key, ancestor, ancestor_size) == 0;
}

/* The key of a target that is one label in front of what message_expect_near was told: the key of that is at hand. 0: it is not
 * one. */
static size_t near_key(const struct reply *r, const uint8_t *wire, size_t room, uint8_t *key) {
  const struct message_writer *w = &r->writer;
  size_t near = w->near_sizes[0], n = wire[0] + 1u;
  const uint8_t *rest = w->out.base + MESSAGE_HEADER_BYTES + w->question_size - near;
  if (near == 0 || n == 1 || room < n + near || memcmp(wire + n, rest, near) != 0) return 0;
  memcpy(key, r->lookup->key, near - 1);
  for (size_t i = 1; i < n; i++) {
    if (wire[i] <= 1) return 0; /* keys escape it */
    key[near - 2 + i] = ascii_lower(wire[i]);
  }
  key[near - 2 + n] = 0;
  return near - 1 + n;
}

/* Where the memory may have it. */
static struct known_target *place_of(const struct reply *r, const struct target *t) {
  return &r->server->memory->targets[memory_place(memory_mark(t->wire, t->size), MEMORY_TARGETS)];
}

/* What the memory knows of a target. */
static bool recall(const struct reply *r, struct target *t) {
  const struct known_target *known = place_of(r, t);
  if (!seen_is(known->zone, r->lookup->snap) || known->size != t->size || !bytes_equal(known->wire, t->wire, t->size)) return false;
  t->node = known->node;
  t->cut = known->cut;
  return true;
}

static void remember(const struct reply *r, const struct target *t) {
  *place_of(r, t) = (struct known_target){seen_now(r->lookup->snap), t->wire, t->size, t->node, t->cut};
}

/* Whether the target lies in the zone; then its look-up is made ready. */
static bool is_ours(const struct reply *r, struct sought *s) {
  const struct zone_snap *snap = r->lookup->snap;
  const struct target *t = s->target;
  size_t apex_size = zone_node_key_size(snap, zone_apex_node(snap)), key_size = near_key(r, t->wire, t->size, s->key);
  if (key_size == 0) {
    key_size = name_key_wire(t->wire, s->key);
    if (!key_is_under(s->key, key_size, r->lookup->key, apex_size)) return false;
  }
  s->lookup = (struct zone_lookup){.snap = snap, .key = s->key, .key_size = (uint16_t)key_size};
  return true;
}

/* Finds those that the memory does not know, in lockstep. */
__attribute__((noinline)) static void look_up(const struct reply *r, struct target *const *unknown, unsigned count) {
  struct sought sought[TARGETS_MAX];
  struct zone_lookup *lookups[TARGETS_MAX];
  unsigned n = 0;
  for (unsigned i = 0; i < count; i++) {
    unknown[i]->node = unknown[i]->cut = NULL;
    sought[n].target = unknown[i];
    lookups[n] = &sought[n].lookup;
    n += is_ours(r, &sought[n]);
  }
  if (n) zone_lookup_batch(lookups, n);
  for (unsigned i = 0; i < n; i++) {
    const struct zone_answer *f = &sought[i].lookup.found;
    if (is_below_dname(f)) continue;
    sought[i].target->node = f->node;
    sought[i].target->cut = f->cut;
  }
  for (unsigned i = 0; i < count; i++)
    remember(r, unknown[i]);
}

/* Finds the targets of a set; returns how many there are. The set's first record stands at `message_at`: addresses of targets whose
 * names may be compressed point there. */
static unsigned seek(const struct reply *r, const struct zone_rrset *set, size_t message_at, struct target *targets) {
  struct target *unknown[TARGETS_MAX];
  unsigned n = 0, unknown_count = 0;
  int names_at = rr_compress_offset(set->type);
  const uint8_t *at = set->rrs, *rdata;
  for (unsigned i = 0; i < set->count && n < TARGETS_MAX; i++) {
    uint16_t size;
    zone_rr_next(&at, &rdata, &size);
    struct target *t = &targets[n];
    size_t rdata_at = message_rdata_at(&r->writer, message_at, &message_at);
    t->written_at = names_at >= 0 ? rdata_at + (size_t)names_at : 0;
    if (!rr_rdata_target(set->type, rdata, size, &t->wire) || *t->wire == 0) continue;
    t->size = (size_t)(rdata + size - t->wire);
    if (!recall(r, t)) unknown[unknown_count++] = t;
    n++;
  }
  if (unknown_count) look_up(r, unknown, unknown_count);
  return n;
}

/* Whether it has records, and none before it has the same. */
static bool is_new(const struct target *targets, unsigned which) {
  for (unsigned i = 0; i < which; i++)
    if (targets[i].node == targets[which].node) return false;
  return targets[which].node;
}

static void owner_of(struct reply *r, const struct target *t, struct message_owner *out) {
  if (t->written_at) message_owner_written(&r->writer, t->written_at, out);
  else message_owner_name(&r->writer, t->wire, out);
}

/* One RRset of a target; whether it is there and did not fit. */
static bool misses(struct reply *r, const struct target *t, struct message_owner *owner, uint16_t type) {
  struct zone_rrset set;
  if (!zone_find_rrset(t->node, type, &set) || set.count == 0) return false;
  if (resolve_put(r, SECTION_ADDITIONAL, owner, &set)) return false;
  r->left_out = true;
  return true;
}

static void put_addresses(struct reply *r, const struct target *t, uint16_t further, bool required) {
  struct message_owner owner;
  owner_of(r, t, &owner);
  if (further) misses(r, t, &owner, further);
  bool a = misses(r, t, &owner, RR_A), aaaa = misses(r, t, &owner, RR_AAAA);
  if (required && (a || aaaa)) r->truncated = true;
}

bool additional_glue(struct reply *r, const struct zone_node *cut, const struct zone_rrset *ns, size_t ns_at) {
  struct target targets[TARGETS_MAX];
  unsigned n = seek(r, ns, ns_at, targets);
  bool same = true; /* in whatever zone some of them are, they are there together: those that must fit do not come first */
  for (unsigned i = 0; i < n; i++) {
    same &= targets[i].cut != cut && targets[i].cut == targets[0].cut;
    if (targets[i].cut == cut && is_new(targets, i)) put_addresses(r, &targets[i], 0, true);
  }
  for (unsigned i = 0; i < n && !r->truncated; i++)
    if (targets[i].cut != cut && is_new(targets, i)) put_addresses(r, &targets[i], 0, false);
  return same;
}

/* Besides addresses: NAPTR leads to SRV (RFC 3403 §4.1), an alias form of SVCB to SVCB (RFC 9460 §4.1). */
static uint16_t further_type(const struct zone_rrset *set) {
  uint16_t size;
  const uint8_t *at = set->rrs, *rdata;
  switch (set->type) {
  case RR_NAPTR:
    return RR_SRV;
  case RR_SVCB:
  case RR_HTTPS:
    zone_rr_next(&at, &rdata, &size);
    return size >= 2 && get_u16(rdata) == 0 ? set->type : 0;
  default:
    return 0;
  }
}

/* RFC 9460 §2.5.2: the target "." in service mode is the owner. */
static bool points_at_owner(const struct zone_rrset *set) {
  if (set->type != RR_SVCB && set->type != RR_HTTPS) return false;
  const uint8_t *at = set->rrs, *rdata;
  for (unsigned i = 0; i < set->count; i++) {
    uint16_t size;
    zone_rr_next(&at, &rdata, &size);
    if (size >= 3 && get_u16(rdata) != 0 && rdata[2] == 0) return true;
  }
  return false;
}

void additional_targets(struct reply *r) {
  const struct zone_rrset *set = &r->answer_set;
  const uint8_t *at = set->rrs, *rdata, *wire;
  uint16_t size;
  zone_rr_next(&at, &rdata, &size);
  if (!rr_rdata_target(set->type, rdata, size, &wire) && !points_at_owner(set)) return;
  struct target targets[TARGETS_MAX + 1];
  uint16_t further = further_type(set);
  unsigned n = 0;
  if (points_at_owner(set)) targets[n++] = (struct target){.written_at = r->answer_at, .node = r->answer_node};
  n += seek(r, set, r->answer_at, targets + n);
  for (unsigned i = 0; i < n; i++) { /* data below a cut is good enough only for finding name servers (RFC 2181 §5.4.1) */
    bool good = !targets[i].cut || set->type == RR_NS;
    if (good && is_new(targets, i)) put_addresses(r, &targets[i], further, false);
  }
}
