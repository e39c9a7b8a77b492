/* History: any version that is kept is rebuilt exactly, wherever images, full changes and cuts are; what the commands say of it;
 * and a rollback as a change like any other. */
#include "control/history.h"

#include "base/serial.h"
#include "control/zone_export.h"
#include "house.h"
#include "zone/content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A "a.example."
#define PRIMARY_A "{name: a.example, role: primary, file: a.zone, update: [any]}"

enum { COMMITS = 5000, A_BATCH = 50, POINTS = 200, START_S = 1795382400 };

static uint64_t dice_state = 1;

static unsigned dice(unsigned below) {
  dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)((dice_state >> 33) % below);
}

/* ---- a zone with a long life ---- */

struct life {
  struct house h;
  struct zone_slot *z;
  struct digest128 texts[COMMITS + 2]; /* of the zone as a file, by version */
  uint32_t serials[COMMITS + 2];
};

static struct digest128 text_of(const struct zone_snap *snap) {
  struct buf text = {0};
  assert_int_equal(zone_export_buf(snap, &text), ERR_OK);
  struct digest128 d = hash128(text.data, text.size);
  buf_done(&text);
  return d;
}

static struct name host(const struct zone_snap *base) {
  char text[16];
  struct name n;
  snprintf(text, sizeof text, "h%u", dice(16));
  assert_int_equal(name_from_text(text, strlen(text), zone_apex(base), &n, NULL, NULL), ERR_OK);
  return n;
}

/* A few records come and go, and TTLs change. */
static const struct zone_snap *mutate(const struct zone_snap *base) {
  struct zone_edit *e;
  struct zone_snap *out;
  enum zone_add outcome;
  assert_int_equal(zone_edit_begin(base, NULL, &e), ERR_OK);
  for (unsigned i = 1 + dice(6); i > 0; i--) {
    struct name n = host(base);
    uint8_t rdata[4] = {192, 0, 2, (uint8_t)dice(6)};
    enum err err = ERR_OK;
    if (dice(3) == 0) err = zone_edit_remove(e, &n, RR_A, rdata, 4);
    else if (dice(5) == 0) err = zone_edit_set_ttl(e, &n, RR_A, 60 * (1 + dice(4)));
    else err = zone_edit_add(e, &n, RR_A, 300, rdata, 4, &outcome);
    assert_true(!err || err == ERR_NOT_FOUND);
  }
  assert_int_equal(zone_edit_finish(e, &out), ERR_OK);
  return out;
}

/* Changes with one sync, of which the first one may be a full one. */
static void live_on(struct life *l, unsigned changes, bool full) {
  struct pipeline *p;
  struct store_error why;
  struct buf note = {0};
  size_t changed;
  if (full) l->z->image.segment = 0; /* as if it were no delta's base */
  assert_int_equal(pipeline_begin(l->h.control, &p), ERR_OK);
  for (unsigned i = 0; i < changes; i++) {
    uint64_t version = l->z->version + 1 + i;
    struct change_info info = {.door = DOOR_UPDATE, .author = "acme.", .fresh_serial = true};
    const struct zone_snap *head = pipeline_head(p, l->z);
    uint32_t before = zone_serial(head);
    struct instant at = {.wall_s = START_S + 60 * (int64_t)version};
    do { /* now and then nothing comes of it */
      assert_int_equal(pipeline_add(p, l->z, mutate(head), &info, at, &note), ERR_OK);
    } while (zone_serial(pipeline_head(p, l->z)) == before);
    head = pipeline_head(p, l->z);
    l->texts[version] = text_of(head);
    l->serials[version] = zone_serial(head);
  }
  assert_int_equal(pipeline_commit(p, (struct instant){.wall_s = START_S}, &changed, &why), ERR_OK);
  buf_done(&note);
}

static void life_begin(struct life *l) {
  dice_state = 1;
  house_init(&l->h);
  house_zone(&l->h, "a.zone", 1, "");
  house_config(&l->h, PRIMARY_A);
  house_start(&l->h);
  l->z = house_slot(&l->h, A);
  l->texts[1] = text_of(l->z->snap);
  l->serials[1] = 1;
}

/* ---- rebuilding ---- */

static enum err rebuild(struct life *l, uint64_t version, bool from_present, struct digest128 *text) {
  struct history h = {.store = l->h.control->store, .zone = l->z->store_id, .next = l->z->head};
  struct history_point p = {.kind = HISTORY_VERSION, .version = version};
  struct store_error why = {""};
  enum err err = ERR_OK;
  do
    err = history_read(&h, &why);
  while (!err && h.next && history_find(&h, &p) == h.count);
  size_t at = history_find(&h, &p);
  bool done = false;
  struct rebuild r = {&h, at, from_present ? l->z->snap : NULL, l->z->version, NULL, 0};
  if (!err && at == h.count) err = ERR_NOT_FOUND;
  while (!err && !done)
    err = rebuild_step(&r, &done, &why);
  if (!err) *text = text_of(r.snap);
  rebuild_done(&r);
  history_done(&h);
  return err;
}

