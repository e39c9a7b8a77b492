/* Several changes of one zone in one batch: each is a changeset of its own, readers see the last, and all stand or fall together.
 */
#include "house.h"

#include "zone/content.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A "a.example."
#define PRIMARY_A "{name: a.example, role: primary, file: a.zone}"
#define PRIMARY_B "{name: b.example, role: primary, file: b.zone}"

enum { NOW_S = 1795382400 };

static void begin(struct house *h, const char *zones) {
  house_init(h);
  house_zone(h, "a.zone", 1, "");
  house_zone(h, "b.zone", 1, "");
  house_config(h, zones);
  house_start(h);
}

/* `base` with one more TXT record. */
static const struct zone_snap *with_text(const struct zone_snap *base, unsigned n) {
  struct zone_edit *e;
  struct zone_snap *out;
  struct name owner;
  enum zone_add outcome;
  uint8_t rdata[300] = {4};
  char text[16];
  snprintf(text, sizeof text, "%04u", n % 10000);
  memcpy(rdata + 1, text, 4);
  assert_int_equal(name_from_text("many", 4, zone_apex(base), &owner, NULL, NULL), ERR_OK);
  assert_int_equal(zone_edit_begin(base, NULL, &e), ERR_OK);
  assert_int_equal(zone_edit_add(e, &owner, RR_TXT, 60, rdata, 5, &outcome), ERR_OK);
  assert_int_equal(zone_edit_finish(e, &out), ERR_OK);
  return out;
}

static void add(struct pipeline *p, struct zone_slot *z, unsigned n, const char *author) {
  struct buf note = {0};
  struct change_info info = {.door = DOOR_UPDATE, .author = author, .fresh_serial = true};
  const struct zone_snap *snap = with_text(pipeline_head(p, z), n);
  assert_int_equal(pipeline_add(p, z, snap, &info, (struct instant){.wall_s = NOW_S}, &note), ERR_OK);
  buf_done(&note);
}

struct seen {
  unsigned count;
  uint32_t serials[64];
  char authors[64][16];
  enum store_kind kinds[64];
  uint64_t removed[64], added[64];
  struct digest128 digests[64];
};

static enum err see(void *arg, const struct store_change *c) {
  struct seen *s = arg;
  assert_true(s->count < 64);
  s->serials[s->count] = c->serial_to;
  s->kinds[s->count] = c->kind;
  assert_true(c->has_content);
  s->digests[s->count] = c->content;
  s->removed[s->count] = c->removed;
  s->added[s->count] = c->added;
  snprintf(s->authors[s->count++], sizeof s->authors[0], "%s", c->author);
  return ERR_OK;
}

static struct digest128 digest_of(const struct zone_snap *snap) {
  struct digest128 kept, whole;
  assert_true(zone_content(snap, &kept));
  assert_int_equal(zone_content_whole(snap, &whole), ERR_OK);
  assert_true(zone_content_equal(kept, whole));
  return whole;
}

static void look(struct house *h, struct zone_slot *z, struct seen *out) {
  struct store_error why;
  *out = (struct seen){0};
  assert_int_equal(store_each_change(h->control->store, z->store_id, z->head, 0, see, out, &why), ERR_OK);
}

