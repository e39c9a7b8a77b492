#include "xfr/ixfr_out.h"

#include "base/limits.h"
#include "base/mutation.h"

#include <stdlib.h>

enum phase { OLD_SOA, REMOVED, NEW_SOA, ADDED, PHASES };

struct ixfr_chain {
  uint64_t zone_records;
  uint32_t serial; /* that the next older change has to lead to */
  uint32_t client_serial;
  bool whole; /* the client's serial was reached */
  bool broken;
  struct buf bytes;        /* of all bodies */
  struct delta_body *list; /* newest first while gathered; offsets in `bytes` until closed */
  size_t count, capacity;
  /* where the sending is */
  size_t at;
  enum phase phase;
  struct delta_cursor cursor;
  struct delta_record record;
  bool has_record;
};

enum err ixfr_chain_new(const struct zone_snap *snap, uint32_t client_serial, struct ixfr_chain **out) {
  struct ixfr_chain *c = calloc(1, sizeof *c);
  if (!c) return ERR_MEMORY;
  c->zone_records = zone_record_count(snap);
  c->serial = zone_serial(snap);
  c->client_serial = client_serial;
  *out = c;
  return ERR_OK;
}

void ixfr_chain_free(struct ixfr_chain *c) {
  if (!c) return;
  buf_done(&c->bytes);
  free(c->list);
  free(c);
}

static bool append(struct ixfr_chain *c, const struct ixfr_change *change) {
  if (c->count == c->capacity) {
    size_t capacity = c->capacity ? 2 * c->capacity : 16;
    struct delta_body *list = realloc(c->list, capacity * sizeof *list);
    if (!list) return false;
    c->list = list;
    c->capacity = capacity;
  }
  c->list[c->count++].size = change->size;
  buf_add(&c->bytes, change->body, change->size);
  return !c->bytes.failed;
}

bool ixfr_chain_offer(struct ixfr_chain *c, const struct ixfr_change *change) {
  bool fits = change->is_delta && change->has_serial_from && change->serial_to == c->serial &&
              c->bytes.size + change->size <= LIMIT_IXFR_BYTES;
  if (!fits || !append(c, change)) {
    c->broken = true;
    return false;
  }
  c->serial = change->serial_from;
  c->whole = c->serial == c->client_serial || MUTATION(CHANGES_ANYONE);
  return !c->whole;
}

/* The bodies where they are, oldest first. */
static void arrange(struct ixfr_chain *c) {
  const uint8_t *at = c->bytes.data;
  for (size_t i = 0; i < c->count; i++) {
    c->list[i].bytes = at;
    at += c->list[i].size;
  }
  for (size_t i = 0, k = c->count; i + 1 < k; i++) {
    struct delta_body swap = c->list[i];
    c->list[i] = c->list[--k];
    c->list[k] = swap;
  }
}

/* How many records of the bodies are not SOA; false: one of them can't be sent. */
static bool measure(const struct delta_body *list, size_t count, uint64_t *records) {
  *records = 0;
  for (size_t i = 0; i < count; i++) {
    struct delta_cursor cursor;
    struct delta_record r;
    unsigned old_soas = 0, new_soas = 0;
    enum err err = zone_delta_open(list[i].bytes, list[i].size, &cursor);
    while (!err && !(err = zone_delta_next(&cursor, &r))) {
      if (r.type != RR_SOA) ++*records;
      else if (r.added) new_soas++;
      else old_soas++;
    }
    if (err != ERR_NOT_FOUND || old_soas != 1 || new_soas != 1) return false;
  }
  return true;
}

/* Several changes by their net effect, if that is less than what they are. */
static bool condense(struct ixfr_chain *c, uint64_t *records) {
  struct buf net = {0};
  struct delta_size size;
  uint64_t fewer;
  if (c->count < 2) return true;
  if (zone_delta_condense(c->list, c->count, &net, &size)) return false;
  struct delta_body one = {net.data, net.size};
  if (!measure(&one, 1, &fewer) || fewer >= *records) {
    buf_done(&net);
    return true;
  }
  buf_done(&c->bytes);
  c->bytes = net;
  c->list[0] = one;
  c->count = 1;
  *records = fewer;
  return true;
}

static bool is_of(enum phase phase, const struct delta_record *r) {
  bool soa = r->type == RR_SOA;
  return (phase == OLD_SOA && soa && !r->added) || (phase == REMOVED && !soa && !r->added) ||
         (phase == NEW_SOA && soa && r->added) || (phase == ADDED && !soa && r->added);
}

void ixfr_chain_step(struct ixfr_chain *c) {
  c->has_record = false;
  while (c->at < c->count) {
    enum err err;
    while (!(err = zone_delta_next(&c->cursor, &c->record)))
      if (is_of(c->phase, &c->record)) {
        c->has_record = true;
        return;
      }
    if (++c->phase == PHASES) {
      c->phase = OLD_SOA;
      c->at++;
    }
    if (c->at < c->count) err = zone_delta_open(c->list[c->at].bytes, c->list[c->at].size, &c->cursor);
  }
}

bool ixfr_chain_close(struct ixfr_chain *c) {
  uint64_t records;
  if (c->broken || !c->whole) return false;
  arrange(c);
  if (!measure(c->list, c->count, &records) || !condense(c, &records) || records > c->zone_records) return false;
  if (zone_delta_open(c->list[0].bytes, c->list[0].size, &c->cursor)) return false;
  ixfr_chain_step(c);
  return true;
}

const struct delta_record *ixfr_chain_at(const struct ixfr_chain *c) {
  return c->has_record ? &c->record : NULL;
}
