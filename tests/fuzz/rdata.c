/* The first two octets choose a type, the rest is RDATA, once as wire form and once as text. Whatever is taken makes the round
 * trip through the other form unchanged, and its canonical form is stable. */
#include "../unit/wire/tokens.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKENS_MAX = 65536 + 4 }; /* a bitmap may hold every type there is */
static struct rr_token tokens[TOKENS_MAX];
static uint8_t wire[LIMIT_MESSAGE_BYTES], again[LIMIT_MESSAGE_BYTES];

static enum err parse(uint16_t type, const char *text, size_t n, uint8_t *to, size_t *size) {
  struct rr_text_error error = {.what = "", .hint = NULL, .token = SIZE_MAX};
  struct wr w = wr_make(to, LIMIT_MESSAGE_BYTES);
  size_t count = tokens_split(text, n, tokens_join_values(type), tokens, TOKENS_MAX);
  enum err e = rr_rdata_from_text(type, tokens, count, &name_root, &w, &error);
  if (e == ERR_OK) assert(rr_rdata_check(type, to, wr_used(&w)) == ERR_OK);
  else assert(wr_used(&w) == 0 && error.what[0] && error.hint && error.token <= count);
  *size = wr_used(&w);
  return e;
}

static void check_round_trip(uint16_t type, const uint8_t *rdata, size_t n) {
  struct buf text = {0}, json = {0};
  size_t back;
  rr_rdata_text(type, rdata, n, &text);
  assert(!text.failed && parse(type, buf_text(&text), text.size, again, &back) == ERR_OK);
  assert(back == n && memcmp(again, rdata, n) == 0);
  rr_rdata_json(type, rdata, n, &json);
  assert(!json.failed && json.data[0] == '{' && json.data[json.size - 1] == '}');
  buf_done(&text);
  buf_done(&json);
  rr_rdata_canonical(type, again, n);
  assert(rr_rdata_check(type, again, n) == ERR_OK && rr_rdata_compare(type, rdata, n, again, n) == 0);
  const uint8_t *target;
  if (rr_rdata_target(type, rdata, n, &target)) assert(target >= rdata && target + name_wire_size(target) <= rdata + n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2 || size > 20000) return 0;
  uint16_t type = get_u16(data);
  if (type >= 512 && type < 32768) type = rr_row_at(type % rr_row_count())->type;
  size_t n = size - 2, taken;
  uint8_t *rdata = malloc(n ? n : 1); /* exact size, so that a read past the end is seen */
  if (!rdata) abort();
  if (n) memcpy(rdata, data + 2, n);
  if (rr_rdata_check(type, rdata, n) == ERR_OK) check_round_trip(type, rdata, n);
  if (parse(type, (const char *)rdata, n, wire, &taken) == ERR_OK) check_round_trip(type, wire, taken);
  free(rdata);
  return 0;
}
