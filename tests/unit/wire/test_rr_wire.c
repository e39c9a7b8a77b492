/* The table itself, and RDATA in wire form: canonical form, order, reading from messages, targets. */
#include "rr_examples.h"
#include "rr_test.h"

#include <stdio.h>

static struct rdata a, b;

static void test_rows(void **state) {
  for (size_t i = 0; i < rr_row_count(); i++) {
    const struct rr_row *row = rr_row_at(i);
    char text[RR_TYPE_TEXT_BYTES];
    assert_ptr_equal(rr_row(row->type), row);
    assert_true(row->field_count >= 1 && row->field_count <= RR_FIELDS_MAX);
    assert_true(rr_type_is_data(row->type));
    assert_string_equal(rr_type_text(row->type, text), row->mnemonic);
    assert_int_equal(type_of(row->mnemonic), row->type);
  }
  assert_null(rr_row(65280));
  assert_null(rr_row(0));
  assert_null(rr_row(UINT16_MAX));
  assert_null(rr_row(RR_OPT));
}

static void test_type_text(void **state) {
  char text[RR_TYPE_TEXT_BYTES];
  uint16_t type;
  assert_int_equal(type_of("aaaa"), 28);
  assert_int_equal(type_of("NSAP-PTR"), RR_NSAP_PTR);
  assert_int_equal(type_of("type15"), RR_MX);
  assert_int_equal(type_of("TYPE65535"), 65535);
  assert_int_equal(type_of("ANY"), RR_ANY);
  assert_string_equal(rr_type_text(65280, text), "TYPE65280");
  assert_string_equal(rr_type_text(RR_NXNAME, text), "NXNAME");
  for (const char *const *bad = (const char *const[]){"", "TYPE", "TYPE65536", "TYPEX", "TYPE1 ", "AAAAA", "NSAP_PTR", NULL}; *bad;
       bad++)
    assert_int_equal(rr_type_from_text(*bad, strlen(*bad), &type), ERR_NOT_FOUND);
  assert_false(rr_type_is_data(RR_OPT));
  assert_false(rr_type_is_data(RR_AXFR));
  assert_false(rr_type_is_data(RR_NXNAME));
  assert_false(rr_type_is_data(0));
  assert_true(rr_type_is_data(65280));
}

/* The packet path's constants are what the table says: names first, behind octets of fixed number, at most two. */
static void test_compressible_types(void **state) {
  for (unsigned type = 0; type <= UINT16_MAX; type++) {
    const struct rr_row *row = rr_row((uint16_t)type);
    int offset = -1;
    unsigned at = 0, count = 0;
    for (unsigned i = 0; row && i < row->field_count; i++) {
      bool compressed = row->fields[i].flags & FIELD_F_COMPRESS;
      if (compressed && offset < 0) offset = (int)at;
      count += compressed;
      if (row->fields[i].kind == FIELD_U16) at += 2;
    }
    assert_int_equal(rr_compress_offset((uint16_t)type), offset);
    if (count) assert_int_equal(rr_compress_count((uint16_t)type), count);
  }
}

static void assert_canonical(const char *type, const char *text, const char *want) {
  struct buf printed = {0};
  rdata_of(type, text, &a);
  rr_rdata_canonical(type_of(type), a.bytes, a.size);
  rr_rdata_text(type_of(type), a.bytes, a.size, &printed);
  assert_string_equal(buf_text(&printed), want);
  buf_done(&printed);
}

/* RFC 4034 §6.2 with RFC 6840 §5.1. */
static void test_canonical(void **state) {
  assert_canonical("NS", "NS1.Example.", "ns1.example.");
  assert_canonical("SOA", "A.B. C.D. 1 2 3 4 5", "a.b. c.d. 1 2 3 4 5");
  assert_canonical("MX", "10 A.B.", "10 a.b.");
  assert_canonical("SRV", "1 2 3 A.B.", "1 2 3 a.b.");
  assert_canonical("NAPTR", "1 2 \"S\" \"X+Y\" \"\" A.B.", "1 2 \"S\" \"X+Y\" \"\" a.b.");
  assert_canonical("RRSIG", "A 8 2 3600 20300101000000 20240101000000 1 A.B. QUJD",
                   "A 8 2 3600 20300101000000 20240101000000 1 a.b. QUJD");
  assert_canonical("NSEC", "A.B. A", "A.B. A");
  assert_canonical("SVCB", "1 A.B.", "1 A.B.");
  assert_canonical("LP", "1 A.B.", "1 A.B.");
  assert_canonical("TXT", "\"ABC\"", "\"ABC\"");
  assert_canonical("DNAME", "A.B.", "a.b.");
  assert_canonical("KX", "1 A.B.", "1 a.b.");
  assert_canonical("A6", "64 ::1 A.B.", "64 ::1 a.b.");
  assert_canonical("PX", "1 A.B. C.D.", "1 a.b. c.d.");
}

