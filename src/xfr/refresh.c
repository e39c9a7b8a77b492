/* Rounds: whose turn it is, the SOA exchange, what its answer means, and the timers that follow. */
#include "xfr/secondary_priv.h"

#include "base/mutation.h"
#include "base/serial.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  INTERVAL_FLOOR_MS = 100, /* whatever a SOA says */
  BACKOFF_FIRST_MS = 1000, /* without content there is no SOA that says when to try again */
  BACKOFF_MOST_MS = 60 * 1000,
  ADDRESS_BUDGET_LEAST_MS = 500, /* for one address, all tries together */
  ADDRESS_BUDGET_MOST_MS = 5000,
  PROBE_BUDGET_MS = 800, /* for one that was silent lately: whoever is told that it is down has not long to wait for better news */
  PROBE_TRY_MS = 160,
  TRY_LEAST_MS = 500,
  TRY_MOST_MS = 1000,      /* the first; doubles */
  TRY_TOLD_MS = 250,       /* one more ahead of it when a NOTIFY told us */
  STREAM_ANSWER_MS = 5000, /* connection and SOA answer over TCP */
};

static uint64_t clamp(uint64_t v, uint64_t least, uint64_t most) {
  return v < least ? least : v > most ? most : v;
}

/* ---- intervals ---- */

static uint64_t bounded_ns(uint64_t ms, uint32_t min_ms, uint32_t max_ms) {
  uint64_t most = max_ms ? max_ms : UINT64_MAX / NS_PER_MS;
  uint64_t v = clamp(ms, min_ms < most ? min_ms : most, most);
  return (v < INTERVAL_FLOOR_MS ? INTERVAL_FLOOR_MS : v) * NS_PER_MS;
}

/* So that zones which started together drift apart. */
uint64_t round_jittered_ns(const struct secondaries *s, uint64_t interval_ns, uint32_t min_ms) {
  uint64_t v = interval_ns - s->net.random(s->net.arg) % (interval_ns / 4 + 1), least = min_ms * NS_PER_MS;
  return v < least && least <= interval_ns ? least : v;
}

static uint64_t refresh_interval_ns(const struct secondary *z) {
  const struct secondary_options *o = &z->options->o;
  return bounded_ns(z->soa.refresh_s * UINT64_C(1000), o->refresh_min_ms, o->refresh_max_ms);
}

static uint64_t retry_interval_ns(const struct secondary *z) {
  const struct secondary_options *o = &z->options->o;
  uint64_t ms = z->soa.retry_s * UINT64_C(1000);
  if (!z->has_content) {
    unsigned doublings = z->failures > 1 ? z->failures - 1u : 0;
    ms = clamp((uint64_t)BACKOFF_FIRST_MS << (doublings < 8 ? doublings : 8), 0, BACKOFF_MOST_MS);
  }
  return bounded_ns(ms, o->retry_min_ms, o->retry_max_ms);
}

/* A zone whose expire is shorter than its refresh is asked for in time all the same. */
static uint64_t next_refresh_ns(const struct secondaries *s, const struct secondary *z, struct instant now) {
  uint32_t min_ms = z->options->o.refresh_min_ms;
  uint64_t interval = refresh_interval_ns(z), left = z->expires_ns == UINT64_MAX ? UINT64_MAX : z->expires_ns - now.mono_ns;
  if (interval > left / 2) interval = bounded_ns(left / 2 / NS_PER_MS, min_ms, z->options->o.refresh_max_ms);
  return now.mono_ns + round_jittered_ns(s, interval, min_ms);
}

/* Counted from the start of the round: a primary that comes back is seen within one retry interval, however long the silence
 * of others took. */
static uint64_t next_retry_ns(const struct secondaries *s, const struct secondary *z, struct instant now) {
  uint64_t due = z->round_ns + round_jittered_ns(s, retry_interval_ns(z), z->options->o.retry_min_ms);
  return due > now.mono_ns ? due : now.mono_ns;
}

uint64_t next_round_ns(const struct secondaries *s, const struct secondary *z, bool good, struct instant now) {
  return good && z->has_content ? next_refresh_ns(s, z, now) : next_retry_ns(s, z, now);
}

/* ---- rounds ---- */

uint16_t target_at_hand(const struct secondary *z) {
  return (uint16_t)((z->first_target + z->tried) % z->options->target_count);
}

