/* Type bitmaps: NSEC, NSEC3, CSYNC (RFC 4034 §4.1.2) and the older one of NXT (RFC 2535 §5.2). */
#include "wire/rr_priv.h"

#include <string.h>

enum { WINDOWS = 256, WINDOW_BYTES = 32 };

/* The whole space of types; a window's octets mean something once its `size` is not 0. */
struct bitmap {
  unsigned last;         /* window in use */
  uint8_t size[WINDOWS]; /* octets in use */
  uint8_t bits[WINDOWS][WINDOW_BYTES];
};

static void bitmap_set(struct bitmap *b, uint16_t type) {
  unsigned window = type >> 8, octet = (type & 0xff) / 8;
  if (window > b->last) b->last = window;
  if (b->size[window] == 0) memset(b->bits[window], 0, WINDOW_BYTES);
  b->bits[window][octet] |= (uint8_t)(0x80 >> type % 8);
  if (b->size[window] <= octet) b->size[window] = (uint8_t)(octet + 1);
}

static enum err take_types(struct text_in *in, struct bitmap *b, uint16_t max) {
  b->last = 0;
  memset(b->size, 0, sizeof b->size);
  for (const struct rr_token *t; (t = rr_in_peek(in)); in->at++) {
    uint16_t type;
    if (rr_type_from_text(t->text, t->size, &type) != ERR_OK || type == 0 || type > max)
      return rr_in_invalid(in, max == UINT16_MAX ? "RR types such as A, MX or TYPE65280" : "RR types with codes from 1 to 127");
    bitmap_set(b, type);
  }
  return ERR_OK;
}

static void print_type(unsigned type, bool first, struct buf *out) {
  char text[RR_TYPE_TEXT_BYTES];
  if (!first) buf_add_byte(out, ' ');
  buf_add_text(out, rr_type_text((uint16_t)type, text));
}

static bool print_window(unsigned base, const uint8_t *bits, size_t n, bool first, struct buf *out) {
  for (unsigned i = 0; i < n * 8; i++)
    if (bits[i / 8] & 0x80 >> i % 8) {
      print_type(base + i, first, out);
      first = false;
    }
  return first;
}

enum err field_types_parse(struct text_in *in) {
  struct bitmap b;
  enum err e = take_types(in, &b, UINT16_MAX);
  for (unsigned window = 0; e == ERR_OK && window <= b.last; window++) {
    if (b.size[window] == 0) continue;
    wr_u8(&in->out, (uint8_t)window);
    wr_u8(&in->out, b.size[window]);
    wr_bytes(&in->out, b.bits[window], b.size[window]);
  }
  return e;
}

bool field_types_scan(struct rd *r, const uint8_t *rdata) {
  int last = -1;
  while (rd_left(r)) {
    uint8_t window, size;
    const uint8_t *bits;
    if (!rd_u8(r, &window) || !rd_u8(r, &size) || !rd_bytes(r, size, &bits)) return false;
    if (window <= last || size == 0 || size > WINDOW_BYTES || bits[size - 1] == 0) return false;
    if (window == 0 && bits[0] & 0x80) return false; /* there is no type 0 */
    last = window;
  }
  return true;
}

void field_types_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  bool first = true;
  for (size_t i = 0; i < n; i += 2u + at[i + 1])
    first = print_window(at[i] * 256u, at + i + 2, at[i + 1], first, out);
}

enum err field_types_some_parse(struct text_in *in) {
  return rr_in_peek(in) ? field_types_parse(in) : rr_in_missing(in, "RR types such as A, MX or TYPE65280, at least one");
}

bool field_types_some_scan(struct rd *r, const uint8_t *rdata) {
  return field_types_scan(r, rdata);
}

bool field_types_some_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  return n > 0;
}

void field_types_some_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  field_types_print(at, n, rdata, out);
}

enum { TYPES_OLD_MAX = 127 };

enum err field_types_old_parse(struct text_in *in) {
  struct bitmap b;
  enum err e = take_types(in, &b, TYPES_OLD_MAX);
  if (e == ERR_OK) wr_bytes(&in->out, b.bits[0], b.size[0]);
  return e;
}

bool field_types_old_scan(struct rd *r, const uint8_t *rdata) {
  size_t n = rd_left(r);
  if (n > (TYPES_OLD_MAX + 1) / 8 || (n > 0 && (r->at[n - 1] == 0 || r->at[0] & 0x80))) return false;
  return rr_scan_all(r, rdata);
}

void field_types_old_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  print_window(0, at, n, true, out);
}
