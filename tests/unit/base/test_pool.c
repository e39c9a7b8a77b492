/* Objects of a pool: zeroed whenever they are taken, none is two at once, and what was given back comes again. */
#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { OBJECTS = 5000, TURNS = 100000, WORDS = 5 };

struct object {
  uint64_t words[WORDS];
};

static bool is_all(const struct object *o, uint64_t word) {
  for (unsigned i = 0; i < WORDS; i++)
    if (o->words[i] != word) return false;
  return true;
}

static void test_taken_and_given(void **state) {
  static struct pool pool = POOL_OF(struct object);
  static struct object *objects[OBJECTS];
  uint64_t random = 1;
  (void)state;
  for (uint64_t turn = 1; turn <= TURNS; turn++) {
    random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    unsigned i = (unsigned)(random >> 33) % OBJECTS;
    if (objects[i]) {
      assert_true(is_all(objects[i], i + 1)); /* nobody else had it */
      pool_give(&pool, objects[i]);
      objects[i] = NULL;
      continue;
    }
    assert_non_null(objects[i] = pool_take(&pool));
    assert_true(is_all(objects[i], 0));
    for (unsigned word = 0; word < WORDS; word++)
      objects[i]->words[word] = i + 1;
  }
  for (unsigned i = 0; i < OBJECTS; i++)
    pool_give(&pool, objects[i]);
}

/* Of all sizes on both sides of the largest that comes from a pool. */
static void test_sizes(void **state) {
  static unsigned char *objects[OBJECTS];
  static size_t sizes[OBJECTS];
  uint64_t random = 7;
  (void)state;
  for (unsigned turn = 0; turn < TURNS; turn++) {
    random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    unsigned i = (unsigned)(random >> 33) % OBJECTS;
    if (objects[i]) {
      for (size_t at = 0; at < sizes[i]; at++)
        assert_int_equal(objects[i][at], i % 255 + 1); /* nobody else had it */
      pool_give_sized(objects[i], sizes[i]);
      objects[i] = NULL;
      continue;
    }
    sizes[i] = 1 + (random >> 17) % (POOL_SMALL_BYTES + 100);
    assert_non_null(objects[i] = pool_take_sized(sizes[i]));
    for (size_t at = 0; at < sizes[i]; at++)
      assert_int_equal(objects[i][at], 0);
    memset(objects[i], (int)(i % 255 + 1), sizes[i]);
  }
  for (unsigned i = 0; i < OBJECTS; i++)
    if (objects[i]) pool_give_sized(objects[i], sizes[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_taken_and_given), cmocka_unit_test(test_sizes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
