#include "control/control_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t options_slot(const struct epoch *e, const struct config_zone_options *o) {
  return hash64(&o, sizeof o, 0) & e->index_mask;
}

/* Where the plan of these options is, or the empty place where it belongs. */
static size_t index_find(const struct epoch *e, const struct config_zone_options *o) {
  size_t i = options_slot(e, o);
  while (e->index[i] && e->plans[e->index[i] - 1].options != o)
    i = (i + 1) & e->index_mask;
  return i;
}

const struct zone_plan *epoch_plan(const struct epoch *e, const struct config_zone_options *o) {
  uint32_t n = e->index[index_find(e, o)];
  return n ? &e->plans[n - 1] : NULL;
}

static enum err copy_peer(const struct epoch *e, const struct config_peer *from, struct xfr_primary *to) {
  memset(to, 0, sizeof *to);
  snprintf(to->name, sizeof to->name, "%s", from->name);
  for (size_t i = 0; i < from->addresses.count && i < LIMIT_PEER_ADDRESSES; i++)
    to->address[to->address_count++] = from->addresses.list[i];
  to->source4 = from->source4;
  to->source6 = from->source6;
  to->keys = e->identity.keys;
  to->key = from->keys.count ? tsig_keyring_find(e->identity.keys, &from->keys.list[0]->name) : NULL;
  return from->keys.count && !to->key ? ERR_NOT_FOUND : ERR_OK;
}

static enum err copy_peers(struct epoch *e, const struct config_peers *from, struct xfr_primary **to, unsigned *count) {
  if (from->count == 0) return ERR_OK;
  struct xfr_primary *list = arena_zalloc(&e->arena, from->count * sizeof *list);
  if (!list) return ERR_MEMORY;
  for (size_t i = 0; i < from->count; i++) {
    enum err err = copy_peer(e, from->list[i], &list[i]);
    if (err) return err;
  }
  *to = list;
  *count = (unsigned)from->count;
  return ERR_OK;
}

static enum err make_plan(struct epoch *e, const struct config_zone_options *o, struct zone_plan *p) {
  *p = (struct zone_plan){.options = o};
  p->policy = (struct zone_policy){
      .hidden = o->hidden,
      .drop_strangers = o->drop_strangers,
      .secondary = o->role == CONFIG_SECONDARY,
      .require_tls = o->require_tls,
      .answer_to = o->answer_to,
      .transfer = o->transfer,
      .notify_from = o->notify_from,
      .update = o->update,
      .soa_to = o->soa_to,
  };
  enum err err = copy_peers(e, &o->primaries, &p->primaries, &p->primary_count);
  return err ? err : copy_peers(e, &o->notify, &p->notify, &p->notify_count);
}

static enum err make_keyring(struct epoch *e) {
  enum err err = tsig_keyring_new(&e->identity.keys);
  for (size_t i = 0; !err && i < e->config->key_count; i++) {
    const struct config_key *k = &e->config->keys[i];
    err = tsig_keyring_add(e->identity.keys, &k->name, k->algorithm, k->secret, k->secret_size);
  }
  return err;
}

static void make_identity(struct epoch *e) {
  const char *id = e->config->server.identity;
  if (id) {
    size_t n = strlen(id) < sizeof e->identity.nsid ? strlen(id) : sizeof e->identity.nsid;
    memcpy(e->identity.nsid, id, n);
    e->identity.nsid_size = (uint8_t)n;
  }
  e->identity.udp_bytes = LIMIT_UDP_RESPONSE_BYTES;
  e->identity.keepalive_100ms = 100; /* the stream server's idle timeout of 10 s */
}

static enum err add_plan(struct epoch *e, const struct config_zone_options *o) {
  size_t at = index_find(e, o);
  if (e->index[at]) return ERR_OK;
  enum err err = make_plan(e, o, &e->plans[e->plan_count]);
  if (!err) e->index[at] = (uint32_t)++e->plan_count;
  return err;
}

/* Counts distinct options: zones that share them mostly stand together, so runs are skipped cheaply. */
static enum err make_plans(struct epoch *e) {
  const struct config *cfg = e->config;
  size_t most = 1 + cfg->template_count;
  for (size_t i = 1; i < cfg->zone_count; i++)
    most += cfg->zones[i].options != cfg->zones[i - 1].options;
  size_t slots = 16;
  while (slots < 2 * most)
    slots *= 2;
  e->index = calloc(slots, sizeof *e->index);
  e->plans = calloc(most, sizeof *e->plans);
  e->index_mask = slots - 1;
  if (!e->index || !e->plans) return ERR_MEMORY;
  enum err err = ERR_OK;
  for (size_t i = 0; !err && i < cfg->zone_count; i++)
    if (!i || cfg->zones[i].options != cfg->zones[i - 1].options) err = add_plan(e, cfg->zones[i].options);
  for (size_t i = 0; !err && i < cfg->template_count; i++) /* of zones to be added at run time */
    if (cfg->templates[i].options) err = add_plan(e, cfg->templates[i].options);
  return err;
}

enum err epoch_new(struct config *config, struct epoch **out) {
  struct epoch *e = calloc(1, sizeof *e);
  if (!e) return ERR_MEMORY;
  e->config = config;
  make_identity(e);
  enum err err = make_keyring(e);
  if (!err) err = make_plans(e);
  if (err) {
    e->config = NULL; /* stays the caller's */
    epoch_free(e);
    return err;
  }
  *out = e;
  return ERR_OK;
}

void epoch_free(struct epoch *e) {
  if (!e) return;
  tsig_keyring_unref(e->identity.keys);
  free(e->plans);
  free(e->index);
  arena_done(&e->arena);
  config_free(e->config);
  free(e);
}
