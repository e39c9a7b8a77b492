/* Options of zones: the defaults, the template's over them, the zone's own over those; then what follows from all together. Zones
 * that say the same share the result: what a zone says is written down as its signature, and looked up before it is read. */
#include "config/load_priv.h"

#include "base/limits.h"

/* ---- signatures ---- */

static void sign_node(struct buf *out, const struct node *n) {
  buf_add_byte(out, n->kind);
  buf_add(out, &n->size, sizeof n->size);
  if (n->kind == NODE_TEXT) buf_add(out, n->text, n->size);
  for (const struct node *child = n->child; child; child = child->next) {
    if (child->key) buf_add(out, child->key, strlen(child->key) + 1);
    sign_node(out, child);
  }
}

/* What is the zone's alone, and so no part of its options. */
static bool is_zones_own(const struct node *n) {
  return strcmp(n->key, "file") == 0 || config_option_find(SCOPE_ZONE, n->key);
}

static void sign(struct loader *l, const struct template *t, const struct node *own) {
  struct buf *out = &l->signature;
  buf_clear(out);
  buf_add(out, &t, sizeof t);
  const struct source *source = NULL; /* what relative file names mean; most zones have none in their options */
  for (const struct node *n = own ? own->child : NULL; n; n = n->next) {
    if (is_zones_own(n)) continue;
    if (!source) buf_add(out, &n->source, sizeof n->source);
    source = n->source;
    buf_add(out, n->key, strlen(n->key) + 1);
    sign_node(out, n);
  }
}

static bool same_signature(const void *arg, uint32_t index) {
  const struct loader *l = arg;
  const struct resolved *r = l->resolved[index];
  return r->signature_size == l->signature.size && memcmp(r->signature, l->signature.data, r->signature_size) == 0;
}

/* ---- digests ---- */

static void digest_text(struct buf *out, const char *text) {
  if (text) buf_add_text(out, text);
  buf_add_byte(out, 0);
}

static void digest_addr(struct buf *out, const struct addr *a) {
  buf_add_byte(out, a->family);
  buf_add(out, &a->port, sizeof a->port);
  buf_add(out, &a->scope, sizeof a->scope);
  buf_add(out, a->octets, sizeof a->octets);
}

static void digest_key(struct buf *out, const struct config_key *k) {
  buf_add(out, k->name.octets, k->name.size);
  buf_add_byte(out, (uint8_t)k->algorithm);
  buf_add(out, &k->secret_size, sizeof k->secret_size);
  buf_add(out, k->secret, k->secret_size);
}

static void digest_peers(struct buf *out, const struct config_peers *peers) {
  buf_add(out, &peers->count, sizeof peers->count);
  for (size_t i = 0; i < peers->count; i++) {
    const struct config_peer *p = peers->list[i];
    digest_text(out, p->name);
    buf_add(out, &p->addresses.count, sizeof p->addresses.count);
    for (size_t j = 0; j < p->addresses.count; j++)
      digest_addr(out, &p->addresses.list[j]);
    buf_add(out, &p->keys.count, sizeof p->keys.count);
    for (size_t j = 0; j < p->keys.count; j++)
      digest_key(out, p->keys.list[j]);
    digest_addr(out, &p->source4);
    digest_addr(out, &p->source6);
  }
}

static void digest_acl(struct buf *out, const struct acl *acl) {
  buf_add(out, &acl->count, sizeof acl->count);
  for (size_t i = 0; i < acl->count; i++) {
    const struct acl_entry *e = &acl->entries[i];
    buf_add_byte(out, (uint8_t)(e->any_host | e->need_tls << 1));
    digest_addr(out, &e->from.addr);
    buf_add_byte(out, e->from.bits);
    buf_add(out, &e->key.size, sizeof e->key.size);
    buf_add(out, e->key.octets, e->key.size);
  }
}

static void digest_grants(struct buf *out, const struct grants *grants) {
  buf_add(out, &grants->count, sizeof grants->count);
  for (size_t i = 0; i < grants->count; i++) {
    const struct grant *g = &grants->list[i];
    digest_acl(out, &g->who);
    buf_add(out, &g->name_count, sizeof g->name_count);
    for (size_t k = 0; k < g->name_count; k++)
      buf_add(out, g->names[k].octets, g->names[k].size);
    buf_add(out, &g->type_count, sizeof g->type_count);
    buf_add(out, g->types, g->type_count * sizeof *g->types);
  }
}

