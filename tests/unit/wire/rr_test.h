/* Records from text and hex, for the tests of wire/. */
#ifndef TESTS_UNIT_WIRE_RR_TEST_H
#define TESTS_UNIT_WIRE_RR_TEST_H

#include "tokens.h"
#include "wire/encoding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS_MAX = 2048 };

struct rdata {
  size_t size;
  uint8_t bytes[LIMIT_MESSAGE_BYTES];
};

static inline uint16_t type_of(const char *text) {
  uint16_t type = 0;
  assert_int_equal(rr_type_from_text(text, strlen(text), &type), ERR_OK);
  return type;
}

static inline enum err rdata_parse(uint16_t type, const char *text, const struct name *origin, struct rdata *out,
                                   struct rr_text_error *error) {
  struct rr_token tokens[TOKENS_MAX];
  struct wr w = wr_make(out->bytes, sizeof out->bytes);
  size_t count = tokens_split(text, strlen(text), tokens_join_values(type), tokens, TOKENS_MAX);
  enum err e = rr_rdata_from_text(type, tokens, count, origin, &w, error);
  out->size = wr_used(&w);
  return e;
}

static inline void rdata_of(const char *type, const char *text, struct rdata *out) {
  struct rr_text_error error = {0};
  if (rdata_parse(type_of(type), text, &name_root, out, &error) != ERR_OK) fail_msg("%s %s: %s", type, text, error.what);
}

static inline void rdata_of_hex(const char *hex, struct rdata *out) {
  struct wr w = wr_make(out->bytes, sizeof out->bytes);
  struct hex_decoder d = {0};
  assert_true(hex_feed(&d, hex, strlen(hex), &w) && hex_complete(&d) && !wr_failed(&w));
  out->size = wr_used(&w);
}

static inline void name_of(const char *text, struct name *out) {
  assert_int_equal(name_from_text(text, strlen(text), NULL, out, NULL, NULL), ERR_OK);
}

#endif
