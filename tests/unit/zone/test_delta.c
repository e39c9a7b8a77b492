/* Changeset bodies: from one version to the other and back, and that nothing damaged is taken for one. */
#include "model.h"
#include "zone/content.h"

#include <stdlib.h>

/* A next version: some records go, some come, some change their TTL, and the serial rises. */
static void change(struct model *m, struct dice *d, uint32_t serial) {
  for (unsigned i = dice_below(d, 8); i > 0 && m->count > 1; i--) {
    struct model_record r = m->records[1 + dice_below(d, (unsigned)m->count - 1)];
    if (r.type != RR_SOA) model_remove(m, &r);
  }
  for (unsigned i = dice_below(d, 3); i > 0; i--) {
    const struct model_record *r = &m->records[dice_below(d, (unsigned)m->count)];
    uint32_t ttl = 50 * dice_below(d, 8);
    for (size_t k = 0; k < m->count && r->type != RR_RRSIG; k++)
      if (m->records[k].type == r->type && name_equal(&m->records[k].owner, &r->owner)) m->records[k].ttl = ttl;
  }
  for (unsigned i = dice_below(d, 8); i > 0; i--) {
    struct name n = random_name(d, &m->apex, 4);
    struct model_record r = record_a(&n, dice_below(d, 5));
    if (dice_below(d, 6) == 0) r = record_rrsig(&n, RR_A, dice_below(d, 4));
    r.ttl = 100 + 100 * dice_below(d, 3);
    model_add(m, &r);
  }
  for (size_t i = 0; i < m->count; i++) {
    if (m->records[i].type != RR_SOA) continue;
    struct model_record soa = record_soa(&m->apex, serial);
    soa.ttl = m->records[i].ttl;
    m->records[i] = soa;
  }
}

struct tally {
  uint64_t removed, added;
};

static bool count_record(void *arg, bool added, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                         uint16_t size) {
  struct tally *t = arg;
  t->removed += !added;
  t->added += added;
  return true;
}

/* The digest of what a change leads to is the same by a walk, by the difference and by the body; there is another one before. */
static void assert_content_goes(const struct zone_snap *from, const struct zone_snap *to, const uint8_t *body, size_t n,
                                const struct delta_size *size) {
  struct digest128 before, after, by_diff, by_body;
  struct delta_size diff_size, body_size;
  assert_int_equal(zone_content_whole(from, &before), ERR_OK);
  assert_int_equal(zone_content_whole(to, &after), ERR_OK);
  by_diff = by_body = before;
  assert_int_equal(zone_content_diff(from, to, &by_diff, &diff_size), ERR_OK);
  assert_int_equal(zone_content_delta(body, n, &by_body, &body_size), ERR_OK);
  assert_true(zone_content_equal(by_diff, after));
  assert_true(zone_content_equal(by_body, after));
  assert_int_equal(zone_content_equal(before, after), size->removed + size->added == 0);
  assert_memory_equal(&diff_size, size, sizeof *size);
  assert_memory_equal(&body_size, size, sizeof *size);
}

static void assert_goes(const struct zone_snap *from, const struct zone_snap *to, const struct model *m) {
  struct buf body = {0};
  struct delta_size size;
  struct tally t = {0};
  struct zone_snap *got;
  buf_add_text(&body, "kept");
  assert_int_equal(zone_delta_make(from, to, SIZE_MAX / 2, &body, &size), ERR_OK);
  assert_memory_equal(body.data, "kept", 4);
  const uint8_t *bytes = body.data + 4;
  size_t n = body.size - 4;
  assert_int_equal(zone_delta_each(bytes, n, count_record, &t), ERR_OK);
  assert_int_equal(t.removed, size.removed);
  assert_int_equal(t.added, size.added);
  assert_content_goes(from, to, bytes, n, &size);
  assert_int_equal(zone_delta_apply(from, bytes, n, &got), ERR_OK);
  assert_true(zone_equal(got, to));
  if (m) check_content(got, m);
  zone_snap_unref(got);

  /* exactly so many octets are enough */
  struct buf exact = {0};
  assert_int_equal(zone_delta_make(from, to, n, &exact, &size), ERR_OK);
  assert_int_equal(exact.size, n);
  size.removed = 77;
  buf_clear(&exact);
  assert_int_equal(zone_delta_make(from, to, n - 1, &exact, &size), ERR_SPACE);
  assert_int_equal(exact.size, 0);
  assert_int_equal(size.removed, 77);
  buf_done(&exact);
  buf_done(&body);
}

