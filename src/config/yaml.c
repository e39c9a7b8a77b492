#include "config/yaml_priv.h"

#include "base/limits.h"
#include "config/pack_priv.h"

#include <stdlib.h>
#include <yaml.h>

enum { NODES_AT_ONCE = 256, FEW_KEYS = 24 };

struct open_node {
  struct node *node, *last; /* last: newest child */
  const char *key;          /* NULL: in a map, a key comes next */
  uint32_t key_line, key_column;
};

struct reader {
  struct arena *arena;
  struct pack texts;
  const struct source *source;
  struct diags *diags;
  const uint8_t *bytes;
  size_t size;
  size_t lines;
  bool ascii;
  struct {                          /* where the last mark stood; marks go forward, so that the text is walked once */
    size_t line, start, column, at; /* `start` of its line, `at` of itself */
  } last;
  struct node *spare;
  size_t spare_count;
  struct open_node open[LIMIT_CONFIG_DEPTH];
  size_t depth;
  struct node *root;
  bool ended;
};

/* Octets of the line break at `at`, 0 if there is none; those that libyaml counts (YAML 1.1 §5.4). */
static size_t break_size(const struct reader *r, size_t at) {
  const uint8_t *p = r->bytes + at;
  size_t left = r->size - at;
  if (*p == '\n') return 1;
  if (*p == '\r') return left > 1 && p[1] == '\n' ? 2 : 1;
  if (left > 1 && p[0] == 0xc2 && p[1] == 0x85) return 2;
  return left > 2 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9) ? 3 : 0;
}

/* Goes to the mark, or to the end of the text if libyaml means a place behind it. */
static size_t mark_offset(struct reader *r, yaml_mark_t mark) {
  if (mark.line < r->last.line) r->last.line = r->last.start = r->last.column = r->last.at = 0;
  if (mark.line == r->last.line && mark.column < r->last.column) {
    r->last.column = 0;
    r->last.at = r->last.start;
  }
  size_t at = r->last.at;
  while (r->last.line < mark.line && at < r->size) {
    size_t broken = break_size(r, at);
    at += broken ? broken : 1;
    if (!broken) continue;
    r->last.line++;
    r->last.start = at;
    r->last.column = 0;
  }
  for (; r->last.line == mark.line && r->last.column < mark.column && at < r->size; r->last.column++) {
    at++;
    while (at < r->size && (r->bytes[at] & 0xc0) == 0x80)
      at++;
  }
  if (r->last.line < mark.line) r->last.column = SIZE_MAX; /* behind the end: whatever comes is before it */
  r->last.at = at;
  return at;
}

/* Line of a place, 1-based; libyaml may mean one behind the end of the text, where something is missing. */
static uint32_t mark_line(const struct reader *r, yaml_mark_t mark) {
  return (uint32_t)(mark.line < r->lines ? mark.line + 1 : r->lines);
}

static size_t count_lines(const struct reader *r) {
  size_t lines = 1;
  for (size_t at = 0, broken; at < r->size; at += broken ? broken : 1) {
    broken = break_size(r, at);
    lines += broken != 0;
  }
  return lines;
}

/* libyaml counts columns in characters, places count bytes. */
static uint32_t mark_column(struct reader *r, yaml_mark_t mark) {
  if (r->ascii) return (uint32_t)mark.column + 1;
  return (uint32_t)(mark_offset(r, mark) - r->last.start) + 1;
}

static struct place mark_place(struct reader *r, yaml_mark_t mark) {
  size_t at = mark_offset(r, mark);
  return (struct place){r->source->name, (uint32_t)r->last.line + 1, (uint32_t)(at - r->last.start) + 1};
}

static void complain(struct reader *r, yaml_mark_t mark, const char *hint, const char *what) {
  diag_add(r->diags, SEVERITY_ERROR, mark_place(r, mark), "yaml", hint, "%s", what);
}

/* ---- what libyaml can't read ---- */

static bool ends_token(uint8_t c) {
  return c <= ' ' || c == ',' || c == '[' || c == ']' || c == '{' || c == '}';
}

/* What to say about the text at `*at`, where YAML gave up, and where that text begins; NULL: nothing special. */
static const char *quote_hint(const struct reader *r, size_t *at) {
  size_t start = *at, end = *at;
  while (start > 0 && !ends_token(r->bytes[start - 1]))
    start--;
  while (end < r->size && !ends_token(r->bytes[end]))
    end++;
  if (end == start) return start < r->size && r->bytes[start] == '\t' ? "indent with spaces, not with tabs" : NULL;
  const uint8_t *colon = memchr(r->bytes + start, ':', end - start);
  *at = start;
  switch (r->bytes[start]) {
  case '*':
    return "a text that begins with * must be quoted: \"*.example.com\"";
  case '@':
    return "a text that begins with @ must be quoted: \"@\"";
  case '%':
  case '`':
    return "a text that begins with % or ` must be quoted";
  case '&':
  case '!':
    return "a text that begins with & or ! must be quoted";
  default:
    if (colon && memchr(colon + 1, ':', (size_t)(r->bytes + end - colon - 1)))
      return "an address with : in it must be quoted: \"::1@53\"";
    return NULL;
  }
}

