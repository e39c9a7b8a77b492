/* The table of field kinds, and the kinds that are numbers, addresses and names. */
#include "wire/rr_priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- text in, shared by all kinds ---- */

bool rr_parse_number(const char *text, size_t n, uint64_t max, uint64_t *out) {
  uint64_t value = 0;
  if (n == 0) return false;
  for (size_t i = 0; i < n; i++) {
    unsigned digit = (unsigned)text[i] - '0';
    if (digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value)) return false;
  }
  if (value > max) return false;
  *out = value;
  return true;
}

/* A number of one to three digits without zeros in front; how many, 0: it is none. */
static inline unsigned octet_digits(const char *p, uint8_t *out) {
  unsigned a = (unsigned)p[0] - '0', b = (unsigned)p[1] - '0';
  if (a > 9) return 0;
  *out = (uint8_t)a;
  if (b > 9) return 1;
  a = 10 * a + b;
  *out = (uint8_t)a;
  unsigned c = (unsigned)p[2] - '0';
  if (c > 9) return a > 9 ? 2 : 0;
  a = 10 * a + c;
  *out = (uint8_t)a;
  return a > 99 && a <= 255 ? 3 : 0;
}

bool rr_ipv4_from_text(const char *text, size_t n, uint8_t out[4]) {
  const char *p = text;
  for (unsigned part = 0; part < 4; part++, p++) {
    unsigned digits = octet_digits(p, &out[part]);
    p += digits;
    if (!digits || (part < 3 && *p != '.')) return false;
  }
  return p == text + n + 1;
}

bool rr_parse_ipv4(const char *text, size_t n, uint8_t out[4]) {
  char copy[INET_ADDRSTRLEN] = {0};
  if (n >= sizeof copy) return false;
  bytes_copy((uint8_t *)copy, (const uint8_t *)text, n);
  return rr_ipv4_from_text(copy, n, out);
}

bool rr_parse_ipv6(const char *text, size_t n, uint8_t out[16]) {
  char copy[INET6_ADDRSTRLEN];
  if (n >= sizeof copy || memchr(text, 0, n)) return false;
  memcpy(copy, text, n);
  copy[n] = 0;
  return inet_pton(AF_INET6, copy, out) == 1;
}

bool rr_token_is(const struct rr_token *t, const char *word) {
  return strlen(word) == t->size && strncasecmp(t->text, word, t->size) == 0;
}

enum err rr_in_mnemonic(struct text_in *in, const struct mnemonic_value *list, unsigned max, const char *hint, unsigned *out) {
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  uint64_t number;
  bool found = rr_parse_number(t->text, t->size, max, &number);
  for (; !found && list->text; list++)
    if (rr_token_is(t, list->text)) {
      number = list->value;
      found = true;
    }
  if (!found) return rr_in_invalid(in, hint);
  in->at++;
  *out = (unsigned)number;
  return ERR_OK;
}

/* ---- numbers ---- */

static enum err take_number(struct text_in *in, uint64_t max, const char *hint, uint64_t *out) {
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  if (!rr_parse_number(t->text, t->size, max, out)) return rr_in_invalid(in, hint);
  in->at++;
  return ERR_OK;
}

static enum err u8_parse(struct text_in *in) {
  uint64_t value;
  enum err e = take_number(in, UINT8_MAX, "a number from 0 to 255", &value);
  if (e == ERR_OK) wr_u8(&in->out, (uint8_t)value);
  return e;
}

static enum err u16_parse(struct text_in *in) {
  uint64_t value;
  enum err e = take_number(in, UINT16_MAX, "a number from 0 to 65535", &value);
  if (e == ERR_OK) wr_u16(&in->out, (uint16_t)value);
  return e;
}

static enum err u32_parse(struct text_in *in) {
  uint64_t value;
  enum err e = take_number(in, UINT32_MAX, "a number from 0 to 4294967295", &value);
  if (e == ERR_OK) wr_u32(&in->out, (uint32_t)value);
  return e;
}

static enum err u64_parse(struct text_in *in) {
  uint64_t value;
  enum err e = take_number(in, UINT64_MAX, "a number from 0 to 18446744073709551615", &value);
  if (e == ERR_OK) wr_u64(&in->out, value);
  return e;
}

static bool u8_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 1);
}

static bool u16_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 2);
}

static bool u32_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 4);
}

static bool u64_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 8);
}

void rr_print_number(uint64_t value, struct buf *out) {
  char digits[20];
  size_t at = sizeof digits;
  do
    digits[--at] = (char)('0' + value % 10);
  while (value /= 10);
  buf_add(out, digits + at, sizeof digits - at);
}

