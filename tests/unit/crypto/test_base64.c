#include "crypto/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* RFC 4648 §10 */
static const struct {
  const char *plain, *text;
} vectors[] = {
    {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

static void test_vectors(void **state) {
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    char text[16];
    uint8_t plain[16];
    size_t size = 99;
    base64_encode((const uint8_t *)vectors[i].plain, strlen(vectors[i].plain), text);
    assert_string_equal(text, vectors[i].text);
    assert_int_equal(base64_decode(text, strlen(text), plain, sizeof plain, &size), ERR_OK);
    assert_int_equal(size, strlen(vectors[i].plain));
    assert_memory_equal(plain, vectors[i].plain, size);
  }
}

static void test_every_octet_comes_back(void **state) {
  uint8_t plain[256], back[256];
  char text[4 * 86 + 1];
  for (unsigned i = 0; i < sizeof plain; i++)
    plain[i] = (uint8_t)i;
  for (size_t n = 0; n <= sizeof plain; n++) {
    size_t size;
    base64_encode(plain, n, text);
    assert_int_equal(base64_decode(text, strlen(text), back, sizeof back, &size), ERR_OK);
    assert_int_equal(size, n);
    assert_memory_equal(plain, back, n);
  }
}

static void test_strict(void **state) {
  static const char *const wrong[] = {"Z",    "Zg",       "Zg=",   "Zg===",  "Zh==", "Zm9=", "Zm8",  "====",     "Z===",
                                      "=Zg=", "Zg==Zg==", "Zm 8=", "Zm8=\n", "Zm8-", "Z*8=", "_m8=", "Zm9vZ===", "Zm=v"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    uint8_t out[16];
    size_t size = 99;
    if (base64_decode(wrong[i], strlen(wrong[i]), out, sizeof out, &size) != ERR_FORMAT) fail_msg("taken: %s", wrong[i]);
    assert_int_equal(size, 99);
  }
}

static void test_space(void **state) {
  uint8_t out[5] = {0};
  size_t size = 99;
  assert_int_equal(base64_decode("Zm9vYmFy", 8, out, 5, &size), ERR_SPACE);
  assert_int_equal(size, 99);
  assert_int_equal(base64_decode("Zm9vYmE=", 8, out, 5, &size), ERR_OK);
  assert_int_equal(size, 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_every_octet_comes_back),
      cmocka_unit_test(test_strict),
      cmocka_unit_test(test_space),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
