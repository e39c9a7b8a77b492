#include "ask.h"
#include "zones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char zone_example[] = "@ 3600 SOA ns1 hostmaster 7 3600 600 86400 300\n"
                                   "@ 3600 NS ns1\n"
                                   "@ 3600 NS ns.elsewhere.\n"
                                   "@ 3600 MX 10 mail\n"
                                   "ns1 3600 A 192.0.2.1\n"
                                   "ns1 3600 AAAA 2001:db8::1\n"
                                   "mail 300 A 192.0.2.25\n"
                                   "www 300 A 192.0.2.80\n"
                                   "www 300 A 192.0.2.81\n"
                                   "www 300 TXT \"hello\"\n"
                                   "alias 60 CNAME www\n"
                                   "alias2 60 CNAME alias\n"
                                   "mailalias 60 CNAME example.\n"
                                   "dangling 60 CNAME nowhere\n"
                                   "toent 60 CNAME b.ent\n"
                                   "out 60 CNAME www.elsewhere.\n"
                                   "loop1 60 CNAME loop2\n"
                                   "loop2 60 CNAME loop1\n"
                                   "self 60 CNAME self\n"
                                   "a.b.ent 300 TXT \"x\"\n"
                                   "deleg 3600 NS ns.deleg\n"
                                   "deleg 3600 NS ns1\n"
                                   "deleg 3600 NS ns.sib\n"
                                   "deleg 3600 NS ns.elsewhere.\n"
                                   "mx 300 MX 1 ns.deleg\n"
                                   "ns.deleg 3600 A 192.0.2.53\n"
                                   "ns.deleg 3600 AAAA 2001:db8::53\n"
                                   "lower.deleg 3600 NS ns.lower.deleg\n"
                                   "ns.lower.deleg 3600 A 192.0.2.56\n"
                                   "sib 3600 NS ns.sib\n"
                                   "ns.sib 3600 A 192.0.2.55\n"
                                   "intodeleg 60 CNAME host.deleg\n"
                                   "d 600 DNAME target.elsewhere.\n"
                                   "d 600 TXT \"at the DNAME\"\n"
                                   "occluded.d 600 TXT \"never seen\"\n"
                                   "d2 600 DNAME d3\n"
                                   "x.d3 300 A 192.0.2.3\n"
                                   "grow 600 DNAME more.grow\n"
                                   "ping 600 DNAME pong\n"
                                   "pong 600 DNAME ping\n"
                                   "long 600 DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
                                   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
                                   "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.elsewhere.\n"
                                   "cross 60 CNAME www.second.\n"
                                   "crossmissing 60 CNAME missing.second.\n"
                                   "_sip._tcp 300 SRV 0 5 5060 sip\n"
                                   "_sip._tcp 300 SRV 1 5 5060 sip\n"
                                   "_sip._tcp 300 SRV 2 5 5060 host.deleg\n"
                                   "sip 300 A 192.0.2.60\n"
                                   "nomail 300 MX 0 .\n"
                                   "naptr 300 NAPTR 10 10 \"s\" \"SIP+D2T\" \"\" _sip._tcp\n"
                                   "svc 300 HTTPS 1 . alpn=h2\n"
                                   "svc 300 A 192.0.2.70\n"
                                   "svcalias 300 HTTPS 0 svc\n"
                                   "*.wild 300 A 192.0.2.7\n"
                                   "*.wildc 60 CNAME www\n"
                                   "*.wildloop 60 CNAME a.wildloop\n"
                                   "both 300 A 192.0.2.90\n"
                                   "both 300 CNAME www\n"
                                   "only 300 TYPE65280 \\# 2 abcd\n";

static const char zone_second[] = "@ 3600 SOA ns1.example. hostmaster 8 3600 600 86400 7200\n"
                                  "@ 3600 NS ns1.example.\n"
                                  "www 300 A 192.0.2.200\n"
                                  "mail 300 MX 1 www.child\n" /* not this zone's to know */
                                  "back 60 CNAME alias.example.\n"
                                  "child 3600 NS ns1.example.\n"
                                  "child 3600 DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000\n";

static const char zone_child[] = "@ 3600 SOA ns1.example. hostmaster 9 3600 600 86400 300\n"
                                 "@ 3600 NS ns1.example.\n"
                                 "www 300 A 192.0.2.201\n"
                                 "mail 300 MX 1 www\n";