/* Not UTF-8, or a control character: that has an offset instead of a mark. */
static void explain_encoding(struct reader *r, const yaml_parser_t *p) {
  size_t line = 0, start = 0;
  for (size_t at = 0; at < p->problem_offset && at < r->size;) {
    size_t broken = break_size(r, at);
    at += broken ? broken : 1;
    if (!broken) continue;
    line++;
    start = at;
  }
  size_t column = p->problem_offset > start ? p->problem_offset - start : 0;
  struct place place = {r->source->name, (uint32_t)line + 1, (uint32_t)column + 1};
  diag_add(r->diags, SEVERITY_ERROR, place, "yaml", "the file must be UTF-8 text", "cannot be read as YAML: %s", p->problem);
}

static void explain_failure(struct reader *r, const yaml_parser_t *p) {
  if (p->error == YAML_MEMORY_ERROR || !p->problem) {
    complain(r, p->problem_mark, "", "out of memory");
    return;
  }
  if (p->error == YAML_READER_ERROR) {
    explain_encoding(r, p);
    return;
  }
  size_t problem = mark_offset(r, p->problem_mark), at = problem;
  struct place place = mark_place(r, p->problem_mark);
  const char *hint = quote_hint(r, &at);
  if (hint && place.column > problem - at) place.column -= (uint32_t)(problem - at); /* where the text begins */
  if (!hint && strstr(p->problem, "mapping values"))
    hint = "a text with \": \" in it must be quoted, and the keys of one map stand in one column";
  diag_add(r->diags, SEVERITY_ERROR, place, "yaml", hint ? hint : "", "cannot be read as YAML: %s%s%s",
           p->context ? p->context : "", p->context ? ", " : "", p->problem);
}

/* ---- the tree ---- */

static struct node *new_node(struct reader *r, enum node_kind kind, yaml_mark_t mark) {
  if (r->spare_count == 0) {
    r->spare = arena_alloc(r->arena, NODES_AT_ONCE * sizeof *r->spare);
    if (!r->spare) return NULL;
    r->spare_count = NODES_AT_ONCE;
  }
  struct node *n = &r->spare[--r->spare_count];
  *n = (struct node){.source = r->source, .kind = (uint8_t)kind, .line = mark_line(r, mark), .column = mark_column(r, mark)};
  return n;
}

/* Hangs a finished scalar or a just opened list or map where it belongs. */
static void attach(struct reader *r, struct node *n) {
  if (r->depth == 0) {
    r->root = n;
    return;
  }
  struct open_node *o = &r->open[r->depth - 1];
  if (o->node->kind == NODE_MAP) {
    n->key = o->key;
    n->key_line = o->key_line;
    n->key_column = o->key_column;
    o->key = NULL;
  }
  if (o->last) o->last->next = n;
  else o->node->child = n;
  o->last = n;
  o->node->size++;
}

static bool wants_key(const struct reader *r) {
  return r->depth > 0 && r->open[r->depth - 1].node->kind == NODE_MAP && !r->open[r->depth - 1].key;
}

static bool take_key(struct reader *r, const char *text, size_t size, yaml_mark_t mark) {
  struct open_node *o = &r->open[r->depth - 1];
  o->key = pack_text(&r->texts, text, size);
  o->key_line = mark_line(r, mark);
  o->key_column = mark_column(r, mark);
  return o->key != NULL;
}

static bool take_scalar(struct reader *r, const yaml_event_t *e) {
  const char *text = (const char *)e->data.scalar.value;
  size_t size = e->data.scalar.length;
  if (wants_key(r)) return take_key(r, text, memchr(text, 0, size) ? 0 : size, e->start_mark);
  struct node *n = new_node(r, NODE_TEXT, e->start_mark);
  if (!n) return false;
  if (e->data.scalar.tag || memchr(text, 0, size)) n->kind = NODE_BAD;
  if (memchr(text, 0, size)) complain(r, e->start_mark, "", "a text holds a NUL character");
  n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  n->text = pack_text(&r->texts, text, size);
  n->size = (uint32_t)size;
  attach(r, n);
  return n->text != NULL;
}

static bool open_collection(struct reader *r, enum node_kind kind, yaml_mark_t mark) {
  if (r->depth == LIMIT_CONFIG_DEPTH) {
    complain(r, mark, "", "lists and maps are nested too deeply");
    return false;
  }
  if (wants_key(r)) {
    complain(r, mark, "quote a text that begins with [ or {", "a key must be a text, not a list or map");
    return false;
  }
  struct node *n = new_node(r, kind, mark);
  if (!n) return false;
  attach(r, n);
  r->open[r->depth++] = (struct open_node){.node = n};
  return true;
}

static void report_twice(struct reader *r, const struct node *first, struct node *second) {
  second->kind = NODE_BAD;
  diag_add(r->diags, SEVERITY_ERROR, node_key_place(second), "key-twice", "keep one of them",
           "`%.64s` is given twice; first in line %u", second->key, first->key_line);
}

