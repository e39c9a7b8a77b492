/* Bytes to the tokens of one entry (RFC 1035 §5.1): the only code that looks at every byte of a file. */
#include "zonefile/scan_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum byte_class {
  C_WORD = 0, /* goes on with a word; 0, so that the inner loop is one test */
  C_HIGH,     /* the same, outside ASCII */
  C_BACKSLASH,
  C_BLANK,
  C_NEWLINE,
  C_COMMENT,
  C_OPEN,
  C_CLOSE,
  C_QUOTE,
  C_END,     /* NUL: the end of the text, or a sign that it is none */
  C_CONTROL, /* no text holds it outside of quotes */
};

static const uint8_t class_of[256] = {
    [0] = C_END,      [1 ... 8] = C_CONTROL,   ['\t'] = C_BLANK,     ['\n'] = C_NEWLINE, [11 ... 12] = C_BLANK,
    ['\r'] = C_BLANK, [14 ... 31] = C_CONTROL, [' '] = C_BLANK,      ['"'] = C_QUOTE,    ['('] = C_OPEN,
    [')'] = C_CLOSE,  [';'] = C_COMMENT,       ['\\'] = C_BACKSLASH, [127] = C_CONTROL,  [128 ... 255] = C_HIGH,
};

enum { REWINDS_MAX = 16 }; /* unclosed parentheses after which the rest of the scan is not saved: keeps a scan linear */

/* What is remembered of the outermost open parenthesis. */
struct parentheses {
  unsigned depth;
  struct cursor opened;
};

static uint32_t column_of(const struct cursor *c, const uint8_t *p) {
  return (uint32_t)(p - c->line_start) + 1;
}

static struct place place_of(const struct scan *s, const struct cursor *c) {
  return place_at(s, c->line, column_of(c, c->at));
}

static bool grow_tokens(struct scan *s) {
  size_t capacity = s->capacity ? 2 * s->capacity : 64;
  struct rr_token *tokens = realloc(s->tokens, capacity * sizeof *tokens);
  if (!tokens) {
    s->stop = ERR_MEMORY;
    return false;
  }
  s->tokens = tokens;
  s->capacity = capacity;
  return true;
}

bool token_is(const struct rr_token *t, const char *word) {
  return !t->quoted && strlen(word) == t->size && strncasecmp(t->text, word, t->size) == 0;
}

/* Adds what stands between `start` and `end`; the cursor is still where the token starts. */
static inline void add(struct scan *s, const uint8_t *start, const uint8_t *end, bool quoted) {
  const struct cursor *c = &s->cur;
  if (s->bad) return;
  if (end - start > LIMIT_TOKEN_BYTES) {
    SCAN_ERROR(s, place_of(s, c), MISTAKE_TOO_LONG, "", "a token of %zu octets; at most %d can be", (size_t)(end - start),
               LIMIT_TOKEN_BYTES);
    s->bad = true;
    return;
  }
  if (s->count == s->capacity && !grow_tokens(s)) {
    s->bad = true;
    return;
  }
  s->tokens[s->count++] = (struct rr_token){(const char *)start, (uint32_t)(end - start), c->line, column_of(c, c->at), quoted};
}

/* Behind a backslash and what it escapes; NULL at the end of the line. */
static const uint8_t *skip_escape(struct scan *s, const uint8_t *p) {
  const uint8_t *next = p + 1;
  if (*next == '\n' || next >= s->cur.end || (*next == '\r' && next[1] == '\n')) return NULL;
  if (class_of[*next] == C_HIGH) s->high = true;
  return next + 1;
}

/* One that may have escapes or octets outside ASCII. */
static void take_word(struct scan *s) {
  struct cursor *c = &s->cur;
  const uint8_t *p = c->at;
  for (;;) {
    if (class_of[*p] == C_WORD) {
      p++;
    } else if (class_of[*p] == C_HIGH) {
      s->high = true;
      p++;
    } else if (class_of[*p] == C_BACKSLASH) {
      const uint8_t *behind = skip_escape(s, p);
      if (!behind) {
        if (!s->bad)
          SCAN_ERROR(s, place_at(s, c->line, column_of(c, p)), MISTAKE_ESCAPE, "write \\\\ for a backslash",
                     "a backslash at the end of a line");
        s->bad = true;
        p++;
        break;
      }
      p = behind;
    } else {
      break;
    }
  }
  add(s, c->at, p, false);
  c->at = p;
}

static void take_words(struct scan *s) {
  struct cursor *c = &s->cur;
  struct words w = {s->tokens, s->count, s->bad ? s->count : s->capacity, c->line_start, c->line};
  const uint8_t *rest = s->words.find(c->at, &w);
  size_t first = s->count;
  while (s->count < w.count && w.list[s->count].size <= LIMIT_TOKEN_BYTES)
    s->count++;
  c->at = s->count < w.count ? (const uint8_t *)w.list[s->count].text : rest;
  if (s->count < w.count || w.count == first) take_word(s); /* no room, an escape, too long */
}

