/* A large zone that comes as a whole, read by another thread while it comes. This one reads the first messages, until it is known
 * what comes and that it is much. From then on it passes on what arrives, and that thread verifies, reads and lays out.
 *
 *   message --> waiting --nobody at it--> taken --transfer_build_run--> laid out     secondary_built --> what waits
 *                                             --behind the last SOA---> the zone     secondary_built --> outcome.c
 *
 * Whoever drops the transfer meanwhile leaves it to the thread's end. */
#include "base/pieces.h"
#include "xfr/secondary_priv.h"

#include <stdlib.h>

struct transfer_build {
  struct exchange *exchange; /* NULL: nobody wants it any more, and `incoming` is ours */
  struct incoming *incoming;
  struct tsig_keyring *keys; /* reference that keeps its key */
  size_t part_records;
  bool ignore_zonemd;
  bool given; /* to the other thread: all but what waits, and how the connection ended */
  bool was_run;
  int64_t now_s;
  struct pieces taken; /* messages, each behind its size */
  enum incoming_state state;
  struct finished finished;
  struct pieces waiting; /* the same that came since */
  bool closed, again;    /* the connection: as channels.c said */
  enum err why;
};

static void build_free(struct transfer_build *b) {
  zone_snap_unref(b->finished.snap);
  incoming_free(b->incoming);
  tsig_keyring_unref(b->keys);
  pieces_done(&b->taken);
  pieces_done(&b->waiting);
  free(b);
}

void build_leave(struct exchange *x) {
  struct transfer_build *b = x->build;
  x->build = NULL;
  if (!b) return;
  x->incoming = NULL;
  if (b->given) b->exchange = NULL;
  else build_free(b);
}

bool build_is_busy(const struct exchange *x) {
  return x->build && x->build->given;
}

/* ---- the other thread ---- */

static void take_message(struct transfer_build *b, const uint8_t *message, size_t n) {
  b->state = incoming_message(b->incoming, message, n, b->now_s);
  if (b->state == INCOMING_MORE && incoming_part(b->incoming, b->part_records)) incoming_lay(b->incoming);
  if (b->state == INCOMING_DONE) transfer_finish(b->incoming, b->ignore_zonemd, &b->finished);
}

void transfer_build_run(struct transfer_build *b) {
  if (b->state == INCOMING_MORE) incoming_lay(b->incoming); /* what the control thread has read */
  uint8_t size[2], message[LIMIT_MESSAGE_BYTES];
  while (b->state != INCOMING_FAILED && pieces_take(&b->taken, size, sizeof size))
    take_message(b, message, pieces_take(&b->taken, message, get_u16(size)));
  pieces_done(&b->taken);
  b->was_run = true;
}

bool transfer_build_was_run(const struct transfer_build *b) {
  return b->was_run;
}

/* ---- the control thread ---- */

static bool give(struct secondaries *s, struct secondary *z, struct instant now) {
  struct transfer_build *b = z->exchange->build;
  b->taken = b->waiting;
  b->waiting = (struct pieces){0};
  b->now_s = now.wall_s;
  b->ignore_zonemd = z->options->o.zonemd_ignore;
  b->was_run = false;
  b->given = s->events.build(s->events.arg, z->id, b);
  return b->given;
}

static void ended(struct secondaries *s, struct secondary *z, struct instant now) {
  struct finished f = z->exchange->build->finished;
  z->exchange->build->finished.snap = NULL;
  transfer_finished(s, z, &f, now);
}

/* Nobody is at it. */
static void go_on(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  struct transfer_build *b = x->build;
  if (b->state != INCOMING_FAILED && b->waiting.size) {
    if (give(s, z, now)) return;
    transfer_build_run(b);
  }
  x->ask.answered = incoming_is_answered(b->incoming);
  if (b->state == INCOMING_FAILED) {
    struct xfr_what what;
    xfr_what_set(&what, "%s", incoming_what(b->incoming));
    transfer_failed(s, z, what.text, now);
  } else if (b->state == INCOMING_DONE) {
    ended(s, z, now);
  } else if (b->closed && b->again) {
    transfer_again(s, z, now);
  } else if (b->closed) {
    stream_closed(s, z, b->why, now);
  }
}

void build_begin(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  if (!s->events.build || !incoming_part(x->incoming, s->build_records)) return;
  struct transfer_build *b = x->build = calloc(1, sizeof *b);
  if (b) {
    *b = (struct transfer_build){.exchange = x, .incoming = x->incoming, .part_records = s->build_records};
    if (x->keys) b->keys = tsig_keyring_ref(x->keys);
    if (give(s, z, now)) return;
    b->incoming = NULL; /* there is no thread */
    x->build = NULL;
    build_free(b);
  }
  incoming_lay(x->incoming);
}

void build_message(struct secondaries *s, struct secondary *z, const uint8_t *message, size_t n, struct instant now) {
  struct transfer_build *b = z->exchange->build;
  uint8_t size[2];
  put_u16(size, (uint16_t)n);
  bool failed = pieces_add(&b->waiting, size, sizeof size) || pieces_add(&b->waiting, message, n);
  if (failed || b->waiting.size > z->options->o.transfer_max_bytes) {
    struct xfr_what what;
    if (failed) xfr_what_set(&what, "sends what can't be taken now (%s)", err_text(ERR_MEMORY));
    else incoming_say_too_much(z->options->o.transfer_max_bytes, &what);
    transfer_failed(s, z, what.text, now);
  } else if (!b->given) {
    go_on(s, z, now);
  }
}

bool build_closed(struct exchange *x, enum err why, bool again) {
  if (!build_is_busy(x)) return false;
  x->build->closed = true;
  x->build->again = again;
  x->build->why = why;
  return true;
}

void secondary_build_dropped(struct transfer_build *b) {
  b->given = false;
  if (!b->exchange) build_free(b);
}

void secondary_built(struct secondaries *s, struct transfer_build *b, struct instant now) {
  struct exchange *x = b->exchange;
  secondary_build_dropped(b);
  if (x) go_on(s, x->zone, now);
  secondaries_pump(s, now);
}

void secondaries_build_from(struct secondaries *s, size_t records) {
  s->build_records = records;
}
