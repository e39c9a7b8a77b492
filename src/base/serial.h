/* Serial number arithmetic (RFC 1982 §3). Thread: any. */
#ifndef BASE_SERIAL_H
#define BASE_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a is greater than b. At a distance of exactly 2^31 neither is. */
static inline bool serial_gt(uint32_t a, uint32_t b) {
  return a != b && (uint32_t)(a - b) < UINT32_C(0x80000000);
}

#endif