static int compared(const char *type, const char *x, const char *y) {
  rdata_of(type, x, &a);
  rdata_of(type, y, &b);
  int d = rr_rdata_compare(type_of(type), a.bytes, a.size, b.bytes, b.size);
  int back = rr_rdata_compare(type_of(type), b.bytes, b.size, a.bytes, a.size);
  assert_true((d > 0) == (back < 0) && (d == 0) == (back == 0));
  return d;
}

static void test_compare(void **state) {
  assert_int_equal(compared("NS", "NS1.example.", "ns1.EXAMPLE."), 0);
  assert_int_equal(compared("SOA", "A.B. C.D. 1 2 3 4 5", "a.b. c.d. 1 2 3 4 5"), 0);
  assert_true(compared("SOA", "a. b. 1 2 3 4 5", "a. b. 1 2 3 4 6") < 0);
  assert_true(compared("SOA", "A. b. 1 2 3 4 5", "a. C. 1 2 3 4 4") < 0);
  assert_true(compared("MX", "10 z.", "9 a.") > 0);
  assert_true(compared("TXT", "a", "A") > 0);
  assert_true(compared("TXT", "a", "a b") < 0);
  assert_true(compared("NSEC", "a. A", "A. A") > 0);
  assert_true(compared("SRV", "1 2 3 B.", "1 2 3 a.") > 0);
  assert_true(compared("TYPE65280", "\\# 1 01", "\\# 2 0100") < 0);
  assert_int_equal(rr_rdata_compare(RR_A, NULL, 0, NULL, 0), 0);
}

/* Comparing is what comparing the canonical forms would be. */
static void test_compare_is_canonical_order(void **state) {
  static struct rdata x, y;
  for (size_t i = 0; i < rr_example_count; i++)
    for (size_t k = 0; k < rr_example_count; k++) {
      if (strcmp(rr_examples[i].type, rr_examples[k].type) != 0) continue;
      uint16_t type = type_of(rr_examples[i].type);
      rdata_of_hex(rr_examples[i].wire, &a);
      rdata_of_hex(rr_examples[k].wire, &b);
      x = a;
      y = b;
      rr_rdata_canonical(type, x.bytes, x.size);
      rr_rdata_canonical(type, y.bytes, y.size);
      int d = memcmp(x.bytes, y.bytes, x.size < y.size ? x.size : y.size);
      if (d == 0) d = (x.size > y.size) - (x.size < y.size);
      int got = rr_rdata_compare(type, a.bytes, a.size, b.bytes, b.size);
      assert_true((got > 0) == (d > 0) && (got < 0) == (d < 0));
    }
}

/* A message whose octets 12 to 24 are example.org. and 25 on is RDATA. */
static enum err read_in_message(const char *type, const char *rdata_hex, struct rdata *out) {
  static const char before[] = "000000000000000000000000"
                               "076578616D706C65036F726700";
  char hex[512];
  snprintf(hex, sizeof hex, "%s%s", before, rdata_hex);
  rdata_of_hex(hex, &a);
  struct rd r = {a.bytes + 25, a.bytes + a.size};
  struct wr w = wr_make(out->bytes, sizeof out->bytes);
  enum err e = rr_rdata_read(&r, a.size - 25, a.bytes, type_of(type), &w);
  out->size = wr_used(&w);
  if (e == ERR_OK) assert_int_equal(rd_left(&r), 0);
  return e;
}

static void assert_read(const char *type, const char *rdata_hex, const char *want) {
  struct buf text = {0};
  assert_int_equal(read_in_message(type, rdata_hex, &b), ERR_OK);
  rr_rdata_text(type_of(type), b.bytes, b.size, &text);
  assert_string_equal(buf_text(&text), want);
  buf_done(&text);
}

