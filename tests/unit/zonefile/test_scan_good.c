/* Texts that are right, and the records they stand for. */
#include "scan_test.h"

#include "zonefile/scan_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct good {
  const char *title;
  const char *text;
  const char *records;
};

#define A1 "a.example. 60 IN A 192.0.2.1\n"
#define A2 "a.example. 60 IN A 192.0.2.2\n"

static const struct good goods[] = {
    {"empty", "", ""},
    {"comments and blanks", "; nothing\n\n   \t ; here\n;", ""},
    {"all fields", "a.example. 60 IN A 192.0.2.1\n", A1},
    {"relative owner", "a 60 IN A 192.0.2.1\n", A1},
    {"no newline at the end", "a 60 IN A 192.0.2.1", A1},
    {"CRLF", "a 60 IN A 192.0.2.1\r\n\r\na 60 IN A 192.0.2.2\r\n", A1 A2},
    {"CRLF in parentheses", "a 60 IN A (\r\n192.0.2.1 ) ; x\r\na 60 A 192.0.2.2\r\n", A1 A2},
    {"byte order mark",
     "\xef\xbb\xbf"
     "a 60 IN A 192.0.2.1\n",
     A1},
    {"byte order mark alone", "\xef\xbb\xbf", ""},
    {"class before TTL", "a IN 60 A 192.0.2.1\n", A1},
    {"no class", "a 60 A 192.0.2.1\n", A1},
    {"class by number", "a 60 CLASS1 A 192.0.2.1\n", A1},
    {"lower case", "a 60 in a 192.0.2.1\n", A1},
    {"case of names is kept", "A.Example. 60 CNAME WwW\n", "A.Example. 60 IN CNAME WwW.example.\n"},
    {"tabs", "a\t\t60\tIN\tA\t192.0.2.1\t\n", A1},
    {"blank owner", "a 60 A 192.0.2.1\n  60 A 192.0.2.2\n\t60 A 192.0.2.1\n", A1 A2 A1},
    {"blank owner after an empty line", "a 60 A 192.0.2.1\n\n; x\n 60 A 192.0.2.2\n", A1 A2},
    {"blank owner after $ORIGIN", "a 60 A 192.0.2.1\n$ORIGIN b.example.\n 60 A 192.0.2.2\n", A1 A2},
    {"owner @", "@ 60 NS @\n", "example. 60 IN NS example.\n"},
    {"escaped @", "\\@ 60 A 192.0.2.1\n", "\\@.example. 60 IN A 192.0.2.1\n"},
    {"escaped dot", "a\\.b 60 A 192.0.2.1\n", "a\\.b.example. 60 IN A 192.0.2.1\n"},
    {"escaped octets", "a\\000\\255\\032b 60 A 192.0.2.1\n", "a\\000\\255\\032b.example. 60 IN A 192.0.2.1\n"},
    {"escaped specials", "a\\(\\;\\\"\\)b 60 A 192.0.2.1\n", "a\\(\\;\\\"\\)b.example. 60 IN A 192.0.2.1\n"},
    {"escaped blank", "a\\ b 60 A 192.0.2.1\n", "a\\032b.example. 60 IN A 192.0.2.1\n"},
    {"quoted owner", "\"a\" 60 A 192.0.2.1\n", A1},
    {"owner like a type", "A 60 A 192.0.2.1\n", "A.example. 60 IN A 192.0.2.1\n"},
    {"owner like a class", "IN 60 A 192.0.2.1\n", "IN.example. 60 IN A 192.0.2.1\n"},
    {"owner like a TTL", "60 60 A 192.0.2.1\n", "60.example. 60 IN A 192.0.2.1\n"},
    {"wildcard", "*.w 60 A 192.0.2.1\n", "*.w.example. 60 IN A 192.0.2.1\n"},
    {"TTL units", "a 1h30m A 192.0.2.1\n", "a.example. 5400 IN A 192.0.2.1\n"},
    {"TTL all units", "a 1W2D3H4M5S A 192.0.2.1\n", "a.example. 788645 IN A 192.0.2.1\n"},
    {"TTL zero", "a 0 A 192.0.2.1\n", "a.example. 0 IN A 192.0.2.1\n"},
    {"TTL largest", "a 2147483647 A 192.0.2.1\n", "a.example. 2147483647 IN A 192.0.2.1\n"},
    {"$TTL", "$TTL 60\na A 192.0.2.1\n", A1},
    {"$ttl in lower case", "$ttl 1m ; x\na A 192.0.2.1\n", A1},
    {"$TTL wins over the last TTL", "$TTL 60\nb 5 A 192.0.2.1\na A 192.0.2.1\n", "b.example. 5 IN A 192.0.2.1\n" A1},
    {"last TTL", "b 60 A 192.0.2.1\na A 192.0.2.1\n", "b.example. 60 IN A 192.0.2.1\n" A1},
    {"SOA minimum", "@ SOA a b 1 2 3 4 60\na A 192.0.2.1\n", "example. 60 IN SOA a.example. b.example. 1 2 3 4 60\n" A1},
    {"SOA minimum is for good", "@ SOA a b 1 2 3 4 60\nb 5 A 192.0.2.1\na A 192.0.2.1\n",
     "example. 60 IN SOA a.example. b.example. 1 2 3 4 60\nb.example. 5 IN A 192.0.2.1\n" A1},
    {"$ORIGIN absolute", "$ORIGIN b.example.\na 60 A 192.0.2.1\n", "a.b.example. 60 IN A 192.0.2.1\n"},
    {"$ORIGIN relative", "$ORIGIN b\na 60 NS c\n", "a.b.example. 60 IN NS c.b.example.\n"},
    {"$ORIGIN root", "$ORIGIN .\na.example 60 A 192.0.2.1\n", A1},
    {"$ORIGIN @", "$ORIGIN @\na 60 A 192.0.2.1\n", A1},
    {"parentheses", "a 60 ( IN A\n  192.0.2.1\n)\na 60 A 192.0.2.2\n", A1 A2},
    {"parentheses without blanks", "@ 60 SOA a b(1 2;x\n3 4)60\n", "example. 60 IN SOA a.example. b.example. 1 2 3 4 60\n"},
    {"parentheses nested", "a 60 ( A ( 192.0.2.1 ) )\n", A1},
    {"parentheses from the first column", "( a 60 A\n192.0.2.1 )\n", A1},
    {"parentheses around nothing", "( \n ) a 60 A 192.0.2.1 ( )\n", A1},
    {"parentheses and leading blank", "a 60 A 192.0.2.1\n ( 60\nA 192.0.2.2 )\n", A1 A2},
    {"owner in column one inside parentheses", "@ 60 SOA a b (\n1\n2\n3\n4\n60 )\n",
     "example. 60 IN SOA a.example. b.example. 1 2 3 4 60\n"},
    {"quoted string", "a 60 TXT \"b c\"\n", "a.example. 60 IN TXT \"b c\"\n"},
    {"unquoted string", "a 60 TXT b\n", "a.example. 60 IN TXT \"b\"\n"},
    {"several strings", "a 60 TXT b \"c\" d\n", "a.example. 60 IN TXT \"b\" \"c\" \"d\"\n"},
    {"strings that touch", "a 60 TXT b\"c\"\"d\"e\n", "a.example. 60 IN TXT \"b\" \"c\" \"d\" \"e\"\n"},
    {"a = before a quote", "a 60 TXT b=\"c\"\n", "a.example. 60 IN TXT \"b=\" \"c\"\n"},
    {"empty string", "a 60 TXT \"\"\n", "a.example. 60 IN TXT \"\"\n"},
    {"escapes in strings", "a 60 TXT \"b\\\"c\\\\d\\101\"\n", "a.example. 60 IN TXT \"b\\\"c\\\\de\"\n"},
    {"specials in strings", "a 60 TXT \"(;)\" ; x\n", "a.example. 60 IN TXT \"(;)\"\n"},
    {"octets outside ASCII in strings", "a 60 TXT \"\xc3\xa4\"\n", "a.example. 60 IN TXT \"\\195\\164\"\n"},
    {"quote in a comment", "a 60 A 192.0.2.1 ; \"x (\n", A1},
    {"octets outside ASCII in comments", "a 60 A 192.0.2.1 ; \xc3\xa4\n", A1},
    {"unknown type", "a 60 TYPE65280 \\# 3 010203\n", "a.example. 60 IN TYPE65280 \\# 3 010203\n"},
    {"known type as unknown", "a 60 A \\# 4 c0000201\n", A1},
    {"known type by number", "a 60 TYPE1 192.0.2.1\n", A1},
    {"unknown type in parentheses", "a 60 TYPE65280 \\# 3 ( 01\n02 ; x\n03 )\n", "a.example. 60 IN TYPE65280 \\# 3 010203\n"},
    {"SVCB parameters", "a 60 SVCB 1 . alpn=\"h2,h3\" port=53\n", "a.example. 60 IN SVCB 1 . alpn=\"h2,h3\" port=53\n"},
    {"generate", "$GENERATE 1-3/2 h$ 60 A 192.0.2.$\n", "h1.example. 60 IN A 192.0.2.1\nh3.example. 60 IN A 192.0.2.3\n"},
    {"generate one", "$GENERATE 7-7 h$ 60 IN A 192.0.2.$\n", "h7.example. 60 IN A 192.0.2.7\n"},
    {"generate takes $TTL", "$TTL 60\n$GENERATE 1-1 a A 192.0.2.$\n", A1},
    {"generate class before TTL", "$GENERATE 1-1 a IN 60 A 192.0.2.$\n", A1},
    {"generate offset", "$GENERATE 1-1 h${10} 60 A 192.0.2.${-1,0}\n", "h11.example. 60 IN A 192.0.2.0\n"},
    {"generate width", "$GENERATE 9-10 h${0,3} 60 A 192.0.2.$\n",
     "h009.example. 60 IN A 192.0.2.9\nh010.example. 60 IN A 192.0.2.10\n"},
    {"generate bases", "$GENERATE 29-29 ${0,0,d}-${0,4,o}-${0,4,x}-${0,4,X} 60 A 192.0.2.1\n",
     "29-0035-001d-001D.example. 60 IN A 192.0.2.1\n"},
    {"generate nibbles", "$GENERATE 419-419 ${0,0,n} 60 A 192.0.2.1\n", "3.a.1.example. 60 IN A 192.0.2.1\n"},
    {"generate nibbles filled", "$GENERATE 419-419 ${0,7,N} 60 A 192.0.2.1\n", "3.A.1.0.example. 60 IN A 192.0.2.1\n"},
    {"generate nibbles with a dot at the end", "$GENERATE 1-1 ${0,4,n}example. 60 A 192.0.2.1\n",
     "1.0.example. 60 IN A 192.0.2.1\n"},
    {"generate below zero", "$GENERATE 1-1 ${-3}-${-3,0,x} 60 A 192.0.2.1\n", "-2-fffffffe.example. 60 IN A 192.0.2.1\n"},
    {"generate dollars", "$GENERATE 1-1 \\$x$ 60 TXT $$\n", "\\$x1.example. 60 IN TXT \"$\"\n"},
    {"generate several tokens", "$GENERATE 1-1 a 60 MX $ m$\n", "a.example. 60 IN MX 1 m1.example.\n"},
    {"generate quoted data", "$GENERATE 1-1 a 60 MX \"$ m$\"\n", "a.example. 60 IN MX 1 m1.example.\n"},
    {"generate quoted strings", "$GENERATE 1-1 a 60 TXT \"a $\" \"b\"\n", "a.example. 60 IN TXT \"a 1\" \"b\"\n"},
    {"generate owner @", "$GENERATE 1-1 @ 60 A 192.0.2.$\n", "example. 60 IN A 192.0.2.1\n"},
    {"generate then blank owner", "$GENERATE 1-1 a 60 A 192.0.2.$\n 60 A 192.0.2.2\n", A1 A2},
};

