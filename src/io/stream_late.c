/* Messages that are answered later, by another thread: what it says is queued under the lock, and the stream thread is woken. */
#include "io/stream_priv.h"

#include <stdlib.h>
#include <string.h>

uint64_t stream_defer(struct stream_conn *c) {
  struct stream_server *s = c->server;
  if (c->deferred >= LIMIT_STREAM_PIPELINE) return 0;
  if (c->deferred == 0) {
    if (!c->ticket) c->ticket = ++s->last_ticket;
    if (token_map_put(&s->deferring, c->ticket, c)) return 0;
  }
  c->deferred++;
  return c->ticket;
}

void stream_answer(struct stream_server *s, uint64_t ticket, const uint8_t *bytes, size_t n) {
  struct late_answer *a = malloc(sizeof *a + n);
  if (!a) return; /* the client asks again */
  *a = (struct late_answer){.ticket = ticket, .size = n};
  if (n) memcpy(a->bytes, bytes, n);
  pthread_mutex_lock(&s->lock);
  if (s->late_last) s->late_last->next = a;
  else s->late_first = a;
  s->late_last = a;
  pthread_mutex_unlock(&s->lock);
  loop_wake(s->loop);
}

void late_deliver(struct stream_server *s, struct instant now) {
  pthread_mutex_lock(&s->lock);
  struct late_answer *list = s->late_first;
  s->late_first = s->late_last = NULL;
  pthread_mutex_unlock(&s->lock);
  for (struct late_answer *a = list, *next; a; a = next) {
    struct stream_conn *c = token_map_get(&s->deferring, a->ticket);
    next = a->next;
    if (c && --c->deferred == 0) token_map_remove(&s->deferring, a->ticket);
    if (c) conn_late(c, a->bytes, a->size, now);
    free(a);
  }
}

void late_forget(struct stream_conn *c) {
  if (c->deferred) token_map_remove(&c->server->deferring, c->ticket);
  c->deferred = 0;
}

void late_done(struct stream_server *s) {
  for (struct late_answer *a = s->late_first, *next; a; a = next) {
    next = a->next;
    free(a);
  }
  token_map_done(&s->deferring);
}
