/* One notice a zone with a task for every peer that has not answered yet; a task waits for a slot, is sent, rests.
 *
 *   paced --> waiting --slot--> sent --answer--> gone
 *               ^                |silence, unreachable, SERVFAIL: the peer's next address, or
 *     paced <---+----- resting <-+ when all were tried, until the backoff is over
 *
 * Paced: an address gets LIMIT_NOTIFY_BURST at once, then LIMIT_NOTIFY_SECOND a second; what is told only because we started has a
 * pace of its own and waits behind what changed, so it delays nobody.
 *
 * A newer serial finds the task where it is: one that was just sent is given a moment to be answered, so that a zone which changes
 * quickly has one NOTIFY a peer under way and not a row of them. */
#include "xfr/notifier.h"

#include "base/hash.h"
#include "base/mutation.h"
#include "xfr/map_priv.h"
#include "xfr/notify_priv.h"
#include "xfr/remotes_priv.h"
#include "xfr/timers_priv.h"
#include "xfr/tokens_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  BACKOFF_FIRST_S = 1, /* doubles */
  BACKOFF_MOST_S = 60,
  ANSWER_MOST_S = 3, /* how long one address is listened to */
  RENEW_MS = 100,    /* how long an answer is waited for when there is a newer serial to tell */
};

struct notice {
  struct map_node node; /* by zone */
  uint32_t zone_id;
  uint32_t serial;
  struct zone_snap *snap;
  struct list tasks;
};

struct known_peer { /* of all tasks that tell it */
  struct list link;
  uint32_t references;
  struct xfr_primary peer; /* with a reference on its keyring */
};

struct flight { /* what was sent */
  struct notify notify;
  struct xfr_what doubt;
};

struct task {
  struct list link; /* in the notice */
  struct timer timer;
  struct lane_wait wait;
  struct notice *notice;
  struct known_peer *known;
  struct lane *lane; /* the slot it holds: it is sent; NULL: it is not */
  struct flight *flight;
  uint64_t token;
  uint32_t sent_serial;
  unsigned address, cycles; /* the next address, and how often all of them were tried */
  bool told;                /* failed was said for this serial */
  bool at_start;            /* nothing changed */
  bool paced;               /* its timer says when it may wait for a slot */
  uint64_t since_ns, sent_ns, cycle_ns, deadline_ns;
};

struct notifier {
  struct xfr_net net;
  struct notifier_events events;
  struct map notices, remotes;
  struct timers timers;
  struct tokens tokens;
  struct lanes lanes;
  struct list peers; /* struct known_peer */
  size_t task_count;
  bool hurry; /* something may be sent now */
};

enum err notifier_new(const struct xfr_net *net, const struct notifier_events *events, struct notifier **out) {
  struct notifier *n = calloc(1, sizeof *n);
  if (!n) return ERR_MEMORY;
  n->net = *net;
  n->events = *events;
  n->tokens.machine = TOKENS_NOTIFIER;
  list_init(&n->peers);
  lanes_init(&n->lanes, LIMIT_NOTIFY_EXCHANGES, LIMIT_NOTIFY_EXCHANGES_ADDRESS);
  if (map_init(&n->notices) || map_init(&n->remotes)) {
    map_done(&n->notices);
    free(n);
    return ERR_MEMORY;
  }
  *out = n;
  return ERR_OK;
}

/* ---- peers ---- */

static bool same_peer(const struct xfr_primary *a, const struct xfr_primary *b) {
  if (strncmp(a->name, b->name, sizeof a->name) != 0 || a->address_count != b->address_count || a->key != b->key ||
      !addr_equal(&a->source4, &b->source4) || !addr_equal(&a->source6, &b->source6))
    return false;
  for (unsigned i = 0; i < a->address_count; i++)
    if (!addr_equal(&a->address[i], &b->address[i])) return false;
  return true;
}

