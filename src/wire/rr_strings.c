/* Field kinds that hold text: <character-string> (RFC 1035 §3.3) and its kin. */
#include "wire/encoding.h"
#include "wire/rr_priv.h"

/* Writes the octets of a token without escapes; false if an escape is malformed. */
static bool unescape(const struct rr_token *t, struct wr *out) {
  for (size_t i = 0; i < t->size;) {
    uint8_t c;
    size_t taken = escape_read(t->text + i, t->size - i, &c);
    if (taken == 0) return false;
    wr_u8(out, c);
    i += taken;
  }
  return true;
}

/* Takes one token as a length octet and its octets. */
static enum err take_string(struct text_in *in, const char *hint) {
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  uint8_t *length = in->out.at;
  wr_u8(&in->out, 0);
  if (!unescape(t, &in->out)) return rr_in_invalid(in, "a backslash is followed by a character or by 000 to 255");
  if (wr_failed(&in->out)) { /* over the end: there is no place for the length either */
    in->at++;
    return ERR_OK;
  }
  size_t n = (size_t)(in->out.at - length - 1);
  if (n > 255)
    return rr_in_fail(in, "split it into several quoted strings of at most 255 octets each",
                      "a string of %zu octets, longer than 255", n);
  *length = (uint8_t)n;
  in->at++;
  return ERR_OK;
}

/* The octets of the string that take_string has just written at `length`; none if it did not fit. */
static struct rd last_string(const struct text_in *in, const uint8_t *length) {
  return wr_failed(&in->out) ? (struct rd){length, length} : (struct rd){length + 1, in->out.at};
}

static void print_quoted(const uint8_t *bytes, size_t n, struct buf *out) {
  buf_add_byte(out, '"');
  escape_print(bytes, n, out);
  buf_add_byte(out, '"');
}

enum err field_string_parse(struct text_in *in) {
  return take_string(in, "a string");
}

bool field_string_scan(struct rd *r, const uint8_t *rdata) {
  uint8_t n;
  return rd_u8(r, &n) && rd_skip(r, n);
}

void field_string_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  print_quoted(at + 1, n - 1, out);
}

enum err field_string_or_none_parse(struct text_in *in) {
  return rr_in_peek(in) ? field_string_parse(in) : ERR_OK;
}

bool field_string_or_none_scan(struct rd *r, const uint8_t *rdata) {
  return rd_left(r) == 0 || field_string_scan(r, rdata);
}

void field_string_or_none_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  if (n) field_string_print(at, n, rdata, out);
}

enum err field_strings_parse(struct text_in *in) {
  do {
    enum err e = take_string(in, "one or more strings");
    if (e != ERR_OK) return e;
  } while (rr_in_peek(in));
  return ERR_OK;
}

bool field_strings_scan(struct rd *r, const uint8_t *rdata) {
  do
    if (!field_string_scan(r, rdata)) return false;
  while (rd_left(r));
  return true;
}

void field_strings_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  for (size_t i = 0; i < n; i += at[i] + 1u) {
    if (i) buf_add_byte(out, ' ');
    print_quoted(at + i + 1, at[i], out);
  }
}

/* ---- strings of a certain form ---- */

/* X.121 addresses, RFC 1183 §3.1. */
static bool all_digits(const uint8_t *p, const uint8_t *end) {
  if (end - p < 4) return false;
  for (; p < end; p++)
    if (*p < '0' || *p > '9') return false;
  return true;
}

enum err field_digits_parse(struct text_in *in) {
  const uint8_t *length = in->out.at;
  enum err e = take_string(in, "at least four digits");
  if (e != ERR_OK || wr_failed(&in->out)) return e;
  struct rd s = last_string(in, length);
  if (all_digits(s.at, s.end)) return ERR_OK;
  in->at--;
  return rr_in_invalid(in, "at least four digits");
}

bool field_digits_scan(struct rd *r, const uint8_t *rdata) {
  return field_string_scan(r, rdata);
}

bool field_digits_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  return all_digits(at + 1, at + n);
}

void field_digits_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  field_string_print(at, n, rdata, out);
}

/* A decimal number with an optional sign and fraction, RFC 1712 §3. */
static bool is_decimal(const uint8_t *p, const uint8_t *end) {
  bool digits = false;
  if (p < end && (*p == '-' || *p == '+')) p++;
  for (; p < end && *p >= '0' && *p <= '9'; p++)
    digits = true;
  if (p < end && *p == '.')
    for (p++; p < end && *p >= '0' && *p <= '9'; p++)
      digits = true;
  return digits && p == end;
}

enum err field_decimal_parse(struct text_in *in) {
  const uint8_t *length = in->out.at;
  enum err e = take_string(in, "a decimal number such as -32.6882");
  if (e != ERR_OK || wr_failed(&in->out)) return e;
  struct rd s = last_string(in, length);
  if (is_decimal(s.at, s.end)) return ERR_OK;
  in->at--;
  return rr_in_invalid(in, "a decimal number such as -32.6882");
}

bool field_decimal_scan(struct rd *r, const uint8_t *rdata) {
  return field_string_scan(r, rdata);
}

bool field_decimal_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  return is_decimal(at + 1, at + n);
}

void field_decimal_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  field_string_print(at, n, rdata, out);
}

/* RFC 8659 §4.1: letters and digits. */
static bool is_tag(const uint8_t *p, const uint8_t *end) {
  if (p == end) return false;
  for (; p < end; p++) {
    uint8_t c = ascii_lower(*p);
    if ((c < '0' || c > '9') && (c < 'a' || c > 'z')) return false;
  }
  return true;
}

enum err field_tag_parse(struct text_in *in) {
  static const char hint[] = "letters and digits, such as issue, issuewild or iodef";
  const uint8_t *length = in->out.at;
  enum err e = take_string(in, hint);
  if (e != ERR_OK || wr_failed(&in->out)) return e;
  struct rd s = last_string(in, length);
  if (is_tag(s.at, s.end)) return ERR_OK;
  in->at--;
  return rr_in_invalid(in, hint);
}

bool field_tag_scan(struct rd *r, const uint8_t *rdata) {
  const uint8_t *at = r->at;
  return field_string_scan(r, rdata) && is_tag(at + 1, r->at);
}

void field_tag_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  escape_print(at + 1, n - 1, out);
}

/* ---- text without a length octet ---- */

enum err field_text_rest_parse(struct text_in *in) {
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, "a quoted string");
  if (!unescape(t, &in->out)) return rr_in_invalid(in, "a backslash is followed by a character or by 000 to 255");
  in->at++;
  return ERR_OK;
}

bool field_text_rest_scan(struct rd *r, const uint8_t *rdata) {
  return rr_scan_all(r, rdata);
}

void field_text_rest_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  print_quoted(at, n, out);
}
