/* Differences against the model, in order, and at a cost of what changed. */
#include "model.h"

#include "zone/zone_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct change {
  struct model_record record;
  bool added;
};

struct changes {
  struct change *list;
  size_t count, capacity, most;
};

static bool note(struct changes *c, bool added, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                 uint16_t size) {
  if (c->count == c->most) return false;
  if (c->count == c->capacity) {
    c->capacity = c->capacity ? 2 * c->capacity : 64;
    c->list = realloc(c->list, c->capacity * sizeof *c->list);
    assert_non_null(c->list);
  }
  c->list[c->count++] = (struct change){record_of(owner, type, ttl, rdata, size), added};
  return true;
}

static bool note_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  return note(arg, false, owner, type, ttl, rdata, size);
}

static bool note_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  return note(arg, true, owner, type, ttl, rdata, size);
}

static void take_diff(const struct zone_snap *a, const struct zone_snap *b, struct changes *c) {
  struct zone_diff d = {note_removed, note_added, c};
  c->count = 0;
  assert_int_equal(zone_diff(a, b, &d), ERR_OK);
}

static bool has_exactly(const struct model *m, const struct model_record *r) {
  for (size_t i = 0; i < m->count; i++)
    if (m->records[i].ttl == r->ttl && same_record(m->records + i, r)) return true;
  return false;
}

static bool is_nsec3(const struct model_record *r) {
  return r->type == RR_NSEC3 || (r->type == RR_RRSIG && get_u16(r->rdata) == RR_NSEC3);
}

/* What is said is so, nothing is said twice or left out, and the order holds. */
static void check_diff(const struct model *a, const struct model *b, const struct changes *c) {
  size_t only_a = 0, only_b = 0, removed = 0;
  for (size_t i = 0; i < a->count; i++)
    only_a += !has_exactly(b, a->records + i);
  for (size_t i = 0; i < b->count; i++)
    only_b += !has_exactly(a, b->records + i);
  for (size_t i = 0; i < c->count; i++) {
    const struct change *x = c->list + i;
    assert_true(has_exactly(x->added ? b : a, &x->record));
    assert_false(has_exactly(x->added ? a : b, &x->record));
    removed += !x->added;
    if (i == 0 || is_nsec3(&x->record) != is_nsec3(&x[-1].record)) continue;
    int order = name_compare(&x[-1].record.owner, &x->record.owner);
    assert_true(order < 0 || (order == 0 && (x->added || !x[-1].added)));
    assert_false(order == 0 && x->added == x[-1].added && same_record(&x->record, &x[-1].record));
  }
  assert_int_equal(removed, only_a);
  assert_int_equal(c->count - removed, only_b);
}

static struct model_record any_record(struct dice *d, const struct model *m) {
  struct name n = random_name(d, &m->apex, 3);
  unsigned kind = dice_below(d, 6);
  struct model_record r = kind == 0   ? record_rrsig(&n, RR_A, dice_below(d, 3))
                          : kind == 1 ? record_target(&n, RR_NS, dice_below(d, 2) ? "a." : "b.")
                                      : record_a(&n, dice_below(d, 4));
  if (kind == 2) {
    uint8_t label[32];
    memset(label, '0' + (int)dice_below(d, 10), sizeof label);
    name_prepend(label, sizeof label, &m->apex, &n);
    r = record_nsec3(&n, (uint16_t)dice_below(d, 2), "");
  }
  r.ttl = 60 * (1 + dice_below(d, 2));
  return r;
}

static void change_some(struct zone_edit *e, struct model *m, struct dice *d, unsigned count) {
  for (; count > 0; count--) {
    struct model_record r = any_record(d, m);
    if (dice_below(d, 2)) {
      model_add(m, &r);
      edit_add(e, &r);
    } else if (m->count > 1) {
      r = m->records[1 + dice_below(d, (unsigned)m->count - 1)];
      if (r.type != RR_SOA && model_remove(m, &r)) edit_remove(e, &r);
    }
  }
}

static void test_random(void **state) {
  (void)state;
  struct changes c = {.most = SIZE_MAX};
  for (uint64_t seed = 1; seed <= 60; seed++) {
    struct dice d = {seed};
    struct model a, b;
    struct zone_edit *e;
    struct zone_snap *second;
    model_start(&a, "test.");
    model_fill(&a, &d, dice_below(&d, 60));
    struct zone_snap *first = model_build(&a);
    model_copy(&b, &a);
    assert_int_equal(zone_edit_begin(first, NULL, &e), ERR_OK);
    change_some(e, &b, &d, dice_below(&d, 60));
    assert_int_equal(zone_edit_finish(e, &second), ERR_OK);
    struct zone_snap *rebuilt = model_build(&b); /* the same in a heap of its own */
    take_diff(first, second, &c);
    check_diff(&a, &b, &c);
    take_diff(second, first, &c);
    check_diff(&b, &a, &c);
    size_t count = c.count;
    take_diff(rebuilt, first, &c);
    check_diff(&b, &a, &c);
    assert_int_equal(c.count, count);
    assert_true(zone_equal(second, rebuilt));
    assert_int_equal(zone_equal(first, second), count == 0);
    zone_snap_unref(first);
    zone_snap_unref(second);
    zone_snap_unref(rebuilt);
    model_done(&a);
    model_done(&b);
  }
  free(c.list);
}

static void test_stops(void **state) {
  (void)state;
  struct dice d = {5};
  struct model a, b;
  model_start(&a, "test.");
  model_start(&b, "test.");
  model_fill(&a, &d, 50);
  model_fill(&b, &d, 50);
  struct zone_snap *x = model_build(&a), *y = model_build(&b);
  for (size_t most = 0; most < 10; most++) {
    struct changes c = {.most = most};
    take_diff(x, y, &c);
    assert_int_equal(c.count, most);
    free(c.list);
  }
  struct model other;
  model_start(&other, "other.");
  model_fill(&other, &d, 5);
  struct zone_snap *z = model_build(&other);
  assert_int_equal(zone_diff(x, z, &(struct zone_diff){0}), ERR_RANGE);
  assert_false(zone_equal(x, z));
  zone_snap_unref(x);
  zone_snap_unref(y);
  zone_snap_unref(z);
  model_done(&a);
  model_done(&b);
  model_done(&other);
}

static int finish(void **state) {
  (void)state;
  zone_grace_barrier();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),
      cmocka_unit_test(test_stops),
  };
  return cmocka_run_group_tests(tests, NULL, finish);
}
