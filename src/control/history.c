#include "control/history.h"

#include "base/buf.h"
#include "zone/content.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VERIFY_RECORDS = 100000 /* a walk over larger zones would be a long step */ };

/* ---- points ---- */

const char history_point_forms[] =
    "a version such as v7, a serial such as 2026112801, or a time in UTC such as 2026-11-28T09:30:00Z";

static bool read_number(const char *text, uint64_t most, uint64_t *out) {
  char *end;
  if (!isdigit((unsigned char)text[0]) || strlen(text) > 20) return false;
  *out = strtoull(text, &end, 10);
  return !*end && *out <= most;
}

static bool read_time(const char *text, int64_t *out) {
  static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"};
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    struct tm tm = {0};
    const char *end = strptime(text, forms[i], &tm);
    if (!end || *end) continue;
    *out = timegm(&tm);
    return true;
  }
  return false;
}

bool history_point_read(const char *text, struct history_point *out) {
  struct history_point p = {0};
  uint64_t number;
  if (text[0] == 'v' && read_number(text + 1, INT64_MAX, &number)) {
    p.kind = HISTORY_VERSION;
    p.version = number;
  } else if (read_number(text, UINT32_MAX, &number)) {
    p.kind = HISTORY_SERIAL;
    p.serial = (uint32_t)number;
  } else if (read_time(text, &p.at_s)) {
    p.kind = HISTORY_TIME;
  } else {
    return false;
  }
  *out = p;
  return true;
}

static bool is_at(const struct history_point *p, const struct history_entry *e) {
  switch (p->kind) {
  case HISTORY_NEWEST:
    return true;
  case HISTORY_VERSION:
    return e->version == p->version;
  case HISTORY_SERIAL:
    return e->serial == p->serial;
  case HISTORY_TIME:
    return e->at_s <= p->at_s;
  }
  return false;
}

/* ---- reading ---- */

struct reading {
  struct history *history;
  size_t changes, bytes;
  enum err err;
};

static bool add_entry(void *arg, const struct store_change *c) {
  struct reading *r = arg;
  struct history *h = r->history;
  if (h->count == h->capacity) {
    size_t capacity = h->capacity ? 2 * h->capacity : 64;
    struct history_entry *list = realloc(h->list, capacity * sizeof *list);
    if (!list) {
      r->err = ERR_MEMORY;
      return false;
    }
    h->list = list;
    h->capacity = capacity;
  }
  h->list[h->count++] = (struct history_entry){
      c->seq,         c->prev,   c->version, c->at_s, c->serial_to, (uint32_t)c->body_size, c->kind == STORE_FULL,
      c->has_content, c->content};
  r->bytes += c->body_size;
  return ++r->changes < HISTORY_STEP_CHANGES && r->bytes < HISTORY_STEP_BYTES;
}

enum err history_read(struct history *h, struct store_error *why) {
  struct reading r = {.history = h};
  if (!h->next) return ERR_OK;
  enum err err = store_walk_back(h->store, h->zone, h->next, add_entry, &r, why);
  if (r.err) return r.err;
  if (err && err != ERR_NOT_FOUND) return err;
  h->next = err || !h->count ? 0 : h->list[h->count - 1].prev;
  return ERR_OK;
}

size_t history_find(const struct history *h, const struct history_point *p) {
  size_t i = 0;
  while (i < h->count && !is_at(p, &h->list[i]))
    i++;
  return i;
}

bool history_has_full(const struct history *h, size_t newer, size_t older) {
  for (size_t i = newer; i < older; i++)
    if (h->list[i].full) return true;
  return false;
}

void history_done(struct history *h) {
  free(h->list);
  h->list = NULL;
  h->count = h->capacity = 0;
}

/* ---- bodies of some changes, as one ---- */

struct chunk {
  struct buf bytes;
  size_t ends[HISTORY_STEP_CHANGES]; /* of each body */
  size_t count, most;
  bool full;
};

static bool chunk_add(struct chunk *c, const struct store_change *change) {
  c->full = c->full || change->kind == STORE_FULL;
  buf_add(&c->bytes, change->body, change->body_size);
  c->ends[c->count++] = c->bytes.size;
  return c->count < c->most;
}

static bool collect_back(void *arg, const struct store_change *change) {
  return chunk_add(arg, change);
}

static enum err collect_forward(void *arg, const struct store_change *change) {
  (void)chunk_add(arg, change);
  return ERR_OK;
}

/* One body for all of them; with `backward` they were collected newest first. */
static enum err chunk_condense(const struct chunk *c, bool backward, struct buf *out) {
  struct delta_body bodies[HISTORY_STEP_CHANGES];
  struct delta_size size;
  if (c->bytes.failed) return ERR_MEMORY;
  if (c->full) return ERR_CORRUPT;
  for (size_t i = 0; i < c->count; i++) {
    size_t from = i ? c->ends[i - 1] : 0;
    bodies[backward ? c->count - 1 - i : i] = (struct delta_body){c->bytes.data + from, c->ends[i] - from};
  }
  return zone_delta_condense(bodies, c->count, out, &size);
}

