/* Where connections wait, who times out, and who gives way. */
#include "io/stream_priv.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_QUESTION_MS = 1000 /* for one that connected to a server about to stop */ };

static void unlink_conn(struct stream_conn *c) {
  struct conn_list *l = &c->server->lists[c->list];
  if (c->prev) c->prev->next = c->next;
  else l->head = c->next;
  if (c->next) c->next->prev = c->prev;
  else l->tail = c->prev;
  c->prev = c->next = NULL;
}

static void append_conn(struct stream_conn *c, enum stream_list list, uint64_t now_ns) {
  struct conn_list *l = &c->server->lists[list];
  c->list = (uint8_t)list;
  c->since_ns = now_ns;
  c->prev = l->tail;
  if (l->tail) l->tail->next = c;
  else l->head = c;
  l->tail = c;
}

struct stream_conn *conn_open(struct stream_server *s, int fd, const struct addr *peer, uint32_t tag, struct instant now) {
  struct stream_conn *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->watch = (struct loop_watch){fd, LOOP_READ, conn_ready, c};
  c->server = s;
  c->peer = *peer;
  c->tag = tag;
  if (loop_add(s->loop, &c->watch) != ERR_OK) {
    free(c);
    return NULL;
  }
  append_conn(c, STREAM_IDLE, now.mono_ns);
  s->connection_count++;
  atomic_store_explicit(&s->connections, s->connection_count, memory_order_relaxed);
  return c;
}

void conn_forget(struct stream_conn *c) {
  struct stream_server *s = c->server;
  unlink_conn(c);
  s->connection_count--;
  atomic_store_explicit(&s->connections, s->connection_count, memory_order_relaxed);
}

void conn_place(struct stream_conn *c, enum stream_list list, uint64_t now_ns) {
  if (c->list == list && !c->touched) return;
  c->touched = false;
  unlink_conn(c);
  append_conn(c, list, now_ns);
}

static void set_kept(struct stream_server *s, size_t bytes) {
  s->kept_bytes = bytes;
  if (bytes > s->kept_peak_bytes) s->kept_peak_bytes = bytes;
  atomic_store_explicit(&s->buffer_bytes, bytes, memory_order_relaxed);
}

void conn_drop(struct stream_server *s, size_t less) {
  assert(s->kept_bytes >= less);
  set_kept(s, s->kept_bytes - less);
}

/* The connection for which something has been kept for longest. */
static struct stream_conn *slowest(struct stream_server *s, const struct stream_conn *but) {
  static const enum stream_list order[] = {STREAM_WRITING, STREAM_READING};
  for (size_t i = 0; i < 2; i++)
    for (struct stream_conn *c = s->lists[order[i]].head; c; c = c->next)
      if (c != but && (c->in || c->out)) return c;
  return NULL;
}

void conn_keep(struct stream_conn *c, size_t more, struct instant now) {
  struct stream_server *s = c->server;
  set_kept(s, s->kept_bytes + more);
  if (s->stopping) return; /* all are about to end anyway */
  while (s->kept_bytes > s->options.buffer_bytes) {
    struct stream_conn *victim = slowest(s, c);
    if (!victim) break;
    stream_count(&s->evicted);
    conn_close(victim, now);
  }
}

static uint64_t budget_ns(const struct stream_server *s, enum stream_list list) {
  const struct stream_options *o = &s->options;
  uint32_t ms = list == STREAM_IDLE ? o->idle_ms : list == STREAM_READING ? o->message_ms : o->write_ms;
  if (s->stopping && list == STREAM_IDLE && ms > FIRST_QUESTION_MS) ms = FIRST_QUESTION_MS;
  return ms * NS_PER_MS;
}

void conns_expire(struct stream_server *s, struct instant now) {
  for (int list = 0; list < STREAM_LISTS; list++)
    while (s->lists[list].head && s->lists[list].head->since_ns + budget_ns(s, (enum stream_list)list) <= now.mono_ns) {
      stream_count(&s->timed_out);
      conn_close(s->lists[list].head, now);
    }
}

uint64_t conns_deadline(const struct stream_server *s) {
  uint64_t first = LOOP_NEVER;
  for (int list = 0; list < STREAM_LISTS; list++) {
    const struct stream_conn *c = s->lists[list].head;
    uint64_t at = c ? c->since_ns + budget_ns(s, (enum stream_list)list) : LOOP_NEVER;
    if (at < first) first = at;
  }
  return first;
}

bool conns_evict(struct stream_server *s, struct instant now) {
  for (int list = 0; list < STREAM_LISTS; list++) {
    if (!s->lists[list].head) continue;
    stream_count(&s->evicted);
    conn_close(s->lists[list].head, now);
    return true;
  }
  return false;
}
