/* RDATA in wire form: checking, reading from messages, canonical form and order (RFC 3597, RFC 4034 §6). */
#include "wire/rr_priv.h"

#include <assert.h>
#include <string.h>

enum err rr_rdata_check(uint16_t type, const uint8_t *rdata, size_t n) {
  const struct rr_row *row = rr_row(type);
  if (n > UINT16_MAX) return ERR_RANGE;
  if (!row) return ERR_OK;
  struct rd r = {rdata, rdata + n};
  for (unsigned i = 0; i < row->field_count; i++)
    if (!field_codecs[row->fields[i].kind].scan(&r, rdata)) return ERR_FORMAT;
  return rd_left(&r) ? ERR_FORMAT : ERR_OK;
}

/* A name that peers may send compressed. */
static bool read_expanded(struct rd *r, const uint8_t *message, struct wr *out) {
  struct name name;
  if (name_read(r, message, &name) != ERR_OK) return false;
  wr_bytes(out, name.octets, name.size);
  return true;
}

enum err rr_rdata_read(struct rd *r, size_t n, const uint8_t *message, uint16_t type, struct wr *out) {
  const struct rr_row *row = rr_row(type);
  struct rd in = *r, rdata;
  struct wr to = *out;
  if (!rd_sub(&in, n, &rdata)) return ERR_SHORT;
  const uint8_t *start = rdata.at, *copied = start; /* all before `copied` is in `to` */
  for (unsigned i = 0; row && i < row->field_count; i++) {
    const struct rr_field *f = &row->fields[i];
    if (f->kind == FIELD_NAME && f->flags & (FIELD_F_COMPRESS | FIELD_F_EXPAND)) {
      wr_bytes(&to, copied, (size_t)(rdata.at - copied));
      if (!read_expanded(&rdata, message, &to)) return ERR_FORMAT;
      copied = rdata.at;
    } else if (!field_codecs[f->kind].scan(&rdata, start)) {
      return ERR_FORMAT;
    }
  }
  if (row && rd_left(&rdata)) return ERR_FORMAT;
  wr_bytes(&to, copied, (size_t)(rdata.end - copied));
  if (wr_failed(&to)) return ERR_SPACE;
  *r = in;
  *out = to;
  return ERR_OK;
}

/* ---- names inside ---- */

/* The prefix name of an A6 stands behind the prefix length and the suffix, unless the prefix is empty (RFC 2874 §3.1.1). */
static bool a6_name(const uint8_t *at, size_t n, struct name_range *out) {
  unsigned prefix_bits = at[0];
  if (prefix_bits == 0) return false;
  out->at = 1 + (128 - prefix_bits + 7) / 8;
  out->size = (uint32_t)n - out->at;
  return true;
}

unsigned rr_name_ranges(const struct rr_row *row, const uint8_t *rdata, size_t n, unsigned flags,
                        struct name_range out[RR_NAMES_MAX]) {
  struct rd r = {rdata, rdata + n};
  unsigned count = 0, last = 0;
  for (unsigned i = 0; i < row->field_count; i++)
    if (row->fields[i].flags & flags) last = i + 1;
  for (unsigned i = 0; i < last && count < RR_NAMES_MAX; i++) {
    const struct rr_field *f = &row->fields[i];
    const uint8_t *at = r.at;
    if (!field_codecs[f->kind].scan(&r, rdata)) break;
    if (!(f->flags & flags)) continue;
    struct name_range range = {(uint32_t)(at - rdata), (uint32_t)(r.at - at)};
    if (f->kind == FIELD_A6 && !a6_name(at, range.size, &range)) continue;
    out[count++] = range;
  }
  return count;
}

static bool has_flag(const struct rr_row *row, unsigned flag) {
  for (unsigned i = 0; row && i < row->field_count; i++)
    if (row->fields[i].flags & flag) return true;
  return false;
}

void rr_rdata_canonical(uint16_t type, uint8_t *rdata, size_t n) {
  const struct rr_row *row = rr_row(type);
  struct name_range names[RR_NAMES_MAX];
  if (!has_flag(row, FIELD_F_LOWER)) return;
  unsigned count = rr_name_ranges(row, rdata, n, FIELD_F_LOWER, names);
  for (unsigned i = 0; i < count; i++)
    for (uint32_t k = names[i].at; k < names[i].at + names[i].size; k++)
      rdata[k] = ascii_lower(rdata[k]);
}

static int compare_octets(const uint8_t *a, size_t an, const uint8_t *b, size_t bn) {
  size_t n = an < bn ? an : bn;
  int d = n ? memcmp(a, b, n) : 0;
  return d ? d : (an > bn) - (an < bn);
}

int rr_rdata_compare(uint16_t type, const uint8_t *a, size_t an, const uint8_t *b, size_t bn) {
  if (an == bn && compare_octets(a, an, b, bn) == 0) return 0;
  const struct rr_row *row = rr_row(type);
  if (!has_flag(row, FIELD_F_LOWER)) return compare_octets(a, an, b, bn);
  /* Up to the first difference both have their names at the same places, so those of one side serve for both. */
  struct name_range names[RR_NAMES_MAX];
  unsigned count = rr_name_ranges(row, a, an, FIELD_F_LOWER, names);
  size_t done = 0;
  for (unsigned i = 0; i < count; i++) {
    size_t end = names[i].at + names[i].size;
    if (end > bn) end = bn;
    for (; done < end; done++) {
      bool fold = done >= names[i].at;
      int d = fold ? ascii_lower(a[done]) - ascii_lower(b[done]) : a[done] - b[done];
      if (d) return d;
    }
  }
  return compare_octets(a + done, an - done, b + done, bn - done);
}

unsigned rr_rdata_names(uint16_t type, const uint8_t *rdata, size_t n, struct name_range out[RR_NAMES_MAX]) {
  const struct rr_row *row = rr_row(type);
  return row ? rr_name_ranges(row, rdata, n, FIELD_F_LOWER | FIELD_F_GLUE, out) : 0;
}

bool rr_rdata_target(uint16_t type, const uint8_t *rdata, size_t n, const uint8_t **target_wire) {
  if (type == RR_NS || type == RR_MX) { /* the usual ones */
    *target_wire = rdata + (type == RR_MX ? 2 : 0);
    return true;
  }
  const struct rr_row *row = rr_row(type);
  struct name_range target[RR_NAMES_MAX];
  if (!has_flag(row, FIELD_F_GLUE) || rr_name_ranges(row, rdata, n, FIELD_F_GLUE, target) == 0) return false;
  *target_wire = rdata + target[0].at;
  return true;
}
