#include "config/load_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum { SUGGEST_BYTES = 64 };

/* ---- did you mean ---- */

static unsigned least(unsigned a, unsigned b) {
  return a < b ? a : b;
}

/* Letters to change, add, leave out or swap with their neighbour to make b from a, ignoring case. */
static unsigned edit_distance(const char *a, size_t a_size, const char *b, size_t b_size) {
  unsigned rows[3][SUGGEST_BYTES];
  unsigned *before = rows[0], *last = rows[1], *now = rows[2];
  for (size_t j = 0; j <= b_size; j++)
    last[j] = (unsigned)j;
  for (size_t i = 1; i <= a_size; i++) {
    now[0] = (unsigned)i;
    for (size_t j = 1; j <= b_size; j++) {
      uint8_t x = ascii_lower((uint8_t)a[i - 1]), y = ascii_lower((uint8_t)b[j - 1]);
      now[j] = least(last[j - 1] + (x != y), least(last[j], now[j - 1]) + 1);
      if (i > 1 && j > 1 && x == ascii_lower((uint8_t)b[j - 2]) && y == ascii_lower((uint8_t)a[i - 2]))
        now[j] = least(now[j], before[j - 2] + 1);
    }
    unsigned *spare = before;
    before = last;
    last = now;
    now = spare;
  }
  return last[b_size];
}

void config_suggest(struct suggestion *s, const char *candidate) {
  size_t n = strlen(s->word), m = strlen(candidate);
  if (n >= SUGGEST_BYTES || m >= SUGGEST_BYTES || m >= sizeof s->best) return;
  unsigned distance = edit_distance(s->word, n, candidate, m);
  if (distance > 1 + n / 4 || distance >= n || (s->best[0] && distance >= s->distance)) return;
  memcpy(s->best, candidate, m + 1);
  s->distance = distance;
}

const char *config_suggestion(struct suggestion *s, const char *otherwise) {
  if (!s->best[0]) return otherwise;
  snprintf(s->hint, sizeof s->hint, "did you mean `%s`?", s->best);
  return s->hint;
}

/* ---- one map ---- */

static void consider_keys(struct suggestion *s, enum scope scope) {
  for (size_t i = 0; i < OPTION_COUNT; i++)
    if (config_option_table[i].scope == scope) config_suggest(s, config_option_table[i].key);
}

void config_scope_unknown_key(struct loader *l, enum scope scope, enum scope or_scope, const struct node *n) {
  struct suggestion s = {.word = n->key};
  consider_keys(&s, scope);
  if (or_scope != scope) consider_keys(&s, or_scope);
  config_complain_key(l, n, "unknown-key", config_suggestion(&s, "docs/configuration.md lists all keys"),
                      "there is no option `%s%.64s`", config_scope_table[scope].path, n->key);
}

/* An option that is still to come is refused, unless it says what holds anyway. */
static bool is_available(struct loader *l, const struct option *o, const struct node *n) {
  if (o->state == OPTION_READY) return true;
  if (n->kind == NODE_TEXT && o->default_text[0] && strcmp(n->text, o->default_text) == 0) return false;
  const char *path = config_scope_table[o->scope].path, *fine = o->default_text;
  if (fine[0])
    config_complain_key(l, n, "not-available", "leave it out", "%s%s other than `%s` is not available yet in this version", path,
                        o->key, fine);
  else config_complain_key(l, n, "not-available", "leave it out", "%s%s is not available yet in this version", path, o->key);
  return false;
}

static bool is_joined(const struct option *o) {
  return o->kind == KIND_SECTION || o->kind == KIND_TEXTS || o->kind == KIND_LISTEN || o->kind == KIND_ADDRESSES ||
         o->kind == KIND_INTERFACES;
}

void config_scope_read_option(struct loader *l, const struct option *o, const struct node *n, void *base, struct given *given) {
  size_t i = (size_t)(o - config_option_table);
  if (n->kind == NODE_BAD) { /* not missing either */
    if (!given->at[i]) given->at[i] = n;
    return;
  }
  if (!is_available(l, o, n)) return;
  if (given->at[i] && !is_joined(o)) {
    char first[PLACE_TEXT_BYTES];
    config_complain_key(l, n, "key-twice", "keep one of them", "`%s%s` is given twice; first at %s",
                        config_scope_table[o->scope].path, o->key, config_place_text(node_key_place(given->at[i]), first));
    return;
  }
  given->at[i] = n;
  if (o->at != SIZE_MAX) config_value(l, o, n, (char *)base + o->at);
}

void config_scope_read(struct loader *l, enum scope scope, const struct node *map, void *base, struct given *given) {
  if (!config_need_map(l, map)) return;
  for (const struct node *n = map->child; n; n = n->next) {
    const struct option *o = config_option_find(scope, n->key);
    if (o) config_scope_read_option(l, o, n, base, given);
    else config_scope_unknown_key(l, scope, scope, n);
  }
}

static const struct node *default_node(struct loader *l, size_t i) {
  if (!l->defaults[i]) {
    const char *text = config_option_table[i].default_text;
    const struct source *source = &l->trees[0]->source; /* so that ./state stands beside the configuration file */
    l->defaults[i] = config_yaml_read(&l->scratch, source, (const uint8_t *)text, strlen(text), l->diags);
  }
  return l->defaults[i];
}

void config_scope_defaults(struct loader *l, enum scope scope, void *base, const struct given *given) {
  for (size_t i = 0; i < OPTION_COUNT; i++) {
    const struct option *o = &config_option_table[i];
    if (o->scope != scope || given->at[i] || o->at == SIZE_MAX || !option_has_default(o)) continue;
    const struct node *n = default_node(l, i);
    if (n) config_value(l, o, n, (char *)base + o->at);
  }
}

const struct node *config_given(const struct given *g, enum scope scope, const char *key) {
  const struct option *o = config_option_find(scope, key);
  return o ? g->at[o - config_option_table] : NULL;
}

/* ---- shapes ---- */

/* What a value is for, in messages. */
static const char *what_of(const struct node *n) {
  return n->key ? n->key : "an entry";
}

const struct node *config_items(struct loader *l, const struct node *n, size_t *left) {
  *left = 0;
  if (node_is_empty(n) || n->kind == NODE_BAD) return NULL;
  if (n->kind == NODE_MAP) {
    config_complain(l, n, "wrong-type", "write it as [a, b] or with - in front of each entry", "`%.64s` must be a list",
                    what_of(n));
    return NULL;
  }
  *left = n->kind == NODE_LIST ? n->size : 1;
  return n->kind == NODE_LIST ? n->child : n;
}

bool config_need_text(struct loader *l, const struct node *n) {
  if (n->kind == NODE_TEXT && n->size > 0) return true;
  if (n->kind == NODE_TEXT) config_complain(l, n, "bad-value", "", "`%.64s` has no value", what_of(n));
  else
    config_complain(l, n, "wrong-type", "", "`%.64s` must be a text, not a %s", what_of(n), n->kind == NODE_LIST ? "list" : "map");
  return false;
}

bool config_need_map(struct loader *l, const struct node *n) {
  static const char hint[] = "write it as {key: value} or as indented lines of key: value";
  if (n->kind == NODE_MAP) return true;
  if (node_is_empty(n)) return false;
  if (n->key) config_complain(l, n, "wrong-type", hint, "`%.64s` must be a map of options", n->key);
  else config_complain(l, n, "wrong-type", hint, "what stands here must be a map of options");
  return false;
}
