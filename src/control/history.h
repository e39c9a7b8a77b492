/* A zone's past: its changes read newest first, and any version that is kept rebuilt from the nearest content there is, backward
 * from what is served or from an image, or forward from an image. Everything goes in steps of some milliseconds:
 * HISTORY_STEP_CHANGES changes or HISTORY_STEP_BYTES of them, or one image opened (as long as at a start). Between steps the zone
 * may change and history may be cut: what was not read yet can be gone then, and an error says so. Thread: the control thread. */
#ifndef CONTROL_HISTORY_H
#define CONTROL_HISTORY_H

#include "base/hash.h"
#include "store/store.h"

enum { HISTORY_STEP_CHANGES = 256, HISTORY_STEP_BYTES = 512 << 10, HISTORY_POINT_TEXT_BYTES = 64 };

/* A moment of a zone, as people name it: "v7" the version, "2026112801" the newest version with this serial, a time (RFC 3339, UTC)
 * the version that was served then. */
enum history_kind { HISTORY_NEWEST, HISTORY_VERSION, HISTORY_SERIAL, HISTORY_TIME };
struct history_point {
  enum history_kind kind;
  uint64_t version;
  uint32_t serial;
  int64_t at_s;
};
bool history_point_read(const char *text, struct history_point *out);
extern const char history_point_forms[]; /* in words */

struct history_entry {
  uint64_t seq, prev, version;
  int64_t at_s;
  uint32_t serial, bytes;
  bool full; /* what was before can't be made from what came after */
  bool has_content;
  struct digest128 content;
};

struct history { /* zero but for the first three */
  struct store *store;
  uint64_t zone;
  uint64_t next;              /* seq of the change that is read next; 0: there is none */
  struct history_entry *list; /* newest first, without gaps */
  size_t count, capacity;
};

/* Reads on. Once there is nothing more, `next` is 0. */
MUST_CHECK enum err history_read(struct history *h, struct store_error *why);
/* Index of the entry, or of where it would be: h->count if it is not (yet) read. */
size_t history_find(const struct history *h, const struct history_point *p);
bool history_has_full(const struct history *h, size_t newer, size_t older); /* entries from `newer` on, without `older` */
void history_done(struct history *h);

/* A version on its way. */
struct rebuild {
  struct history *history;
  size_t target;
  const struct zone_snap *base; /* content of a newer version or of the same, kept referenced by the caller; NULL: none at hand */
  uint64_t base_version;
  /* its own */
  const struct zone_snap *snap; /* one reference */
  uint64_t version;             /* of snap; 0: not begun */
};

/* ERR_NOT_FOUND: there is nothing left to make it from. ERR_CORRUPT: what was made does not fit the digest in the log. */
MUST_CHECK enum err rebuild_step(struct rebuild *r, bool *done, struct store_error *why);
/* The version, now the caller's. */
const struct zone_snap *rebuild_take(struct rebuild *r);
void rebuild_done(struct rebuild *r);

#endif