static void number_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  uint64_t value = 0;
  for (size_t i = 0; i < n; i++)
    value = value << 8 | at[i];
  rr_print_number(value, out);
}

/* Seconds, or numbers with units: 1h30m, 2W. */
static bool parse_ttl(const char *text, size_t n, uint64_t *out) {
  uint64_t total = 0, part = 0;
  bool digits = false;
  for (size_t i = 0; i < n; i++) {
    char c = (char)(text[i] | 0x20);
    unsigned unit = c == 's' ? 1 : c == 'm' ? 60 : c == 'h' ? 3600 : c == 'd' ? 86400 : c == 'w' ? 604800 : 0;
    if (text[i] >= '0' && text[i] <= '9') {
      part = part * 10 + (uint64_t)(text[i] - '0');
      digits = true;
    } else if (unit && digits) {
      total += part * unit;
      part = 0;
      digits = false;
    } else {
      return false;
    }
    if (part > UINT32_MAX || total > UINT32_MAX) return false;
  }
  if (digits && total) return false; /* 1h30: which unit? */
  *out = total + part;
  return n > 0;
}

static enum err ttl_parse(struct text_in *in) {
  static const char hint[] = "seconds from 0 to 4294967295, or with units such as 1h30m";
  const struct rr_token *t = rr_in_peek(in);
  uint64_t value;
  if (!t) return rr_in_missing(in, hint);
  if (!parse_ttl(t->text, t->size, &value)) return rr_in_invalid(in, hint);
  in->at++;
  wr_u32(&in->out, (uint32_t)value);
  return ERR_OK;
}

/* ---- numbers with mnemonics ---- */

static enum err mnemonic8_parse(struct text_in *in, const struct mnemonic_value *list, const char *hint) {
  unsigned value;
  enum err e = rr_in_mnemonic(in, list, UINT8_MAX, hint, &value);
  if (e == ERR_OK) wr_u8(&in->out, (uint8_t)value);
  return e;
}

static enum err algorithm_parse(struct text_in *in) {
  static const struct mnemonic_value list[] = {
      {"DELETE", 0},
      {"RSAMD5", 1},
      {"DH", 2},
      {"DSA", 3},
      {"RSASHA1", 5},
      {"DSA-NSEC3-SHA1", 6},
      {"NSEC3DSA", 6},
      {"RSASHA1-NSEC3-SHA1", 7},
      {"NSEC3RSASHA1", 7},
      {"RSASHA256", 8},
      {"RSASHA512", 10},
      {"ECC-GOST", 12},
      {"ECCGOST", 12},
      {"ECDSAP256SHA256", 13},
      {"ECDSAP384SHA384", 14},
      {"ED25519", 15},
      {"ED448", 16},
      {"SM2SM3", 17},
      {"ECC-GOST12", 23},
      {"INDIRECT", 252},
      {"PRIVATEDNS", 253},
      {"PRIVATEOID", 254},
      {NULL, 0},
  };
  return mnemonic8_parse(in, list, "a DNSSEC algorithm: a number from 0 to 255 or a mnemonic such as ECDSAP256SHA256");
}

static enum err digest_type_parse(struct text_in *in) {
  static const struct mnemonic_value list[] = {{"SHA-1", 1}, {"SHA1", 1},    {"SHA-256", 2}, {"SHA256", 2},
                                               {"GOST", 3},  {"SHA-384", 4}, {"SHA384", 4},  {NULL, 0}};
  return mnemonic8_parse(in, list, "a digest type: a number from 0 to 255 or a mnemonic such as SHA-256");
}

static const struct mnemonic_value schemes[] = {{"NOTIFY", 1}, {NULL, 0}};

static enum err scheme_parse(struct text_in *in) {
  return mnemonic8_parse(in, schemes, "a number from 0 to 255, or NOTIFY");
}

static void scheme_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  if (at[0] == schemes[0].value) buf_add_text(out, schemes[0].text);
  else rr_print_number(at[0], out);
}

static enum err cert_type_parse(struct text_in *in) {
  static const struct mnemonic_value list[] = {{"PKIX", 1},   {"SPKI", 2},    {"PGP", 3},   {"IPKIX", 4}, {"ISPKI", 5}, {"IPGP", 6},
                                               {"ACPKIX", 7}, {"IACPKIX", 8}, {"URI", 253}, {"OID", 254}, {NULL, 0}};
  unsigned value;
  enum err e =
      rr_in_mnemonic(in, list, UINT16_MAX, "a certificate type: a number from 0 to 65535 or a mnemonic such as PKIX", &value);
  if (e == ERR_OK) wr_u16(&in->out, (uint16_t)value);
  return e;
}

