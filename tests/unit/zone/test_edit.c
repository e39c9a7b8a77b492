/* Edits against the model: what each snapshot shows never changes, whatever is built on it, dropped or given back. */
#include "model.h"

#include "zone/delta.h"
#include "zone/snap_priv.h"
#include "zone/zone_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct model_record random_record(struct dice *d, const struct model *m) {
  struct name n = random_name(d, &m->apex, 3);
  struct model_record r;
  switch (dice_below(d, 8)) {
  case 0:
    r = record_target(&n, RR_NS, dice_below(d, 2) ? "ns1.elsewhere." : "NS2.Elsewhere.");
    break;
  case 1:
    r = record_rrsig(&n, dice_below(d, 2) ? RR_A : RR_TXT, dice_below(d, 3));
    break;
  case 2: {
    uint8_t text[MODEL_RDATA_BYTES];
    unsigned size = dice_below(d, 250);
    text[0] = (uint8_t)size;
    memset(text + 1, 'x', size);
    r = record_of(&n, RR_TXT, 300, text, size + 1);
    break;
  }
  case 3: {
    uint8_t label[32];
    for (unsigned i = 0; i < sizeof label; i++)
      label[i] = (uint8_t)(i < 2 ? "0v5V"[dice_below(d, 4)] : 'a');
    name_prepend(label, sizeof label, &m->apex, &n);
    r = dice_below(d, 2) ? record_nsec3(&n, (uint16_t)dice_below(d, 3), "") : record_rrsig(&n, RR_NSEC3, dice_below(d, 2));
    break;
  }
  default:
    r = record_a(&n, dice_below(d, 4));
  }
  r.ttl = 100 * (1 + dice_below(d, 3));
  return r;
}

static uint32_t set_ttl_of(const struct model *m, const struct model_record *r) {
  for (size_t i = 0; i < m->count; i++) {
    const struct model_record *x = m->records + i;
    bool same_cover = r->type != RR_RRSIG || memcmp(x->rdata, r->rdata, 2) == 0;
    if (x->type == r->type && same_cover && name_equal(&x->owner, &r->owner)) return x->ttl;
  }
  return UINT32_MAX;
}

static void random_add(struct zone_edit *e, struct model *m, struct dice *d) {
  struct model_record r = random_record(d, m);
  uint32_t before = set_ttl_of(m, &r);
  enum zone_add outcome, want = ZONE_ADD_NEW;
  if (!model_add(m, &r)) want = ZONE_ADD_DUPLICATE;
  if (before != UINT32_MAX && before != r.ttl) want = ZONE_ADD_TTL_CHANGED;
  assert_int_equal(zone_edit_add(e, &r.owner, r.type, r.ttl, r.rdata, r.size, &outcome), ERR_OK);
  assert_int_equal(outcome, want);
}

static void random_remove(struct zone_edit *e, struct model *m, struct dice *d) {
  struct model_record r = m->records[dice_below(d, (unsigned)m->count)];
  if (dice_below(d, 6) == 0) r = random_record(d, m);
  if (r.type == RR_SOA) return;
  bool there = model_remove(m, &r);
  assert_int_equal(zone_edit_remove(e, &r.owner, r.type, r.rdata, r.size), there ? ERR_OK : ERR_NOT_FOUND);
}

static void random_ttl(struct zone_edit *e, struct model *m, struct dice *d) {
  struct model_record r = m->records[dice_below(d, (unsigned)m->count)];
  uint32_t ttl = 100 * (1 + dice_below(d, 9));
  assert_int_equal(zone_edit_set_ttl(e, &r.owner, r.type, ttl), ERR_OK);
  for (size_t i = 0; i < m->count; i++) /* of all signatures at the name, for RRSIG */
    if (m->records[i].type == r.type && name_equal(&m->records[i].owner, &r.owner)) m->records[i].ttl = ttl;
}

