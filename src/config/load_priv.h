/* One run of config_load: what its parts share.
 *
 *   load.c    files and includes, and the order of everything        peers.c         peers, and lists of peers and keys
 *   scope.c   one map by its rows of options.def; did you mean       access.c        access lists
 *   values.c  single values: texts, numbers, times, addresses        grants.c        who may send updates of what
 *                                                                    zone_options.c  options of a zone, resolved
 *   server.c  server, log, history                                   zones.c         templates and zones
 *   keys.c    keys and their secrets                                 lists.c         zone lists and directories
 *
 * Everything that the result needs is in `arena`, the rest in `scratch`. A part that finds a mistake says so and goes on;
 * the count of errors in `diags` decides in the end. Out of memory is `exhausted`, reported once at the end. */
#ifndef CONFIG_LOAD_PRIV_H
#define CONFIG_LOAD_PRIV_H

#include "base/table.h"
#include "config/config.h"
#include "config/options_priv.h"
#include "config/pack_priv.h"
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
  struct config_file *files;
  size_t file_capacity;
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
void *config_keep(struct loader *l, size_t n);
void *config_borrow(struct loader *l, size_t n);
const char *config_keep_text(struct loader *l, const char *text, size_t n);
/* A list of `capacity` elements of `size` with room for one more, moved if it must be; NULL sets `exhausted`. */
void *config_grow(struct loader *l, void *list, size_t count, size_t *capacity, size_t size);
/* An error at the value (or, with complain_key, at the key) of `n`. */
void config_complain(struct loader *l, const struct node *n, const char *check, const char *hint, const char *format, ...)
    PRINTF_LIKE(5, 6);
void config_complain_key(struct loader *l, const struct node *n, const char *check, const char *hint, const char *format, ...)
    PRINTF_LIKE(5, 6);
/* Calls `each` for the root section `key` of every file that has one. */
void config_sections(struct loader *l, const char *key, void (*each)(struct loader *l, const struct node *section));
/* Entries of the lists `key` of all files. */
size_t config_section_items(const struct loader *l, const char *key);
/* The whole of a file, to be freed. ERR_IO: errno says why; ERR_LIMIT: it is larger than `limit`. `st` may be NULL. */
MUST_CHECK enum err config_file_read(const char *path, size_t limit, uint8_t **out, size_t *n, struct stat *st);
const char *config_file_error(enum err e); /* why, right after it failed */
/* This was read; `path` is kept already. */
void config_file_note(struct loader *l, const char *path, enum config_file_kind kind, const uint8_t *bytes, size_t n);
/* A file name that stands in `s`, absolute if that is; NULL: out of memory. */
const char *config_path_beside(struct loader *l, const struct source *s, const char *path);
const char *config_path_shown(struct loader *l, const struct source *s, const char *path); /* the same as findings call it */

/* "FILE:3:7" for messages that name two places. */
enum { PLACE_TEXT_BYTES = 300 };
const char *config_place_text(struct place p, char out[PLACE_TEXT_BYTES]);

/* ---- scope.c ---- */

/* Reads a map into `base`, and notes in `given` what it holds. A key already in `given` (from another file) is an error unless it
 * is a list. */
void config_scope_read(struct loader *l, enum scope scope, const struct node *map, void *base, struct given *given);
/* One key of it. */
void config_scope_read_option(struct loader *l, const struct option *o, const struct node *n, void *base, struct given *given);
void config_scope_unknown_key(struct loader *l, enum scope scope, enum scope or_scope, const struct node *n);
/* Reads the default of everything that was not given. */
void config_scope_defaults(struct loader *l, enum scope scope, void *base, const struct given *given);
const struct node *config_given(const struct given *g, enum scope scope, const char *key);

/* What somebody may have meant: the nearest of the words considered. */
struct suggestion {
  const char *word; /* what was written */
  char best[64];    /* "": nothing is near */
  unsigned distance;
  char hint[100];
};
void config_suggest(struct suggestion *s, const char *candidate);
void config_suggest_keys(const struct loader *l, struct suggestion *s);
void config_suggest_peers(const struct loader *l, struct suggestion *s);
/* "did you mean `best`?", or `otherwise`. */
const char *config_suggestion(struct suggestion *s, const char *otherwise);

