#include "tandem/worker.h"

#include <stdlib.h>

void client_from_tag(struct answer_client *client, uint32_t tag) {
  client->listener = (uint16_t)(tag & TAG_INDEX_MASK);
  client->queries_only = (tag & TAG_QUERIES_ONLY) != 0;
  client->transfers_only = (tag & TAG_TRANSFERS_ONLY) != 0;
}

/* The control thread will answer, unless it is too far behind to be given more. */
static void pass_on_update(struct worker *w, const struct answer_identity *id, struct answer_job *job,
                           const struct udp_packet *packet, struct instant now) {
  if (update_queue_put_udp(w->updates, job, id, packet, now)) loop_wake(w->observer.control_loop);
  else answer_rcode(id, job, now, RCODE_SERVFAIL, EDE_NOT_READY);
}

/* What is left to do with an answered request; how many octets to send. */
static uint32_t finish(struct worker *w, const struct answer_identity *id, struct answer_job *job, const struct udp_packet *packet,
                       struct instant now) {
  if (job->result.kind == ANSWER_NOTIFY && !observe_notify(&w->observer, job)) answer_rcode(id, job, now, RCODE_SERVFAIL, EDE_NONE);
  else if (job->result.kind == ANSWER_UPDATE) pass_on_update(w, id, job, packet, now);
  observe(&w->observer, job, now);
  return job->result.kind == ANSWER_DROP || job->result.kind == ANSWER_UPDATE ? 0 : job->result.size;
}

static void handle(void *arg, struct udp_packet *packets, size_t count) {
  struct worker *w = arg;
  struct instant now = clock_read_tick();
  for (size_t i = 0; i < count; i++) {
    struct answer_job *job = &w->jobs[i];
    job->bytes = packets[i].bytes;
    job->size = packets[i].size;
    job->out = packets[i].out;
    addr_from_sockaddr(packets[i].from, &job->client.from); /* an Internet socket gives no other addresses */
    client_from_tag(&job->client, packets[i].tag);
  }
  zone_read_begin();
  const struct answer_identity *id = control_identity(w->control);
  answer_batch(control_zones(w->control), id, w->memory, w->order, count, now);
  for (size_t i = 0; i < count; i++)
    packets[i].out_size = finish(w, id, &w->jobs[i], &packets[i], now);
  zone_read_end();
}

static void begin(void *arg) {
  zone_reader_register();
}

static void end(void *arg) {
  zone_reader_unregister();
}

enum err worker_new(struct control *control, struct note_queue *notes, struct update_queue *updates, struct loop *control_loop,
                    struct worker **out) {
  struct worker *w;
  struct answer_memory *memory = answer_memory_new();
  if (!memory || posix_memalign((void **)&w, WORKER_LINE_BYTES, sizeof *w) != 0) {
    answer_memory_free(memory);
    return ERR_MEMORY;
  }
  *w = (struct worker){.control = control, .updates = updates, .memory = memory};
  observer_init(&w->observer, notes, control_loop);
  for (size_t i = 0; i < LIMIT_BATCH; i++) {
    w->order[i] = &w->jobs[i];
    w->jobs[i].client.transport = TRANSPORT_UDP;
    w->jobs[i].capacity = LIMIT_UDP_RESPONSE_BYTES;
  }
  *out = w;
  return ERR_OK;
}

void worker_free(struct worker *w) {
  if (w) answer_memory_free(w->memory);
  free(w);
}

struct udp_handler worker_handler(struct worker *w) {
  return (struct udp_handler){w, begin, end, handle};
}