/* One copy for all zones: the newest are found first. */
static struct known_peer *known_get(struct notifier *n, const struct xfr_primary *peer) {
  for (struct list *l = n->peers.prev; l != &n->peers; l = l->prev) {
    struct known_peer *k = MEMBER_OF(l, struct known_peer, link);
    if (!same_peer(&k->peer, peer)) continue;
    k->references++;
    return k;
  }
  struct known_peer *k = calloc(1, sizeof *k);
  if (!k) return NULL;
  k->references = 1;
  k->peer = *peer;
  k->peer.name[sizeof k->peer.name - 1] = 0;
  k->peer.keys = peer->key ? tsig_keyring_ref(peer->keys) : NULL;
  list_push_back(&n->peers, &k->link);
  return k;
}

static void known_put(struct known_peer *k) {
  if (--k->references > 0) return;
  list_remove(&k->link);
  tsig_keyring_unref(k->peer.keys);
  free(k);
}

/* ---- tasks ---- */

static void task_set(struct notifier *n, struct task *t, uint64_t deadline_ns) {
  t->deadline_ns = deadline_ns;
  timer_set(&n->timers, &t->timer, deadline_ns);
}

/* Ends what is under way and stops waiting. */
static void task_stop(struct notifier *n, struct task *t) {
  struct lane *lane = t->lane ? t->lane : t->wait.lane;
  if (t->lane) {
    if (!MUTATION(NOTIFY_OPEN)) n->net.udp_close(n->net.arg, t->token);
    tokens_drop(&n->tokens, t->token);
    lane_release(&n->lanes, t->lane);
    t->lane = NULL;
  }
  t->paced = false;
  if (t->flight) notify_done(&t->flight->notify);
  free(t->flight);
  t->flight = NULL;
  lane_leave(&n->lanes, &t->wait);
  if (lane) remote_put(&n->remotes, lane->remote);
}

static void task_free(struct notifier *n, struct task *t) {
  task_stop(n, t);
  task_set(n, t, UINT64_MAX);
  list_remove(&t->link);
  known_put(t->known);
  free(t);
  n->task_count--;
}

static void notice_free(struct notifier *n, struct notice *o) {
  while (!list_empty(&o->tasks))
    task_free(n, MEMBER_OF(o->tasks.next, struct task, link));
  map_remove(&n->notices, &o->node);
  zone_snap_unref(o->snap);
  free(o);
}

static void task_ends(struct notifier *n, struct task *t) {
  struct notice *o = t->notice;
  task_free(n, t);
  if (list_empty(&o->tasks)) notice_free(n, o);
}

/* When the address may be sent the next one: each takes its place in a row that never goes further back than a burst. */
static uint64_t next_place_ns(struct remote *r, bool at_start, struct instant now) {
  uint64_t step = NS_PER_S / (at_start ? LIMIT_NOTIFY_START_SECOND : LIMIT_NOTIFY_SECOND);
  uint64_t burst = step * LIMIT_NOTIFY_BURST, *place = &r->place_ns[at_start];
  if (*place + burst < now.mono_ns) *place = now.mono_ns - burst;
  *place += step;
  r->is_kept = true;
  return *place;
}

static void task_queue(struct notifier *n, struct task *t, struct instant now) {
  struct remote *r = remote_get(&n->remotes, &t->known->peer.address[t->address]);
  uint64_t place = !r ? now.mono_ns + NS_PER_S : t->paced ? 0 : next_place_ns(r, t->at_start, now); /* out of memory: later */
  t->paced = r && place > now.mono_ns;
  if (!r || t->paced) {
    task_set(n, t, place);
    return;
  }
  task_set(n, t, UINT64_MAX);
  lane_wait(&n->lanes, &r->datagrams, &t->wait, !t->at_start);
  n->hurry = true;
}

static void task_tell(struct notifier *n, const struct task *t, const struct addr *address, const char *what) {
  char host[ADDR_TEXT_BYTES], text[XFR_WHAT_BYTES + ADDR_TEXT_BYTES];
  snprintf(text, sizeof text, "%s %s", addr_text(address, host), what);
  n->events.failed(n->events.arg, t->notice->zone_id, t->known->peer.name, text);
}

