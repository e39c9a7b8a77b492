/* The table of secondary zones: configuration, the owner's calls, status, and where events and deadlines go. */
#include "xfr/secondary_priv.h"

#include "base/mutation.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
  DOWN_BELIEVED_S = 7 * 86400, /* a restart that seems to come later than that, and after the expiry, may be a clock that jumped */
  DOWN_DISBELIEVED_S = 86400,  /* then the content is good for at most that much, and nothing expires at the start */
};

/* ---- channels ---- */

static void on_open(void *arg, struct channel_ask *a, struct instant now) {
  struct exchange *x = MEMBER_OF(a, struct exchange, ask);
  if (x->stage == STAGE_SOA_CONNECT) soa_stream_open(arg, x->zone, now);
  else transfer_on(arg, x->zone, now);
}

static void on_input(void *arg, struct channel_ask *a, const uint8_t *message, size_t n, struct instant now) {
  struct exchange *x = MEMBER_OF(a, struct exchange, ask);
  if (x->stage == STAGE_SOA_STREAM) soa_input(arg, x->zone, message, n, now);
  else transfer_input(arg, x->zone, message, n, now);
}

static void on_closed(void *arg, struct channel_ask *a, enum err why, bool again, struct instant now) {
  struct exchange *x = MEMBER_OF(a, struct exchange, ask);
  if (build_closed(x, why, again)) return;
  if (!again) stream_closed(arg, x->zone, why, now);
  else if (x->stage == STAGE_SOA_STREAM) soa_on_stream(arg, x->zone, now);
  else transfer_again(arg, x->zone, now);
}

/* ---- the machine ---- */

enum err secondaries_new(const struct xfr_net *net, const struct secondary_events *events, struct secondaries **out) {
  struct secondaries *s = calloc(1, sizeof *s);
  if (!s) return ERR_MEMORY;
  s->net = *net;
  s->events = *events;
  s->tokens.machine = TOKENS_SECONDARIES;
  s->build_records = LIMIT_BUILD_RECORDS;
  lanes_init(&s->datagrams, LIMIT_SOA_EXCHANGES, LIMIT_SOA_EXCHANGES_ADDRESS);
  lanes_init(&s->streams, LIMIT_TRANSFERS_IN, LIMIT_TRANSFERS_IN_ADDRESS);
  lanes_init(&s->direct, LIMIT_TRANSFERS_IN, LIMIT_TRANSFERS_IN_ADDRESS);
  channels_init(&s->channels, &s->net, &s->remotes, &(struct channel_events){s, on_open, on_input, on_closed});
  if (map_init(&s->zones) || map_init(&s->remotes)) {
    map_done(&s->zones);
    free(s);
    return ERR_MEMORY;
  }
  *out = s;
  return ERR_OK;
}

struct secondary *secondary_find(const struct secondaries *s, uint32_t zone_id) {
  for (struct map_node *n = map_first(&s->zones, zone_id); n; n = map_next(n)) { /* ids are dense: no hash is better */
    struct secondary *z = MEMBER_OF(n, struct secondary, node);
    if (z->id == zone_id) return z;
  }
  return NULL;
}

/* ---- options ---- */

static void options_unref(struct shared_options *o) {
  if (o && --o->references == 0) free(o);
}

static bool options_equal(const struct secondary_options *a, const struct secondary_options *b) {
  return a->primaries == b->primaries && a->primary_count == b->primary_count && a->refresh_min_ms == b->refresh_min_ms &&
         a->refresh_max_ms == b->refresh_max_ms && a->retry_min_ms == b->retry_min_ms && a->retry_max_ms == b->retry_max_ms &&
         a->transfer_max_bytes == b->transfer_max_bytes && a->transfer_timeout_ms == b->transfer_timeout_ms &&
         a->zonemd_ignore == b->zonemd_ignore;
}

