/* One run of config_load: what its parts share.
 *
 *   load.c     files and includes, and the order of everything
 *   scope.c    one map read by its rows of options.def; unknown keys; did you mean
 *   values.c   single values: texts, numbers, times, addresses
 *   keys.c     keys and their secrets          peers.c   peers, and lists of them
 *   access.c   access lists                    options of zones: zone_options.c
 *   zones.c    templates and zones             lists.c   zone lists and directories
 *
 * Everything that the result needs is in `arena`, the rest in `scratch`. A part that finds a mistake says so and goes on;
 * the count of errors in `diags` decides in the end. Out of memory is `exhausted`, reported once at the end. */
#ifndef CONFIG_LOAD_PRIV_H
#define CONFIG_LOAD_PRIV_H

#include "config/config.h"
#include "config/options_priv.h"
#include "config/pack_priv.h"
#include "config/table_priv.h"
#include "config/yaml_priv.h"

#include <stdatomic.h>
#include <sys/stat.h>

struct config_whole { /* what a `struct config *` points into */
  struct config config;
  struct arena arena;
  struct config_zone *zones; /* grows while loading: not in the arena */
  atomic_uint references;
};

struct tree { /* one file of the configuration */
  struct source source;
  const struct node *root;
  const struct tree *from;
  uint64_t device, inode; /* of the file: a loop has many names */
};

struct given { /* where each option of a map stands; NULL: it was not given */
  const struct node *at[OPTION_COUNT];
};

struct template {
  const char *name;
  const struct node *node;
  struct given given;
  struct config_zone_options *options; /* with defaults, not finished */
};

struct resolved { /* options of a zone, finished; shared by all zones that say the same */
  const struct config_zone_options *options;
  const struct node *role_at; /* what makes it a primary or secondary; NULL: nothing was said */
  const char *signature;      /* what the zones say, for finding it again */
  size_t signature_size;
  bool bad; /* has mistakes, which are to be said for each zone */
};

struct loader {
  struct diags *diags;
  struct config_whole *whole;
  struct config *config;
  struct arena *arena;
  struct pack pack; /* on arena */
  struct arena scratch;
  bool exhausted;
  bool files_allowed;

  struct tree **trees;
  size_t tree_count, tree_capacity;
  struct given given; /* of the maps that exist once: root, server, log, history */
  const struct node *defaults[OPTION_COUNT];

  struct config_key *keys;
  struct config_peer *peers;
  struct template *templates;
  struct table key_table, peer_table, template_table, zone_table, resolved_table;
  struct config_zone_options base; /* the defaults */
  struct resolved **resolved;
  size_t resolved_count, resolved_capacity;
  size_t zone_capacity;
  struct buf signature, entries; /* of whoever needs them just now */
};

/* ---- load.c ---- */

/* Memory of the result or of the run, zeroed; NULL sets `exhausted`. */
void *keep(struct loader *l, size_t n);
void *borrow(struct loader *l, size_t n);
const char *keep_text(struct loader *l, const char *text, size_t n);
/* A list of `capacity` elements of `size` with room for one more, moved if it must be; NULL sets `exhausted`. */
void *grow(struct loader *l, void *list, size_t count, size_t *capacity, size_t size);
/* An error at the value (or, with complain_key, at the key) of `n`. */
void complain(struct loader *l, const struct node *n, const char *check, const char *hint, const char *format, ...) PRINTF_LIKE(5, 6);
void complain_key(struct loader *l, const struct node *n, const char *check, const char *hint, const char *format, ...)
    PRINTF_LIKE(5, 6);
/* Calls `each` for the root section `key` of every file that has one. */
void for_sections(struct loader *l, const char *key, void (*each)(struct loader *l, const struct node *section));
/* Entries of the lists `key` of all files. */
size_t section_items(const struct loader *l, const char *key);
/* The whole of a file, to be freed. ERR_IO: errno says why; ERR_LIMIT: it is larger than `limit`. `st` may be NULL. */
MUST_CHECK enum err file_read(const char *path, size_t limit, uint8_t **out, size_t *n, struct stat *st);
const char *file_error(enum err e); /* why, right after it failed */
/* A file name that stands in `s`, absolute if that is; NULL: out of memory. */
const char *path_beside(struct loader *l, const struct source *s, const char *path);

