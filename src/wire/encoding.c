#include "wire/encoding.h"

void escape_print(const uint8_t *bytes, size_t n, struct buf *out) {
  uint8_t *start = buf_reserve(out, 4 * n), *to = start;
  if (!to) return;
  for (size_t i = 0; i < n; i++) {
    uint8_t c = bytes[i];
    if (c < 0x20 || c > 0x7e) {
      *to++ = '\\';
      *to++ = (uint8_t)('0' + c / 100);
      *to++ = (uint8_t)('0' + c / 10 % 10);
      *to++ = (uint8_t)('0' + c % 10);
      continue;
    }
    if (c == '"' || c == '\\') *to++ = '\\';
    *to++ = c;
  }
  out->size += (size_t)(to - start);
  *to = 0;
}

/* ---- hex ---- */

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  char lower = (char)(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool hex_feed(struct hex_decoder *d, const char *text, size_t n, struct wr *out) {
  for (size_t i = 0; i < n; i++) {
    int v = hex_value(text[i]);
    if (v < 0) return false;
    if (d->half) wr_u8(out, (uint8_t)(d->high << 4 | v));
    d->high = (uint8_t)v;
    d->half = !d->half;
  }
  return true;
}

void hex_print(const uint8_t *bytes, size_t n, struct buf *out) {
  static const char digits[] = "0123456789ABCDEF";
  uint8_t *to = buf_reserve(out, 2 * n);
  if (!to) return;
  for (size_t i = 0; i < n; i++) {
    *to++ = (uint8_t)digits[bytes[i] >> 4];
    *to++ = (uint8_t)digits[bytes[i] & 15];
  }
  out->size += 2 * n;
  *to = 0;
}

/* ---- base64 ---- */

static int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The group of four is full: writes its octets. False if bits that the padding leaves over are not zero. */
static bool base64_flush(struct base64_decoder *d, struct wr *out) {
  unsigned octets = 3u - d->padding;
  if (d->bits & ((1u << 8 * d->padding) - 1)) return false;
  for (unsigned i = 0; i < octets; i++)
    wr_u8(out, (uint8_t)(d->bits >> (16 - 8 * i)));
  d->bits = 0;
  d->digits = 0;
  return true;
}

bool base64_feed(struct base64_decoder *d, const char *text, size_t n, struct wr *out) {
  for (size_t i = 0; i < n; i++) {
    int v = base64_value(text[i]);
    if (text[i] == '=') {
      if (d->digits < 2) return false;
      d->padding++;
      v = 0;
    } else if (v < 0 || d->padding) {
      return false;
    }
    d->bits = d->bits << 6 | (uint32_t)v;
    if (++d->digits == 4 && !base64_flush(d, out)) return false;
  }
  return true;
}

void base64_print(const uint8_t *bytes, size_t n, struct buf *out) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t size = (n + 2) / 3 * 4;
  uint8_t *to = buf_reserve(out, size);
  if (!to) return;
  for (size_t i = 0; i < n; i += 3) {
    size_t left = n - i;
    uint32_t bits = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0u);
    *to++ = (uint8_t)digits[bits >> 18];
    *to++ = (uint8_t)digits[bits >> 12 & 63];
    *to++ = left > 1 ? (uint8_t)digits[bits >> 6 & 63] : '=';
    *to++ = left > 2 ? (uint8_t)digits[bits & 63] : '=';
  }
  out->size += size;
  *to = 0;
}

/* ---- base32hex ---- */

static int base32_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  char lower = (char)(c | 0x20);
  return lower >= 'a' && lower <= 'v' ? lower - 'a' + 10 : -1;
}

bool base32hex_decode(const char *text, size_t n, struct wr *out) {
  uint32_t bits = 0;
  unsigned count = 0; /* bits pending, below 8 between digits */
  for (size_t i = 0; i < n; i++) {
    int v = base32_value(text[i]);
    if (v < 0) return false;
    bits = (bits << 5 | (uint32_t)v) & 0xfff;
    count += 5;
    if (count >= 8) {
      count -= 8;
      wr_u8(out, (uint8_t)(bits >> count));
    }
  }
  return count < 5 && (bits & ((1u << count) - 1)) == 0;
}

void base32hex_print(const uint8_t *bytes, size_t n, struct buf *out) {
  static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
  size_t size = (n * 8 + 4) / 5;
  uint8_t *to = buf_reserve(out, size);
  if (!to) return;
  uint32_t bits = 0;
  unsigned count = 0;
  for (size_t i = 0; i < n; i++) {
    bits = (bits << 8 | bytes[i]) & 0xffff;
    for (count += 8; count >= 5; count -= 5)
      *to++ = (uint8_t)digits[bits >> (count - 5) & 31];
  }
  if (count) *to++ = (uint8_t)digits[bits << (5 - count) & 31];
  out->size += size;
  *to = 0;
}
