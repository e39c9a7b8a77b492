#include "base/pool.h"
#include "zone/delta.h"
#include "zone/snap_priv.h"

static struct pool snapshots = POOL_OF(struct zone_snap);

enum {
  SOA_SERIAL_FROM_END = 20, /* the serial and four more integers end the RDATA (RFC 1035 §3.3.13) */
  NSEC3_SHA1 = 1,
  CHAIN_TRIES = 64, /* NSEC3 records looked at to find out which chain is there */
  MEMORY_SAMPLE = 256,
  HEAP_BINS_BYTES = 600 /* about */
};

const struct name *zone_apex(const struct zone_snap *s) {
  return s->line->apex;
}

uint32_t zone_snap_tag(const struct zone_snap *s) {
  return s->tag;
}

uint32_t zone_serial(const struct zone_snap *s) {
  return s->serial;
}

bool zone_conflicts(const struct zone_snap *s, uint64_t *names) {
  if (s->knows_conflicts) *names = s->conflicts;
  return s->knows_conflicts;
}

uint64_t zone_record_count(const struct zone_snap *s) {
  return s->record_count;
}

uint64_t zone_name_count(const struct zone_snap *s) {
  return s->name_count;
}

size_t zone_memory_bytes(const struct zone_snap *s) {
  return sizeof *s + sizeof *s->line + name_room(s->line->apex) + atomic_load_explicit(&s->line->heap.bytes, memory_order_relaxed);
}

size_t zone_mapped_bytes(const struct zone_snap *s) {
  const struct heap *h = &s->line->heap;
  size_t cells = 0;
  for (uint32_t i = 0; i < h->image_chunks; i++)
    cells += h->chunk_cells[i];
  return cells * CELL_BYTES;
}

/* Cells of the first records and how many those are. */
static uint64_t sample_records(const struct zone_snap *s, const struct trie_node *root, unsigned most, uint64_t *count) {
  struct trie_iter it;
  const struct trie_node *leaf;
  uint64_t cells = 0;
  trie_iter_start(&it, s->table, root);
  for (; *count < most && (leaf = trie_iter_leaf(&it)); ++*count)
    cells += node_record(s->table, leaf)->cells;
  return cells;
}

void zone_memory_add(const struct zone_snap *s, struct zone_memory *sum) {
  const struct zone_line *line = s->line;
  const struct heap *h = &line->heap;
  uint64_t image = zone_mapped_bytes(s), all = atomic_load_explicit(&h->bytes, memory_order_relaxed);
  uint64_t unused = (h->bin_cells + h->fresh_cells) * CELL_BYTES, count = 0;
  uint64_t sampled = sample_records(s, &s->names, MEMORY_SAMPLE, &count) * CELL_BYTES;
  uint64_t used = all - unused, records = count ? sampled * s->name_count / count : 0;
  if (records > used) records = used;
  sum->image += image;
  sum->ram += all - image;
  sum->free += unused;
  sum->records += records;
  sum->trie += used - records;
  sum->other += zone_memory_bytes(s) - all + (h->bins ? HEAP_BINS_BYTES : 0);
}

bool zone_is_signed(const struct zone_snap *s) {
  return s->flags & SNAP_SIGNED;
}

bool zone_has_nsec3(const struct zone_snap *s) {
  return s->flags & SNAP_NSEC3;
}

const struct zone_node *zone_apex_node(const struct zone_snap *s) {
  return s->apex_node;
}

size_t zone_node_key_size(const struct zone_snap *s, const struct zone_node *n) {
  return (size_t)s->apex_key_size + record_key_size(n);
}

const uint8_t *zone_nsec3_hash(const struct zone_snap *s, const struct zone_node *n) {
  return snap_hash(s, n);
}

unsigned zone_node_label_count(const struct zone_snap *s, const struct zone_node *n) {
  return s->apex_labels + record_labels(n);
}

bool zone_nsec3_parameters(const struct zone_snap *s, struct zone_nsec3 *out) {
  if (!zone_has_nsec3(s)) return false;
  *out = s->nsec3_parameters;
  return true;
}

void zone_node_owner(const struct zone_snap *s, const struct zone_node *n, struct name *out) {
  owner_key_name(record_key(n), record_key_size(n), record_case(n), s->line->apex, out);
}

/* The fixed part of NSEC3 and NSEC3PARAM (RFC 5155 §3.2, §4.2): algorithm, flags, iterations, salt. */
static bool nsec3_read(const uint8_t *rdata, uint16_t size, struct zone_nsec3 *out) {
  struct rd r = rd_make(rdata, size);
  struct zone_nsec3 p;
  if (!rd_u8(&r, &p.algorithm) || !rd_u8(&r, &p.flags) || !rd_u16(&r, &p.iterations) || !rd_u8(&r, &p.salt_size) ||
      !rd_bytes(&r, p.salt_size, &p.salt))
    return false;
  *out = p;
  return true;
}

bool nsec3param_read(const uint8_t *rdata, uint16_t size, struct zone_nsec3 *out) {
  return nsec3_read(rdata, size, out) && out->algorithm == NSEC3_SHA1 && !out->flags;
}