static void set_digest(struct loader *l, struct config_zone_options *o) {
  struct buf *out = &l->entries;
  buf_clear(out);
  digest_text(out, o->file);
  digest_text(out, o->include_root);
  digest_peers(out, &o->notify);
  digest_peers(out, &o->primaries);
  digest_acl(out, &o->transfer);
  digest_acl(out, &o->notify_from);
  digest_acl(out, &o->answer_to);
  digest_grants(out, &o->update);
  digest_acl(out, &o->soa_to);
  uint32_t rest[] = {(uint32_t)o->role,   (uint32_t)o->serial,
                     (uint32_t)o->check,  o->hidden,
                     o->drop_strangers,   o->require_tls,
                     o->refresh_min_ms,   o->refresh_max_ms,
                     o->retry_min_ms,     o->retry_max_ms,
                     (uint32_t)o->zonemd, o->managed,
                     o->editable,         (uint32_t)o->write_back_s,
                     o->generate_zonemd,  o->transfer_timeout_ms};
  buf_add(out, rest, sizeof rest);
  buf_add(out, &o->transfer_max_bytes, sizeof o->transfer_max_bytes);
  if (out->failed) l->exhausted = true;
  o->digest = hash128(out->data, out->size);
  wipe(out->data, out->size); /* held secrets */
}

/* ---- contradictions ---- */

static const struct node *given_option(const struct given *g, const char *key) {
  return config_given(g, SCOPE_OPTIONS, key);
}

static void complain_role(struct loader *l, const struct node *n, enum config_role role, const struct node *role_at) {
  char at[PLACE_TEXT_BYTES];
  const char *is = role == CONFIG_PRIMARY ? "primary" : "secondary", *other = role == CONFIG_PRIMARY ? "secondary" : "primary";
  if (role_at)
    config_complain_key(l, n, "contradiction", "take one of them out", "`%s` is for %s zones, and `%s` at %s makes this one a %s",
                        n->key, other, role_at->key, config_place_text(node_key_place(role_at), at), is);
  else
    config_complain_key(l, n, "contradiction", "", "`%s` is for %s zones, and this one is a %s without `primaries`", n->key, other,
                        is);
}

static void check_bounds(struct loader *l, const struct given *given, const char *min_key, uint32_t min_ms, const char *max_key,
                         uint32_t max_ms) {
  const struct node *min = given_option(given, min_key), *max = given_option(given, max_key);
  char at[PLACE_TEXT_BYTES];
  if (min_ms <= max_ms || (!min && !max)) return;
  const struct node *n = min ? min : max, *other = min ? max : NULL;
  if (other) config_place_text(node_key_place(other), at);
  config_complain_key(l, n, "contradiction", "", "`%s` is longer than `%s`%s%s", min_key, max_key, other ? " at " : "",
                      other ? at : "");
}

/* The keys of one map, a zone's or a template's, against what `o` has become. */
static void check_given(struct loader *l, const struct given *given, const struct config_zone_options *o,
                        const struct node *role_at) {
  for (size_t i = 0; i < OPTION_COUNT; i++) {
    if (!given->at[i] || given->at[i] == role_at || o->role == CONFIG_ROLE_UNSET) continue;
    bool fits =
        config_option_table[i].roles == ROLES_ANY || (config_option_table[i].roles == ROLES_PRIMARY) == (o->role == CONFIG_PRIMARY);
    if (!fits) complain_role(l, given->at[i], o->role, role_at);
  }
  check_bounds(l, given, "refresh-min", o->refresh_min_ms, "refresh-max", o->refresh_max_ms);
  check_bounds(l, given, "retry-min", o->retry_min_ms, "retry-max", o->retry_max_ms);
  const struct node *primaries = given_option(given, "primaries");
  if (primaries && o->primaries.count > LIMIT_ZONE_PRIMARIES)
    config_complain(l, primaries, "limit", "", "a zone has at most %d primaries", LIMIT_ZONE_PRIMARIES);
}

void config_options_check(struct loader *l, const struct template *t) {
  check_given(l, &t->given, t->options, given_option(&t->given, "role"));
}

/* ---- making them ---- */

static void read_own(struct loader *l, const struct node *own, struct config_zone_options *o, struct given *given) {
  for (const struct node *n = own ? own->child : NULL; n; n = n->next) {
    if (is_zones_own(n)) continue;
    const struct option *row = config_option_find(SCOPE_OPTIONS, n->key);
    if (row) config_scope_read_option(l, row, n, o, given);
    else config_scope_unknown_key(l, SCOPE_ZONE, SCOPE_OPTIONS, n);
  }
}

/* The zone's own word for an option, else its template's. */
static const struct node *said(const struct given *own, const struct template *t, const char *key) {
  const struct node *n = given_option(own, key);
  return n || !t ? n : given_option(&t->given, key);
}

static const struct node *settle_role(struct loader *l, struct config_zone_options *o, const struct given *own,
                                      const struct template *t, const struct node *who) {
  const struct node *role = said(own, t, "role"), *primaries = said(own, t, "primaries"), *file = said(own, t, "file");
  char at[PLACE_TEXT_BYTES];
  if (o->role == CONFIG_ROLE_UNSET) {
    bool has_primaries = primaries && !node_is_empty(primaries) && !(primaries->kind == NODE_LIST && !primaries->size);
    o->role = has_primaries ? CONFIG_SECONDARY : CONFIG_PRIMARY;
    role = has_primaries ? primaries : NULL;
    if (has_primaries && file)
      config_complain(l, who, "contradiction", "say which with `role`", "the template gives both `primaries` and, at %s, `file`",
                      config_place_text(node_key_place(file), at));
  } else if (o->role == CONFIG_SECONDARY && (!primaries || (!o->primaries.count && !primaries->size))) {
    config_complain(l, who, "missing-key", "name the peers to transfer it from", "a secondary, as said at %s, needs `primaries`",
                    role ? config_place_text(node_key_place(role), at) : "");
  }
  return role;
}

