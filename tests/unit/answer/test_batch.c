/* Questions are answered out of what they have in common: of names beside each other in a batch the labels, the key and the zone,
 * of referrals and negative answers, in this batch or one before, whole sections. Whatever a question comes with or behind, it gets
 * the records that it gets alone, with nothing remembered. */
#include "zones.h"

#include "answer/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { REQUEST_BYTES_MAX = 400, ROUNDS = 1500 };

/* One of many servers that two zones share: with all addresses a referral fits some clients only. */
#define SERVER(n) \
  "many1 60 NS s" n ".far\nmany2 60 NS s" n ".far\ns" n ".far 60 A 192.0.2." n "\ns" n ".far 60 AAAA 2001:db8::" n "\n"

static const char zone_text[] =
    "@ 3600 SOA ns1 hostmaster 7 3600 600 86400 300\n"
    "@ 3600 NS ns1\n@ 3600 NS ns.elsewhere.\n@ 3600 MX 10 mail\n@ 3600 DNSKEY 257 3 13 AAAA\n"
    "ns1 3600 A 192.0.2.1\nns1 3600 AAAA 2001:db8::1\nmail 300 A 192.0.2.25\n"
    "www 300 A 192.0.2.80\nwww 300 A 192.0.2.81\nwww 300 TXT \"hello\"\n"
    "UPPER 300 A 192.0.2.82\na\\000b 300 A 192.0.2.83\na\\001 300 TXT \"escaped\"\n"
    "alias 60 CNAME www\nalias2 60 CNAME alias\nloop 60 CNAME loop2\nloop2 60 CNAME loop\n"
    "a.b.ent 300 TXT \"x\"\n*.wild 300 A 192.0.2.7\n*.wildc 60 CNAME www\n"
    "deleg 3600 NS ns.deleg\ndeleg 3600 NS ns1\nns.deleg 3600 A 192.0.2.53\n"
    "cut1 3600 NS ns1\ncut2 3600 NS ns1\ncut3 3600 NS ns.cut3\nns.cut3 3600 A 192.0.2.54\n"
    /* the same servers for several zones: in one of these, in none of them, beside some of them */
    "cut4 60 NS ns1\ncut4 60 NS server.cut5\ncut5 60 NS ns1\ncut5 60 NS server.cut5\n"
    "server.cut5 60 A 192.0.2.55\ncut6 60 NS ns.deep\n1.deep 60 NS ns.deep\n2.deep 60 NS ns.deep\n"
    "ns.deep 60 A 192.0.2.56\n"
    "far 60 NS s1.far\n" SERVER("1") SERVER("2") SERVER("3") SERVER("4") SERVER("5") SERVER("6")
        SERVER("7") "x\\004cut1 3600 NS ns.elsewhere.\n" /* looks like a name below cut1 from behind */
                    "cut2 3600 DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000\n"
                    "d 600 DNAME www\nboth 300 A 192.0.2.90\nboth 300 CNAME www\n"
                    "_sip._tcp 300 SRV 0 5 5060 mail\n_sip._tcp 300 SRV 1 5 5060 www\n";

