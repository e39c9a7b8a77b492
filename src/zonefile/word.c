/* Where a word ends: the one loop that sees most octets of a zone file. With SSE2 or AVX2 it looks at 16 or 32 of them at once;
 * which it is is chosen at run time, and all give the same (tests/fuzz/zonefile.c compares them). */
#include "zonefile/scan_priv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* What token.c calls C_WORD. */
static const bool goes_on[256] = {
    [0x21] = true, [0x23 ... 0x27] = true, [0x2a ... 0x3a] = true, [0x3c ... 0x5b] = true, [0x5d ... 0x7e] = true,
};

static const uint8_t *end_portable(const uint8_t *p) {
  while (goes_on[*p])
    p++;
  return p;
}

#if defined(__x86_64__)
/* Signed, so that octets over 127 are below the blank like control characters. */
static const uint8_t *end_sse2(const uint8_t *p) {
  for (;; p += 16) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i ends = _mm_cmplt_epi8(x, _mm_set1_epi8(0x21));
    ends = _mm_or_si128(ends, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)));
    ends = _mm_or_si128(ends, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
    ends = _mm_or_si128(ends, _mm_cmpeq_epi8(_mm_or_si128(x, _mm_set1_epi8(1)), _mm_set1_epi8(')'))); /* and ( */
    ends = _mm_or_si128(ends, _mm_cmpeq_epi8(x, _mm_set1_epi8(';')));
    ends = _mm_or_si128(ends, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    unsigned at = (unsigned)_mm_movemask_epi8(ends);
    if (at) return p + __builtin_ctz(at);
  }
}

__attribute__((target("avx2"))) static const uint8_t *end_avx2(const uint8_t *p) {
  for (;; p += 32) {
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i ends = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x21), x);
    ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(x, _mm256_set1_epi8(0x7f)));
    ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('"')));
    ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(_mm256_or_si256(x, _mm256_set1_epi8(1)), _mm256_set1_epi8(')')));
    ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(x, _mm256_set1_epi8(';')));
    ends = _mm256_or_si256(ends, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\\')));
    unsigned at = (unsigned)_mm256_movemask_epi8(ends);
    if (at) return p + __builtin_ctz(at);
  }
}
#endif

word_end *word_end_of(enum word_width width) {
#if defined(__x86_64__)
  if (width >= WORD_AVX2 && __builtin_cpu_supports("avx2")) return end_avx2;
  if (width >= WORD_SSE2) return end_sse2;
#endif
  (void)width;
  return end_portable;
}
