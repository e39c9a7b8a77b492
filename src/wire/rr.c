/* The table of types and its look-ups by number and mnemonic. */
#include "wire/rr.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define FIELD_COUNT(...) (uint8_t)(sizeof((struct rr_field[]){__VA_ARGS__}) / sizeof(struct rr_field))

static const struct rr_row rows[] = {
#define RR(mnemonic, code, flags, rfc, ...) {#mnemonic, code, flags, FIELD_COUNT(__VA_ARGS__), rfc, {__VA_ARGS__}},
#define RR_DASHED(identifier, mnemonic, code, flags, rfc, ...) \
  {mnemonic, code, flags, FIELD_COUNT(__VA_ARGS__), rfc, {__VA_ARGS__}},
#include "wire/rr_table.def"
#undef RR
#undef RR_DASHED
};

enum row_number {
#define RR(mnemonic, ...) ROW_##mnemonic,
#define RR_DASHED(identifier, ...) ROW_##identifier,
#include "wire/rr_table.def"
#undef RR
#undef RR_DASHED
  ROW_COUNT
};

/* Row number + 1 by type, 0 for none. As long as the highest code; only the octets of types in use are ever touched. */
static const uint8_t row_of_type[] = {
#define RR(mnemonic, code, ...) [code] = ROW_##mnemonic + 1,
#define RR_DASHED(identifier, mnemonic, code, ...) [code] = ROW_##identifier + 1,
#include "wire/rr_table.def"
#undef RR
#undef RR_DASHED
};
static_assert(ROW_COUNT < 255, "row_of_type holds row numbers in one octet");

const struct rr_row *rr_row(uint16_t type) {
  unsigned number = type < sizeof row_of_type ? row_of_type[type] : 0;
  return number ? &rows[number - 1] : NULL;
}

size_t rr_row_count(void) {
  return ROW_COUNT;
}

const struct rr_row *rr_row_at(size_t i) {
  assert(i < ROW_COUNT);
  return &rows[i];
}

bool rr_type_is_data(uint16_t type) {
  return type != 0 && type != RR_OPT && (type < 128 || type > 255) && type != UINT16_MAX;
}

/* ---- mnemonics ---- */

struct mnemonic {
  char text[RR_TYPE_TEXT_BYTES]; /* zero-padded, compared as a whole */
  uint16_t type;
};

static const struct mnemonic mnemonics[] = {
#define RR(mnemonic, code, ...) {#mnemonic, code},
#define RR_DASHED(identifier, mnemonic, code, ...) {mnemonic, code},
#include "wire/rr_table.def"
#undef RR
#undef RR_DASHED
    {"OPT", RR_OPT},   {"NXNAME", RR_NXNAME}, {"TKEY", RR_TKEY},   {"TSIG", RR_TSIG}, {"IXFR", RR_IXFR},
    {"AXFR", RR_AXFR}, {"MAILB", RR_MAILB},   {"MAILA", RR_MAILA}, {"ANY", RR_ANY},
};
enum { MNEMONIC_COUNT = sizeof mnemonics / sizeof mnemonics[0], INDEX_SIZE = 256 };
static_assert(MNEMONIC_COUNT < INDEX_SIZE * 3 / 4, "the index has free places");

/* Number + 1 of the mnemonic by hash, the next place when taken; 0: free. Filled before main, read only then. */
static uint8_t mnemonic_index[INDEX_SIZE];

static unsigned mnemonic_hash(const char text[RR_TYPE_TEXT_BYTES]) {
  uint64_t head;
  uint32_t tail;
  memcpy(&head, text, sizeof head);
  memcpy(&tail, text + sizeof head, sizeof tail);
  return (unsigned)((head ^ (uint64_t)tail << 17) * 0x9e3779b97f4a7c15u >> 56);
}

__attribute__((constructor)) static void index_mnemonics(void) {
  for (unsigned i = 0; i < MNEMONIC_COUNT; i++) {
    unsigned at = mnemonic_hash(mnemonics[i].text);
    while (mnemonic_index[at])
      at = (at + 1) % INDEX_SIZE;
    mnemonic_index[at] = (uint8_t)(i + 1);
  }
}

const char *rr_type_text(uint16_t type, char out[RR_TYPE_TEXT_BYTES]) {
  const struct rr_row *row = rr_row(type);
  for (size_t i = ROW_COUNT; !row && i < MNEMONIC_COUNT; i++)
    if (mnemonics[i].type == type) {
      memcpy(out, mnemonics[i].text, RR_TYPE_TEXT_BYTES);
      return out;
    }
  if (row) snprintf(out, RR_TYPE_TEXT_BYTES, "%s", row->mnemonic);
  else snprintf(out, RR_TYPE_TEXT_BYTES, "TYPE%u", type);
  return out;
}

static enum err type_from_number(const char *digits, size_t n, uint16_t *out) {
  uint32_t value = 0;
  if (n == 0 || n > 5) return ERR_NOT_FOUND;
  for (size_t i = 0; i < n; i++) {
    if (digits[i] < '0' || digits[i] > '9') return ERR_NOT_FOUND;
    value = value * 10 + (uint32_t)(digits[i] - '0');
  }
  if (value > UINT16_MAX) return ERR_NOT_FOUND;
  *out = (uint16_t)value;
  return ERR_OK;
}

/* Letters in upper case, eight octets at once. */
static void raise_case(char *text) {
  const uint64_t ones = UINT64_C(0x0101010101010101), low = 0x7f * ones;
  uint64_t x;
  memcpy(&x, text, sizeof x);
  uint64_t from_a = (x & low) + (0x80 - 'a') * ones, past_z = (x & low) + (0x7f - 'z') * ones;
  x &= ~((from_a & ~past_z & ~x & ~low) >> 2);
  memcpy(text, &x, sizeof x);
}

enum err rr_type_from_text(const char *text, size_t n, uint16_t *out) {
  char upper[RR_TYPE_TEXT_BYTES + 4] = {0};
  if (n == 0 || n >= RR_TYPE_TEXT_BYTES) return ERR_NOT_FOUND;
  bytes_copy((uint8_t *)upper, (const uint8_t *)text, n);
  raise_case(upper);
  raise_case(upper + 8);
  for (unsigned at = mnemonic_hash(upper), i; (i = mnemonic_index[at]); at = (at + 1) % INDEX_SIZE)
    if (memcmp(mnemonics[i - 1].text, upper, RR_TYPE_TEXT_BYTES) == 0) {
      *out = mnemonics[i - 1].type;
      return ERR_OK;
    }
  return n > 4 && memcmp(upper, "TYPE", 4) == 0 ? type_from_number(upper + 4, n - 4, out) : ERR_NOT_FOUND;
}
