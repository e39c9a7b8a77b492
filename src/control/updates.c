/* UPDATEs (RFC 2136): all that wait are judged one after the other, each on what the ones before have made, and become durable with
 * one sync. Nobody is answered before that. A secondary's are forwarded to its primaries. */
#include "xfr/update.h"

#include "base/log.h"
#include "base/mutation.h"
#include "control/control_priv.h"
#include "control/serial.h"
#include "xfr/forward.h"

#include <stdio.h>
#include <string.h>

/* Header, question, OPT with an extended error, TSIG: that is all an answer to an UPDATE has. */
enum { RESPONSE_BYTES = 4096 };

/* ---- taking and giving back ---- */

void control_update_make(struct control_update *u, struct answer_job *job, const struct answer_identity *id, const uint8_t *bytes,
                         struct instant now) {
  *u = (struct control_update){.job = *job, .arrived_ns = now.mono_ns};
  tsig_stream_none(&job->tsig);
  struct request *req = &u->job.request;
  u->job.bytes = req->bytes = bytes;
  if (req->edns.options) req->edns.options = bytes + (req->edns.options - job->bytes);
  u->job.result.zone = NULL; /* was good inside the read section */
  if (u->job.tsig.key) u->keys = tsig_keyring_ref(id->keys);
}

static void give_back(struct control *c, struct control_update *u, const uint8_t *bytes, size_t n) {
  tsig_stream_done(&u->job.tsig);
  tsig_keyring_unref(u->keys);
  c->events.updated(c->events.arg, u, bytes, n);
}

static void reply(struct control *c, struct control_update *u) {
  uint8_t room[RESPONSE_BYTES];
  u->job.out = room;
  u->job.capacity = sizeof room;
  answer_rcode_text(&c->epoch->identity, &u->job, c->now, u->rcode, u->ede, u->ede_text);
  give_back(c, u, room, u->job.result.size);
}

static void told(struct control *c) {
  c->events.updates_told(c->events.arg);
}

static void set_outcome(struct control_update *u, unsigned rcode, int ede, const char *ede_text) {
  u->rcode = rcode;
  u->ede = ede;
  u->ede_text = ede_text;
}

static void append(struct update_list *list, struct control_update *u) {
  u->next = NULL;
  if (list->last) list->last->next = u;
  else list->first = u;
  list->last = u;
}

void control_update(struct control *c, struct control_update *u, struct instant now) {
  c->now = now;
  u->ede_text = "";
  if (c->frozen) {
    set_outcome(u, RCODE_SERVFAIL, EDE_NOT_READY, "the server is being replaced");
    reply(c, u);
    told(c);
    return;
  }
  append(&c->updates, u);
}

/* ---- who it is from ---- */

static struct acl_client client_of(const struct control_update *u) {
  return (struct acl_client){&u->job.client.from, tsig_acl_key(tsig_verified_key(&u->job.tsig)),
                             u->job.client.transport == TRANSPORT_TLS};
}

enum { AUTHOR_BYTES = NAME_TEXT_BYTES + ADDR_TEXT_BYTES };

/* The name of the key, or the address. */
static const char *author_text(const struct control_update *u, char out[AUTHOR_BYTES]) {
  const struct tsig_key *key = tsig_verified_key(&u->job.tsig);
  struct addr host = u->job.client.from;
  host.port = 0;
  return key ? name_text(&key->name, out) : addr_text(&host, out);
}

static void log_refusal(const struct control_update *u, const struct zone_slot *z, enum log_event event, unsigned rcode,
                        const char *why) {
  char name[NAME_TEXT_BYTES], author[AUTHOR_BYTES], from[ADDR_TEXT_BYTES];
  log_event(event, LOG_TEXT("zone", slot_name_text(z, name)), LOG_TEXT("author", author_text(u, author)),
            LOG_TEXT("from", addr_text(&u->job.client.from, from)), LOG_TEXT("rcode", rcode_text(rcode)), LOG_TEXT("why", why));
}

static struct zone_slot *slot_of(const struct control *c, const struct control_update *u) {
  struct name name;
  name_copy(&name, &u->job.request.qname);
  name_lower(&name);
  return registry_find(&c->registry, name.octets, name.size);
}

