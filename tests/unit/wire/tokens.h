/* Splits the text of one record's RDATA into tokens the way zonefile/ hands them to wire/: blanks separate, quotes enclose
 * (escapes are kept), key="value" is one token for SVCB and HTTPS. For tests and fuzzers. */
#ifndef TESTS_UNIT_WIRE_TOKENS_H
#define TESTS_UNIT_WIRE_TOKENS_H

#include "wire/rr.h"

/* Behind a quoted string that begins at p, or end. */
static inline const char *token_behind_quotes(const char *p, const char *end) {
  for (p++; p < end && *p != '"'; p++)
    if (*p == '\\' && p + 1 < end) p++;
  return p < end ? p + 1 : end;
}

static inline size_t tokens_split(const char *text, size_t n, bool join_values, struct rr_token *out, size_t capacity) {
  const char *p = text, *end = text + n;
  size_t count = 0;
  while (count < capacity) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t'))
      p++;
    if (p == end) break;
    const char *start = p;
    if (*p == '"') {
      p = token_behind_quotes(p, end);
      size_t inner = (size_t)(p - start) - (p - start >= 2 && p[-1] == '"' ? 2 : 1);
      out[count++] = (struct rr_token){.text = start + 1, .size = (uint32_t)inner, .line = 1, .quoted = true};
      continue;
    }
    while (p < end && *p != ' ' && *p != '\n' && *p != '\t') {
      if (*p == '"' && !join_values) break;
      if (*p == '"') p = token_behind_quotes(p, end);
      else p += *p == '\\' && p + 1 < end ? 2 : 1;
    }
    out[count++] = (struct rr_token){.text = start, .size = (uint32_t)(p - start), .line = 1, .quoted = false};
  }
  return count;
}

static inline bool tokens_join_values(uint16_t type) {
  return type == RR_SVCB || type == RR_HTTPS;
}

#endif
