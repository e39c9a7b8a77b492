/* What one answer costs, without the network: instructions under callgrind, or nanoseconds.
 *
 *   bench_answer_instructions [names] [rounds] [batch] [kind]
 *   valgrind --tool=callgrind --toggle-collect=answer_batch bench_answer_instructions 10 100 32 0
 *
 * Asks for the address of random names of a zone of `names` names (default 1,000,000), `rounds` batches of `batch` questions,
 * plainly (kind 0), with EDNS (1), and for names that are not there (2); all three without `kind`. Divide what callgrind counts
 * by the answers. */
#include "answer/answer.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                               \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

enum { REQUEST_BYTES = 64, QUESTIONS = 1 << 16 };

enum kind { PLAIN, WITH_EDNS, ABSENT, KIND_COUNT };
static const char *const kind_text[] = {"plain A", "A with EDNS", "absent name"};

static uint8_t requests[QUESTIONS][REQUEST_BYTES];
static uint8_t sizes[QUESTIONS];
static uint8_t responses[LIMIT_BATCH][LIMIT_UDP_RESPONSE_BYTES];
static struct answer_job jobs[LIMIT_BATCH];

static uint64_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

static struct name name_of(const char *text) {
  struct name n;
  MUST(name_from_text(text, strlen(text), NULL, &n, NULL, NULL) == ERR_OK);
  return n;
}

static void add(struct zone_edit *e, const struct name *owner, uint16_t type, const void *rdata, uint16_t size) {
  enum zone_add outcome;
  MUST(zone_edit_add(e, owner, type, 3600, rdata, size, &outcome) == ERR_OK);
}

static struct zone_snap *make_zone(const struct name *apex, unsigned names) {
  struct zone_edit *e;
  struct zone_snap *snap;
  MUST(zone_edit_begin(NULL, apex, &e) == ERR_OK);
  uint8_t soa[64] = {0};
  struct name ns = name_of("ns.bench.example.");
  memcpy(soa, ns.octets, ns.size);
  memcpy(soa + ns.size, apex->octets, apex->size);
  add(e, apex, RR_SOA, soa, (uint16_t)(ns.size + apex->size + 20));
  add(e, apex, RR_NS, ns.octets, ns.size);
  add(e, &ns, RR_A, "\300\0\2\1", 4);
  for (unsigned i = 0; i < names; i++) {
    char text[40];
    uint8_t address[4];
    snprintf(text, sizeof text, "host%u.bench.example.", i);
    struct name owner = name_of(text);
    put_u32(address, 0x0a000000u + i);
    add(e, &owner, RR_A, address, 4);
  }
  MUST(zone_edit_finish(e, &snap) == ERR_OK);
  return snap;
}

static void publish(struct zone_set *set, unsigned names) {
  static const struct zone_policy policy;
  struct name apex = name_of("bench.example.");
  struct zone_entry *entry = calloc(1, sizeof *entry);
  MUST(entry);
  entry->state = ZONE_READY;
  entry->policy = &policy;
  entry->ede = EDE_NONE;
  entry->snap = make_zone(&apex, names);
  MUST(zone_set_put(set, &apex, entry) == ERR_OK);
}

static void make_questions(enum kind kind, unsigned names) {
  uint64_t state = 42;
  for (unsigned i = 0; i < QUESTIONS; i++) {
    char text[40];
    snprintf(text, sizeof text, "%s%u.bench.example.", kind == ABSENT ? "none" : "host", (unsigned)(next_random(&state) % names));
    struct name qname = name_of(text);
    struct message_writer w;
    message_start(&w, requests[i], REQUEST_BYTES, (uint16_t)i, 0);
    MUST(message_put_question(&w, &qname, RR_A, CLASS_IN));
    if (kind == WITH_EDNS) MUST(message_put_opt(&w, 1232, 0, 0, NULL, 0));
    sizes[i] = (uint8_t)message_finish(&w, 0);
  }
}

static void run(const struct zone_set *set, enum kind kind, unsigned rounds, unsigned batch) {
  static const struct answer_identity id = {.udp_bytes = LIMIT_UDP_RESPONSE_BYTES};
  struct answer_job *list[LIMIT_BATCH];
  struct instant begin = clock_read();
  for (unsigned r = 0; r < rounds; r++) {
    for (unsigned i = 0; i < batch; i++) {
      unsigned q = (r * batch + i) % QUESTIONS;
      list[i] = &jobs[i];
      jobs[i].bytes = requests[q];
      jobs[i].size = sizes[q];
      jobs[i].client.transport = TRANSPORT_UDP;
      jobs[i].out = responses[i];
      jobs[i].capacity = sizeof responses[i];
    }
    zone_read_begin();
    answer_batch(set, &id, list, batch, begin, r);
    zone_read_end();
  }
  uint64_t ns = clock_read().mono_ns - begin.mono_ns, answers = (uint64_t)rounds * batch;
  unsigned rcode = kind == ABSENT ? RCODE_NXDOMAIN : RCODE_NOERROR;
  for (unsigned i = 0; i < batch; i++)
    MUST(jobs[i].result.kind == ANSWER_REPLY && jobs[i].result.rcode == rcode);
  printf("%-12s %9llu answers, %6.1f ns each\n", kind_text[kind], (unsigned long long)answers, (double)ns / (double)answers);
}

int main(int argc, char **argv) {
  unsigned names = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
  unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20000;
  unsigned batch = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : LIMIT_BATCH;
  if (names == 0 || rounds == 0 || batch == 0 || batch > LIMIT_BATCH) return 2;
  struct zone_set *set;
  zone_reader_register();
  MUST(zone_set_new(&set) == ERR_OK);
  publish(set, names);
  for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
    if (argc > 4 && strtoul(argv[4], NULL, 10) != kind) continue;
    make_questions((enum kind)kind, names);
    run(set, (enum kind)kind, rounds, batch);
  }
  zone_set_free(set);
  zone_grace_barrier();
  zone_reader_unregister();
  return 0;
}
