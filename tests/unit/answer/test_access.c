/* Who may see and do what. */
#include "ask.h"
#include "zones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const char zone_text[] = "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\nwww 60 A 192.0.2.2\n";

/* An access list of one entry: a prefix, perhaps with a key. */
struct one {
  struct acl_entry entry;
  struct acl acl;
};

static struct acl only(struct one *o, const char *prefix) {
  o->entry = (struct acl_entry){.any_host = false};
  assert_int_equal(prefix_parse(prefix, &o->entry.from), ERR_OK);
  return o->acl = (struct acl){&o->entry, 1};
}

static struct acl only_key(struct one *o, const struct tsig_key *key) {
  o->entry = (struct acl_entry){.any_host = true, .key = tsig_acl_key(key)};
  return o->acl = (struct acl){&o->entry, 1};
}

static void come_from(struct asker *a, const char *text) {
  assert_int_equal(addr_parse(text, 0, &a->from), ERR_OK);
}

static void put(struct asker *a, const char *origin, const struct zone_policy *policy) {
  zones_put(a->zones, origin, zone_text, ZONES_UNSIGNED, policy);
}

#define FRIEND "192.0.2.99@4242"
#define STRANGER "198.51.100.7@4242"

/* The response to a question about `inside` must be that to `outside`, which is as long, apart from the name. */
static void expect_same(struct asker *a, const char *inside, const char *outside, uint16_t type, unsigned how) {
  static uint8_t first[LIMIT_MESSAGE_BYTES];
  ask(a, outside, type, how);
  struct answer_result result = a->job.result;
  memcpy(first, a->response, result.size);
  ask(a, inside, type, how);
  assert_int_equal(a->job.result.kind, result.kind);
  assert_int_equal(a->job.result.size, result.size);
  struct name name = zones_name(inside);
  if (result.size > MESSAGE_HEADER_BYTES) memcpy(first + MESSAGE_HEADER_BYTES, name.octets, name.size);
  assert_memory_equal(a->response, first, result.size);
}

static void test_hidden_is_outside(void **state) {
  struct asker *a = asker_new();
  struct one friends, peers;
  struct zone_policy policy = {.hidden = true, .secondary = true, .answer_to = only(&friends, "192.0.2.0/24")};
  policy.soa_to = policy.notify_from = policy.transfer = only(&peers, "192.0.2.0/24");
  struct grant grant = {.who = policy.transfer};
  policy.update = (struct grants){&grant, 1};
  put(a, "hidden.", &policy);
  static const uint16_t types[] = {RR_A, RR_SOA, RR_NS, RR_DS, RR_ANY, RR_AXFR, RR_IXFR, RR_MAILA, 0, 65535};
  static const unsigned transports[] = {ASK_PLAIN, ASK_TCP, ASK_TLS};
  static const unsigned kinds[] = {
      ASK_PLAIN, ASK_EDNS, ASK_DO, ASK_NOTIFY, ASK_UPDATE, ASK_NOTIFY | ASK_EDNS, ASK_UPDATE | ASK_EDNS};
  static const uint8_t options[] = {0, EDNS_NSID, 0, 0, 0, EDNS_EXPIRE, 0, 0, 0, EDNS_ZONEVERSION, 0, 0};
  a->id.nsid_size = 3;
  a->options = options;
  a->options_size = sizeof options;
  come_from(a, STRANGER);
  for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
    for (size_t p = 0; p < sizeof transports / sizeof transports[0]; p++)
      for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        expect_same(a, "hidden.", "noSuch.", types[t], transports[p] | kinds[k]);
        expect_same(a, "www.hidden.", "www.noSuch.", types[t], transports[p] | kinds[k]);
      }
  come_from(a, FRIEND);
  expect(a, "www.hidden.", RR_A, ASK_PLAIN, "NOERROR aa\nan www.hidden. 60 A 192.0.2.2\n");
  expect(a, "hidden.", RR_AXFR, ASK_TCP, "transfer");
  expect(a, "hidden.", RR_SOA, ASK_NOTIFY, "notify NOERROR aa\n");
  asker_free(a);
}