static int setup(void **state) {
  struct asker *a = asker_new();
  zones_put(a->zones, "example.", zone_example, ZONES_UNSIGNED, NULL);
  zones_put(a->zones, "second.", zone_second, ZONES_UNSIGNED, NULL);
  zones_put(a->zones, "child.second.", zone_child, ZONES_UNSIGNED, NULL);
  *state = a;
  return 0;
}

static int teardown(void **state) {
  asker_free(*state);
  return 0;
}

#define SOA "au example. 300 SOA\n" /* TTL is min(3600, 300), RFC 2308 §3 */

static void test_positive(void **state) {
  struct asker *a = *state;
  expect(a, "www.example.", RR_A, ASK_PLAIN,
         "NOERROR aa\n"
         "an www.example. 300 A 192.0.2.80\n"
         "an www.example. 300 A 192.0.2.81\n");
  expect(a, "wWw.ExAmPlE.", RR_TXT, ASK_RD,
         "NOERROR aa rd\n"
         "an wWw.ExAmPlE. 300 TXT \"hello\"\n");
  expect(a, "only.example.", 65280, ASK_PLAIN, "NOERROR aa\nan only.example. 300 TYPE65280 \\# 2 ABCD\n");
  expect(a, "example.", RR_SOA, ASK_TCP, "NOERROR aa\nan example. 3600 SOA\n");
}

static void test_result_record(void **state) {
  struct asker *a = *state;
  ask(a, "www.second.", RR_A, ASK_DO | ASK_TCP);
  const struct answer_result *r = &a->job.result;
  assert_int_equal(r->kind, ANSWER_REPLY);
  assert_int_equal(r->rcode, RCODE_NOERROR);
  assert_int_equal(r->ede, EDE_NONE);
  assert_false(r->truncated);
  assert_int_equal(r->zone->id, 1);
  ask(a, "nowhere.", RR_A, ASK_PLAIN);
  assert_int_equal(r->rcode, RCODE_REFUSED);
  assert_null(r->zone);
}

static void test_negative(void **state) {
  struct asker *a = *state;
  expect(a, "www.example.", RR_AAAA, ASK_PLAIN, "NOERROR aa\n" SOA);
  expect(a, "nowhere.example.", RR_A, ASK_PLAIN, "NXDOMAIN aa\n" SOA);
  expect(a, "b.ent.example.", RR_A, ASK_PLAIN, "NOERROR aa\n" SOA); /* an empty non-terminal exists */
  expect(a, "ent.example.", RR_TXT, ASK_PLAIN, "NOERROR aa\n" SOA);
  expect(a, "c.ent.example.", RR_TXT, ASK_PLAIN, "NXDOMAIN aa\n" SOA);
  expect(a, "missing.second.", RR_A, ASK_PLAIN, "NXDOMAIN aa\nau second. 3600 SOA\n"); /* the SOA's own TTL is the lower one */
}

static void test_outside(void **state) {
  struct asker *a = *state;
  expect(a, "www.elsewhere.", RR_A, ASK_PLAIN, "REFUSED\n");
  expect(a, ".", RR_NS, ASK_PLAIN, "REFUSED\n");
  expect(a, "www.elsewhere.", RR_A, ASK_EDNS, "REFUSED\nopt 1232 ede=20\n");
}

/* NS records come in canonical order of RDATA: shorter labels first. */
#define DELEG                                     \
  "au deleg.example. 3600 NS ns.sib.example.\n"   \
  "au deleg.example. 3600 NS ns.deleg.example.\n" \
  "au deleg.example. 3600 NS ns.elsewhere.\n"     \
  "au deleg.example. 3600 NS ns1.example.\n"      \
  "ad ns.deleg.example. 3600 A 192.0.2.53\n"      \
  "ad ns.deleg.example. 3600 AAAA 2001:db8::53\n" \
  "ad ns.sib.example. 3600 A 192.0.2.55\n"        \
  "ad ns1.example. 3600 A 192.0.2.1\n"            \
  "ad ns1.example. 3600 AAAA 2001:db8::1\n"

