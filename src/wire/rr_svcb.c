/* Service parameters of SVCB and HTTPS (RFC 9460 §2, appendix A). One row of `keys` a named key.
 *
 *   text   alpn="h2,h3" port=8443 key65280="..."     in any order, each key once
 *   wire   [key u16][length u16][value] ...          strictly ascending keys
 *
 * A value is a <character-string> first: its escapes are undone octet by octet. Lists are then split at commas, and in alpn a
 * backslash that is left makes the next octet literal, hence the double escaping of appendix A.1. */
#include "base/limits.h"
#include "wire/encoding.h"
#include "wire/rr_priv.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_MANDATORY = 0, KEY_ALPN = 1, KEY_NO_DEFAULT_ALPN = 2 };

/* One parameter of the text: where its value stands, with escapes, without quotes. */
struct param {
  uint16_t key;
  bool by_number; /* keyNNNNN: the value is its octets, whatever the key (RFC 9460 §2.1) */
  const char *value, *end;
};

struct svc_key {
  const char *name;
  uint16_t key;
  const char *hint;
  bool (*parse)(const struct param *p, struct wr *out);
  bool (*check)(const uint8_t *value, size_t n);
  void (*print)(const uint8_t *value, size_t n, struct buf *out); /* what stands behind '='; not called for an empty value */
};

static bool key_from_text(const char *text, size_t n, uint16_t *out, bool *by_number);
static void key_print(uint16_t key, struct buf *out);

/* ---- values octet by octet ---- */

static bool next_octet(struct param *p, uint8_t *out) {
  size_t taken = escape_read(p->value, (size_t)(p->end - p->value), out);
  p->value += taken;
  return taken > 0;
}

/* The next item of a comma-separated list of words without need of escapes. False: malformed, empty or too long. */
static bool next_word(struct param *p, char word[64], size_t *n) {
  *n = 0;
  while (p->value < p->end) {
    uint8_t c;
    if (!next_octet(p, &c)) return false;
    if (c == ',') return *n > 0 && p->value < p->end;
    if (*n == 63) return false;
    word[(*n)++] = (char)c;
  }
  return *n > 0;
}

static bool octets_parse(const struct param *param, struct wr *out) {
  struct param p = *param;
  while (p.value < p.end) {
    uint8_t c;
    if (!next_octet(&p, &c)) return false;
    wr_u8(out, c);
  }
  return true;
}

static bool octets_check(const uint8_t *value, size_t n) {
  return true;
}

static void octets_print(const uint8_t *value, size_t n, struct buf *out) {
  buf_add_byte(out, '"');
  escape_print(value, n, out);
  buf_add_byte(out, '"');
}

static bool nothing_parse(const struct param *p, struct wr *out) {
  return p->value == p->end;
}

static bool nothing_check(const uint8_t *value, size_t n) {
  return n == 0;
}

/* ---- lists of u16: mandatory, tls-supported-groups ---- */

static int compare_u16(const void *a, const void *b) {
  return (int)get_u16(a) - get_u16(b);
}

static bool u16s_check(const uint8_t *value, size_t n, bool ascending) {
  if (n == 0 || n % 2) return false;
  for (size_t i = 2; ascending && i < n; i += 2)
    if (get_u16(value + i - 2) >= get_u16(value + i)) return false;
  return true;
}

static bool mandatory_check(const uint8_t *value, size_t n) {
  return u16s_check(value, n, true) && get_u16(value) != KEY_MANDATORY;
}

static bool mandatory_parse(const struct param *param, struct wr *out) {
  struct param p = *param;
  uint8_t *start = out->at;
  do {
    char word[64];
    size_t n;
    uint16_t key;
    bool by_number;
    if (!next_word(&p, word, &n) || !key_from_text(word, n, &key, &by_number)) return false;
    wr_u16(out, key);
  } while (p.value < p.end);
  if (wr_failed(out)) return true;
  size_t size = (size_t)(out->at - start);
  qsort(start, size / 2, 2, compare_u16);
  return mandatory_check(start, size);
}

static void mandatory_print(const uint8_t *value, size_t n, struct buf *out) {
  for (size_t i = 0; i < n; i += 2) {
    if (i) buf_add_byte(out, ',');
    key_print(get_u16(value + i), out);
  }
}

