/* A batch of UPDATEs judged, each on what the ones before have made. Those of a zone and an author that follow each other are one
 * edit and one version with one serial (RFC 2136 §3.6): nobody sees the zone in between, for all of the batch is published at once.
 *
 *   all that wait --> by zone --> update_run_judge, one after the other --> update_run_finish --> pipeline_add
 *                                  │ goes alone                              │
 *                                  └─► end of the run, update_judge          └─► broken: one by one, update_judge */
#include "base/mutation.h"
#include "control/serial.h"
#include "control/updates_priv.h"
#include "xfr/forward.h"

enum { ZONES_APART = 64 }; /* lists of a batch; zones of one list take turns as they come */

/* ---- what is found ---- */

static void refused(struct control *c, struct control_update *u, const struct update_verdict *v) {
  bool permission = v->rcode == RCODE_REFUSED;
  update_outcome(u, v->rcode, v->ede, permission ? "not granted" : "");
  c->figures.updates_refused++;
  if (permission || v->rcode == RCODE_FORMERR || v->rcode == RCODE_NOTZONE)
    update_log_refusal(u, EV_UPDATE_REFUSED, v->rcode, v->why);
}

static void take_verdict(struct control *c, struct control_update *u, const struct update_verdict *v) {
  u->added = v->added;
  u->removed = v->removed;
  u->changed = v->rcode == RCODE_NOERROR && (v->added || v->removed);
  if (v->rcode != RCODE_NOERROR) refused(c, u, v);
  else if (!u->changed) c->figures.updates_unchanged++;
}

static struct update_client client_of(const struct control_update *u) {
  const struct zone_policy *policy = &u->zone->plan->policy;
  struct update_client client = {.who = update_client_of(u)};
  client.sees = !policy->hidden || acl_allows(&policy->answer_to, &client.who);
  return client;
}

static uint32_t next_serial(const struct control *c, const struct zone_slot *z, const struct zone_snap *head) {
  uint32_t last = serial_floor(z, zone_serial(head));
  return MUTATION(SERIAL_SAME) ? last : serial_next(z->config->options->serial, last, last, c->now.wall_s);
}

/* Puts the version into the pipeline's batch, which those of the list have made that changed something. NULL: in the end nothing is
 * different. */
static void queue_version(struct update_batch *b, const struct update_list *list, struct zone_snap *snap) {
  char author[AUTHOR_BYTES];
  struct buf note = {0};
  struct zone_slot *z = list->first->zone;
  struct change_info info = {.door = DOOR_UPDATE, .author = update_author_text(list->first, author)};
  uint32_t serial = snap ? zone_serial(snap) : 0;
  enum err err = snap ? pipeline_add(b->pipeline, z, snap, &info, b->control->now, &note) : ERR_OK;
  buf_done(&note);
  if (snap) zone_step_drop(pipeline_head(b->pipeline, z));
  for (struct control_update *u = list->first; u; u = u->next) {
    if (!u->changed) continue;
    u->serial = serial;
    u->changed = snap && !err;
    if (err) update_failed(b->control, u, err_text(err));
    else if (!snap) b->control->figures.updates_unchanged++;
  }
  if (err) b->doubtful = true;
}

static void judge_alone(struct update_batch *b, struct control_update *u) {
  struct control *c = b->control;
  struct zone_slot *z = u->zone;
  const struct zone_snap *head = pipeline_head(b->pipeline, z);
  struct update_client client = client_of(u);
  struct update_verdict v;
  bool counted_on = u->changed;
  u->uncertain = head != z->snap || b->blind;
  u->changed = false;
  update_append(&b->decided, u);
  enum err err = update_judge(u->job.bytes, u->job.size, head, &z->plan->policy.update, &client, next_serial(c, z, head), &v);
  if (err) update_failed(c, u, err_text(err));
  else take_verdict(c, u, &v);
  if (counted_on && !u->changed) b->doubtful = true;
  if (u->changed) queue_version(b, &(struct update_list){u, u}, v.snap);
}

/* ---- runs ---- */

/* One that was refused half-way may have left something behind, or there was no memory: rare, and so done again as if each had come
 * alone. What was refused, or changed nothing, was so. */
static void redo(struct update_batch *b, const struct update_list *list) {
  for (struct control_update *u = list->first, *next; u; u = next) {
    next = u->next;
    if (u->changed) judge_alone(b, u);
    else update_append(&b->decided, u);
  }
}

