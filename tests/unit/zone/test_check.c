/* Every row of checks.def that a snapshot can show: a zone that has the fault, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zone/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fault {
  const char *title;
  const char *records; /* "owner type data" a line; SOA, NS and the address of ns are added */
  const char *found;   /* "check severity owner type" a line, in the order found */
};

static const struct fault faults[] = {
    {"nothing", "", ""},
    {"ordinary", "@ MX 10 mail\nmail A 192.0.2.5\nwww CNAME mail\n_s._tcp SRV 0 0 1 mail\n*.w AAAA 2001:db8::1\n", ""},
    {"null MX and SRV", "@ MX 0 .\n_s._tcp SRV 0 0 0 .\n", ""},
    {"hosts elsewhere", "@ MX 10 a.\n_s._tcp SRV 0 0 0 b.\nsub NS c.\n", ""},
    {"CNAME and A", "a CNAME b.\na A 192.0.2.1\n", "cname-and-other-data error a CNAME\n"},
    {"CNAME and much", "a CNAME b.\na A 192.0.2.1\na TXT x\na MX 0 .\n", "cname-and-other-data error a CNAME\n"},
    {"CNAME at the apex", "@ CNAME b.\n", "cname-and-other-data error @ CNAME\n"},
    {"CNAME and NSEC", "a CNAME b.\na NSEC b.example. CNAME NSEC\n", ""},
    {"CNAME and DNAME", "a CNAME b.\na DNAME b.\n", "cname-and-other-data error a CNAME\n"},
    {"CNAME and delegation", "a CNAME b.\na NS b.\n", "cname-and-other-data error a CNAME\n"},
    {"CNAME and KEY", "a CNAME b.\na KEY 512 3 13 aGVsbG8=\n", "cname-and-other-data error a CNAME\n"},
    {"two CNAMEs", "a CNAME b.\na CNAME c.\n", "cname-several error a CNAME\n"},
    {"two DNAMEs", "a DNAME b.\na DNAME c.\n", "dname-several error a DNAME\n"},
    {"DNAME at the apex", "@ DNAME b.\n", "ns-below-dname warning @ NS\ndname-with-children warning ns A\n"},
    {"DNAME and delegation", "a DNAME b.\na NS c.\n", "dname-and-ns warning a DNAME\n"},
    {"DNAME with children", "a DNAME b.\nb.a A 192.0.2.1\nc.a A 192.0.2.1\nd.c.a TXT x\n", "dname-with-children warning b.a A\n"},
    {"DNAME and its neighbours", "a DNAME b.\naa A 192.0.2.1\nb A 192.0.2.1\n", ""},
    {"wildcard DNAME", "*.a DNAME b.\n", "wildcard-dname warning *.a DNAME\n"},
    {"wildcard NS", "*.a NS b.\n", "wildcard-ns warning *.a NS\n"},
    {"DS at the apex", "@ DS 1 13 99 00\n", "ds-at-apex error @ DS\n"},
    {"DS without NS", "a DS 1 13 99 00\n", "ds-without-ns warning a DS\n"},
    {"DS with NS", "a DS 1 13 99 00\na NS b.\n", ""},
    {"server is an alias", "@ NS a\na CNAME b.\n", "ns-is-cname error @ NS\n"},
    {"server is an alias by wildcard", "@ NS a.w\n*.w CNAME b.\n", "ns-is-cname error @ NS\n"},
    {"server of a delegation is an alias", "sub NS a\na CNAME b.\n", "ns-is-cname warning sub NS\n"},
    {"server without address", "@ NS a\n", "ns-no-address warning @ NS\n"},
    {"server is an empty non-terminal", "@ NS a\nb.a A 192.0.2.1\n", "ns-no-address warning @ NS\n"},
    {"server without address in a delegation", "sub NS a\na TXT x\n", "ns-no-address warning sub NS\n"},
    {"server with an address by wildcard", "@ NS a.w\n*.w A 192.0.2.1\n", ""},
    {"glue missing", "sub NS ns.sub\n", "glue-missing warning sub NS\n"},
    {"glue missing at the cut", "sub NS sub\n", "glue-missing warning sub NS\n"},
    {"glue missing, one of two", "sub NS a.sub\nsub NS b.sub\nb.sub A 192.0.2.1\n", "glue-missing warning sub NS\n"},
    {"glue there", "sub NS ns.sub\nsub NS sub\nns.sub AAAA 2001:db8::1\nsub A 192.0.2.1\n", ""},
    {"server in another delegation", "sub NS ns.other\nother NS a.\n", ""},
    {"server below a DNAME", "sub NS a.d\nd DNAME b.\n", "ns-below-dname warning sub NS\n"},
    {"occluded", "sub NS a.\nsub TXT x\nb.sub MX 0 .\nc.sub A 192.0.2.1\nd.b.sub TXT x\n",
     "occluded warning sub TXT\noccluded warning b.sub MX\noccluded warning d.b.sub TXT\n"},
    {"delegation in a delegation", "sub NS a.\nb.sub NS a.\n", "occluded warning b.sub NS\n"},
    {"nothing else is said of what is occluded", "sub NS a.\nb.sub CNAME c.\nb.sub TXT x\n", "occluded warning b.sub CNAME\n"},
    {"MX is an alias", "@ MX 10 a\na CNAME b.\n", "mx-is-cname warning @ MX\n"},
    {"SRV is an alias", "_s._tcp SRV 0 0 1 a\na CNAME b.\n", "srv-is-cname warning _s._tcp SRV\n"},
    {"MX without address", "@ MX 10 a\n", "mx-no-address warning @ MX\n"},
    {"SRV without address", "_s._tcp SRV 0 0 1 a\n", "srv-no-address warning _s._tcp SRV\n"},
    {"MX is an address", "@ MX 10 192.0.2.1\n", "target-is-address warning @ MX\n"},
    {"MX is an address with a dot", "@ MX 10 192.0.2.1.\n", "target-is-address warning @ MX\n"},
    {"NS is an address", "@ NS 192.0.2.1\n", "target-is-address warning @ NS\n"},
    {"a host of numbers is none", "@ MX 10 300.0.2.1\n", "mx-no-address warning @ MX\n"},
    {"SOA below the apex", "a SOA a. b. 1 3600 600 86400 60\n", "soa-not-at-apex error a SOA\n"},
    {"NSEC3PARAM below the apex", "a NSEC3PARAM 1 0 0 -\n", "nsec3param-not-at-apex warning a NSEC3PARAM\n"},
    {"DNSKEY below the apex", "a DNSKEY 257 3 13 aGVsbG8=\n", "dnskey-not-at-apex warning a DNSKEY\n"},
    {"CDS below the apex", "a CDS 0 0 0 00\nb CDNSKEY 0 3 0 AA==\n",
     "cds-not-at-apex warning a CDS\ncds-not-at-apex warning b CDNSKEY\n"},
    {"RRSIG of nothing", "a TXT x\na RRSIG A 13 2 60 20360101000000 20260101000000 1 example. AAAA\n",
     "rrsig-without-set warning a RRSIG\n"},
    {"RRSIG of something", "a TXT x\na RRSIG TXT 13 2 60 20360101000000 20260101000000 1 example. AAAA\n", ""},
    {"no host names", "a_b A 192.0.2.1\n", ""},
};

