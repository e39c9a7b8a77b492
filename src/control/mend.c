/* An image that was opened at a start is proven after it, a millisecond at a time, while zones are answered (zone/image.h). What is
 * found damaged, by that or by whoever reads it, is not answered from that moment on; the zone comes back from what the store has
 * besides it, or from its file if that is all the zone has, or from its primary. Images of an old format, and older ones that stood
 * in for a damaged one, are written anew: small ones here, large ones by another thread (images_refresh). */
#include "base/log.h"
#include "control/control_priv.h"
#include "zone/image.h"

#include <stdlib.h>

enum { SLOTS_A_STEP = 4096, RENEWED_A_STEP = 64 };

void mend_opened(struct control *c) {
  c->mend.proving = true;
  c->mend.next = 0;
}

static bool wants_renewal(const struct control *c, const struct zone_slot *z) {
  return z->snap && z->durable && images_tail_is_long(c, &z->image, z->tail_bytes) && !images_are_aside(c, z->snap);
}

/* One batch. What fails is told by it, and tried again at the next change or start. */
static void renew(struct control *c, struct zone_slot *const *list, size_t count) {
  struct pipeline *p;
  struct store_error why;
  size_t changed;
  if (!count || pipeline_begin(c, &p)) return;
  enum err err = ERR_OK;
  for (size_t i = 0; !err && i < count; i++)
    err = pipeline_renew(p, list[i]);
  if (err) pipeline_abort(p);
  else if (pipeline_commit(p, c->now, &changed, &why)) return;
}

/* Mostly nothing: a small image was proven when it was opened. */
static void prove_some(struct control *c) {
  struct zone_slot *old[RENEWED_A_STEP];
  size_t i = c->mend.next, count = 0;
  for (unsigned n = 0; n < SLOTS_A_STEP && count < RENEWED_A_STEP; n++) {
    struct zone_slot *z = registry_next(&c->registry, &i);
    bool more = false;
    if (!z) {
      c->mend.proving = false;
      break;
    }
    enum err err = z->snap ? zone_image_prove(z->snap, &more) : ERR_OK;
    if (err == ERR_MEMORY || more) break; /* the same again */
    if (wants_renewal(c, z)) old[count++] = z;
    c->mend.next = i;
  }
  renew(c, old, count);
}

static bool is_damaged(const struct zone_slot *z) {
  return z->snap && zone_is_damaged(z->snap);
}

/* Nobody is answered from it any more. */
static void give_up_content(struct control *c, struct zone_slot *z) {
  char name[NAME_TEXT_BYTES];
  log_event(EV_STORE_DAMAGED, LOG_TEXT("zone", slot_name_text(z, name)), LOG_NUMBER("version", z->version),
            LOG_TEXT("what", "the zone's image was found damaged while it was served"));
  zone_snap_unref(z->snap);
  z->snap = NULL;
  z->durable = false;
  if (z->shown && zone_is_damaged(z->shown)) slot_shown(z); /* it will be refused (transfers.c) */
  slot_trouble(z, "its image in the store is damaged");
  if (slot_publish(c, z)) slot_trouble(z, "out of memory while publishing");
}

static enum err bring_back(struct control *c, struct pipeline *p, struct zone_slot *z) {
  struct buf note = {0};
  bool refused = false;
  zone_open_stored(c, z, true);
  if (z->snap) slot_trouble(z, NULL);
  enum err err = ERR_OK;
  if (slot_is_secondary(z)) err = transfers_configure(c, z);
  else if (!z->snap) err = zone_reload_file(c, p, z, false, &refused, &note);
  if (!err && z->snap) err = slot_publish(c, z);
  if (!err && !z->snap && slot_is_secondary(z)) secondary_retransfer(c->secondaries, z->id, c->now);
  buf_done(&note);
  return err;
}

static enum err bring_back_all(struct control *c, const uint32_t *ids, size_t count) {
  struct pipeline *p;
  struct store_error why = {""};
  size_t changed;
  enum err err = pipeline_begin(c, &p);
  if (err) return err;
  for (size_t i = 0; !err && i < count; i++)
    err = bring_back(c, p, c->registry.slots[ids[i]]);
  if (!err) return pipeline_commit(p, c->now, &changed, &why);
  pipeline_abort(p);
  return err;
}

static void mend(struct control *c) {
  struct zone_slot *z;
  size_t count = 0;
  c->mend.damage = zone_damage_found();
  for (size_t i = 0; (z = registry_next(&c->registry, &i));)
    count += is_damaged(z);
  uint32_t *ids = count ? malloc(count * sizeof *ids) : NULL;
  if (!ids) return;
  count = 0;
  for (size_t i = 0; (z = registry_next(&c->registry, &i));) {
    if (!is_damaged(z)) continue;
    ids[count++] = z->id;
    give_up_content(c, z);
  }
  if (bring_back_all(c, ids, count) == ERR_MEMORY)
    log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory: zones with damaged images are not answered"));
  free(ids);
}

void mend_run(struct control *c) {
  if (c->mend.damage != zone_damage_found()) mend(c);
  if (c->mend.proving) prove_some(c);
}

uint64_t mend_deadline(const struct control *c) {
  return c->mend.proving || c->mend.damage != zone_damage_found() ? 0 : UINT64_MAX;
}