static void end_run(struct update_batch *b) {
  struct update_runner run = b->run;
  struct zone_snap *snap = NULL;
  b->run = (struct update_runner){0};
  if (!run.zone) return;
  enum err err = ERR_AGAIN;
  if (!run.made.broken) err = update_run_finish(&run.made, next_serial(b->control, run.zone, run.made.base), &snap);
  update_run_abort(&run.made);
  if (err) {
    redo(b, &run.list);
    return;
  }
  if (run.list.first) queue_version(b, &run.list, snap);
  for (struct control_update *u = run.list.first, *next; u; u = next) {
    next = u->next;
    update_append(&b->decided, u);
  }
}

static bool same_author(const struct control_update *a, const struct control_update *b) {
  const struct tsig_key *x = tsig_verified_key(&a->job.tsig), *y = tsig_verified_key(&b->job.tsig);
  if (x || y) return x && y && name_equal(&x->name, &y->name);
  return addr_same_host(&a->job.client.from, &b->job.client.from);
}

static bool joins(const struct update_runner *run, const struct control_update *u) {
  return run->zone == u->zone && (!run->list.first || same_author(run->list.first, u)) && !update_run_is_full(&run->made);
}

static void judge(struct update_batch *b, struct control_update *u) {
  struct update_runner *run = &b->run;
  struct update_client client = client_of(u);
  struct update_verdict v;
  if (!joins(run, u)) end_run(b);
  if (!run->zone) *run = (struct update_runner){.zone = u->zone, .made.base = pipeline_head(b->pipeline, u->zone)};
  u->uncertain = run->made.base != u->zone->snap || run->made.changed || b->blind;
  if (update_run_judge(&run->made, u->job.bytes, u->job.size, &u->zone->plan->policy.update, &client, &v)) {
    end_run(b);
    judge_alone(b, u);
    return;
  }
  take_verdict(b->control, u, &v);
  update_append(&run->list, u);
}

/* ---- the batch ---- */

/* The zone it is for, if it is still to be changed here; otherwise the outcome is set. A reload may have come in between. */
static struct zone_slot *find_zone(struct control *c, struct control_update *u) {
  struct name name;
  struct acl_client client = update_client_of(u);
  name_copy(&name, &u->job.request.qname);
  name_lower(&name);
  struct zone_slot *z = registry_find(&c->registry, name.octets, name.size);
  if (!z) update_outcome(u, RCODE_NOTAUTH, EDE_NOT_AUTHORITATIVE, "");
  else if (!grants_admit(&z->plan->policy.update, &client)) update_outcome(u, RCODE_REFUSED, EDE_PROHIBITED, "");
  else if (!z->snap || z->expired) update_outcome(u, RCODE_SERVFAIL, EDE_NOT_READY, "");
  else return z;
  return NULL;
}

static bool is_late(const struct control *c, const struct control_update *u) {
  return c->now.mono_ns > u->arrived_ns && c->now.mono_ns - u->arrived_ns > LIMIT_UPDATE_WAIT_MS * NS_PER_MS;
}

/* To be judged here, on its way to a primary, or decided. */
static void sort(struct update_batch *b, struct control_update *u, struct update_list lists[ZONES_APART]) {
  struct control *c = b->control;
  update_outcome(u, RCODE_NOERROR, EDE_NONE, "");
  struct zone_slot *z = u->zone = find_zone(c, u);
  if (z && is_late(c, u)) {
    update_failed(c, u, "too many updates wait");
  } else if (z && slot_is_secondary(z)) {
    c->figures.updates_forwarded++;
    if (!forwarder_request(c->forwarder, u, u->job.bytes, u->job.size, z->plan->primaries, z->plan->primary_count, c->now)) return;
    update_failed(c, u, "out of memory");
  } else if (z && !b->pipeline) {
    update_failed(c, u, "out of memory");
  } else if (z) {
    update_append(&lists[z->id % ZONES_APART], u);
    return;
  }
  update_append(&b->decided, u);
}

void update_batch_judge(struct update_batch *b) {
  struct control *c = b->control;
  while (c->updates.first) {
    struct update_list list = c->updates, lists[ZONES_APART] = {0};
    c->updates = (struct update_list){0};
    for (struct control_update *u = list.first, *next; u; u = next) {
      next = u->next;
      sort(b, u, lists);
    }
    for (size_t i = 0; i < ZONES_APART; i++) {
      for (struct control_update *u = lists[i].first, *next; u; u = next) {
        next = u->next;
        judge(b, u);
      }
    }
    c->events.updates_wanted(c->events.arg, c->now);
  }
  end_run(b);
}