static void random_changes(struct zone_edit *e, struct model *m, struct dice *d, unsigned count) {
  while (count-- > 0) {
    unsigned what = dice_below(d, 20);
    if (what < 10) random_add(e, m, d);
    else if (what < 19) random_remove(e, m, d);
    else random_ttl(e, m, d);
  }
}

static struct zone_snap *next_version(const struct zone_snap *base, struct model *m, struct dice *d, unsigned changes) {
  struct zone_edit *e;
  struct zone_snap *s;
  assert_int_equal(zone_edit_begin(base, NULL, &e), ERR_OK);
  random_changes(e, m, d, changes);
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  return s;
}

static struct zone_snap *first_version(struct model *m, struct dice *d, unsigned owners) {
  model_start(m, "test.");
  model_fill(m, d, owners);
  return model_build(m);
}

/* Many versions live at once, some edits are given up, versions die in any order. */
static void test_versions(void **state) {
  (void)state;
  enum { KEPT = 12, ROUNDS = 250 };
  for (uint64_t seed = 1; seed <= 3; seed++) {
    struct dice d = {seed};
    struct model models[KEPT];
    struct zone_snap *snaps[KEPT] = {0};
    snaps[0] = first_version(models, &d, 60);
    unsigned newest = 0;
    for (int round = 0; round < ROUNDS; round++) {
      if (dice_below(&d, 5) == 0) {
        struct zone_edit *e;
        struct model scratch;
        model_copy(&scratch, models + newest);
        assert_int_equal(zone_edit_begin(snaps[newest], &models[newest].apex, &e), ERR_OK);
        random_changes(e, &scratch, &d, dice_below(&d, 40));
        zone_edit_abort(e);
        model_done(&scratch);
      }
      unsigned at = dice_below(&d, KEPT);
      if (at == newest) continue;
      if (snaps[at]) { /* one of the old ones dies */
        zone_snap_unref(snaps[at]);
        model_done(models + at);
      }
      model_copy(models + at, models + newest);
      snaps[at] = next_version(snaps[newest], models + at, &d, dice_below(&d, 30));
      newest = at;
      if (round % 16 == 0) zone_grace_barrier();
      for (unsigned i = 0; i < KEPT && round % 10 == 0; i++)
        if (snaps[i]) check_content(snaps[i], models + i);
    }
    for (unsigned i = 0; i < KEPT; i++) {
      if (!snaps[i]) continue;
      check_content(snaps[i], models + i);
      zone_snap_unref(snaps[i]);
      model_done(models + i);
    }
    zone_grace_barrier();
  }
}

/* Builds stacked on builds that are never published: dropping them leaves the base, and its memory, as it was. */
static void test_dropped_builds(void **state) {
  (void)state;
  struct dice d = {8};
  struct model m, tip;
  struct zone_snap *base = first_version(&m, &d, 80);
  size_t bytes = 0;
  for (int round = 0; round < 150; round++) {
    struct zone_snap *stack[4];
    model_copy(&tip, &m);
    for (unsigned i = 0; i < 4; i++)
      stack[i] = next_version(i ? stack[i - 1] : base, &tip, &d, 10);
    check_content(stack[3], &tip);
    for (unsigned i = 0; i < 4; i++)
      zone_snap_unref(stack[round % 2 ? i : 3 - i]);
    model_done(&tip);
    zone_grace_barrier();
    if (round == 75) bytes = zone_memory_bytes(base);
  }
  check_content(base, &m);
  assert_true(zone_memory_bytes(base) <= 2 * bytes);
  zone_snap_unref(base);
  model_done(&m);
}

