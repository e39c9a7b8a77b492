/* Writing messages: the packet path. message.h explains how names are compressed. */
#include "wire/message.h"

#include <assert.h>

enum {
  POINTER = 0xc000,
  POINTER_MAX = 0x3fff,
  RR_FIXED_BYTES = 10,
  QNAME_POINTER = POINTER | MESSAGE_HEADER_BYTES,
  QUESTION_FIXED_BYTES = 4,
  LONG_BYTES = 4096, /* a message of more wants more slots */
};

void message_start(struct message_writer *w, uint8_t *buffer, size_t limit, uint16_t id, uint16_t flags) {
  assert(limit >= MESSAGE_HEADER_BYTES && limit <= LIMIT_MESSAGE_BYTES);
  w->out = (struct wr){buffer, buffer + MESSAGE_HEADER_BYTES, buffer + limit, false};
  w->reserve = 0;
  w->counts = 0;
  w->question_size = w->near_sizes[0] = w->near_sizes[1] = 0;
  w->has_slots = false;
  w->flags = flags;
  put_u16(buffer, id);
}

static inline bool has_room(const struct message_writer *w, size_t n) {
  return wr_left(&w->out) >= n + w->reserve;
}

static inline void add_records(struct message_writer *w, enum section section, unsigned records) {
  w->counts += (uint64_t)records << section_shift(section);
}

static inline size_t offset_of(const struct message_writer *w, const uint8_t *at) {
  return (size_t)(at - w->out.base);
}

/* ---- the question ---- */

static inline void set_question(struct message_writer *w, size_t name_size) {
  w->question_size = (uint8_t)name_size;
  add_records(w, SECTION_QUESTION, 1);
}

bool message_echo_question(struct message_writer *w, const struct request *req) {
  assert(wr_used(&w->out) == MESSAGE_HEADER_BYTES);
  size_t n = req->question_end - MESSAGE_HEADER_BYTES;
  if (!req->has_question || !has_room(w, n)) return false;
  bytes_copy(w->out.at, req->bytes + MESSAGE_HEADER_BYTES, n);
  w->out.at += n;
  set_question(w, n - QUESTION_FIXED_BYTES);
  return true;
}

