/* What differs between two snapshots: both tries are walked in order at once. Snapshots of one line share what did not change,
 * and equal nodes are skipped with all below them, so a diff costs what changed and the way to it.
 *
 * Either top may be a branch. The one nearer to the root is opened first, because the other may be the very same as something
 * below it; two leaves are compared by key. Between two turns the walk may rest: it is kept in a zone_differ then. */
#include "zone/snap_priv.h"

#include <stdlib.h>

struct diff {
  const struct zone_snap *from, *to;
  const struct zone_diff *calls;
  bool shared; /* one heap: equal references are equal content */
  bool stopped;
};

typedef bool diff_call(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size);

/* Some RRs of one side: an RRset, or its signatures. */
struct rr_run {
  const uint8_t *at;
  unsigned left;
  uint32_t ttl;
  const uint8_t *rdata; /* the current one */
  uint16_t size;
  bool has;
};

static void run_next(struct rr_run *r) {
  r->has = r->left > 0;
  if (!r->has) return;
  r->left--;
  zone_rr_next(&r->at, &r->rdata, &r->size);
}

static struct rr_run run_make(const uint8_t *rrs, unsigned count, uint32_t ttl) {
  struct rr_run r = {.at = rrs, .left = count, .ttl = ttl};
  run_next(&r);
  return r;
}

static void say(struct diff *d, diff_call *call, const struct name *owner, uint16_t type, struct rr_run *r) {
  if (!d->stopped && call && !call(d->calls->arg, owner, type, r->ttl, r->rdata, r->size)) d->stopped = true;
  run_next(r);
}

/* Says what only `r` has, or all of it if `all`; `other` is the other side in the same order. */
static void say_only(struct diff *d, diff_call *call, const struct name *owner, uint16_t type, struct rr_run r, struct rr_run other,
                     bool all) {
  while (r.has && !d->stopped) {
    int c = other.has && !all ? rr_rdata_compare(type, r.rdata, r.size, other.rdata, other.size) : -1;
    if (c < 0) {
      say(d, call, owner, type, &r);
      continue;
    }
    if (c == 0) run_next(&r);
    run_next(&other);
  }
}

/* The next type of two records, in order. */
struct set_pair {
  struct zone_rrset a, b; /* without the type: empty */
  uint16_t type;
};

static bool pair_next(const struct zone_node *a, unsigned *i, const struct zone_node *b, unsigned *j, struct set_pair *out) {
  bool has_a = a && *i < zone_rrset_count(a), has_b = b && *j < zone_rrset_count(b);
  if (!has_a && !has_b) return false;
  *out = (struct set_pair){0};
  if (has_a) zone_rrset_at(a, *i, &out->a);
  if (has_b) zone_rrset_at(b, *j, &out->b);
  bool take_a = has_a && (!has_b || out->a.type <= out->b.type);
  bool take_b = has_b && (!has_a || out->b.type <= out->a.type);
  out->type = take_a ? out->a.type : out->b.type;
  if (take_a) ++*i;
  else out->a = (struct zone_rrset){0};
  if (take_b) ++*j;
  else out->b = (struct zone_rrset){0};
  return true;
}

/* All records that only one of two records of an owner has: first the removed ones of all types, then the added ones. */
static void diff_records(struct diff *d, const struct zone_node *a, const struct zone_node *b) {
  struct name owner;
  zone_node_owner(a ? d->from : d->to, a ? a : b, &owner);
  for (int adding = 0; adding < 2 && !d->stopped; adding++) {
    diff_call *call = adding ? d->calls->added : d->calls->removed;
    struct set_pair p;
    for (unsigned i = 0, j = 0; !d->stopped && pair_next(a, &i, b, &j, &p);) {
      struct rr_run run_a = run_make(p.a.rrs, p.a.count, p.a.ttl), run_b = run_make(p.b.rrs, p.b.count, p.b.ttl);
      struct rr_run sig_a = run_make(p.a.sigs, p.a.sig_count, p.a.sig_ttl), sig_b = run_make(p.b.sigs, p.b.sig_count, p.b.sig_ttl);
      say_only(d, call, &owner, p.type, adding ? run_b : run_a, adding ? run_a : run_b, run_a.ttl != run_b.ttl);
      say_only(d, call, &owner, RR_RRSIG, adding ? sig_b : sig_a, adding ? sig_a : sig_b, sig_a.ttl != sig_b.ttl);
    }
  }
}