/* The first of a list's entries, or the one text that stands in place of a list, and how many there are; 0 and a complaint for a
 * map: `for (const struct node *i = config_items(l, n, &left); left; left--, i = i->next)`. */
const struct node *config_items(struct loader *l, const struct node *n, size_t *left);
/* For values that must be a text, not empty. false: not so, and said. */
bool config_need_text(struct loader *l, const struct node *n);
bool config_need_map(struct loader *l, const struct node *n);

/* ---- values.c, and kinds that live with their section; each reads the value `n` of option `o` into `at` ---- */
void config_value(struct loader *l, const struct option *o, const struct node *n, void *at);
void config_value_listen(struct loader *l, const struct node *n, struct config_listens *at);
void config_value_keys(struct loader *l, const struct node *n, struct config_key_refs *at);
void config_value_peers(struct loader *l, const struct node *n, struct config_peers *at);
void config_value_access(struct loader *l, const struct node *n, struct acl *at);
void config_value_grants(struct loader *l, const struct node *n, struct grants *at);
const struct config_key *config_value_key(struct loader *l, const struct node *n); /* NULL: there is none, and that was said */
bool config_value_name(struct loader *l, const struct node *n, struct name *out);  /* absolute, lower case */
bool config_value_address(struct loader *l, const struct node *n, uint16_t default_port, struct addr *out);
const char *config_value_path(struct loader *l, const struct node *n);

/* ---- the sections ---- */
void config_load_server(struct loader *l);
void config_load_keys(struct loader *l);
void config_load_peers(struct loader *l);
void config_load_templates(struct loader *l);
void config_load_zones(struct loader *l);
void config_load_lists(struct loader *l);

/* Whether a name means something else in an access list: `any`, or an address. */
bool config_name_is_taken(const char *text);
const struct config_key *config_find_key(const struct loader *l, const struct name *name);
const struct config_peer *config_find_peer(const struct loader *l, const char *name);
const struct template *config_find_template(const struct loader *l, const char *name);
/* The template that `n` names, or the default one if `n` is NULL. false: there is none of that name, and that was said; `*out` may
 * be NULL: no template. */
bool config_template_for(struct loader *l, const struct node *n, const struct template **out);

/* ---- access.c ---- */
bool config_acl_has_any(const struct acl *acl); /* lets everybody in */
/* Entries of the peers: one for each (address, key). */
void config_acl_add_peers(struct buf *entries, const struct config_peers *peers);
bool config_acl_keep(struct loader *l, const struct buf *entries, struct acl *out);
/* Adds the entries that a text means: `any`, an address, a prefix, a peer or a key. */
void config_acl_read_word(struct loader *l, const struct node *n, struct buf *entries);
/* Adds the entry of a map with the keys from, key and tls of `scope`, which all must match; `given` gets all its keys. */
void config_acl_read_map(struct loader *l, enum scope scope, const struct node *n, struct buf *entries, struct given *given);

/* ---- zone_options.c ---- */

/* The options of a zone with `template` (or NULL) that has `own` options in its map (or NULL), found or made. `who` is what a
 * mistake that no option can be blamed for is said of. NULL: out of memory. */
const struct resolved *config_options_resolve(struct loader *l, const struct template *template, const struct node *own,
                                              const struct node *who);
void config_options_check(struct loader *l, const struct template *t);

/* ---- zones.c ---- */

struct new_zone {
  uint64_t hash;
  const struct config_zone_options *options;
  const char *file; /* kept */
  struct place place;
  uint8_t size;
  uint8_t name[LIMIT_NAME_BYTES]; /* wire form, lower case */
};
/* Makes the hash ready and brings the table to the cache: whoever has many zones does this for some of them first. */
void config_zone_hash(struct loader *l, struct new_zone *z);
/* Adds a zone unless there is one of that name, which is an error. false: no more can be added. */
bool config_zone_add(struct loader *l, const struct new_zone *z);
bool config_zone_reserve(struct loader *l, size_t more); /* makes room for so many at once */

#endif
