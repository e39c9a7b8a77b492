/* A snapshot and the line of snapshots that share one heap, with the giving back of memory (reclaim.c).
 *
 *   line: heap, apex          oldest <-- . <-- . <-- newest        `older` is the snapshot an edit was based on; mostly a chain,
 *                                         \--- dropped build       a tree while builds that were never published die
 *
 * Each snapshot knows what its edit allocated (`born`) and what its edit stopped using (`dropped`). A snapshot is dead when
 * its last reference is gone and every reader of that moment has finished. Then
 *
 *   1. a dead snapshot without a newer one was a dropped build: its `born` is free, and it goes (so does the whole line with
 *      its last snapshot);
 *   2. a dead oldest snapshot with one newer goes: what that one had `dropped` is free.
 *
 * Free spans wait in the line until the next edit begins, so only the writer ever touches the heap. An old snapshot that is
 * still referenced holds back all that was dropped since. One lock for all lines guards the links; it is taken at the
 * begin and end of edits and when snapshots die. */
#ifndef ZONE_SNAP_PRIV_H
#define ZONE_SNAP_PRIV_H

#include "base/hash.h"
#include "zone/grace_priv.h"
#include "zone/hashing_priv.h"
#include "zone/image.h"
#include "zone/trie_priv.h"

struct zone_line {
  struct heap heap;
  struct image_backing *backing; /* of an image in front of the heap; NULL: none */
  struct image_guard *guard;     /* of that image, if it was not proven when it was opened */
  const struct name *apex;       /* right behind this; it is never read from the image, whose pages may be lost */
  struct hashing *hashing;       /* of its records; does not change once it is there. The writer's */
  bool editing;
  bool is_remade;                    /* from an image of an old format */
  struct zone_snap *oldest, *newest; /* by creation */
  struct span_list *free_spans;      /* what reclaim.c gave back: free_count lists */
  size_t free_count, free_capacity;
};

enum { SNAP_SIGNED = 1, SNAP_NSEC = 2 /* at the apex */, SNAP_NSEC3 = 4, SNAP_HASHED = 8 /* the line's hashes are its chain's */ };

struct snap_step { /* of the edit that made it (step.c) */
  uint8_t *bytes;
  size_t size;
  uint64_t from; /* number of the one before */
  uint64_t removed, added;
  uint64_t conflicts; /* if looked_at */
  bool looked_at;
};

struct zone_snap {
  /* what a lookup reads, in one cache line */
  uint8_t *const *table;
  struct trie_node names;
  struct trie_node nsec3;
  uint16_t apex_key_size;
  uint8_t apex_labels;
  uint8_t flags;
  uint32_t tag; /* the low bits of `number` */
  uint8_t *near_table[NEAR_CHUNKS];
  const struct zone_node *apex_node;

  uint32_t serial;
  _Atomic unsigned refs;
  uint64_t record_count;
  uint64_t name_count;
  struct zone_nsec3 nsec3_parameters; /* with SNAP_NSEC3 */
  struct digest128 content;           /* zone/content.h */
  uint64_t conflicts;                 /* if it knows them */
  struct zone_line *line;
  uint64_t number;        /* no other has it */
  struct snap_step *step; /* NULL: not known */
  bool has_content;
  bool knows_conflicts;

  /* reclaim.c's, under its lock */
  bool dead;
  unsigned children;
  struct zone_snap *older;                       /* NULL: none, or gone */
  struct zone_snap *next_created, *last_created; /* in the line */
  struct span_list born, dropped;
  struct grace grace;
};

/* ---- snap.c ---- */

/* What a snapshot is made of. */
struct snap_parts {
  struct trie_node names, nsec3;
  uint64_t record_count, name_count;
};
/* With one reference, not yet in the line. ERR_FORMAT: no single SOA at the apex. */
MUST_CHECK enum err snap_new(struct zone_line *line, const struct snap_parts *parts, struct zone_snap **out);
/* Frees one that is in no line. */
void snap_free(struct zone_snap *s);
/* The hash of an owner that is kept; NULL: none, or of another chain. */
static inline const uint8_t *snap_hash(const struct zone_snap *s, const struct zone_node *n) {
  return s->flags & SNAP_HASHED ? record_hash(n) : NULL;
}
/* Parameters of a chain that answers may use, in RDATA of NSEC3PARAM. */
bool nsec3param_read(const uint8_t *rdata, uint16_t size, struct zone_nsec3 *out);
/* Whether an NSEC3 record belongs to the chain of these parameters. */
bool nsec3_in_chain(const struct zone_node *r, const struct zone_nsec3 *p);

/* ---- reclaim.c ---- */

MUST_CHECK enum err line_new(const struct name *apex, struct zone_line **out); /* a copy of `apex` */
/* Gives the image's backing back as well. */
void line_free(struct zone_line *line);
/* The one writer comes in; cells given back meanwhile become free. ERR_LOCKED: there is one. */
MUST_CHECK enum err line_edit_begin(struct zone_line *line);
void line_edit_end(struct zone_line *line);
/* Puts a snapshot into the line, on top of `older` (NULL: the first). Takes over `born` and `dropped`. */
void line_add(struct zone_line *line, struct zone_snap *s, struct zone_snap *older, struct span_list *born,
              struct span_list *dropped);

#endif
