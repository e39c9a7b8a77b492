/* Content that is read by another thread: what happens between its beginning and its end. */
#include "house.h"

#include "control/whole.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define B "b.example."
#define EDITABLE_B "{name: b.example, role: primary, file: b.zone, editable: true}"
#define MANAGED_B "{name: b.example, role: primary, managed: true}"
#define FILE_B "{name: b.example, role: primary, file: b.zone}"
#define C "c.example."
#define FILE_C "{name: c.example, role: primary, file: c.zone}"

static void begin(struct house *h, const char *zones) {
  house_init(h);
  house_zone(h, "b.zone", 1, "");
  house_zone(h, "c.zone", 1, "");
  house_config(h, zones);
  h->aside = true;
  house_start(h);
  house_keep_files(h);
}

/* From now on nothing is small. */
static void all_is_large(struct house *h) {
  h->control->images.whole_bytes = 0;
}

static void all_is_small(struct house *h) {
  h->control->images.whole_bytes = SIZE_MAX;
}

static uint64_t import(struct house *h, uint32_t serial, const char *name, const char *more) {
  struct buf json = {0};
  buf_printf(&json,
             "{\"command\":\"import\",\"zone\":\"b.example\",\"file\":\"new\",\"text\":\"@ 60 IN SOA ns1 h %u 3600 600 86400 300\\n"
             "@ 60 IN NS ns1\\nns1 60 IN A 192.0.2.53\\n%s 60 IN A 192.0.2.1\\n\"%s}",
             serial, name, more);
  uint64_t token = house_ask(h, buf_text(&json));
  buf_done(&json);
  return token;
}

static void import_begins(struct house *h, uint64_t *token) {
  all_is_large(h);
  *token = import(h, 10, "one", "");
  house_run_ms(h, 1);
  assert_non_null(h->image);
  assert_int_equal(house_reply_of(h, *token)->count, 0);
}

static void work(struct house *h) {
  assert_true(house_image(h));
  house_image_done(h);
  house_run_ms(h, 1);
}

static void finish_all(struct house *h) {
  while (h->image)
    work(h);
}

static bool has_name(struct house *h, const char *name) {
  struct buf text = {0};
  house_export(h, B, &text);
  bool has = strstr(buf_text(&text), name) != NULL;
  buf_done(&text);
  return has;
}

static bool said(struct house *h, uint64_t token, const char *text) {
  return strstr(house_reply_of(h, token)->text, text) != NULL;
}

/* Others change meanwhile, and it is served when it is durable. */
static void test_import(void **state) {
  struct house h;
  uint64_t token;
  begin(&h, EDITABLE_B ", " FILE_C);
  import_begins(&h, &token);
  all_is_small(&h);
  house_zone(&h, "c.zone", 2, "");
  assert_true(house_done_at_once(&h, "reload", C, NULL));
  assert_true(house_image(&h));
  house_zone(&h, "c.zone", 3, "");
  assert_true(house_done_at_once(&h, "reload", C, NULL));
  assert_int_equal(house_serial(&h, B), 1);
  house_image_done(&h);
  assert_true(said(&h, token, "serial 10 is served"));
  assert_int_equal(house_serial(&h, B), 10);
  assert_int_equal(house_serial(&h, C), 3);
  finish_all(&h);
  house_restart(&h);
  assert_int_equal(house_serial(&h, B), 10);
  assert_true(has_name(&h, "one.b.example."));
  house_done(&h);
}

/* Larger than a delta: by way of an image that was written aside. */
static void test_import_of_all(void **state) {
  struct house h;
  uint64_t token;
  begin(&h, MANAGED_B);
  import_begins(&h, &token);
  assert_true(house_image(&h));
  uint64_t segment = h.image->ready.image ? 1 : 0;
  assert_int_equal(segment, 1);
  house_image_done(&h);
  assert_true(said(&h, token, "serial 10 is served"));
  assert_true(house_slot(&h, B)->durable);
  finish_all(&h);
  house_restart(&h);
  assert_int_equal(house_serial(&h, B), 10);
  house_done(&h);
}

