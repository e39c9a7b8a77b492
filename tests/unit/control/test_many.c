/* Many secondary zones: what arrives about the same time shares a sync, and a zone alone waits for nobody. */
#include "house.h"
#include "zone/content.h"

#include <stdio.h>
#include <stdlib.h>

enum { ZONES = 400 };

static const char *zone_text(unsigned i, char out[32]) {
  snprintf(out, 32, "z%u.example.", i);
  return out;
}

static void serve(struct house *h, const char *zone, uint32_t serial) {
  fake_primary_serve(&h->p1, zone, make_zone(zone, serial, 3600, 600, 86400, 2));
}

/* So many zones, all of p1; `count` of them it has. */
static void begin(struct house *h, unsigned zones, unsigned count) {
  struct buf text = {0};
  char name[32];
  house_init(h);
  *fake_net_faults(h->net) = (struct fake_faults){.latency_least_ns = NS_PER_MS / 2, .latency_most_ns = NS_PER_MS};
  for (unsigned i = 0; i < zones; i++) {
    if (i < count) serve(h, zone_text(i, name), 1);
    buf_printf(&text, "%s{name: z%u.example, role: secondary, primaries: [p1]}", i ? ", " : "", i);
  }
  house_config(h, buf_text(&text));
  buf_done(&text);
  house_start(h);
}

static unsigned served(struct house *h) {
  char name[32];
  unsigned n = 0;
  for (unsigned i = 0; i < ZONES; i++)
    n += house_serial(h, zone_text(i, name)) != NOT_SERVED;
  return n;
}

static bool all_served(void *arg) {
  return served(arg) == ZONES;
}

static void notify(struct house *h, const char *zone, uint32_t serial) {
  struct name apex = name_of(zone);
  control_notified(h->control, &apex, &h->p1.host.addr, true, serial, fake_net_now(h->net));
}

static void test_arrivals_share_a_sync(void **state) {
  struct house h;
  begin(&h, ZONES, ZONES);
  assert_true(fake_net_run_until(h.net, 20 * NS_PER_S, all_served, &h));
  assert_true(h.control->upkeep.batches > 0);
  assert_true(h.control->upkeep.batches <= ZONES / 20);
  assert_int_equal(h.control->figures.transfers_in, ZONES);
  house_done(&h);
}

/* The round trips of SOA query, connection and transfer, and nothing else. */
static void test_one_waits_for_nobody(void **state) {
  struct house h;
  begin(&h, 1, 1);
  house_run_ms(&h, 1000);
  assert_int_equal(house_serial(&h, "z0.example."), 1);
  for (uint32_t serial = 2; serial < 5; serial++) {
    serve(&h, "z0.example.", serial);
    notify(&h, "z0.example.", serial);
    house_run_ms(&h, 7);
    assert_int_equal(house_serial(&h, "z0.example."), serial);
  }
  house_done(&h);
}

/* While others come by the hundred, a zone that is served gets its next version after milliseconds all the same. */
static void test_a_change_among_many(void **state) {
  struct house h;
  begin(&h, ZONES, 1);
  house_run_ms(&h, 1500); /* between two rounds of those that are refused */
  assert_int_equal(served(&h), 1);
  char name[32];
  for (unsigned i = 1; i < ZONES; i++)
    serve(&h, zone_text(i, name), 1);
  serve(&h, "z0.example.", 2);
  notify(&h, "z0.example.", 2);
  for (unsigned i = 1; i < ZONES; i++)
    notify(&h, zone_text(i, name), 1);
  house_run_ms(&h, 25);
  assert_int_equal(house_serial(&h, "z0.example."), 2);
  assert_true(served(&h) < ZONES);
  house_done(&h);
}

static const struct zone_entry *entry_of(struct house *h, const char *zone) {
  struct name name = name_of(zone);
  uint8_t key[NAME_KEY_BYTES];
  size_t size = name_key(&name, key);
  return zone_set_exact(control_zones(h->control), key, size);
}

/* A refresh that finds nothing new moves the zone's end, and readers go on with the entry that they have. */
static void test_a_refresh_publishes_nothing(void **state) {
  struct house h;
  begin(&h, 1, 1);
  house_run_ms(&h, 1000);
  zone_read_begin(); /* no address is used again */
  const struct zone_entry *before = entry_of(&h, "z0.example.");
  uint64_t expires_ns = before->expires_mono_ns, queries = secondaries_counts(h.control->secondaries).soa_queries;
  assert_int_equal(before->state, ZONE_READY);
  assert_true(expires_ns > 0);
  house_run_ms(&h, 3600 * 1000);
  assert_true(secondaries_counts(h.control->secondaries).soa_queries > queries);
  assert_ptr_equal(entry_of(&h, "z0.example."), before);
  assert_true(before->expires_mono_ns >= expires_ns + 2700 * NS_PER_S);
  zone_read_end();
  house_done(&h);
}

