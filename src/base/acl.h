/* Access lists: who may do a thing (contract.md: transfer, update, notify-from, answer-to).
 *
 * A list is an array of entries; a client is allowed when any entry matches, and an entry matches when everything it
 * names matches. An empty list allows nobody. Peers are expanded by whoever compiles the list: one entry for each
 * (address, key) of the peer. Immutable after it is made. Thread: any; no allocation. */
#ifndef BASE_ACL_H
#define BASE_ACL_H

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acl_key {         /* a TSIG key's name in wire form, lower case; identity is by content */
  const uint8_t *octets; /* NULL: none */
  size_t size;
};

struct acl_entry {
  bool any_host; /* `from` is not asked */
  bool need_tls; /* only over TLS */
  struct prefix from;
  struct acl_key key; /* none: any signature or none will do */
};

struct acl {
  const struct acl_entry *entries;
  size_t count;
};

struct acl_client {
  const struct addr *from;
  struct acl_key key; /* the key that signed the request and was verified, or none */
  bool tls;
};

bool acl_allows(const struct acl *acl, const struct acl_client *client);

#endif
