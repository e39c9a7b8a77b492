/* Answers from signed zones: the worked examples of RFC 4035 appendix B and RFC 5155 appendix B, and what they leave out. */
#include "ask.h"
#include "zones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const char common[] = "@ 3600 SOA ns1 bugs.x.w 1 3600 300 3600000 3600\n"
                             "@ 3600 NS ns1\n"
                             "@ 3600 NS ns2\n"
                             "@ 3600 MX 1 xx\n"
                             "a 3600 NS ns1.a\n"
                             "a 3600 NS ns2.a\n"
                             "a 3600 DS 57855 5 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B\n"
                             "ns1.a 3600 A 192.0.2.5\n"
                             "ns2.a 3600 A 192.0.2.6\n"
                             "ai 3600 A 192.0.2.9\n"
                             "ai 3600 HINFO \"KLH-10\" \"ITS\"\n"
                             "ai 3600 AAAA 2001:db8::f00:baa9\n"
                             "ns1 3600 A 192.0.2.1\n"
                             "ns2 3600 A 192.0.2.2\n"
                             "*.w 3600 MX 1 ai\n"
                             "x.w 3600 MX 1 xx\n"
                             "x.y.w 3600 MX 1 xx\n"
                             "xx 3600 A 192.0.2.10\n"
                             "xx 3600 HINFO \"KLH-10\" \"TOPS-20\"\n"
                             "xx 3600 AAAA 2001:db8::f00:baaa\n";

static struct asker *with_zone(const char *more, enum zones_chain chain) {
  struct asker *a = asker_new();
  struct buf text = {0};
  buf_printf(&text, "%s%s", common, more);
  zones_put(a->zones, "example.", buf_text(&text), chain, NULL);
  buf_done(&text);
  a->edns_bytes = 4096;
  return a;
}

#define SOA "au example. 3600 SOA\nau example. 3600 RRSIG SOA\n"
#define NSEC(owner) "au " owner ".example. 3600 NSEC\nau " owner ".example. 3600 RRSIG NSEC\n"
#define APEX_NSEC "au example. 3600 NSEC\nau example. 3600 RRSIG NSEC\n"
#define OPT "opt 1232 do\n"

/* ---- NSEC: the zone of RFC 4035 appendix A ---- */

static struct asker *nsec_zone(void) {
  return with_zone("b 3600 NS ns1.b\nb 3600 NS ns2.b\nns1.b 3600 A 192.0.2.7\nns2.b 3600 A 192.0.2.8\n", ZONES_NSEC);
}

static void test_nsec_examples(void **state) {
  struct asker *a = nsec_zone();
  expect(a, "x.w.example.", RR_MX, ASK_DO, /* B.1 */
         "NOERROR aa\n"
         "an x.w.example. 3600 MX 1 xx.example.\n"
         "an x.w.example. 3600 RRSIG MX\n"
         "ad xx.example. 3600 A 192.0.2.10\n"
         "ad xx.example. 3600 RRSIG A\n"
         "ad xx.example. 3600 AAAA 2001:db8::f00:baaa\n"
         "ad xx.example. 3600 RRSIG AAAA\n" OPT);
  expect(a, "ml.example.", RR_A, ASK_DO, "NXDOMAIN aa\n" SOA APEX_NSEC NSEC("b") OPT); /* B.2 */
  expect(a, "ns1.example.", RR_MX, ASK_DO, "NOERROR aa\n" SOA NSEC("ns1") OPT);        /* B.3 */
  expect(a, "mc.a.example.", RR_MX, ASK_DO,                                            /* B.4 */
         "NOERROR\n"
         "au a.example. 3600 NS ns1.a.example.\n"
         "au a.example. 3600 NS ns2.a.example.\n"
         "au a.example. 3600 DS 57855 5 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B\n"
         "au a.example. 3600 RRSIG DS\n"
         "ad ns1.a.example. 3600 A 192.0.2.5\n"
         "ad ns2.a.example. 3600 A 192.0.2.6\n" OPT);
  expect(a, "mc.b.example.", RR_MX, ASK_DO, /* B.5 */
         "NOERROR\n"
         "au b.example. 3600 NS ns1.b.example.\n"
         "au b.example. 3600 NS ns2.b.example.\n" NSEC("b") "ad ns1.b.example. 3600 A 192.0.2.7\n"
                                                            "ad ns2.b.example. 3600 A 192.0.2.8\n" OPT);
  expect(a, "a.z.w.example.", RR_MX, ASK_DO, /* B.6 */
         "NOERROR aa\n"
         "an a.z.w.example. 3600 MX 1 ai.example.\n"
         "an a.z.w.example. 3600 RRSIG MX\n" NSEC("x.y.w") "ad ai.example. 3600 A 192.0.2.9\n"
                                                           "ad ai.example. 3600 RRSIG A\n"
                                                           "ad ai.example. 3600 AAAA 2001:db8::f00:baa9\n"
                                                           "ad ai.example. 3600 RRSIG AAAA\n" OPT);
  expect(a, "a.z.w.example.", RR_AAAA, ASK_DO, "NOERROR aa\n" SOA NSEC("*.w") NSEC("x.y.w") OPT); /* B.7 */
  expect(a, "example.", RR_DS, ASK_DO, "NOERROR aa\n" SOA APEX_NSEC OPT);                         /* B.8 */
  asker_free(a);
}

