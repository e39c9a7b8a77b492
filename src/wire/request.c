/* Reading requests: the packet path. The plain case (one question, nothing else or one OPT) goes straight through
 * request_parse; all else takes walk_records. */
#include "wire/message.h"

#include <assert.h>

enum { OPT_FIXED_BYTES = 11, RR_FIXED_BYTES = 10, TYPE_AT_OPT = 1 };
#define RECORD_COUNTS ((UINT64_C(1) << 48) - 1)

/* Reads a name's labels, which have `room`; returns its size. 0: it is none. A pointer could only aim at the header or at itself.
 */
static inline size_t parse_labels(struct request *q, const uint8_t *name, size_t room) {
  size_t at = 0;
  unsigned labels = 0;
  for (unsigned n; (n = name[at]) != 0; labels++) {
    if (n > LIMIT_LABEL_BYTES || at + n + 1 >= room) return 0; /* the root, too, must have room */
    q->label_at[labels] = (uint8_t)at;
    at += n + 1;
  }
  q->qname.labels = (uint8_t)labels;
  q->shared = 0;
  return at + 1;
}

/* The same of a name that has behind its first label, octet for octet, what another has there. 0: it may be another name or none.
 */
static inline size_t parse_beside(struct request *q, const uint8_t *name, size_t room, const struct name *other) {
  size_t n = name[0] + 1u, skip = other->octets[0] + 1u, shared = other->size - skip; /* 0: the root has no first label */
  if (n - 2 >= LIMIT_LABEL_BYTES || n + shared > room || shared == 0) return 0;
  if (!bytes_equal(name + n, other->octets + skip, shared)) return 0;
  q->qname.labels = other->labels;
  q->shared = (uint8_t)shared;
  return n + shared;
}

/* Reads the question at offset 12. */
static inline bool parse_question(struct request *q, const struct name *other) {
  enum { TYPE_AND_CLASS_BYTES = 4 };
  if (q->size < MESSAGE_HEADER_BYTES + 1 + TYPE_AND_CLASS_BYTES) return false;
  const uint8_t *name = q->bytes + MESSAGE_HEADER_BYTES;
  size_t room = q->size - MESSAGE_HEADER_BYTES - TYPE_AND_CLASS_BYTES;
  if (room > LIMIT_NAME_BYTES) room = LIMIT_NAME_BYTES;
  size_t size = other ? parse_beside(q, name, room, other) : 0;
  if (size == 0) size = parse_labels(q, name, room);
  if (size == 0) return false;
  q->qname.size = (uint8_t)size;
  bytes_copy(q->qname.octets, name, size);
  uint32_t type_and_class = get_u32(name + size);
  q->qtype = (uint16_t)(type_and_class >> 16);
  q->qclass = (uint16_t)type_and_class;
  q->question_end = MESSAGE_HEADER_BYTES + size + TYPE_AND_CLASS_BYTES;
  q->has_question = true;
  return true;
}

/* RFC 7873 §4: a client cookie of 8 octets, and maybe the server's of 8 to 32. */
static bool cookie_fits(size_t n) {
  return n == 8 || (n >= 16 && n <= 40);
}

static bool parse_options(struct edns *e) {
  struct rd r = rd_make(e->options, e->options_size);
  while (rd_left(&r)) {
    uint16_t code, n;
    if (!rd_u16(&r, &code) || !rd_u16(&r, &n) || !rd_skip(&r, n)) return false;
    switch (code) {
    case EDNS_NSID:
      e->nsid = e->wants_option = true;
      break;
    case EDNS_ECS:
      e->subnet = true;
      break;
    case EDNS_EXPIRE:
      e->expire = e->wants_option = true;
      break;
    case EDNS_KEEPALIVE:
      e->keepalive = e->wants_option = true;
      break;
    case EDNS_PADDING:
      e->padding = e->wants_option = true;
      break;
    case EDNS_ZONEVERSION:
      e->zoneversion = e->wants_option = true;
      break;
    case EDNS_COOKIE:
      e->cookie = true;
      if (!cookie_fits(n)) return false;
      break;
    default:
      break;
    }
  }
  return true;
}

/* Takes an OPT record whose class stands at `fixed`; `rdata` follows. */
static bool take_opt(struct edns *e, const uint8_t *fixed, const uint8_t *rdata, uint16_t size) {
  if (e->present) return false;
  uint16_t udp_bytes = get_u16(fixed);
  e->present = true;
  e->udp_bytes = udp_bytes < LIMIT_UDP_PLAIN_BYTES ? LIMIT_UDP_PLAIN_BYTES : udp_bytes;
  e->version = fixed[3];
  e->dnssec_ok = (get_u16(fixed + 4) & EDNS_F_DO) != 0;
  e->options = rdata;
  e->options_size = size;
  /* Of another version the shape of options is not known, and the answer is BADVERS whatever they hold. */
  return size == 0 || e->version != 0 || parse_options(e);
}

