/* UPDATEs on the control thread: all that wait are one batch with one sync, each judged on what the ones before have made, answered
 * only when all is durable; or all of them are told that nothing was. Those of a zone and an author are one version. */
#include "house.h"

#include "control/serial.h"
#include "wire/message.h"
#include "xfr/update.h"
#include "zone/content.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZONE_A "{name: a.example, role: primary, file: a.zone, update: [192.0.2.0/24]}"
#define ZONE_B "{name: b.example, role: primary, file: b.zone, update: [{from: 192.0.2.0/24, names: [granted]}]}"

enum { UPDATES = 100, NOT_ANSWERED = 99 };

struct sent {
  struct control_update update;
  uint8_t bytes[512];
  size_t size;
  unsigned answers, rcode;
  int ede;
};

static struct sent sent[UPDATES];

/* ---- asking ---- */

static void on_updated(struct house *h, struct control_update *u, const uint8_t *bytes, size_t n) {
  struct sent *s = (struct sent *)u;
  s->answers++;
  assert_true(n >= MESSAGE_HEADER_BYTES);
  assert_memory_equal(bytes, s->bytes, 2);
  s->rcode = bytes[3] & FLAG_RCODE_MASK;
  s->ede = EDE_NONE;
  for (size_t i = MESSAGE_HEADER_BYTES; i + 6 <= n; i++) /* the option's code and size, and a code below 256 */
    if (bytes[i] == 0 && bytes[i + 1] == EDNS_EDE && bytes[i + 2] == 0 && bytes[i + 4] == 0) s->ede = bytes[i + 5];
}

static void put_record(struct wr *w, const char *owner, uint16_t class, uint32_t ttl, uint16_t type, const char *rdata, size_t n) {
  struct name name = test_name(owner);
  wr_bytes(w, name.octets, name.size);
  wr_u16(w, type);
  wr_u16(w, class);
  wr_u32(w, ttl);
  wr_u16(w, (uint16_t)n);
  wr_bytes(w, rdata, n);
}

static void write_header(struct wr *w, uint16_t id, const char *zone, unsigned prereqs, unsigned changes) {
  struct name apex = test_name(zone);
  uint16_t header[] = {id, OPCODE_UPDATE << FLAG_OPCODE_SHIFT, 1, (uint16_t)prereqs, (uint16_t)changes, 1};
  for (size_t i = 0; i < 6; i++)
    wr_u16(w, header[i]);
  wr_bytes(w, apex.octets, apex.size);
  wr_u16(w, RR_SOA);
  wr_u16(w, CLASS_IN);
}

/* Adds an A record to `owner`, which with `fresh` must not be there; with EDNS. */
static void write_update(struct sent *s, uint16_t id, const char *zone, const char *owner, bool fresh) {
  struct wr w = wr_make(s->bytes, sizeof s->bytes);
  write_header(&w, id, zone, fresh, 1);
  if (fresh) put_record(&w, owner, CLASS_NONE, 0, RR_ANY, "", 0);
  put_record(&w, owner, CLASS_IN, 60, RR_A, "\xc0\x00\x02\x09", 4);
  put_record(&w, ".", 1232, 0, RR_OPT, "", 0);
  s->size = wr_used(&w);
}

/* As a worker does it. */
static void hand_over(struct house *h, struct sent *s, const char *from) {
  struct answer_job job = {.client = {.transport = TRANSPORT_UDP}};
  uint8_t room[LIMIT_UDP_RESPONSE_BYTES];
  struct instant now = fake_net_now(h->net);
  struct answer_memory *memory = answer_memory_new();
  assert_non_null(memory);
  s->answers = 0;
  s->rcode = NOT_ANSWERED;
  assert_int_equal(addr_parse(from, 53, &job.client.from), ERR_OK);
  job.bytes = s->bytes;
  job.size = s->size;
  job.out = room;
  job.capacity = sizeof room;
  zone_read_begin();
  answer(control_zones(h->control), control_identity(h->control), memory, &job, now);
  answer_memory_free(memory);
  assert_int_equal(job.result.kind, ANSWER_UPDATE);
  control_update_make(&s->update, &job, control_identity(h->control), s->bytes, now);
  zone_read_end();
  control_update(h->control, &s->update, now);
}