static void test_hidden_not_ready(void **state) {
  struct asker *a = asker_new();
  struct one friends;
  struct zone_policy policy = {.hidden = true, .answer_to = only(&friends, "192.0.2.0/24")};
  struct zone_entry *e = zones_entry(1, NULL, &policy);
  struct name apex = zones_name("hidden.");
  e->state = ZONE_NOT_LOADED;
  assert_int_equal(zone_set_put(a->zones, &apex, e), ERR_OK);
  come_from(a, STRANGER);
  expect_same(a, "hidden.", "noSuch.", RR_SOA, ASK_EDNS);
  expect_same(a, "hidden.", "noSuch.", RR_AXFR, ASK_TCP);
  come_from(a, FRIEND);
  expect(a, "hidden.", RR_SOA, ASK_EDNS, "SERVFAIL\nopt 1232 ede=14\n");
  asker_free(a);
}

static void test_drop_strangers(void **state) {
  struct asker *a = asker_new();
  struct one friends;
  struct zone_policy policy = {.hidden = true, .drop_strangers = true, .answer_to = only(&friends, "192.0.2.0/24")};
  put(a, "hidden.", &policy);
  come_from(a, STRANGER);
  expect(a, "hidden.", RR_SOA, ASK_PLAIN, "drop");
  expect(a, "www.hidden.", RR_A, ASK_TCP, "drop");
  expect(a, "hidden.", RR_AXFR, ASK_TCP, "drop");
  expect(a, "hidden.", RR_SOA, ASK_NOTIFY, "drop");
  expect(a, "nosuch.", RR_SOA, ASK_PLAIN, "REFUSED\n");
  asker_free(a);
}

/* For a stranger a hidden zone is not here: the zone above it delegates it as it would anyway. */
static void test_hidden_below_public(void **state) {
  struct asker *a = asker_new();
  struct one friends;
  struct zone_policy policy = {.hidden = true, .answer_to = only(&friends, "192.0.2.0/24")};
  zones_put(a->zones, "public.", "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns.e.\nsub 60 NS ns.e.\n", ZONES_UNSIGNED, NULL);
  put(a, "sub.public.", &policy);
  put(a, "other.public.", &policy);
  come_from(a, STRANGER);
  expect(a, "www.sub.public.", RR_A, ASK_PLAIN, "NOERROR\nau sub.public. 60 NS ns.e.\n");
  expect(a, "www.other.public.", RR_A, ASK_PLAIN, "NXDOMAIN aa\nau public. 5 SOA\n");
  come_from(a, FRIEND);
  expect(a, "www.sub.public.", RR_A, ASK_PLAIN, "NOERROR aa\nan www.sub.public. 60 A 192.0.2.2\n");
  asker_free(a);
}

/* Hidden zones one below the other, and what stands above them. */
static void test_hidden_below_hidden(void **state) {
  struct asker *a = asker_new();
  struct one friends;
  struct zone_policy policy = {.hidden = true, .answer_to = only(&friends, "192.0.2.0/24")};
  put(a, "top.", &policy);
  put(a, "mid.top.", &policy);
  put(a, "low.mid.top.", &policy);
  come_from(a, STRANGER);
  static const char *const names[] = {"x.y.low.mid.top.", "low.mid.top.", "mid.top.", "top.", "x.top."};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    expect(a, names[i], RR_A, ASK_PLAIN, "REFUSED\n");
    expect(a, names[i], RR_DS, ASK_PLAIN, "REFUSED\n");
    expect(a, names[i], RR_SOA, ASK_PLAIN, "REFUSED\n");
  }
  zones_put(a->zones, ".", "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns.e.\n", ZONES_UNSIGNED, NULL);
  expect(a, "x.y.low.mid.top.", RR_A, ASK_PLAIN, "NXDOMAIN aa\nau . 5 SOA\n");
  asker_free(a);
}