static void test_referral(void **state) {
  struct asker *a = *state;
  expect(a, "deleg.example.", RR_A, ASK_PLAIN, "NOERROR\n" DELEG);
  expect(a, "deleg.example.", RR_NS, ASK_PLAIN, "NOERROR\n" DELEG);
  expect(a, "www.deleg.example.", RR_A, ASK_PLAIN, "NOERROR\n" DELEG);
  expect(a, "ns.deleg.example.", RR_A, ASK_PLAIN, "NOERROR\n" DELEG); /* glue is not an answer */
  expect(a, "www.deleg.example.", RR_DS, ASK_PLAIN, "NOERROR\n" DELEG);
  expect(a, "x.lower.deleg.example.", RR_A, ASK_PLAIN, "NOERROR\n" DELEG); /* the upper of stacked cuts */
  expect(a, "deleg.example.", RR_ANY, ASK_PLAIN, "NOERROR\n" DELEG);
  expect(a, "deleg.example.", RR_DS, ASK_PLAIN, "NOERROR aa\n" SOA); /* the parent's to deny */
}

static void test_additional(void **state) {
  struct asker *a = *state;
  expect(a, "example.", RR_NS, ASK_PLAIN,
         "NOERROR aa\n"
         "an example. 3600 NS ns.elsewhere.\n"
         "an example. 3600 NS ns1.example.\n"
         "ad ns1.example. 3600 A 192.0.2.1\n"
         "ad ns1.example. 3600 AAAA 2001:db8::1\n");
  expect(a, "example.", RR_MX, ASK_PLAIN,
         "NOERROR aa\n"
         "an example. 3600 MX 10 mail.example.\n"
         "ad mail.example. 300 A 192.0.2.25\n");
  expect(a, "mailalias.example.", RR_MX, ASK_PLAIN,
         "NOERROR aa\n"
         "an mailalias.example. 60 CNAME example.\n"
         "an example. 3600 MX 10 mail.example.\n"
         "ad mail.example. 300 A 192.0.2.25\n");
  expect(a, "_sip._tcp.example.", RR_SRV, ASK_PLAIN,
         "NOERROR aa\n"
         "an _sip._tcp.example. 300 SRV 0 5 5060 sip.example.\n"
         "an _sip._tcp.example. 300 SRV 1 5 5060 sip.example.\n"
         "an _sip._tcp.example. 300 SRV 2 5 5060 host.deleg.example.\n"
         "ad sip.example. 300 A 192.0.2.60\n");
  /* addresses below a cut are glue, good for finding name servers only */
  expect(a, "mx.example.", RR_MX, ASK_PLAIN, "NOERROR aa\nan mx.example. 300 MX 1 ns.deleg.example.\n");
  expect(a, "nomail.example.", RR_MX, ASK_PLAIN, "NOERROR aa\nan nomail.example. 300 MX 0 .\n");
  expect(a, "svcalias.example.", RR_HTTPS, ASK_PLAIN,
         "NOERROR aa\n"
         "an svcalias.example. 300 HTTPS 0 svc.example.\n"
         "ad svc.example. 300 HTTPS 1 . alpn=\"h2\"\n"
         "ad svc.example. 300 A 192.0.2.70\n");
  expect(a, "svc.example.", RR_HTTPS, ASK_PLAIN,
         "NOERROR aa\n"
         "an svc.example. 300 HTTPS 1 . alpn=\"h2\"\n"
         "ad svc.example. 300 A 192.0.2.70\n");
}

static void test_naptr(void **state) {
  struct asker *a = *state;
  const char *text = ask(a, "naptr.example.", RR_NAPTR, ASK_PLAIN);
  assert_non_null(strstr(text, "ad _sip._tcp.example. 300 SRV 0 5 5060 sip.example.\n"));
}

static void test_cname(void **state) {
  struct asker *a = *state;
  expect(a, "alias2.example.", RR_A, ASK_PLAIN,
         "NOERROR aa\n"
         "an alias2.example. 60 CNAME alias.example.\n"
         "an alias.example. 60 CNAME www.example.\n"
         "an www.example. 300 A 192.0.2.80\n"
         "an www.example. 300 A 192.0.2.81\n");
  expect(a, "alias2.example.", RR_CNAME, ASK_PLAIN, "NOERROR aa\nan alias2.example. 60 CNAME alias.example.\n");
  /* NSEC may stand beside a CNAME; where it does not it is asked for like any type */
  expect(a, "dangling.example.", RR_NSEC, ASK_PLAIN,
         "NXDOMAIN aa\nan dangling.example. 60 CNAME nowhere.example.\nau example. 300 SOA\n");
  expect(a, "alias2.example.", RR_ANY, ASK_PLAIN, "NOERROR aa\nan alias2.example. 60 CNAME alias.example.\n");
  expect(a, "alias.example.", RR_AAAA, ASK_PLAIN, "NOERROR aa\nan alias.example. 60 CNAME www.example.\n" SOA);
  expect(a, "dangling.example.", RR_A, ASK_PLAIN, "NXDOMAIN aa\nan dangling.example. 60 CNAME nowhere.example.\n" SOA);
  expect(a, "toent.example.", RR_A, ASK_PLAIN, "NOERROR aa\nan toent.example. 60 CNAME b.ent.example.\n" SOA);
  expect(a, "out.example.", RR_A, ASK_PLAIN, "NOERROR aa\nan out.example. 60 CNAME www.elsewhere.\n");
  expect(a, "both.example.", RR_A, ASK_PLAIN,
         "NOERROR aa\n"
         "an both.example. 300 CNAME www.example.\n"
         "an www.example. 300 A 192.0.2.80\n"
         "an www.example. 300 A 192.0.2.81\n");
}

