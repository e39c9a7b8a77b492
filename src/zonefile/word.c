/* Words: the one loop that sees most octets of a zone file. With SSE2, AVX2 or NEON it looks at 32 of them at once; which it is is
 * chosen at run time, and all give the same (tests/unit/zonefile compares them; tests/processors runs that where there is NEON). */
#include "zonefile/scan_priv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { BLOCK_BYTES = 32 };
_Static_assert(2 * BLOCK_BYTES <= (int)SCAN_PAD_BYTES, "two blocks may begin at the text's end");

/* What token.c calls C_WORD. */
static const bool goes_on[256] = {
    [0x21] = true, [0x23 ... 0x27] = true, [0x2a ... 0x3a] = true, [0x3c ... 0x5b] = true, [0x5d ... 0x7e] = true,
};

static bool is_blank(uint8_t c) {
  return c == ' ' || c == '\t' || c == '\r';
}

/* What may be inside a word, but takes care. */
static bool is_special(uint8_t c) {
  return c == '\\' || c >= 128;
}

static inline void put(struct words *w, const uint8_t *start, const uint8_t *end) {
  w->list[w->count++] =
      (struct rr_token){(const char *)start, (uint32_t)(end - start), w->line, (uint32_t)(start - w->line_start) + 1, false};
}

static const uint8_t *find_portable(const uint8_t *p, struct words *w) {
  while (w->count < w->room) {
    while (is_blank(*p))
      p++;
    const uint8_t *start = p;
    while (goes_on[*p])
      p++;
    if (p == start || is_special(*p)) return start;
    put(w, start, p);
  }
  return p;
}

#if defined(__x86_64__) || defined(__aarch64__)
/* Bit i: what octet i of the block is. */
struct kinds {
  uint32_t word, blank, dot;
};

/* Goes from edge to edge between words and blanks. */
static inline __attribute__((always_inline)) const uint8_t *find_wide(const uint8_t *p, struct words *w,
                                                                      struct kinds (*look)(const uint8_t *)) {
  const uint8_t *start = NULL; /* of the word that goes on over the block's end */
  for (;; p += BLOCK_BYTES) {
    struct kinds k = look(p);
    uint32_t others = ~(k.word | k.blank), before = others ? (others & -others) - 1 : UINT32_MAX;
    uint32_t edges = (k.word ^ (k.word << 1 | (start != NULL))) & before;
    while (edges) {
      const uint8_t *at = p + __builtin_ctz(edges);
      edges &= edges - 1;
      if (!start) {
        if (w->count == w->room) return at;
        start = at;
        if (!edges) break;
        at = p + __builtin_ctz(edges);
        edges &= edges - 1;
      }
      put(w, start, at);
      start = NULL;
    }
    if (!others) continue;
    p += __builtin_ctz(others);
    if (start && is_special(*p)) return start;
    if (start) put(w, start, p);
    return p;
  }
}

static inline __attribute__((always_inline)) struct line_octets line_wide(const uint8_t *p, struct kinds (*look)(const uint8_t *)) {
  struct kinds low = look(p), high = look(p + BLOCK_BYTES);
  return (struct line_octets){(uint64_t)high.word << 32 | low.word, (uint64_t)high.blank << 32 | low.blank,
                              (uint64_t)high.dot << 32 | low.dot};
}

#endif

#if defined(__x86_64__)
/* Signed, so that octets over 127 are below the blank like control characters. */
static inline __m128i ends_sse2(__m128i x) {
  __m128i ends = _mm_cmplt_epi8(x, _mm_set1_epi8(0x21));
  ends = _mm_or_si128(ends, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)));
  ends = _mm_or_si128(ends, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
  ends = _mm_or_si128(ends, _mm_cmpeq_epi8(_mm_or_si128(x, _mm_set1_epi8(1)), _mm_set1_epi8(')'))); /* and ( */
  ends = _mm_or_si128(ends, _mm_cmpeq_epi8(x, _mm_set1_epi8(';')));
  return _mm_or_si128(ends, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
}

static inline __m128i blanks_sse2(__m128i x) {
  __m128i blanks = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\t')));
  return _mm_or_si128(blanks, _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
}

static inline uint32_t bits_sse2(__m128i low, __m128i high) {
  return (uint32_t)_mm_movemask_epi8(low) | (uint32_t)_mm_movemask_epi8(high) << 16;
}

static inline struct kinds look_sse2(const uint8_t *p) {
  __m128i low = _mm_loadu_si128((const __m128i *)(const void *)p), high = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));
  const __m128i dot = _mm_set1_epi8('.');
  return (struct kinds){~bits_sse2(ends_sse2(low), ends_sse2(high)), bits_sse2(blanks_sse2(low), blanks_sse2(high)),
                        bits_sse2(_mm_cmpeq_epi8(low, dot), _mm_cmpeq_epi8(high, dot))};
}

