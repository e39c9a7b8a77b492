/* The step of an edit: its records one behind the other are a changeset's body, as long as none comes and goes in it. So what was
 * removed has to come before what was added, but for the SOA, which an update changes last. Otherwise the step of updates is
 * condensed, and that of an IXFR of several sequences ends: the two snapshots are compared, as without. */
#include "zone/check.h"
#include "zone/content.h"
#include "zone/content_priv.h"
#include "zone/step_priv.h"

#include <stdlib.h>

void step_done(struct step *s) {
  buf_done(&s->body);
  *s = (struct step){.kept = false};
}

static void put(struct step *s, const struct delta_record *r) {
  if (!s->body.size) buf_add_byte(&s->body, DELTA_FORMAT);
  if (!delta_put(&s->body, r) || s->body.size > LIMIT_CHANGE_BYTES) step_done(s);
}

void step_removed(struct step *s, const struct delta_record *r) {
  bool late = s->has_added && (r->type != RR_SOA || s->has_soa);
  if (late && !s->any_order) {
    step_done(s);
    return;
  }
  s->mixed |= late;
  s->size.removed++;
  s->removed = content_sum(s->removed, content_of(&r->owner, r->type, r->ttl, r->rdata, r->size));
  put(s, r);
}

void step_added(struct step *s, const struct delta_record *r) {
  s->has_added = true;
  s->has_soa |= r->type == RR_SOA;
  s->size.added++;
  s->added = content_sum(s->added, content_of(&r->owner, r->type, r->ttl, r->rdata, r->size));
  put(s, r);
}

void step_looked_at(struct step *s, const struct zone_node *record) {
  s->conflicts += zone_cname_conflict(record);
}

void step_forget_looks(struct step *s) {
  s->forgotten = true;
}

static void condense(struct step *s) {
  struct buf body = {0};
  struct delta_size size;
  if (zone_delta_condense(&(struct delta_body){s->body.data, s->body.size}, 1, &body, &size)) {
    buf_done(&body);
    step_done(s);
    return;
  }
  buf_done(&s->body);
  s->body = body;
  s->size = size;
  s->mixed = false;
}

bool step_is_change(struct step *s) {
  if (!s->kept || s->body.failed) return true;
  if (s->size.removed && s->size.added) condense(s);
  return !s->kept || s->size.removed || s->size.added;
}

void step_end(struct step *s, const struct zone_snap *from, struct zone_snap *to) {
  if (s->mixed) condense(s);
  if (!s->kept || s->body.failed || !s->body.size) return;
  to->step = malloc(sizeof *to->step);
  if (!to->step) return;
  *to->step = (struct snap_step){.bytes = s->body.data,
                                 .size = s->body.size,
                                 .from = from->number,
                                 .removed = s->size.removed,
                                 .added = s->size.added,
                                 .conflicts = s->conflicts,
                                 .looked_at = !s->forgotten};
  if (from->has_content) zone_content_set(to, content_sum(content_less(from->content, s->removed), s->added));
  s->body = (struct buf){0};
}

static bool is_known(const struct zone_snap *from, const struct zone_snap *to) {
  return from && to->step && to->step->from == from->number;
}

bool zone_step(const struct zone_snap *from, const struct zone_snap *to, const uint8_t **body, size_t *n) {
  if (!is_known(from, to)) return false;
  *body = to->step->bytes;
  *n = to->step->size;
  return true;
}

bool zone_step_size(const struct zone_snap *from, const struct zone_snap *to, struct delta_size *out) {
  if (!is_known(from, to)) return false;
  *out = (struct delta_size){to->step->removed, to->step->added};
  return true;
}

bool zone_step_conflicts(const struct zone_snap *from, const struct zone_snap *to, uint64_t *n) {
  if (!is_known(from, to) || !to->step->looked_at) return false;
  *n = to->step->conflicts;
  return true;
}

void zone_step_drop(const struct zone_snap *s) {
  struct zone_snap *own = (struct zone_snap *)(uintptr_t)s; /* as zone_content_set */
  if (own->step) free(own->step->bytes);
  free(own->step);
  own->step = NULL;
}