bool nsec3_in_chain(const struct zone_node *r, const struct zone_nsec3 *p) {
  struct zone_rrset set;
  if (!zone_find_rrset(r, RR_NSEC3, &set)) return false;
  const uint8_t *at = set.rrs;
  for (unsigned i = 0; i < set.count; i++) {
    const uint8_t *rdata;
    uint16_t size;
    struct zone_nsec3 q;
    zone_rr_next(&at, &rdata, &size);
    if (nsec3_read(rdata, size, &q) && q.algorithm == p->algorithm && q.iterations == p->iterations &&
        q.salt_size == p->salt_size && memcmp(q.salt, p->salt, p->salt_size) == 0)
      return true;
  }
  return false;
}

/* Whether some NSEC3 record has these parameters. Looks at the first ones only: a chain in use covers the whole ring. */
static bool chain_exists(uint8_t *const *table, const struct trie_node *root, const struct zone_nsec3 *p) {
  struct trie_iter it;
  trie_iter_start(&it, table, root);
  const struct trie_node *leaf;
  for (int i = 0; i < CHAIN_TRIES && (leaf = trie_iter_leaf(&it)); i++)
    if (nsec3_in_chain(node_record(table, leaf), p)) return true;
  return false;
}

/* The first NSEC3PARAM of SHA-1 without flags (RFC 5155 §4.1.2) that a chain stands for. */
static void find_chain(struct zone_snap *s) {
  struct zone_rrset set;
  if (node_is_empty(&s->nsec3) || !zone_find_rrset(s->apex_node, RR_NSEC3PARAM, &set)) return;
  const uint8_t *at = set.rrs;
  for (unsigned i = 0; i < set.count; i++) {
    const uint8_t *rdata;
    uint16_t size;
    struct zone_nsec3 p;
    zone_rr_next(&at, &rdata, &size);
    if (!nsec3param_read(rdata, size, &p)) continue;
    if (!chain_exists(s->table, &s->nsec3, &p)) continue;
    s->nsec3_parameters = p;
    s->flags |= SNAP_NSEC3;
    return;
  }
}

/* Whether the line's hashes are of use; one that has none yet begins to keep them. */
static enum err find_hashing(struct zone_snap *s) {
  struct hashing **hashing = &s->line->hashing;
  const struct zone_nsec3 *p = &s->nsec3_parameters;
  if (!zone_has_nsec3(s) || !hashing_is_for(p)) return ERR_OK;
  enum err e = *hashing ? ERR_OK : hashing_new(p, hashing);
  if (e == ERR_OK && hashing_is_of(*hashing, p)) s->flags |= SNAP_HASHED;
  return e;
}

/* What answers ask of the apex, found once. */
static enum err read_apex(struct zone_snap *s) {
  const struct trie_node *leaf = trie_find(s->table, &s->names, (const uint8_t *)"", 0);
  struct zone_rrset soa, keys;
  if (!leaf) return ERR_FORMAT;
  s->apex_node = node_record(s->table, leaf);
  if (!zone_find_rrset(s->apex_node, RR_SOA, &soa) || soa.count != 1) return ERR_FORMAT;
  const uint8_t *at = soa.rrs, *rdata;
  uint16_t size;
  zone_rr_next(&at, &rdata, &size);
  if (size < SOA_SERIAL_FROM_END) return ERR_FORMAT;
  s->serial = get_u32(rdata + size - SOA_SERIAL_FROM_END);
  if (soa.sig_count && zone_find_rrset(s->apex_node, RR_DNSKEY, &keys) && keys.count) s->flags |= SNAP_SIGNED;
  if (node_word(leaf) & LEAF_NSEC) s->flags |= SNAP_NSEC;
  find_chain(s);
  return find_hashing(s);
}

enum err snap_new(struct zone_line *line, const struct snap_parts *parts, struct zone_snap **out) {
  static _Atomic uint64_t last_number;
  struct zone_snap *s = pool_take(&snapshots);
  if (!s) return ERR_MEMORY;
  s->number = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
  s->tag = (uint32_t)s->number;
  uint8_t key[NAME_KEY_BYTES];
  s->line = line;
  s->table = line->heap.table;
  if (line->heap.chunk_count <= NEAR_CHUNKS && !line->heap.guard) {
    memcpy(s->near_table, line->heap.table, line->heap.chunk_count * sizeof *s->near_table);
    s->table = s->near_table;
  }
  s->names = parts->names;
  s->nsec3 = parts->nsec3;
  s->record_count = parts->record_count;
  s->name_count = parts->name_count;
  s->apex_key_size = (uint16_t)name_key(line->apex, key);
  s->apex_labels = line->apex->labels;
  atomic_init(&s->refs, 1);
  enum err e = read_apex(s);
  if (e != ERR_OK) {
    pool_give(&snapshots, s);
    return e;
  }
  *out = s;
  return ERR_OK;
}

void snap_free(struct zone_snap *s) {
  span_list_done(&s->born);
  span_list_done(&s->dropped);
  zone_step_drop(s);
  pool_give(&snapshots, s);
}