static void random_versions_go_there_and_back(void **state) {
  struct dice d = {42};
  for (unsigned round = 0; round < 60; round++) {
    struct model m;
    model_start(&m, round % 7 ? "example.com." : ".");
    model_fill(&m, &d, 1 + dice_below(&d, 150));
    struct zone_snap *now = model_build(&m);
    for (uint32_t serial = 2; serial < 12; serial++) {
      change(&m, &d, serial);
      struct zone_snap *alone = model_build(&m), *next;
      struct buf body = {0};
      struct delta_size size;
      assert_goes(now, alone, &m);
      assert_goes(alone, now, NULL);
      /* the next round starts from what was applied: it shares with its base */
      assert_int_equal(zone_delta_make(now, alone, SIZE_MAX / 2, &body, &size), ERR_OK);
      assert_int_equal(zone_delta_apply(now, body.data, body.size, &next), ERR_OK);
      assert_goes(now, next, &m);
      buf_done(&body);
      zone_snap_unref(alone);
      zone_snap_unref(now);
      now = next;
    }
    zone_snap_unref(now);
    model_done(&m);
  }
}

/* ---- packed ---- */

static void put(struct buf *b, uint8_t op, const char *owner, uint16_t type, uint32_t ttl, const void *rdata, uint16_t size) {
  struct name n = name_of(owner);
  uint8_t fixed[8];
  put_u16(fixed, type);
  put_u32(fixed + 2, ttl);
  put_u16(fixed + 6, size);
  buf_add_byte(b, op);
  buf_add(b, n.octets, n.size);
  buf_add(b, fixed, sizeof fixed);
  buf_add(b, rdata, size);
}

/* Unpacked it is octet for octet what it was, in whatever order the records stand; cut or changed it is damage or another body that
 * is checked like any, never more than a body may be. */
static void packed_bodies_come_back(void **state) {
  struct dice d = {7};
  size_t before = 0, after = 0;
  for (unsigned round = 0; round < 60; round++) {
    struct model m;
    struct buf body = {0}, packed = {0}, back = {0};
    struct delta_size size;
    model_start(&m, round % 7 ? "Example.com." : ".");
    model_fill(&m, &d, 1 + dice_below(&d, 100));
    struct zone_snap *from = model_build(&m);
    change(&m, &d, zone_serial(from) + 1);
    struct zone_snap *to = model_build(&m);
    assert_int_equal(zone_delta_make(from, to, SIZE_MAX / 2, &body, &size), ERR_OK);
    assert_false(zone_delta_is_packed(body.data, body.size));
    if (zone_delta_pack(body.data, body.size, &packed)) {
      assert_true(zone_delta_is_packed(packed.data, packed.size));
      before += body.size;
      after += packed.size;
      buf_add_text(&back, "kept");
      assert_int_equal(zone_delta_unpack(packed.data, packed.size, &back), ERR_OK);
      assert_int_equal(back.size, body.size + 4);
      assert_memory_equal(back.data + 4, body.data, body.size);
      for (size_t i = 0; i < packed.size; i++) {
        struct buf damaged = {0}, got = {0};
        buf_add(&damaged, packed.data, packed.size);
        damaged.data[i] ^= 1 << dice_below(&d, 8);
        enum err err = zone_delta_unpack(damaged.data, damaged.size, &got);
        assert_true(err == ERR_OK || (err == ERR_CORRUPT && got.size == 0));
        buf_clear(&got);
        err = zone_delta_unpack(packed.data, i, &got);
        assert_true((err == ERR_OK && got.size < body.size) || (err == ERR_CORRUPT && got.size == 0));
        buf_done(&damaged);
        buf_done(&got);
      }
    }
    buf_done(&body);
    buf_done(&packed);
    buf_done(&back);
    zone_snap_unref(from);
    zone_snap_unref(to);
    model_done(&m);
  }
  assert_in_range(after, 1, before * 3 / 4);
}