static void test_mistakes(void **state) {
  struct house h;
  begin(&h, EDITABLE_B);
  all_is_large(&h);
  uint64_t token = import(&h, 10, "bad..name", "");
  house_run_ms(&h, 1);
  work(&h);
  assert_true(said(&h, token, "new:4:"));
  assert_true(said(&h, token, "the content has mistakes"));
  assert_int_equal(house_serial(&h, B), 1);
  house_done(&h);
}

/* What came in between is there before it, and not lost: all is done again on top of it. */
static void test_the_zone_moves(void **state) {
  struct house h;
  uint64_t token;
  begin(&h, EDITABLE_B);
  import_begins(&h, &token);
  assert_true(house_image(&h));
  all_is_small(&h);
  house_zone(&h, "b.zone", 20, "two 60 IN A 192.0.2.2\n");
  assert_true(house_done_at_once(&h, "reload", B, NULL));
  house_image_done(&h);
  assert_int_equal(house_reply_of(&h, token)->count, 0);
  assert_int_equal(house_serial(&h, B), 20);
  house_run_ms(&h, 1);
  work(&h);
  assert_true(said(&h, token, "serial 21 is served"));
  assert_true(has_name(&h, "one.b.example.") && !has_name(&h, "two.b.example."));
  assert_int_equal(house_slot(&h, B)->version, 3);
  house_done(&h);
}

static void test_the_zone_moves_on_and_on(void **state) {
  struct house h;
  uint64_t token;
  begin(&h, EDITABLE_B);
  import_begins(&h, &token);
  for (uint32_t i = 0; i < WHOLE_TRIES; i++) {
    assert_int_equal(house_reply_of(&h, token)->count, 0);
    assert_true(house_image(&h));
    all_is_small(&h);
    house_zone(&h, "b.zone", 20 + i, "");
    assert_true(house_done_at_once(&h, "reload", B, NULL));
    house_image_done(&h);
    house_run_ms(&h, 1);
  }
  assert_true(said(&h, token, "changed again and again") && said(&h, token, "hold back"));
  assert_true(!h.image || !h.image->whole);
  assert_int_equal(house_serial(&h, B), 20 + WHOLE_TRIES - 1);
  house_done(&h);
}

/* One that was made for another version is refused, as ever. */
static void test_a_version_is_named(void **state) {
  struct house h;
  begin(&h, EDITABLE_B);
  all_is_large(&h);
  uint64_t token = import(&h, 10, "one", ",\"base\":1");
  house_run_ms(&h, 1);
  assert_true(house_image(&h));
  all_is_small(&h);
  house_zone(&h, "b.zone", 20, "");
  assert_true(house_done_at_once(&h, "reload", B, NULL));
  house_image_done(&h);
  house_run_ms(&h, 1);
  assert_true(said(&h, token, "the zone has changed meanwhile, and nothing was done"));
  assert_int_equal(house_serial(&h, B), 20);
  house_done(&h);
}

/* Before the work and behind it: the old version is there, whole. */
static void test_the_end_comes_before(void **state) {
  for (int worked = 0; worked < 2; worked++) {
    for (int frozen = 0; frozen < 2; frozen++) {
      struct house h;
      uint64_t token;
      begin(&h, EDITABLE_B);
      import_begins(&h, &token);
      if (worked) assert_true(house_image(&h));
      if (frozen) control_freeze(h.control, fake_net_now(h.net));
      else house_restart(&h);
      assert_true(said(&h, token, "nothing was done"));
      assert_int_equal(house_serial(&h, B), 1);
      if (frozen) house_restart(&h);
      assert_int_equal(house_serial(&h, B), 1);
      house_done(&h);
    }
  }
}

static void test_the_zone_goes(void **state) {
  for (int worked = 0; worked < 2; worked++) {
    struct house h;
    uint64_t token;
    begin(&h, EDITABLE_B);
    import_begins(&h, &token);
    if (worked) assert_true(house_image(&h));
    all_is_small(&h);
    house_config(&h, FILE_C);
    assert_true(house_done_at_once(&h, "reload", NULL, NULL));
    if (!worked) assert_true(house_image(&h));
    house_image_done(&h);
    assert_true(said(&h, token, "was removed"));
    assert_null(house_slot(&h, B));
    house_done(&h);
  }
}