static unsigned wrong; /* all are looked at before a test fails */

static void check_good(const char *title, const char *text, const char *records, const struct zonefile_options *o) {
  struct scanned s;
  scan_text_n(text, strlen(text), o, &s);
  if (s.error != ERR_OK || s.raw.count || strcmp(buf_text(&s.records), records) != 0)
    wrong++, print_error("%s: error %d\n%s--- diags\n%s--- wanted\n%s", title, s.error, buf_text(&s.records), buf_text(&s.diags),
                         records);
  scanned_done(&s);
}

static void good_texts(void **state) {
  for (size_t i = 0; i < sizeof goods / sizeof *goods; i++)
    check_good(goods[i].title, goods[i].text, goods[i].records, NULL);
  assert_int_equal(wrong, 0);
}

static void odd_origins(void **state) {
  struct zonefile_options root = {.origin = name_root, .no_include = true};
  check_good("root", "@ 60 NS a\nb. 60 NS .\n", ". 60 IN NS a.\nb. 60 IN NS .\n", &root);
  struct zonefile_options no = {.origin = name_of("no."), .no_include = true};
  check_good("no.", "@ 60 NS a\n", "no. 60 IN NS a.no.\n", &no);
  struct zonefile_options slash = {.origin = name_of("0/26.2.0.192.in-addr.arpa."), .no_include = true};
  check_good("slash", "1 60 PTR a.example.\n", "1.0/26.2.0.192.in-addr.arpa. 60 IN PTR a.example.\n", &slash);
  struct zonefile_options escaped = {.origin = name_of("a\\.b\\000\\255.example."), .no_include = true};
  check_good("escaped", "c 60 NS @\n", "c.a\\.b\\000\\255.example. 60 IN NS a\\.b\\000\\255.example.\n", &escaped);
  struct zonefile_options ttl = {.no_include = true, .default_ttl = 60};
  check_good("default TTL", "a A 192.0.2.1\n", A1, &ttl);
  assert_int_equal(wrong, 0);
}

