/* Hashes that are kept with owners: whatever was done to a zone, one that is given is right, and where it should be there it is. */
#include "crypto/digest.h"
#include "model.h"
#include "zone/hashing_priv.h"
#include "zone/image.h"
#include "zone/move.h"
#include "zone/zone_set.h"

#include <stdlib.h>

/* A chain as far as a snapshot looks: its parameters, and one record. */
static struct model_record param_of(const struct model *m, uint16_t iterations, const char *salt) {
  return record_nsec3param(&m->apex, iterations, salt);
}

static struct model_record nsec3_of(const struct model *m, uint16_t iterations, const char *salt) {
  struct name owner;
  assert_true(name_prepend((const uint8_t *)"0123456789abcdefghijklmnopqrstuv", 32, &m->apex, &owner));
  return record_nsec3(&owner, iterations, salt);
}

static void add_chain(struct model *m, uint16_t iterations, const char *salt) {
  struct model_record param = param_of(m, iterations, salt), nsec3 = nsec3_of(m, iterations, salt);
  model_add(m, &param);
  model_add(m, &nsec3);
}

static void fill(struct model *m, struct dice *d, const char *apex, unsigned owners) {
  static const char *const names[] = {"Upper.x.test.", "a\\000b.test.", "\\001.c.test.", "*.w.test."};
  model_start(m, apex);
  model_fill(m, d, owners);
  for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct name owner = name_of(names[i]);
    if (!name_is_under(&owner, &m->apex)) continue;
    struct model_record a = record_a(&owner, 1), signature = record_rrsig(&owner, RR_A, 1);
    model_add(m, &a);
    model_add(m, &signature);
  }
}

static bool is_wanted(const struct zone_node *n) {
  for (unsigned i = 0; i < zone_rrset_count(n); i++) {
    struct zone_rrset set;
    zone_rrset_at(n, i, &set);
    if (set.sig_count || set.type == RR_NS) return true;
  }
  return false;
}

/* How many hashes are kept; `all`: where they are wanted, and nowhere else. */
static unsigned check_hashes(const struct zone_snap *s, bool all) {
  struct zone_cursor c;
  const struct zone_node *n;
  struct zone_nsec3 p;
  struct zone_rrset set;
  unsigned count = 0;
  bool chain = zone_nsec3_parameters(s, &p);
  assert_int_equal(zone_cursor_open(s, &c), ERR_OK);
  while ((n = zone_cursor_next(&c))) {
    const uint8_t *kept = zone_nsec3_hash(s, n);
    if (all && !zone_find_rrset(n, RR_NSEC3, &set)) assert_int_equal(kept != NULL, is_wanted(n));
    if (!kept) continue;
    assert_true(chain);
    struct name owner;
    uint8_t hash[NSEC3_HASH_BYTES];
    zone_node_owner(s, n, &owner);
    name_lower(&owner);
    nsec3_hash(owner.octets, owner.size, p.salt, p.salt_size, p.iterations, hash);
    assert_memory_equal(kept, hash, sizeof hash);
    count++;
  }
  zone_cursor_close(&c);
  return count;
}

struct bytes {
  uint8_t *data;
  size_t size;
};

static bool take(void *arg, const void *bytes, size_t n) {
  struct bytes *b = arg;
  if (!n) return true;
  b->data = realloc(b->data, b->size + n);
  assert_non_null(b->data);
  memcpy(b->data + b->size, bytes, n);
  b->size += n;
  return true;
}

static struct bytes image_of(const struct zone_snap *s) {
  struct bytes b = {0};
  uint64_t size;
  assert_int_equal(zone_image_write(s, take, &b, &size), ERR_OK);
  assert_int_equal(size, b.size);
  return b;
}

