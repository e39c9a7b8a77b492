/* UPDATE messages judged. The first octet says who sends it: who may change everything, or who may change challenges only. A zone
 * that came of it has one SOA with a higher serial, a name server, and no CNAME beside other data; differs from the old one by what
 * was granted; and the old one is as it was. */
#include "xfr/update.h"
#include "base/serial.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct name name_of(const char *text) {
  struct name n;
  if (name_from_text(text, strlen(text), &name_root, &n, NULL, NULL)) abort();
  return n;
}

static void add(struct zone_edit *e, const char *owner, uint16_t type, uint32_t ttl, const void *rdata, uint16_t size) {
  struct name n = name_of(owner);
  enum zone_add outcome;
  if (zone_edit_add(e, &n, type, ttl, rdata, size, &outcome)) abort();
}

static struct zone_snap *make_base(void) {
  static const uint8_t soa[22] = {0, 0, 0, 0, 0, 10};
  static const uint8_t ns[] = "\2ns\7example";
  struct zone_edit *e;
  struct zone_snap *s;
  struct name apex = name_of("example.");
  if (zone_edit_begin(NULL, &apex, &e)) abort();
  add(e, "example.", RR_SOA, 3600, soa, sizeof soa);
  add(e, "example.", RR_NS, 3600, ns, sizeof ns);
  add(e, "ns.example.", RR_A, 300, "\1\2\3\4", 4);
  add(e, "www.example.", RR_A, 300, "\1\2\3\5", 4);
  add(e, "www.example.", RR_A, 300, "\1\2\3\6", 4);
  add(e, "www.example.", RR_TXT, 300, "\1a", 2);
  add(e, "cn.example.", RR_CNAME, 300, ns, sizeof ns);
  add(e, "dn.example.", RR_DNAME, 300, ns, sizeof ns);
  add(e, "a.b.example.", RR_TXT, 60, "\1a", 2);
  add(e, "_acme-challenge.example.", RR_TXT, 60, "\1a", 2);
  add(e, "_acme-challenge.example.", RR_A, 60, "\1\2\3\4", 4);
  if (zone_edit_finish(e, &s)) abort();
  return s;
}

struct who {
  const struct grants *grants;
  const struct update_client *client;
  const struct name *apex;
};

static bool was_granted(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  const struct who *w = arg;
  bool serial = type == RR_SOA && name_equal(owner, w->apex);
  if (!serial && !grants_allow(w->grants, &w->client->who, owner, type, w->apex)) abort();
  return true;
}

static void check_names(const struct zone_snap *s) {
  struct zone_cursor c;
  if (zone_cursor_open(s, &c)) abort();
  for (const struct zone_node *n; (n = zone_cursor_next(&c));) {
    struct zone_rrset set;
    unsigned others = 0;
    bool cname = zone_find_rrset(n, RR_CNAME, &set) && set.count;
    if (cname && set.count != 1) abort();
    for (unsigned i = 0; i < zone_rrset_count(n); i++) {
      zone_rrset_at(n, i, &set);
      others += set.count && set.type != RR_CNAME && set.type != RR_KEY;
    }
    if (cname && others) abort();
  }
  zone_cursor_close(&c);
}

static void check_zone(const struct zone_snap *base, const struct zone_snap *s, const struct who *w) {
  struct zone_rrset set;
  if (!serial_gt(zone_serial(s), zone_serial(base))) abort();
  if (!zone_find_rrset(zone_apex_node(s), RR_SOA, &set) || set.count != 1) abort();
  if (!zone_find_rrset(zone_apex_node(s), RR_NS, &set) || set.count == 0) abort();
  check_names(s);
  if (zone_diff(base, s, &(struct zone_diff){was_granted, was_granted, (void *)(uintptr_t)w})) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct acl_entry everybody = {.any_host = true};
  static const uint16_t txt = RR_TXT;
  static struct zone_snap *base, *untouched;
  static uint8_t pattern[GRANT_PATTERN_BYTES];
  static struct grant_pattern challenge = {pattern, 0};
  const char *why;
  if (!base) {
    base = make_base();
    untouched = make_base();
    if (grant_pattern_parse("_acme-challenge.**", 18, pattern, &challenge.size, &why)) abort();
  }
  if (size == 0) return 0;
  struct grant acme = {{&everybody, 1}, &challenge, 1, &txt, 1}, all = {.who = {&everybody, 1}};
  struct grants grants = {data[0] & 1 ? &acme : &all, 1};
  struct addr from = {.family = 4};
  struct update_client client = {{&from, {NULL, 0}, false}, data[0] & 2};
  struct who who = {&grants, &client, zone_apex(base)};
  struct update_verdict v;
  if (update_judge(data + 1, size - 1, base, &grants, &client, 11, &v)) abort();
  if (v.rcode > RCODE_NOTZONE || v.rcode == RCODE_SERVFAIL || (v.rcode && v.snap)) abort();
  if (v.snap) check_zone(base, v.snap, &who);
  zone_snap_unref(v.snap);
  if (!zone_equal(base, untouched)) abort();
  return 0;
}
