/* RDATA between text and wire: every type's examples, the messages for bad ones, the form for unknown types, JSON. */
#include "rr_examples.h"
#include "rr_test.h"

static struct rdata a, b;

static void assert_printed(uint16_t type, const struct rdata *r, const char *want) {
  struct buf text = {0};
  rr_rdata_text(type, r->bytes, r->size, &text);
  assert_string_equal(buf_text(&text), want);
  buf_done(&text);
}

static void test_examples(void **state) {
  for (size_t i = 0; i < rr_example_count; i++) {
    const struct rr_example *x = &rr_examples[i];
    uint16_t type = type_of(x->type);
    const char *printed = x->printed ? x->printed : x->text;
    rdata_of_hex(x->wire, &a);
    rdata_of(x->type, x->text, &b);
    struct buf hex = {0};
    hex_print(b.bytes, b.size, &hex);
    if (strcmp(buf_text(&hex), x->wire)) fail_msg("%s %s: %s, want %s", x->type, x->text, buf_text(&hex), x->wire);
    buf_done(&hex);
    assert_int_equal(rr_rdata_check(type, a.bytes, a.size), ERR_OK);
    assert_printed(type, &a, printed);
    rdata_of(x->type, printed, &b);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.bytes, b.bytes, a.size);
  }
}

/* What is known as a type can also be written as if it were not (RFC 3597 §5). */
static void test_generic_form_of_every_example(void **state) {
  for (size_t i = 0; i < rr_example_count; i++) {
    struct buf text = {0};
    rdata_of_hex(rr_examples[i].wire, &a);
    buf_printf(&text, "\\# %zu %s", a.size, rr_examples[i].wire);
    rdata_of(rr_examples[i].type, buf_text(&text), &b);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.bytes, b.bytes, a.size);
    buf_done(&text);
  }
}

static void test_every_row_has_an_example(void **state) {
  for (size_t i = 0; i < rr_row_count(); i++) {
    bool found = false;
    for (size_t k = 0; k < rr_example_count && !found; k++)
      found = type_of(rr_examples[k].type) == rr_row_at(i)->type;
    if (!found) fail_msg("no example of %s", rr_row_at(i)->mnemonic);
  }
}

static void test_bad_examples(void **state) {
  for (size_t i = 0; i < rr_bad_example_count; i++) {
    const struct rr_bad_example *x = &rr_bad_examples[i];
    struct rr_text_error error = {0};
    if (rdata_parse(type_of(x->type), x->text, &name_root, &a, &error) == ERR_OK) fail_msg("%s %s is taken", x->type, x->text);
    assert_string_equal(error.what, x->what);
    if (error.token != x->token) fail_msg("%s %s: token %zu, want %zu", x->type, x->text, error.token, x->token);
    assert_non_null(error.hint);
    assert_int_equal(a.size, 0);
  }
}

/* A record cut short at any octet, or with one too many, is malformed, unless its last field is as long as one likes. */
static void test_short_and_long_rdata(void **state) {
  static const char *const strict[] = {"A",   "AAAA", "MX", "SOA",   "SRV", "NAPTR", "EUI48",
                                       "NID", "L32",  "LP", "AFSDB", "PX",  "RP",    "DNAME"};
  for (size_t i = 0; i < rr_example_count; i++)
    for (size_t k = 0; k < sizeof strict / sizeof strict[0]; k++) {
      if (strcmp(rr_examples[i].type, strict[k]) != 0) continue;
      rdata_of_hex(rr_examples[i].wire, &a);
      for (size_t n = 0; n < a.size; n++)
        assert_int_not_equal(rr_rdata_check(type_of(strict[k]), a.bytes, n), ERR_OK);
      a.bytes[a.size] = 0;
      assert_int_not_equal(rr_rdata_check(type_of(strict[k]), a.bytes, a.size + 1), ERR_OK);
    }
}

static void assert_wire(const char *type, const char *hex, bool good) {
  rdata_of_hex(hex, &a);
  enum err e = rr_rdata_check(type_of(type), a.bytes, a.size);
  if ((e == ERR_OK) != good) fail_msg("%s %s: %s", type, hex, err_text(e));
}

static void test_bad_wire(void **state) {
  assert_wire("NSEC", "00000240", false);
  assert_wire("NSEC", "0000024000", false);     /* trailing zero octet */
  assert_wire("NSEC", "00000180", false);       /* type 0 */
  assert_wire("NSEC", "00010140000140", false); /* windows out of order */
  assert_wire("NSEC", "000000", false);         /* empty window */
  assert_wire("NSEC", "00000140", true);
  assert_wire("SVCB", "0001000003000200350001000102", false);   /* keys out of order */
  assert_wire("SVCB", "00010000030002003500030002003a", false); /* twice */
  assert_wire("SVCB", "00010000000002000100010003026832", true);
  assert_wire("SVCB", "0001000000000200010003000200350000", false); /* mandatory without the key, and garbage */
  assert_wire("SVCB", "000100000100020000", false);                 /* an empty protocol */
  assert_wire("SVCB", "000100ffff0000", true);
  assert_wire("NS", "c000", false);
  assert_wire("NS", "40", false);
  assert_wire("TXT", "", false);
  assert_wire("TXT", "0261", false);
  assert_wire("CAA", "0000", false);
  assert_wire("CAA", "000569737375", false);
}