static enum err gateway_type_parse(struct text_in *in) {
  uint64_t value;
  enum err e = take_number(in, 3, "0 none, 1 IPv4, 2 IPv6, 3 a name", &value);
  if (e == ERR_OK) wr_u8(&in->out, (uint8_t)value);
  return e;
}

static bool gateway_type_scan(struct rd *r, const uint8_t *rdata) {
  uint8_t value;
  return rd_u8(r, &value) && value <= 3;
}

/* ---- types ---- */

static enum err type_parse(struct text_in *in) {
  static const char hint[] = "an RR type such as MX or TYPE65280";
  const struct rr_token *t = rr_in_peek(in);
  uint16_t type;
  if (!t) return rr_in_missing(in, hint);
  if (rr_type_from_text(t->text, t->size, &type) != ERR_OK) return rr_in_invalid(in, hint);
  in->at++;
  wr_u16(&in->out, type);
  return ERR_OK;
}

static void type_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  char text[RR_TYPE_TEXT_BYTES];
  buf_add_text(out, rr_type_text(get_u16(at), text));
}

/* ---- addresses ---- */

static enum err ipv4_parse(struct text_in *in) {
  static const char hint[] = "an IPv4 address such as 192.0.2.1";
  const struct rr_token *t = rr_in_peek(in);
  uint8_t address[4];
  if (!t) return rr_in_missing(in, hint);
  if (!rr_parse_ipv4(t->text, t->size, address)) return rr_in_invalid(in, hint);
  in->at++;
  wr_bytes(&in->out, address, sizeof address);
  return ERR_OK;
}

static enum err ipv6_parse(struct text_in *in) {
  static const char hint[] = "an IPv6 address such as 2001:db8::1";
  const struct rr_token *t = rr_in_peek(in);
  uint8_t address[16];
  if (!t) return rr_in_missing(in, hint);
  if (!rr_parse_ipv6(t->text, t->size, address)) return rr_in_invalid(in, hint);
  in->at++;
  wr_bytes(&in->out, address, sizeof address);
  return ERR_OK;
}

static bool ipv6_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 16);
}

void rr_print_ipv4(const uint8_t *bytes, struct buf *out) {
  for (unsigned i = 0; i < 4; i++) {
    if (i) buf_add_byte(out, '.');
    rr_print_number(bytes[i], out);
  }
}

void rr_print_ipv6(const uint8_t *bytes, struct buf *out) {
  char text[INET6_ADDRSTRLEN];
  if (inet_ntop(AF_INET6, bytes, text, sizeof text)) buf_add_text(out, text);
}

static void ipv4_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  rr_print_ipv4(at, out);
}

static void ipv6_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  rr_print_ipv6(at, out);
}

/* ---- names ---- */

enum err rr_in_name(struct text_in *in) {
  static const char hint[] = "a domain name";
  const struct rr_token *t = rr_in_peek(in);
  struct name name;
  const char *why = NULL;
  if (!t) return rr_in_missing(in, hint);
  enum err e = name_from_text(t->text, t->size, in->origin, &name, NULL, &why);
  if (e != ERR_OK) return rr_in_invalid(in, why);
  in->at++;
  wr_bytes(&in->out, name.octets, name.size);
  return ERR_OK;
}

bool rr_scan_name(struct rd *r, const uint8_t *rdata) {
  const uint8_t *p = r->at;
  for (;;) {
    if (p >= r->end || *p > LIMIT_LABEL_BYTES) return false;
    unsigned n = *p;
    if (n >= (size_t)(r->end - p) || p - r->at + n >= LIMIT_NAME_BYTES) return false;
    p += n + 1;
    if (n == 0) break;
  }
  r->at = p;
  return true;
}

void rr_print_name(const uint8_t *wire, struct buf *out) {
  struct name name;
  char text[NAME_TEXT_BYTES];
  name_from_wire(wire, &name);
  buf_add_text(out, name_text(&name, text));
}

static void name_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  rr_print_name(at, out);
}

static enum err names_parse(struct text_in *in) {
  while (rr_in_peek(in)) {
    enum err e = rr_in_name(in);
    if (e != ERR_OK) return e;
  }
  return ERR_OK;
}

static bool names_scan(struct rd *r, const uint8_t *rdata) {
  while (rd_left(r))
    if (!rr_scan_name(r, rdata)) return false;
  return true;
}

static void names_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  for (size_t i = 0; i < n; i += name_wire_size(at + i)) {
    if (i) buf_add_byte(out, ' ');
    rr_print_name(at + i, out);
  }
}

/* ---- opaque ---- */

static enum err opaque_parse(struct text_in *in) {
  static const char hint[] = "this type has no text form but \\# length hex";
  return rr_in_peek(in) ? rr_in_invalid(in, hint) : rr_in_missing(in, hint);
}

