/* What becomes of a transfer: a new version; after changes of no use the same once more as a whole; or a failure. And which
 * primaries have to be asked for the whole zone for a while, because their changes were of no use and the whole zone was. */
#include "xfr/secondary_priv.h"

#include "base/mutation.h"
#include "base/serial.h"
#include "xfr/zonemd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- whom not to ask for changes ---- */

static uint32_t mono_s(struct instant now) {
  return (uint32_t)(now.mono_ns / NS_PER_S);
}

static bool gives_no_changes(const struct secondary *z, struct instant now) {
  unsigned primary = secondary_target(z, target_at_hand(z)).primary_index;
  return z->whole || ((z->whole_primaries >> primary & 1) && mono_s(now) < z->whole_until_s);
}

static void avoid_changes(struct secondary *z, struct instant now) {
  unsigned primary = secondary_target(z, target_at_hand(z)).primary_index;
  uint32_t wait_s = LIMIT_IXFR_AVOID_LEAST_S;
  for (unsigned i = 0; i < z->whole_times && wait_s < LIMIT_IXFR_AVOID_MOST_S; i++)
    wait_s *= 2;
  if (mono_s(now) >= z->whole_until_s) z->whole_primaries = 0;
  z->whole_primaries = (uint16_t)(z->whole_primaries | 1u << primary);
  z->whole_until_s = mono_s(now) + (wait_s < LIMIT_IXFR_AVOID_MOST_S ? wait_s : LIMIT_IXFR_AVOID_MOST_S);
  if (z->whole_times < UINT8_MAX) z->whole_times++;
}

void transfer_forget(struct secondary *z) {
  z->whole_primaries = 0;
  z->whole_times = 0;
}

/* Changes lead forward only (RFC 1982), so a version to go back to, or one to be had in any case, comes as a whole. */
bool transfer_is_of_changes(const struct secondaries *s, const struct secondary *z, struct instant now) {
  bool forward = z->has_content && !z->force && serial_gt(z->promised_serial, z->soa.serial);
  return s->events.content && forward && !gives_no_changes(z, now);
}

struct zone_snap *transfer_base(struct secondaries *s, const struct secondary *z, struct instant now) {
  if (!transfer_is_of_changes(s, z, now)) return NULL;
  struct zone_snap *base = s->events.content(s->events.arg, z->id);
  if (!base || zone_serial(base) == z->soa.serial) return base;
  zone_snap_unref(base);
  return NULL;
}

/* ---- failure ---- */

/* And did not get the whole zone instead: then asking for that would bring the same again. */
static bool asked_for_changes(const struct secondary *z) {
  const struct incoming *in = z->exchange ? z->exchange->incoming : NULL;
  return !MUTATION(FALL_BACK) && in && incoming_base(in) && incoming_kind(in) != INCOMING_WHOLE;
}

/* The error stays with the zone until the whole zone is here, and then goes into what status says of that transfer. */
static void fall_back(struct secondaries *s, struct secondary *z, const char *what, struct instant now) {
  struct exchange *x = z->exchange;
  struct remote *r = x->lane->remote;
  char address[ADDR_TEXT_BYTES], text[XFR_WHAT_BYTES + ADDR_TEXT_BYTES];
  snprintf(text, sizeof text, "%s %s", addr_text(&x->address, address), what);
  s->counts.transfers_fell_back++;
  secondary_note(z, text, now);
  if (s->events.fell_back) s->events.fell_back(s->events.arg, z->id, text, x->peer);
  z->whole = true;
  z->phase = SECONDARY_WAITING_SLOT;
  lane_wait(&s->streams, &r->streams, &z->wait, true);
  exchange_free(s, z);
  secondary_reschedule(s, z);
}

void transfer_failed(struct secondaries *s, struct secondary *z, const char *what, struct instant now) {
  if (z->direct && z->exchange) {
    direct_failed(s, z);
    return;
  }
  if (asked_for_changes(z)) {
    fall_back(s, z, what, now);
    return;
  }
  s->counts.transfers_failed++;
  target_failed(s, z, what, now);
}

void transfer_stalled(struct secondaries *s, struct secondary *z, const char *what, struct instant now) {
  bool others = z->tried + 1 < z->options->target_count;
  if (!others || !asked_for_changes(z)) {
    transfer_failed(s, z, what, now);
    return;
  }
  avoid_changes(z, now);
  s->counts.transfers_failed++;
  target_failed(s, z, what, now);
}

/* ---- success ---- */

static void keep_last_transfer(struct secondary *z, const struct transfer_info *i, struct instant now) {
  size_t peer_size = strlen(i->peer) + 1, why_size = strlen(i->whole_because) + 1;
  struct last_transfer *l = malloc(sizeof *l + peer_size + why_size);
  if (!l) return; /* status goes on telling of the one before */
  *l = (struct last_transfer){.from = i->from,
                              .is_signed = i->is_signed,
                              .incremental = i->incremental,
                              .has_serial_from = i->has_serial_from,
                              .peer_size = (uint16_t)peer_size,
                              .serial_from = i->serial_from,
                              .serial_to = i->serial_to,
                              .bytes = i->bytes,
                              .messages = i->messages,
                              .records = i->records,
                              .dropped = i->dropped,
                              .duration_ns = i->duration_ns,
                              .wall_s = now.wall_s};
  memcpy(l->text, i->peer, peer_size);
  memcpy(l->text + peer_size, i->whole_because, why_size);
  free(z->last_transfer);
  z->last_transfer = l;
}