static const char *zone_name_text(const struct control *c, const struct control_update *u, char out[NAME_TEXT_BYTES]) {
  const struct zone_slot *z = slot_of(c, u);
  return z ? slot_name_text(z, out) : "";
}

/* Once it is durable. */
static void log_change(const struct control *c, const struct control_update *u) {
  char name[NAME_TEXT_BYTES], author[AUTHOR_BYTES], from[ADDR_TEXT_BYTES];
  log_event(EV_UPDATE_DONE, LOG_TEXT("zone", zone_name_text(c, u, name)), LOG_TEXT("author", author_text(u, author)),
            LOG_TEXT("from", addr_text(&u->job.client.from, from)), LOG_NUMBER("added", u->added),
            LOG_NUMBER("removed", u->removed), LOG_NUMBER("serial", u->serial));
}

/* ---- judging ---- */

static void failed(struct control *c, struct control_update *u, const struct zone_slot *z, const char *why) {
  set_outcome(u, RCODE_SERVFAIL, EDE_OTHER, why);
  log_refusal(u, z, EV_UPDATE_FAILED, RCODE_SERVFAIL, why);
  c->figures.updates_failed++;
}

static void refused(struct control *c, struct control_update *u, const struct zone_slot *z, const struct update_verdict *v) {
  bool permission = v->rcode == RCODE_REFUSED;
  set_outcome(u, v->rcode, v->ede, permission ? "not granted" : "");
  c->figures.updates_refused++;
  if (permission || v->rcode == RCODE_FORMERR || v->rcode == RCODE_NOTZONE) log_refusal(u, z, EV_UPDATE_REFUSED, v->rcode, v->why);
}

/* Puts what the update makes of the zone into the batch. */
static void queue_change(struct control *c, struct pipeline *p, struct control_update *u, struct zone_slot *z,
                         const struct update_verdict *v) {
  char author[AUTHOR_BYTES];
  struct buf note = {0};
  struct change_info info = {.door = DOOR_UPDATE, .author = author_text(u, author)};
  u->added = v->added;
  u->removed = v->removed;
  u->serial = zone_serial(v->snap);
  enum err err = pipeline_add(p, z, v->snap, &info, c->now, &note);
  buf_done(&note);
  zone_step_drop(pipeline_head(p, z));
  u->changed = !err;
  if (err) failed(c, u, z, err_text(err));
}

/* `blind`: the store may not know what it has, and a change that was called failed may be there after a restart. */
static void judge(struct control *c, struct pipeline *p, struct control_update *u, struct zone_slot *z, bool blind) {
  const struct zone_policy *policy = &z->plan->policy;
  struct update_client client = {.who = client_of(u)};
  client.sees = !policy->hidden || acl_allows(&policy->answer_to, &client.who);
  const struct zone_snap *head = pipeline_head(p, z);
  uint32_t last = serial_floor(z, zone_serial(head));
  struct update_verdict v;
  u->uncertain = head != z->snap || blind;
  uint32_t next = MUTATION(SERIAL_SAME) ? last : serial_next(z->config->options->serial, last, last, c->now.wall_s);
  enum err err = update_judge(u->job.bytes, u->job.size, head, &policy->update, &client, next, &v);
  if (err) failed(c, u, z, err_text(err));
  else if (v.rcode != RCODE_NOERROR) refused(c, u, z, &v);
  else if (v.snap) queue_change(c, p, u, z, &v);
  else c->figures.updates_unchanged++;
}

/* The zone it is for, if it is still to be changed here; otherwise the outcome is set. A reload may have come in between. */
static struct zone_slot *find_zone(struct control *c, struct control_update *u) {
  struct zone_slot *z = slot_of(c, u);
  struct acl_client client = client_of(u);
  if (!z) set_outcome(u, RCODE_NOTAUTH, EDE_NOT_AUTHORITATIVE, "");
  else if (!grants_admit(&z->plan->policy.update, &client)) set_outcome(u, RCODE_REFUSED, EDE_PROHIBITED, "");
  else if (!z->snap || z->expired) set_outcome(u, RCODE_SERVFAIL, EDE_NOT_READY, "");
  else return z;
  return NULL;
}

