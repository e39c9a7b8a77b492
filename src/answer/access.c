/* Who may see and do what. One rule stands above all: whoever may not see a zone gets, octet for octet, what he would get if the
 * zone were not here. So every refusal that depends on a zone goes through `stranger`, and whatever is refused without looking
 * at a zone is refused before one is looked for. */
#include "answer/reply_priv.h"

static struct acl_client client_of(const struct answer_job *job) {
  return (struct acl_client){&job->client.from, tsig_acl_key(tsig_verified_key(&job->tsig)), access_tls(job)};
}

static bool allows(const struct acl *acl, const struct answer_job *job) {
  if (acl->count == 0) return false;
  struct acl_client client = client_of(job);
  return acl_allows(acl, &client);
}

bool access_tls(const struct answer_job *job) {
  return job->client.transport == TRANSPORT_TLS;
}

bool access_sees(const struct zone_entry *entry, const struct answer_job *job) {
  return !access_is_hidden(entry) || allows(&entry->policy->answer_to, job);
}

static bool is_transfer(uint16_t qtype) {
  return qtype == RR_AXFR || qtype == RR_IXFR;
}

bool access_listener(const struct answer_job *job) {
  const struct request *req = &job->request;
  bool query = req->opcode == OPCODE_QUERY, transfer = query && req->has_question && is_transfer(req->qtype);
  if (job->client.queries_only) return query && !transfer;
  if (job->client.transfers_only) /* refreshing begins with the SOA, and NOTIFY belongs to it */
    return transfer || req->opcode == OPCODE_NOTIFY || (query && req->qtype == RR_SOA);
  return true;
}

void access_outside(const struct server *s, struct answer_job *job) {
  const struct request *req = &job->request;
  bool plain = req->opcode == OPCODE_QUERY && !is_transfer(req->qtype);
  reply_rcode(s, job, plain ? RCODE_REFUSED : RCODE_NOTAUTH, EDE_NOT_AUTHORITATIVE, "");
}

/* The same for whoever may not see `entry`, or nothing at all. */
static void stranger(const struct server *s, struct answer_job *job, const struct zone_entry *entry) {
  reply_zone(job, entry);
  if (entry->policy->drop_strangers) reply_none(job, ANSWER_DROP);
  else access_outside(s, job);
}

static const char *text_of(const struct zone_entry *entry) {
  return entry->ede_text ? entry->ede_text : "";
}

/* A zone that takes no updates from anybody says why. */
static void prohibited(const struct server *s, struct answer_job *job, const struct zone_entry *entry) {
  bool explained = job->request.opcode == OPCODE_UPDATE && entry->state == ZONE_READY && entry->policy->update.count == 0;
  reply_rcode(s, job, RCODE_REFUSED, EDE_PROHIBITED, explained ? text_of(entry) : "");
}

static void not_ready(const struct server *s, struct answer_job *job, const struct zone_entry *entry) {
  int ede = entry->ede;
  if (ede == EDE_NONE) ede = entry->state == ZONE_NOT_LOADED ? EDE_NOT_READY : EDE_INVALID_DATA;
  reply_rcode(s, job, RCODE_SERVFAIL, ede, text_of(entry));
}

/* The key without the label that is leftmost in text. Label ends are the only zeros of a key. */
static size_t parent_size(const uint8_t *key, size_t size) {
  for (size--; size > 0 && key[size - 1] != 0; size--)
    ;
  return size;
}

/* The next zone upwards. Entries don't know their apex while they are not loaded, so it is found by looking; `*size` says how
 * much of the key is left and only shrinks. */
static const struct zone_entry *zone_above(const struct server *s, const struct zone_entry *entry, const uint8_t *key,
                                           size_t *size) {
  while (*size > 0) {
    *size = parent_size(key, *size);
    const struct zone_entry *above = zone_set_find(s->zones, key, *size);
    if (above != entry) return above;
  }
  return NULL;
}

static bool at_apex(const struct server *s, const struct query *q) {
  return zone_set_exact(s->zones, q->key, q->lookup.key_size) == q->lookup.entry;
}

static bool may_ask(const struct server *s, const struct query *q) {
  if (access_sees(q->lookup.entry, q->job)) return true;
  return q->job->request.qtype == RR_SOA && allows(&q->lookup.entry->policy->soa_to, q->job) && at_apex(s, q);
}

/* RFC 4035 §3.1.4.1: DS at an apex is the parent's to answer, if we serve it. */
static void choose_parent(const struct server *s, struct query *q) {
  if (!at_apex(s, q)) return;
  size_t size = q->lookup.key_size;
  const struct zone_entry *above = zone_above(s, q->lookup.entry, q->key, &size);
  while (above && !access_sees(above, q->job))
    above = zone_above(s, above, q->key, &size);
  if (above) q->lookup.entry = above;
}

