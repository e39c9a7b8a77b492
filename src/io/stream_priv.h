/* What the files of the stream server share. A connection stands in exactly one list, by what it waits for; each list is in
 * order of `since_ns`, so its head is the first to time out:
 *
 *   IDLE     waits for a question             idle_ms
 *   READING  has a part of a message          message_ms
 *   WRITING  has output, or a transfer runs   write_ms
 */
#ifndef IO_STREAM_PRIV_H
#define IO_STREAM_PRIV_H

#include "io/loop.h"
#include "io/stream_server.h"
#include "io/token_map.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
  STREAM_FRAME_BYTES = 2 + LIMIT_MESSAGE_BYTES, /* RFC 1035 §4.2.2 */
  STREAM_READ_BYTES = 16 << 10,                 /* taken from a socket at once: bounds what a blocked connection keeps */
  STREAM_TURN_BYTES = 32 << 10,                 /* with as many in responses a connection's turn is over */
  STREAM_BATCH_BYTES = STREAM_TURN_BYTES + STREAM_FRAME_BYTES, /* responses gathered for one send */
  STREAM_PRODUCERS = 8,                                        /* transfers of one connection; further questions wait */
};

enum stream_list { STREAM_IDLE, STREAM_READING, STREAM_WRITING, STREAM_LISTS };

struct producer_node {
  struct stream_producer producer;
  struct producer_node *next;
  bool finished; /* its last message is on the way */
};

struct stream_conn {
  struct loop_watch watch;
  struct stream_server *server;
  struct stream_conn *prev, *next;
  uint64_t since_ns;
  uint64_t ticket; /* of all its deferred messages; 0: it never had one */
  struct addr peer;
  uint32_t tag;
  uint8_t list;
  uint8_t producer_count;
  uint8_t deferred; /* messages that are answered later */
  bool more;        /* its turn ended with whole messages left in `in` */
  bool touched;     /* something was completed since it last changed its place */
  bool no_input;    /* nothing more is read: end of stream, or the server stops */
  bool hung_up;     /* what was read is not looked at either */
  bool failed;      /* to be closed, whatever is still to be sent */
  bool replied;     /* the message in hand was answered */
  bool asked;       /* a whole message came */
  uint8_t *in;      /* octets not yet handled; NULL: none */
  uint32_t in_size, in_capacity;
  uint8_t *out; /* octets the system would not take yet; NULL: none */
  uint32_t out_at, out_size;
  struct producer_node *producers; /* they take turns, message by message */
};

struct conn_list {
  struct stream_conn *head, *tail;
};

struct stream_command { /* from the owner to the thread, under `lock` */
  const struct stream_listener *listeners;
  size_t listener_count;
  bool listen, stop;
  uint32_t grace_ms;
};

struct late_answer { /* on its way to the stream thread */
  struct late_answer *next;
  uint64_t ticket;
  size_t size;
  uint8_t bytes[];
};

struct listener_watch {
  struct loop_watch watch;
  struct stream_server *server;
  uint32_t tag;
};

struct stream_server {
  struct stream_options options;
  struct stream_handler handler;
  struct loop *loop;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t applied;
  struct stream_command command;
  struct late_answer *late_first, *late_last; /* under `lock` */

  /* the thread's own */
  struct conn_list lists[STREAM_LISTS];
  size_t connection_count;
  struct token_map deferring; /* connections with deferred messages, by their ticket */
  uint64_t last_ticket;
  struct listener_watch *listeners;
  size_t listener_count;
  uint64_t accept_again_ns; /* accepting rests until then; 0: it does not */
  bool stopping;
  uint64_t stop_at_ns;
  size_t kept_bytes, kept_peak_bytes; /* now, and the most since memory was given back */
  size_t batch_size;
  uint8_t scratch[STREAM_READ_BYTES];
  uint8_t batch[STREAM_BATCH_BYTES];

  _Atomic uint64_t connections, accepted, messages, timed_out, evicted, buffer_bytes; /* written by the thread alone */
};

static inline void stream_count(_Atomic uint64_t *counter) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* stream_conn.c */
void conn_ready(void *arg, unsigned events, struct instant now);
/* For a server that stops: reads once and answers, then lets it end. A client that has asked nothing yet, since it connected just
 * now, gets a moment to do so. */
void conn_finish(struct stream_conn *c, struct instant now);
/* The answer to a message that was deferred; the connection may be gone afterwards. */
void conn_late(struct stream_conn *c, const uint8_t *bytes, size_t n, struct instant now);
/* Ends a connection at once. */
void conn_close(struct stream_conn *c, struct instant now);

/* stream_late.c */
void late_deliver(struct stream_server *s, struct instant now);
void late_forget(struct stream_conn *c); /* it ends */
void late_done(struct stream_server *s);

/* stream_lists.c */
struct stream_conn *conn_open(struct stream_server *s, int fd, const struct addr *peer, uint32_t tag, struct instant now);
void conn_place(struct stream_conn *c, enum stream_list list, uint64_t now_ns);
void conn_forget(struct stream_conn *c);
/* Another `more` octets are to be kept for `c`; makes others give way. */
void conn_keep(struct stream_conn *c, size_t more, struct instant now);
void conn_drop(struct stream_server *s, size_t less);
void conns_expire(struct stream_server *s, struct instant now);
uint64_t conns_deadline(const struct stream_server *s);
/* Closes the connection that can best be spared; false: there is none. */
bool conns_evict(struct stream_server *s, struct instant now);

#endif
