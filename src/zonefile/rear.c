/* The rear half of a large file, scanned by another thread (zonefile.h). The front scan meets two marks:
 *
 *   |--lead--|----------- front -----------|--------------- rear ---------------|
 *            ^ what lines carry over is     ^ a line that begins with an owner: it is as was guessed, the rear is taken
 *              guessed, the rear begins */
#include "zonefile/scan_priv.h"

#include <stdlib.h>
#include <string.h>

enum { LEAD_PART = 32 }; /* of the file */

struct zonefile_rear {
  struct scan *scan;
  struct zonefile_options options;
  struct diags diags;
  struct carried guess;
  const uint8_t *start; /* NULL: not begun */
  bool good;
};

/* The first line from `from` on that begins with an owner; NULL: none does. */
static const uint8_t *owner_line(const struct source *src, const uint8_t *from) {
  const uint8_t *end = src->bytes + src->size;
  while ((from = memchr(from, '\n', (size_t)(end - from))) && ++from < end)
    if (*from > ' ' && *from < 127 && !strchr("$();\"", *from)) return from;
  return NULL;
}

static uint32_t count_lines(const uint8_t *from, const uint8_t *to) {
  uint32_t lines = 0;
  for (; from < to; from++)
    lines += *from == '\n';
  return lines;
}

void rear_begin(struct scan *s) {
  const struct zonefile_fork *f = s->o->fork;
  if (!f || s->src->size < f->least_bytes) return;
  s->rear = calloc(1, sizeof *s->rear);
  if (s->rear) s->cur.mark = s->src->bytes + s->src->size / LEAD_PART;
}

static void rear_free(struct scan *s) {
  struct zonefile_rear *r = s->rear;
  if (r->scan) scan_done(r->scan);
  diags_done(&r->diags);
  free(r);
  s->rear = NULL;
  s->cur.mark = NULL;
}

/* Its own scan of the same text. */
static bool rear_start(struct scan *s, struct zonefile_rear *r) {
  const struct zonefile_fork *f = s->o->fork;
  r->start = owner_line(s->src, s->src->bytes + s->src->size / 2);
  if (!r->start || r->start <= s->cur.at) return false;
  r->options = *s->o;
  r->options.fork = NULL;
  r->options.file_seen = NULL;
  r->options.no_include = true;
  r->options.record = f->record;
  r->options.arg = f->arg;
  r->scan = scan_new(&r->options, &r->diags);
  if (!r->scan) return false;
  r->guess = r->scan->carried = s->carried;
  r->scan->src = s->src;
  r->scan->cur = (struct cursor){r->start, s->src->bytes + s->src->size, r->start, 0, NULL};
  return f->begin(f->arg, r);
}

void zonefile_rear_scan(struct zonefile_rear *r) {
  struct scan *s = r->scan;
  enum gathered g;
  s->cur.line = 1 + count_lines(s->src->bytes, r->start);
  while (s->stop == ERR_OK && !r->diags.count) {
    if (line_record(s)) continue;
    if ((g = gather_entry(s)) == GATHERED_END) break;
    if (g == GATHERED_ENTRY) scan_entry(s);
  }
  r->good = s->stop == ERR_OK && !r->diags.count;
}

static bool was_right(const struct scan *s, const struct zonefile_rear *r) {
  const struct carried *was = &r->guess, *is = &s->carried;
  bool same_last = was->has_last_ttl == is->has_last_ttl && was->last_ttl == is->last_ttl;
  return s->cur.at == r->start && name_identical(&was->origin, &is->origin) && was->has_default_ttl == is->has_default_ttl &&
         was->default_ttl == is->default_ttl && (same_last || !r->scan->took_last_ttl);
}

void rear_turn(struct scan *s) {
  struct zonefile_rear *r = s->rear;
  const struct zonefile_fork *f = s->o->fork;
  if (!r->start) {
    if (rear_start(s, r)) s->cur.mark = r->start;
    else rear_free(s);
    return;
  }
  f->wait(f->arg);
  if (r->good && was_right(s, r)) {
    s->cur.at = s->cur.end;
    if (!f->take(f->arg)) s->stop = ERR_REFUSED;
  }
  rear_free(s);
}

void rear_end(struct scan *s) {
  if (!s->rear) return;
  if (s->rear->start) s->o->fork->wait(s->o->fork->arg);
  rear_free(s);
}