static void test_cname_loops(void **state) {
  struct asker *a = *state;
  expect(a, "loop1.example.", RR_A, ASK_PLAIN,
         "NOERROR aa\n"
         "an loop1.example. 60 CNAME loop2.example.\n"
         "an loop2.example. 60 CNAME loop1.example.\n");
  expect(a, "SELF.example.", RR_A, ASK_PLAIN, "NOERROR aa\nan SELF.example. 60 CNAME self.example.\n");
  expect(a, "q.wildloop.example.", RR_A, ASK_PLAIN,
         "NOERROR aa\n"
         "an q.wildloop.example. 60 CNAME a.wildloop.example.\n"
         "an a.wildloop.example. 60 CNAME a.wildloop.example.\n");
}

static void test_long_chain(void **state) {
  struct asker *a = *state;
  struct buf text = {0}, expected = {0};
  buf_add_text(&text, "@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\nc39 60 A 192.0.2.1\n");
  for (unsigned i = 0; i < 39; i++)
    buf_printf(&text, "c%u 60 CNAME c%u\n", i, i + 1);
  zones_put(a->zones, "chain.", buf_text(&text), ZONES_UNSIGNED, NULL);
  buf_add_text(&expected, "NOERROR aa\n");
  for (unsigned i = 0; i <= LIMIT_CHAIN_LINKS; i++)
    buf_printf(&expected, "an c%u.chain. 60 CNAME c%u.chain.\n", i, i + 1);
  expect(a, "c0.chain.", RR_A, ASK_TCP, buf_text(&expected));
  buf_done(&text);
  buf_done(&expected);
}

static void test_chain_across_zones(void **state) {
  struct asker *a = *state;
  expect(a, "cross.example.", RR_A, ASK_PLAIN,
         "NOERROR aa\n"
         "an cross.example. 60 CNAME www.second.\n"
         "an www.second. 300 A 192.0.2.200\n");
  expect(a, "crossmissing.example.", RR_A, ASK_PLAIN,
         "NXDOMAIN aa\n"
         "an crossmissing.example. 60 CNAME missing.second.\n"
         "au second. 3600 SOA\n");
  expect(a, "back.second.", RR_TXT, ASK_PLAIN,
         "NOERROR aa\n"
         "an back.second. 60 CNAME alias.example.\n"
         "an alias.example. 60 CNAME www.example.\n"
         "an www.example. 300 TXT \"hello\"\n");
  expect(a, "intodeleg.example.", RR_A, ASK_PLAIN, "NOERROR aa\nan intodeleg.example. 60 CNAME host.deleg.example.\n" DELEG);
}

