/* The stream thread's part that knows DNS: questions over TCP are answered, transfers are handed to their producer.
 * Thread: the stream thread; made and freed by the control thread. */
#ifndef TANDEM_STREAM_H
#define TANDEM_STREAM_H

#include "control/control.h"
#include "io/stream_server.h"
#include "tandem/observe.h"
#include "tandem/update_queue.h"

struct streamer {
  struct control *control;
  struct observer observer;
  struct update_queue *updates;
  struct store_reader *history; /* NULL: it can't be read */
  _Atomic unsigned transfers;   /* running now; like the next two written by the stream thread alone */
  _Atomic uint64_t transfers_done, transfers_failed;
  struct answer_memory *memory;
  struct answer_job job;
};

MUST_CHECK enum err streamer_new(struct control *control, struct note_queue *notes, struct update_queue *updates,
                                 struct loop *control_loop, struct streamer **out);
void streamer_free(struct streamer *s); /* NULL is fine */
struct stream_handler streamer_handler(struct streamer *s);

#endif