static uint64_t backoff_ns(const struct notifier *n, const struct task *t) {
  unsigned doublings = t->cycles < 8 ? t->cycles : 8;
  uint64_t s = (uint64_t)BACKOFF_FIRST_S << doublings;
  uint64_t v = (s < BACKOFF_MOST_S ? s : BACKOFF_MOST_S) * NS_PER_S;
  return v - (t->cycles ? n->net.random(n->net.arg) % (v / 4 + 1) : 0);
}

/* The address at hand gave no answer. */
static void task_failed(struct notifier *n, struct task *t, const char *what, struct instant now) {
  struct addr address = t->known->peer.address[t->address];
  bool newer = t->sent_serial != t->notice->serial;
  task_stop(n, t);
  t->address = (t->address + 1) % t->known->peer.address_count;
  if (t->address != 0 || newer) {
    task_queue(n, t, now);
    return;
  }
  uint64_t rest = t->cycle_ns + backoff_ns(n, t);
  bool last = ++t->cycles >= LIMIT_NOTIFY_TRIES;
  struct xfr_what text;
  xfr_what_set(&text, "%.150s%s", what, last ? "; NOTIFY given up, its own refresh will have to do" : "");
  if (!t->told || last) task_tell(n, t, &address, text.text);
  t->told = true;
  if (last) task_ends(n, t);
  else task_set(n, t, rest > now.mono_ns ? rest : now.mono_ns);
}

static bool read_soa(const struct zone_snap *snap, struct notify_soa *out) {
  struct zone_rrset set;
  if (!zone_find_rrset(zone_apex_node(snap), RR_SOA, &set) || set.count == 0) return false;
  const uint8_t *p = set.rrs, *rdata;
  zone_rr_next(&p, &rdata, &out->size);
  if (out->size > sizeof out->rdata) return false;
  memcpy(out->rdata, rdata, out->size);
  out->ttl = set.ttl;
  return true;
}

static enum err send_now(struct notifier *n, struct task *t, struct instant now) {
  uint8_t bytes[NOTIFY_BYTES];
  size_t size;
  struct notify_soa soa;
  const struct xfr_primary *p = &t->known->peer;
  const struct addr *to = &p->address[t->address], *source = to->family == 4 ? &p->source4 : &p->source6;
  if (!read_soa(t->notice->snap, &soa)) return ERR_FORMAT;
  uint16_t id = (uint16_t)n->net.random(n->net.arg);
  enum err e = notify_write(&t->flight->notify, zone_apex(t->notice->snap), &soa, p->key, id, now.wall_s, bytes, &size);
  return e ? e : n->net.udp_send(n->net.arg, t->token, source, to, bytes, size);
}

static void task_send(struct notifier *n, struct task *t, struct lane *lane, struct instant now) {
  bool down = remote_is_down(lane->remote);
  if (t->address == 0) t->cycle_ns = now.mono_ns;
  t->sent_ns = now.mono_ns;
  t->sent_serial = t->notice->serial;
  t->flight = down ? NULL : calloc(1, sizeof *t->flight);
  enum err e = t->flight ? tokens_take(&n->tokens, t, &t->token) : ERR_MEMORY;
  if (e) {
    lane_release(&n->lanes, lane);
    remote_put(&n->remotes, lane->remote);
  } else {
    tsig_stream_none(&t->flight->notify.tsig);
    t->lane = lane;
    e = send_now(n, t, now);
  }
  if (down) {
    task_failed(n, t, "does not answer our NOTIFY (of other zones just now): is it up, and reachable from here?", now);
    return;
  }
  if (e) {
    struct xfr_what what;
    xfr_what_set(&what, "can't be sent our NOTIFY (%s): is there a route to it?", err_text(e));
    task_failed(n, t, what.text, now);
    return;
  }
  uint64_t s = (uint64_t)BACKOFF_FIRST_S << (t->cycles < 8 ? t->cycles : 8);
  task_set(n, t, now.mono_ns + (s < ANSWER_MOST_S ? s : ANSWER_MOST_S) * NS_PER_S);
}

