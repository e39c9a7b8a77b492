/* Lookups and canonical predecessors against the model, for random zones with wildcards, empty non-terminals, cuts, DNAMEs and
 * odd octets; one by one and in batches over several zones at once. */
#include "model.h"

#include "base/limits.h"
#include "zone/zone_set.h"

#include <stdlib.h>
#include <string.h>

/* ---- the rules, literally ---- */

static bool has_type(const struct model *m, const struct name *n, uint16_t type) {
  for (size_t i = 0; i < m->count; i++)
    if (m->records[i].type == type && name_equal(&m->records[i].owner, n)) return true;
  return false;
}

/* Owns something other than NSEC3 and what signs it. */
static bool owns(const struct model *m, const struct name *n) {
  for (size_t i = 0; i < m->count; i++)
    if (name_equal(&m->records[i].owner, n)) return true;
  return false;
}

static bool exists(const struct model *m, const struct name *n) {
  for (size_t i = 0; i < m->count; i++)
    if (name_is_under(&m->records[i].owner, n)) return true;
  return false;
}

struct expected {
  bool exists, node, wildcard, wildcard_exists, cut, dname, encloser;
  struct name cut_name, dname_name, encloser_name, wildcard_name;
};

static struct expected expect(const struct model *m, const struct name *q) {
  struct expected e = {.exists = exists(m, q), .node = owns(m, q)};
  for (unsigned labels = m->apex.labels; labels <= q->labels && !e.cut && !e.dname; labels++) {
    struct name n;
    name_strip(q, q->labels - labels, &n);
    if (labels > m->apex.labels && has_type(m, &n, RR_NS)) {
      e.cut = true;
      e.cut_name = n;
    } else if (labels < q->labels && has_type(m, &n, RR_DNAME)) {
      e.dname = true;
      e.dname_name = n;
    }
  }
  e.encloser_name.labels = 0;
  if (e.exists || e.cut || e.dname) return e;
  unsigned up = 0;
  do
    name_strip(q, up++, &e.encloser_name);
  while (!exists(m, &e.encloser_name));
  e.encloser = owns(m, &e.encloser_name);
  if (name_wildcard_of(&e.encloser_name, &e.wildcard_name) != ERR_OK) return e;
  e.wildcard = owns(m, &e.wildcard_name);
  e.wildcard_exists = exists(m, &e.wildcard_name);
  return e;
}

static void check_node(const struct zone_snap *s, const struct zone_node *n, bool there, const struct name *want) {
  assert_int_equal(n != NULL, there);
  if (!there) return;
  struct name owner;
  zone_node_owner(s, n, &owner);
  assert_true(name_equal(&owner, want));
}

static void check_answer(const struct zone_snap *s, const struct model *m, const struct name *q, const struct zone_answer *got) {
  struct expected e = expect(m, q);
  assert_int_equal(got->exists, e.exists);
  check_node(s, got->node, e.node, q);
  check_node(s, got->cut, e.cut, &e.cut_name);
  check_node(s, got->dname, e.dname, &e.dname_name);
  check_node(s, got->encloser, e.encloser, &e.encloser_name);
  assert_int_equal(got->encloser_labels, e.encloser_name.labels);
  check_node(s, got->wildcard, e.wildcard, &e.wildcard_name);
  assert_int_equal(got->wildcard_exists, e.wildcard_exists);
}

/* ---- questions ---- */

enum { ZONES = 40, QUESTIONS = 2500 };

static struct name random_question(struct dice *d, const struct model *m) {
  switch (dice_below(d, 3)) {
  case 0:
    return m->records[dice_below(d, (unsigned)m->count)].owner;
  case 1:
    return random_name(d, &m->records[dice_below(d, (unsigned)m->count)].owner, 2);
  default:
    return random_name(d, &m->apex, 5);
  }
}