/* A public parent stands above a hidden one: DS is for the nearest that the client sees. */
static void test_ds_past_hidden(void **state) {
  struct asker *a = asker_new();
  struct one friends;
  struct zone_policy policy = {.hidden = true, .answer_to = only(&friends, "192.0.2.0/24")};
  zones_put(a->zones, "top.", "@ 60 SOA ns h 1 2 3 4 7\n@ 60 NS ns.e.\nmid 60 NS ns.e.\n", ZONES_UNSIGNED, NULL);
  put(a, "mid.top.", &policy);
  put(a, "low.mid.top.", NULL);
  come_from(a, STRANGER);
  expect(a, "low.mid.top.", RR_DS, ASK_PLAIN, "NOERROR\nau mid.top. 60 NS ns.e.\n");
  come_from(a, FRIEND);
  expect(a, "low.mid.top.", RR_DS, ASK_PLAIN, "NXDOMAIN aa\nau mid.top. 5 SOA\n");
  asker_free(a);
}

/* DS of a public zone below a hidden one is not told by the hidden parent. */
static void test_hidden_parent(void **state) {
  struct asker *a = asker_new();
  struct one friends;
  struct zone_policy policy = {.hidden = true, .answer_to = only(&friends, "192.0.2.0/24")};
  zones_put(a->zones, "parent.", "@ 60 SOA ns h 1 2 3 4 9\n@ 60 NS ns.e.\nsub 60 NS ns.e.\n", ZONES_UNSIGNED, &policy);
  put(a, "sub.parent.", NULL);
  come_from(a, STRANGER);
  expect(a, "sub.parent.", RR_DS, ASK_PLAIN, "NOERROR aa\nau sub.parent. 5 SOA\n");
  come_from(a, FRIEND);
  expect(a, "sub.parent.", RR_DS, ASK_PLAIN, "NOERROR aa\nau parent. 9 SOA\n");
  asker_free(a);
}

/* A chain does not lead a stranger into a hidden zone. */
static void test_hidden_chain(void **state) {
  struct asker *a = asker_new();
  struct one friends;
  struct zone_policy policy = {.hidden = true, .answer_to = only(&friends, "192.0.2.0/24")};
  put(a, "hidden.", &policy);
  zones_put(a->zones, "public.", "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nc 60 CNAME www.hidden.\n", ZONES_UNSIGNED, NULL);
  come_from(a, STRANGER);
  expect(a, "c.public.", RR_A, ASK_PLAIN, "NOERROR aa\nan c.public. 60 CNAME www.hidden.\n");
  come_from(a, FRIEND);
  expect(a, "c.public.", RR_A, ASK_PLAIN, "NOERROR aa\nan c.public. 60 CNAME www.hidden.\nan www.hidden. 60 A 192.0.2.2\n");
  asker_free(a);
}

static void test_soa_to(void **state) {
  struct asker *a = asker_new();
  struct one friends, peers;
  struct zone_policy policy = {.hidden = true, .answer_to = only(&friends, "10.0.0.0/8"), .soa_to = only(&peers, "192.0.2.0/24")};
  put(a, "hidden.", &policy);
  expect(a, "hidden.", RR_SOA, ASK_PLAIN, "NOERROR aa\nan hidden. 60 SOA\n");
  expect_same(a, "www.hidden.", "www.noSuch.", RR_SOA, ASK_PLAIN);
  expect_same(a, "hidden.", "noSuch.", RR_NS, ASK_PLAIN);
  expect_same(a, "hidden.", "noSuch.", RR_AXFR, ASK_TCP);
  asker_free(a);
}

static void test_transfer(void **state) {
  struct asker *a = asker_new();
  struct one peers;
  struct zone_policy policy = {.transfer = only(&peers, "192.0.2.0/24")};
  struct zone_policy tls = {.transfer = policy.transfer, .require_tls = true};
  put(a, "zone.", &policy);
  put(a, "tls.", &tls);
  expect(a, "zone.", RR_AXFR, ASK_TCP, "transfer");
  expect(a, "zone.", RR_IXFR, ASK_TLS, "transfer");
  assert_int_equal(a->job.result.zone->id, 0);
  expect(a, "zone.", RR_AXFR, ASK_PLAIN, "NOTIMP\n");
  expect(a, "zone.", RR_IXFR, ASK_PLAIN, "NOERROR aa\nan zone. 60 SOA\n"); /* RFC 1995 §4 */
  expect(a, "zone.", RR_IXFR, ASK_PLAIN | ASK_BARE, "FORMERR\n");
  expect(a, "zone.", RR_IXFR, ASK_TCP | ASK_BARE, "FORMERR\n");
  expect(a, "www.zone.", RR_AXFR, ASK_TCP, "NOTAUTH\n");
  expect(a, "other.", RR_AXFR, ASK_TCP, "NOTAUTH\n");
  expect(a, "tls.", RR_AXFR, ASK_TCP | ASK_EDNS, "REFUSED\nopt 1232 ede=18\n");
  expect(a, "tls.", RR_AXFR, ASK_TLS, "transfer");
  come_from(a, STRANGER);
  expect(a, "zone.", RR_AXFR, ASK_TCP, "REFUSED\n");
  expect(a, "zone.", RR_IXFR, ASK_PLAIN, "REFUSED\n");
  expect(a, "www.zone.", RR_A, ASK_PLAIN, "NOERROR aa\nan www.zone. 60 A 192.0.2.2\n");
  asker_free(a);
}

