/* NSEC and NSEC3: predecessors against a search through the sorted list. */
#include "model.h"

#include "base/limits.h"
#include "zone/zone_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_nsec(const struct model *m, const struct name *n) {
  for (size_t i = 0; i < m->count; i++)
    if (m->records[i].type == RR_NSEC && name_equal(&m->records[i].owner, n)) return true;
  return false;
}

static bool below_cut(const struct model *m, const struct name *n, struct name *cut) {
  for (unsigned labels = m->apex.labels; labels < n->labels; labels++) {
    name_strip(n, n->labels - labels, cut);
    for (size_t i = 0; i < m->count; i++) {
      const struct model_record *r = m->records + i;
      if ((r->type == RR_DNAME || (r->type == RR_NS && labels > m->apex.labels)) && name_equal(&r->owner, cut)) return true;
    }
  }
  return false;
}

/* NSEC at every owner that is authoritative; random zones with names below cuts and DNAMEs that have none. */
static void sign(struct model *m) {
  for (size_t i = m->count; i > 0; i--) {
    struct name owner = m->records[i - 1].owner, cut;
    if (below_cut(m, &owner, &cut) || has_nsec(m, &owner)) continue;
    struct model_record r = record_nsec(&owner, "next.");
    model_add(m, &r);
  }
}

static void drop_type(struct model *m, uint16_t type) {
  for (size_t i = m->count; i > 0; i--)
    if (m->records[i - 1].type == type) m->records[i - 1] = m->records[--m->count];
}

/* The last NSEC owner at or before n; for a name below a cut, the cut's. */
static bool expect_cover(const struct model *m, const struct name *n, struct name *out) {
  struct name at = *n;
  bool found = false;
  if (below_cut(m, n, &at)) { /* the highest one */
    *out = at;
    return true;
  }
  for (size_t i = 0; i < m->count; i++) {
    const struct model_record *r = m->records + i;
    if (r->type != RR_NSEC || name_compare(&r->owner, n) > 0) continue;
    if (!found || name_compare(&r->owner, out) > 0) *out = r->owner;
    found = true;
  }
  return found;
}

static void test_nsec(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 40; seed++) {
    struct model m;
    struct dice d = {seed * 31};
    model_start(&m, seed % 2 ? "test." : ".");
    model_fill(&m, &d, 1 + dice_below(&d, 80));
    drop_type(&m, RR_NSEC);
    sign(&m);
    struct zone_snap *s = model_build(&m);
    check_content(s, &m);
    enum { WIDTH = LIMIT_BATCH + 3 };
    for (int round = 0; round < 30; round++) {
      struct zone_cover covers[WIDTH], *order[WIDTH];
      struct name questions[WIDTH];
      uint8_t keys[WIDTH][NAME_KEY_BYTES];
      for (unsigned i = 0; i < WIDTH; i++) {
        questions[i] = random_name(&d, dice_below(&d, 2) ? &m.records[dice_below(&d, (unsigned)m.count)].owner : &m.apex, 3);
        struct zone_lookup l = {.snap = s, .key = keys[i], .key_size = (uint16_t)name_key(questions + i, keys[i])};
        zone_lookup(&l);
        covers[i] = (struct zone_cover){.snap = s, .key = keys[i], .key_size = l.key_size};
        if (dice_below(&d, 2)) covers[i].near = l.found.near;
        order[i] = covers + i;
      }
      zone_cover_batch(order, WIDTH);
      for (unsigned i = 0; i < WIDTH; i++) {
        struct name want, got;
        assert_true(expect_cover(&m, questions + i, &want));
        assert_non_null(covers[i].node);
        zone_node_owner(s, covers[i].node, &got);
        assert_true(name_equal(&got, &want));
        assert_ptr_equal(zone_nsec_cover(s, keys[i], covers[i].key_size), covers[i].node);
      }
    }
    zone_snap_unref(s);
    model_done(&m);
  }
}

