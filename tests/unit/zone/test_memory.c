/* Every allocation fails once: an edit, an image or a change of the set that could not be made leaves everything as it was, and
 * nothing is lost. The linker turns the allocations of the rooms under test into these. */
#include "model.h"

#include "zone/image.h"
#include "zone/zone_set.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);

static _Thread_local long fail_at = -1; /* so many more succeed on this thread; -1: all do */
static _Thread_local bool failed;

static bool fails(void) {
  if (fail_at < 0 || fail_at-- > 0) return false;
  failed = true;
  return true;
}

void *__wrap_malloc(size_t n) {
  return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n) {
  return fails() ? NULL : __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n) {
  return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t alignment, size_t n) {
  return fails() ? NULL : __real_aligned_alloc(alignment, n);
}

enum { TRIES_MOST = 20000 };

/* Runs `f` with the first allocation failing, then with the second, until it gets through without one. */
static void with_each_failure(void (*f)(void *arg, bool *done), void *arg) {
  for (long i = 0; i < TRIES_MOST; i++) {
    bool done = false;
    failed = false;
    fail_at = i;
    f(arg, &done);
    fail_at = -1;
    assert_true(done || failed);
    if (failed) continue;
    assert_true(i > 0); /* the wrapping works */
    return;
  }
  fail();
}

/* ---- edits ---- */

struct edit_case {
  const struct zone_snap *base;
  const struct model *before, *after;
  size_t part; /* of a build from nothing; 0: as a whole */
};

static enum err make_changes(struct zone_edit *e, const struct edit_case *c) {
  enum err r = ERR_OK;
  for (size_t i = 0; c->base && r == ERR_OK && i < c->before->count; i += 3) {
    const struct model_record *x = c->before->records + i;
    if (x->type != RR_SOA) r = zone_edit_remove(e, &x->owner, x->type, x->rdata, x->size);
  }
  for (size_t i = 0; r == ERR_OK && i < c->after->count; i++) {
    const struct model_record *x = c->after->records + i;
    enum zone_add outcome;
    r = zone_edit_add(e, &x->owner, x->type, x->ttl, x->rdata, x->size, &outcome);
    if (r == ERR_OK && c->part && zone_edit_part(e, c->part)) r = zone_edit_lay(e);
  }
  return r;
}

static void edit_once(void *arg, bool *done) {
  const struct edit_case *c = arg;
  struct zone_edit *e;
  struct zone_snap *s = NULL;
  enum err r = zone_edit_begin(c->base, &c->before->apex, &e);
  if (r == ERR_OK) {
    r = make_changes(e, c);
    if (r == ERR_OK) r = zone_edit_finish(e, &s);
    else zone_edit_abort(e);
  }
  assert_true(r == ERR_OK || r == ERR_MEMORY);
  long left = fail_at;
  fail_at = -1;
  *done = r == ERR_OK;
  if (s) zone_snap_unref(s);
  if (c->base) check_content(c->base, c->before);
  fail_at = left;
}

static void test_edits(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    struct dice d = {seed};
    struct model before, after;
    model_start(&before, "test.");
    model_fill(&before, &d, 20 + dice_below(&d, 60));
    model_start(&after, "test.");
    model_fill(&after, &d, 10 + dice_below(&d, 100));
    after.records[0] = before.records[0]; /* the SOA */
    struct model_record long_text = record_of(&after.apex, RR_TXT, 1, (uint8_t[256]){255}, 256);
    model_add(&after, &long_text);
    struct zone_snap *base = model_build(&before);
    struct edit_case on_base = {base, &before, &after, 0}, from_nothing = {NULL, &before, &after, 0},
                     in_parts = {NULL, &before, &after, 9};
    with_each_failure(edit_once, &on_base);
    with_each_failure(edit_once, &from_nothing);
    with_each_failure(edit_once, &in_parts);
    zone_snap_unref(base);
    model_done(&before);
    model_done(&after);
  }
}

/* ---- images ---- */

static bool take_nothing(void *arg, const void *bytes, size_t n) {
  (void)arg;
  (void)bytes;
  (void)n;
  return true;
}

static void write_once(void *arg, bool *done) {
  uint64_t bytes;
  enum err r = zone_image_write(arg, take_nothing, NULL, &bytes);
  assert_true(r == ERR_OK || r == ERR_MEMORY);
  *done = r == ERR_OK;
}

struct image {
  size_t size;
  _Alignas(8) uint8_t data[64 * 1024];
};

static bool take_all(void *arg, const void *bytes, size_t n) {
  struct image *i = arg;
  if (!n) return true;
  if (n > sizeof i->data - i->size) return false;
  memcpy(i->data + i->size, bytes, n);
  i->size += n;
  return true;
}

