/* The exchange of a zone, and a transfer on its way. */
#include "xfr/secondary_priv.h"

#include "base/mutation.h"
#include "base/serial.h"

#include <stdlib.h>
#include <string.h>

/* ---- exchanges ---- */

static void set_peer(struct exchange *x, const struct target *t) {
  const struct xfr_primary *p = t->primary;
  memcpy(x->peer, p->name, sizeof x->peer);
  x->peer[sizeof x->peer - 1] = 0;
  x->address = *t->address;
  x->source = t->address->family == 4 ? p->source4 : p->source6;
  if (p->key) {
    x->keys = tsig_keyring_ref(p->keys);
    x->key = p->key;
  }
}

static void give_back(struct secondaries *s, struct lane *lane) {
  struct remote *r = lane->remote;
  lane_release(secondary_lanes(s, lane), lane);
  remote_put(&s->remotes, r);
}

struct exchange *exchange_new(struct secondaries *s, struct secondary *z, struct lane *lane, struct instant now) {
  struct exchange *x = calloc(1, sizeof *x);
  if (!x || tokens_take(&s->tokens, x, &x->token)) {
    free(x);
    give_back(s, lane);
    return NULL;
  }
  struct target t = secondary_target(z, target_at_hand(z));
  set_peer(x, &t);
  tsig_stream_none(&x->query.tsig);
  list_init(&x->ask.link);
  x->zone = z;
  x->lane = lane;
  x->started_ns = now.mono_ns;
  z->exchange = x;
  return x;
}

static void close_datagrams(struct secondaries *s, struct exchange *x) {
  if (x->is_open) s->net.udp_close(s->net.arg, x->token);
  x->is_open = false;
}

void exchange_free(struct secondaries *s, struct secondary *z) {
  struct exchange *x = z->exchange;
  if (!x) return;
  z->exchange = NULL;
  close_datagrams(s, x);
  tokens_drop(&s->tokens, x->token);
  channel_leave(&s->channels, &x->ask);
  give_back(s, x->lane);
  soa_query_done(&x->query);
  build_leave(x);
  incoming_free(x->incoming);
  tsig_keyring_unref(x->keys);
  free(x);
}

enum err exchange_join(struct secondaries *s, struct exchange *x, struct instant now) {
  close_datagrams(s, x);
  return channel_join(&s->channels, x->lane->remote, &x->source, &x->ask, now);
}

/* ---- transfers ---- */

static uint64_t window_ns(const struct secondary *z) {
  uint32_t ms = z->options->o.transfer_timeout_ms;
  return (ms ? ms : LIMIT_TRANSFER_CONNECT_MS) * NS_PER_MS;
}

static uint64_t patience_ns(const struct secondary *z, uint64_t most_ns) {
  uint64_t wait = window_ns(z), direct = LIMIT_NOTIFY_DIRECT_MS * NS_PER_MS;
  if (wait > most_ns) wait = most_ns;
  return z->direct && wait > direct ? direct : wait;
}

static void connect_for(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  x->stage = STAGE_XFR_CONNECT;
  x->deadline_ns = now.mono_ns + patience_ns(z, LIMIT_TRANSFER_CONNECT_MS * NS_PER_MS);
  enum err e = exchange_join(s, x, now);
  if (e) {
    struct xfr_what what;
    xfr_what_set(&what, "can't be connected to over TCP (%s): is there a route to it?", err_text(e));
    transfer_failed(s, z, what.text, now);
  } else if (channel_is_open(&x->ask)) {
    transfer_on(s, z, now);
  } else {
    secondary_reschedule(s, z);
  }
}

void transfer_start(struct secondaries *s, struct secondary *z, struct lane *lane, struct instant now) {
  struct exchange *x = exchange_new(s, z, lane, now);
  z->phase = SECONDARY_TRANSFERRING;
  s->counts.transfers += !z->direct;
  if (x) connect_for(s, z, now);
  else transfer_failed(s, z, "was not asked: out of memory", now);
}