static void test_notify(void **state) {
  struct asker *a = asker_new();
  struct one primaries;
  struct zone_policy secondary = {.secondary = true, .notify_from = only(&primaries, "192.0.2.0/24")};
  struct zone_policy primary = {.notify_from = secondary.notify_from};
  put(a, "second.", &secondary);
  put(a, "first.", &primary);
  struct zone_entry *e = zones_entry(7, NULL, &secondary);
  struct name apex = zones_name("empty.");
  e->state = ZONE_NOT_LOADED;
  assert_int_equal(zone_set_put(a->zones, &apex, e), ERR_OK);
  expect(a, "second.", RR_SOA, ASK_NOTIFY, "notify NOERROR aa\n");
  expect(a, "second.", RR_SOA, ASK_NOTIFY | ASK_TCP | ASK_EDNS, "notify NOERROR aa\nopt 1232\n");
  expect(a, "empty.", RR_SOA, ASK_NOTIFY, "notify NOERROR aa\n"); /* all the more */
  assert_int_equal(a->job.result.zone->id, 7);
  expect(a, "first.", RR_SOA, ASK_NOTIFY, "REFUSED\n");
  expect(a, "www.second.", RR_SOA, ASK_NOTIFY, "NOTAUTH\n");
  expect(a, "other.", RR_SOA, ASK_NOTIFY, "NOTAUTH\n");
  expect(a, "second.", RR_A, ASK_NOTIFY, "FORMERR\n");
  come_from(a, STRANGER);
  expect(a, "second.", RR_SOA, ASK_NOTIFY, "REFUSED\n");
  asker_free(a);
}

static void test_update(void **state) {
  struct asker *a = asker_new();
  struct one writers;
  struct grant grant = {.who = only(&writers, "192.0.2.0/24")};
  struct zone_policy policy = {.update = {&grant, 1}};
  put(a, "zone.", &policy);
  put(a, "closed.", NULL);
  expect(a, "zone.", RR_SOA, ASK_UPDATE, "update");
  expect(a, "closed.", RR_SOA, ASK_UPDATE, "REFUSED\n");
  expect(a, "www.zone.", RR_SOA, ASK_UPDATE, "NOTAUTH\n");
  expect(a, "zone.", RR_A, ASK_UPDATE, "FORMERR\n");
  come_from(a, STRANGER);
  expect(a, "zone.", RR_SOA, ASK_UPDATE, "REFUSED\n");
  asker_free(a);
}

static void test_listeners(void **state) {
  struct asker *a = asker_new();
  struct one peers;
  struct zone_policy policy = {.secondary = true};
  policy.transfer = policy.notify_from = only(&peers, "192.0.2.0/24");
  struct grant grant = {.who = policy.transfer};
  policy.update = (struct grants){&grant, 1};
  put(a, "zone.", &policy);
  a->queries_only = true;
  expect(a, "zone.", RR_SOA, ASK_PLAIN, "NOERROR aa\nan zone. 60 SOA\n");
  expect(a, "zone.", RR_AXFR, ASK_TCP, "REFUSED\n");
  expect(a, "zone.", RR_IXFR, ASK_PLAIN, "REFUSED\n");
  expect(a, "zone.", RR_SOA, ASK_NOTIFY | ASK_EDNS, "REFUSED\nopt 1232 ede=18\n");
  expect(a, "zone.", RR_SOA, ASK_UPDATE, "REFUSED\n");
  a->queries_only = false;
  a->transfers_only = true;
  expect(a, "zone.", RR_SOA, ASK_PLAIN, "NOERROR aa\nan zone. 60 SOA\n");
  expect(a, "zone.", RR_AXFR, ASK_TCP, "transfer");
  expect(a, "zone.", RR_SOA, ASK_NOTIFY, "notify NOERROR aa\n");
  expect(a, "www.zone.", RR_A, ASK_PLAIN, "REFUSED\n");
  expect(a, "zone.", RR_SOA, ASK_UPDATE, "REFUSED\n");
  asker_free(a);
}

