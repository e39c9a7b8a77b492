/* docs/checks.md must be what zonefile/mistakes.def and zone/checks.def say. */
#include "../doc_test.h"
#include "zone/check.h"
#include "zonefile/zonefile.h"

static void add_mistakes(struct buf *out) {
  buf_add_text(
      out, "# Checks of zone files\n\n"
           "Made from `src/zonefile/mistakes.def` and `src/zone/checks.def`; `make test` compares. The name stands in brackets in\n"
           "messages and is `check` in `--json`. An error keeps a zone file from being served; a warning is only said, unless the\n"
           "zone has `check: strict`.\n\n## The text\n\n| name | what is wrong |\n|---|---|\n");
  for (size_t i = 0; i < zonefile_mistake_count(); i++)
    buf_printf(out, "| `%s` | %s |\n", zonefile_mistake_at(i)->name, zonefile_mistake_at(i)->doc);
}

static void add_checks(struct buf *out) {
  buf_add_text(out, "\n## The zone as a whole\n\n| name | severity | what is wrong | what to do |\n|---|---|---|---|\n");
  for (int i = 0; i < ZONE_CHECK_COUNT; i++) {
    const struct zone_check_row *row = zone_check_row((enum zone_check)i);
    const char *severity = row->severity == SEVERITY_ERROR ? "error" : "warning";
    buf_printf(out, "| `%s` | %s%s | %s | %s |\n", row->name, severity, row->on ? "" : ", off by default", row->doc, row->hint);
  }
}

int main(int argc, char **argv) {
  struct buf doc = {0};
  add_mistakes(&doc);
  add_checks(&doc);
  int status = doc_test_main(argc, argv, &doc, "src/zonefile/mistakes.def and src/zone/checks.def");
  buf_done(&doc);
  return status;
}
