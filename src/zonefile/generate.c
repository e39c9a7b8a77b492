/* $GENERATE first-last[/step] owner [TTL] [class] type data: one record for each number, by putting the number into the text.
 *
 *   $                        the number
 *   ${offset,width,base}     the number plus offset, filled with zeros to width, in base d o x X; n or N: as hexadecimal digits
 *                            from the lowest up, a dot between them, for ip6.arpa
 *   \$ and $$                a dollar sign
 *
 * A habit of BIND that many files rely on. One quoted string as data stands for the text inside it. */
#include "zonefile/scan_priv.h"

#include <stdio.h>
#include <string.h>

struct range {
  uint32_t first, last, step;
};

struct modifier {
  int64_t offset;
  uint32_t width;
  char base;
};

enum { NUMBER_MAX = 2147483647 };

/* Decimal digits at *p, at most NUMBER_MAX. */
static bool take_number(const char **p, const char *end, uint32_t *out) {
  uint64_t n = 0;
  const char *start = *p;
  for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
    n = n * 10 + (uint64_t)(**p - '0');
    if (n > NUMBER_MAX) return false;
  }
  *out = (uint32_t)n;
  return *p > start;
}

static bool take_char(const char **p, const char *end, char c) {
  if (*p >= end || **p != c) return false;
  (*p)++;
  return true;
}

static bool read_range(struct scan *s, const struct rr_token *t, struct range *out) {
  const char *p = t->text, *end = t->text + t->size;
  struct range r = {.step = 1};
  bool ok = take_number(&p, end, &r.first) && take_char(&p, end, '-') && take_number(&p, end, &r.last);
  if (ok && p < end) ok = take_char(&p, end, '/') && take_number(&p, end, &r.step) && r.step > 0;
  if (!ok || p != end || r.first > r.last) {
    SCAN_ERROR(s, place_of_token(s, t), MISTAKE_GENERATE, "first-last or first-last/step, such as 1-254 or 0-255/2",
               "invalid range: %s", token_shown(t).text);
    return false;
  }
  uint32_t records = (r.last - r.first) / r.step + 1;
  if (records > LIMIT_GENERATE_RECORDS) {
    SCAN_ERROR(s, place_of_token(s, t), MISTAKE_GENERATE, "split it into several lines",
               "the range makes %u records; a line makes at most %d", records, LIMIT_GENERATE_RECORDS);
    return false;
  }
  *out = r;
  return true;
}

/* Behind "${": offset[,width[,base]]} */
static bool take_modifier(const char **p, const char *end, struct modifier *out) {
  uint32_t offset = 0;
  bool minus = take_char(p, end, '-');
  if (!minus) (void)take_char(p, end, '+');
  if (!take_number(p, end, &offset)) return false;
  out->offset = minus ? -(int64_t)offset : offset;
  if (take_char(p, end, ',')) {
    if (!take_number(p, end, &out->width) || out->width > LIMIT_GENERATE_WIDTH) return false;
    if (take_char(p, end, ',')) {
      if (*p >= end || !strchr("doxXnN", **p)) return false;
      out->base = *(*p)++;
    }
  }
  return take_char(p, end, '}');
}

/* Hexadecimal digits from the lowest up with dots between. The width counts digits and dots, so an even one ends in a dot. */
static void add_nibbles(struct buf *out, uint32_t number, uint32_t width, bool upper) {
  uint32_t used = 0;
  do {
    buf_add_byte(out, (uint8_t)(upper ? "0123456789ABCDEF" : "0123456789abcdef")[number & 15]);
    number >>= 4;
    used++;
    if (number || used < width) {
      buf_add_byte(out, '.');
      used++;
    }
  } while (number || used < width);
}

static bool add_number(struct buf *out, uint32_t number, const struct modifier *m) {
  int64_t n = (int64_t)number + m->offset; /* never below -NUMBER_MAX; the digits of other bases are those of 32 bits */
  if (n > NUMBER_MAX) return false;
  int width = (int)m->width;
  switch (m->base) {
  case 'o':
    buf_printf(out, "%0*o", width, (unsigned)n);
    break;
  case 'x':
    buf_printf(out, "%0*x", width, (unsigned)n);
    break;
  case 'X':
    buf_printf(out, "%0*X", width, (unsigned)n);
    break;
  case 'n':
  case 'N':
    add_nibbles(out, (uint32_t)n, m->width, m->base == 'N');
    break;
  default:
    buf_printf(out, "%0*d", width, (int)n);
    break;
  }
  return true;
}