static void give_from(struct house *h, const char *from, size_t i, const char *zone, const char *owner, bool fresh) {
  write_update(&sent[i], (uint16_t)i, zone, owner, fresh);
  hand_over(h, &sent[i], from);
}

static void give(struct house *h, size_t i, const char *zone, const char *owner, bool fresh) {
  give_from(h, "192.0.2.50@5353", i, zone, owner, fresh);
}

static void begin(struct house *h) {
  house_init(h);
  house_zone(h, "a.zone", 1, "");
  house_zone(h, "b.zone", 1, "");
  house_config(h, ZONE_A ", " ZONE_B);
  h->on_updated = on_updated;
  house_start(h);
}

static unsigned syncs(void) {
  unsigned n = 0;
  for (const char *p = faults.trace; *p; p++)
    n += *p == 'S' || *p == 's';
  return n;
}

static void assert_rcode(size_t i, unsigned rcode) {
  assert_int_equal(sent[i].answers, 1);
  if (sent[i].rcode != rcode) fail_msg("update %zu: %s, wanted %s", i, rcode_text(sent[i].rcode), rcode_text(rcode));
}

/* ---- tests ---- */

static void test_one_update_costs_as_many_syncs_as_a_hundred(void **state) {
  struct house h;
  char owner[40];
  begin(&h);
  memset(&faults, 0, sizeof faults);
  give(&h, 0, "a.example.", "first.a.example.", true);
  assert_int_equal(sent[0].answers, 0); /* nothing before it is durable */
  house_run_ms(&h, 10);
  assert_rcode(0, RCODE_NOERROR);
  unsigned of_one = syncs();
  assert_true(of_one > 0);
  memset(&faults, 0, sizeof faults);
  for (size_t i = 0; i < UPDATES; i++) {
    snprintf(owner, sizeof owner, "n%zu.a.example.", i);
    give(&h, i, "a.example.", owner, true);
  }
  house_run_ms(&h, 10);
  for (size_t i = 0; i < UPDATES; i++)
    assert_rcode(i, RCODE_NOERROR);
  assert_in_range(syncs(), 1, of_one);
  assert_int_equal(house_serial(&h, "a.example."), 3);
  assert_int_equal(house_slot(&h, "a.example.")->version, 3); /* one changeset */
  struct digest128 kept, whole;
  assert_true(zone_content(house_slot(&h, "a.example.")->snap, &kept)); /* summed up by the edits */
  assert_int_equal(zone_content_whole(house_slot(&h, "a.example.")->snap, &whole), ERR_OK);
  assert_true(zone_content_equal(kept, whole));
  house_restart(&h);
  assert_int_equal(house_serial(&h, "a.example."), 3);
  house_done(&h);
}

static void one_more(struct house *h) {
  h->on_updates_wanted = NULL;
  give(h, 1, "a.example.", "x.a.example.", true);
  give(h, 2, "a.example.", "y.a.example.", true);
}

static void test_what_comes_before_the_sync_shares_it(void **state) {
  struct house h;
  begin(&h);
  memset(&faults, 0, sizeof faults);
  give(&h, 0, "a.example.", "w.a.example.", true);
  house_run_ms(&h, 10);
  unsigned of_one = syncs();
  memset(&faults, 0, sizeof faults);
  h.on_updates_wanted = one_more;
  give(&h, 0, "a.example.", "x.a.example.", true);
  house_run_ms(&h, 10);
  assert_rcode(0, RCODE_NOERROR);
  assert_rcode(1, RCODE_YXDOMAIN); /* on top of the first */
  assert_rcode(2, RCODE_NOERROR);
  assert_in_range(syncs(), 1, of_one);
  house_done(&h);
}