static void long_texts(void **state) {
  /* A token of 300 octets and a line of 2,000 tokens. */
  struct buf text = {0}, wanted = {0};
  buf_add_text(&text, "a 60 TXT (");
  buf_add_text(&wanted, "a.example. 60 IN TXT");
  for (int i = 0; i < 2000; i++) {
    buf_printf(&text, " s%04d\n", i);
    buf_printf(&wanted, " \"s%04d\"", i);
  }
  buf_add_text(&text, ")\n");
  buf_add_text(&wanted, "\n");
  check_good("many strings", buf_text(&text), buf_text(&wanted), NULL);
  assert_int_equal(wrong, 0);
  buf_done(&text);
  buf_done(&wanted);
}

static bool stop_after_two(void *arg, const struct zonefile_record *r) {
  return ++*(int *)arg < 2;
}

static void callback_stops(void **state) {
  int n = 0;
  struct diags d = {0};
  struct zonefile_options o = {.origin = name_of("example."), .record = stop_after_two, .arg = &n};
  const char *text = "a 60 A 192.0.2.1\na 60 A 192.0.2.2\na 60 A 192.0.2.3\nx\n";
  assert_int_equal(zonefile_scan_bytes("z", (const uint8_t *)text, strlen(text), &o, &d), ERR_REFUSED);
  assert_int_equal(n, 2);
  assert_int_equal(d.count, 0);
  text = "$GENERATE 1-9 a 60 A 192.0.2.$\n";
  n = 0;
  assert_int_equal(zonefile_scan_bytes("z", (const uint8_t *)text, strlen(text), &o, &d), ERR_REFUSED);
  assert_int_equal(n, 2);
  assert_int_equal(d.count, 0);
  diags_done(&d);
}