void last_transfer_status(const struct last_transfer *l, struct secondary_status *out) {
  const char *why = l->text + l->peer_size;
  out->has_last_transfer = true;
  out->last_transfer = (struct transfer_info){.from = l->from,
                                              .is_signed = l->is_signed,
                                              .incremental = l->incremental,
                                              .has_serial_from = l->has_serial_from,
                                              .serial_from = l->serial_from,
                                              .serial_to = l->serial_to,
                                              .bytes = l->bytes,
                                              .messages = l->messages,
                                              .records = l->records,
                                              .dropped = l->dropped,
                                              .duration_ns = l->duration_ns};
  memcpy(out->last_transfer.peer, l->text, l->peer_size);
  memcpy(out->last_transfer.whole_because, why, strlen(why) + 1);
  out->last_transfer_wall_s = l->wall_s;
}

static struct transfer_info describe(const struct secondary *z, uint32_t serial, struct instant now) {
  const struct exchange *x = z->exchange;
  struct incoming_count count = incoming_count(x->incoming);
  struct transfer_info info = {.from = x->address,
                               .incremental = incoming_kind(x->incoming) == INCOMING_CHANGES,
                               .is_signed = x->key != NULL,
                               .told = z->notify_round,
                               .has_serial_from = z->has_content,
                               .serial_from = z->has_content ? z->soa.serial : 0,
                               .serial_to = serial,
                               .bytes = count.bytes,
                               .messages = count.messages,
                               .records = count.records,
                               .dropped = count.dropped,
                               .duration_ns = now.mono_ns - x->started_ns};
  memcpy(info.peer, x->peer, sizeof info.peer);
  if (z->whole && z->error) snprintf(info.whole_because, sizeof info.whole_because, "%s", z->error);
  return info;
}

/* A zone may give up its digest; but changes that do so could no longer be verified, so the whole zone has to say the same. */
static bool digest_fits(const struct incoming *in, const struct zone_snap *zone, struct xfr_what *what) {
  bool lost = incoming_kind(in) == INCOMING_CHANGES && zonemd_is_there(incoming_base(in)) && !zonemd_is_there(zone);
  if (!lost) return zonemd_verify(zone, what);
  xfr_what_set(what, "sent changes that take the zone's digest away (ZONEMD), so that they can't be verified");
  return false;
}

/* Changes are compared with the digest that the primary has, if it is one of us. What it sends as a whole is taken: there is
 * nothing better to be had from it. */
static bool changes_fit(const struct incoming *in, const struct zone_snap *zone, struct xfr_what *what) {
  bool comparable = incoming_kind(in) == INCOMING_CHANGES && incoming_count(in).dropped == 0;
  return !comparable || digest_option_fits(incoming_digest(in), incoming_base(in), zone, what);
}

void transfer_finish(struct incoming *in, bool ignore, struct finished *out) {
  *out = (struct finished){0};
  enum err e = incoming_finish(in, &out->snap);
  if (e) {
    out->snap = NULL;
    xfr_what_set(&out->what, "sent a zone that can't be kept (%s)", err_text(e));
    return;
  }
  out->digest_differs = !changes_fit(in, out->snap, &out->what);
  if (out->digest_differs) return;
  out->zonemd_differs = !ignore && !MUTATION(ZONEMD) && !digest_fits(in, out->snap, &out->what);
}

void transfer_finished(struct secondaries *s, struct secondary *z, const struct finished *f, struct instant now) {
  s->counts.digest_refused += f->digest_differs;
  s->counts.zonemd_refused += f->zonemd_differs;
  if (!f->snap || f->digest_differs || f->zonemd_differs) {
    zone_snap_unref(f->snap);
    transfer_failed(s, z, f->what.text, now);
    return;
  }
  struct transfer_info info = describe(z, zone_serial(f->snap), now);
  keep_last_transfer(z, &info, now);
  if (info.incremental) z->whole_times = 0;
  else if (z->whole) avoid_changes(z, now);
  s->counts.transfers_changes += info.incremental;
  z->whole = false;
  exchange_free(s, z);
  z->phase = SECONDARY_COMMITTING;
  secondary_reschedule(s, z);
  s->events.transferred(s->events.arg, z->id, f->snap, &info);
}

void transfer_done(struct secondaries *s, struct secondary *z, struct instant now) {
  struct finished f;
  transfer_finish(z->exchange->incoming, z->options->o.zonemd_ignore, &f);
  transfer_finished(s, z, &f, now);
}