static int compare_keys(const void *a, const void *b) {
  const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
  int order = strcmp(x->key, y->key);
  if (order) return order;
  if (x->key_line != y->key_line) return x->key_line < y->key_line ? -1 : 1;
  return x->key_column < y->key_column ? -1 : x->key_column > y->key_column;
}

/* A later one of two equal keys would silently win or lose: both are named instead. */
static bool check_keys(struct reader *r, const struct node *map) {
  if (map->size <= FEW_KEYS) {
    for (struct node *b = map->child; b; b = b->next)
      for (const struct node *a = map->child; a != b; a = a->next)
        if (strcmp(a->key, b->key) == 0) {
          report_twice(r, a, b);
          break;
        }
    return true;
  }
  struct node **all = malloc(map->size * sizeof *all);
  if (!all) return false;
  size_t count = 0;
  for (struct node *n = map->child; n; n = n->next)
    all[count++] = n;
  qsort(all, count, sizeof *all, compare_keys);
  for (size_t i = 1, first = 0; i < count; i++) {
    if (strcmp(all[i]->key, all[first]->key) == 0) report_twice(r, all[first], all[i]);
    else first = i;
  }
  free(all);
  return true;
}

/* Something in place of a value that was refused, so that the tree keeps its shape. */
static bool take_alias(struct reader *r, const yaml_event_t *e) {
  complain(r, e->start_mark, "write the value out; a text that begins with * must be quoted", "aliases (*name) are not taken");
  if (wants_key(r)) return take_key(r, "", 0, e->start_mark);
  struct node *n = new_node(r, NODE_BAD, e->start_mark);
  if (n) attach(r, n);
  return n != NULL;
}

static void refuse_decorations(struct reader *r, const yaml_event_t *e, const yaml_char_t *anchor, const yaml_char_t *tag) {
  if (anchor) complain(r, e->start_mark, "a text that begins with & must be quoted", "anchors (&name) are not taken");
  if (tag)
    complain(r, e->start_mark, "all values are texts; a text that begins with ! must be quoted", "tags (!name) are not taken");
}

/* false: stop; what is wrong has been said, or memory ran out. */
static bool take_event(struct reader *r, const yaml_event_t *e) {
  switch (e->type) {
  case YAML_DOCUMENT_START_EVENT:
    if (r->root) {
      complain(r, e->start_mark, "make it a file of its own and include it", "a second document begins here");
      return false;
    }
    if (e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end)
      refuse_decorations(r, e, NULL, (const yaml_char_t *)"%TAG");
    return true;
  case YAML_ALIAS_EVENT:
    return take_alias(r, e);
  case YAML_SCALAR_EVENT:
    refuse_decorations(r, e, e->data.scalar.anchor, e->data.scalar.tag);
    return take_scalar(r, e);
  case YAML_SEQUENCE_START_EVENT:
    refuse_decorations(r, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    return open_collection(r, NODE_LIST, e->start_mark);
  case YAML_MAPPING_START_EVENT:
    refuse_decorations(r, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    return open_collection(r, NODE_MAP, e->start_mark);
  case YAML_MAPPING_END_EVENT:
    return check_keys(r, r->open[--r->depth].node);
  case YAML_SEQUENCE_END_EVENT:
    r->depth--;
    return true;
  case YAML_STREAM_END_EVENT:
    r->ended = true;
    return true;
  default:
    return true;
  }
}

static bool is_ascii(const uint8_t *bytes, size_t n) {
  uint8_t all = 0;
  for (size_t i = 0; i < n; i++)
    all |= bytes[i];
  return all < 0x80;
}

static void read_events(struct reader *r, yaml_parser_t *p) {
  size_t errors = r->diags->errors;
  while (!r->ended) {
    yaml_event_t e;
    if (!yaml_parser_parse(p, &e)) {
      explain_failure(r, p);
      return;
    }
    bool going_on = take_event(r, &e);
    yaml_mark_t mark = e.start_mark;
    yaml_event_delete(&e);
    if (going_on) continue;
    if (r->diags->errors == errors) complain(r, mark, "", "out of memory");
    return;
  }
}

const struct node *config_yaml_read(struct arena *arena, const struct source *source, const uint8_t *bytes, size_t n,
                                    struct diags *diags) {
  struct reader r = {.arena = arena,
                     .texts = {.arena = arena},
                     .source = source,
                     .diags = diags,
                     .bytes = bytes,
                     .size = n,
                     .ascii = is_ascii(bytes, n)};
  r.lines = count_lines(&r);
  yaml_parser_t p;
  if (n > LIMIT_CONFIG_BYTES || !yaml_parser_initialize(&p)) {
    diag_add(diags, SEVERITY_ERROR, (struct place){source->name, 0, 0}, "yaml", "zone lists hold millions of zones",
             n > LIMIT_CONFIG_BYTES ? "the file is too large" : "out of memory");
    return NULL;
  }
  yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&p, bytes, n);
  read_events(&r, &p);
  yaml_parser_delete(&p);
  if (!r.ended) return NULL;
  if (!r.root || node_is_empty(r.root)) r.root = new_node(&r, NODE_MAP, (yaml_mark_t){0}); /* an empty file says nothing */
  return r.root;
}