/* For a stranger the hidden zone is not here, so the zone above it (which may delegate it) answers. */
static bool choose_visible(const struct server *s, struct query *q) {
  const struct zone_entry *hidden = q->lookup.entry;
  size_t size = q->lookup.key_size;
  while (q->lookup.entry && !may_ask(s, q))
    q->lookup.entry = zone_above(s, q->lookup.entry, q->key, &size);
  if (q->lookup.entry) return true;
  stranger(s, q->job, hidden);
  return false;
}

bool access_choose(const struct server *s, struct query *q) {
  struct answer_job *job = q->job;
  if (!q->lookup.entry) {
    access_outside(s, job);
    return false;
  }
  if (job->request.qtype == RR_DS) choose_parent(s, q);
  if (access_is_hidden(q->lookup.entry) && !choose_visible(s, q)) return false;
  reply_zone(job, q->lookup.entry);
  if (access_zone_ready(q->lookup.entry, s->now)) return true;
  not_ready(s, job, q->lookup.entry);
  return false;
}

/* Below the apex of a zone that drops strangers they are dropped, too. */
static void not_an_apex(const struct server *s, const struct query *q) {
  const struct zone_entry *above = zone_set_find(s->zones, q->key, q->lookup.key_size);
  if (above && above->policy->drop_strangers && !access_sees(above, q->job)) stranger(s, q->job, above);
  else access_outside(s, q->job);
}

/* Finds the zone whose apex was asked and whether `allowed` lets the client in; makes the response if it does not. */
static bool enter(const struct server *s, struct query *q, bool (*allowed)(const struct zone_policy *, const struct answer_job *)) {
  struct answer_job *job = q->job;
  q->lookup.entry = zone_set_exact(s->zones, q->key, q->lookup.key_size);
  if (!q->lookup.entry) {
    not_an_apex(s, q);
    return false;
  }
  reply_zone(job, q->lookup.entry);
  if (allowed(q->lookup.entry->policy, job)) return true;
  if (access_sees(q->lookup.entry, job)) prohibited(s, job, q->lookup.entry);
  else stranger(s, job, q->lookup.entry);
  return false;
}

static bool transfer_allowed(const struct zone_policy *policy, const struct answer_job *job) {
  return (!policy->require_tls || access_tls(job)) && allows(&policy->transfer, job);
}

/* RFC 1995 §4: over UDP the present SOA says whether the client has to come by TCP. */
static void soa_only(const struct server *s, struct query *q) {
  struct reply r;
  struct zone_rrset soa;
  reply_start(&r, s, q->job, q->lookup.entry, FLAG_AA);
  struct message_owner owner;
  message_owner_question(&owner);
  if (zone_find_rrset(zone_apex_node(q->lookup.entry->snap), RR_SOA, &soa)) resolve_must_put(&r, SECTION_ANSWER, &owner, &soa);
  reply_finish(&r);
}

void access_transfer(const struct server *s, struct query *q) {
  struct answer_job *job = q->job;
  bool udp = job->client.transport == TRANSPORT_UDP;
  if (udp && job->request.qtype == RR_AXFR) { /* RFC 5936 §4.2: there is no such thing */
    reply_rcode(s, job, RCODE_NOTIMP, EDE_NOT_SUPPORTED, "");
    return;
  }
  if (job->request.qtype == RR_IXFR &&
      section_count(job->request.counts, SECTION_AUTHORITY) == 0) { /* RFC 1995 §3: the client's SOA stands there */
    reply_rcode(s, job, RCODE_FORMERR, EDE_NONE, "");
    return;
  }
  if (!enter(s, q, transfer_allowed)) return;
  if (!access_zone_ready(q->lookup.entry, s->now)) not_ready(s, job, q->lookup.entry);
  else if (udp) soa_only(s, q);
  else reply_none(job, ANSWER_TRANSFER);
}

static bool notify_allowed(const struct zone_policy *policy, const struct answer_job *job) {
  return policy->secondary && allows(&policy->notify_from, job);
}

void access_notify(const struct server *s, struct query *q) {
  struct answer_job *job = q->job;
  if (job->request.qtype != RR_SOA) {
    reply_rcode(s, job, RCODE_FORMERR, EDE_NONE, "");
    return;
  }
  if (!enter(s, q, notify_allowed)) return;
  struct reply r;
  reply_start(&r, s, job, NULL, FLAG_AA);
  reply_finish(&r);
  if (job->result.kind == ANSWER_REPLY) job->result.kind = ANSWER_NOTIFY;
}

/* What of the zone he may change is judged record by record, by the control thread. */
static bool update_allowed(const struct zone_policy *policy, const struct answer_job *job) {
  if (policy->update.count == 0) return false;
  struct acl_client client = client_of(job);
  return grants_admit(&policy->update, &client);
}

void access_update(const struct server *s, struct query *q) {
  struct answer_job *job = q->job;
  if (job->request.qtype != RR_SOA) { /* RFC 2136 §3.1.1 */
    reply_rcode(s, job, RCODE_FORMERR, EDE_NONE, "");
    return;
  }
  if (!enter(s, q, update_allowed)) return;
  if (access_zone_ready(q->lookup.entry, s->now)) reply_none(job, ANSWER_UPDATE);
  else not_ready(s, job, q->lookup.entry);
}