static bool is_late(const struct control *c, const struct control_update *u) {
  return c->now.mono_ns > u->arrived_ns && c->now.mono_ns - u->arrived_ns > LIMIT_UPDATE_WAIT_MS * NS_PER_MS;
}

/* False: it is on its way to a primary and not to be answered now. */
static bool judge_or_forward(struct control *c, struct pipeline *p, struct control_update *u, bool blind) {
  set_outcome(u, RCODE_NOERROR, EDE_NONE, "");
  struct zone_slot *z = find_zone(c, u);
  if (!z) return true;
  if (is_late(c, u)) {
    failed(c, u, z, "too many updates wait");
  } else if (slot_is_secondary(z)) {
    c->figures.updates_forwarded++;
    if (!forwarder_request(c->forwarder, u, u->job.bytes, u->job.size, z->plan->primaries, z->plan->primary_count, c->now))
      return false;
    failed(c, u, z, "out of memory");
  } else if (!p) {
    failed(c, u, z, "out of memory");
  } else {
    judge(c, p, u, z, blind);
  }
  return true;
}

/* ---- the batch ---- */

/* What was judged on changes that are lost was judged wrongly. */
static void lost(struct control_update *u) {
  if ((u->changed || u->uncertain) && !MUTATION(ACK_LOST))
    set_outcome(u, RCODE_SERVFAIL, EDE_OTHER, "the change could not be stored");
}

/* All that wait, and all that come meanwhile: they would have to wait for a sync more. */
static struct update_list judge_all(struct control *c, struct pipeline *p, bool blind) {
  struct update_list decided = {0};
  while (c->updates.first) {
    struct update_list list = c->updates;
    c->updates = (struct update_list){0};
    for (struct control_update *u = list.first, *next; u; u = next) {
      next = u->next;
      if (judge_or_forward(c, p, u, blind)) append(&decided, u);
    }
    c->events.updates_wanted(c->events.arg, c->now);
  }
  return decided;
}

void updates_commit(struct control *c) {
  struct pipeline *p = NULL;
  struct store_error why = {""};
  size_t changed;
  enum err err = pipeline_begin(c, &p);
  if (err) p = NULL;
  bool blind = p && pipeline_is_broken(p);
  struct update_list decided = judge_all(c, p, blind);
  for (struct control_update *u = decided.first, *next; u && MUTATION(ACK_EARLY); u = next) {
    next = u->next;
    reply(c, u);
  }
  if (MUTATION(ACK_EARLY)) decided.first = NULL;
  if (p) err = pipeline_commit(p, c->now, &changed, &why);
  if (blind) err = ERR_IO;
  for (struct control_update *u = decided.first, *next; u; u = next) {
    next = u->next;
    if (err) lost(u);
    else if (u->changed) log_change(c, u);
    c->figures.updates_done += !err && u->changed;
    c->figures.updates_failed += err && u->changed;
    reply(c, u);
  }
  told(c);
}

/* ---- forwarding ---- */

/* The primary's answer as it is, with its own signature, to whom it is meant for. */
static void on_answered(void *arg, void *request, const uint8_t *bytes, size_t n) {
  give_back(arg, request, bytes, n);
  told(arg);
}

static void on_failed(void *arg, void *request, const char *what) {
  struct control *c = arg;
  struct control_update *u = request;
  char name[NAME_TEXT_BYTES], author[AUTHOR_BYTES];
  set_outcome(u, RCODE_SERVFAIL, EDE_OTHER, "no primary has answered");
  c->figures.updates_failed++;
  log_event(EV_UPDATE_FAILED, LOG_TEXT("zone", name_text(&u->job.request.qname, name)), LOG_TEXT("author", author_text(u, author)),
            LOG_TEXT("what", what));
  reply(c, u);
  told(c);
}

void updates_events(struct control *c, struct forwarder_events *out) {
  *out = (struct forwarder_events){c, on_answered, on_failed};
}

void control_updates_settle(struct control *c, struct instant now) {
  c->now = now;
  if (c->updates.first) updates_commit(c);
  forwarder_fail_all(c->forwarder, "the server's addresses change, or it ends");
}
