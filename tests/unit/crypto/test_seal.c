#include "crypto/seal.h"

#include "crypto/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(s) ((struct seal_text){(s), sizeof(s) - 1})

static const struct seal_text passphrase = TEXT("a passphrase"), beside = TEXT("beside"), plain = TEXT("what nobody may read");

static void test_opens_again(void **state) {
  struct buf sealed = {0}, again = {0}, out = {0};
  assert_int_equal(seal_close(passphrase, beside, plain, &sealed), ERR_OK);
  assert_int_equal(seal_close(passphrase, beside, plain, &again), ERR_OK);
  assert_null(memmem(sealed.data, sealed.size, plain.bytes, plain.size));
  assert_true(memcmp(sealed.data, again.data, sealed.size) != 0); /* salt and nonce are new each time */
  assert_int_equal(seal_open(passphrase, beside, (struct seal_text){sealed.data, sealed.size}, &out), ERR_OK);
  assert_int_equal(out.size, plain.size);
  assert_memory_equal(out.data, plain.bytes, plain.size);
  buf_done(&sealed);
  buf_done(&again);
  buf_done(&out);
}

static void test_nothing_in_it(void **state) {
  struct buf sealed = {0}, out = {0};
  assert_int_equal(seal_close(passphrase, TEXT(""), TEXT(""), &sealed), ERR_OK);
  assert_int_equal(seal_open(passphrase, TEXT(""), (struct seal_text){sealed.data, sealed.size}, &out), ERR_OK);
  assert_int_equal(out.size, 0);
  buf_done(&sealed);
  buf_done(&out);
}

static void test_what_does_not_open(void **state) {
  struct buf sealed = {0}, out = {0};
  assert_int_equal(seal_close(passphrase, beside, plain, &sealed), ERR_OK);
  struct seal_text s = {sealed.data, sealed.size};
  assert_int_equal(seal_open(TEXT("another"), beside, s, &out), ERR_REFUSED);
  assert_int_equal(seal_open(passphrase, TEXT("besidE"), s, &out), ERR_REFUSED);
  assert_int_equal(seal_open(passphrase, beside, (struct seal_text){sealed.data, 40}, &out), ERR_FORMAT);
  assert_int_equal(seal_open(passphrase, beside, (struct seal_text){sealed.data, sealed.size - 1}, &out), ERR_REFUSED);
  static const size_t places[] = {0, 12, 28, 40, 60}; /* magic, salt, nonce, content, content or tag */
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    sealed.data[places[i]] ^= 1;
    assert_int_equal(seal_open(passphrase, beside, s, &out), places[i] == 0 ? ERR_FORMAT : ERR_REFUSED);
    sealed.data[places[i]] ^= 1;
  }
  sealed.data[8]++;
  assert_int_equal(seal_open(passphrase, beside, s, &out), ERR_VERSION);
  sealed.data[8]--;
  sealed.data[9] = 40; /* a cost that would never end */
  assert_int_equal(seal_open(passphrase, beside, s, &out), ERR_FORMAT);
  assert_int_equal(out.size, 0);
  buf_done(&sealed);
  buf_done(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_opens_again),
      cmocka_unit_test(test_nothing_in_it),
      cmocka_unit_test(test_what_does_not_open),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