static const char *apex_text = "example.";

static struct name apex(void) {
  struct name n;
  assert_int_equal(name_from_text(apex_text, strlen(apex_text), NULL, &n, NULL, NULL), ERR_OK);
  return n;
}

/* One line "owner type data ..."; the tokens point into it. */
static void add_line(struct zone_edit *e, const char *line, size_t size, uint32_t ttl) {
  struct rr_token tokens[32];
  size_t count = 0;
  for (size_t at = 0; at < size;) {
    size_t n = 0;
    while (at + n < size && line[at + n] != ' ')
      n++;
    assert_true(count < 32);
    tokens[count++] = (struct rr_token){line + at, (uint32_t)n, 1, (uint32_t)at + 1, false};
    at += n + 1;
  }
  struct name owner, origin = apex();
  uint16_t type;
  uint8_t rdata[1024];
  struct wr w = wr_make(rdata, sizeof rdata);
  struct rr_text_error error;
  enum zone_add outcome;
  assert_true(count >= 2);
  assert_int_equal(name_from_text(tokens[0].text, tokens[0].size, &origin, &owner, NULL, NULL), ERR_OK);
  assert_int_equal(rr_type_from_text(tokens[1].text, tokens[1].size, &type), ERR_OK);
  if (rr_rdata_from_text(type, tokens + 2, count - 2, &origin, &w, &error) != ERR_OK)
    fail_msg("%.*s: %s", (int)size, line, error.what);
  assert_int_equal(zone_edit_add(e, &owner, type, ttl, rdata, (uint16_t)wr_used(&w), &outcome), ERR_OK);
}

static void add_lines(struct zone_edit *e, const char *text) {
  for (size_t n; *text; text += n + 1) {
    n = strcspn(text, "\n");
    add_line(e, text, n, 60);
  }
}

static struct zone_snap *build(const char *base, const char *records) {
  struct name a = apex();
  struct zone_edit *e;
  struct zone_snap *s;
  assert_int_equal(zone_edit_begin(NULL, &a, &e), ERR_OK);
  add_lines(e, base);
  add_lines(e, records);
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  return s;
}

#define SOA "@ SOA ns h 1 3600 600 86400 60\n"
#define BASE SOA "@ NS ns\nns A 192.0.2.1\n"

/* The owner as the tables write it. */
static const char *short_owner(const struct name *n, char *text) {
  name_text(n, text);
  size_t size = strlen(text);
  if (strcmp(text, "example.") == 0) return "@";
  if (size > 9 && strcmp(text + size - 9, ".example.") == 0) text[size - 9] = 0;
  return text;
}

