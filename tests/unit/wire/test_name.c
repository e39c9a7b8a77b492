/* Names: text, wire, order, keys. */
#include "rr_test.h"

#include <stdio.h>

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 32) % n;
}

/* A name of random labels; octets from all 256 or from a few that make neighbours likely. */
static void random_name(struct name *out) {
  static const uint8_t few[] = {0, 1, 2, 'A', 'a', 'B', 'b', 'Z', '[', '@', '-', 0xc1, 0xff};
  bool all = random_below(2);
  unsigned labels = random_below(6), size = 0;
  for (unsigned i = 0; i < labels; i++) {
    unsigned n = 1 + (random_below(8) ? random_below(4) : random_below(63));
    if (size + n + 2 > LIMIT_NAME_BYTES) break;
    out->octets[size++] = (uint8_t)n;
    while (n--)
      out->octets[size++] = (uint8_t)(all ? random_below(256) : few[random_below(sizeof few)]);
  }
  out->octets[size++] = 0;
  name_from_wire(out->octets, out);
  assert_int_equal(out->size, size);
}

/* The longest name: 3 labels of 63 octets and one of 61. */
static void longest_name(struct name *out, uint8_t c) {
  uint8_t wire[LIMIT_NAME_BYTES];
  static const unsigned sizes[] = {63, 63, 63, 61};
  unsigned at = 0;
  for (unsigned i = 0; i < 4; i++) {
    wire[at++] = (uint8_t)sizes[i];
    memset(wire + at, c, sizes[i]);
    at += sizes[i];
  }
  wire[at] = 0;
  name_from_wire(wire, out);
  assert_int_equal(out->size, LIMIT_NAME_BYTES);
}

static void assert_round_trip(const char *text, const char *want) {
  struct name n;
  char out[NAME_TEXT_BYTES];
  name_of(text, &n);
  assert_string_equal(name_text(&n, out), want);
}

static void test_text(void **state) {
  assert_round_trip(".", ".");
  assert_round_trip("www.Example.com.", "www.Example.com.");
  assert_round_trip("a\\.b.c.", "a\\.b.c.");
  assert_round_trip("a\\046b.c.", "a\\.b.c.");
  assert_round_trip("\\097.", "a.");
  assert_round_trip("\\000\\032\\127\\255.", "\\000\\032\\127\\255.");
  assert_round_trip("a b\\;\\(\\)\\\"\\@\\$\\\\.", "a\\032b\\;\\(\\)\\\"\\@\\$\\\\.");
  assert_round_trip("0/26.2.0.192.in-addr.arpa.", "0/26.2.0.192.in-addr.arpa.");
  assert_round_trip("_dmarc.*.x.", "_dmarc.*.x.");
}

static void assert_bad(const char *text, size_t bad, const char *why) {
  struct name n;
  size_t got = 0;
  const char *got_why = "";
  assert_int_equal(name_from_text(text, strlen(text), &name_root, &n, &got, &got_why), ERR_FORMAT);
  assert_string_equal(got_why, why);
  assert_int_equal(got, bad);
}

static void test_bad_text(void **state) {
  char label[70], name[400] = "";
  memset(label, 'x', 64);
  label[64] = 0;
  assert_bad("", 0, "an empty name");
  assert_bad("..", 0, "an empty label");
  assert_bad("a..b", 2, "an empty label");
  assert_bad(".a", 0, "an empty label");
  assert_bad(label, 63, "label longer than 63 octets");
  assert_bad("a\\", 1, "a backslash that is not followed by a character or by 000 to 255");
  assert_bad("a\\256", 1, "a backslash that is not followed by a character or by 000 to 255");
  assert_bad("a\\25", 1, "a backslash that is not followed by a character or by 000 to 255");
  for (unsigned i = 0; i < 128; i++)
    memcpy(name + 2 * i, "a.", 3);
  assert_bad(name, 254, "name longer than 255 octets");
}

static void test_limits(void **state) {
  struct name n, again;
  char text[NAME_TEXT_BYTES];
  for (unsigned c = 0; c < 256; c += 51) {
    longest_name(&n, (uint8_t)c);
    name_text(&n, text);
    name_of(text, &again);
    assert_true(name_identical(&n, &again));
  }
  char many[300] = "";
  for (unsigned i = 0; i < 127; i++)
    memcpy(many + 2 * i, "a.", 3);
  name_of(many, &n);
  assert_int_equal(n.labels, 127);
  assert_int_equal(n.size, 255);
}