/* Two SOAs that differ in more than the serial, none, or one alone. */
static void what_has_no_serial_alone_stays(void **state) {
  struct buf body = {0}, packed = {0};
  struct name apex = name_of("example.com.");
  struct model_record soa = record_soa(&apex, 1), next = record_soa(&apex, 2);
  assert_false(zone_delta_pack(body.data, 0, &packed));
  for (int how = 0; how < 4; how++) {
    buf_clear(&body);
    buf_add_byte(&body, DELTA_FORMAT);
    soa.rdata[soa.size - 1] = 0;
    next.rdata[next.size - 1] = how == 2;
    if (how != 1) put(&body, 0, "example.com.", RR_SOA, 100, soa.rdata, soa.size);
    if (how != 3) put(&body, 1, "example.com.", RR_SOA, 100, next.rdata, next.size);
    put(&body, 1, "www.example.com.", RR_A, 100, "abcd", 4);
    assert_int_equal(zone_delta_pack(body.data, body.size, &packed), how == 0);
    assert_int_equal(packed.size > 0, how == 0);
    buf_clear(&packed);
  }
  buf_done(&body);
  buf_done(&packed);
}

/* ---- what an edit keeps ---- */

static void must_add(struct zone_edit *e, const struct model_record *r, enum zone_add expected) {
  enum zone_add outcome;
  assert_int_equal(zone_edit_add(e, &r->owner, r->type, r->ttl, r->rdata, r->size, &outcome), ERR_OK);
  assert_int_equal(outcome, expected);
}

static struct zone_edit *begin_kept(const struct zone_snap *base, bool any_order) {
  struct zone_edit *e;
  assert_int_equal(zone_edit_begin(base, NULL, &e), ERR_OK);
  zone_edit_keep_step(e, any_order);
  return e;
}

static struct zone_snap *finish(struct zone_edit *e) {
  struct zone_snap *s;
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  return s;
}

/* Records of `m` go, new ones come, one of them was there, and the SOA changes last or first. */
static struct zone_snap *step_from(const struct zone_snap *base, const struct model *m, struct dice *d, uint32_t serial) {
  struct zone_edit *e = begin_kept(base, dice_below(d, 2));
  struct model_record soa = record_soa(&m->apex, serial), was = record_soa(&m->apex, serial - 1);
  bool last = dice_below(d, 2);
  if (!last) edit_remove(e, &was);
  for (size_t i = 0; i < m->count; i++)
    if (m->records[i].type != RR_SOA && dice_below(d, 4) == 0) edit_remove(e, &m->records[i]);
  if (!last) must_add(e, &soa, ZONE_ADD_NEW);
  for (unsigned i = 0; i < 8; i++) {
    struct name n = random_name(d, &m->apex, 4);
    struct model_record r = record_a(&n, 1000 + i);
    r.ttl = 4711 + serial;
    const struct zone_node *node;
    assert_int_equal(zone_edit_find(e, &n, &node), ERR_OK);
    if (node) continue; /* its TTL may be another */
    must_add(e, &r, ZONE_ADD_NEW);
    must_add(e, &r, ZONE_ADD_DUPLICATE);
  }
  if (last) edit_remove(e, &was);
  if (last) must_add(e, &soa, ZONE_ADD_NEW);
  return finish(e);
}

static void what_an_edit_keeps_is_the_difference(void **state) {
  struct dice d = {99};
  for (unsigned round = 0; round < 60; round++) {
    struct model m;
    const uint8_t *body;
    size_t n;
    model_start(&m, round % 7 ? "example.com." : ".");
    model_fill(&m, &d, 1 + dice_below(&d, 100));
    struct zone_snap *base = model_build(&m), *other = model_build(&m), *back;
    struct zone_snap *next = step_from(base, &m, &d, zone_serial(base) + 1);
    assert_true(zone_step(base, next, &body, &n));
    assert_false(zone_step(other, next, &body, &n));
    assert_true(zone_step(base, next, &body, &n));
    assert_goes(base, next, NULL);
    assert_int_equal(zone_delta_revert(next, body, n, &back), ERR_OK);
    assert_true(zone_equal(back, base));
    zone_snap_unref(back);
    zone_step_drop(next);
    assert_false(zone_step(base, next, &body, &n));
    assert_goes(base, next, NULL);
    zone_snap_unref(next);
    zone_snap_unref(other);
    zone_snap_unref(base);
    model_done(&m);
  }
}

/* What comes and goes in one edit, or changes its TTL, has no place in a body that can be taken back: it is taken out, or nothing
 * is kept. */
