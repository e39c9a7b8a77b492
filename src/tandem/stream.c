#include "tandem/stream.h"

#include "base/log.h"
#include "base/mutation.h"
#include "tandem/names.h"
#include "tandem/worker.h"
#include "xfr/axfr_out.h"

#include <stdlib.h>

/* What a peer sees of a zone: today what everybody does. All that goes out in transfers goes through here, so that a view can leave
 * out or rewrite what is not for this peer. */
struct view {
  const struct zone_snap *snap;
  uint64_t log_zone, log_head; /* where its history is; log_zone 0: there is none */
};

static struct view view_of(const struct zone_entry *e, const struct addr *peer) {
  return (struct view){e->snap, e->log_zone, e->log_head};
}

/* One transfer on its way out. */
struct transfer {
  struct streamer *streamer;
  struct axfr_out *axfr;
  struct zone_snap *snap;
  struct tsig_keyring *keys; /* a reference: the key signs until the end, also over a reload */
  struct addr peer;
  struct name zone;
  uint32_t serial;
  uint64_t begun_ns;
  uint64_t log_zone, log_head; /* of its view, until the history was read */
  bool incremental;
};

/* ---- incremental ---- */

static bool offer(void *arg, const struct store_change *c) {
  struct ixfr_change change = {
      c->kind == STORE_DELTA && c->view == 0, c->has_serial_from, c->serial_from, c->serial_to, c->body, c->body_size};
  return ixfr_chain_offer(arg, &change);
}

/* The changes since the client's serial, if history has them; else the zone is sent. Not inside a read section: it reads files. */
static void gather_changes(struct transfer *t) {
  struct ixfr_chain *chain;
  struct store_error why;
  uint32_t serial;
  uint64_t zone = t->log_zone;
  t->log_zone = 0;
  if (!zone || !t->streamer->history || !axfr_out_wants_changes(t->axfr, &serial)) return;
  if (ixfr_chain_new(t->snap, serial, &chain)) return;
  enum err e = store_reader_walk_back(t->streamer->history, zone, t->log_head, offer, chain, &why);
  if (!e && ixfr_chain_close(chain)) {
    t->incremental = true;
    axfr_out_changes(t->axfr, chain);
    return;
  }
  if (e && e != ERR_NOT_FOUND) log_event(EV_STORE_FAILED, LOG_TEXT("what", why.what));
  ixfr_chain_free(chain);
}

/* ---- sending ---- */

static enum err transfer_next(void *arg, uint8_t *buffer, size_t capacity, struct instant now, size_t *n, bool *done) {
  struct transfer *t = arg;
  if (t->log_zone) gather_changes(t);
  return axfr_out_next(t->axfr, buffer, capacity, now.wall_s, n, done);
}

static void transfer_free(struct transfer *t) {
  axfr_out_free(t->axfr);
  zone_snap_unref(t->snap);
  tsig_keyring_unref(t->keys);
  free(t);
}

static void transfer_end(void *arg, bool whole, struct instant now) {
  struct transfer *t = arg;
  struct axfr_out_count c = axfr_out_count(t->axfr);
  char zone[NAME_TEXT_BYTES], peer[ADDR_TEXT_BYTES];
  log_event(whole ? EV_TRANSFER_OUT_DONE : EV_TRANSFER_OUT_FAILED, LOG_TEXT("zone", zone_text(&t->zone, zone)),
            LOG_TEXT("peer", addr_text(&t->peer, peer)), LOG_TEXT("kind", t->incremental ? "IXFR" : "AXFR"),
            LOG_NUMBER("serial", t->serial), LOG_NUMBER("records", c.records), LOG_NUMBER("messages", c.messages),
            LOG_NUMBER("bytes", c.bytes), LOG_NUMBER("ms", (now.mono_ns - t->begun_ns) / NS_PER_MS));
  atomic_fetch_add_explicit(whole ? &t->streamer->transfers_done : &t->streamer->transfers_failed, 1, memory_order_relaxed);
  if (whole || !MUTATION(TRANSFER_LEFT)) t->streamer->transfers--;
  transfer_free(t);
}

