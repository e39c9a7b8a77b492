/* A load generator: `bench_load ADDRESS@PORT QUERIES SECONDS IN_FLIGHT [RATE [TIMES]]`.
 *
 * QUERIES holds messages, each after its size as two octets (bench/data.py makes them); they are sent in turn. Without RATE so many
 * are always on their way as IN_FLIGHT says: the server is saturated, and its CPU time an answer is what counts. With RATE they are
 * sent at so many a second whatever comes back, so that a server that pauses can't hide it, and the time of an answer is from when
 * its query left to when the kernel had the answer for us: others may have our CPU in between, and what they delay is not the
 * server's. What was due while we were away is not sent all at once afterwards. TIMES: a file for two words of 64 bits an answer,
 * when its query left (CLOCK_MONOTONIC) and how long it took, in nanoseconds. Prints one line of JSON. */
#include "base/addr.h"
#include "base/bytes.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  SLOTS = 4096, /* an id is a slot and how often it was used, so that a late answer is not taken for another's */
  BATCH = 32,
  ANSWER_BYTES = 1500,
  LOST_AFTER_MS = 500,
  AWAY_US = 20, /* longer than this between two looks, and we did not have the CPU */
  STEPS = 32,   /* of the histogram, in each power of two */
  BUCKETS = 64 * STEPS,
  SOCKET_BUFFER_BYTES = 4 << 20,
};

struct load {
  int fd;
  const uint8_t *queries, *queries_end, *next;
  uint16_t ids[SLOTS];    /* what is on its way; the slot's number where nothing is */
  uint64_t due_ns[SLOTS]; /* when; 0: the slot is free */
  unsigned free_slots[SLOTS];
  unsigned free_count, in_flight;
  uint64_t answers, lost, late, octets, truncated, rcodes[16];
  uint64_t histogram[BUCKETS], longest_ns;
  struct answered {
    uint64_t due_ns, took_ns;
  } * times; /* NULL: not wanted */
  size_t times_room;
  struct mmsghdr out[BATCH], in[BATCH];
  struct iovec out_iov[BATCH], in_iov[BATCH];
  uint8_t out_bytes[BATCH][512], in_bytes[BATCH][ANSWER_BYTES];
  bool stamped; /* the kernel says when an answer was there, */
  union {
    struct cmsghdr align;
    uint8_t room[CMSG_SPACE(sizeof(struct timespec))];
  } stamps[BATCH];
  uint64_t wall_ahead_ns; /* by its wall clock, which is ahead of the monotonic one by this */
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ns(void) {
  return clock_read().mono_ns;
}

/* ---- the histogram: exact below STEPS, then STEPS buckets in each power of two ---- */

static unsigned bucket_of(uint64_t ns) {
  if (ns < STEPS) return (unsigned)ns;
  unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - 5;
  return (shift + 1) * STEPS + (unsigned)(ns >> shift) - STEPS;
}

static double bucket_us(unsigned bucket) {
  if (bucket < STEPS) return bucket / 1e3;
  unsigned shift = bucket / STEPS - 1;
  return (double)((uint64_t)(bucket % STEPS + STEPS) << shift) / 1e3;
}

static double quantile_us(const struct load *l, double q) {
  uint64_t sum = 0, want = (uint64_t)(q * (double)l->answers);
  for (unsigned i = 0; i < BUCKETS; i++) {
    sum += l->histogram[i];
    if (sum > want) return bucket_us(i);
  }
  return 0;
}

/* ---- sending and taking ---- */

/* Puts the next query into place `i` of a batch. */
static void prepare(struct load *l, unsigned i, uint64_t due_ns) {
  unsigned slot = l->free_slots[--l->free_count];
  size_t size = get_u16(l->next);
  if (size > sizeof l->out_bytes[i]) fail("a query is too long");
  memcpy(l->out_bytes[i], l->next + 2, size);
  l->next += 2 + size;
  if (l->next == l->queries_end) l->next = l->queries;
  l->ids[slot] = (uint16_t)(l->ids[slot] + SLOTS);
  l->due_ns[slot] = due_ns;
  put_u16(l->out_bytes[i], l->ids[slot]);
  l->out_iov[i] = (struct iovec){l->out_bytes[i], size};
}

static void send_batch(struct load *l, unsigned n) {
  for (unsigned at = 0; at < n;) {
    int sent = sendmmsg(l->fd, l->out + at, n - at, 0);
    if (sent < 0 && errno != EINTR && errno != ECONNREFUSED && errno != ENOBUFS) fail("sendmmsg");
    at += sent > 0 ? (unsigned)sent : 0;
  }
  l->in_flight += n;
}

static void release(struct load *l, unsigned slot) {
  l->due_ns[slot] = 0;
  l->free_slots[l->free_count++] = slot;
  l->in_flight--;
}

static void take(struct load *l, const uint8_t *bytes, size_t size, uint64_t now) {
  uint16_t id = size < 12 ? 0 : get_u16(bytes);
  unsigned slot = id % SLOTS;
  if (size < 12 || l->ids[slot] != id || !l->due_ns[slot]) {
    l->late++;
    return;
  }
  uint64_t ns = now > l->due_ns[slot] ? now - l->due_ns[slot] : 0;
  l->histogram[bucket_of(ns)]++;
  if (ns > l->longest_ns) l->longest_ns = ns;
  if (l->answers < l->times_room) l->times[l->answers] = (struct answered){l->due_ns[slot], ns};
  l->answers++;
  l->octets += size;
  l->truncated += bytes[2] >> 1 & 1;
  l->rcodes[bytes[3] & 15]++;
  release(l, slot);
}

static uint64_t ns_of(struct timespec t) {
  return (uint64_t)t.tv_sec * 1000 * NS_PER_MS + (uint64_t)t.tv_nsec;
}

static void compare_clocks(struct load *l) {
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  l->wall_ahead_ns = ns_of(wall) - now_ns();
}

static uint64_t stamp_of(const struct load *l, struct msghdr *m, uint64_t now) {
  struct timespec wall;
  struct cmsghdr *c = CMSG_FIRSTHDR(m);
  if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) return now;
  memcpy(&wall, CMSG_DATA(c), sizeof wall);
  return ns_of(wall) - l->wall_ahead_ns;
}