static void test_nsec_more(void **state) {
  struct asker *a = nsec_zone();
  /* one record that covers both name and wildcard stands once */
  expect(a, "aa.example.", RR_A, ASK_DO, "NXDOMAIN aa\n" SOA APEX_NSEC NSEC("a") OPT);
  expect(a, "*.zz.example.", RR_A, ASK_DO, "NXDOMAIN aa\n" SOA APEX_NSEC NSEC("xx") OPT);
  expect(a, "zz.x.w.example.", RR_A, ASK_DO, "NXDOMAIN aa\n" SOA NSEC("x.w") OPT);
  /* an empty non-terminal is covered, not matched */
  expect(a, "y.w.example.", RR_A, ASK_DO, "NOERROR aa\n" SOA NSEC("x.w") OPT);
  /* DS at a cut without one is the parent's to deny */
  expect(a, "b.example.", RR_DS, ASK_DO, "NOERROR aa\n" SOA NSEC("b") OPT);
  expect(a, "a.example.", RR_DS, ASK_DO,
         "NOERROR aa\n"
         "an a.example. 3600 DS 57855 5 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B\n"
         "an a.example. 3600 RRSIG DS\n" OPT);
  expect(a, "ns1.example.", RR_NSEC, ASK_EDNS, "NOERROR aa\nan ns1.example. 3600 NSEC\nopt 1232\n");
  expect(a, "ns1.example.", RR_RRSIG, ASK_PLAIN, "NOERROR aa\nan ns1.example. 3600 RRSIG A\n"); /* one RRset, as for ANY */
  expect(a, "ns1.example.", RR_RRSIG, ASK_TCP, "NOERROR aa\nan ns1.example. 3600 RRSIG A\nan ns1.example. 3600 RRSIG NSEC\n");
  expect(a, "mc.b.example.", RR_RRSIG, ASK_TCP,
         "NOERROR\n"
         "au b.example. 3600 NS ns1.b.example.\n"
         "au b.example. 3600 NS ns2.b.example.\n"
         "ad ns1.b.example. 3600 A 192.0.2.7\n"
         "ad ns2.b.example. 3600 A 192.0.2.8\n");
  asker_free(a);
}

static void test_without_do(void **state) {
  struct asker *a = nsec_zone();
  expect(a, "ml.example.", RR_A, ASK_EDNS, "NXDOMAIN aa\nau example. 3600 SOA\nopt 1232\n");
  expect(a, "ns1.example.", RR_A, ASK_PLAIN, "NOERROR aa\nan ns1.example. 3600 A 192.0.2.1\n");
  expect(a, "mc.b.example.", RR_MX, ASK_PLAIN,
         "NOERROR\n"
         "au b.example. 3600 NS ns1.b.example.\n"
         "au b.example. 3600 NS ns2.b.example.\n"
         "ad ns1.b.example. 3600 A 192.0.2.7\n"
         "ad ns2.b.example. 3600 A 192.0.2.8\n");
  asker_free(a);
}