static void test_read_compressed(void **state) {
  assert_read("NS", "026E73C00C", "ns.example.org.");
  assert_read("MX", "000A046D61696CC00C", "10 mail.example.org.");
  assert_read("SOA", "026E73C00C04686F7374C00C0000000100000002000000030000000400000005",
              "ns.example.org. host.example.org. 1 2 3 4 5");
  assert_read("SRV", "000100020003C00C", "1 2 3 example.org.");
  assert_read("NAPTR", "00010002000000C00C", "1 2 \"\" \"\" \"\" example.org.");
  assert_read("SIG", "0001080200000E1000000000000000000001C00CAA", "A 8 2 3600 19700101000000 19700101000000 1 example.org. qg==");
}

static void test_read_refuses(void **state) {
  assert_int_equal(read_in_message("NS", "C019", &b), ERR_FORMAT);    /* itself */
  assert_int_equal(read_in_message("NS", "C01B", &b), ERR_FORMAT);    /* forward */
  assert_int_equal(read_in_message("NS", "C000", &b), ERR_FORMAT);    /* into the header */
  assert_int_equal(read_in_message("NS", "C00C00", &b), ERR_FORMAT);  /* garbage behind */
  assert_int_equal(read_in_message("DNAME", "C00C", &b), ERR_FORMAT); /* RFC 3597 §4: not of these types */
  assert_int_equal(read_in_message("SVCB", "0001C00C", &b), ERR_FORMAT);
  assert_int_equal(read_in_message("RRSIG", "0001080200000E1000000000000000000001C00CAA", &b), ERR_FORMAT);
  struct rd r = {a.bytes, a.bytes + 3};
  struct wr w = wr_make(b.bytes, sizeof b.bytes);
  assert_int_equal(rr_rdata_read(&r, 4, a.bytes, RR_A, &w), ERR_SHORT);
  w = wr_make(b.bytes, 2);
  r = (struct rd){a.bytes, a.bytes + 4};
  assert_int_equal(rr_rdata_read(&r, 4, a.bytes, RR_A, &w), ERR_SPACE);
  assert_false(wr_failed(&w));
}

static void test_read_uncompressed_is_a_copy(void **state) {
  static struct rdata out;
  for (size_t i = 0; i < rr_example_count; i++) {
    rdata_of_hex(rr_examples[i].wire, &a);
    struct rd r = {a.bytes, a.bytes + a.size};
    struct wr w = wr_make(out.bytes, sizeof out.bytes);
    assert_int_equal(rr_rdata_read(&r, a.size, a.bytes, type_of(rr_examples[i].type), &w), ERR_OK);
    assert_int_equal(wr_used(&w), a.size);
    assert_memory_equal(out.bytes, a.bytes, a.size);
  }
}

static void test_target(void **state) {
  static const struct {
    const char *type, *text, *target;
  } list[] = {{"NS", "a.b.", "a.b."},        {"MX", "1 a.b.", "a.b."},
              {"SRV", "1 2 3 a.b.", "a.b."}, {"SVCB", "1 a.b. port=1", "a.b."},
              {"HTTPS", "0 a.b.", "a.b."},   {"NAPTR", "1 2 \"abc\" \"de\" \"f\" a.b.", "a.b."},
              {"LP", "1 a.b.", "a.b."},      {"TXT", "a.b.", NULL},
              {"CNAME", "a.b.", NULL},       {"TYPE65280", "\\# 1 00", NULL}};
  for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
    const uint8_t *wire;
    struct name want, got;
    rdata_of(list[i].type, list[i].text, &a);
    bool found = rr_rdata_target(type_of(list[i].type), a.bytes, a.size, &wire);
    assert_int_equal(found, list[i].target != NULL);
    if (!found) continue;
    name_of(list[i].target, &want);
    name_from_wire(wire, &got);
    assert_true(name_identical(&want, &got));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows),
      cmocka_unit_test(test_type_text),
      cmocka_unit_test(test_compressible_types),
      cmocka_unit_test(test_canonical),
      cmocka_unit_test(test_compare),
      cmocka_unit_test(test_compare_is_canonical_order),
      cmocka_unit_test(test_read_compressed),
      cmocka_unit_test(test_read_refuses),
      cmocka_unit_test(test_read_uncompressed_is_a_copy),
      cmocka_unit_test(test_target),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
