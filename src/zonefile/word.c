/* Words: the one loop that sees most octets of a zone file. With SSE2 or AVX2 it looks at 32 of them at once; which it is is chosen
 * at run time, and all give the same (tests/fuzz/zonefile.c compares them). */
#include "zonefile/scan_priv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { BLOCK_BYTES = 32 };
_Static_assert((int)BLOCK_BYTES <= (int)SCAN_PAD_BYTES, "a block may begin at the text's end");

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

#if defined(__x86_64__)
/* Bit i: what octet i of the block is. */
struct kinds {
  uint32_t word, blank;
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
  return (struct kinds){~bits_sse2(ends_sse2(low), ends_sse2(high)), bits_sse2(blanks_sse2(low), blanks_sse2(high))};
}

static const uint8_t *find_sse2(const uint8_t *p, struct words *w) {
  return find_wide(p, w, look_sse2);
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
  return (struct kinds){~(uint32_t)_mm256_movemask_epi8(ends), (uint32_t)_mm256_movemask_epi8(blanks)};
}

__attribute__((target("avx2"))) static const uint8_t *find_avx2(const uint8_t *p, struct words *w) {
  return find_wide(p, w, look_avx2);
}
#endif

words_find *words_find_of(enum word_width width) {
#if defined(__x86_64__)
  if (width >= WORD_AVX2 && __builtin_cpu_supports("avx2")) return find_avx2;
  if (width >= WORD_SSE2) return find_sse2;
#endif
  (void)width;
  return find_portable;
}