/* Hands an allowed transfer to its producer. On failure the job can still be answered. */
static enum err begin_transfer(struct streamer *s, struct stream_conn *conn, const struct answer_identity *id, struct instant now) {
  struct view view = view_of(s->job.result.zone, &s->job.client.from);
  if (s->transfers >= LIMIT_TRANSFERS_OUT) return ERR_LIMIT;
  struct transfer *t = malloc(sizeof *t);
  if (!t) return ERR_MEMORY;
  *t = (struct transfer){.streamer = s, .peer = s->job.client.from, .serial = zone_serial(view.snap)};
  name_copy(&t->zone, zone_apex(view.snap));
  t->begun_ns = now.mono_ns;
  t->log_zone = view.log_zone;
  t->log_head = view.log_head;
  enum err e = axfr_out_begin(view.snap, &s->job.request, &s->job.tsig, &t->axfr);
  if (e) {
    free(t);
    return e;
  }
  t->snap = zone_snap_ref(view.snap);
  t->keys = tsig_keyring_ref(id->keys);
  e = stream_produce(conn, &(struct stream_producer){t, transfer_next, transfer_end});
  if (e) {
    transfer_free(t);
    return e;
  }
  s->transfers++;
  return ERR_OK;
}

static void message(void *arg, struct stream_conn *conn, const uint8_t *bytes, size_t n, struct instant now) {
  struct streamer *s = arg;
  struct answer_job *job = &s->job;
  job->bytes = bytes;
  job->size = n;
  job->out = stream_room(conn);
  job->capacity = LIMIT_MESSAGE_BYTES;
  job->client.from = *stream_peer(conn);
  job->client.transport = TRANSPORT_TCP;
  client_from_tag(&job->client, stream_tag(conn));
  zone_read_begin();
  const struct answer_identity *id = control_identity(s->control);
  answer(control_zones(s->control), id, s->memory, job, now);
  if (job->result.kind == ANSWER_TRANSFER) {
    enum err e = begin_transfer(s, conn, id, now);
    if (e) answer_rcode(id, job, now, e == ERR_FORMAT ? RCODE_FORMERR : RCODE_SERVFAIL, EDE_NONE);
  } else if (job->result.kind == ANSWER_NOTIFY) {
    if (!observe_notify(&s->observer, job)) answer_rcode(id, job, now, RCODE_SERVFAIL, EDE_NONE);
  } else if (job->result.kind == ANSWER_UPDATE) {
    if (update_queue_put_stream(s->updates, job, id, conn, now)) loop_wake(s->observer.control_loop);
    else answer_rcode(id, job, now, RCODE_SERVFAIL, EDE_NOT_READY);
  }
  observe(&s->observer, job, now);
  zone_read_end();
  if (job->result.kind == ANSWER_REPLY || job->result.kind == ANSWER_NOTIFY) stream_reply(conn, job->result.size);
}

static void begin(void *arg) {
  zone_reader_register();
}

static void end(void *arg) {
  zone_reader_unregister();
}

enum err streamer_new(struct control *control, struct note_queue *notes, struct update_queue *updates, struct loop *control_loop,
                      struct streamer **out) {
  struct streamer *s = calloc(1, sizeof *s);
  struct answer_memory *memory = answer_memory_new();
  if (!s || !memory) {
    answer_memory_free(memory);
    free(s);
    return ERR_MEMORY;
  }
  s->memory = memory;
  s->control = control;
  s->updates = updates;
  if (control_open_history(control, &s->history))
    log_event(EV_SERVER_ERROR, LOG_TEXT("what", "history can't be read: no incremental transfers"));
  observer_init(&s->observer, notes, control_loop);
  *out = s;
  return ERR_OK;
}

void streamer_free(struct streamer *s) {
  if (!s) return;
  store_reader_close(s->history);
  answer_memory_free(s->memory);
  free(s);
}

struct stream_handler streamer_handler(struct streamer *s) {
  return (struct stream_handler){s, begin, end, message};
}