/* Cells of versions that are gone are used again. */
static void test_recycling(void **state) {
  (void)state;
  struct dice d = {77};
  struct model m;
  struct zone_snap *s = first_version(&m, &d, 400);
  size_t settled = 0;
  for (int commit = 0; commit < 2000; commit++) {
    struct zone_edit *e;
    struct zone_snap *next;
    assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
    for (int i = 0; i < 5; i++) { /* as many removed as added, so that only garbage could grow */
      struct model_record r = m.records[1 + dice_below(&d, (unsigned)m.count - 1)];
      if (!model_remove(&m, &r)) continue;
      edit_remove(e, &r);
      put_u32(r.rdata, get_u32(r.rdata) ^ 0x100);
      if (r.type != RR_A) put_u32(r.rdata, get_u32(r.rdata) ^ 0x100);
      if (model_add(&m, &r)) edit_add(e, &r);
    }
    assert_int_equal(zone_edit_finish(e, &next), ERR_OK);
    zone_snap_unref(s);
    s = next;
    if (commit % 20 == 0) zone_grace_barrier();
    if (commit == 500) settled = zone_memory_bytes(s);
  }
  assert_true(zone_memory_bytes(s) <= settled + settled / 4);
  zone_snap_unref(s);
  model_done(&m);
}

/* An old version that is still read keeps what it shows, however many commits pass. */
static void test_pinned_version(void **state) {
  (void)state;
  struct dice d = {3};
  struct model m, old;
  struct zone_snap *s = first_version(&m, &d, 100);
  struct zone_snap *pinned = zone_snap_ref(s);
  model_copy(&old, &m);
  for (int commit = 0; commit < 300; commit++) {
    struct zone_snap *next = next_version(s, &m, &d, 8);
    zone_snap_unref(s);
    s = next;
    if (commit % 50 == 0) zone_grace_barrier();
  }
  check_content(pinned, &old);
  check_content(s, &m);
  zone_snap_unref(pinned);
  zone_grace_barrier();
  for (int commit = 0; commit < 100; commit++) { /* what was held back comes into use */
    struct zone_snap *next = next_version(s, &m, &d, 8);
    zone_snap_unref(s);
    s = next;
  }
  check_content(s, &m);
  zone_snap_unref(s);
  model_done(&m);
  model_done(&old);
}

/* ---- single rules ---- */

static void test_needs_one_soa(void **state) {
  (void)state;
  struct model m;
  struct dice d = {1};
  struct zone_snap *s = first_version(&m, &d, 10), *next;
  struct zone_edit *e;
  struct model_record soa = m.records[0], second = record_soa(&m.apex, 9);
  assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
  edit_remove(e, &soa);
  assert_int_equal(zone_edit_finish(e, &next), ERR_FORMAT);
  assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
  edit_add(e, &second);
  assert_int_equal(zone_edit_finish(e, &next), ERR_FORMAT);
  assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
  edit_add(e, &second); /* as a transfer does it, in either order */
  edit_remove(e, &soa);
  assert_int_equal(zone_edit_finish(e, &next), ERR_OK);
  assert_int_equal(zone_serial(next), 9);
  check_content(s, &m);
  zone_snap_unref(next);
  zone_snap_unref(s);
  struct name apex = name_of("empty.");
  assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
  assert_int_equal(zone_edit_finish(e, &next), ERR_FORMAT);
  model_done(&m);
}

static void test_one_writer(void **state) {
  (void)state;
  struct model m;
  struct dice d = {1};
  struct zone_snap *s = first_version(&m, &d, 10), *same;
  struct zone_edit *e, *other;
  struct name elsewhere = name_of("other.");
  assert_int_equal(zone_edit_begin(s, &elsewhere, &e), ERR_RANGE);
  assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
  assert_int_equal(zone_edit_begin(s, NULL, &other), ERR_LOCKED);
  struct model_record r = record_a(&elsewhere, 1);
  enum zone_add outcome;
  assert_int_equal(zone_edit_add(e, &r.owner, r.type, r.ttl, r.rdata, r.size, &outcome), ERR_RANGE);
  assert_int_equal(zone_edit_add(e, &m.apex, RR_RRSIG, 1, r.rdata, 1, &outcome), ERR_FORMAT);
  assert_int_equal(zone_edit_finish(e, &same), ERR_OK); /* unchanged */
  assert_ptr_not_equal(s, same);
  assert_true(zone_equal(s, same));
  zone_edit_abort(NULL);
  zone_snap_unref(NULL);
  zone_snap_unref(s);
  check_content(same, &m);
  zone_snap_unref(same);
  model_done(&m);
}

