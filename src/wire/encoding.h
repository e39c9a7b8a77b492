/* Text encodings of octets: master-file escapes (RFC 1035 §5.1), hex, base64 and base32hex (RFC 4648).
 *
 * Decoders take their text in pieces, because blanks may stand anywhere in a record's last field. Thread: any. */
#ifndef WIRE_ENCODING_H
#define WIRE_ENCODING_H

#include "base/buf.h"
#include "base/bytes.h"

/* Reads one octet of text, plain or \X or \DDD; returns the characters taken, 0 if the escape is malformed or n is 0. */
static inline size_t escape_read(const char *text, size_t n, uint8_t *out) {
  if (n == 0) return 0;
  if (text[0] != '\\') {
    *out = (uint8_t)text[0];
    return 1;
  }
  if (n < 2) return 0;
  if (text[1] < '0' || text[1] > '9') {
    *out = (uint8_t)text[1];
    return 2;
  }
  if (n < 4 || text[2] < '0' || text[2] > '9' || text[3] < '0' || text[3] > '9') return 0;
  int value = (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
  if (value > 255) return 0;
  *out = (uint8_t)value;
  return 4;
}

/* Octets as the inside of a quoted string: \" \\ and \DDD for what is not printable ASCII. */
void escape_print(const uint8_t *bytes, size_t n, struct buf *out);

struct hex_decoder {
  uint8_t high;
  bool half; /* one digit of an octet was seen */
};
bool hex_feed(struct hex_decoder *d, const char *text, size_t n, struct wr *out); /* false: not a hex digit */
static inline bool hex_complete(const struct hex_decoder *d) {
  return !d->half;
}
void hex_print(const uint8_t *bytes, size_t n, struct buf *out); /* upper case */

struct base64_decoder {
  uint32_t bits;
  uint8_t digits;  /* of the group of four being read */
  uint8_t padding; /* '=' seen */
};
/* Strict: padding needed, nothing behind it, unused bits zero. False: malformed. */
bool base64_feed(struct base64_decoder *d, const char *text, size_t n, struct wr *out);
static inline bool base64_complete(const struct base64_decoder *d) {
  return d->digits == 0;
}
void base64_print(const uint8_t *bytes, size_t n, struct buf *out);

/* Without padding (RFC 5155 §3.3). */
bool base32hex_decode(const char *text, size_t n, struct wr *out);
void base32hex_print(const uint8_t *bytes, size_t n, struct buf *out);

#endif