static void test_states(void **state) {
  struct asker *a = asker_new();
  struct one peers;
  struct zone_policy policy = {.transfer = only(&peers, "192.0.2.0/24")};
  static const struct {
    const char *name;
    enum zone_state state;
    bool snap;
    int ede;
    const char *text;
    uint64_t expires_ns;
  } entries[] = {
      {"a.", ZONE_NOT_LOADED, false, EDE_NONE, "", 0},
      {"b.", ZONE_EXPIRED, false, EDE_NONE, "", 0},
      {"c.", ZONE_NOT_LOADED, false, EDE_INVALID_DATA, "c.zone:3: no such type", 0},
      {"d.", ZONE_READY, true, EDE_NONE, "", 1001 * NS_PER_S},
  };
  for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
    struct name apex = zones_name(entries[i].name);
    struct zone_snap *snap = entries[i].snap ? zones_build(entries[i].name, zone_text, ZONES_UNSIGNED) : NULL;
    struct zone_entry *e = zones_entry((uint32_t)i, snap, &policy);
    e->state = entries[i].state;
    e->ede = entries[i].ede;
    e->expires_mono_ns = entries[i].expires_ns;
    e->ede_text = entries[i].text;
    assert_int_equal(zone_set_put(a->zones, &apex, e), ERR_OK);
  }
  expect(a, "www.a.", RR_A, ASK_EDNS, "SERVFAIL\nopt 1232 ede=14\n");
  expect(a, "www.a.", RR_A, ASK_PLAIN, "SERVFAIL\n");
  expect(a, "a.", RR_AXFR, ASK_TCP, "SERVFAIL\n");
  expect(a, "b.", RR_A, ASK_EDNS, "SERVFAIL\nopt 1232 ede=24\n");
  expect(a, "c.", RR_A, ASK_EDNS, "SERVFAIL\nopt 1232 ede=24(c.zone:3: no such type)\n");
  expect(a, "www.d.", RR_A, ASK_PLAIN, "NOERROR aa\nan www.d. 60 A 192.0.2.2\n");
  a->now.mono_ns = 1001 * NS_PER_S;
  expect(a, "www.d.", RR_A, ASK_EDNS, "SERVFAIL\nopt 1232 ede=24\n");
  expect(a, "d.", RR_AXFR, ASK_TCP, "SERVFAIL\n");
  asker_free(a);
}

/* ---- signed requests ---- */

