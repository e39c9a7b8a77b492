/* Lookups of the demo. */
#include "base/clock.h"
#include "tandem/demo_priv.h"
#include "wire/message.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOKUP_TRIES = 4, LOOKUP_TRY_MS = 2500, LOOKUP_PAUSE_MS = 2 };

double demo_now_ms(void) {
  return (double)clock_read().mono_ns / (double)NS_PER_MS;
}

static int connected_socket(const struct addr *at) {
  struct sockaddr_storage sa;
  socklen_t n = addr_to_sockaddr(at, &sa);
  int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, n) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

/* Reads until the answer to our id or the deadline. */
static bool await_answer(int fd, uint16_t id, double deadline_ms, bool *found) {
  uint8_t bytes[4096];
  for (;;) {
    double left = deadline_ms - demo_now_ms();
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (left <= 0 || poll(&p, 1, (int)left + 1) <= 0) return false;
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n < 0) return false; /* the port is closed: nobody is there */
    struct message m;
    struct rd body;
    if (message_open(bytes, (size_t)n, &m, &body) || m.id != id || !(m.flags & FLAG_QR)) continue;
    unsigned rcode = message_rcode(&m);
    *found = m.counts[SECTION_ANSWER] > 0;
    return rcode == RCODE_NOERROR || rcode == RCODE_NXDOMAIN;
  }
}

bool demo_ask(const struct addr *at, const struct name *name, uint16_t type, unsigned timeout_ms, bool *found) {
  static atomic_uint next_id;
  uint16_t id = (uint16_t)atomic_fetch_add(&next_id, 1);
  uint8_t bytes[512];
  struct message_writer w;
  message_start(&w, bytes, sizeof bytes, id, FLAG_RD);
  *found = false;
  if (!message_put_question(&w, name, type, CLASS_IN)) return false;
  size_t n = message_finish(&w, RCODE_NOERROR);
  int fd = connected_socket(at);
  if (fd < 0) return false;
  bool ok = send(fd, bytes, n, 0) == (ssize_t)n && await_answer(fd, id, demo_now_ms() + timeout_ms, found);
  close(fd);
  return ok;
}

bool demo_look_up(const struct addr *at, const struct name *name, uint16_t type, bool *found) {
  for (unsigned i = 0; i < LOOKUP_TRIES; i++) {
    double began = demo_now_ms();
    if (demo_ask(at, name, type, LOOKUP_TRY_MS, found)) return true;
    if (demo_now_ms() - began < LOOKUP_TRY_MS) return false; /* that was an answer */
  }
  return false;
}

double demo_ask_until_found(const struct addr *at, const struct name *name, uint16_t type, unsigned timeout_ms) {
  double began = demo_now_ms();
  bool found = false;
  while (demo_now_ms() - began < timeout_ms) {
    if (demo_ask(at, name, type, 500, &found) && found) return demo_now_ms() - began;
    poll(NULL, 0, 1);
  }
  return -1;
}

/* Names in turn: the apex, www, and one that is new each time, so that no cache can help. */
static void choose_name(const struct demo *d, unsigned n, struct name *name, uint16_t *type) {
  char label[32];
  *name = d->origin;
  *type = n % 3 == 0 ? RR_SOA : RR_A;
  if (n % 3 == 0) return;
  if (n % 3 == 1) snprintf(label, sizeof label, "www");
  else snprintf(label, sizeof label, "customer%u.apps", n);
  const char *why;
  if (name_from_text(label, strlen(label), &d->origin, name, NULL, &why)) *name = d->origin;
}

static void *stream_main(void *arg) {
  struct demo_stream *s = arg;
  for (unsigned n = 0; !atomic_load(&s->stop); n++) {
    struct name name;
    uint16_t type;
    bool found;
    choose_name(s->demo, n, &name, &type);
    double began = demo_now_ms();
    bool ok = demo_look_up(&s->demo->server[DEMO_RESOLVER].at, &name, type, &found);
    double took = demo_now_ms() - began;
    if (took > s->slowest_ms) s->slowest_ms = took;
    if (!ok) atomic_fetch_add(&s->failed, 1);
    atomic_fetch_add(&s->asked, 1);
    poll(NULL, 0, LOOKUP_PAUSE_MS);
  }
  return NULL;
}

bool demo_stream_start(struct demo_stream *s, const struct demo *d) {
  *s = (struct demo_stream){.demo = d};
  return pthread_create(&s->thread, NULL, stream_main, s) == 0;
}

void demo_stream_stop(struct demo_stream *s) {
  atomic_store(&s->stop, true);
  pthread_join(s->thread, NULL);
}

void demo_stream_wait(const struct demo_stream *s, unsigned count, unsigned most_ms) {
  unsigned until = atomic_load(&s->asked) + count;
  double deadline = demo_now_ms() + most_ms;
  while ((int)(until - atomic_load(&s->asked)) > 0 && demo_now_ms() < deadline)
    poll(NULL, 0, 5);
}
