#include "zone/draft_priv.h"

#include <stdlib.h>

#define RECORD_BYTES_MAX UINT32_C(0x7fffffff) /* bit 31 of a set's `at` is taken */

enum err draft_item_make(uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size, struct draft_item *out) {
  bool signature = type == RR_RRSIG;
  if (signature && size < 2) return ERR_FORMAT;
  *out = (struct draft_item){rdata, ttl, size, signature ? get_u16(rdata) : type, signature};
  return ERR_OK;
}

void draft_clear(struct draft *d) {
  d->count = 0;
}

void draft_done(struct draft *d) {
  free(d->items);
  free(d->made);
  *d = (struct draft){0};
}

static bool reserve(struct draft *d, size_t n) {
  if (d->capacity - d->count >= n) return true;
  size_t capacity = d->capacity ? d->capacity : 16;
  while (capacity - d->count < n)
    capacity *= 2;
  struct draft_item *items = realloc(d->items, capacity * sizeof *items);
  if (!items) return false;
  d->items = items;
  d->capacity = capacity;
  return true;
}

static int set_compare(const struct draft_item *a, const struct draft_item *b) {
  if (a->type != b->type) return a->type < b->type ? -1 : 1;
  return (int)a->signature - (int)b->signature;
}

static int item_compare(const struct draft_item *a, const struct draft_item *b) {
  int set = set_compare(a, b);
  return set ? set : rr_rdata_compare(a->signature ? RR_RRSIG : a->type, a->rdata, a->size, b->rdata, b->size);
}

void draft_set(const struct draft *d, const struct draft_item *like, size_t *first, size_t *end) {
  size_t low = 0, high = d->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (set_compare(d->items + middle, like) < 0) low = middle + 1;
    else high = middle;
  }
  *first = low;
  high = d->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (set_compare(d->items + middle, like) <= 0) low = middle + 1;
    else high = middle;
  }
  *end = low;
}

/* Where the item stands within its set, or would. */
static bool item_find(const struct draft *d, const struct draft_item *item, size_t first, size_t end, size_t *at) {
  while (first < end) {
    size_t middle = first + (end - first) / 2;
    int c = item_compare(d->items + middle, item);
    if (c == 0) {
      *at = middle;
      return true;
    }
    if (c < 0) first = middle + 1;
    else end = middle;
  }
  *at = first;
  return false;
}

static void load_set(struct draft *d, uint16_t type, bool signature, uint32_t ttl, const uint8_t *rrs, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    struct draft_item *item = d->items + d->count++;
    *item = (struct draft_item){.ttl = ttl, .type = type, .signature = signature};
    zone_rr_next(&rrs, &item->rdata, &item->size);
  }
}

enum err draft_load(struct draft *d, const struct zone_node *r) {
  if (!reserve(d, (size_t)record_rr_count(r))) return ERR_MEMORY;
  for (unsigned i = 0; i < zone_rrset_count(r); i++) {
    struct zone_rrset set;
    zone_rrset_at(r, i, &set);
    load_set(d, set.type, false, set.ttl, set.rrs, set.count);
    load_set(d, set.type, true, set.sig_ttl, set.sigs, set.sig_count);
  }
  return ERR_OK;
}

enum err draft_add(struct draft *d, const struct draft_item *item, enum zone_add *outcome) {
  size_t first, end, at;
  draft_set(d, item, &first, &end);
  bool found = item_find(d, item, first, end, &at);
  uint32_t ttl = first < end ? d->items[first].ttl : item->ttl;
  bool other_ttl = ttl != item->ttl;
  if (!found) {
    if (end - first == UINT16_MAX) return ERR_LIMIT;
    if (!reserve(d, 1)) return ERR_MEMORY;
    memmove(d->items + at + 1, d->items + at, (d->count - at) * sizeof *d->items);
    d->items[at] = *item;
    d->count++;
    end++;
  }
  if (other_ttl) { /* an RRset has one TTL (RFC 2181 §5.2): the lower one */
    if (item->ttl < ttl) ttl = item->ttl;
    for (size_t i = first; i < end; i++)
      d->items[i].ttl = ttl;
  }
  *outcome = other_ttl ? ZONE_ADD_TTL_CHANGED : found ? ZONE_ADD_DUPLICATE : ZONE_ADD_NEW;
  return ERR_OK;
}

