#include "xfr/channels_priv.h"

#include "base/bytes.h"
#include "base/limits.h"

#include <assert.h>
#include <stdlib.h>

struct channel {
  struct list link; /* in the remote */
  struct list rest; /* in the list of idle ones */
  struct list asks; /* those that joined first, first */
  struct remote *remote;
  struct addr source;
  uint64_t token;
  bool is_open, closing; /* closing: takes no new questions */
  uint32_t in_flight;    /* asks on it */
  uint64_t questions, answers;
  uint64_t begun_ns, heard_ns; /* connecting; last message */
  uint64_t stray_bytes;
};

void channels_init(struct channels *s, const struct xfr_net *net, struct map *remotes, const struct channel_events *events) {
  s->net = net;
  s->remotes = remotes;
  s->events = *events;
  s->tokens.machine = TOKENS_CHANNELS;
  list_init(&s->idle);
}

/* ---- the end of one ---- */

/* `lives`: the net still knows it. */
static void channel_free(struct channels *s, struct channel *c, bool lives) {
  struct remote *r = c->remote;
  if (lives) s->net->stream_close(s->net->arg, c->token);
  tokens_drop(&s->tokens, c->token);
  list_remove(&c->link);
  list_remove(&c->rest);
  free(c);
  remote_put(s->remotes, r);
}

void channels_close_idle(struct channels *s) {
  while (!list_empty(&s->idle))
    channel_free(s, MEMBER_OF(s->idle.next, struct channel, rest), true);
}

void channels_done(struct channels *s) {
  channels_close_idle(s);
  tokens_done(&s->tokens);
}

static bool is_to_blame(const struct channel *c, const struct channel_ask *a) {
  if (!c->is_open || c->questions <= 1 || (a->begun && c->in_flight == 1)) return true;
  return a->repeats >= LIMIT_CHANNEL_REPEATS;
}

/* A question that others were answered before is not to be charged with what ends the channel. */
static void charge(const struct channel *c, struct channel_ask *a) {
  if ((a->begun || c->answers == 0) && a->repeats < UINT8_MAX) a->repeats++;
}

static void set_shy(struct remote *r, struct instant now) {
  r->shy_until_ns = now.mono_ns + LIMIT_CHANNEL_SHY_S * NS_PER_S;
  r->cut_short = 0;
  r->is_kept = true;
}

static bool is_shy(const struct remote *r, struct instant now) {
  return now.mono_ns < r->shy_until_ns;
}

/* All that were on it are told; what they do then finds the channel gone. */
static void channel_end(struct channels *s, struct channel *c, enum err why, bool lives, struct instant now) {
  struct list blamed, innocent;
  list_init(&blamed);
  list_init(&innocent);
  for (struct list *l = c->asks.next, *next; l != &c->asks; l = next) {
    struct channel_ask *a = MEMBER_OF(l, struct channel_ask, link);
    next = l->next;
    bool blame = is_to_blame(c, a);
    if (!blame) charge(c, a);
    a->channel = NULL;
    list_remove(l);
    list_push_back(blame ? &blamed : &innocent, l);
  }
  channel_free(s, c, lives); /* the askers' slots keep the remote */
  for (unsigned again = 0; again < 2; again++)
    for (struct list *from = again ? &innocent : &blamed; !list_empty(from);) {
      struct channel_ask *a = MEMBER_OF(from->next, struct channel_ask, link);
      list_remove(&a->link);
      s->events.closed(s->events.arg, a, why, again, now);
    }
}

/* ---- asks ---- */

static bool waits_long(const struct channel *c, struct instant now) {
  uint64_t since = c->begun_ns;
  if (c->is_open && list_empty(&c->asks)) return false;
  if (c->is_open) since = MEMBER_OF(c->asks.next, struct channel_ask, link)->joined_ns;
  return now.mono_ns - since >= LIMIT_CHANNEL_SLOW_MS * NS_PER_MS;
}

/* The one with the fewest questions among those with room; NULL: a new one is to be made. What a channel is busy with for long
 * holds up what comes behind it if the peer answers in order, so then there is another one. */
static struct channel *choose(const struct remote *r, const struct addr *source, struct instant now) {
  uint32_t most = is_shy(r, now) ? 1 : LIMIT_CHANNEL_ASKS, count = 0;
  struct channel *best = NULL;
  bool best_slow = false;
  for (struct list *l = r->channels.next; l != &r->channels; l = l->next) {
    struct channel *c = MEMBER_OF(l, struct channel, link);
    bool slow = waits_long(c, now);
    if (c->closing || !addr_equal(&c->source, source)) continue;
    count++;
    if (c->in_flight >= most || (slow && !c->is_open)) continue;
    if (best && (best_slow != slow ? slow : c->in_flight >= best->in_flight)) continue;
    best = c;
    best_slow = slow;
  }
  return best_slow && count < LIMIT_CHANNELS_ADDRESS ? NULL : best;
}

static enum err channel_new(struct channels *s, struct remote *r, const struct addr *source, struct instant now,
                            struct channel **out) {
  struct channel *c = calloc(1, sizeof *c);
  if (!c || tokens_take(&s->tokens, c, &c->token)) {
    free(c);
    return ERR_MEMORY;
  }
  enum err e = s->net->stream_connect(s->net->arg, c->token, source, &r->addr);
  if (e) {
    tokens_drop(&s->tokens, c->token);
    free(c);
    return e;
  }
  c->remote = r;
  c->source = *source;
  c->begun_ns = c->heard_ns = now.mono_ns;
  list_init(&c->asks);
  list_init(&c->rest);
  list_push_back(&r->channels, &c->link);
  s->opened++;
  *out = c;
  return ERR_OK;
}

