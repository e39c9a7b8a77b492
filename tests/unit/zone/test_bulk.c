/* The build from nothing: whatever the order records come in, and wherever parts are cut off and laid out meanwhile, the zone is
 * the same, to the octet of its image where the order is. */
#include "model.h"

#include "base/buf.h"
#include "zone/check.h"
#include "zone/content.h"
#include "zone/image.h"
#include "zone/zone_set.h"

#include <stdlib.h>
#include <string.h>

enum { RECORDS = 900, ROUNDS = 12 };

static struct model_record *records; /* RECORDS of them */

static void lower(uint8_t *octets, size_t n) {
  for (size_t i = 0; i < n; i++)
    octets[i] = ascii_lower(octets[i]);
}

/* Duplicates, several TTLs in a set, a CNAME beside data, signatures, NSEC3 owners; few names have many. */
static struct model_record random_record(struct dice *d, const struct name *apex) {
  static const char *const targets[] = {"ns1.elsewhere.", "ns2.elsewhere."};
  struct name n = random_name(d, apex, 3);
  struct model_record r = record_a(&n, dice_below(d, 300));
  uint8_t label[32];
  switch (dice_below(d, 6)) {
  case 0:
    r = record_target(&n, RR_NS, targets[dice_below(d, 2)]);
    break;
  case 1:
    r = record_target(&n, RR_CNAME, targets[dice_below(d, 2)]);
    break;
  case 2:
    r = record_rrsig(&n, dice_below(d, 2) ? RR_A : RR_NS, dice_below(d, 3));
    break;
  case 3:
    for (unsigned i = 0; i < sizeof label; i++)
      label[i] = (uint8_t)(i < 2 ? "0v5c"[dice_below(d, 4)] : 'a');
    name_prepend(label, sizeof label, apex, &n);
    r = dice_below(d, 2) ? record_nsec3(&n, (uint16_t)dice_below(d, 3), "") : record_rrsig(&n, RR_NSEC3, dice_below(d, 2));
    break;
  default:
    break;
  }
  r.ttl = 100 * (1 + dice_below(d, 3));
  return r;
}

static int by_owner(const void *a, const void *b) {
  return name_compare(&((const struct model_record *)a)->owner, &((const struct model_record *)b)->owner);
}

static void swap(size_t i, size_t j) {
  struct model_record r = records[i];
  records[i] = records[j];
  records[j] = r;
}

static void shuffle(struct dice *d) {
  for (size_t i = RECORDS - 1; i > 0; i--)
    swap(i, dice_below(d, (unsigned)i + 1));
}

/* Sorted records become some pieces one behind the other, each of which is sorted. */
static void deal(struct dice *d) {
  struct model_record *dealt = calloc(RECORDS, sizeof *dealt);
  size_t pieces = 2 + dice_below(d, 60), to = 0;
  assert_non_null(dealt);
  for (size_t piece = 0; piece < pieces; piece++)
    for (size_t i = piece; i < RECORDS; i += pieces)
      dealt[to++] = records[i];
  memcpy(records, dealt, RECORDS * sizeof *records);
  free(dealt);
}

/* `chance`: of a part to be cut off, in 1000, at each record; 0: none is. */
static struct zone_snap *build(struct dice *d, const struct name *apex, unsigned chance) {
  struct zone_edit *e;
  struct zone_snap *s;
  struct model_record soa = record_soa(apex, 1);
  assert_int_equal(zone_edit_begin(NULL, apex, &e), ERR_OK);
  edit_add(e, &soa);
  for (size_t i = 0; i < RECORDS; i++) {
    edit_add(e, &records[i]);
    if (dice_below(d, 1000) >= chance || !zone_edit_part(e, 1 + dice_below(d, 20))) continue;
    assert_int_equal(zone_edit_lay(e), ERR_OK);
  }
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  return s;
}

static bool take(void *arg, const void *bytes, size_t n) {
  buf_add(arg, bytes, n);
  return true;
}

static struct buf image_of(const struct zone_snap *s) {
  struct buf image = {0};
  uint64_t bytes;
  assert_int_equal(zone_image_write(s, take, &image, &bytes), ERR_OK);
  assert_int_equal(bytes, image.size);
  return image;
}

static void check_digest(const struct zone_snap *s) {
  struct digest128 own, whole;
  assert_true(zone_content(s, &own));
  assert_int_equal(zone_content_whole(s, &whole), ERR_OK);
  assert_true(zone_content_equal(own, whole));
}

static void check_conflicts(const struct zone_snap *s) {
  struct zone_cursor cursor;
  uint64_t known, found = 0;
  assert_true(zone_conflicts(s, &known));
  assert_int_equal(zone_cursor_open(s, &cursor), ERR_OK);
  for (const struct zone_node *n; (n = zone_cursor_next(&cursor));)
    found += zone_cname_conflict(n);
  zone_cursor_close(&cursor);
  assert_true(known > 0 && known == found);
}