static void test_any_signed(void **state) {
  struct asker *a = nsec_zone();
  expect(a, "ns1.example.", RR_ANY, ASK_DO, "NOERROR aa\nan ns1.example. 3600 A 192.0.2.1\nan ns1.example. 3600 RRSIG A\n" OPT);
  expect(a, "ns1.example.", RR_ANY, ASK_TCP,
         "NOERROR aa\n"
         "an ns1.example. 3600 A 192.0.2.1\n"
         "an ns1.example. 3600 NSEC\n"
         "an ns1.example. 3600 RRSIG A\n"
         "an ns1.example. 3600 RRSIG NSEC\n");
  expect(a, "ns1.example.", RR_ANY, ASK_DO | ASK_TCP,
         "NOERROR aa\n"
         "an ns1.example. 3600 A 192.0.2.1\n"
         "an ns1.example. 3600 RRSIG A\n"
         "an ns1.example. 3600 NSEC\n"
         "an ns1.example. 3600 RRSIG NSEC\n" OPT);
  asker_free(a);
}

/* What a signer made is the last thing to be given for ANY. */
static void test_any_of_high_type(void **state) {
  struct asker *a = with_zone("tlsa 60 TLSA 3 1 1 00\n", ZONES_NSEC);
  expect(a, "tlsa.example.", RR_ANY, ASK_PLAIN, "NOERROR aa\nan tlsa.example. 60 TLSA 3 1 1 00\n");
  asker_free(a);
}

/* The SOA of a negative answer lives as short as its minimum says, and so does its signature. */
static void test_negative_ttl(void **state) {
  struct asker *a = asker_new();
  zones_put(a->zones, "z.", "@ 3600 SOA ns h 1 2 3 4 77\n@ 3600 NS ns\n", ZONES_NSEC, NULL);
  expect(a, "x.z.", RR_A, ASK_DO,
         "NXDOMAIN aa\n"
         "au z. 77 SOA\n"
         "au z. 77 RRSIG SOA\n"
         "au z. 77 NSEC\n"
         "au z. 77 RRSIG NSEC\n" OPT);
  asker_free(a);
}

static void test_chains(void **state) {
  struct asker *a = with_zone("c1 60 CNAME q.z.w\n"
                              "*.v 60 CNAME www.u.v2\n"
                              "*.u.v2 60 CNAME nothing\n"
                              "d 60 DNAME w\n"
                              "*.zk 60 CNAME h.j.zk\nj.zk 3600 NS ns1\n",
                              ZONES_NSEC);
  /* what proves the wildcards of a chain goes into authority, together with the end of the chain */
  expect(a, "c1.example.", RR_A, ASK_DO,
         "NOERROR aa\n"
         "an c1.example. 60 CNAME q.z.w.example.\n"
         "an c1.example. 60 RRSIG CNAME\n" SOA NSEC("*.w") NSEC("x.y.w") OPT);
  expect(a, "q.v.example.", RR_A, ASK_DO,
         "NXDOMAIN aa\n"
         "an q.v.example. 60 CNAME www.u.v2.example.\n"
         "an q.v.example. 60 RRSIG CNAME\n"
         "an www.u.v2.example. 60 CNAME nothing.example.\n"
         "an www.u.v2.example. 60 RRSIG CNAME\n" SOA NSEC("*.v") NSEC("*.u.v2") APEX_NSEC NSEC("d") OPT);
  /* the cut's NSEC says that there is no closer name, and no DS */
  expect(a, "m.zk.example.", RR_A, ASK_DO,
         "NOERROR aa\n"
         "an m.zk.example. 60 CNAME h.j.zk.example.\n"
         "an m.zk.example. 60 RRSIG CNAME\n"
         "au j.zk.example. 3600 NS ns1.example.\n" NSEC("j.zk") "ad ns1.example. 3600 A 192.0.2.1\n"
                                                                "ad ns1.example. 3600 RRSIG A\n" OPT);
  expect(a, "c1.example.", RR_NSEC, ASK_EDNS, "NOERROR aa\nan c1.example. 3600 NSEC\nopt 1232\n");
  /* the synthesised CNAME has no signature */
  expect(a, "x.d.example.", RR_MX, ASK_DO,
         "NOERROR aa\n"
         "an d.example. 60 DNAME w.example.\n"
         "an d.example. 60 RRSIG DNAME\n"
         "an x.d.example. 60 CNAME x.w.example.\n"
         "an x.w.example. 3600 MX 1 xx.example.\n"
         "an x.w.example. 3600 RRSIG MX\n"
         "ad xx.example. 3600 A 192.0.2.10\n"
         "ad xx.example. 3600 RRSIG A\n"
         "ad xx.example. 3600 AAAA 2001:db8::f00:baaa\n"
         "ad xx.example. 3600 RRSIG AAAA\n" OPT);
  asker_free(a);
}