/* Neither top is a branch; either may be missing. */
static void diff_leaves(struct diff *d, struct trie_iter *a, struct trie_iter *b) {
  const struct trie_node *top_a = trie_iter_top(a), *top_b = trie_iter_top(b);
  const struct zone_node *ra = top_a ? node_record(a->table, top_a) : NULL, *rb = top_b ? node_record(b->table, top_b) : NULL;
  int c = !ra ? 1 : !rb ? -1 : record_key_order(ra, rb);
  bool same = c == 0 && ra->cells == rb->cells && memcmp(ra, rb, (size_t)ra->cells * CELL_BYTES) == 0; /* most are, of two lines */
  if (!same) diff_records(d, c <= 0 ? ra : NULL, c >= 0 ? rb : NULL);
  if (c <= 0) trie_iter_skip(a);
  if (c >= 0) trie_iter_skip(b);
}

/* How near to the root a top is; leaves and ends are farthest. */
static unsigned top_position(const struct trie_node *n) {
  return n && node_is_branch(n) ? word_position(node_word(n)) : UINT_MAX;
}

static const struct trie_node nothing;

struct zone_differ {
  struct diff d;
  struct trie_iter a, b;
  bool in_nsec3, done;
};

/* One pair of tops: skipped, opened, or told. */
static void differ_turn(struct zone_differ *x) {
  struct diff *d = &x->d;
  const struct trie_node *top_a = trie_iter_top(&x->a), *top_b = trie_iter_top(&x->b);
  if (!top_a && !top_b) {
    x->done = x->in_nsec3;
    if (x->done) return;
    x->in_nsec3 = true;
    trie_iter_start(&x->a, d->from ? d->from->table : d->to->table, d->from ? &d->from->nsec3 : &nothing);
    trie_iter_start(&x->b, d->to->table, &d->to->nsec3);
    return;
  }
  if (d->shared && top_a && top_b && top_a->ref == top_b->ref && node_word(top_a) == node_word(top_b)) {
    trie_iter_skip(&x->a);
    trie_iter_skip(&x->b);
    return;
  }
  unsigned position_a = top_position(top_a), position_b = top_position(top_b);
  if (position_a == UINT_MAX && position_b == UINT_MAX) {
    diff_leaves(d, &x->a, &x->b);
    return;
  }
  if (position_a <= position_b) trie_iter_expand(&x->a);
  if (position_b <= position_a) trie_iter_expand(&x->b);
}

static enum err differ_start(struct zone_differ *x, const struct zone_snap *from, const struct zone_snap *to) {
  if (from && !name_equal(from->line->apex, to->line->apex)) return ERR_RANGE;
  x->d = (struct diff){.from = from, .to = to, .shared = from && from->line == to->line};
  x->in_nsec3 = x->done = false;
  trie_iter_start(&x->a, from ? from->table : to->table, from ? &from->names : &nothing);
  trie_iter_start(&x->b, to->table, &to->names);
  return ERR_OK;
}

enum err zone_differ_new(const struct zone_snap *from, const struct zone_snap *to, struct zone_differ **out) {
  struct zone_differ *x = malloc(sizeof *x);
  if (!x) return ERR_MEMORY;
  enum err err = differ_start(x, from, to);
  if (err) {
    free(x);
    return err;
  }
  *out = x;
  return ERR_OK;
}

bool zone_differ_step(struct zone_differ *x, const struct zone_diff *calls, size_t turns) {
  x->d.calls = calls;
  for (size_t i = 0; i < turns && !x->done && !x->d.stopped; i++)
    differ_turn(x);
  return !x->done && !x->d.stopped;
}

void zone_differ_free(struct zone_differ *x) {
  free(x);
}

enum err zone_diff(const struct zone_snap *from, const struct zone_snap *to, const struct zone_diff *calls) {
  struct zone_differ x;
  enum err err = differ_start(&x, from, to);
  while (!err && zone_differ_step(&x, calls, SIZE_MAX)) {
  }
  return err;
}

static bool differs(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  *(bool *)arg = false;
  return false;
}

bool zone_shares_memory(const struct zone_snap *a, const struct zone_snap *b) {
  return a->line == b->line;
}

bool zone_equal(const struct zone_snap *a, const struct zone_snap *b) {
  bool equal = true;
  struct zone_diff d = {differs, differs, &equal};
  if (a->record_count != b->record_count || a->name_count != b->name_count || a->serial != b->serial) return false;
  return zone_diff(a, b, &d) == ERR_OK && equal;
}
