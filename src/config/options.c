#include "config/options_priv.h"

#include "config/config.h"

#define AT(type, field) offsetof(struct type, field)
#define NOWHERE SIZE_MAX

const struct option config_option_table[OPTION_COUNT] = {
#define SCOPE(...)
#define OPTION(scope, key, kind, argument, at, default, state, roles, doc) \
  {SCOPE_##scope, key, KIND_##kind, argument, at, default, OPTION_##state, ROLES_##roles, doc},
#include "config/options.def"
#undef SCOPE
#undef OPTION
};

const struct scope_info config_scope_table[SCOPE_COUNT] = {
#define SCOPE(id, path, heading, doc) [SCOPE_##id] = {path, heading, doc},
#define OPTION(...)
#include "config/options.def"
#undef SCOPE
#undef OPTION
};

const struct option *config_option_find(enum scope scope, const char *key) {
  for (size_t i = 0; i < OPTION_COUNT; i++)
    if (config_option_table[i].scope == scope && strcmp(config_option_table[i].key, key) == 0) return &config_option_table[i];
  return NULL;
}