/* ---- NSEC3 with opt-out: the zone of RFC 5155 appendix A ---- */

#define H_APEX "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"
#define H_NS1 "2t7b4g4vsa5smi47k61mv5bv1a22bojr"
#define H_XYW "2vptu5timamqttgl4luu9kg21e0aor3s"
#define H_A "35mthgpgcu1qg68fab165klnsnk3dpvl"
#define H_XW "b4um86eghhds6nea196smvmlo4ors995"
#define H_YW "ji6neoaepv8b5o6k4ev33abha8ht9fgc"
#define H_W "k8udemvp1j2f7eg6jebps17vp3n8i58h"
#define H_NS2 "q04jkcevqvmu85r014c7dkba38o0ji5r"
#define H_WILD "r53bq7cc2uvmubfu5ocmm6pers9tk9en"
#define NSEC3(hash) "au " hash ".example. 3600 NSEC3\nau " hash ".example. 3600 RRSIG NSEC3\n"

static struct asker *nsec3_zone(enum zones_chain chain) {
  return with_zone(
      "c 3600 NS ns1.c\nc 3600 NS ns2.c\nns1.c 3600 A 192.0.2.7\nns2.c 3600 A 192.0.2.8\n" H_NS1 " 3600 A 192.0.2.127\n", chain);
}

#define C_NS                               \
  "NOERROR\n"                              \
  "au c.example. 3600 NS ns1.c.example.\n" \
  "au c.example. 3600 NS ns2.c.example.\n"
#define C_GLUE                           \
  "ad ns1.c.example. 3600 A 192.0.2.7\n" \
  "ad ns2.c.example. 3600 A 192.0.2.8\n" OPT

static void test_nsec3_examples(void **state) {
  struct asker *a = nsec3_zone(ZONES_OPT_OUT);
  expect(a, "a.c.x.w.example.", RR_A, ASK_DO, "NXDOMAIN aa\n" SOA NSEC3(H_XW) NSEC3(H_A) NSEC3(H_APEX) OPT); /* B.1 */
  expect(a, "ns1.example.", RR_MX, ASK_DO, "NOERROR aa\n" SOA NSEC3(H_NS1) OPT);                             /* B.2 */
  expect(a, "y.w.example.", RR_A, ASK_DO, "NOERROR aa\n" SOA NSEC3(H_YW) OPT);                               /* B.2.1 */
  expect(a, "mc.c.example.", RR_MX, ASK_DO, C_NS NSEC3(H_APEX) NSEC3(H_A) C_GLUE);                           /* B.3 */
  expect(a, "a.z.w.example.", RR_MX, ASK_DO,                                                                 /* B.4 */
         "NOERROR aa\n"
         "an a.z.w.example. 3600 MX 1 ai.example.\n"
         "an a.z.w.example. 3600 RRSIG MX\n" NSEC3(H_NS2) "ad ai.example. 3600 A 192.0.2.9\n"
                                                          "ad ai.example. 3600 RRSIG A\n"
                                                          "ad ai.example. 3600 AAAA 2001:db8::f00:baa9\n"
                                                          "ad ai.example. 3600 RRSIG AAAA\n" OPT);
  expect(a, "a.z.w.example.", RR_AAAA, ASK_DO, "NOERROR aa\n" SOA NSEC3(H_W) NSEC3(H_WILD) NSEC3(H_NS2) OPT); /* B.5 */
  expect(a, "example.", RR_DS, ASK_DO, "NOERROR aa\n" SOA NSEC3(H_APEX) OPT);                                 /* B.6 */
  asker_free(a);
}