/* Zones of a template come one after the other with the same options: one copy serves all of them. */
static struct shared_options *options_share(struct secondaries *s, const struct secondary_options *o) {
  for (unsigned i = 0; i < OPTIONS_RECENT; i++) {
    struct shared_options *r = s->recent[i];
    if (!r || !options_equal(&r->o, o)) continue;
    r->references++;
    return r;
  }
  struct shared_options *r = malloc(sizeof *r);
  if (!r) return NULL;
  *r = (struct shared_options){.references = 2, .o = *o};
  for (unsigned i = 0; i < o->primary_count; i++)
    r->target_count = (uint16_t)(r->target_count + o->primaries[i].address_count);
  options_unref(s->recent[OPTIONS_RECENT - 1]);
  memmove(s->recent + 1, s->recent, (OPTIONS_RECENT - 1) * sizeof *s->recent);
  s->recent[0] = r;
  return r;
}

static bool keys_equal(const struct tsig_key *a, const struct tsig_key *b) {
  if (!a || !b) return a == b;
  return a->algorithm == b->algorithm && a->secret_size == b->secret_size && name_equal(&a->name, &b->name) &&
         bytes_equal_secret(a->secret, b->secret, a->secret_size);
}

bool xfr_primary_equal(const struct xfr_primary *a, const struct xfr_primary *b) {
  if (a->address_count != b->address_count || !addr_equal(&a->source4, &b->source4) || !addr_equal(&a->source6, &b->source6) ||
      strncmp(a->name, b->name, sizeof a->name) != 0 || !keys_equal(a->key, b->key))
    return false;
  for (unsigned i = 0; i < a->address_count; i++)
    if (!addr_equal(&a->address[i], &b->address[i])) return false;
  return true;
}

static bool same_primaries(const struct secondary_options *a, const struct secondary_options *b) {
  if (a->primaries == b->primaries && a->primary_count == b->primary_count) return true;
  if (a->primary_count != b->primary_count) return false;
  for (unsigned i = 0; i < a->primary_count; i++)
    if (!xfr_primary_equal(&a->primaries[i], &b->primaries[i])) return false;
  return true;
}

/* ---- zones ---- */

void secondary_apex(const struct secondary *z, struct name *out) {
  name_from_wire(z->apex, out);
}

struct target secondary_target(const struct secondary *z, uint16_t index) {
  const struct secondary_options *o = &z->options->o;
  unsigned p = 0, i = index;
  while (i >= o->primaries[p].address_count) {
    i -= o->primaries[p++].address_count;
    assert(p < o->primary_count);
  }
  return (struct target){&o->primaries[p], p, &o->primaries[p].address[i]};
}

void secondary_reschedule(struct secondaries *s, struct secondary *z) {
  uint64_t due = z->refresh_ns;
  if (z->exchange && z->exchange->deadline_ns < due) due = z->exchange->deadline_ns;
  if (z->has_content && !z->expired && z->expires_ns < due && !MUTATION(EXPIRE_NEVER)) due = z->expires_ns;
  timer_set(&s->timers, &z->timer, due);
}

void secondary_note(struct secondary *z, const char *what, struct instant now) {
  size_t size = strlen(what) + 1;
  char *error = realloc(z->error, size);
  if (error) {
    memcpy(error, what, size);
    z->error = error;
    z->error_wall_s = now.wall_s;
  }
}

void secondary_failed(struct secondaries *s, struct secondary *z, const char *what, const char *peer, struct instant now) {
  secondary_note(z, what, now);
  s->events.failed(s->events.arg, z->id, what, peer);
}

struct lanes *secondary_lanes(struct secondaries *s, const struct lane *lane) {
  const struct remote *r = lane->remote;
  return lane == &r->datagrams ? &s->datagrams : lane == &r->streams ? &s->streams : &s->direct;
}

/* Stops what is under way or waits; a commit goes on. */
static void cancel(struct secondaries *s, struct secondary *z) {
  exchange_free(s, z);
  struct lane *lane = z->wait.lane;
  if (!lane) return;
  lane_leave(secondary_lanes(s, lane), &z->wait);
  remote_put(&s->remotes, lane->remote);
}

static void zone_free(struct secondaries *s, struct secondary *z) {
  cancel(s, z);
  timer_set(&s->timers, &z->timer, UINT64_MAX);
  map_remove(&s->zones, &z->node);
  options_unref(z->options);
  free(z->last_transfer);
  free(z->error);
  free(z);
}