/* Steps over an owner name; pointers aim backwards, not into the header. */
static bool skip_name(struct rd *r, const uint8_t *message, bool *is_root) {
  struct name name; /* validated whole: hop limits and sizes are name_read's */
  if (rd_left(r) && r->at[0] == 0) {
    *is_root = true;
    r->at++;
    return true;
  }
  *is_root = false;
  return name_read(r, message, &name) == ERR_OK;
}

/* Walks all records behind the question. */
static bool walk_records(struct request *q) {
  struct rd r = {q->bytes + q->question_end, q->bytes + q->size};
  unsigned before = section_count(q->counts, SECTION_ANSWER) + section_count(q->counts, SECTION_AUTHORITY);
  unsigned total = before + section_count(q->counts, SECTION_ADDITIONAL);
  for (unsigned i = 0; i < total; i++) {
    const uint8_t *owner = r.at, *fixed, *rdata;
    bool is_root;
    if (!skip_name(&r, q->bytes, &is_root) || !rd_bytes(&r, RR_FIXED_BYTES, &fixed)) return false;
    uint16_t type = get_u16(fixed), size = get_u16(fixed + 8);
    if (!rd_bytes(&r, size, &rdata)) return false;
    if (type == RR_OPT && (!is_root || i < before || !take_opt(&q->edns, fixed + 2, rdata, size))) return false;
    if (type == RR_TSIG) {
      if (i < before || i + 1 != total || get_u16(fixed + 2) != CLASS_ANY || get_u32(fixed + 4) != 0) return false;
      q->tsig_at = (size_t)(owner - q->bytes);
    }
  }
  return rd_left(&r) == 0;
}

static inline void forget_question(struct request *q) {
  q->has_question = false;
  q->qname.size = q->qname.labels = q->shared = 0;
  q->qtype = q->qclass = 0;
  q->question_end = MESSAGE_HEADER_BYTES;
}

static inline bool is_known_opcode(unsigned opcode) {
  return opcode == OPCODE_QUERY || opcode == OPCODE_NOTIFY || opcode == OPCODE_UPDATE;
}

/* An opcode with a body of unknown shape: what can be read is welcome, what can't is no error. */
static enum err parse_unknown(struct request *q) {
  unsigned questions = section_count(q->counts, SECTION_QUESTION);
  forget_question(q);
  if (questions > 1 || (questions == 1 && !parse_question(q, NULL))) return ERR_OK;
  if (!walk_records(q)) {
    q->edns = (struct edns){0};
    q->tsig_at = 0;
  }
  forget_question(q);
  return ERR_OK;
}

/* What stands behind the question: mostly nothing, or one OPT. */
static bool parse_rest(struct request *q) {
  const uint8_t *p = q->bytes + q->question_end;
  size_t left = q->size - q->question_end;
  uint64_t records = q->counts & RECORD_COUNTS;
  if (records == 0) return left == 0;
  if (records != 1 || left < OPT_FIXED_BYTES || p[0] != 0 || get_u16(p + TYPE_AT_OPT) != RR_OPT) return walk_records(q);
  uint16_t options_size = get_u16(p + 9);
  return left == (size_t)OPT_FIXED_BYTES + options_size && take_opt(&q->edns, p + 3, p + OPT_FIXED_BYTES, options_size);
}

enum err request_parse(const uint8_t *bytes, size_t size, struct request *out) {
  return request_parse_after(bytes, size, NULL, out);
}

enum err request_parse_after(const uint8_t *bytes, size_t size, const struct request *before, struct request *out) {
  if (size < MESSAGE_HEADER_BYTES || bytes[2] & FLAG_QR >> 8) return ERR_SHORT;
  struct request *q = out;
  q->bytes = bytes;
  q->size = size;
  q->id = get_u16(bytes);
  q->flags = get_u16(bytes + 2);
  q->opcode = (q->flags & FLAG_OPCODE_MASK) >> FLAG_OPCODE_SHIFT;
  q->counts = get_u64(bytes + 4);
  q->tsig_at = 0;
  q->edns = (struct edns){0};
  if (!is_known_opcode(q->opcode)) return parse_unknown(q);
  unsigned questions = section_count(q->counts, SECTION_QUESTION);
  if (questions != 1 || !parse_question(q, before ? &before->qname : NULL)) forget_question(q);
  return questions == q->has_question && parse_rest(q) ? ERR_OK : ERR_FORMAT;
}