static bool report_modifier(struct scan *s, const struct rr_token *t, const char *what) {
  struct place at = {s->src->path, t->line, t->column};
  SCAN_ERROR(s, at, MISTAKE_GENERATE, "${offset,width,base} with base d, o, x, X, n or N; write \\$ for a dollar sign", "%s: %s",
             what, token_shown(t).text);
  return false;
}

static bool add_text(struct scan *s, const struct rr_token *t, uint32_t number, struct buf *out) {
  const char *p = t->text, *end = t->text + t->size;
  while (p < end) {
    if (*p == '\\' && p + 1 < end) {
      buf_add(out, p, 2);
      p += 2;
    } else if (*p != '$') {
      buf_add_byte(out, (uint8_t)*p++);
    } else if (p++, take_char(&p, end, '$')) {
      buf_add_text(out, "\\$");
    } else {
      struct modifier m = {.base = 'd'};
      if (take_char(&p, end, '{') && !take_modifier(&p, end, &m)) return report_modifier(s, t, "invalid modifier");
      if (!add_number(out, number, &m)) return report_modifier(s, t, "the offset leads beyond 2147483647");
    }
  }
  return true;
}

/* A quoted token whose text stands for the tokens in it: without the quotes, \" being a quote. */
static struct rr_token unquoted(struct arena *a, const struct rr_token *t) {
  struct rr_token out = *t;
  char *text = arena_alloc(a, t->size + 1);
  out.size = 0;
  out.quoted = false;
  for (uint32_t i = 0; text && i < t->size; i++) {
    if (t->text[i] == '\\' && i + 1 < t->size && t->text[i + 1] == '"') i++;
    else if (t->text[i] == '\\' && i + 1 < t->size) text[out.size++] = t->text[i++];
    text[out.size++] = t->text[i];
  }
  out.text = text ? text : "";
  return out;
}

struct line {
  struct rr_token *tokens; /* owner and what follows */
  size_t count;
};

/* The line for one number, scanned as if it stood in the file. */
static bool emit(struct scan *s, const struct line *line, uint32_t number, struct buf *text) {
  buf_clear(text);
  for (size_t i = 0; i < line->count; i++) {
    const struct rr_token *t = &line->tokens[i];
    bool touches = i > 0 && t->quoted && t->text[-2] == '=' && t->text - 1 == t[-1].text + t[-1].size;
    if (i && !touches) buf_add_byte(text, ' ');
    if (t->quoted) buf_add_byte(text, '"');
    if (!add_text(s, t, number, text)) return false;
    if (t->quoted) buf_add_byte(text, '"');
  }
  static const uint8_t pad[SCAN_PAD_BYTES];
  buf_add(text, pad, sizeof pad);
  if (text->failed) {
    s->stop = ERR_MEMORY;
    return false;
  }
  text->size -= sizeof pad;
  s->cur = (struct cursor){text->data, text->data + text->size, text->data, 1, NULL};
  enum gathered g = gather_entry(s);
  if (g == GATHERED_ENTRY) return entry_record(s);
  return g == GATHERED_END || (!s->bad && report_modifier(s, &line->tokens[0], "the line is empty"));
}

static bool generate(struct scan *s, const struct range *range, const struct line *line) {
  struct cursor cur = s->cur;
  struct buf text = {0};
  bool ok = true;
  s->generate = &line->tokens[line->count - 1];
  for (uint64_t n = range->first; ok && n <= range->last; n += range->step)
    ok = emit(s, line, (uint32_t)n, &text);
  s->generate = NULL;
  s->cur = cur;
  buf_done(&text);
  return ok;
}

bool entry_generate(struct scan *s) {
  if (s->count < 5) {
    SCAN_ERROR(s, place_of_token(s, &s->tokens[0]), MISTAKE_GENERATE, "$GENERATE first-last[/step] owner [TTL] [class] type data",
               "too few arguments");
    return false;
  }
  struct range range;
  if (!read_range(s, &s->tokens[1], &range)) return false;
  struct arena memory = {0};
  struct line line = {.count = s->count - 2};
  line.tokens = arena_copy(&memory, s->tokens + 2, line.count * sizeof *line.tokens);
  bool ok = false;
  if (!line.tokens) {
    s->stop = ERR_MEMORY;
  } else {
    struct rr_token *last = &line.tokens[line.count - 1];
    /* Only where it is all the data: what stands before it is then the type. */
    uint16_t type;
    if (last->quoted && rr_type_from_text(last[-1].text, last[-1].size, &type) == ERR_OK) *last = unquoted(&memory, last);
    ok = generate(s, &range, &line);
  }
  arena_done(&memory);
  return ok;
}
