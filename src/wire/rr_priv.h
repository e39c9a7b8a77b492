/* How one kind of RDATA field is read, stepped over and printed: the table behind enum rr_field_kind. */
#ifndef WIRE_RR_PRIV_H
#define WIRE_RR_PRIV_H

#include "wire/rr.h"

/* A record's tokens being turned into RDATA. */
struct text_in {
  const char *type_text;
  const struct rr_field *field; /* the one being read */
  const struct rr_token *tokens;
  size_t count;
  size_t at; /* next token */
  const struct name *origin;
  struct wr out; /* out.base is where this RDATA begins; running over is seen at the end */
  struct rr_text_error *error;
};

struct field_codec {
  enum err (*parse)(struct text_in *in);
  /* Checks the field at r and steps over it; `rdata` is where the RDATA begins, all of it before r is checked. */
  bool (*scan)(struct rd *r, const uint8_t *rdata);
  void (*print)(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out);
  /* Is there text that gives this wire form back? NULL: always. Where not, the RDATA is printed in its \# form. */
  bool (*has_text)(const uint8_t *at, size_t n, const uint8_t *rdata);
  bool is_number;    /* in JSON */
  bool prints_empty; /* a field of no octets has text all the same */
};

extern const struct field_codec field_codecs[FIELD_KIND_COUNT];

/* ---- for parsers ---- */

/* The next token without taking it, NULL at the end. */
static inline const struct rr_token *rr_in_peek(const struct text_in *in) {
  return in->at < in->count ? &in->tokens[in->at] : NULL;
}
/* "missing preference in MX", or "invalid preference in MX: ten" for the next token. Both return ERR_FORMAT. */
MUST_CHECK enum err rr_in_missing(struct text_in *in, const char *hint);
MUST_CHECK enum err rr_in_invalid(struct text_in *in, const char *hint);
/* The same with a reason of one's own about the next token (if there is one): "invalid text in TXT: longer than 255 octets". */
MUST_CHECK enum err rr_in_fail(struct text_in *in, const char *hint, const char *format, ...) PRINTF_LIKE(3, 4);
/* An unsigned decimal number with nothing else in the text. */
bool rr_parse_number(const char *text, size_t n, uint64_t max, uint64_t *out);
bool rr_parse_ipv4(const char *text, size_t n, uint8_t out[4]);
bool rr_parse_ipv6(const char *text, size_t n, uint8_t out[16]);
bool rr_token_is(const struct rr_token *t, const char *word); /* ignoring case */
/* Takes one name token and writes it uncompressed. */
MUST_CHECK enum err rr_in_name(struct text_in *in);

struct mnemonic_value {
  const char *text;
  unsigned value;
};
/* Takes one token: a number up to max or one of the mnemonics, which end with a NULL text. */
MUST_CHECK enum err rr_in_mnemonic(struct text_in *in, const struct mnemonic_value *list, unsigned max, const char *hint,
                                   unsigned *out);

/* ---- for printers ---- */

void rr_print_number(uint64_t value, struct buf *out);
void rr_print_ipv4(const uint8_t *bytes, struct buf *out);
void rr_print_ipv6(const uint8_t *bytes, struct buf *out);
void rr_print_name(const uint8_t *wire, struct buf *out);

/* ---- for scanners ---- */

/* Steps over an uncompressed name. */
bool rr_scan_name(struct rd *r, const uint8_t *rdata);
bool rr_scan_all(struct rd *r, const uint8_t *rdata); /* whatever is left, nothing included */

/* Names in RDATA (checked): where they stand, those that carry one of the field flags. */
unsigned rr_name_ranges(const struct rr_row *row, const uint8_t *rdata, size_t n, unsigned flags,
                        struct name_range out[RR_NAMES_MAX]);

/* Codecs of kinds with a file of their own: three functions each, in the order of struct field_codec. */
#define CODEC_FUNCTIONS(kind)                                   \
  enum err field_##kind##_parse(struct text_in *in);            \
  bool field_##kind##_scan(struct rd *r, const uint8_t *rdata); \
  void field_##kind##_print(const uint8_t *at, size_t n, const uint8_t *rdata, struct buf *out);
CODEC_FUNCTIONS(string)
CODEC_FUNCTIONS(string_or_none)
CODEC_FUNCTIONS(strings)
CODEC_FUNCTIONS(digits)
CODEC_FUNCTIONS(decimal)
CODEC_FUNCTIONS(text_rest)
CODEC_FUNCTIONS(tag)
CODEC_FUNCTIONS(base64)
CODEC_FUNCTIONS(base64_or_none)
CODEC_FUNCTIONS(base64_or_dash)
CODEC_FUNCTIONS(hex)
CODEC_FUNCTIONS(hex_or_none)
CODEC_FUNCTIONS(digest)
CODEC_FUNCTIONS(fingerprint)
CODEC_FUNCTIONS(zone_digest)
CODEC_FUNCTIONS(salt)
CODEC_FUNCTIONS(hash32)
CODEC_FUNCTIONS(time)
CODEC_FUNCTIONS(types)
CODEC_FUNCTIONS(types_some)
CODEC_FUNCTIONS(types_old)
CODEC_FUNCTIONS(svcparams)
CODEC_FUNCTIONS(loc)
CODEC_FUNCTIONS(eui48)
CODEC_FUNCTIONS(eui64)
CODEC_FUNCTIONS(node64)
CODEC_FUNCTIONS(nsap)
CODEC_FUNCTIONS(atm)
CODEC_FUNCTIONS(services)
CODEC_FUNCTIONS(a6)
CODEC_FUNCTIONS(apl)
CODEC_FUNCTIONS(gateway)
CODEC_FUNCTIONS(relay_type)
CODEC_FUNCTIONS(hip)
#undef CODEC_FUNCTIONS
#define HAS_TEXT_FUNCTION(kind) bool field_##kind##_has_text(const uint8_t *at, size_t n, const uint8_t *rdata);
HAS_TEXT_FUNCTION(digits)
HAS_TEXT_FUNCTION(decimal)
HAS_TEXT_FUNCTION(digest)
HAS_TEXT_FUNCTION(fingerprint)
HAS_TEXT_FUNCTION(types_some)
HAS_TEXT_FUNCTION(loc)
HAS_TEXT_FUNCTION(atm)
HAS_TEXT_FUNCTION(services)
HAS_TEXT_FUNCTION(apl)
#undef HAS_TEXT_FUNCTION

#endif
