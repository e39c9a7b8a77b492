/* Field kinds of single types: hardware and node addresses, NSAP, ATMA, WKS, A6, APL, gateways, HIP. */
#include "wire/encoding.h"
#include "wire/rr_priv.h"

#include <string.h>

/* ---- groups of hex digits: EUI48, EUI64 (RFC 7043), NID and L64 (RFC 6742) ---- */

/* `groups` groups of `digits` hex digits with a separator between them. */
static enum err take_groups(struct text_in *in, unsigned groups, unsigned digits, char separator, const char *hint) {
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  if (t->size != groups * (digits + 1) - 1) return rr_in_invalid(in, hint);
  struct hex_decoder d = {0};
  for (unsigned i = 0; i < groups; i++) {
    const char *group = t->text + (size_t)i * (digits + 1);
    if ((i > 0 && group[-1] != separator) || !hex_feed(&d, group, digits, &in->out)) return rr_in_invalid(in, hint);
  }
  in->at++;
  return ERR_OK;
}

static void print_groups(const uint8_t *at, size_t n, unsigned octets, uint8_t separator, struct buf *out) {
  for (size_t i = 0; i < n; i += octets) {
    if (i) buf_add_byte(out, separator);
    for (unsigned k = 0; k < octets; k++)
      buf_printf(out, "%02x", at[i + k]);
  }
}

enum err field_eui48_parse(struct text_in *in) {
  return take_groups(in, 6, 2, '-', "six pairs of hex digits such as 00-00-5e-00-53-2a");
}

bool field_eui48_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 6);
}

void field_eui48_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  print_groups(at, n, 1, '-', out);
}

enum err field_eui64_parse(struct text_in *in) {
  return take_groups(in, 8, 2, '-', "eight pairs of hex digits such as 00-00-5e-ef-10-00-00-2a");
}

bool field_eui64_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 8);
}

void field_eui64_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  print_groups(at, n, 1, '-', out);
}

/* Groups may be written without their leading zeros. */
enum err field_node64_parse(struct text_in *in) {
  static const char hint[] = "four groups of hex digits such as 2001:0db8:1140:1000";
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  const char *p = t->text, *end = p + t->size;
  for (unsigned group = 0; group < 4; group++) {
    struct hex_decoder d = {0};
    const char *colon = memchr(p, ':', (size_t)(end - p));
    const char *stop = group < 3 ? colon : end;
    if (!stop || stop == p || stop - p > 4) return rr_in_invalid(in, hint);
    static const char zeros[] = "000";
    (void)hex_feed(&d, zeros, (size_t)(4 - (stop - p)), &in->out);
    if (!hex_feed(&d, p, (size_t)(stop - p), &in->out)) return rr_in_invalid(in, hint);
    p = stop + 1;
  }
  in->at++;
  return ERR_OK;
}

bool field_node64_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 8);
}

void field_node64_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  print_groups(at, n, 2, ':', out);
}

/* ---- NSAP (RFC 1706 §5), ATMA ---- */

/* Hex in which dots may stand for legibility. */
static bool dotted_hex(const char *text, size_t n, struct wr *out) {
  struct hex_decoder d = {0};
  for (size_t i = 0; i < n; i++)
    if (text[i] != '.' && !hex_feed(&d, text + i, 1, out)) return false;
  return hex_complete(&d);
}

enum err field_nsap_parse(struct text_in *in) {
  static const char hint[] = "0x and hex digits, dots allowed: 0x47.0005.80";
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  bool prefix = t->size > 2 && t->text[0] == '0' && (t->text[1] | 0x20) == 'x';
  const uint8_t *start = in->out.at;
  if (!prefix || !dotted_hex(t->text + 2, t->size - 2, &in->out)) return rr_in_invalid(in, hint);
  if (in->out.at == start && !wr_failed(&in->out)) return rr_in_invalid(in, hint);
  in->at++;
  return ERR_OK;
}

bool field_nsap_scan(struct rd *r, const uint8_t *rdata) {
  return rd_left(r) > 0 && rr_scan_all(r, rdata);
}

void field_nsap_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  buf_add_text(out, "0x");
  hex_print(at, n, out);
}

