#include "tandem/update_queue.h"

#include "tandem/ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct update_place {
  struct control_update update; /* first: what the control thread knows it by */
  uint64_t ticket;              /* of a stream's message; 0: it came by UDP */
  struct udp_return udp;
  uint8_t *large;                         /* the request, if it does not fit `bytes` */
  uint8_t bytes[LIMIT_UDP_REQUEST_BYTES]; /* the request, then the response */
};

struct update_queue {
  struct update_place *places; /* LIMIT_UPDATES; memory that was never used is never touched */
  /* A bit each. The first that is free is taken: few are in use, and those stay in the caches. */
  _Atomic uint64_t free[LIMIT_UPDATES / 64];
  struct ring *waiting;                       /* numbers of places */
  struct update_place *answered[LIMIT_BATCH]; /* by UDP, and not sent yet */
  size_t sizes[LIMIT_BATCH], answered_count;
  atomic_bool closed;
};

enum { PLACES_BYTES = LIMIT_UPDATES * sizeof(struct update_place) };

enum err update_queue_new(struct update_queue **out) {
  struct update_queue *q = calloc(1, sizeof *q);
  if (!q) return ERR_MEMORY;
  void *places = mmap(NULL, PLACES_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  q->places = places == MAP_FAILED ? NULL : places;
  enum err e = q->places ? ring_new(LIMIT_UPDATES, sizeof(uint32_t), &q->waiting) : ERR_MEMORY;
  if (e) {
    update_queue_free(q);
    return e;
  }
  for (size_t i = 0; i < LIMIT_UPDATES / 64; i++)
    atomic_init(&q->free[i], UINT64_MAX);
  *out = q;
  return ERR_OK;
}

size_t update_queue_bytes(void) {
  return PLACES_BYTES;
}

void update_queue_free(struct update_queue *q) {
  if (!q) return;
  ring_free(q->waiting);
  if (q->places) munmap(q->places, PLACES_BYTES);
  free(q);
}

void update_queue_close(struct update_queue *q) {
  atomic_store(&q->closed, true);
}

static struct update_place *take_place(struct update_queue *q, uint32_t *number) {
  if (atomic_load_explicit(&q->closed, memory_order_relaxed)) return NULL;
  for (uint32_t i = 0; i < LIMIT_UPDATES / 64; i++) {
    uint64_t left = atomic_load_explicit(&q->free[i], memory_order_relaxed);
    while (left) {
      uint64_t bit = left & -left;
      left = atomic_fetch_and_explicit(&q->free[i], ~bit, memory_order_acquire);
      if (left & bit) {
        *number = 64 * i + (uint32_t)__builtin_ctzll(bit);
        return &q->places[*number];
      }
    }
  }
  return NULL;
}

static void free_place(struct update_queue *q, uint32_t number) {
  atomic_fetch_or_explicit(&q->free[number / 64], UINT64_C(1) << number % 64, memory_order_release);
}

/* There are as many cells as places, so there is room. */
static void pass_on(struct update_queue *q, struct update_place *p, uint32_t number, struct answer_job *job,
                    const struct answer_identity *id, struct instant now) {
  uint8_t *bytes = p->large ? p->large : p->bytes;
  memcpy(bytes, job->bytes, job->size);
  control_update_make(&p->update, job, id, bytes, now);
  ring_put(q->waiting, &number);
}

bool update_queue_put_udp(struct update_queue *q, struct answer_job *job, const struct answer_identity *id,
                          const struct udp_packet *packet, struct instant now) {
  uint32_t number;
  struct update_place *p = packet->socket ? take_place(q, &number) : NULL;
  if (!p) return false;
  p->large = NULL;
  p->ticket = 0;
  udp_packet_return(packet, &p->udp);
  pass_on(q, p, number, job, id, now);
  return true;
}

bool update_queue_put_stream(struct update_queue *q, struct answer_job *job, const struct answer_identity *id,
                             struct stream_conn *conn, struct instant now) {
  uint32_t number;
  struct update_place *p = take_place(q, &number);
  if (!p) return false;
  p->large = job->size > sizeof p->bytes ? malloc(job->size) : NULL;
  p->ticket = p->large || job->size <= sizeof p->bytes ? stream_defer(conn) : 0;
  if (!p->ticket) {
    free(p->large);
    free_place(q, number);
    return false;
  }
  pass_on(q, p, number, job, id, now);
  return true;
}

struct control_update *update_queue_take(struct update_queue *q) {
  uint32_t number;
  return ring_take(q->waiting, &number) ? &q->places[number].update : NULL;
}

static void give_back(struct update_queue *q, struct update_place *p) {
  free(p->large);
  free_place(q, (uint32_t)(p - q->places));
}

void update_queue_send(struct update_queue *q) {
  struct udp_late out[LIMIT_BATCH];
  for (size_t i = 0; i < q->answered_count; i++)
    out[i] = (struct udp_late){&q->answered[i]->udp, q->answered[i]->bytes, q->sizes[i]};
  udp_late_send(out, q->answered_count);
  for (size_t i = 0; i < q->answered_count; i++)
    give_back(q, q->answered[i]);
  q->answered_count = 0;
}

static void keep_back(struct update_queue *q, struct update_place *p, const uint8_t *bytes, size_t n) {
  memmove(p->bytes, bytes, n);
  q->answered[q->answered_count] = p;
  q->sizes[q->answered_count++] = n;
  if (q->answered_count == LIMIT_BATCH) update_queue_send(q);
}

void update_queue_answer(struct update_queue *q, struct control_update *u, struct stream_server *streams, const uint8_t *bytes,
                         size_t n) {
  struct update_place *p = (struct update_place *)u;
  if (!p->ticket && n && n <= sizeof p->bytes) {
    keep_back(q, p, bytes, n);
    return;
  }
  if (p->ticket && streams) stream_answer(streams, p->ticket, bytes, n);
  else if (!p->ticket && n) udp_late_send(&(struct udp_late){&p->udp, bytes, n}, 1);
  give_back(q, p);
}
