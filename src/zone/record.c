#include "zone/snap_priv.h"

enum { FEW_SETS = 16 }; /* up to so many are looked through one by one */

static inline __attribute__((always_inline)) void set_view(const struct zone_node *n, const struct record_set *set,
                                                           struct zone_rrset *out) {
  const uint8_t *at = (const uint8_t *)n + (set->at & ~RECORD_SET_SIGNED);
  out->type = set->type;
  out->count = set->count;
  if (set->at & RECORD_SET_SIGNED) {
    uint32_t signatures_at;
    memcpy(&signatures_at, at + offsetof(struct record_signatures, at), sizeof signatures_at);
    memcpy(&out->sig_count, at + offsetof(struct record_signatures, count), sizeof out->sig_count);
    out->rrs = at + RECORD_SIGNATURES_BYTES;
    out->sigs = (const uint8_t *)n + signatures_at;
    out->sig_ttl = rr_ready_ttl(out->sigs);
  } else {
    out->sig_count = 0;
    out->sig_ttl = 0;
    out->rrs = at;
    out->sigs = NULL;
  }
  out->ttl = rr_ready_ttl(out->rrs);
}

bool zone_find_rrset(const struct zone_node *n, uint16_t type, struct zone_rrset *out) {
  const struct record_set *set = record_sets(n);
  unsigned count = record_set_count(n);
  while (count > FEW_SETS) {
    unsigned half = count / 2;
    if (set[half].type <= type) {
      set += half;
      count -= half;
    } else {
      count = half;
    }
  }
  for (; count && set->type <= type; set++, count--) {
    if (set->type != type) continue;
    set_view(n, set, out);
    return true;
  }
  return false;
}

inline bool zone_find_answer(const struct zone_node *n, uint16_t type, struct zone_rrset *out) {
  const struct record_set *set = record_sets(n), *own = NULL, *cname = NULL;
  unsigned count = record_set_count(n), last = type > RR_CNAME ? type : RR_CNAME;
  for (; count && set->type <= last; set++, count--) {
    if (!set->count) continue;
    if (set->type == type) own = set;
    else if (set->type == RR_CNAME) cname = set;
  }
  if (cname && !(own && type == RR_NSEC)) own = cname;
  if (own) set_view(n, own, out);
  return own;
}

unsigned zone_rrset_count(const struct zone_node *n) {
  return record_set_count(n);
}

void zone_rrset_at(const struct zone_node *n, unsigned i, struct zone_rrset *out) {
  set_view(n, record_sets(n) + i, out);
}

uint64_t record_leaf_flags(const struct zone_node *r) {
  uint64_t flags = LEAF_PRESENT;
  const struct record_set *set = record_sets(r);
  for (unsigned i = 0; i < record_set_count(r); i++) {
    if (!set[i].count) continue;
    if (set[i].type == RR_NS && record_key_size(r)) flags |= LEAF_CUT;
    if (set[i].type == RR_DNAME) flags |= LEAF_DNAME;
    if (set[i].type == RR_NSEC) flags |= LEAF_NSEC;
  }
  return flags;
}

bool record_wants_hash(const struct zone_node *r) {
  const struct record_set *set = record_sets(r);
  for (unsigned i = 0; i < record_set_count(r); i++)
    if (set[i].type == RR_NS || set[i].at & RECORD_SET_SIGNED) return true;
  return false;
}

uint64_t record_rr_count(const struct zone_node *r) {
  uint64_t count = 0;
  for (unsigned i = 0; i < record_set_count(r); i++) {
    struct zone_rrset set;
    zone_rrset_at(r, i, &set);
    count += (uint64_t)set.count + set.sig_count;
  }
  return count;
}

static bool is_upper(uint8_t c) {
  return c >= 'A' && c <= 'Z';
}

/* Which octets of the name's own labels are upper case. */
static void case_bits_make(const struct name *n, size_t own_octets, unsigned key_size, uint8_t *bits) {
  memset(bits, 0, record_case_bytes(key_size));
  for (size_t i = 0; i < own_octets; i += n->octets[i] + 1u)
    for (size_t j = i + 1; j <= i + n->octets[i]; j++)
      if (is_upper(n->octets[j])) bits[j / 8] |= (uint8_t)(1u << (j % 8));
}

/* Length octets are below 'A'. */
static bool equal_folded(const uint8_t *a, const uint8_t *b, size_t n) {
  if (memcmp(a, b, n) == 0) return true;
  for (size_t i = 0; i < n; i++)
    if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
  return true;
}

enum err owner_key_make(const struct name *n, const struct name *apex, struct owner_key *out) {
  uint8_t label_at[LIMIT_NAME_LABELS];
  if (n->labels < apex->labels) return ERR_RANGE;
  unsigned labels = (unsigned)n->labels - apex->labels;
  size_t own = 0; /* octets in front of the apex */
  for (unsigned i = 0; i < labels; i++, own += n->octets[own] + 1u)
    label_at[i] = (uint8_t)own;
  if (n->size - own != apex->size || !equal_folded(n->octets + own, apex->octets, apex->size)) return ERR_RANGE;
  out->labels = (uint8_t)labels;
  out->size = (uint16_t)name_key_labels(n, label_at, labels, out->key, &out->has_case);
  if (out->has_case) case_bits_make(n, own, out->size, out->case_bits);
  return ERR_OK;
}

