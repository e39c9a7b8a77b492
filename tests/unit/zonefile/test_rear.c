/* The rear half by another scan: whatever stands in a file, the outcome is that of one scan, and it is taken where it can be. */
#include "scan_test.h"

#include <string.h>

struct halves {
  struct scanned *front;
  struct scanned rear;
  struct zonefile_rear *half;
  unsigned taken;
};

static bool begin(void *arg, struct zonefile_rear *half) {
  struct halves *h = arg;
  h->half = half;
  return true;
}

static void wait_for_it(void *arg) {
  struct halves *h = arg;
  zonefile_rear_scan(h->half);
}

static bool record(void *arg, const struct zonefile_record *r) {
  struct halves *h = arg;
  return scanned_record(&h->rear, r);
}

static bool take(void *arg) {
  struct halves *h = arg;
  buf_add(&h->front->records, h->rear.records.data, h->rear.records.size);
  h->front->count += h->rear.count;
  h->taken++;
  return true;
}

/* Whether the rear of this text was taken. */
static bool is_taken(const char *text) {
  struct scanned whole, halved;
  struct halves h = {.front = &halved};
  struct zonefile_fork fork = {.begin = begin, .record = record, .wait = wait_for_it, .take = take, .arg = &h};
  scan_text_n(text, strlen(text), &(struct zonefile_options){.no_include = true}, &whole);
  scan_text_n(text, strlen(text), &(struct zonefile_options){.no_include = true, .fork = &fork}, &halved);
  assert_int_equal(whole.error, halved.error);
  assert_int_equal(whole.count, halved.count);
  assert_string_equal(buf_text(&whole.records), buf_text(&halved.records));
  assert_string_equal(buf_text(&whole.diags), buf_text(&halved.diags));
  scanned_done(&h.rear);
  scanned_done(&whole);
  scanned_done(&halved);
  return h.taken;
}

/* `head`, so many lines, `middle`, and so many lines again. */
static bool is_taken_of(const char *head, const char *line, const char *middle, const char *last) {
  enum { LINES = 40 };
  struct buf text = {0};
  buf_add_text(&text, head);
  for (int i = 0; i < 2 * LINES; i++) {
    if (i == LINES) buf_add_text(&text, middle);
    buf_printf(&text, line, i);
  }
  buf_add_text(&text, last);
  bool taken = is_taken(buf_text(&text));
  buf_done(&text);
  return taken;
}

static void test_taken(void **state) {
  assert_true(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n", "", ""));
  assert_true(is_taken_of("$TTL 60\n$ORIGIN sub\n", "h%d A 192.0.2.1\n", "", "last MX 10 @"));
  assert_true(is_taken_of("", "h%d 3600 IN A 192.0.2.1\n", "", ""));
  assert_true(is_taken_of("", "h%1$d %1$d IN A 192.0.2.1\n", "", ""));
  assert_true(is_taken_of("@ SOA ns h ( 1 2 3\n 4 5 )\n", "h%d A 192.0.2.1\n", "", "x 7 A 192.0.2.2\ny A 192.0.2.3\n"));
  assert_true(is_taken_of("$TTL 60\n", "h%d TXT ( a\n  b ) ; c\n", "", "$GENERATE 1-3 g$ A 192.0.2.$\n"));
}

static void test_not_taken(void **state) {
  assert_false(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n", "$ORIGIN other\n", ""));
  assert_false(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n", "$TTL 61\n", ""));
  assert_false(is_taken_of("h 1 A 192.0.2.1\n", "h%d A 192.0.2.1\n", "x 7 A 192.0.2.1\n", "")); /* a TTL that is taken over */
  assert_false(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n", "x TXT ( a b\nh A c )\n", ""));
  assert_false(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n\tTXT \"two\n", "; more\n\n", ""));
  assert_false(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n", "", "$INCLUDE x\n"));
  assert_false(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n", "", "bad A 192.0.2\n"));
  assert_false(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n", "", "bad A 192.0.2.1 \001\n"));
  assert_false(is_taken_of("$TTL 60\n", "\tA 192.0.2.%d\n", "", ""));
  assert_false(is_taken(""));
  assert_false(is_taken("a 60 A 192.0.2.1"));
}

/* What is wrong in front does not keep the rear from being right. */
static void test_wrong_in_front(void **state) {
  assert_true(is_taken_of("bad A\n$TTL 60\n", "h%d A 192.0.2.1\n", "", ""));
  assert_true(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n", "bad A\n", ""));
  assert_true(is_taken_of("$TTL 60\n", "h%d A 192.0.2.1\n", "x TXT ( a b\n", ""));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_taken),
      cmocka_unit_test(test_not_taken),
      cmocka_unit_test(test_wrong_in_front),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