/* From nothing, too, a record may be removed again, and doubles vanish with the lowest TTL left. */
static void test_from_nothing(void **state) {
  (void)state;
  struct name apex = name_of("test."), www = name_of("www.test."), upper = name_of("WWW.test.");
  struct model_record soa = record_soa(&apex, 1), a = record_a(&www, 1), b = record_a(&upper, 1), c = record_a(&www, 2);
  struct model_record sig = record_rrsig(&www, RR_A, 1), sig2 = record_rrsig(&www, RR_A, 2);
  struct model m;
  struct zone_edit *e;
  struct zone_snap *s;
  a.ttl = 500;
  b.ttl = 400;
  c.ttl = 450;
  sig.ttl = 20;
  sig2.ttl = 10;
  model_start(&m, "test.");
  struct model_record *all[] = {&soa, &a, &b, &c, &sig, &sig2};
  assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    model_add(&m, all[i]);
    edit_add(e, all[i]);
  }
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  check_content(s, &m);
  assert_int_equal(zone_record_count(s), 5);
  zone_snap_unref(s);

  assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    edit_add(e, all[i]);
  edit_remove(e, &c);
  model_remove(&m, &c);
  assert_int_equal(zone_edit_set_ttl(e, &www, RR_A, 77), ERR_OK);
  for (size_t i = 0; i < m.count; i++)
    if (m.records[i].type == RR_A) m.records[i].ttl = 77;
  struct name later = name_of("later.test.");
  struct model_record l = record_a(&later, 5);
  model_add(&m, &l);
  edit_add(e, &l);
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  check_content(s, &m);
  zone_snap_unref(s);
  model_done(&m);
}

/* The case of an owner is that of its first record, and comes anew when it was gone. */
static void check_case(const char *first, const char *second, bool gone, const char *want_text) {
  struct name apex = name_of("TeSt."), one = name_of(first), two = name_of(second), want = name_of(want_text), got;
  struct model_record soa = record_soa(&apex, 1), a = record_a(&one, 1), b = record_a(&two, 2);
  struct zone_edit *e;
  struct zone_snap *s, *t;
  assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
  edit_add(e, &soa);
  edit_add(e, &a);
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
  if (gone) edit_remove(e, &a);
  if (gone) edit_add(e, &soa); /* another name in between */
  edit_add(e, &b);
  assert_int_equal(zone_edit_finish(e, &t), ERR_OK);
  uint8_t key[NAME_KEY_BYTES];
  struct zone_lookup l = {.snap = t, .key = key, .key_size = (uint16_t)name_key(&two, key)};
  zone_lookup(&l);
  zone_node_owner(t, l.found.node, &got);
  assert_true(name_identical(&got, &want));
  zone_snap_unref(s);
  zone_snap_unref(t);
}

static void test_case(void **state) {
  (void)state;
  check_case("Www.a.test.", "wWW.A.test.", false, "Www.a.TeSt.");
  check_case("Www.a.test.", "wWW.A.test.", true, "wWW.A.TeSt.");
  check_case("www.test.", "WWW.test.", false, "www.TeSt.");
  check_case("WWW.test.", "www.test.", false, "WWW.TeSt.");
  check_case("WWW.test.", "www.test.", true, "www.TeSt.");
  check_case("Www\\000\\001X.test.", "www\\000\\001x.test.", false, "Www\\000\\001X.TeSt.");
}

