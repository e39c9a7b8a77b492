/* Writing messages: the packet path. message.h explains how names are compressed. */
#include "wire/message.h"

#include <assert.h>

enum {
  POINTER = 0xc000,
  POINTER_MAX = 0x3fff,
  RR_FIXED_BYTES = 10,
  QNAME_POINTER = POINTER | MESSAGE_HEADER_BYTES,
  QUESTION_UNREAD = 0xff
};

void message_start(struct message_writer *w, uint8_t *buffer, size_t limit, uint16_t id, uint16_t flags) {
  assert(limit >= MESSAGE_HEADER_BYTES && limit <= LIMIT_MESSAGE_BYTES);
  w->out = wr_make(buffer, limit);
  put_u16(buffer, id);
  put_u16(buffer + 2, flags);
  w->out.at += MESSAGE_HEADER_BYTES;
  w->reserve = 0;
  w->counts[0] = w->counts[1] = w->counts[2] = w->counts[3] = 0;
  w->question_labels = 0;
  w->has_question = false;
  w->slot_mask = limit > 4096 ? MESSAGE_SLOTS_MAX - 1 : MESSAGE_SLOTS_SMALL - 1;
  w->has_slots = false;
}

static inline bool has_room(const struct message_writer *w, size_t n) {
  return wr_left(&w->out) >= n + w->reserve;
}

static inline size_t offset_of(const struct message_writer *w, const uint8_t *at) {
  return (size_t)(at - w->out.base);
}

/* ---- the question ---- */

/* Offsets of the labels of an uncompressed name and of the root behind them; returns how many. */
static inline unsigned label_offsets(const uint8_t *name, uint8_t at[LIMIT_NAME_LABELS]) {
  unsigned labels = 0, i = 0;
  for (; name[i]; i += name[i] + 1u) {
    at[labels++] = (uint8_t)i;
    assert(labels < LIMIT_NAME_LABELS);
  }
  at[labels] = (uint8_t)i;
  return labels;
}

static inline void set_question(struct message_writer *w) {
  w->has_question = true;
  w->question_labels = QUESTION_UNREAD;
  w->counts[0] = 1;
}

bool message_echo_question(struct message_writer *w, const struct request *req) {
  assert(wr_used(&w->out) == MESSAGE_HEADER_BYTES);
  size_t n = req->question_end - MESSAGE_HEADER_BYTES;
  if (!req->has_question || !has_room(w, n)) return false;
  memcpy(w->out.at, req->bytes + MESSAGE_HEADER_BYTES, n);
  w->out.at += n;
  set_question(w);
  return true;
}

bool message_put_question(struct message_writer *w, const struct name *qname, uint16_t qtype, uint16_t qclass) {
  assert(wr_used(&w->out) == MESSAGE_HEADER_BYTES);
  if (!has_room(w, qname->size + 4u)) return false;
  memcpy(w->out.at, qname->octets, qname->size);
  w->out.at += qname->size;
  put_u16(w->out.at, qtype);
  put_u16(w->out.at + 2, qclass);
  w->out.at += 4;
  set_question(w);
  return true;
}

/* ---- compression ---- */

static inline uint32_t load32(const uint8_t *p) {
  uint32_t x;
  memcpy(&x, p, 4);
  return x;
}

static inline bool same_label(const uint8_t *a, const uint8_t *b) {
  unsigned n = a[0];
  if (b[0] != n) return false;
  if (n > 8) return memcmp(a + 1, b + 1, n) == 0;
  if (n >= 4) return load32(a + 1) == load32(b + 1) && load32(a + n - 3) == load32(b + n - 3);
  return a[1] == b[1] && a[n] == b[n] && a[n / 2 + 1] == b[n / 2 + 1];
}

static bool same_folded(const uint8_t *a, const uint8_t *b) {
  if (a[0] != b[0]) return false;
  for (unsigned i = 1; i <= a[0]; i++)
    if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
  return true;
}

