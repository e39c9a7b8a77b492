/* From message to records. What can't be read is FORMERR as a whole, before anything is judged. */
#include "xfr/update_priv.h"

enum { ZONE, PREREQUISITE, UPDATE };

/* RFC 2136 §2.4, §2.5: such a record says which RRset or name is meant, and its RDATA has to be empty. */
static bool names_only(int section, uint16_t class) {
  return class == CLASS_ANY || (class == CLASS_NONE && section == PREREQUISITE);
}

static enum err read_rdata(struct update *u, const struct message *m, struct message_rr *rr, struct update_rr *out) {
  uint8_t room[LIMIT_MESSAGE_BYTES];
  struct wr w = wr_make(room, sizeof room);
  if (rr_rdata_read(&rr->rdata, rr->rdata_size, m->bytes, rr->type, &w))
    return update_refuse_rr(u, RCODE_FORMERR, "malformed", &rr->owner, rr->type);
  out->size = (uint16_t)wr_used(&w);
  out->rdata = arena_copy(&u->arena, room, out->size);
  return out->rdata ? ERR_OK : ERR_MEMORY;
}

static enum err read_rr(struct update *u, const struct message *m, struct rd *body, int section, struct update_rr *out) {
  struct message_rr rr;
  if (message_rr(m, body, &rr)) return update_refuse(u, RCODE_FORMERR, EDE_NONE, "malformed record");
  *out = (struct update_rr){.owner = arena_copy(&u->arena, rr.owner.octets, rr.owner.size)};
  if (!out->owner) return ERR_MEMORY;
  out->type = rr.type;
  out->class = rr.class;
  out->ttl = rr.ttl;
  if (!names_only(section, rr.class)) return read_rdata(u, m, &rr, out);
  return rr.rdata_size ? update_refuse_rr(u, RCODE_FORMERR, "RDATA where none belongs", &rr.owner, rr.type) : ERR_OK;
}

static enum err read_section(struct update *u, const struct message *m, struct rd *body, int section, struct update_rr **list,
                             size_t *count) {
  enum { LEAST_BYTES = 11 }; /* of a record: no more can follow than that, whatever the header says */
  size_t n = m->counts[section];
  if (n > rd_left(body) / LEAST_BYTES) return update_refuse(u, RCODE_FORMERR, EDE_NONE, "fewer records than announced");
  *list = arena_alloc(&u->arena, (n + 1) * sizeof **list);
  if (!*list) return ERR_MEMORY;
  for (size_t i = 0; i < n; i++) {
    enum err e = read_rr(u, m, body, section, &(*list)[i]);
    if (e) return e;
  }
  *count = n;
  return ERR_OK;
}

enum err update_read(struct update *u, const uint8_t *message, size_t size) {
  struct message m;
  struct rd body;
  struct name zone;
  uint16_t type, class;
  if (message_open(message, size, &m, &body) || m.counts[ZONE] != 1 || message_question(&m, &body, &zone, &type, &class))
    return update_refuse(u, RCODE_FORMERR, EDE_NONE, "not one zone");
  if (type != RR_SOA) return update_refuse(u, RCODE_FORMERR, EDE_NONE, "the zone section's type is not SOA"); /* §3.1.1 */
  if (class != CLASS_IN || !name_equal(&zone, u->apex))
    return update_refuse(u, RCODE_NOTAUTH, EDE_NONE, "another zone"); /* §3.1.2 */
  enum err e = read_section(u, &m, &body, PREREQUISITE, &u->prereqs, &u->prereq_count);
  return e ? e : read_section(u, &m, &body, UPDATE, &u->changes, &u->change_count);
}