static struct digest128 digest_of(struct house *h, unsigned zone) {
  char name[32];
  struct digest128 digest;
  const struct zone_slot *z = house_slot(h, zone_text(zone, name));
  assert_non_null(z->snap);
  assert_int_equal(zone_content_whole(z->snap, &digest), ERR_OK);
  return digest;
}

/* Loading threads open the images and read what the log has behind them. */
static void test_restart_with_changes_behind_images(void **state) {
  enum { FILES = 100 };
  struct house h;
  struct buf text = {0};
  char name[32], file[40], more[64];
  struct digest128 before[FILES];
  house_init(&h);
  h.threads = true;
  for (unsigned i = 0; i < FILES; i++)
    buf_printf(&text, "%s{name: z%u.example, role: primary, file: z%u.zone}", i ? ", " : "", i, i);
  house_config(&h, buf_text(&text));
  buf_done(&text);
  for (uint32_t serial = 1; serial <= 4; serial++) {
    for (unsigned i = 0; i < FILES; i++) {
      if (serial > 1 + i % 4) continue; /* none, one, two and three changes */
      snprintf(file, sizeof file, "z%u.zone", i);
      snprintf(more, sizeof more, "h%u A 192.0.2.%u\n", serial, i);
      house_zone(&h, file, serial, more);
    }
    if (serial == 1) house_start(&h);
    else house_ask(&h, "{\"command\":\"reload\"}");
  }
  for (unsigned i = 0; i < FILES; i++) {
    const struct zone_slot *z = house_slot(&h, zone_text(i, name));
    assert_int_equal(z->version - z->image.version, i % 4);
    before[i] = digest_of(&h, i);
  }
  house_restart(&h);
  for (unsigned i = 0; i < FILES; i++) {
    const struct zone_slot *z = house_slot(&h, zone_text(i, name));
    assert_int_equal(house_serial(&h, zone_text(i, name)), 1 + i % 4);
    assert_int_equal(z->version - z->image.version, i % 4);
    assert_int_equal(z->tail_bytes > 0, i % 4 > 0);
    assert_true(zone_content_equal(digest_of(&h, i), before[i]));
    assert_false(z->revived);
  }
  house_done(&h);
}

/* ---- reloads, slice by slice ---- */

static void write_files(const struct house *h, unsigned from, unsigned to, uint32_t serial) {
  char file[40];
  for (unsigned i = from; i < to; i++) {
    snprintf(file, sizeof file, "z%u.zone", i);
    house_zone(h, file, serial, "");
  }
}

static void config_files(struct house *h, unsigned zones) {
  struct buf text = {0};
  for (unsigned i = 0; i < zones; i++)
    buf_printf(&text, "%s{name: z%u.example, role: primary, file: z%u.zone}", i ? ", " : "", i, i);
  house_config(h, buf_text(&text));
  buf_done(&text);
}

static uint32_t serial_of(struct house *h, unsigned zone) {
  char name[32];
  return house_serial(h, zone_text(zone, name));
}

static unsigned count_served(struct house *h, unsigned zones, uint32_t serial) {
  unsigned n = 0;
  for (unsigned i = 0; i < zones; i++)
    n += serial_of(h, i) == serial;
  return n;
}

static void test_a_reload_goes_in_slices(void **state) {
  enum { FILES = 600 };
  struct house h;
  const char *said;
  house_init(&h);
  config_files(&h, FILES);
  write_files(&h, 0, FILES, 1);
  house_start(&h);
  write_files(&h, 0, FILES, 2);
  uint64_t token = house_ask(&h, "{\"command\":\"reload\",\"comment\":\"all\"}");
  unsigned first = count_served(&h, FILES, 2);
  assert_true(first > 0 && first < FILES);
  assert_int_equal(house_reply_of(&h, token)->count, 0);
  /* in between everything else is done */
  assert_int_equal(serial_of(&h, FILES - 1), 1);
  assert_true(house_done_at_once(&h, "reload", "z599.example", &said));
  assert_int_equal(serial_of(&h, FILES - 1), 2);
  write_files(&h, FILES - 2, FILES - 1, 3);
  assert_int_equal(control_deadline(h.control), 0);
  control_run(h.control, fake_net_now(h.net));
  unsigned second = count_served(&h, FILES, 2);
  assert_true(second > first + 1 && second < FILES);
  assert_int_equal(house_reply_of(&h, token)->count, 0);
  house_run_ms(&h, 1);
  struct house_reply *r = house_reply_of(&h, token);
  assert_int_equal(r->count, 1);
  assert_non_null(strstr(r->text, "reloaded: 599 zones changed"));
  assert_int_equal(count_served(&h, FILES, 2), FILES - 1);
  assert_int_equal(serial_of(&h, FILES - 2), 3);
  house_command(&h, "history", "z500.example");
  house_run_ms(&h, 1000);
  assert_non_null(strstr(buf_text(&h.said), "tester"));
  house_restart(&h);
  assert_int_equal(count_served(&h, FILES, 2), FILES - 1);
  house_done(&h);
}