static void take_batch(struct load *l, int flags) {
  for (unsigned i = 0; i < BATCH && l->stamped; i++)
    l->in[i].msg_hdr.msg_controllen = sizeof l->stamps[i];
  int n = recvmmsg(l->fd, l->in, BATCH, flags, NULL);
  if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) fail("recvmmsg");
  uint64_t now = now_ns();
  for (int i = 0; i < n; i++)
    take(l, l->in_bytes[i], l->in[i].msg_len, stamp_of(l, &l->in[i].msg_hdr, now));
}

/* What was not answered in time counts as lost. */
static void give_up(struct load *l, uint64_t now) {
  for (unsigned slot = 0; slot < SLOTS; slot++) {
    if (!l->due_ns[slot] || now < l->due_ns[slot] + LOST_AFTER_MS * NS_PER_MS) continue;
    l->lost++;
    release(l, slot);
  }
}

/* ---- the two ways ---- */

static void saturate(struct load *l, uint64_t end, unsigned in_flight) {
  for (uint64_t now = now_ns(); now < end; now = now_ns()) {
    unsigned room = in_flight - l->in_flight, n = room < BATCH ? room : BATCH;
    for (unsigned i = 0; i < n; i++)
      prepare(l, i, now);
    if (n) send_batch(l, n);
    struct pollfd p = {l->fd, POLLIN, 0};
    if (l->in_flight == in_flight && poll(&p, 1, LOST_AFTER_MS) == 0) give_up(l, now_ns());
    else take_batch(l, MSG_DONTWAIT);
  }
}

static void have_stamps(struct load *l) {
  int on = 1;
  if (setsockopt(l->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0) fail("SO_TIMESTAMPNS");
  for (unsigned i = 0; i < BATCH; i++)
    l->in[i].msg_hdr.msg_control = &l->stamps[i];
  l->stamped = true;
  compare_clocks(l);
}

static void pace(struct load *l, uint64_t begun, uint64_t end, double rate) {
  double gap_ns = 1e9 / rate, due = (double)begun;
  uint64_t swept = begun, looked = begun;
  have_stamps(l);
  for (uint64_t now = begun; now < end; now = now_ns()) {
    unsigned n = 0;
    if (now > looked + (uint64_t)AWAY_US * 1000) due += (double)(now - looked);
    looked = now;
    for (; n < BATCH && l->free_count && due <= (double)now; n++, due += gap_ns)
      prepare(l, n, (uint64_t)due);
    if (n) send_batch(l, n);
    take_batch(l, MSG_DONTWAIT);
    if (now < swept + LOST_AFTER_MS * NS_PER_MS) continue;
    give_up(l, now);
    compare_clocks(l);
    swept = now;
  }
}

/* ---- around ---- */

static void open_queries(struct load *l, const char *path) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) fail(path);
  void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
  if (p == MAP_FAILED) fail(path);
  l->queries = l->next = p;
  l->queries_end = l->queries + st.st_size;
  close(fd);
}

