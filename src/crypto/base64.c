#include "crypto/digest.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

/* One group of four characters into 1-3 octets; returns how many, 0 if it is malformed. Only the last may be padded. */
static size_t decode_group(const char *text, bool last, uint8_t out[3]) {
  unsigned padding = 0;
  if (last && text[3] == '=') padding = text[2] == '=' ? 2 : 1;
  uint32_t bits = 0;
  for (unsigned i = 0; i < 4 - padding; i++) {
    int v = value_of(text[i]);
    if (v < 0) return 0;
    bits |= (uint32_t)v << (18 - 6 * i);
  }
  if (padding == 2 && (bits & 0xffff)) return 0;
  if (padding == 1 && (bits & 0xff)) return 0;
  out[0] = (uint8_t)(bits >> 16);
  out[1] = (uint8_t)(bits >> 8);
  out[2] = (uint8_t)bits;
  return 3 - padding;
}

enum err base64_decode(const char *text, size_t n, uint8_t *out, size_t capacity, size_t *out_size) {
  if (n % 4) return ERR_FORMAT;
  size_t used = 0;
  for (size_t i = 0; i < n; i += 4) {
    uint8_t group[3];
    size_t size = decode_group(text + i, i + 4 == n, group);
    if (size == 0) return ERR_FORMAT;
    if (capacity - used < size) return ERR_SPACE;
    for (size_t k = 0; k < size; k++)
      out[used++] = group[k];
  }
  *out_size = used;
  return ERR_OK;
}

void base64_encode(const uint8_t *bytes, size_t n, char *out) {
  for (size_t i = 0; i < n; i += 3) {
    size_t left = n - i;
    uint32_t bits = (uint32_t)bytes[i] << 16;
    if (left > 1) bits |= (uint32_t)bytes[i + 1] << 8;
    if (left > 2) bits |= bytes[i + 2];
    *out++ = alphabet[bits >> 18];
    *out++ = alphabet[bits >> 12 & 63];
    *out++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
    *out++ = left > 2 ? alphabet[bits & 63] : '=';
  }
  *out = '\0';
}
