/* Field kinds that hold octets: base64, hex, digests, salts, hashes; and signature times (RFC 4034 §3.2). */
#include "wire/encoding.h"
#include "wire/rr_priv.h"

#include <stdio.h>

/* What was written since `at` may be nothing when the token was "". */
static enum err not_empty(struct text_in *in, const uint8_t *at, const char *hint) {
  if (in->out.at > at || wr_failed(&in->out)) return ERR_OK;
  in->at--;
  return rr_in_invalid(in, hint);
}

/* ---- base64 ---- */

/* Takes all tokens left. */
static enum err take_base64(struct text_in *in) {
  static const char hint[] = "base64 with its padding, as in RFC 4648 section 4";
  struct base64_decoder d = {0};
  size_t first = in->at;
  for (const struct rr_token *t; (t = rr_in_peek(in)); in->at++)
    if (!base64_feed(&d, t->text, t->size, &in->out)) return rr_in_invalid(in, hint);
  if (base64_complete(&d)) return ERR_OK;
  in->at = in->count > first ? in->count - 1 : first;
  return rr_in_invalid(in, hint);
}

enum err field_base64_parse(struct text_in *in) {
  if (!rr_in_peek(in)) return rr_in_missing(in, "base64");
  const uint8_t *at = in->out.at;
  enum err e = take_base64(in);
  return e == ERR_OK ? not_empty(in, at, "base64") : e;
}

bool field_base64_scan(struct rd *r, const uint8_t *rdata) {
  return rd_left(r) > 0 && rr_scan_all(r, rdata);
}

void field_base64_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  base64_print(at, n, out);
}

enum err field_base64_or_none_parse(struct text_in *in) {
  return take_base64(in);
}

bool field_base64_or_none_scan(struct rd *r, const uint8_t *rdata) {
  return rr_scan_all(r, rdata);
}

void field_base64_or_none_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  base64_print(at, n, out);
}

enum err field_base64_or_dash_parse(struct text_in *in) {
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, "base64, or - for nothing");
  if (!rr_token_is(t, "-")) return take_base64(in);
  in->at++;
  return ERR_OK;
}

bool field_base64_or_dash_scan(struct rd *r, const uint8_t *rdata) {
  return rr_scan_all(r, rdata);
}

void field_base64_or_dash_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  if (n) base64_print(at, n, out);
  else buf_add_byte(out, '-');
}

/* ---- hex ---- */

static enum err take_hex(struct text_in *in) {
  static const char hint[] = "hex digits, an even number of them";
  struct hex_decoder d = {0};
  for (const struct rr_token *t; (t = rr_in_peek(in)); in->at++)
    if (!hex_feed(&d, t->text, t->size, &in->out)) return rr_in_invalid(in, hint);
  if (hex_complete(&d)) return ERR_OK;
  in->at--; /* an odd digit came from some token */
  return rr_in_invalid(in, hint);
}

enum err field_hex_parse(struct text_in *in) {
  if (!rr_in_peek(in)) return rr_in_missing(in, "hex digits");
  const uint8_t *at = in->out.at;
  enum err e = take_hex(in);
  return e == ERR_OK ? not_empty(in, at, "hex digits") : e;
}

bool field_hex_scan(struct rd *r, const uint8_t *rdata) {
  return rd_left(r) > 0 && rr_scan_all(r, rdata);
}

void field_hex_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  hex_print(at, n, out);
}

enum err field_hex_or_none_parse(struct text_in *in) {
  return take_hex(in);
}

bool field_hex_or_none_scan(struct rd *r, const uint8_t *rdata) {
  return rr_scan_all(r, rdata);
}

void field_hex_or_none_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  hex_print(at, n, out);
}

/* ---- digests ---- */

/* Octets of a digest by the type that stands before it; 0: not known. */
static size_t ds_digest_size(uint8_t type) { /* RFC 4034 §5.1.3, RFC 4509, RFC 5933, RFC 6605 */
  static const uint8_t sizes[] = {0, 20, 32, 32, 48};
  return type < sizeof sizes ? sizes[type] : 0;
}

static size_t fingerprint_size(uint8_t type) { /* RFC 4255 §3.1.2, RFC 6594 §4 */
  static const uint8_t sizes[] = {0, 20, 32};
  return type < sizeof sizes ? sizes[type] : 0;
}

static enum err take_digest(struct text_in *in, size_t (*size_of)(uint8_t type)) {
  const uint8_t *at = in->out.at;
  enum err e = field_hex_parse(in);
  if (e != ERR_OK || wr_failed(&in->out)) return e;
  size_t n = (size_t)(in->out.at - at), want = size_of(at[-1]);
  if (want == 0 || n == want) return ERR_OK;
  in->at--;
  return rr_in_fail(in, "was it cut off, or is its type wrong?", "%zu octet%s where type %u has %zu", n, plural(n), at[-1], want);
}

enum err field_digest_parse(struct text_in *in) {
  return take_digest(in, ds_digest_size);
}

bool field_digest_scan(struct rd *r, const uint8_t *rdata) {
  return field_hex_scan(r, rdata);
}

bool field_digest_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  size_t want = ds_digest_size(at[-1]);
  return want == 0 || n == want;
}

void field_digest_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  hex_print(at, n, out);
}

enum err field_fingerprint_parse(struct text_in *in) {
  return take_digest(in, fingerprint_size);
}

