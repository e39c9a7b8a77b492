/* A changeset's body in fewer octets, as the log keeps it. Nearly all differ in the SOA's serial and in names of the zone:
 *
 *   u8 2, apex wire, then for each record of the body
 *   u8 0 removed, 1 added   owner, u16 type, u32 ttl, u16 size, rdata     the owner's labels end in 00, or in c0 before the apex
 *   u8 2 the SOA removed    u32 ttl, u16 size, rdata, u32 the serial of the one that comes
 *   u8 3 the SOA added      as removed, with that serial
 *
 * Unpacked it is octet for octet what it was. */
#include "zone/delta_priv.h"

enum { PACKED_FORMAT = 2, OP_ADDED = 1, OP_SOA_REMOVED = 2, OP_SOA_ADDED = 3, APEX_FOLLOWS = 0xc0, LABEL_MOST = 63 };
enum { SOA_SERIAL_FROM_END = 20, SOA_LEAST_BYTES = 22, TYPE_TTL_BYTES = 6 };

struct raw { /* a record as it stands in a body */
  uint8_t op;
  const uint8_t *owner;
  size_t owner_size; /* packed: without what ends it */
  bool in_zone;      /* packed: the apex ends it */
  const uint8_t *type_ttl;
  uint16_t size;
  const uint8_t *rdata;
};

static uint16_t type_of(const struct raw *r) {
  return get_u16(r->type_ttl);
}

/* Labels up to an octet that is none. */
static bool read_labels(struct rd *r, const uint8_t **owner, size_t *size, uint8_t *end) {
  const uint8_t *label;
  *size = 0;
  while (rd_bytes(r, 1, &label)) {
    if (*size == 0) *owner = label;
    *end = *label;
    if (*end == 0 || *end > LABEL_MOST) return *size < LIMIT_NAME_BYTES;
    if (!rd_skip(r, *label)) return false;
    *size += 1 + (size_t)*label;
  }
  return false;
}

static bool read_rest(struct rd *r, struct raw *out) {
  return rd_bytes(r, TYPE_TTL_BYTES, &out->type_ttl) && rd_u16(r, &out->size) && rd_bytes(r, out->size, &out->rdata);
}

static bool read_raw(struct rd *r, struct raw *out) {
  uint8_t end;
  if (!rd_u8(r, &out->op) || out->op > OP_ADDED || !read_labels(r, &out->owner, &out->owner_size, &end) || end) return false;
  out->owner_size++;
  return read_rest(r, out);
}

/* ---- packing ---- */

static bool same_but_serial(const struct raw *a, const struct raw *b) {
  if (a->owner_size != b->owner_size || a->size != b->size || a->size < SOA_LEAST_BYTES) return false;
  size_t at = a->size - SOA_SERIAL_FROM_END;
  return memcmp(a->owner, b->owner, a->owner_size) == 0 && memcmp(a->type_ttl, b->type_ttl, TYPE_TTL_BYTES) == 0 &&
         memcmp(a->rdata, b->rdata, at) == 0 && memcmp(a->rdata + at + 4, b->rdata + at + 4, SOA_SERIAL_FROM_END - 4) == 0;
}

/* The SOA that goes and the one that comes: one of each, in this order, of which only the serial differs. */
static bool find_soas(struct rd r, struct raw soa[2]) {
  unsigned found = 0;
  struct raw record;
  while (rd_left(&r)) {
    if (!read_raw(&r, &record)) return false;
    if (type_of(&record) != RR_SOA) continue;
    if (found == 2 || record.op != found) return false;
    soa[found++] = record;
  }
  return found == 2 && same_but_serial(&soa[0], &soa[1]);
}

/* How much of the owner stands before the apex; all of it but the root if it is not there. */
static size_t before_apex(const struct raw *r, const struct raw *apex, bool *in_zone) {
  size_t at = 0;
  *in_zone = false;
  if (r->owner_size < apex->owner_size) return r->owner_size - 1;
  size_t there = r->owner_size - apex->owner_size;
  while (at < there)
    at += 1 + (size_t)r->owner[at];
  *in_zone = at == there && memcmp(r->owner + at, apex->owner, apex->owner_size) == 0;
  return *in_zone ? there : r->owner_size - 1;
}

static void pack_record(const struct raw *r, const struct raw soa[2], struct wr *out) {
  bool in_zone;
  if (type_of(r) == RR_SOA) {
    wr_u8(out, r->op ? OP_SOA_ADDED : OP_SOA_REMOVED);
    if (r->op) return;
    wr_bytes(out, r->type_ttl + 2, TYPE_TTL_BYTES - 2);
  } else {
    wr_u8(out, r->op);
    wr_bytes(out, r->owner, before_apex(r, &soa[0], &in_zone));
    wr_u8(out, in_zone ? APEX_FOLLOWS : 0);
    wr_bytes(out, r->type_ttl, TYPE_TTL_BYTES);
  }
  wr_u16(out, r->size);
  wr_bytes(out, r->rdata, r->size);
  if (type_of(r) == RR_SOA) wr_bytes(out, soa[1].rdata + r->size - SOA_SERIAL_FROM_END, 4);
}

