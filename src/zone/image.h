/* Zone images: a snapshot as position-independent bytes. Many images are packed into one immutable segment file (store/), which
 * is mapped read-only; a snapshot opened from an image reads its nodes in place and changes go to RAM chunks on top.
 *
 * Layout: header {magic, format version, byte order mark, sizes, serial, roots, counters, XXH3 of everything behind} and the
 * chunks in canonical order. Every image starts at a multiple of 8 bytes. docs/design/zone.md. */
#ifndef ZONE_IMAGE_H
#define ZONE_IMAGE_H

#include "zone/zone.h"

enum { IMAGE_FORMAT = 1 };

/* Receives the image in pieces, in order; false stops (ERR_IO). */
typedef bool image_sink(void *arg, const void *bytes, size_t n);

/* Writes the whole snapshot compacted, the same bytes for the same content; `*bytes` is how many (a multiple of 8). Walks the
 * snapshot twice: for the checksum, then for the sink. */
MUST_CHECK enum err zone_image_write(const struct zone_snap *s, image_sink *sink, void *arg, uint64_t *bytes);

/* What keeps the mapped bytes alive: called, on any thread, when the last snapshot that reads them is gone. */
struct image_backing {
  void (*release)(struct image_backing *);
};

/* Opens an image in place; `bytes` is 8-byte aligned and `n` is just its size. Checks magic, version, checksum, every reference and
 * every record's structure, so that nothing read later leaves the bytes; RDATA is taken as it was written. ERR_CORRUPT, ERR_VERSION
 * (of another format or byte order, undamaged). On ERR_OK the snapshot owns one release of `backing` (NULL: none). */
MUST_CHECK enum err zone_image_open(const void *bytes, size_t n, struct image_backing *backing, struct zone_snap **out);

#endif
