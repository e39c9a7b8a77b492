#include "control/zone_export.h"

#include "zonefile/zonefile.h"

/* A record of 65,535 octets in escapes stays far below this, so a piece is never too large. */
enum { FLUSH_BYTES = ZONE_EXPORT_PIECE_BYTES / 2 };

struct export {
  zone_export_sink *sink;
  void *arg;
  struct buf text;
  enum err error;
};

static void flush(struct export *x) {
  if (x->error == ERR_OK && x->text.failed) x->error = ERR_MEMORY;
  if (x->error == ERR_OK && x->text.size && !x->sink(x->arg, buf_text(&x->text), x->text.size)) x->error = ERR_IO;
  buf_clear(&x->text);
}

static void print(struct export *x, const struct name *owner, uint32_t ttl, uint16_t type, const uint8_t *packed, unsigned count) {
  for (unsigned i = 0; i < count && x->error == ERR_OK; i++) {
    const uint8_t *rdata;
    uint16_t size;
    zone_rr_next(&packed, &rdata, &size);
    zonefile_print_record(owner, ttl, type, rdata, size, &x->text);
    if (x->text.size >= FLUSH_BYTES || x->text.failed) flush(x);
  }
}

static void print_set(struct export *x, const struct name *owner, const struct zone_rrset *set) {
  print(x, owner, set->ttl, set->type, set->rrs, set->count);
  print(x, owner, set->sig_ttl, RR_RRSIG, set->sigs, set->sig_count);
}

static void print_node(struct export *x, const struct zone_snap *s, const struct zone_node *node) {
  struct name owner;
  struct zone_rrset set;
  bool apex = node == zone_apex_node(s);
  zone_node_owner(s, node, &owner);
  if (apex && zone_find_rrset(node, RR_SOA, &set)) print_set(x, &owner, &set);
  for (unsigned i = 0; i < zone_rrset_count(node); i++) {
    zone_rrset_at(node, i, &set);
    if (!apex || set.type != RR_SOA) print_set(x, &owner, &set);
  }
}

enum err zone_export(const struct zone_snap *s, zone_export_sink *sink, void *arg) {
  struct export x = {.sink = sink, .arg = arg};
  struct zone_cursor cursor;
  enum err e = zone_cursor_open(s, &cursor);
  if (e != ERR_OK) return e;
  for (const struct zone_node *node; x.error == ERR_OK && (node = zone_cursor_next(&cursor));)
    print_node(&x, s, node);
  zone_cursor_close(&cursor);
  flush(&x);
  buf_done(&x.text);
  return x.error;
}

static bool append(void *arg, const char *text, size_t n) {
  struct buf *out = arg;
  buf_add(out, text, n);
  return !out->failed;
}

enum err zone_export_buf(const struct zone_snap *s, struct buf *out) {
  enum err e = zone_export(s, append, out);
  return out->failed ? ERR_MEMORY : e;
}