/* Wire forms for which the type has no text come out, and go in, as unknown ones do. */
static void test_no_text(void **state) {
  static const struct {
    const char *type, *hex;
  } list[] = {{"LOC", "01020304"},       {"LOC", "0005161389173540FFF9010200989A68"}, /* a size of 0 times 10^5 */
              {"DS", "00010802AABB"},    {"APL", "00030801AA"},
              {"WKS", "0A000001060000"}, {"GPOS", "0161016200"},
              {"UNSPEC", "01"}};
  for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
    rdata_of_hex(list[i].hex, &a);
    uint16_t type = type_of(list[i].type);
    assert_int_equal(rr_rdata_check(type, a.bytes, a.size), ERR_OK);
    struct buf want = {0};
    buf_printf(&want, "\\# %zu %s", a.size, list[i].hex);
    assert_printed(type, &a, buf_text(&want));
    rdata_of(list[i].type, buf_text(&want), &b);
    assert_memory_equal(a.bytes, b.bytes, a.size);
    buf_done(&want);
  }
}

static void test_origin(void **state) {
  struct name origin;
  struct rr_text_error error;
  name_of("Example.org.", &origin);
  assert_int_equal(rdata_parse(RR_MX, "10 mail", &origin, &a, &error), ERR_OK);
  assert_printed(RR_MX, &a, "10 mail.Example.org.");
  assert_int_equal(rdata_parse(RR_NS, "@", &origin, &a, &error), ERR_OK);
  assert_printed(RR_NS, &a, "Example.org.");
  assert_int_not_equal(rdata_parse(RR_NS, "ns1", NULL, &a, &error), ERR_OK);
  assert_string_equal(error.what, "invalid name server in NS: ns1");
}

static void test_long_text(void **state) {
  struct buf text = {0};
  struct rr_text_error error;
  buf_add_byte(&text, '"');
  for (unsigned i = 0; i < 256; i++)
    buf_add_byte(&text, 'x');
  buf_add_byte(&text, '"');
  assert_int_equal(rdata_parse(RR_TXT, buf_text(&text), NULL, &a, &error), ERR_FORMAT);
  assert_string_equal(error.what, "invalid text in TXT: a string of 256 octets, longer than 255");
  assert_string_equal(error.hint, "split it into several quoted strings of at most 255 octets each");
  buf_clear(&text);
  for (unsigned i = 0; i < 300; i++)
    buf_printf(&text, "\"%0255u\" ", i);
  assert_int_equal(rdata_parse(RR_TXT, buf_text(&text), NULL, &a, &error), ERR_SPACE);
  assert_string_equal(error.what, "RDATA too long in TXT");
  buf_done(&text);
}

static void test_no_space(void **state) {
  for (size_t i = 0; i < rr_example_count; i++) {
    struct rr_token tokens[TOKENS_MAX];
    uint16_t type = type_of(rr_examples[i].type);
    size_t size = strlen(rr_examples[i].wire) / 2;
    size_t count = tokens_split(rr_examples[i].text, strlen(rr_examples[i].text), tokens_join_values(type), tokens, TOKENS_MAX);
    for (size_t room = 0; room < size; room++) {
      struct rr_text_error error;
      struct wr w = wr_make(a.bytes, room);
      assert_int_equal(rr_rdata_from_text(type, tokens, count, &name_root, &w, &error), ERR_SPACE);
      assert_int_equal(wr_used(&w), 0);
      assert_false(wr_failed(&w));
    }
  }
}

static void assert_json(const char *type, const char *text, const char *want) {
  struct buf json = {0};
  rdata_of(type, text, &a);
  rr_rdata_json(type_of(type), a.bytes, a.size, &json);
  assert_string_equal(buf_text(&json), want);
  buf_done(&json);
}

static void test_json(void **state) {
  assert_json("MX", "10 mail.example.", "{\"preference\":10,\"exchange\":\"mail.example.\"}");
  assert_json("NS", "ns1.example.", "{\"name_server\":\"ns1.example.\"}");
  assert_json("TXT", "\"a\\\"b\" c", "{\"text\":\"\\\"a\\\\\\\"b\\\" \\\"c\\\"\"}");
  assert_json("TYPE65280", "\\# 2 0aff", "{\"data\":\"0AFF\"}");
  assert_json("IPSECKEY", "10 0 2 . AQID",
              "{\"precedence\":10,\"gateway_type\":0,\"algorithm\":2,\"gateway\":\".\",\"public_key\":\"AQID\"}");
  assert_json("SVCB", "1 . alpn=h2 port=53", "{\"priority\":1,\"target\":\".\",\"parameter\":\"alpn=\\\"h2\\\" port=53\"}");
}

static void test_error_shows_little_of_a_token(void **state) {
  struct rr_text_error error;
  char text[200];
  memset(text, '\x01', sizeof text - 1);
  text[sizeof text - 1] = 0;
  assert_int_equal(rdata_parse(RR_A, text, NULL, &a, &error), ERR_FORMAT);
  assert_true(strlen(error.what) < sizeof error.what);
  assert_non_null(strstr(error.what, "invalid address in A: \\001\\001"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_examples),
      cmocka_unit_test(test_generic_form_of_every_example),
      cmocka_unit_test(test_every_row_has_an_example),
      cmocka_unit_test(test_bad_examples),
      cmocka_unit_test(test_short_and_long_rdata),
      cmocka_unit_test(test_bad_wire),
      cmocka_unit_test(test_no_text),
      cmocka_unit_test(test_origin),
      cmocka_unit_test(test_long_text),
      cmocka_unit_test(test_no_space),
      cmocka_unit_test(test_json),
      cmocka_unit_test(test_error_shows_little_of_a_token),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
