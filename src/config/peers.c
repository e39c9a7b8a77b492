#include "config/load_priv.h"

#include "base/limits.h"

/* ---- finding ---- */

struct wanted_peer {
  const struct loader *l;
  const char *name;
};

static bool same_peer(const void *arg, uint32_t index) {
  const struct wanted_peer *w = arg;
  return strcmp(w->l->peers[index].name, w->name) == 0;
}

const struct config_peer *config_find_peer(const struct loader *l, const char *name) {
  uint32_t i = table_find(&l->peer_table, hash64(name, strlen(name), 0), same_peer, &(struct wanted_peer){l, name});
  return i == UINT32_MAX ? NULL : &l->peers[i];
}

/* ---- what refers to keys and peers ---- */

void config_suggest_keys(const struct loader *l, struct suggestion *s) {
  size_t n = strlen(s->word);
  bool dotted = n && s->word[n - 1] == '.';
  for (size_t i = 0; i < l->config->key_count && l->diags->count < LIMIT_DIAGS; i++) {
    char text[NAME_TEXT_BYTES];
    name_text(&l->keys[i].name, text);
    size_t size = strlen(text);
    if (!dotted && size > 1) text[size - 1] = 0; /* as it would be written here */
    config_suggest(s, text);
  }
}

void config_suggest_peers(const struct loader *l, struct suggestion *s) {
  for (size_t i = 0; i < l->config->peer_count && l->diags->count < LIMIT_DIAGS; i++)
    config_suggest(s, l->peers[i].name);
}

const struct config_key *config_value_key(struct loader *l, const struct node *n) {
  struct name name;
  if (!config_value_name(l, n, &name)) return NULL;
  const struct config_key *key = config_find_key(l, &name);
  if (key) return key;
  struct suggestion s = {.word = n->text};
  config_suggest_keys(l, &s);
  config_complain(l, n, "unknown-name", config_suggestion(&s, "it must stand under `keys`"), "there is no key `%.255s`", n->text);
  return NULL;
}

void config_value_keys(struct loader *l, const struct node *n, struct config_key_refs *at) {
  size_t left, count = 0;
  const struct node *item = config_items(l, n, &left);
  const struct config_key **list = config_keep(l, left * sizeof(void *));
  if (!list) return;
  for (; left; left--, item = item->next) {
    const struct config_key *key = config_value_key(l, item);
    if (!key) continue;
    for (size_t i = 0; i < count; i++)
      if (list[i] == key) config_complain(l, item, "name-twice", "", "the key `%.255s` is given twice", item->text);
    list[count++] = key;
  }
  *at = (struct config_key_refs){list, count};
}

void config_value_peers(struct loader *l, const struct node *n, struct config_peers *at) {
  size_t left, count = 0;
  const struct node *item = config_items(l, n, &left);
  const struct config_peer **list = config_keep(l, left * sizeof(void *));
  if (!list) return;
  for (; left; left--, item = item->next) {
    if (!config_need_text(l, item)) continue;
    const struct config_peer *peer = config_find_peer(l, item->text);
    if (!peer) {
      struct suggestion s = {.word = item->text};
      config_suggest_peers(l, &s);
      struct addr addr;
      bool is_addr = addr_parse(item->text, 53, &addr) == ERR_OK;
      config_complain(l, item, "unknown-name",
                      config_suggestion(&s, is_addr ? "give the address a name under `peers`, and that name here"
                                                    : "it must stand under `peers`"),
                      "there is no peer `%.255s`", item->text);
      continue;
    }
    for (size_t i = 0; i < count; i++)
      if (list[i] == peer) config_complain(l, item, "name-twice", "", "the peer `%.255s` is given twice", item->text);
    list[count++] = peer;
  }
  *at = (struct config_peers){list, count};
}

/* ---- peers ---- */

bool config_name_is_taken(const char *text) {
  struct prefix prefix;
  struct addr addr;
  return strcmp(text, "any") == 0 || prefix_parse(text, &prefix) == ERR_OK || addr_parse(text, 53, &addr) == ERR_OK;
}

