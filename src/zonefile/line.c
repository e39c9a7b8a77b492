/* The line that most lines of a large file are: an owner, TTL and class or not, a type, RDATA, all in plain words. It goes straight
 * to its record, for then the general way (token.c, entry.c) does most of its work in vain: one look at 64 octets shows all words
 * of the head; TTL and type are known by their octets from lines before; an address is read where it stands. Only RDATA of other
 * types becomes tokens. Whatever looks otherwise (quotes, escapes, parentheses, comments, directives, an owner taken over) or is
 * wrong is left to the general way with nothing changed, so that is the only one that tells mistakes. Both give the same:
 * tests/fuzz/zonefile.c compares them. */
#include "zonefile/scan_priv.h"

#include <string.h>

enum {
  LINE_BYTES = 64, /* that are looked at */
  LINE_TOKENS = 32 /* of RDATA */
};

/* Words that are left of the 64 octets: where they start, and the first octet behind each. */
struct line {
  const uint8_t *at;
  uint64_t starts, ends;
};

struct word {
  const char *text;
  size_t size;
};

/* False: there is none, or it goes on behind the 64 octets. */
static inline bool next_word(struct line *l, struct word *w) {
  if (!l->ends) return false;
  unsigned start = (unsigned)__builtin_ctzll(l->starts), end = (unsigned)__builtin_ctzll(l->ends);
  l->starts &= l->starts - 1;
  l->ends &= l->ends - 1;
  *w = (struct word){(const char *)l->at + start, end - start};
  return true;
}

static bool read_ttl(struct scan *s, const struct word *w, uint32_t *out) {
  uint64_t start = word_start(w->text, w->size);
  if (start != s->ttl.text || w->size > sizeof start) {
    uint32_t ttl;
    if (ttl_from_token(&(struct rr_token){.text = w->text, .size = (uint32_t)w->size}, &ttl) != TTL_OK) return false;
    if (w->size > sizeof start) start = 0;
    s->ttl = (struct known_word){start, ttl};
  }
  *out = s->ttl.value;
  return true;
}

static inline bool is_class_in(const struct word *w) {
  return w->size == 2 && ascii_lower((uint8_t)w->text[0]) == 'i' && ascii_lower((uint8_t)w->text[1]) == 'n';
}

static bool read_head(struct scan *s, struct line *l, struct head *out) {
  bool has_class = false;
  out->has_ttl = false;
  for (struct word w; next_word(l, &w);) {
    if (!out->has_ttl && w.text[0] >= '0' && w.text[0] <= '9') {
      if (!read_ttl(s, &w, &out->ttl)) return false;
      out->has_ttl = true;
    } else if (!has_class && is_class_in(&w)) {
      has_class = true;
    } else {
      return type_from_word(s, w.text, w.size, &out->type);
    }
  }
  return false;
}

/* An address that stands in the 64 octets, and behind it nothing. `others`: what is neither word nor blank. */
static inline const uint8_t *read_address(struct scan *s, struct line *l, uint64_t others, size_t *size) {
  const uint8_t *end = l->at + (others ? __builtin_ctzll(others) : 0);
  struct word w;
  if (!next_word(l, &w) || l->starts || *end != '\n' || !rr_ipv4_from_text(w.text, w.size, s->rdata)) return NULL;
  *size = 4;
  return end;
}

static const uint8_t *read_rdata(struct scan *s, uint16_t type, const uint8_t *first, size_t *size) {
  struct words words = {s->tokens, 0, s->capacity < LINE_TOKENS ? s->capacity : LINE_TOKENS, s->cur.line_start, s->cur.line};
  struct rr_text_error error;
  const uint8_t *end = s->words.find(first, &words);
  if (*end != '\n' || end - first > LIMIT_TOKEN_BYTES) return NULL;
  return rdata_from_tokens(s, type, s->tokens, words.count, size, &error) ? end : NULL;
}

/* A label's length stands where the dot before it was. */
static inline bool read_owner(struct scan *s, const uint8_t *text, size_t n, uint64_t dots) {
  struct name *out = &s->record.owner;
  bool absolute = text[n - 1] == '.';
  const struct name *behind = absolute ? &name_root : &s->carried.origin;
  size_t own = n + !absolute, start = 0;
  dots &= (UINT64_C(1) << n) - 1;
  if (dots & (dots << 1 | 1) || own + behind->size > LIMIT_NAME_BYTES || (n == 1 && *text == '@')) return false;
  memcpy(out->octets + 1, text, LINE_BYTES);
  out->labels = behind->labels;
  for (dots |= absolute ? 0 : UINT64_C(1) << n; dots; dots &= dots - 1) {
    size_t dot = (size_t)__builtin_ctzll(dots);
    out->octets[start] = (uint8_t)(dot - start);
    out->labels++;
    start = dot + 1;
  }
  bytes_copy(out->octets + own, behind->octets, behind->size);
  out->size = (uint8_t)(own + behind->size);
  return true;
}

bool line_record(struct scan *s) {
  struct cursor *c = &s->cur;
  if (!s->words.look) return false;
  struct line_octets o = s->words.look(c->at);
  uint64_t others = ~(o.word | o.blank), words = o.word & ((others & -others) - 1);
  struct line l = {c->at, words & ~(words << 1), ~words & words << 1};
  struct word owner;
  struct head head;
  size_t size;
  if (!(o.word & 1) || *c->at == '$' || !next_word(&l, &owner) || !read_head(s, &l, &head) || !l.starts) return false;
  if (!head.has_ttl && !s->carried.has_default_ttl && !s->carried.has_last_ttl) return false;
  const uint8_t *data = l.at + __builtin_ctzll(l.starts);
  const uint8_t *end = head.type == RR_A && l.ends ? read_address(s, &l, others, &size) : read_rdata(s, head.type, data, &size);
  if (!end || !read_owner(s, l.at, owner.size, o.dot) || !choose_ttl(s, &head, size, &s->record.ttl)) return false;
  s->has_owner = true;
  s->owner_was_bad = false;
  uint32_t data_at = (uint32_t)(data - c->line_start) + 1;
  (void)record_give(s, head.type, size, (struct place){s->src->path, c->line, (uint32_t)(c->at - c->line_start) + 1},
                    (struct place){s->src->path, c->line, data_at});
  c->at = c->line_start = end + 1;
  c->line++;
  return true;
}
