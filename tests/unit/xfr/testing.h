/* What every test file here starts with. */
#ifndef TESTS_XFR_TESTING_H
#define TESTS_XFR_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_ok(e) assert_int_equal((e), ERR_OK)
#define assert_contains(text, part)                                                          \
  do {                                                                                       \
    if (!strstr((text), (part))) fail_msg("\"%s\" does not contain \"%s\"", (text), (part)); \
  } while (0)

#endif
