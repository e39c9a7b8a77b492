#include "xfr/update.h"

#include "xfr/update_priv.h"

#include <stdarg.h>
#include <stdio.h>

enum err update_refuse(struct update *u, unsigned rcode, int ede, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(u->verdict->why, sizeof u->verdict->why, format, args);
  va_end(args);
  u->verdict->rcode = rcode;
  u->verdict->ede = ede;
  return ERR_REFUSED;
}

enum err update_refuse_rr(struct update *u, unsigned rcode, const char *what, const struct name *owner, uint16_t type) {
  char name[NAME_TEXT_BYTES], text[RR_TYPE_TEXT_BYTES];
  return update_refuse(u, rcode, rcode == RCODE_REFUSED ? EDE_PROHIBITED : EDE_NONE, "%s: %s %.90s", what, rr_type_text(type, text),
                       name_text(owner, name));
}

/* ---- the prescan (RFC 2136 §3.4.1) ---- */

/* Whether class, type, TTL and RDATA go together. */
static bool well_formed(const struct update_rr *rr) {
  if (rr->class == CLASS_IN) return rr_type_is_data(rr->type);
  if (rr->ttl != 0) return false;
  if (rr->class == CLASS_ANY) return rr->type == RR_ANY || rr_type_is_data(rr->type);
  return rr->class == CLASS_NONE && rr_type_is_data(rr->type);
}

static bool is_signers(uint16_t type) {
  return type == RR_NSEC || type == RR_NSEC3 || type == RR_RRSIG;
}

static enum err scan_one(struct update *u, const struct update_rr *rr) {
  struct name owner;
  name_from_wire(rr->owner, &owner);
  if (!name_is_under(&owner, u->apex)) return update_refuse_rr(u, RCODE_NOTZONE, "outside the zone", &owner, rr->type);
  if (!well_formed(rr)) return update_refuse_rr(u, RCODE_FORMERR, "no change that can be made", &owner, rr->type);
  if (rr->type == RR_DS && name_equal(&owner, u->apex)) /* RFC 4035 §2.4, and no file with it would be loaded */
    return update_refuse_rr(u, RCODE_REFUSED, "belongs into the parent zone", &owner, rr->type);
  if (is_signers(rr->type)) return update_refuse_rr(u, RCODE_REFUSED, "made by whoever signs the zone", &owner, rr->type);
  /* What a name has is known when it is to be deleted as a whole: then each of its types is judged. */
  uint16_t type = rr->type == RR_ANY ? GRANT_ANY_TYPE : rr->type;
  if (!grants_allow(u->grants, &u->client->who, &owner, type, u->apex))
    return update_refuse_rr(u, RCODE_REFUSED, "not granted", &owner, rr->type);
  return ERR_OK;
}

enum err update_prescan(struct update *u) {
  if (u->change_count && zone_is_signed(u->run->base))
    return update_refuse(u, RCODE_REFUSED, EDE_PROHIBITED, "the zone is signed elsewhere, where it has to be changed");
  enum err e = ERR_OK;
  for (size_t i = 0; !e && i < u->change_count; i++)
    e = scan_one(u, &u->changes[i]);
  return e;
}

/* ---- the whole ---- */

static bool speaks_of_soa(const struct update_rr *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (list[i].type == RR_SOA) return true;
  return false;
}

static bool goes_alone(const struct update *u) {
  return speaks_of_soa(u->prereqs, u->prereq_count) || speaks_of_soa(u->changes, u->change_count) || update_concerns_servers(u);
}

static enum err judge(struct update *u, const uint8_t *message, size_t size, bool alone) {
  *u->verdict = (struct update_verdict){.rcode = RCODE_NOERROR, .ede = EDE_NONE};
  enum err e = update_read(u, message, size);
  if (!e && !alone && goes_alone(u)) return ERR_AGAIN;
  if (!e) e = update_prescan(u);
  if (!e) e = update_prereqs(u);
  if (!e && u->change_count) e = update_apply(u);
  return e;
}

/* What has refused the update, or failed, has not to leave anything of it in the edit. */
static enum err undo(struct update *u, enum err e) {
  struct update_run *r = u->run;
  bool half = u->verdict->added || u->verdict->removed || e != ERR_REFUSED;
  u->verdict->added = u->verdict->removed = 0;
  if (!half || e == ERR_AGAIN) return e;
  r->broken = r->changed;
  if (r->broken) return ERR_AGAIN;
  update_run_abort(r); /* there is nothing else in it */
  return e;
}

enum err update_run_judge(struct update_run *r, const uint8_t *message, size_t size, const struct grants *grants,
                          const struct update_client *client, struct update_verdict *out) {
  struct update u = {.run = r, .apex = zone_apex(r->base), .grants = grants, .client = client, .verdict = out};
  enum err e = judge(&u, message, size, false);
  if (e) e = undo(&u, e);
  else r->changed |= out->added || out->removed;
  arena_done(&u.arena);
  return e == ERR_REFUSED ? ERR_OK : e;
}

enum err update_judge(const uint8_t *message, size_t size, const struct zone_snap *base, const struct grants *grants,
                      const struct update_client *client, uint32_t serial, struct update_verdict *out) {
  struct update_run r = {.base = base};
  struct update u = {.run = &r, .apex = zone_apex(base), .grants = grants, .client = client, .verdict = out};
  struct zone_snap *made = NULL;
  enum err e = judge(&u, message, size, true);
  r.changed = out->added || out->removed;
  if (!e) e = update_run_finish(&r, serial, &made);
  if (!e && made && update_concerns_servers(&u)) e = update_check_servers(&u, made);
  if (e) zone_snap_unref(made);
  else out->snap = made;
  update_run_abort(&r);
  arena_done(&u.arena);
  return e == ERR_REFUSED ? ERR_OK : e;
}