static bool groups_check(const uint8_t *value, size_t n) {
  if (!u16s_check(value, n, false)) return false;
  for (size_t i = 0; i < n; i += 2)
    for (size_t k = 0; k < i; k += 2)
      if (get_u16(value + i) == get_u16(value + k)) return false;
  return true;
}

static bool groups_parse(const struct param *param, struct wr *out) {
  struct param p = *param;
  const uint8_t *start = out->at;
  do {
    char word[64];
    size_t n;
    uint64_t group;
    if (!next_word(&p, word, &n) || !rr_parse_number(word, n, UINT16_MAX, &group)) return false;
    wr_u16(out, (uint16_t)group);
  } while (p.value < p.end);
  return wr_failed(out) || groups_check(start, (size_t)(out->at - start));
}

static void groups_print(const uint8_t *value, size_t n, struct buf *out) {
  for (size_t i = 0; i < n; i += 2) {
    if (i) buf_add_byte(out, ',');
    rr_print_number(get_u16(value + i), out);
  }
}

/* ---- alpn ---- */

static bool alpn_parse(const struct param *param, struct wr *out) {
  struct param p = *param;
  bool more = true;
  while (more) {
    uint8_t *length = out->at, c;
    size_t n = 0;
    wr_u8(out, 0);
    for (more = false; p.value < p.end && !more;) {
      if (!next_octet(&p, &c)) return false;
      if (c == ',') {
        more = true;
        continue;
      }
      if (c == '\\' && !next_octet(&p, &c)) return false;
      wr_u8(out, c);
      n++;
    }
    if (n == 0 || n > 255) return false;
    if (!wr_failed(out)) *length = (uint8_t)n;
  }
  return true;
}

static bool alpn_check(const uint8_t *value, size_t n) {
  struct rd r = {value, value + n};
  do {
    uint8_t size;
    if (!rd_u8(&r, &size) || size == 0 || !rd_skip(&r, size)) return false;
  } while (rd_left(&r));
  return true;
}

static void alpn_print(const uint8_t *value, size_t n, struct buf *out) {
  buf_add_byte(out, '"');
  for (size_t i = 0; i < n; i += value[i] + 1u) {
    if (i) buf_add_byte(out, ',');
    for (size_t k = i + 1; k <= i + value[i]; k++) {
      uint8_t c = value[k];
      if (c == ',' || c == '\\') buf_add_text(out, "\\\\"); /* the list's backslash, itself escaped */
      escape_print(&c, 1, out);
    }
  }
  buf_add_byte(out, '"');
}

/* ---- port, addresses, ech ---- */

static bool port_parse(const struct param *param, struct wr *out) {
  struct param p = *param;
  char word[64];
  size_t n;
  uint64_t port;
  if (!next_word(&p, word, &n) || p.value < p.end || !rr_parse_number(word, n, UINT16_MAX, &port)) return false;
  wr_u16(out, (uint16_t)port);
  return true;
}

static bool port_check(const uint8_t *value, size_t n) {
  return n == 2;
}

static void port_print(const uint8_t *value, size_t n, struct buf *out) {
  rr_print_number(get_u16(value), out);
}

static bool addresses_parse(const struct param *param, bool (*parse)(const char *, size_t, uint8_t *), size_t size,
                            struct wr *out) {
  struct param p = *param;
  do {
    char word[64];
    size_t n;
    uint8_t address[16];
    if (!next_word(&p, word, &n) || !parse(word, n, address)) return false;
    wr_bytes(out, address, size);
  } while (p.value < p.end);
  return true;
}

static void addresses_print(const uint8_t *value, size_t n, void (*print)(const uint8_t *, struct buf *), size_t size,
                            struct buf *out) {
  for (size_t i = 0; i < n; i += size) {
    if (i) buf_add_byte(out, ',');
    print(value + i, out);
  }
}

static bool ipv4s_parse(const struct param *p, struct wr *out) {
  return addresses_parse(p, rr_parse_ipv4, 4, out);
}

static bool ipv4s_check(const uint8_t *value, size_t n) {
  return n > 0 && n % 4 == 0;
}

static void ipv4s_print(const uint8_t *value, size_t n, struct buf *out) {
  addresses_print(value, n, rr_print_ipv4, 4, out);
}

static bool ipv6s_parse(const struct param *p, struct wr *out) {
  return addresses_parse(p, rr_parse_ipv6, 16, out);
}

