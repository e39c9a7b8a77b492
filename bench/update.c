/* Durable updates a second: `bench_update ADDRESS ZONE IN_FLIGHT SECONDS [KEY SECRET-IN-HEX]`. Each update adds one address under a
 * new name; the next one is sent when one is answered, over UDP, so that IN_FLIGHT are always on their way. Works with any server.
 */
#include "base/addr.h"
#include "base/clock.h"
#include "tsig/tsig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_FLIGHT_MAX = 1024, LOST_AFTER_S = 5 };

struct load {
  int fd;
  struct name zone;
  const struct tsig_key *key;
  uint64_t next; /* number of the next name */
  uint64_t answered, refused;
  uint64_t sent_ns[IN_FLIGHT_MAX]; /* by id */
  uint64_t waited_ns, longest_ns;
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void send_update(struct load *l, uint16_t id) {
  uint8_t bytes[1024];
  char text[40];
  struct name owner;
  struct tsig_stream tsig;
  int n = snprintf(text, sizeof text, "u%llx", (unsigned long long)l->next++);
  if (name_from_text(text, (size_t)n, &l->zone, &owner, NULL, NULL)) fail("name");
  struct wr w = wr_make(bytes, sizeof bytes);
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
  if (l->key) {
    if (tsig_sign_request(&tsig, l->key, bytes, &size, sizeof bytes, now.wall_s)) fail("signing");
    tsig_stream_done(&tsig);
  }
  l->sent_ns[id] = now.mono_ns;
  if (send(l->fd, bytes, size, 0) < 0) fail("send");
}

static void take_answer(struct load *l, unsigned in_flight) {
  uint8_t bytes[4096];
  ssize_t n = recv(l->fd, bytes, sizeof bytes, 0);
  if (n < MESSAGE_HEADER_BYTES) fail("no answer");
  uint16_t id = get_u16(bytes);
  if (id >= in_flight) return;
  uint64_t waited = clock_read().mono_ns - l->sent_ns[id];
  l->waited_ns += waited;
  if (waited > l->longest_ns) l->longest_ns = waited;
  l->answered++;
  l->refused += (bytes[3] & FLAG_RCODE_MASK) != 0;
  send_update(l, id);
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
  for (unsigned i = 0; i < in_flight; i++)
    send_update(&l, (uint16_t)i);
  while (clock_read().mono_ns < end)
    take_answer(&l, in_flight);
  double took = (double)(clock_read().mono_ns - begun) / 1e9;
  printf("{\"in-flight\": %u, \"updates-per-s\": %.0f, \"mean-ms\": %.3f, \"longest-ms\": %.3f, \"refused\": %llu}\n", in_flight,
         (double)l.answered / took, (double)l.waited_ns / 1e6 / (double)(l.answered ? l.answered : 1), (double)l.longest_ns / 1e6,
         (unsigned long long)l.refused);
  close(l.fd);
  return l.refused != 0;
}