static void open_once(void *arg, bool *done) {
  const struct image *i = arg;
  struct zone_snap *s;
  struct zone_cursor c;
  enum err r = zone_image_open(i->data, i->size, NULL, &s);
  assert_true(r == ERR_OK || r == ERR_MEMORY);
  *done = r == ERR_OK;
  if (r != ERR_OK) return;
  r = zone_cursor_open(s, &c);
  assert_true(r == ERR_OK || r == ERR_MEMORY);
  if (r == ERR_OK) zone_cursor_close(&c);
  zone_snap_unref(s);
}

static void test_images(void **state) {
  (void)state;
  static struct image image;
  struct dice d = {22};
  struct model m;
  uint64_t bytes;
  model_start(&m, "test.");
  model_fill(&m, &d, 60);
  struct zone_snap *s = model_build(&m);
  with_each_failure(write_once, s);
  assert_int_equal(zone_image_write(s, take_all, &image, &bytes), ERR_OK);
  with_each_failure(open_once, &image);
  zone_snap_unref(s);
  zone_grace_barrier();
  model_done(&m);
}

/* ---- the set of zones ---- */

enum { ZONES = 30 };

struct set_case {
  struct zone_set *set;
  struct name apexes[ZONES];
  bool bulk;
};

static uint32_t id_of(const struct zone_set *s, const struct name *apex) {
  uint8_t key[NAME_KEY_BYTES];
  zone_read_begin();
  const struct zone_entry *e = zone_set_exact(s, key, name_key(apex, key));
  uint32_t id = e ? e->id : 0;
  zone_read_end();
  return id;
}

static enum err put(struct zone_set *s, const struct name *apex, uint32_t id) {
  struct zone_entry *e = __real_calloc(1, sizeof *e);
  assert_non_null(e);
  e->id = id;
  enum err r = zone_set_put(s, apex, e);
  if (r != ERR_OK) free(e);
  return r;
}

/* Each change is made or not; what the set says in the end is what was said of them. */
static void change_set(void *arg, bool *done) {
  struct set_case *c = arg;
  uint32_t want[ZONES];
  *done = true;
  for (unsigned i = 0; i < ZONES; i++)
    want[i] = id_of(c->set, c->apexes + i);
  if (c->bulk) zone_set_bulk_begin(c->set);
  for (unsigned i = 0; i < ZONES; i++) {
    bool remove = i % 3 == 0 && want[i];
    enum err r = remove ? zone_set_remove(c->set, c->apexes + i) : put(c->set, c->apexes + i, i + 100);
    assert_true(r == ERR_OK || r == ERR_MEMORY);
    if (r == ERR_OK) want[i] = remove ? 0 : i + 100;
  }
  while (c->bulk && zone_set_bulk_end(c->set) != ERR_OK)
    fail_at = -1;
  for (unsigned i = 0; i < ZONES; i++)
    assert_int_equal(id_of(c->set, c->apexes + i), want[i]);
}

static void test_set(void **state) {
  (void)state;
  struct set_case c;
  struct dice d = {23};
  struct zone_set *none = NULL;
  fail_at = 0;
  assert_int_equal(zone_set_new(&none), ERR_MEMORY);
  fail_at = 1;
  assert_int_equal(zone_set_new(&none), ERR_MEMORY);
  fail_at = -1;
  assert_int_equal(zone_set_new(&c.set), ERR_OK);
  for (unsigned i = 0; i < ZONES; i++) {
    struct name base = random_name(&d, &name_root, 3);
    name_prepend((const uint8_t *)"abcdefghijklmnopqrstuvwxyz0123" + i, 1, &base, c.apexes + i);
  }
  for (int bulk = 0; bulk < 2; bulk++) {
    c.bulk = bulk;
    with_each_failure(change_set, &c);
  }
  zone_set_free(c.set);
}

static void count_call(void *arg) {
  atomic_fetch_add((_Atomic int *)arg, 1);
}

static void test_deferral(void **state) {
  (void)state;
  static _Atomic int calls;
  fail_at = 0;
  zone_after_grace(count_call, &calls); /* then it waits itself */
  fail_at = -1;
  assert_int_equal(atomic_load(&calls), 1);
}

static int start(void **state) {
  (void)state;
  zone_reader_register();
  return 0;
}

static int finish(void **state) {
  (void)state;
  zone_reader_unregister();
  zone_grace_barrier();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_edits),
      cmocka_unit_test(test_images),
      cmocka_unit_test(test_set),
      cmocka_unit_test(test_deferral),
  };
  return cmocka_run_group_tests(tests, start, finish);
}