static void test_each_is_judged_on_the_ones_before(void **state) {
  struct house h;
  begin(&h);
  give(&h, 0, "a.example.", "x.a.example.", true);
  give(&h, 1, "a.example.", "x.a.example.", true);  /* there by now */
  give(&h, 2, "a.example.", "x.a.example.", false); /* so it is no change */
  give(&h, 3, "b.example.", "granted.b.example.", true);
  give(&h, 4, "b.example.", "x.b.example.", false);
  house_run_ms(&h, 10);
  assert_rcode(0, RCODE_NOERROR);
  assert_rcode(1, RCODE_YXDOMAIN);
  assert_rcode(2, RCODE_NOERROR);
  assert_rcode(3, RCODE_NOERROR);
  assert_rcode(4, RCODE_REFUSED);
  assert_int_equal(sent[4].ede, EDE_PROHIBITED);
  assert_int_equal(house_serial(&h, "a.example."), 2);
  assert_int_equal(house_serial(&h, "b.example."), 2);
  assert_int_equal(h.control->figures.updates_done, 2);
  assert_int_equal(h.control->figures.updates_unchanged, 1);
  assert_int_equal(h.control->figures.updates_refused, 2);
  house_done(&h);
}

static void test_what_the_store_does_not_take_has_not_happened(void **state) {
  struct house h;
  begin(&h);
  faults = (struct faults){.at = 1, .mode = FAULT_FROM_THEN_ON, .error = ENOSPC};
  give(&h, 0, "a.example.", "x.a.example.", true);
  give(&h, 1, "a.example.", "x.a.example.", true);      /* would be YXDOMAIN if the first one held */
  give(&h, 2, "b.example.", "other.b.example.", false); /* refused whatever the store does */
  house_run_ms(&h, 10);
  assert_rcode(0, RCODE_SERVFAIL);
  assert_int_equal(sent[0].ede, EDE_OTHER);
  assert_rcode(1, RCODE_SERVFAIL);
  assert_rcode(2, RCODE_REFUSED);
  assert_int_equal(house_serial(&h, "a.example."), 1);
  memset(&faults, 0, sizeof faults);
  house_restart(&h);
  assert_int_equal(house_serial(&h, "a.example."), 1);
  give(&h, 0, "a.example.", "x.a.example.", true);
  house_run_ms(&h, 10);
  assert_rcode(0, RCODE_NOERROR);
  house_done(&h);
}

/* The change that was called failed may be there after a restart: until then nothing is known to be so, and so nothing is said to.
 */
static void test_a_store_that_knows_not_what_it_has(void **state) {
  struct house h;
  begin(&h);
  give(&h, 0, "a.example.", "x.a.example.", true);
  house_run_ms(&h, 10);
  faults = (struct faults){.at = 3, .mode = FAULT_FROM_THEN_ON, .error = EIO};
  give(&h, 1, "a.example.", "y.a.example.", true);
  house_run_ms(&h, 10);
  memset(&faults, 0, sizeof faults);
  assert_rcode(1, RCODE_SERVFAIL);
  assert_true(h.control->store->uncertain);
  give(&h, 2, "a.example.", "x.a.example.", false); /* no change */
  house_run_ms(&h, 10);
  assert_rcode(2, RCODE_SERVFAIL);
  house_done(&h);
}

static void test_one_that_waited_too_long_is_not_made(void **state) {
  struct house h;
  begin(&h);
  house_run_ms(&h, 5000);
  give(&h, 0, "a.example.", "x.a.example.", true);
  give(&h, 1, "a.example.", "y.a.example.", true);
  sent[0].update.arrived_ns -= (LIMIT_UPDATE_WAIT_MS + 1) * NS_PER_MS;
  house_run_ms(&h, 10);
  assert_rcode(0, RCODE_SERVFAIL);
  assert_int_equal(sent[0].ede, EDE_OTHER);
  assert_rcode(1, RCODE_NOERROR);
  assert_int_equal(house_serial(&h, "a.example."), 2);
  house_done(&h);
}

