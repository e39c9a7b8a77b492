/* The registry: names to slots, ids that are used again, gaps closed in the table. */
#include "control/control_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { ZONES = 5000 };

static struct config_zone zones[ZONES];
static struct name names[ZONES];

static int make_names(void **state) {
  for (unsigned i = 0; i < ZONES; i++) {
    char text[64];
    snprintf(text, sizeof text, "zone%u.example.", i);
    assert_int_equal(name_from_text(text, strlen(text), NULL, &names[i], NULL, NULL), ERR_OK);
    zones[i].name = names[i].octets;
  }
  return 0;
}

static struct zone_slot *find(struct registry *r, unsigned i) {
  return registry_find(r, names[i].octets, names[i].size);
}

static void test_add_find_remove(void **state) {
  struct registry r = {0};
  struct zone_slot *z;
  assert_null(find(&r, 0));
  for (unsigned i = 0; i < ZONES; i++) {
    assert_int_equal(registry_add(&r, &zones[i], &z), ERR_OK);
    assert_int_equal(z->id, i);
  }
  assert_int_equal(r.count, ZONES);
  for (unsigned i = 0; i < ZONES; i++)
    assert_ptr_equal(find(&r, i)->config, &zones[i]);
  for (unsigned i = 0; i < ZONES; i += 3)
    registry_remove(&r, find(&r, i)); /* every run of the table gets holes */
  for (unsigned i = 0; i < ZONES; i++) {
    if (i % 3 == 0) assert_null(find(&r, i));
    else assert_ptr_equal(find(&r, i)->config, &zones[i]);
  }
  assert_int_equal(registry_add(&r, &zones[3], &z), ERR_OK);
  assert_int_equal(z->id, 0); /* the lowest free id comes first */
  assert_ptr_equal(find(&r, 3), z);
  size_t seen = 0;
  for (size_t i = 0; (z = registry_next(&r, &i));)
    seen++;
  assert_int_equal(seen, r.count);
  registry_done(&r);
}

static void test_names_and_trouble(void **state) {
  struct registry r = {0};
  struct zone_slot *z;
  char text[NAME_TEXT_BYTES];
  struct config_zone root = {.name = name_root.octets};
  assert_int_equal(registry_add(&r, &zones[7], &z), ERR_OK);
  assert_string_equal(slot_name_text(z, text), "zone7.example");
  slot_trouble(z, "one");
  slot_trouble(z, "two");
  assert_string_equal(z->trouble, "two");
  slot_trouble(z, NULL);
  assert_null(z->trouble);
  assert_int_equal(registry_add(&r, &root, &z), ERR_OK);
  assert_string_equal(slot_name_text(z, text), ".");
  assert_ptr_equal(registry_find(&r, name_root.octets, 1), z);
  registry_done(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_add_find_remove), cmocka_unit_test(test_names_and_trouble)};
  return cmocka_run_group_tests(tests, make_names, NULL);
}