static void open_socket(struct load *l, const char *text) {
  struct addr at;
  struct sockaddr_storage sa;
  int size = SOCKET_BUFFER_BYTES;
  if (addr_parse(text, 53, &at)) fail(text);
  socklen_t sa_size = addr_to_sockaddr(&at, &sa);
  l->fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&sa, sa_size) != 0) fail("socket");
  setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static void prepare_batches(struct load *l) {
  for (unsigned i = 0; i < BATCH; i++) {
    l->out[i].msg_hdr = (struct msghdr){.msg_iov = &l->out_iov[i], .msg_iovlen = 1};
    l->in_iov[i] = (struct iovec){l->in_bytes[i], ANSWER_BYTES};
    l->in[i].msg_hdr = (struct msghdr){.msg_iov = &l->in_iov[i], .msg_iovlen = 1};
  }
  for (unsigned slot = 0; slot < SLOTS; slot++) {
    l->ids[slot] = (uint16_t)slot;
    l->free_slots[l->free_count++] = slot;
  }
}

static void make_room_for_times(struct load *l, size_t n) {
  l->times = calloc(n, sizeof *l->times);
  if (!l->times) fail("calloc");
  l->times_room = n;
}

static void write_times(const struct load *l, const char *path) {
  size_t n = l->answers < l->times_room ? l->answers : l->times_room;
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(l->times, sizeof *l->times, n, f) != n || fclose(f) != 0) fail(path);
}

static void print(const struct load *l, double took_s) {
  double answers = l->answers ? (double)l->answers : 1;
  printf("{\"answers\": %llu, \"lost\": %llu, \"late\": %llu, \"seconds\": %.3f, \"answers/s\": %.0f, \"octets\": %.1f, ",
         (unsigned long long)l->answers, (unsigned long long)l->lost, (unsigned long long)l->late, took_s,
         (double)l->answers / took_s, (double)l->octets / answers);
  printf("\"p50 us\": %.1f, \"p90 us\": %.1f, \"p99 us\": %.1f, \"p999 us\": %.1f, \"longest us\": %.1f, "
         "\"truncated\": %llu, \"rcodes\": {",
         quantile_us(l, 0.5), quantile_us(l, 0.9), quantile_us(l, 0.99), quantile_us(l, 0.999), (double)l->longest_ns / 1e3,
         (unsigned long long)l->truncated);
  const char *comma = "";
  for (unsigned i = 0; i < 16; i++) {
    if (!l->rcodes[i]) continue;
    printf("%s\"%u\": %llu", comma, i, (unsigned long long)l->rcodes[i]);
    comma = ", ";
  }
  puts("}}");
}

int main(int argc, char **argv) {
  static struct load l;
  if (argc < 5 || argc > 7) {
    fprintf(stderr, "bench_load ADDRESS@PORT QUERIES SECONDS IN_FLIGHT [RATE [TIMES]]\n");
    return 2;
  }
  double seconds = strtod(argv[3], NULL), rate = argc >= 6 ? strtod(argv[5], NULL) : 0;
  unsigned in_flight = (unsigned)strtoul(argv[4], NULL, 10);
  if (in_flight < 1 || in_flight > SLOTS || seconds <= 0) return 2;
  open_queries(&l, argv[2]);
  open_socket(&l, argv[1]);
  prepare_batches(&l);
  if (argc == 7) make_room_for_times(&l, (size_t)(seconds * rate) + SLOTS);
  uint64_t begun = now_ns(), end = begun + (uint64_t)(seconds * 1e9);
  if (rate > 0) pace(&l, begun, end, rate);
  else saturate(&l, end, in_flight);
  print(&l, (double)(now_ns() - begun) / 1e9);
  if (argc == 7) write_times(&l, argv[6]);
  close(l.fd);
  return 0;
}