/* More changes than a day has numbers, and the next day before the date has caught up. */
static void test_serials_by_date_go_on(void **state) {
  enum { DAYS = 2, DAY_MS = 86400000 };
  struct house h;
  uint32_t last = 1;
  char owner[40];
  house_init(&h);
  house_zone(&h, "a.zone", 1, "");
  house_config(&h, "{name: a.example, file: a.zone, update: [192.0.2.0/24], serial: date}");
  h.on_updated = on_updated;
  house_start(&h);
  for (unsigned n = 0; n < 2 * DAYS * UPDATES; n++) {
    if (n == DAYS * UPDATES) house_run_ms(&h, DAY_MS);
    snprintf(owner, sizeof owner, "n%u.a.example.", n);
    give(&h, n % UPDATES, "a.example.", owner, true);
    house_run_ms(&h, 10);
    assert_rcode(n % UPDATES, RCODE_NOERROR);
    uint32_t serial = house_serial(&h, "a.example.");
    if (n == 0) assert_true(serial > 2000000000 && serial % 100 == 0); /* YYYYMMDD00 */
    else assert_int_equal(serial, last + 1);
    last = serial;
  }
  house_run_ms(&h, 4 * (uint64_t)DAY_MS);
  give(&h, 0, "a.example.", "last.a.example.", true);
  house_run_ms(&h, 10);
  assert_true(house_serial(&h, "a.example.") > last + 1);
  assert_int_equal(house_serial(&h, "a.example.") % 100, 0);
  house_done(&h);
}

static void test_a_reload_may_come_in_between(void **state) {
  struct house h;
  begin(&h);
  give(&h, 0, "a.example.", "x.a.example.", true);
  give(&h, 1, "b.example.", "granted.b.example.", true);
  house_config(&h, "{name: b.example, role: primary, file: b.zone}");
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  house_run_ms(&h, 10);
  assert_rcode(0, RCODE_NOTAUTH);
  assert_rcode(1, RCODE_REFUSED);
  house_done(&h);
}

static void test_settling_answers_all_at_once(void **state) {
  struct house h;
  begin(&h);
  give(&h, 0, "a.example.", "x.a.example.", true);
  control_updates_settle(h.control, fake_net_now(h.net));
  assert_rcode(0, RCODE_NOERROR);
  control_freeze(h.control, fake_net_now(h.net));
  give(&h, 1, "a.example.", "y.a.example.", true);
  assert_rcode(1, RCODE_SERVFAIL);
  assert_int_equal(sent[1].ede, EDE_NOT_READY);
  house_done(&h);
}

/* ---- runs ---- */

/* A version is of one author; what is for other zones in between does not count. */
static void test_a_changeset_has_one_author(void **state) {
  struct house h;
  begin(&h);
  give_from(&h, "192.0.2.50@1", 0, "a.example.", "x.a.example.", true);
  give(&h, 1, "b.example.", "granted.b.example.", true);
  give_from(&h, "192.0.2.50@2", 2, "a.example.", "y.a.example.", true);
  give_from(&h, "192.0.2.51@1", 3, "a.example.", "x.a.example.", true);
  give_from(&h, "192.0.2.51@1", 4, "a.example.", "z.a.example.", true);
  give_from(&h, "192.0.2.50@1", 5, "a.example.", "u.a.example.", true);
  house_run_ms(&h, 10);
  for (size_t i = 0; i < 6; i++)
    assert_rcode(i, i == 3 ? RCODE_YXDOMAIN : RCODE_NOERROR);
  assert_int_equal(house_serial(&h, "a.example."), 4);
  assert_int_equal(house_slot(&h, "a.example.")->version, 4);
  assert_int_equal(sent[0].update.serial, 2);
  assert_int_equal(sent[2].update.serial, 2);
  assert_int_equal(sent[4].update.serial, 3);
  assert_int_equal(sent[5].update.serial, 4);
  assert_int_equal(h.control->figures.updates_done, 5);
  house_done(&h);
}

static uint32_t dice_state = 2136;

static unsigned dice(unsigned n) {
  dice_state = dice_state * 1103515245 + 12345;
  return (dice_state >> 16) % n;
}

static const char ALIAS[] = "\1x\1a\7example";

