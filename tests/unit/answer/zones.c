#include "zones.h"

#include "base/arena.h"
#include "crypto/digest.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                               \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                        \
    }                                                                 \
  } while (0)

enum { RECORDS_MAX = 4096, TOKENS_MAX = 64, RDATA_MAX = 8192, SIGNATURE_BYTES = 64 };

struct record {
  struct name owner;
  uint16_t type, size;
  uint32_t ttl;
  const uint8_t *rdata;
};

struct draft {
  struct arena arena;
  struct name apex;
  size_t count;
  struct record records[RECORDS_MAX];
};

struct nsec3_form {
  uint8_t flags;
  uint16_t iterations;
};

struct name zones_name(const char *text) {
  struct name n;
  MUST(name_from_text(text, strlen(text), NULL, &n, NULL, NULL) == ERR_OK);
  return n;
}

static void add(struct draft *d, const struct name *owner, uint16_t type, uint32_t ttl, const struct wr *rdata) {
  MUST(d->count < RECORDS_MAX && !wr_failed(rdata));
  const uint8_t *copy = arena_copy(&d->arena, rdata->base, wr_used(rdata));
  d->records[d->count++] = (struct record){*owner, type, (uint16_t)wr_used(rdata), ttl, copy};
}

/* ---- text ---- */

static unsigned split(const char *at, const char *end, struct rr_token *tokens) {
  unsigned n = 0;
  for (;;) {
    while (at < end && *at == ' ')
      at++;
    if (at == end) return n;
    MUST(n < TOKENS_MAX);
    struct rr_token *t = &tokens[n++];
    *t = (struct rr_token){.line = 1, .column = 1, .quoted = *at == '"'};
    t->text = at + t->quoted;
    for (at = t->text; at < end && *at != (t->quoted ? '"' : ' ');)
      at++;
    t->size = (uint32_t)(at - t->text);
    if (t->quoted && at < end) at++;
  }
}

static void parse_line(struct draft *d, const char *at, const char *end) {
  struct rr_token tokens[TOKENS_MAX];
  unsigned n = split(at, end, tokens);
  if (n == 0) return;
  MUST(n >= 3);
  struct name owner;
  uint16_t type;
  MUST(name_from_text(tokens[0].text, tokens[0].size, &d->apex, &owner, NULL, NULL) == ERR_OK);
  MUST(rr_type_from_text(tokens[2].text, tokens[2].size, &type) == ERR_OK);
  uint8_t rdata[RDATA_MAX];
  struct wr w = wr_make(rdata, sizeof rdata);
  struct rr_text_error error;
  if (rr_rdata_from_text(type, tokens + 3, n - 3, &d->apex, &w, &error)) {
    fprintf(stderr, "%.*s: %s\n", (int)(end - at), at, error.what);
    abort();
  }
  add(d, &owner, type, (uint32_t)strtoul(tokens[1].text, NULL, 10), &w);
}

static void parse(struct draft *d, const char *text) {
  while (*text) {
    const char *end = text + strcspn(text, "\n");
    parse_line(d, text, end);
    text = *end ? end + 1 : end;
  }
}

/* ---- signing ---- */

static bool has(const struct draft *d, const struct name *owner, uint16_t type) {
  for (size_t i = 0; i < d->count; i++)
    if (d->records[i].type == type && name_equal(&d->records[i].owner, owner)) return true;
  return false;
}

static bool is_cut(const struct draft *d, const struct name *owner) {
  return !name_equal(owner, &d->apex) && has(d, owner, RR_NS);
}

/* Below a cut or a DNAME: not part of the zone's authoritative data. */
static bool is_occluded(const struct draft *d, const struct name *owner) {
  struct name above = *owner;
  while (above.labels > d->apex.labels) {
    struct name next;
    name_strip(&above, 1, &next);
    above = next;
    if (is_cut(d, &above) || has(d, &above, RR_DNAME)) return true;
  }
  return false;
}

static size_t put_bitmap(uint8_t out[34], const uint16_t *types, size_t count) {
  memset(out, 0, 34);
  size_t length = 0;
  for (size_t i = 0; i < count; i++) {
    MUST(types[i] < 256);
    out[2 + types[i] / 8] |= (uint8_t)(0x80 >> types[i] % 8);
    if (length < types[i] / 8u + 1) length = types[i] / 8u + 1;
  }
  out[1] = (uint8_t)length;
  return length ? length + 2 : 0;
}