void transfer_again(struct secondaries *s, struct secondary *z, struct instant now) {
  build_leave(z->exchange);
  incoming_free(z->exchange->incoming);
  z->exchange->incoming = NULL;
  connect_for(s, z, now);
}

void transfer_on(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  struct name apex;
  secondary_apex(z, &apex);
  x->stage = STAGE_XFR;
  size_t size;
  struct zone_snap *base = transfer_base(s, z, now);
  enum err e = incoming_new(&apex, base, x->key, x->ask.id, z->options->o.transfer_max_bytes, now.wall_s, &x->incoming);
  zone_snap_unref(base);
  if (!e) {
    const uint8_t *request = incoming_request(x->incoming, &size);
    e = channel_send(&s->channels, &x->ask, request, size);
  }
  if (e) {
    struct xfr_what what;
    xfr_what_set(&what, "could not be sent the transfer request (%s)", err_text(e));
    transfer_failed(s, z, what.text, now);
    return;
  }
  x->started_ns = x->progress_ns = x->window_ns = now.mono_ns;
  x->window_bytes = 0;
  x->deadline_ns = now.mono_ns + patience_ns(z, UINT64_MAX);
  secondary_reschedule(s, z);
}

/* A stream has to bring something in every timeout, and not just drops; and it has to end some day. Messages don't touch the heap
 * of timers: what came since is looked at when the deadline comes. */
void transfer_timeout(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  uint64_t window = window_ns(z);
  struct xfr_what what;
  if (z->direct) {
    direct_failed(s, z);
    return;
  }
  if (build_is_busy(x)) x->progress_ns = x->window_ns = now.mono_ns; /* what is here is read, however long that takes */
  if (x->stage == STAGE_XFR_CONNECT) {
    xfr_what_set(&what, "takes no TCP connection, though it answers over UDP: is TCP to it blocked?");
  } else if (incoming_is_undecided(x->incoming)) {
    transfer_failed(s, z, "answered our IXFR with nothing but its newer SOA", now);
    return;
  } else if (now.mono_ns - x->progress_ns >= window && channel_retreat(&s->channels, &x->ask, window, now)) {
    transfer_again(s, z, now);
    return;
  } else if (now.mono_ns - x->progress_ns >= window) {
    xfr_what_set(&what, "sent nothing for %.1f s in the middle of the transfer", (double)window / (double)NS_PER_S);
  } else if (now.mono_ns - x->started_ns >= LIMIT_TRANSFER_IN_S * NS_PER_S) {
    xfr_what_set(&what, "did not end the transfer within %d s", LIMIT_TRANSFER_IN_S);
  } else if (now.mono_ns - x->window_ns >= window && x->window_bytes < LIMIT_TRANSFER_STALL_BYTES) {
    xfr_what_set(&what, "sent only %llu octet%s in %.1f s of the transfer: too slow", (unsigned long long)x->window_bytes,
                 plural(x->window_bytes), (double)window / (double)NS_PER_S);
  } else {
    if (now.mono_ns - x->window_ns >= window) {
      x->window_ns = now.mono_ns;
      x->window_bytes = 0;
    }
    uint64_t stall = x->progress_ns + window, slow = x->window_ns + window;
    x->deadline_ns = stall < slow ? stall : slow;
    secondary_reschedule(s, z);
    return;
  }
  transfer_stalled(s, z, what.text, now);
}

static bool serial_is_wanted(const struct secondary *z, uint32_t serial) {
  return z->force || !z->has_content || z->expired || MUTATION(LOWER_SERIAL) || serial_gt(serial, z->soa.serial);
}

static void refuse_serial(struct secondaries *s, struct secondary *z, uint32_t serial, struct instant now) {
  struct xfr_what what;
  if (z->direct) {
    direct_failed(s, z);
    return;
  }
  xfr_what_set(&what, "transfers serial %u, which is not newer than ours (%u), though its SOA answer said %u", serial,
               z->soa.serial, z->promised_serial);
  s->counts.transfers_failed++;
  target_failed(s, z, what.text, now); /* asked for the whole zone it would say the same */
}