/* Nothing of it is served, nor there after a restart; later it goes well. */
static void test_the_disk_is_full(void **state) {
  struct house h;
  uint64_t token;
  begin(&h, MANAGED_B);
  import_begins(&h, &token);
  faults = (struct faults){.at = 1, .mode = FAULT_FROM_THEN_ON, .error = ENOSPC};
  assert_true(house_image(&h));
  house_image_done(&h);
  faults = (struct faults){0};
  assert_true(said(&h, token, "nothing was changed") || said(&h, token, "served"));
  house_run_ms(&h, 5000);
  finish_all(&h);
  token = import(&h, 11, "again", "");
  house_run_ms(&h, 1);
  finish_all(&h);
  assert_true(said(&h, token, "serial 11 is served"));
  house_restart(&h);
  assert_int_equal(house_serial(&h, B), 11);
  house_done(&h);
}

static void test_the_disk_is_full_and_there_was_content(void **state) {
  struct house h;
  uint64_t token;
  begin(&h, MANAGED_B);
  import_begins(&h, &token);
  finish_all(&h);
  house_slot(&h, B)->image.segment = 0; /* so that only an image will do */
  token = import(&h, 12, "two", "");
  house_run_ms(&h, 1);
  faults = (struct faults){.at = 1, .mode = FAULT_FROM_THEN_ON, .error = ENOSPC};
  assert_true(house_image(&h));
  faults = (struct faults){0};
  house_image_done(&h);
  assert_true(said(&h, token, "no space left") && said(&h, token, "nothing was changed"));
  assert_int_equal(house_serial(&h, B), 10);
  house_restart(&h);
  assert_int_equal(house_serial(&h, B), 10);
  house_done(&h);
}

/* What was shown is done without being read again, unless the zone moved. */
static void test_edit(void **state) {
  for (int moves = 0; moves < 2; moves++) {
    struct house h;
    begin(&h, EDITABLE_B);
    all_is_large(&h);
    uint64_t token = import(&h, 10, "one", ",\"dry-run\":true");
    house_run_ms(&h, 1);
    work(&h);
    assert_true(said(&h, token, "1 record would") || said(&h, token, "2 come, serial 10"));
    const struct whole *shown = h.control->images.kept;
    assert_non_null(shown);
    all_is_small(&h);
    house_zone(&h, "b.zone", 20, "");
    if (moves) assert_true(house_done_at_once(&h, "reload", B, NULL));
    all_is_large(&h);
    token = import(&h, 10, "one", "");
    house_run_ms(&h, 1);
    assert_null(h.control->images.kept);
    assert_non_null(h.image);
    assert_int_equal(h.image->whole == shown && shown->next, !moves);
    work(&h);
    assert_true(said(&h, token, moves ? "serial 21 is served" : "serial 10 is served"));
    assert_true(has_name(&h, "one.b.example."));
    house_done(&h);
  }
}

static void test_what_was_shown_is_forgotten(void **state) {
  struct house h;
  begin(&h, EDITABLE_B);
  all_is_large(&h);
  import(&h, 10, "one", ",\"dry-run\":true");
  house_run_ms(&h, 1);
  work(&h);
  assert_non_null(h.control->images.kept);
  house_run_ms(&h, 601 * 1000);
  assert_null(h.control->images.kept);
  house_done(&h);
}

/* ---- files ---- */

static void test_a_file(void **state) {
  struct house h;
  begin(&h, FILE_B ", " FILE_C);
  all_is_large(&h);
  house_zone(&h, "b.zone", 2, "one 60 IN A 192.0.2.1\n");
  house_zone(&h, "c.zone", 2, "");
  uint64_t token = house_command(&h, "reload", NULL);
  house_run_ms(&h, 1);
  assert_int_equal(house_reply_of(&h, token)->count, 0);
  work(&h);
  assert_int_equal(house_reply_of(&h, token)->count, 0);
  work(&h);
  assert_true(said(&h, token, "reloaded: 2 zones changed"));
  assert_int_equal(house_serial(&h, B), 2);
  assert_int_equal(house_serial(&h, C), 2);
  token = house_command(&h, "reload", B);
  house_run_ms(&h, 1);
  finish_all(&h);
  assert_true(said(&h, token, "nothing changed"));
  house_zone(&h, "b.zone", 3, "one 60 IN\n");
  token = house_command(&h, "reload", B);
  house_run_ms(&h, 1);
  work(&h);
  assert_true(said(&h, token, "b.zone:4:") && said(&h, token, "serves on"));
  assert_non_null(house_slot(&h, B)->file_trouble);
  house_restart(&h);
  assert_int_equal(house_serial(&h, B), 2);
  house_done(&h);
}