static void take_quoted(struct scan *s) {
  struct cursor *c = &s->cur;
  const uint8_t *p = c->at + 1;
  while (*p != '"') {
    if (*p == '\n' || p >= c->end) break;
    if (*p == '\\') {
      const uint8_t *behind = skip_escape(s, p);
      p = behind ? behind : p + 1;
    } else if (*p == 0) {
      break;
    } else {
      if (*p >= 128) s->high = true;
      p++;
    }
  }
  if (*p == '"') {
    const struct rr_token *last = s->count ? &s->tokens[s->count - 1] : NULL;
    if (last && !last->quoted && last->text + last->size == (const char *)c->at && c->at[-1] == '=') s->split = true;
    add(s, c->at + 1, p, true);
    c->at = p + 1;
    return;
  }
  if ((*p == '\n' || p >= c->end) && !s->bad)
    SCAN_ERROR(s, place_of(s, c), MISTAKE_QUOTE, "close it with \" on the same line; write \\\" for a quote inside",
               "a quoted string opens here and is not closed on its line");
  s->bad |= *p == '\n' || p >= c->end; /* a NUL is for the caller to report */
  c->at = p;
}

static void report_binary(struct scan *s) {
  struct cursor *c = &s->cur;
  SCAN_ERROR(s, place_of(s, c), MISTAKE_BINARY, "a zone file is plain text; is this the right file?",
             *c->at == 0 ? "a NUL octet: the file is not text, the rest was not read"
                         : "a control character (%u): the file is not text, the rest was not read",
             *c->at);
  s->bad = s->binary = true;
  c->at = c->end;
}

static void next_line(struct cursor *c) {
  c->at++;
  c->line++;
  c->line_start = c->at;
}

static void skip_line(struct cursor *c) {
  const uint8_t *newline = memchr(c->at, '\n', (size_t)(c->end - c->at));
  c->at = newline ? newline : c->end;
}

/* Whether a line looks like the start of an entry rather than like the inside of parentheses. */
static bool starts_entry(const struct cursor *c) {
  uint8_t class = class_of[*c->at];
  return class == C_WORD || class == C_HIGH || class == C_BACKSLASH;
}

/* Reports a parenthesis that swallowed what follows, and goes back to the first line behind it that looks like an entry. */
static void give_up_parentheses(struct scan *s, const struct parentheses *par) {
  struct place at = place_of(s, &par->opened);
  if (!s->bad && s->count > LIMIT_LINE_TOKENS)
    SCAN_ERROR(s, at, MISTAKE_TOO_LONG, "close it with )", "a ( opens here and more than %d tokens follow without a )",
               LIMIT_LINE_TOKENS);
  else if (!s->bad) SCAN_ERROR(s, at, MISTAKE_PARENTHESES, "close it with )", "a ( opens here and is not closed");
  s->bad = true;
  if (s->binary || s->rewinds++ >= REWINDS_MAX) return;
  s->cur = par->opened;
  do {
    skip_line(&s->cur);
    if (s->cur.at == s->cur.end) return;
    next_line(&s->cur);
  } while (!starts_entry(&s->cur));
}

static void open_parenthesis(struct scan *s, struct parentheses *par) {
  if (par->depth++ == 0) par->opened = s->cur;
  s->cur.at++;
}

static void close_parenthesis(struct scan *s, struct parentheses *par) {
  if (par->depth > 0) {
    par->depth--;
  } else if (!s->bad) {
    SCAN_ERROR(s, place_of(s, &s->cur), MISTAKE_PARENTHESES, "", "a ) without a ( before it");
    s->bad = true;
  }
  s->cur.at++;
}

/* At the end of a line or of the text: whether the entry ends here. */
static bool ends_entry(struct scan *s, struct parentheses *par) {
  struct cursor *c = &s->cur;
  bool at_end = c->at >= c->end;
  if (!at_end) next_line(c);
  if (par->depth == 0) return true;
  if (at_end) give_up_parentheses(s, par);
  return at_end;
}

enum gathered gather_entry(struct scan *s) {
  struct cursor *c = &s->cur;
  if (c->at >= c->end) return GATHERED_END;
  struct parentheses par = {0};
  s->count = 0;
  s->high = s->split = s->bad = false;
  s->leading_blank = class_of[*c->at] == C_BLANK;
  for (;;) {
    switch ((enum byte_class)class_of[*c->at]) {
    case C_WORD:
      take_words(s);
      break;
    case C_HIGH:
    case C_BACKSLASH:
      take_word(s);
      break;
    case C_QUOTE:
      take_quoted(s);
      break;
    case C_BLANK:
      c->at++;
      break;
    case C_COMMENT:
      skip_line(c);
      break;
    case C_OPEN:
      open_parenthesis(s, &par);
      break;
    case C_CLOSE:
      close_parenthesis(s, &par);
      break;
    case C_END:
    case C_NEWLINE:
      if (*c->at == 0 && c->at < c->end) report_binary(s);
      else if (ends_entry(s, &par)) return s->count && !s->bad ? GATHERED_ENTRY : GATHERED_NOTHING;
      break;
    case C_CONTROL:
      report_binary(s);
      break;
    }
    if (s->count > LIMIT_LINE_TOKENS) {
      if (par.depth) {
        give_up_parentheses(s, &par);
        return GATHERED_NOTHING;
      }
      if (!s->bad) SCAN_ERROR(s, place_at(s, c->line, 1), MISTAKE_TOO_LONG, "", "a line of more than %d tokens", LIMIT_LINE_TOKENS);
      s->bad = true;
      s->count = 0;
    }
  }
}