static void test_dname(void **state) {
  struct asker *a = *state;
  expect(a, "x.y.d.example.", RR_A, ASK_PLAIN,
         "NOERROR aa\n"
         "an d.example. 600 DNAME target.elsewhere.\n"
         "an x.y.d.example. 600 CNAME x.y.target.elsewhere.\n");
  expect(a, "occluded.d.example.", RR_TXT, ASK_PLAIN,
         "NOERROR aa\n"
         "an d.example. 600 DNAME target.elsewhere.\n"
         "an occluded.d.example. 600 CNAME occluded.target.elsewhere.\n");
  expect(a, "d.example.", RR_TXT, ASK_PLAIN, "NOERROR aa\nan d.example. 600 TXT \"at the DNAME\"\n");
  expect(a, "d.example.", RR_DNAME, ASK_PLAIN, "NOERROR aa\nan d.example. 600 DNAME target.elsewhere.\n");
  expect(a, "d.example.", RR_A, ASK_PLAIN, "NOERROR aa\n" SOA);
  expect(a, "x.d2.example.", RR_A, ASK_PLAIN,
         "NOERROR aa\n"
         "an d2.example. 600 DNAME d3.example.\n"
         "an x.d2.example. 600 CNAME x.d3.example.\n"
         "an x.d3.example. 300 A 192.0.2.3\n");
  expect(a, "y.d2.example.", RR_A, ASK_PLAIN,
         "NXDOMAIN aa\n"
         "an d2.example. 600 DNAME d3.example.\n"
         "an y.d2.example. 600 CNAME y.d3.example.\n" SOA);
  expect(a, "x.d2.example.", RR_CNAME, ASK_PLAIN,
         "NOERROR aa\n"
         "an d2.example. 600 DNAME d3.example.\n"
         "an x.d2.example. 600 CNAME x.d3.example.\n");
  /* RFC 6672 §3.2 goes on with the new name whatever was asked for, even ANY */
  expect(a, "x.d2.example.", RR_ANY, ASK_PLAIN,
         "NOERROR aa\n"
         "an d2.example. 600 DNAME d3.example.\n"
         "an x.d2.example. 600 CNAME x.d3.example.\n"
         "an x.d3.example. 300 A 192.0.2.3\n");
  /* no record twice, not even when two DNAMEs lead to each other */
  expect(a, "x.ping.example.", RR_A, ASK_PLAIN,
         "NOERROR aa\n"
         "an ping.example. 600 DNAME pong.example.\n"
         "an x.ping.example. 600 CNAME x.pong.example.\n"
         "an pong.example. 600 DNAME ping.example.\n"
         "an x.pong.example. 600 CNAME x.ping.example.\n");
}

#define A60 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void test_dname_too_long(void **state) {
  struct asker *a = *state;
  expect(a, A60 ".long.example.", RR_A, ASK_TCP,
         "YXDOMAIN aa\n"
         "an long.example. 600 DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
         "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
         "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.elsewhere.\n");
}

static void test_dname_grows(void **state) {
  struct asker *a = *state;
  const char *text = ask(a, "x.grow.example.", RR_A, ASK_TCP);
  const char *first = strstr(text, " DNAME ");
  assert_non_null(first);
  assert_null(strstr(first + 1, " DNAME ")); /* once, however often it is used */
  unsigned cnames = 0;
  for (const char *at = text; (at = strstr(at, " CNAME ")); at++)
    cnames++;
  assert_int_equal(cnames, LIMIT_CHAIN_LINKS + 1);
}

static void test_wildcard(void **state) {
  struct asker *a = *state;
  expect(a, "x.y.wild.example.", RR_A, ASK_PLAIN, "NOERROR aa\nan x.y.wild.example. 300 A 192.0.2.7\n");
  expect(a, "x.wild.example.", RR_TXT, ASK_PLAIN, "NOERROR aa\n" SOA);
  expect(a, "wild.example.", RR_A, ASK_PLAIN, "NOERROR aa\n" SOA);
  expect(a, "*.wild.example.", RR_A, ASK_PLAIN, "NOERROR aa\nan *.wild.example. 300 A 192.0.2.7\n");
  expect(a, "q.wildc.example.", RR_TXT, ASK_PLAIN,
         "NOERROR aa\n"
         "an q.wildc.example. 60 CNAME www.example.\n"
         "an www.example. 300 TXT \"hello\"\n");
}