/* The image has all hashes of the chain there is, and is what a fresh zone of this content would be. */
static void check_image(const struct zone_snap *s) {
  struct model m;
  struct zone_snap *opened, *fresh;
  struct zone_nsec3 p;
  struct bytes b = image_of(s), again;
  assert_int_equal(zone_image_open(b.data, b.size, NULL, &opened), ERR_OK);
  assert_true(zone_equal(s, opened));
  check_hashes(opened, zone_nsec3_parameters(opened, &p) && p.iterations <= HASHING_ITERATIONS_MAX);
  model_read(&m, s);
  fresh = model_build(&m);
  again = image_of(fresh);
  assert_int_equal(again.size, b.size);
  assert_memory_equal(again.data, b.data, b.size);
  zone_snap_unref(opened);
  zone_snap_unref(fresh);
  zone_grace_barrier();
  free(b.data);
  free(again.data);
  model_done(&m);
}

static const char *const apexes[] = {"Test.", ".", "x.tesT."};

static void test_built(void **state) {
  for (uint64_t seed = 1; seed <= 30; seed++) {
    struct dice d = {seed};
    struct model m;
    fill(&m, &d, apexes[seed % 3], 1 + dice_below(&d, 200));
    add_chain(&m, (uint16_t)(seed % 2 ? 0 : HASHING_ITERATIONS_MAX), seed % 4 < 2 ? "salt" : "");
    struct zone_snap *s = model_build(&m);
    assert_true(check_hashes(s, true) > 0);
    check_image(s);
    zone_snap_unref(s);
    model_done(&m);
  }
}

static void test_not_worth_it(void **state) {
  struct dice d = {1};
  struct model m;
  fill(&m, &d, "test.", 100);
  struct zone_snap *s = model_build(&m);
  assert_int_equal(check_hashes(s, false), 0);
  size_t without = zone_memory_bytes(s);
  check_image(s);
  zone_snap_unref(s);
  add_chain(&m, HASHING_ITERATIONS_MAX + 1, "salt");
  s = model_build(&m);
  assert_int_equal(check_hashes(s, false), 0);
  assert_true(zone_memory_bytes(s) < without + 200); /* two records */
  check_image(s);
  zone_snap_unref(s);
  model_done(&m);
}

/* Some names go, some come, some change. */
static struct zone_snap *change(const struct zone_snap *base, struct model *m, struct dice *d) {
  struct zone_edit *e;
  struct zone_snap *s;
  assert_int_equal(zone_edit_begin(base, NULL, &e), ERR_OK);
  for (int i = 0; i < 30; i++) {
    struct model_record r = m->records[dice_below(d, (unsigned)m->count)];
    if (r.type != RR_SOA && r.type != RR_NSEC3 && r.type != RR_NSEC3PARAM && i % 2) {
      model_remove(m, &r);
      edit_remove(e, &r);
      continue;
    }
    struct name owner = random_name(d, &m->apex, 3);
    r = i % 4 ? record_rrsig(&owner, RR_A, dice_below(d, 9)) : record_target(&owner, RR_NS, "ns.elsewhere.");
    model_add(m, &r);
    edit_add(e, &r);
  }
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  return s;
}

static struct zone_snap *change_chain(const struct zone_snap *base, struct model *m, const char *from, const char *to) {
  struct zone_edit *e;
  struct zone_snap *s;
  assert_int_equal(zone_edit_begin(base, NULL, &e), ERR_OK);
  const char *const salts[] = {from, to};
  for (int i = 0; i < 2; i++) {
    if (!salts[i]) continue;
    struct model_record records[] = {param_of(m, 2, salts[i]), nsec3_of(m, 2, salts[i])};
    for (int j = 0; j < 2; j++) {
      if (i) model_add(m, &records[j]);
      else model_remove(m, &records[j]);
      (i ? edit_add : edit_remove)(e, &records[j]);
    }
  }
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  return s;
}

static struct zone_snap *next(struct zone_snap *old, struct zone_snap *s) {
  zone_snap_unref(old);
  zone_grace_barrier();
  check_image(s);
  return s;
}