enum { ATM_END_SYSTEM = 0, ATM_E164 = 1 };

enum err field_atm_parse(struct text_in *in) {
  static const char hint[] = "hex digits, or + and the digits of an E.164 number; dots allowed";
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, hint);
  bool number = t->size > 0 && t->text[0] == '+';
  wr_u8(&in->out, number ? ATM_E164 : ATM_END_SYSTEM);
  const uint8_t *start = in->out.at;
  if (!number && !dotted_hex(t->text, t->size, &in->out)) return rr_in_invalid(in, hint);
  for (size_t i = 1; number && i < t->size; i++) {
    if (t->text[i] == '.') continue;
    if (t->text[i] < '0' || t->text[i] > '9') return rr_in_invalid(in, hint);
    wr_u8(&in->out, (uint8_t)t->text[i]);
  }
  if (in->out.at == start && !wr_failed(&in->out)) return rr_in_invalid(in, hint);
  in->at++;
  return ERR_OK;
}

bool field_atm_scan(struct rd *r, const uint8_t *rdata) {
  return rd_left(r) > 1 && rr_scan_all(r, rdata);
}

bool field_atm_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  for (size_t i = 1; at[0] == ATM_E164 && i < n; i++)
    if (at[i] < '0' || at[i] > '9') return false;
  return at[0] <= ATM_E164;
}

void field_atm_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  if (at[0] == ATM_E164) {
    buf_add_byte(out, '+');
    buf_add(out, at + 1, n - 1);
  } else {
    hex_print(at + 1, n - 1, out);
  }
}

/* ---- WKS (RFC 1035 §3.4.2) ---- */

static const struct mnemonic_value protocols[] = {{"ICMP", 1}, {"IGMP", 2}, {"TCP", 6}, {"UDP", 17}, {NULL, 0}};
static const struct mnemonic_value services[] = {
    {"ECHO", 7},    {"DISCARD", 9},  {"SYSTAT", 11},   {"DAYTIME", 13},   {"QOTD", 17},        {"CHARGEN", 19}, {"FTP-DATA", 20},
    {"FTP", 21},    {"SSH", 22},     {"TELNET", 23},   {"SMTP", 25},      {"TIME", 37},        {"RLP", 39},     {"NAMESERVER", 42},
    {"WHOIS", 43},  {"NICNAME", 43}, {"DOMAIN", 53},   {"BOOTPS", 67},    {"BOOTPC", 68},      {"TFTP", 69},    {"GOPHER", 70},
    {"FINGER", 79}, {"HTTP", 80},    {"KERBEROS", 88}, {"HOSTNAME", 101}, {"POP2", 109},       {"POP3", 110},   {"SUNRPC", 111},
    {"AUTH", 113},  {"SFTP", 115},   {"NNTP", 119},    {"NTP", 123},      {"NETBIOS-NS", 137}, {"IMAP", 143},   {"IMAP2", 143},
    {"SNMP", 161},  {"IRC", 194},    {"LDAP", 389},    {"HTTPS", 443},    {"PRINTER", 515},    {NULL, 0},
};

enum err field_services_parse(struct text_in *in) {
  unsigned protocol, port;
  size_t size = 0;
  uint8_t bits[65536 / 8] = {0};
  enum err e = rr_in_mnemonic(in, protocols, UINT8_MAX, "a protocol: TCP, UDP or a number from 0 to 255", &protocol);
  while (e == ERR_OK && rr_in_peek(in)) {
    e = rr_in_mnemonic(in, services, UINT16_MAX, "ports: numbers from 0 to 65535, or names such as SMTP", &port);
    if (e != ERR_OK) break;
    bits[port / 8] |= (uint8_t)(0x80 >> port % 8);
    if (size <= port / 8) size = port / 8 + 1;
  }
  if (e != ERR_OK) return e;
  wr_u8(&in->out, (uint8_t)protocol);
  wr_bytes(&in->out, bits, size);
  return ERR_OK;
}

bool field_services_scan(struct rd *r, const uint8_t *rdata) {
  return rd_skip(r, 1) && rd_left(r) <= 65536 / 8 && rr_scan_all(r, rdata);
}