/* ---- rebuilding ---- */

static size_t index_of(const struct history *h, uint64_t version) {
  return (size_t)(h->list[0].version - version);
}

static uint64_t distance(uint64_t a, uint64_t b) {
  return a > b ? a - b : b - a;
}

/* Where to begin: at what lies nearest to the target without a full change in between that leads away from it. */
static enum err choose(struct rebuild *r, struct store_error *why) {
  const struct history *h = r->history;
  struct store_image image;
  struct zone_snap *opened;
  uint64_t want = h->list[r->target].version, most = h->list[0].version;
  for (size_t i = r->target; i > 0; i--) { /* the first full change behind it */
    if (!h->list[i - 1].full) continue;
    most = h->list[i - 1].version - 1;
    break;
  }
  bool near = r->base && r->base_version >= want && r->base_version <= most;
  enum err err = store_image_at(h->store, h->zone, most, &image);
  if (near && (err || distance(r->base_version, want) <= distance(image.version, want))) {
    r->snap = zone_snap_ref(r->base);
    r->version = r->base_version;
    return ERR_OK;
  }
  if (!err) err = store_open_image(h->store, &image, &opened, why);
  if (err) return err;
  r->snap = opened;
  r->version = image.version;
  return ERR_OK;
}

static enum err replace(struct rebuild *r, enum err err, struct zone_snap *next, uint64_t version) {
  if (err) return err;
  zone_snap_unref(r->snap);
  r->snap = next;
  r->version = version;
  return ERR_OK;
}

static enum err step_back(struct rebuild *r, struct store_error *why) {
  const struct history *h = r->history;
  size_t first = index_of(h, r->version), bytes = 0;
  struct chunk c = {0};
  struct buf body = {0};
  struct zone_snap *next = NULL;
  while (c.most < HISTORY_STEP_CHANGES && first + c.most < r->target && bytes < HISTORY_STEP_BYTES)
    bytes += h->list[first + c.most++].bytes;
  enum err err = store_walk_back(h->store, h->zone, h->list[first].seq, collect_back, &c, why);
  if (!err || (err == ERR_NOT_FOUND && c.count == c.most)) err = chunk_condense(&c, true, &body);
  if (!err) err = zone_delta_revert(r->snap, body.data, body.size, &next);
  buf_done(&c.bytes);
  buf_done(&body);
  return replace(r, err, next, r->version - c.most);
}

static enum err step_forward(struct rebuild *r, struct store_error *why) {
  struct history *h = r->history;
  if (h->next && h->list[h->count - 1].version > r->version + 1) return history_read(h, why);
  if (h->list[h->count - 1].version > r->version + 1) return ERR_NOT_FOUND;
  size_t last = index_of(h, r->version + 1), bytes = h->list[last].bytes;
  struct chunk c = {.most = 1};
  struct buf body = {0};
  struct zone_snap *next = NULL;
  for (; c.most < HISTORY_STEP_CHANGES && last > r->target && bytes < HISTORY_STEP_BYTES; c.most++)
    bytes += h->list[--last].bytes;
  enum err err = store_each_change(h->store, h->zone, h->list[last].seq, r->version, collect_forward, &c, why);
  if (!err && c.count != c.most) err = ERR_NOT_FOUND;
  if (!err) err = chunk_condense(&c, false, &body);
  if (!err) err = zone_delta_apply(r->snap, body.data, body.size, &next);
  buf_done(&c.bytes);
  buf_done(&body);
  return replace(r, err, next, r->version + c.most);
}

/* What was made is what was served then. */
static enum err verify(const struct rebuild *r) {
  const struct history_entry *e = &r->history->list[r->target];
  struct digest128 whole;
  if (zone_serial(r->snap) != e->serial) return ERR_CORRUPT;
  if (!e->has_content || zone_record_count(r->snap) > VERIFY_RECORDS) return ERR_OK;
  enum err err = zone_content_whole(r->snap, &whole);
  if (!err && !zone_content_equal(whole, e->content)) err = ERR_CORRUPT;
  return err;
}

enum err rebuild_step(struct rebuild *r, bool *done, struct store_error *why) {
  uint64_t want = r->history->list[r->target].version;
  enum err err;
  if (!r->version) err = choose(r, why);
  else if (r->version > want) err = step_back(r, why);
  else err = step_forward(r, why);
  if (!err && r->version == want) err = verify(r);
  *done = !err && r->version == want;
  return err;
}

const struct zone_snap *rebuild_take(struct rebuild *r) {
  const struct zone_snap *snap = r->snap;
  r->snap = NULL;
  return snap;
}

void rebuild_done(struct rebuild *r) {
  zone_snap_unref(r->snap);
  r->snap = NULL;
}
