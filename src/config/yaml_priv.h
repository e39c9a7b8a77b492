/* YAML (and so JSON) as a tree of texts, lists and maps, each with its place; all scalars are text.
 *
 * What makes a configuration say something else than it seems to is a mistake here: anchors, aliases, tags, a key given
 * twice, a second document. Depth and size are bounded (LIMIT_CONFIG_DEPTH, LIMIT_CONFIG_BYTES). The tree lives in the arena it was
 * read into; source names outlive it. Thread: the owner's. */
#ifndef CONFIG_YAML_PRIV_H
#define CONFIG_YAML_PRIV_H

#include "base/diag.h"

struct source {     /* one file of the configuration */
  const char *name; /* as findings call it; lives as long as the configuration */
  const char *dir;  /* absolute, with a final slash, or "": what its file names are relative to */
};

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAP, NODE_BAD /* was reported already */ };

struct node {
  const struct source *source;
  const char *text; /* NODE_TEXT: ended by NUL, and without one inside */
  const char *key;  /* in a map: its key */
  struct node *child, *next;
  uint32_t size; /* of text, or the number of children */
  uint32_t line, column;
  uint32_t key_line, key_column;
  uint8_t kind;
  bool quoted;
};

static inline struct place node_place(const struct node *n) {
  return (struct place){n->source->name, n->line, n->column};
}

static inline struct place node_key_place(const struct node *n) {
  return n->key ? (struct place){n->source->name, n->key_line, n->key_column} : node_place(n);
}

/* `key:` with nothing behind it. */
static inline bool node_is_empty(const struct node *n) {
  return n->kind == NODE_TEXT && n->size == 0 && !n->quoted;
}

/* NULL, with a diag: the file is not YAML at all. A tree with mistakes is given as well (look at diags->errors). */
const struct node *config_yaml_read(struct arena *arena, const struct source *source, const uint8_t *bytes, size_t n,
                                    struct diags *diags);

#endif
