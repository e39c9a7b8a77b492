/* Any bytes as a zone file: what is scanned is printed and scanned back equal, and every mistake has its place. */
#include "zonefile/zonefile.h"
#include "wire/encoding.h"

#include <stdlib.h>
#include <string.h>

struct expected {
  const struct zonefile_record *record;
  unsigned seen;
};

static bool is_equal(void *arg, const struct zonefile_record *r) {
  struct expected *x = arg;
  const struct zonefile_record *w = x->record;
  x->seen++;
  if (!name_identical(&r->owner, &w->owner) || r->type != w->type || r->ttl != w->ttl || r->rdata_size != w->rdata_size) abort();
  if (w->rdata_size && memcmp(r->rdata, w->rdata, w->rdata_size) != 0) abort();
  return true;
}

static bool check_back(void *arg, const struct zonefile_record *r) {
  unsigned *left = arg;
  if ((*left)-- == 0) return false; /* $GENERATE makes many of one kind */
  if (rr_rdata_check(r->type, r->rdata, r->rdata_size) != ERR_OK) abort();
  if (r->ttl > LIMIT_TTL || !rr_type_is_data(r->type) || !r->place.line || !r->place.column || !r->rdata_place.line) abort();
  struct buf text = {0};
  struct diags d = {0};
  struct expected x = {.record = r};
  struct zonefile_options o = {.origin = name_root, .no_include = true, .record = is_equal, .arg = &x};
  zonefile_print_record(&r->owner, r->ttl, r->type, r->rdata, r->rdata_size, &text);
  if (zonefile_scan_bytes("printed", text.data, text.size, &o, &d) != ERR_OK || d.count || x.seen != 1) abort();
  buf_done(&text);
  diags_done(&d);
  return true;
}

/* All that a scan says, as text. */
static bool say_record(void *arg, const struct zonefile_record *r) {
  struct buf *out = arg;
  buf_printf(out, "%u:%u %u:%u ", r->place.line, r->place.column, r->rdata_place.line, r->rdata_place.column);
  zonefile_print_record(&r->owner, r->ttl, r->type, r->rdata, r->rdata_size, out);
  return out->size < 1 << 16;
}

static void say_all(const uint8_t *data, size_t size, bool narrow, const struct zonefile_fork *fork, struct buf *out) {
  struct diags d = {0};
  struct zonefile_options o = {.no_include = true, .narrow = narrow, .fork = fork, .record = say_record, .arg = out};
  if (name_from_text("example.", 8, NULL, &o.origin, NULL, NULL) != ERR_OK) abort();
  enum err e = zonefile_scan_bytes("input", data, size, &o, &d);
  buf_printf(out, "%d\n", (int)e);
  diags_print(&d, out);
  diags_done(&d);
}

/* The rear half by a scan of its own. */
struct halves {
  struct buf *front, rear;
  struct zonefile_rear *half;
};

static bool begin_rear(void *arg, struct zonefile_rear *half) {
  ((struct halves *)arg)->half = half;
  return true;
}

static void scan_rear(void *arg) {
  zonefile_rear_scan(((struct halves *)arg)->half);
}

static bool say_rear_record(void *arg, const struct zonefile_record *r) {
  return say_record(&((struct halves *)arg)->rear, r);
}

static bool take_rear(void *arg) {
  struct halves *h = arg;
  buf_add(h->front, h->rear.data, h->rear.size);
  return true;
}

static bool same(const struct buf *a, const struct buf *b) {
  return a->size == b->size && (!a->size || memcmp(a->data, b->data, a->size) == 0);
}

/* Wide instructions find the same as one octet at a time, lines that go straight (line.c) give what the general way gives, and two
 * halves what the whole gives. */
static void check_others(const uint8_t *data, size_t size) {
  struct buf whole = {0}, narrow = {0}, halved = {0};
  struct halves h = {.front = &halved};
  struct zonefile_fork fork = {.begin = begin_rear, .record = say_rear_record, .wait = scan_rear, .take = take_rear, .arg = &h};
  say_all(data, size, false, NULL, &whole);
  say_all(data, size, true, NULL, &narrow);
  if (!same(&whole, &narrow)) abort();
  say_all(data, size, false, &fork, &halved);
  if (whole.size < 1 << 16 && !same(&whole, &halved)) abort(); /* more was cut off */
  buf_done(&whole);
  buf_done(&narrow);
  buf_done(&halved);
  buf_done(&h.rear);
}

/* Many digits at once are decoded as one by one. */
static void check_base64(const char *text, size_t n) {
  uint8_t out[2][1024];
  struct base64_decoder d[2] = {{0}};
  struct wr w[2] = {wr_make(out[0], sizeof out[0]), wr_make(out[1], sizeof out[1])};
  bool good = base64_feed(&d[0], text, n, &w[0]), each = true;
  for (size_t i = 0; i < n && each; i++)
    each = base64_feed(&d[1], text + i, 1, &w[1]);
  if (good != each || wr_failed(&w[0]) != wr_failed(&w[1])) abort();
  if (!good || wr_failed(&w[0])) return;
  if (d[0].digits != d[1].digits || wr_used(&w[0]) != wr_used(&w[1]) || memcmp(out[0], out[1], wr_used(&w[0])) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  unsigned left = 40;
  struct diags d = {0};
  struct zonefile_options o = {.no_include = true, .record = check_back, .arg = &left};
  if (name_from_text("example.", 8, NULL, &o.origin, NULL, NULL) != ERR_OK) abort();
  enum err e = zonefile_scan_bytes("input", data, size, &o, &d);
  if (e != ERR_OK && e != ERR_REFUSED && e != ERR_MEMORY) abort();
  for (size_t i = 0; i < d.count; i++)
    if (!d.list[i].place.line || !d.list[i].place.column || !d.list[i].what[0]) abort();
  diags_done(&d);
  check_others(data, size);
  check_base64((const char *)data, size);
  return 0;
}
