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

/* Reads labels into n up to the end; `*absolute` says whether the text ended in a dot. */
static bool scan_labels(struct scanner *s, struct name *n, bool *absolute) {
  unsigned start = 0, at = 1; /* octets[start] takes the label's length */
  *absolute = false;
  while (s->at < s->size) {
    uint8_t c;
    if (s->text[s->at] == '.') {
      if (at == start + 1) {
        s->why = "an empty label";
        return false;
      }
      n->octets[start] = (uint8_t)(at - start - 1);
      n->labels++;
      start = at++;
      s->at++;
      *absolute = s->at == s->size;
      continue;
    }
    if (at - start - 1 == LIMIT_LABEL_BYTES) {
      s->why = "label longer than 63 octets";
      return false;
    }
    if (at >= LIMIT_NAME_BYTES - 1) {
      s->why = "name longer than 255 octets";
      return false;
    }
    size_t taken = escape_read(s->text + s->at, s->size - s->at, &c);
    if (taken == 0) {
      s->why = "a backslash that is not followed by a character or by 000 to 255";
      return false;
    }
    s->at += taken;
    n->octets[at++] = c;
  }
  if (!*absolute) {
    n->octets[start] = (uint8_t)(at - start - 1);
    n->labels++;
    start = at;
  }
  n->octets[start] = 0;
  n->size = (uint8_t)(start + 1);
  return true;
}

enum err name_from_text(const char *text, size_t n, const struct name *origin, struct name *out, size_t *bad, const char **why) {
  struct scanner s = {text, n, 0, "an empty name"};
  if (n == 0) return fail(&s, bad, why);
  bool is_origin = n == 1 && text[0] == '@';
  if (n == 1 && text[0] == '.') {
    name_copy(out, &name_root);
    return ERR_OK;
  }
  struct name name = {.size = 0, .labels = 0};
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
