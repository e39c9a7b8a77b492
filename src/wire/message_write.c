/* Writing messages: the packet path. message.h explains how names are compressed. */
#include "wire/message.h"

#include <assert.h>

enum {
  POINTER = 0xc000,
  POINTER_MAX = 0x3fff,
  RR_FIXED_BYTES = 10,
  QNAME_POINTER = POINTER | MESSAGE_HEADER_BYTES,
  QUESTION_UNREAD = 0xff,
  LONG_BYTES = 4096, /* a message of more wants more slots */
};

void message_start(struct message_writer *w, uint8_t *buffer, size_t limit, uint16_t id, uint16_t flags) {
  assert(limit >= MESSAGE_HEADER_BYTES && limit <= LIMIT_MESSAGE_BYTES);
  w->out = (struct wr){buffer, buffer + MESSAGE_HEADER_BYTES, buffer + limit, false};
  w->reserve = 0;
  memset(w->counts, 0, sizeof w->counts);
  w->question_labels = 0;
  w->has_question = false;
  w->has_slots = false;
  put_u16(buffer, id);
  put_u16(buffer + 2, flags);
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
  bytes_copy(w->out.at, req->bytes + MESSAGE_HEADER_BYTES, n);
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

static inline uint64_t load64(const uint8_t *p) {
  uint64_t x;
  memcpy(&x, p, 8);
  return x;
}

static inline bool same_label(const uint8_t *a, const uint8_t *b) {
  unsigned n = a[0];
  if (b[0] != n) return false;
  if (n > 16) return memcmp(a + 1, b + 1, n) == 0;
  if (n >= 8) return load64(a + 1) == load64(b + 1) && load64(a + n - 7) == load64(b + n - 7);
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

/* How far a name's labels from the right are those of the question: takes them off `left` and returns their offset. */
static inline size_t match_question(const struct message_writer *w, const uint8_t *name, const uint8_t *at, unsigned *left) {
  const uint8_t *question = w->out.base + MESSAGE_HEADER_BYTES;
  unsigned i = *left, k = w->question_labels;
  while (i > 0 && k > 0 && same_label(name + at[i - 1], question + w->question_at[k - 1])) {
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

static void clear_slots(struct message_writer *w) {
  unsigned slots = w->out.end - w->out.base > LONG_BYTES ? MESSAGE_SLOTS_MAX : MESSAGE_SLOTS_SMALL;
  w->slot_mask = (uint16_t)(slots - 1);
  memset(w->slots, 0, slots * sizeof w->slots[0]);
  w->has_slots = true;
}

/* Remembers the `left` labels of a name that were written out from offset `start` on, in front of the name at `parent`. */
static void remember(struct message_writer *w, const uint8_t *name, const uint8_t *at, unsigned left, size_t start, size_t parent) {
  if (!w->has_slots) clear_slots(w);
  while (left-- > 0) {
    size_t offset = start + at[left];
    if (offset <= POINTER_MAX) w->slots[slot_of(w, name + at[left], parent)] = (uint16_t)offset;
    parent = offset;
  }
}

/* A name on its way into the message. */
struct name_form {
  unsigned labels, left; /* in all, and that must be written out */
  size_t parent;         /* offset of the rest; 0: the root */
  uint8_t at[LIMIT_NAME_LABELS];
};

/* Finds the longest suffix that the message has. */
static inline void find_suffix(struct message_writer *w, const uint8_t *name, bool is_owner, struct name_form *f) {
  const uint8_t *message = w->out.base;
  unsigned left = f->labels = label_offsets(name, f->at);
  if (w->question_labels == QUESTION_UNREAD)
    w->question_labels = (uint8_t)label_offsets(message + MESSAGE_HEADER_BYTES, w->question_at);
  size_t parent = w->question_labels ? match_question(w, name, f->at, &left) : 0;
  for (; left > 0 && w->has_slots; left--) {
    const uint8_t *label = name + f->at[left - 1];
    size_t known = w->slots[slot_of(w, label, parent)];
    if (known == 0 || !same_label(message + known, label) || behind_label(message, known) != parent) break;
    parent = known;
  }
  if (is_owner && left > 0 && w->question_labels) {
    unsigned folded_left = f->labels;
    size_t folded = match_question_folded(w, name, f->at, &folded_left);
    if (folded_left < left) {
      left = folded_left;
      parent = folded;
    }
  }
  f->left = left;
  f->parent = parent;
}

/* Writes a name of which the longest known suffix becomes a pointer; returns the octets of `name`, 0 if it does not fit. */
static inline size_t put_name(struct message_writer *w, const uint8_t *name, bool is_owner) {
  struct name_form f;
  find_suffix(w, name, is_owner, &f);
  size_t literal = f.at[f.left];
  if (!has_room(w, literal + (f.parent ? 2 : 1))) return 0;
  size_t start = offset_of(w, w->out.at);
  bytes_copy(w->out.at, name, literal);
  w->out.at += literal;
  if (f.parent) {
    put_u16(w->out.at, (uint16_t)(POINTER | f.parent));
    w->out.at += 2;
  } else {
    *w->out.at++ = 0;
  }
  if (f.left > 0) remember(w, name, f.at, f.left, start, f.parent);
  return f.at[f.labels] + 1u;
}

bool message_put_name(struct message_writer *w, const uint8_t *name_wire) {
  return put_name(w, name_wire, true) > 0;
}

/* ---- records ---- */

void message_owner_name(struct message_writer *w, const uint8_t *name, struct message_owner *out) {
  struct name_form f;
  find_suffix(w, name, true, &f);
  if (f.left == 0 && f.parent) {
    message_owner_at(out, f.parent);
    return;
  }
  message_owner_begun(out, name, f.at[f.left], f.parent);
}

void message_owner_begun(struct message_owner *out, const uint8_t *labels, size_t size, size_t parent) {
  bytes_copy(out->octets, labels, size);
  out->pointer = 0;
  if (parent) put_u16(out->octets + size, (uint16_t)(POINTER | parent));
  else out->octets[size] = 0;
  out->size = (uint16_t)(size + (parent ? 2 : 1));
}

/* Writes an owner where there is room for it; returns what comes behind it. */
static inline uint8_t *put_owner(const struct message_writer *w, uint8_t *at, struct message_owner *owner) {
  if (owner->pointer) {
    put_u16(at, owner->pointer);
    return at + 2;
  }
  bytes_copy(at, owner->octets, owner->size);
  size_t offset = offset_of(w, at);
  if (owner->size > 2 && offset <= POINTER_MAX) owner->pointer = (uint16_t)(POINTER | offset);
  return at + owner->size;
}

static inline size_t owner_size(const struct message_owner *owner) {
  return owner->pointer ? 2 : owner->size;
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
  bool fits = w->counts[section] < UINT16_MAX;
  if (fits && owner_wire) {
    fits = put_name(w, owner_wire, true) > 0;
  } else if (fits) {
    assert(w->has_question);
    fits = has_room(w, 2);
    if (fits) put_u16(w->out.at, QNAME_POINTER);
    w->out.at += fits ? 2 : 0;
  }
  if (!fits || !put_body(w, type, class, ttl, rdata, rdata_size)) {
    message_rewind(w, mark);
    return false;
  }
  w->counts[section]++;
  return true;
}

/* RRs of a type without names to compress. Nothing is written unless all fit, but for octets behind the message's end. */
static inline bool put_plain_set(struct message_writer *w, struct message_owner *owner, uint16_t type, uint32_t ttl,
                                 const uint8_t *rrs, unsigned count) {
  uint8_t *at = w->out.at;
  const uint8_t *stop = w->out.end - w->reserve;
  for (unsigned i = 0; i < count; i++) {
    uint16_t size;
    memcpy(&size, rrs, sizeof size);
    if (stop - at < (ptrdiff_t)(owner_size(owner) + RR_FIXED_BYTES + size)) return false;
    at = put_owner(w, at, owner);
    put_u32(at, (uint32_t)type << 16 | CLASS_IN);
    put_u32(at + 4, ttl);
    put_u16(at + 8, size);
    bytes_copy(at + RR_FIXED_BYTES, rrs + 2, size);
    at += RR_FIXED_BYTES + size;
    rrs += 2 + ((size + 1u) & ~1u);
  }
  w->out.at = at;
  return true;
}

static bool put_compressed_set(struct message_writer *w, struct message_owner *owner, uint16_t type, uint32_t ttl,
                               const uint8_t *rrs, unsigned count) {
  struct message_mark mark = message_mark(w);
  for (unsigned i = 0; i < count; i++) {
    uint16_t size;
    memcpy(&size, rrs, sizeof size);
    bool fits = has_room(w, owner_size(owner));
    if (fits) w->out.at = put_owner(w, w->out.at, owner);
    if (!fits || !put_body(w, type, CLASS_IN, ttl, rrs + 2, size)) {
      message_rewind(w, mark);
      return false;
    }
    rrs += 2 + ((size + 1u) & ~1u);
  }
  return true;
}

bool message_put_rrset(struct message_writer *w, enum section section, struct message_owner *owner, uint16_t type, uint32_t ttl,
                       const uint8_t *rrs, unsigned count) {
  uint16_t pointer = owner->pointer;
  bool fits = w->counts[section] + count <= UINT16_MAX &&
              (rr_compress_offset(type) < 0 ? put_plain_set : put_compressed_set)(w, owner, type, ttl, rrs, count);
  if (fits) w->counts[section] = (uint16_t)(w->counts[section] + count);
  else owner->pointer = pointer;
  return fits;
}

size_t message_rdata_at(const struct message_writer *w, size_t at, size_t *next) {
  const uint8_t *p = w->out.base + at;
  while (*p && *p < 0xc0)
    p += *p + 1u;
  p += (*p ? 2 : 1) + RR_FIXED_BYTES;
  *next = offset_of(w, p) + get_u16(p - 2);
  return offset_of(w, p);
}

void message_owner_written(const struct message_writer *w, size_t at, struct message_owner *out) {
  uint16_t first = get_u16(w->out.base + at);
  message_owner_at(out, first >= POINTER ? first & POINTER_MAX : at);
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
