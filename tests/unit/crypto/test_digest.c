#include "crypto/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { KEY_0B, KEY_JEFE, KEY_LONG };

/* RFC 2202 §2 and §3 (cases 1, 2, 6), RFC 4231 §4 (cases 1, 2, 6). */
static const struct {
  enum hmac_algorithm algorithm;
  int key;
  const char *mac;
} vectors[] = {
    {HMAC_MD5, KEY_0B, "9294727a3638bb1c13f48ef8158bfc9d"},
    {HMAC_MD5, KEY_JEFE, "750c783e6ab0b503eaa86e310a5db738"},
    {HMAC_MD5, KEY_LONG, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
    {HMAC_SHA1, KEY_0B, "b617318655057264e28bc0b6fb378c8ef146be00"},
    {HMAC_SHA1, KEY_JEFE, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
    {HMAC_SHA1, KEY_LONG, "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
    {HMAC_SHA224, KEY_0B, "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22"},
    {HMAC_SHA224, KEY_JEFE, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"},
    {HMAC_SHA224, KEY_LONG, "95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e"},
    {HMAC_SHA256, KEY_0B, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {HMAC_SHA256, KEY_JEFE, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {HMAC_SHA256, KEY_LONG, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {HMAC_SHA384, KEY_0B, "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"},
    {HMAC_SHA384, KEY_JEFE, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"},
    {HMAC_SHA384, KEY_LONG, "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"},
    {HMAC_SHA512, KEY_0B,
     "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c2"
     "03a126854"},
    {HMAC_SHA512, KEY_JEFE,
     "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070"
     "a38bce737"},
    {HMAC_SHA512, KEY_LONG,
     "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a9"
     "85d786598"},
};

static void hex(const uint8_t *bytes, size_t n, char *out) {
  for (size_t i = 0; i < n; i++)
    snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static size_t fill_key(int key, bool short_digest, uint8_t out[131], const char **data) {
  *data = key == KEY_0B     ? "Hi There"
          : key == KEY_JEFE ? "what do ya want for nothing?"
                            : "Test Using Larger Than Block-Size Key - Hash Key First";
  if (key == KEY_JEFE) {
    memcpy(out, "Jefe", 4);
    return 4;
  }
  size_t n = key == KEY_0B ? 20 : short_digest ? 80 : 131;
  memset(out, key == KEY_0B ? 0x0b : 0xaa, n);
  return n;
}

static void test_vectors(void **state) {
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    enum hmac_algorithm a = vectors[i].algorithm;
    const char *data;
    uint8_t key[131], mac[HMAC_BYTES_MAX];
    size_t n = fill_key(vectors[i].key, a == HMAC_MD5 || a == HMAC_SHA1, key, &data);
    if (a == HMAC_MD5 && n == 20) n = 16;
    struct hmac_key *k;
    struct hmac h;
    assert_int_equal(hmac_key_new(a, key, n, &k), ERR_OK);
    for (unsigned round = 0; round < 3; round++) { /* in two pieces, again and again with one key */
      char text[2 * HMAC_BYTES_MAX + 1];
      hmac_begin(&h, k);
      hmac_add(&h, data, round);
      hmac_add(&h, data + round, strlen(data) - round);
      hmac_finish(&h, mac);
      hex(mac, hmac_size(a), text);
      assert_string_equal(text, vectors[i].mac);
    }
    hmac_key_free(k);
  }
}

static void test_begins_anew(void **state) {
  struct hmac_key *k;
  struct hmac h;
  uint8_t one[HMAC_BYTES_MAX], two[HMAC_BYTES_MAX];
  assert_int_equal(hmac_key_new(HMAC_SHA256, (const uint8_t *)"k", 1, &k), ERR_OK);
  hmac_begin(&h, k);
  hmac_finish(&h, one);
  hmac_begin(&h, k);
  hmac_add(&h, "thrown away", 11);
  hmac_begin(&h, k);
  hmac_finish(&h, two);
  assert_memory_equal(one, two, 32);
  hmac_key_free(k);
  hmac_key_free(NULL);
}

static void test_copies_go_their_own_ways(void **state) {
  struct hmac_key *k;
  struct hmac h, copy;
  uint8_t one[HMAC_BYTES_MAX], two[HMAC_BYTES_MAX], three[HMAC_BYTES_MAX];
  assert_int_equal(hmac_key_new(HMAC_SHA256, (const uint8_t *)"k", 1, &k), ERR_OK);
  hmac_begin(&h, k);
  hmac_add(&h, "both", 4);
  copy = h;
  hmac_add(&copy, "one", 3);
  hmac_finish(&h, one);
  hmac_finish(&copy, two);
  hmac_begin(&h, k);
  hmac_add(&h, "bothone", 7);
  hmac_finish(&h, three);
  assert_memory_not_equal(one, two, 32);
  assert_memory_equal(two, three, 32);
  hmac_key_free(k);
}

static void test_empty_secret(void **state) {
  struct hmac_key *k;
  struct hmac h;
  uint8_t mac[HMAC_BYTES_MAX];
  char text[2 * HMAC_BYTES_MAX + 1];
  assert_int_equal(hmac_key_new(HMAC_SHA256, NULL, 0, &k), ERR_OK);
  hmac_begin(&h, k);
  hmac_finish(&h, mac);
  hex(mac, 32, text);
  assert_string_equal(text, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
  hmac_key_free(k);
}

static void test_sha256(void **state) {
  uint8_t out[32];
  char text[65];
  assert_int_equal(sha256("abc", 3, out), ERR_OK);
  hex(out, 32, text);
  assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void base32hex(const uint8_t hash[NSEC3_HASH_BYTES], char out[33]) {
  for (unsigned i = 0; i < 32; i++) {
    unsigned bit = 5 * i, value = 0;
    for (unsigned k = 0; k < 5; k++)
      value = value << 1 | (hash[(bit + k) / 8] >> (7 - (bit + k) % 8) & 1);
    out[i] = "0123456789abcdefghijklmnopqrstuv"[value];
  }
  out[32] = '\0';
}

/* RFC 5155 appendix A: salt AABBCCDD, 12 iterations. */
static void test_nsec3(void **state) {
  static const struct {
    const char *wire, *hash;
  } names[] = {
      {"\7example", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"},          {"\1a\7example", "35mthgpgcu1qg68fab165klnsnk3dpvl"},
      {"\3ns1\7example", "2t7b4g4vsa5smi47k61mv5bv1a22bojr"},     {"\1*\1w\7example", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"},
      {"\1x\1y\1w\7example", "2vptu5timamqttgl4luu9kg21e0aor3s"}, {"\2xx\7example", "t644ebqk9bibcna874givr6joj62mlhv"},
  };
  static const uint8_t salt[] = {0xaa, 0xbb, 0xcc, 0xdd};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    uint8_t hash[NSEC3_HASH_BYTES];
    char text[33];
    nsec3_hash((const uint8_t *)names[i].wire, strlen(names[i].wire) + 1, salt, sizeof salt, 12, hash);
    base32hex(hash, text);
    assert_string_equal(text, names[i].hash);
  }
}

static void test_nsec3_without_salt(void **state) {
  uint8_t hash[NSEC3_HASH_BYTES];
  char text[41];
  nsec3_hash((const uint8_t *)"", 1, NULL, 0, 0, hash); /* SHA-1 of the root's one octet */
  hex(hash, sizeof hash, text);
  assert_string_equal(text, "5ba93c9db0cff93f52b521d7420e43f6eda2784f");
}

static void test_secrets(void **state) {
  uint8_t a[32] = {1}, b[32] = {1}, zeros[32] = {0};
  assert_true(bytes_equal_secret(a, b, sizeof a));
  b[31] ^= 0x80;
  assert_false(bytes_equal_secret(a, b, sizeof a));
  assert_true(bytes_equal_secret(a, b, 31));
  assert_true(bytes_equal_secret(a, b, 0));
  wipe(a, sizeof a);
  assert_memory_equal(a, zeros, sizeof a);
  wipe(NULL, 0);
}

static void test_random(void **state) {
  uint8_t a[64], b[64];
  assert_int_equal(random_bytes(a, sizeof a), ERR_OK);
  assert_int_equal(random_bytes(b, sizeof b), ERR_OK);
  assert_memory_not_equal(a, b, sizeof a);
  assert_int_equal(random_bytes(a, 0), ERR_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_begins_anew),
      cmocka_unit_test(test_copies_go_their_own_ways),
      cmocka_unit_test(test_empty_secret),
      cmocka_unit_test(test_sha256),
      cmocka_unit_test(test_nsec3),
      cmocka_unit_test(test_nsec3_without_salt),
      cmocka_unit_test(test_secrets),
      cmocka_unit_test(test_random),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
