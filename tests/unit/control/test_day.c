/* A zone changed every second for a day, on a virtual clock: the store stays bounded, and a secondary that is an hour behind still
 * gets the changes. `test_day 86400` is the whole day at default settings; as a test a tenth of it with a tenth of the history. */
#include "house.h"
#include "xfr/ixfr_out.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DAY_S = 86400, HOUR_S = 3600, HOSTS = 1000, TEXT_BYTES = 180, NAMES = 50 };

static const uint64_t day_bytes = 64 << 20;
static uint64_t seconds = DAY_S / 10;

static uint64_t bytes_under(const char *path) {
  char name[TEST_PATH_BYTES];
  struct stat st;
  uint64_t sum = 0;
  DIR *d = opendir(path);
  if (!d) return 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.' || strcmp(e->d_name, "ballast") == 0) continue;
    snprintf(name, sizeof name, "%.120s/%.100s", path, e->d_name);
    if (stat(name, &st)) continue;
    sum += S_ISDIR(st.st_mode) ? bytes_under(name) : (uint64_t)st.st_size;
  }
  closedir(d);
  return sum;
}

/* About a kilobyte of log: a text goes, another comes. */
static void change(struct house *h, struct zone_slot *z, uint64_t n) {
  struct zone_edit *e;
  struct zone_snap *snap;
  struct pipeline *p;
  struct store_error why = {""};
  struct buf note = {0};
  struct name owner;
  enum zone_add outcome;
  size_t changed;
  char label[16];
  uint8_t rdata[2 * TEXT_BYTES + 2];
  int size = snprintf(label, sizeof label, "t%u", (unsigned)(n % NAMES));
  assert_int_equal(name_from_text(label, (size_t)size, zone_apex(z->snap), &owner, NULL, NULL), ERR_OK);
  for (int add = 0; add < 2; add++) {
    uint64_t which = add ? n : n - NAMES;
    memset(rdata, 'a' + (int)(which % 26), sizeof rdata);
    rdata[0] = rdata[TEXT_BYTES + 1] = TEXT_BYTES;
    memcpy(rdata + 1, &which, sizeof which);
    if (!add) assert_int_equal(zone_edit_begin(z->snap, NULL, &e), ERR_OK);
    if (!add && n >= NAMES) assert_int_equal(zone_edit_remove(e, &owner, RR_TXT, rdata, sizeof rdata), ERR_OK);
    if (add) assert_int_equal(zone_edit_add(e, &owner, RR_TXT, 60, rdata, sizeof rdata, &outcome), ERR_OK);
  }
  assert_int_equal(zone_edit_finish(e, &snap), ERR_OK);
  struct change_info info = {.door = DOOR_UPDATE, .author = "key.example.", .fresh_serial = true};
  assert_int_equal(pipeline_begin(h->control, &p), ERR_OK);
  assert_int_equal(pipeline_add(p, z, snap, &info, fake_net_now(h->net), &note), ERR_OK);
  if (pipeline_commit(p, fake_net_now(h->net), &changed, &why)) fail_msg("%s", why.what);
  buf_done(&note);
}

static bool offer(void *arg, const struct store_change *c) {
  return ixfr_chain_offer(
      arg, &(struct ixfr_change){c->kind == STORE_DELTA, c->has_serial_from, c->serial_from, c->serial_to, c->body, c->body_size});
}

/* What a secondary with that serial is sent, in octets of records; 0: no changes. */
static size_t changes_since(struct house *h, const struct zone_slot *z, uint32_t serial) {
  struct ixfr_chain *chain;
  struct store_error why;
  size_t bytes = 0;
  assert_int_equal(ixfr_chain_new(z->snap, serial, &chain), ERR_OK);
  enum err err = store_walk_back(h->control->store, z->store_id, z->head, offer, chain, &why);
  if (!err && ixfr_chain_close(chain))
    for (const struct delta_record *r; (r = ixfr_chain_at(chain)); ixfr_chain_step(chain))
      bytes += 10u + r->owner.size + r->size;
  ixfr_chain_free(chain);
  return bytes;
}

static void test_day(void **state) {
  struct house h;
  struct buf text = {0};
  uint64_t history = day_bytes * seconds / DAY_S, most = 0, most_database = 0;
  house_init(&h);
  for (int i = 0; i < HOSTS; i++)
    buf_printf(&text, "h%d 60 IN A 192.0.2.%d\n", i, i % 256);
  house_zone(&h, "a.zone", 1, buf_text(&text));
  buf_clear(&text);
  buf_printf(&text,
             "server: {listen: ['127.0.0.1@5300'], state: state}\nzones: [{name: a.example, file: a.zone, editable: true}]\n");
  if (seconds != DAY_S) buf_printf(&text, "history: {bytes-per-zone: %" PRIu64 "}\n", history);
  house_file(&h, "tandem.yaml", buf_text(&text));
  house_start(&h);
  struct zone_slot *z = house_slot(&h, "a.example.");
  for (uint64_t n = 0; n < seconds; n++) {
    change(&h, z, n);
    house_run_ms(&h, 1000);
    if (n % 100) continue;
    struct store_usage u;
    assert_int_equal(store_usage(h.control->store, &u), ERR_OK);
    uint64_t now = bytes_under(h.dir.state);
    if (u.database_bytes > most_database) most_database = u.database_bytes;
    if (now > most) most = now;
  }
  size_t sent = changes_since(&h, z, zone_serial(z->snap) - HOUR_S);
  print_message("%" PRIu64 " changes: %.1f MB at most, its database %.1f MB, zone %.1f MB; an hour of changes: %zu octets\n",
                seconds, (double)most / 1e6, (double)most_database / 1e6, (double)z->image.size_bytes / 1e6, sent);
  assert_true(sent > 0);
  /* Is as large for a shorter day: 1000 pages and the largest commit on top, a step of retention with some 180. */
  uint64_t wal = seconds == DAY_S ? 0 : 5 << 20;
  assert_in_range(most, 1, history + wal + 4 * z->image.size_bytes);
  uint64_t version = z->version;
  house_restart(&h);
  z = house_slot(&h, "a.example.");
  assert_int_equal(z->version, version);
  assert_true(changes_since(&h, z, zone_serial(z->snap) - HOUR_S) > 0);
  buf_done(&text);
  house_done(&h);
}

int main(int argc, char **argv) {
  if (argc > 1) seconds = strtoull(argv[1], NULL, 10);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_day)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