static void test_origin(void **state) {
  struct name origin, n, want;
  name_of("Example.org.", &origin);
  assert_int_equal(name_from_text("www", 3, &origin, &n, NULL, NULL), ERR_OK);
  name_of("www.Example.org.", &want);
  assert_true(name_identical(&n, &want));
  assert_int_equal(name_from_text("@", 1, &origin, &n, NULL, NULL), ERR_OK);
  assert_true(name_identical(&n, &origin));
  assert_int_equal(name_from_text("\\@", 2, &origin, &n, NULL, NULL), ERR_OK);
  assert_int_equal(n.labels, 3);
  assert_int_equal(name_from_text("www", 3, NULL, &n, NULL, NULL), ERR_NOT_FOUND);
  assert_int_equal(name_from_text("@", 1, NULL, &n, NULL, NULL), ERR_NOT_FOUND);
  const char *why = "";
  longest_name(&origin, 'x');
  assert_int_equal(name_from_text("a", 1, &origin, &n, NULL, &why), ERR_FORMAT);
  assert_string_equal(why, "name longer than 255 octets with the origin");
}

static enum err read_hex(const char *hex, size_t at, bool plain, struct name *out, size_t *used) {
  static struct rdata m;
  rdata_of_hex(hex, &m);
  uint8_t *exact = test_malloc(m.size); /* so that a read past the end is seen */
  memcpy(exact, m.bytes, m.size);
  struct rd r = {exact + at, exact + m.size};
  enum err e = plain ? name_read_plain(&r, out) : name_read(&r, exact, out);
  *used = (size_t)(r.at - exact) - at;
  test_free(exact);
  return e;
}

static void assert_read(const char *hex, size_t at, const char *want, size_t want_used) {
  struct name n, expected;
  size_t used;
  assert_int_equal(read_hex(hex, at, false, &n, &used), ERR_OK);
  name_of(want, &expected);
  assert_true(name_identical(&n, &expected));
  assert_int_equal(n.labels, expected.labels);
  assert_int_equal(used, want_used);
}

static void test_read(void **state) {
  static const char header[] = "000000000000000000000000";
  char hex[512];
  struct name n;
  size_t used;
  snprintf(hex, sizeof hex, "%s%s", header, "0361626303646566000161C00C0162C010C019");
  assert_read(hex, 12, "abc.def.", 9);
  assert_read(hex, 21, "a.abc.def.", 4);
  assert_read(hex, 25, "b.def.", 4);
  assert_read(hex, 29, "b.def.", 2);
  static const struct {
    const char *hex;
    enum err e;
  } bad[] = {{"C00C", ERR_FORMAT},     /* itself */
             {"0161C00C", ERR_FORMAT}, /* back to its own beginning */
             {"C00E00", ERR_FORMAT},   /* forward */
             {"C000", ERR_FORMAT},     /* into the header */
             {"C0", ERR_SHORT},        {"0361", ERR_SHORT},  {"0161", ERR_SHORT},
             {"", ERR_SHORT},          {"4061", ERR_FORMAT}, {"8061", ERR_FORMAT}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    snprintf(hex, sizeof hex, "%s%s", header, bad[i].hex);
    assert_int_equal(read_hex(hex, 12, false, &n, &used), bad[i].e);
    assert_int_equal(used, 0);
  }
  snprintf(hex, sizeof hex, "%s%s", header, "0161000162C00C");
  assert_int_equal(read_hex(hex, 15, true, &n, &used), ERR_FORMAT);
  assert_int_equal(read_hex(hex, 12, true, &n, &used), ERR_OK);
  assert_int_equal(used, 3);
}

/* A chain of pointers, each to the one before: allowed up to the limit of hops. */
static void test_read_hops(void **state) {
  for (unsigned pointers = LIMIT_COMPRESSION_HOPS; pointers <= LIMIT_COMPRESSION_HOPS + 1; pointers++) {
    uint8_t message[512] = {0};
    struct name n;
    unsigned at = 13; /* the root at 12 */
    for (unsigned i = 0; i < pointers; i++, at += 2)
      put_u16(message + at, (uint16_t)(0xc000 | (i ? at - 2 : 12)));
    struct rd r = {message + at - 2, message + at};
    assert_int_equal(name_read(&r, message, &n), pointers <= LIMIT_COMPRESSION_HOPS ? ERR_OK : ERR_FORMAT);
  }
}

/* Two pieces that are fine alone make a name too long together. */
static void test_read_too_long(void **state) {
  uint8_t message[600] = {0};
  struct name n, longest;
  longest_name(&longest, 'x');
  memcpy(message + 12, longest.octets, longest.size);
  static const uint8_t more[] = {1, 'a', 0xc0, 12};
  memcpy(message + 12 + longest.size, more, sizeof more);
  struct rd r = {message + 12 + longest.size, message + sizeof message};
  assert_int_equal(name_read(&r, message, &n), ERR_FORMAT);
  r = (struct rd){message + 12, message + sizeof message};
  assert_int_equal(name_read(&r, message, &n), ERR_OK);
  assert_true(name_identical(&n, &longest));
}