static void test_without_nsec(void **state) {
  (void)state;
  struct model m;
  struct dice d = {5};
  model_start(&m, "test.");
  model_fill(&m, &d, 30);
  drop_type(&m, RR_NSEC);
  struct zone_snap *s = model_build(&m);
  uint8_t key[NAME_KEY_BYTES], hash[20] = {0};
  struct name q = name_of("x.test.");
  bool match = true;
  assert_null(zone_nsec_cover(s, key, name_key(&q, key)));
  assert_false(zone_has_nsec3(s));
  assert_null(zone_nsec3_find(s, hash, &match));
  assert_false(match);
  zone_snap_unref(s);
  model_done(&m);
}

/* A zone with NSEC at its apex and a few owners, and more names without than are stepped over: no endless search. */
static void test_broken_chain(void **state) {
  (void)state;
  struct model m;
  model_start(&m, "test.");
  struct model_record soa = record_soa(&m.apex, 1), apex_nsec = record_nsec(&m.apex, "b.test.");
  model_add(&m, &soa);
  model_add(&m, &apex_nsec);
  for (unsigned i = 0; i < 300; i++) {
    char text[32];
    snprintf(text, sizeof text, "n%03u.test.", i);
    struct name n = name_of(text);
    struct model_record a = record_a(&n, i);
    model_add(&m, &a);
  }
  struct zone_snap *s = model_build(&m);
  uint8_t key[NAME_KEY_BYTES];
  struct name near = name_of("n100.test."), far = name_of("z.test."), owner;
  const struct zone_node *n = zone_nsec_cover(s, key, name_key(&near, key));
  assert_non_null(n);
  zone_node_owner(s, n, &owner);
  assert_true(name_equal(&owner, &m.apex));
  assert_null(zone_nsec_cover(s, key, name_key(&far, key)));
  zone_snap_unref(s);
  model_done(&m);
}

/* ---- NSEC3 ---- */

static void random_hash(struct dice *d, uint8_t out[20]) {
  for (int i = 0; i < 20; i++)
    out[i] = (uint8_t)(i < 2 || dice_below(d, 2) ? dice_next(d) : 0);
}

static struct name hash_owner(const uint8_t hash[20], const struct name *apex, bool upper) {
  const char *digits = upper ? "0123456789ABCDEFGHIJKLMNOPQRSTUV" : "0123456789abcdefghijklmnopqrstuv";
  uint8_t label[32];
  struct name n;
  for (unsigned i = 0; i < 32; i++) { /* bit by bit, as the RFC's picture has it */
    unsigned digit = 0;
    for (unsigned bit = 5 * i; bit < 5 * i + 5; bit++)
      digit = digit << 1 | (hash[bit / 8] >> (7 - bit % 8) & 1u);
    label[i] = (uint8_t)digits[digit];
  }
  assert_true(name_prepend(label, sizeof label, apex, &n));
  return n;
}

static int compare_hashes(const void *a, const void *b) {
  return memcmp(a, b, 20);
}

