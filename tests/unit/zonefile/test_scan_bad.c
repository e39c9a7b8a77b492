/* Texts that are wrong, and every mistake that is said of them. */
#include "scan_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bad {
  const char *title;
  const char *text;
  const char *says[4]; /* each diag as it starts, "line:column check", then "|" and a part of its text or hint */
  size_t records;      /* that are given all the same */
};

static const struct bad bads[] = {
    {"unclosed quote", "a 60 TXT \"b c\na 60 A 192.0.2.1\n", {"1:10 quote|opens here"}, 1},
    {"unclosed quote at the end", "a 60 TXT \"b", {"1:10 quote|opens here"}, 0},
    {"unclosed quote in parentheses", "a 60 TXT ( \"b )\n\"c\" )\na 60 A 192.0.2.1\n", {"1:12 quote"}, 1},
    {"unclosed quote that ate the parenthesis", "a 60 TXT ( \"b )\na 60 A 192.0.2.1\n", {"1:12 quote"}, 1},
    {"unclosed parenthesis",
     "@ 60 SOA a b (\n 1 2\n 3 4 60\na 60 A 192.0.2.1\nb 60 A 192.0.2.2\n",
     {"1:14 parentheses|not closed"},
     2},
    {"unclosed parenthesis, other mistakes behind",
     "@ 60 SOA a b (\n 1\na 60 A 192.0.2.300\nb 60 X y\n",
     {"1:14 parentheses", "3:8 rdata|address", "4:6 type|unknown type X"},
     0},
    {"unclosed parenthesis twice",
     "a 60 A ( 192.0.2.1\nb 60 A ( 192.0.2.2\nc 60 A 192.0.2.3\n",
     {"1:8 parentheses", "2:8 parentheses"},
     1},
    {"closed without being open", "a 60 A 192.0.2.1 )\na 60 A 192.0.2.2\n", {"1:18 parentheses|without"}, 1},
    {"backslash at the end of a line", "a 60 TXT b\\\na 60 A 192.0.2.2\n", {"1:11 escape"}, 1},
    {"backslash at the end of the text", "a 60 TXT b\\", {"1:11 escape"}, 0},
    {"backslash before CRLF", "a 60 TXT b\\\r\n", {"1:11 escape"}, 0},
    {"owner with an empty label", "a..b 60 A 192.0.2.1\na 60 A 192.0.2.1\n", {"1:3 owner|label"}, 1},
    {"owner with a wrong escape", "a\\300 60 A 192.0.2.1\n", {"1:2 owner"}, 0},
    {"empty owner", "\"\" 60 A 192.0.2.1\n", {"1:2 owner|empty"}, 0},
    {"owner that is too long a label",
     "a123456789a123456789a123456789a123456789a123456789a123456789abcd 60 A 192.0.2.1\n",
     {"1:64 owner|63"},
     0},
    {"blank owner at the start", " 60 A 192.0.2.1\n", {"1:2 owner|takes over"}, 0},
    {"blank owners after a bad owner",
     "a..b 60 A 192.0.2.1\n 60 A 192.0.2.2\n 60 A 192.0.2.3\na 60 A 192.0.2.1\n",
     {"1:3 owner"},
     1},
    {"owner and data wrong", "a..b 60 A 192.0.2\n", {"1:3 owner", "1:11 rdata"}, 0},
    {"non-ASCII owner", "b\xc3\xa4r 60 A 192.0.2.1\n", {"1:2 non-ascii-name|xn--"}, 0},
    {"non-ASCII owner by an escape", "b\\\xc3\xa4r 60 A 192.0.2.1\n", {"1:3 non-ascii-name"}, 0},
    {"non-ASCII target", "a 60 MX 10 b\xc3\xa4r\n", {"1:13 non-ascii-name|exchange"}, 0},
    {"non-ASCII origin", "$ORIGIN b\xc3\xa4r\n", {"1:10 non-ascii-name|origin"}, 0},
    {"TTL too large", "a 2147483648 A 192.0.2.1\n", {"1:3 ttl|too large"}, 0},
    {"TTL far too large", "a 99999999999999999999999 A 192.0.2.1\n", {"1:3 ttl|too large"}, 0},
    {"TTL too large by units", "a 4000w A 192.0.2.1\n", {"1:3 ttl|too large"}, 0},
    {"TTL with a wrong unit", "a 5y A 192.0.2.1\n", {"1:3 ttl|1h30m"}, 0},
    {"TTL with a number behind units", "a 1h30 A 192.0.2.1\n", {"1:3 ttl|invalid"}, 0},
    {"no TTL", "a A 192.0.2.1\n", {"1:3 no-ttl|$TTL"}, 0},
    {"no TTL, then one", "a A 192.0.2.1\nb 60 A 192.0.2.1\nc A 192.0.2.2\n", {"1:3 no-ttl"}, 2},
    {"class CH", "a 60 CH A 192.0.2.1\n", {"1:6 class|class IN"}, 0},
    {"class by number", "a 60 CLASS3 A 192.0.2.1\n", {"1:6 class"}, 0},
    {"class twice", "a IN IN A 192.0.2.1\n", {"1:6 class|twice"}, 0},
    {"no type", "a 60 IN\n", {"1:8 type|missing"}, 0},
    {"owner alone", "secret\n", {"1:7 type|missing"}, 0},
    {"unknown type", "a 60 FOOBARBAZ x\n", {"1:6 type|unknown type FOOBARBAZ"}, 0},
    {"mistyped type", "a 60 CNMAE x\n", {"1:6 type|did you mean CNAME?"}, 0},
    {"mistyped short type", "a 60 AAA x\n", {"1:6 type|did you mean"}, 0},
    {"type without owner", "A 192.0.2.1\n", {"1:3 type|starts with a blank"}, 0},
    {"quoted type", "a 60 \"A\" 192.0.2.1\n", {"1:6 type"}, 0},
    {"query type", "a 60 AXFR x\n", {"1:6 type|can't stand"}, 0},
    {"class ANY", "a 60 ANY x\n", {"1:6 class"}, 0},
    {"OPT", "a 60 OPT x\n", {"1:6 type"}, 0},
    {"data missing", "a 60 MX 10\n", {"1:11 rdata|exchange"}, 0},
    {"data wrong", "a 60 MX ten b\n", {"1:9 rdata|preference"}, 0},
    {"data too many", "a 60 A 192.0.2.1 192.0.2.2\n", {"1:18 rdata"}, 0},
    {"data wrong on its line", "@ 60 SOA a b (\n 1\n 2\n x\n 4 60 )\n", {"4:2 rdata|retry"}, 0},
    {"generic data wrong", "a 60 TYPE65280 \\# 3 0102\n", {"1:"}, 0},
    {"unknown directive", "$ORIGN b\n", {"1:1 directive|$ORIGIN"}, 0},
    {"a directive is no owner", "$FOO 60 A 192.0.2.1\n", {"1:1 directive"}, 0},
    {"$ORIGIN alone", "$ORIGIN\n", {"1:8 directive|missing"}, 0},
    {"$ORIGIN with more", "$ORIGIN a b\n", {"1:11 directive|too many"}, 0},
    {"$ORIGIN wrong", "$ORIGIN a..b\n", {"1:11 directive"}, 0},
    {"$TTL alone", "$TTL ; x\n", {"1:5 directive|missing"}, 0},
    {"$TTL wrong", "$TTL x\n", {"1:6 ttl|invalid"}, 0},
    {"$TTL too large", "$TTL 2147483648\n", {"1:6 ttl|too large"}, 0},
    {"$INCLUDE not allowed", "$INCLUDE x\n", {"1:10 include|not allowed"}, 0},
    {"$INCLUDE alone", "$INCLUDE\n", {"1:9 directive"}, 0},
    {"generate short", "$GENERATE 1-2 a A\n", {"1:1 generate|too few"}, 0},
    {"generate range backwards", "$GENERATE 2-1 a$ 60 A 192.0.2.$\n", {"1:11 generate|range"}, 0},
    {"generate range negative", "$GENERATE 9--10 a$ 60 A 192.0.2.$\n", {"1:11 generate|range"}, 0},
    {"generate step zero", "$GENERATE 1-2/0 a$ 60 A 192.0.2.$\n", {"1:11 generate|range"}, 0},
    {"generate step missing", "$GENERATE 1-2/ a$ 60 A 192.0.2.$\n", {"1:11 generate|range"}, 0},
    {"generate too many", "$GENERATE 0-65536 a$ 60 A 192.0.2.1\n", {"1:11 generate|65537"}, 0},
    {"generate far too many", "$GENERATE 0-2147483647 a$ 60 A 192.0.2.1\n", {"1:11 generate|2147483648"}, 0},
    {"generate modifier", "$GENERATE 1-2 a${0,1,q} 60 A 192.0.2.$\n", {"1:15 generate|modifier"}, 0},
    {"generate modifier garbage", "$GENERATE 1-2 a$ 60 A 192.0.2.${1,0,dx}\n", {"1:23 generate|modifier"}, 0},
    {"generate modifier unclosed", "$GENERATE 1-2 a$ 60 A 192.0.2.${1\n", {"1:23 generate|modifier"}, 0},
    {"generate modifier width", "$GENERATE 1-2 a${0,256} 60 A 192.0.2.$\n", {"1:15 generate|modifier"}, 0},
    {"generate offset", "$GENERATE 1-2 a${2147483647} 60 A 192.0.2.$\n", {"1:15 generate|offset"}, 0},
    {"generate stops at the first mistake",
     "$GENERATE 254-65000 a$ 60 A 192.0.2.$\na 60 A 192.0.2.1\n",
     {"1:29 rdata|192.0.2.256"},
     3},
    {"several in one pass", "a 60 A x\nb 60 AAAA y\nc 60 A 192.0.2.1\nd 60 MX\n", {"1:8 rdata", "2:11 rdata", "4:8 rdata"}, 1},
};