static void test_a_new_file(void **state) {
  struct house h;
  begin(&h, FILE_C);
  all_is_large(&h);
  house_config(&h, FILE_B ", " FILE_C);
  uint64_t token = house_command(&h, "reload", NULL);
  house_run_ms(&h, 1);
  assert_int_equal(house_serial(&h, B), NOT_SERVED);
  struct buf text = {0};
  assert_true(whole_progress(h.control, house_slot(&h, B)->id, &text));
  buf_done(&text);
  finish_all(&h);
  assert_true(said(&h, token, "1 added"));
  assert_int_equal(house_serial(&h, B), 1);
  house_done(&h);
}

/* Changed on both sides: merged on what the zone is in the end; and the seed is written aside as well. */
static void test_a_file_is_merged(void **state) {
  for (int moves = 0; moves < 2; moves++) {
    struct house h;
    begin(&h, EDITABLE_B);
    all_is_small(&h);
    assert_true(said(&h, import(&h, 10, "one", ""), "serial 10"));
    house_zone(&h, "b.zone", 1, "two 60 IN A 192.0.2.2\n");
    all_is_large(&h);
    uint64_t token = house_command(&h, "reload", B);
    house_run_ms(&h, 1);
    assert_true(house_image(&h));
    all_is_small(&h);
    uint64_t other = moves ? import(&h, 20, "three", "") : 0;
    if (moves) assert_true(said(&h, other, "serial 20"));
    house_image_done(&h);
    house_run_ms(&h, 1);
    finish_all(&h);
    assert_true(said(&h, token, moves ? "serial 21 is served" : "serial 11 is served"));
    assert_true(has_name(&h, "two.b.example.") && has_name(&h, moves ? "three.b.example." : "one.b.example."));
    assert_true(house_slot(&h, B)->departed);
    house_restart(&h);
    assert_true(has_name(&h, "two.b.example."));
    house_zone(&h, "b.zone", 1, "two 60 IN A 192.0.2.3\n");
    assert_true(house_done_at_once(&h, "reload", B, NULL));
    assert_true(has_name(&h, "192.0.2.3"));
    house_done(&h);
  }
}

/* It goes on without the client, unless it was only to be shown. */
static void test_the_client_goes(void **state) {
  for (int shown = 0; shown < 2; shown++) {
    struct house h;
    begin(&h, EDITABLE_B);
    all_is_large(&h);
    uint64_t token = import(&h, 10, "one", shown ? ",\"dry-run\":true" : "");
    house_run_ms(&h, 1);
    control_command_gone(h.control, token);
    finish_all(&h);
    assert_int_equal(house_serial(&h, B), shown ? 1 : 10);
    assert_null(h.control->images.kept);
    house_done(&h);
  }
}

static void test_clients_are_told(void **state) {
  struct house h;
  uint64_t token;
  begin(&h, EDITABLE_B);
  import_begins(&h, &token);
  house_run_ms(&h, 2500);
  assert_int_equal(house_reply_of(&h, token)->count, 2);
  assert_true(said(&h, token, "progress"));
  assert_true(house_done_at_once(&h, "status", B, NULL));
  assert_non_null(strstr(buf_text(&h.said), "import by tester"));
  finish_all(&h);
  assert_true(said(&h, token, "serial 10 is served"));
  house_done(&h);
}

/* ---- versions out of history ---- */

static uint64_t roll_back(struct house *h, const char *more) {
  struct buf json = {0};
  buf_printf(&json, "{\"command\":\"rollback\",\"zone\":\"b.example\",\"version\":\"v1\"%s}", more);
  all_is_large(h);
  uint64_t token = house_ask(h, buf_text(&json));
  buf_done(&json);
  house_run_ms(h, 1);
  assert_non_null(h->image);
  assert_int_equal(house_reply_of(h, token)->count, 0);
  return token;
}

