/* The set of zones: longest apex, puts and removes, bulk changes; and readers on other threads while zones are published.
 *
 * Nothing is asserted inside a read section: one that fails would leave it open, and what waits for readers would never end. */
#include "model.h"

#include "zone/zone_set.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct zone_entry *entry_new(uint32_t id) {
  struct zone_entry *e = calloc(1, sizeof *e);
  assert_non_null(e);
  e->id = id;
  e->state = ZONE_NOT_LOADED;
  return e;
}

static uint32_t find_id(const struct zone_set *s, const struct name *n) {
  uint8_t key[NAME_KEY_BYTES];
  zone_read_begin();
  const struct zone_entry *e = zone_set_find(s, key, name_key(n, key));
  uint32_t id = e ? e->id : 0;
  zone_read_end();
  return id;
}

static uint32_t exact_id(const struct zone_set *s, const struct name *n) {
  uint8_t key[NAME_KEY_BYTES];
  zone_read_begin();
  const struct zone_entry *e = zone_set_exact(s, key, name_key(n, key));
  uint32_t id = e ? e->id : 0;
  zone_read_end();
  return id;
}

/* ---- against a list ---- */

struct list {
  struct {
    struct name apex;
    uint32_t id;
  } zones[4000];
  size_t count;
};

static void list_put(struct list *l, const struct name *apex, uint32_t id) {
  for (size_t i = 0; i < l->count; i++) {
    if (!name_equal(&l->zones[i].apex, apex)) continue;
    l->zones[i].id = id;
    return;
  }
  l->zones[l->count].apex = *apex;
  l->zones[l->count++].id = id;
}

static bool list_remove(struct list *l, const struct name *apex) {
  for (size_t i = 0; i < l->count; i++) {
    if (!name_equal(&l->zones[i].apex, apex)) continue;
    l->zones[i] = l->zones[--l->count];
    return true;
  }
  return false;
}

static uint32_t list_find(const struct list *l, const struct name *n, bool exact) {
  uint32_t id = 0;
  unsigned labels = 0;
  for (size_t i = 0; i < l->count; i++) {
    if (!(exact ? name_equal(n, &l->zones[i].apex) : name_is_under(n, &l->zones[i].apex))) continue;
    if (id && l->zones[i].apex.labels < labels) continue;
    labels = l->zones[i].apex.labels;
    id = l->zones[i].id;
  }
  return id;
}

static void check_set(const struct zone_set *s, const struct list *l, struct dice *d, unsigned questions) {
  enum { WIDTH = 40 };
  uint8_t keys[WIDTH][NAME_KEY_BYTES];
  struct zone_lookup lookups[WIDTH], *at[WIDTH];
  assert_int_equal(zone_set_count(s), l->count);
  for (; questions > 0; questions--) {
    struct name names[WIDTH];
    uint32_t ids[WIDTH];
    size_t count = 1 + dice_below(d, WIDTH);
    for (size_t i = 0; i < count; i++) {
      names[i] = random_name(d, l->count && dice_below(d, 2) ? &l->zones[dice_below(d, (unsigned)l->count)].apex : &name_root, 3);
      if (i && dice_below(d, 2)) name_put_beside(names + i, names + i - 1);
      lookups[i] = (struct zone_lookup){.key = keys[i], .key_size = (uint16_t)name_key(names + i, keys[i])};
      lookups[i].shared = i && dice_below(d, 8) ? lookup_shared(lookups + i, lookups + i - 1) : 0;
      at[i] = &lookups[i];
    }
    zone_read_begin();
    zone_set_find_batch(s, at, count);
    for (size_t i = 0; i < count; i++)
      ids[i] = at[i]->entry ? at[i]->entry->id : 0;
    zone_read_end();
    for (size_t i = 0; i < count; i++)
      assert_int_equal(ids[i], list_find(l, names + i, false));
    assert_int_equal(find_id(s, names), list_find(l, names, false));
    assert_int_equal(exact_id(s, names), list_find(l, names, true));
  }
}

