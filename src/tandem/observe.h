/* What stands around the answer: counters and notes, made from result records alone. One observer a thread that answers, so each
 * is of one transport; inside it, one tally a listen address.
 *
 * Thread: observe_* by its own thread; observer_add by any. */
#ifndef TANDEM_OBSERVE_H
#define TANDEM_OBSERVE_H

#include "answer/answer.h"
#include "base/limits.h"
#include "io/loop.h"
#include "tandem/note_queue.h"

#include <stdatomic.h>

enum { OBSERVED_RCODES = 24 };
enum observed_tsig {
  OBSERVED_BADSIG,
  OBSERVED_BADKEY,
  OBSERVED_BADTIME,
  OBSERVED_BADTRUNC,
  OBSERVED_TSIG_OTHER,
  OBSERVED_TSIG_ERRORS
};

struct observer_tally {
  _Atomic uint64_t requests, dropped, truncated, rcodes[OBSERVED_RCODES];
};

struct observer {
  struct note_queue *notes; /* to the control thread, and how to wake it */
  struct loop *control_loop;
  int64_t note_second; /* refusals are noted at most so many times a second: they can be had for the asking */
  unsigned notes_left;
  unsigned damage; /* zone_damage_found() as the control thread was told */
  /* written by its own thread alone */
  _Atomic uint64_t lost_notes, transfers_refused, notifies_refused, updates_refused, tsig_failures[OBSERVED_TSIG_ERRORS];
  struct observer_tally listeners[LIMIT_LISTENERS_COUNTED]; /* by the number that a socket's tag has (worker.h) */
};

void observer_init(struct observer *o, struct note_queue *notes, struct loop *control_loop);
/* Counts the outcome, and notes it if the control thread should know. */
void observe(struct observer *o, const struct answer_job *job, struct instant now);
/* Hands an allowed NOTIFY on; false: the control thread is too far behind, and the sender should try again. */
bool observe_notify(struct observer *o, const struct answer_job *job);

struct observed_tally {
  uint64_t requests, dropped, truncated, rcodes[OBSERVED_RCODES];
};
struct observed {
  struct observed_tally all; /* of all listen addresses */
  uint64_t lost_notes, transfers_refused, notifies_refused, updates_refused, tsig_failures[OBSERVED_TSIG_ERRORS];
};
/* Adds what was counted up to now. */
void observer_add(const struct observer *o, struct observed *sum);
void observer_add_listener(const struct observer *o, size_t listener, struct observed_tally *sum);
/* "BADSIG" for a log line or a label. */
const char *observed_tsig_text(enum observed_tsig error);
enum observed_tsig observed_tsig_error(unsigned code);

#endif