static void test_rollback(void **state) {
  for (int moves = 0; moves < 2; moves++) {
    struct house h;
    begin(&h, EDITABLE_B);
    all_is_small(&h);
    assert_true(said(&h, import(&h, 10, "one", ""), "serial 10"));
    finish_all(&h);
    (void)roll_back(&h, ",\"dry-run\":true");
    finish_all(&h);
    house_run_ms(&h, 1);
    assert_non_null(strstr(buf_text(&h.said), "-one.b.example. 60 IN A 192.0.2.1"));
    assert_non_null(strstr(buf_text(&h.said), "\"ok\":true"));
    assert_int_equal(house_serial(&h, B), 10);
    uint64_t token = roll_back(&h, "");
    assert_true(house_image(&h));
    all_is_small(&h);
    if (moves) assert_true(said(&h, import(&h, 20, "two", ""), "serial 20"));
    house_image_done(&h);
    house_run_ms(&h, 1);
    finish_all(&h);
    assert_true(said(&h, token, moves ? "v1 is back as v4, serial 21" : "v1 is back as v3, serial 11"));
    assert_true(!has_name(&h, "one.b.example.") && !has_name(&h, "two.b.example."));
    house_restart(&h);
    assert_int_equal(house_serial(&h, B), moves ? 21 : 11);
    house_done(&h);
  }
}

/* ---- the file and what is beside it ---- */

/* What the file was has an image already, since the reload wrote one: the first edit writes none. */
static void test_the_first_edit(void **state) {
  struct house h;
  struct store_image seed;
  begin(&h, EDITABLE_B);
  all_is_large(&h);
  house_zone(&h, "b.zone", 2, "one 60 IN A 192.0.2.1\n");
  uint64_t token = house_command(&h, "reload", B);
  house_run_ms(&h, 1);
  finish_all(&h);
  assert_true(said(&h, token, "serial 2 is served"));
  const struct zone_slot *z = house_slot(&h, B);
  struct store_image was = z->image;
  assert_int_equal(was.version, 2);
  assert_int_equal(z->tail_bytes, 0);
  house_ask(&h, "{\"command\":\"history\",\"zone\":\"b.example\",\"json\":true,\"limit\":\"1\"}");
  house_run_ms(&h, 100);
  assert_non_null(strstr(buf_text(&h.said), "\"kind\":\"delta\"")); /* secondaries get it as one */
  all_is_small(&h);
  assert_true(said(&h, import(&h, 10, "two", ""), "serial 10"));
  store_seed_of(h.control->store, z->store_id, &seed);
  assert_true(z->departed && seed.segment == was.segment && seed.offset_bytes == was.offset_bytes);
  finish_all(&h);
  for (int i = 0; i < 3; i++)
    assert_int_equal(store_sweep(h.control->store, 0, NULL), ERR_OK);
  house_restart(&h);
  house_zone(&h, "b.zone", 2, "one 60 IN A 192.0.2.1\nthree 60 IN A 192.0.2.3\n");
  assert_true(house_done_at_once(&h, "reload", B, NULL));
  assert_true(has_name(&h, "two.b") && has_name(&h, "three.b") && !has_name(&h, "one.b"));
  house_done(&h);
}

/* Edits go on meanwhile; what was written is what the file was, then. */
static void test_write_back(void **state) {
  for (int moves = 0; moves < 2; moves++) {
    struct house h;
    begin(&h, "{name: b.example, role: primary, file: b.zone, editable: true, write-back: 5}");
    all_is_small(&h);
    assert_true(said(&h, import(&h, 10, "one", ""), "serial 10"));
    finish_all(&h);
    all_is_large(&h);
    house_run_ms(&h, 5100);
    assert_true(house_image(&h));
    all_is_small(&h);
    if (moves) assert_true(said(&h, import(&h, 20, "two", ""), "serial 20"));
    house_image_done(&h);
    const struct zone_slot *z = house_slot(&h, B);
    assert_int_equal(z->departed, moves);
    if (!moves) assert_int_equal(z->image.version, z->version); /* for the next seed */
    if (moves) house_zone(&h, "b.zone", 10, "one 60 IN A 192.0.2.1\nthree 60 IN A 192.0.2.3\n");
    finish_all(&h);
    house_restart(&h);
    assert_true(house_done_at_once(&h, "reload", B, NULL));
    assert_int_equal(house_serial(&h, B), moves ? 21 : 10);
    assert_true(has_name(&h, moves ? "two.b" : "one.b"));
    assert_true(moves ? has_name(&h, "three.b") && !has_name(&h, "one.b") : true);
    house_run_ms(&h, 6000);
    finish_all(&h);
    assert_false(house_slot(&h, B)->departed);
    assert_null(house_slot(&h, B)->file_trouble);
    house_done(&h);
  }
}

