/* The control room with a real store, files, and primaries on a net in memory: starts, reloads, restarts, failures of the disk,
 * roles that change, and commands that wait. */
#include "house.h"

#include "base/log.h"
#include "control/zone_export.h"
#include "control/zone_load.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define A "a.example."
#define B "b.example."
#define PRIMARY_A "{name: a.example, role: primary, file: a.zone}"
#define PRIMARY_B "{name: b.example, role: primary, file: b.zone}"
#define SECONDARY_A "{name: a.example, role: secondary, primaries: [p1]}"
#define SECONDARY_B "{name: b.example, role: secondary, primaries: [p1]}"

static void begin(struct house *h, const char *zones) {
  house_init(h);
  house_zone(h, "a.zone", 1, "");
  house_zone(h, "b.zone", 1, "");
  house_config(h, zones);
  house_start(h);
}

static void assert_has(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("\"%s\" is not in: %s", part, text);
}

static bool reload(struct house *h) {
  return house_done_at_once(h, "reload", NULL, NULL);
}

static void fail_store(unsigned from, int error) {
  faults.count = 0;
  faults.at = from;
  faults.error = error;
  faults.mode = FAULT_FROM_THEN_ON;
}

/* ---- zone files ---- */

static void test_good_bad_and_unchanged_files(void **state) {
  struct house h;
  const char *text;
  begin(&h, PRIMARY_A);
  assert_int_equal(house_serial(&h, A), 1);
  assert_int_equal(house_slot(&h, A)->version, 1);
  assert_true(house_slot(&h, A)->durable);
  assert_true(house_done_at_once(&h, "reload", NULL, &text));
  assert_has(text, "\"changed\":0");
  house_zone(&h, "a.zone", 2, "www 60 IN A 192.0.2.80\n");
  assert_true(house_done_at_once(&h, "reload", "a.example", &text));
  assert_has(text, "serial 2 is served");
  assert_int_equal(house_slot(&h, A)->version, 2);
  house_zone(&h, "a.zone", 3, "www 60 IN A 192.0.2.800\n");
  assert_false(house_done_at_once(&h, "reload", NULL, &text));
  assert_has(text, "a.zone:4:");
  assert_int_equal(house_serial(&h, A), 2);
  assert_has(slot_wrong(house_slot(&h, A)), "a.zone:4:");
  assert_false(house_done_at_once(&h, "reload", NULL, &text)); /* as long as it is wrong */
  house_zone(&h, "a.zone", 2, "www 60 IN A 192.0.2.80\n");
  assert_true(reload(&h));
  assert_null(slot_wrong(house_slot(&h, A)));
  assert_int_equal(house_slot(&h, A)->version, 2);
  house_zone(&h, "a.zone", 2, "www 60 IN A 192.0.2.81\n");
  assert_true(house_done_at_once(&h, "reload", NULL, &text));
  assert_has(text, "raised to 3");
  assert_int_equal(house_serial(&h, A), 3);
  house_done(&h);
}

static void test_missing_file(void **state) {
  struct house h;
  const char *text;
  char path[TEST_PATH_BYTES];
  begin(&h, PRIMARY_A ", " PRIMARY_B);
  snprintf(path, sizeof path, "%.60s/a.zone", h.dir.root);
  assert_int_equal(unlink(path), 0);
  assert_false(house_done_at_once(&h, "reload", "a.example", &text));
  assert_has(text, "a.zone");
  assert_int_equal(house_serial(&h, A), 1);
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 1);
  assert_has(slot_wrong(house_slot(&h, A)), "a.zone");
  assert_int_equal(house_serial(&h, B), 1);
  house_done(&h);
}

/* Writes that leave no trace in size and times are found all the same. */
static void test_same_size_in_the_same_moment(void **state) {
  struct house h;
  begin(&h, PRIMARY_A);
  for (uint32_t serial = 2; serial < 10; serial++) {
    house_zone(&h, "a.zone", serial, "");
    assert_true(reload(&h));
    assert_int_equal(house_serial(&h, A), serial);
  }
  house_done(&h);
}