static void test_many_changes_in_one_batch(void **state) {
  struct house h;
  struct pipeline *p;
  struct store_error why;
  struct seen seen;
  size_t changed;
  begin(&h, PRIMARY_A ", " PRIMARY_B);
  struct zone_slot *z = house_slot(&h, A), *b = house_slot(&h, "b.example.");
  assert_int_equal(pipeline_begin(h.control, &p), ERR_OK);
  add(p, z, 1, "first");
  add(p, b, 1, "other");
  add(p, z, 2, "second");
  add(p, z, 2, "same"); /* changes nothing: no version */
  add(p, z, 3, "third");
  assert_int_equal(house_serial(&h, A), 1); /* nobody sees it yet */
  assert_int_equal(pipeline_commit(p, (struct instant){.wall_s = NOW_S}, &changed, &why), ERR_OK);
  assert_int_equal(changed, 2);
  assert_int_equal(house_serial(&h, A), 4);
  assert_int_equal(house_serial(&h, "b.example."), 2);
  look(&h, z, &seen);
  assert_int_equal(seen.count, 4);
  for (unsigned i = 0; i < 4; i++)
    assert_int_equal(seen.serials[i], i + 1);
  assert_string_equal(seen.authors[1], "first");
  assert_string_equal(seen.authors[2], "second");
  assert_string_equal(seen.authors[3], "third");
  assert_int_equal(seen.kinds[3], STORE_DELTA);
  assert_int_equal(seen.removed[0], 0);
  assert_int_equal(seen.added[0], 3);
  assert_int_equal(seen.removed[2], 1); /* the SOA */
  assert_int_equal(seen.added[2], 2);
  struct digest128 digest = digest_of(z->snap);
  assert_true(zone_content_equal(seen.digests[3], digest));
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 4);
  assert_int_equal(house_slot(&h, A)->version, 4);
  assert_true(zone_content_equal(digest_of(house_slot(&h, A)->snap), digest));
  house_done(&h);
}

static void change_once(struct house *h, unsigned n) {
  struct pipeline *p;
  struct store_error why;
  size_t changed;
  assert_int_equal(pipeline_begin(h->control, &p), ERR_OK);
  add(p, house_slot(h, A), n, "tester");
  assert_int_equal(pipeline_commit(p, (struct instant){.wall_s = NOW_S}, &changed, &why), ERR_OK);
}

/* What is opened by replay is compared with the digest that was kept; one that does not fit is not believed any more. */
static void test_a_digest_that_does_not_fit_is_found(void **state) {
  struct house h;
  struct digest128 unused;
  begin(&h, PRIMARY_A);
  change_once(&h, 1);
  zone_content_set(house_slot(&h, A)->snap, (struct digest128){1, 2}); /* as if a change had been applied wrongly */
  change_once(&h, 2);
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 3);
  assert_false(zone_content(house_slot(&h, A)->snap, &unused));
  change_once(&h, 3);
  (void)digest_of(house_slot(&h, A)->snap);
  house_done(&h);
}

static void test_all_fail_together(void **state) {
  struct house h;
  struct pipeline *p;
  struct store_error why;
  size_t changed;
  begin(&h, PRIMARY_A);
  struct zone_slot *z = house_slot(&h, A);
  assert_int_equal(pipeline_begin(h.control, &p), ERR_OK);
  add(p, z, 1, "first");
  add(p, z, 2, "second");
  pipeline_abort(p);
  assert_int_equal(house_serial(&h, A), 1);
  assert_int_equal(z->queued, 0);
  assert_int_equal(pipeline_begin(h.control, &p), ERR_OK);
  add(p, z, 3, "third");
  assert_int_equal(pipeline_commit(p, (struct instant){.wall_s = NOW_S}, &changed, &why), ERR_OK);
  assert_int_equal(house_serial(&h, A), 2);
  assert_int_equal(z->version, 2);
  house_done(&h);
}

/* However many small changes come, they stay deltas; now and then an image shortens the tail that a start has to read. */
static void test_long_tails_get_an_image_and_stay_deltas(void **state) {
  struct house h;
  struct store_error why;
  struct seen seen;
  size_t changed;
  begin(&h, PRIMARY_A);
  struct zone_slot *z = house_slot(&h, A);
  struct store_image first = z->image;
  for (unsigned i = 0; i < 40; i++) {
    struct pipeline *p;
    z->tail_bytes += 16 * 1024; /* as if the changes were larger */
    assert_int_equal(pipeline_begin(h.control, &p), ERR_OK);
    add(p, z, i, "many");
    assert_int_equal(pipeline_commit(p, (struct instant){.wall_s = NOW_S}, &changed, &why), ERR_OK);
  }
  assert_true(z->image.version > first.version);
  look(&h, z, &seen);
  assert_int_equal(seen.count, 41);
  for (unsigned i = 1; i < seen.count; i++)
    assert_int_equal(seen.kinds[i], STORE_DELTA);
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 41);
  house_done(&h);
}

