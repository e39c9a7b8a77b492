#include "xfr/zonemd.h"

#include "zone/canonical.h"

#include <string.h>

struct zonemd { /* one record */
  uint32_t serial;
  uint8_t scheme, algorithm;
  const uint8_t *digest;
  size_t digest_size;
};

/* From checked RDATA. */
static struct zonemd read_zonemd(const uint8_t *rdata, size_t size) {
  return (struct zonemd){get_u32(rdata), rdata[4], rdata[5], rdata + 6, size - 6};
}

static bool is_known(const struct zonemd *z) {
  return z->scheme == ZONEMD_SIMPLE && (z->algorithm == ZONEMD_SHA384 || z->algorithm == ZONEMD_SHA512);
}

static enum digest_algorithm digest_of(unsigned algorithm) {
  return algorithm == ZONEMD_SHA384 ? DIGEST_SHA384 : DIGEST_SHA512;
}

static enum err add_record(void *arg, const uint8_t *bytes, size_t n) {
  return digest_add(arg, bytes, n);
}

static enum err digest_zone(const struct zone_snap *zone, unsigned algorithm, uint8_t out[DIGEST_BYTES_MAX]) {
  struct digest *d;
  enum err e = digest_new(digest_of(algorithm), &d);
  if (e) return e;
  e = zone_canonical_walk(zone, add_record, d);
  if (!e) e = digest_finish(d, out);
  digest_free(d);
  return e;
}

/* ---- verifying ---- */

/* How many of the set have this scheme and algorithm: of several none counts (RFC 8976 §2.2.2, §4 step 4). */
static unsigned count_alike(struct zone_rrset set, const struct zonemd *z) {
  unsigned count = 0;
  for (unsigned i = 0; i < set.count; i++) {
    const uint8_t *rdata;
    uint16_t size;
    zone_rr_next(&set.rrs, &rdata, &size);
    struct zonemd other = read_zonemd(rdata, size);
    count += other.scheme == z->scheme && other.algorithm == z->algorithm;
  }
  return count;
}

/* One that we understand. */
static bool fits(const struct zone_snap *zone, const struct zone_rrset *set, const struct zonemd *z, struct xfr_what *what) {
  const char *name = z->algorithm == ZONEMD_SHA384 ? "SHA-384" : "SHA-512";
  uint8_t digest[DIGEST_BYTES_MAX];
  if (z->serial != zone_serial(zone))
    xfr_what_set(what, "sent a zone of serial %u with a ZONEMD for serial %u: sign it anew there", zone_serial(zone), z->serial);
  else if (count_alike(*set, z) > 1)
    xfr_what_set(what, "sent a zone with several ZONEMD of %s, of which none counts: leave one there", name);
  else if (z->digest_size != digest_size(digest_of(z->algorithm)))
    xfr_what_set(what, "sent a zone whose ZONEMD has %zu octet%s, which is not the size of %s", z->digest_size,
                 plural(z->digest_size), name);
  else if (digest_zone(zone, z->algorithm, digest)) xfr_what_set(what, "sent a zone that can't be verified: out of memory");
  else if (memcmp(digest, z->digest, z->digest_size) != 0)
    xfr_what_set(what, "sent a zone (serial %u) that does not fit its digest (ZONEMD, %s)", z->serial, name);
  else return true;
  return false;
}

bool zonemd_is_there(const struct zone_snap *zone) {
  struct zone_rrset set;
  return zone_find_rrset(zone_apex_node(zone), RR_ZONEMD, &set) && set.count > 0;
}

bool zonemd_verify(const struct zone_snap *zone, struct xfr_what *what) {
  struct zone_rrset set;
  bool known = false;
  if (!zone_find_rrset(zone_apex_node(zone), RR_ZONEMD, &set)) return true;
  const uint8_t *rrs = set.rrs, *rdata;
  uint16_t size;
  for (unsigned i = 0; i < set.count; i++) {
    zone_rr_next(&rrs, &rdata, &size);
    struct zonemd z = read_zonemd(rdata, size);
    if (!is_known(&z)) continue;
    if (fits(zone, &set, &z, what)) return true;
    known = true;
  }
  return !known;
}

/* ---- making ---- */

enum err zonemd_make(const struct zone_snap *zone, uint8_t rdata[ZONEMD_RDATA_BYTES_MAX], size_t *size) {
  uint8_t digest[DIGEST_BYTES_MAX];
  enum err e = digest_zone(zone, ZONEMD_SHA384, digest);
  if (e) return e;
  struct wr w = wr_make(rdata, ZONEMD_RDATA_BYTES_MAX);
  wr_u32(&w, zone_serial(zone));
  wr_u8(&w, ZONEMD_SIMPLE);
  wr_u8(&w, ZONEMD_SHA384);
  wr_bytes(&w, digest, digest_size(DIGEST_SHA384));
  *size = wr_used(&w);
  return ERR_OK;
}
