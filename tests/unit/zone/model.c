#include "model.h"

#include <stdlib.h>
#include <string.h>

/* ---- randomness: splitmix64 ---- */

uint64_t dice_next(struct dice *d) {
  uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

unsigned dice_below(struct dice *d, unsigned n) {
  return (unsigned)(dice_next(d) % n);
}

/* ---- names ---- */

struct name name_of(const char *text) {
  struct name n;
  assert_int_equal(name_from_text(text, strlen(text), &name_root, &n, NULL, NULL), ERR_OK);
  return n;
}

bool name_prepend(const uint8_t *label, size_t size, const struct name *n, struct name *out) {
  if (n->size + size + 1 > LIMIT_NAME_BYTES) return false;
  struct name r = {.size = (uint8_t)(n->size + size + 1), .labels = (uint8_t)(n->labels + 1)};
  r.octets[0] = (uint8_t)size;
  memcpy(r.octets + 1, label, size);
  memcpy(r.octets + 1 + size, n->octets, n->size);
  *out = r;
  return true;
}

struct name random_name(struct dice *d, const struct name *base, unsigned depth) {
  static const struct {
    const char *octets;
    size_t size;
  } pool[] = {{"a", 1},  {"b", 1},  {"*", 1},    {"A", 1},     {"\0", 1},     {"\1", 1}, {"\0\2", 2}, {"\xff", 1}, {"-", 1},
              {"_t", 2}, {"ab", 2}, {"host", 4}, {"HOST1", 5}, {"host10", 6}, {"{", 1},  {"+", 1},    {"*a", 2},   {"zz", 2}};
  struct name n = *base;
  for (unsigned i = dice_below(d, depth + 1); i > 0; i--) {
    unsigned at = dice_below(d, sizeof pool / sizeof pool[0]);
    if (!name_prepend((const uint8_t *)pool[at].octets, pool[at].size, &n, &n)) break;
  }
  return n;
}

void name_put_beside(struct name *n, const struct name *other) {
  struct name parent;
  if (!other->labels || !n->labels) return;
  name_strip(other, 1, &parent);
  assert_int_equal(name_join(n, 1, &parent, n), ERR_OK);
}

static size_t parent_size(const struct zone_lookup *q) {
  size_t size = q->key_size;
  while (size && (size == q->key_size || q->key[size - 1]))
    size--;
  return size;
}

uint16_t lookup_shared(const struct zone_lookup *q, const struct zone_lookup *before) {
  size_t size = parent_size(q);
  return size == parent_size(before) && memcmp(q->key, before->key, size) == 0 ? (uint16_t)size : 0;
}

/* ---- records ---- */

void model_start(struct model *m, const char *apex) {
  *m = (struct model){.apex = name_of(apex)};
}

void model_done(struct model *m) {
  free(m->records);
  *m = (struct model){0};
}

void model_copy(struct model *to, const struct model *from) {
  *to = *from;
  to->capacity = from->count + 1;
  to->records = malloc(to->capacity * sizeof *to->records);
  assert_non_null(to->records);
  if (from->count) memcpy(to->records, from->records, from->count * sizeof *to->records);
}

struct model_record record_of(const struct name *owner, uint16_t type, uint32_t ttl, const void *rdata, size_t size) {
  struct model_record r = {.owner = *owner, .ttl = ttl, .type = type, .size = (uint16_t)size};
  assert_true(size <= sizeof r.rdata);
  memcpy(r.rdata, rdata, size);
  return r;
}

struct model_record record_soa(const struct name *apex, uint32_t serial) {
  uint8_t rdata[MODEL_RDATA_BYTES];
  struct wr w = wr_make(rdata, sizeof rdata);
  struct name ns = name_of("ns.test.");
  (void)(wr_bytes(&w, ns.octets, ns.size) && wr_bytes(&w, ns.octets, ns.size) && wr_u32(&w, serial) && wr_u32(&w, 3600) &&
         wr_u32(&w, 600) && wr_u32(&w, 86400) && wr_u32(&w, 300));
  return record_of(apex, RR_SOA, 3600, rdata, wr_used(&w));
}

struct model_record record_a(const struct name *owner, uint32_t address) {
  uint8_t rdata[4];
  put_u32(rdata, address);
  return record_of(owner, RR_A, 300, rdata, sizeof rdata);
}

struct model_record record_target(const struct name *owner, uint16_t type, const char *target) {
  struct name n = name_of(target);
  return record_of(owner, type, 300, n.octets, n.size);
}

struct model_record record_nsec(const struct name *owner, const char *next) {
  static const uint8_t types[] = {0, 1, 0x40};
  struct model_record r = record_target(owner, RR_NSEC, next);
  memcpy(r.rdata + r.size, types, sizeof types);
  r.size += sizeof types;
  return r;
}

struct model_record record_rrsig(const struct name *owner, uint16_t covered, uint32_t salt) {
  uint8_t rdata[MODEL_RDATA_BYTES];
  struct wr w = wr_make(rdata, sizeof rdata);
  struct name signer = name_of("test.");
  (void)(wr_u16(&w, covered) && wr_u8(&w, 13) && wr_u8(&w, 2) && wr_u32(&w, 300) && wr_u32(&w, 2000000000) && wr_u32(&w, 1) &&
         wr_u16(&w, 1234) && wr_bytes(&w, signer.octets, signer.size) && wr_u32(&w, salt) && wr_u32(&w, 7));
  return record_of(owner, RR_RRSIG, 300, rdata, wr_used(&w));
}

static size_t nsec3_head(uint8_t *out, uint16_t iterations, const char *salt) {
  out[0] = 1;
  out[1] = 0;
  put_u16(out + 2, iterations);
  out[4] = (uint8_t)strlen(salt);
  memcpy(out + 5, salt, out[4]);
  return 5u + out[4];
}

struct model_record record_nsec3(const struct name *owner, uint16_t iterations, const char *salt) {
  uint8_t rdata[64] = {0};
  size_t n = nsec3_head(rdata, iterations, salt);
  rdata[n] = 20;
  return record_of(owner, RR_NSEC3, 300, rdata, n + 21);
}

struct model_record record_nsec3param(const struct name *apex, uint16_t iterations, const char *salt) {
  uint8_t rdata[64];
  return record_of(apex, RR_NSEC3PARAM, 300, rdata, nsec3_head(rdata, iterations, salt));
}

static uint16_t covered_type(const struct model_record *r) {
  return r->type == RR_RRSIG ? get_u16(r->rdata) : 0;
}

static bool same_set(const struct model_record *a, const struct model_record *b) {
  return a->type == b->type && covered_type(a) == covered_type(b) && name_equal(&a->owner, &b->owner);
}

bool same_record(const struct model_record *a, const struct model_record *b) {
  return same_set(a, b) && rr_rdata_compare(a->type, a->rdata, a->size, b->rdata, b->size) == 0;
}

bool model_add(struct model *m, const struct model_record *r) {
  uint32_t ttl = r->ttl;
  bool found = false;
  for (size_t i = 0; i < m->count; i++) {
    if (!same_set(m->records + i, r)) continue;
    if (m->records[i].ttl < ttl) ttl = m->records[i].ttl;
    if (same_record(m->records + i, r)) found = true;
  }
  if (!found) {
    if (m->count == m->capacity) {
      m->capacity = m->capacity ? 2 * m->capacity : 64;
      m->records = realloc(m->records, m->capacity * sizeof *m->records);
      assert_non_null(m->records);
    }
    m->records[m->count++] = *r;
  }
  for (size_t i = 0; i < m->count; i++)
    if (same_set(m->records + i, r)) m->records[i].ttl = ttl;
  return !found;
}

bool model_remove(struct model *m, const struct model_record *r) {
  for (size_t i = 0; i < m->count; i++) {
    if (!same_record(m->records + i, r)) continue;
    m->records[i] = m->records[--m->count];
    return true;
  }
  return false;
}

void model_fill(struct model *m, struct dice *d, unsigned owners) {
  struct model_record soa = record_soa(&m->apex, 1);
  model_add(m, &soa);
  for (unsigned i = 0; i < owners; i++) {
    struct name n = random_name(d, &m->apex, 4);
    struct model_record r = record_a(&n, dice_below(d, 3));
    unsigned kind = dice_below(d, 20);
    if (kind == 0) r = record_target(&n, RR_NS, "ns.elsewhere.");
    if (kind == 1) r = record_target(&n, RR_DNAME, "there.");
    if (kind == 2) r = record_rrsig(&n, RR_A, dice_below(d, 3));
    if (kind == 3) r = record_rrsig(&n, RR_AAAA, dice_below(d, 3));
    if (kind == 4) r = record_target(&n, RR_CNAME, "else.");
    if (kind == 5) r = record_nsec(&n, "next.");
    r.ttl = 100 + 100 * dice_below(d, 3);
    model_add(m, &r);
  }
}

/* ---- and the zone of it ---- */

void edit_add(struct zone_edit *e, const struct model_record *r) {
  enum zone_add outcome;
  assert_int_equal(zone_edit_add(e, &r->owner, r->type, r->ttl, r->rdata, r->size, &outcome), ERR_OK);
}

void edit_remove(struct zone_edit *e, const struct model_record *r) {
  assert_int_equal(zone_edit_remove(e, &r->owner, r->type, r->rdata, r->size), ERR_OK);
}

struct zone_snap *model_build(const struct model *m) {
  struct zone_edit *e;
  struct zone_snap *s;
  assert_int_equal(zone_edit_begin(NULL, &m->apex, &e), ERR_OK);
  for (size_t i = 0; i < m->count; i++)
    edit_add(e, m->records + i);
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  return s;
}

static void read_rrs(struct model *m, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rrs, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    const uint8_t *rdata;
    uint16_t size;
    zone_rr_next(&rrs, &rdata, &size);
    struct model_record r = record_of(owner, type, ttl, rdata, size);
    if (m->count == m->capacity) {
      m->capacity = m->capacity ? 2 * m->capacity : 64;
      m->records = realloc(m->records, m->capacity * sizeof *m->records);
      assert_non_null(m->records);
    }
    m->records[m->count++] = r;
  }
}