static bool ipv6s_check(const uint8_t *value, size_t n) {
  return n > 0 && n % 16 == 0;
}

static void ipv6s_print(const uint8_t *value, size_t n, struct buf *out) {
  addresses_print(value, n, rr_print_ipv6, 16, out);
}

static bool some_check(const uint8_t *value, size_t n) {
  return n > 0;
}

static bool base64_parse(const struct param *p, struct wr *out) {
  struct base64_decoder d = {0};
  return p->value < p->end && base64_feed(&d, p->value, (size_t)(p->end - p->value), out) && base64_complete(&d);
}

static bool some_octets_parse(const struct param *p, struct wr *out) {
  return p->value < p->end && octets_parse(p, out);
}

/* ---- the keys ---- */

static const struct svc_key keys[] = {
    {"mandatory", KEY_MANDATORY, "a list of other keys, each once: mandatory=alpn,port", mandatory_parse, mandatory_check,
     mandatory_print},
    {"alpn", KEY_ALPN, "a list of protocols of 1 to 255 octets: alpn=h2,h3", alpn_parse, alpn_check, alpn_print},
    {"no-default-alpn", KEY_NO_DEFAULT_ALPN, "no value", nothing_parse, nothing_check, octets_print},
    {"port", 3, "a number from 0 to 65535", port_parse, port_check, port_print},
    {"ipv4hint", 4, "a list of IPv4 addresses: ipv4hint=192.0.2.1,192.0.2.2", ipv4s_parse, ipv4s_check, ipv4s_print},
    {"ech", 5, "base64 with its padding", base64_parse, some_check, base64_print},
    {"ipv6hint", 6, "a list of IPv6 addresses: ipv6hint=2001:db8::1", ipv6s_parse, ipv6s_check, ipv6s_print},
    {"dohpath", 7, "a path such as /dns-query{?dns}", some_octets_parse, some_check, octets_print},
    {"ohttp", 8, "no value", nothing_parse, nothing_check, octets_print},
    {"tls-supported-groups", 9, "a list of numbers, each once: tls-supported-groups=29,23", groups_parse, groups_check,
     groups_print},
};
static const struct svc_key other_key = {
    NULL, 0, "a backslash is followed by a character or by 000 to 255", octets_parse, octets_check, octets_print};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static const struct svc_key *key_row(uint16_t key) {
  return key < KEY_COUNT ? &keys[key] : &other_key; /* the rows stand at their number */
}

static bool key_from_text(const char *text, size_t n, uint16_t *out, bool *by_number) {
  for (unsigned i = 0; i < KEY_COUNT; i++)
    if (strlen(keys[i].name) == n && memcmp(keys[i].name, text, n) == 0) {
      *out = keys[i].key;
      *by_number = false;
      return true;
    }
  uint64_t number;
  if (n < 4 || memcmp(text, "key", 3) != 0 || (n > 4 && text[3] == '0')) return false;
  if (!rr_parse_number(text + 3, n - 3, UINT16_MAX, &number)) return false;
  *out = (uint16_t)number;
  *by_number = true;
  return true;
}

static void key_print(uint16_t key, struct buf *out) {
  if (key < KEY_COUNT) {
    buf_add_text(out, keys[key].name);
  } else {
    buf_add_text(out, "key");
    rr_print_number(key, out);
  }
}

/* ---- all parameters ---- */

/* Splits key=value; quotes may enclose the value. */
static bool split_param(const struct rr_token *t, struct param *out) {
  const char *equals = memchr(t->text, '=', t->size);
  size_t key_size = equals ? (size_t)(equals - t->text) : t->size;
  out->value = equals ? equals + 1 : t->text + t->size;
  out->end = t->text + t->size;
  if (out->end - out->value >= 2 && !t->quoted && out->value[0] == '"' && out->end[-1] == '"') {
    out->value++;
    out->end--;
  }
  return key_from_text(t->text, key_size, &out->key, &out->by_number);
}