/* A file as it stands, remembered with the digest of `content`, read at `read_at_s`. */
static void remember(struct zone_slot *z, const char *path, const char *content, int64_t read_at_s) {
  struct stat st;
  struct buf source = {0};
  assert_int_equal(stat(path, &st), 0);
  struct zone_source_file file = {(char *)(uintptr_t)path,
                                  (uint64_t)st.st_size,
                                  (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
                                  (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec,
                                  st.st_dev,
                                  st.st_ino};
  struct zone_loaded l = {
      .digest = zone_load_digest((struct digest128){0}, hash128(content, strlen(content))), .files = &file, .file_count = 1};
  assert_int_equal(source_encode(&l, (struct instant){.wall_s = read_at_s}, &source), ERR_OK);
  source_drop(z->source);
  z->source = source_share(NULL, source.data, source.size);
  z->source_size = source.size;
  buf_done(&source);
}

static void test_times_are_believed_only_of_older_files(void **state) {
  struct house h;
  struct zone_slot z = {0};
  struct source_memo memo = {0};
  struct stat st;
  char path[TEST_PATH_BYTES];
  house_init(&h);
  house_file(&h, "f", "new content");
  snprintf(path, sizeof path, "%.60s/f", h.dir.root);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(source_compare(&z, path, &memo), SOURCE_CHANGED);
  remember(&z, path, "old content", st.st_ctim.tv_sec + 100); /* nobody can have written since without a trace */
  assert_int_equal(source_compare(&z, path, &memo), SOURCE_SAME);
  for (int64_t off_s = -3600; off_s <= 1; off_s += 3601) {
    remember(&z, path, "old content", st.st_ctim.tv_sec + off_s);
    assert_int_equal(source_compare(&z, path, &memo), SOURCE_CHANGED);
    remember(&z, path, "new content", st.st_ctim.tv_sec + off_s);
    assert_int_equal(source_compare(&z, path, &memo), SOURCE_SAME);
  }
  house_file(&h, "f", "new content"); /* other times, the same content */
  assert_int_equal(source_compare(&z, path, &memo), SOURCE_SAME);
  house_file(&h, "f", "newer content");
  source_forget(&memo);
  assert_int_equal(source_compare(&z, path, &memo), SOURCE_CHANGED);
  assert_int_equal(source_compare(&z, "/elsewhere", &memo), SOURCE_CHANGED);
  for (z.source_size--; z.source_size > 0; z.source_size--)
    assert_int_equal(source_compare(&z, path, &memo), SOURCE_CHANGED);
  source_drop(z.source);
  source_forget(&memo);
  house_done(&h);
}

/* Read piece by piece. */
static void test_large_files_are_hashed_to_their_end(void **state) {
  enum { BYTES = 300000 };
  struct house h;
  struct zone_slot z = {0};
  struct source_memo memo = {0};
  char path[TEST_PATH_BYTES], *content = malloc(BYTES + 1);
  assert_non_null(content);
  memset(content, ';', BYTES);
  content[BYTES] = 0;
  house_init(&h);
  house_file(&h, "f", content);
  snprintf(path, sizeof path, "%.60s/f", h.dir.root);
  remember(&z, path, content, 0);
  assert_int_equal(source_compare(&z, path, &memo), SOURCE_SAME);
  content[BYTES - 1] = '!';
  remember(&z, path, content, 0);
  assert_int_equal(source_compare(&z, path, &memo), SOURCE_CHANGED);
  free(content);
  source_drop(z.source);
  source_forget(&memo);
  house_done(&h);
}

static void test_bad_configuration_changes_nothing(void **state) {
  struct house h;
  const char *text;
  begin(&h, PRIMARY_A);
  house_zone(&h, "a.zone", 2, "");
  house_config(&h, PRIMARY_A ", {name: a.example, role: primary, file: b.zone}");
  assert_false(house_done_at_once(&h, "reload", NULL, &text));
  assert_has(text, "a.example");
  assert_int_equal(h.reconfigured, 0);
  assert_int_equal(house_serial(&h, A), 1);
  house_config(&h, PRIMARY_B);
  h.refuse_sockets = true;
  assert_false(house_done_at_once(&h, "reload", NULL, &text));
  assert_has(text, "the port is in use");
  assert_int_equal(house_serial(&h, A), 1);
  assert_null(house_slot(&h, B));
  h.refuse_sockets = false;
  assert_true(reload(&h));
  assert_null(house_slot(&h, A));
  assert_int_equal(house_serial(&h, B), 1);
  house_done(&h);
}

/* ---- the log ---- */

static void many_hosts(const struct house *h, uint32_t serial, unsigned hosts, unsigned changed) {
  struct buf text = {0};
  for (unsigned i = 0; i < hosts; i++)
    buf_printf(&text, "host%u 60 IN A 10.%u.%u.%u\n", i, i < changed ? serial & 255 : 0, i >> 8, i & 255);
  house_zone(h, "a.zone", serial, buf_text(&text));
  buf_done(&text);
}

static void test_small_changes_are_deltas_and_replay(void **state) {
  struct house h;
  struct buf before = {0}, after = {0};
  house_init(&h);
  house_config(&h, PRIMARY_A);
  many_hosts(&h, 1, 3000, 0);
  house_start(&h);
  struct zone_slot *z = house_slot(&h, A);
  uint64_t image = z->image.segment;
  for (uint32_t serial = 2; serial < 12; serial++) {
    many_hosts(&h, serial, 3000 - serial, 3);
    assert_true(reload(&h));
    assert_int_equal(z->image.segment, image);
    assert_true(z->tail_bytes > 0);
  }
  house_export(&h, A, &before);
  uint64_t version = z->version, tail = z->tail_bytes;
  house_restart(&h);
  z = house_slot(&h, A);
  house_export(&h, A, &after);
  assert_string_equal(buf_text(&before), buf_text(&after));
  assert_int_equal(z->version, version);
  assert_int_equal(z->tail_bytes, tail);
  for (uint32_t serial = 12; z->image.segment == image; serial++) { /* nearly all changes: soon an image is smaller */
    assert_true(serial < 40);
    many_hosts(&h, serial, 3000, 3000);
    assert_true(reload(&h));
  }
  assert_int_equal(z->tail_bytes, 0);
  uint32_t last = house_serial(&h, A);
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), last);
  buf_done(&before);
  buf_done(&after);
  house_done(&h);
}