static void test_nsec3_more(void **state) {
  struct asker *a = nsec3_zone(ZONES_OPT_OUT);
  /* DS of an opted-out delegation: the closest provable encloser (RFC 5155 §7.2.4) */
  expect(a, "c.example.", RR_DS, ASK_DO, "NOERROR aa\n" SOA NSEC3(H_APEX) NSEC3(H_A) OPT);
  /* an owner of NSEC3 alone does not exist (§7.2.8); one that has other data, too, does */
  const char *text = ask(a, H_XYW ".example.", RR_NSEC3, ASK_PLAIN);
  assert_memory_equal(text, "NXDOMAIN", 8);
  expect(a, H_NS1 ".example.", RR_A, ASK_PLAIN, "NOERROR aa\nan " H_NS1 ".example. 3600 A 192.0.2.127\n");
  /* names are hashed in lower case */
  expect(a, "NS1.example.", RR_MX, ASK_DO, "NOERROR aa\n" SOA NSEC3(H_NS1) OPT);
  asker_free(a);
  a = nsec3_zone(ZONES_NSEC3); /* without opt-out every delegation has its own record: 4g6p9u5gvfshp30pqecj98b3maqbn1ck */
  expect(a, "mc.c.example.", RR_MX, ASK_DO, C_NS NSEC3("4g6p9u5gvfshp30pqecj98b3maqbn1ck") C_GLUE);
  expect(a, "c.example.", RR_DS, ASK_DO, "NOERROR aa\n" SOA NSEC3("4g6p9u5gvfshp30pqecj98b3maqbn1ck") OPT);
  asker_free(a);
}

/* An empty non-terminal that only leads to opted-out delegations has no NSEC3; its names are proved from further above. */
static void test_nsec3_opted_out_non_terminal(void **state) {
  struct asker *a = with_zone("deep.er 3600 NS ns.elsewhere.\n", ZONES_OPT_OUT);
  expect(a, "er.example.", RR_A, ASK_DO, "NOERROR aa\n" SOA NSEC3(H_APEX) NSEC3(H_W) OPT);
  asker_free(a);
}

static void test_nsec3_iterations(void **state) {
  for (unsigned over = 0; over < 2; over++) {
    struct asker *a = asker_new();
    struct name apex = zones_name("z.");
    struct zone_snap *snap =
        zones_build_nsec3("z.", "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\n", false, (uint16_t)(LIMIT_NSEC3_ITERATIONS + over));
    assert_int_equal(zone_set_put(a->zones, &apex, zones_entry(0, snap, NULL)), ERR_OK);
    const char *text = ask(a, "x.z.", RR_A, ASK_DO);
    if (over) assert_string_equal(text, "SERVFAIL\nopt 1232 do ede=27\n");
    else assert_memory_equal(text, "NXDOMAIN aa", 11);
    assert_memory_equal(ask(a, "x.z.", RR_A, ASK_EDNS), "NXDOMAIN aa", 11); /* nobody asked for a proof */
    assert_memory_equal(ask(a, "z.", RR_NS, ASK_DO), "NOERROR aa", 10);
    asker_free(a);
  }
}