/* What an edit has so far, seen from inside it. */
static void test_find(void **state) {
  (void)state;
  struct name apex = name_of("test."), www = name_of("www.test."), out = name_of("other.");
  struct model_record soa = record_soa(&apex, 1), a = record_a(&www, 1), b = record_a(&www, 2);
  const struct zone_node *n;
  struct zone_rrset set;
  struct zone_edit *e;
  struct zone_snap *s;
  for (int from_nothing = 0; from_nothing < 2; from_nothing++) {
    assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
    edit_add(e, &soa);
    if (!from_nothing) {
      assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
      assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
      zone_snap_unref(s);
    }
    assert_int_equal(zone_edit_find(e, &www, &n), ERR_OK);
    assert_null(n);
    edit_add(e, &a);
    edit_add(e, &b);
    assert_int_equal(zone_edit_find(e, &www, &n), ERR_OK);
    assert_non_null(n);
    assert_true(zone_find_rrset(n, RR_A, &set));
    assert_int_equal(set.count, 2);
    edit_remove(e, &a);
    edit_remove(e, &b);
    assert_int_equal(zone_edit_find(e, &www, &n), ERR_OK);
    assert_null(n);
    assert_int_equal(zone_edit_find(e, &out, &n), ERR_RANGE);
    edit_add(e, &b);
    assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
    assert_int_equal(zone_record_count(s), 2);
    zone_snap_unref(s);
  }
}

/* As an IXFR goes: all its owners lose records before any gains one; more owners than are kept open. */
static void test_many_open(void **state) {
  (void)state;
  enum { OWNERS = 20000 };
  struct name apex = name_of("test.");
  struct model_record soa = record_soa(&apex, 1);
  struct zone_edit *e[2];
  struct zone_snap *s, *changed, *want;
  assert_int_equal(zone_edit_begin(NULL, &apex, &e[0]), ERR_OK);
  assert_int_equal(zone_edit_begin(NULL, &apex, &e[1]), ERR_OK);
  edit_add(e[0], &soa);
  edit_add(e[1], &soa);
  for (unsigned change = 0; change < 2; change++) {
    for (unsigned step = 0; step < 1 + change; step++) {
      for (unsigned i = 0; i < OWNERS; i++) {
        char text[32];
        snprintf(text, sizeof text, "h%u.test.", i * 7919 % OWNERS);
        struct name owner = name_of(text);
        struct model_record old = record_a(&owner, i), new = record_a(&owner, i + 1);
        if (!change) edit_add(e[0], &old);
        if (!change && i % 3) edit_add(e[1], &new);
        if (change && !step) edit_remove(e[0], &old);
        if (change && step && i % 3) edit_add(e[0], &new);
      }
    }
    assert_int_equal(zone_edit_finish(e[0], change ? &changed : &s), ERR_OK);
    if (!change) assert_int_equal(zone_edit_begin(s, NULL, &e[0]), ERR_OK);
  }
  assert_int_equal(zone_edit_finish(e[1], &want), ERR_OK);
  assert_true(zone_equal(changed, want));
  assert_int_equal(zone_name_count(changed), zone_name_count(want));
  assert_int_equal(zone_record_count(changed), zone_record_count(want));
  zone_snap_unref(s);
  zone_snap_unref(changed);
  zone_snap_unref(want);
}

static uint64_t conflicts_of(const struct zone_snap *s, const struct model_record *gained, bool *known, bool find) {
  struct zone_edit *e;
  struct zone_snap *next;
  const struct zone_node *n;
  uint64_t count = 0;
  assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
  zone_edit_keep_step(e, false);
  edit_add(e, gained);
  if (find) assert_int_equal(zone_edit_find(e, &gained->owner, &n), ERR_OK);
  assert_int_equal(zone_edit_finish(e, &next), ERR_OK);
  *known = zone_step_conflicts(s, next, &count);
  zone_snap_unref(next);
  return count;
}

