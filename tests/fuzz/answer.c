/* The answer to anything at all: a message that parses, belongs to the request, and is not too large; asked twice in one batch, the
 * same; and so for a question that differs by an octet, which the batch may answer out of the first one's records. Asked again, out
 * of what is remembered by then, it has the records that it has where nothing is. */
#include "answer/answer.h"
#include "zones.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char zone_example[] = "@ 60 SOA ns h 1 2 3 4 5\n"
                                   "@ 60 NS ns\n"
                                   "@ 60 MX 1 mail\n"
                                   "ns 60 A 192.0.2.1\n"
                                   "mail 60 AAAA 2001:db8::1\n"
                                   "* 60 TXT \"x\"\n"
                                   "a 60 CNAME b\n"
                                   "b 60 CNAME c.t\n"
                                   "d 60 DNAME e\n"
                                   "e 60 DNAME d\n"
                                   "g 60 DNAME g.g\n"
                                   "s 60 NS ns.s\n"
                                   "ns.s 60 A 192.0.2.2\n"
                                   "o 60 NS ns.t.\n"
                                   "x.*.w 60 SRV 1 2 3 ns\n"
                                   "*.w2 60 CNAME *.w2\n";

static struct zone_set *zones;
static struct answer_identity identity = {.nsid = "ns1", .nsid_size = 3, .udp_bytes = LIMIT_UDP_RESPONSE_BYTES};
static struct acl_entry everybody = {.any_host = true};
static struct zone_policy open_policy, hidden_policy;
enum { JOBS = 3, FIRST_LETTER = 13 };
static uint8_t responses[JOBS + 2][LIMIT_MESSAGE_BYTES];
static struct answer_memory *memory;

static void make_zones(void) {
  if (zones) return;
  zone_reader_register();
  struct name key_name = zones_name("key.");
  memory = answer_memory_new();
  enum err e = memory ? zone_set_new(&zones) : ERR_MEMORY;
  if (!e) e = tsig_keyring_new(&identity.keys);
  if (!e) e = tsig_keyring_add(identity.keys, &key_name, HMAC_SHA256, (const uint8_t *)"secret", 6);
  if (e) abort();
  open_policy.secondary = true;
  static const struct grant anything = {.who = {&everybody, 1}};
  open_policy.transfer = open_policy.notify_from = (struct acl){&everybody, 1};
  open_policy.update = (struct grants){&anything, 1};
  hidden_policy.hidden = true;
  zones_put(zones, "e.", zone_example, ZONES_UNSIGNED, &open_policy);
  zones_put(zones, "n.", zone_example, ZONES_NSEC, &open_policy);
  zones_put(zones, "t.", zone_example, ZONES_NSEC3, NULL);
  zones_put(zones, "s.t.", zone_example, ZONES_OPT_OUT, NULL);
  zones_put(zones, "h.", zone_example, ZONES_UNSIGNED, &hidden_policy);
  zones_put(zones, "s.h.", zone_example, ZONES_NSEC, &hidden_policy);
  zones_put(zones, "s.s.h.", zone_example, ZONES_UNSIGNED, &hidden_policy);
}

static void prepare(struct answer_job *job, const uint8_t *data, size_t size, uint8_t how, uint8_t *out) {
  memset(job, how, sizeof *job);
  job->bytes = data;
  job->size = size;
  job->client = (struct answer_client){.from = {.family = 4, .octets = {192, 0, 2, 1}},
                                       .transport = (enum transport)(how % 3),
                                       .queries_only = how & 0x10,
                                       .transfers_only = how & 0x20};
  job->out = out;
  job->capacity = job->client.transport == TRANSPORT_UDP ? LIMIT_UDP_RESPONSE_BYTES : LIMIT_MESSAGE_BYTES;
}

