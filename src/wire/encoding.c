#include "wire/encoding.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

/* ---- digits ---- */

enum { NO_DIGIT = 0xff };

/* Of base32hex, and of hex, whose digits are the first 16. */
static const uint8_t base32_values[256] = {
    [0 ... 0x2f] = NO_DIGIT,
    ['0'] = 0,
    ['1'] = 1,
    ['2'] = 2,
    ['3'] = 3,
    ['4'] = 4,
    ['5'] = 5,
    ['6'] = 6,
    ['7'] = 7,
    ['8'] = 8,
    ['9'] = 9,
    [0x3a ... 0x40] = NO_DIGIT,
    ['A'] = 10,
    ['B'] = 11,
    ['C'] = 12,
    ['D'] = 13,
    ['E'] = 14,
    ['F'] = 15,
    ['G'] = 16,
    ['H'] = 17,
    ['I'] = 18,
    ['J'] = 19,
    ['K'] = 20,
    ['L'] = 21,
    ['M'] = 22,
    ['N'] = 23,
    ['O'] = 24,
    ['P'] = 25,
    ['Q'] = 26,
    ['R'] = 27,
    ['S'] = 28,
    ['T'] = 29,
    ['U'] = 30,
    ['V'] = 31,
    [0x57 ... 0x60] = NO_DIGIT,
    ['a'] = 10,
    ['b'] = 11,
    ['c'] = 12,
    ['d'] = 13,
    ['e'] = 14,
    ['f'] = 15,
    ['g'] = 16,
    ['h'] = 17,
    ['i'] = 18,
    ['j'] = 19,
    ['k'] = 20,
    ['l'] = 21,
    ['m'] = 22,
    ['n'] = 23,
    ['o'] = 24,
    ['p'] = 25,
    ['q'] = 26,
    ['r'] = 27,
    ['s'] = 28,
    ['t'] = 29,
    ['u'] = 30,
    ['v'] = 31,
    [0x77 ... 0xff] = NO_DIGIT,
};

static uint8_t base32_value(char c) {
  return base32_values[(uint8_t)c];
}

static uint8_t base64_value(char c) {
  if (c >= 'a' && c <= 'z') return (uint8_t)(c - 'a' + 26);
  if (c >= 'A' && c <= 'Z') return (uint8_t)(c - 'A');
  if (c >= '0' && c <= '9') return (uint8_t)(c - '0' + 52);
  return c == '+' ? 62 : c == '/' ? 63 : NO_DIGIT;
}

/* ---- hex ---- */

/* Octets whose two digits stand here. How many characters they are. */
static size_t hex_pairs(const char *text, size_t n, struct wr *out) {
  size_t i = 0, room = wr_failed(out) ? 0 : wr_left(out);
  uint8_t *to = out->at;
  for (; n - i >= 2 && room > 0; i += 2, room--) {
    uint8_t high = base32_value(text[i]), low = base32_value(text[i + 1]);
    if ((high | low) > 15) break;
    *to++ = (uint8_t)(high << 4 | low);
  }
  out->at = to;
  return i;
}

bool hex_feed(struct hex_decoder *d, const char *text, size_t n, struct wr *out) {
  for (size_t i = d->half ? 0 : hex_pairs(text, n, out); i < n; i++) {
    uint8_t v = base32_value(text[i]);
    if (v > 15) return false;
    if (d->half) wr_u8(out, (uint8_t)(d->high << 4 | v));
    d->high = d->half ? 0 : v;
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

#if defined(__x86_64__)
/* 16 digits at a time to 12 octets, after Muła and Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions" (2018):
 * two look-ups by the halves of an octet have a bit in common where it is no digit, and a third one says what is to be added to it.
 */
__attribute__((target("ssse3"))) static size_t base64_wide(const char *text, size_t n, struct wr *out) {
  enum { DIGITS = 16, OCTETS = 12 };
  const __m128i lows =
      _mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a);
  const __m128i highs =
      _mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10);
  const __m128i shifts = _mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0), slash = _mm_set1_epi8('/');
  const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
  size_t i = 0;
  for (; n - i >= DIGITS && wr_left(out) >= DIGITS; i += DIGITS) { /* what it writes too much is written over, or not looked at */
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
    __m128i high = _mm_and_si128(_mm_srli_epi32(x, 4), slash), low = _mm_and_si128(x, slash);
    __m128i wrong = _mm_and_si128(_mm_shuffle_epi8(lows, low), _mm_shuffle_epi8(highs, high));
    if (_mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm_setzero_si128())) != 0xffff) break;
    x = _mm_add_epi8(x, _mm_shuffle_epi8(shifts, _mm_add_epi8(_mm_cmpeq_epi8(x, slash), high)));
    x = _mm_madd_epi16(_mm_maddubs_epi16(x, _mm_set1_epi32(0x01400140)), _mm_set1_epi32(0x00011000));
    _mm_storeu_si128((__m128i *)(void *)out->at, _mm_shuffle_epi8(x, order));
    out->at += OCTETS;
  }
  return i;
}
#endif

/* Whole groups of four digits without padding. How many characters they are. */
static size_t base64_groups(const char *text, size_t n, struct wr *out) {
  size_t i = 0;
  if (wr_failed(out)) return 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("ssse3")) i = base64_wide(text, n, out);
#endif
  for (; n - i >= 4 && wr_left(out) >= 3; i += 4) {
    const char *p = text + i;
    uint8_t a = base64_value(p[0]), b = base64_value(p[1]), c = base64_value(p[2]), d = base64_value(p[3]);
    if ((a | b | c | d) > 63) break;
    *out->at++ = (uint8_t)(a << 2 | b >> 4);
    *out->at++ = (uint8_t)(b << 4 | c >> 2);
    *out->at++ = (uint8_t)(c << 6 | d);
  }
  return i;
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
    if (!d->digits && !d->padding && n - i >= 4) i += base64_groups(text + i, n - i, out);
    if (i == n) break;
    uint8_t v = base64_value(text[i]);
    if (text[i] == '=') {
      if (d->digits < 2) return false;
      d->padding++;
      v = 0;
    } else if (v > 63 || d->padding) {
      return false;
    }
    d->bits = d->bits << 6 | v;
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

/* Whole groups of eight digits, which are five octets. How many characters they are. */
static size_t base32_groups(const char *text, size_t n, struct wr *out) {
  size_t i = 0;
  for (; n - i >= 8 && !wr_failed(out) && wr_left(out) >= 5; i += 8) {
    uint64_t bits = 0;
    uint8_t all = 0;
    for (unsigned k = 0; k < 8; k++) {
      uint8_t v = base32_value(text[i + k]);
      all |= v;
      bits = bits << 5 | v;
    }
    if (all > 31) break;
    *out->at++ = (uint8_t)(bits >> 32);
    put_u32(out->at, (uint32_t)bits);
    out->at += 4;
  }
  return i;
}

bool base32hex_decode(const char *text, size_t n, struct wr *out) {
  uint32_t bits = 0;
  unsigned count = 0; /* bits pending, below 8 between digits */
  for (size_t i = base32_groups(text, n, out); i < n; i++) {
    uint8_t v = base32_value(text[i]);
    if (v > 31) return false;
    bits = (bits << 5 | v) & 0xfff;
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
