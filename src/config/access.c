/* Access lists, compiled to what base/acl.h walks. */
#include "config/load_priv.h"

#include "base/limits.h"

#include <ctype.h>

static struct prefix prefix_of(const struct addr *a) {
  struct prefix p = {*a, a->family == 4 ? 32 : 128};
  p.addr.port = 0;
  return p;
}

static struct acl_key acl_key_of(const struct config_key *k) {
  return (struct acl_key){k->name.octets, k->name.size};
}

bool config_acl_has_any(const struct acl *acl) {
  for (size_t i = 0; i < acl->count; i++)
    if (acl->entries[i].any_host && !acl->entries[i].need_tls && !acl->entries[i].key.octets) return true;
  return false;
}

static void add_entry(struct buf *entries, const struct acl_entry *e) {
  buf_add(entries, e, sizeof *e);
}

static void add_peer(struct buf *entries, const struct config_peer *peer) {
  for (size_t a = 0; a < peer->addresses.count; a++) {
    struct acl_entry e = {.from = prefix_of(&peer->addresses.list[a])};
    if (!peer->keys.count) add_entry(entries, &e);
    for (size_t k = 0; k < peer->keys.count; k++) {
      e.key = acl_key_of(peer->keys.list[k]);
      add_entry(entries, &e);
    }
  }
}

void config_acl_add_peers(struct buf *entries, const struct config_peers *peers) {
  for (size_t i = 0; i < peers->count; i++)
    add_peer(entries, peers->list[i]);
}

bool config_acl_keep(struct loader *l, const struct buf *entries, struct acl *out) {
  void *copy = entries->failed ? NULL : arena_copy(l->arena, entries->data, entries->size);
  if (!copy) l->exhausted = true;
  if (copy) *out = (struct acl){copy, entries->size / sizeof(struct acl_entry)};
  return copy != NULL;
}

/* Whether a text is meant as an address: then what is wrong with it is said of an address. */
static bool looks_like_address(const char *text) {
  size_t hex = strspn(text, "0123456789abcdefABCDEF.:");
  if (text[hex] && text[hex] != '/' && text[hex] != '@' && text[hex] != '%') return false;
  return strchr(text, ':') || (isdigit((unsigned char)text[0]) && strspn(text, "0123456789.") == hex && strchr(text, '.'));
}

static void complain_prefix(struct loader *l, const struct node *n, enum err e) {
  const char *hint = "such as 192.0.2.1, \"2001:db8::1\" or 192.0.2.0/24";
  if (strchr(n->text, '@')) hint = "a client may come from any port: leave the @ and the port out";
  else if (e == ERR_RANGE) hint = "a prefix has at most 32 or 128 bits, and those behind it are zero: 192.0.2.0/24";
  config_complain(l, n, "bad-address", hint, "`%.80s` is not an address or prefix", n->text);
}

static void unknown_name(struct loader *l, const struct node *n) {
  struct suggestion s = {.word = n->text};
  config_suggest(&s, "any");
  config_suggest_peers(l, &s);
  config_suggest_keys(l, &s);
  config_complain(l, n, "unknown-name",
                  config_suggestion(&s, "it takes `any`, addresses, prefixes, and names under `peers` and `keys`"),
                  "there is no peer or key `%.255s`", n->text);
}

/* `any`, an address, a prefix, a peer or a key. */
void config_acl_read_word(struct loader *l, const struct node *n, struct buf *entries) {
  if (!config_need_text(l, n)) return;
  struct acl_entry e = {0};
  enum err wrong = prefix_parse(n->text, &e.from);
  const struct config_peer *peer = config_find_peer(l, n->text);
  struct name name;
  e.any_host = strcmp(n->text, "any") == 0;
  if (e.any_host || wrong == ERR_OK) {
    add_entry(entries, &e);
  } else if (peer) {
    add_peer(entries, peer);
  } else if (name_from_text(n->text, n->size, &name_root, &name, NULL, NULL) == ERR_OK) {
    name_lower(&name);
    const struct config_key *key = config_find_key(l, &name);
    e = (struct acl_entry){.any_host = true};
    if (key) e.key = acl_key_of(key);
    if (key) add_entry(entries, &e);
    else if (looks_like_address(n->text)) complain_prefix(l, n, wrong);
    else unknown_name(l, n);
  } else if (looks_like_address(n->text)) {
    complain_prefix(l, n, wrong);
  } else {
    unknown_name(l, n);
  }
}

static void read_from(struct loader *l, const struct node *n, struct acl_entry *e) {
  if (!config_need_text(l, n)) return;
  e->any_host = strcmp(n->text, "any") == 0;
  enum err wrong = e->any_host ? ERR_OK : prefix_parse(n->text, &e->from);
  if (wrong && config_find_peer(l, n->text))
    config_complain(l, n, "bad-address", "give the peer's name itself as the entry",
                    "`from` takes an address or prefix, not a peer");
  else if (wrong) complain_prefix(l, n, wrong);
}

void config_acl_read_map(struct loader *l, enum scope scope, const struct node *n, struct buf *entries, struct given *given) {
  struct acl_entry e = {0};
  config_scope_read(l, scope, n, &e, given);
  const struct node *from = config_given(given, scope, "from"), *key_node = config_given(given, scope, "key");
  const struct node *tls = config_given(given, scope, "tls");
  e.any_host = !from;
  if (from) read_from(l, from, &e);
  const struct config_key *key = key_node ? config_value_key(l, key_node) : NULL;
  if (key) e.key = acl_key_of(key);
  if (tls) config_value(l, config_option_find(scope, "tls"), tls, &e.need_tls);
  if (!from && !key_node && !tls && (!n->child || scope != SCOPE_ACCESS))
    config_complain(l, n, "bad-value",
                    scope == SCOPE_ACCESS ? "write `any` to let everybody in" : "write `from: any` to let everybody",
                    "the entry names %s", scope == SCOPE_ACCESS ? "nothing" : "nobody");
  add_entry(entries, &e);
}

void config_value_access(struct loader *l, const struct node *n, struct acl *at) {
  size_t left = 1;
  const struct node *item = n->kind == NODE_MAP ? n : config_items(l, n, &left);
  buf_clear(&l->entries);
  for (; left; left--, item = item->next) {
    struct given given = {0};
    if (item->kind == NODE_MAP) config_acl_read_map(l, SCOPE_ACCESS, item, &l->entries, &given);
    else config_acl_read_word(l, item, &l->entries);
  }
  if (l->entries.size / sizeof(struct acl_entry) > LIMIT_ACL_ENTRIES)
    config_complain(l, n, "limit", "", "an access list has at most %d entries", LIMIT_ACL_ENTRIES);
  config_acl_keep(l, &l->entries, at);
}
