#ifndef TESTS_UNIT_WIRE_RR_EXAMPLES_H
#define TESTS_UNIT_WIRE_RR_EXAMPLES_H

#include <stddef.h>

struct rr_example {
  const char *type;
  const char *text;
  const char *wire;    /* hex */
  const char *printed; /* NULL: as `text` */
};
extern const struct rr_example rr_examples[];
extern const size_t rr_example_count;

struct rr_bad_example {
  const char *type;
  const char *text;
  const char *what;
  size_t token; /* which one offends */
};
extern const struct rr_bad_example rr_bad_examples[];
extern const size_t rr_bad_example_count;

#endif