static void test_compare(void **state) { /* the list of RFC 4034 §6.1 */
  static const char *const order[] = {"example.",   "a.example.",       "yljkjljk.a.example.", "Z.a.example.",    "zABC.a.EXAMPLE.",
                                      "z.example.", "\\001.z.example.", "*.z.example.",        "\\200.z.example."};
  size_t count = sizeof order / sizeof order[0];
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < count; k++) {
      struct name x, y;
      name_of(order[i], &x);
      name_of(order[k], &y);
      int d = name_compare(&x, &y);
      assert_true((d < 0) == (i < k) && (d > 0) == (i > k));
    }
}

static int sign(int d) {
  return (d > 0) - (d < 0);
}

static void test_key_order_is_name_order(void **state) {
  for (unsigned i = 0; i < 60000; i++) {
    struct name x, y;
    uint8_t kx[NAME_KEY_BYTES], ky[NAME_KEY_BYTES];
    random_name(&x);
    random_name(&y);
    if (random_below(4) == 0 && x.labels > 0) { /* an ancestor, or a name beside one */
      name_strip(&x, random_below(x.labels), &y);
      if (y.labels && random_below(2)) y.octets[1] ^= (uint8_t)(1u << random_below(8));
    }
    size_t nx = name_key(&x, kx), ny = name_key(&y, ky);
    int d = memcmp(kx, ky, nx < ny ? nx : ny);
    if (d == 0) d = (nx > ny) - (nx < ny);
    assert_int_equal(sign(name_compare(&x, &y)), sign(d));
    assert_int_equal(name_equal(&x, &y), d == 0);
    bool prefix = ny <= nx && memcmp(kx, ky, ny) == 0;
    assert_int_equal(name_is_under(&x, &y), prefix);
  }
}

static void test_key_round_trip(void **state) {
  struct name n, back;
  uint8_t key[NAME_KEY_BYTES];
  for (unsigned i = 0; i < 20000 + 256; i++) {
    if (i < 256) longest_name(&n, (uint8_t)i);
    else random_name(&n);
    size_t size = name_key(&n, key);
    assert_true(size <= NAME_KEY_BYTES);
    name_from_key(key, size, &back);
    name_lower(&n);
    assert_true(name_identical(&n, &back));
    assert_int_equal(n.labels, back.labels);
  }
  name_of("www.Example.com.", &n);
  assert_int_equal(name_key(&n, key), 16);
  assert_memory_equal(key, "com\0example\0www", 16);
  assert_int_equal(name_key(&name_root, key), 0);
}

static void test_text_round_trip(void **state) {
  for (unsigned i = 0; i < 20000; i++) {
    struct name n, again;
    char text[NAME_TEXT_BYTES];
    random_name(&n);
    name_of(name_text(&n, text), &again);
    assert_true(name_identical(&n, &again));
    assert_int_equal(n.labels, again.labels);
  }
}

static void test_parts(void **state) {
  struct name n, out, want, longest;
  name_of("a.b.C.", &n);
  name_strip(&n, 0, &out);
  assert_true(name_identical(&out, &n));
  name_strip(&n, 2, &out);
  name_of("C.", &want);
  assert_true(name_identical(&out, &want) && out.labels == 1);
  name_strip(&n, 3, &out);
  assert_true(name_identical(&out, &name_root));
  assert_int_equal(name_join(&n, 2, &want, &out), ERR_OK);
  assert_true(name_identical(&out, &n) && out.labels == 3);
  assert_int_equal(name_join(&n, 0, &want, &out), ERR_OK);
  assert_true(name_identical(&out, &want));
  assert_int_equal(name_wildcard_of(&n, &n), ERR_OK);
  name_of("*.a.b.C.", &want);
  assert_true(name_identical(&n, &want) && name_is_wildcard(&n) && !name_is_wildcard(&out));
  longest_name(&longest, 'a');
  assert_int_equal(name_wildcard_of(&longest, &out), ERR_RANGE);
  name_strip(&n, 1, &n);
  assert_int_equal(n.labels, 3);
  assert_true(name_is_under(&n, &name_root));
  name_of("A.B.c.", &want);
  assert_true(name_equal(&n, &want) && !name_identical(&n, &want));
  name_of("xa.b.c.", &want);
  assert_false(name_is_under(&want, &n));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_bad_text),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_origin),
      cmocka_unit_test(test_read),
      cmocka_unit_test(test_read_hops),
      cmocka_unit_test(test_read_too_long),
      cmocka_unit_test(test_compare),
      cmocka_unit_test(test_key_order_is_name_order),
      cmocka_unit_test(test_key_round_trip),
      cmocka_unit_test(test_text_round_trip),
      cmocka_unit_test(test_parts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
