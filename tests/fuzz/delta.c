/* Changeset bodies as the log might give them back. Whatever applies to a zone must be a difference that can be made again, from
 * there to the result and back; whatever does not must leave the zone as it was. */
#include "zone/delta.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(struct zone_edit *e, const char *owner, uint16_t type, uint32_t ttl, const void *rdata, uint16_t size) {
  struct name n;
  enum zone_add outcome;
  if (name_from_text(owner, strlen(owner), NULL, &n, NULL, NULL) || zone_edit_add(e, &n, type, ttl, rdata, size, &outcome)) abort();
}

static struct zone_snap *make_base(void) {
  static const uint8_t soa[22] = {0, 0, 0, 0, 0, 1};
  static const uint8_t ns[] = "\2ns\7example";
  struct zone_edit *e;
  struct zone_snap *s;
  struct name apex;
  if (name_from_text("example.", 8, NULL, &apex, NULL, NULL) || zone_edit_begin(NULL, &apex, &e)) abort();
  add(e, "example.", RR_SOA, 3600, soa, sizeof soa);
  add(e, "example.", RR_NS, 3600, ns, sizeof ns);
  add(e, "ns.example.", RR_A, 300, "\1\2\3\4", 4);
  add(e, "ns.example.", RR_A, 300, "\1\2\3\5", 4);
  add(e, "a.b.example.", RR_TXT, 60, "\1a", 2);
  add(e, "*.b.example.", RR_TXT, 60, "\1b", 2);
  add(e, "sub.example.", RR_NS, 3600, ns, sizeof ns);
  if (zone_edit_finish(e, &s)) abort();
  return s;
}

struct tally {
  uint64_t removed, added;
};

static bool count(void *arg, bool added, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                  uint16_t size) {
  struct tally *t = arg;
  assert(owner->size >= 1 && ttl <= LIMIT_TTL && rr_type_is_data(type) && rr_rdata_check(type, rdata, size) == ERR_OK);
  t->removed += !added;
  t->added += added;
  return true;
}

/* Made again, it leads to the same zone. */
static void assert_goes(const struct zone_snap *from, const struct zone_snap *to) {
  struct buf body = {0};
  struct delta_size made;
  struct tally t = {0};
  struct zone_snap *got = NULL;
  enum err err = zone_delta_make(from, to, SIZE_MAX / 2, &body, &made);
  assert(!err);
  err = zone_delta_each(body.data, body.size, count, &t);
  assert(!err && t.removed == made.removed && t.added == made.added);
  err = zone_delta_apply(from, body.data, body.size, &got);
  assert(!err && zone_equal(got, to));
  (void)err;
  zone_snap_unref(got);
  buf_done(&body);
}

/* Packed bodies as the log might give them back, and what is packed of any body: it comes back octet for octet. */
static void assert_packs(const uint8_t *body, size_t n) {
  struct buf packed = {0}, unpacked = {0};
  if (zone_delta_pack(body, n, &packed)) {
    assert(packed.size < n && zone_delta_is_packed(packed.data, packed.size));
    enum err err = zone_delta_unpack(packed.data, packed.size, &unpacked);
    assert(!err && unpacked.size == n && memcmp(unpacked.data, body, n) == 0);
    (void)err;
  }
  buf_done(&packed);
  buf_done(&unpacked);
}

static void unpack(const uint8_t *data, size_t size) {
  struct buf body = {0};
  enum err err = zone_delta_unpack(data, size, &body);
  assert(err == ERR_OK || (err == ERR_CORRUPT && body.size == 0));
  if (!err) assert_packs(body.data, body.size);
  buf_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct zone_snap *base, *untouched;
  struct tally t = {0};
  if (!base) {
    base = make_base();
    untouched = make_base();
  }
  unpack(data, size);
  assert_packs(data, size);
  enum err read = zone_delta_each(data, size, count, &t);
  assert(read == ERR_OK || read == ERR_CORRUPT || read == ERR_VERSION);
  struct zone_snap *got;
  enum err err = zone_delta_apply(base, data, size, &got);
  assert(err == ERR_OK || err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_LIMIT);
  assert(zone_equal(base, untouched));
  if (!err) {
    assert(read == ERR_OK);
    assert_goes(base, got);
    assert_goes(got, base);
    zone_snap_unref(got);
  }
  return 0;
}