/* Escaped octets of a key: 00 and 01 stand there as 01 01 and 01 02. */
static size_t escapes_count(const uint8_t *key, size_t size) {
  size_t count = 0;
  const uint8_t *end = key + size;
  for (const uint8_t *p = key; p < end && (p = memchr(p, 1, (size_t)(end - p))); p += 2)
    count++;
  return count;
}

/* Writes a label's octets with the escapes undone; how many. */
static size_t label_write(const uint8_t *label, size_t size, bool escaped, uint8_t *out) {
  if (!escaped) {
    memcpy(out, label, size);
    return size;
  }
  size_t n = 0;
  for (size_t i = 0; i < size; i++)
    out[n++] = label[i] == 1 ? (uint8_t)(label[++i] - 1) : label[i];
  return n;
}

/* What is left of a record whose page was lost while it was read (store/segment_fault.c) is no name. */
static bool is_name(const uint8_t *key, size_t size, size_t own_octets, const struct name *apex) {
  bool ended = true;
  for (size_t i = 0; i < size; i++) {
    if (ended && key[i] == 0) return false;
    ended = key[i] == 0;
  }
  return ended && own_octets + apex->size <= LIMIT_NAME_BYTES;
}

void owner_key_name(const uint8_t *key, size_t size, const uint8_t *case_bits, const struct name *apex, struct name *out) {
  size_t escapes = size ? escapes_count(key, size) : 0;
  size_t own_octets = size - escapes;
  if (!is_name(key, size, own_octets, apex)) {
    name_copy(out, apex);
    return;
  }
  unsigned labels = apex->labels;
  uint8_t *at = out->octets + own_octets;
  memcpy(at, apex->octets, apex->size);
  for (const uint8_t *label = key, *end = key + size; label < end; labels++) {
    size_t bytes = (size_t)((const uint8_t *)memchr(label, 0, (size_t)(end - label)) - label);
    at -= bytes + 1 - (escapes ? escapes_count(label, bytes) : 0);
    at[0] = (uint8_t)label_write(label, bytes, escapes > 0, at + 1);
    label += bytes + 1;
  }
  out->size = (uint8_t)(own_octets + apex->size);
  out->labels = (uint8_t)labels;
  for (size_t i = 0; case_bits && i < own_octets; i++)
    if (case_bits[i / 8] >> (i % 8) & 1 && out->octets[i] >= 'a' && out->octets[i] <= 'z') out->octets[i] ^= 0x20;
}

/* Octets before the first that is 00 or 01: the end of a label of a key, or an escape. There is one. */
static inline size_t plain_octets(const uint8_t *key, size_t room) {
  size_t at = 0;
  for (; at + 8 <= room; at += 8) {
    uint64_t x = get_u64_low(key + at), low = (x - UINT64_C(0x0202020202020202)) & ~x & UINT64_C(0x8080808080808080);
    if (low) return key_first_difference(low, at);
  }
  while (key[at] > 1)
    at++;
  return at;
}

/* Whether no octet ends a label or begins an escape. */
static inline bool is_plain(const uint8_t *key, size_t size) {
  const uint64_t twos = UINT64_C(0x0202020202020202), high = UINT64_C(0x8080808080808080);
  uint64_t low = 0;
  size_t i = 0;
  for (; i + 8 <= size; i += 8)
    low |= (get_u64_low(key + i) - twos) & ~get_u64_low(key + i);
  for (; i < size; i++)
    low |= key[i] > 1 ? 0 : high;
  return !(low & high);
}

/* `key` is one below the apex. */
static bool labels_after(const struct zone_node *n, const uint8_t *key, size_t key_size, uint8_t *out, size_t *size,
                         size_t *shared) {
  size_t own_size = record_key_size(n);
  const uint8_t *own = record_key(n);
  if (record_has_case(n)) return false;
  if (record_labels(n) == 1 && (key_size == 0 || key[0] != own[0]) && is_plain(own, own_size - 1)) { /* most are */
    out[0] = (uint8_t)(own_size - 1);
    bytes_copy(out + 1, own, own_size - 1);
    *size = own_size;
    *shared = 0;
    return true;
  }
  size_t common = key_common(key, own, key_size < own_size ? key_size : own_size);
  while (common && own[common - 1] != 0)
    common--;
  uint8_t *at = out + (own_size - common); /* the key's labels are in the other direction */
  for (const uint8_t *label = own + common, *end = own + own_size; label < end;) {
    size_t length = plain_octets(label, (size_t)(end - label));
    if (label[length] != 0) return false;
    at -= length + 1;
    at[0] = (uint8_t)length;
    bytes_copy(at + 1, label, length);
    label += length + 1;
  }
  *size = own_size - common;
  *shared = common;
  return true;
}

bool zone_node_labels(const struct zone_snap *s, const struct zone_node *n, const uint8_t *key, size_t key_size, uint8_t *out,
                      size_t *size, size_t *shared) {
  if (!labels_after(n, key + s->apex_key_size, key_size - s->apex_key_size, out, size, shared)) return false;
  *shared += s->apex_key_size;
  return true;
}

bool zone_node_labels_after(const struct zone_node *n, const struct zone_node *other, uint8_t *out, size_t *size, size_t *shared) {
  return labels_after(n, other ? record_key(other) : record_key(n), other ? record_key_size(other) : 0, out, size, shared);
}