/* Slot of a label in front of the name at `parent` (0: the root). First and last four octets tell labels apart well enough. */
static inline unsigned slot_of(const struct message_writer *w, const uint8_t *label, size_t parent) {
  unsigned n = label[0];
  uint32_t a = label[1], b = (uint32_t)label[n] << 8 | label[n / 2 + 1];
  if (n >= 4) {
    a = load32(label + 1);
    b = load32(label + n - 3);
  }
  uint32_t h = (a ^ (b << 9 | b >> 23) ^ ((uint32_t)parent << 16 | n)) * 0x9e3779b1u;
  return (h ^ h >> 15) >> 4 & w->slot_mask;
}

/* Offset of the name behind the label at `at`: right there, or where a pointer leads; 0 for the root. */
static inline size_t behind_label(const uint8_t *message, size_t at) {
  size_t next = at + message[at] + 1u;
  if (message[next] >= 0xc0) return get_u16(message + next) & POINTER_MAX;
  return message[next] == 0 ? 0 : next;
}

/* How many octets before two ends are the same, at most `max`. */
static inline size_t common_tail(const uint8_t *a_end, const uint8_t *b_end, size_t max) {
  size_t n = 0;
  for (; n + 8 <= max; n += 8) {
    uint64_t differ = get_u64(a_end - n - 8) ^ get_u64(b_end - n - 8);
    if (differ) return n + (unsigned)__builtin_ctzll(differ) / 8;
  }
  while (n < max && a_end[-(ptrdiff_t)n - 1] == b_end[-(ptrdiff_t)n - 1])
    n++;
  return n;
}

/* How far a name's labels from the right are those of the question: takes them off `left` and returns their offset. */
static inline size_t match_question(const struct message_writer *w, const uint8_t *name, const uint8_t *at, unsigned *left) {
  unsigned i = *left, k = w->question_labels;
  size_t size = at[i] + 1u, question_size = w->question_at[k] + 1u;
  const uint8_t *question_end = w->out.base + MESSAGE_HEADER_BYTES + question_size;
  size_t same = common_tail(name + size, question_end, size < question_size ? size : question_size);
  while (i > 0 && k > 0 && size - at[i - 1] <= same && size - at[i - 1] == question_size - w->question_at[k - 1]) {
    i--;
    k--;
  }
  if (i == *left) return 0;
  *left = i;
  return MESSAGE_HEADER_BYTES + (size_t)w->question_at[k];
}

/* The same, ignoring case. */
static size_t match_question_folded(const struct message_writer *w, const uint8_t *name, const uint8_t *at, unsigned *left) {
  const uint8_t *question = w->out.base + MESSAGE_HEADER_BYTES;
  unsigned i = *left, k = w->question_labels;
  while (i > 0 && k > 0 && same_folded(name + at[i - 1], question + w->question_at[k - 1])) {
    i--;
    k--;
  }
  *left = i;
  return MESSAGE_HEADER_BYTES + (size_t)w->question_at[k];
}

/* Remembers the `left` labels of a name that were written out from offset `start` on, in front of the name at `parent`. */
static void remember(struct message_writer *w, const uint8_t *name, const uint8_t *at, unsigned left, size_t start, size_t parent) {
  if (!w->has_slots) memset(w->slots, 0, (w->slot_mask + 1u) * sizeof w->slots[0]);
  w->has_slots = true;
  while (left-- > 0) {
    size_t offset = start + at[left];
    if (offset <= POINTER_MAX) w->slots[slot_of(w, name + at[left], parent)] = (uint16_t)offset;
    parent = offset;
  }
}