static void random_change(struct zone_set *s, struct list *l, struct dice *d, uint32_t id) {
  struct name apex = random_name(d, &name_root, 4);
  if (dice_below(d, 3)) {
    assert_int_equal(zone_set_put(s, &apex, entry_new(id)), ERR_OK);
    list_put(l, &apex, id);
    return;
  }
  if (l->count && dice_below(d, 4)) apex = l->zones[dice_below(d, (unsigned)l->count)].apex;
  enum err want = list_remove(l, &apex) ? ERR_OK : ERR_NOT_FOUND;
  assert_int_equal(zone_set_remove(s, &apex), want);
}

static void test_random(void **state) {
  (void)state;
  struct list *l = calloc(1, sizeof *l);
  assert_non_null(l);
  for (uint64_t seed = 1; seed <= 4; seed++) {
    struct dice d = {seed};
    struct zone_set *s;
    uint32_t id = 1;
    l->count = 0;
    assert_int_equal(zone_set_new(&s), ERR_OK);
    check_set(s, l, &d, 2);
    for (int round = 0; round < 120; round++) {
      if (dice_below(&d, 4) == 0) { /* a bulk: readers see what was before until its end */
        struct list *before = malloc(sizeof *before);
        assert_non_null(before);
        *before = *l;
        zone_set_bulk_begin(s);
        for (unsigned i = dice_below(&d, 60); i > 0; i--)
          random_change(s, l, &d, id++);
        for (int i = 0; i < 5; i++) {
          struct name n = random_name(&d, &name_root, 4);
          assert_int_equal(find_id(s, &n), list_find(before, &n, false));
        }
        assert_int_equal(zone_set_bulk_end(s), ERR_OK);
        free(before);
      } else {
        random_change(s, l, &d, id++);
      }
      check_set(s, l, &d, 2);
    }
    zone_set_free(s);
  }
  free(l);
}

static void test_root_zone(void **state) {
  (void)state;
  struct zone_set *s;
  struct name org = name_of("org."), www = name_of("www.example.org."), com = name_of("com.");
  assert_int_equal(zone_set_new(&s), ERR_OK);
  assert_int_equal(find_id(s, &www), 0);
  assert_int_equal(zone_set_put(s, &name_root, entry_new(1)), ERR_OK);
  assert_int_equal(find_id(s, &www), 1);
  assert_int_equal(zone_set_put(s, &org, entry_new(2)), ERR_OK);
  assert_int_equal(find_id(s, &www), 2);
  assert_int_equal(find_id(s, &com), 1);
  assert_int_equal(exact_id(s, &www), 0);
  assert_int_equal(exact_id(s, &name_root), 1);
  assert_int_equal(zone_set_remove(s, &name_root), ERR_OK);
  assert_int_equal(find_id(s, &com), 0);
  assert_int_equal(find_id(s, &name_root), 0);
  assert_int_equal(zone_set_count(s), 1);
  zone_set_free(s);
  zone_set_free(NULL);
}

/* ---- readers while zones are published ---- */

enum { SHARED_ZONES = 20, PUBLISHES = 3000, READERS = 2 };

struct shared {
  struct zone_set *set;
  struct name apexes[SHARED_ZONES];
  _Atomic bool stop;
  _Atomic unsigned reads;
};

/* A zone in which every A record is the serial: a reader that sees two of them in one snapshot has found a torn version. */
static struct zone_snap *versioned(const struct zone_snap *base, const struct name *apex, uint32_t serial) {
  struct zone_edit *e;
  struct zone_snap *s;
  assert_int_equal(zone_edit_begin(base, apex, &e), ERR_OK);
  struct model_record soa = record_soa(apex, serial), old_soa = record_soa(apex, serial - 1);
  if (base) edit_remove(e, &old_soa);
  edit_add(e, &soa);
  for (unsigned i = 0; i < 12; i++) {
    uint8_t label = (uint8_t)('a' + i);
    struct name n;
    name_prepend(&label, 1, apex, &n);
    struct model_record a = record_a(&n, serial), old = record_a(&n, serial - 1);
    if (base) edit_remove(e, &old);
    edit_add(e, &a);
  }
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  return s;
}

