/* A large zone that comes as a whole, put together by another thread. While it comes, that thread lays out part after part; what
 * was laid out is not gathered any more. At the end it makes the zone and compares it with its digest.
 *
 *   message --> gathered --enough, and nobody at it--> part --transfer_build_run--> laid out        secondary_built --> next part
 *   last SOA ----------------------------------------> end  --transfer_build_run--> the zone        secondary_built --> outcome.c
 *
 * Whoever drops the transfer meanwhile leaves it to the thread's end. */
#include "xfr/secondary_priv.h"

#include <stdlib.h>

struct transfer_build {
  struct exchange *exchange; /* NULL: nobody wants it any more, and `incoming` is ours */
  struct incoming *incoming;
  bool given;         /* to the other thread */
  bool last, was_run; /* of what is given */
  bool ignore_zonemd;
  struct finished finished;
};

static void build_free(struct transfer_build *b) {
  zone_snap_unref(b->finished.snap);
  incoming_free(b->incoming);
  free(b);
}

void build_leave(struct exchange *x) {
  struct transfer_build *b = x->build;
  x->build = NULL;
  if (b) x->incoming = NULL;
  if (b && b->given) b->exchange = NULL;
  else if (b) build_free(b);
}

static bool give(struct secondaries *s, struct secondary *z, bool last) {
  struct transfer_build *b = z->exchange->build;
  b->last = last;
  b->was_run = false;
  b->given = s->events.build(s->events.arg, z->id, b);
  return b->given;
}

void build_part(struct secondaries *s, struct secondary *z) {
  struct exchange *x = z->exchange;
  if (!s->events.build || (x->build && x->build->given) || !incoming_part(x->incoming, s->build_records)) return;
  if (!x->build) x->build = calloc(1, sizeof *x->build);
  if (x->build) {
    x->build->exchange = x;
    x->build->incoming = x->incoming;
  }
  if (!x->build || !give(s, z, false)) incoming_lay(x->incoming);
}

static void ended(struct secondaries *s, struct secondary *z, struct instant now) {
  struct transfer_build *b = z->exchange->build;
  struct finished f = b->finished;
  b->finished.snap = NULL;
  transfer_finished(s, z, &f, now);
}

bool build_end(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  struct transfer_build *b = x->build;
  if (!b) return false;
  x->stage = STAGE_XFR_BUILD;
  x->deadline_ns = UINT64_MAX;
  channel_leave(&s->channels, &x->ask);
  b->ignore_zonemd = z->options->o.zonemd_ignore;
  secondary_reschedule(s, z);
  if (b->given || give(s, z, true)) return true;
  transfer_build_run(b);
  ended(s, z, now);
  return true;
}

void transfer_build_run(struct transfer_build *b) {
  if (b->last) transfer_finish(b->incoming, b->ignore_zonemd, &b->finished);
  else incoming_lay(b->incoming);
  b->was_run = true;
}

bool transfer_build_was_run(const struct transfer_build *b) {
  return b->was_run;
}

void secondary_build_dropped(struct transfer_build *b) {
  b->given = false;
  if (!b->exchange) build_free(b);
}

void secondary_built(struct secondaries *s, struct transfer_build *b, struct instant now) {
  struct exchange *x = b->exchange;
  bool last = b->last;
  secondary_build_dropped(b);
  if (!x) return;
  if (last) ended(s, x->zone, now);
  else if (x->stage == STAGE_XFR_BUILD) (void)build_end(s, x->zone, now);
  else build_part(s, x->zone);
  secondaries_pump(s, now);
}

void secondaries_build_from(struct secondaries *s, size_t records) {
  s->build_records = records;
}