/* The zone and the questions of RFC 4592 §2.2.1. */
static void test_rfc4592(void **state) {
  struct asker *a = asker_new();
  zones_put(a->zones, "example.",
            "@ 3600 SOA ns.example.com. h.example.com. 1 2 3 4 3600\n"
            "@ 3600 NS ns.example.com.\n"
            "@ 3600 NS ns.example.net.\n"
            "* 3600 TXT \"this is a wildcard\"\n"
            "* 3600 MX 10 host1\n"
            "sub.* 3600 TXT \"this is not a wildcard\"\n"
            "host1 3600 A 192.0.2.1\n"
            "_ssh._tcp.host1 3600 SRV 0 0 22 host1\n"
            "_ssh._tcp.host2 3600 SRV 0 0 22 host1\n"
            "subdel 3600 NS ns.example.com.\n"
            "subdel 3600 NS ns.example.net.\n",
            ZONES_UNSIGNED, NULL);
#define SOA4592 "au example. 3600 SOA\n"
  expect(a, "host3.example.", RR_MX, ASK_PLAIN,
         "NOERROR aa\nan host3.example. 3600 MX 10 host1.example.\nad host1.example. 3600 A 192.0.2.1\n");
  expect(a, "host3.example.", RR_A, ASK_PLAIN, "NOERROR aa\n" SOA4592);
  expect(a, "foo.bar.example.", RR_TXT, ASK_PLAIN, "NOERROR aa\nan foo.bar.example. 3600 TXT \"this is a wildcard\"\n");
  expect(a, "host1.example.", RR_MX, ASK_PLAIN, "NOERROR aa\n" SOA4592);
  expect(a, "sub.*.example.", RR_MX, ASK_PLAIN, "NOERROR aa\n" SOA4592);
  expect(a, "_telnet._tcp.host1.example.", RR_SRV, ASK_PLAIN, "NXDOMAIN aa\n" SOA4592);
  expect(a, "host.subdel.example.", RR_A, ASK_PLAIN,
         "NOERROR\nau subdel.example. 3600 NS ns.example.com.\nau subdel.example. 3600 NS ns.example.net.\n");
  expect(a, "ghost.*.example.", RR_MX, ASK_PLAIN, "NXDOMAIN aa\n" SOA4592);
  expect(a, "host2.example.", RR_MX, ASK_PLAIN, "NOERROR aa\n" SOA4592); /* an empty non-terminal blocks the wildcard */
  asker_free(a);
}

/* A wildcard that is itself an empty non-terminal: no data, but no NXDOMAIN either (RFC 4592 §3.3.1). */
static void test_empty_wildcard(void **state) {
  struct asker *a = asker_new();
  zones_put(a->zones, "example.", "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nfoo.*.e 60 A 192.0.2.1\n", ZONES_UNSIGNED, NULL);
  expect(a, "bar.e.example.", RR_A, ASK_PLAIN, "NOERROR aa\nau example. 5 SOA\n");
  expect(a, "*.e.example.", RR_A, ASK_PLAIN, "NOERROR aa\nau example. 5 SOA\n");
  asker_free(a);
}

static void test_any(void **state) {
  struct asker *a = *state;
  expect(a, "www.example.", RR_ANY, ASK_PLAIN,
         "NOERROR aa\n"
         "an www.example. 300 A 192.0.2.80\n"
         "an www.example. 300 A 192.0.2.81\n");
  expect(a, "www.example.", RR_ANY, ASK_TCP,
         "NOERROR aa\n"
         "an www.example. 300 A 192.0.2.80\n"
         "an www.example. 300 A 192.0.2.81\n"
         "an www.example. 300 TXT \"hello\"\n");
  expect(a, "b.ent.example.", RR_ANY, ASK_PLAIN, "NOERROR aa\n" SOA);
  expect(a, "nowhere.example.", RR_ANY, ASK_PLAIN, "NXDOMAIN aa\n" SOA);
}

static void test_ds_at_parent(void **state) {
  struct asker *a = *state;
  static const char ds[] = "NOERROR aa\nan child.second. 3600 DS 1 13 2 "
                           "0000000000000000000000000000000000000000000000000000000000000000\n";
  expect(a, "child.second.", RR_DS, ASK_PLAIN, ds);
  expect(a, "child.second.", RR_NS, ASK_PLAIN, "NOERROR aa\nan child.second. 3600 NS ns1.example.\n");
  expect(a, "www.child.second.", RR_A, ASK_PLAIN, "NOERROR aa\nan www.child.second. 300 A 192.0.2.201\n");
  expect(a, "www.child.second.", RR_DS, ASK_PLAIN, "NOERROR aa\nau child.second. 300 SOA\n");
  expect(a, "second.", RR_DS, ASK_PLAIN, "NOERROR aa\nau second. 3600 SOA\n"); /* no parent here: the child says so */
  struct name apex = zones_name("second.");
  assert_int_equal(zone_set_remove(a->zones, &apex), ERR_OK);
  expect(a, "child.second.", RR_DS, ASK_PLAIN, "NOERROR aa\nau child.second. 300 SOA\n");
}

