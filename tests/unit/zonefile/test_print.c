/* Print, then scan: every record of every type comes back with the same octets. */
#include "scan_test.h"

#include <stdlib.h>
#include <string.h>

struct original {
  struct name owner;
  uint16_t type;
  uint32_t ttl;
  uint8_t rdata[65535];
  size_t size;
  unsigned seen;
};

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t random_u32(void) { /* xorshift64*: the same run every time */
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (uint32_t)(random_state * 0x2545f4914f6cdd1du >> 32);
}

static uint32_t below(uint32_t n) {
  return random_u32() % n;
}

static void random_bytes(struct wr *w, size_t n) {
  for (size_t i = 0; i < n; i++)
    wr_u8(w, (uint8_t)random_u32());
}

static void random_name(struct wr *w) {
  for (uint32_t labels = below(4), i = 0; i < labels; i++) {
    uint8_t size = (uint8_t)(1 + below(below(8) ? 8 : 63));
    wr_u8(w, size);
    random_bytes(w, size);
  }
  wr_u8(w, 0);
}

static void random_types(struct wr *w) {
  for (uint8_t window = 0; window < 3; window++) {
    if (below(2)) continue;
    uint8_t size = (uint8_t)(1 + below(32));
    wr_u8(w, window);
    wr_u8(w, size);
    random_bytes(w, size - 1u);
    wr_u8(w, (uint8_t)(1 + below(255)));
  }
}

static void random_field(struct wr *w, enum rr_field_kind kind) {
  uint8_t n;
  switch (kind) {
  case FIELD_U8:
  case FIELD_ALGORITHM:
    random_bytes(w, 1);
    break;
  case FIELD_U16:
  case FIELD_TYPE:
  case FIELD_CERT_TYPE:
    random_bytes(w, 2);
    break;
  case FIELD_U32:
  case FIELD_TTL:
  case FIELD_TIME:
  case FIELD_IPV4:
    random_bytes(w, 4);
    break;
  case FIELD_IPV6:
    random_bytes(w, 16);
    break;
  case FIELD_EUI48:
    random_bytes(w, 6);
    break;
  case FIELD_EUI64:
  case FIELD_NODE64:
    random_bytes(w, 8);
    break;
  case FIELD_NAME:
    random_name(w);
    break;
  case FIELD_STRINGS:
    for (uint32_t i = 0, count = 1 + below(4); i < count; i++)
      random_field(w, FIELD_STRING);
    break;
  case FIELD_STRING:
  case FIELD_SALT:
  case FIELD_HASH32:
    n = (uint8_t)below(below(8) ? 12 : 256);
    wr_u8(w, n);
    random_bytes(w, n);
    break;
  case FIELD_TAG:
    wr_u8(w, 5);
    wr_bytes(w, "issue", 5);
    break;
  case FIELD_NAMES:
    for (uint32_t i = 0, count = below(3); i < count; i++)
      random_name(w);
    break;
  case FIELD_TYPES:
    random_types(w);
    break;
  default:
    random_bytes(w, below(64));
    break;
  }
}

/* RDATA that its row accepts; a few kinds (LOC, APL, SVCB ...) are found by trying. */
static bool random_rdata(const struct rr_row *row, uint16_t type, struct original *x) {
  for (int tries = 0; tries < 3000; tries++) {
    struct wr w = wr_make(x->rdata, sizeof x->rdata);
    for (unsigned i = 0; row && i < row->field_count; i++)
      random_field(&w, row->fields[i].kind);
    if (!row) random_bytes(&w, below(300));
    x->size = wr_used(&w);
    if (rr_rdata_check(type, x->rdata, x->size) == ERR_OK) return true;
  }
  return false;
}

static void random_owner(struct name *out) {
  uint8_t bytes[512];
  struct wr w = wr_make(bytes, sizeof bytes);
  random_name(&w);
  struct rd r = rd_make(bytes, wr_used(&w));
  assert_int_equal(name_read_plain(&r, out), ERR_OK);
}

static bool compare(void *arg, const struct zonefile_record *r) {
  struct original *x = arg;
  x->seen++;
  assert_true(name_identical(&r->owner, &x->owner));
  assert_int_equal(r->type, x->type);
  assert_int_equal(r->ttl, x->ttl);
  assert_int_equal(r->rdata_size, x->size);
  assert_memory_equal(r->rdata, x->rdata, x->size);
  return true;
}

static void check_back(struct original *x) {
  struct buf text = {0};
  struct diags d = {0};
  struct zonefile_options o = {.origin = name_of("o.example."), .no_include = true, .record = compare, .arg = x};
  zonefile_print_record(&x->owner, x->ttl, x->type, x->rdata, (uint16_t)x->size, &text);
  assert_false(text.failed);
  for (size_t i = 0; i + 1 < text.size; i++)
    assert_in_range(text.data[i], 0x20, 0x7e);
  x->seen = 0;
  assert_int_equal(zonefile_scan_bytes("z", text.data, text.size, &o, &d), ERR_OK);
  if (d.count || x->seen != 1) fail_msg("%s%s", buf_text(&text), d.count ? d.list[0].what : "no record");
  buf_done(&text);
  diags_done(&d);
}

static void every_type(void **state) {
  static struct original x;
  for (size_t i = 0; i < rr_row_count(); i++) {
    const struct rr_row *row = rr_row_at(i);
    unsigned found = 0;
    for (int n = 0; n < 200; n++) {
      x.type = row->type;
      x.ttl = random_u32() & LIMIT_TTL;
      random_owner(&x.owner);
      if (!random_rdata(row, row->type, &x)) continue;
      found++;
      check_back(&x);
    }
    if (!found) print_message("no random RDATA for %s\n", row->mnemonic);
  }
}

static void unknown_types(void **state) {
  static struct original x;
  for (int n = 0; n < 500; n++) {
    x.type = (uint16_t)(65280 + below(200));
    x.ttl = random_u32() & LIMIT_TTL;
    random_owner(&x.owner);
    if (random_rdata(NULL, x.type, &x)) check_back(&x);
  }
}

static void largest(void **state) {
  static struct original x;
  x = (struct original){.owner = name_root, .type = 65280, .ttl = 1, .size = 65535};
  for (size_t i = 0; i < x.size; i++)
    x.rdata[i] = (uint8_t)random_u32();
  check_back(&x);
  x.type = RR_TXT; /* full strings, all of them escapes */
  x.size = 65535 / 256 * 256;
  for (size_t i = 0; i < x.size; i++)
    x.rdata[i] = i % 256 ? 0x80 : 255;
  check_back(&x);
  x.size = 65535; /* nothing but empty strings */
  memset(x.rdata, 0, x.size);
  check_back(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_type), cmocka_unit_test(unknown_types), cmocka_unit_test(largest)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
