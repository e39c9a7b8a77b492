#include "fake_ixfr.h"

#include "xfr/zonemd.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- records ---- */

void fake_ixfr_insert(struct fake_ixfr *x, size_t at, const struct fake_rr *rr) {
  assert(at <= x->count);
  struct fake_rr copy = *rr;
  copy.rdata = malloc(rr->size + 1u);
  assert(copy.rdata);
  memcpy(copy.rdata, rr->rdata, rr->size);
  if (x->count == x->capacity) {
    x->capacity = x->capacity ? 2 * x->capacity : 64;
    x->rrs = realloc(x->rrs, x->capacity * sizeof *x->rrs);
    assert(x->rrs);
  }
  memmove(x->rrs + at + 1, x->rrs + at, (x->count - at) * sizeof *x->rrs);
  x->rrs[at] = copy;
  x->count++;
}

void fake_ixfr_remove(struct fake_ixfr *x, size_t at) {
  assert(at < x->count);
  free(x->rrs[at].rdata);
  memmove(x->rrs + at, x->rrs + at + 1, (--x->count - at) * sizeof *x->rrs);
}

void fake_ixfr_done(struct fake_ixfr *x) {
  while (x->count)
    fake_ixfr_remove(x, x->count - 1);
  free(x->rrs);
  *x = (struct fake_ixfr){0};
}

static bool append(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct fake_ixfr *x = arg;
  struct fake_rr rr = {.owner = *owner, .type = type, .size = size, .ttl = ttl, .rdata = (uint8_t *)(uintptr_t)rdata};
  if (type != RR_SOA) fake_ixfr_insert(x, x->count, &rr);
  return true;
}

static void append_soa(struct fake_ixfr *x, const struct zone_snap *snap) {
  struct zone_rrset set;
  const uint8_t *rdata;
  uint16_t size;
  bool found = zone_find_rrset(zone_apex_node(snap), RR_SOA, &set);
  assert(found);
  zone_rr_next(&set.rrs, &rdata, &size);
  struct fake_rr rr = {.type = RR_SOA, .size = size, .ttl = set.ttl, .rdata = (uint8_t *)(uintptr_t)rdata};
  name_copy(&rr.owner, zone_apex(snap));
  fake_ixfr_insert(x, x->count, &rr);
}

void fake_ixfr_make(struct fake_ixfr *x, struct zone_snap *const *versions, size_t count) {
  *x = (struct fake_ixfr){0};
  append_soa(x, versions[count - 1]);
  for (size_t i = 0; i + 1 < count; i++) {
    append_soa(x, versions[i]);
    enum err e = zone_diff(versions[i], versions[i + 1], &(struct zone_diff){append, NULL, x});
    append_soa(x, versions[i + 1]);
    if (!e) e = zone_diff(versions[i], versions[i + 1], &(struct zone_diff){NULL, append, x});
    assert(!e);
  }
  append_soa(x, versions[count - 1]);
}

void fake_ixfr_write(const struct fake_ixfr *x, size_t *next, size_t most, struct message_writer *w) {
  for (size_t n = 0; n < most && *next < x->count; n++, ++*next) {
    const struct fake_rr *rr = &x->rrs[*next];
    if (!message_put_rr(w, SECTION_ANSWER, rr->owner.octets, rr->type, CLASS_IN, rr->ttl, rr->rdata, rr->size)) return;
  }
}

/* ---- versions ---- */

uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

static void remove_apex(struct zone_edit *edit, const struct zone_snap *base, uint16_t type, uint8_t *last, size_t *last_size) {
  struct zone_rrset set;
  const uint8_t *rdata;
  uint16_t size;
  if (!zone_find_rrset(zone_apex_node(base), type, &set)) return;
  for (unsigned i = 0; i < set.count; i++) {
    zone_rr_next(&set.rrs, &rdata, &size);
    enum err e = zone_edit_remove(edit, zone_apex(base), type, rdata, size);
    assert(!e);
    memcpy(last, rdata, size);
    *last_size = size;
  }
}

static void add(struct zone_edit *edit, const struct name *owner, uint16_t type, const uint8_t *rdata, size_t size) {
  enum zone_add outcome;
  enum err e = zone_edit_add(edit, owner, type, 3600, rdata, (uint16_t)size, &outcome);
  assert(!e);
}

/* Takes away one of the host's addresses if it is there, puts it in if it is not. */
static void change_one(struct zone_edit *edit, const struct name *apex, uint64_t random) {
  char text[32];
  struct name owner;
  uint8_t a[4] = {192, 0, 2, (uint8_t)(random >> 32 & 3)};
  snprintf(text, sizeof text, "host%u", (unsigned)(random % 50));
  enum err e = name_from_text(text, strlen(text), apex, &owner, NULL, NULL);
  assert(!e);
  e = zone_edit_remove(edit, &owner, RR_A, a, sizeof a);
  assert(!e || e == ERR_NOT_FOUND);
  if (e) add(edit, &owner, RR_A, a, sizeof a);
}

static struct zone_snap *with_digest(struct zone_snap *snap) {
  uint8_t rdata[ZONEMD_RDATA_BYTES_MAX];
  size_t size;
  struct zone_edit *edit;
  struct zone_snap *out;
  enum err e = zonemd_make(snap, rdata, &size);
  if (!e) e = zone_edit_begin(snap, NULL, &edit);
  assert(!e);
  add(edit, zone_apex(snap), RR_ZONEMD, rdata, size);
  e = zone_edit_finish(edit, &out);
  assert(!e);
  zone_snap_unref(snap);
  return out;
}

struct zone_snap *next_version(const struct zone_snap *base, uint32_t serial, unsigned changes, bool zonemd, uint64_t *random) {
  struct zone_edit *edit;
  struct zone_snap *snap;
  uint8_t rdata[600];
  size_t size = 0;
  enum err e = zone_edit_begin(base, NULL, &edit);
  assert(!e);
  remove_apex(edit, base, RR_ZONEMD, rdata, &size);
  remove_apex(edit, base, RR_SOA, rdata, &size);
  put_u32(rdata + size - 20, serial);
  add(edit, zone_apex(base), RR_SOA, rdata, size);
  for (unsigned i = 0; i < changes; i++)
    change_one(edit, zone_apex(base), next_random(random));
  e = zone_edit_finish(edit, &snap);
  assert(!e);
  return zonemd ? with_digest(snap) : snap;
}