static void ask(struct secondaries *s, struct secondary *z, struct instant now) {
  if (z->tried >= z->options->target_count) {
    round_end(s, z, z->current || z->lower, now);
    return;
  }
  struct target t = secondary_target(z, target_at_hand(z));
  struct remote *r = remote_get(&s->remotes, t.address);
  if (!r) { /* out of memory: the retry timer will try again */
    z->tried = z->options->target_count;
    round_end(s, z, false, now);
    return;
  }
  z->phase = SECONDARY_WAITING_SLOT;
  z->direct = round_goes_direct(s, z, now);
  if (z->direct) lane_wait(&s->direct, &r->direct, &z->wait, z->urgent);
  else lane_wait(&s->datagrams, &r->datagrams, &z->wait, z->urgent);
  secondary_reschedule(s, z);
}

void direct_failed(struct secondaries *s, struct secondary *z) {
  struct remote *r = z->exchange->lane->remote;
  z->direct = false;
  z->phase = SECONDARY_WAITING_SLOT;
  lane_wait(&s->datagrams, &r->datagrams, &z->wait, z->urgent);
  exchange_free(s, z);
  secondary_reschedule(s, z);
}

void round_begin(struct secondaries *s, struct secondary *z, uint16_t first_target, struct instant now) {
  z->first_target = first_target == NO_TARGET ? 0 : first_target;
  z->tried = 0;
  z->current = z->lower = z->missed = z->whole = false;
  z->round_ns = now.mono_ns;
  z->refresh_ns = UINT64_MAX;
  if (!z->has_content || z->expired || round_is_owed(z)) z->urgent = true;
  if (z->options->target_count == 0)
    secondary_failed(s, z, "no primary of the zone has an address: name one in `primaries`", "", now);
  ask(s, z, now);
}

static void report_lower(struct secondaries *s, struct secondary *z, struct instant now) {
  char address[ADDR_TEXT_BYTES], text[XFR_WHAT_BYTES];
  struct target t = secondary_target(z, z->lower_target);
  bool apart = !serial_gt(z->soa.serial, z->lower_serial);
  snprintf(text, sizeof text, "%s has serial %u, %s ours (%u): raise the serial there, or take its content with `retransfer`",
           addr_text(t.address, address), z->lower_serial, apart ? "which can't be compared with" : "lower than", z->soa.serial);
  secondary_failed(s, z, text, t.primary->name, now);
}

void round_end(struct secondaries *s, struct secondary *z, bool good, struct instant now) {
  bool lower = z->lower && !z->current;
  z->phase = SECONDARY_IDLE;
  if (good) z->failures = 0;
  else if (z->failures < UINT8_MAX) z->failures++;
  z->refresh_ns = next_round_ns(s, z, good, now);
  round_was_told(s, z, good, now);
  z->force = z->urgent = z->notify_round = z->current = z->lower = false;
  secondary_reschedule(s, z);
  if (lower) report_lower(s, z, now);
  if (s->events.settled) s->events.settled(s->events.arg, z->id, good);
  round_again(s, z, now);
}

void target_failed(struct secondaries *s, struct secondary *z, const char *what, struct instant now) {
  struct target t = secondary_target(z, target_at_hand(z));
  char address[ADDR_TEXT_BYTES], text[XFR_WHAT_BYTES + ADDR_TEXT_BYTES];
  snprintf(text, sizeof text, "%s %s", addr_text(t.address, address), what);
  exchange_free(s, z);
  secondary_failed(s, z, text, t.primary->name, now);
  z->whole = false;
  z->missed = true;
  z->tried++;
  ask(s, z, now);
}

/* ---- what an answer means ---- */

/* `fresh`: content that was just committed; otherwise a primary confirmed what is there, and EDNS EXPIRE may only prolong
 * (RFC 7314 §4). */
void secondary_good(struct secondaries *s, struct secondary *z, bool has_expire, uint32_t expire_s, bool fresh,
                    struct instant now) {
  uint64_t left_s = has_expire && expire_s < z->soa.expire_s ? expire_s : z->soa.expire_s;
  uint64_t until = now.mono_ns + left_s * NS_PER_S;
  if (has_expire && !fresh && !z->expired && z->expires_ns > until) until = z->expires_ns;
  z->expires_ns = until;
  z->expired = false;
  z->good_wall_s = now.wall_s;
  free(z->error);
  z->error = NULL;
  s->events.good(s->events.arg, z->id, now.wall_s, (uint32_t)((until - now.mono_ns + NS_PER_S - 1) / NS_PER_S), until);
}