/* A name of 255 octets is hashed and denied like any other. */
static void test_longest_name(void **state) {
  struct asker *a = nsec3_zone(ZONES_NSEC3);
  char name[600];
  size_t n = 0;
  for (unsigned i = 0; i < 123; i++) {
    name[n++] = 'q';
    name[n++] = '.';
  }
  memcpy(name + n, "example.", 9);
  assert_memory_equal(ask(a, name, RR_A, ASK_DO | ASK_TCP), "NXDOMAIN aa", 11);
  asker_free(a);
  a = nsec_zone();
  assert_memory_equal(ask(a, name, RR_A, ASK_DO | ASK_TCP), "NXDOMAIN aa", 11);
  asker_free(a);
}

#define SERVER(n) "s 3600 NS n" n ".p\nn" n ".p 3600 A 192.0.2." n "\nn" n ".p 3600 AAAA 2001:db8::" n "\n"

struct question {
  const char *name;
  uint16_t type;
  unsigned how;
};

/* A batch of them gives the same answers as one after the other. */
static void assert_as_alone(struct asker *a, const struct question *questions, unsigned count) {
  static struct answer_job jobs[LIMIT_BATCH];
  static uint8_t requests[LIMIT_BATCH][512], responses[LIMIT_BATCH][LIMIT_UDP_RESPONSE_BYTES];
  struct answer_job *list[LIMIT_BATCH];
  for (unsigned i = 0; i < count; i++) {
    size_t n = asker_question(a, questions[i].name, questions[i].type, questions[i].how);
    memcpy(requests[i], a->request, n);
    jobs[i] = (struct answer_job){.bytes = requests[i], .size = n, .out = responses[i], .capacity = sizeof responses[i]};
    jobs[i].client = (struct answer_client){.from = a->from, .transport = TRANSPORT_UDP};
    list[i] = &jobs[i];
  }
  zone_read_begin();
  answer_batch(a->zones, &a->id, a->memory, list, count, a->now);
  zone_read_end();
  for (unsigned i = 0; i < count; i++) {
    struct buf alone = {0};
    asker_send(a, requests[i], jobs[i].size, ASK_PLAIN);
    buf_printf(&alone, "%s", asker_render(a));
    memcpy(a->response, responses[i], jobs[i].result.size);
    a->job.result = jobs[i].result;
    assert_string_equal(asker_render(a), buf_text(&alone));
    buf_done(&alone);
  }
}

static const char *const names[] = {
    "ml.example.",   "ns1.example.", "w.example.",    "y.w.example.",   "a.c.x.w.example.", "b.z.w.example.", "x.y.w.example.",
    "mc.b.example.", "b.example.",   "a.example.",    "mc.c.example.",  "c.example.",       "er.example.",    "no.er.example.",
    "example.",      "zz.example.",  "q.xx.example.", "ns1.b.example.", "x.y.b.example.",   "s.example.",     "a.s.example."};
static const uint16_t types[] = {RR_A, RR_MX, RR_DS, RR_ANY};
enum { NAMES = sizeof names / sizeof names[0], TYPES = sizeof types / sizeof types[0], QUESTIONS = NAMES * TYPES };
static const char more[] = "b 3600 NS ns1.b\nns1.b 3600 A 192.0.2.7\nc 3600 NS ns1.c\ndeep.er 3600 NS ns.elsewhere.\n" SERVER("1")
    SERVER("2") SERVER("3") SERVER("4") SERVER("5") SERVER("6") SERVER("7") SERVER("8");

