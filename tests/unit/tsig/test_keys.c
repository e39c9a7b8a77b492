#include "tsig/tsig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct name make_name(const char *text) {
  struct name n;
  assert_int_equal(name_from_text(text, strlen(text), NULL, &n, NULL, NULL), ERR_OK);
  return n;
}

static void test_algorithms(void **state) {
  for (unsigned a = 0; a < HMAC_COUNT; a++) {
    enum hmac_algorithm back;
    assert_int_equal(tsig_algorithm_from_text(tsig_algorithm_text((enum hmac_algorithm)a), &back), ERR_OK);
    assert_int_equal(back, a);
  }
  enum hmac_algorithm a = HMAC_COUNT;
  assert_int_equal(tsig_algorithm_from_text("HMAC-MD5.SIG-ALG.REG.INT.", &a), ERR_OK);
  assert_int_equal(a, HMAC_MD5);
  assert_int_equal(tsig_algorithm_from_text("Hmac-SHA256.", &a), ERR_OK);
  assert_int_equal(a, HMAC_SHA256);
  static const char *const wrong[] = {"", ".", "hmac-sha", "hmac-sha2560", "sha256", "hmac-sha256..", "gss-tsig"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    assert_int_equal(tsig_algorithm_from_text(wrong[i], &a), ERR_NOT_FOUND);
}

static void test_keyring(void **state) {
  struct tsig_keyring *k;
  assert_int_equal(tsig_keyring_new(&k), ERR_OK);
  for (unsigned i = 0; i < LIMIT_TSIG_KEYS; i++) {
    char text[32];
    snprintf(text, sizeof text, "Key%u.example.", i * 2654435761u);
    struct name n = make_name(text);
    assert_int_equal(tsig_keyring_add(k, &n, HMAC_SHA256, (const uint8_t *)&i, sizeof i), ERR_OK);
    assert_int_equal(tsig_keyring_add(k, &n, HMAC_SHA1, (const uint8_t *)&i, sizeof i), ERR_EXISTS);
  }
  for (unsigned i = 0; i < LIMIT_TSIG_KEYS; i++) {
    char text[32];
    snprintf(text, sizeof text, "kEY%u.EXAMPLE.", i * 2654435761u);
    struct name n = make_name(text);
    const struct tsig_key *key = tsig_keyring_find(k, &n);
    assert_non_null(key);
    assert_int_equal(key->algorithm, HMAC_SHA256);
    assert_int_equal(key->secret_size, sizeof i);
    assert_memory_equal(key->secret, &i, sizeof i);
    assert_memory_equal(key->name.octets + 1, "key", 3); /* lower case: access lists compare octets */
  }
  struct name more = make_name("one.more.");
  assert_null(tsig_keyring_find(k, &more));
  assert_null(tsig_keyring_find(NULL, &more));
  assert_int_equal(tsig_keyring_add(k, &more, HMAC_SHA1, NULL, 0), ERR_LIMIT);
  assert_ptr_equal(tsig_keyring_ref(k), k);
  tsig_keyring_unref(k);
  assert_null(tsig_keyring_find(k, &more)); /* one reference is left */
  tsig_keyring_unref(k);
  tsig_keyring_unref(NULL);
}

static void test_acl_key(void **state) {
  struct tsig_keyring *k;
  struct name n = make_name("Key.Example.");
  assert_int_equal(tsig_keyring_new(&k), ERR_OK);
  assert_int_equal(tsig_keyring_add(k, &n, HMAC_SHA256, (const uint8_t *)"x", 1), ERR_OK);
  struct acl_key key = tsig_acl_key(tsig_keyring_find(k, &n));
  assert_int_equal(key.size, 13);
  assert_memory_equal(key.octets, "\3key\7example", 13);
  assert_null(tsig_acl_key(NULL).octets);
  tsig_keyring_unref(k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_algorithms),
      cmocka_unit_test(test_keyring),
      cmocka_unit_test(test_acl_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
