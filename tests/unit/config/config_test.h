/* What the tests of the configuration share: a directory of files of its own, and findings compared. */
#ifndef TEST_CONFIG_TEST_H
#define TEST_CONFIG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct finding {  /* NULL text: none */
  const char *at; /* "FILE:3:7" or "3:7"; compared with the end of the place */
  const char *text;
};

static inline void print_findings(const struct diags *d) {
  struct buf out = {0};
  diags_print(d, &out);
  fprintf(stderr, "%s", buf_text(&out));
  buf_done(&out);
}

static inline bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static inline bool has_finding(const struct diags *d, const char *at, const char *text) {
  for (size_t i = 0; i < d->count; i++) {
    char place[600];
    struct buf line = {0};
    const struct place *p = &d->list[i].place;
    if (p->line) snprintf(place, sizeof place, "%s:%u:%u", p->file, p->line, p->column);
    else snprintf(place, sizeof place, "%s", p->file);
    diag_print(&d->list[i], &line);
    bool found = ends_with(place, at) && strstr(buf_text(&line), text);
    buf_done(&line);
    if (found) return true;
  }
  return false;
}

/* From memory; asserts that it is good. */
static inline struct config *load_good(const char *yaml) {
  struct diags d = {0};
  struct config *c = NULL;
  enum err e = config_load_bytes("t.yaml", (const uint8_t *)yaml, strlen(yaml), &d, &c);
  if (e) print_findings(&d);
  assert_int_equal(e, ERR_OK);
  assert_int_equal(d.errors, 0);
  diags_done(&d);
  return c;
}

/* ---- files ---- */

struct files {
  char dir[64];
};

static inline void files_begin(struct files *f) {
  snprintf(f->dir, sizeof f->dir, "/tmp/test-config-XXXXXX");
  assert_non_null(mkdtemp(f->dir));
}

static inline const char *files_path(const struct files *f, const char *name, char out[512]) {
  snprintf(out, 512, "%s/%s", f->dir, name);
  return out;
}

static inline void files_write(const struct files *f, const char *name, const char *text) {
  char path[512];
  FILE *out = fopen(files_path(f, name, path), "w");
  assert_non_null(out);
  fputs(text, out);
  assert_int_equal(fclose(out), 0);
  assert_int_equal(chmod(path, 0640), 0);
}

static inline void files_mkdir(const struct files *f, const char *name) {
  char path[512];
  assert_int_equal(mkdir(files_path(f, name, path), 0700), 0);
}

static inline int files_remove(const char *path, const struct stat *st, int kind, struct FTW *walk) {
  return remove(path);
}

static inline void files_end(struct files *f) {
  nftw(f->dir, files_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline struct config *files_load_good(const struct files *f, const char *name) {
  char path[512];
  struct diags d = {0};
  struct config *c = NULL;
  enum err e = config_load(files_path(f, name, path), &d, &c);
  if (e) print_findings(&d);
  assert_int_equal(e, ERR_OK);
  diags_done(&d);
  return c;
}

/* Asserts that loading says just these things. */
static inline void files_load_bad(const struct files *f, const char *name, const struct finding *expected) {
  char path[512];
  struct diags d = {0};
  struct config *c = NULL;
  assert_int_equal(config_load(files_path(f, name, path), &d, &c), ERR_FORMAT);
  assert_null(c);
  size_t count = 0;
  for (; expected[count].text; count++)
    if (!has_finding(&d, expected[count].at, expected[count].text)) {
      print_findings(&d);
      fail_msg("missing: %s: %s", expected[count].at, expected[count].text);
    }
  if (d.count != count) print_findings(&d);
  assert_int_equal(d.count, count);
  diags_done(&d);
}

/* The zone called so; fails if there is none. */
static inline const struct config_zone *zone_called(const struct config *c, const char *text) {
  struct name want, have;
  assert_int_equal(name_from_text(text, strlen(text), &name_root, &want, NULL, NULL), ERR_OK);
  for (size_t i = 0; i < c->zone_count; i++) {
    name_from_wire(c->zones[i].name, &have);
    if (name_equal(&want, &have)) return &c->zones[i];
  }
  fail_msg("no zone %s", text);
  return NULL;
}

#endif
