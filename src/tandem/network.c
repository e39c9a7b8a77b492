#include "tandem/network.h"

#include "crypto/digest.h"
#include "io/stream_client.h"
#include "io/udp_client.h"

#include <stdlib.h>
#include <string.h>

enum { RANDOM_BYTES = 512 };

struct network {
  struct network_listener listener;
  struct udp_client *udp;
  struct stream_client *streams;
  uint8_t random[RANDOM_BYTES]; /* drawn ahead */
  size_t random_left;
};

static void udp_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  const struct network_listener *l = &((struct network *)arg)->listener;
  l->udp_input(l->arg, token, bytes, n, now);
}

static void udp_error(void *arg, uint64_t token, struct instant now) {
  const struct network_listener *l = &((struct network *)arg)->listener;
  l->udp_error(l->arg, token, now);
}

static void stream_open(void *arg, uint64_t token, struct instant now) {
  const struct network_listener *l = &((struct network *)arg)->listener;
  l->stream_open(l->arg, token, now);
}

static void stream_input(void *arg, uint64_t token, const uint8_t *message, size_t n, struct instant now) {
  const struct network_listener *l = &((struct network *)arg)->listener;
  l->stream_input(l->arg, token, message, n, now);
}

static void stream_closed(void *arg, uint64_t token, enum err why, struct instant now) {
  const struct network_listener *l = &((struct network *)arg)->listener;
  l->stream_closed(l->arg, token, why, now);
}

enum err network_new(struct loop *l, struct network **out) {
  struct network *n = calloc(1, sizeof *n);
  if (!n) return ERR_MEMORY;
  enum err e = udp_client_new(l, &(struct udp_client_events){n, udp_input, udp_error}, &n->udp);
  if (!e) e = stream_client_new(l, &(struct stream_client_events){n, stream_open, stream_input, stream_closed}, &n->streams);
  if (e) {
    network_free(n);
    return e;
  }
  *out = n;
  return ERR_OK;
}

void network_free(struct network *n) {
  if (!n) return;
  stream_client_free(n->streams);
  udp_client_free(n->udp);
  free(n);
}

void network_listen(struct network *n, const struct network_listener *listener) {
  n->listener = *listener;
}

static void control_told_udp_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  control_udp_input(arg, token, bytes, n, now);
}

static void control_told_udp_error(void *arg, uint64_t token, struct instant now) {
  control_udp_error(arg, token, now);
}

static void control_told_stream_open(void *arg, uint64_t token, struct instant now) {
  control_stream_open(arg, token, now);
}

static void control_told_stream_input(void *arg, uint64_t token, const uint8_t *message, size_t n, struct instant now) {
  control_stream_input(arg, token, message, n, now);
}

static void control_told_stream_closed(void *arg, uint64_t token, enum err why, struct instant now) {
  control_stream_closed(arg, token, why, now);
}

void network_tell(struct network *n, struct control *control) {
  network_listen(n, &(struct network_listener){control, control_told_udp_input, control_told_udp_error, control_told_stream_open,
                                               control_told_stream_input, control_told_stream_closed});
}

static enum err net_udp_send(void *arg, uint64_t token, const struct addr *source, const struct addr *to, const uint8_t *bytes,
                             size_t n) {
  return udp_client_send(((struct network *)arg)->udp, token, source, to, bytes, n);
}

static void net_udp_close(void *arg, uint64_t token) {
  udp_client_close(((struct network *)arg)->udp, token);
}

static enum err net_stream_connect(void *arg, uint64_t token, const struct addr *source, const struct addr *to) {
  return stream_client_connect(((struct network *)arg)->streams, token, source, to);
}

static enum err net_stream_send(void *arg, uint64_t token, const uint8_t *bytes, size_t n) {
  return stream_client_send(((struct network *)arg)->streams, token, bytes, n);
}

static void net_stream_close(void *arg, uint64_t token) {
  stream_client_close(((struct network *)arg)->streams, token);
}

static uint64_t net_random(void *arg) {
  struct network *n = arg;
  uint64_t v;
  if (n->random_left < sizeof v) {
    if (random_bytes(n->random, sizeof n->random) != ERR_OK) abort(); /* ids that can be foreseen are worse than no server */
    n->random_left = sizeof n->random;
  }
  n->random_left -= sizeof v;
  memcpy(&v, n->random + n->random_left, sizeof v);
  return v;
}

struct xfr_net network_interface(struct network *n) {
  return (struct xfr_net){
      .arg = n,
      .udp_send = net_udp_send,
      .udp_close = net_udp_close,
      .stream_connect = net_stream_connect,
      .stream_send = net_stream_send,
      .stream_close = net_stream_close,
      .random = net_random,
  };
}
