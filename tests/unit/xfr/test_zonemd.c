/* ZONEMD: the digest of RFC 8976 appendix A.1, what verifying looks at (§4), and that order and case of loading do not count. */
#include "testing.h"

#include "fake_primary.h"
#include "xfr/zonemd.h"
#include "zone/zone_set.h"

static const char good384[] = "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c";

struct zonemd_rr {
  uint32_t serial;
  uint8_t scheme, algorithm;
  const char *digest; /* hex */
};

static void add(struct zone_edit *e, const char *owner, uint16_t type, uint32_t ttl, const void *rdata, size_t size) {
  struct name name = name_of(owner);
  enum zone_add outcome;
  assert_ok(zone_edit_add(e, &name, type, ttl, rdata, (uint16_t)size, &outcome));
}

static void add_zonemd(struct zone_edit *e, const struct zonemd_rr *z) {
  uint8_t rdata[80];
  size_t n = strlen(z->digest) / 2;
  put_u32(rdata, z->serial);
  rdata[4] = z->scheme;
  rdata[5] = z->algorithm;
  for (size_t i = 0; i < n; i++) {
    char hex[3] = {z->digest[2 * i], z->digest[2 * i + 1], 0};
    rdata[6 + i] = (uint8_t)strtoul(hex, NULL, 16);
  }
  add(e, "example.", RR_ZONEMD, 86400, rdata, 6 + n);
}

static struct zone_snap *rfc_zone(bool shouted, const struct zonemd_rr *list, size_t count) {
  static const uint8_t soa[] = "\3ns1\7example\0\5admin\7example\0"
                               "\x78\x48\xb9\x1c\0\0\7\10\0\0\3\204\0\11\72\200\0\1\121\200";
  uint8_t rdata[sizeof soa - 1], aaaa[16] = {0x20, 1, 0xd, 0xb8, [15] = 0x63};
  struct name apex = name_of("example.");
  struct zone_edit *e;
  struct zone_snap *snap;
  memcpy(rdata, soa, sizeof rdata);
  if (shouted) rdata[1] = 'N';
  assert_ok(zone_edit_begin(NULL, &apex, &e));
  add(e, shouted ? "NS2.eXample." : "ns2.example.", RR_AAAA, 3600, aaaa, 16);
  add(e, "example.", RR_NS, 86400, shouted ? "\3NS2\7EXAMPLE" : "\3ns2\7example", 13);
  add(e, "example.", RR_NS, 86400, "\3ns1\7example", 13);
  add(e, "ns1.example.", RR_A, 3600, "\313\0\161\77", 4);
  add(e, "example.", RR_SOA, 86400, rdata, sizeof rdata);
  for (size_t i = 0; i < count; i++)
    add_zonemd(e, &list[i]);
  assert_ok(zone_edit_finish(e, &snap));
  return snap;
}

static void check(const struct zonemd_rr *list, size_t count, const char *what) {
  for (unsigned shouted = 0; shouted < 2; shouted++) {
    struct zone_snap *snap = rfc_zone(shouted, list, count);
    struct xfr_what w = {""};
    bool fits = zonemd_verify(snap, &w);
    if (fits == (what != NULL)) fail_msg("%s instead of %s", fits ? "fits" : w.text, what ? what : "fits");
    if (what) assert_contains(w.text, what);
    assert_int_equal(zonemd_is_there(snap), count > 0);
    zone_snap_unref(snap);
  }
}

#define CHECK(what, ...)                           \
  do {                                             \
    const struct zonemd_rr list[] = {__VA_ARGS__}; \
    check(list, sizeof list / sizeof *list, what); \
  } while (0)

static void test_rfc_example(void **state) {
  CHECK(NULL, {2018031900, 1, 1, good384});
  check(NULL, 0, NULL);
  struct zone_snap *snap = rfc_zone(true, NULL, 0);
  uint8_t rdata[ZONEMD_RDATA_BYTES_MAX];
  size_t size;
  assert_ok(zonemd_make(snap, rdata, &size));
  assert_int_equal(size, 54);
  assert_int_equal(get_u32(rdata), 2018031900);
  assert_int_equal(rdata[6], 0xc6);
  assert_int_equal(rdata[53], 0x4c);
  zone_snap_unref(snap);
  zone_grace_barrier();
}

static void test_what_counts(void **state) {
  static const char bad384[] = "d68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c";
  static const char some[] = "000102030405060708090a0b";
  CHECK("does not fit its digest (ZONEMD, SHA-384)", {2018031900, 1, 1, bad384});
  CHECK("serial 2018031900 with a ZONEMD for serial 2018031901", {2018031901, 1, 1, good384});
  CHECK("has 12 octets, which is not the size of SHA-384", {2018031900, 1, 1, some});
  CHECK("has 48 octets, which is not the size of SHA-512", {2018031900, 1, 2, good384});
  CHECK("several ZONEMD of SHA-384", {2018031900, 1, 1, good384}, {2018031900, 1, 1, bad384});
  /* schemes and algorithms that nobody here knows say nothing ... */
  CHECK(NULL, {2018031900, 240, 1, some});
  CHECK(NULL, {2018031900, 1, 240, some});
  CHECK(NULL, {2018031900, 1, 240, some}, {2018031900, 1, 1, good384});
  CHECK("does not fit", {2018031900, 1, 240, some}, {2018031900, 1, 1, bad384});
  /* ... and one that fits is enough. */
  CHECK(NULL, {2018031900, 1, 1, good384}, {2018031900, 1, 2, good384});
  zone_grace_barrier();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rfc_example), cmocka_unit_test(test_what_counts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