static unsigned wrong; /* all are looked at before a test fails */

/* "line:column check|part" against a diag. */
static void check_said(const char *title, const char *wanted, const struct diag *d) {
  char got[2048], head[256];
  snprintf(got, sizeof got, "%u:%u %s", d->place.line, d->place.column, d->check);
  const char *bar = strchr(wanted, '|');
  size_t n = bar ? (size_t)(bar - wanted) : strlen(wanted);
  snprintf(head, sizeof head, "%.*s", (int)n, wanted);
  if (strncmp(got, head, n) != 0) wrong++, print_error("%s: wanted %s, got %s: %s\n", title, wanted, got, d->what);
  if (bar && !strstr(d->what, bar + 1) && !strstr(d->hint, bar + 1))
    wrong++, print_error("%s: wanted %s, got %s: %s; %s\n", title, wanted, got, d->what, d->hint);
}

static void check_bad(const struct bad *b, const char *text, size_t size) {
  struct scanned s;
  size_t n = 0;
  scan_text_n(text, size, NULL, &s);
  while (n < 4 && b->says[n])
    n++;
  if (s.error != ERR_OK || s.raw.count != n || s.count != b->records)
    wrong++, print_error("%s: error %d, %zu records, %zu diags\n%s%s", b->title, s.error, s.count, s.raw.count, buf_text(&s.diags),
                         buf_text(&s.records));
  for (size_t i = 0; i < n && i < s.raw.count; i++)
    check_said(b->title, b->says[i], &s.raw.list[i]);
  scanned_done(&s);
}

