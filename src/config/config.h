/* The configuration: read once, checked as a whole, immutable afterwards.
 *
 *   files --yaml.c--> tree with marks --options.def--> server, keys, peers, templates
 *                                                  --> zones, each with options resolved from its template
 *   zone lists --lists.c-----------------------------> zones
 *
 * config_load reports every mistake of every file in one pass and gives a configuration only if there is none. What a
 * zone lacks (its file is missing or wrong) is not a mistake of the configuration; whoever loads the zone says that.
 *
 * Ownership: everything hangs on the `struct config`, which is counted: whoever keeps a pointer into it beyond the life
 * of the caller's reference (access lists in a published policy) takes one with config_ref. Zones with equal options
 * share one `struct config_zone_options`. File names are absolute when config_load was given a path.
 * Thread: loading is one thread's; a loaded configuration is read by any, config_ref and config_free work from any. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/acl.h"
#include "base/addr.h"
#include "base/diag.h"
#include "base/hash.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "wire/grant.h"
#include "wire/name.h"

enum config_role { CONFIG_ROLE_UNSET, CONFIG_PRIMARY, CONFIG_SECONDARY }; /* UNSET never in a loaded zone */
enum config_serial {                                                      /* UNSET never in a loaded zone */
                     CONFIG_SERIAL_UNSET,
                     CONFIG_SERIAL_KEEP,
                     CONFIG_SERIAL_INCREMENT,
                     CONFIG_SERIAL_UNIXTIME,
                     CONFIG_SERIAL_DATE
};
enum config_check { CONFIG_CHECK_NORMAL, CONFIG_CHECK_STRICT }; /* strict: warnings refuse a zone file as well */
enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };
enum config_store { CONFIG_STORE_SQLITE };

struct config_listen {
  struct addr addr; /* always with a port; 0.0.0.0 and :: are wildcards */
  bool queries;     /* answers ordinary queries */
  bool transfers;   /* answers AXFR and IXFR, and takes NOTIFY */
  struct place place;
};

struct config_listens {
  const struct config_listen *list;
  size_t count;
};

struct config_addrs {
  const struct addr *list;
  size_t count;
};

struct config_texts {
  const char *const *list;
  size_t count;
};

struct config_server {
  struct config_listens listen; /* at least one */
  const char *user;             /* NULL: `tandem` if there is such a user */
  uint32_t workers;             /* 0: one a core */
  const char *state;            /* directory */
  const char *identity;         /* NULL: no NSID, no CH answers; at most LIMIT_IDENTITY_BYTES */
  enum config_log_format log_format;
  enum log_level log_level;
  struct config_addrs resolvers;
  struct config_texts xdp; /* interfaces */
};

struct config_history {
  uint64_t age_s;
  uint64_t zone_bytes;
  uint64_t ballast_bytes;
  uint64_t deleted_s; /* how long a zone that was removed is kept */
};

enum config_per_zone { CONFIG_PER_ZONE_OFF, CONFIG_PER_ZONE_WORST, CONFIG_PER_ZONE_ALL };

struct config_metrics {
  struct addr listen; /* family 0: none are shown */
  enum config_per_zone per_zone;
};

struct config_key {
  struct name name; /* lower case */
  enum hmac_algorithm algorithm;
  const uint8_t *secret; /* wiped by config_free */
  size_t secret_size;
  struct place place;
};

struct config_key_refs {
  const struct config_key *const *list;
  size_t count;
};

struct config_peer {
  const char *name;
  struct config_addrs addresses; /* at least one, each with a port, in the order given */
  struct config_key_refs keys;   /* the first signs, all are accepted */
  struct addr source4, source6;  /* what our questions to it are sent from; family 0: the system chooses */
  struct place place;
};

struct config_peers {
  const struct config_peer *const *list;
  size_t count;
};

enum { CONFIG_NEVER_S = 0 }; /* of write_back_s */
enum config_zonemd { CONFIG_ZONEMD_VERIFY, CONFIG_ZONEMD_IGNORE };

