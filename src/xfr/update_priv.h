/* What the files of an update share. An update is read once into `struct update`; its records live in the arena. */
#ifndef XFR_UPDATE_PRIV_H
#define XFR_UPDATE_PRIV_H

#include "base/arena.h"
#include "xfr/update.h"

struct update_rr {
  const uint8_t *owner; /* uncompressed, in its case: name_from_wire */
  uint16_t type, class;
  uint32_t ttl;
  uint16_t size;
  const uint8_t *rdata; /* checked, uncompressed; NULL where only names are meant */
};

struct update {
  struct update_run *run; /* alone: of one */
  const struct name *apex;
  const struct grants *grants;
  const struct update_client *client;
  struct update_verdict *verdict;
  struct arena arena;
  struct update_rr *prereqs, *changes;
  size_t prereq_count, change_count;
};

enum { UPDATE_SOA_FIXED_BYTES = 20 }; /* of SOA RDATA: serial refresh retry expire minimum, behind the two names */

/* Each returns ERR_OK to go on, ERR_REFUSED with the verdict's rcode set, or what went wrong on our side. */
MUST_CHECK enum err update_read(struct update *u, const uint8_t *message, size_t size);
MUST_CHECK enum err update_prereqs(struct update *u);
MUST_CHECK enum err update_prescan(struct update *u);
MUST_CHECK enum err update_apply(struct update *u);
MUST_CHECK enum err update_check_servers(struct update *u, const struct zone_snap *made);
/* Whether it could make a name server of the zone an alias, or take its address away. */
bool update_concerns_servers(const struct update *u);

/* Sets the verdict; always ERR_REFUSED. */
enum err update_refuse(struct update *u, unsigned rcode, int ede, const char *format, ...) PRINTF_LIKE(4, 5);
/* The same about a record: "not granted: www.example. A". */
enum err update_refuse_rr(struct update *u, unsigned rcode, const char *what, const struct name *owner, uint16_t type);

#endif
