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

#endif