struct seen_places {
  struct place owner[4], rdata[4];
  int n;
};

static bool keep_places(void *arg, const struct zonefile_record *r) {
  struct seen_places *p = arg;
  p->owner[p->n] = r->place;
  p->rdata[p->n++] = r->rdata_place;
  return true;
}

static void places(void **state) {
  struct seen_places p = {0};
  struct diags d = {0};
  struct zonefile_options o = {.origin = name_of("example."), .record = keep_places, .arg = &p};
  const char *text = "a 60 A 192.0.2.1\n\n  60 A (\n\t192.0.2.2 )\nb 60 TXT \"x\"\n";
  assert_int_equal(zonefile_scan_bytes("z", (const uint8_t *)text, strlen(text), &o, &d), ERR_OK);
  const uint32_t wanted[][4] = {{1, 1, 1, 8}, {3, 3, 4, 2}, {5, 1, 5, 10}};
  assert_int_equal(p.n, 3);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(p.owner[i].line, wanted[i][0]);
    assert_int_equal(p.owner[i].column, wanted[i][1]);
    assert_int_equal(p.rdata[i].line, wanted[i][2]);
    assert_int_equal(p.rdata[i].column, wanted[i][3]);
  }
  diags_done(&d);
}

static const uint8_t *words_in(enum word_width width, const uint8_t *text, struct rr_token list[8], size_t *count) {
  struct words w = {list, 0, 8, text, 7};
  const uint8_t *rest = word_ways_of(width).find(text, &w);
  *count = w.count;
  return rest;
}