static void an_edit_keeps_nothing_that_is_no_body(void **state) {
  struct model m;
  const uint8_t *body;
  size_t n;
  model_start(&m, "example.com.");
  struct name owner = m.apex;
  struct model_record a = record_a(&owner, 1), b = record_a(&owner, 2);
  struct model_record was = record_soa(&m.apex, 1), soa = record_soa(&m.apex, 2), later = record_soa(&m.apex, 3);
  a.ttl = b.ttl = 100;
  model_add(&m, &was);
  model_add(&m, &a);
  struct zone_snap *base = model_build(&m);
  for (int round = 0; round < 12; round++) {
    int how = round / 2;
    bool any_order = round % 2;
    struct zone_edit *e = begin_kept(base, any_order);
    edit_remove(e, &was);
    must_add(e, &soa, ZONE_ADD_NEW);
    if (how == 1) must_add(e, &b, ZONE_ADD_NEW);
    if (how == 1) edit_remove(e, &b);
    if (how == 2) assert_int_equal(zone_edit_set_ttl(e, &owner, RR_A, 300), ERR_OK);
    b.ttl = how == 3 ? 50 : 100;
    if (how == 3) must_add(e, &b, ZONE_ADD_TTL_CHANGED);
    if (how == 4) edit_remove(e, &soa);
    if (how == 4) must_add(e, &later, ZONE_ADD_NEW);
    if (how == 5) edit_remove(e, &a);
    struct zone_snap *next = finish(e);
    assert_int_equal(zone_step(base, next, &body, &n), how == 0 || any_order);
    assert_goes(base, next, NULL);
    zone_snap_unref(next);
  }
  zone_snap_unref(base);
  model_done(&m);
}

/* Records of few names come and go, and change their TTLs. */
static void mess_up(struct zone_edit *e, const struct name *apex, struct dice *d) {
  for (unsigned moves = dice_below(d, 9); moves; moves--) {
    struct name n = random_name(d, apex, 1);
    struct model_record r = record_a(&n, dice_below(d, 3));
    enum zone_add outcome;
    enum err err;
    r.ttl = 60 * (1 + dice_below(d, 2));
    unsigned move = dice_below(d, 5);
    if (move == 0) err = zone_edit_set_ttl(e, &n, RR_A, r.ttl);
    else if (move < 3) err = zone_edit_remove(e, &n, RR_A, r.rdata, r.size);
    else err = zone_edit_add(e, &n, RR_A, r.ttl, r.rdata, r.size, &outcome);
    assert_true(err == ERR_OK || (move < 3 && err == ERR_NOT_FOUND));
  }
}

static void in_any_order_it_is_the_difference_too(void **state) {
  struct dice d = {2136};
  unsigned changes = 0, rounds = 600;
  for (unsigned round = 0; round < rounds; round++) {
    struct model m;
    const uint8_t *body;
    size_t n;
    struct buf compared = {0};
    struct delta_size size;
    model_start(&m, "example.com.");
    struct model_record was = record_soa(&m.apex, 1), soa = record_soa(&m.apex, 2);
    model_add(&m, &was);
    struct zone_snap *empty = model_build(&m), *base, *back;
    struct zone_edit *e = begin_kept(empty, false);
    mess_up(e, &m.apex, &d);
    base = finish(e);
    e = begin_kept(base, true);
    mess_up(e, &m.apex, &d);
    bool change = zone_edit_is_change(e);
    changes += change;
    edit_remove(e, &was);
    must_add(e, &soa, ZONE_ADD_NEW);
    struct zone_snap *next = finish(e);
    assert_true(zone_step(base, next, &body, &n));
    assert_goes(base, next, NULL);
    assert_int_equal(zone_delta_revert(next, body, n, &back), ERR_OK);
    assert_true(zone_equal(back, base));
    zone_step_drop(next);
    assert_int_equal(zone_delta_make(base, next, SIZE_MAX / 2, &compared, &size), ERR_OK);
    assert_int_equal(change, size.removed > 1 || size.added > 1);
    buf_done(&compared);
    zone_snap_unref(back);
    zone_snap_unref(next);
    zone_snap_unref(base);
    zone_snap_unref(empty);
    model_done(&m);
  }
  assert_in_range(changes, rounds / 4, rounds - rounds / 10);
}

