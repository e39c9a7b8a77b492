/* LOC (RFC 1876): sixteen octets for a place on Earth.
 *
 *   text   51 30 12.748 N 0 7 39.611 W 10m 20m 2000m 20m     degrees [minutes [seconds]], altitude [size [precisions]]
 *   wire   [version 0][size][horizontal precision][vertical precision][latitude u32][longitude u32][altitude u32]
 *
 * Sizes are mantissa and power of ten in centimetres; angles are thousandths of a second from 2^31; altitude is centimetres
 * above 100,000 m below the WGS 84 spheroid. */
#include "wire/rr_priv.h"

enum { LOC_BYTES = 16, ALTITUDE_BASE_CM = 10000000 };
static const uint32_t equator = 1u << 31;

/* Digits with up to `decimals` more behind a dot, as an integer of the smallest unit. Returns the characters taken, or 0. */
static size_t parse_fixed(const char *text, size_t n, unsigned decimals, uint64_t max, uint64_t *out) {
  size_t i = 0;
  uint64_t value = 0;
  bool digits = false;
  for (; i < n && text[i] >= '0' && text[i] <= '9' && value <= max; i++) {
    value = value * 10 + (uint64_t)(text[i] - '0');
    digits = true;
  }
  bool dot = i < n && text[i] == '.';
  i += dot;
  for (unsigned k = 0; k < decimals; k++) {
    value *= 10;
    if (dot && i < n && text[i] >= '0' && text[i] <= '9') {
      value += (uint64_t)(text[i++] - '0');
      digits = true;
    }
  }
  if (!digits || value > max) return 0;
  *out = value;
  return i;
}

static bool whole_fixed(const struct rr_token *t, unsigned decimals, uint64_t max, uint64_t *out) {
  return t->size > 0 && parse_fixed(t->text, t->size, decimals, max, out) == t->size;
}

/* degrees [minutes [seconds]] and one of two letters. */
static enum err take_angle(struct text_in *in, unsigned max_degrees, const char *letters, const char *hint, uint32_t *out) {
  static const unsigned limits[] = {0, 59, 59999}, units[] = {3600000, 60000, 1};
  uint64_t total = 0, part;
  for (unsigned i = 0; i < 4; i++, in->at++) {
    const struct rr_token *t = rr_in_peek(in);
    if (!t) return rr_in_missing(in, hint);
    bool letter =
        t->size == 1 && i > 0 && (ascii_lower((uint8_t)t->text[0]) == letters[0] || ascii_lower((uint8_t)t->text[0]) == letters[1]);
    if (letter) {
      if (total > max_degrees * 3600000ull) break;
      bool positive = ascii_lower((uint8_t)t->text[0]) == letters[0];
      *out = positive ? equator + (uint32_t)total : equator - (uint32_t)total;
      in->at++;
      return ERR_OK;
    }
    if (i == 3 || !whole_fixed(t, i == 2 ? 3 : 0, i ? limits[i] : max_degrees, &part)) break;
    total += part * units[i];
  }
  return rr_in_invalid(in, hint);
}

static enum err take_altitude(struct text_in *in, uint32_t *out) {
  static const char hint[] = "an altitude in metres from -100000.00 to 42849672.95";
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  bool below = t->size > 0 && t->text[0] == '-';
  struct rr_token number = *t;
  number.text += below;
  number.size -= below;
  if (number.size > 1 && (number.text[number.size - 1] | 0x20) == 'm') number.size--;
  uint64_t cm;
  if (!whole_fixed(&number, 2, below ? ALTITUDE_BASE_CM : UINT32_MAX - ALTITUDE_BASE_CM, &cm)) return rr_in_invalid(in, hint);
  in->at++;
  *out = below ? ALTITUDE_BASE_CM - (uint32_t)cm : ALTITUDE_BASE_CM + (uint32_t)cm;
  return ERR_OK;
}

