/* The text format: names and labels as Prometheus wants them, values that survive, label values that can't break out. */
#include "api/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct row {
  const char *name, *type, *labels, *help;
} rows[] = {
#define GROUP(heading)
#define METRIC(id, name, type, labels, help) {name, #type, labels, help},
#include "api/metrics.def"
#undef GROUP
#undef METRIC
};

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

/* https://prometheus.io/docs/practices/naming/: counters end in _total, nothing else does; no name twice. */
static void table_is_sound(void **state) {
  for (size_t i = 0; i < METRIC_COUNT; i++) {
    const struct row *r = &rows[i];
    assert_int_equal(strspn(r->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(r->name));
    assert_true(strncmp(r->name, "tandem_", 7) == 0 || strncmp(r->name, "process_", 8) == 0);
    assert_int_equal(ends_with(r->name, "_total"), strcmp(r->type, "COUNTER") == 0);
    assert_int_equal(strspn(r->labels, "abcdefghijklmnopqrstuvwxyz,"), strlen(r->labels));
    assert_true(r->help[0] && !strpbrk(r->help, "\n\\|"));
    for (const char *p = r->help; *p; p++)
      assert_true(*p >= ' ' && *p <= '~');
    for (size_t k = 0; k < i; k++)
      assert_string_not_equal(r->name, rows[k].name);
  }
}

static void samples_are_written(void **state) {
  struct buf out = {0};
  struct metrics_writer w = {.out = &out};
  metric_single(&w, METRIC_RECORDS, 12);
  metric_begin(&w, METRIC_ZONE_SERIAL);
  metric_value(&w, 4294967295u, "example.com", "primary");
  assert_string_equal(buf_text(&out),
                      "# HELP tandem_records Records of all zones.\n# TYPE tandem_records gauge\ntandem_records 12\n"
                      "# HELP tandem_zone_serial Serial of the zone's newest content.\n"
                      "# TYPE tandem_zone_serial gauge\n"
                      "tandem_zone_serial{zone=\"example.com\",role=\"primary\"} 4294967295\n");
  buf_done(&out);
}

static void label_values_are_escaped(void **state) {
  struct buf out = {0};
  struct metrics_writer w = {&out, METRIC_ZONE_SERVED};
  metric_value(&w, 1, "a\\\"b\nc} 7", "primary");
  assert_string_equal(buf_text(&out), "tandem_zone_served{zone=\"a\\\\\\\"b\\nc} 7\",role=\"primary\"} 1\n");
  buf_done(&out);
}

static void values_survive(void **state) {
  static const double values[] = {0, 1, 0.5, 1e15, 9007199254740991.0, 1.8446744073709552e19, 1764801234.5, 0.000001, -3};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    struct buf out = {0};
    struct metrics_writer w = {&out, METRIC_CPU};
    metric_value(&w, values[i]);
    const char *text = strchr(buf_text(&out), ' ');
    assert_non_null(text);
    double back = strtod(text, NULL), off = back - values[i];
    assert_true(off == 0 || (off < 0 ? -off : off) < values[i] * 1e-14);
    buf_done(&out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table_is_sound),
      cmocka_unit_test(samples_are_written),
      cmocka_unit_test(label_values_are_escaped),
      cmocka_unit_test(values_survive),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