static void test_any_version_is_rebuilt_exactly(void **state) {
  static struct life l;
  struct digest128 text;
  unsigned cut = 0;
  life_begin(&l);
  while (l.z->version < COMMITS) {
    if (dice(20) == 0) l.z->tail_bytes += 1 << 20; /* time for an image */
    live_on(&l, l.z->version + A_BATCH <= COMMITS ? A_BATCH : (unsigned)(COMMITS - l.z->version), dice(30) == 0);
    if (dice(50) == 0) house_restart(&l.h);
    l.z = house_slot(&l.h, A);
  }
  for (int part = 0; part < 2; part++) {
    for (unsigned i = 0; i < POINTS / 2; i++) {
      uint64_t version = 1 + dice(COMMITS);
      enum err err = rebuild(&l, version, dice(2), &text);
      cut += err == ERR_NOT_FOUND;
      if (part == 0 || err != ERR_NOT_FOUND) assert_int_equal(err, ERR_OK);
      if (!err) assert_true(zone_content_equal(text, l.texts[version]));
    }
    struct store_retention keep = {0, 150000, 16};
    struct store_error why;
    bool more = part == 0;
    for (int pass = 0; pass < 3 && part == 0; pass++)
      for (more = true; more;)
        assert_int_equal(store_retain(l.h.control->store, &keep, START_S, &more, &why), ERR_OK);
  }
  assert_in_range(cut, 1, POINTS / 2 - 1); /* some of each */
  assert_int_equal(rebuild(&l, COMMITS, false, &text), ERR_OK);
  assert_true(zone_content_equal(text, l.texts[COMMITS]));
  house_done(&l.h);
}

/* ---- commands ---- */

static const char *ask(struct life *l, const char *json) {
  struct house_reply *r = house_reply_of(&l->h, house_ask(&l->h, json));
  for (int i = 0; i < 10000 && !strstr(r->text, "\"ok\":"); i++)
    house_run_ms(&l->h, 1);
  return buf_text(&l->h.said);
}

#define ASK(l, members) ask((l), "{\"zone\":\"a.example\",\"command\":" members "}")

static void assert_says(const char *reply, const char *what) {
  assert_non_null(reply);
  if (!strstr(reply, what)) fail_msg("no %s in %s", what, reply);
}

static void test_what_the_commands_say(void **state) {
  static struct life l;
  life_begin(&l);
  live_on(&l, 8, false);
  assert_says(ASK(&l, "\"history\""), "v9\\t");
  assert_says(buf_text(&l.h.said), "update by acme.");
  assert_says(buf_text(&l.h.said), "file by ");
  assert_says(buf_text(&l.h.said), "-0 +3");
  assert_says(ASK(&l, "\"history\",\"limit\":\"2\""), "there is more");
  assert_null(strstr(buf_text(&l.h.said), "v7\\t"));
  assert_says(ASK(&l, "\"history\",\"json\":true"), "\"serial-from\":8");
  assert_says(ASK(&l, "\"history\",\"limit\":\"x\""), "\"ok\":false");
  assert_says(ASK(&l, "\"diff\""), "--- v8, serial 8");
  assert_says(buf_text(&l.h.said), "+a.example. 60 IN SOA ns1.a.example. h.a.example. 9 ");
  assert_says(buf_text(&l.h.said), "-a.example. 60 IN SOA ns1.a.example. h.a.example. 8 ");
  assert_null(strstr(buf_text(&l.h.said), "NS ns1"));
  assert_says(ASK(&l, "\"diff\",\"from\":\"v9\",\"to\":\"2\""), "+++ v2, serial 2");
  assert_says(ASK(&l, "\"diff\",\"from\":\"v1\",\"to\":\"v1\",\"json\":true"), "\"ok\":true");
  assert_says(buf_text(&l.h.said), "\"removed\":[]");
  assert_says(ASK(&l, "\"diff\",\"from\":\"seven\""), "give a version such as v7");
  assert_says(ASK(&l, "\"export\",\"at\":\"v3\""), "h.a.example. 3 ");
  assert_says(ASK(&l, "\"export\",\"at\":\"v30\""), "version v30 is not in the history that is kept: v1 ");
  assert_says(ASK(&l, "\"export\",\"at\":\"30\""), "a version is written v7");
  assert_says(ASK(&l, "\"export\",\"at\":\"1999-01-01\""), "\"ok\":false");
  char json[128], at[TIME_TEXT_BYTES];
  snprintf(json, sizeof json, "{\"command\":\"export\",\"zone\":\"a.example\",\"at\":\"%s\"}",
           time_text(START_S + 60 * 5 + 30, at));
  assert_says(ask(&l, json), "h.a.example. 5 "); /* what was served then */
  assert_says(ask(&l, "{\"command\":\"export\",\"zone\":\"b.example\"}"), "and none is kept");
  house_done(&l.h);
}

