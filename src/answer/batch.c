/* Life of a batch: every request is judged alone as far as that goes, then the zones and names of all that are left are looked
 * up in lockstep (the cache misses of 32 walks overlap), then the responses are written one by one. */
#include "answer/answer_priv.h"

#include <assert.h>

enum verdict { VERDICT_DONE, VERDICT_LOOK_UP };

static enum verdict done_with(const struct server *s, struct answer_job *job, unsigned rcode, int ede) {
  reply_rcode(s, job, rcode, ede, "");
  return VERDICT_DONE;
}

/* RFC 8945 §5.2. True: unsigned or rightly signed. */
static bool signature_good(const struct server *s, struct answer_job *job) {
  if (job->request.tsig_at == 0) return true;
  switch (tsig_verify_request(s->id->keys, &job->request, s->now.wall_s, &job->tsig)) {
  case ERR_OK:
    return true;
  case ERR_REFUSED:
    reply_rcode(s, job, RCODE_NOTAUTH, EDE_NONE, "");
    return false;
  case ERR_FORMAT:
    reply_rcode(s, job, RCODE_FORMERR, EDE_NONE, "");
    return false;
  default:
    reply_rcode(s, job, RCODE_SERVFAIL, EDE_NONE, "");
    return false;
  }
}

/* `before`: the query that the request was read behind, whose key is as its name, without escapes. */
static void make_key(struct query *q, const struct query *before) {
  const struct request *req = &q->job->request;
  size_t shared = req->shared ? req->shared - 1u : 0; /* without the root */
  q->lookup.key = q->key;
  q->lookup.shared = (uint16_t)shared;
  q->lookup.key_size = (uint16_t)(req->shared ? name_key_beside(before->key, shared, &req->qname, q->key)
                                              : name_key_at(&req->qname, req->label_at, q->key));
}

/* Types that say something of the message or ask for a zone. Other types that no zone holds are only not there. */
static void answer_meta_type(const struct server *s, struct query *q) {
  uint16_t qtype = q->job->request.qtype;
  if (qtype == RR_AXFR || qtype == RR_IXFR) {
    access_transfer(s, q);
  } else if (qtype == RR_OPT || qtype == RR_TSIG) reply_rcode(s, q->job, RCODE_FORMERR, EDE_NONE, "");
  else /* TKEY, MAILA, MAILB */ reply_rcode(s, q->job, RCODE_NOTIMP, EDE_NOT_SUPPORTED, "");
}

static bool is_meta_type(uint16_t type) {
  return type == RR_OPT || (type >= RR_TKEY && type <= RR_AXFR);
}

static enum verdict judge_opcode(const struct server *s, struct query *q, const struct query *before) {
  const struct request *req = &q->job->request;
  make_key(q, before);
  if (req->opcode == OPCODE_QUERY && !is_meta_type(req->qtype)) return VERDICT_LOOK_UP;
  if (req->opcode == OPCODE_QUERY) answer_meta_type(s, q);
  else if (req->opcode == OPCODE_NOTIFY) access_notify(s, q);
  else access_update(s, q);
  return VERDICT_DONE;
}

/* What needs no look at a name: operation code, version, signature, class. The order is part of the behaviour: an unknown
 * operation code is NOTIMP whatever stands behind the header (RFC 8906 §3.1.3). */
static enum verdict judge(const struct server *s, struct query *q, const struct query *before) {
  struct answer_job *job = q->job;
  struct request *req = &job->request;
  tsig_stream_none(&job->tsig);
  reply_zone(job, NULL);
  if (before && !is_plain(before)) before = NULL;
  enum err e = request_parse_after(job->bytes, job->size, before ? &before->job->request : NULL, req);
  if (e == ERR_SHORT) {
    job->result = (struct answer_result){.kind = ANSWER_DROP, .ede = EDE_NONE};
    return VERDICT_DONE;
  }
  bool query = req->opcode == OPCODE_QUERY;
  if (!query && req->opcode != OPCODE_NOTIFY && req->opcode != OPCODE_UPDATE)
    return done_with(s, job, RCODE_NOTIMP, EDE_NOT_SUPPORTED);
  if (e) return done_with(s, job, RCODE_FORMERR, EDE_NONE);
  if (req->edns.present && req->edns.version != 0) return done_with(s, job, RCODE_BADVERS, EDE_NONE);
  if (!signature_good(s, job)) return VERDICT_DONE;
  if (!req->has_question) return done_with(s, job, RCODE_FORMERR, EDE_NONE); /* RFC 9619 §4, and there are no cookies */
  if ((job->client.queries_only || job->client.transfers_only) && !access_listener(job))
    return done_with(s, job, RCODE_REFUSED, EDE_PROHIBITED);
  if (req->qclass == CLASS_IN) return judge_opcode(s, q, before);
  if (req->qclass != CLASS_CH || req->opcode != OPCODE_QUERY) access_outside(s, job);
  else chaos(s, job);
  return VERDICT_DONE;
}

/* Finds zones and names. Those that a zone of ours answers go into `open`; returns how many they are. */
static size_t look_up(const struct server *s, struct query *queries, size_t count, struct query **open) {
  struct zone_lookup *lookups[LIMIT_BATCH];
  const struct zone_entry *to_all = NULL; /* the zone of the one before, if it answers whoever asks */
  size_t left = 0;
  bool gap = true; /* the one before is not answered: what this one shares with it is nothing to the next look-up */
  for (size_t i = 0; i < count; i++)
    lookups[i] = &queries[i].lookup;
  zone_set_find_batch(s->zones, lookups, count);
  for (size_t i = 0; i < count; i++) {
    struct query *q = &queries[i];
    if (gap) q->lookup.shared = 0;
    bool chosen = access_is_chosen(q, to_all);
    gap = !chosen && !access_choose(s, q);
    if (gap) continue;
    if (!chosen) to_all = access_is_hidden(q->lookup.entry) ? NULL : q->lookup.entry;
    reply_zone(q->job, q->lookup.entry);
    q->lookup.snap = q->lookup.entry->snap;
    lookups[left] = &q->lookup;
    open[left++] = q;
  }
  if (left) zone_lookup_batch(lookups, left);
  return left;
}

void answer_batch(const struct zone_set *zones, const struct answer_identity *id, struct answer_memory *memory,
                  struct answer_job *const *jobs, size_t count, struct instant now) {
  assert(count <= LIMIT_BATCH);
  const struct server server = {zones, id, memory, now};
  struct query queries[LIMIT_BATCH], *next = queries;
  struct query *open[LIMIT_BATCH];
  for (size_t i = 0; i < count; i++) {
    next->job = jobs[i];
    if (judge(&server, next, next > queries ? next - 1 : NULL) == VERDICT_LOOK_UP) next++;
  }
  if (next == queries) return;
  size_t left = look_up(&server, queries, (size_t)(next - queries), open);
  denial_prepare(&server, open, left);
  resolve(&server, open, left);
}

void answer(const struct zone_set *zones, const struct answer_identity *id, struct answer_memory *memory, struct answer_job *job,
            struct instant now) {
  answer_batch(zones, id, memory, &job, 1, now);
}