void secondaries_free(struct secondaries *s) {
  if (!s) return;
  size_t from = 0;
  for (struct map_node *n; (n = map_any(&s->zones, &from));)
    zone_free(s, MEMBER_OF(n, struct secondary, node));
  for (unsigned i = 0; i < OPTIONS_RECENT; i++)
    options_unref(s->recent[i]);
  channels_done(&s->channels);
  map_done(&s->zones);
  remotes_done(&s->remotes);
  timers_done(&s->timers);
  tokens_done(&s->tokens);
  free(s);
}

static bool content_soa(const struct zone_snap *content, struct soa_times *out) {
  struct zone_rrset set;
  const struct zone_node *apex = zone_apex_node(content);
  if (!apex || !zone_find_rrset(apex, RR_SOA, &set) || set.count == 0) return false;
  const uint8_t *p = set.rrs, *rdata;
  uint16_t size;
  zone_rr_next(&p, &rdata, &size);
  *out = soa_times_read(rdata, size);
  return true;
}

/* How long content lives on over a restart. If the machine was started since, wall time is all there is, and it may be wrong: a
 * clock that went back took no time, and one that leapt past the expiry by much does not expire the zone at the start. */
static uint64_t left_s(const struct secondary_past *past, uint32_t expire_s, struct instant now) {
  uint64_t mono_s = now.mono_ns / NS_PER_S;
  if (past->good_mono_s && past->good_mono_s <= mono_s && !MUTATION(WALL_BELIEVED)) {
    uint64_t since_s = mono_s - past->good_mono_s;
    return since_s < expire_s ? expire_s - since_s : 0;
  }
  if (past->good_at_s == 0 || now.wall_s < past->good_at_s) return expire_s;
  uint64_t since_s = (uint64_t)now.wall_s - (uint64_t)past->good_at_s;
  if (since_s < expire_s) return expire_s - since_s;
  if (since_s <= DOWN_BELIEVED_S) return 0;
  return expire_s < DOWN_DISBELIEVED_S ? expire_s : DOWN_DISBELIEVED_S;
}

static void adopt_content(struct secondary *z, const struct zone_snap *content, const struct secondary_past *past,
                          struct instant now) {
  static const struct secondary_past unknown;
  struct soa_times soa;
  if (!content || !content_soa(content, &soa)) return;
  bool first = !z->has_content;
  z->soa = soa;
  z->has_content = true;
  if (!first) return;
  if (!past) past = &unknown;
  z->good_wall_s = past->good_at_s;
  z->expires_ns = now.mono_ns + left_s(past, past->expire_s ? past->expire_s : soa.expire_s, now) * NS_PER_S;
}

static enum err zone_new(struct secondaries *s, uint32_t zone_id, const struct name *apex, struct secondary **out) {
  enum err e = timers_reserve(&s->timers, s->zones.count + 1);
  if (e) return e;
  struct secondary *z = calloc(1, sizeof *z + apex->size);
  if (!z) return ERR_MEMORY;
  z->id = zone_id;
  z->expires_ns = z->refresh_ns = UINT64_MAX;
  z->notify_target = NO_TARGET;
  z->apex_size = apex->size;
  memcpy(z->apex, apex->octets, apex->size);
  list_init(&z->wait.link);
  map_add(&s->zones, &z->node, zone_id);
  *out = z;
  return ERR_OK;
}

/* For when what is under way has ended: whatever is known by then. */
static void remember_round(struct secondary *z, bool force) {
  z->again = true;
  z->again_force |= force;
  z->again_notify = false;
}

/* Starts a round now, or remembers that one is wanted. */
static void want_round(struct secondaries *s, struct secondary *z, bool force, struct instant now) {
  if (z->phase != SECONDARY_IDLE) {
    remember_round(z, force);
    return;
  }
  z->urgent = true;
  z->force = force;
  round_begin(s, z, NO_TARGET, now);
}

