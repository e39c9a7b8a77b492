/* The stream thread: DNS over TCP (RFC 7766) for many connections in one loop.
 *
 *   accept --> two length octets + message --> message() --> stream_room/stream_reply --> sent at once, or kept while the
 *                                                            client is slow
 *                                          \-> stream_produce: a transfer, pulled message by message as the client takes it
 *
 * Slow clients cost them, not others. A connection that waits has no buffers. A message has to arrive whole within
 * message_ms of its first octet, whatever is kept for a client that does not read must be taken within write_ms, and until
 * then nothing more is read from it; what is kept for all of them together is bounded by LIMIT_STREAM_BUFFER_BYTES, and
 * the connection that has been slow for longest gives way, as does the longest idle one when there are too many.
 *
 * Thread: the handler and the producers run on the stream thread; the rest is called by the owner. */
#ifndef IO_STREAM_SERVER_H
#define IO_STREAM_SERVER_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_conn;
struct stream_server;

struct stream_listener {
  int fd;       /* the owner's; non-blocking, listening */
  uint32_t tag; /* handed on with every connection */
};

struct stream_handler {
  void *arg;
  void (*thread_begin)(void *arg); /* on the stream thread; may be NULL */
  void (*thread_end)(void *arg);
  /* Answers with stream_reply, hands over a producer, or says nothing. `bytes` is valid during the call. */
  void (*message)(void *arg, struct stream_conn *c, const uint8_t *bytes, size_t n, struct instant now);
};

struct stream_options {
  uint32_t idle_ms;     /* without a question: 10000 */
  uint32_t message_ms;  /* from a message's first octet to its last: 10000 */
  uint32_t write_ms;    /* to take what was sent: 30000 */
  uint32_t connections; /* at once: LIMIT_STREAMS */
  size_t buffer_bytes;  /* for all slow clients: LIMIT_STREAM_BUFFER_BYTES */
};

extern const struct stream_options stream_defaults;

struct stream_counters {
  uint64_t connections; /* open now */
  uint64_t accepted;
  uint64_t messages;     /* received */
  uint64_t timed_out;    /* closed as idle or slow */
  uint64_t evicted;      /* closed to make room for others */
  uint64_t buffer_bytes; /* kept now */
};

MUST_CHECK enum err stream_server_start(const struct stream_options *o, const struct stream_handler *handler, const char *name,
                                        struct stream_server **out);
/* From now on accepts on these. On return the thread has let go of the ones before, whose waiting connections it took over; open
 * connections live on. */
void stream_server_listen(struct stream_server *s, const struct stream_listener *listeners, size_t count);
/* Accepts no more, answers what has arrived, gives slow clients `grace_ms`, ends the thread and frees. NULL is fine. */
void stream_server_stop(struct stream_server *s, uint32_t grace_ms);
void stream_server_counters(const struct stream_server *s, struct stream_counters *out);

/* ---- for the handler ---- */

const struct addr *stream_peer(const struct stream_conn *c);
uint32_t stream_tag(const struct stream_conn *c);
/* Where the response to the message in hand is to be written: LIMIT_MESSAGE_BYTES octets. */
uint8_t *stream_room(struct stream_conn *c);
/* Sends `n` octets from stream_room. Once a message. */
void stream_reply(struct stream_conn *c, size_t n);
/* The message in hand is answered later, by stream_answer with this ticket. 0: too many of the connection's messages wait already,
 * or there is no memory. */
uint64_t stream_defer(struct stream_conn *c);
/* From any thread, once a ticket. n == 0: nothing will be said. A connection that is gone by now is ignored; until the last of
 * its tickets is answered it does not count as idle. */
void stream_answer(struct stream_server *s, uint64_t ticket, const uint8_t *bytes, size_t n);
/* Closes after what is to be sent was sent. */
void stream_hang_up(struct stream_conn *c);

struct stream_producer {
  void *arg;
  /* The next message into `buffer` (LIMIT_MESSAGE_BYTES octets). An error closes the connection. */
  enum err (*next)(void *arg, uint8_t *buffer, size_t capacity, struct instant now, size_t *n, bool *done);
  /* Called exactly once. `whole`: the last message was handed to the system. */
  void (*end)(void *arg, bool whole, struct instant now);
};
/* Attaches a producer; messages that come meanwhile are answered between its messages. Several take turns. ERR_MEMORY:
 * it was not taken over. */
MUST_CHECK enum err stream_produce(struct stream_conn *c, const struct stream_producer *p);

#endif