static void test_root_zone(void **state) {
  struct asker *a = asker_new();
  zones_put(a->zones, ".", "@ 60 SOA a h 1 2 3 4 5\n@ 60 NS a.\na. 60 A 192.0.2.1\nnet. 60 NS a.net.\na.net. 60 A 192.0.2.2\n",
            ZONES_UNSIGNED, NULL);
  expect(a, ".", RR_NS, ASK_PLAIN, "NOERROR aa\nan . 60 NS a.\nad a. 60 A 192.0.2.1\n");
  expect(a, "com.", RR_A, ASK_PLAIN, "NXDOMAIN aa\nau . 5 SOA\n");
  expect(a, "x.net.", RR_A, ASK_PLAIN, "NOERROR\nau net. 60 NS a.net.\nad a.net. 60 A 192.0.2.2\n");
  expect(a, ".", RR_DS, ASK_PLAIN, "NOERROR aa\nau . 5 SOA\n");
  asker_free(a);
}

static void test_meta_types(void **state) {
  struct asker *a = *state;
  expect(a, "www.example.", RR_MAILA, ASK_PLAIN, "NOERROR aa\n" SOA); /* obsolete: a type that is not there */
  expect(a, "nowhere.example.", RR_MAILB, ASK_PLAIN, "NXDOMAIN aa\n" SOA);
  expect(a, "www.example.", RR_TKEY, ASK_PLAIN, "NOTIMP\n");
  expect(a, "www.example.", RR_TSIG, ASK_PLAIN, "FORMERR\n");
  expect(a, "www.example.", RR_OPT, ASK_PLAIN, "FORMERR\n");
  expect(a, "www.example.", 65535, ASK_PLAIN, "NOERROR aa\n" SOA);
  expect(a, "www.example.", 0, ASK_PLAIN, "NOERROR aa\n" SOA);
}

/* The same questions in one batch and one by one give the same octets. */
static void test_batch(void **state) {
  struct asker *a = *state;
  static const char *const names[] = {"www.example.",
                                      "nowhere.example.",
                                      "deleg.example.",
                                      "alias2.example.",
                                      "x.d2.example.",
                                      "out.elsewhere.",
                                      "www.second.",
                                      "child.second.",
                                      "q.wildc.example.",
                                      "example.",
                                      ".",
                                      "www.child.second.",
                                      "crossmissing.example.",
                                      "mail.second.",
                                      "mail.child.second."};
  enum { COUNT = sizeof names / sizeof names[0], MAIL = COUNT - 2 };
  static struct answer_job jobs[LIMIT_BATCH];
  static uint8_t requests[LIMIT_BATCH][512], responses[LIMIT_BATCH][LIMIT_UDP_RESPONSE_BYTES];
  struct answer_job *list[LIMIT_BATCH];
  for (unsigned i = 0; i < LIMIT_BATCH; i++) {
    size_t n = asker_question(a, names[i % COUNT], i % COUNT >= MAIL ? RR_MX : i % 3 ? RR_A : RR_DS, ASK_EDNS);
    memcpy(requests[i], a->request, n);
    memset(&jobs[i], 0x55, sizeof jobs[i]);
    jobs[i].bytes = requests[i];
    jobs[i].size = n;
    jobs[i].client = (struct answer_client){.from = a->from, .transport = TRANSPORT_UDP};
    jobs[i].out = responses[i];
    jobs[i].capacity = sizeof responses[i];
    list[i] = &jobs[i];
  }
  zone_read_begin();
  answer_batch(a->zones, &a->id, a->memory, list, LIMIT_BATCH, a->now);
  zone_read_end();
  for (unsigned i = 0; i < LIMIT_BATCH; i++) {
    asker_send(a, requests[i], jobs[i].size, ASK_PLAIN);
    assert_int_equal(jobs[i].result.kind, ANSWER_REPLY);
    assert_int_equal(jobs[i].result.size, a->job.result.size);
    assert_memory_equal(responses[i], a->response, a->job.result.size);
  }
}