static int compare_params(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* The rest of the tokens as (key << 16 | token), sorted. */
static enum err sort_params(struct text_in *in, uint32_t order[LIMIT_LINE_TOKENS], size_t *count) {
  size_t n = 0;
  for (const struct rr_token *t; (t = rr_in_peek(in)); in->at++) {
    struct param p;
    if (!split_param(t, &p)) return rr_in_invalid(in, "key=value with a key such as alpn, port, ipv4hint or key65280");
    if (n == LIMIT_LINE_TOKENS) return rr_in_fail(in, "", "too many of them");
    order[n++] = (uint32_t)p.key << 16 | (uint32_t)in->at;
  }
  qsort(order, n, sizeof order[0], compare_params);
  *count = n;
  for (size_t i = 1; i < n; i++)
    if (order[i - 1] >> 16 == order[i] >> 16) {
      in->at = order[i] & 0xffff;
      return rr_in_fail(in, "each key may stand once", "a key given twice");
    }
  return ERR_OK;
}

static bool has_key(const struct rd *params, uint16_t wanted) {
  struct rd r = *params, value;
  uint16_t key, n;
  while (rd_u16(&r, &key) && rd_u16(&r, &n) && rd_sub(&r, n, &value))
    if (key == wanted) return true;
  return false;
}

/* Do the keys listed as mandatory stand there (RFC 9460 §8), and alpn beside no-default-alpn (§7.1.1)? */
static bool params_agree(const struct rd *params, uint16_t *missing) {
  struct rd r = *params, value;
  uint16_t key, n;
  while (rd_u16(&r, &key) && rd_u16(&r, &n) && rd_sub(&r, n, &value)) {
    uint16_t wanted;
    *missing = KEY_ALPN;
    if (key == KEY_NO_DEFAULT_ALPN && !has_key(params, KEY_ALPN)) return false;
    while (key == KEY_MANDATORY && rd_u16(&value, &wanted)) {
      *missing = wanted;
      if (!has_key(params, wanted)) return false;
    }
    if (key > KEY_NO_DEFAULT_ALPN) break;
  }
  return true;
}

static enum err params_missing(struct text_in *in, size_t first, uint16_t key) {
  struct buf text = {0};
  key_print(key, &text);
  in->at = first;
  enum err e = rr_in_fail(in, "keys listed as mandatory must be there, and alpn beside no-default-alpn",
                          "%s is needed but not there", buf_text(&text));
  buf_done(&text);
  return e;
}

enum err field_svcparams_parse(struct text_in *in) {
  uint32_t order[LIMIT_LINE_TOKENS];
  size_t first = in->at, count = 0;
  const uint8_t *start = in->out.at;
  enum err e = sort_params(in, order, &count);
  if (e != ERR_OK) return e;
  for (size_t i = 0; i < count; i++) {
    struct param p;
    in->at = order[i] & 0xffff;
    if (!split_param(&in->tokens[in->at], &p)) return rr_in_invalid(in, "");
    const struct svc_key *k = key_row(p.key);
    wr_u16(&in->out, p.key);
    uint8_t *length = in->out.at;
    wr_u16(&in->out, 0);
    bool good = p.by_number ? octets_parse(&p, &in->out) : k->parse(&p, &in->out);
    if (wr_failed(&in->out)) return ERR_OK;
    size_t size = (size_t)(in->out.at - length - 2);
    if (!good || !k->check(length + 2, size)) return rr_in_invalid(in, k->hint);
    put_u16(length, (uint16_t)size);
  }
  in->at = in->count;
  uint16_t missing;
  struct rd params = {start, in->out.at};
  return wr_failed(&in->out) || params_agree(&params, &missing) ? ERR_OK : params_missing(in, first, missing);
}

bool field_svcparams_scan(struct rd *r, const uint8_t *rdata) {
  struct rd all = *r;
  int last = -1;
  while (rd_left(r)) {
    uint16_t key, n, missing;
    const uint8_t *value;
    if (!rd_u16(r, &key) || !rd_u16(r, &n) || !rd_bytes(r, n, &value)) return false;
    if (key <= last || !key_row(key)->check(value, n)) return false;
    last = key;
    if (rd_left(r) == 0) return params_agree(&all, &missing);
  }
  return true;
}

void field_svcparams_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out) {
  struct rd r = {at, at + n}, value;
  uint16_t key, size;
  while (rd_u16(&r, &key) && rd_u16(&r, &size) && rd_sub(&r, size, &value)) {
    if (value.at - at > 4) buf_add_byte(out, ' ');
    key_print(key, out);
    if (size == 0) continue;
    buf_add_byte(out, '=');
    key_row(key)->print(value.at, size, out);
  }
}