static const uint8_t *find_sse2(const uint8_t *p, struct words *w) {
  return find_wide(p, w, look_sse2);
}

static struct line_octets line_sse2(const uint8_t *p) {
  return line_wide(p, look_sse2);
}

__attribute__((target("avx2"))) static inline struct kinds look_avx2(const uint8_t *p) {
  __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
  __m256i ends = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x21), x);
  ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(x, _mm256_set1_epi8(0x7f)));
  ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('"')));
  ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(_mm256_or_si256(x, _mm256_set1_epi8(1)), _mm256_set1_epi8(')')));
  ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(x, _mm256_set1_epi8(';')));
  ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\\')));
  __m256i blanks = _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8(' ')), _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\t')));
  blanks = _mm256_or_si256(blanks, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\r')));
  return (struct kinds){~(uint32_t)_mm256_movemask_epi8(ends), (uint32_t)_mm256_movemask_epi8(blanks),
                        (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('.')))};
}

__attribute__((target("avx2"))) static const uint8_t *find_avx2(const uint8_t *p, struct words *w) {
  return find_wide(p, w, look_avx2);
}

__attribute__((target("avx2"))) static struct line_octets line_avx2(const uint8_t *p) {
  return line_wide(p, look_avx2);
}
#endif

#if defined(__aarch64__)
static inline uint8x16_t is_neon(uint8x16_t x, char c) {
  return vceqq_u8(x, vdupq_n_u8((uint8_t)c));
}

static inline uint8x16_t ends_neon(uint8x16_t x) {
  uint8x16_t ends = vorrq_u8(vcltq_u8(x, vdupq_n_u8(0x21)), vcgeq_u8(x, vdupq_n_u8(0x7f)));
  ends = vorrq_u8(ends, vorrq_u8(is_neon(x, '"'), is_neon(vorrq_u8(x, vdupq_n_u8(1)), ')'))); /* and ( */
  return vorrq_u8(ends, vorrq_u8(is_neon(x, ';'), is_neon(x, '\\')));
}

static inline uint8x16_t blanks_neon(uint8x16_t x) {
  return vorrq_u8(vorrq_u8(is_neon(x, ' '), is_neon(x, '\t')), is_neon(x, '\r'));
}

/* One bit of each octet that is all ones, added up by pairs three times. */
static inline uint32_t bits_neon(uint8x16_t low, uint8x16_t high) {
  const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  uint8x16_t sum = vpaddq_u8(vandq_u8(low, bit), vandq_u8(high, bit));
  sum = vpaddq_u8(sum, sum);
  sum = vpaddq_u8(sum, sum);
  return vgetq_lane_u32(vreinterpretq_u32_u8(sum), 0);
}

static inline struct kinds look_neon(const uint8_t *p) {
  uint8x16_t low = vld1q_u8(p), high = vld1q_u8(p + 16);
  return (struct kinds){~bits_neon(ends_neon(low), ends_neon(high)), bits_neon(blanks_neon(low), blanks_neon(high)),
                        bits_neon(is_neon(low, '.'), is_neon(high, '.'))};
}

static const uint8_t *find_neon(const uint8_t *p, struct words *w) {
  return find_wide(p, w, look_neon);
}

static struct line_octets line_neon(const uint8_t *p) {
  return line_wide(p, look_neon);
}
#endif

struct word_ways word_ways_of(enum word_width width) {
#if defined(__x86_64__)
  if (width >= WORD_AVX2 && __builtin_cpu_supports("avx2")) return (struct word_ways){find_avx2, line_avx2};
  if (width >= WORD_SSE2) return (struct word_ways){find_sse2, line_sse2};
#elif defined(__aarch64__)
  if (width >= WORD_NEON) return (struct word_ways){find_neon, line_neon};
#endif
  (void)width;
  return (struct word_ways){find_portable, NULL};
}