enum err draft_remove(struct draft *d, struct draft_item *item) {
  size_t first, end, at;
  draft_set(d, item, &first, &end);
  if (!item_find(d, item, first, end, &at)) return ERR_NOT_FOUND;
  *item = d->items[at];
  d->count--;
  memmove(d->items + at, d->items + at + 1, (d->count - at) * sizeof *d->items);
  return ERR_OK;
}

enum err draft_set_ttl(struct draft *d, uint16_t type, uint32_t ttl) {
  bool found = false;
  for (size_t i = 0; i < d->count; i++) {
    struct draft_item *item = d->items + i;
    if (type == RR_RRSIG ? !item->signature : item->signature || item->type != type) continue;
    item->ttl = ttl;
    found = true;
  }
  return found ? ERR_OK : ERR_NOT_FOUND;
}

enum err draft_append(struct draft *d, const struct draft_item *item) {
  if (!reserve(d, 1)) return ERR_MEMORY;
  d->items[d->count++] = *item;
  return ERR_OK;
}

static int item_compare_any(const void *a, const void *b) {
  return item_compare(a, b);
}

void draft_settle(struct draft *d) {
  if (d->count < 2) return;
  bool sorted = true;
  for (size_t i = 1; i < d->count && sorted; i++)
    sorted = item_compare(d->items + i - 1, d->items + i) < 0;
  if (!sorted) qsort(d->items, d->count, sizeof *d->items, item_compare_any);
  size_t kept = 0, first = 0; /* first of the current set */
  for (size_t i = 0; i < d->count; i++) {
    struct draft_item item = d->items[i];
    bool same_set = kept && set_compare(d->items + first, &item) == 0;
    if (!same_set) first = kept;
    if (same_set && item.ttl < d->items[first].ttl) d->items[first].ttl = item.ttl;
    if (!same_set || item_compare(d->items + kept - 1, &item) != 0) d->items[kept++] = item;
  }
  d->count = kept;
  for (size_t i = 1; i < kept; i++) /* the lowest TTL was gathered in each set's first item */
    if (set_compare(d->items + i - 1, d->items + i) == 0) d->items[i].ttl = d->items[i - 1].ttl;
}

static uint32_t rr_bytes(const struct draft_item *item) {
  return (uint32_t)RR_READY_BYTES + item->size;
}

/* End of the items with the type of item i. */
static size_t type_end(const struct draft *d, size_t i) {
  size_t end = i + 1;
  while (end < d->count && d->items[end].type == d->items[i].type)
    end++;
  return end;
}

static size_t first_signature(const struct draft *d, size_t i, size_t end) {
  while (i < end && !d->items[i].signature)
    i++;
  return i;
}

const uint8_t *draft_hash(const struct draft *d, const struct hashing *h, const struct name *apex, const struct draft_owner *o,
                          uint8_t out[NSEC3_HASH_BYTES]) {
  bool wanted = false;
  for (size_t i = 0; h && i < d->count && !wanted; i++)
    wanted = d->items[i].signature || d->items[i].type == RR_NS;
  if (!wanted || o->hash) return wanted ? o->hash : NULL;
  hashing_key(h, apex, o->key, o->key_size, out);
  return out;
}