static void put_random(struct wr *w, const char *zone, bool prerequisite, uint32_t serial) {
  static const char *const labels[] = {"x.", "x.", "y.", "*.w.", "n.w.", "sub.", "a.sub.", "ns1.", ""};
  static const char ds[36] = {0, 1, 8, 2}, ipv6[16] = {0x20, 1};
  static const struct {
    uint16_t type, size;
    const char *rdata;
  } data[] = {{RR_A, 4, "\xc0\0\2\1"}, {RR_A, 4, "\xc0\0\2\2"},         {RR_AAAA, sizeof ipv6, ipv6}, {RR_TXT, 2, "\1a"},
              {RR_TXT, 2, "\1b"},      {RR_CNAME, sizeof ALIAS, ALIAS}, {RR_NS, sizeof ALIAS, ALIAS}, {RR_DS, sizeof ds, ds}};
  char owner[60], soa[22] = {0};
  snprintf(owner, sizeof owner, "%s%s", labels[dice(sizeof labels / sizeof labels[0])], zone);
  size_t what = dice(sizeof data / sizeof data[0]);
  unsigned move = dice(8);
  if (!prerequisite && dice(80) == 0) { /* higher than all that others make of it */
    put_u32((uint8_t *)soa + 2, serial + 100000);
    put_record(w, zone, CLASS_IN, 60, RR_SOA, soa, sizeof soa);
  } else if (move == 0) {
    put_record(w, owner, CLASS_ANY, 0, RR_ANY, "", 0);
  } else if (move == 1) {
    put_record(w, owner, CLASS_ANY, 0, data[what].type, "", 0);
  } else if (prerequisite) {
    put_record(w, owner, CLASS_NONE, 0, move == 2 ? RR_ANY : data[what].type, "", 0);
  } else if (move == 2) {
    put_record(w, owner, CLASS_NONE, 0, data[what].type, data[what].rdata, data[what].size);
  } else {
    put_record(w, owner, CLASS_IN, dice(6) ? 60 : 300, data[what].type, data[what].rdata, data[what].size);
  }
}

static void write_random(struct sent *s, const char *zone, uint32_t serial) {
  struct wr w = wr_make(s->bytes, sizeof s->bytes);
  unsigned prereqs = dice(3) ? 0 : 1, changes = dice(4);
  write_header(&w, (uint16_t)(s - sent), zone, prereqs, changes);
  for (unsigned i = 0; i < prereqs; i++)
    put_random(&w, zone, true, serial);
  for (unsigned i = 0; i < changes; i++)
    put_random(&w, zone, false, serial);
  put_record(&w, ".", 1232, 0, RR_OPT, "", 0);
  s->size = wr_used(&w);
}

struct by_itself { /* a zone as it is if each UPDATE comes by itself */
  const char *name;
  struct zone_snap *snap;
  unsigned changes;
};

static unsigned judge_by_itself(struct house *h, struct by_itself *z, const struct sent *s, bool *changes) {
  struct update_client client = {{&s->update.job.client.from, {NULL, 0}, false}, true};
  const struct grants *grants = &house_slot(h, z->name)->plan->policy.update;
  struct update_verdict v;
  assert_int_equal(update_judge(s->bytes, s->size, z->snap, grants, &client, zone_serial(z->snap) + 1, &v), ERR_OK);
  *changes = v.snap != NULL;
  if (v.snap) {
    zone_snap_unref(z->snap);
    z->snap = v.snap;
    z->changes++;
  }
  return v.rcode;
}

static void assert_same_but_serial(struct house *h, struct by_itself *z) {
  const struct zone_snap *got = house_slot(h, z->name)->snap;
  struct digest128 kept, whole;
  struct zone_snap *renumbered;
  assert_int_equal(serial_set(got, zone_serial(z->snap), &renumbered), ERR_OK);
  assert_true(zone_equal(renumbered, z->snap));
  zone_snap_unref(renumbered);
  assert_true(zone_content(got, &kept));
  assert_int_equal(zone_content_whole(got, &whole), ERR_OK);
  assert_true(zone_content_equal(kept, whole));
}

static void be_as_served(struct house *h, struct by_itself *z) {
  zone_snap_unref(z->snap);
  z->snap = zone_snap_ref(house_slot(h, z->name)->snap);
}