bool message_put_question(struct message_writer *w, const struct name *qname, uint16_t qtype, uint16_t qclass) {
  assert(wr_used(&w->out) == MESSAGE_HEADER_BYTES);
  if (!has_room(w, (size_t)qname->size + QUESTION_FIXED_BYTES)) return false;
  memcpy(w->out.at, qname->octets, qname->size);
  w->out.at += qname->size;
  put_u16(w->out.at, qtype);
  put_u16(w->out.at + 2, qclass);
  w->out.at += QUESTION_FIXED_BYTES;
  set_question(w, qname->size);
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

/* How many octets before `a` are the same as before `b`, of `most`. */
static inline size_t common_before(const uint8_t *a, const uint8_t *b, size_t most) {
  size_t n = 0;
  for (; n + 8 <= most; n += 8) {
    uint64_t x = load64(a - n - 8) ^ load64(b - n - 8);
    if (x) return n + (unsigned)(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_clzll(x) : __builtin_ctzll(x)) / 8;
  }
  while (n < most && a[-1 - (ptrdiff_t)n] == b[-1 - (ptrdiff_t)n])
    n++;
  return n;
}

/* A name on its way into the message. */
struct name_form {
  unsigned labels, left;         /* in all, and that must be written out */
  size_t parent;                 /* offset of the rest; 0: the root */
  uint8_t at[LIMIT_NAME_LABELS]; /* of its labels, and of the root behind them */
};

/* How far a name's labels from the right are those of the question. */
static inline void match_question(const struct message_writer *w, const uint8_t *name, struct name_form *f) {
  const uint8_t *question = w->out.base + MESSAGE_HEADER_BYTES;
  size_t size = f->at[f->labels] + 1u, question_size = w->question_size;
  size_t common = common_before(name + size, question + question_size, size < question_size ? size : question_size);
  unsigned left = f->labels;
  while (left > 0 && size - f->at[left - 1] <= common)
    left--;
  if (left == f->labels) return;
  size_t at = question_size - (size - f->at[left]), label = 0;
  while (label < at)
    label += question[label] + 1u;
  if (label != at) return; /* a label of the question only looks like that at its end */
  f->left = left;
  f->parent = MESSAGE_HEADER_BYTES + at;
}

/* The same, ignoring case. */
static void match_question_folded(const struct message_writer *w, const uint8_t *name, struct name_form *f) {
  const uint8_t *question = w->out.base + MESSAGE_HEADER_BYTES;
  uint8_t question_at[LIMIT_NAME_LABELS];
  unsigned i = f->labels, k = label_offsets(question, question_at);
  while (i > 0 && k > 0 && same_folded(name + f->at[i - 1], question + question_at[k - 1])) {
    i--;
    k--;
  }
  if (i >= f->left) return;
  f->left = i;
  f->parent = MESSAGE_HEADER_BYTES + (size_t)question_at[k];
}

static inline void clear_slots(struct message_writer *w) {
  bool is_long = w->out.end - w->out.base > LONG_BYTES;
  w->slot_mask = (is_long ? MESSAGE_SLOTS_MAX : MESSAGE_SLOTS_SMALL) - 1;
  memset(w->slots, 0, MESSAGE_SLOTS_SMALL * sizeof w->slots[0]);
  if (is_long) memset(w->slots + MESSAGE_SLOTS_SMALL, 0, sizeof w->slots - MESSAGE_SLOTS_SMALL * sizeof w->slots[0]);
  w->has_slots = true;
}

/* Remembers the labels of a name that were written out from offset `start` on. */
static inline void remember(struct message_writer *w, const uint8_t *name, const struct name_form *f, size_t start) {
  if (!w->has_slots) clear_slots(w);
  size_t parent = f->parent;
  for (unsigned left = f->left; left-- > 0;) {
    size_t offset = start + f->at[left];
    if (offset <= POINTER_MAX) w->slots[slot_of(w, name + f->at[left], parent)] = (uint16_t)offset;
    parent = offset;
  }
}

/* Finds the longest suffix that the message has. */
static inline void find_suffix(struct message_writer *w, const uint8_t *name, bool is_owner, struct name_form *f) {
  const uint8_t *message = w->out.base;
  f->left = f->labels = label_offsets(name, f->at);
  f->parent = 0;
  if (w->question_size) match_question(w, name, f);
  for (; f->left > 0 && w->has_slots; f->left--) {
    const uint8_t *label = name + f->at[f->left - 1];
    size_t known = w->slots[slot_of(w, label, f->parent)];
    if (known == 0 || !same_label(message + known, label) || behind_label(message, known) != f->parent) break;
    f->parent = known;
  }
  if (is_owner && f->left > 0 && w->question_size) match_question_folded(w, name, f);
}

/* Writes a name of which the longest known suffix becomes a pointer; returns the octets of `name`, 0 if it does not fit. */
static size_t put_name(struct message_writer *w, const uint8_t *name, bool is_owner) {
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
  if (f.left > 0) remember(w, name, &f, start);
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

/* A name that is one label in front of the `near` octets of the question, as most targets are; returns the octets of the name. 0:
 * it is not, the message may have more of it, or it does not fit. */
static ALWAYS_INLINE size_t put_near_name(struct message_writer *w, const uint8_t *name, size_t room, size_t near, bool alone) {
  size_t n = name[0] + 1u;
  const uint8_t *rest = w->out.base + MESSAGE_HEADER_BYTES + w->question_size - near; /* of the question */
  if (near == 0 || n == 1 || room < n + near || !bytes_equal(name + n, rest, near)) return 0;
  if (w->question_size >= near + n && same_label(rest - n, name)) return 0;
  size_t parent = offset_of(w, rest), start = offset_of(w, w->out.at);
  if (w->has_slots && w->slots[slot_of(w, name, parent)]) return 0;
  if (start > POINTER_MAX || !has_room(w, n + 2)) return 0;
  bytes_copy(w->out.at, name, n);
  put_u16(w->out.at + n, (uint16_t)(POINTER | parent));
  w->out.at += n + 2;
  if (!alone) {
    if (!w->has_slots) clear_slots(w);
    w->slots[slot_of(w, name, parent)] = (uint16_t)start;
  }
  return n + near;
}

/* RDATA whose names may be compressed: `prefix` octets, then the names, then the rest. What stands in a set `alone` is not pointed
 * at by names that come later. */
static ALWAYS_INLINE bool put_compressed(struct message_writer *w, uint16_t type, size_t prefix, const uint8_t *rdata, size_t size,
                                         bool alone) {
  const uint8_t *p = rdata + prefix, *end = rdata + size;
  assert(prefix < size);
  if (!has_room(w, prefix)) return false;
  for (size_t i = 0; i < prefix; i++)
    *w->out.at++ = rdata[i];
  for (unsigned names = rr_compress_count(type); names > 0; names--) {
    size_t n = put_near_name(w, p, (size_t)(end - p), w->near_sizes[0], alone);
    if (n == 0) n = put_near_name(w, p, (size_t)(end - p), w->near_sizes[1], alone);
    if (n == 0) n = put_name(w, p, false);
    if (n == 0) return false;
    p += n;
  }
  size_t rest = (size_t)(end - p);
  assert(p <= end);
  if (!has_room(w, rest)) return false;
  bytes_copy(w->out.at, p, rest);
  w->out.at += rest;
  return true;
}

/* Type, class, TTL, RDLENGTH and RDATA behind an owner. Leaves a part behind when it fails. */
static ALWAYS_INLINE bool put_body(struct message_writer *w, uint16_t type, uint16_t class, uint32_t ttl, const uint8_t *rdata,
                                   size_t size, bool alone) {
  int compress_at = rr_compress_offset(type);
  bool plain = compress_at < 0 || size <= (size_t)compress_at;
  if (!has_room(w, RR_FIXED_BYTES + (plain ? size : 0))) return false;
  uint8_t *fixed = w->out.at;
  put_u64(fixed, (uint64_t)type << 48 | (uint64_t) class << 32 | ttl);
  w->out.at += RR_FIXED_BYTES;
  if (plain) {
    put_u16(fixed + 8, (uint16_t)size);
    if (size) memcpy(w->out.at, rdata, size);
    w->out.at += size;
    return true;
  }
  if (!put_compressed(w, type, (size_t)compress_at, rdata, size, alone)) return false;
  put_u16(fixed + 8, (uint16_t)(w->out.at - fixed - RR_FIXED_BYTES));
  return true;
}

bool message_put_rr(struct message_writer *w, enum section section, const uint8_t *owner_wire, uint16_t type, uint16_t class,
                    uint32_t ttl, const uint8_t *rdata, size_t rdata_size) {
  struct message_mark mark = message_mark(w);
  bool fits;
  if (owner_wire) {
    fits = put_name(w, owner_wire, true) > 0;
  } else {
    assert(w->question_size);
    fits = has_room(w, 2);
    if (fits) put_u16(w->out.at, QNAME_POINTER);
    w->out.at += fits ? 2 : 0;
  }
  if (!fits || !put_body(w, type, class, ttl, rdata, rdata_size, false)) {
    message_rewind(w, mark);
    return false;
  }
  add_records(w, section, 1);
  return true;
}

/* RRs whose names may be compressed, and how far they go; NULL: they do not fit. */
static const uint8_t *put_compressed_rrs(struct message_writer *w, struct message_owner *owner, const uint8_t *rrs,
                                         unsigned count) {
  bool alone = count == 1;
  for (; count > 0; count--) {
    uint16_t size = rr_ready_size(rrs);
    if (!has_room(w, owner_size(owner))) return NULL;
    w->out.at = put_owner(w, w->out.at, owner);
    if (!put_body(w, rr_ready_type(rrs), CLASS_IN, rr_ready_ttl(rrs), rrs + RR_READY_BYTES, size, alone)) return NULL;
    rrs += RR_READY_BYTES + size;
  }
  return rrs;
}

/* RRs without names to compress; they are counted. The first one writes the owner, those behind it mostly point there. */
static bool put_plain_rrs(struct message_writer *w, enum section section, struct message_owner *owner, const uint8_t *rrs,
                          unsigned count) {
  for (; count > 0 && !owner->pointer; count--) {
    size_t rest = RR_READY_BYTES - 2 + (size_t)rr_ready_size(rrs);
    if (!has_room(w, owner->size + rest)) return false;
    uint8_t *at = put_owner(w, w->out.at, owner);
    bytes_copy(at, rrs + 2, rest);
    w->out.at = at + rest;
    add_records(w, section, 1);
    rrs += 2 + rest;
  }
  return message_put_ready(w, section, owner->pointer, rrs, count);
}

bool message_put_owned(struct message_writer *w, enum section section, struct message_owner *owner, const uint8_t *rrs,
                       unsigned count, unsigned signatures) {
  struct message_mark before = message_mark(w);
  uint16_t pointer = owner->pointer;
  unsigned plain = count + signatures;
  const uint8_t *from = rrs;
  if (count && rr_compress_offset(rr_ready_type(rrs)) >= 0) {
    from = put_compressed_rrs(w, owner, rrs, count);
    add_records(w, section, count);
    plain = signatures;
  }
  if (from && (plain == 0 || put_plain_rrs(w, section, owner, from, plain))) return true;
  message_rewind(w, before);
  owner->pointer = pointer;
  return false;
}

void message_set_ttl(struct message_writer *w, size_t from, uint32_t ttl) {
  while (from < wr_used(&w->out))
    put_u32(w->out.base + message_rdata_at(w, from, &from) - 6, ttl);
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
  return (struct message_mark){w->out.at, w->counts};
}

void message_rewind(struct message_writer *w, struct message_mark mark) {
  if (w->has_slots && w->out.at != mark.at) { /* what comes next is written over these labels */
    size_t end = offset_of(w, mark.at);
    for (unsigned i = 0; i <= w->slot_mask; i++)
      if (w->slots[i] >= end) w->slots[i] = 0;
  }
  w->out.at = mark.at;
  w->counts = mark.counts;
}