/* What the questions of a batch share, and what is found for them in lockstep, changes no answer. */
static void test_batch_as_alone(void **state) {
  static const enum zones_chain chains[] = {ZONES_NSEC, ZONES_NSEC3, ZONES_OPT_OUT};
  /* without EDNS there is no room for all addresses of s */
  static const struct question sizes[] = {
      {"www.s.example.", RR_A, ASK_PLAIN}, {"w.s.example.", RR_A, ASK_EDNS}, {"www.s.example.", RR_A, ASK_PLAIN}};
  for (unsigned c = 0; c < sizeof chains / sizeof chains[0]; c++) {
    struct asker *a = with_zone(more, chains[c]);
    for (unsigned first = 0; first < QUESTIONS; first++) {
      struct question questions[LIMIT_BATCH];
      for (unsigned i = 0; i < LIMIT_BATCH; i++) {
        unsigned q = (first + 7 * i) % QUESTIONS;
        questions[i] = (struct question){names[q % NAMES], types[q / NAMES], i % 8 ? ASK_DO : ASK_EDNS};
      }
      assert_as_alone(a, questions, LIMIT_BATCH);
    }
    assert_as_alone(a, sizes, sizeof sizes / sizeof sizes[0]);
    asker_free(a);
  }
}

/* Answers to all questions, as they are given alone. */
static char *answers_of(struct zone_snap *snap) {
  struct asker *a = asker_new();
  struct name apex = zones_name("example.");
  struct buf text = {0};
  assert_int_equal(zone_set_put(a->zones, &apex, zones_entry(0, zone_snap_ref(snap), NULL)), ERR_OK);
  a->edns_bytes = 4096;
  for (unsigned i = 0; i < QUESTIONS; i++)
    buf_printf(&text, "%s %u\n%s", names[i % NAMES], types[i / NAMES], ask(a, names[i % NAMES], types[i / NAMES], ASK_DO));
  asker_free(a);
  char *copy = strdup(buf_text(&text));
  assert_non_null(copy);
  buf_done(&text);
  return copy;
}

static void assert_same_answers(struct zone_snap *snap, const char *expected, bool hashed) {
  char *answers = answers_of(snap);
  assert_string_equal(answers, expected);
  assert_int_equal(zone_nsec3_hash(snap, zone_apex_node(snap)) != NULL, hashed);
  free(answers);
}

/* Hashes that are kept with the names change no answer: not in the zone as it was made, not after the chain gave way to another
 * one, for which there are none, and not when it came back. */
static void test_nsec3_kept_hashes(void **state) {
  for (unsigned opt_out = 0; opt_out < 2; opt_out++) {
    enum { MANY = 100 }; /* iterations for which none are kept */
    struct buf text = {0};
    buf_printf(&text, "%s%s", common, more);
    struct zone_snap *one = zones_build_nsec3("example.", buf_text(&text), opt_out, 1);
    struct zone_snap *two = zones_build_nsec3("example.", buf_text(&text), opt_out, 2);
    struct zone_snap *none = zones_build_nsec3("example.", buf_text(&text), opt_out, MANY);
    struct zone_snap *one_hashed_anew = zones_turn(two, one), *two_back = zones_turn(one_hashed_anew, two);
    struct zone_snap *none_before = zones_turn(none, two);
    char *of_one = answers_of(one), *of_two = answers_of(two);
    assert_string_not_equal(of_one, of_two);
    assert_same_answers(one, of_one, true);
    assert_same_answers(one_hashed_anew, of_one, false);
    assert_same_answers(two_back, of_two, true);
    assert_same_answers(none_before, of_two, false);
    free(of_one);
    free(of_two);
    struct zone_snap *const all[] = {one, two, none, one_hashed_anew, two_back, none_before};
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
      zone_snap_unref(all[i]);
    buf_done(&text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nsec_examples),    cmocka_unit_test(test_nsec_more),
      cmocka_unit_test(test_without_do),       cmocka_unit_test(test_any_signed),
      cmocka_unit_test(test_any_of_high_type), cmocka_unit_test(test_negative_ttl),
      cmocka_unit_test(test_chains),           cmocka_unit_test(test_nsec3_examples),
      cmocka_unit_test(test_nsec3_more),       cmocka_unit_test(test_nsec3_opted_out_non_terminal),
      cmocka_unit_test(test_nsec3_iterations), cmocka_unit_test(test_longest_name),
      cmocka_unit_test(test_batch_as_alone),   cmocka_unit_test(test_nsec3_kept_hashes),
  };
  zone_reader_register();
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  zone_reader_unregister();
  return failed;
}
