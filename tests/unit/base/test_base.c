/* The foundations: bytes, buffers, arenas, addresses, access lists, serials, diagnostics. */
#include "base/acl.h"
#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/give_way.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/pieces.h"
#include "base/serial.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_reader_stays_put_when_short(void **state) {
  const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
  struct rd r = rd_make(bytes, sizeof bytes), sub;
  uint16_t a;
  uint32_t b;
  uint64_t c;
  const uint8_t *p;
  assert_true(rd_u16(&r, &a) && a == 0x0102);
  assert_true(rd_u32(&r, &b) && b == 0x03040506);
  assert_false(rd_u16(&r, &a));
  assert_false(rd_u48(&r, &c));
  assert_false(rd_bytes(&r, 2, &p));
  assert_false(rd_sub(&r, 2, &sub));
  assert_false(rd_skip(&r, 2));
  assert_int_equal(rd_left(&r), 1);
  assert_true(rd_sub(&r, 1, &sub) && rd_left(&sub) == 1 && rd_left(&r) == 0);
}

static void test_writer_fails_once_and_for_all(void **state) {
  uint8_t bytes[9], want[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  struct wr w = wr_make(bytes, sizeof bytes);
  assert_true(wr_u8(&w, 0) && wr_u16(&w, 0x0102) && wr_u48(&w, 0x030405060708));
  assert_memory_equal(bytes, want, sizeof want);
  assert_false(wr_u8(&w, 9));
  assert_true(wr_failed(&w));
  assert_int_equal(wr_used(&w), 9);
  w = wr_make(bytes, 3);
  assert_false(wr_u32(&w, 1));
  assert_false(wr_u8(&w, 1)); /* even if it would fit: the message is broken */
}

static void test_buf_and_json(void **state) {
  struct buf b = {0};
  for (int i = 0; i < 1000; i++)
    buf_printf(&b, "%d,", i);
  assert_int_equal(b.size, 10 * 2 + 90 * 3 + 900 * 4);
  buf_clear(&b);
  assert_string_equal(buf_text(&b), "");
  const char evil[] = "a\"b\\\n\x7f\xff\xc3\xa4\xed\xa0\x80";
  buf_add_json_string(&b, evil, sizeof evil - 1);
  assert_string_equal(buf_text(&b), "\"a\\\"b\\\\\\u000a\\u007f\\u00ff\xc3\xa4\\u00ed\\u00a0\\u0080\"");
  buf_done(&b);
}

static void test_pieces_come_back_as_they_went_in(void **state) {
  enum { BYTES = 1000000, STEP = 70001 };
  uint8_t *in = malloc(BYTES), *out = malloc(BYTES);
  struct pieces p = {0};
  size_t taken = 0;
  assert_true(in && out);
  for (size_t i = 0; i < BYTES; i++)
    in[i] = (uint8_t)(i * 2654435761u >> 24);
  assert_int_equal(pieces_take(&p, out, 1), 0);
  for (size_t i = 0; i < BYTES; i += STEP)
    assert_int_equal(pieces_add(&p, in + i, BYTES - i < STEP ? BYTES - i : STEP), ERR_OK);
  for (size_t n; (n = pieces_take(&p, out + taken, 999)); taken += n)
    assert_int_equal(p.size, BYTES - taken - n);
  assert_int_equal(taken, BYTES);
  assert_memory_equal(in, out, BYTES);
  assert_int_equal(pieces_add(&p, in, STEP), ERR_OK); /* again, and not taken */
  assert_int_equal(pieces_take(&p, out, 5), 5);
  assert_memory_equal(in, out, 5);
  pieces_done(&p);
  assert_int_equal(p.size, 0);
  free(in);
  free(out);
}

static void test_arena_aligns_and_takes_large_ones(void **state) {
  struct arena a = {0};
  for (size_t n = 1; n < 300000; n = n * 3 + 1) {
    uint8_t *p = arena_zalloc(&a, n);
    assert_int_equal((uintptr_t)p % 16, 0);
    assert_int_equal(p[n - 1], 0);
    p[n - 1] = 1;
  }
  assert_string_equal(arena_text(&a, "hello", 4), "hell");
  arena_done(&a);
  assert_null(a.blocks);
}

static void check_addr(const char *text, enum err want, const char *back) {
  struct addr a;
  char out[ADDR_TEXT_BYTES];
  assert_int_equal(addr_parse(text, 53, &a), want);
  if (!want) assert_string_equal(addr_text(&a, out), back);
}

static void test_addresses(void **state) {
  check_addr("192.0.2.1", ERR_OK, "192.0.2.1@53");
  check_addr("192.0.2.1@5300", ERR_OK, "192.0.2.1@5300");
  check_addr("::1@1", ERR_OK, "::1@1");
  check_addr("0.10.100.255@65535", ERR_OK, "0.10.100.255@65535");
  check_addr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff@65535", ERR_OK, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff@65535");
  check_addr("::ffff:192.0.2.1", ERR_OK, "192.0.2.1@53");
  check_addr("192.0.2.1@0", ERR_RANGE, NULL);
  check_addr("192.0.2.1@65536", ERR_RANGE, NULL);
  check_addr("192.0.2.1@x", ERR_FORMAT, NULL);
  check_addr("192.0.2.256", ERR_FORMAT, NULL);
  check_addr("fe80::1%nosuchif", ERR_NOT_FOUND, NULL);
  check_addr("", ERR_FORMAT, NULL);
  struct addr a, b;
  struct sockaddr_storage sa;
  assert_int_equal(addr_parse("2001:db8::1@7", 0, &a), ERR_OK);
  addr_to_sockaddr(&a, &sa);
  assert_true(addr_from_sockaddr((struct sockaddr *)&sa, &b) && addr_equal(&a, &b));
}