struct history {
  unsigned count;
  uint32_t serials[16];
  uint32_t from[16];
  bool has_from[16];
  enum store_door door[16];
  char author[16][64], comment[16][64];
  int64_t at_s[16];
};

static enum err note_change(void *arg, const struct store_change *c) {
  struct history *n = arg;
  assert_true(n->count < 16);
  n->serials[n->count] = c->serial_to;
  n->from[n->count] = c->serial_from;
  n->has_from[n->count] = c->has_serial_from;
  n->door[n->count] = c->door;
  n->at_s[n->count] = c->at_s;
  snprintf(n->author[n->count], sizeof n->author[0], "%s", c->author);
  snprintf(n->comment[n->count], sizeof n->comment[0], "%s", c->comment);
  n->count++;
  return ERR_OK;
}

static void history_of(struct house *h, const char *zone, struct history *out) {
  struct zone_slot *z = house_slot(h, zone);
  struct store_error why = {""};
  memset(out, 0, sizeof *out);
  assert_int_equal(store_each_change(h->control->store, z->store_id, z->head, 0, note_change, out, &why), ERR_OK);
}

static void test_history_keeps_who_when_and_which_way(void **state) {
  struct house h;
  struct history n;
  house_init(&h);
  house_zone(&h, "a.zone", 7, "");
  fake_primary_serve(&h.p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  house_config(&h, SECONDARY_A);
  house_start(&h);
  house_run_ms(&h, 2000);
  assert_int_equal(house_serial(&h, A), 5);
  house_config(&h, PRIMARY_A);
  assert_true(reload(&h));
  history_of(&h, A, &n);
  assert_int_equal(n.count, 2);
  assert_int_equal(n.door[0], DOOR_TRANSFER);
  assert_string_equal(n.author[0], "p1");
  assert_false(n.has_from[0]);
  assert_int_equal(n.door[1], DOOR_FILE);
  assert_true(n.has_from[1]);
  assert_int_equal(n.from[1], 5);
  assert_int_equal(n.serials[1], 7);
  assert_true(n.at_s[1] >= n.at_s[0] && n.at_s[0] > 0);
  house_done(&h);
}

static void damage_segments(const struct house *h) {
  char pattern[TEST_PATH_BYTES];
  glob_t found;
  snprintf(pattern, sizeof pattern, "%.100s/segments/*.seg", h->dir.state);
  assert_int_equal(glob(pattern, 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    FILE *f = fopen(found.gl_pathv[i], "r+e");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    for (long at = size / 2; at < size; at += 7) {
      fseek(f, at, SEEK_SET);
      int c = fgetc(f);
      fseek(f, at, SEEK_SET);
      fputc(c ^ 0x55, f);
    }
    fclose(f);
  }
  globfree(&found);
}

static void test_damaged_image_falls_back(void **state) {
  struct house h;
  house_init(&h);
  house_zone(&h, "a.zone", 1, "");
  house_config(&h, PRIMARY_A ", " SECONDARY_B);
  fake_primary_serve(&h.p1, B, make_zone(B, 5, 3600, 600, 86400, 3));
  house_start(&h);
  house_run_ms(&h, 2000);
  house_zone(&h, "a.zone", 1, "www 60 IN A 192.0.2.80\n");
  assert_true(reload(&h));
  assert_int_equal(house_serial(&h, A), 2); /* raised; the file still says 1 */
  uint64_t version = house_slot(&h, A)->version, version_b = house_slot(&h, B)->version;
  house_stop(&h);
  damage_segments(&h);
  house_start(&h);
  assert_int_equal(house_serial(&h, A), 2); /* the file again, which is what that serial stood for */
  assert_int_equal(house_slot(&h, A)->version, version + 1);
  assert_int_equal(house_serial(&h, B), NOT_SERVED);
  house_run_ms(&h, 2000);
  assert_int_equal(house_serial(&h, B), 5);
  assert_int_equal(house_slot(&h, B)->version, version_b + 1);
  assert_true(house_slot(&h, B)->durable);
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 2);
  assert_int_equal(house_serial(&h, B), 5);
  house_done(&h);
}

/* ---- a map that is lost while a transfer comes ---- */

static void move_segments(const struct house *h, const char *from, const char *to) {
  char command[3 * TEST_PATH_BYTES];
  snprintf(command, sizeof command, "cd '%.100s' && mkdir -p %s && cp %s/*.seg %s", h->dir.state, to, from, to);
  assert_int_equal(system(command), 0);
}

/* The disk can't read what is mapped, somebody finds out, and later it can. */
static void lose_map(struct house *h) {
  const struct zone_snap *snap = house_slot(h, B)->snap;
  struct buf text = {0};
  char command[2 * TEST_PATH_BYTES];
  assert_true(zone_mapped_bytes(snap) > 0);
  move_segments(h, "segments", "kept");
  snprintf(command, sizeof command, "truncate -s 0 '%.100s'/segments/*.seg", h->dir.state);
  assert_int_equal(system(command), 0);
  if (zone_export_buf(snap, &text)) buf_clear(&text);
  buf_done(&text);
  assert_true(zone_is_damaged(snap));
  move_segments(h, "kept", "segments");
}

static bool is_answered_from_damage(struct house *h) {
  struct name name = name_of(B);
  uint8_t key[NAME_KEY_BYTES];
  size_t size = name_key(&name, key);
  zone_read_begin();
  bool damaged = zone_is_damaged(zone_set_exact(control_zones(h->control), key, size)->snap);
  zone_read_end();
  return damaged;
}

static void serve_b(struct house *h, uint32_t serial) {
  fake_primary_serve(&h->p1, B, make_zone(B, serial, 3600, 600, 86400, 100 + serial));
}

/* Of B and A, served from images. */
static void begin_mapped(struct house *h) {
  house_init(h);
  house_config(h, SECONDARY_A ", " SECONDARY_B);
  h->p1.gives_changes = true;
  serve_b(h, 5);
  fake_primary_serve(&h->p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  house_start(h);
  house_run_ms(h, 2000);
  house_restart(h);
  house_run_ms(h, 2000);
  assert_int_equal(house_serial(h, B), 5);
}

/* It has come, as changes of what is lost a moment later: it comes again, as a whole. */
static void test_content_is_lost_under_a_transfer(void **state) {
  struct house h;
  begin_mapped(&h);
  serve_b(&h, 6);
  h.on_arrival = lose_map;
  house_command(&h, "reload", B);
  house_run_ms(&h, 2000);
  assert_null(h.on_arrival);
  assert_int_equal(house_serial(&h, B), 6);
  assert_false(is_answered_from_damage(&h));
  assert_true(house_slot(&h, B)->durable);
  assert_int_equal(house_serial(&h, A), 5);
  house_restart(&h);
  assert_int_equal(house_serial(&h, B), 6);
  house_done(&h);
}

/* What is only shown goes with what is served. */
static void test_what_is_shown_is_lost(void **state) {
  struct house h;
  begin_mapped(&h);
  struct zone_slot *z = house_slot(&h, B);
  slot_show(h.control, z, z->snap);
  lose_map(&h);
  assert_true(is_answered_from_damage(&h));
  house_run_ms(&h, 1);
  assert_int_equal(house_serial(&h, B), 5);
  assert_false(is_answered_from_damage(&h));
  house_done(&h);
}

/* ---- frozen ---- */

/* What is under way when nothing is passed on for a while: no message may be missing from what is taken for whole. */
static void test_a_transfer_that_freezes(void **state) {
  for (uint64_t at_ms = 1; at_ms < 60; at_ms += 7) {
    struct house h;
    struct store *store;
    struct store_error why;
    house_init(&h);
    house_config(&h, SECONDARY_B);
    fake_primary_serve(&h.p1, B, make_zone(B, 5, 3600, 600, 86400, 10000));
    h.p1.pace_ns = 5 * NS_PER_MS;
    house_start(&h);
    house_run_ms(&h, at_ms);
    control_freeze(h.control, fake_net_now(h.net));
    house_run_ms(&h, 12);
    assert_int_equal(store_open_with(h.dir.state, &faulty_env, &store, &why), ERR_OK);
    assert_int_equal(control_thaw(h.control, store, fake_net_now(h.net)), ERR_OK);
    house_run_ms(&h, 1000);
    assert_int_equal(house_serial(&h, B), 5);
    assert_int_equal(zone_record_count(house_slot(&h, B)->snap), 11002);
    house_done(&h);
  }
}

static void told(struct house *h, const char *zone, uint32_t serial) {
  struct name name = name_of(zone);
  control_notified(h->control, &name, &h->p1.host.addr, true, serial, fake_net_now(h->net));
}

/* Nobody was listening, so all zones look. */
static void test_a_notify_that_freezes(void **state) {
  struct house h;
  struct store *store;
  struct store_error why;
  begin_mapped(&h);
  control_freeze(h.control, fake_net_now(h.net));
  serve_b(&h, 6);
  told(&h, B, 6);
  house_run_ms(&h, 100);
  assert_int_equal(store_open_with(h.dir.state, &faulty_env, &store, &why), ERR_OK);
  assert_int_equal(control_thaw(h.control, store, fake_net_now(h.net)), ERR_OK);
  house_run_ms(&h, 100);
  assert_int_equal(house_serial(&h, B), 6);
  house_done(&h);
}

/* ---- a store that fails ---- */

/* Every step of a reload fails in turn: each time all or nothing, and the reply tells which. */
static void test_store_fails_under_a_reload(void **state) {
  for (int e = 0; e < 2; e++) {
    for (unsigned at = 1; at < 40; at++) {
      struct house h;
      const char *text;
      begin(&h, PRIMARY_A);
      many_hosts(&h, 2, 300, 300);
      faults.count = 0;
      faults.at = at;
      faults.error = e ? EIO : ENOSPC;
      faults.mode = FAULT_ONCE;
      bool good = house_done_at_once(&h, "reload", NULL, &text);
      bool hit = faults.count >= at;
      faults.mode = FAULT_NONE;
      assert_int_equal(house_serial(&h, A), good ? 2 : 1);
      if (!good) {
        assert_non_null(house_slot(&h, A)->trouble);
        assert_has(text, "store");
        assert_true(house_slot(&h, A)->durable);
        if (!h.control->store->uncertain) assert_true(reload(&h));
      }
      uint32_t serial = house_serial(&h, A);
      if (serial == 2) assert_null(house_slot(&h, A)->trouble);
      house_restart(&h);
      assert_int_equal(house_serial(&h, A), 2);
      house_done(&h);
      if (!hit) break;
      assert_true(at < 39);
    }
  }
}

static void test_transfers_are_served_without_the_store(void **state) {
  struct house h;
  const char *text;
  house_init(&h);
  house_config(&h, SECONDARY_A ", " SECONDARY_B);
  fake_primary_serve(&h.p1, A, make_zone(A, 5, 10, 5, 86400, 3));
  fake_primary_serve(&h.p1, B, make_zone(B, 5, 10, 5, 86400, 3));
  house_start(&h);
  fail_store(1, ENOSPC);
  house_run_ms(&h, 3000); /* the first versions already find no room */
  assert_int_equal(house_serial(&h, A), 5);
  assert_false(house_slot(&h, A)->durable);
  fake_primary_serve(&h.p1, A, make_zone(A, 6, 10, 5, 86400, 3));
  house_run_ms(&h, 20000);
  assert_int_equal(house_serial(&h, A), 6);
  assert_true(house_done_at_once(&h, "status", "a.example", &text));
  assert_has(text, "not durable");
  assert_has(text, "\"durable\":false");
  assert_int_equal(h.p1.transfers, 3);
  faults.mode = FAULT_NONE;
  house_run_ms(&h, 120000);
  for (int i = 0; i < 2; i++) {
    struct zone_slot *z = house_slot(&h, i ? B : A);
    assert_true(z->durable);
    assert_null(z->trouble);
    assert_null(z->author);
    assert_int_equal(z->version, 1);
  }
  assert_int_equal(h.p1.transfers, 3);
  struct history n;
  history_of(&h, A, &n);
  assert_int_equal(n.count, 1);
  assert_string_equal(n.author[0], "p1");
  assert_int_equal(n.door[0], DOOR_TRANSFER);
  h.p1.host.presence = FAKE_SILENT;
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 6);
  assert_int_equal(house_serial(&h, B), 5);
  house_done(&h);
}

static void test_first_content_of_a_file_is_served_without_the_store(void **state) {
  struct house h;
  house_init(&h);
  house_config(&h, "");
  house_start(&h);
  house_zone(&h, "a.zone", 1, "");
  house_config(&h, PRIMARY_A);
  fail_store(1, ENOSPC);
  house_ask(&h, "{\"command\":\"reload\",\"comment\":\"because\"}");
  assert_int_equal(house_serial(&h, A), 1);
  assert_false(house_slot(&h, A)->durable);
  house_zone(&h, "a.zone", 2, "");
  assert_false(reload(&h)); /* the next one replaces something: refused */
  assert_int_equal(house_serial(&h, A), 1);
  faults.mode = FAULT_NONE;
  house_run_ms(&h, 120000);
  assert_true(house_slot(&h, A)->durable);
  struct history n;
  history_of(&h, A, &n);
  assert_string_equal(n.author[0], "tester");
  assert_string_equal(n.comment[0], "because");
  assert_true(reload(&h));
  assert_int_equal(house_serial(&h, A), 2);
  assert_null(house_slot(&h, A)->trouble);
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 2);
  house_done(&h);
}