/* Types at a name as a denial record lists them. */
static size_t list_types(const struct draft *d, const struct name *owner, bool nsec, uint16_t *out) {
  size_t n = 0;
  bool cut = is_cut(d, owner), any_signed = false;
  for (size_t i = 0; i < d->count; i++) {
    const struct record *r = &d->records[i];
    if (!name_equal(&r->owner, owner) || r->type == RR_NSEC3) continue;
    if (cut && r->type != RR_NS && r->type != RR_DS) continue;
    any_signed = any_signed || !cut || r->type == RR_DS;
    out[n++] = r->type;
  }
  if (n && (nsec || any_signed)) out[n++] = RR_RRSIG;
  if (nsec) out[n++] = RR_NSEC;
  return n;
}

static int by_name(const void *a, const void *b) {
  return name_compare(a, b);
}

/* Owners of authoritative data (cuts included) in canonical order, each once. */
static size_t list_owners(const struct draft *d, bool skip_insecure, struct name *out) {
  size_t n = 0;
  for (size_t i = 0; i < d->count; i++) {
    const struct name *owner = &d->records[i].owner;
    if (is_occluded(d, owner) || (skip_insecure && is_cut(d, owner) && !has(d, owner, RR_DS))) continue;
    out[n++] = *owner;
  }
  qsort(out, n, sizeof *out, by_name);
  size_t unique = 0;
  for (size_t i = 0; i < n; i++)
    if (unique == 0 || !name_equal(&out[unique - 1], &out[i])) out[unique++] = out[i];
  return unique;
}

static uint32_t negative_ttl(const struct draft *d) {
  for (size_t i = 0; i < d->count; i++)
    if (d->records[i].type == RR_SOA) return get_u32(d->records[i].rdata + d->records[i].size - 4);
  MUST(!"SOA");
  return 0;
}

static void add_nsec(struct draft *d) {
  struct name *owners = arena_alloc(&d->arena, RECORDS_MAX * sizeof *owners);
  size_t n = list_owners(d, false, owners);
  for (size_t i = 0; i < n; i++) {
    uint8_t rdata[LIMIT_NAME_BYTES + 34], bitmap[34];
    uint16_t types[RECORDS_MAX];
    const struct name *next = &owners[(i + 1) % n];
    struct wr w = wr_make(rdata, sizeof rdata);
    wr_bytes(&w, next->octets, next->size);
    wr_bytes(&w, bitmap, put_bitmap(bitmap, types, list_types(d, &owners[i], true, types)));
    add(d, &owners[i], RR_NSEC, negative_ttl(d), &w);
  }
}

static const uint8_t salt[] = {0xaa, 0xbb, 0xcc, 0xdd};

struct hashed {
  uint8_t hash[NSEC3_HASH_BYTES];
  struct name name;
};

static int by_hash(const void *a, const void *b) {
  return memcmp(((const struct hashed *)a)->hash, ((const struct hashed *)b)->hash, NSEC3_HASH_BYTES);
}

static size_t add_hashed(struct hashed *list, size_t n, const struct name *name, uint16_t iterations) {
  for (size_t i = 0; i < n; i++)
    if (name_equal(&list[i].name, name)) return n;
  struct name lower = *name;
  name_lower(&lower);
  list[n].name = *name;
  nsec3_hash(lower.octets, lower.size, salt, sizeof salt, iterations, list[n].hash);
  return n + 1;
}

/* Owners and the empty non-terminals above them. */
static size_t list_hashed(struct draft *d, struct nsec3_form form, struct hashed *out) {
  struct name *owners = arena_alloc(&d->arena, RECORDS_MAX * sizeof *owners);
  size_t count = list_owners(d, form.flags & 1, owners), n = 0;
  for (size_t i = 0; i < count; i++)
    for (unsigned up = 0; owners[i].labels - up >= d->apex.labels && up <= owners[i].labels; up++) {
      struct name name;
      name_strip(&owners[i], up, &name);
      n = add_hashed(out, n, &name, form.iterations);
    }
  qsort(out, n, sizeof *out, by_hash);
  return n;
}

