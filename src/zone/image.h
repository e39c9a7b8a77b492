/* Zone images: a snapshot as position-independent bytes. Many images are packed into one immutable segment file (store/), which
 * is mapped read-only; a snapshot opened from an image reads its nodes in place and changes go to RAM chunks on top.
 *
 * Layout: header {magic, format version, byte order mark, sizes, serial, roots, counters, XXH3 of itself and of the directory},
 * directory {XXH3 of each block of 64 KiB}, and the chunks in canonical order. Every image starts at a multiple of 8 bytes.
 * docs/design/zone.md.
 *
 * A small image is proven when it is opened. Of a larger one only header, directory and apex are; the rest is looked at where it
 * is read, and by zone_image_prove in the background. Damage found later reads as if there was nothing, and whoever has read asks
 * zone_is_damaged before anything goes out. */
#ifndef ZONE_IMAGE_H
#define ZONE_IMAGE_H

#include "zone/zone.h"

enum { IMAGE_FORMAT = 3 }; /* 1 and 2 had other records and are made again in memory (image_old.c); 1 had no directory */

/* Receives the image in pieces, in order; false stops (ERR_IO). Before the first piece it gets some of no octets, and may stop
 * there. */
typedef bool image_sink(void *arg, const void *bytes, size_t n);

/* Writes the whole snapshot compacted, the same bytes for the same content; `*bytes` is how many (a multiple of 8). Walks the
 * snapshot twice: for the checksums, when the sink gets nothing, then for it. ERR_CORRUPT: the snapshot is damaged. Any thread. */
MUST_CHECK enum err zone_image_write(const struct zone_snap *s, image_sink *sink, void *arg, uint64_t *bytes);

/* What keeps the mapped bytes alive: called, on any thread, when the last snapshot that reads them is gone. */
struct image_backing {
  void (*release)(struct image_backing *);
  _Atomic bool lost; /* some of the bytes: set by image_backing_lose only */
};
/* Pages of it can't be read and are zeros from now on. May be called in a signal handler, and often. */
void image_backing_lose(struct image_backing *b);
void image_backing_done(struct image_backing *b); /* its memory is about to go */

/* Opens an image in place; `bytes` is 8-byte aligned and `n` is just its size. Checks magic, version, checksum, every reference and
 * every record's structure, at once or before it is read, so that nothing read later leaves the bytes; RDATA is taken as it was
 * written. ERR_CORRUPT, ERR_VERSION
 * (of another format or byte order, undamaged). On ERR_OK the snapshot owns one release of `backing` (NULL: none). */
MUST_CHECK enum err zone_image_open(const void *bytes, size_t n, struct image_backing *backing, struct zone_snap **out);

/* It was of an old format, and took the time that making it again takes: a fresh one should be written. */
bool zone_image_is_old(const struct zone_snap *s);

/* Goes on proving the image that the snapshot came from, for about a millisecond; `*more`: there is something left. ERR_CORRUPT: it
 * is damaged, as zone_is_damaged says from now on. The writer's thread. */
MUST_CHECK enum err zone_image_prove(const struct zone_snap *s, bool *more);

#endif