/* An edit that keeps its step knows of a CNAME beside other data without a look. */
static void test_conflicts(void **state) {
  (void)state;
  struct name apex = name_of("test."), alias = name_of("alias.test."), www = name_of("www.test.");
  struct model_record soa = record_soa(&apex, 1), cname = record_target(&alias, RR_CNAME, "www.test.");
  struct model_record beside = record_a(&alias, 1), other = record_a(&www, 1);
  struct zone_edit *e;
  struct zone_snap *s;
  bool known;
  assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
  edit_add(e, &soa);
  edit_add(e, &cname);
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  assert_int_equal(conflicts_of(s, &other, &known, false), 0);
  assert_true(known);
  assert_int_equal(conflicts_of(s, &beside, &known, false), 1);
  assert_true(known);
  assert_int_equal(conflicts_of(s, &beside, &known, true), 1); /* a look at it in between does not count */
  assert_true(known);
  zone_snap_unref(s);
}

/* Many records at one name by single adds and removes: the RRset stays sorted, and there is a limit. */
static void test_full_rrset(void **state) {
  (void)state;
  struct name apex = name_of("test."), n = name_of("n.test.");
  struct model_record soa = record_soa(&apex, 1);
  struct zone_edit *e;
  struct zone_snap *s, *t;
  enum zone_add outcome;
  assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
  edit_add(e, &soa);
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
  for (uint32_t i = 0; i < UINT16_MAX; i++) {
    struct model_record r = record_a(&n, i < 200 ? i * 2654435761u | 1 : 2 * i);
    assert_int_equal(zone_edit_add(e, &n, RR_A, 60, r.rdata, r.size, &outcome), ERR_OK);
  }
  struct model_record more = record_a(&n, 7);
  assert_int_equal(zone_edit_add(e, &n, RR_A, 60, more.rdata, more.size, &outcome), ERR_LIMIT);
  assert_int_equal(zone_edit_finish(e, &t), ERR_OK);
  assert_int_equal(zone_record_count(t), UINT16_MAX + 1);
  zone_snap_unref(s);
  zone_snap_unref(t);
}

/* Keys that differ at, before and behind every multiple of the sort's eight bytes, given in any order. */
static void test_sort(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 6; seed++) {
    struct dice d = {seed};
    struct model m;
    model_start(&m, "t.");
    struct model_record soa = record_soa(&m.apex, 1);
    model_add(&m, &soa);
    for (int i = 0; i < 700; i++) {
      uint8_t label[26];
      struct name n = m.apex;
      for (unsigned labels = 1 + dice_below(&d, 3); labels > 0; labels--) {
        unsigned size = 6 + dice_below(&d, 20);
        for (unsigned j = 0; j < size; j++)
          label[j] = (uint8_t)(dice_below(&d, 24) ? 'a' : 'b' + dice_below(&d, 2));
        name_prepend(label, size, &n, &n);
      }
      struct model_record r = record_a(&n, dice_below(&d, 2));
      model_add(&m, &r);
    }
    struct zone_snap *s = model_build(&m);
    check_content(s, &m);
    struct zone_cursor c;
    const struct zone_node *at;
    struct name last, owner;
    uint64_t names = 0;
    assert_int_equal(zone_cursor_open(s, &c), ERR_OK);
    for (; (at = zone_cursor_next(&c)); last = owner, names++) {
      zone_node_owner(s, at, &owner);
      assert_true(!names || name_compare(&last, &owner) < 0);
    }
    zone_cursor_close(&c);
    assert_int_equal(names, zone_name_count(s));
    zone_snap_unref(s);
    model_done(&m);
  }
}

static int finish(void **state) {
  (void)state;
  zone_grace_barrier();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_versions),       cmocka_unit_test(test_dropped_builds), cmocka_unit_test(test_recycling),
      cmocka_unit_test(test_pinned_version), cmocka_unit_test(test_needs_one_soa),  cmocka_unit_test(test_one_writer),
      cmocka_unit_test(test_from_nothing),   cmocka_unit_test(test_case),           cmocka_unit_test(test_many_open),
      cmocka_unit_test(test_conflicts),      cmocka_unit_test(test_full_rrset),     cmocka_unit_test(test_find),
      cmocka_unit_test(test_sort),
  };
  return cmocka_run_group_tests(tests, NULL, finish);
}