enum err draft_measure(const struct draft *d, const struct draft_owner *o, uint32_t *cells) {
  uint64_t bytes = record_sets_at(o->key_size, o->case_bits) + (o->hash ? NSEC3_HASH_BYTES : 0);
  unsigned sets = 0;
  for (size_t i = 0, end; i < d->count; i = end) {
    end = type_end(d, i);
    size_t signatures = first_signature(d, i, end);
    if (signatures - i > UINT16_MAX || end - signatures > UINT16_MAX || ++sets > RECORD_SETS_MAX) return ERR_LIMIT;
    bytes += sizeof(struct record_set) + (end > signatures ? RECORD_SIGNATURES_BYTES : 0u);
    for (size_t j = i; j < end; j++)
      bytes += rr_bytes(d->items + j);
  }
  bytes = (bytes + CELL_BYTES - 1) & ~(uint64_t)(CELL_BYTES - 1);
  if (bytes > RECORD_BYTES_MAX) return ERR_LIMIT;
  *cells = (uint32_t)(bytes / CELL_BYTES);
  return ERR_OK;
}

static uint8_t *write_rrs(const struct draft_item *item, const struct draft_item *end, uint8_t *out) {
  for (; item < end; item++) {
    rr_ready_put(out, item->signature ? RR_RRSIG : item->type, item->ttl, item->size);
    if (item->size) memcpy(out + RR_READY_BYTES, item->rdata, item->size);
    out += rr_bytes(item);
  }
  return out;
}

static unsigned count_types(const struct draft *d) {
  unsigned n = 0;
  for (size_t i = 0; i < d->count; i = type_end(d, i))
    n++;
  return n;
}

void draft_write(const struct draft *d, const struct draft_owner *o, uint32_t cells, void *out) {
  uint8_t *base = out;
  memset((uint64_t *)out + (cells - 1), 0, CELL_BYTES); /* padding at the end */
  uint32_t sets_at = record_sets_at(o->key_size, o->case_bits);
  memset(base + sets_at - 4, 0, 4); /* and between key and sets */
  struct zone_node *r = out;
  unsigned types = count_types(d);
  r->cells = cells;
  r->shape = (uint16_t)(o->labels << 9 | o->key_size);
  r->sets = (uint16_t)(((o->case_bits ? RECORD_CASE : 0) | (o->hash ? RECORD_HASH : 0)) << 12 | types);
  if (o->key_size) memcpy(r->data, o->key, o->key_size);
  if (o->case_bits) memcpy(r->data + o->key_size, o->case_bits, record_case_bytes(o->key_size));
  struct record_set *set = (struct record_set *)(base + sets_at);
  uint8_t *at = (uint8_t *)(set + types);
  if (o->hash) {
    memcpy(at, o->hash, NSEC3_HASH_BYTES);
    at += NSEC3_HASH_BYTES;
  }
  for (size_t i = 0, end; i < d->count; i = end, set++) {
    end = type_end(d, i);
    size_t signatures = first_signature(d, i, end);
    bool is_signed = end > signatures;
    *set = (struct record_set){d->items[i].type, (uint16_t)(signatures - i), (uint32_t)(at - base)};
    uint8_t *head = at;
    if (is_signed) at += RECORD_SIGNATURES_BYTES;
    at = write_rrs(d->items + i, d->items + signatures, at);
    if (!is_signed) continue;
    set->at |= RECORD_SET_SIGNED;
    struct record_signatures s = {(uint32_t)(at - base), (uint16_t)(end - signatures)};
    memcpy(head, &s, RECORD_SIGNATURES_BYTES);
    at = write_rrs(d->items + signatures, d->items + end, at);
  }
}

enum err draft_make(struct draft *d, const struct draft_owner *o, const struct zone_node **out) {
  uint32_t cells;
  enum err e = draft_measure(d, o, &cells);
  if (e != ERR_OK) return e;
  if (cells > d->made_cells) {
    uint64_t *made = realloc(d->made, (size_t)cells * CELL_BYTES);
    if (!made) return ERR_MEMORY;
    d->made = made;
    d->made_cells = cells;
  }
  draft_write(d, o, cells, d->made);
  *out = (const struct zone_node *)d->made;
  return ERR_OK;
}
