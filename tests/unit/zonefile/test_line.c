/* Lines that go straight to their record (line.c), and the general way: both say the same, whatever stands in them. */
#include "scan_test.h"

#include "zonefile/scan_priv.h"

#include <string.h>

enum { ROUNDS = 20000, LINES_MOST = 6 };

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 32) % n;
}

/* ---- which lines go straight ---- */

/* Behind a line that did not. */
static bool goes_straight(const char *line) {
  struct buf text = {0};
  struct scanned seen = {0};
  struct zonefile_options o = {.origin = name_of("example."), .record = scanned_record, .arg = &seen};
  struct scan *s = scan_new(&o, &seen.raw);
  struct source src;
  buf_printf(&text, "$TTL 60\n%s", line);
  assert_true(s && source_memory(s, "z", text.data, text.size, &src));
  s->src = &src;
  s->cur = (struct cursor){src.bytes, src.bytes + src.size, src.bytes, 1, NULL};
  assert_int_equal(gather_entry(s), GATHERED_ENTRY);
  scan_entry(s);
  struct cursor before = s->cur;
  bool straight = line_record(s);
  assert_int_equal(seen.count, straight);
  assert_int_equal(seen.raw.count, 0);
  assert_ptr_equal(s->cur.at, straight ? src.bytes + src.size : before.at);
  assert_int_equal(s->cur.line, straight ? 3 : 2);
  source_close(&src);
  scan_done(s);
  scanned_done(&seen);
  buf_done(&text);
  return straight;
}

static void usual_lines(void **state) {
  static const char *const straight[] = {
      "a A 192.0.2.1\n",
      "a\t3600\tIN\tA\t192.0.2.1\t\r\n",
      "a in 1h a 192.0.2.1\n",
      "a.b.c.example. IN A 192.0.2.1\n",
      "a AAAA 2001:db8::1\n",
      "a MX 10 mail\n",
      "a TYPE15 10 mail\n",
      "a RRSIG A 13 3 3600 20380101000000 20200101000000 12345 example. AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA AAAA\n",
      "012345678901234567890123456789012345678901234567890123456 A 1.2.3.4\n",
      "012345678901234567890123456789012345678901234567890123456789 A 1.2.3.4\n",
  };
  static const char *const general[] = {
      "",
      "\n",
      " A 192.0.2.1\n",
      "a A 192.0.2.1",
      "a A 192.0.2.1 ; comment\n",
      "a A 192.0.2.1;\n",
      "a A ( 192.0.2.1 )\n",
      "a A 192.0.2.1 1\n",
      "a A 192.0.2.256\n",
      "a A 192.0.2.\n",
      "a A\n",
      "a A \\# 4 c0000201\n",
      "a TXT \"a\"\n",
      "a TXT\n",
      "a TXT a\"b\"\n",
      "\"a\" A 192.0.2.1\n",
      "@ A 192.0.2.1\n",
      ". A 192.0.2.1\n",
      "a..b A 192.0.2.1\n",
      ".a A 192.0.2.1\n",
      "a\\.b A 192.0.2.1\n",
      "\xc3\xa4 A 192.0.2.1\n",
      "a CH A 192.0.2.1\n",
      "a IN IN A 192.0.2.1\n",
      "a 1 1 A 192.0.2.1\n",
      "a 2147483648 A 192.0.2.1\n",
      "a B 192.0.2.1\n",
      "a ANY 192.0.2.1\n",
      "a MX 10 mail 1\n",
      "$TTL 60\n",
      "0123456789012345678901234567890123456789012345678901234567890123 A 1.2.3.4\n",
  };
  for (size_t i = 0; i < sizeof straight / sizeof *straight; i++)
    if (!goes_straight(straight[i])) fail_msg("%s", straight[i]);
  for (size_t i = 0; i < sizeof general / sizeof *general; i++)
    if (goes_straight(general[i])) fail_msg("%s", general[i]);
}

/* ---- both ways ---- */

static bool say(void *arg, const struct zonefile_record *r) {
  buf_printf(arg, "%u:%u %u:%u ", r->place.line, r->place.column, r->rdata_place.line, r->rdata_place.column);
  zonefile_print_record(&r->owner, r->ttl, r->type, r->rdata, r->rdata_size, arg);
  return true;
}

static void say_all(const struct buf *text, bool narrow, struct buf *out) {
  struct diags d = {0};
  struct zonefile_options o = {.origin = name_of("example."), .no_include = true, .narrow = narrow, .record = say, .arg = out};
  assert_int_equal(zonefile_scan_bytes("z", text->data, text->size, &o, &d), ERR_OK);
  diags_print(&d, out);
  diags_done(&d);
}