static void read_zone(const struct zone_snap *s, struct dice *d, bool *sound) {
  uint32_t serial = zone_serial(s);
  for (int i = 0; i < 4; i++) {
    uint8_t label = (uint8_t)('a' + dice_below(d, 12)), key[NAME_KEY_BYTES];
    struct name n;
    name_prepend(&label, 1, zone_apex(s), &n);
    struct zone_lookup l = {.snap = s, .key = key, .key_size = (uint16_t)name_key(&n, key)};
    struct zone_rrset set;
    zone_lookup(&l);
    if (!l.found.node || !zone_find_rrset(l.found.node, RR_A, &set) || set.count != 1) {
      *sound = false;
      return;
    }
    const uint8_t *at = set.rrs, *rdata;
    uint16_t size;
    zone_rr_next(&at, &rdata, &size);
    if (get_u32(rdata) != serial) *sound = false;
  }
}

static void *reader(void *arg) {
  struct shared *sh = arg;
  struct dice d = {(uintptr_t)&d};
  bool sound = true;
  zone_reader_register();
  while (!atomic_load(&sh->stop)) {
    const struct zone_snap *kept = NULL;
    uint8_t key[NAME_KEY_BYTES];
    zone_read_begin();
    size_t size = name_key(&sh->apexes[dice_below(&d, SHARED_ZONES)], key);
    const struct zone_entry *e = zone_set_find(sh->set, key, size);
    if (e && e->snap) {
      read_zone(e->snap, &d, &sound);
      if (dice_below(&d, 4) == 0) kept = zone_snap_ref(e->snap);
    }
    zone_read_end();
    if (kept) { /* longer than a read section */
      read_zone(kept, &d, &sound);
      zone_snap_unref(kept);
    }
    atomic_fetch_add(&sh->reads, 1);
  }
  zone_reader_unregister();
  return sound ? NULL : arg;
}

static void publish(struct shared *sh, unsigned z, struct zone_snap *s, uint32_t id) {
  struct zone_entry *e = entry_new(id);
  e->state = ZONE_READY;
  e->snap = s;
  assert_int_equal(zone_set_put(sh->set, sh->apexes + z, e), ERR_OK);
}

static void test_readers(void **state) {
  (void)state;
  struct shared sh = {0};
  struct zone_snap *snaps[SHARED_ZONES] = {0};
  uint32_t serials[SHARED_ZONES] = {0};
  struct dice d = {6};
  assert_int_equal(zone_set_new(&sh.set), ERR_OK);
  for (unsigned i = 0; i < SHARED_ZONES; i++) {
    uint8_t label = (uint8_t)('a' + i);
    name_prepend(&label, 1, &name_root, sh.apexes + i);
  }
  pthread_t threads[READERS];
  for (int i = 0; i < READERS; i++)
    assert_int_equal(pthread_create(threads + i, NULL, reader, &sh), 0);
  for (int i = 0; i < PUBLISHES || atomic_load(&sh.reads) < PUBLISHES; i++) {
    unsigned z = dice_below(&d, SHARED_ZONES);
    if (snaps[z] && dice_below(&d, 10) == 0) {
      assert_int_equal(zone_set_remove(sh.set, sh.apexes + z), ERR_OK);
      zone_snap_unref(snaps[z]);
      snaps[z] = NULL;
      continue;
    }
    struct zone_snap *next = versioned(snaps[z], sh.apexes + z, ++serials[z]);
    publish(&sh, z, zone_snap_ref(next), (uint32_t)i);
    zone_snap_unref(snaps[z]);
    snaps[z] = next;
  }
  atomic_store(&sh.stop, true);
  for (int i = 0; i < READERS; i++) {
    void *result;
    assert_int_equal(pthread_join(threads[i], &result), 0);
    assert_null(result);
  }
  for (unsigned i = 0; i < SHARED_ZONES; i++)
    zone_snap_unref(snaps[i]);
  zone_set_free(sh.set);
}

/* Puts and removes for ever do not take memory for ever, and a deferred call runs after the readers of its time. */
static void count_call(void *arg) {
  atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static void test_deferral(void **state) {
  (void)state;
  static _Atomic unsigned calls;
  zone_read_begin();
  for (int i = 0; i < 10; i++)
    zone_after_grace(count_call, &calls);
  unsigned early = atomic_load(&calls); /* this thread is still reading */
  zone_read_end();
  assert_int_equal(early, 0);
  zone_grace_barrier();
  assert_int_equal(atomic_load(&calls), 10);
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
      cmocka_unit_test(test_random),
      cmocka_unit_test(test_root_zone),
      cmocka_unit_test(test_readers),
      cmocka_unit_test(test_deferral),
  };
  return cmocka_run_group_tests(tests, start, finish);
}