static void pump(struct notifier *n, struct instant now) {
  n->hurry = false;
  struct lane *lane;
  struct lane_wait *w;
  while ((w = lanes_next(&n->lanes, &lane)))
    task_send(n, MEMBER_OF(w, struct task, wait), lane, now);
}

/* ---- zones ---- */

static struct notice *find(const struct notifier *n, uint32_t zone_id) {
  for (struct map_node *m = map_first(&n->notices, hash64(&zone_id, sizeof zone_id, 0)); m; m = map_next(m)) {
    struct notice *o = MEMBER_OF(m, struct notice, node);
    if (o->zone_id == zone_id) return o;
  }
  return NULL;
}

static struct task *task_of(const struct notice *o, const struct xfr_primary *peer) {
  for (struct list *l = o->tasks.next; l != &o->tasks; l = l->next) {
    struct task *t = MEMBER_OF(l, struct task, link);
    if (same_peer(&t->known->peer, peer)) return t;
  }
  return NULL;
}

static enum err task_new(struct notifier *n, struct notice *o, const struct xfr_primary *peer, struct list *to) {
  struct task *t = calloc(1, sizeof *t);
  if (!t || timers_reserve(&n->timers, n->task_count + 1) || !(t->known = known_get(n, peer))) {
    free(t);
    return ERR_MEMORY;
  }
  t->notice = o;
  t->at_start = true; /* until something changes */
  list_init(&t->wait.link);
  list_push_back(to, &t->link);
  n->task_count++;
  return ERR_OK;
}

/* A serial the task has not told yet: at once, or soon if an answer is still waited for. */
static void task_renew(struct notifier *n, struct task *t, bool at_start, struct instant now) {
  bool promoted = t->at_start && !at_start && (t->paced || t->wait.lane); /* from the slow row to the quick one */
  t->cycles = 0;
  t->told = false;
  t->since_ns = now.mono_ns;
  t->at_start = t->at_start && at_start;
  if (promoted) task_stop(n, t);
  if (t->lane && t->sent_serial == t->notice->serial) return;
  if (t->lane) {
    uint64_t soon = t->sent_ns + RENEW_MS * NS_PER_MS;
    if (t->deadline_ns > soon) task_set(n, t, soon);
  } else if (!t->wait.lane && !t->paced) {
    t->address = 0;
    task_queue(n, t, now);
  }
}

/* The tasks that are wanted now, in `keep`; what is left in the notice is no peer any more. */
static enum err gather(struct notifier *n, struct notice *o, const struct xfr_primary *peers, unsigned count, struct list *keep) {
  for (unsigned i = 0; i < count; i++) {
    if (peers[i].address_count == 0) continue;
    struct task *t = task_of(o, &peers[i]);
    if (t) {
      list_remove(&t->link);
      list_push_back(keep, &t->link);
    } else if (task_new(n, o, &peers[i], keep)) {
      return ERR_MEMORY;
    }
  }
  return ERR_OK;
}

static struct notice *notice_new(struct notifier *n, uint32_t zone_id) {
  struct notice *o = calloc(1, sizeof *o);
  if (!o) return NULL;
  o->zone_id = zone_id;
  list_init(&o->tasks);
  map_add(&n->notices, &o->node, hash64(&zone_id, sizeof zone_id, 0));
  return o;
}

enum err notifier_zone(struct notifier *n, uint32_t zone_id, const struct zone_snap *snap, const struct xfr_primary *peers,
                       unsigned peer_count, bool at_start, struct instant now) {
  struct notice *o = find(n, zone_id);
  if (!o) o = notice_new(n, zone_id);
  if (!o) return ERR_MEMORY;
  struct list keep;
  list_init(&keep);
  enum err e = gather(n, o, peers, peer_count, &keep);
  while (!e && !list_empty(&o->tasks))
    task_free(n, MEMBER_OF(o->tasks.next, struct task, link));
  while (!list_empty(&keep)) {
    struct list *l = keep.next;
    list_remove(l);
    list_push_back(&o->tasks, l);
  }
  zone_snap_unref(o->snap);
  o->snap = zone_snap_ref(snap);
  o->serial = zone_serial(snap);
  for (struct list *l = o->tasks.next; l != &o->tasks; l = l->next) /* also when not all could be remembered */
    task_renew(n, MEMBER_OF(l, struct task, link), at_start, now);
  if (list_empty(&o->tasks)) notice_free(n, o);
  return e;
}