enum err secondary_configure(struct secondaries *s, uint32_t zone_id, const struct name *apex, const struct secondary_options *o,
                             const struct zone_snap *content, const struct secondary_past *past, struct instant now) {
  struct shared_options *shared = options_share(s, o);
  if (!shared) return ERR_MEMORY;
  struct secondary *z = secondary_find(s, zone_id);
  bool fresh = !z;
  enum err e = fresh ? zone_new(s, zone_id, apex, &z) : ERR_OK;
  if (e) {
    options_unref(shared);
    return e;
  }
  bool ask = fresh || !same_primaries(&z->options->o, o);
  if (ask && !fresh) cancel(s, z);
  if (ask) transfer_forget(z);
  options_unref(z->options);
  z->options = shared;
  adopt_content(z, content, past, now);
  if (ask && z->phase != SECONDARY_COMMITTING) {
    z->phase = SECONDARY_IDLE;
    z->refresh_ns = now.mono_ns;
  } else if (ask) {
    want_round(s, z, false, now);
  } else if (z->phase == SECONDARY_IDLE) { /* the bounds may have become tighter */
    uint64_t next = next_round_ns(s, z, z->failures == 0, now);
    if (z->refresh_ns > next) z->refresh_ns = next;
  }
  secondary_reschedule(s, z);
  return ERR_OK;
}

void secondary_remove(struct secondaries *s, uint32_t zone_id) {
  struct secondary *z = secondary_find(s, zone_id);
  if (z) zone_free(s, z);
}

size_t secondaries_transferring(const struct secondaries *s) {
  return s->streams.in_flight + s->direct.in_flight;
}

void secondary_give_up(struct secondaries *s, struct secondary *z, struct instant now) {
  cancel(s, z);
  if (z->phase == SECONDARY_COMMITTING) return;
  z->phase = SECONDARY_IDLE;
  z->refresh_ns = now.mono_ns;
  secondary_reschedule(s, z);
}

void secondaries_break_off(struct secondaries *s, struct instant now) {
  for (size_t i = 0; i <= s->zones.mask; i++)
    for (struct map_node *n = s->zones.buckets[i]; n; n = n->next)
      secondary_give_up(s, MEMBER_OF(n, struct secondary, node), now);
  channels_close_idle(&s->channels);
}

/* ---- what starts ---- */

void secondaries_pump(struct secondaries *s, struct instant now) {
  struct lane *lane;
  struct lane_wait *w;
  while ((w = lanes_next(&s->direct, &lane)))
    transfer_start(s, MEMBER_OF(w, struct secondary, wait), lane, now);
  while ((w = lanes_next(&s->streams, &lane)))
    transfer_start(s, MEMBER_OF(w, struct secondary, wait), lane, now);
  while ((w = lanes_next(&s->datagrams, &lane)))
    soa_start(s, MEMBER_OF(w, struct secondary, wait), lane, now);
}

void secondary_committed(struct secondaries *s, uint32_t zone_id, const struct zone_snap *content, enum err e, const char *why,
                         struct instant now) {
  struct secondary *z = secondary_find(s, zone_id);
  struct soa_times soa;
  if (!z || z->phase != SECONDARY_COMMITTING) return;
  if (!e && content && content_soa(content, &soa)) {
    z->soa = soa;
    z->has_content = true;
    round_bore_fruit(z);
    secondary_good(s, z, z->has_promised_expire, z->promised_expire_s, true, now);
    round_end(s, z, true, now);
  } else {
    struct xfr_what what;
    const char *peer = z->last_transfer ? z->last_transfer->text : "";
    xfr_what_set(&what, "the transferred version was not taken: %s", why && *why ? why : err_text(e));
    secondary_failed(s, z, what.text, peer, now);
    if (e == ERR_CORRUPT) remember_round(z, false);
    round_end(s, z, false, now);
  }
}

void secondary_retransfer(struct secondaries *s, uint32_t zone_id, struct instant now) {
  struct secondary *z = secondary_find(s, zone_id);
  if (!z) return;
  want_round(s, z, true, now);
  secondaries_pump(s, now);
}

void secondary_refresh(struct secondaries *s, uint32_t zone_id, struct instant now) {
  struct secondary *z = secondary_find(s, zone_id);
  if (!z) return;
  want_round(s, z, false, now);
  secondaries_pump(s, now);
}

