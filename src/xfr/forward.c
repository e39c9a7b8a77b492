#include "xfr/forward.h"

#include "wire/message.h"
#include "xfr/exchange_priv.h"
#include "xfr/list_priv.h"
#include "xfr/tokens_priv.h"

#include <stdlib.h>

struct route {
  struct addr source, to;
};

struct forward {
  struct list link; /* in `waiting` or `running` */
  void *request;
  const uint8_t *message;
  size_t size;
  uint64_t token; /* 0: no connection */
  uint64_t due_ns;
  uint16_t id; /* under which it was sent */
  bool sent;
  unsigned next_route, route_count;
  struct xfr_what what; /* why the last address did not do */
  struct route routes[];
};

struct forwarder {
  struct xfr_net net;
  struct forwarder_events events;
  struct tokens tokens;
  struct list waiting, running; /* each in the order they came */
  size_t running_count;
};

enum err forwarder_new(const struct xfr_net *net, const struct forwarder_events *events, struct forwarder **out) {
  struct forwarder *f = calloc(1, sizeof *f);
  if (!f) return ERR_MEMORY;
  f->net = *net;
  f->events = *events;
  f->tokens.machine = TOKENS_FORWARDER;
  list_init(&f->waiting);
  list_init(&f->running);
  *out = f;
  return ERR_OK;
}

static void hang_up(struct forwarder *f, struct forward *w) {
  if (!w->token) return;
  f->net.stream_close(f->net.arg, w->token);
  tokens_drop(&f->tokens, w->token);
  w->token = 0;
}

static void drop(struct forwarder *f, struct forward *w, bool running) {
  hang_up(f, w);
  list_remove(&w->link);
  f->running_count -= running;
  free(w);
}

void forwarder_free(struct forwarder *f) {
  if (!f) return;
  while (!list_empty(&f->running))
    drop(f, MEMBER_OF(f->running.next, struct forward, link), true);
  while (!list_empty(&f->waiting))
    drop(f, MEMBER_OF(f->waiting.next, struct forward, link), false);
  tokens_done(&f->tokens);
  free(f);
}

static void fail(struct forwarder *f, struct forward *w, bool running, const char *what) {
  struct xfr_what text = {""};
  void *request = w->request;
  xfr_what_set(&text, "%s", what);
  drop(f, w, running);
  f->events.failed(f->events.arg, request, text.text);
}

enum err forwarder_request(struct forwarder *f, void *request, const uint8_t *message, size_t n,
                           const struct xfr_primary *primaries, unsigned count, struct instant now) {
  size_t routes = 0;
  for (unsigned i = 0; i < count; i++)
    routes += primaries[i].address_count;
  struct forward *w = calloc(1, sizeof *w + routes * sizeof *w->routes);
  if (!w) return ERR_MEMORY;
  w->request = request;
  w->message = message;
  w->size = n;
  w->due_ns = now.mono_ns + LIMIT_FORWARD_ANSWER_MS * NS_PER_MS;
  for (unsigned i = 0; i < count; i++)
    for (unsigned k = 0; k < primaries[i].address_count; k++) {
      const struct addr *to = &primaries[i].address[k];
      w->routes[w->route_count++] = (struct route){to->family == 4 ? primaries[i].source4 : primaries[i].source6, *to};
    }
  list_push_back(&f->waiting, &w->link);
  return ERR_OK;
}

void forwarder_fail_all(struct forwarder *f, const char *what) {
  while (!list_empty(&f->running))
    fail(f, MEMBER_OF(f->running.next, struct forward, link), true, what);
  while (!list_empty(&f->waiting))
    fail(f, MEMBER_OF(f->waiting.next, struct forward, link), false, what);
}

/* ---- one on its way ---- */

static void note(struct forward *w, const char *what) {
  char text[ADDR_TEXT_BYTES];
  xfr_what_set(&w->what, "%s %s", addr_text(&w->routes[w->next_route - 1].to, text), what);
}

/* Under an id that could not be foreseen. */
static enum err send_copy(struct forwarder *f, struct forward *w) {
  uint8_t *copy = malloc(w->size);
  if (!copy) return ERR_MEMORY;
  memcpy(copy, w->message, w->size);
  put_u16(copy, w->id);
  enum err e = f->net.stream_send(f->net.arg, w->token, copy, w->size);
  free(copy);
  return e;
}