static bool matches(const char *prefix, const char *host) {
  struct prefix p;
  struct addr a;
  assert_int_equal(prefix_parse(prefix, &p), ERR_OK);
  assert_int_equal(addr_parse(host, 0, &a), ERR_OK);
  return prefix_match(&p, &a);
}

static void test_prefixes(void **state) {
  assert_true(matches("192.0.2.0/24", "192.0.2.255"));
  assert_false(matches("192.0.2.0/24", "192.0.3.0"));
  assert_true(matches("192.0.2.128/25", "192.0.2.129"));
  assert_false(matches("192.0.2.128/25", "192.0.2.127"));
  assert_true(matches("0.0.0.0/0", "203.0.113.7"));
  assert_false(matches("0.0.0.0/0", "::1"));
  assert_true(matches("2001:db8::/33", "2001:db8:7fff::1"));
  assert_false(matches("2001:db8::/33", "2001:db8:8000::1"));
  assert_true(matches("192.0.2.7", "192.0.2.7"));
  struct prefix p;
  assert_int_equal(prefix_parse("192.0.2.1/24", &p), ERR_RANGE);
  assert_int_equal(prefix_parse("192.0.2.0/33", &p), ERR_RANGE);
  assert_int_equal(prefix_parse("x/8", &p), ERR_FORMAT);
}

static void test_access_lists(void **state) {
  const uint8_t key[] = "\3key", other[] = "\5other";
  struct acl_entry entries[2] = {{.key = {key, 5}}, {.any_host = true, .key = {other, 7}, .need_tls = true}};
  assert_int_equal(prefix_parse("192.0.2.0/24", &entries[0].from), ERR_OK);
  struct acl acl = {entries, 2}, nobody = {NULL, 0};
  struct addr inside, outside;
  assert_int_equal(addr_parse("192.0.2.9@1", 0, &inside), ERR_OK);
  assert_int_equal(addr_parse("198.51.100.9@1", 0, &outside), ERR_OK);
  struct acl_client c = {&inside, {key, 5}, false};
  assert_true(acl_allows(&acl, &c));
  assert_false(acl_allows(&nobody, &c));
  c.from = &outside;
  assert_false(acl_allows(&acl, &c)); /* address and key must both match */
  c = (struct acl_client){&inside, {0}, false};
  assert_false(acl_allows(&acl, &c));
  c = (struct acl_client){&outside, {other, 7}, false};
  assert_false(acl_allows(&acl, &c)); /* not without TLS */
  c.tls = true;
  assert_true(acl_allows(&acl, &c));
}