static void random_zone(struct model *m, uint64_t seed) {
  static const char *const apexes[] = {"test.", "a.b.test.", ".", "a."};
  struct dice d = {seed};
  model_start(m, apexes[seed % 4]);
  model_fill(m, &d, 1 + dice_below(&d, 90));
}

static void test_against_model(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= ZONES; seed++) {
    struct model m;
    random_zone(&m, seed);
    struct zone_snap *s = model_build(&m);
    check_content(s, &m);
    struct dice d = {seed << 32};
    for (int i = 0; i < QUESTIONS; i++) {
      struct name q = random_question(&d, &m);
      uint8_t key[NAME_KEY_BYTES];
      struct zone_lookup l = {.snap = s, .key = key, .key_size = (uint16_t)name_key(&q, key)};
      zone_lookup(&l);
      check_answer(s, &m, &q, &l.found);
    }
    zone_snap_unref(s);
    model_done(&m);
  }
}

/* The same questions in batches of any width, over all zones mixed; many are for names beside the one before, known to be or not.
 */
static void test_batches(void **state) {
  (void)state;
  enum { WIDTH = 2 * LIMIT_BATCH + 5, ROUNDS = 600 };
  struct model models[ZONES];
  struct zone_snap *snaps[ZONES];
  for (unsigned i = 0; i < ZONES; i++) {
    random_zone(models + i, i + 1);
    snaps[i] = model_build(models + i);
  }
  struct dice d = {123};
  struct zone_lookup lookups[WIDTH], *order[WIDTH];
  uint8_t keys[WIDTH][NAME_KEY_BYTES];
  for (int round = 0; round < ROUNDS; round++) {
    size_t count = 1 + dice_below(&d, WIDTH);
    unsigned z = dice_below(&d, ZONES);
    struct name q = {0}, before;
    for (size_t i = 0; i < count; i++) {
      bool beside = i && dice_below(&d, 3);
      if (!beside) z = dice_below(&d, ZONES);
      before = q;
      q = random_question(&d, models + z);
      if (beside && before.labels > models[z].apex.labels) name_put_beside(&q, &before);
      lookups[i] = (struct zone_lookup){.snap = snaps[z], .key = keys[i], .key_size = (uint16_t)name_key(&q, keys[i])};
      if (i && dice_below(&d, 8)) lookups[i].shared = lookup_shared(lookups + i, lookups + i - 1);
      order[i] = lookups + i;
    }
    zone_lookup_batch(order, count);
    for (size_t i = 0; i < count; i++) {
      struct zone_lookup alone = lookups[i];
      memset(&alone.found, 0xff, sizeof alone.found);
      zone_lookup(&alone);
      const struct zone_answer *a = &alone.found, *b = &lookups[i].found;
      assert_true(a->node == b->node && a->exists == b->exists && a->cut == b->cut && a->dname == b->dname &&
                  a->encloser == b->encloser && a->encloser_labels == b->encloser_labels &&
                  a->encloser_key_size == b->encloser_key_size && a->wildcard == b->wildcard &&
                  a->wildcard_exists == b->wildcard_exists && a->near == b->near);
    }
  }
  for (unsigned i = 0; i < ZONES; i++) {
    zone_snap_unref(snaps[i]);
    model_done(models + i);
  }
}

/* ---- RRsets of a node ---- */

static const struct zone_node *node_at(const struct zone_snap *s, const char *text) {
  struct name n = name_of(text);
  uint8_t key[NAME_KEY_BYTES];
  struct zone_lookup l = {.snap = s, .key = key, .key_size = (uint16_t)name_key(&n, key)};
  zone_lookup(&l);
  return l.found.node;
}

