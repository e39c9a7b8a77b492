/* Many bodies as one. A record's first mention tells whether it was there before, its last one whether it is there in the end; what
 * is the same is left out. So all mentions are sorted, those of a record in the order they came. */
#include "zone/delta_priv.h"

#include <stdlib.h>

struct mention {
  const uint8_t *owner; /* wire form, in its body, as the rest */
  const uint8_t *rdata;
  uint32_t ttl;
  uint32_t order;
  uint16_t type, size;
  uint8_t owner_size;
  bool added;
};

struct mentions {
  struct mention *list;
  size_t count, capacity;
};

static bool append(struct mentions *m, const struct delta_record *r, const uint8_t *owner) {
  if (m->count == m->capacity) {
    size_t capacity = m->capacity ? 2 * m->capacity : 256;
    struct mention *list = realloc(m->list, capacity * sizeof *list);
    if (!list) return false;
    m->list = list;
    m->capacity = capacity;
  }
  m->list[m->count] = (struct mention){owner, r->rdata, r->ttl, (uint32_t)m->count, r->type, r->size, r->owner.size, r->added};
  m->count++;
  return true;
}

static enum err gather(struct mentions *m, const struct delta_body *body) {
  struct delta_cursor c;
  struct delta_record r;
  enum err err = zone_delta_open(body->bytes, body->size, &c);
  while (!err) {
    const uint8_t *at = c.rest.at;
    err = zone_delta_next(&c, &r);
    if (!err && !append(m, &r, at + 1)) return ERR_MEMORY; /* behind the octet that says what becomes of it */
  }
  return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void owner_of(const struct mention *m, struct name *out) {
  struct rd r = rd_make(m->owner, m->owner_size);
  enum err err = name_read_plain(&r, out) ? ERR_CORRUPT : ERR_OK;
  (void)err; /* it was read once */
}

static int compare_owners(const struct mention *a, const struct mention *b) {
  if (a->owner_size == b->owner_size && memcmp(a->owner, b->owner, a->owner_size) == 0) return 0;
  struct name x, y;
  owner_of(a, &x);
  owner_of(b, &y);
  return name_compare(&x, &y);
}

static int compare_records(const struct mention *a, const struct mention *b) {
  int c = compare_owners(a, b);
  if (c) return c;
  if (a->type != b->type) return a->type < b->type ? -1 : 1;
  return rr_rdata_compare(a->type, a->rdata, a->size, b->rdata, b->size);
}

static int compare(const void *x, const void *y) {
  const struct mention *a = x, *b = y;
  int c = compare_records(a, b);
  if (c) return c;
  return a->order < b->order ? -1 : 1;
}

struct condenser {
  struct buf *out;
  struct delta_size size;
};

static bool put(struct condenser *c, const struct mention *m, bool added) {
  struct delta_record r = {.added = added, .type = m->type, .size = m->size, .ttl = m->ttl, .rdata = m->rdata};
  owner_of(m, &r.owner);
  if (added) c->size.added++;
  else c->size.removed++;
  return delta_put(c->out, &r);
}

/* What is left of the mentions of one owner: the removed records first. */
static bool condense_owner(struct condenser *c, const struct mention *list, size_t n) {
  for (int adding = 0; adding < 2; adding++) {
    for (size_t i = 0, end; i < n; i = end) {
      for (end = i + 1; end < n && compare_records(&list[i], &list[end]) == 0;)
        end++;
      const struct mention *first = &list[i], *last = &list[end - 1];
      bool was = !first->added, is = last->added;
      bool same = was == is && (!was || first->ttl == last->ttl);
      if (same || (adding ? !is : !was)) continue;
      if (!put(c, adding ? last : first, adding)) return false;
    }
  }
  return true;
}

enum err zone_delta_condense(const struct delta_body *bodies, size_t count, struct buf *out, struct delta_size *size) {
  struct mentions m = {0};
  struct condenser c = {.out = out};
  size_t start = out->size;
  enum err err = ERR_OK;
  for (size_t i = 0; !err && i < count; i++)
    err = gather(&m, &bodies[i]);
  if (!err && m.count) qsort(m.list, m.count, sizeof *m.list, compare);
  if (!err) buf_add_byte(out, DELTA_FORMAT);
  for (size_t i = 0, end; !err && i < m.count; i = end) {
    for (end = i + 1; end < m.count && compare_owners(&m.list[i], &m.list[end]) == 0;)
      end++;
    if (!condense_owner(&c, &m.list[i], end - i)) err = ERR_MEMORY;
  }
  if (!err && out->failed) err = ERR_MEMORY;
  free(m.list);
  if (err) out->size = start;
  else *size = c.size;
  return err;
}
