/* Bounds-checked readers and writers of network-order bytes.
 *
 * Every byte from outside is read through `struct rd`, every message is written through `struct wr`. A reader or writer
 * that ran out stays put and says false; callers that write many fields may check `wr_failed` once at the end.
 * Thread: any; no allocation. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

struct rd {
  const uint8_t *at;
  const uint8_t *end;
};

static inline struct rd rd_make(const void *bytes, size_t size_bytes) {
  const uint8_t *p = bytes;
  return (struct rd){p, p ? p + size_bytes : p};
}

static inline size_t rd_left(const struct rd *r) {
  return (size_t)(r->end - r->at);
}

static inline bool rd_skip(struct rd *r, size_t n) {
  if (rd_left(r) < n) return false;
  r->at += n;
  return true;
}

/* Points `*out` at the next n bytes without copying. */
static inline bool rd_bytes(struct rd *r, size_t n, const uint8_t **out) {
  if (rd_left(r) < n) return false;
  *out = r->at;
  r->at += n;
  return true;
}

/* A reader of the next n bytes; this one goes on behind them. */
static inline bool rd_sub(struct rd *r, size_t n, struct rd *out) {
  if (rd_left(r) < n) return false;
  *out = (struct rd){r->at, r->at + n};
  r->at += n;
  return true;
}

static inline uint16_t get_u16(const uint8_t *p) {
  return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_u32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t get_u48(const uint8_t *p) {
  return (uint64_t)get_u16(p) << 32 | get_u32(p + 2);
}

/* One load or store each: compilers do not always make one of several. */
static inline uint64_t get_u64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(v) : v;
}

/* Eight octets of a text, the first one lowest. */
static inline uint64_t get_u64_low(const void *p) {
  uint64_t x;
  memcpy(&x, p, sizeof x);
  return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(x) : x;
}

static inline void put_u16(uint8_t *p, uint16_t v) {
  if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) v = __builtin_bswap16(v);
  memcpy(p, &v, sizeof v);
}

static inline void put_u32(uint8_t *p, uint32_t v) {
  if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) v = __builtin_bswap32(v);
  memcpy(p, &v, sizeof v);
}

static inline void put_u48(uint8_t *p, uint64_t v) {
  put_u16(p, (uint16_t)(v >> 32));
  put_u32(p + 2, (uint32_t)v);
}

static inline void put_u64(uint8_t *p, uint64_t v) {
  if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) v = __builtin_bswap64(v);
  memcpy(p, &v, sizeof v);
}

static inline bool rd_u8(struct rd *r, uint8_t *out) {
  if (rd_left(r) < 1) return false;
  *out = *r->at++;
  return true;
}

static inline bool rd_u16(struct rd *r, uint16_t *out) {
  if (rd_left(r) < 2) return false;
  *out = get_u16(r->at);
  r->at += 2;
  return true;
}

static inline bool rd_u32(struct rd *r, uint32_t *out) {
  if (rd_left(r) < 4) return false;
  *out = get_u32(r->at);
  r->at += 4;
  return true;
}

static inline bool rd_u48(struct rd *r, uint64_t *out) {
  if (rd_left(r) < 6) return false;
  *out = get_u48(r->at);
  r->at += 6;
  return true;
}

static inline bool rd_u64(struct rd *r, uint64_t *out) {
  if (rd_left(r) < 8) return false;
  *out = get_u64(r->at);
  r->at += 8;
  return true;
}

/* What memcpy does, without a call where it is short, as most of what stands in messages is. The copies of each case overlap; there
 * is no loop, for compilers make one instruction of it that is slow to begin. */
static ALWAYS_INLINE void bytes_copy(uint8_t *to, const uint8_t *from, size_t n) {
  enum { WORD_BYTES = 16, LONG_BYTES = 8 * WORD_BYTES };
#define COPY_WORD(at) memcpy(to + (at), from + (at), WORD_BYTES)
  if (n > LONG_BYTES) {
    memcpy(to, from, n);
  } else if (n >= WORD_BYTES) {
    COPY_WORD(0);
    COPY_WORD(n - WORD_BYTES);
    if (n <= 2 * WORD_BYTES) return;
    COPY_WORD(WORD_BYTES);
    COPY_WORD(n - 2 * WORD_BYTES);
    if (n <= 4 * WORD_BYTES) return;
    COPY_WORD(2 * WORD_BYTES);
    COPY_WORD(3 * WORD_BYTES);
    COPY_WORD(n - 3 * WORD_BYTES);
    COPY_WORD(n - 4 * WORD_BYTES);
#undef COPY_WORD
  } else if (n >= 8) {
    memcpy(to, from, 8);
    memcpy(to + n - 8, from + n - 8, 8);
  } else if (n >= 4) {
    memcpy(to, from, 4);
    memcpy(to + n - 4, from + n - 4, 4);
  } else if (n) {
    to[0] = from[0];
    to[n / 2] = from[n / 2];
    to[n - 1] = from[n - 1];
  }
}

/* The bits in which eight octets differ. */
static inline uint64_t bytes_differ(const uint8_t *a, const uint8_t *b) {
  uint64_t x, y;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  return x ^ y;
}

/* What memcmp says of being equal, without a call. The last eight octets overlap those before. */
static inline bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t n) {
  size_t i = 0;
  if (n < 8) {
    while (i < n && a[i] == b[i])
      i++;
    return i == n;
  }
  for (; n - i > 16; i += 8)
    if (bytes_differ(a + i, b + i)) return false;
  return !(bytes_differ(a + i, b + i) | bytes_differ(a + n - 8, b + n - 8));
}

struct wr {
  uint8_t *base;
  uint8_t *at;
  uint8_t *end;
  bool failed; /* something did not fit; nothing was written past that point */
};

static inline struct wr wr_make(void *buffer, size_t size_bytes) {
  uint8_t *p = buffer;
  return (struct wr){p, p, p ? p + size_bytes : p, false};
}

static inline size_t wr_used(const struct wr *w) {
  return (size_t)(w->at - w->base);
}

static inline size_t wr_left(const struct wr *w) {
  return (size_t)(w->end - w->at);
}

static inline bool wr_failed(const struct wr *w) {
  return w->failed;
}

static inline bool wr_room(struct wr *w, size_t n) {
  if (w->failed || wr_left(w) < n) {
    w->failed = true;
    return false;
  }
  return true;
}

static inline bool wr_bytes(struct wr *w, const void *bytes, size_t n) {
  if (!wr_room(w, n)) return false;
  if (n) memcpy(w->at, bytes, n);
  w->at += n;
  return true;
}

static inline bool wr_u8(struct wr *w, uint8_t v) {
  if (!wr_room(w, 1)) return false;
  *w->at++ = v;
  return true;
}

static inline bool wr_u16(struct wr *w, uint16_t v) {
  if (!wr_room(w, 2)) return false;
  put_u16(w->at, v);
  w->at += 2;
  return true;
}

static inline bool wr_u32(struct wr *w, uint32_t v) {
  if (!wr_room(w, 4)) return false;
  put_u32(w->at, v);
  w->at += 4;
  return true;
}

static inline bool wr_u48(struct wr *w, uint64_t v) {
  if (!wr_room(w, 6)) return false;
  put_u48(w->at, v);
  w->at += 6;
  return true;
}

static inline bool wr_u64(struct wr *w, uint64_t v) {
  if (!wr_room(w, 8)) return false;
  put_u64(w->at, v);
  w->at += 8;
  return true;
}

/* ASCII lower case, the only folding DNS names know (RFC 4343). */
static inline uint8_t ascii_lower(uint8_t c) {
  return (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

#endif
