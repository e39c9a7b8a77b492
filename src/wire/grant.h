/* Who may change what of a zone by dynamic update (RFC 2136): contract.md, `update`.
 *
 * A client may change a record when any grant matches: its access list lets the client in, one of its patterns matches the
 * record's owner, and one of its types is the record's. No patterns: any owner. No types: any type.
 *
 * A pattern is a name in text whose labels may be wild: `*` stands for any one label, `**` for any number of labels, none as well.
 * `\*` is the label that is an asterisk. Without a final dot a pattern is relative to the zone, and `@` is its apex:
 *
 *   _acme-challenge.**        _acme-challenge.ZONE, _acme-challenge.www.ZONE, ... (not x._acme-challenge.ZONE)
 *   *                         every name right below the apex
 *   host-*                    no wildcard: only a whole label is
 *   **.dyn.example.com.       dyn.example.com. and everything below it
 *
 * Immutable after it is made. Thread: any; no allocation. */
#ifndef WIRE_GRANT_H
#define WIRE_GRANT_H

#include "base/acl.h"
#include "base/err.h"
#include "wire/name.h"

enum { GRANT_PATTERN_BYTES = 2 * LIMIT_NAME_BYTES };

/* Compiled: one octet a label with its octets behind it, in lower case, and an end that says what the labels stand on. */
struct grant_pattern {
  const uint8_t *octets;
  uint16_t size;
};

struct grant {
  struct acl who;
  const struct grant_pattern *names;
  size_t name_count; /* 0: any name */
  const uint16_t *types;
  size_t type_count; /* 0: any type */
};

struct grants {
  const struct grant *list;
  size_t count;
};

/* Compiles a pattern into `out`; ERR_FORMAT, and `*why` says what is wrong with it. */
MUST_CHECK enum err grant_pattern_parse(const char *text, size_t n, uint8_t out[GRANT_PATTERN_BYTES], uint16_t *size,
                                        const char **why);
bool grant_pattern_matches(const struct grant_pattern *p, const struct name *owner, const struct name *apex);

/* Whether the client may change anything at all. */
bool grants_admit(const struct grants *g, const struct acl_client *client);
enum { GRANT_ANY_TYPE = 0 }; /* no type of a record: is there any type that may be changed at this name? */
bool grants_allow(const struct grants *g, const struct acl_client *client, const struct name *owner, uint16_t type,
                  const struct name *apex);

#endif