/* A reload that changes nothing publishes nothing, and leaves nothing of the old configuration in use. */
static void test_a_reload_of_what_is_the_same(void **state) {
  struct house h;
  house_init(&h);
  config_files(&h, 2);
  write_files(&h, 0, 2, 1);
  house_start(&h);
  const struct zone_entry *before = entry_of(&h, "z1.example.");
  const struct zone_policy *old = before->policy;
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  assert_ptr_equal(entry_of(&h, "z1.example."), before);
  assert_ptr_equal(entry_of(&h, "z1.example.")->policy, &house_slot(&h, "z1.example.")->plan->policy);
  assert_ptr_not_equal(entry_of(&h, "z1.example.")->policy, old);
  house_done(&h);
}

/* What a second reload, or the end, finds of the first one. */
static void test_a_reload_is_cut(void **state) {
  enum { FILES = 300, MORE = 600 };
  struct house h;
  const char *said;
  house_init(&h);
  config_files(&h, FILES);
  write_files(&h, 0, MORE, 1);
  house_start(&h);
  config_files(&h, MORE);
  write_files(&h, 0, FILES, 2);
  uint64_t first = house_command(&h, "reload", NULL);
  assert_true(count_served(&h, MORE, 2) < FILES);
  assert_false(house_done_at_once(&h, "status", "z599.example", &said));
  assert_non_null(strstr(said, "has not come to it yet"));
  uint64_t second = house_command(&h, "reload", NULL);
  assert_int_equal(house_reply_of(&h, first)->count, 1);
  assert_non_null(strstr(house_reply_of(&h, first)->text, "another reload has begun"));
  house_run_ms(&h, 1);
  assert_int_equal(house_reply_of(&h, second)->count, 1);
  assert_non_null(strstr(house_reply_of(&h, second)->text, "\"ok\":true"));
  assert_int_equal(count_served(&h, MORE, 2), FILES);
  assert_int_equal(count_served(&h, MORE, 1), MORE - FILES);
  write_files(&h, 0, MORE, 3);
  first = house_command(&h, "reload", NULL);
  house_stop(&h);
  assert_non_null(strstr(house_reply_of(&h, first)->text, "the server ends"));
  house_start(&h);
  assert_int_equal(count_served(&h, MORE, 3), MORE);
  house_done(&h);
}

/* ---- the first start with many ---- */

static unsigned count_durable(struct house *h, unsigned zones) {
  unsigned n = 0;
  char name[32];
  for (unsigned i = 0; i < zones; i++)
    n += house_slot(h, zone_text(i, name))->durable;
  return n;
}

/* So many new zones of one file. */
static void start_new(struct house *h, unsigned n) {
  struct buf text = {0};
  house_init(h);
  for (unsigned i = 0; i < n; i++)
    buf_printf(&text, "%s{name: z%u.example, role: primary, file: one.zone}", i ? ", " : "", i);
  house_config(h, buf_text(&text));
  buf_done(&text);
  house_zone(h, "one.zone", 1, "");
  house_start(h);
}

static void test_many_new_zones_are_served_before_they_are_kept(void **state) {
  enum { NEW = 2500 };
  struct house h;
  char name[32];
  start_new(&h, NEW);
  assert_int_equal(count_served(&h, NEW, 1), NEW);
  assert_int_equal(count_durable(&h, NEW), 0);
  assert_null(slot_wrong(house_slot(&h, "z7.example.")));
  control_run(h.control, fake_net_now(h.net));
  unsigned durable = count_durable(&h, NEW);
  assert_true(durable > 0 && durable < NEW);
  house_run_ms(&h, 1);
  assert_int_equal(count_durable(&h, NEW), NEW);
  assert_true(control_deadline(h.control) > fake_net_now(h.net).mono_ns);
  house_zone(&h, "one.zone", 2, "");
  assert_false(house_slot(&h, zone_text(NEW - 1, name))->coming);
  house_restart(&h);
  assert_int_equal(count_served(&h, NEW, 2), NEW);
  house_done(&h);
}

/* The server ends before it has kept them: that is done first. */
static void test_an_end_keeps_what_is_coming(void **state) {
  enum { NEW = 1200 };
  struct house h;
  start_new(&h, NEW);
  house_restart(&h);
  assert_int_equal(count_served(&h, NEW, 1), NEW);
  assert_int_equal(count_durable(&h, NEW), NEW);
  house_done(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_arrivals_share_a_sync),
      cmocka_unit_test(test_one_waits_for_nobody),
      cmocka_unit_test(test_a_change_among_many),
      cmocka_unit_test(test_a_refresh_publishes_nothing),
      cmocka_unit_test(test_restart_with_changes_behind_images),
      cmocka_unit_test(test_a_reload_goes_in_slices),
      cmocka_unit_test(test_a_reload_of_what_is_the_same),
      cmocka_unit_test(test_a_reload_is_cut),
      cmocka_unit_test(test_many_new_zones_are_served_before_they_are_kept),
      cmocka_unit_test(test_an_end_keeps_what_is_coming),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