static bool is_wanted(const struct secondary *z, uint32_t serial) {
  if (z->force || !z->has_content) return true;
  return z->expired || MUTATION(LOWER_SERIAL) ? serial != z->soa.serial : serial_gt(serial, z->soa.serial);
}

static void current(struct secondaries *s, struct secondary *z, const struct soa_answer *a, struct instant now) {
  if (a->soa.serial == z->soa.serial) {
    z->current = true;
  } else {
    z->lower = true;
    z->lower_serial = a->soa.serial;
    z->lower_target = target_at_hand(z);
  }
  exchange_free(s, z);
  secondary_good(s, z, a->has_expire, a->expire_s, false, now);
  if (z->notify_round && z->notify_target != NO_TARGET) { /* the one that told us knows */
    round_end(s, z, true, now);
    return;
  }
  unsigned primary = secondary_target(z, target_at_hand(z)).primary_index;
  while (z->tried < z->options->target_count && secondary_target(z, target_at_hand(z)).primary_index == primary)
    z->tried++;
  ask(s, z, now);
}

static void newer(struct secondaries *s, struct secondary *z, const struct soa_answer *a, struct instant now) {
  struct exchange *x = z->exchange;
  z->promised_serial = a->soa.serial;
  z->has_promised_expire = a->has_expire;
  z->promised_expire_s = a->expire_s;
  struct remote *r = x->lane->remote;
  z->phase = SECONDARY_WAITING_SLOT;
  lane_wait(&s->streams, &r->streams, &z->wait, z->urgent);
  exchange_free(s, z);
  secondary_reschedule(s, z);
}

/* ---- the exchange ---- */

static enum err write_query(struct secondaries *s, struct secondary *z, bool edns, struct instant now) {
  struct name apex;
  secondary_apex(z, &apex);
  struct exchange *x = z->exchange;
  uint16_t id = x->stage == STAGE_SOA_STREAM ? x->ask.id : (uint16_t)s->net.random(s->net.arg);
  return soa_query_write(&x->query, &apex, x->key, edns, id, now.wall_s);
}

static enum err send_query(struct secondaries *s, struct exchange *x) {
  const struct soa_query *q = &x->query;
  if (x->stage == STAGE_SOA_STREAM) return channel_send(&s->channels, &x->ask, q->bytes, q->size);
  enum err e = s->net.udp_send(s->net.arg, x->token, &x->source, &x->address, q->bytes, q->size);
  if (!e) x->is_open = true;
  return e;
}

static void query_failed(struct secondaries *s, struct secondary *z, enum err e, struct instant now) {
  struct xfr_what what;
  xfr_what_set(&what, "can't be asked from here (%s): is there a route to it?", err_text(e));
  target_failed(s, z, what.text, now);
}

/* One more try comes early when a NOTIFY told us; all others come when they do without it, for the primary may be far away. */
static void give_time(const struct secondary *z, struct exchange *x, struct instant now) {
  bool probe = x->lane->remote->silent >= REMOTE_DOWN_SILENT;
  uint64_t share_ms = retry_interval_ns(z) / z->options->target_count / NS_PER_MS;
  uint64_t budget_ms = clamp(share_ms, ADDRESS_BUDGET_LEAST_MS, probe ? PROBE_BUDGET_MS : ADDRESS_BUDGET_MOST_MS);
  uint64_t try_ms = clamp(budget_ms / 5, probe ? PROBE_TRY_MS : TRY_LEAST_MS, TRY_MOST_MS);
  bool early = round_is_owed(z) && try_ms > TRY_TOLD_MS;
  x->tries = !early;
  x->wait_ns = try_ms * NS_PER_MS;
  x->give_up_ns = now.mono_ns + budget_ms * NS_PER_MS;
  x->deadline_ns = now.mono_ns + (early ? TRY_TOLD_MS * NS_PER_MS : x->wait_ns);
}

void soa_start(struct secondaries *s, struct secondary *z, struct lane *lane, struct instant now) {
  bool down = remote_is_down(lane->remote);
  z->phase = SECONDARY_ASKING;
  if (down) {
    lane_release(&s->datagrams, lane); /* the probes that make it down go on, so the remote stays */
    target_failed(s, z, "does not answer (asked for other zones just now): is it up, and reachable from here?", now);
    return;
  }
  struct exchange *x = exchange_new(s, z, lane, now);
  if (!x) {
    target_failed(s, z, "was not asked: out of memory", now);
    return;
  }
  x->stage = STAGE_SOA_UDP;
  give_time(z, x, now);
  s->counts.soa_queries++;
  enum err e = write_query(s, z, true, now);
  if (!e) e = send_query(s, x);
  if (e) query_failed(s, z, e, now);
  else secondary_reschedule(s, z);
}