/* Goes on with the next address that a connection can be asked for; it may have failed for good afterwards. */
static void try_next(struct forwarder *f, struct forward *w, struct instant now) {
  hang_up(f, w);
  while (w->next_route < w->route_count) {
    const struct route *r = &w->routes[w->next_route++];
    if (tokens_take(&f->tokens, w, &w->token)) break;
    w->id = (uint16_t)f->net.random(f->net.arg);
    w->due_ns = now.mono_ns + LIMIT_FORWARD_CONNECT_MS * NS_PER_MS;
    if (f->net.stream_connect(f->net.arg, w->token, &r->source, &r->to) == ERR_OK) return;
    tokens_drop(&f->tokens, w->token);
    w->token = 0;
    note(w, "can't be reached");
  }
  fail(f, w, true, w->what.text[0] ? w->what.text : "no primary to forward to");
}

bool forwarder_stream_open(struct forwarder *f, uint64_t token, struct instant now) {
  struct forward *w = tokens_find(&f->tokens, token);
  if (!w) return false;
  w->due_ns = now.mono_ns + LIMIT_FORWARD_ANSWER_MS * NS_PER_MS;
  w->sent = send_copy(f, w) == ERR_OK;
  if (!w->sent) fail(f, w, true, "out of memory");
  return true;
}

static bool is_answer(const struct forward *w, const struct message *m) {
  return m->id == w->id && (m->flags & FLAG_QR) && (m->flags & FLAG_OPCODE_MASK) >> FLAG_OPCODE_SHIFT == OPCODE_UPDATE;
}

bool forwarder_stream_input(struct forwarder *f, uint64_t token, const uint8_t *message, size_t n, struct instant now) {
  struct forward *w = tokens_find(&f->tokens, token);
  struct message m;
  struct rd body;
  (void)now;
  if (!w) return false;
  if (!w->sent || message_open(message, n, &m, &body) || !is_answer(w, &m)) return true;
  uint8_t *copy = malloc(n);
  if (!copy) {
    fail(f, w, true, "out of memory");
    return true;
  }
  memcpy(copy, message, n);
  memcpy(copy, w->message, 2); /* the client's id */
  void *request = w->request;
  drop(f, w, true);
  f->events.answered(f->events.arg, request, copy, n);
  free(copy);
  return true;
}

bool forwarder_stream_closed(struct forwarder *f, uint64_t token, enum err why, struct instant now) {
  struct forward *w = tokens_find(&f->tokens, token);
  if (!w) return false;
  tokens_drop(&f->tokens, token);
  w->token = 0;
  if (w->sent) { /* it may have been made, and a second primary must not be asked to make it again */
    note(w, "broke the connection before it answered");
    fail(f, w, true, w->what.text);
    return true;
  }
  note(w, why == ERR_REFUSED ? "refused the connection" : "can't be reached");
  try_next(f, w, now);
  return true;
}

/* ---- time ---- */

static void run_one(struct forwarder *f, struct forward *w, struct instant now) {
  if (w->due_ns > now.mono_ns) return;
  note(w, w->sent ? "did not answer" : "can't be reached in time");
  if (w->sent) fail(f, w, true, w->what.text);
  else try_next(f, w, now);
}

static void start_waiting(struct forwarder *f, struct instant now) {
  while (f->running_count < LIMIT_FORWARDS && !list_empty(&f->waiting)) {
    struct forward *w = MEMBER_OF(f->waiting.next, struct forward, link);
    list_remove(&w->link);
    list_push_back(&f->running, &w->link);
    f->running_count++;
    try_next(f, w, now);
  }
}

void forwarder_run(struct forwarder *f, struct instant now) {
  for (struct list *l = f->running.next, *next; l != &f->running; l = next) {
    next = l->next;
    run_one(f, MEMBER_OF(l, struct forward, link), now);
  }
  while (!list_empty(&f->waiting)) { /* they came in order, so those that waited too long stand first */
    struct forward *w = MEMBER_OF(f->waiting.next, struct forward, link);
    if (w->due_ns > now.mono_ns) break;
    fail(f, w, false, "waited too long for a connection to a primary");
  }
  start_waiting(f, now);
}

uint64_t forwarder_deadline(const struct forwarder *f) {
  uint64_t at = UINT64_MAX;
  for (const struct list *l = f->running.next; l != &f->running; l = l->next) {
    uint64_t due = MEMBER_OF(l, struct forward, link)->due_ns;
    if (due < at) at = due;
  }
  if (list_empty(&f->waiting)) return at;
  uint64_t due = f->running_count < LIMIT_FORWARDS ? 0 : MEMBER_OF(f->waiting.next, struct forward, link)->due_ns;
  return due < at ? due : at;
}