static void check_message(const struct answer_job *job) {
  struct message m;
  struct rd body;
  struct name qname;
  uint16_t type, class;
  size_t size = job->result.size, limit = job->capacity;
  if (job->client.transport == TRANSPORT_UDP && !job->request.edns.present && job->request.tsig_at == 0)
    limit = LIMIT_UDP_PLAIN_BYTES;
  assert(size >= MESSAGE_HEADER_BYTES && size <= limit);
  if (message_open(job->out, size, &m, &body)) abort();
  assert(m.id == get_u16(job->bytes) && (m.flags & FLAG_QR) && !(m.flags & (FLAG_RA | FLAG_AD)));
  assert(((m.flags ^ get_u16(job->bytes + 2)) & FLAG_OPCODE_MASK) == 0);
  assert(!!(m.flags & FLAG_TC) == job->result.truncated);
  assert(m.counts[0] <= 1);
  if (m.counts[0] && message_question(&m, &body, &qname, &type, &class)) abort();
  for (unsigned i = 0; i < (unsigned)m.counts[1] + m.counts[2] + m.counts[3]; i++) {
    struct message_rr rr;
    if (message_rr(&m, &body, &rr)) abort();
    uint8_t rdata[LIMIT_MESSAGE_BYTES];
    struct wr w = wr_make(rdata, sizeof rdata);
    if (rr.type == RR_OPT || rr.type == RR_TSIG) continue;
    if (rr_rdata_read(&rr.rdata, rr.rdata_size, m.bytes, rr.type, &w)) abort();
  }
  assert(rd_left(&body) == 0);
}

static void check(const struct answer_job *job) {
  switch (job->result.kind) {
  case ANSWER_REPLY:
  case ANSWER_NOTIFY:
    check_message(job);
    break;
  case ANSWER_DROP:
    assert(job->size < MESSAGE_HEADER_BYTES || (job->bytes[2] & 0x80));
    break;
  case ANSWER_UPDATE:
  case ANSWER_TRANSFER:
    assert(job->result.size == 0 && job->result.zone);
    break;
  }
}

/* Signatures are of the octets, so not of those. */
static void assert_same(const struct answer_job *a, const struct answer_job *b) {
  static uint8_t a_out[LIMIT_MESSAGE_BYTES], b_out[LIMIT_MESSAGE_BYTES];
  assert(a->result.kind == b->result.kind && a->result.rcode == b->result.rcode && a->result.truncated == b->result.truncated);
  if (a->result.size == 0 || a->request.tsig_at) return;
  size_t size = zones_spell(a->out, a->result.size, a_out, sizeof a_out);
  assert(size == zones_spell(b->out, b->result.size, b_out, sizeof b_out) && memcmp(a_out, b_out, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct instant now = {NS_PER_S, 1800000000};
  static struct answer_job first, second, third, again, alone;
  struct answer_job *jobs[JOBS] = {&first, &second, &third};
  make_zones();
  if (size < 1) return 0;
  uint8_t *beside = malloc(size); /* of just its size: what is read behind it is found */
  if (!beside) abort();
  memcpy(beside, data + 1, size - 1);
  if (size - 1 > FIRST_LETTER) beside[FIRST_LETTER] ^= 1;
  prepare(&first, data + 1, size - 1, data[0], responses[0]);
  prepare(&second, data + 1, size - 1, data[0], responses[1]);
  prepare(&third, beside, size - 1, data[0], responses[2]);
  prepare(&again, data + 1, size - 1, data[0], responses[3]);
  prepare(&alone, data + 1, size - 1, data[0], responses[4]);
  zone_read_begin();
  answer_memory_clear(memory);
  answer_batch(zones, &identity, memory, jobs, JOBS, now);
  answer(zones, &identity, memory, &again, now);
  answer_memory_clear(memory);
  answer(zones, &identity, memory, &alone, now);
  zone_read_end();
  assert(first.result.kind == second.result.kind && first.result.size == second.result.size);
  assert(memcmp(responses[0], responses[1], first.result.size) == 0);
  assert_same(&again, &alone);
  check(&first);
  check(&third);
  check(&alone);
  free(beside);
  return 0;
}
