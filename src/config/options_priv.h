/* options.def as a table. Thread: any. */
#ifndef CONFIG_OPTIONS_PRIV_H
#define CONFIG_OPTIONS_PRIV_H

#include <stdbool.h>
#include <stddef.h>

enum scope {
#define SCOPE(id, path, heading, doc) SCOPE_##id,
#define OPTION(...)
#include "config/options.def"
#undef SCOPE
#undef OPTION
  SCOPE_COUNT
};

enum option_kind {
  KIND_SECTION, /* whoever reads the scope looks at it */
  KIND_TEXTS,
  KIND_TEXT,
  KIND_IDENTITY,
  KIND_PATH,
  KIND_NUMBER,
  KIND_SECONDS,
  KIND_MILLISECONDS,
  KIND_BYTES,
  KIND_CHOICE,
  KIND_FLAG,
  KIND_ADDRESS,
  KIND_ADDRESSES,
  KIND_INTERFACES,
  KIND_NAME,
  KIND_ALGORITHM,
  KIND_LISTEN,
  KIND_KEYS,
  KIND_PEERS,
  KIND_ACCESS,
  KIND_GRANTS,
  KIND_COUNT
};

enum option_state { OPTION_READY, OPTION_LATER };
enum option_roles { ROLES_ANY, ROLES_PRIMARY, ROLES_SECONDARY };

struct option {
  enum scope scope;
  const char *key;
  enum option_kind kind;
  const char *argument;
  size_t at; /* offset; SIZE_MAX: it is not read into a field */
  const char *default_text;
  enum option_state state;
  enum option_roles roles;
  const char *doc;
};

struct scope_info {
  const char *path;
  const char *heading;
  const char *doc;
};

enum {
#define SCOPE(...)
#define OPTION(...) +1
  OPTION_COUNT = 0
#include "config/options.def"
#undef SCOPE
#undef OPTION
};

extern const struct option config_option_table[OPTION_COUNT];
extern const struct scope_info config_scope_table[SCOPE_COUNT];

const struct option *config_option_find(enum scope scope, const char *key); /* NULL */

/* Whether its default is a value, not only words for the reference. */
static inline bool option_has_default(const struct option *o) {
  return o->default_text[0] && o->default_text[0] != '(';
}

#endif
