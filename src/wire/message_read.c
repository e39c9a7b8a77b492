/* Reading the records of responses, transfers and NOTIFY. */
#include "wire/message.h"

enum err message_open(const uint8_t *bytes, size_t size, struct message *out, struct rd *body) {
  if (size < MESSAGE_HEADER_BYTES) return ERR_SHORT;
  *out = (struct message){.bytes = bytes, .size = size, .id = get_u16(bytes), .flags = get_u16(bytes + 2)};
  for (unsigned i = 0; i < 4; i++)
    out->counts[i] = get_u16(bytes + 4 + 2 * i);
  *body = (struct rd){bytes + MESSAGE_HEADER_BYTES, bytes + size};
  return ERR_OK;
}

enum err message_question(const struct message *m, struct rd *body, struct name *qname, uint16_t *qtype, uint16_t *qclass) {
  struct rd r = *body;
  uint16_t type, class;
  enum err e = name_read(&r, m->bytes, qname);
  if (e != ERR_OK) return e;
  if (!rd_u16(&r, &type) || !rd_u16(&r, &class)) return ERR_SHORT;
  *qtype = type;
  *qclass = class;
  *body = r;
  return ERR_OK;
}

enum err message_rr(const struct message *m, struct rd *body, struct message_rr *out) {
  struct rd r = *body;
  const uint8_t *fixed;
  enum err e = name_read(&r, m->bytes, &out->owner);
  if (e != ERR_OK) return e;
  if (!rd_bytes(&r, 10, &fixed)) return ERR_SHORT;
  out->type = get_u16(fixed);
  out->class = get_u16(fixed + 2);
  out->ttl = get_u32(fixed + 4);
  if (out->ttl > LIMIT_TTL) out->ttl = 0;
  out->rdata_size = get_u16(fixed + 8);
  if (!rd_sub(&r, out->rdata_size, &out->rdata)) return ERR_SHORT;
  *body = r;
  return ERR_OK;
}

unsigned message_rcode(const struct message *m) {
  return m->flags & FLAG_RCODE_MASK;
}
