/* The reference of all options is made from the table: docs/configuration.md must be what the table says now.
 *
 *   test_config_doc FILE           compares
 *   test_config_doc --write FILE   writes it anew, after an option was added */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

static bool compare(const char *path, const struct buf *doc) {
  FILE *f = fopen(path, "r");
  if (!f) {
    perror(path);
    return false;
  }
  struct buf have = {0};
  char chunk[4096];
  for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
    buf_add(&have, chunk, n);
  fclose(f);
  bool same = strcmp(buf_text(&have), buf_text(doc)) == 0;
  buf_done(&have);
  if (!same) fprintf(stderr, "%s does not say what src/config/options.def says; write it anew with --write\n", path);
  return same;
}

static bool write_anew(const char *path, const struct buf *doc) {
  FILE *f = fopen(path, "w");
  bool written = f && fputs(buf_text(doc), f) >= 0;
  if (f && fclose(f)) written = false;
  if (!written) perror(path);
  return written;
}

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
  bool good = false;
  if (argc == 3 && strcmp(argv[1], "--write") == 0) good = write_anew(argv[2], &doc);
  else if (argc == 2) good = compare(argv[1], &doc) && check_list();
  else fputs("usage: test_config_doc [--write] FILE\n", stderr);
  buf_done(&doc);
  return good ? 0 : 1;
}