static struct name hash_owner(const struct draft *d, const uint8_t hash[NSEC3_HASH_BYTES]) {
  struct name out = {.size = (uint8_t)(33 + d->apex.size), .labels = (uint8_t)(d->apex.labels + 1)};
  out.octets[0] = 32;
  for (unsigned i = 0; i < 32; i++) {
    unsigned bit = 5 * i, value = 0;
    for (unsigned k = 0; k < 5; k++)
      value = value << 1 | (hash[(bit + k) / 8] >> (7 - (bit + k) % 8) & 1);
    out.octets[1 + i] = (uint8_t) "0123456789abcdefghijklmnopqrstuv"[value];
  }
  memcpy(out.octets + 33, d->apex.octets, d->apex.size);
  return out;
}

static void put_form(struct wr *w, struct nsec3_form form) {
  wr_u8(w, 1);
  wr_u8(w, form.flags);
  wr_u16(w, form.iterations);
  wr_u8(w, sizeof salt);
  wr_bytes(w, salt, sizeof salt);
}

static void add_nsec3(struct draft *d, struct nsec3_form form) {
  uint8_t rdata[128];
  struct wr w = wr_make(rdata, sizeof rdata);
  put_form(&w, (struct nsec3_form){0, form.iterations});
  add(d, &d->apex, RR_NSEC3PARAM, 0, &w);
  struct hashed *list = arena_alloc(&d->arena, RECORDS_MAX * sizeof *list);
  size_t n = list_hashed(d, form, list);
  for (size_t i = 0; i < n; i++) {
    uint8_t bitmap[34];
    uint16_t types[RECORDS_MAX];
    w = wr_make(rdata, sizeof rdata);
    put_form(&w, form);
    wr_u8(&w, NSEC3_HASH_BYTES);
    wr_bytes(&w, list[(i + 1) % n].hash, NSEC3_HASH_BYTES);
    wr_bytes(&w, bitmap, put_bitmap(bitmap, types, list_types(d, &list[i].name, false, types)));
    struct name owner = hash_owner(d, list[i].hash);
    add(d, &owner, RR_NSEC3, negative_ttl(d), &w);
  }
}

static void add_signature(struct draft *d, const struct record *r) {
  uint8_t rdata[18 + LIMIT_NAME_BYTES + SIGNATURE_BYTES], signature[SIGNATURE_BYTES];
  memset(signature, r->type, sizeof signature);
  struct wr w = wr_make(rdata, sizeof rdata);
  wr_u16(&w, r->type);
  wr_u8(&w, 13);
  wr_u8(&w, (uint8_t)(r->owner.labels - name_is_wildcard(&r->owner)));
  wr_u32(&w, r->ttl);
  wr_u32(&w, 2000000000);
  wr_u32(&w, 1000000000);
  wr_u16(&w, 4711);
  wr_bytes(&w, d->apex.octets, d->apex.size);
  wr_bytes(&w, signature, sizeof signature);
  add(d, &r->owner, RR_RRSIG, r->ttl, &w);
}

static void add_signatures(struct draft *d) {
  size_t count = d->count;
  for (size_t i = 0; i < count; i++) {
    const struct record *r = &d->records[i];
    bool first = true;
    for (size_t k = 0; k < i && first; k++)
      first = d->records[k].type != r->type || !name_equal(&d->records[k].owner, &r->owner);
    if (!first) continue;
    bool denial = r->type == RR_NSEC || r->type == RR_NSEC3;
    if (!denial && (is_occluded(d, &r->owner) || (is_cut(d, &r->owner) && r->type != RR_DS))) continue;
    add_signature(d, r);
  }
}

static void add_key(struct draft *d) {
  uint8_t rdata[4 + 64] = {1, 1, 3, 13};
  struct wr w = {rdata, rdata + sizeof rdata, rdata + sizeof rdata, false};
  add(d, &d->apex, RR_DNSKEY, 3600, &w);
}

/* ---- the whole ---- */

static struct zone_snap *finish(struct draft *d) {
  struct zone_edit *edit;
  struct zone_snap *snap;
  MUST(zone_edit_begin(NULL, &d->apex, &edit) == ERR_OK);
  for (size_t i = 0; i < d->count; i++) {
    const struct record *r = &d->records[i];
    enum zone_add outcome;
    MUST(zone_edit_add(edit, &r->owner, r->type, r->ttl, r->rdata, r->size, &outcome) == ERR_OK);
  }
  MUST(zone_edit_finish(edit, &snap) == ERR_OK);
  arena_done(&d->arena);
  free(d);
  return snap;
}