bool zone_delta_pack(const uint8_t *body, size_t n, struct buf *out) {
  struct rd r = rd_make(body, n);
  struct raw soa[2], record;
  uint8_t format;
  if (!rd_u8(&r, &format) || format != DELTA_FORMAT || !find_soas(r, soa)) return false;
  uint8_t *room = buf_reserve(out, n);
  struct wr w = wr_make(room, room ? n - 1 : 0); /* what is not less is not packed */
  wr_u8(&w, PACKED_FORMAT);
  wr_bytes(&w, soa[0].owner, soa[0].owner_size);
  while (read_raw(&r, &record))
    pack_record(&record, soa, &w);
  if (!wr_failed(&w)) out->size += wr_used(&w);
  return !wr_failed(&w);
}

/* ---- unpacking ---- */

bool zone_delta_is_packed(const uint8_t *body, size_t n) {
  return n && body[0] == PACKED_FORMAT;
}

struct unpacker {
  struct buf *out;
  size_t start;
  struct raw soa; /* removed; rdata NULL: not read yet */
  const uint8_t *serial;
  const uint8_t *apex;
  size_t apex_size;
};

/* Whether there is still no more than a body may have. */
static bool put_raw(struct unpacker *u, const struct raw *r, const uint8_t *serial) {
  uint8_t size[2];
  put_u16(size, r->size);
  buf_add_byte(u->out, r->op);
  buf_add(u->out, r->owner, r->owner_size);
  if (r->in_zone) buf_add(u->out, u->apex, u->apex_size);
  else buf_add_byte(u->out, 0);
  buf_add(u->out, r->type_ttl, TYPE_TTL_BYTES);
  buf_add(u->out, size, sizeof size);
  buf_add(u->out, r->rdata, r->size);
  if (serial && !u->out->failed) memcpy(u->out->data + u->out->size - SOA_SERIAL_FROM_END, serial, 4);
  return !u->out->failed && u->out->size - u->start <= LIMIT_CHANGE_BYTES;
}

static bool read_soa(struct unpacker *u, struct rd *r, uint8_t type_ttl[TYPE_TTL_BYTES]) {
  const uint8_t *ttl;
  if (u->soa.rdata || !rd_bytes(r, TYPE_TTL_BYTES - 2, &ttl)) return false;
  put_u16(type_ttl, RR_SOA);
  memcpy(type_ttl + 2, ttl, TYPE_TTL_BYTES - 2);
  u->soa = (struct raw){.in_zone = true, .owner = u->apex, .type_ttl = type_ttl};
  return rd_u16(r, &u->soa.size) && u->soa.size >= SOA_LEAST_BYTES && rd_bytes(r, u->soa.size, &u->soa.rdata) &&
         rd_bytes(r, 4, &u->serial);
}

static bool unpack_record(struct unpacker *u, struct rd *r, uint8_t type_ttl[TYPE_TTL_BYTES]) {
  struct raw record;
  uint8_t end;
  if (!rd_u8(r, &record.op)) return false;
  if (record.op == OP_SOA_REMOVED) return read_soa(u, r, type_ttl) && put_raw(u, &u->soa, NULL);
  if (record.op == OP_SOA_ADDED) {
    record = u->soa;
    record.op = OP_ADDED;
    return u->soa.rdata && put_raw(u, &record, u->serial);
  }
  if (record.op > OP_ADDED || !read_labels(r, &record.owner, &record.owner_size, &end)) return false;
  record.in_zone = end == APEX_FOLLOWS;
  return (record.in_zone || !end) && read_rest(r, &record) && put_raw(u, &record, NULL);
}

enum err zone_delta_unpack(const uint8_t *body, size_t n, struct buf *out) {
  struct unpacker u = {.out = out, .start = out->size};
  struct rd r = rd_make(body, n);
  uint8_t format, end, type_ttl[TYPE_TTL_BYTES];
  bool good = rd_u8(&r, &format) && format == PACKED_FORMAT && read_labels(&r, &u.apex, &u.apex_size, &end) && !end;
  u.apex_size++;
  if (good) buf_add_byte(out, DELTA_FORMAT);
  while (good && rd_left(&r))
    good = unpack_record(&u, &r, type_ttl);
  if (good && !out->failed) return ERR_OK;
  enum err err = out->failed ? ERR_MEMORY : ERR_CORRUPT;
  out->size = u.start;
  return err;
}