/* Writes a name of which the longest known suffix becomes a pointer; returns the octets of `name`, 0 if it does not fit. */
static size_t put_name(struct message_writer *w, const uint8_t *name, bool is_owner) {
  uint8_t at[LIMIT_NAME_LABELS];
  const uint8_t *message = w->out.base;
  unsigned labels = label_offsets(name, at), left = labels;
  if (w->question_labels == QUESTION_UNREAD)
    w->question_labels = (uint8_t)label_offsets(message + MESSAGE_HEADER_BYTES, w->question_at);
  size_t parent = w->question_labels ? match_question(w, name, at, &left) : 0;
  for (; left > 0 && w->has_slots; left--) {
    const uint8_t *label = name + at[left - 1];
    size_t known = w->slots[slot_of(w, label, parent)];
    if (known == 0 || !same_label(message + known, label) || behind_label(message, known) != parent) break;
    parent = known;
  }
  if (is_owner && left > 0 && w->question_labels) {
    unsigned folded_left = labels;
    size_t folded = match_question_folded(w, name, at, &folded_left);
    if (folded_left < left) {
      left = folded_left;
      parent = folded;
    }
  }
  size_t literal = at[left];
  if (!has_room(w, literal + (parent ? 2 : 1))) return 0;
  size_t start = offset_of(w, w->out.at);
  memcpy(w->out.at, name, literal);
  w->out.at += literal;
  if (parent) {
    put_u16(w->out.at, (uint16_t)(POINTER | parent));
    w->out.at += 2;
  } else {
    *w->out.at++ = 0;
  }
  if (left > 0) remember(w, name, at, left, start, parent);
  return at[labels] + 1u;
}

bool message_put_name(struct message_writer *w, const uint8_t *name_wire) {
  return put_name(w, name_wire, true) > 0;
}

/* ---- records ---- */

static inline bool put_pointer(struct message_writer *w, uint16_t pointer) {
  if (!has_room(w, 2)) return false;
  put_u16(w->out.at, pointer);
  w->out.at += 2;
  return true;
}

static inline bool put_owner(struct message_writer *w, const uint8_t *owner_wire) {
  if (owner_wire) return put_name(w, owner_wire, true) > 0;
  assert(w->has_question);
  return put_pointer(w, QNAME_POINTER);
}

/* The pointer that stands for the owner just written at `at`; 0 where there is none: the root, or too far. */
static inline uint16_t pointer_to(const struct message_writer *w, const uint8_t *at) {
  size_t offset = offset_of(w, at);
  if (at[0] >= 0xc0) return get_u16(at);
  return at[0] && offset <= POINTER_MAX ? (uint16_t)(POINTER | offset) : 0;
}

/* RDATA whose names may be compressed: `prefix` octets, then the names, then the rest. */
static bool put_compressed(struct message_writer *w, uint16_t type, size_t prefix, const uint8_t *rdata, size_t size) {
  const uint8_t *p = rdata + prefix, *end = rdata + size;
  assert(prefix < size);
  if (!has_room(w, prefix)) return false;
  memcpy(w->out.at, rdata, prefix);
  w->out.at += prefix;
  for (unsigned names = rr_compress_count(type); names > 0; names--) {
    size_t n = put_name(w, p, false);
    if (n == 0) return false;
    p += n;
  }
  size_t rest = (size_t)(end - p);
  assert(p <= end);
  if (!has_room(w, rest)) return false;
  memcpy(w->out.at, p, rest);
  w->out.at += rest;
  return true;
}

/* Type, class, TTL, RDLENGTH and RDATA behind an owner. Leaves a part behind when it fails. */
static inline bool put_body(struct message_writer *w, uint16_t type, uint16_t class, uint32_t ttl, const uint8_t *rdata,
                            size_t size) {
  int compress_at = rr_compress_offset(type);
  bool plain = compress_at < 0 || size <= (size_t)compress_at;
  if (!has_room(w, RR_FIXED_BYTES + (plain ? size : 0))) return false;
  uint8_t *fixed = w->out.at;
  put_u16(fixed, type);
  put_u16(fixed + 2, class);
  put_u32(fixed + 4, ttl);
  w->out.at += RR_FIXED_BYTES;
  if (plain) {
    put_u16(fixed + 8, (uint16_t)size);
    if (size) memcpy(w->out.at, rdata, size);
    w->out.at += size;
    return true;
  }
  if (!put_compressed(w, type, (size_t)compress_at, rdata, size)) return false;
  put_u16(fixed + 8, (uint16_t)(w->out.at - fixed - RR_FIXED_BYTES));
  return true;
}