static struct draft *begin(const char *origin, const char *text) {
  struct draft *d = malloc(sizeof *d);
  MUST(d);
  d->arena = (struct arena){0};
  d->count = 0;
  d->apex = zones_name(origin);
  parse(d, text);
  return d;
}

struct zone_snap *zones_build_nsec3(const char *origin, const char *text, bool opt_out, uint16_t iterations) {
  struct draft *d = begin(origin, text);
  add_key(d);
  add_nsec3(d, (struct nsec3_form){opt_out, iterations});
  add_signatures(d);
  return finish(d);
}

struct zone_snap *zones_build(const char *origin, const char *text, enum zones_chain chain) {
  if (chain >= ZONES_NSEC3) return zones_build_nsec3(origin, text, chain == ZONES_OPT_OUT, 12);
  struct draft *d = begin(origin, text);
  if (chain == ZONES_NSEC) {
    add_key(d);
    add_nsec(d);
    add_signatures(d);
  }
  return finish(d);
}

static bool on_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  MUST(zone_edit_remove(arg, owner, type, rdata, size) == ERR_OK);
  return true;
}

static bool on_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  enum zone_add outcome;
  MUST(zone_edit_add(arg, owner, type, ttl, rdata, size, &outcome) == ERR_OK);
  return true;
}

struct zone_snap *zones_turn(const struct zone_snap *from, const struct zone_snap *to) {
  struct zone_edit *edit;
  struct zone_snap *snap;
  MUST(zone_edit_begin(from, NULL, &edit) == ERR_OK);
  MUST(zone_diff(from, to, &(struct zone_diff){on_removed, on_added, edit}) == ERR_OK);
  MUST(zone_edit_finish(edit, &snap) == ERR_OK);
  return snap;
}

struct zone_entry *zones_entry(uint32_t id, struct zone_snap *snap, const struct zone_policy *policy) {
  static const struct zone_policy open_policy;
  struct zone_entry *e = calloc(1, sizeof *e);
  MUST(e);
  e->id = id;
  e->state = ZONE_READY;
  e->snap = snap;
  e->policy = policy ? policy : &open_policy;
  e->ede = EDE_NONE;
  return e;
}

void zones_put(struct zone_set *set, const char *origin, const char *text, enum zones_chain chain,
               const struct zone_policy *policy) {
  struct name apex = zones_name(origin);
  uint32_t id = (uint32_t)zone_set_count(set);
  MUST(zone_set_put(set, &apex, zones_entry(id, zones_build(origin, text, chain), policy)) == ERR_OK);
}

size_t zones_spell(const uint8_t *message, size_t size, uint8_t *out, size_t room) {
  struct wr w = wr_make(out, room);
  struct message m;
  struct rd body;
  MUST(message_open(message, size, &m, &body) == ERR_OK);
  MUST(wr_bytes(&w, message, MESSAGE_HEADER_BYTES));
  struct name name;
  uint16_t type, class;
  for (unsigned i = 0; i < m.counts[SECTION_QUESTION]; i++) {
    MUST(message_question(&m, &body, &name, &type, &class) == ERR_OK);
    MUST(wr_bytes(&w, name.octets, name.size) && wr_u16(&w, type) && wr_u16(&w, class));
  }
  for (unsigned i = 0; i < (unsigned)m.counts[1] + m.counts[2] + m.counts[3]; i++) {
    struct message_rr rr;
    MUST(message_rr(&m, &body, &rr) == ERR_OK);
    name_lower(&rr.owner);
    MUST(wr_bytes(&w, rr.owner.octets, rr.owner.size) && wr_u16(&w, rr.type) && wr_u16(&w, rr.class) && wr_u32(&w, rr.ttl));
    if (rr.type == RR_OPT) MUST(wr_bytes(&w, rr.rdata.at, rr.rdata_size));
    else MUST(rr_rdata_read(&rr.rdata, rr.rdata_size, m.bytes, rr.type, &w) == ERR_OK);
  }
  MUST(rd_left(&body) == 0);
  return wr_used(&w);
}