static struct channel_ask *ask_of(const struct channel *c, uint16_t id) {
  for (struct list *l = c->asks.next; l != &c->asks; l = l->next) {
    struct channel_ask *a = MEMBER_OF(l, struct channel_ask, link);
    if (a->id == id) return a;
  }
  return NULL;
}

enum err channel_join(struct channels *s, struct remote *r, const struct addr *source, struct channel_ask *a, struct instant now) {
  struct channel *c = choose(r, source, now);
  enum err e = c ? ERR_OK : channel_new(s, r, source, now, &c);
  if (e) return e;
  do
    a->id = (uint16_t)s->net->random(s->net->arg);
  while (ask_of(c, a->id));
  a->joined_ns = now.mono_ns;
  a->sent = a->begun = a->answered = false;
  a->pipelined = c->in_flight > 0;
  a->channel = c;
  list_remove(&c->rest);
  list_push_back(&c->asks, &a->link);
  c->in_flight++;
  return ERR_OK;
}

bool channel_is_open(const struct channel_ask *a) {
  return a->channel && a->channel->is_open;
}

enum err channel_send(struct channels *s, struct channel_ask *a, const uint8_t *bytes, size_t n) {
  struct channel *c = a->channel;
  enum err e = s->net->stream_send(s->net->arg, c->token, bytes, n);
  if (e) c->closing = true;
  if (e) return e;
  c->questions += !a->sent;
  a->sent = true;
  return ERR_OK;
}

void channel_leave(struct channels *s, struct channel_ask *a) {
  struct channel *c = a->channel;
  if (!c) return;
  a->channel = NULL;
  list_remove(&a->link);
  c->in_flight--;
  if (a->answered) c->answers++;
  else if (a->sent) c->closing = true;
  if (c->answers > 1) c->remote->cut_short = 0;
  if (c->in_flight) return;
  if (c->closing || !c->is_open) channel_free(s, c, true);
  else list_push_back(&s->idle, &c->rest);
}

bool channel_retreat(struct channels *s, struct channel_ask *a, uint64_t wait_ns, struct instant now) {
  struct channel *c = a->channel;
  bool dead = now.mono_ns - c->heard_ns >= wait_ns / 2; /* it answered others and then nobody any more */
  if (a->begun || !a->pipelined || is_to_blame(c, a)) return false;
  if (a->repeats < UINT8_MAX) a->repeats++;
  if (dead) set_shy(c->remote, now);
  channel_leave(s, a);
  return true;
}

/* ---- what comes ---- */

bool channels_open(struct channels *s, uint64_t token, struct instant now) {
  struct channel *c = tokens_find(&s->tokens, token);
  if (!c) return false;
  c->is_open = true;
  c->heard_ns = now.mono_ns;
  struct list asks; /* telling one may end it, and with the last one the channel */
  list_init(&asks);
  while (!list_empty(&c->asks)) {
    struct list *l = c->asks.next;
    list_remove(l);
    list_push_back(&asks, l);
  }
  for (struct list *l; (l = asks.next) != &asks;) {
    list_remove(l);
    list_push_back(&c->asks, l);
    s->events.open(s->events.arg, MEMBER_OF(l, struct channel_ask, link), now);
  }
  return true;
}

/* Of an answer that was given up, or of nothing we asked. */
static void stray(struct channels *s, struct channel *c, size_t n, struct instant now) {
  c->stray_bytes += n;
  if (c->closing && c->stray_bytes <= LIMIT_CHANNEL_STRAY_BYTES) return;
  if (!c->closing) set_shy(c->remote, now); /* who is at fault shows when each is asked alone */
  channel_end(s, c, ERR_FORMAT, true, now);
}

bool channels_input(struct channels *s, uint64_t token, const uint8_t *message, size_t n, struct instant now) {
  struct channel *c = tokens_find(&s->tokens, token);
  if (!c) return false;
  struct channel_ask *a = n >= 2 ? ask_of(c, get_u16(message)) : NULL;
  if (!a && c->in_flight == 1) a = MEMBER_OF(c->asks.next, struct channel_ask, link); /* says it best */
  if (!a || !a->sent) {
    stray(s, c, n, now);
    return true;
  }
  c->heard_ns = now.mono_ns;
  a->begun = true;
  s->events.input(s->events.arg, a, message, n, now);
  return true;
}

bool channels_closed(struct channels *s, uint64_t token, enum err why, struct instant now) {
  struct channel *c = tokens_find(&s->tokens, token);
  if (!c) return false;
  bool cut_short = c->is_open && c->in_flight && c->questions > 1 && c->answers <= 1 && why == ERR_CLOSED;
  if (cut_short && ++c->remote->cut_short >= LIMIT_CHANNEL_REPEATS) set_shy(c->remote, now);
  channel_end(s, c, why, false, now);
  return true;
}

void channels_run(struct channels *s, struct instant now) {
  while (channels_deadline(s) <= now.mono_ns)
    channel_free(s, MEMBER_OF(s->idle.next, struct channel, rest), true);
}

uint64_t channels_deadline(const struct channels *s) {
  if (list_empty(&s->idle)) return UINT64_MAX;
  return MEMBER_OF(s->idle.next, struct channel, rest)->heard_ns + LIMIT_CHANNEL_IDLE_MS * NS_PER_MS;
}