/* What a zone is told to do: its template's options with its own over them. */
struct config_zone_options {
  enum config_role role;
  const char *file;         /* primary: as configured, "%s" stands for the zone's name; config_zone_file() gives the path */
  const char *include_root; /* $INCLUDE stays in this directory tree; NULL: the zone file's directory */
  enum config_serial serial;
  enum config_check check;
  struct config_peers notify;
  struct config_peers primaries;
  struct acl transfer;
  struct acl notify_from; /* defaults to the primaries */
  struct acl answer_to;   /* asked only where `hidden` */
  struct grants update;   /* who may change what by UPDATE; of a secondary: whose updates are forwarded */
  struct acl soa_to;      /* peers it notifies, and whoever may transfer: may always ask for the SOA */
  enum config_zonemd zonemd;
  bool generate_zonemd;
  bool managed;          /* lives in the store */
  bool editable;         /* edits besides those of `update` */
  uint64_t write_back_s; /* edits go to the file after so long; CONFIG_NEVER_S */
  bool hidden;           /* has answer-to, and not `any` */
  bool drop_strangers;
  bool require_tls;
  uint32_t refresh_min_ms, refresh_max_ms; /* bounds for the SOA's refresh, of a secondary */
  uint32_t retry_min_ms, retry_max_ms;     /* the same for its retry */
  uint64_t transfer_max_bytes;             /* of one incoming transfer, uncompressed */
  uint32_t transfer_timeout_ms;            /* of one that does not go on */
  const char *template_name;               /* "" without one */
  /* Equal for equal options, with addresses, key names and secrets of the peers they name, also between two loaded
   * configurations: a reload leaves zones alone whose digest and file did not change. */
  struct digest128 digest;
};

struct config_zone {
  const uint8_t *name; /* wire form, lower case: name_from_wire() */
  const struct config_zone_options *options;
  const char *file; /* the zone's own; NULL: as options->file says */
  struct place place;
};

/* Whether the zone has writers besides its file: then the log is the truth. */
static inline bool config_zone_has_writers(const struct config_zone_options *o) {
  return o->role == CONFIG_PRIMARY && (o->managed || o->editable || o->update.count);
}

/* Whether it is said where the zone's content comes from, but for a file that is the zone's own. */
static inline bool config_zone_has_source(const struct config_zone_options *o) {
  return o->role != CONFIG_PRIMARY || o->managed || o->file;
}

struct config_template {
  const char *name;
  const struct config_zone_options *options; /* of a zone that says nothing itself; NULL: such a zone can't be */
  const char *lacks;                         /* why not; "" */
  struct place place;
};

enum config_file_kind { CONFIG_FILE_YAML, CONFIG_FILE_LIST, CONFIG_FILE_SECRET };

struct config_file { /* one that was read for the configuration */
  const char *path;
  enum config_file_kind kind;
  struct digest128 digest; /* of what was read */
};

struct config {
  const char *path; /* of the configuration file */
  const struct config_file *files;
  size_t file_count;
  struct config_server server;
  enum config_store store;
  struct config_history history;
  struct config_metrics metrics;
  const struct config_key *keys;
  size_t key_count;
  const struct config_peer *peers;
  size_t peer_count;
  const struct config_template *templates;
  size_t template_count;
  const struct config_zone *zones; /* no name twice; those of `zones` first, then those of the lists */
  size_t zone_count;
};

/* ERR_OK: `*out` is complete; `diags` may hold warnings. ERR_FORMAT: there are errors in `diags`. ERR_MEMORY also leaves one
 * there. */
MUST_CHECK enum err config_load(const char *path, struct diags *diags, struct config **out);
/* The same from memory, and without touching the file system: include, secret-file and zone-lists are errors. `name` is
 * what findings call it, and relative file names stay relative. */
MUST_CHECK enum err config_load_bytes(const char *name, const uint8_t *bytes, size_t n, struct diags *diags, struct config **out);
/* Only where the state directory is, for talking to a server whose configuration is half edited or whose secrets are not ours to
 * read: nothing else is judged. Replaces what `out` holds. ERR_FORMAT: the file can't be read, as `diags` says; it may also hold
 * findings about included files after ERR_OK. */
MUST_CHECK enum err config_find_state(const char *path, struct diags *diags, struct buf *out);
struct config *config_ref(struct config *c);
void config_free(struct config *c); /* gives one reference back; NULL is fine */

/* Path of the zone's file; "" for a zone without one. Owned by the configuration or `scratch`. */
const char *config_zone_file(const struct config_zone *z, struct buf *scratch);
const struct config_template *config_template_find(const struct config *c, const char *name);
/* Where a question to this address of the peer is sent from; family 0: the system chooses. */
static inline const struct addr *config_peer_source(const struct config_peer *p, const struct addr *to) {
  return to->family == 4 ? &p->source4 : &p->source6;
}

/* A reference of all options in Markdown, made from options.def: docs/configuration.md. */
void config_options_doc(struct buf *out);
/* The path of every option that is available, such as "server.log.level", one a line: for shell completion. */
void config_options_list(struct buf *out);

#endif