void notifier_remove(struct notifier *n, uint32_t zone_id) {
  struct notice *o = find(n, zone_id);
  if (o) notice_free(n, o);
}

void notifier_free(struct notifier *n) {
  if (!n) return;
  size_t from = 0;
  for (struct map_node *m; (m = map_any(&n->notices, &from));)
    notice_free(n, MEMBER_OF(m, struct notice, node));
  map_done(&n->notices);
  remotes_done(&n->remotes);
  timers_done(&n->timers);
  tokens_done(&n->tokens);
  free(n);
}

unsigned notifier_pending(const struct notifier *n, uint32_t zone_id) {
  const struct notice *o = find(n, zone_id);
  unsigned count = 0;
  if (!o) return 0;
  for (const struct list *l = o->tasks.next; l != &o->tasks; l = l->next)
    count++;
  return count;
}

/* ---- events and deadlines ---- */

static void answered(struct notifier *n, struct task *t, struct instant now) {
  uint32_t serial = t->sent_serial, zone_id = t->notice->zone_id;
  bool newer = serial != t->notice->serial;
  char peer[sizeof t->known->peer.name];
  memcpy(peer, t->known->peer.name, sizeof peer);
  uint64_t took = now.mono_ns - (newer ? t->sent_ns : t->since_ns);
  if (newer) {
    task_stop(n, t);
    t->address = 0;
    task_queue(n, t, now);
  } else {
    task_ends(n, t);
  }
  n->events.done(n->events.arg, zone_id, peer, serial, took);
}

bool notifier_udp_input(struct notifier *n, uint64_t token, const uint8_t *bytes, size_t size, struct instant now) {
  struct task *t = tokens_find(&n->tokens, token);
  if (!t) return false;
  struct xfr_what what;
  enum notify_verdict verdict = notify_judge(&t->flight->notify, zone_apex(t->notice->snap), bytes, size, now.wall_s, &what);
  if (verdict != NOTIFY_STRANGE) t->lane->remote->silent = 0;
  if (verdict == NOTIFY_TAKEN) {
    answered(n, t, now);
  } else if (verdict == NOTIFY_LATER) {
    task_failed(n, t, what.text, now);
  } else if (verdict == NOTIFY_REFUSED) {
    task_tell(n, t, &t->known->peer.address[t->address], what.text);
    task_ends(n, t);
  } else if (verdict == NOTIFY_DOUBTFUL) {
    t->flight->doubt = what;
  }
  pump(n, now);
  return true;
}

bool notifier_udp_error(struct notifier *n, uint64_t token, struct instant now) {
  struct task *t = tokens_find(&n->tokens, token);
  if (!t) return false;
  task_failed(n, t, "has nobody listening there (port unreachable): is the server running?", now);
  pump(n, now);
  return true;
}

void notifier_run(struct notifier *n, struct instant now) {
  struct timer *due;
  for (unsigned i = 0; i < LIMIT_ZONE_WAKES && (due = timers_due(&n->timers, now.mono_ns)); i++) {
    struct task *t = MEMBER_OF(due, struct task, timer);
    if (!t->lane) {
      task_queue(n, t, now);
      continue;
    }
    struct xfr_what what = t->flight->doubt;
    if (!what.text[0]) {
      t->lane->remote->silent++;
      xfr_what_set(&what, "does not answer our NOTIFY: is it up, and reachable from here?");
    }
    task_failed(n, t, what.text, now);
  }
  pump(n, now);
}

uint64_t notifier_deadline(const struct notifier *n) {
  return n->hurry ? 0 : timers_next(&n->timers);
}