static const char *const labels[] = {
    "www",     "wWw",       "mail",   "upper",  "alias",    "alias2",
    "loop",    "nothere",   "ns1",    "cut1",   "cut2",     "cut3",
    "deleg",   "d",         "both",   "x",      "*",        "wild",
    "a\\000b", "a\\001",    "b.ent",  "ent",    "x.wild",   "y.wildc",
    "x.d",     "_sip._tcp", "q.cut1", "q.cut2", "r.cut2",   "q.x\\004cut1",
    "cut4",    "cut5",      "cut6",   "1.deep", "q.1.deep", "q.2.deep",
    "many1",   "many2",     "sub",    "4",      "5",        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
static const char *const origins[] = {"plain.", "plain.", "nsec.",    "nsec3.",   "sub.plain.", "deep.sub.nsec.", "elsewhere.",
                                      ".",      "PLAIN.", "1.plain.", "2.plain.", "3.plain.",   "hidden."};
/* In front of an origin, so that names beside each other are there and not, below a cut, a DNAME, a wildcard, a name without
 * records. */
static const char *const parents[] = {"wild", "wildc", "deleg", "cut2", "cut3",  "cut4",  "cut5",  "cut6", "1.deep", "2.deep",
                                      "far",  "d",     "x.d",   "ent",  "b.ent", "many1", "many2", "www",  "4",      "5"};
static const char *const beside[] = {"a", "b", "ns", "NS", "x", "*", "a\\000b", "d"};
static const uint16_t types[] = {RR_A,   RR_A,     RR_A,  RR_A,   RR_AAAA, RR_TXT, RR_MX,   RR_NS,   RR_SOA, RR_CNAME,
                                 RR_ANY, RR_RRSIG, RR_DS, RR_SRV, RR_NSEC, RR_OPT, RR_AXFR, RR_IXFR, 65280,  RR_DNSKEY};

struct dice {
  uint64_t state;
};

static unsigned below(struct dice *d, unsigned n) {
  d->state = d->state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(d->state >> 33) % n;
}

/* A question: mostly for a name of one zone, mostly as others are asked; `parent` NULL: not for one below it. */
static size_t make_request(struct dice *d, const char *origin, const char *parent, uint8_t *out) {
  struct message_writer w;
  struct name qname, apex = zones_name(below(d, 8) ? origin : origins[below(d, sizeof origins / sizeof *origins)]);
  const char *label = labels[below(d, sizeof labels / sizeof *labels)];
  if (parent && below(d, 4)) {
    struct name origin_name = apex;
    assert_int_equal(name_from_text(parent, strlen(parent), &origin_name, &apex, NULL, NULL), ERR_OK);
    label = beside[below(d, sizeof beside / sizeof *beside)];
  }
  if (below(d, 12) == 0) qname = apex;
  else assert_int_equal(name_from_text(label, strlen(label), &apex, &qname, NULL, NULL), ERR_OK);
  if (below(d, 6) == 0)
    for (unsigned i = 0; i < qname.size; i++)
      if (qname.octets[i] >= 'a' && qname.octets[i] <= 'z' && below(d, 2)) qname.octets[i] ^= 0x20;
  uint16_t flags = below(d, 4) ? FLAG_RD : (uint16_t)(below(d, 0x10000) & (below(d, 2) ? 0x01ff : 0x79ff));
  message_start(&w, out, REQUEST_BYTES_MAX, (uint16_t)below(d, 0x10000), flags);
  uint16_t class = below(d, 40) ? CLASS_IN : CLASS_CH;
  assert_true(message_put_question(&w, &qname, types[below(d, sizeof types / sizeof *types)], class));
  static const uint8_t options[] = {0, EDNS_COOKIE, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, EDNS_NSID, 0, 0, 0, EDNS_ZONEVERSION, 0, 0};
  if (below(d, 2)) {
    size_t n = below(d, 4) ? 0 : below(d, 2) ? sizeof options : below(d, sizeof options);
    uint16_t size = (uint16_t)(below(d, 3) ? 1232 : below(d, 4096));
    assert_true(message_put_opt(&w, size, below(d, 40) ? 0 : 16, below(d, 2) ? EDNS_F_DO : 0, options, n));
  }
  size_t n = message_finish(&w, 0);
  if (below(d, 30) == 0) n -= below(d, (unsigned)n); /* cut short */
  if (below(d, 30) == 0 && n) out[below(d, (unsigned)n)] ^= (uint8_t)(1 << below(d, 8));
  return n;
}

struct asked {
  struct answer_job job;
  uint8_t *bytes; /* of just its size */
  uint8_t out[LIMIT_UDP_RESPONSE_BYTES];
};

static void prepare(struct asked *a, const uint8_t *bytes, size_t size) {
  a->bytes = malloc(size ? size : 1);
  assert_non_null(a->bytes);
  memcpy(a->bytes, bytes, size);
  memset(a->out, 0xee, sizeof a->out);
  a->job = (struct answer_job){.bytes = a->bytes, .size = size, .out = a->out, .capacity = sizeof a->out};
  memset(&a->job.request, 0xee, sizeof a->job.request); /* as that of an older one is */
  a->job.client = (struct answer_client){.from = {.family = 4, .octets = {192, 0, 2, 1}}, .transport = TRANSPORT_UDP};
}

static void assert_same_message(const struct asked *a, const struct asked *b) {
  static uint8_t a_out[LIMIT_MESSAGE_BYTES], b_out[LIMIT_MESSAGE_BYTES];
  size_t a_size = zones_spell(a->out, a->job.result.size, a_out, sizeof a_out);
  assert_int_equal(a_size, zones_spell(b->out, b->job.result.size, b_out, sizeof b_out));
  assert_memory_equal(a_out, b_out, a_size);
}

static struct zone_set *make_zones(void) {
  static const struct zone_policy hidden = {.hidden = true};
  struct zone_set *zones;
  assert_int_equal(zone_set_new(&zones), ERR_OK);
  zones_put(zones, "plain.", zone_text, ZONES_UNSIGNED, NULL);
  zones_put(zones, "nsec.", zone_text, ZONES_NSEC, NULL);
  zones_put(zones, "nsec3.", zone_text, ZONES_NSEC3, NULL);
  zones_put(zones, "sub.plain.", zone_text, ZONES_OPT_OUT, NULL);
  zones_put(zones, "www.plain.", zone_text, ZONES_NSEC, NULL);
  zones_put(zones, "deep.sub.nsec.", zone_text, ZONES_UNSIGNED, NULL);
  zones_put(zones, "hidden.", zone_text, ZONES_UNSIGNED, &hidden);
  for (unsigned i = 1; i < 5; i++) {
    char origin[16];
    snprintf(origin, sizeof origin, "%u.plain.", i);
    zones_put(zones, origin, zone_text, ZONES_UNSIGNED, i == 4 ? &hidden : NULL);
  }
  struct name not_loaded = zones_name("5.plain.");
  struct zone_entry *entry = zones_entry(99, NULL, NULL);
  entry->state = ZONE_NOT_LOADED;
  assert_int_equal(zone_set_put(zones, &not_loaded, entry), ERR_OK);
  return zones;
}

/* Answers what is prepared as a batch, then each alone, and ends it. Returns how many replies there were. */
static unsigned ask_both(const struct zone_set *zones, struct asked *together, unsigned count) {
  static const struct answer_identity id = {.nsid = "ns1", .nsid_size = 3, .udp_bytes = LIMIT_UDP_RESPONSE_BYTES};
  static const struct instant now = {NS_PER_S, 1800000000};
  static struct asked alone;
  static struct answer_memory *memory, *nothing;
  if (!memory) memory = answer_memory_new();
  if (!nothing) nothing = answer_memory_new();
  assert_true(memory && nothing);
  struct answer_job *jobs[LIMIT_BATCH];
  unsigned replies = 0;
  for (unsigned i = 0; i < count; i++)
    jobs[i] = &together[i].job;
  zone_read_begin();
  answer_batch(zones, &id, memory, jobs, count, now);
  for (unsigned i = 0; i < count; i++) {
    const struct answer_result *r = &together[i].job.result;
    prepare(&alone, together[i].bytes, together[i].job.size);
    answer_memory_clear(nothing);
    answer(zones, &id, nothing, &alone.job, now);
    assert_int_equal(r->kind, alone.job.result.kind);
    assert_int_equal(r->rcode, alone.job.result.rcode);
    assert_int_equal(r->ede, alone.job.result.ede);
    assert_int_equal(r->truncated, alone.job.result.truncated);
    assert_ptr_equal(r->zone, alone.job.result.zone);
    if (r->kind != ANSWER_DROP) {
      assert_same_message(&together[i], &alone);
      replies += r->kind == ANSWER_REPLY;
    }
    free(together[i].bytes);
    free(alone.bytes);
  }
  zone_read_end();
  return replies;
}

static void test_alone_and_together(void **state) {
  static struct asked together[LIMIT_BATCH];
  struct zone_set *zones = make_zones();
  struct dice d = {42};
  unsigned replies = 0;
  for (unsigned round = 0; round < ROUNDS; round++) {
    unsigned count = 1 + below(&d, LIMIT_BATCH);
    const char *origin = origins[below(&d, sizeof origins / sizeof *origins)];
    const char *parent = below(&d, 2) ? parents[below(&d, sizeof parents / sizeof *parents)] : NULL;
    for (unsigned i = 0; i < count; i++) {
      uint8_t bytes[REQUEST_BYTES_MAX];
      prepare(&together[i], bytes, make_request(&d, origin, parent, bytes));
    }
    replies += ask_both(zones, together, count);
  }
  assert_true(replies > ROUNDS);
  zone_set_free(zones);
}

/* The second name is beside the third and not answered from a zone, so what the first one is has nothing to do with the third. */
static void test_beside_one_not_answered(void **state) {
  static const char *const before[] = {"x.d.plain.", "q.cut1.plain.", "x.wild.plain.", "nothere.b.ent.plain."};
  static struct asked together[3];
  struct zone_set *zones = make_zones();
  for (unsigned i = 0; i < sizeof before / sizeof *before; i++) {
    const char *const names[] = {before[i], "5.plain.", "nothere.plain."};
    for (unsigned k = 0; k < 3; k++) {
      struct message_writer w;
      uint8_t bytes[REQUEST_BYTES_MAX];
      struct name qname = zones_name(names[k]);
      message_start(&w, bytes, sizeof bytes, 1, 0);
      assert_true(message_put_question(&w, &qname, RR_A, CLASS_IN));
      prepare(&together[k], bytes, message_finish(&w, 0));
    }
    assert_int_equal(ask_both(zones, together, 3), 3);
  }
  zone_set_free(zones);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_alone_and_together), cmocka_unit_test(test_beside_one_not_answered)};
  zone_reader_register();
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  zone_reader_unregister();
  return failed;
}