#define ONE_OF(list) (list)[random_below(sizeof(list) / sizeof *(list))]
#define OCTETS_30 "abcdefghijklmnopqrstuvwxyz0123"

static void random_line(struct buf *out) {
  static const char *const owners[] = {"a",
                                       "host1",
                                       "Host2.Sub",
                                       "a.example.",
                                       "@",
                                       "",
                                       ".",
                                       "a..",
                                       "*.w",
                                       "\\097",
                                       "\"a\"",
                                       "a.b.c.d.",
                                       "_x._tcp",
                                       "$",
                                       "IN",
                                       OCTETS_30 OCTETS_30 "012",
                                       OCTETS_30 OCTETS_30 "0123",
                                       OCTETS_30 "." OCTETS_30};
  static const char *const blanks[] = {" ", " ", " ", "\t", "  ", " \r", "", "                              "};
  static const char *const ttls[] = {"3600 ",       "3600 ",       "60\t",      "1h30m ",  "1h30 ",
                                     "2147483648 ", "0000000060 ", "60000000 ", "6000000 "};
  static const char *const classes[] = {"IN ", "in ", "IN IN ", "CH ", "CLASS1 ", "iN\t"};
  static const char *const data[] = {"A 192.0.2.1",
                                     "A 10.255.0.99",
                                     "A 192.0.2.256",
                                     "A 1.2.3",
                                     "A 01.2.3.4",
                                     "a 192.0.2.1",
                                     "A 192.0.2.1 1",
                                     "A",
                                     "TYPE1 1.2.3.4",
                                     "AAAA 2001:db8::1",
                                     "AAAA 2001:db8::g",
                                     "NS ns1",
                                     "NS ns1.",
                                     "MX 10 mail",
                                     "MX ten mail",
                                     "TXT a b c",
                                     "TXT \"a b\"",
                                     "TXT a=\"b\"",
                                     "CNAME a",
                                     "TXT",
                                     "SOA a b 1 2 3 4 5",
                                     "NSEC b.example. A RRSIG NSEC",
                                     "TYPE65280 \\# 1 00",
                                     "DS 1 13 2 00",
                                     "ANY x",
                                     "B x",
                                     "RRSIG A 13 3 3600 20380101000000 20200101000000 12345 example. " OCTETS_30 OCTETS_30 "abcd",
                                     "HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1",
                                     "CAA 0 issue \"x\"",
                                     "A ( 192.0.2.1 )",
                                     "MX 10 (",
                                     ")"};
  static const char *const ends[] = {"\n", "\n", "\n", "\n", " \n", "\r\n", " ; x\n", ";x\n", "", " \\\n"};
  static const char *const others[] = {"$ORIGIN sub\n", "$TTL 300\n", "\n", "; x\n",
                                       "$ORIGIN " OCTETS_30 "." OCTETS_30 "." OCTETS_30 "\n"};
  if (random_below(12) == 0) {
    buf_add_text(out, ONE_OF(others));
    return;
  }
  buf_add_text(out, random_below(3) ? owners[random_below(4)] : ONE_OF(owners));
  buf_add_text(out, ONE_OF(blanks));
  const char *ttl = random_below(2) ? ONE_OF(ttls) : "", *class = random_below(2) ? ONE_OF(classes) : "";
  bool class_first = random_below(4) == 0;
  buf_add_text(out, class_first ? class : ttl);
  buf_add_text(out, class_first ? ttl : class);
  buf_add_text(out, ONE_OF(data));
  buf_add_text(out, ONE_OF(ends));
}

static void both_say_the_same(void **state) {
  static const uint8_t octets[] = {'\n', ';', '"', '\\', '(', ')', '.', '@', '$', ' ', '0'};
  for (unsigned round = 0; round < ROUNDS; round++) {
    struct buf text = {0}, straight = {0}, general = {0};
    buf_add_text(&text, random_below(4) ? "$TTL 60\n" : "");
    for (unsigned n = 1 + random_below(LINES_MOST); n > 0; n--)
      random_line(&text);
    for (unsigned n = text.size ? random_below(3) : 0; n > 0; n--)
      text.data[random_below((uint32_t)text.size)] = random_below(2) ? ONE_OF(octets) : (uint8_t)random_below(256);
    say_all(&text, false, &straight);
    say_all(&text, true, &general);
    if (straight.size != general.size || memcmp(buf_text(&straight), buf_text(&general), straight.size) != 0)
      fail_msg("%s--- straight\n%s--- general\n%s", buf_text(&text), buf_text(&straight), buf_text(&general));
    buf_done(&text);
    buf_done(&straight);
    buf_done(&general);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(usual_lines),
      cmocka_unit_test(both_say_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
