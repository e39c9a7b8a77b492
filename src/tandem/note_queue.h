/* What the workers and the stream thread tell the control thread: a ring (ring.h) of notes. Thread: any number of writers, one
 * reader. */
#ifndef TANDEM_NOTE_QUEUE_H
#define TANDEM_NOTE_QUEUE_H

#include "base/addr.h"
#include "base/err.h"
#include "wire/name.h"

enum note_kind {
  NOTE_NOTIFY,         /* an allowed NOTIFY: the zone's secondary is to ask */
  NOTE_NOTIFY_REFUSED, /* the rest is to be logged */
  NOTE_TRANSFER_REFUSED,
  NOTE_UPDATE_REFUSED,
  NOTE_TSIG_FAILED,
};

struct note {
  enum note_kind kind;
  struct addr from;
  struct name name; /* of the zone; NOTE_TSIG_FAILED: of the key */
  bool serial_known;
  uint32_t serial;
  uint16_t code; /* RCODE, or TSIG's error */
};

struct note_queue;
MUST_CHECK enum err note_queue_new(struct note_queue **out);
void note_queue_free(struct note_queue *q);                      /* NULL is fine */
size_t note_queue_bytes(void);                                   /* of memory */
bool note_queue_put(struct note_queue *q, const struct note *n); /* false: full */
bool note_queue_take(struct note_queue *q, struct note *out);    /* false: empty */

#endif
