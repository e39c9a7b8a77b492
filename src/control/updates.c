/* UPDATEs (RFC 2136): all that wait are judged one after the other, each on what the ones before have made, and become durable with
 * one sync. Nobody is answered before that. A secondary's are forwarded to its primaries. */
#include "base/log.h"
#include "base/mutation.h"
#include "control/updates_priv.h"
#include "xfr/forward.h"

/* Header, question, OPT with an extended error, TSIG: that is all an answer to an UPDATE has. */
enum { RESPONSE_BYTES = 4096 };

/* ---- taking and giving back ---- */

void control_update_make(struct control_update *u, struct answer_job *job, const struct answer_identity *id, const uint8_t *bytes,
                         struct instant now) {
  *u = (struct control_update){.job = *job, .arrived_ns = now.mono_ns};
  struct request *req = &u->job.request;
  u->job.bytes = req->bytes = bytes;
  if (req->edns.options) req->edns.options = bytes + (req->edns.options - job->bytes);
  u->job.result.zone = NULL; /* was good inside the read section */
  if (u->job.tsig.key) u->keys = tsig_keyring_ref(id->keys);
}

static void give_back(struct control *c, struct control_update *u, const uint8_t *bytes, size_t n) {
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

void update_outcome(struct control_update *u, unsigned rcode, int ede, const char *ede_text) {
  u->rcode = rcode;
  u->ede = ede;
  u->ede_text = ede_text;
}

void update_append(struct update_list *list, struct control_update *u) {
  u->next = NULL;
  if (list->last) list->last->next = u;
  else list->first = u;
  list->last = u;
}

void control_update(struct control *c, struct control_update *u, struct instant now) {
  c->now = now;
  u->ede_text = "";
  if (c->frozen) {
    update_outcome(u, RCODE_SERVFAIL, EDE_NOT_READY, "the server is being replaced");
    reply(c, u);
    told(c);
    return;
  }
  update_append(&c->updates, u);
}

/* ---- who it is from ---- */

struct acl_client update_client_of(const struct control_update *u) {
  return (struct acl_client){&u->job.client.from, tsig_acl_key(tsig_verified_key(&u->job.tsig)),
                             u->job.client.transport == TRANSPORT_TLS};
}

const char *update_author_text(const struct control_update *u, char out[AUTHOR_BYTES]) {
  const struct tsig_key *key = tsig_verified_key(&u->job.tsig);
  struct addr host = u->job.client.from;
  host.port = 0;
  return key ? name_text(&key->name, out) : addr_text(&host, out);
}

void update_log_refusal(const struct control_update *u, enum log_event event, unsigned rcode, const char *why) {
  char name[NAME_TEXT_BYTES], author[AUTHOR_BYTES], from[ADDR_TEXT_BYTES];
  log_event(event, LOG_TEXT("zone", slot_name_text(u->zone, name)), LOG_TEXT("author", update_author_text(u, author)),
            LOG_TEXT("from", addr_text(&u->job.client.from, from)), LOG_TEXT("rcode", rcode_text(rcode)), LOG_TEXT("why", why));
}

/* Once it is durable. */
static void log_change(const struct control_update *u) {
  char name[NAME_TEXT_BYTES], author[AUTHOR_BYTES], from[ADDR_TEXT_BYTES];
  log_event(EV_UPDATE_DONE, LOG_TEXT("zone", slot_name_text(u->zone, name)), LOG_TEXT("author", update_author_text(u, author)),
            LOG_TEXT("from", addr_text(&u->job.client.from, from)), LOG_NUMBER("added", u->added),
            LOG_NUMBER("removed", u->removed), LOG_NUMBER("serial", u->serial));
}

void update_failed(struct control *c, struct control_update *u, const char *why) {
  update_outcome(u, RCODE_SERVFAIL, EDE_OTHER, why);
  update_log_refusal(u, EV_UPDATE_FAILED, RCODE_SERVFAIL, why);
  c->figures.updates_failed++;
}

/* ---- the batch ---- */

/* What was judged on changes that are lost was judged wrongly. */
static void lost(struct control_update *u) {
  if ((u->changed || u->uncertain) && !MUTATION(ACK_LOST))
    update_outcome(u, RCODE_SERVFAIL, EDE_OTHER, "the change could not be stored");
}

void updates_commit(struct control *c) {
  struct update_batch b = {.control = c};
  struct store_error why = {""};
  size_t changed;
  enum err err = pipeline_begin(c, &b.pipeline);
  if (err) b.pipeline = NULL;
  b.blind = b.pipeline && pipeline_is_broken(b.pipeline);
  update_batch_judge(&b);
  for (struct control_update *u = b.decided.first, *next; u && MUTATION(ACK_EARLY); u = next) {
    next = u->next;
    reply(c, u);
  }
  if (MUTATION(ACK_EARLY)) b.decided.first = NULL;
  if (b.pipeline) err = pipeline_commit(b.pipeline, c->now, &changed, &why);
  if (b.blind) err = ERR_IO;
  for (struct control_update *u = b.decided.first, *next; u; u = next) {
    next = u->next;
    if (err || (b.doubtful && !u->changed)) lost(u);
    else if (u->changed) log_change(u);
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
  update_outcome(u, RCODE_SERVFAIL, EDE_OTHER, "no primary has answered");
  c->figures.updates_failed++;
  log_event(EV_UPDATE_FAILED, LOG_TEXT("zone", name_text(&u->job.request.qname, name)),
            LOG_TEXT("author", update_author_text(u, author)), LOG_TEXT("what", what));
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
