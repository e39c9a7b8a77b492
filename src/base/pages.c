#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

void pages_expect(void *at, size_t n) {
  static const uintptr_t large = 2 << 20;
  uintptr_t from = ((uintptr_t)at + large - 1) & ~(large - 1), to = ((uintptr_t)at + n) & ~(large - 1);
  if (from < to) (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
}
