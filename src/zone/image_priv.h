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
  uint64_t checksum; /* XXH3 of the header behind this field, seeded with that of the cells, in blocks: image_block_hash */
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

enum { IMAGE_BLOCK_BYTES = 1 << 20 };

struct image_totals { /* found by the verifying walk */
  uint64_t record_count;
  uint64_t name_count;
};

/* Whether the cells are just two tries as layout.c writes them, and nothing else: every reference points where the layout
 * has put that object, every record holds together, keys rise and stand where their symbols say. One pass in memory order. */
bool image_verify(const struct image_header *h, uint8_t *const *table, struct image_totals *out);
/* A record that lies within `cells_left` cells and is well-formed, for an apex of these dimensions. */
bool image_record_sound(const struct zone_node *r, uint64_t cells_left, const struct name *apex, uint64_t *rr_count);

#endif
