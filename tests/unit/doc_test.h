/* For pages that are made from a table: the file must be what the table says now.
 *
 *   test_X_doc FILE           compares
 *   test_X_doc --write FILE   writes it anew, after a row was added */
#ifndef TESTS_UNIT_DOC_TEST_H
#define TESTS_UNIT_DOC_TEST_H

#include "base/buf.h"

#include <stdio.h>
#include <string.h>

static inline bool doc_test_compare(const char *path, const struct buf *doc, const char *table) {
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
  if (!same) fprintf(stderr, "%s does not say what %s says; write it anew with --write\n", path, table);
  return same;
}

static inline bool doc_test_write(const char *path, const struct buf *doc) {
  FILE *f = fopen(path, "w");
  bool written = f && fputs(buf_text(doc), f) >= 0;
  if (f && fclose(f)) written = false;
  if (!written) perror(path);
  return written;
}

/* What main() does. */
static inline int doc_test_main(int argc, char **argv, const struct buf *doc, const char *table) {
  if (argc == 3 && strcmp(argv[1], "--write") == 0) return doc_test_write(argv[2], doc) ? 0 : 1;
  if (argc == 2) return doc_test_compare(argv[1], doc, table) ? 0 : 1;
  fputs("usage: [--write] FILE\n", stderr);
  return 1;
}

#endif
