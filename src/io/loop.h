/* The event loop of one thread: file descriptors, a deadline its owner gives, wake-ups from other threads, signals.
 *
 *   while (!stopped) {
 *     loop_turn(loop, owner_deadline(), &now);   waits, then calls what is ready
 *     if (now.mono_ns >= owner_deadline()) owner_run(now);
 *   }
 *
 * A watch is embedded in whatever it serves and owned there. Any handler may remove any watch: events that were already
 * fetched for it are forgotten. Thread: the owner's, but for loop_wake. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

#define LOOP_NEVER UINT64_MAX

struct loop;

struct loop_watch {
  int fd;
  unsigned events; /* LOOP_READ | LOOP_WRITE as registered; 0: only errors */
  /* An error or a hang-up comes as both: the next read or write says what it is. */
  void (*ready)(void *arg, unsigned events, struct instant now);
  void *arg;
};

MUST_CHECK enum err loop_new(struct loop **out);
void loop_free(struct loop *l); /* NULL is fine; watches stay their owners' */

MUST_CHECK enum err loop_add(struct loop *l, struct loop_watch *w);
void loop_change(struct loop *l, struct loop_watch *w, unsigned events);
void loop_remove(struct loop *l, struct loop_watch *w); /* before the descriptor is closed */

/* Sends what is queued for a stream, of which `*sent` octets have left, as far as the system takes it, and watches for reading, and
 * for writing while something is left. When all has left, the queue is empty. False: the connection broke, `errno` says why. */
bool loop_send(struct loop *l, struct loop_watch *w, struct buf *queue, size_t *sent);

/* Any thread: makes the loop call `f` soon; many wakes before that are one call. */
void loop_wake(struct loop *l);
void loop_on_wake(struct loop *l, void (*f)(void *arg, struct instant now), void *arg);

/* SIGHUP, SIGTERM and SIGINT come as calls of `f`. Blocks them in the calling thread; threads started later inherit that. */
MUST_CHECK enum err loop_on_signal(struct loop *l, void (*f)(void *arg, int signal_number, struct instant now), void *arg);

/* Waits for an event or the deadline (monotonic ns, LOOP_NEVER: none), calls the handlers, gives the time back. */
void loop_turn(struct loop *l, uint64_t deadline_mono_ns, struct instant *now);
/* Whether the last turn left events for the next. */
bool loop_crowded(const struct loop *l);

#endif
