#include "base/diag.h"

#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct diag *next_slot(struct diags *d) {
  if (d->count >= LIMIT_DIAGS) return NULL;
  if (d->count == d->capacity) {
    size_t capacity = d->capacity ? 2 * d->capacity : 16;
    struct diag *list = realloc(d->list, capacity * sizeof *list);
    if (!list) return NULL;
    d->list = list;
    d->capacity = capacity;
  }
  return &d->list[d->count];
}

static const char *keep(struct diags *d, const char *text) {
  const char *copy = text ? arena_text(&d->arena, text, strlen(text)) : NULL;
  return copy ? copy : text ? "" : NULL;
}

void diag_add(struct diags *d, enum severity severity, struct place place, const char *check, const char *hint, const char *format,
              ...) {
  if (severity == SEVERITY_ERROR) d->errors++;
  else d->warnings++;
  struct diag *slot = next_slot(d);
  if (!slot) return;
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const char *what = keep(d, text);
  const char *last_file = d->count ? d->list[d->count - 1].place.file : NULL;
  bool same_file = last_file && place.file && strcmp(last_file, place.file) == 0;
  place.file = same_file ? last_file : keep(d, place.file);
  *slot = (struct diag){severity, place, check, what, keep(d, hint ? hint : "")};
  d->count++;
}

void diags_done(struct diags *d) {
  free(d->list);
  arena_done(&d->arena);
  *d = (struct diags){0};
}

static const char *severity_text(enum severity s) {
  return s == SEVERITY_ERROR ? "error" : "warning";
}

void diag_print(const struct diag *d, struct buf *out) {
  if (d->place.file) buf_add_text(out, d->place.file);
  if (d->place.file && d->place.line) buf_printf(out, ":%u", d->place.line);
  if (d->place.file && d->place.line && d->place.column) buf_printf(out, ":%u", d->place.column);
  if (d->place.file) buf_add_text(out, ": ");
  buf_printf(out, "%s: %s [%s]", severity_text(d->severity), d->what, d->check);
  if (d->hint[0]) buf_printf(out, "; %s", d->hint);
  buf_add_byte(out, '\n');
}

void diags_print(const struct diags *d, struct buf *out) {
  for (size_t i = 0; i < d->count; i++)
    diag_print(&d->list[i], out);
  size_t hidden = d->errors + d->warnings - d->count;
  if (hidden) buf_printf(out, "and %zu more\n", hidden);
}

/* Length of the valid UTF-8 sequence at p, or 0. */
static size_t utf8_length(const uint8_t *p, size_t n) {
  size_t want = p[0] < 0x80                   ? 1
                : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                              : 0;
  if (want == 0 || want > n) return 0;
  for (size_t i = 1; i < want; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0)) return 0;
  if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90)) return 0;
  return want;
}

void buf_add_json_string(struct buf *out, const char *text, size_t n) {
  const uint8_t *p = (const uint8_t *)text;
  buf_add_byte(out, '"');
  for (size_t i = 0; i < n;) {
    size_t length = utf8_length(p + i, n - i);
    if (length == 0 || p[i] < 0x20 || p[i] == 0x7f) {
      buf_printf(out, "\\u%04x", p[i]);
      i++;
      continue;
    }
    if (p[i] == '"' || p[i] == '\\') buf_add_byte(out, '\\');
    buf_add(out, p + i, length);
    i += length;
  }
  buf_add_byte(out, '"');
}

void diags_print_json(const struct diags *d, struct buf *out) {
  buf_add_byte(out, '[');
  for (size_t i = 0; i < d->count; i++) {
    const struct diag *g = &d->list[i];
    buf_printf(out, "%s{\"severity\":\"%s\",\"file\":", i ? "," : "", severity_text(g->severity));
    if (g->place.file) buf_add_json_string(out, g->place.file, strlen(g->place.file));
    else buf_add_text(out, "null");
    buf_printf(out, ",\"line\":%u,\"column\":%u,\"check\":\"%s\",\"what\":", g->place.line, g->place.column, g->check);
    buf_add_json_string(out, g->what, strlen(g->what));
    buf_add_text(out, ",\"hint\":");
    buf_add_json_string(out, g->hint, strlen(g->hint));
    buf_add_byte(out, '}');
  }
  buf_add_byte(out, ']');
}