static void test_rrsets(void **state) {
  (void)state;
  struct model m;
  model_start(&m, "Test.");
  struct model_record soa = record_soa(&m.apex, 77);
  model_add(&m, &soa);
  struct name www = name_of("WwW.test."), signed_only = name_of("sig.test.");
  struct model_record records[] = {record_a(&www, 3), record_a(&www, 1), record_a(&www, 2), record_rrsig(&www, RR_A, 9),
                                   record_rrsig(&signed_only, RR_AAAA, 1)};
  for (size_t i = 0; i < sizeof records / sizeof *records; i++)
    model_add(&m, records + i);
  struct zone_snap *s = model_build(&m);
  assert_int_equal(zone_serial(s), 77);
  assert_int_equal(zone_name_count(s), 3);
  assert_false(zone_is_signed(s));
  assert_true(name_identical(zone_apex(s), &m.apex));

  const struct zone_node *n = node_at(s, "www.test.");
  struct zone_rrset set;
  struct name owner, want = name_of("WwW.Test.");
  zone_node_owner(s, n, &owner);
  assert_true(name_identical(&owner, &want));
  assert_int_equal(zone_rrset_count(n), 1);
  assert_true(zone_find_rrset(n, RR_A, &set));
  assert_int_equal(set.count, 3);
  assert_int_equal(set.sig_count, 1);
  const uint8_t *at = set.rrs, *rdata;
  uint16_t size;
  for (uint32_t i = 1; i <= 3; i++) { /* in canonical order */
    zone_rr_next(&at, &rdata, &size);
    assert_int_equal(size, 4);
    assert_int_equal(get_u32(rdata), i);
  }
  assert_false(zone_find_rrset(n, RR_AAAA, &set));
  assert_false(zone_find_rrset(n, RR_RRSIG, &set));
  n = node_at(s, "sig.test.");
  assert_true(zone_find_rrset(n, RR_AAAA, &set));
  assert_int_equal(set.count, 0);
  assert_int_equal(set.sig_count, 1);
  zone_snap_unref(s);
  model_done(&m);
}

static void test_many_types_and_large_sets(void **state) {
  (void)state;
  enum { TYPES = 300, TEXTS = 5000 };
  struct name apex = name_of("test."), many = name_of("many.test."), large = name_of("large.test.");
  struct zone_edit *e;
  struct zone_snap *s;
  assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
  struct model_record soa = record_soa(&apex, 1);
  edit_add(e, &soa);
  for (unsigned i = 0; i < TYPES; i++) {
    uint8_t rdata[2] = {(uint8_t)i, 1};
    struct model_record r = record_of(&many, (uint16_t)(65280 - 2 * i), 60, rdata, 1 + i % 2);
    edit_add(e, &r);
  }
  for (unsigned i = 0; i < TEXTS; i++) { /* more than a chunk in one RRset */
    uint8_t rdata[256] = {255};
    put_u32(rdata + 1, i);
    struct model_record r = record_of(&large, RR_TXT, 60, rdata, sizeof rdata);
    edit_add(e, &r);
  }
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  struct zone_rrset set;
  const struct zone_node *n = node_at(s, "many.test.");
  assert_int_equal(zone_rrset_count(n), TYPES);
  for (unsigned type = 65280 - 2 * TYPES; type < 65290; type++)
    assert_int_equal(zone_find_rrset(n, (uint16_t)type, &set), type % 2 == 0 && type <= 65280 && type > 65280 - 2 * TYPES);
  n = node_at(s, "large.test.");
  assert_true(zone_find_rrset(n, RR_TXT, &set));
  assert_int_equal(set.count, TEXTS);
  const uint8_t *at = set.rrs, *rdata;
  uint16_t size;
  for (unsigned i = 0; i < TEXTS; i++) {
    zone_rr_next(&at, &rdata, &size);
    assert_int_equal(get_u32(rdata + 1), i);
  }
  zone_snap_unref(s);
}

static int finish(void **state) {
  (void)state;
  zone_grace_barrier();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_model),
      cmocka_unit_test(test_batches),
      cmocka_unit_test(test_rrsets),
      cmocka_unit_test(test_many_types_and_large_sets),
  };
  return cmocka_run_group_tests(tests, NULL, finish);
}