static bool print_finding(void *arg, const struct zone_finding *f) {
  char owner[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
  assert_true(f->what[0] != 0);
  assert_true(zone_check_row(f->check)->hint[0] != 0);
  buf_printf(arg, "%s %s %s %s\n", zone_check_row(f->check)->name, f->severity == SEVERITY_ERROR ? "error" : "warning",
             short_owner(&f->owner, owner), rr_type_text(f->type, type));
  return true;
}

static void expect(const char *title, const char *base, const char *records, bool all, const char *found) {
  struct buf got = {0};
  struct zone_check_totals totals;
  struct zone_snap *s = build(base, records);
  assert_int_equal(zone_check(s, &(struct zone_check_options){.all = all}, print_finding, &got, &totals), ERR_OK);
  if (strcmp(buf_text(&got), found) != 0) fail_msg("%s:\n%s--- wanted\n%s", title, buf_text(&got), found);
  size_t lines = 0;
  for (const char *p = found; *p; p++)
    lines += *p == '\n';
  assert_int_equal(totals.errors + totals.warnings, lines);
  buf_done(&got);
  zone_snap_unref(s);
}

static void each_fault(void **state) {
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    expect(faults[i].title, BASE, faults[i].records, false, faults[i].found);
}

static void apex_without_ns(void **state) {
  expect("no NS", SOA, "", false, "no-apex-ns error @ SOA\n");
  expect("no NS but others", SOA, "a TXT x\n", false, "no-apex-ns error @ SOA\n");
}

/* The root's own name is a host nowhere. */
static void root_zone(void **state) {
  apex_text = ".";
  expect("root", "@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n", "@ MX 0 .\na SRV 0 0 0 .\n", false, "");
  apex_text = "example.";
}

static void timers(void **state) {
  static const char *const odd[] = {"3600 600 3600", "3600 600 60", "600 3600 86400", "1 5 5"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    char soa[128];
    snprintf(soa, sizeof soa, "@ SOA ns h 1 %s 60\n@ NS ns\nns A 192.0.2.1\n", odd[i]);
    expect(odd[i], soa, "", false, "soa-timers warning @ SOA\n");
  }
  expect("even", "@ SOA ns h 1 3600 3600 3601 0\n@ NS ns\nns A 192.0.2.1\n", "", false, "");
}

static void host_names_when_asked_for(void **state) {
  expect("odd hosts", BASE, "a_b A 192.0.2.1\n-c AAAA 2001:db8::1\nd- A 192.0.2.1\n*.e A 192.0.2.1\nf_ TXT x\n", true,
         "host-name warning -c AAAA\nhost-name warning a_b A\nhost-name warning d- A\n");
}

/* NSEC3 owners come last and below the apex: they are neither hidden by a DNAME there nor by anything before them. */
static void denial_is_no_child(void **state) {
  expect("NSEC3 and DNAME", SOA "@ NS a.\n@ DNAME b.\n",
         "@ NSEC3PARAM 1 0 0 -\n"
         "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA\n",
         false, "");
}

static bool stop(void *arg, const struct zone_finding *f) {
  ++*(int *)arg;
  return false;
}

static void sink_stops(void **state) {
  int n = 0;
  struct zone_check_totals totals;
  struct zone_snap *s = build(BASE, "a MX 10 x\nb MX 10 y\nb DS 1 13 99 00\n");
  assert_int_equal(zone_check(s, NULL, stop, &n, &totals), ERR_OK);
  assert_int_equal(n, 1);
  zone_snap_unref(s);
}

static void ttls_are_summed(void **state) {
  struct buf got = {0};
  struct zone_check_totals totals;
  struct zone_snap *s = build(BASE, "a TXT x\na TXT y\na RRSIG TXT 13 2 60 20360101000000 20260101000000 1 example. AAAA\n");
  assert_int_equal(zone_check(s, NULL, print_finding, &got, &totals), ERR_OK);
  assert_int_equal(totals.ttl_sum, 6 * 60);
  buf_done(&got);
  zone_snap_unref(s);
}

static void rows_are_complete(void **state) {
  for (enum zone_check c = 0; c < ZONE_CHECK_COUNT; c++) {
    const struct zone_check_row *r = zone_check_row(c);
    assert_true(r->name[0] && r->doc[0] && r->hint[0]);
    for (enum zone_check other = 0; other < c; other++)
      assert_string_not_equal(r->name, zone_check_row(other)->name);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_fault), cmocka_unit_test(apex_without_ns),           cmocka_unit_test(root_zone),
      cmocka_unit_test(timers),     cmocka_unit_test(host_names_when_asked_for), cmocka_unit_test(denial_is_no_child),
      cmocka_unit_test(sink_stops), cmocka_unit_test(ttls_are_summed),           cmocka_unit_test(rows_are_complete),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
