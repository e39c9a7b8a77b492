/* What one answer costs, without the network: instructions under callgrind, or nanoseconds.
 *
 *   bench_answer_instructions [names] [rounds] [batch] [kind]
 *   valgrind --tool=callgrind --toggle-collect=answer_batch --dump-after=ask bench_answer_instructions 10 100 32
 *
 * For each kind of question (or the one named by its number) `rounds` batches of `batch` questions for random names of a zone of
 * `names` names (default 1,000,000; signed zones have at most 500). tests/instructions.py divides what callgrind counts by the
 * answers and holds it against what was committed. */
#include "answer/answer.h"
#include "zones.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                               \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

enum { REQUEST_BYTES = 64, QUESTIONS = 1 << 16, SIGNED_NAMES_MAX = 500, HOSTERS = 20 };

enum edns_of { NO_EDNS, EDNS, WITH_DO, WITH_COOKIE, WITH_NSID };

#define MANY_CUTS "www.cut%u"
#define TLD_CUTS "www.tld%u" /* always SIGNED_NAMES_MAX of them */
/* One row a kind of question; %u in `name` is a number below the zone's names. */
static const struct kind {
  const char *text;
  enum zones_chain chain;
  const char *name;
  uint16_t type;
  enum edns_of edns;
  uint16_t rcode;
} kinds[] = {
    {"plain A", ZONES_UNSIGNED, "host%u", RR_A, NO_EDNS, RCODE_NOERROR},
    {"A with EDNS", ZONES_UNSIGNED, "host%u", RR_A, EDNS, RCODE_NOERROR},
    {"A with COOKIE", ZONES_UNSIGNED, "host%u", RR_A, WITH_COOKIE, RCODE_NOERROR},
    {"A with NSID", ZONES_UNSIGNED, "host%u", RR_A, WITH_NSID, RCODE_NOERROR},
    {"absent name", ZONES_UNSIGNED, "none%u", RR_A, NO_EDNS, RCODE_NXDOMAIN},
    {"absent type", ZONES_UNSIGNED, "host%u", RR_AAAA, NO_EDNS, RCODE_NOERROR},
    {"MX with addresses", ZONES_UNSIGNED, "@", RR_MX, NO_EDNS, RCODE_NOERROR},
    {"CNAME followed", ZONES_UNSIGNED, "alias", RR_A, NO_EDNS, RCODE_NOERROR},
    {"referral", ZONES_UNSIGNED, "www%u.sub", RR_A, NO_EDNS, RCODE_NOERROR},
    {"A with DO", ZONES_NSEC, "host%u", RR_A, WITH_DO, RCODE_NOERROR},
    {"NSEC, absent name", ZONES_NSEC, "none%u", RR_A, WITH_DO, RCODE_NXDOMAIN},
    {"NSEC, absent type", ZONES_NSEC, "host%u", RR_AAAA, WITH_DO, RCODE_NOERROR},
    {"NSEC, referral", ZONES_NSEC, "www%u.sub", RR_A, WITH_DO, RCODE_NOERROR},
    {"NSEC, many referrals", ZONES_NSEC, MANY_CUTS, RR_A, WITH_DO, RCODE_NOERROR},
    {"NSEC, TLD", ZONES_NSEC, TLD_CUTS, RR_A, WITH_DO, RCODE_NOERROR},
    {"NSEC3, absent name", ZONES_NSEC3, "none%u", RR_A, WITH_DO, RCODE_NXDOMAIN},
    {"NSEC3, absent type", ZONES_NSEC3, "host%u", RR_AAAA, WITH_DO, RCODE_NOERROR},
    {"NSEC3, referral", ZONES_NSEC3, "www%u.sub", RR_A, WITH_DO, RCODE_NOERROR},
    {"NSEC3, many insecure", ZONES_NSEC3, MANY_CUTS, RR_A, WITH_DO, RCODE_NOERROR},
    {"opt-out, many", ZONES_OPT_OUT, MANY_CUTS, RR_A, WITH_DO, RCODE_NOERROR},
    {"opt-out, TLD", ZONES_OPT_OUT, TLD_CUTS, RR_A, WITH_DO, RCODE_NOERROR},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

static const char common_records[] = "@ 3600 SOA ns.bench.example. hostmaster 1 3600 600 86400 300\n"
                                     "@ 3600 NS ns\nns 3600 A 192.0.2.1\n@ 3600 MX 10 mail\nmail 3600 A 192.0.2.25\n"
                                     "alias 3600 CNAME mail\nsub 3600 NS ns.sub\nns.sub 3600 A 192.0.2.2\n"
                                     "sub 3600 DS 4711 13 2 "
                                     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

static uint8_t requests[QUESTIONS][REQUEST_BYTES];
static uint8_t sizes[QUESTIONS];
static uint8_t responses[LIMIT_BATCH][LIMIT_UDP_RESPONSE_BYTES];
static struct answer_job jobs[LIMIT_BATCH];
static struct answer_memory *memory;

static uint64_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

/* Zones below one, each with two servers of one of the hosters, whose zones are below it, too; every second one is signed. */
static size_t write_tld(char *text, size_t room) {
  size_t used = 0;
  for (unsigned i = 0; i < HOSTERS; i++)
    used += (size_t)snprintf(text + used, room - used,
                             "hoster%u 3600 NS ns1.hoster%u\nhoster%u 3600 NS ns2.hoster%u\n"
                             "ns1.hoster%u 3600 A 10.1.0.%u\nns2.hoster%u 3600 A 10.1.1.%u\n",
                             i, i, i, i, i, i, i, i);
  for (unsigned i = 0; i < SIGNED_NAMES_MAX; i++) {
    unsigned hoster = i / 2 % HOSTERS;
    used += (size_t)snprintf(text + used, room - used, "tld%u 3600 NS ns1.hoster%u\ntld%u 3600 NS ns2.hoster%u\n", i, hoster, i,
                             hoster);
    if (i % 2)
      used += (size_t)snprintf(text + used, room - used,
                               "tld%u 3600 DS 1 13 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", i);
  }
  return used;
}

/* The common records and `hosts` hosts with one address each, or zones below. */
static struct zone_snap *make_signed(const struct kind *kind, unsigned hosts) {
  static char text[sizeof common_records + SIGNED_NAMES_MAX * 160];
  const char *line = strcmp(kind->name, MANY_CUTS) == 0 ? "cut%u 3600 NS ns\n" : "host%u 3600 A 10.0.%u.%u\n";
  bool tld = strcmp(kind->name, TLD_CUTS) == 0;
  size_t used = sizeof common_records - 1;
  memcpy(text, common_records, used);
  if (tld) used += write_tld(text + used, sizeof text - used);
  for (unsigned i = 0; i < hosts && !tld; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, line, i, i / 256, i % 256);
  return kind->chain >= ZONES_NSEC3 ? zones_build_nsec3("bench.example.", text, kind->chain == ZONES_OPT_OUT, 0)
                                    : zones_build("bench.example.", text, kind->chain);
}

static struct zone_snap *make_unsigned(unsigned hosts) {
  struct zone_snap *base = zones_build("bench.example.", common_records, ZONES_UNSIGNED), *snap;
  struct zone_edit *e;
  enum zone_add outcome;
  MUST(zone_edit_begin(base, NULL, &e) == ERR_OK);
  for (unsigned i = 0; i < hosts; i++) {
    char text[40];
    uint8_t address[4];
    snprintf(text, sizeof text, "host%u.bench.example.", i);
    struct name owner = zones_name(text);
    put_u32(address, 0x0a000000u + i);
    MUST(zone_edit_add(e, &owner, RR_A, 3600, address, 4, &outcome) == ERR_OK);
  }
  MUST(zone_edit_finish(e, &snap) == ERR_OK);
  zone_snap_unref(base);
  return snap;
}

/* A set with that one zone. */
static struct zone_set *publish(const struct kind *kind, unsigned hosts) {
  struct name apex = zones_name("bench.example.");
  struct zone_set *set;
  struct zone_snap *snap = kind->chain == ZONES_UNSIGNED ? make_unsigned(hosts) : make_signed(kind, hosts);
  MUST(zone_set_new(&set) == ERR_OK);
  MUST(zone_set_put(set, &apex, zones_entry(0, snap, NULL)) == ERR_OK);
  return set;
}

static void put_opt(struct message_writer *w, enum edns_of edns) {
  static const uint8_t cookie[] = {0, EDNS_COOKIE, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8}, nsid[] = {0, EDNS_NSID, 0, 0};
  const uint8_t *options = edns == WITH_COOKIE ? cookie : nsid;
  size_t n = edns == WITH_COOKIE ? sizeof cookie : edns == WITH_NSID ? sizeof nsid : 0;
  MUST(message_put_opt(w, 1232, 0, edns == WITH_DO ? EDNS_F_DO : 0, options, n));
}

static void make_questions(const struct kind *kind, unsigned hosts, unsigned count) {
  uint64_t state = 42;
  struct name apex = zones_name("bench.example.");
  for (unsigned i = 0; i < count && i < QUESTIONS; i++) {
    char text[40];
    struct name qname;
    int n = snprintf(text, sizeof text, "%s", kind->name);
    if (strchr(kind->name, '%')) {
      const char *behind = strstr(kind->name, "%u");
      n = snprintf(text, sizeof text, "%.*s%u%s", (int)(behind - kind->name), kind->name, (unsigned)(next_random(&state) % hosts),
                   behind + 2);
    }
    MUST(name_from_text(text, (size_t)n, &apex, &qname, NULL, NULL) == ERR_OK);
    struct message_writer w;
    message_start(&w, requests[i], REQUEST_BYTES, (uint16_t)i, 0);
    MUST(message_put_question(&w, &qname, kind->type, CLASS_IN));
    if (kind->edns != NO_EDNS) put_opt(&w, kind->edns);
    sizes[i] = (uint8_t)message_finish(&w, 0);
  }
}

/* Not inlined: callgrind writes its counts when it returns. */
__attribute__((noinline)) static void ask(const struct zone_set *set, unsigned rounds, unsigned batch, struct instant now) {
  static const struct answer_identity id = {.nsid = "ns1", .nsid_size = 3, .udp_bytes = LIMIT_UDP_RESPONSE_BYTES};
  struct answer_job *list[LIMIT_BATCH];
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
    answer_batch(set, &id, memory, list, batch, now);
    zone_read_end();
  }
}

