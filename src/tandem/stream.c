#include "tandem/stream.h"

#include "base/log.h"
#include "tandem/names.h"
#include "tandem/worker.h"
#include "xfr/axfr_out.h"

#include <stdlib.h>

/* One transfer on its way out. */
struct transfer {
  struct streamer *streamer;
  struct axfr_out *axfr;
  struct tsig_keyring *keys; /* a reference: the key signs until the end, also over a reload */
  struct addr peer;
  struct name zone;
  uint32_t serial;
  uint64_t begun_ns;
};

static enum err transfer_next(void *arg, uint8_t *buffer, size_t capacity, struct instant now, size_t *n, bool *done) {
  struct transfer *t = arg;
  return axfr_out_next(t->axfr, buffer, capacity, now.wall_s, n, done);
}

static void transfer_end(void *arg, bool whole, struct instant now) {
  struct transfer *t = arg;
  struct axfr_out_count c = axfr_out_count(t->axfr);
  char zone[NAME_TEXT_BYTES], peer[ADDR_TEXT_BYTES];
  log_event(whole ? EV_TRANSFER_OUT_DONE : EV_TRANSFER_OUT_FAILED, LOG_TEXT("zone", zone_text(&t->zone, zone)),
            LOG_TEXT("peer", addr_text(&t->peer, peer)), LOG_NUMBER("serial", t->serial), LOG_NUMBER("records", c.records),
            LOG_NUMBER("messages", c.messages), LOG_NUMBER("bytes", c.bytes),
            LOG_NUMBER("ms", (now.mono_ns - t->begun_ns) / NS_PER_MS));
  atomic_fetch_add_explicit(whole ? &t->streamer->transfers_done : &t->streamer->transfers_failed, 1, memory_order_relaxed);
  t->streamer->transfers--;
  axfr_out_free(t->axfr);
  tsig_keyring_unref(t->keys);
  free(t);
}

/* Hands an allowed transfer to its producer. On failure the job can still be answered. */
static enum err begin_transfer(struct streamer *s, struct stream_conn *conn, const struct answer_identity *id, struct instant now) {
  const struct zone_snap *snap = s->job.result.zone->snap;
  if (s->transfers >= LIMIT_TRANSFERS_OUT) return ERR_LIMIT;
  struct transfer *t = malloc(sizeof *t);
  if (!t) return ERR_MEMORY;
  *t = (struct transfer){.streamer = s, .peer = s->job.client.from, .zone = *zone_apex(snap), .serial = zone_serial(snap)};
  t->begun_ns = now.mono_ns;
  enum err e = axfr_out_begin(snap, &s->job.request, &s->job.tsig, &t->axfr);
  if (e) {
    free(t);
    return e;
  }
  t->keys = tsig_keyring_ref(id->keys);
  e = stream_produce(conn, &(struct stream_producer){t, transfer_next, transfer_end});
  if (e) {
    axfr_out_free(t->axfr);
    tsig_keyring_unref(t->keys);
    free(t);
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
  answer(control_zones(s->control), id, job, now, now.mono_ns);
  if (job->result.kind == ANSWER_TRANSFER) {
    enum err e = begin_transfer(s, conn, id, now);
    if (e) answer_rcode(id, job, now, e == ERR_FORMAT ? RCODE_FORMERR : RCODE_SERVFAIL, EDE_NONE);
  } else if (job->result.kind == ANSWER_NOTIFY) {
    if (!observe_notify(&s->observer, job)) answer_rcode(id, job, now, RCODE_SERVFAIL, EDE_NONE);
  } else if (job->result.kind == ANSWER_UPDATE) {
    answer_rcode(id, job, now, RCODE_NOTIMP, EDE_NOT_SUPPORTED);
  }
  observe(&s->observer, job, now);
  tsig_stream_done(&job->tsig);
  zone_read_end();
  if (job->result.kind == ANSWER_REPLY || job->result.kind == ANSWER_NOTIFY) stream_reply(conn, job->result.size);
}

static void begin(void *arg) {
  zone_reader_register();
}

static void end(void *arg) {
  zone_reader_unregister();
}

enum err streamer_new(struct control *control, struct note_queue *notes, struct loop *control_loop, struct streamer **out) {
  struct streamer *s = calloc(1, sizeof *s);
  if (!s) return ERR_MEMORY;
  s->control = control;
  observer_init(&s->observer, notes, control_loop);
  *out = s;
  return ERR_OK;
}

void streamer_free(struct streamer *s) {
  free(s);
}

struct stream_handler streamer_handler(struct streamer *s) {
  return (struct stream_handler){s, begin, end, message};
}
