/* What stands in place of io/ and of what is not given as a parameter. The linker puts it there: functions of io/ are defined here
 * and io/ is not linked; `__wrap_x` is called where the servers call x (see meson.build). */
#include "net.h"

#include "control/control_priv.h"
#include "crypto/digest.h"
#include "io/loop.h"
#include "io/udp_worker.h"
#include "zone/grace_priv.h"
#include "zone/zone_set.h"

#include <stdlib.h>
#include <string.h>

/* ---- time, chance, the log ---- */

struct instant __wrap_clock_read(void);
struct instant __wrap_clock_read_tick(void);
enum err __wrap_random_bytes(void *out, size_t n);
bool __wrap_log_takes(enum log_event event);
void __wrap_log_write(enum log_event event, const struct log_field *fields);

struct instant __wrap_clock_read(void) {
  return at_node ? node_now(at_node) : (struct instant){sim_now_ns(), 0};
}

struct instant __wrap_clock_read_tick(void) {
  return __wrap_clock_read();
}

enum err __wrap_random_bytes(void *out, size_t n) {
  for (size_t i = 0; i < n; i++)
    ((uint8_t *)out)[i] = (uint8_t)sim_random();
  return ERR_OK;
}

bool __wrap_log_takes(enum log_event event) {
  return true;
}

void __wrap_log_write(enum log_event event, const struct log_field *fields) {
  if (!at_node || at_node->dying) return;
  struct buf line = {0};
  for (const struct log_field *f = fields; f->key; f++)
    if (f->text) buf_printf(&line, " %s=%s", f->key, f->text);
    else buf_printf(&line, " %s=%llu", f->key, (unsigned long long)f->number);
  sim_say("%s %s%s", at_node->name, log_event_name(event), buf_text(&line));
  buf_done(&line);
  sim_trace("log", (uint64_t)at_node->index, event, 0);
  seen_log(event);
  check_logged(at_node, event, fields);
}

/* ---- RCU: one thread, so readers of now are done when the event is ---- */

enum { DEFERRED_MAX = 1 << 16 };

struct deferred {
  void (*f)(void *arg);
  void *arg;
};

static struct deferred deferred[DEFERRED_MAX];
static size_t deferred_first, deferred_count;

static void defer(void (*f)(void *arg), void *arg) {
  MUST(deferred_count < DEFERRED_MAX);
  deferred[(deferred_first + deferred_count++) % DEFERRED_MAX] = (struct deferred){f, arg};
}

void grace_run(void) {
  while (deferred_count) {
    struct deferred d = deferred[deferred_first];
    deferred_first = (deferred_first + 1) % DEFERRED_MAX;
    deferred_count--;
    d.f(d.arg);
  }
}

void __wrap_grace_defer(struct grace *g, void (*f)(void *arg), void *arg);
void __wrap_zone_after_grace(void (*f)(void *), void *arg);
void __wrap_zone_grace_barrier(void);

void __wrap_grace_defer(struct grace *g, void (*f)(void *arg), void *arg) {
  defer(f, arg);
}

void __wrap_zone_after_grace(void (*f)(void *), void *arg) {
  defer(f, arg);
}

void __wrap_zone_grace_barrier(void) {
  grace_run();
}

/* ---- io/: the loop, datagrams, streams. A loop is its server; a ticket names a stream. ---- */

void loop_wake(struct loop *l) {
  ((struct node *)l)->woken = true;
}

void udp_packet_return(const struct udp_packet *p, struct udp_return *out) {
  *out = (struct udp_return){.fd = at_node->index};
  memcpy(&out->from, p->from, sizeof(struct sockaddr_in));
}

void udp_late_send(const struct udp_late *list, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const struct udp_return *r = list[i].to;
    struct addr to, from = party_addr(r->fd);
    MUST(addr_from_sockaddr((const struct sockaddr *)&r->from, &to));
    if (!nodes[r->fd].dying) net_datagram(&from, &to, list[i].bytes, list[i].size);
  }
}

const struct addr *stream_peer(const struct stream_conn *c) {
  return &c->peer;
}

uint32_t stream_tag(const struct stream_conn *c) {
  return 0;
}

uint8_t *stream_room(struct stream_conn *c) {
  return c->room;
}

void stream_reply(struct stream_conn *c, size_t n) {
  if (!at_node->dying) net_from_server(c->id, c->room, n);
}

uint64_t stream_defer(struct stream_conn *c) {
  return c->deferred++ < LIMIT_STREAM_PIPELINE ? c->id : 0;
}

void stream_answer(struct stream_server *s, uint64_t ticket, const uint8_t *bytes, size_t n) {
  struct stream_conn *c = net_server_end(ticket);
  if (!c) return;
  c->deferred--;
  if (n && !at_node->dying) net_from_server(ticket, bytes, n);
}

enum err stream_produce(struct stream_conn *c, const struct stream_producer *p) {
  if (c->producer_count == PRODUCERS_MAX) return ERR_MEMORY;
  c->producers[c->producer_count++] = *p;
  net_produce_later(c->id);
  return ERR_OK;
}
