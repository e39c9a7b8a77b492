/* What tests/unit/wire and tests/unit/zonefile use of cmocka, for processors that Debian cross-compiles for without it (run.py).
 * The first failure ends the program. */
#ifndef PROCESSORS_CMOCKA_H
#define PROCESSORS_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define fail_msg(...) (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))
#define test_malloc malloc
#define test_free free
#define print_message(...) printf(__VA_ARGS__)
#define print_error(...) fprintf(stderr, __VA_ARGS__)
#define assert_true(c) ((c) ? (void)0 : fail_msg("not so: %s", #c))
#define assert_false(c) assert_true(!(c))
#define assert_null(p) assert_true(!(p))
#define assert_non_null(p) assert_true(p)
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_int_equal(a, b) assert_true((unsigned long long)(a) == (unsigned long long)(b))
#define assert_int_not_equal(a, b) assert_false((unsigned long long)(a) == (unsigned long long)(b))
#define assert_in_range(x, least, most) assert_true((x) >= (least) && (x) <= (most))
#define assert_string_equal(a, b) assert_true(strcmp(a, b) == 0)
#define assert_string_not_equal(a, b) assert_false(strcmp(a, b) == 0)
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)

struct CMUnitTest {
  const char *name;
  void (*test)(void **state);
  int (*enter)(void **state), (*leave)(void **state);
};
#define cmocka_unit_test(f) \
  { #f, f, NULL, NULL }
#define cmocka_unit_test_setup_teardown(f, enter, leave) \
  { #f, f, enter, leave }

static inline int run_tests(const struct CMUnitTest *tests, size_t n) {
  void *state = NULL;
  for (size_t i = 0; i < n; i++) {
    if (tests[i].enter && tests[i].enter(&state)) fail_msg("%s can't begin", tests[i].name);
    tests[i].test(&state);
    if (tests[i].leave && tests[i].leave(&state)) fail_msg("%s can't end", tests[i].name);
  }
  return 0;
}
#define cmocka_run_group_tests(tests, enter, leave) run_tests(tests, sizeof(tests) / sizeof *(tests))

#endif
