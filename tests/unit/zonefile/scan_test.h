/* What the tests of the scanner share: scans text, and gives its records and its mistakes as text. */
#ifndef SCAN_TEST_H
#define SCAN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zonefile/zonefile.h"

struct scanned {
  struct buf records; /* as lines of zonefile_print_record */
  struct buf diags;   /* as lines of diag_print */
  struct diags raw;
  size_t count;
  size_t files;
  enum err error;
};

static inline bool scanned_record(void *arg, const struct zonefile_record *r) {
  struct scanned *s = arg;
  s->count++;
  zonefile_print_record(&r->owner, r->ttl, r->type, r->rdata, r->rdata_size, &s->records);
  return true;
}

static inline void scanned_file(void *arg, const struct zonefile_file *f) {
  struct scanned *s = arg;
  s->files++;
}

static inline void scanned_finish(struct scanned *s) {
  diags_print(&s->raw, &s->diags);
}

static inline struct name name_of(const char *text) {
  struct name n;
  assert_int_equal(name_from_text(text, strlen(text), &name_root, &n, NULL, NULL), ERR_OK);
  return n;
}

/* `n` octets with origin example.; free with scanned_done. */
static inline void scan_text_n(const char *text, size_t n, const struct zonefile_options *options, struct scanned *s) {
  struct zonefile_options o = options ? *options : (struct zonefile_options){.no_include = true};
  if (o.origin.size == 0) o.origin = name_of("example.");
  o.record = scanned_record;
  o.file_seen = scanned_file;
  o.arg = s;
  *s = (struct scanned){0};
  s->error = zonefile_scan_bytes("z", (const uint8_t *)text, n, &o, &s->raw);
  scanned_finish(s);
}

static inline void scan_file(const char *path, const struct zonefile_options *options, struct scanned *s) {
  struct zonefile_options o = options ? *options : (struct zonefile_options){0};
  if (o.origin.size == 0) o.origin = name_of("example.");
  o.record = scanned_record;
  o.file_seen = scanned_file;
  o.arg = s;
  *s = (struct scanned){0};
  s->error = zonefile_scan(path, &o, &s->raw);
  scanned_finish(s);
}

static inline void scanned_done(struct scanned *s) {
  buf_done(&s->records);
  buf_done(&s->diags);
  diags_done(&s->raw);
}

#endif
