/* Files and entries: which comes next, and where to go on after a mistake. */
#include "zonefile/scan_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct zonefile_mistake mistakes[] = {
#define MISTAKE(id, name, doc) {name, doc},
#include "zonefile/mistakes.def"
#undef MISTAKE
};

size_t zonefile_mistake_count(void) {
  return sizeof mistakes / sizeof *mistakes;
}

const struct zonefile_mistake *zonefile_mistake_at(size_t i) {
  return &mistakes[i];
}

const char *mistake_name(enum mistake m) {
  return mistakes[m].name;
}

struct place place_at(const struct scan *s, uint32_t line, uint32_t column) {
  if (s->generate) return (struct place){s->src->path, s->generate->line, s->generate->column};
  return (struct place){s->src->path, line, column};
}

struct place place_of_token(const struct scan *s, const struct rr_token *t) {
  return place_at(s, t->line, t->column);
}

struct shown token_shown(const struct rr_token *t) {
  struct shown out;
  size_t used = 0;
  uint32_t i = 0;
  for (; i < t->size && used < SHOWN_BYTES - 4; i++) {
    unsigned char c = (unsigned char)t->text[i];
    if (c > 0x20 && c < 0x7f) out.text[used++] = (char)c;
    else if (c == ' ' && t->quoted) out.text[used++] = ' ';
    else used += (size_t)snprintf(out.text + used, sizeof out.text - used, "\\%03u", c);
  }
  memcpy(out.text + used, i < t->size ? "..." : "", i < t->size ? 4 : 1);
  return out;
}

void scan_entry(struct scan *s) {
  const struct rr_token *first = &s->tokens[0];
  bool ok;
  if (!s->leading_blank && !first->quoted && first->text[0] == '$') ok = entry_directive(s);
  else ok = entry_record(s);
  s->bad = !ok;
}

/* An included file whose very first entry is wrong is probably no zone file: its lines are not for the log. */
static void stop_foreign_file(struct scan *s) {
  diag_add(s->diags, SEVERITY_WARNING, place_at(s, 0, 0), mistake_name(MISTAKE_INCLUDE), "is this the file that was meant?",
           "the rest of this file was not read, for its first entry is wrong");
  s->cur.at = s->cur.end;
}

static void skip_byte_order_mark(struct scan *s) {
  struct cursor *c = &s->cur;
  size_t left = (size_t)(c->end - c->at);
  if (left >= 3 && memcmp(c->at, "\xef\xbb\xbf", 3) == 0) {
    c->at += 3;
    c->line_start = c->at;
  } else if (left >= 2 && (memcmp(c->at, "\xff\xfe", 2) == 0 || memcmp(c->at, "\xfe\xff", 2) == 0)) {
    SCAN_ERROR(s, place_at(s, 1, 1), MISTAKE_BINARY, "save it as UTF-8 or ASCII", "the file is UTF-16 text");
    c->at = c->end;
  }
}

static bool is_directive(const struct rr_token *t) {
  return token_is(t, "$ORIGIN") || token_is(t, "$TTL") || token_is(t, "$INCLUDE") || token_is(t, "$GENERATE");
}

void scan_source(struct scan *s, struct source *src) {
  s->src = src;
  s->cur = (struct cursor){src->bytes, src->bytes + src->size, src->bytes, 1, NULL};
  s->binary = false;
  size_t errors_before = s->diags->errors;
  bool understood = src->includer == NULL;
  skip_byte_order_mark(s);
  if (!src->includer) rear_begin(s);
  while (s->stop == ERR_OK) {
    if (s->cur.mark && s->cur.at >= s->cur.mark) rear_turn(s);
    if (line_record(s)) {
      understood = true;
      continue;
    }
    enum gathered g = gather_entry(s);
    if (g == GATHERED_END) break;
    if (g == GATHERED_ENTRY) {
      understood = understood || is_directive(&s->tokens[0]);
      scan_entry(s);
    }
    if (understood || s->binary) continue;
    if (s->diags->errors > errors_before) stop_foreign_file(s);
    understood = g == GATHERED_ENTRY;
  }
  if (!src->includer) rear_end(s);
}

struct scan *scan_new(const struct zonefile_options *o, struct diags *diags) {
  struct scan *s = malloc(sizeof *s);
  if (!s) return NULL;
  memset(s, 0, offsetof(struct scan, rdata)); /* a small zone costs less than clearing all of it */
  s->o = o;
  s->diags = diags;
  s->carried.origin = o->origin;
  s->words = word_ways_of(o->narrow ? WORD_PORTABLE : WORD_BEST);
  return s;
}

void scan_done(struct scan *s) {
  free(s->tokens);
  free(s->include_root);
  arena_done(&s->paths);
  free(s);
}

static enum err scan_main(struct scan *s, struct source *src) {
  scan_source(s, src);
  enum err e = s->stop;
  source_close(src);
  scan_done(s);
  return e;
}

enum err zonefile_scan(const char *path, const struct zonefile_options *o, struct diags *diags) {
  struct scan *s = scan_new(o, diags);
  if (!s) return ERR_MEMORY;
  struct source src;
  if (!source_open(s, path, (struct place){path, 0, 0}, &src)) {
    enum err e = s->stop ? s->stop : ERR_IO;
    scan_done(s);
    return e;
  }
  return scan_main(s, &src);
}

enum err zonefile_scan_bytes(const char *name, const uint8_t *bytes, size_t n, const struct zonefile_options *o,
                             struct diags *diags) {
  struct scan *s = scan_new(o, diags);
  if (!s) return ERR_MEMORY;
  struct source src;
  if (!source_memory(s, name, bytes, n, &src)) {
    scan_done(s);
    return ERR_MEMORY;
  }
  return scan_main(s, &src);
}
