/* The hash table of numbers against a plain list: adding, finding and taking out, with hashes that crowd together. */
#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { THINGS = 500, STEPS = 50000 };

static uint64_t hash_of(uint32_t index) {
  return (uint64_t)(index % 7 ? index * UINT32_C(2654435761) : index / 50) << 32; /* some share a place */
}

static bool same(const void *arg, uint32_t index) {
  return *(const uint32_t *)arg == index;
}

static void test_adds_finds_and_removes(void **state) {
  (void)state;
  struct table t = {0};
  bool there[THINGS] = {false};
  size_t count = 0;
  uint64_t random = 1;
  uint32_t none = 3;
  assert_int_equal(table_find(&t, hash_of(none), same, &none), UINT32_MAX);
  for (unsigned step = 0; step < STEPS; step++) {
    random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    uint32_t i = (uint32_t)(random >> 33) % THINGS;
    if (there[i]) table_remove(&t, hash_of(i), i);
    else assert_true(table_add(&t, hash_of(i), i));
    there[i] = !there[i];
    count += there[i] ? 1 : (size_t)-1;
    assert_int_equal(t.count, count);
    for (uint32_t k = step % 50; k < THINGS; k += 50)
      assert_int_equal(table_find(&t, hash_of(k), same, &k), there[k] ? k : UINT32_MAX);
  }
  table_done(&t);
}

static void test_room_made_at_once_is_enough(void **state) {
  (void)state;
  struct table t = {0};
  assert_true(table_reserve(&t, THINGS));
  const struct table_slot *slots = t.slots;
  for (uint32_t i = 0; i < THINGS; i++)
    assert_true(table_add(&t, hash_of(i), i));
  assert_ptr_equal(t.slots, slots);
  table_done(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_adds_finds_and_removes),
      cmocka_unit_test(test_room_made_at_once_is_enough),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
