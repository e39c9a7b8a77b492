#include "base/acl.h"

#include <string.h>

static bool entry_matches(const struct acl_entry *e, const struct acl_client *c) {
  if (e->need_tls && !c->tls) return false;
  if (!e->any_host && !prefix_match(&e->from, c->from)) return false;
  if (!e->key.octets) return true;
  return c->key.octets && c->key.size == e->key.size && memcmp(c->key.octets, e->key.octets, e->key.size) == 0;
}

bool acl_allows(const struct acl *acl, const struct acl_client *client) {
  for (size_t i = 0; i < acl->count; i++)
    if (entry_matches(&acl->entries[i], client)) return true;
  return false;
}