/* Mantissa and exponent in one octet; digits beyond the first are cut off, as the form wants. */
static enum err take_size(struct text_in *in, uint8_t *out) {
  static const char hint[] = "metres from 0 to 90000000.00";
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return ERR_OK; /* the default stays */
  struct rr_token number = *t;
  if (number.size > 1 && (number.text[number.size - 1] | 0x20) == 'm') number.size--;
  uint64_t cm;
  if (!whole_fixed(&number, 2, 9000000000u, &cm)) return rr_in_invalid(in, hint);
  unsigned exponent = 0;
  for (; cm > 9; cm /= 10)
    exponent++;
  in->at++;
  *out = (uint8_t)(cm << 4 | exponent);
  return ERR_OK;
}

enum err field_loc_parse(struct text_in *in) {
  uint8_t sizes[4] = {0, 0x12, 0x16, 0x13}; /* version; defaults 1 m, 10,000 m, 10 m */
  uint32_t latitude = 0, longitude = 0, altitude = 0;
  enum err e = take_angle(in, 90, "ns", "a latitude such as 51 30 12.748 N", &latitude);
  if (e == ERR_OK) e = take_angle(in, 180, "ew", "a longitude such as 0 7 39.611 W", &longitude);
  if (e == ERR_OK) e = take_altitude(in, &altitude);
  for (unsigned i = 1; e == ERR_OK && i < 4; i++)
    e = take_size(in, &sizes[i]);
  if (e != ERR_OK) return e;
  wr_bytes(&in->out, sizes, sizeof sizes);
  wr_u32(&in->out, latitude);
  wr_u32(&in->out, longitude);
  wr_u32(&in->out, altitude);
  return ERR_OK;
}

bool field_loc_scan(struct rd *r, const uint8_t *rdata) {
  if (rd_left(r) && r->at[0] != 0) return rr_scan_all(r, rdata); /* of another version nothing is known (RFC 1876 §2) */
  return rd_skip(r, LOC_BYTES);
}

static bool size_has_text(uint8_t size) {
  unsigned mantissa = size >> 4, exponent = size & 15;
  return mantissa <= 9 && exponent <= 9 && (mantissa > 0 || exponent == 0);
}

static bool angle_has_text(uint32_t angle, uint32_t max_degrees) {
  uint32_t distance = angle > equator ? angle - equator : equator - angle;
  return distance <= max_degrees * 3600000u;
}

bool field_loc_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  return n == LOC_BYTES && at[0] == 0 && size_has_text(at[1]) && size_has_text(at[2]) && size_has_text(at[3]) &&
         angle_has_text(get_u32(at + 4), 90) && angle_has_text(get_u32(at + 8), 180);
}

static void print_angle(uint32_t angle, const char *letters, struct buf *out) {
  uint32_t d = angle >= equator ? angle - equator : equator - angle;
  buf_printf(out, "%u %u %u.%03u %c ", d / 3600000, d / 60000 % 60, d / 1000 % 60, d % 1000, letters[angle < equator]);
}

static void print_size(uint8_t size, struct buf *out) {
  uint64_t cm = size >> 4;
  for (unsigned i = 0; i < (size & 15u); i++)
    cm *= 10;
  if (cm % 100) buf_printf(out, " %u.%02um", (unsigned)(cm / 100), (unsigned)(cm % 100));
  else buf_printf(out, " %um", (unsigned)(cm / 100));
}

void field_loc_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  int64_t altitude = (int64_t)get_u32(at + 12) - ALTITUDE_BASE_CM;
  uint64_t cm = (uint64_t)(altitude < 0 ? -altitude : altitude);
  print_angle(get_u32(at + 4), "NS", out);
  print_angle(get_u32(at + 8), "EW", out);
  buf_printf(out, "%s%u.%02um", altitude < 0 ? "-" : "", (unsigned)(cm / 100), (unsigned)(cm % 100));
  for (unsigned i = 1; i < 4; i++)
    print_size(at[i], out);
}