/* A chain of bodies as one: the same as the difference of its ends, and each body can be taken back. */
static void chains_are_condensed_and_taken_back(void **state) {
  enum { CHAIN = 8 };
  struct dice d = {4711};
  for (unsigned round = 0; round < 60; round++) {
    struct model m;
    struct buf bodies[CHAIN] = {0}, net = {0}, direct = {0};
    struct delta_body chain[CHAIN];
    struct delta_size size, net_size, direct_size;
    model_start(&m, round % 7 ? "example.com." : ".");
    model_fill(&m, &d, 1 + dice_below(&d, 60));
    struct zone_snap *first = model_build(&m), *now = zone_snap_ref(first), *got;
    for (unsigned i = 0; i < CHAIN; i++) {
      change(&m, &d, i + 2);
      struct zone_snap *next = model_build(&m);
      assert_int_equal(zone_delta_make(now, next, SIZE_MAX / 2, &bodies[i], &size), ERR_OK);
      assert_int_equal(zone_delta_revert(next, bodies[i].data, bodies[i].size, &got), ERR_OK);
      assert_true(zone_equal(got, now));
      zone_snap_unref(got);
      chain[i] = (struct delta_body){bodies[i].data, bodies[i].size};
      zone_snap_unref(now);
      now = next;
    }
    assert_int_equal(zone_delta_condense(chain, CHAIN, &net, &net_size), ERR_OK);
    assert_int_equal(zone_delta_make(first, now, SIZE_MAX / 2, &direct, &direct_size), ERR_OK);
    assert_int_equal(net_size.removed, direct_size.removed);
    assert_int_equal(net_size.added, direct_size.added);
    assert_int_equal(net.size, direct.size);
    assert_int_equal(zone_delta_apply(first, net.data, net.size, &got), ERR_OK);
    assert_true(zone_equal(got, now));
    zone_snap_unref(got);
    chain[3].size -= 1; /* damage in the middle is found */
    assert_int_equal(zone_delta_condense(chain, CHAIN, &net, &net_size), ERR_CORRUPT);
    assert_int_equal(net.size, direct.size);
    for (unsigned i = 0; i < CHAIN; i++)
      buf_done(&bodies[i]);
    buf_done(&net);
    buf_done(&direct);
    zone_snap_unref(first);
    zone_snap_unref(now);
    model_done(&m);
  }
}

static void no_difference_is_a_short_body(void **state) {
  struct model m;
  struct buf body = {0};
  struct delta_size size;
  struct zone_snap *got;
  model_start(&m, "example.");
  struct model_record soa = record_soa(&m.apex, 1);
  model_add(&m, &soa);
  struct zone_snap *s = model_build(&m);
  assert_int_equal(zone_delta_make(s, s, 0, &body, &size), ERR_SPACE);
  assert_int_equal(zone_delta_make(s, s, 1, &body, &size), ERR_OK);
  assert_int_equal(body.size, 1);
  assert_int_equal(size.removed + size.added, 0);
  assert_int_equal(zone_delta_apply(s, body.data, 1, &got), ERR_OK);
  assert_true(zone_equal(s, got));
  zone_snap_unref(got);
  zone_snap_unref(s);
  buf_done(&body);
  model_done(&m);
}

/* ---- damage ---- */

static struct buf one_record(uint8_t format, uint8_t op, const char *owner, uint16_t type, uint32_t ttl, const void *rdata,
                             uint16_t size) {
  struct buf b = {0};
  buf_add_byte(&b, format);
  put(&b, op, owner, type, ttl, rdata, size);
  return b;
}

static void assert_applies(const struct zone_snap *base, struct buf body, enum err expected, enum err read) {
  struct zone_snap *got = NULL;
  struct tally t = {0};
  assert_int_equal(zone_delta_apply(base, body.data, body.size, &got), expected);
  assert_int_equal(zone_delta_each(body.data, body.size, count_record, &t), read);
  zone_snap_unref(got);
  buf_done(&body);
}

static bool stop(void *arg, bool added, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                 uint16_t size) {
  return false;
}