static void bad_texts(void **state) {
  for (size_t i = 0; i < sizeof bads / sizeof *bads; i++)
    check_bad(&bads[i], bads[i].text, strlen(bads[i].text));
  assert_int_equal(wrong, 0);
}

#define CHECK_BYTES(literal, records, ...) \
  check_bad(&(struct bad){#literal, NULL, {__VA_ARGS__}, records}, literal, sizeof literal - 1)

static void binary_files(void **state) {
  CHECK_BYTES("a 60 A 192.0.2.1\nb\0c\nd\0\n", 1, "2:2 binary|not text");
  CHECK_BYTES("a 60 TXT \"b\0c\"\nx\n", 0, "1:12 binary|not text");
  CHECK_BYTES("a 60 TXT ( b\0c\nx\n", 0, "1:13 binary|not text");
  CHECK_BYTES("\x7f"
              "ELF\x02\x01\x01\0",
              0, "1:1 binary|not text");
  CHECK_BYTES("\x1f\x8b\x08\0\0\0", 0, "1:1 binary|not text");
  CHECK_BYTES("a\0", 0, "1:2 binary|not text");
  CHECK_BYTES("\xff\xfe"
              "a\0 \0",
              0, "1:1 binary|UTF-16");
  CHECK_BYTES("\xfe\xff\0a\0 ", 0, "1:1 binary|UTF-16");
  assert_int_equal(wrong, 0);
}

static void too_long(void **state) {
  struct buf text = {0};
  struct scanned s;
  buf_add_text(&text, "a 60 TXT ");
  for (int i = 0; i <= LIMIT_TOKEN_BYTES; i++)
    buf_add_byte(&text, 'x');
  buf_add_text(&text, "\na 60 A 192.0.2.1\n");
  scan_text_n(buf_text(&text), text.size, NULL, &s);
  assert_int_equal(s.count, 1);
  assert_int_equal(s.raw.count, 1);
  check_said("long token", "1:10 too-long|262145", &s.raw.list[0]);
  scanned_done(&s);

  buf_clear(&text);
  buf_add_text(&text, "a 60 TXT ");
  for (int i = 0; i <= LIMIT_LINE_TOKENS; i++)
    buf_add_text(&text, "x ");
  buf_add_text(&text, "\na 60 A 192.0.2.1\n");
  scan_text_n(buf_text(&text), text.size, NULL, &s);
  assert_int_equal(s.count, 1);
  assert_int_equal(s.raw.count, 1);
  check_said("long line", "1:1 too-long|65600", &s.raw.list[0]);
  scanned_done(&s);

  buf_clear(&text);
  buf_add_text(&text, "a 60 TXT ( x\n");
  for (int i = 0; i <= LIMIT_LINE_TOKENS; i++)
    buf_add_text(&text, "a 60 A 192.0.2.1\n");
  scan_text_n(buf_text(&text), text.size, NULL, &s);
  assert_int_equal(s.count, LIMIT_LINE_TOKENS + 1);
  assert_int_equal(s.raw.count, 1);
  check_said("swallowed", "1:10 too-long|without a )", &s.raw.list[0]);
  scanned_done(&s);
  buf_done(&text);
  assert_int_equal(wrong, 0);
}

/* However many parentheses are left open, a scan stays linear and says what it can. */
static void many_open_parentheses(void **state) {
  struct buf text = {0};
  struct scanned s;
  for (int i = 0; i < 100000; i++)
    buf_add_text(&text, "a 60 A ( 192.0.2.1 ; and a longer comment behind it to make it slow\n");
  scan_text_n(buf_text(&text), text.size, NULL, &s);
  assert_int_equal(s.error, ERR_OK);
  assert_in_range(s.raw.count, 16, 40);
  scanned_done(&s);
  buf_done(&text);
}

static void at_most_limit_diags(void **state) {
  struct buf text = {0};
  struct scanned s;
  for (int i = 0; i < LIMIT_DIAGS + 500; i++)
    buf_add_text(&text, "a 60 A x\n");
  scan_text_n(buf_text(&text), text.size, NULL, &s);
  assert_int_equal(s.raw.count, LIMIT_DIAGS);
  assert_int_equal(s.raw.errors, LIMIT_DIAGS + 500);
  scanned_done(&s);
  buf_done(&text);
}

/* What is quoted of a token is short, and can't play with a terminal. */
static void quotes_are_tame(void **state) {
  struct buf text = {0};
  struct scanned s;
  buf_add_text(&text, "a 60 ");
  for (int i = 0; i < 1000; i++)
    buf_add_text(&text, "\xe2\x80\xae");
  buf_add_text(&text, " x\n");
  scan_text_n(buf_text(&text), text.size, NULL, &s);
  assert_int_equal(s.raw.count, 1);
  assert_true(strlen(s.raw.list[0].what) < 120);
  for (const char *p = s.raw.list[0].what; *p; p++)
    assert_in_range((unsigned char)*p, 0x20, 0x7e);
  scanned_done(&s);
  buf_done(&text);
}

static void mistakes_are_listed(void **state) {
  assert_true(zonefile_mistake_count() > 10);
  for (size_t i = 0; i < zonefile_mistake_count(); i++) {
    assert_true(zonefile_mistake_at(i)->name[0]);
    assert_true(zonefile_mistake_at(i)->doc[0]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bad_texts),
      cmocka_unit_test(binary_files),
      cmocka_unit_test(too_long),
      cmocka_unit_test(many_open_parentheses),
      cmocka_unit_test(at_most_limit_diags),
      cmocka_unit_test(quotes_are_tame),
      cmocka_unit_test(mistakes_are_listed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