static void random_batch(struct house *h, struct by_itself zones[2], bool fails) {
  enum { MOST = 40 };
  unsigned count = 1 + dice(MOST), wanted[MOST];
  bool changes[MOST];
  const struct zone_snap *before[2] = {zones[0].snap, zones[1].snap};
  struct zone_snap *held[2] = {zone_snap_ref(before[0]), zone_snap_ref(before[1])};
  for (unsigned i = 0; i < count; i++) {
    struct by_itself *z = &zones[dice(2)];
    write_random(&sent[i], z->name, zone_serial(before[z - zones]));
    hand_over(h, &sent[i], dice(8) ? "192.0.2.50@53" : "192.0.2.51@53");
    wanted[i] = judge_by_itself(h, z, &sent[i], &changes[i]);
  }
  if (fails) faults = (struct faults){.at = 1, .mode = FAULT_FROM_THEN_ON, .error = ENOSPC};
  house_run_ms(h, 10);
  memset(&faults, 0, sizeof faults);
  for (unsigned i = 0; i < count; i++) {
    if (!fails) assert_rcode(i, wanted[i]);
    else if (changes[i] && sent[i].rcode == RCODE_NOERROR) assert_false(sent[i].update.changed);
    else if (sent[i].rcode != RCODE_SERVFAIL) assert_rcode(i, wanted[i]);
  }
  for (unsigned i = 0; i < 2; i++) {
    if (fails) assert_ptr_equal(house_slot(h, zones[i].name)->snap, before[i]);
    else assert_same_but_serial(h, &zones[i]);
    be_as_served(h, &zones[i]);
    zone_snap_unref(held[i]);
  }
}

/* Of some authors for some zones, with prerequisites, refused ones, some of them half-way: RCODEs and zones are as if each had come
 * by itself, and after a restart; or the store fails, and nothing has happened. */
static void test_a_batch_is_as_each_by_itself(void **state) {
  struct house h;
  struct by_itself zones[2] = {{.name = "a.example."}, {.name = "c.example."}};
  house_init(&h);
  house_zone(&h, "a.zone", 1, "");
  house_zone(&h, "c.zone", 1, "x 60 IN AAAA ::1\n");
  house_config(&h, ZONE_A ", {name: c.example, file: c.zone, update: [{from: 192.0.2.0/24, types: [A, TXT, CNAME]}]}");
  h.on_updated = on_updated;
  house_start(&h);
  for (unsigned i = 0; i < 2; i++)
    zones[i].snap = zone_snap_ref(house_slot(&h, zones[i].name)->snap);
  for (unsigned round = 0; round < 150; round++) {
    bool fails = round % 30 == 29;
    random_batch(&h, zones, fails);
    if (!fails && round % 10) continue;
    house_restart(&h);
    for (unsigned i = 0; i < 2; i++) {
      if (!fails) assert_same_but_serial(&h, &zones[i]);
      be_as_served(&h, &zones[i]);
    }
  }
  unsigned changes = 0;
  uint64_t versions = 0;
  for (unsigned i = 0; i < 2; i++) {
    versions += house_slot(&h, zones[i].name)->version;
    changes += zones[i].changes;
    zone_snap_unref(zones[i].snap);
  }
  assert_in_range(versions, 100, changes - changes / 4);
  house_done(&h);
}

static int setup(void **state) {
  zone_reader_register();
  return 0;
}

static int teardown(void **state) {
  zone_grace_barrier();
  zone_reader_unregister();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_update_costs_as_many_syncs_as_a_hundred),
      cmocka_unit_test(test_what_comes_before_the_sync_shares_it),
      cmocka_unit_test(test_each_is_judged_on_the_ones_before),
      cmocka_unit_test(test_what_the_store_does_not_take_has_not_happened),
      cmocka_unit_test(test_a_store_that_knows_not_what_it_has),
      cmocka_unit_test(test_one_that_waited_too_long_is_not_made),
      cmocka_unit_test(test_serials_by_date_go_on),
      cmocka_unit_test(test_a_reload_may_come_in_between),
      cmocka_unit_test(test_a_changeset_has_one_author),
      cmocka_unit_test(test_a_batch_is_as_each_by_itself),
      cmocka_unit_test(test_settling_answers_all_at_once),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
