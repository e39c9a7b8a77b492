/* What the parts of the scanner share. One scan walks a stack of files:
 *
 *   scan.c       files and entries: which line comes next, directive or record, where to go on after a mistake
 *   token.c      bytes -> tokens of one entry (a line, or several in parentheses)
 *   entry.c      tokens -> owner, TTL, class, type, RDATA
 *   line.c       a line like most, straight to its record
 *   directive.c  $ORIGIN $TTL $INCLUDE
 *   generate.c   $GENERATE
 *   word.c       words and the blanks between them, many octets at once
 *   source.c     opening and reading files, and what may be included
 *   rear.c       the rear half of a large file, by another thread
 *
 * Every function that returns false has reported why; the entry it was at is given up. */
#ifndef ZONEFILE_SCAN_PRIV_H
#define ZONEFILE_SCAN_PRIV_H

#include "zonefile/zonefile.h"

enum mistake {
#define MISTAKE(id, name, doc) MISTAKE_##id,
#include "zonefile/mistakes.def"
#undef MISTAKE
};

/* Behind every text stand so many NULs that are not counted: the scanner needs no bounds check a byte, and may look at many at
 * once. */
enum { SCAN_PAD_BYTES = 64 };

struct words { /* tokens of one line, put behind those that are in the list */
  struct rr_token *list;
  size_t count, room;
  const uint8_t *line_start;
  uint32_t line;
};

/* The words from `p` on that have nothing but blanks between them, and where it goes on: at what is neither word nor blank, or at a
 * word with an escape or octets outside ASCII. */
typedef const uint8_t *words_find(const uint8_t *p, struct words *w);
/* Bit i: what octet i of the 64 from `p` on is. */
struct line_octets {
  uint64_t word, blank, dot;
};
typedef struct line_octets line_look(const uint8_t *p);
struct word_ways {
  words_find *find;
  line_look *look; /* NULL: not with this width */
};
enum word_width { WORD_PORTABLE, WORD_SSE2, WORD_NEON = WORD_SSE2, WORD_AVX2, WORD_BEST = WORD_AVX2 };
struct word_ways word_ways_of(enum word_width width); /* or the next narrower one that the processor has */

/* One file, padded. */
struct source {
  const char *path;        /* as shown in places */
  struct source *includer; /* NULL: the file asked for */
  uint8_t *bytes;
  size_t size;
  bool on_disk; /* or from memory */
  bool is_kept; /* the bytes are the options' kept file */
  uint64_t device, inode;
};

/* Where in the text of a source. */
struct cursor {
  const uint8_t *at;
  const uint8_t *end; /* *end is NUL */
  const uint8_t *line_start;
  uint32_t line;
  const uint8_t *mark; /* at the first entry from there on rear_turn is called; NULL: nowhere */
};

/* What lines take over from those before them, beside the owner. */
struct carried {
  struct name origin;
  bool has_default_ttl, has_last_ttl;
  uint32_t default_ttl; /* $TTL, or the minimum of a SOA without TTL */
  uint32_t last_ttl;    /* the last explicit one */
};

/* What stands between owner and RDATA. */
struct head {
  bool has_ttl;
  uint32_t ttl;
  uint16_t type;
  size_t rdata; /* index of the first token of RDATA */
};

/* A word of up to 8 octets and what it means. */
struct known_word {
  uint64_t text; /* word_start */
  uint32_t value;
};
enum { KNOWN_TYPES = 8 };

struct scan {
  const struct zonefile_options *o;
  struct diags *diags;
  struct arena paths; /* of files, for as long as the scan lasts: places point at them */
  char *include_root; /* resolved; NULL until the first $INCLUDE */
  const struct source *src;
  unsigned depth;       /* of $INCLUDE */
  uint64_t files_bytes; /* read so far, for LIMIT_ZONE_FILE_BYTES */
  unsigned files_count;
  enum err stop; /* not ERR_OK: end the scan with it */
  struct word_ways words;

  struct cursor cur;
  struct rr_token *tokens; /* of the current entry */
  size_t count, capacity;
  bool leading_blank;              /* the entry starts with white space: its owner is the last one */
  bool high;                       /* some token holds octets over 127 */
  bool split;                      /* some token ends in = and touches a quoted one */
  bool binary;                     /* the file turned out to be no text */
  bool bad;                        /* the entry had a mistake that was reported already */
  unsigned rewinds;                /* how often an open parenthesis was given up (token.c) */
  const struct rr_token *generate; /* inside $GENERATE: where every mistake is shown; else NULL */