static void test_a_rollback_is_a_change(void **state) {
  static struct life l;
  life_begin(&l);
  live_on(&l, 8, false);
  live_on(&l, 1, true); /* v10 */
  live_on(&l, 3, false);
  struct digest128 served = text_of(l.z->snap);
  assert_says(ASK(&l, "\"rollback\",\"version\":\"v4\",\"dry-run\":true"), "\"ok\":true");
  assert_says(buf_text(&l.h.said), "+a.example. 60 IN SOA ns1.a.example. h.a.example. 14 ");
  assert_true(zone_content_equal(text_of(l.z->snap), served));
  assert_int_equal(l.z->version, 13);
  assert_says(ASK(&l, "\"rollback\",\"version\":\"v4\",\"comment\":\"oops\""), "v4 is back as v14, serial 14");
  assert_int_equal(house_serial(&l.h, A), 14);
  assert_says(ASK(&l, "\"diff\",\"from\":\"v4\""), "+++ v14, serial 14");
  unsigned lines = 0;
  for (const char *at = buf_text(&l.h.said); (at = strstr(at, "\\n")); at += 2)
    lines++;
  assert_int_equal(lines, 4); /* the two heads, and the SOA that went and came */
  assert_says(ASK(&l, "\"history\",\"limit\":\"1\""), "command by tester");
  assert_says(buf_text(&l.h.said), "oops");
  assert_says(ASK(&l, "\"rollback\",\"version\":\"v4\""), "nothing changed");
  live_on(&l, 2, false); /* what follows is built on it */
  struct digest128 text;
  for (uint64_t v = 1; v <= 16; v++) {
    assert_int_equal(rebuild(&l, v, true, &text), ERR_OK);
    if (v != 14) assert_true(zone_content_equal(text, l.texts[v]));
  }
  house_restart(&l.h);
  assert_int_equal(house_serial(&l.h, A), 16);
  house_done(&l.h);
}

static void test_who_may_not_roll_back(void **state) {
  static struct life l;
  house_init(&l.h);
  house_zone(&l.h, "a.zone", 1, "");
  house_config(&l.h, "{name: a.example, role: primary, file: a.zone}, {name: b.example, role: secondary, primaries: [p1]}");
  house_start(&l.h);
  const char *said = ASK(&l, "\"rollback\",\"version\":\"v1\"");
  assert_says(said, "only its file changes the zone");
  assert_says(said, "a.zone");
  said = ask(&l, "{\"command\":\"rollback\",\"zone\":\"b.example\",\"version\":\"v1\"}");
  assert_says(said, "the zone is a secondary");
  house_done(&l.h);
}

static void test_deleted_zones_are_kept(void **state) {
  static struct life l;
  life_begin(&l);
  live_on(&l, 4, false);
  house_zone(&l.h, "b.zone", 1, "");
  house_config(&l.h, "{name: b.example, role: primary, file: b.zone}");
  assert_true(house_done_at_once(&l.h, "reload", NULL, NULL));
  assert_null(house_slot(&l.h, A));
  assert_says(ASK(&l, "\"history\""), "v5\\t");
  assert_says(ASK(&l, "\"export\""), "h.a.example. 5 ");
  assert_says(ASK(&l, "\"export\",\"at\":\"v3\""), "h.a.example. 3 ");
  assert_says(ASK(&l, "\"rollback\",\"version\":\"v3\""), "no zone a.example");
  assert_says(ask(&l, "{\"command\":\"zone-list\",\"deleted\":true}"), "a.example\\tdeleted ");
  house_restart(&l.h);
  assert_says(ASK(&l, "\"export\",\"at\":\"v3\""), "h.a.example. 3 ");
  house_config(&l.h, PRIMARY_A);
  assert_true(house_done_at_once(&l.h, "reload", NULL, NULL));
  assert_says(ASK(&l, "\"export\",\"at\":\"v3\""), "h.a.example. 3 ");
  assert_null(strstr(ask(&l, "{\"command\":\"zone-list\",\"deleted\":true}"), "a.example"));
  house_done(&l.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_any_version_is_rebuilt_exactly), cmocka_unit_test(test_what_the_commands_say),
      cmocka_unit_test(test_a_rollback_is_a_change),         cmocka_unit_test(test_who_may_not_roll_back),
      cmocka_unit_test(test_deleted_zones_are_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
