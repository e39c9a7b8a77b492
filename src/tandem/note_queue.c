#include "tandem/note_queue.h"

#include "base/limits.h"
#include "tandem/ring.h"

#include <stdlib.h>

struct note_queue {
  struct ring *ring;
};

enum err note_queue_new(struct note_queue **out) {
  struct note_queue *q = calloc(1, sizeof *q);
  if (!q) return ERR_MEMORY;
  if (ring_new(LIMIT_NOTIFY_QUEUE, sizeof(struct note), &q->ring)) {
    free(q);
    return ERR_MEMORY;
  }
  *out = q;
  return ERR_OK;
}

void note_queue_free(struct note_queue *q) {
  if (!q) return;
  ring_free(q->ring);
  free(q);
}

size_t note_queue_bytes(void) {
  return LIMIT_NOTIFY_QUEUE * sizeof(struct note);
}

bool note_queue_put(struct note_queue *q, const struct note *n) {
  return ring_put(q->ring, n);
}

bool note_queue_take(struct note_queue *q, struct note *out) {
  return ring_take(q->ring, out);
}
