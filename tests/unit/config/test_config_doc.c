/* docs/configuration.md is made from the table of options. */
#include "../doc_test.h"
#include "config/config.h"

/* One path a line, none twice, none that is still to come. */
static bool check_list(void) {
  struct buf list = {0};
  config_options_list(&list);
  const char *text = buf_text(&list);
  bool good = strstr(text, "server.log.level\n") && strstr(text, "zones[].primaries\n") && strstr(text, "templates[].file\n") &&
              !strstr(text, "catalogs") && !strstr(text, "listen-tls");
  if (!good) fprintf(stderr, "the list of options is wrong:\n%s", text);
  buf_done(&list);
  return good;
}

int main(int argc, char **argv) {
  struct buf doc = {0};
  config_options_doc(&doc);
  int status = doc_test_main(argc, argv, &doc, "src/config/options.def");
  if (!status && !check_list()) status = 1;
  buf_done(&doc);
  return status;
}
