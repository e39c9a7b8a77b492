/* Zone names for people: without the final dot, which only the root keeps. */
#ifndef TANDEM_NAMES_H
#define TANDEM_NAMES_H

#include "wire/name.h"

static inline const char *zone_text(const struct name *zone, char out[NAME_TEXT_BYTES]) {
  size_t n = strlen(name_text(zone, out));
  if (n > 1) out[n - 1] = 0;
  return out;
}

#endif