/* What only its file changes has the file's serials; of what has other writers, each change makes one. */
static void settle_owner(struct loader *l, struct config_zone_options *o, const struct given *own, const struct template *t,
                         const struct node *who) {
  const struct node *back = given_option(own, "write-back");
  char at[PLACE_TEXT_BYTES];
  if (o->role != CONFIG_PRIMARY) {
    o->managed = o->editable = false;
    o->write_back_s = CONFIG_NEVER_S;
  }
  if (o->managed && o->file)
    config_complain(l, who, "contradiction", "take one of them out", "a managed zone has no `file`, and one is given at %s",
                    config_place_text(node_key_place(said(own, t, "file")), at));
  else if (back && o->write_back_s != CONFIG_NEVER_S && (o->managed || !config_zone_has_writers(o)))
    diag_add(l->diags, SEVERITY_WARNING, node_key_place(back), "no-effect", o->managed ? "" : "give `update` or `editable` as well",
             "nothing is ever written back: %s", o->managed ? "the zone has no file" : "only its file changes the zone");
  if (o->serial == CONFIG_SERIAL_UNSET) o->serial = config_zone_has_writers(o) ? CONFIG_SERIAL_INCREMENT : CONFIG_SERIAL_KEEP;
}

static bool derive_access(struct loader *l, struct config_zone_options *o, bool has_notify_from) {
  if (o->role == CONFIG_PRIMARY) {
    o->primaries = (struct config_peers){0};
    o->notify_from = (struct acl){0};
  } else {
    o->file = o->include_root = NULL;
    if (!has_notify_from) {
      buf_clear(&l->entries);
      config_acl_add_peers(&l->entries, &o->primaries);
      if (!config_acl_keep(l, &l->entries, &o->notify_from)) return false;
    }
  }
  o->hidden = !config_acl_has_any(&o->answer_to);
  buf_clear(&l->entries);
  config_acl_add_peers(&l->entries, &o->notify);
  buf_add(&l->entries, o->transfer.entries, o->transfer.count * sizeof *o->transfer.entries);
  return config_acl_keep(l, &l->entries, &o->soa_to);
}

static bool make(struct loader *l, const struct template *t, const struct node *own, const struct node *who, struct resolved *out) {
  struct config_zone_options *o = config_keep(l, sizeof *o);
  struct given given = {0};
  if (!o) return false;
  size_t errors = l->diags->errors;
  *o = t ? *t->options : l->base;
  o->template_name = t ? t->name : "";
  read_own(l, own, o, &given);
  out->role_at = settle_role(l, o, &given, t, who);
  check_given(l, &given, o, out->role_at);
  settle_owner(l, o, &given, t, who);
  const struct node *strangers = given_option(&given, "strangers");
  if (!derive_access(l, o, said(&given, t, "notify-from") != NULL)) return false;
  if (strangers && o->drop_strangers && !o->hidden)
    diag_add(l->diags, SEVERITY_WARNING, node_key_place(strangers), "no-effect", "give `answer-to` as well",
             "there are no strangers to drop: the zone answers everybody");
  set_digest(l, o);
  out->options = o;
  out->bad = l->diags->errors > errors;
  return true;
}

const struct resolved *config_options_resolve(struct loader *l, const struct template *t, const struct node *own,
                                              const struct node *who) {
  sign(l, t, own);
  if (l->signature.failed) {
    l->exhausted = true;
    return NULL;
  }
  uint64_t hash = hash64(l->signature.data, l->signature.size, 0);
  uint32_t found = table_find(&l->resolved_table, hash, same_signature, l);
  struct resolved again; /* said again for this zone, unless nobody would read it */
  if (found != UINT32_MAX && l->resolved[found]->bad && l->diags->count < LIMIT_DIAGS && !make(l, t, own, who, &again)) return NULL;
  if (found != UINT32_MAX) return l->resolved[found];

  struct resolved *r = config_borrow(l, sizeof *r);
  struct resolved **list = config_grow(l, l->resolved, l->resolved_count, &l->resolved_capacity, sizeof *list);
  if (list) l->resolved = list;
  if (!r || !list || !(r->signature = arena_copy(&l->scratch, l->signature.data, l->signature.size))) {
    l->exhausted = true;
    return NULL;
  }
  r->signature_size = l->signature.size;
  if (!make(l, t, own, who, r)) return NULL;
  l->resolved[l->resolved_count] = r;
  if (!table_add(&l->resolved_table, hash, (uint32_t)l->resolved_count)) l->exhausted = true;
  l->resolved_count++;
  return r;
}
