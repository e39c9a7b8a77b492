#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256 };

void buf_done(struct buf *b) {
  free(b->data);
  *b = (struct buf){0};
}

void buf_clear(struct buf *b) {
  b->size = 0;
  b->failed = false;
  if (b->data) b->data[0] = 0;
}

uint8_t *buf_reserve(struct buf *b, size_t n) {
  if (b->failed) return NULL;
  if (n >= SIZE_MAX / 2 - b->size) goto fail;
  size_t want = b->size + n + 1;
  if (want > b->capacity) {
    size_t capacity = b->capacity ? b->capacity : FIRST_BYTES;
    while (capacity < want)
      capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (!data) goto fail;
    b->data = data;
    b->capacity = capacity;
  }
  return b->data + b->size;
fail:
  b->failed = true;
  return NULL;
}

void buf_add(struct buf *b, const void *bytes, size_t n) {
  uint8_t *to = buf_reserve(b, n);
  if (!to) return;
  if (n) memcpy(to, bytes, n);
  b->size += n;
  b->data[b->size] = 0;
}

void buf_add_byte(struct buf *b, uint8_t c) {
  buf_add(b, &c, 1);
}

void buf_add_text(struct buf *b, const char *text) {
  buf_add(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  uint8_t *to = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
  if (to) {
    vsnprintf((char *)to, (size_t)n + 1, format, again);
    b->size += (size_t)n;
  }
  va_end(again);
}

const char *buf_text(const struct buf *b) {
  return b->size ? (const char *)b->data : "";
}