bool field_services_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  return n == 1 || at[n - 1] != 0;
}

void field_services_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  rr_print_number(at[0], out);
  for (size_t port = 0; port < (n - 1) * 8; port++)
    if (at[1 + port / 8] & 0x80 >> port % 8) {
      buf_add_byte(out, ' ');
      rr_print_number(port, out);
    }
}

/* ---- A6 (RFC 2874 §3.1) ---- */

static size_t suffix_octets(unsigned prefix_bits) {
  return (128 - prefix_bits + 7) / 8;
}

/* Are the bits of the suffix's first octet that belong to the prefix zero? */
static bool suffix_fits(const uint8_t *suffix, unsigned prefix_bits) {
  return prefix_bits % 8 == 0 || suffix[0] >> (8 - prefix_bits % 8) == 0;
}

enum err field_a6_parse(struct text_in *in) {
  const struct rr_token *t = rr_in_peek(in);
  uint64_t prefix_bits;
  if (!t) return rr_in_missing(in, "prefix length, address suffix, prefix name");
  if (!rr_parse_number(t->text, t->size, 128, &prefix_bits)) return rr_in_invalid(in, "a prefix length from 0 to 128");
  in->at++;
  wr_u8(&in->out, (uint8_t)prefix_bits);
  if (prefix_bits < 128) {
    uint8_t address[16];
    size_t n = suffix_octets((unsigned)prefix_bits);
    if (!(t = rr_in_peek(in))) return rr_in_missing(in, "an IPv6 address with the bits of the prefix zero");
    if (!rr_parse_ipv6(t->text, t->size, address)) return rr_in_invalid(in, "an IPv6 address");
    if (prefix_bits % 8) address[16 - n] &= (uint8_t)(0xff >> prefix_bits % 8);
    in->at++;
    wr_bytes(&in->out, address + 16 - n, n);
  }
  return prefix_bits ? rr_in_name(in) : ERR_OK;
}

bool field_a6_scan(struct rd *r, const uint8_t *rdata) {
  uint8_t prefix_bits;
  const uint8_t *suffix;
  if (!rd_u8(r, &prefix_bits) || prefix_bits > 128 || !rd_bytes(r, suffix_octets(prefix_bits), &suffix)) return false;
  return (prefix_bits == 128 || suffix_fits(suffix, prefix_bits)) && (prefix_bits == 0 || rr_scan_name(r, rdata));
}

void field_a6_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  size_t octets = suffix_octets(at[0]);
  uint8_t address[16] = {0};
  memcpy(address + 16 - octets, at + 1, octets);
  rr_print_number(at[0], out);
  if (at[0] < 128) buf_add_byte(out, ' ');
  if (at[0] < 128) rr_print_ipv6(address, out);
  if (at[0] > 0) buf_add_byte(out, ' ');
  if (at[0] > 0) rr_print_name(at + 1 + octets, out);
}

/* ---- APL (RFC 3123 §4, §5): [family u16][prefix u8][negation and length][address without trailing zeros] ---- */

enum { APL_IPV4 = 1, APL_IPV6 = 2, APL_NEGATION = 0x80 };

static bool take_apl_item(const struct rr_token *t, struct wr *out) {
  const char *p = t->text, *end = p + t->size;
  bool negation = p < end && *p == '!';
  p += negation;
  const char *colon = memchr(p, ':', (size_t)(end - p));
  if (!colon) return false;
  const char *address = colon + 1, *slash = memchr(address, '/', (size_t)(end - address));
  uint64_t family, prefix;
  uint8_t octets[16] = {0};
  if (!slash || !rr_parse_number(p, (size_t)(colon - p), UINT16_MAX, &family)) return false;
  bool ipv4 = family == APL_IPV4, ipv6 = family == APL_IPV6;
  if (!rr_parse_number(slash + 1, (size_t)(end - slash - 1), ipv4 ? 32 : 128, &prefix)) return false;
  if (ipv4 ? !rr_parse_ipv4(address, (size_t)(slash - address), octets)
           : !ipv6 || !rr_parse_ipv6(address, (size_t)(slash - address), octets))
    return false;
  size_t n = ipv4 ? 4 : 16;
  while (n > 0 && octets[n - 1] == 0)
    n--;
  wr_u16(out, (uint16_t)family);
  wr_u8(out, (uint8_t)prefix);
  wr_u8(out, (uint8_t)(n | (negation ? APL_NEGATION : 0)));
  wr_bytes(out, octets, n);
  return true;
}

