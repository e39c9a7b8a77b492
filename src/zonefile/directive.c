/* Directives: $ORIGIN, $TTL, $INCLUDE (RFC 1035 §5.1, RFC 2308 §4). */
#include "zonefile/scan_priv.h"

#include <string.h>

static bool wants(struct scan *s, size_t least, size_t most, const char *form) {
  if (s->count >= least && s->count <= most) return true;
  const struct rr_token *t = s->count < least ? &s->tokens[s->count - 1] : &s->tokens[most];
  uint32_t behind = s->count < least ? t->size + (t->quoted ? 2 : 0) : 0;
  SCAN_ERROR(s, place_at(s, t->line, t->column + behind), MISTAKE_DIRECTIVE, form,
             s->count < least ? "an argument is missing" : "an argument too many");
  return false;
}

static bool set_origin(struct scan *s) {
  struct name origin;
  if (!wants(s, 2, 2, "$ORIGIN name")) return false;
  if (!name_from_token(s, &s->tokens[1], MISTAKE_DIRECTIVE, "origin", &origin)) return false;
  s->carried.origin = origin;
  return true;
}

static bool set_ttl(struct scan *s) {
  if (!wants(s, 2, 2, "$TTL seconds") || !ttl_required(s, &s->tokens[1], &s->carried.default_ttl)) return false;
  s->carried.has_default_ttl = true;
  return true;
}

/* "a.zone -> b.inc -> a.zone" from the file that comes again down to the one that asks for it. */
static void report_loop(struct scan *s, struct place at, const struct source *again) {
  const struct source *chain[LIMIT_INCLUDE_DEPTH + 1];
  size_t n = 0;
  for (const struct source *p = s->src; p != again; p = p->includer)
    chain[n++] = p;
  struct buf text = {0};
  buf_add_text(&text, again->path);
  while (n > 0)
    buf_printf(&text, " -> %s", chain[--n]->path);
  buf_printf(&text, " -> %s", again->path);
  SCAN_ERROR(s, at, MISTAKE_INCLUDE, "a file can't include itself", "a loop of $INCLUDE: %s", buf_text(&text));
  buf_done(&text);
}

static bool check_loop(struct scan *s, struct place at, const struct source *opened) {
  for (const struct source *p = s->src; p; p = p->includer) {
    if (!p->on_disk || p->device != opened->device || p->inode != opened->inode) continue;
    report_loop(s, at, p);
    return false;
  }
  return true;
}

/* Origin and owner are as before when the file is done (RFC 1035 §5.1 for the origin); a $TTL in it stays in force, for it is
 * as if its text stood here. */
static void scan_included(struct scan *s, struct source *src, const struct name *origin) {
  const struct source *includer = s->src;
  struct cursor cur = s->cur;
  struct name old_origin = s->carried.origin, old_owner = s->record.owner;
  bool has_owner = s->has_owner;
  src->includer = (struct source *)includer;
  s->carried.origin = *origin;
  s->depth++;
  scan_source(s, src);
  s->depth--;
  s->src = includer;
  s->cur = cur;
  s->carried.origin = old_origin;
  s->record.owner = old_owner;
  s->has_owner = has_owner;
}

static bool include(struct scan *s) {
  if (!wants(s, 2, 3, "$INCLUDE file [origin]")) return false;
  struct place at = place_of_token(s, &s->tokens[1]);
  struct name origin = s->carried.origin;
  if (s->count == 3 && !name_from_token(s, &s->tokens[2], MISTAKE_DIRECTIVE, "origin", &origin)) return false;
  if (s->depth >= LIMIT_INCLUDE_DEPTH) {
    SCAN_ERROR(s, at, MISTAKE_INCLUDE, "", "more than %d files include each other", LIMIT_INCLUDE_DEPTH);
    return false;
  }
  const char *path = include_path(s, &s->tokens[1]);
  struct source src;
  if (!path || !source_open(s, path, at, &src)) return false;
  bool ok = check_loop(s, at, &src);
  if (ok) scan_included(s, &src, &origin);
  source_close(&src);
  return ok;
}

static bool check_plain(struct scan *s, enum mistake mistake) {
  if (!s->o->plain) return true;
  SCAN_ERROR(s, place_of_token(s, &s->tokens[0]), mistake,
             "write the records out, as `tandem export` does, or set write-back: never", "a file with %s can't be written back",
             token_shown(&s->tokens[0]).text);
  return false;
}

bool entry_directive(struct scan *s) {
  const struct rr_token *t = &s->tokens[0];
  if (token_is(t, "$ORIGIN")) return set_origin(s);
  if (token_is(t, "$TTL")) return set_ttl(s);
  if (token_is(t, "$INCLUDE")) return check_plain(s, MISTAKE_INCLUDE) && include(s);
  if (token_is(t, "$GENERATE")) return check_plain(s, MISTAKE_GENERATE) && entry_generate(s);
  SCAN_ERROR(s, place_of_token(s, t), MISTAKE_DIRECTIVE, "known are $ORIGIN, $TTL, $INCLUDE and $GENERATE", "unknown directive %s",
             token_shown(t).text);
  return false;
}
