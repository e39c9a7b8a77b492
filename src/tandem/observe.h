/* What stands around the answer: counters and notes, made from result records alone. One observer a thread that answers.
 *
 * Thread: observe_* by its own thread; observer_add by any. */
#ifndef TANDEM_OBSERVE_H
#define TANDEM_OBSERVE_H

#include "answer/answer.h"
#include "io/loop.h"
#include "tandem/note_queue.h"

#include <stdatomic.h>

enum { OBSERVED_RCODES = 24 };

struct observer {
  struct note_queue *notes; /* to the control thread, and how to wake it */
  struct loop *control_loop;
  int64_t note_second; /* refusals are noted at most so many times a second: they can be had for the asking */
  unsigned notes_left;
  /* written by its own thread alone */
  _Atomic uint64_t requests, dropped, truncated, lost_notes, rcodes[OBSERVED_RCODES];
};

void observer_init(struct observer *o, struct note_queue *notes, struct loop *control_loop);
/* Counts the outcome, and notes it if the control thread should know. */
void observe(struct observer *o, const struct answer_job *job, struct instant now);
/* Hands an allowed NOTIFY on; false: the control thread is too far behind, and the sender should try again. */
bool observe_notify(struct observer *o, const struct answer_job *job);

struct observed {
  uint64_t requests, dropped, truncated, lost_notes, rcodes[OBSERVED_RCODES];
};
void observer_add(const struct observer *o, struct observed *sum);

#endif