static void what_does_not_fit_is_damage(void **state) {
  static const uint8_t one[4] = {192, 0, 2, 1}, two[4] = {192, 0, 2, 2};
  struct model m;
  struct zone_snap *got;
  model_start(&m, "example.");
  struct name www = name_of("www.example.");
  struct model_record soa = record_soa(&m.apex, 1), a = record_of(&www, RR_A, 300, one, 4);
  model_add(&m, &soa);
  model_add(&m, &a);
  struct zone_snap *s = model_build(&m);
  assert_applies(s, one_record(1, 1, "www.example.", RR_A, 300, two, 4), ERR_OK, ERR_OK);
  assert_applies(s, one_record(1, 0, "www.example.", RR_A, 300, one, 4), ERR_OK, ERR_OK);
  assert_applies(s, one_record(2, 1, "www.example.", RR_A, 300, two, 4), ERR_VERSION, ERR_VERSION);
  assert_applies(s, one_record(0, 1, "www.example.", RR_A, 300, two, 4), ERR_CORRUPT, ERR_CORRUPT);
  assert_applies(s, one_record(1, 2, "www.example.", RR_A, 300, two, 4), ERR_CORRUPT, ERR_CORRUPT);
  assert_applies(s, one_record(1, 0, "www.example.", RR_A, 300, two, 4), ERR_CORRUPT, ERR_OK); /* not there */
  assert_applies(s, one_record(1, 1, "www.example.", RR_A, 300, one, 4), ERR_CORRUPT, ERR_OK); /* there already */
  assert_applies(s, one_record(1, 1, "www.example.", RR_A, 200, two, 4), ERR_CORRUPT, ERR_OK); /* another TTL than its set */
  assert_applies(s, one_record(1, 1, "www.example.net.", RR_A, 300, two, 4), ERR_CORRUPT, ERR_OK);
  assert_applies(s, one_record(1, 1, "www.example.", RR_A, 0x80000000, two, 4), ERR_CORRUPT, ERR_CORRUPT);
  assert_applies(s, one_record(1, 1, "www.example.", RR_A, 300, two, 3), ERR_CORRUPT, ERR_CORRUPT);
  assert_applies(s, one_record(1, 1, "www.example.", RR_ANY, 300, two, 4), ERR_CORRUPT, ERR_CORRUPT);
  assert_applies(s, one_record(1, 0, "example.", RR_SOA, soa.ttl, soa.rdata, soa.size), ERR_CORRUPT,
                 ERR_OK); /* a zone without SOA */
  assert_int_equal(zone_delta_apply(s, NULL, 0, &got), ERR_CORRUPT);
  struct buf body = one_record(1, 1, "www.example.", RR_A, 300, two, 4);
  assert_int_equal(zone_delta_each(body.data, body.size, stop, NULL), ERR_REFUSED);
  buf_done(&body);
  check_content(s, &m);
  zone_snap_unref(s);
  model_done(&m);
}

/* Every body cut short is refused, but where a whole record ends; and then it is shorter by that record. */
static void a_body_cut_short_is_damage(void **state) {
  struct dice d = {7};
  struct model m;
  struct buf body = {0};
  struct delta_size size;
  model_start(&m, "example.");
  model_fill(&m, &d, 40);
  struct zone_snap *from = model_build(&m);
  change(&m, &d, 2);
  change(&m, &d, 3);
  struct zone_snap *to = model_build(&m);
  assert_int_equal(zone_delta_make(from, to, SIZE_MAX / 2, &body, &size), ERR_OK);
  uint64_t whole = 0;
  for (size_t n = 0; n < body.size; n++) {
    struct tally t = {0};
    uint8_t *cut = malloc(n ? n : 1); /* its own memory: a read past the end is seen */
    assert_non_null(cut);
    memcpy(cut, body.data, n);
    enum err err = zone_delta_each(cut, n, count_record, &t);
    free(cut);
    if (err == ERR_OK) assert_int_equal(t.removed + t.added, whole++);
    else assert_int_equal(err, ERR_CORRUPT);
  }
  assert_int_equal(whole, size.removed + size.added);
  buf_done(&body);
  zone_snap_unref(from);
  zone_snap_unref(to);
  model_done(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(packed_bodies_come_back),
      cmocka_unit_test(what_has_no_serial_alone_stays),
      cmocka_unit_test(what_an_edit_keeps_is_the_difference),
      cmocka_unit_test(an_edit_keeps_nothing_that_is_no_body),
      cmocka_unit_test(in_any_order_it_is_the_difference_too),
      cmocka_unit_test(random_versions_go_there_and_back),
      cmocka_unit_test(chains_are_condensed_and_taken_back),
      cmocka_unit_test(no_difference_is_a_short_body),
      cmocka_unit_test(what_does_not_fit_is_damage),
      cmocka_unit_test(a_body_cut_short_is_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
