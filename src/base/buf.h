/* A growing byte buffer and text builder with one owner. Not for the packet path.
 *
 * Zero-initialised is empty; buf_done frees. An append that can't allocate sets `failed` and later appends do nothing,
 * so a builder checks once at the end. Thread: the owner's. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
  uint8_t *data; /* always followed by a NUL that size does not count, once anything was appended */
  size_t size;
  size_t capacity;
  bool failed;
};

void buf_done(struct buf *b);
void buf_clear(struct buf *b); /* empties, keeps the memory */

/* Makes room for n more bytes and returns where they go (size is unchanged), or NULL. */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_add_byte(struct buf *b, uint8_t c);
void buf_add_text(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* The content as a C string; "" when empty. Owned by the buffer. */
const char *buf_text(const struct buf *b);

/* What the word for a counted thing ends in: "%zu zone%s". */
static inline const char *plural(uint64_t count) {
  return count == 1 ? "" : "s";
}

#endif
