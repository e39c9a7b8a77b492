#include "control/zone_export.h"

#include "zonefile/zonefile.h"

#include <stdlib.h>

/* A record of 65,535 octets in escapes stays far below this, so a piece is never too large. */
enum { FLUSH_BYTES = ZONE_EXPORT_PIECE_BYTES / 2 };

struct zone_exporter {
  const struct zone_snap *snap;
  struct zone_cursor cursor;
  const struct zone_node *node; /* being printed; NULL: none */
  unsigned at;                  /* of its sets */
  bool soa_done;
};

enum err zone_exporter_new(const struct zone_snap *s, struct zone_exporter **out) {
  struct zone_exporter *x = calloc(1, sizeof *x);
  if (!x) return ERR_MEMORY;
  enum err err = zone_cursor_open(s, &x->cursor);
  if (err) {
    free(x);
    return err;
  }
  x->snap = zone_snap_ref(s);
  *out = x;
  return ERR_OK;
}

void zone_exporter_free(struct zone_exporter *x) {
  if (!x) return;
  zone_cursor_close(&x->cursor);
  zone_snap_unref(x->snap);
  free(x);
}

static void print(const struct name *owner, uint32_t ttl, uint16_t type, const uint8_t *packed, unsigned count, struct buf *out) {
  for (unsigned i = 0; i < count; i++) {
    const uint8_t *rdata;
    uint16_t size;
    zone_rr_next(&packed, &rdata, &size);
    zonefile_print_record(owner, ttl, type, rdata, size, out);
  }
}

static void print_set(const struct name *owner, const struct zone_rrset *set, struct buf *out) {
  print(owner, set->ttl, set->type, set->rrs, set->count, out);
  print(owner, set->sig_ttl, RR_RRSIG, set->sigs, set->sig_count, out);
}

/* One RRset; the apex's SOA goes before all. False: that was the last. */
static bool print_next(struct zone_exporter *x, struct buf *out) {
  struct name owner;
  struct zone_rrset set;
  const struct zone_node *apex = zone_apex_node(x->snap);
  if (!x->soa_done) {
    x->soa_done = true;
    if (zone_find_rrset(apex, RR_SOA, &set)) print_set(zone_apex(x->snap), &set, out);
    return true;
  }
  while (!x->node || x->at == zone_rrset_count(x->node)) {
    x->node = zone_cursor_next(&x->cursor);
    x->at = 0;
    if (!x->node) return false;
  }
  zone_rrset_at(x->node, x->at++, &set);
  if (x->node == apex && set.type == RR_SOA) return true;
  zone_node_owner(x->snap, x->node, &owner);
  print_set(&owner, &set, out);
  return true;
}

enum err zone_exporter_step(struct zone_exporter *x, struct buf *out, size_t most_bytes, bool *more) {
  bool left = true;
  size_t end = out->size + most_bytes;
  while (left && out->size < end && !out->failed)
    left = print_next(x, out);
  *more = left;
  return out->failed ? ERR_MEMORY : ERR_OK;
}

enum err zone_export(const struct zone_snap *s, zone_export_sink *sink, void *arg) {
  struct zone_exporter *x = NULL;
  struct buf text = {0};
  enum err err = zone_exporter_new(s, &x);
  for (bool more = !err; !err && more; buf_clear(&text)) {
    err = zone_exporter_step(x, &text, FLUSH_BYTES, &more);
    for (size_t at = 0; !err && at < text.size;) { /* an RRset may be larger than a piece */
      size_t n = text.size - at < ZONE_EXPORT_PIECE_BYTES ? text.size - at : ZONE_EXPORT_PIECE_BYTES;
      if (!sink(arg, (const char *)text.data + at, n)) err = ERR_IO;
      at += n;
    }
  }
  zone_exporter_free(x);
  buf_done(&text);
  return err;
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