void soa_on_stream(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  if (x->stage == STAGE_SOA_STREAM) x->deadline_ns = now.mono_ns + STREAM_ANSWER_MS * NS_PER_MS;
  enum err e = exchange_join(s, x, now);
  x->stage = STAGE_SOA_CONNECT;
  if (e) query_failed(s, z, e, now);
  else if (channel_is_open(&x->ask)) soa_stream_open(s, z, now);
  else secondary_reschedule(s, z);
}

void soa_stream_open(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  x->stage = STAGE_SOA_STREAM;
  enum err e = write_query(s, z, x->query.edns, now);
  if (!e) e = send_query(s, x);
  if (e) query_failed(s, z, e, now);
  else secondary_reschedule(s, z);
}

static void silent(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  struct xfr_what what = x->doubt;
  if (!what.text[0]) {
    x->lane->remote->silent++;
    s->counts.soa_silent++;
    xfr_what_set(&what, "does not answer: is it up, and reachable from here?");
  }
  target_failed(s, z, what.text, now);
}

void soa_timeout(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  if (x->stage == STAGE_SOA_STREAM && channel_retreat(&s->channels, &x->ask, STREAM_ANSWER_MS * NS_PER_MS, now)) {
    soa_on_stream(s, z, now);
    return;
  }
  if (x->stage != STAGE_SOA_UDP || x->tries == SOA_TRIES || now.mono_ns >= x->give_up_ns) {
    silent(s, z, now);
    return;
  }
  bool early = x->tries++ == 0;
  if (!early) x->wait_ns *= 2;
  uint64_t next_ns = (early ? x->started_ns : now.mono_ns) + x->wait_ns;
  x->deadline_ns = next_ns < x->give_up_ns && x->tries < SOA_TRIES ? next_ns : x->give_up_ns;
  if (x->tries == SOA_TRIES) {
    soa_on_stream(s, z, now);
    return;
  }
  enum err e = x->doubt.text[0] ? write_query(s, z, x->query.edns, now) : ERR_OK; /* a forgery may have spoilt its TSIG state */
  if (!e) e = send_query(s, x);
  if (e) query_failed(s, z, e, now);
  else secondary_reschedule(s, z);
}

static void ask_without_edns(struct secondaries *s, struct secondary *z, struct instant now) {
  z->exchange->ask.answered = false;
  enum err e = write_query(s, z, false, now);
  if (!e) e = send_query(s, z->exchange);
  if (e) query_failed(s, z, e, now);
}

void soa_input(struct secondaries *s, struct secondary *z, const uint8_t *bytes, size_t n, struct instant now) {
  struct exchange *x = z->exchange;
  struct name apex;
  struct soa_answer answer;
  struct xfr_what what;
  bool stream = x->stage != STAGE_SOA_UDP;
  secondary_apex(z, &apex);
  x->ask.answered = stream;
  enum soa_verdict verdict = soa_query_judge(&x->query, &apex, bytes, n, now.wall_s, &answer, &what);
  if (verdict != SOA_STRANGE) x->lane->remote->silent = 0;
  if (verdict == SOA_GIVEN) {
    z->lives_less = answer.has_expire && answer.expire_s < answer.soa.expire_s;
    if (is_wanted(z, answer.soa.serial)) newer(s, z, &answer, now);
    else current(s, z, &answer, now);
  } else if (verdict == SOA_NO_EDNS) {
    ask_without_edns(s, z, now);
  } else if (verdict == SOA_TRUNCATED && !stream) {
    x->deadline_ns = x->give_up_ns = now.mono_ns + STREAM_ANSWER_MS * NS_PER_MS;
    soa_on_stream(s, z, now);
  } else if (verdict == SOA_FAILED || (verdict == SOA_DOUBTFUL && stream)) {
    target_failed(s, z, what.text, now);
  } else if (stream) {
    target_failed(s, z, "sent something over TCP that does not answer our SOA query", now);
  } else if (verdict == SOA_DOUBTFUL) {
    x->doubt = what;
  }
}