/* What is remembered is of one snapshot, not of the one that comes after it, be it at the same address. */
static void test_memory(void **state) {
  struct asker *a = asker_new();
  struct name apex = zones_name("z.");
  for (unsigned i = 1; i < 9; i++) {
    if (i % 2) {
      enum err e = zone_set_remove(a->zones, &apex);
      assert_int_equal(e, i == 1 ? ERR_NOT_FOUND : ERR_OK);
      zone_grace_barrier(); /* the entry's, then the snapshot's */
      zone_grace_barrier();
    }
    char text[160], nothing[80], referral[120];
    snprintf(text, sizeof text, "@ 60 SOA ns h 1 2 3 4 %u\n@ 60 NS ns\ncut 60 NS ns\nns 60 A 192.0.2.%u\n", i, i);
    snprintf(nothing, sizeof nothing, "NXDOMAIN aa\nau z. %u SOA\n", i);
    snprintf(referral, sizeof referral, "NOERROR\nau cut.z. 60 NS ns.z.\nad ns.z. 60 A 192.0.2.%u\n", i);
    zones_put(a->zones, "z.", text, ZONES_UNSIGNED, NULL);
    expect(a, "a.z.", RR_A, ASK_PLAIN, nothing);
    expect(a, "b.z.", RR_A, ASK_PLAIN, nothing);
    expect(a, "a.cut.z.", RR_A, ASK_PLAIN, referral);
    expect(a, "b.cut.z.", RR_A, ASK_PLAIN, referral);
    expect(a, "b.cut.z.", RR_A, ASK_TCP, referral);
  }
  asker_free(a);
}

/* More zones below, servers and mail hosts than are remembered, whose names and records are of the same size. */
static void test_memory_of_many(void **state) {
  enum { MANY = 300, LINE_BYTES = 100 };
  static char text[MANY * LINE_BYTES + 100];
  struct asker *a = asker_new();
  size_t used = (size_t)snprintf(text, sizeof text, "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\n");
  for (unsigned i = 100; i < 100 + MANY; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "cut%u 60 NS ns%u\nns%u 60 A 10.0.1.%u\nmx%u 60 MX 1 ns%u\n", i, i, i,
                             i % 256, i, i);
  zones_put(a->zones, "z.", text, ZONES_UNSIGNED, NULL);
  for (unsigned i = 100; i < 100 + MANY; i++) {
    char name[20], expected[120];
    snprintf(name, sizeof name, "x.cut%u.z.", i);
    snprintf(expected, sizeof expected, "NOERROR\nau cut%u.z. 60 NS ns%u.z.\nad ns%u.z. 60 A 10.0.1.%u\n", i, i, i, i % 256);
    expect(a, name, RR_A, ASK_PLAIN, expected);
    snprintf(name, sizeof name, "mx%u.z.", i);
    snprintf(expected, sizeof expected, "NOERROR aa\nan mx%u.z. 60 MX 1 ns%u.z.\nad ns%u.z. 60 A 10.0.1.%u\n", i, i, i, i % 256);
    expect(a, name, RR_MX, ASK_PLAIN, expected);
  }
  asker_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_positive, setup, teardown),
      cmocka_unit_test_setup_teardown(test_result_record, setup, teardown),
      cmocka_unit_test_setup_teardown(test_negative, setup, teardown),
      cmocka_unit_test_setup_teardown(test_outside, setup, teardown),
      cmocka_unit_test_setup_teardown(test_referral, setup, teardown),
      cmocka_unit_test_setup_teardown(test_additional, setup, teardown),
      cmocka_unit_test_setup_teardown(test_naptr, setup, teardown),
      cmocka_unit_test_setup_teardown(test_cname, setup, teardown),
      cmocka_unit_test_setup_teardown(test_cname_loops, setup, teardown),
      cmocka_unit_test_setup_teardown(test_long_chain, setup, teardown),
      cmocka_unit_test_setup_teardown(test_chain_across_zones, setup, teardown),
      cmocka_unit_test_setup_teardown(test_dname, setup, teardown),
      cmocka_unit_test_setup_teardown(test_dname_too_long, setup, teardown),
      cmocka_unit_test_setup_teardown(test_dname_grows, setup, teardown),
      cmocka_unit_test_setup_teardown(test_wildcard, setup, teardown),
      cmocka_unit_test(test_rfc4592),
      cmocka_unit_test(test_empty_wildcard),
      cmocka_unit_test_setup_teardown(test_any, setup, teardown),
      cmocka_unit_test_setup_teardown(test_ds_at_parent, setup, teardown),
      cmocka_unit_test(test_root_zone),
      cmocka_unit_test_setup_teardown(test_meta_types, setup, teardown),
      cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
      cmocka_unit_test(test_memory),
      cmocka_unit_test(test_memory_of_many),
  };
  zone_reader_register();
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  zone_reader_unregister();
  return failed;
}