static void test_nsec3(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    enum { CHAIN = 60 };
    struct model m;
    struct dice d = {seed * 1001};
    uint8_t hashes[CHAIN][20];
    unsigned chain = 1 + dice_below(&d, CHAIN);
    model_start(&m, "test.");
    struct model_record soa = record_soa(&m.apex, 1), param = record_nsec3param(&m.apex, 5, "ab");
    struct model_record unused = record_nsec3param(&m.apex, 1, ""); /* first in order, but nothing stands for it */
    model_add(&m, &soa);
    model_add(&m, &param);
    model_add(&m, &unused);
    for (unsigned i = 0; i < chain; i++) {
      random_hash(&d, hashes[i]);
      struct name owner = hash_owner(hashes[i], &m.apex, i % 2);
      struct model_record r = record_nsec3(&owner, 5, "ab"), sig = record_rrsig(&owner, RR_NSEC3, 1);
      model_add(&m, &r);
      model_add(&m, &sig);
    }
    for (unsigned i = 0; i < chain / 2; i++) { /* an older chain that is still there */
      uint8_t hash[20];
      random_hash(&d, hash);
      struct name owner = hash_owner(hash, &m.apex, false);
      struct model_record r = i % 2 ? record_nsec3(&owner, 5, "old") : record_nsec3(&owner, 4, "ab");
      model_add(&m, &r);
    }
    qsort(hashes, chain, 20, compare_hashes);
    struct zone_snap *s = model_build(&m);
    check_content(s, &m);
    struct zone_nsec3 p;
    assert_true(zone_has_nsec3(s));
    assert_true(zone_nsec3_parameters(s, &p));
    assert_true(p.algorithm == 1 && p.iterations == 5 && p.salt_size == 2 && memcmp(p.salt, "ab", 2) == 0);
    for (int i = 0; i < 500; i++) {
      uint8_t hash[20];
      random_hash(&d, hash);
      if (i % 3 == 0) memcpy(hash, hashes[dice_below(&d, chain)], 20);
      unsigned at = chain - 1; /* the last one covers what is before the first */
      for (unsigned j = 0; j < chain && compare_hashes(hashes[j], hash) <= 0; j++)
        at = j;
      bool match;
      const struct zone_node *n = zone_nsec3_find(s, hash, &match);
      assert_non_null(n);
      assert_int_equal(match, compare_hashes(hashes[at], hash) == 0);
      struct name want = hash_owner(hashes[at], &m.apex, false), got;
      zone_node_owner(s, n, &got);
      assert_true(name_equal(&want, &got));
      struct zone_rrset set;
      assert_true(zone_find_rrset(n, RR_NSEC3, &set));
      assert_int_equal(set.sig_count, 1);
    }
    /* the owner of an NSEC3 is no name of the zone (RFC 5155 §7.2.8) */
    struct name owner = hash_owner(hashes[0], &m.apex, false);
    uint8_t key[NAME_KEY_BYTES];
    struct zone_lookup l = {.snap = s, .key = key, .key_size = (uint16_t)name_key(&owner, key)};
    zone_lookup(&l);
    assert_false(l.found.exists);
    assert_null(l.found.node);
    zone_snap_unref(s);
    model_done(&m);
  }
}

/* Base32hex of the right length is not enough: what is no NSEC3, or stands deeper, is an ordinary name. */
static void test_nsec3_owner_with_other_data(void **state) {
  (void)state;
  uint8_t hash[20] = {1, 2, 3};
  struct model m;
  model_start(&m, "test.");
  struct name owner = hash_owner(hash, &m.apex, false), sub = name_of("sub.test."), deep = hash_owner(hash, &sub, false);
  struct model_record records[] = {record_soa(&m.apex, 1), record_nsec3(&owner, 0, ""), record_a(&owner, 1),
                                   record_rrsig(&owner, RR_A, 1), record_nsec3(&deep, 0, "")};
  for (size_t i = 0; i < sizeof records / sizeof *records; i++)
    model_add(&m, records + i);
  struct zone_snap *s = model_build(&m);
  check_content(s, &m);
  assert_false(zone_has_nsec3(s)); /* no NSEC3PARAM */
  uint8_t key[NAME_KEY_BYTES];
  struct zone_lookup l = {.snap = s, .key = key, .key_size = (uint16_t)name_key(&owner, key)};
  struct zone_rrset set;
  zone_lookup(&l);
  assert_non_null(l.found.node);
  assert_true(zone_find_rrset(l.found.node, RR_A, &set));
  assert_int_equal(set.sig_count, 1);
  assert_false(zone_find_rrset(l.found.node, RR_NSEC3, &set));
  l.key_size = (uint16_t)name_key(&deep, key);
  zone_lookup(&l);
  assert_non_null(l.found.node);
  zone_snap_unref(s);
  model_done(&m);
}

static int finish(void **state) {
  (void)state;
  zone_grace_barrier();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nsec),         cmocka_unit_test(test_without_nsec),
      cmocka_unit_test(test_nsec3),        cmocka_unit_test(test_nsec3_owner_with_other_data),
      cmocka_unit_test(test_broken_chain),
  };
  return cmocka_run_group_tests(tests, NULL, finish);
}
