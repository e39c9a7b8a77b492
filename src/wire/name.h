/* Domain names (RFC 1035 §3.1, §4.1.4, §5.1; RFC 4343; RFC 4034 §6.1).
 *
 * A `struct name` is the uncompressed wire form in its original case. Comparing folds ASCII case. Two further forms:
 *
 *   text   "www.example.com." with \. \\ \DDD escapes
 *   key    the order key of zone/: labels from the root down, folded to lower case, each ended by 00; the bytes 00 and 01
 *          inside a label are written 01 01 and 01 02. memcmp of keys is canonical order, and the key of every ancestor
 *          is a prefix. www.example.com -> "com\0example\0www\0"; the root's key is empty.
 *
 * Thread: any; no allocation. */
#ifndef WIRE_NAME_H
#define WIRE_NAME_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

struct name {
  uint8_t size;   /* octets used, with the root's 00; 1 for the root */
  uint8_t labels; /* without the root; 0 for the root */
  uint8_t octets[LIMIT_NAME_BYTES];
};

enum {
  NAME_TEXT_BYTES = 4 * LIMIT_NAME_BYTES + 2,
  NAME_KEY_BYTES = 2 * LIMIT_NAME_BYTES + 18, /* the longest has 508; name_key may write into the rest */
};

extern const struct name name_root;

/* How much room a name needs that is kept where there is not all of it: what is in use, and what name_key may read behind that. */
static inline size_t name_room(const struct name *n) {
  enum { READ_BEHIND_BYTES = 15 };
  size_t bytes = offsetof(struct name, octets) + n->size + READ_BEHIND_BYTES;
  return bytes < sizeof *n ? bytes : sizeof *n;
}

/* Copies the octets in use, not the whole room. */
static inline void name_copy(struct name *to, const struct name *from) {
  to->size = from->size;
  to->labels = from->labels;
  memmove(to->octets, from->octets, from->size);
}

/* From text. A name without a final dot is relative to `origin` (NULL: ERR_NOT_FOUND for a relative name). "@" is the
 * origin. `*bad` (may be NULL) is the offset of the offending byte, `*why` (may be NULL) a static text such as
 * "label longer than 63 octets". */
MUST_CHECK enum err name_from_text(const char *text, size_t n, const struct name *origin, struct name *out, size_t *bad,
                                   const char **why);
/* As text with a final dot; returns `out`. Reading it back gives the identical name. */
const char *name_text(const struct name *n, char out[NAME_TEXT_BYTES]);

/* Reads an uncompressed name: a pointer is ERR_FORMAT. */
MUST_CHECK enum err name_read_plain(struct rd *r, struct name *out);
/* Reads a possibly compressed name of a message that starts at `message`. Pointers must go backwards; `r` ends up behind the
 * name as it stands in place. */
MUST_CHECK enum err name_read(struct rd *r, const uint8_t *message, struct name *out);
/* From wire octets known to be a valid uncompressed name (zone data); asserts its bounds. */
void name_from_wire(const uint8_t *octets, struct name *out);
/* Octets of the uncompressed name at `octets`, which must be valid. */
size_t name_wire_size(const uint8_t *octets);

bool name_equal(const struct name *a, const struct name *b);           /* ignoring case */
bool name_identical(const struct name *a, const struct name *b);       /* with case */
int name_compare(const struct name *a, const struct name *b);          /* canonical order, RFC 4034 §6.1 */
bool name_is_under(const struct name *n, const struct name *ancestor); /* equal or below, ignoring case */
bool name_is_wildcard(const struct name *n);                           /* leftmost label is "*" */
void name_lower(struct name *n);
/* The name without its `count` leftmost labels; `count` <= labels. */
void name_strip(const struct name *n, unsigned count, struct name *out);
/* prefix labels of n in front of suffix: prefix_labels leftmost labels of n + suffix. ERR_RANGE if over 255 octets. */
MUST_CHECK enum err name_join(const struct name *n, unsigned prefix_labels, const struct name *suffix, struct name *out);
/* "*." in front of n. */
MUST_CHECK enum err name_wildcard_of(const struct name *n, struct name *out);

/* The order key; returns its size. */
size_t name_key(const struct name *n, uint8_t out[NAME_KEY_BYTES]);
/* The same with the offsets of the name's labels known. */
size_t name_key_at(const struct name *n, const uint8_t *label_at, uint8_t out[NAME_KEY_BYTES]);
/* The part of it that the `count` leftmost labels have; whether they have upper case. */
size_t name_key_labels(const struct name *n, const uint8_t *label_at, unsigned count, uint8_t out[NAME_KEY_BYTES], bool *upper);
/* The same of a name whose labels but the first are those of `parent_key`, the beginning of a buffer of NAME_KEY_BYTES. */
size_t name_key_beside(const uint8_t *parent_key, size_t parent_size, const struct name *n, uint8_t out[NAME_KEY_BYTES]);
/* The same of the uncompressed name at `octets`, which must be valid. */
size_t name_key_wire(const uint8_t *octets, uint8_t out[NAME_KEY_BYTES]);
/* Back from a key (always lower case). Asserts that it is one. */
void name_from_key(const uint8_t *key, size_t size, struct name *out);

#endif