enum err field_apl_parse(struct text_in *in) {
  for (const struct rr_token *t; (t = rr_in_peek(in)); in->at++)
    if (!take_apl_item(t, &in->out))
      return rr_in_invalid(in, "[!]family:address/prefix such as 1:192.0.2.0/24 or !2:2001:db8::/32");
  return ERR_OK;
}

struct apl_item {
  uint16_t family;
  uint8_t prefix;
  bool negation;
  uint8_t size;
  const uint8_t *octets;
};

static bool read_apl_item(struct rd *r, struct apl_item *out) {
  uint8_t length;
  if (!rd_u16(r, &out->family) || !rd_u8(r, &out->prefix) || !rd_u8(r, &length)) return false;
  out->negation = length & APL_NEGATION;
  out->size = length & (APL_NEGATION - 1);
  return rd_bytes(r, out->size, &out->octets);
}

bool field_apl_scan(struct rd *r, const uint8_t *rdata) {
  while (rd_left(r)) {
    struct apl_item item;
    if (!read_apl_item(r, &item)) return false;
    bool ipv4 = item.family == APL_IPV4, ipv6 = item.family == APL_IPV6;
    if (item.size > 0 && item.octets[item.size - 1] == 0) return false;
    if ((ipv4 && (item.size > 4 || item.prefix > 32)) || (ipv6 && (item.size > 16 || item.prefix > 128))) return false;
  }
  return true;
}

bool field_apl_has_text(const uint8_t *at, size_t n, const uint8_t *rdata) {
  struct rd r = {at, at + n};
  struct apl_item item;
  while (rd_left(&r) && read_apl_item(&r, &item))
    if (item.family != APL_IPV4 && item.family != APL_IPV6) return false;
  return true;
}

void field_apl_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  struct rd r = {at, at + n};
  struct apl_item item;
  while (rd_left(&r) && read_apl_item(&r, &item)) {
    uint8_t octets[16] = {0};
    memcpy(octets, item.octets, item.size);
    buf_printf(out, "%s%s%u:", item.octets - at > 4 ? " " : "", item.negation ? "!" : "", item.family);
    if (item.family == APL_IPV4) rr_print_ipv4(octets, out);
    else rr_print_ipv6(octets, out);
    buf_printf(out, "/%u", item.prefix);
  }
}

/* ---- gateways (RFC 4025 §2.5, RFC 8777 §4.2.4) ---- */

enum { GATEWAY_NONE = 0, GATEWAY_IPV4 = 1, GATEWAY_IPV6 = 2, GATEWAY_NAME = 3, GATEWAY_TYPE_MASK = 0x7f };

enum err field_gateway_parse(struct text_in *in) {
  const struct rr_token *t = rr_in_peek(in);
  uint8_t address[16];
  if (wr_failed(&in->out)) return ERR_OK;
  unsigned type = in->out.base[1] & GATEWAY_TYPE_MASK;
  if (!t) return rr_in_missing(in, "an address, a name, or a dot, by the type before it");
  if (type == GATEWAY_NAME) return rr_in_name(in);
  if (type == GATEWAY_NONE && !rr_token_is(t, ".")) return rr_in_invalid(in, "a dot, for type 0 has none");
  if (type == GATEWAY_IPV4 && !rr_parse_ipv4(t->text, t->size, address)) return rr_in_invalid(in, "an IPv4 address, for type 1");
  if (type == GATEWAY_IPV6 && !rr_parse_ipv6(t->text, t->size, address)) return rr_in_invalid(in, "an IPv6 address, for type 2");
  wr_bytes(&in->out, address, type == GATEWAY_NONE ? 0 : type == GATEWAY_IPV4 ? 4 : 16);
  in->at++;
  return ERR_OK;
}