static void check_same(const struct zone_snap *a, const struct zone_snap *b) {
  assert_true(zone_equal(a, b));
  assert_int_equal(zone_record_count(a), zone_record_count(b));
  assert_int_equal(zone_name_count(a), zone_name_count(b));
  struct buf x = image_of(a), y = image_of(b);
  assert_int_equal(x.size, y.size);
  assert_memory_equal(x.data, y.data, x.size);
  buf_done(&x);
  buf_done(&y);
}

/* In parts, then changed like any other. */
static void check_order(struct dice *d, const struct name *apex, struct zone_snap **first) {
  struct zone_snap *whole = build(d, apex, 0);
  check_digest(whole);
  check_conflicts(whole);
  for (unsigned chance = 5; chance <= 320; chance *= 4) {
    struct zone_snap *parts = build(d, apex, chance), *changed;
    struct model_record r = record_a(apex, 7);
    struct zone_edit *e;
    check_digest(parts);
    check_conflicts(parts);
    check_same(whole, parts);
    assert_int_equal(zone_edit_begin(parts, NULL, &e), ERR_OK);
    edit_add(e, &r);
    edit_remove(e, &records[0]);
    assert_int_equal(zone_edit_finish(e, &changed), ERR_OK);
    struct digest128 digest;
    uint64_t conflicts;
    assert_false(zone_content(changed, &digest));
    assert_false(zone_conflicts(changed, &conflicts));
    zone_snap_unref(changed);
    zone_snap_unref(parts);
  }
  if (*first) check_same(*first, whole);
  else *first = zone_snap_ref(whole);
  zone_snap_unref(whole);
}

static void test_orders(void **state) {
  (void)state;
  records = calloc(RECORDS, sizeof *records);
  assert_non_null(records);
  for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
    struct dice d = {seed};
    struct name apex = name_of("parts.example.");
    struct zone_snap *first = NULL;
    for (size_t i = 0; i < RECORDS; i++) { /* in lower case: whose case stays depends on the order */
      records[i] = i % 7 == 6 ? records[dice_below(&d, (unsigned)i)] : random_record(&d, &apex);
      lower(records[i].owner.octets, records[i].owner.size);
    }
    check_order(&d, &apex, &first);
    qsort(records, RECORDS, sizeof *records, by_owner);
    check_order(&d, &apex, &first);
    deal(&d);
    check_order(&d, &apex, &first);
    qsort(records, RECORDS, sizeof *records, by_owner);
    swap(RECORDS / 3, RECORDS / 2); /* nearly */
    check_order(&d, &apex, &first);
    for (size_t i = 0; i < RECORDS / 2; i++)
      swap(i, RECORDS - 1 - i);
    check_order(&d, &apex, &first);
    shuffle(&d);
    check_order(&d, &apex, &first);
    zone_snap_unref(first);
  }
  free(records);
}

/* Whose case stays: the first that came, in parts or not. */
static void test_case_in_parts(void **state) {
  (void)state;
  static const char *const owners[] = {"b.t.", "c.t.", "D.t.", "a.t.", "B.t.", "A.t.", "d.t."};
  struct name apex = name_of("t.");
  for (unsigned cuts = 0; cuts < 1u << 7; cuts++) {
    struct zone_edit *e;
    struct zone_snap *s;
    struct model_record soa = record_soa(&apex, 1);
    assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
    edit_add(e, &soa);
    for (unsigned i = 0; i < 7; i++) {
      struct name n = name_of(owners[i]);
      struct model_record r = record_a(&n, i);
      edit_add(e, &r);
      if (!(cuts >> i & 1)) continue;
      assert_true(zone_edit_part(e, 1));
      assert_int_equal(zone_edit_lay(e), ERR_OK);
      assert_false(zone_edit_part(e, 1));
    }
    assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
    assert_int_equal(zone_record_count(s), 8);
    struct buf text = {0};
    struct zone_cursor c;
    assert_int_equal(zone_cursor_open(s, &c), ERR_OK);
    for (const struct zone_node *n; (n = zone_cursor_next(&c));) {
      struct name owner;
      zone_node_owner(s, n, &owner);
      buf_add(&text, owner.octets + 1, owner.octets[0]);
    }
    zone_cursor_close(&c);
    assert_string_equal(buf_text(&text), "tabcD");
    buf_done(&text);
    zone_snap_unref(s);
  }
}

static void test_dropped(void **state) {
  (void)state;
  struct name apex = name_of("t.");
  for (unsigned i = 0; i < 3; i++) {
    struct zone_edit *e;
    struct model_record soa = record_soa(&apex, 1);
    assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
    edit_add(e, &soa);
    assert_true(zone_edit_part(e, 1));
    if (i) assert_int_equal(zone_edit_lay(e), ERR_OK);
    if (i == 2) edit_add(e, &soa);
    zone_edit_abort(e);
  }
}

static int finish(void **state) {
  (void)state;
  zone_grace_barrier();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_orders), cmocka_unit_test(test_case_in_parts),
                                     cmocka_unit_test(test_dropped)};
  return cmocka_run_group_tests(tests, NULL, finish);
}
