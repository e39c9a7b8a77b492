/* A UDP worker's part that knows DNS: a batch of datagrams becomes a batch of answer jobs. One clock reading and one RCU read
 * section a batch. Thread: its worker's; made and freed by the control thread. */
#ifndef TANDEM_WORKER_H
#define TANDEM_WORKER_H

#include "control/control.h"
#include "io/udp_worker.h"
#include "tandem/observe.h"
#include "tandem/update_queue.h"

/* What a socket says of its listen address, in its tag: the number of its counters, below LIMIT_LISTENERS_COUNTED, and what it is
 * for. */
enum { TAG_INDEX_MASK = 0xffff, TAG_QUERIES_ONLY = 1 << 16, TAG_TRANSFERS_ONLY = 1 << 17 };

void client_from_tag(struct answer_client *client, uint32_t tag);

enum { WORKER_LINE_BYTES = 64 }; /* of a cache: what a worker writes is in no line that another one reads */

struct worker {
  _Alignas(WORKER_LINE_BYTES) struct control *control;
  struct observer observer;
  struct update_queue *updates;
  struct answer_memory *memory;
  struct answer_job *order[LIMIT_BATCH];
  struct answer_job jobs[LIMIT_BATCH];
};

MUST_CHECK enum err worker_new(struct control *control, struct note_queue *notes, struct update_queue *updates,
                               struct loop *control_loop, struct worker **out);
void worker_free(struct worker *w); /* NULL is fine */
struct udp_handler worker_handler(struct worker *w);

#endif