bool rr_scan_all(struct rd *r, const uint8_t *rdata) {
  r->at = r->end;
  return true;
}

static bool opaque_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  return false;
}

/* ---- the table ---- */

#define CODEC(kind) .parse = field_##kind##_parse, .scan = field_##kind##_scan, .print = field_##kind##_print
#define CODEC_SOMETIMES(kind) CODEC(kind), .has_text = field_##kind##_has_text
#define NUMBER(kind, width) \
  { .parse = kind##_parse, .scan = width##_scan, .print = number_print, .is_number = true }

const struct field_codec field_codecs[FIELD_KIND_COUNT] = {
    [FIELD_U8] = NUMBER(u8, u8),
    [FIELD_U16] = NUMBER(u16, u16),
    [FIELD_U32] = NUMBER(u32, u32),
    [FIELD_U64] = NUMBER(u64, u64),
    [FIELD_TTL] = NUMBER(ttl, u32),
    [FIELD_ALGORITHM] = NUMBER(algorithm, u8),
    [FIELD_DIGEST_TYPE] = NUMBER(digest_type, u8),
    [FIELD_CERT_TYPE] = NUMBER(cert_type, u16),
    [FIELD_GATEWAY_TYPE] = NUMBER(gateway_type, gateway_type),
    [FIELD_SCHEME] = {.parse = scheme_parse, .scan = u8_scan, .print = scheme_print},
    [FIELD_TYPE] = {.parse = type_parse, .scan = u16_scan, .print = type_print},
    [FIELD_IPV4] = {.parse = ipv4_parse, .scan = u32_scan, .print = ipv4_print},
    [FIELD_IPV6] = {.parse = ipv6_parse, .scan = ipv6_scan, .print = ipv6_print},
    [FIELD_NAME] = {.parse = rr_in_name, .scan = rr_scan_name, .print = name_print},
    [FIELD_NAMES] = {.parse = names_parse, .scan = names_scan, .print = names_print},
    [FIELD_STRING] = {CODEC(string)},
    [FIELD_STRING_OR_NONE] = {CODEC(string_or_none)},
    [FIELD_STRINGS] = {CODEC(strings)},
    [FIELD_DIGITS] = {CODEC_SOMETIMES(digits)},
    [FIELD_DECIMAL] = {CODEC_SOMETIMES(decimal)},
    [FIELD_TEXT_REST] = {CODEC(text_rest), .prints_empty = true},
    [FIELD_TAG] = {CODEC(tag)},
    [FIELD_TIME] = {CODEC(time)},
    [FIELD_BASE64] = {CODEC(base64)},
    [FIELD_BASE64_OR_NONE] = {CODEC(base64_or_none)},
    [FIELD_BASE64_OR_DASH] = {CODEC(base64_or_dash), .prints_empty = true},
    [FIELD_HEX] = {CODEC(hex)},
    [FIELD_HEX_OR_NONE] = {CODEC(hex_or_none)},
    [FIELD_DIGEST] = {CODEC_SOMETIMES(digest)},
    [FIELD_FINGERPRINT] = {CODEC_SOMETIMES(fingerprint)},
    [FIELD_ZONE_DIGEST] = {CODEC(zone_digest)},
    [FIELD_SALT] = {CODEC(salt)},
    [FIELD_HASH32] = {CODEC(hash32)},
    [FIELD_TYPES] = {CODEC(types)},
    [FIELD_TYPES_SOME] = {CODEC_SOMETIMES(types_some)},
    [FIELD_TYPES_OLD] = {CODEC(types_old)},
    [FIELD_SVCPARAMS] = {CODEC(svcparams)},
    [FIELD_LOC] = {CODEC_SOMETIMES(loc)},
    [FIELD_EUI48] = {CODEC(eui48)},
    [FIELD_EUI64] = {CODEC(eui64)},
    [FIELD_NODE64] = {CODEC(node64)},
    [FIELD_NSAP] = {CODEC(nsap)},
    [FIELD_ATM] = {CODEC_SOMETIMES(atm)},
    [FIELD_SERVICES] = {CODEC_SOMETIMES(services)},
    [FIELD_A6] = {CODEC(a6)},
    [FIELD_APL] = {CODEC_SOMETIMES(apl)},
    [FIELD_RELAY_TYPE] = {CODEC(relay_type)},
    [FIELD_GATEWAY] = {CODEC(gateway), .prints_empty = true},
    [FIELD_HIP] = {CODEC(hip)},
    [FIELD_OPAQUE] = {.parse = opaque_parse, .scan = rr_scan_all, .has_text = opaque_has_text},
};