bool message_put_rr(struct message_writer *w, enum section section, const uint8_t *owner_wire, uint16_t type, uint16_t class,
                    uint32_t ttl, const uint8_t *rdata, size_t rdata_size) {
  struct message_mark mark = message_mark(w);
  if (w->counts[section] == UINT16_MAX || !put_owner(w, owner_wire) || !put_body(w, type, class, ttl, rdata, rdata_size)) {
    message_rewind(w, mark);
    return false;
  }
  w->counts[section]++;
  return true;
}

bool message_put_rrset(struct message_writer *w, enum section section, const uint8_t *owner_wire, uint16_t type, uint32_t ttl,
                       const uint8_t *rrs, unsigned count) {
  struct message_mark mark = message_mark(w);
  uint16_t owner = 0; /* how the second and later records write it */
  if (w->counts[section] + count > UINT16_MAX) return false;
  for (unsigned i = 0; i < count; i++) {
    uint16_t size;
    memcpy(&size, rrs, sizeof size);
    bool fits;
    if (i > 0 && owner) {
      fits = put_pointer(w, owner);
    } else {
      const uint8_t *at = w->out.at;
      fits = put_owner(w, owner_wire);
      if (i == 0 && fits) owner = pointer_to(w, at);
    }
    if (!fits || !put_body(w, type, CLASS_IN, ttl, rrs + 2, size)) {
      message_rewind(w, mark);
      return false;
    }
    rrs += 2 + ((size + 1u) & ~1u);
  }
  w->counts[section] = (uint16_t)(w->counts[section] + count);
  return true;
}

struct message_mark message_mark(const struct message_writer *w) {
  return (struct message_mark){w->out.at, {w->counts[0], w->counts[1], w->counts[2], w->counts[3]}};
}

void message_rewind(struct message_writer *w, struct message_mark mark) {
  if (w->has_slots && w->out.at != mark.at) { /* what comes next is written over these labels */
    size_t end = offset_of(w, mark.at);
    for (unsigned i = 0; i <= w->slot_mask; i++)
      if (w->slots[i] >= end) w->slots[i] = 0;
  }
  w->out.at = mark.at;
  memcpy(w->counts, mark.counts, sizeof w->counts);
}

/* ---- end ---- */

bool message_put_opt(struct message_writer *w, uint16_t udp_bytes, unsigned rcode, uint16_t edns_flags, const uint8_t *options,
                     size_t options_size) {
  size_t n = 11 + options_size;
  if (wr_left(&w->out) < n || options_size > UINT16_MAX) return false;
  uint8_t *p = w->out.at;
  p[0] = 0;
  put_u16(p + 1, RR_OPT);
  put_u16(p + 3, udp_bytes);
  p[5] = (uint8_t)(rcode >> 4);
  p[6] = 0;
  put_u16(p + 7, edns_flags);
  put_u16(p + 9, (uint16_t)options_size);
  if (options_size) memcpy(p + 11, options, options_size);
  w->out.at += n;
  w->reserve -= n < w->reserve ? n : w->reserve;
  w->counts[SECTION_ADDITIONAL]++;
  return true;
}

size_t message_finish(struct message_writer *w, unsigned rcode) {
  uint8_t *header = w->out.base;
  header[3] = (uint8_t)((header[3] & ~FLAG_RCODE_MASK) | (rcode & FLAG_RCODE_MASK));
  for (unsigned i = 0; i < 4; i++)
    put_u16(header + 4 + 2 * i, w->counts[i]);
  return wr_used(&w->out);
}

void message_set_flags(struct message_writer *w, uint16_t set) {
  w->out.base[2] |= (uint8_t)(set >> 8);
  w->out.base[3] |= (uint8_t)set;
}