static void test_serials(void **state) {
  assert_true(serial_gt(1, 0) && serial_gt(0, 0xffffffff) && serial_gt(0x80000000, 1));
  assert_false(serial_gt(0, 0) || serial_gt(0, 1) || serial_gt(0x80000000, 0) || serial_gt(0, 0x80000000));
  assert_true(serial_gt(0x7fffffff, 0));
}

static void test_hash_of_pieces(void **state) {
  uint8_t bytes[1000];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)(i * 37);
  for (size_t piece = 1; piece <= sizeof bytes; piece *= 3) {
    struct hash128_pieces *h = hash128_begin();
    assert_non_null(h);
    for (size_t at = 0; at < sizeof bytes; at += piece)
      hash128_more(h, bytes + at, sizeof bytes - at < piece ? sizeof bytes - at : piece);
    struct digest128 whole = hash128(bytes, sizeof bytes), sum = hash128_end(h);
    assert_true(sum.low == whole.low && sum.high == whole.high);
  }
}

static void test_diags(void **state) {
  struct diags d = {0};
  for (int i = 0; i < LIMIT_DIAGS + 5; i++)
    diag_add(&d, i % 2 ? SEVERITY_WARNING : SEVERITY_ERROR, (struct place){"z", 3, 7}, "a-check", "do this", "number %d", i);
  assert_int_equal(d.count, LIMIT_DIAGS);
  assert_int_equal(d.errors + d.warnings, LIMIT_DIAGS + 5);
  struct buf b = {0};
  diag_print(&d.list[0], &b);
  assert_string_equal(buf_text(&b), "z:3:7: error: number 0 [a-check]; do this\n");
  buf_clear(&b);
  diags_print(&d, &b);
  assert_non_null(strstr(buf_text(&b), "and 5 more\n"));
  buf_done(&b);
  diags_done(&d);
  char text[TIME_TEXT_BYTES];
  assert_string_equal(time_text(1795382400, text), "2026-11-22T21:20:00Z");
}

/* Whoever compares the time of a tick with a time that was read later finds it in the past, and not far. */
static void test_ticks(void **state) {
  for (unsigned i = 0; i < 1000; i++) {
    struct instant before = clock_read(), tick = clock_read_tick(), after = clock_read();
    assert_true(tick.mono_ns <= after.mono_ns && tick.wall_s <= after.wall_s);
    assert_true(tick.mono_ns + NS_PER_S > before.mono_ns && tick.wall_s + 2 > before.wall_s);
  }
}

/* A thread that has asked counts down and begins again; one that has not never counts. */
static void *steps_after_many(void *arg) {
  bool asks = arg != NULL;
  if (asks) give_way_from_now_on();
  unsigned first = give_way_steps;
  give_way();
  unsigned second = give_way_steps;
  for (unsigned i = 0; i + 1 < first; i++)
    give_way();
  assert_int_equal(second, asks ? first - 1 : 0);
  assert_int_equal(give_way_steps, first);
  return NULL;
}

static void test_gives_way_if_asked(void **state) {
  pthread_t other;
  bool asks = true;
  assert_int_equal(pthread_create(&other, NULL, steps_after_many, &asks), 0);
  assert_int_equal(pthread_join(other, NULL), 0);
  steps_after_many(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reader_stays_put_when_short),
      cmocka_unit_test(test_writer_fails_once_and_for_all),
      cmocka_unit_test(test_buf_and_json),
      cmocka_unit_test(test_pieces_come_back_as_they_went_in),
      cmocka_unit_test(test_arena_aligns_and_takes_large_ones),
      cmocka_unit_test(test_addresses),
      cmocka_unit_test(test_prefixes),
      cmocka_unit_test(test_access_lists),
      cmocka_unit_test(test_serials),
      cmocka_unit_test(test_hash_of_pieces),
      cmocka_unit_test(test_diags),
      cmocka_unit_test(test_ticks),
      cmocka_unit_test(test_gives_way_if_asked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
