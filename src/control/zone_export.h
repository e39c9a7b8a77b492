/* A snapshot as a master file: absolute names, the SOA first, then all names in canonical order, signatures behind what they
 * cover. Loads back equal. Thread: any that holds the snapshot. */
#ifndef CONTROL_ZONE_EXPORT_H
#define CONTROL_ZONE_EXPORT_H

#include "base/buf.h"
#include "zone/zone.h"

enum { ZONE_EXPORT_PIECE_BYTES = 1 << 20 };

/* Receives the text in pieces of at most ZONE_EXPORT_PIECE_BYTES; false stops. */
typedef bool zone_export_sink(void *arg, const char *text, size_t n);

/* ERR_IO: the sink stopped it. ERR_MEMORY. */
MUST_CHECK enum err zone_export(const struct zone_snap *s, zone_export_sink *sink, void *arg);
MUST_CHECK enum err zone_export_buf(const struct zone_snap *s, struct buf *out);

/* The same in steps: about as many octets as asked for are put behind what `out` has, a whole RRset at least. */
struct zone_exporter;
MUST_CHECK enum err zone_exporter_new(const struct zone_snap *s, struct zone_exporter **out); /* takes a reference */
MUST_CHECK enum err zone_exporter_step(struct zone_exporter *x, struct buf *out, size_t most_bytes, bool *more);
void zone_exporter_free(struct zone_exporter *x); /* NULL is fine */

#endif
