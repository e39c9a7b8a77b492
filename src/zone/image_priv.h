/* Layout of an image: this header, then cells. All in the byte order of the machine that wrote it. */
#ifndef ZONE_IMAGE_PRIV_H
#define ZONE_IMAGE_PRIV_H

#include "zone/image.h"
#include "zone/trie_priv.h"

#define IMAGE_MAGIC "TandemZI"
#define IMAGE_BYTE_ORDER UINT32_C(0x01020304)

/* Fields before `checksum` keep their places in every format to come, so that a newer format is told from damage. */
struct image_header {
  char magic[8];
  uint32_t format;
  uint32_t byte_order;
  uint64_t mark;     /* XXH3 of the three above */
  uint64_t checksum; /* XXH3 of the header behind this field, seeded with that of the directory */
  uint64_t bytes;    /* of the whole image */
  uint64_t cells;
  uint64_t record_count;
  uint64_t name_count;
  struct trie_node names; /* roots */
  struct trie_node nsec3;
  uint32_t serial;
  uint32_t zero;
  struct name apex; /* unused octets are zero */
  uint8_t pad[7];
};
_Static_assert(sizeof(struct name) == 257 && sizeof(struct image_header) % 8 == 0, "the cells behind the header are aligned");

enum {
  IMAGE_BLOCK_BYTES = 1 << 16,
  IMAGE_BLOCK_CELLS = IMAGE_BLOCK_BYTES / CELL_BYTES,
  IMAGE_LAZY_BYTES = 1 << 18,      /* images up to this size are proven when they are opened */
  IMAGE_OLD_BLOCK_BYTES = 1 << 20, /* of format 1, whose checksums are chained: no directory */
};

static inline uint64_t image_blocks(uint64_t cells) {
  return (cells + IMAGE_BLOCK_CELLS - 1) / IMAGE_BLOCK_CELLS;
}

/* ---- image_verify.c: the proof ---- */

struct open_twigs { /* a branch on the way from the root */
  const struct trie_node *branch;
  const struct trie_node *next;
  unsigned left;
};

/* A walk over both tries, in memory order, that can be left and gone on with. */
struct image_walk {
  const struct image_header *header;
  const uint8_t *cells;
  const struct trie_node *node; /* comes next; NULL: the trie is at its end */
  uint64_t at;                  /* where the layout has put the next object */
  uint64_t record_count, name_count;
  const struct zone_node *last; /* record before in the same trie */
  bool in_nsec3;
  unsigned depth, first_open; /* how many of the open branches were open before the last leaf */
  struct open_twigs open[TRIE_DEPTH + 1];
};

void image_walk_start(struct image_walk *v, const struct image_header *h, const uint8_t *cells);
/* At most `leaves` further. Whether the cells are just two tries as layout.c writes them, and nothing else: every reference points
 * where the layout has put that object, every record holds together, keys rise and stand where their symbols say, and the counters
 * are right. `*more`: not at the end yet. */
bool image_walk_on(struct image_walk *v, unsigned leaves, bool *more);
/* A record that lies within `cells_left` cells and is well-formed, for an apex of these dimensions. */
bool image_record_sound(const struct zone_node *r, uint64_t cells_left, const struct name *apex, uint64_t *rr_count);
/* The same of what stands in front of its sets. */
bool image_record_frame_sound(const struct zone_node *r, uint64_t cells_left, const struct name *apex);

/* ---- image_old.c: formats before IMAGE_FORMAT ---- */

bool image_old_record_sound(const struct zone_node *r, uint64_t cells_left, const struct name *apex, uint64_t *rr_count);
/* The content of an image that is proven, in an empty heap. */
MUST_CHECK enum err image_old_remake(const struct image_header *h, const uint8_t *cells, struct heap *to, struct trie_node *names,
                                     struct trie_node *nsec3);

/* ---- image_guard.c: reading what is not proven yet ---- */

/* `sums` is the directory. NULL: out of memory. */
struct image_guard *guard_new(const struct image_header *h, const uint64_t *sums, const uint8_t *cells);
void guard_free(struct image_guard *g); /* NULL is fine */
bool guard_is_damaged(const struct image_guard *g);
/* The next millisecond of the proof; `*more`: it is not complete. */
MUST_CHECK enum err guard_prove(struct image_guard *g, bool *more);
const uint8_t *guard_cells(const struct image_guard *g);

/* ---- image.c ---- */

/* zone_image_open with another bound for what is proven at once. */
MUST_CHECK enum err image_open(const void *bytes, size_t n, struct image_backing *backing, size_t lazy_bytes,
                               struct zone_snap **out);

#endif
