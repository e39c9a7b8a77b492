/* Durable updates a second: `bench_update ADDRESS ZONE IN_FLIGHT SECONDS [KEY SECRET-IN-HEX]`. Each update adds one address under a
 * new name; the next one is sent when one is answered, over UDP, so that IN_FLIGHT are always on their way. Works with any server.
 * Answers that are there together are taken with one system call, and what follows them is sent with one. */
#include "base/addr.h"
#include "base/clock.h"
#include "tsig/tsig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_FLIGHT_MAX = 1024, TOGETHER = 32, REQUEST_BYTES = 1024, RESPONSE_BYTES = 4096, LOST_AFTER_S = 5 };

struct load {
  int fd;
  struct name zone;
  const struct tsig_key *key;
  uint64_t next; /* number of the next name */
  uint64_t answered, refused;
  uint64_t sent_ns[IN_FLIGHT_MAX]; /* by id */
  uint64_t waited_ns, longest_ns;
  struct mmsghdr in[TOGETHER], out[TOGETHER];
  struct iovec in_iov[TOGETHER], out_iov[TOGETHER];
  uint8_t answers[TOGETHER][RESPONSE_BYTES], requests[TOGETHER][REQUEST_BYTES];
  unsigned made; /* of `out` */
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void send_made(struct load *l) {
  for (unsigned sent = 0; sent < l->made;) {
    int n = sendmmsg(l->fd, l->out + sent, l->made - sent, 0);
    if (n < 0) fail("send");
    sent += (unsigned)n;
  }
  l->made = 0;
}

static void make_update(struct load *l, uint16_t id) {
  uint8_t *bytes = l->requests[l->made];
  char text[40];
  struct name owner;
  struct tsig_stream tsig;
  int n = snprintf(text, sizeof text, "u%llx", (unsigned long long)l->next++);
  if (name_from_text(text, (size_t)n, &l->zone, &owner, NULL, NULL)) fail("name");
  struct wr w = wr_make(bytes, REQUEST_BYTES);
  uint16_t header[] = {id, OPCODE_UPDATE << FLAG_OPCODE_SHIFT, 1, 0, 1, 0};
  for (size_t i = 0; i < 6; i++)
    wr_u16(&w, header[i]);
  wr_bytes(&w, l->zone.octets, l->zone.size);
  wr_u16(&w, RR_SOA);
  wr_u16(&w, CLASS_IN);
  wr_bytes(&w, owner.octets, owner.size);
  wr_u16(&w, RR_A);
  wr_u16(&w, CLASS_IN);
  wr_u32(&w, 60);
  wr_u16(&w, 4);
  wr_u32(&w, (uint32_t)l->next);
  size_t size = wr_used(&w);
  struct instant now = clock_read();
  if (l->key && tsig_sign_request(&tsig, l->key, bytes, &size, REQUEST_BYTES, now.wall_s)) fail("signing");
  l->sent_ns[id] = now.mono_ns;
  l->out_iov[l->made++].iov_len = size;
  if (l->made == TOGETHER) send_made(l);
}

static void take_answer(struct load *l, const uint8_t *bytes, unsigned size, uint64_t now_ns, unsigned in_flight) {
  if (size < MESSAGE_HEADER_BYTES) fail("answer");
  uint16_t id = get_u16(bytes);
  if (id >= in_flight) return;
  uint64_t waited = now_ns - l->sent_ns[id];
  l->waited_ns += waited;
  if (waited > l->longest_ns) l->longest_ns = waited;
  l->answered++;
  l->refused += (bytes[3] & FLAG_RCODE_MASK) != 0;
  make_update(l, id);
}

static void take_answers(struct load *l, unsigned in_flight) {
  int n = recvmmsg(l->fd, l->in, TOGETHER, MSG_WAITFORONE, NULL);
  if (n < 0) fail("no answer");
  uint64_t now_ns = clock_read().mono_ns;
  for (int i = 0; i < n; i++)
    take_answer(l, l->answers[i], l->in[i].msg_len, now_ns, in_flight);
  send_made(l);
}

static void prepare(struct load *l) {
  for (size_t i = 0; i < TOGETHER; i++) {
    l->in_iov[i] = (struct iovec){l->answers[i], RESPONSE_BYTES};
    l->out_iov[i] = (struct iovec){l->requests[i], 0};
    l->in[i].msg_hdr = (struct msghdr){.msg_iov = &l->in_iov[i], .msg_iovlen = 1};
    l->out[i].msg_hdr = (struct msghdr){.msg_iov = &l->out_iov[i], .msg_iovlen = 1};
  }
}

static double own_cpu_us(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static const struct tsig_key *read_key(const char *name_text, const char *hex) {
  struct tsig_keyring *ring;
  struct name name;
  uint8_t secret[64];
  size_t n = 0;
  for (unsigned octet; n < sizeof secret && sscanf(hex + 2 * n, "%2x", &octet) == 1; n++)
    secret[n] = (uint8_t)octet;
  if (name_from_text(name_text, strlen(name_text), &name_root, &name, NULL, NULL) || tsig_keyring_new(&ring) ||
      tsig_keyring_add(ring, &name, HMAC_SHA256, secret, n))
    fail("key");
  return tsig_keyring_find(ring, &name);
}

int main(int argc, char **argv) {
  static struct load l;
  struct addr at;
  struct sockaddr_storage sa;
  if (argc != 5 && argc != 7) {
    fprintf(stderr, "bench_update ADDRESS ZONE IN_FLIGHT SECONDS [KEY SECRET-IN-HEX]\n");
    return 2;
  }
  unsigned in_flight = (unsigned)strtoul(argv[3], NULL, 10);
  double seconds = strtod(argv[4], NULL);
  if (addr_parse(argv[1], 53, &at) || name_from_text(argv[2], strlen(argv[2]), &name_root, &l.zone, NULL, NULL) || in_flight < 1 ||
      in_flight > IN_FLIGHT_MAX)
    return 2;
  if (argc == 7) l.key = read_key(argv[5], argv[6]);
  struct timeval patience = {LOST_AFTER_S, 0};
  socklen_t size = addr_to_sockaddr(&at, &sa);
  l.fd = socket(sa.ss_family, SOCK_DGRAM, 0);
  if (l.fd < 0 || connect(l.fd, (struct sockaddr *)&sa, size) != 0) fail("socket");
  setsockopt(l.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  uint64_t begun = clock_read().mono_ns, end = begun + (uint64_t)(seconds * 1e9);
  l.next = begun; /* names of their own in every run */
  prepare(&l);
  for (unsigned i = 0; i < in_flight; i++)
    make_update(&l, (uint16_t)i);
  send_made(&l);
  while (clock_read().mono_ns < end)
    take_answers(&l, in_flight);
  double took = (double)(clock_read().mono_ns - begun) / 1e9, each = (double)(l.answered ? l.answered : 1);
  printf("{\"in-flight\": %u, \"answered\": %llu, \"updates-per-s\": %.0f, \"mean-ms\": %.3f, \"longest-ms\": %.3f, \"refused\": "
         "%llu, "
         "\"own-cpu-us\": %.1f}\n",
         in_flight, (unsigned long long)l.answered, (double)l.answered / took, (double)l.waited_ns / 1e6 / each,
         (double)l.longest_ns / 1e6, (unsigned long long)l.refused, own_cpu_us() / each);
  close(l.fd);
  return l.refused != 0;
}
