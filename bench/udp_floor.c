/* The floor under every answer: a UDP echo by the server's own worker, which sends each request back with the QR bit set. What an
 * answer costs above it is ours.
 *
 *   bench_udp_floor 127.0.0.1@5300 [WORKERS]     until SIGTERM or SIGINT; then prints packets and CPU time a packet */
#include "io/loop.h"
#include "io/sockets.h"
#include "io/udp_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { WORKERS_MAX = 64 };

static void echo(void *arg, struct udp_packet *packets, size_t count) {
  for (size_t i = 0; i < count; i++) {
    struct udp_packet *p = &packets[i];
    if (p->size < 12 || p->size > LIMIT_UDP_RESPONSE_BYTES) continue;
    memcpy(p->out, p->bytes, p->size);
    p->out[2] |= 0x80;
    p->out_size = p->size;
  }
}

static void stop(void *arg, int signal_number, struct instant now) {
  *(bool *)arg = true;
}

static double seconds(struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv) {
  struct addr at;
  struct socket_error error;
  struct loop *loop;
  struct instant now;
  bool stopped = false;
  size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
  if (argc < 2 || addr_parse(argv[1], 53, &at) || count < 1 || count > WORKERS_MAX) {
    fprintf(stderr, "usage: %s ADDRESS@PORT [WORKERS]\n", argv[0]);
    return 2;
  }
  if (loop_new(&loop) || loop_on_signal(loop, stop, &stopped)) return 1;
  struct udp_worker *workers[WORKERS_MAX];
  struct udp_socket sockets[WORKERS_MAX];
  struct udp_handler handler = {NULL, NULL, NULL, echo};
  for (size_t i = 0; i < count; i++) {
    sockets[i] = (struct udp_socket){-1, addr_is_any(&at), 0};
    if (socket_listen(SOCKET_UDP, &at, i > 0, &sockets[i].fd, &error)) {
      fprintf(stderr, "%s; %s\n", error.what, error.hint);
      return 1;
    }
    if (udp_worker_start(&sockets[i], 1, &handler, "echo", -1, &workers[i])) return 1;
  }
  puts("ready");
  fflush(stdout);
  while (!stopped)
    loop_turn(loop, LOOP_NEVER, &now);
  struct udp_counters sum = {0};
  struct rusage used;
  for (size_t i = 0; i < count; i++)
    udp_worker_stop(workers[i], &sum);
  getrusage(RUSAGE_SELF, &used);
  double packets = sum.sent ? (double)sum.sent : 1, user = seconds(used.ru_utime), sys = seconds(used.ru_stime);
  printf("%.0f packets, %.1f a batch, %.2f us of CPU each, %.2f of them user\n", packets,
         packets / (double)(sum.batches ? sum.batches : 1), (user + sys) * 1e6 / packets, user * 1e6 / packets);
  loop_free(loop);
  return 0;
}