static void test_zone_add(void **state) {
  for (int goes = 0; goes < 2; goes++) {
    struct house h;
    begin(&h, FILE_C);
    house_file(&h, "tandem.yaml",
               "server: {listen: ['127.0.0.1@5300'], state: state}\ntemplates: {t: {role: primary, file: b.zone}}\nzones: []\n");
    assert_true(house_done_at_once(&h, "reload", NULL, NULL));
    all_is_large(&h);
    uint64_t token = house_ask(&h, "{\"command\":\"zone-add\",\"zone\":\"b.example\",\"template\":\"t\"}");
    house_run_ms(&h, 1);
    assert_int_equal(house_reply_of(&h, token)->count, 0);
    assert_true(house_image(&h));
    if (goes) assert_true(house_done_at_once(&h, "zone-delete", B, NULL));
    house_image_done(&h);
    assert_true(said(&h, token, goes ? "was removed" : "added, serial 1 is served"));
    house_run_ms(&h, 1);
    finish_all(&h);
    house_restart(&h);
    assert_int_equal(house_slot(&h, B) ? house_serial(&h, B) : NOT_SERVED, goes ? NOT_SERVED : 1);
    house_done(&h);
  }
}

/* From a secondary, with the zone's file. What the file was is kept once. */
static void test_rebuild(void **state) {
  for (int moves = 0; moves < 2; moves++) {
    struct house h;
    begin(&h, FILE_B);
    fake_primary_serve(&h.p1, B, make_zone(B, 50, 3600, 600, 86400, 3));
    all_is_large(&h);
    uint64_t token = house_ask(&h, "{\"command\":\"rebuild\",\"zone\":\"b.example\",\"from\":\"p1\",\"force\":true}");
    while (!h.image || h.image->use != IMAGE_WHOLE) {
      house_run_ms(&h, 100);
      if (h.image && h.image->use != IMAGE_WHOLE) work(&h);
    }
    assert_true(house_image(&h));
    all_is_small(&h);
    house_zone(&h, "b.zone", 60, "sixty 60 IN A 192.0.2.60\n");
    if (moves) assert_true(house_done_at_once(&h, "reload", B, NULL));
    house_image_done(&h);
    house_run_ms(&h, 1);
    finish_all(&h);
    assert_true(said(&h, token, moves ? "serial 61 is served" : "serial 50 is served"));
    assert_false(has_name(&h, "sixty"));
    char old[TEST_PATH_BYTES], text[200];
    snprintf(old, sizeof old, "%.60s/b.zone.before-rebuild", h.dir.root);
    FILE *f = fopen(old, "re");
    assert_true(f && fgets(text, sizeof text, f) && strstr(text, "h 1 3600"));
    fclose(f);
    house_restart(&h);
    assert_int_equal(house_serial(&h, B), moves ? 62 : 60); /* as the file was changed by hand behind it */
    house_done(&h);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_import),
      cmocka_unit_test(test_import_of_all),
      cmocka_unit_test(test_mistakes),
      cmocka_unit_test(test_the_zone_moves),
      cmocka_unit_test(test_the_zone_moves_on_and_on),
      cmocka_unit_test(test_a_version_is_named),
      cmocka_unit_test(test_the_end_comes_before),
      cmocka_unit_test(test_the_zone_goes),
      cmocka_unit_test(test_the_disk_is_full),
      cmocka_unit_test(test_the_disk_is_full_and_there_was_content),
      cmocka_unit_test(test_edit),
      cmocka_unit_test(test_what_was_shown_is_forgotten),
      cmocka_unit_test(test_a_file),
      cmocka_unit_test(test_a_new_file),
      cmocka_unit_test(test_a_file_is_merged),
      cmocka_unit_test(test_the_client_goes),
      cmocka_unit_test(test_clients_are_told),
      cmocka_unit_test(test_rollback),
      cmocka_unit_test(test_the_first_edit),
      cmocka_unit_test(test_write_back),
      cmocka_unit_test(test_zone_add),
      cmocka_unit_test(test_rebuild),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
