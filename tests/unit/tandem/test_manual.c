/* docs/tandem.1 is made from the table of commands. */
#include "../doc_test.h"
#include "tandem/manual.h"

/* Every command has an entry of its own. */
static bool check_commands(const struct buf *page) {
  static const char *const names[] = {
#define COMMAND(name, usage, summary, run) name,
#include "tandem/commands.def"
#undef COMMAND
  };
  bool good = true;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct buf entry = {0};
    buf_add_text(&entry, ".TP\n.B ");
    for (const char *p = names[i]; *p; p++)
      buf_printf(&entry, *p == '-' ? "\\-" : "%c", *p);
    if (!strstr(buf_text(page), buf_text(&entry))) {
      fprintf(stderr, "the manual does not name `tandem %s`\n", names[i]);
      good = false;
    }
    buf_done(&entry);
  }
  return good;
}

int main(int argc, char **argv) {
  struct buf page = {0};
  manual_page(&page);
  int status = doc_test_main(argc, argv, &page, "src/tandem/commands.def");
  if (!status && !check_commands(&page)) status = 1;
  buf_done(&page);
  return status;
}
