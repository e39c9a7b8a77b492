/* Domain names as text (RFC 1035 §5.1, RFC 4343 §2.1). */
#include "wire/encoding.h"
#include "wire/name.h"

struct scanner {
  const char *text;
  size_t size;
  size_t at;
  const char *why;
};

static enum err fail(const struct scanner *s, size_t *bad, const char **why) {
  if (bad) *bad = s->at;
  if (why) *why = s->why;
  return ERR_FORMAT;
}

/* Reads labels into n up to the end; `*absolute` says whether the text ended in a dot. On failure s->at is where. */
static bool scan_labels(struct scanner *s, struct name *n, bool *absolute) {
  const char *p = s->text, *end = p + s->size;
  const uint8_t *limit = n->octets + LIMIT_NAME_BYTES - 1; /* the last octet is the root's */
  uint8_t *start = n->octets, *to = start + 1;             /* *start takes the label's length */
  n->labels = 0;
  *absolute = false;
  while (p < end) {
    const uint8_t *stop = limit - start > LIMIT_LABEL_BYTES + 1 ? start + LIMIT_LABEL_BYTES + 1 : limit;
    while (p < end && to < stop && *p != '.' && *p != '\\')
      *to++ = (uint8_t)*p++;
    if (p == end) break;
    s->at = (size_t)(p - s->text);
    size_t length = (size_t)(to - start) - 1;
    if (*p == '.') {
      s->why = "an empty label";
      if (length == 0) return false;
      *start = (uint8_t)length;
      n->labels++;
      start = to++;
      *absolute = ++p == end;
      continue;
    }
    s->why = length == LIMIT_LABEL_BYTES ? "label longer than 63 octets" : "name longer than 255 octets";
    if (to >= stop) return false;
    s->why = "a backslash that is not followed by a character or by 000 to 255";
    size_t taken = escape_read(p, (size_t)(end - p), to);
    if (taken == 0) return false;
    p += taken;
    to++;
  }
  if (!*absolute) {
    *start = (uint8_t)(to - start - 1);
    n->labels++;
    start = to;
  }
  *start = 0;
  n->size = (uint8_t)(start + 1 - n->octets);
  return true;
}

/* Up to eight octets from `at` on, the first one lowest; zeros behind the end. */
static inline uint64_t octets_at(const char *text, size_t n, size_t at) {
  uint64_t x = 0;
  if (n >= 8) {
    size_t over = at + 8 > n ? at + 8 - n : 0; /* so many of them are looked at again */
    return get_u64_low(text + at - over) >> 8 * over;
  }
  for (size_t i = 0; i < n; i++)
    x |= (uint64_t)(uint8_t)text[i] << 8 * i;
  return x;
}

/* The high bit of each octet of x that is c. */
static inline uint64_t octets_equal(uint64_t x, char c) {
  const uint64_t ones = UINT64_C(0x0101010101010101), low = 0x7f * ones;
  x ^= (uint8_t)c * ones;
  return ~(((x & low) + low) | x | low);
}

static inline bool is_label(size_t size) {
  return size > 0 && size <= LIMIT_LABEL_BYTES;
}

/* The most of names: no escapes, and nothing wrong. A label's length stands where the dot before it was. */
static bool read_plain(const char *text, size_t n, const struct name *origin, struct name *out) {
  bool absolute = text[n - 1] == '.';
  const struct name *behind = absolute ? &name_root : origin;
  size_t own = n + !absolute, start = 0;
  uint8_t ends[LIMIT_NAME_LABELS]; /* of labels */
  unsigned count = 0;
  if (!behind || behind == out || own + behind->size > LIMIT_NAME_BYTES) return false;
  for (size_t at = 0; at < n; at += 8) {
    uint64_t x = octets_at(text, n, at);
    if (octets_equal(x, '\\')) return false;
    for (uint64_t dots = octets_equal(x, '.'); dots; dots &= dots - 1) {
      size_t dot = at + (unsigned)__builtin_ctzll(dots) / 8;
      if (!is_label(dot - start)) return false;
      ends[count++] = (uint8_t)dot;
      start = dot + 1;
    }
  }
  if (!absolute) {
    if (!is_label(n - start)) return false;
    ends[count++] = (uint8_t)n;
  }
  bytes_copy(out->octets + 1, (const uint8_t *)text, own - 1);
  start = 0;
  for (unsigned i = 0; i < count; start = ends[i++] + 1u)
    out->octets[start] = (uint8_t)(ends[i] - start);
  bytes_copy(out->octets + own, behind->octets, behind->size);
  out->size = (uint8_t)(own + behind->size);
  out->labels = (uint8_t)(count + behind->labels);
  return true;
}

enum err name_from_text(const char *text, size_t n, const struct name *origin, struct name *out, size_t *bad, const char **why) {
  struct scanner s = {text, n, 0, "an empty name"};
  if (n == 0) return fail(&s, bad, why);
  bool is_origin = n == 1 && text[0] == '@';
  if (!is_origin && read_plain(text, n, origin, out)) return ERR_OK;
  if (n == 1 && text[0] == '.') {
    name_copy(out, &name_root);
    return ERR_OK;
  }
  struct name name; /* not initialised: its octets are written in order */
  bool absolute = false;
  if (!is_origin && !scan_labels(&s, &name, &absolute)) return fail(&s, bad, why);
  if (!absolute && !origin) {
    s.at = n;
    s.why = "a relative name where there is no origin";
    (void)fail(&s, bad, why);
    return ERR_NOT_FOUND;
  }
  if (is_origin) {
    name_copy(out, origin);
  } else if (absolute) {
    name_copy(out, &name);
  } else if (name_join(&name, name.labels, origin, out) != ERR_OK) {
    s.at = n;
    s.why = "name longer than 255 octets with the origin";
    return fail(&s, bad, why);
  }
  return ERR_OK;
}

static bool needs_backslash(uint8_t c) {
  return c == '.' || c == '\\' || c == '"' || c == ';' || c == '(' || c == ')' || c == '@' || c == '$';
}

const char *name_text(const struct name *n, char out[NAME_TEXT_BYTES]) {
  char *to = out;
  const uint8_t *p = n->octets;
  if (*p == 0) *to++ = '.';
  while (*p) {
    for (unsigned left = *p++; left > 0; left--, p++) {
      uint8_t c = *p;
      if (c > 0x20 && c < 0x7f) {
        if (needs_backslash(c)) *to++ = '\\';
        *to++ = (char)c;
      } else {
        *to++ = '\\';
        *to++ = (char)('0' + c / 100);
        *to++ = (char)('0' + c / 10 % 10);
        *to++ = (char)('0' + c % 10);
      }
    }
    *to++ = '.';
  }
  *to = 0;
  return out;
}