/* ---- seen before it is synced ---- */

static struct {
  struct house *house;
  uint32_t serial;  /* as readers saw it at the last sync of the log */
  unsigned pending; /* peers that were to be told by then */
  bool durable;
} at_sync;

static void look_at_sync(char call) {
  struct house *h = at_sync.house;
  if (call != 'S') return;
  const struct zone_slot *z = house_slot(h, A);
  at_sync.serial = house_serial(h, A);
  at_sync.pending = notifier_pending(h->control->notifier, z->id);
  at_sync.durable = z->durable && house_serial(h, A) == zone_serial(z->snap);
}

static void transfer(struct house *h, uint32_t serial) {
  fake_primary_serve(&h->p1, A, make_zone(A, serial, 3600, 600, 86400, serial));
  house_command(h, "reload", A);
  house_run_ms(h, 2000);
  assert_int_equal(house_serial(h, A), serial);
}

static void begin_secondary(struct house *h) {
  house_init(h);
  house_config(h, "{name: a.example, role: secondary, primaries: [p1], notify: [p2]}");
  fake_primary_serve(&h->p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  house_start(h);
  house_run_ms(h, 2000);
  assert_int_equal(house_serial(h, A), 5);
  house_run_ms(h, 3600000); /* the peer was told, or given up */
  at_sync.house = h;
}

/* Readers have what was transferred while the log is synced; nobody is told of it before. */
static void test_a_transfer_is_seen_before_its_sync(void **state) {
  struct house h;
  begin_secondary(&h);
  unsigned pending = notifier_pending(h.control->notifier, house_slot(&h, A)->id);
  test_no_faults();
  faults.on_call = look_at_sync;
  transfer(&h, 6);
  test_no_faults();
  assert_int_equal(at_sync.serial, 6);
  assert_int_equal(at_sync.pending, pending);
  assert_false(at_sync.durable);
  assert_true(house_slot(&h, A)->durable);
  assert_null(house_slot(&h, A)->shown);
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 6);
  house_done(&h);
}

/* Whatever fails then: it is served, and durable at once or later. */
static void test_a_transfer_whose_sync_fails(void **state) {
  for (unsigned at = 1, hit = 1; hit; at++) {
    for (int mode = FAULT_ONCE; mode <= FAULT_FROM_THEN_ON; mode++) {
      struct house h;
      begin_secondary(&h);
      faults = (struct faults){.at = at, .mode = (enum fault_mode)mode, .error = EIO};
      transfer(&h, 6);
      hit = faults.count >= at;
      test_no_faults();
      assert_null(house_slot(&h, A)->shown);
      assert_true(house_slot(&h, A)->durable || strstr(slot_wrong(house_slot(&h, A)), "not durable"));
      house_run_ms(&h, 120000);
      assert_true(house_slot(&h, A)->durable || h.control->store->uncertain);
      house_restart(&h);
      house_run_ms(&h, 2000);
      assert_int_equal(house_serial(&h, A), 6);
      assert_true(house_slot(&h, A)->durable);
      house_done(&h);
    }
  }
}

/* Of what nobody else has, readers see nothing before it is durable. */
static void test_a_change_of_ours_is_seen_behind_its_sync(void **state) {
  struct house h;
  begin(&h, PRIMARY_A);
  at_sync.house = &h;
  test_no_faults();
  faults.on_call = look_at_sync;
  change_once(&h, 1);
  test_no_faults();
  assert_int_equal(at_sync.serial, 1);
  assert_int_equal(house_serial(&h, A), 2);
  house_done(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_many_changes_in_one_batch),
      cmocka_unit_test(test_all_fail_together),
      cmocka_unit_test(test_a_digest_that_does_not_fit_is_found),
      cmocka_unit_test(test_long_tails_get_an_image_and_stay_deltas),
      cmocka_unit_test(test_a_transfer_is_seen_before_its_sync),
      cmocka_unit_test(test_a_transfer_whose_sync_fails),
      cmocka_unit_test(test_a_change_of_ours_is_seen_behind_its_sync),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