static void run(const struct kind *kind, unsigned names, unsigned rounds, unsigned batch) {
  unsigned hosts = kind->chain != ZONES_UNSIGNED && names > SIGNED_NAMES_MAX ? SIGNED_NAMES_MAX : names;
  if (strcmp(kind->name, TLD_CUTS) == 0) hosts = SIGNED_NAMES_MAX;
  struct zone_set *set = publish(kind, hosts);
  make_questions(kind, hosts, rounds * batch);
  answer_memory_clear(memory);
  struct instant begin = clock_read();
  ask(set, rounds, batch, begin);
  uint64_t ns = clock_read().mono_ns - begin.mono_ns, answers = (uint64_t)rounds * batch;
  for (unsigned i = 0; i < batch; i++)
    MUST(jobs[i].result.kind == ANSWER_REPLY && jobs[i].result.rcode == kind->rcode && !jobs[i].result.truncated);
  printf("%-20s %9llu answers of %4u octets, %6.1f ns each\n", kind->text, (unsigned long long)answers, jobs[0].result.size,
         (double)ns / (double)answers);
  zone_set_free(set);
}

int main(int argc, char **argv) {
  unsigned names = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
  unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20000;
  unsigned batch = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : LIMIT_BATCH;
  if (names == 0 || rounds == 0 || batch == 0 || batch > LIMIT_BATCH) return 2;
  zone_reader_register();
  MUST((memory = answer_memory_new()));
  for (unsigned kind = 0; kind < KIND_COUNT; kind++)
    if (argc <= 4 || strtoul(argv[4], NULL, 10) == kind) run(&kinds[kind], names, rounds, batch);
  answer_memory_free(memory);
  zone_grace_barrier();
  zone_reader_unregister();
  return 0;
}
