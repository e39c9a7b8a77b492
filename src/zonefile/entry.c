/* Tokens to a record: owner, TTL and class in either order, type, RDATA (RFC 1035 §5.1). */
#include "zonefile/scan_priv.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- TTL ---- */

static uint32_t unit_seconds(char unit) {
  switch (ascii_lower((uint8_t)unit)) {
  case 's':
    return 1;
  case 'm':
    return 60;
  case 'h':
    return 3600;
  case 'd':
    return 86400;
  case 'w':
    return 604800;
  default:
    return 0;
  }
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool all_alphanumeric(const struct rr_token *t) {
  for (uint32_t i = 0; i < t->size; i++)
    if (!is_digit(t->text[i]) && (ascii_lower((uint8_t)t->text[i]) < 'a' || ascii_lower((uint8_t)t->text[i]) > 'z')) return false;
  return true;
}

enum parsed_ttl ttl_from_token(const struct rr_token *t, uint32_t *out) {
  if (t->quoted || t->size == 0 || !is_digit(t->text[0])) return TTL_NONE;
  uint64_t total = 0, number = 0;
  bool units = false, digits = false;
  for (uint32_t i = 0; i < t->size; i++) {
    if (is_digit(t->text[i])) {
      number = number * 10 + (uint64_t)(t->text[i] - '0');
      digits = true;
    } else {
      uint32_t unit = unit_seconds(t->text[i]);
      /* 192.0.2.1 is no TTL that went wrong */
      if (!unit || !digits) return all_alphanumeric(t) ? TTL_MALFORMED : TTL_NONE;
      total += number * unit;
      number = 0;
      digits = false;
      units = true;
    }
    if (number > LIMIT_TTL || total > LIMIT_TTL) return all_alphanumeric(t) ? TTL_TOO_LARGE : TTL_NONE;
  }
  if (units && digits) return TTL_MALFORMED; /* 1h30: thirty of what? */
  total += number;
  *out = (uint32_t)total;
  return TTL_OK;
}

bool ttl_required(struct scan *s, const struct rr_token *t, uint32_t *out) {
  enum parsed_ttl p = ttl_from_token(t, out);
  if (p == TTL_OK) return true;
  if (p == TTL_TOO_LARGE)
    SCAN_ERROR(s, place_of_token(s, t), MISTAKE_TTL, "at most 2147483647 seconds, 68 years", "TTL too large: %s",
               token_shown(t).text);
  else
    SCAN_ERROR(s, place_of_token(s, t), MISTAKE_TTL, "seconds, or numbers with units such as 1h30m or 2d", "invalid TTL: %s",
               token_shown(t).text);
  return false;
}

/* ---- names ---- */

static bool refuse_non_ascii(struct scan *s, const struct rr_token *t, const char *what) {
  for (uint32_t i = 0; s->high && i < t->size; i++) {
    if ((unsigned char)t->text[i] < 128) continue;
    struct place at = place_at(s, t->line, t->column + t->quoted + i);
    SCAN_ERROR(s, at, MISTAKE_NON_ASCII, "write internationalised names in their xn-- form, any other octet as \\DDD",
               "%s holds octets outside ASCII: %s", what, token_shown(t).text);
    return true;
  }
  return false;
}

bool name_from_token(struct scan *s, const struct rr_token *t, enum mistake m, const char *what, struct name *out) {
  if (refuse_non_ascii(s, t, what)) return false;
  size_t bad = 0;
  const char *why = "malformed";
  if (name_from_text(t->text, t->size, &s->carried.origin, out, &bad, &why) == ERR_OK) return true;
  struct place at = place_at(s, t->line, t->column + t->quoted + (uint32_t)bad);
  SCAN_ERROR(s, at, m, "", "invalid %s %s: %s", what, token_shown(t).text, why);
  return false;
}

/* The fields of RDATA that are names and whose token is known by counting. */
static bool refuse_non_ascii_rdata(struct scan *s, const struct head *head) {
  const struct rr_row *row = rr_row(head->type);
  for (unsigned i = 0; row && i < row->field_count && head->rdata + i < s->count; i++) {
    switch (row->fields[i].kind) {
    case FIELD_U8:
    case FIELD_U16:
    case FIELD_U32:
    case FIELD_TTL:
    case FIELD_STRING:
    case FIELD_TYPE:
    case FIELD_ALGORITHM:
    case FIELD_TIME:
      break;
    case FIELD_NAME:
      if (refuse_non_ascii(s, &s->tokens[head->rdata + i], row->fields[i].name)) return true;
      break;
    default:
      return false;
    }
  }
  return false;
}

/* ---- class and type ---- */

static bool is_other_class(const struct rr_token *t) {
  static const char *const others[] = {"CH", "CHAOS", "HS", "HESIOD",
                                       "CS", "NONE",  "ANY"}; /* ANY: neither class nor type can stand */
  if (t->size > 5 && !t->quoted && strncasecmp(t->text, "CLASS", 5) == 0 && is_digit(t->text[5])) return true;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (token_is(t, others[i])) return true;
  return false;
}

/* 1: IN; 0: no class; -1: reported. */
static int class_from_token(struct scan *s, const struct rr_token *t) {
  if (t->quoted || t->size < 2) return 0;
  uint8_t first = ascii_lower((uint8_t)t->text[0]);
  if (first == 'i') return t->size == 2 && ascii_lower((uint8_t)t->text[1]) == 'n';
  if (first != 'c' && first != 'h' && first != 'n' && first != 'a') return 0; /* most tokens that come here are types */
  if (!is_other_class(t)) return 0;
  if (token_is(t, "CLASS1")) return 1;
  SCAN_ERROR(s, place_of_token(s, t), MISTAKE_CLASS, "zones of class IN are served; leave the class away or write IN", "class %s",
             token_shown(t).text);
  return -1;
}

/* Edits (one letter more, fewer, other, or two swapped) between a token and a mnemonic, as far as 2; 3 stands for more. */
static unsigned edits(const struct rr_token *t, const char *mnemonic) {
  enum { N = 16 };
  size_t an = t->size, bn = strlen(mnemonic);
  if (an >= N || bn >= N || an > bn + 2 || bn > an + 2) return 3;
  uint8_t d[N][N];
  for (size_t i = 0; i <= an; i++) {
    for (size_t j = 0; j <= bn; j++) {
      if (i == 0 || j == 0) {
        d[i][j] = (uint8_t)(i + j);
        continue;
      }
      uint8_t a = ascii_lower((uint8_t)t->text[i - 1]), b = ascii_lower((uint8_t)mnemonic[j - 1]);
      unsigned best = d[i - 1][j - 1] + (a != b);
      if (d[i - 1][j] + 1u < best) best = d[i - 1][j] + 1u;
      if (d[i][j - 1] + 1u < best) best = d[i][j - 1] + 1u;
      bool swapped = i > 1 && j > 1 && a == ascii_lower((uint8_t)mnemonic[j - 2]) && ascii_lower((uint8_t)t->text[i - 2]) == b;
      if (swapped && d[i - 2][j - 2] + 1u < best) best = d[i - 2][j - 2] + 1u;
      d[i][j] = (uint8_t)best;
    }
  }
  return d[an][bn] < 3 ? d[an][bn] : 3;
}

static const char *closest_mnemonic(const struct rr_token *t) {
  const char *best = NULL;
  unsigned best_edits = t->size > 4 ? 3 : 2;
  for (size_t i = 0; i < rr_row_count(); i++) {
    unsigned e = edits(t, rr_row_at(i)->mnemonic);
    if (e >= best_edits) continue;
    best = rr_row_at(i)->mnemonic;
    best_edits = e;
  }
  return best;
}

static void report_unknown_type(struct scan *s, const struct rr_token *t) {
  char hint[96] = "types without a name are written TYPE and a number";
  const char *closest = t->quoted ? NULL : closest_mnemonic(t);
  uint16_t type;
  const struct rr_token *first = &s->tokens[0];
  if (closest) snprintf(hint, sizeof hint, "did you mean %s?", closest);
  else if (!s->leading_blank && rr_type_from_text(first->text, first->size, &type) == ERR_OK)
    snprintf(hint, sizeof hint, "a line without an owner starts with a blank");
  SCAN_ERROR(s, place_of_token(s, t), MISTAKE_TYPE, hint, "unknown type %s", token_shown(t).text);
}

static inline bool is_known_type(struct scan *s, const struct rr_token *t) {
  uint64_t start = word_start(t->text, t->size);
  return t->size <= sizeof start && !t->quoted && type_place(s, start)->text == start;
}

bool type_from_table(struct scan *s, const char *text, size_t n, uint16_t *out) {
  uint64_t start = word_start(text, n);
  if (rr_type_from_text(text, n, out) != ERR_OK || !rr_type_is_data(*out)) return false;
  if (n <= sizeof start) *type_place(s, start) = (struct known_word){start, *out};
  return true;
}

static bool type_from_token(struct scan *s, const struct rr_token *t, uint16_t *out) {
  uint16_t type;
  if (!t->quoted && type_from_word(s, t->text, t->size, out)) return true;
  if (t->quoted || rr_type_from_text(t->text, t->size, &type) != ERR_OK) report_unknown_type(s, t);
  else SCAN_ERROR(s, place_of_token(s, t), MISTAKE_TYPE, "", "type %s can't stand in a zone", token_shown(t).text);
  return false;
}

/* Behind the last token of the entry. */
static struct place place_of_end(const struct scan *s) {
  const struct rr_token *last = &s->tokens[s->count - 1];
  return place_at(s, last->line, last->column + last->size + (last->quoted ? 2 : 0));
}

static bool read_head(struct scan *s, size_t first, struct head *out) {
  *out = (struct head){0};
  bool has_class = false;
  size_t i = first;
  for (; i < s->count; i++) {
    const struct rr_token *t = &s->tokens[i];
    enum parsed_ttl p = out->has_ttl ? TTL_NONE : ttl_from_token(t, &out->ttl);
    if (p == TTL_OK) {
      out->has_ttl = true;
      continue;
    }
    if (p != TTL_NONE) return ttl_required(s, t, &out->ttl);
    if (is_known_type(s, t)) break;
    int class = class_from_token(s, t);
    if (class < 0) return false;
    if (class == 0) break;
    if (has_class) {
      SCAN_ERROR(s, place_of_token(s, t), MISTAKE_CLASS, "", "a class given twice");
      return false;
    }
    has_class = true;
  }
  if (i == s->count) {
    SCAN_ERROR(s, place_of_end(s), MISTAKE_TYPE, "an entry is: owner TTL class type data", "the type is missing");
    return false;
  }
  out->rdata = i + 1;
  return type_from_token(s, &s->tokens[i], &out->type);
}

/* ---- RDATA ---- */

/* key="value" of SVCB and HTTPS is one token, quotes kept; the scanner gave two that touch (RFC 9460 §2.1). */
static void join_parameters(struct scan *s, size_t first) {
  size_t to = first;
  for (size_t i = first; i < s->count; i++) {
    struct rr_token *last = to > first ? &s->tokens[to - 1] : NULL;
    const struct rr_token *t = &s->tokens[i];
    bool joins = last && t->quoted && !last->quoted && last->text + last->size + 1 == t->text && t->text[-2] == '=';
    if (joins) last->size += t->size + 2;
    else s->tokens[to++] = *t;
  }
  s->count = to;
}

bool rdata_from_tokens(struct scan *s, uint16_t type, const struct rr_token *tokens, size_t count, size_t *size,
                       struct rr_text_error *error) {
  struct wr w = wr_make(s->rdata, sizeof s->rdata);
  if (rr_rdata_from_text(type, tokens, count, &s->carried.origin, &w, error) != ERR_OK) return false;
  *size = wr_used(&w);
  return true;
}

static bool read_rdata(struct scan *s, const struct head *head, size_t *size) {
  if (s->split && (head->type == RR_SVCB || head->type == RR_HTTPS)) join_parameters(s, head->rdata);
  if (s->high && refuse_non_ascii_rdata(s, head)) return false;
  size_t count = s->count - head->rdata;
  struct rr_text_error error;
  if (rdata_from_tokens(s, head->type, s->tokens + head->rdata, count, size, &error)) return true;
  struct place at = error.token < count ? place_of_token(s, &s->tokens[head->rdata + error.token]) : place_of_end(s);
  SCAN_ERROR(s, at, MISTAKE_RDATA, error.hint, "%s", error.what);
  return false;
}

/* RFC 1035 §5.1: the last TTL given; RFC 2308 §4: $TTL before it; and a SOA without any gives its minimum to itself and to
 * what follows, as people rely on since BIND does it. */
bool choose_ttl(struct scan *s, const struct head *head, size_t rdata_size, uint32_t *out) {
  if (head->has_ttl) {
    *out = s->carried.last_ttl = head->ttl;
    s->carried.has_last_ttl = s->ttl_was_given = true;
  } else if (s->carried.has_default_ttl) {
    *out = s->carried.default_ttl;
  } else if (s->carried.has_last_ttl) {
    *out = s->carried.last_ttl;
    s->took_last_ttl |= !s->ttl_was_given;
  } else if (head->type == RR_SOA && rdata_size >= 4) {
    uint32_t minimum = get_u32(s->rdata + rdata_size - 4);
    *out = s->carried.default_ttl = minimum < LIMIT_TTL ? minimum : LIMIT_TTL;
    s->carried.has_default_ttl = true;
  } else if (s->o->default_ttl) {
    *out = s->o->default_ttl;
  } else {
    SCAN_ERROR(s, place_of_token(s, &s->tokens[head->rdata - 1]), MISTAKE_NO_TTL, "start the file with a line such as $TTL 3600",
               "the record has no TTL, and nothing before it gives one");
    return false;
  }
  return true;
}

/* The owner is read right into the record that is called back, and stays there for lines that take it over. */
static bool read_owner(struct scan *s) {
  const struct rr_token *t = &s->tokens[0];
  if (!s->leading_blank) {
    s->has_owner = name_from_token(s, t, MISTAKE_OWNER, "owner", &s->record.owner);
    s->owner_was_bad = !s->has_owner;
  } else if (!s->has_owner && !s->owner_was_bad) {
    SCAN_ERROR(s, place_of_token(s, t), MISTAKE_OWNER, "start the first record of a file with its owner",
               "the line takes over the owner of the last record, and there is none");
  }
  return s->has_owner;
}

bool record_give(struct scan *s, uint16_t type, size_t rdata_size, struct place at, struct place rdata_at) {
  struct zonefile_record *r = &s->record;
  r->type = type;
  r->rdata = s->rdata;
  r->rdata_size = (uint16_t)rdata_size;
  r->place = at;
  r->rdata_place = rdata_at;
  if (s->o->record(s->o->arg, r)) return true;
  s->stop = ERR_REFUSED;
  return false;
}

bool entry_record(struct scan *s) {
  bool has_owner = read_owner(s);
  struct head head;
  size_t size;
  if (!read_head(s, s->leading_blank ? 0 : 1, &head)) return false;
  if (!read_rdata(s, &head, &size) || !choose_ttl(s, &head, size, &s->record.ttl)) return false;
  if (!has_owner) return false;
  return record_give(s, head.type, size, place_of_token(s, &s->tokens[0]),
                     head.rdata < s->count ? place_of_token(s, &s->tokens[head.rdata]) : place_of_end(s));
}
