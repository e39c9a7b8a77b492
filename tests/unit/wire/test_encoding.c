/* Decoders give the same whether their text comes as a whole, when they look at many digits at once, or digit by digit. */
#include "rr_test.h"
#include "wire/encoding.h"
#include "wire/rr_priv.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { TEXT_MOST = 100, OUT_MOST = 90, ROUNDS = 200000 };

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 32) % n;
}

/* Digits, now and then with padding at the end or with some other octet. */
static size_t random_text(const char *digits, char text[TEXT_MOST]) {
  size_t n = random_below(TEXT_MOST), count = strlen(digits);
  for (size_t i = 0; i < n; i++)
    text[i] = digits[random_below((uint32_t)count)];
  for (size_t i = n, padding = random_below(4) ? 0 : random_below(3); padding && i > 0; padding--)
    text[--i] = '=';
  if (n && !random_below(3)) text[random_below((uint32_t)n)] = (char)random_below(256);
  return n;
}

typedef bool feed(void *decoder, const char *text, size_t n, struct wr *out);

static bool feed_base64(void *decoder, const char *text, size_t n, struct wr *out) {
  return base64_feed(decoder, text, n, out);
}

static bool feed_hex(void *decoder, const char *text, size_t n, struct wr *out) {
  return hex_feed(decoder, text, n, out);
}

static void compare(const char *digits, feed *f) {
  for (unsigned round = 0; round < ROUNDS; round++) {
    char text[TEXT_MOST];
    uint8_t whole_out[OUT_MOST], single_out[OUT_MOST];
    union {
      struct base64_decoder base64;
      struct hex_decoder hex;
    } whole = {.base64 = {0}}, single = {.base64 = {0}};
    size_t n = random_text(digits, text), room = random_below(2) ? OUT_MOST : random_below(OUT_MOST);
    size_t cut = random_below((uint32_t)n + 1);
    struct wr a = wr_make(whole_out, room), b = wr_make(single_out, room);
    bool a_good = f(&whole, text, cut, &a) && f(&whole, text + cut, n - cut, &a), b_good = true;
    for (size_t i = 0; i < n && b_good; i++)
      b_good = f(&single, text + i, 1, &b);
    assert_int_equal(a_good, b_good);
    if (!a_good) continue;
    assert_memory_equal(&whole, &single, sizeof whole);
    assert_int_equal(wr_failed(&a), wr_failed(&b));
    if (wr_failed(&a)) continue;
    assert_int_equal(wr_used(&a), wr_used(&b));
    assert_memory_equal(whole_out, single_out, wr_used(&a));
  }
}

static void test_base64(void **state) {
  compare("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", feed_base64);
}

static void test_hex(void **state) {
  compare("0123456789abcdefABCDEF", feed_hex);
}

/* What is printed is read back; every octet that is no digit is refused, at each place. */
static void test_base32hex(void **state) {
  for (unsigned n = 1; n <= 25; n++) {
    uint8_t octets[25], back[25];
    struct buf text = {0};
    for (unsigned i = 0; i < n; i++)
      octets[i] = (uint8_t)random_below(256);
    base32hex_print(octets, n, &text);
    struct wr out = wr_make(back, sizeof back), small = wr_make(back, n - 1);
    assert_true(base32hex_decode((const char *)text.data, text.size, &out));
    assert_int_equal(wr_used(&out), n);
    assert_memory_equal(back, octets, n);
    assert_true(base32hex_decode((const char *)text.data, text.size, &small) && wr_failed(&small));
    for (size_t at = 0; at < text.size; at++)
      for (unsigned c = 0; c < 256; c++) {
        bool is_digit = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'v');
        uint8_t was = text.data[at];
        struct wr to = wr_make(back, sizeof back);
        text.data[at] = (uint8_t)c;
        bool good = base32hex_decode((const char *)text.data, text.size, &to);
        if (!is_digit || at + 1 < text.size) assert_int_equal(good, is_digit); /* the last digit may have bits too many */
        text.data[at] = was;
      }
    buf_done(&text);
  }
}

/* As inet_pton reads them. */
static void test_ipv4(void **state) {
  for (unsigned round = 0; round < ROUNDS; round++) {
    char text[32];
    uint8_t mine[4], theirs[4];
    int n = snprintf(text, sizeof text, "%u.%u.%u.%u", random_below(300), random_below(99), random_below(256), random_below(12));
    for (unsigned changes = random_below(3); changes > 0; changes--)
      text[random_below((uint32_t)n)] = "0123456789..x"[random_below(13)];
    n -= random_below(4) ? 0 : (int)random_below((uint32_t)n);
    text[n] = 0;
    bool good = inet_pton(AF_INET, text, theirs) == 1;
    if (rr_parse_ipv4(text, (size_t)n, mine) != good) fail_msg("%s", text);
    if (good) assert_memory_equal(mine, theirs, 4);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_base64),
      cmocka_unit_test(test_hex),
      cmocka_unit_test(test_base32hex),
      cmocka_unit_test(test_ipv4),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