void model_read(struct model *m, const struct zone_snap *s) {
  struct zone_cursor c;
  const struct zone_node *n;
  *m = (struct model){.count = 0};
  name_copy(&m->apex, zone_apex(s));
  assert_int_equal(zone_cursor_open(s, &c), ERR_OK);
  while ((n = zone_cursor_next(&c))) {
    struct name owner;
    zone_node_owner(s, n, &owner);
    assert_true(zone_rrset_count(n) > 0);
    for (unsigned i = 0; i < zone_rrset_count(n); i++) {
      struct zone_rrset set;
      zone_rrset_at(n, i, &set);
      assert_true(set.count + set.sig_count > 0);
      read_rrs(m, &owner, set.type, set.ttl, set.rrs, set.count);
      read_rrs(m, &owner, RR_RRSIG, set.sig_ttl, set.sigs, set.sig_count);
    }
  }
  zone_cursor_close(&c);
}

static int compare_records(const void *a, const void *b) {
  const struct model_record *x = a, *y = b;
  int c = name_compare(&x->owner, &y->owner);
  if (c == 0) c = (int)x->type - (int)y->type;
  if (c == 0) c = (int)covered_type(x) - (int)covered_type(y);
  return c ? c : rr_rdata_compare(x->type, x->rdata, x->size, y->rdata, y->size);
}

void check_content(const struct zone_snap *s, const struct model *m) {
  struct model got, want;
  model_read(&got, s);
  model_copy(&want, m);
  assert_int_equal(got.count, want.count);
  assert_int_equal(zone_record_count(s), want.count);
  qsort(got.records, got.count, sizeof *got.records, compare_records);
  qsort(want.records, want.count, sizeof *want.records, compare_records);
  for (size_t i = 0; i < got.count; i++) {
    assert_true(same_record(got.records + i, want.records + i));
    assert_int_equal(got.records[i].ttl, want.records[i].ttl);
  }
  model_done(&got);
  model_done(&want);
}