bool field_fingerprint_scan(struct rd *r, const uint8_t *rdata) {
  return field_hex_scan(r, rdata);
}

bool field_fingerprint_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  size_t want = fingerprint_size(at[-1]);
  return want == 0 || n == want;
}

void field_fingerprint_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  hex_print(at, n, out);
}

enum { ZONE_DIGEST_BYTES_MIN = 12 };

enum err field_zone_digest_parse(struct text_in *in) {
  const uint8_t *at = in->out.at;
  enum err e = field_hex_parse(in);
  if (e != ERR_OK || wr_failed(&in->out)) return e;
  size_t n = (size_t)(in->out.at - at);
  if (n >= ZONE_DIGEST_BYTES_MIN) return ERR_OK;
  in->at--;
  return rr_in_fail(in, "a digest has at least 12 octets", "only %zu octet%s", n, plural(n));
}

bool field_zone_digest_scan(struct rd *r, const uint8_t *rdata) {
  return rd_left(r) >= ZONE_DIGEST_BYTES_MIN && rr_scan_all(r, rdata);
}

void field_zone_digest_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  hex_print(at, n, out);
}

/* ---- NSEC3 ---- */

enum err field_salt_parse(struct text_in *in) {
  static const char hint[] = "hex digits without blanks, or - for no salt";
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  uint8_t *length = in->out.at;
  wr_u8(&in->out, 0);
  struct hex_decoder d = {0};
  bool dash = rr_token_is(t, "-");
  if (!dash && (t->size == 0 || t->size > 510 || !hex_feed(&d, t->text, t->size, &in->out) || !hex_complete(&d)))
    return rr_in_invalid(in, hint);
  if (!wr_failed(&in->out)) *length = (uint8_t)(in->out.at - length - 1);
  in->at++;
  return ERR_OK;
}

bool field_salt_scan(struct rd *r, const uint8_t *rdata) {
  return field_string_scan(r, rdata);
}

void field_salt_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  if (n > 1) hex_print(at + 1, n - 1, out);
  else buf_add_byte(out, '-');
}

enum err field_hash32_parse(struct text_in *in) {
  static const char hint[] = "base32 with the extended hex alphabet, without padding";
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  uint8_t *length = in->out.at;
  wr_u8(&in->out, 0);
  if (t->size == 0 || t->size > 408 || !base32hex_decode(t->text, t->size, &in->out)) return rr_in_invalid(in, hint);
  if (!wr_failed(&in->out)) *length = (uint8_t)(in->out.at - length - 1);
  in->at++;
  return ERR_OK;
}

bool field_hash32_scan(struct rd *r, const uint8_t *rdata) {
  return rd_left(r) && r->at[0] > 0 && field_string_scan(r, rdata);
}

void field_hash32_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  base32hex_print(at + 1, n - 1, out);
}

/* ---- times ---- */

/* Days from 1970-01-01 to a date of the Gregorian calendar, months counted from March so that leap days come last. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day) {
  if (month <= 2) {
    year--;
    month += 12;
  }
  return 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1 - 719468;
}

static void date_from_days(int64_t days, unsigned *year, unsigned *month, unsigned *day) {
  unsigned y = 1970 + (unsigned)(days / 366);
  while (days_from_date(y + 1, 1, 1) <= days)
    y++;
  unsigned m = 1;
  while (m < 12 && days_from_date(y, m + 1, 1) <= days)
    m++;
  *year = y;
  *month = m;
  *day = (unsigned)(days - days_from_date(y, m, 1)) + 1;
}

static unsigned days_of_month(unsigned year, unsigned month) {
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 ? 28u + leap : 30 + ((month + month / 8) & 1);
}

static bool parse_date(const char *text, uint32_t *out) {
  unsigned part[7]; /* century year month day hour minute second */
  for (unsigned i = 0; i < 7; i++) {
    unsigned tens = (unsigned)text[2 * i] - '0', ones = (unsigned)text[2 * i + 1] - '0';
    if (tens > 9 || ones > 9) return false;
    part[i] = 10 * tens + ones;
  }
  unsigned year = 100 * part[0] + part[1], month = part[2], day = part[3];
  if (year < 1970 || month < 1 || month > 12 || day < 1 || part[4] > 23 || part[5] > 59 || part[6] > 60) return false;
  if (day > days_of_month(year, month)) return false;
  uint64_t days = (uint64_t)days_from_date(year, month, day);
  *out = (uint32_t)(days * 86400 + part[4] * 3600 + part[5] * 60 + part[6]); /* modulo 2^32, RFC 4034 §3.1.5 */
  return true;
}

enum err field_time_parse(struct text_in *in) {
  static const char hint[] = "YYYYMMDDHHmmSS, or seconds since 1970";
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  uint64_t seconds;
  uint32_t value;
  if (t->size == 14 && parse_date(t->text, &value)) seconds = value;
  else if (t->size > 10 || !rr_parse_number(t->text, t->size, UINT32_MAX, &seconds)) return rr_in_invalid(in, hint);
  wr_u32(&in->out, (uint32_t)seconds);
  in->at++;
  return ERR_OK;
}

bool field_time_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 4);
}

void field_time_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  uint32_t value = get_u32(at), second = value % 86400;
  unsigned year, month, day;
  date_from_days(value / 86400, &year, &month, &day);
  buf_printf(out, "%04u%02u%02u%02u%02u%02u", year, month, day, second / 3600, second / 60 % 60, second % 60);
}
