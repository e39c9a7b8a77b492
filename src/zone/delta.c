/* Changeset bodies: the difference of two snapshots as bytes, and back. delta.h has the layout.
 *
 * A body is read back from the log long after it was made, so nothing of it is believed: names, sizes, types and RDATA are checked
 * as if they came from the network, and a body that does not fit its base exactly (removes what is not there, adds what is) is
 * damage, never half applied. */
#include "zone/delta_priv.h"
#include "zone/snap_priv.h"

enum { RECORD_FIXED_BYTES = 1 + 2 + 4 + 2 }; /* op, type, TTL, size */
enum { OP_REMOVED = 0, OP_ADDED = 1 };

size_t delta_record_bytes(const struct delta_record *r) {
  return RECORD_FIXED_BYTES + r->owner.size + (size_t)r->size;
}

bool delta_put(struct buf *out, const struct delta_record *r) {
  size_t n = delta_record_bytes(r);
  uint8_t *at = buf_reserve(out, n);
  if (!at) return false;
  struct wr w = wr_make(at, n);
  wr_u8(&w, r->added ? OP_ADDED : OP_REMOVED);
  wr_bytes(&w, r->owner.octets, r->owner.size);
  wr_u16(&w, r->type);
  wr_u32(&w, r->ttl);
  wr_u16(&w, r->size);
  wr_bytes(&w, r->rdata, r->size);
  out->size += n;
  return true;
}

/* ---- making ---- */

struct maker {
  struct buf *out;
  size_t start, most_bytes;
  struct delta_size size;
  bool full;
};

static bool put_record(struct maker *m, bool added, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                       uint16_t size) {
  struct delta_record r = {added, *owner, type, size, ttl, rdata};
  if (m->out->size - m->start + delta_record_bytes(&r) > m->most_bytes) {
    m->full = true;
    return false;
  }
  return delta_put(m->out, &r);
}

static bool put_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct maker *m = arg;
  m->size.removed++;
  return put_record(m, false, owner, type, ttl, rdata, size);
}

static bool put_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct maker *m = arg;
  m->size.added++;
  return put_record(m, true, owner, type, ttl, rdata, size);
}

enum err zone_delta_make(const struct zone_snap *from, const struct zone_snap *to, size_t most_bytes, struct buf *out,
                         struct delta_size *size) {
  struct maker m = {.out = out, .start = out->size, .most_bytes = most_bytes};
  const uint8_t *body;
  size_t n;
  if (most_bytes < 1) return ERR_SPACE;
  if (zone_step(from, to, &body, &n) && n <= most_bytes) {
    *size = (struct delta_size){to->step->removed, to->step->added};
    buf_add(out, body, n);
    return out->failed ? ERR_MEMORY : ERR_OK;
  }
  buf_add_byte(out, DELTA_FORMAT);
  enum err err = zone_diff(from, to, &(struct zone_diff){put_removed, put_added, &m});
  if (out->failed) err = ERR_MEMORY;
  else if (m.full) err = ERR_SPACE;
  else if (!err && (zone_is_damaged(from) || zone_is_damaged(to))) err = ERR_CORRUPT;
  if (err) {
    out->size = m.start;
    return err;
  }
  *size = m.size;
  return ERR_OK;
}

/* ---- reading ---- */

static bool read_record(struct rd *r, struct delta_record *out) {
  uint8_t op;
  if (!rd_u8(r, &op) || op > OP_ADDED || name_read_plain(r, &out->owner)) return false;
  if (!rd_u16(r, &out->type) || !rd_u32(r, &out->ttl) || !rd_u16(r, &out->size) || !rd_bytes(r, out->size, &out->rdata))
    return false;
  out->added = op == OP_ADDED;
  return out->ttl <= LIMIT_TTL && rr_type_is_data(out->type) && rr_rdata_check(out->type, out->rdata, out->size) == ERR_OK;
}

static enum err begin(const uint8_t *body, size_t n, struct rd *r) {
  uint8_t format;
  *r = rd_make(body, n);
  if (!rd_u8(r, &format) || format == 0) return ERR_CORRUPT;
  return format > DELTA_FORMAT ? ERR_VERSION : ERR_OK;
}

enum err zone_delta_each(const uint8_t *body, size_t n,
                         bool (*f)(void *arg, bool added, const struct name *owner, uint16_t type, uint32_t ttl,
                                   const uint8_t *rdata, uint16_t size),
                         void *arg) {
  struct rd r;
  struct delta_record record;
  enum err err = begin(body, n, &r);
  if (err) return err;
  while (rd_left(&r)) {
    if (!read_record(&r, &record)) return ERR_CORRUPT;
    if (!f(arg, record.added, &record.owner, record.type, record.ttl, record.rdata, record.size)) return ERR_REFUSED;
  }
  return ERR_OK;
}

enum err zone_delta_open(const uint8_t *body, size_t n, struct delta_cursor *out) {
  return begin(body, n, &out->rest);
}

enum err zone_delta_next(struct delta_cursor *c, struct delta_record *out) {
  if (!rd_left(&c->rest)) return ERR_NOT_FOUND;
  return read_record(&c->rest, out) ? ERR_OK : ERR_CORRUPT;
}

/* ---- applying ---- */

static enum err apply_record(struct zone_edit *e, const struct delta_record *r) {
  enum zone_add outcome;
  if (!r->added) return zone_edit_remove(e, &r->owner, r->type, r->rdata, r->size);
  enum err err = zone_edit_add(e, &r->owner, r->type, r->ttl, r->rdata, r->size, &outcome);
  if (err) return err;
  /* Of a set whose TTL changes all records are removed before the first is added again. */
  return outcome == ZONE_ADD_NEW ? ERR_OK : ERR_CORRUPT;
}

/* What the edit calls a mistake in the change is damage here. */
static enum err as_damage(enum err err) {
  return err == ERR_OK || err == ERR_MEMORY || err == ERR_VERSION || err == ERR_LIMIT ? err : ERR_CORRUPT;
}

enum err zone_delta_apply(const struct zone_snap *base, const uint8_t *body, size_t n, struct zone_snap **out) {
  struct rd r;
  struct delta_record record;
  struct zone_edit *e;
  enum err err = begin(body, n, &r);
  if (err) return err;
  err = zone_edit_begin(base, zone_apex(base), &e);
  if (err) return err;
  while (!err && rd_left(&r))
    err = read_record(&r, &record) ? apply_record(e, &record) : ERR_CORRUPT;
  if (err) {
    zone_edit_abort(e);
    return as_damage(err);
  }
  return as_damage(zone_edit_finish(e, out));
}

/* ---- taking back ---- */

/* First what was added goes, in the whole body, and then what was removed comes back: so no order within the body matters. */
static enum err revert_half(struct zone_edit *e, struct rd r, bool added) {
  struct delta_record record;
  enum err err = ERR_OK;
  while (!err && rd_left(&r)) {
    if (!read_record(&r, &record)) return ERR_CORRUPT;
    if (record.added != added) continue;
    record.added = !added;
    err = apply_record(e, &record);
  }
  return err;
}

enum err zone_delta_revert(const struct zone_snap *base, const uint8_t *body, size_t n, struct zone_snap **out) {
  struct rd r;
  struct zone_edit *e;
  enum err err = begin(body, n, &r);
  if (err) return err;
  err = zone_edit_begin(base, zone_apex(base), &e);
  if (err) return err;
  err = revert_half(e, r, true);
  if (!err) err = revert_half(e, r, false);
  if (err) {
    zone_edit_abort(e);
    return as_damage(err);
  }
  return as_damage(zone_edit_finish(e, out));
}