/* ---- status ---- */

bool secondary_status(const struct secondaries *s, uint32_t zone_id, struct secondary_status *out) {
  const struct secondary *z = secondary_find(s, zone_id);
  if (!z) return false;
  *out = (struct secondary_status){.phase = z->phase,
                                   .next_refresh_mono_ns = z->phase == SECONDARY_IDLE ? z->refresh_ns : 0,
                                   .expires_mono_ns = z->has_content ? z->expires_ns : 0,
                                   .expired = z->expired,
                                   .last_good_wall_s = z->good_wall_s};
  if (z->last_transfer) last_transfer_status(z->last_transfer, out);
  if (z->error) {
    size_t n = strlen(z->error);
    if (n >= sizeof out->last_error) n = sizeof out->last_error - 1;
    memcpy(out->last_error, z->error, n);
    out->last_error_wall_s = z->error_wall_s;
  }
  return true;
}

struct secondary_counts secondaries_counts(const struct secondaries *s) {
  struct secondary_counts counts = s->counts;
  counts.connections = s->channels.opened;
  return counts;
}

/* ---- events and deadlines ---- */

bool secondaries_udp_input(struct secondaries *s, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  struct exchange *x = tokens_find(&s->tokens, token);
  if (!x) return false;
  if (x->stage == STAGE_SOA_UDP) soa_input(s, x->zone, bytes, n, now);
  secondaries_pump(s, now);
  return true;
}

bool secondaries_udp_error(struct secondaries *s, uint64_t token, struct instant now) {
  struct exchange *x = tokens_find(&s->tokens, token);
  if (!x) return false;
  if (x->stage == STAGE_SOA_UDP)
    target_failed(s, x->zone, "has nobody listening there (port unreachable): is the server running?", now);
  secondaries_pump(s, now);
  return true;
}

bool secondaries_stream_open(struct secondaries *s, uint64_t token, struct instant now) {
  if (!channels_open(&s->channels, token, now)) return false;
  secondaries_pump(s, now);
  return true;
}

bool secondaries_stream_input(struct secondaries *s, uint64_t token, const uint8_t *message, size_t n, struct instant now) {
  if (!channels_input(&s->channels, token, message, n, now)) return false;
  secondaries_pump(s, now);
  return true;
}

bool secondaries_stream_closed(struct secondaries *s, uint64_t token, enum err why, struct instant now) {
  if (!channels_closed(&s->channels, token, why, now)) return false;
  secondaries_pump(s, now);
  return true;
}

static void wake(struct secondaries *s, struct secondary *z, struct instant now) {
  if (z->has_content && !z->expired && z->expires_ns <= now.mono_ns && !MUTATION(EXPIRE_NEVER)) {
    z->expired = true;
    s->counts.expired++;
    secondary_reschedule(s, z);
    s->events.expired(s->events.arg, z->id);
  }
  struct exchange *x = z->exchange;
  if (x && x->deadline_ns <= now.mono_ns) {
    if (round_in_vain(z)) round_anew(s, z, now);
    else if (x->stage >= STAGE_XFR_CONNECT) transfer_timeout(s, z, now);
    else soa_timeout(s, z, now);
  } else if (z->phase == SECONDARY_IDLE && z->refresh_ns <= now.mono_ns) {
    round_begin(s, z, NO_TARGET, now);
  }
}

void secondaries_run(struct secondaries *s, struct instant now) {
  struct timer *t;
  for (unsigned i = 0; i < LIMIT_ZONE_WAKES && (t = timers_due(&s->timers, now.mono_ns)); i++)
    wake(s, MEMBER_OF(t, struct secondary, timer), now);
  channels_run(&s->channels, now);
  secondaries_pump(s, now);
}

uint64_t secondaries_deadline(const struct secondaries *s) {
  if (lanes_wanted(&s->direct) || lanes_wanted(&s->streams) || lanes_wanted(&s->datagrams)) return 0; /* since a commit */
  uint64_t zone_ns = timers_next(&s->timers), channel_ns = channels_deadline(&s->channels);
  return zone_ns < channel_ns ? zone_ns : channel_ns;
}
