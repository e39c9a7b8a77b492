/* One notice a zone with a task for every peer that has not answered yet; a task waits for a slot, is sent, rests.
 *
 *   waiting --slot--> sent --answer--> gone
 *      ^                |silence, unreachable: the peer's next address, or
 *      +----- resting <-+ when all were tried, until the backoff is over
 *
 * A newer serial finds the task where it is: one that was just sent is given a moment to be answered, so that a zone which changes
 * quickly has one NOTIFY a peer under way and not a row of them. */
#include "xfr/notifier.h"

#include "base/hash.h"
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
  struct name apex;
  struct notify_soa soa;
  struct list tasks;
};

struct task {
  struct list link; /* in the notice */
  struct timer timer;
  struct lane_wait wait;
  struct notice *notice;
  struct xfr_primary peer; /* with a reference on its keyring */
  struct lane *lane;       /* the slot it holds: it is sent; NULL: it is not */
  uint64_t token;
  struct notify notify;
  struct xfr_what doubt;
  uint32_t sent_serial;
  unsigned address, cycles; /* the next address, and how often all of them were tried */
  bool told;                /* failed was said for this serial */
  uint64_t since_ns, sent_ns, cycle_ns, deadline_ns;
};

struct notifier {
  struct xfr_net net;
  struct notifier_events events;
  struct map notices, remotes;
  struct timers timers;
  struct tokens tokens;
  struct lanes lanes;
  size_t task_count;
};

enum err notifier_new(const struct xfr_net *net, const struct notifier_events *events, struct notifier **out) {
  struct notifier *n = calloc(1, sizeof *n);
  if (!n) return ERR_MEMORY;
  n->net = *net;
  n->events = *events;
  n->tokens.machine = TOKENS_NOTIFIER;
  lanes_init(&n->lanes, LIMIT_NOTIFY_EXCHANGES, LIMIT_NOTIFY_EXCHANGES_ADDRESS);
  if (map_init(&n->notices) || map_init(&n->remotes)) {
    map_done(&n->notices);
    free(n);
    return ERR_MEMORY;
  }
  *out = n;
  return ERR_OK;
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
    n->net.udp_close(n->net.arg, t->token);
    tokens_drop(&n->tokens, t->token);
    lane_release(&n->lanes, t->lane);
    t->lane = NULL;
  }
  lane_leave(&n->lanes, &t->wait);
  if (lane) remote_put(&n->remotes, lane->remote);
}

static void task_free(struct notifier *n, struct task *t) {
  task_stop(n, t);
  task_set(n, t, UINT64_MAX);
  list_remove(&t->link);
  notify_done(&t->notify);
  tsig_keyring_unref(t->peer.keys);
  free(t);
  n->task_count--;
}

static void notice_free(struct notifier *n, struct notice *o) {
  while (!list_empty(&o->tasks))
    task_free(n, MEMBER_OF(o->tasks.next, struct task, link));
  map_remove(&n->notices, &o->node);
  free(o);
}

static void task_ends(struct notifier *n, struct task *t) {
  struct notice *o = t->notice;
  task_free(n, t);
  if (list_empty(&o->tasks)) notice_free(n, o);
}

static void task_queue(struct notifier *n, struct task *t, struct instant now) {
  struct remote *r = remote_get(&n->remotes, &t->peer.address[t->address]);
  task_set(n, t, r ? UINT64_MAX : now.mono_ns + NS_PER_S); /* out of memory: later */
  if (r) lane_wait(&n->lanes, &r->datagrams, &t->wait, false);
}

static void task_tell(struct notifier *n, const struct task *t, const struct addr *address, const char *what) {
  char host[ADDR_TEXT_BYTES], text[XFR_WHAT_BYTES + ADDR_TEXT_BYTES];
  snprintf(text, sizeof text, "%s %s", addr_text(address, host), what);
  n->events.failed(n->events.arg, t->notice->zone_id, t->peer.name, text);
}

static uint64_t backoff_ns(const struct notifier *n, const struct task *t) {
  unsigned doublings = t->cycles < 8 ? t->cycles : 8;
  uint64_t s = (uint64_t)BACKOFF_FIRST_S << doublings;
  uint64_t v = (s < BACKOFF_MOST_S ? s : BACKOFF_MOST_S) * NS_PER_S;
  return v - (t->cycles ? n->net.random(n->net.arg) % (v / 4 + 1) : 0);
}