/* A name that could also mean something else in an access list would let in whom nobody meant. */
static bool check_peer_name(struct loader *l, const struct node *n) {
  struct name name;
  if (config_name_is_taken(n->text)) {
    config_complain(l, n, "bad-name", "choose another name", "a peer cannot be called `%.255s`, which means something else",
                    n->text);
    return false;
  }
  if (name_from_text(n->text, n->size, &name_root, &name, NULL, NULL) == ERR_OK) {
    name_lower(&name);
    const struct config_key *key = config_find_key(l, &name);
    char first[PLACE_TEXT_BYTES];
    if (key)
      config_complain(l, n, "name-twice", "rename one of them", "`%.255s` is both a peer and a key; the key is at %s", n->text,
                      config_place_text(key->place, first));
  }
  const struct config_peer *before = config_find_peer(l, n->text);
  char first[PLACE_TEXT_BYTES];
  if (before)
    config_complain(l, n, "name-twice", "rename or remove one of them", "there are two peers `%.255s`; first at %s", n->text,
                    config_place_text(before->place, first));
  return !before;
}

static void read_sources(struct loader *l, struct config_peer *peer, const struct node *n) {
  size_t left;
  for (const struct node *item = config_items(l, n, &left); left; left--, item = item->next) {
    struct addr addr;
    if (!config_value_address(l, item, 0, &addr)) continue;
    struct addr *at = addr.family == 4 ? &peer->source4 : &peer->source6;
    bool used = false;
    for (size_t i = 0; i < peer->addresses.count; i++)
      used |= peer->addresses.list[i].family == addr.family;
    if (addr.port)
      config_complain(l, item, "bad-address", "the port is the system's choice", "`source` takes an address without a port");
    else if (at->family) config_complain(l, item, "bad-value", "", "`source` holds two addresses of IPv%u", addr.family);
    else if (peer->addresses.count && !used)
      config_complain(l, item, "contradiction", "", "`source` is an address of IPv%u, and the peer has none", addr.family);
    *at = addr;
  }
}

static void check_peer(struct loader *l, struct config_peer *peer, const struct given *given, const struct node *n) {
  const struct node *address = config_given(given, SCOPE_PEER, "address"), *key = config_given(given, SCOPE_PEER, "key");
  const struct node *keys = config_given(given, SCOPE_PEER, "keys"), *source = config_given(given, SCOPE_PEER, "source");
  if (!address) config_complain(l, n, "missing-key", "such as address: \"192.0.2.1@53\"", "the peer has no `address`");
  else if (node_is_empty(address) || (address->kind == NODE_LIST && !address->size))
    config_complain(l, address, "bad-value", "such as \"192.0.2.1@53\"", "`address` names no address");
  if (peer->addresses.count > LIMIT_PEER_ADDRESSES)
    config_complain(l, address, "limit", "", "a peer has at most %d addresses", LIMIT_PEER_ADDRESSES);
  if (key && keys)
    config_complain_key(l, keys, "contradiction", "keep one of them", "the peer has a `key` in line %u and `keys`", key->key_line);
  if (source) read_sources(l, peer, source);
}

static void load_peers(struct loader *l, const struct node *section) {
  size_t left;
  for (const struct node *n = config_items(l, section, &left); left; left--, n = n->next) {
    if (!config_need_map(l, n)) continue;
    struct config_peer peer = {.place = node_place(n)};
    struct given given = {0};
    config_scope_read(l, SCOPE_PEER, n, &peer, &given);
    check_peer(l, &peer, &given, n);
    const struct node *name = config_given(&given, SCOPE_PEER, "name");
    if (!name) config_complain(l, n, "missing-key", "", "the peer has no `name`");
    if (!peer.name || !check_peer_name(l, name)) continue;
    size_t count = l->config->peer_count;
    if (!table_add(&l->peer_table, hash64(peer.name, strlen(peer.name), 0), (uint32_t)count)) l->exhausted = true;
    l->peers[count] = peer; /* also a bad one: what refers to it is not wrong */
    l->config->peer_count++;
  }
}

void config_load_peers(struct loader *l) {
  l->peers = config_keep(l, config_section_items(l, "peers") * sizeof *l->peers);
  l->config->peers = l->peers;
  if (l->peers) config_sections(l, "peers", load_peers);
}