  struct carried carried;
  bool ttl_was_given;            /* a TTL was, here: `last_ttl` is not from before any more */
  bool took_last_ttl;            /* some record has a `last_ttl` from before */
  struct zonefile_rear *rear;    /* NULL: there is none, or it is behind us */
  struct zonefile_record record; /* the last one; its owner is taken over by lines without one */
  bool has_owner;
  bool owner_was_bad;                        /* the entries that take it over are wrong for that alone: said once */
  struct known_word types[KNOWN_TYPES], ttl; /* as read before */
  uint8_t rdata[65535];                      /* last, for it is not cleared */
};

const char *mistake_name(enum mistake m);
struct place place_of_token(const struct scan *s, const struct rr_token *t);
struct place place_at(const struct scan *s, uint32_t line, uint32_t column);

/* SCAN_ERROR(s, place, MISTAKE_TTL, hint, format, ...) */
#define SCAN_ERROR(s, place, mistake, hint, ...) \
  diag_add((s)->diags, SEVERITY_ERROR, (place), mistake_name(mistake), (hint), __VA_ARGS__)

/* A token for a message: cut short, with everything but printable ASCII escaped. */
enum { SHOWN_BYTES = 64 };
struct shown {
  char text[SHOWN_BYTES + 8];
};
struct shown token_shown(const struct rr_token *t);

/* token.c */
enum gathered { GATHERED_ENTRY, GATHERED_NOTHING, GATHERED_END };
/* The tokens of the next entry. NOTHING: an empty line, or one given up. END: the source has no more. */
enum gathered gather_entry(struct scan *s);
bool token_is(const struct rr_token *t, const char *word); /* unquoted, ignoring case */

/* entry.c */
enum parsed_ttl { TTL_NONE, TTL_OK, TTL_TOO_LARGE, TTL_MALFORMED };
enum parsed_ttl ttl_from_token(const struct rr_token *t, uint32_t *out); /* NONE: does not start with a digit */
bool ttl_required(struct scan *s, const struct rr_token *t, uint32_t *out);
bool name_from_token(struct scan *s, const struct rr_token *t, enum mistake m, const char *what, struct name *out);
/* The first octets of a word as a number, zeros behind its end. There are more behind it (SCAN_PAD_BYTES). */
static inline uint64_t word_start(const char *text, size_t n) {
  uint64_t x = get_u64_low(text);
  return n < sizeof x ? x & ((UINT64_C(1) << 8 * n) - 1) : x;
}
/* Where a type is noted whose name starts so. */
static inline struct known_word *type_place(struct scan *s, uint64_t start) {
  return &s->types[start * UINT64_C(0x9e3779b97f4a7c15) >> 61];
}
_Static_assert(KNOWN_TYPES == 1 << 3, "64 - 61");
bool type_from_table(struct scan *s, const char *text, size_t n, uint16_t *out);
/* False: it is none, or can't stand in a zone. */
static inline bool type_from_word(struct scan *s, const char *text, size_t n, uint16_t *out) {
  uint64_t start = word_start(text, n);
  const struct known_word *known = type_place(s, start);
  if (known->text != start || n > sizeof start) return type_from_table(s, text, n, out);
  *out = (uint16_t)known->value;
  return true;
}
/* The RDATA of these tokens, into the scan's. False: only `error` was set. */
bool rdata_from_tokens(struct scan *s, uint16_t type, const struct rr_token *tokens, size_t count, size_t *size,
                       struct rr_text_error *error);
bool choose_ttl(struct scan *s, const struct head *head, size_t rdata_size, uint32_t *out);
/* Calls the record back; owner, TTL and RDATA are there already. */
bool record_give(struct scan *s, uint16_t type, size_t rdata_size, struct place at, struct place rdata_at);
/* The tokens as a record, which is called back. */
bool entry_record(struct scan *s);

/* line.c */
/* The record of the line that the cursor is at. False: nothing was done, gather_entry is to look at it. */
bool line_record(struct scan *s);

/* directive.c, generate.c */
bool entry_directive(struct scan *s);
bool entry_generate(struct scan *s);

/* source.c */
/* Opens and reads a file. `at` is where it is asked for. The path is used in places as it is given. */
bool source_open(struct scan *s, const char *path, struct place at, struct source *out);
bool source_memory(struct scan *s, const char *name, const uint8_t *bytes, size_t n, struct source *out);
void source_close(struct source *src);
/* The path of a file to include, checked against the tree; in the arena. NULL: reported. */
const char *include_path(struct scan *s, const struct rr_token *t);

/* scan.c */
struct scan *scan_new(const struct zonefile_options *o, struct diags *diags); /* NULL: out of memory */
void scan_done(struct scan *s);
/* All entries of `src`, with the state of the includer kept. */
void scan_source(struct scan *s, struct source *src);
/* What gather_entry found. */
void scan_entry(struct scan *s);

/* rear.c */
/* Before the first entry of the file asked for. */
void rear_begin(struct scan *s);
/* At the cursor's mark. */
void rear_turn(struct scan *s);
/* After the last entry, or where the scan stopped. */
void rear_end(struct scan *s);

#endif
