/* The swap of the binary without a lost answer: the running server closes its store, goes on answering from what it has in memory,
 * and starts the binary anew with all its listening sockets. When the new process says that it serves, the old one answers what
 * has arrived and ends; if it fails, the old one goes on. Both read the same sockets meanwhile, so no question waits for either.
 * Thread: the control thread. */
#ifndef TANDEM_SWAP_H
#define TANDEM_SWAP_H

#include "base/buf.h"
#include "io/loop.h"

#include <sys/types.h>

struct swap_events {
  void *arg;
  void (*serves)(void *arg, pid_t pid);
  void (*failed)(void *arg, const char *why); /* the process is gone */
};

struct swap;
/* Remembers which file the program was started from: what stands there later is what a swap starts. At the start. */
void swap_remember_binary(void);
/* Starts `serve -c config_path` with the sockets; `*why` on failure. The events come from the loop, one of them once. */
MUST_CHECK enum err swap_start(struct loop *l, const char *config_path, const int *sockets, size_t count,
                               const struct swap_events *events, struct swap **out, struct buf *why);
void swap_free(struct swap *s); /* a process that does not serve yet is ended and waited for; NULL is fine */

#endif