static void test_new_zones_are_served_without_the_store(void **state) {
  struct house h;
  house_init(&h);
  house_config(&h, "");
  house_start(&h);
  house_zone(&h, "a.zone", 1, "");
  house_config(&h, PRIMARY_A ", " SECONDARY_B);
  fake_primary_serve(&h.p1, B, make_zone(B, 5, 3600, 600, 86400, 3));
  h.control->store->reading = true; /* neither to be read nor written */
  assert_false(reload(&h));
  assert_int_equal(house_serial(&h, A), 1);
  house_run_ms(&h, 2000);
  assert_int_equal(house_serial(&h, B), 5);
  h.control->store->reading = false;
  house_run_ms(&h, 120000);
  assert_true(house_slot(&h, A)->durable && house_slot(&h, B)->durable);
  house_done(&h);
}

/* ---- zones that come, go and change ---- */

static void test_removed_and_named_again(void **state) {
  struct house h;
  begin(&h, PRIMARY_A ", " PRIMARY_B);
  house_zone(&h, "a.zone", 4, "");
  assert_true(reload(&h));
  house_config(&h, PRIMARY_B);
  assert_true(reload(&h));
  assert_null(house_slot(&h, A));
  assert_int_equal(house_serial(&h, A), NOT_SERVED);
  house_zone(&h, "a.zone", 3, "www 60 IN A 192.0.2.80\n");
  house_config(&h, PRIMARY_A ", " PRIMARY_B);
  assert_true(reload(&h));
  assert_int_equal(house_serial(&h, A), 5); /* not below what was served once */
  assert_int_equal(house_slot(&h, A)->version, 3);
  house_config(&h, PRIMARY_B);
  house_restart(&h); /* removed while it did not run */
  house_config(&h, PRIMARY_A ", " PRIMARY_B);
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 5);
  assert_int_equal(house_slot(&h, A)->version, 3);
  house_config(&h, PRIMARY_B);
  assert_true(reload(&h));
  fake_net_jump_wall(h.net, 8 * 86400);
  house_run_ms(&h, 2 * 3600 * 1000); /* swept after history.deleted */
  house_config(&h, PRIMARY_A ", " PRIMARY_B);
  assert_true(reload(&h));
  assert_int_equal(house_serial(&h, A), 3);
  assert_int_equal(house_slot(&h, A)->version, 4); /* never used twice */
  house_done(&h);
}