bool field_gateway_scan(struct rd *r, const uint8_t *rdata) {
  unsigned type = rdata[1] & GATEWAY_TYPE_MASK;
  if (type == GATEWAY_NAME) return rr_scan_name(r, rdata);
  return type <= GATEWAY_IPV6 && rd_skip(r, type == GATEWAY_NONE ? 0 : type == GATEWAY_IPV4 ? 4 : 16);
}

void field_gateway_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  unsigned type = rdata[1] & GATEWAY_TYPE_MASK;
  if (type == GATEWAY_NONE) buf_add_byte(out, '.');
  else if (type == GATEWAY_IPV4) rr_print_ipv4(at, out);
  else if (type == GATEWAY_IPV6) rr_print_ipv6(at, out);
  else rr_print_name(at, out);
}

/* The discovery bit and the type of an AMTRELAY's relay share one octet. */
enum err field_relay_type_parse(struct text_in *in) {
  static const struct mnemonic_value none[] = {{NULL, 0}};
  unsigned discovery, type = 0;
  enum err e = rr_in_mnemonic(in, none, 1, "the discovery bit, 0 or 1, before the relay's type", &discovery);
  if (e == ERR_OK) e = rr_in_mnemonic(in, none, 3, "0 none, 1 IPv4, 2 IPv6, 3 a name", &type);
  if (e == ERR_OK) wr_u8(&in->out, (uint8_t)(discovery << 7 | type));
  return e;
}

bool field_relay_type_scan(struct rd *r, const uint8_t *rdata) {
  uint8_t octet;
  return rd_u8(r, &octet) && (octet & GATEWAY_TYPE_MASK) <= GATEWAY_NAME;
}

void field_relay_type_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  buf_printf(out, "%u %u", at[0] >> 7, at[0] & GATEWAY_TYPE_MASK);
}

/* ---- HIP (RFC 8005 §5): [HIT length u8][algorithm u8][key length u16][HIT][key] ---- */

enum err field_hip_parse(struct text_in *in) {
  static const struct mnemonic_value none[] = {{NULL, 0}};
  unsigned algorithm = 0;
  enum err e = rr_in_mnemonic(in, none, UINT8_MAX, "the key's algorithm, a number from 0 to 255", &algorithm);
  if (e != ERR_OK) return e;
  uint8_t *header = in->out.at;
  wr_u32(&in->out, 0);
  const uint8_t *hit = in->out.at;
  struct hex_decoder hex = {0};
  const struct rr_token *t = rr_in_peek(in);
  if (!t) return rr_in_missing(in, "the host identity tag in hex");
  if (t->size == 0 || t->size > 510 || !hex_feed(&hex, t->text, t->size, &in->out) || !hex_complete(&hex))
    return rr_in_invalid(in, "the host identity tag: at most 255 octets in hex");
  in->at++;
  const uint8_t *key = in->out.at;
  struct base64_decoder base64 = {0};
  if (!(t = rr_in_peek(in))) return rr_in_missing(in, "the public key in base64");
  if (t->size == 0 || !base64_feed(&base64, t->text, t->size, &in->out) || !base64_complete(&base64))
    return rr_in_invalid(in, "the public key in base64, without blanks");
  in->at++;
  if (wr_failed(&in->out)) return ERR_OK;
  header[0] = (uint8_t)(key - hit);
  header[1] = (uint8_t)algorithm;
  put_u16(header + 2, (uint16_t)(in->out.at - key));
  return ERR_OK;
}

bool field_hip_scan(struct rd *r, const uint8_t *rdata) {
  uint8_t hit_size, algorithm;
  uint16_t key_size;
  if (!rd_u8(r, &hit_size) || !rd_u8(r, &algorithm) || !rd_u16(r, &key_size)) return false;
  return hit_size > 0 && key_size > 0 && rd_skip(r, hit_size) && rd_skip(r, key_size);
}

void field_hip_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  rr_print_number(at[1], out);
  buf_add_byte(out, ' ');
  hex_print(at + 4, at[0], out);
  buf_add_byte(out, ' ');
  base64_print(at + 4 + at[0], get_u16(at + 2), out);
}
