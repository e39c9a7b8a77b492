/* Any bytes as a zone file: what is scanned is printed and scanned back equal, and every mistake has its place. */
#include "zonefile/zonefile.h"

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

static void say_all(const uint8_t *data, size_t size, bool narrow, struct buf *out) {
  struct diags d = {0};
  struct zonefile_options o = {.no_include = true, .narrow = narrow, .record = say_record, .arg = out};
  if (name_from_text("example.", 8, NULL, &o.origin, NULL, NULL) != ERR_OK) abort();
  buf_printf(out, "%d\n", (int)zonefile_scan_bytes("input", data, size, &o, &d));
  diags_print(&d, out);
  diags_done(&d);
}

/* Wide instructions find the same as one octet at a time. */
static void check_narrow(const uint8_t *data, size_t size) {
  struct buf wide = {0}, narrow = {0};
  say_all(data, size, false, &wide);
  say_all(data, size, true, &narrow);
  if (wide.size != narrow.size || (wide.size && memcmp(wide.data, narrow.data, wide.size) != 0)) abort();
  buf_done(&wide);
  buf_done(&narrow);
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
  check_narrow(data, size);
  return 0;
}