/* "FILE:3:7" for messages that name two places. */
enum { PLACE_TEXT_BYTES = 300 };
const char *place_text(struct place p, char out[PLACE_TEXT_BYTES]);

/* ---- scope.c ---- */

/* Reads a map into `base`, and notes in `given` what it holds. A key already in `given` (from another file) is an error unless it is a
 * list. */
void scope_read(struct loader *l, enum scope scope, const struct node *map, void *base, struct given *given);
/* One key of it. */
void scope_read_option(struct loader *l, const struct option *o, const struct node *n, void *base, struct given *given);
void scope_unknown_key(struct loader *l, enum scope scope, enum scope or_scope, const struct node *n);
/* Reads the default of everything that was not given. */
void scope_defaults(struct loader *l, enum scope scope, void *base, const struct given *given);
const struct node *given_get(const struct given *g, enum scope scope, const char *key);

/* What somebody may have meant: the nearest of the words considered. */
struct suggestion {
  const char *word; /* what was written */
  char best[64];    /* "": nothing is near */
  unsigned distance;
  char hint[100];
};
void suggestion_consider(struct suggestion *s, const char *candidate);
/* "did you mean `best`?", or `otherwise`. */
const char *suggestion_hint(struct suggestion *s, const char *otherwise);

/* The first of a list's entries, or the one text that stands in place of a list, and how many there are; 0 and a complaint for a map:
 * `for (const struct node *i = list_items(l, n, &left); left; left--, i = i->next)`. */
const struct node *list_items(struct loader *l, const struct node *n, size_t *left);
/* For values that must be a text, not empty. false: not so, and said. */
bool need_text(struct loader *l, const struct node *n);
bool need_map(struct loader *l, const struct node *n);

/* ---- values.c and the rooms' own kinds; each reads the value `n` of option `o` into `at` ---- */
void value_read(struct loader *l, const struct option *o, const struct node *n, void *at);
void value_listen(struct loader *l, const struct node *n, struct config_listens *at);
void value_keys(struct loader *l, const struct node *n, struct config_key_refs *at);
void value_peers(struct loader *l, const struct node *n, struct config_peers *at);
void value_access(struct loader *l, const struct node *n, struct acl *at);
const struct config_key *value_key(struct loader *l, const struct node *n); /* NULL: there is none, and that was said */
bool value_name(struct loader *l, const struct node *n, struct name *out); /* absolute, lower case */
bool value_address(struct loader *l, const struct node *n, uint16_t default_port, struct addr *out);
const char *value_path(struct loader *l, const struct node *n);

/* ---- the sections ---- */
void server_load(struct loader *l);
void keys_load(struct loader *l);
void peers_load(struct loader *l);
void zones_load_templates(struct loader *l);
void zones_load(struct loader *l);
void lists_load(struct loader *l);

const struct config_key *key_find(const struct loader *l, const struct name *name);
const struct config_peer *peer_find(const struct loader *l, const char *name);
const struct template *template_find(const struct loader *l, const char *name);
/* The template that `n` names, or the default one if `n` is NULL. false: there is none of that name, and that was said; `*out` may be
 * NULL: no template. */
bool template_for(struct loader *l, const struct node *n, const struct template **out);

/* ---- access.c ---- */
bool acl_has_any(const struct acl *acl); /* lets everybody in */
/* Entries of the peers: one for each (address, key). */
void acl_add_peers(struct buf *entries, const struct config_peers *peers);
bool acl_keep(struct loader *l, const struct buf *entries, struct acl *out);

/* ---- zone_options.c ---- */

/* The options of a zone with `template` (or NULL) that has `own` options in its map (or NULL), found or made. `who` is what a mistake
 * that no option can be blamed for is said of. NULL: out of memory. */
const struct resolved *options_resolve(struct loader *l, const struct template *template, const struct node *own, const struct node *who);
void options_check_template(struct loader *l, const struct template *t);

/* ---- zones.c ---- */

/* Adds a zone unless there is one of that name, which is an error. `name` is in lower case wire form and copied, `file` is kept. */
bool zone_add(struct loader *l, const uint8_t *name, size_t size, const struct config_zone_options *options, const char *file,
              struct place place);
bool zone_reserve(struct loader *l, size_t more); /* makes room for so many at once */

#endif
