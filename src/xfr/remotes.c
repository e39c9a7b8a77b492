#include "xfr/remotes_priv.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void lanes_init(struct lanes *l, uint32_t limit, uint32_t limit_each) {
  list_init(&l->ring);
  l->in_flight = 0;
  l->limit = limit;
  l->limit_each = limit_each;
}

/* Invariant: a lane stands in the ring exactly while somebody waits in it and it has room for one more. */
static void place(struct lanes *l, struct lane *lane) {
  bool wanted = lane->waiting > 0 && lane->in_flight < l->limit_each;
  if (!wanted) list_remove(&lane->turn);
  else if (list_empty(&lane->turn)) list_push_back(&l->ring, &lane->turn);
}

void lane_wait(struct lanes *l, struct lane *lane, struct lane_wait *w, bool urgent) {
  assert(!w->lane);
  w->lane = lane;
  list_push_back(urgent ? &lane->urgent : &lane->normal, &w->link);
  lane->waiting++;
  place(l, lane);
}

void lane_leave(struct lanes *l, struct lane_wait *w) {
  struct lane *lane = w->lane;
  if (!lane) return;
  list_remove(&w->link);
  w->lane = NULL;
  lane->waiting--;
  place(l, lane);
}

bool lanes_wanted(const struct lanes *l) {
  return l->in_flight < l->limit && !list_empty(&l->ring);
}

struct lane_wait *lanes_next(struct lanes *l, struct lane **out) {
  if (!lanes_wanted(l)) return NULL;
  struct lane *lane = MEMBER_OF(l->ring.next, struct lane, turn);
  struct list *first = list_empty(&lane->urgent) ? lane->normal.next : lane->urgent.next;
  struct lane_wait *w = MEMBER_OF(first, struct lane_wait, link);
  list_remove(&lane->turn); /* to the end of the ring */
  lane->in_flight++;
  l->in_flight++;
  lane_leave(l, w);
  *out = lane;
  return w;
}

void lane_release(struct lanes *l, struct lane *lane) {
  assert(lane->in_flight > 0 && l->in_flight > 0);
  lane->in_flight--;
  l->in_flight--;
  place(l, lane);
}

static uint64_t addr_hash(const struct addr *a) {
  uint8_t bytes[sizeof a->octets + 7];
  memcpy(bytes, a->octets, sizeof a->octets);
  bytes[16] = a->family;
  memcpy(bytes + 17, &a->port, 2);
  memcpy(bytes + 19, &a->scope, 4);
  return hash64(bytes, sizeof bytes, 0);
}

struct remote *remote_find(const struct map *remotes, const struct addr *addr) {
  for (struct map_node *n = map_first(remotes, addr_hash(addr)); n; n = map_next(n)) {
    struct remote *r = MEMBER_OF(n, struct remote, node);
    if (addr_equal(&r->addr, addr)) return r;
  }
  return NULL;
}

static void lane_init(struct lane *lane, struct remote *r) {
  list_init(&lane->turn);
  list_init(&lane->urgent);
  list_init(&lane->normal);
  lane->remote = r;
}

struct remote *remote_get(struct map *remotes, const struct addr *addr) {
  struct remote *r = remote_find(remotes, addr);
  if (r) return r;
  r = calloc(1, sizeof *r);
  if (!r) return NULL;
  r->addr = *addr;
  list_init(&r->channels);
  lane_init(&r->datagrams, r);
  lane_init(&r->streams, r);
  lane_init(&r->direct, r);
  map_add(remotes, &r->node, addr_hash(addr));
  return r;
}

static bool lane_is_used(const struct lane *lane) {
  return lane->waiting || lane->in_flight;
}

void remote_put(struct map *remotes, struct remote *r) {
  if (lane_is_used(&r->datagrams) || lane_is_used(&r->streams) || lane_is_used(&r->direct)) return;
  if (!list_empty(&r->channels) || r->is_kept) return;
  map_remove(remotes, &r->node);
  free(r);
}

void remotes_done(struct map *remotes) {
  size_t from = 0;
  for (struct map_node *n; (n = map_any(remotes, &from));) {
    map_remove(remotes, n);
    free(MEMBER_OF(n, struct remote, node));
  }
  map_done(remotes);
}

bool remote_is_down(const struct remote *r) {
  return r->silent >= REMOTE_DOWN_SILENT && r->datagrams.in_flight > REMOTE_DOWN_PROBES;
}