static void test_keys(void **state) {
  struct asker *a = asker_new();
  struct name good = zones_name("good.key."), other = zones_name("other.key."), unknown = zones_name("unknown.key.");
  struct tsig_keyring *strangers;
  assert_int_equal(tsig_keyring_new(&a->id.keys), ERR_OK);
  assert_int_equal(tsig_keyring_new(&strangers), ERR_OK);
  assert_int_equal(tsig_keyring_add(a->id.keys, &good, HMAC_SHA256, (const uint8_t *)"good", 4), ERR_OK);
  assert_int_equal(tsig_keyring_add(a->id.keys, &other, HMAC_SHA256, (const uint8_t *)"other", 5), ERR_OK);
  assert_int_equal(tsig_keyring_add(strangers, &good, HMAC_SHA256, (const uint8_t *)"guess", 5), ERR_OK);
  assert_int_equal(tsig_keyring_add(strangers, &unknown, HMAC_SHA256, (const uint8_t *)"x", 1), ERR_OK);
  struct one list;
  struct zone_policy policy = {.hidden = true};
  policy.answer_to = policy.transfer = only_key(&list, tsig_keyring_find(a->id.keys, &good));
  put(a, "zone.", &policy);
  expect(a, "zone.", RR_SOA, ASK_PLAIN, "REFUSED\n");
  a->key = tsig_keyring_find(a->id.keys, &good);
  expect(a, "zone.", RR_SOA, ASK_PLAIN, "NOERROR aa\nan zone. 60 SOA\ntsig ok signed\n");
  assert_non_null(tsig_verified_key(&a->job.tsig));
  expect(a, "zone.", RR_SOA, ASK_EDNS, "NOERROR aa\nan zone. 60 SOA\nopt 1232\ntsig ok signed\n");
  expect(a, "zone.", RR_AXFR, ASK_TCP, "transfer");
  assert_non_null(tsig_verified_key(&a->job.tsig)); /* kept for whoever sends the zone */
  expect(a, "other.", RR_SOA, ASK_PLAIN, "REFUSED\ntsig ok signed\n");
  a->key = tsig_keyring_find(a->id.keys, &other);
  expect(a, "zone.", RR_SOA, ASK_PLAIN, "REFUSED\ntsig ok signed\n");
  a->key = tsig_keyring_find(strangers, &good);
  expect(a, "zone.", RR_SOA, ASK_PLAIN, "NOTAUTH\ntsig BADSIG\n");
  assert_null(tsig_verified_key(&a->job.tsig));
  a->key = tsig_keyring_find(strangers, &unknown);
  expect(a, "zone.", RR_SOA, ASK_TCP | ASK_EDNS, "NOTAUTH\nopt 1232\ntsig BADKEY\n");
  a->key = tsig_keyring_find(a->id.keys, &good);
  size_t n = asker_question(a, "zone.", RR_SOA, ASK_PLAIN);
  a->now.wall_s += 1000;
  asker_send(a, a->request, n, ASK_PLAIN);
  assert_string_equal(asker_render(a), "NOTAUTH\ntsig BADTIME signed\n");
  tsig_keyring_unref(strangers);
  asker_free(a);
}

/* What is decided outside is signed like everything else. */
static void test_answer_rcode(void **state) {
  struct asker *a = asker_new();
  struct name good = zones_name("good.key.");
  assert_int_equal(tsig_keyring_new(&a->id.keys), ERR_OK);
  assert_int_equal(tsig_keyring_add(a->id.keys, &good, HMAC_SHA256, (const uint8_t *)"good", 4), ERR_OK);
  struct one list;
  struct grant grant = {.who = only_key(&list, tsig_keyring_find(a->id.keys, &good))};
  struct zone_policy policy = {.update = {&grant, 1}};
  put(a, "zone.", &policy);
  a->key = tsig_keyring_find(a->id.keys, &good);
  expect(a, "zone.", RR_SOA, ASK_UPDATE | ASK_EDNS, "update");
  answer_rcode(&a->id, &a->job, a->now, RCODE_SERVFAIL, EDE_OTHER);
  assert_string_equal(asker_render(a), "SERVFAIL\nopt 1232 ede=0\ntsig ok signed\n");
  answer_rcode_text(&a->id, &a->job, a->now, RCODE_REFUSED, EDE_PROHIBITED, "in words");
  assert_non_null(memmem(a->response, a->job.result.size, "in words", 8));
  asker_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hidden_is_outside),
      cmocka_unit_test(test_hidden_not_ready),
      cmocka_unit_test(test_drop_strangers),
      cmocka_unit_test(test_hidden_below_public),
      cmocka_unit_test(test_hidden_below_hidden),
      cmocka_unit_test(test_ds_past_hidden),
      cmocka_unit_test(test_hidden_parent),
      cmocka_unit_test(test_hidden_chain),
      cmocka_unit_test(test_soa_to),
      cmocka_unit_test(test_transfer),
      cmocka_unit_test(test_notify),
      cmocka_unit_test(test_update),
      cmocka_unit_test(test_listeners),
      cmocka_unit_test(test_states),
      cmocka_unit_test(test_keys),
      cmocka_unit_test(test_answer_rcode),
  };
  zone_reader_register();
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  zone_reader_unregister();
  return failed;
}
