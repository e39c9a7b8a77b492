/* The control socket: lines of text (JSON objects, but that is not known here) over a Unix socket of mode 0600.
 *
 * A connection carries one command: a line. Any number of lines come back, and the client hangs up when it has seen the
 * last. Thread: server and its callbacks: that of the loop; the client blocks its caller. */
#ifndef IO_UNIX_SOCKET_H
#define IO_UNIX_SOCKET_H

#include "base/pieces.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>

struct unix_server_events {
  void *arg;
  /* `uid`: whose process gave it, as the kernel says. The line is taken over. */
  void (*command)(void *arg, uint64_t token, unsigned uid, struct pieces *line, struct instant now);
  void (*gone)(void *arg, uint64_t token); /* the client of a command hung up */
};

enum { UNIX_COMMAND_BYTES = 256 << 20 }; /* one command: it may bring a whole zone */

struct unix_server;
/* Takes the place of a socket that a dead server left; that no living one has it is known by the lock on its directory. */
MUST_CHECK enum err unix_server_new(struct loop *l, const char *path, const struct unix_server_events *events,
                                    struct unix_server **out);
void unix_server_chown(struct unix_server *u, unsigned uid, unsigned gid);
/* The socket's name is for another process to take, and stays there at the end. Clients that are here stay. */
void unix_server_yield(struct unix_server *u);
MUST_CHECK enum err unix_server_reclaim(struct unix_server *u); /* takes the name back */
void unix_server_free(struct unix_server *u);                   /* removes the socket; NULL is fine */
/* One line, without the newline. A token whose client is gone is ignored. */
void unix_server_reply(struct unix_server *u, uint64_t token, const char *line, size_t n);
size_t unix_server_backlog(const struct unix_server *u, uint64_t token); /* octets of replies that wait for the client */
/* Waits at most `ms` until clients have what was queued for them: before the end. */
void unix_server_flush(struct unix_server *u, unsigned ms);

/* Sends a command and gives every line of the answer to `line`, until that returns false; waits `timeout_ms` for each.
 * ERR_NOT_FOUND: nobody listens there; ERR_REFUSED: it is not ours to use; ERR_TIMEOUT; ERR_CLOSED: the server ended before the
 * last line. */
MUST_CHECK enum err unix_client_call(const char *path, const char *command, size_t n, unsigned timeout_ms,
                                     bool (*line)(void *arg, const char *text, size_t n), void *arg);

#endif