static void test_removed_secondary_comes_back_with_its_content(void **state) {
  struct house h;
  house_init(&h);
  house_config(&h, SECONDARY_A);
  fake_primary_serve(&h.p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  house_start(&h);
  house_run_ms(&h, 2000);
  house_config(&h, "");
  assert_true(reload(&h));
  h.p1.host.presence = FAKE_SILENT;
  house_config(&h, SECONDARY_A);
  assert_true(reload(&h));
  assert_int_equal(house_serial(&h, A), 5);
  assert_int_equal(house_slot(&h, A)->version, 1);
  h.p1.host.presence = FAKE_UP;
  fake_primary_serve(&h.p1, A, make_zone(A, 2, 3600, 600, 86400, 3)); /* another history */
  house_config(&h, "");
  assert_true(reload(&h));
  house_config(&h, SECONDARY_A);
  assert_true(reload(&h));
  house_run_ms(&h, 2000);
  assert_int_equal(house_serial(&h, A), 2);
  house_done(&h);
}

static void name_b_instead(struct house *h) {
  house_config(h, SECONDARY_B);
  assert_true(reload(h));
}

/* A transfer that is whole when its zone goes is no content of the zone that gets its number. */
static void test_arrival_of_a_zone_that_goes(void **state) {
  struct house h;
  house_init(&h);
  house_config(&h, SECONDARY_A);
  fake_primary_serve(&h.p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  fake_primary_serve(&h.p1, B, make_zone(B, 9, 3600, 600, 86400, 3));
  house_start(&h);
  h.on_arrival = name_b_instead;
  house_run_ms(&h, 2000);
  assert_null(h.on_arrival);
  assert_null(house_slot(&h, A));
  assert_int_equal(house_serial(&h, B), 9);
  struct name b = name_of(B);
  assert_true(name_equal(zone_apex(house_slot(&h, B)->snap), &b));
  house_done(&h);
}

static void become_primary(struct house *h) {
  house_config(h, PRIMARY_A);
  assert_true(reload(h));
}

static void test_arrival_of_a_zone_that_changes_its_role(void **state) {
  struct house h;
  house_init(&h);
  house_zone(&h, "a.zone", 7, "");
  house_config(&h, SECONDARY_A);
  fake_primary_serve(&h.p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  house_start(&h);
  h.on_arrival = become_primary;
  house_run_ms(&h, 2000);
  assert_int_equal(house_serial(&h, A), 7);
  assert_int_equal(house_slot(&h, A)->version, 2);
  house_done(&h);
}

static void test_roles_change_and_keep_content(void **state) {
  struct house h;
  begin(&h, PRIMARY_A);
  fake_primary_serve(&h.p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  house_config(&h, SECONDARY_A);
  assert_true(reload(&h));
  assert_int_equal(house_serial(&h, A), 1);
  house_run_ms(&h, 2000);
  assert_int_equal(house_serial(&h, A), 5);
  house_config(&h, PRIMARY_A); /* to a file it has read before */
  assert_true(reload(&h));
  assert_int_equal(house_serial(&h, A), 6);
  assert_int_equal(zone_record_count(house_slot(&h, A)->snap), 3);
  house_config(&h, SECONDARY_A);
  fake_primary_serve(&h.p1, A, make_zone(A, 8, 3600, 600, 86400, 3));
  assert_true(reload(&h));
  house_run_ms(&h, 2000);
  house_config(&h, PRIMARY_A); /* the same while it does not run */
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), 9);
  assert_int_equal(house_slot(&h, A)->version, 5);
  house_done(&h);
}

static void test_unchanged_reload_asks_and_tells_nobody(void **state) {
  struct house h;
  house_init(&h);
  house_zone(&h, "b.zone", 1, "");
  house_config(&h, SECONDARY_A ", {name: b.example, role: primary, file: b.zone, notify: [p1]}");
  fake_primary_serve(&h.p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  fake_primary_serve(&h.p1, B, make_zone(B, 1, 3600, 600, 86400, 3));
  house_start(&h);
  house_run_ms(&h, 5000);
  uint64_t asked = h.p1.soa_queries, told = h.p1.notifies;
  assert_int_equal(told, 1);
  for (int i = 0; i < 5; i++)
    assert_true(reload(&h));
  house_run_ms(&h, 5000);
  assert_int_equal(h.p1.soa_queries, asked);
  assert_int_equal(h.p1.notifies, told);
  house_restart(&h);
  house_run_ms(&h, 5000);
  assert_int_equal(h.p1.soa_queries, asked + 1);
  assert_int_equal(h.p1.notifies, told + 1); /* whether it was told before the end is not remembered */
  house_config(&h, SECONDARY_A ", {name: b.example, role: primary, file: b.zone, notify: [p1, p2]}");
  assert_true(reload(&h));
  house_run_ms(&h, 5000);
  assert_int_equal(h.p2.notifies, 1);
  house_done(&h);
}

static void test_expiry_is_told_and_forgotten(void **state) {
  struct house h;
  house_init(&h);
  house_config(&h, SECONDARY_A);
  fake_primary_serve(&h.p1, A, make_zone(A, 5, 10, 5, 60, 3));
  house_start(&h);
  house_run_ms(&h, 2000);
  h.p1.host.presence = FAKE_CLOSED;
  house_run_ms(&h, 70000);
  assert_int_equal(house_serial(&h, A), NOT_SERVED);
  assert_has(house_slot(&h, A)->trouble, "expired");
  house_restart(&h);
  house_run_ms(&h, 1);
  assert_int_equal(house_serial(&h, A), NOT_SERVED);
  h.p1.host.presence = FAKE_UP;
  house_run_ms(&h, 10000);
  assert_int_equal(house_serial(&h, A), 5);
  assert_null(house_slot(&h, A)->trouble);
  house_done(&h);
}

/* ---- commands that wait ---- */

static void test_each_waiter_is_answered_once(void **state) {
  struct house h;
  house_init(&h);
  house_zone(&h, "b.zone", 1, "");
  house_config(&h, SECONDARY_A ", {name: b.example, role: primary, file: b.zone, notify: [p1, p2]}");
  fake_primary_serve(&h.p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  fake_primary_serve(&h.p1, B, make_zone(B, 1, 3600, 600, 86400, 3));
  fake_primary_serve(&h.p2, B, make_zone(B, 1, 3600, 600, 86400, 3));
  house_start(&h);
  house_run_ms(&h, 2000);
  uint64_t refresh = house_command(&h, "reload", "a.example"), transfer = house_command(&h, "retransfer", "a.example"),
           notify = house_command(&h, "notify", "b.example");
  house_run_ms(&h, 5000);
  assert_has(house_reply_of(&h, refresh)->text, "\"ok\":true");
  assert_has(house_reply_of(&h, transfer)->text, "serial 5");
  assert_has(house_reply_of(&h, notify)->text, "\"ok\":true");
  h.p1.host.presence = h.p2.host.presence = FAKE_CLOSED;
  uint64_t lost[] = {house_command(&h, "reload", "a.example"), house_command(&h, "retransfer", "a.example")};
  uint64_t untold = house_command(&h, "notify", "b.example");
  house_run_ms(&h, 60000);
  for (unsigned i = 0; i < 2; i++)
    assert_has(house_reply_of(&h, lost[i])->text, "192.0.2.1@53");
  assert_int_equal(house_reply_of(&h, untold)->count, 0); /* it tries on */
  control_command_gone(h.control, untold);
  house_run_ms(&h, 3600 * 1000);
  for (uint64_t t = 1; t <= h.last_token; t++)
    assert_int_equal(house_reply_of(&h, t)->count, t != untold);
  house_done(&h);
}

/* A peer that answers at the second try has taken note. */
static void test_notify_that_recovers_is_no_failure(void **state) {
  struct house h;
  house_init(&h);
  house_zone(&h, "b.zone", 1, "");
  house_config(&h, "{name: b.example, role: primary, file: b.zone, notify: [p1, p2]}");
  fake_primary_serve(&h.p1, B, make_zone(B, 1, 3600, 600, 86400, 3));
  fake_primary_serve(&h.p2, B, make_zone(B, 1, 3600, 600, 86400, 3));
  house_start(&h);
  house_run_ms(&h, 2000);
  h.p1.host.presence = h.p2.host.presence = FAKE_CLOSED;
  uint64_t notify = house_command(&h, "notify", "b.example");
  house_run_ms(&h, 500);
  h.p1.host.presence = h.p2.host.presence = FAKE_UP;
  house_run_ms(&h, 10000);
  assert_int_equal(house_reply_of(&h, notify)->count, 1);
  assert_has(house_reply_of(&h, notify)->text, "\"ok\":true");
  house_done(&h);
}

static void test_waiters_of_zones_that_go_or_change(void **state) {
  static const char *const zones[] = {
      "",
      PRIMARY_A ", {name: b.example, role: primary, file: b.zone, notify: [p2]}",
  };
  for (unsigned i = 0; i < 2; i++) {
    struct house h;
    house_init(&h);
    house_zone(&h, "a.zone", 1, "");
    house_zone(&h, "b.zone", 1, "");
    house_config(&h, SECONDARY_A ", {name: b.example, role: primary, file: b.zone, notify: [p1]}");
    house_start(&h);
    h.p1.host.presence = FAKE_SILENT;
    house_command(&h, "reload", "a.example");
    house_command(&h, "retransfer", "a.example");
    house_command(&h, "notify", "b.example");
    house_config(&h, zones[i]);
    assert_true(reload(&h));
    for (uint64_t t = 1; t <= 3; t++) {
      assert_int_equal(house_reply_of(&h, t)->count, 1);
      assert_has(house_reply_of(&h, t)->text, "\"ok\":false");
    }
    house_run_ms(&h, 3600 * 1000);
    assert_int_equal(house_reply_of(&h, 1)->count, 1);
    house_done(&h);
  }
}

static void test_strange_commands(void **state) {
  static const char *const lines[] = {
      "",
      "{",
      "[]",
      "null",
      "{}",
      "{\"command\":1}",
      "{\"command\":\"frobnicate\"}",
      "{\"command\":\"status\",\"zone\":1}",
      "{\"command\":\"status\",\"zone\":\"..\"}",
      "{\"command\":\"reload\",\"zone\":\"none.example\"}",
      "{\"command\":\"notify\"}",
      "{\"command\":\"retransfer\",\"zone\":\"a.example\"}",
      "{\"command\":\"notify\",\"zone\":\"a.example\"}",
  };
  struct house h;
  begin(&h, PRIMARY_A);
  for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    house_tell(&h, ++h.last_token, lines[i]);
    assert_int_equal(house_reply_of(&h, h.last_token)->count, 1);
    assert_has(house_reply_of(&h, h.last_token)->text, "\"ok\":false");
  }
  assert_true(house_done_at_once(&h, "stop", NULL, NULL));
  assert_int_equal(h.stops, 1);
  house_done(&h);
}

/* ---- housekeeping ---- */

/* History keeps some of them: as many as a zone's last changesets, whatever their size. */
static void test_images_that_were_replaced_are_swept(void **state) {
  enum { VERSIONS = 60, KEPT = 16 };
  struct house h;
  struct store_usage u;
  house_init(&h);
  house_config(&h, PRIMARY_A "]\nhistory: {bytes-per-zone: 1}\nzone-lists: [");
  many_hosts(&h, 1, 200, 200);
  house_start(&h);
  for (uint32_t serial = 2; serial <= VERSIONS; serial++) {
    house_slot(&h, A)->durable = false; /* so that every version is an image */
    many_hosts(&h, serial, 200, 200);
    assert_true(reload(&h));
  }
  assert_int_equal(store_usage(h.control->store, &u), ERR_OK);
  assert_true(u.segments > KEPT + 10);
  house_run_ms(&h, 3 * 3600 * 1000);
  assert_int_equal(store_usage(h.control->store, &u), ERR_OK);
  assert_true(u.segments <= KEPT + 1);
  house_restart(&h);
  assert_int_equal(house_serial(&h, A), VERSIONS);
  house_done(&h);
}

static int reader(void **state) {
  zone_reader_register();
  return 0;
}

static int no_reader(void **state) {
  zone_reader_unregister();
  return 0;
}

int main(void) {
  log_configure(false, LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good_bad_and_unchanged_files),
      cmocka_unit_test(test_missing_file),
      cmocka_unit_test(test_same_size_in_the_same_moment),
      cmocka_unit_test(test_times_are_believed_only_of_older_files),
      cmocka_unit_test(test_large_files_are_hashed_to_their_end),
      cmocka_unit_test(test_bad_configuration_changes_nothing),
      cmocka_unit_test(test_small_changes_are_deltas_and_replay),
      cmocka_unit_test(test_history_keeps_who_when_and_which_way),
      cmocka_unit_test(test_damaged_image_falls_back),
      cmocka_unit_test(test_content_is_lost_under_a_transfer),
      cmocka_unit_test(test_what_is_shown_is_lost),
      cmocka_unit_test(test_a_transfer_that_freezes),
      cmocka_unit_test(test_a_notify_that_freezes),
      cmocka_unit_test(test_store_fails_under_a_reload),
      cmocka_unit_test(test_transfers_are_served_without_the_store),
      cmocka_unit_test(test_first_content_of_a_file_is_served_without_the_store),
      cmocka_unit_test(test_new_zones_are_served_without_the_store),
      cmocka_unit_test(test_removed_and_named_again),
      cmocka_unit_test(test_removed_secondary_comes_back_with_its_content),
      cmocka_unit_test(test_arrival_of_a_zone_that_goes),
      cmocka_unit_test(test_arrival_of_a_zone_that_changes_its_role),
      cmocka_unit_test(test_roles_change_and_keep_content),
      cmocka_unit_test(test_unchanged_reload_asks_and_tells_nobody),
      cmocka_unit_test(test_expiry_is_told_and_forgotten),
      cmocka_unit_test(test_each_waiter_is_answered_once),
      cmocka_unit_test(test_notify_that_recovers_is_no_failure),
      cmocka_unit_test(test_waiters_of_zones_that_go_or_change),
      cmocka_unit_test(test_strange_commands),
      cmocka_unit_test(test_images_that_were_replaced_are_swept),
  };
  return cmocka_run_group_tests(tests, reader, no_reader);
}