/* The address at hand gave no answer. */
static void task_failed(struct notifier *n, struct task *t, const char *what, struct instant now) {
  struct addr address = t->peer.address[t->address];
  bool newer = t->sent_serial != t->notice->serial;
  task_stop(n, t);
  t->address = (t->address + 1) % t->peer.address_count;
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

static void task_send(struct notifier *n, struct task *t, struct lane *lane, struct instant now) {
  uint8_t bytes[NOTIFY_BYTES];
  size_t size;
  struct notice *o = t->notice;
  const struct addr *to = &t->peer.address[t->address], *source = to->family == 4 ? &t->peer.source4 : &t->peer.source6;
  if (t->address == 0) t->cycle_ns = now.mono_ns;
  t->sent_ns = now.mono_ns;
  t->sent_serial = o->serial;
  t->doubt.text[0] = 0;
  enum err e = tokens_take(&n->tokens, t, &t->token);
  if (e) {
    lane_release(&n->lanes, lane);
    remote_put(&n->remotes, lane->remote);
  } else {
    t->lane = lane;
    e = notify_write(&t->notify, &o->apex, &o->soa, t->peer.key, (uint16_t)n->net.random(n->net.arg), now.wall_s, bytes, &size);
    if (!e) e = n->net.udp_send(n->net.arg, t->token, source, to, bytes, size);
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

static bool same_peer(const struct xfr_primary *a, const struct xfr_primary *b) {
  if (strncmp(a->name, b->name, sizeof a->name) != 0 || a->address_count != b->address_count || a->key != b->key ||
      !addr_equal(&a->source4, &b->source4) || !addr_equal(&a->source6, &b->source6))
    return false;
  for (unsigned i = 0; i < a->address_count; i++)
    if (!addr_equal(&a->address[i], &b->address[i])) return false;
  return true;
}

static struct task *task_of(const struct notice *o, const struct xfr_primary *peer) {
  for (struct list *l = o->tasks.next; l != &o->tasks; l = l->next) {
    struct task *t = MEMBER_OF(l, struct task, link);
    if (same_peer(&t->peer, peer)) return t;
  }
  return NULL;
}

static enum err task_new(struct notifier *n, struct notice *o, const struct xfr_primary *peer, struct list *to) {
  struct task *t = calloc(1, sizeof *t);
  if (!t || timers_reserve(&n->timers, n->task_count + 1)) {
    free(t);
    return ERR_MEMORY;
  }
  t->notice = o;
  t->peer = *peer;
  t->peer.name[sizeof t->peer.name - 1] = 0;
  t->peer.keys = peer->key ? tsig_keyring_ref(peer->keys) : NULL;
  tsig_stream_none(&t->notify.tsig);
  list_init(&t->wait.link);
  list_push_back(to, &t->link);
  n->task_count++;
  return ERR_OK;
}

/* A serial the task has not told yet: at once, or soon if an answer is still waited for. */
static void task_renew(struct notifier *n, struct task *t, struct instant now) {
  t->cycles = 0;
  t->told = false;
  t->since_ns = now.mono_ns;
  if (t->lane && t->sent_serial == t->notice->serial) return;
  if (t->lane) {
    uint64_t soon = t->sent_ns + RENEW_MS * NS_PER_MS;
    if (t->deadline_ns > soon) task_set(n, t, soon);
  } else if (!t->wait.lane) {
    t->address = 0;
    task_queue(n, t, now);
  }
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

enum err notifier_zone(struct notifier *n, uint32_t zone_id, const struct name *apex, const struct zone_snap *snap,
                       const struct xfr_primary *peers, unsigned peer_count, struct instant now) {
  struct notice *o = find(n, zone_id);
  if (!o) o = notice_new(n, zone_id);
  if (!o) return ERR_MEMORY;
  struct notify_soa soa;
  struct list keep;
  list_init(&keep);
  enum err e = read_soa(snap, &soa) ? gather(n, o, peers, peer_count, &keep) : ERR_FORMAT;
  while (!e && !list_empty(&o->tasks))
    task_free(n, MEMBER_OF(o->tasks.next, struct task, link));
  while (!list_empty(&keep)) {
    struct list *l = keep.next;
    list_remove(l);
    list_push_back(&o->tasks, l);
  }
  if (!e || e == ERR_MEMORY) { /* whoever could be remembered is told */
    o->apex = *apex;
    o->soa = soa;
    o->serial = zone_serial(snap);
    for (struct list *l = o->tasks.next; l != &o->tasks; l = l->next)
      task_renew(n, MEMBER_OF(l, struct task, link), now);
  }
  if (list_empty(&o->tasks)) notice_free(n, o);
  pump(n, now);
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
  map_done(&n->remotes);
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
  char peer[sizeof t->peer.name];
  memcpy(peer, t->peer.name, sizeof peer);
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
  enum notify_verdict verdict = notify_judge(&t->notify, &t->notice->apex, bytes, size, now.wall_s, &what);
  if (verdict == NOTIFY_TAKEN) {
    answered(n, t, now);
  } else if (verdict == NOTIFY_REFUSED) {
    task_tell(n, t, &t->peer.address[t->address], what.text);
    task_ends(n, t);
  } else if (verdict == NOTIFY_DOUBTFUL) {
    t->doubt = what;
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
    struct xfr_what what = t->doubt;
    if (!what.text[0]) xfr_what_set(&what, "does not answer our NOTIFY: is it up, and reachable from here?");
    task_failed(n, t, what.text, now);
  }
  pump(n, now);
}

uint64_t notifier_deadline(const struct notifier *n) {
  return timers_next(&n->timers);
}