/* All widths find the same words, whatever octet stands anywhere among them. */
static void words_of_all_widths(void **state) {
  uint8_t text[110 + SCAN_PAD_BYTES];
  for (unsigned octet = 0; octet < 256; octet++) {
    for (size_t at = 0; at < 109; at++) {
      struct rr_token narrow[8], wide[8];
      size_t count, wide_count;
      memset(text, 'w', sizeof text);
      memset(text + 109, 0, sizeof text - 109);
      text[31] = text[64] = ' ';
      text[at] = (uint8_t)octet;
      const uint8_t *rest = words_in(WORD_PORTABLE, text, narrow, &count);
      for (enum word_width w = WORD_SSE2; w <= WORD_AVX2; w++) {
        assert_ptr_equal(words_in(w, text, wide, &wide_count), rest);
        assert_int_equal(wide_count, count);
        for (size_t i = 0; i < count; i++) {
          assert_ptr_equal(wide[i].text, narrow[i].text);
          assert_int_equal(wide[i].size, narrow[i].size);
          assert_int_equal(wide[i].column, narrow[i].text - (const char *)text + 1);
          assert_int_equal(wide[i].line, 7);
        }
      }
    }
  }
}

static bool is_in(char c, const char *list) {
  return c && strchr(list, c);
}

/* So do their looks at 64 octets. */
static void looks_of_all_widths(void **state) {
  char text[256 + SCAN_PAD_BYTES];
  for (unsigned i = 0; i < sizeof text; i++)
    text[i] = (char)(i * 7); /* every octet, each beside others than its neighbours */
  for (enum word_width width = WORD_PORTABLE; width <= WORD_BEST; width++) {
    line_look *look = word_ways_of(width).look;
    for (unsigned at = 0; look && at < 256; at++) {
      struct line_octets o = look((const uint8_t *)text + at);
      for (unsigned i = 0; i < 64; i++) {
        char c = text[at + i];
        assert_int_equal(o.word >> i & 1, c > ' ' && c < 127 && !is_in(c, "\"();\\"));
        assert_int_equal(o.blank >> i & 1, is_in(c, " \t\r"));
        assert_int_equal(o.dot >> i & 1, c == '.');
      }
    }
  }
}

/* Up to as many as there is room for; the rest is found from there on. */
static void words_beyond_the_room(void **state) {
  uint8_t text[64 + SCAN_PAD_BYTES] = "a b c d e f g h i j";
  for (enum word_width width = WORD_PORTABLE; width <= WORD_AVX2; width++) {
    struct rr_token list[8];
    size_t count;
    const uint8_t *rest = words_in(width, text, list, &count);
    assert_int_equal(count, 8);
    words_in(width, rest, list, &count);
    assert_int_equal(count, 2);
    assert_memory_equal(list[0].text, "i", 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_texts),
      cmocka_unit_test(odd_origins),
      cmocka_unit_test(long_texts),
      cmocka_unit_test(callback_stops),
      cmocka_unit_test(places),
      cmocka_unit_test(words_of_all_widths),
      cmocka_unit_test(looks_of_all_widths),
      cmocka_unit_test(words_beyond_the_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