/* What the NOTIFY said is true: from now on this is a transfer like others. */
static void prove_direct(struct secondaries *s, struct secondary *z, uint32_t serial, struct instant now) {
  z->direct = z->has_promised_expire = false;
  z->promised_serial = serial;
  z->exchange->deadline_ns = now.mono_ns + window_ns(z);
  s->counts.transfers++;
  secondary_reschedule(s, z);
}

void transfer_input(struct secondaries *s, struct secondary *z, const uint8_t *message, size_t n, struct instant now) {
  struct exchange *x = z->exchange;
  if (x->progress_ns == x->started_ns) x->window_ns = now.mono_ns; /* others were answered first */
  x->progress_ns = now.mono_ns;
  x->window_bytes += n;
  if (x->build) {
    build_message(s, z, message, n, now);
    return;
  }
  enum incoming_state state = incoming_message(x->incoming, message, n, now.wall_s);
  x->ask.answered = incoming_is_answered(x->incoming);
  uint32_t serial;
  bool has_serial = incoming_serial(x->incoming, &serial), wanted = has_serial && serial_is_wanted(z, serial);
  if (z->direct && wanted) prove_direct(s, z, serial, now);
  if (state != INCOMING_FAILED && has_serial && !wanted) {
    refuse_serial(s, z, serial, now);
  } else if (state == INCOMING_DONE && incoming_kind(x->incoming) == INCOMING_NOTHING) { /* the zone has expired: any will do */
    transfer_failed(s, z, "answered our IXFR with a SOA that is not newer than ours, though its SOA answer said so", now);
  } else if (state == INCOMING_FAILED) {
    struct xfr_what what;
    xfr_what_set(&what, "%s", incoming_what(x->incoming));
    transfer_failed(s, z, what.text, now);
  } else if (state == INCOMING_DONE) {
    transfer_done(s, z, now);
  } else if (now.mono_ns - x->started_ns >= LIMIT_TRANSFER_IN_S * NS_PER_S) {
    transfer_timeout(s, z, now);
  } else if (!incoming_is_undecided(x->incoming)) {
    build_begin(s, z, now);
  } else {
    uint64_t soon = now.mono_ns + LIMIT_IXFR_SECOND_MS * NS_PER_MS;
    if (soon < x->deadline_ns) x->deadline_ns = soon;
    secondary_reschedule(s, z);
  }
}

static const char *why_text(enum err why) {
  if (why == ERR_REFUSED) return "connection refused";
  return why == ERR_CLOSED ? "connection closed" : err_text(why);
}

void stream_closed(struct secondaries *s, struct secondary *z, enum err why, struct instant now) {
  struct exchange *x = z->exchange;
  struct xfr_what what;
  if (MUTATION(STREAM_CUT) && x->stage == STAGE_XFR && incoming_kind(x->incoming) != INCOMING_UNKNOWN) {
    transfer_done(s, z, now);
    return;
  }
  if (x->stage == STAGE_XFR) {
    unsigned long long records = incoming_count(x->incoming).records;
    if (records) xfr_what_set(&what, "broke off the transfer after %llu record%s (%s)", records, plural(records), why_text(why));
    else
      xfr_what_set(&what, "closed the connection instead of answering the transfer request (%s): does it allow us?", why_text(why));
    transfer_failed(s, z, what.text, now);
  } else if (x->stage == STAGE_XFR_CONNECT) {
    xfr_what_set(&what, "takes no TCP connection (%s), though it answers over UDP: is TCP to it blocked?", why_text(why));
    transfer_failed(s, z, what.text, now);
  } else {
    bool heard = x->tries < SOA_TRIES; /* it asked for TCP itself */
    if (!heard) x->lane->remote->silent++;
    xfr_what_set(&what,
                 heard ? "answers our SOA query only over TCP, but that connection failed (%s)"
                       : "does not answer over UDP, nor over TCP (%s): is it up, and reachable from here?",
                 why_text(why));
    target_failed(s, z, what.text, now);
  }
}
