#include "zone/content.h"

#include "base/give_way.h"
#include "zone/content_priv.h"
#include "zone/snap_priv.h"

#include <inttypes.h>
#include <stdio.h>

enum { RECORD_BYTES = LIMIT_NAME_BYTES + 2 + 4 + LIMIT_MESSAGE_BYTES };

static const uint64_t content_key = 0x54616e64656d2031; /* part of the format: two servers compare what they got with it */

static void sum_add(struct digest128 *sum, struct digest128 v) {
  sum->low += v.low;
  sum->high += v.high + (sum->low < v.low);
}

static void sum_take(struct digest128 *sum, struct digest128 v) {
  sum->high -= v.high + (sum->low < v.low);
  sum->low -= v.low;
}

/* Owner, in lower case, and RDATA in canonical form are hashed: what zone_diff calls equal has the same hash. */
struct hashed {
  size_t owner_size;
  uint8_t bytes[RECORD_BYTES];
};

static struct digest128 hash_rr(struct hashed *h, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  uint8_t *at = h->bytes + h->owner_size;
  put_u16(at, type);
  put_u32(at + 2, ttl);
  bytes_copy(at + 6, rdata, size);
  rr_rdata_canonical(type, at + 6, size);
  return hash128_keyed(h->bytes, h->owner_size + 6 + size, content_key);
}

struct digest128 content_of(const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct hashed h;
  struct name lower;
  name_copy(&lower, owner);
  name_lower(&lower);
  memcpy(h.bytes, lower.octets, lower.size);
  h.owner_size = lower.size;
  return hash_rr(&h, type, ttl, rdata, size);
}

struct step {
  struct digest128 *digest; /* NULL: only counted */
  struct delta_size size;
};

static bool on_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct step *s = arg;
  if (s->digest) sum_take(s->digest, content_of(owner, type, ttl, rdata, size));
  s->size.removed++;
  return true;
}

static bool on_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct step *s = arg;
  if (s->digest) sum_add(s->digest, content_of(owner, type, ttl, rdata, size));
  s->size.added++;
  return true;
}

enum err zone_content_diff(const struct zone_snap *from, const struct zone_snap *to, struct digest128 *digest,
                           struct delta_size *size) {
  struct step s = {.digest = digest};
  enum err err = zone_diff(from, to, &(struct zone_diff){on_removed, on_added, &s});
  if (!err) *size = s.size;
  return err;
}

enum err zone_content_delta(const uint8_t *body, size_t n, struct digest128 *digest, struct delta_size *size) {
  struct digest128 sum = *digest;
  struct step s = {.digest = &sum};
  struct delta_cursor c;
  struct delta_record r;
  enum err err = zone_delta_open(body, n, &c);
  while (!err) {
    give_way();
    err = zone_delta_next(&c, &r);
    if (!err) (r.added ? on_added : on_removed)(&s, &r.owner, r.type, r.ttl, r.rdata, r.size);
  }
  if (err != ERR_NOT_FOUND) return err;
  *digest = sum;
  *size = s.size;
  return ERR_OK;
}

static void add_packed(struct digest128 *sum, struct hashed *h, uint16_t type, uint32_t ttl, const uint8_t *rrs, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    const uint8_t *rdata;
    uint16_t size;
    zone_rr_next(&rrs, &rdata, &size);
    sum_add(sum, hash_rr(h, type, ttl, rdata, size));
  }
}

/* Keys are in lower case: without the case bitmap the owner is, too. */
static void put_owner(struct hashed *h, const struct zone_node *record, const struct name *apex) {
  size_t shared;
  if (zone_node_labels_after(record, NULL, h->bytes, &h->owner_size, &shared)) {
    bytes_copy(h->bytes + h->owner_size, apex->octets, apex->size);
    h->owner_size += apex->size;
    return;
  }
  struct name owner;
  owner_key_name(record_key(record), record_key_size(record), NULL, apex, &owner);
  memcpy(h->bytes, owner.octets, owner.size);
  h->owner_size = owner.size;
}

void content_add(struct digest128 *sum, const struct zone_node *record, const struct name *apex) {
  struct hashed h;
  struct zone_rrset set;
  put_owner(&h, record, apex);
  for (unsigned i = 0; i < zone_rrset_count(record); i++) {
    zone_rrset_at(record, i, &set);
    add_packed(sum, &h, set.type, set.ttl, set.rrs, set.count);
    add_packed(sum, &h, RR_RRSIG, set.sig_ttl, set.sigs, set.sig_count);
  }
}

void content_take(struct digest128 *sum, const struct zone_node *record, const struct name *apex) {
  struct digest128 own = {0};
  content_add(&own, record, apex);
  sum_take(sum, own);
}

struct digest128 content_sum(struct digest128 a, struct digest128 b) {
  sum_add(&a, b);
  return a;
}

struct digest128 content_less(struct digest128 a, struct digest128 b) {
  sum_take(&a, b);
  return a;
}

enum err zone_content_whole(const struct zone_snap *s, struct digest128 *out) {
  struct zone_cursor cursor;
  struct digest128 sum = {0};
  struct name apex;
  enum err err = zone_cursor_open(s, &cursor);
  if (err) return err;
  name_copy(&apex, zone_apex(s));
  name_lower(&apex);
  for (const struct zone_node *n; (n = zone_cursor_next(&cursor));)
    content_add(&sum, n, &apex);
  zone_cursor_close(&cursor);
  *out = sum;
  return ERR_OK;
}

bool zone_content(const struct zone_snap *s, struct digest128 *out) {
  if (s->has_content) *out = s->content;
  return s->has_content;
}

void zone_content_set(const struct zone_snap *s, struct digest128 digest) {
  struct zone_snap *own = (struct zone_snap *)(uintptr_t)s; /* of who made it, still */
  own->content = digest;
  own->has_content = true;
}

bool zone_content_equal(struct digest128 a, struct digest128 b) {
  return a.low == b.low && a.high == b.high;
}

const char *zone_content_text(struct digest128 digest, char out[CONTENT_TEXT_BYTES]) {
  snprintf(out, CONTENT_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, digest.high, digest.low);
  return out;
}