/* With another salt those that are there say nothing, and with the first one again all of them do. */
static void test_salted_anew(void **state) {
  for (uint64_t seed = 1; seed <= 12; seed++) {
    struct dice d = {seed};
    struct model m;
    fill(&m, &d, apexes[seed % 3], 80);
    add_chain(&m, 2, "one");
    struct zone_snap *s = model_build(&m);
    s = next(s, change(s, &m, &d));
    assert_true(check_hashes(s, true) > 0);
    s = next(s, change_chain(s, &m, "one", "two"));
    assert_int_equal(check_hashes(s, false), 0);
    s = next(s, change(s, &m, &d));
    assert_int_equal(check_hashes(s, false), 0);
    s = next(s, change_chain(s, &m, "two", NULL));
    s = next(s, change(s, &m, &d));
    assert_int_equal(check_hashes(s, false), 0);
    s = next(s, change_chain(s, &m, NULL, "one"));
    assert_true(check_hashes(s, true) > 0);
    check_content(s, &m);
    zone_snap_unref(s);
    model_done(&m);
  }
}

/* A zone that gets its first chain by a change keeps hashes from then on. */
static void test_signed_later(void **state) {
  struct dice d = {7};
  struct model m;
  fill(&m, &d, "test.", 80);
  struct zone_snap *s = model_build(&m);
  s = next(s, change_chain(s, &m, NULL, "one"));
  assert_int_equal(check_hashes(s, false), 0);
  s = next(s, change(s, &m, &d));
  assert_true(check_hashes(s, false) > 0);
  check_content(s, &m);
  zone_snap_unref(s);
  model_done(&m);
}

/* While records still come, hashes are made once the parameters are known. */
static void test_parts(void **state) {
  for (unsigned late = 0; late < 2; late++) {
    struct dice d = {3 + late};
    struct model m;
    struct zone_edit *e;
    struct zone_snap *s;
    fill(&m, &d, "test.", 300);
    struct model_record param = param_of(&m, 1, "s"), nsec3 = nsec3_of(&m, 1, "s");
    assert_int_equal(zone_edit_begin(NULL, &m.apex, &e), ERR_OK);
    if (!late) edit_add(e, &param);
    for (size_t i = 0; i < m.count; i++) {
      edit_add(e, m.records + i);
      if (i % 50 == 49) assert_true(zone_edit_part(e, 1));
      if (i % 50 == 49) assert_int_equal(zone_edit_lay(e), ERR_OK);
    }
    if (late) edit_add(e, &param);
    edit_add(e, &nsec3);
    assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
    assert_true(check_hashes(s, !late) > 0);
    check_image(s);
    zone_snap_unref(s);
    model_done(&m);
  }
}

/* Under another name another hash. */
static void test_moved(void **state) {
  struct dice d = {4};
  struct model m;
  struct zone_mover *mover;
  struct zone_snap *moved;
  struct name apex = name_of("elsewhere.other.");
  fill(&m, &d, "test.", 100);
  add_chain(&m, 0, "s");
  struct zone_snap *s = model_build(&m);
  assert_int_equal(zone_mover_new(s, &mover), ERR_OK);
  assert_int_equal(zone_mover_make(mover, &apex, &moved), ERR_OK);
  assert_int_equal(zone_record_count(moved), zone_record_count(s));
  check_hashes(moved, false);
  check_image(moved);
  zone_mover_free(mover);
  zone_snap_unref(moved);
  zone_snap_unref(s);
  model_done(&m);
}

static int end(void **state) {
  zone_grace_barrier();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_built),        cmocka_unit_test(test_not_worth_it), cmocka_unit_test(test_salted_anew),
      cmocka_unit_test(test_signed_later), cmocka_unit_test(test_parts),        cmocka_unit_test(test_moved),
  };
  return cmocka_run_group_tests(tests, NULL, end);
}
