#include "tandem/observe.h"

enum { NOTES_A_SECOND = 100 };

void observer_init(struct observer *o, struct note_queue *notes, struct loop *control_loop) {
  *o = (struct observer){.notes = notes, .control_loop = control_loop};
}

static void count(_Atomic uint64_t *counter) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

static bool put(struct observer *o, const struct note *n) {
  if (!note_queue_put(o->notes, n)) {
    count(&o->lost_notes);
    return false;
  }
  loop_wake(o->control_loop);
  return true;
}

static void note_refusal(struct observer *o, enum note_kind kind, const struct answer_job *job, struct instant now) {
  if (o->note_second != now.wall_s) {
    o->note_second = now.wall_s;
    o->notes_left = NOTES_A_SECOND;
  }
  if (o->notes_left == 0) return;
  o->notes_left--;
  struct note n = {.kind = kind, .from = job->client.from, .code = job->result.rcode};
  if (kind == NOTE_TSIG_FAILED) {
    n.name = job->tsig.key_name;
    n.code = job->tsig.error;
  } else {
    n.name = job->request.qname;
  }
  put(o, &n);
}

/* What went wrong: counted, and noted if there is room. */
static void observe_refusal(struct observer *o, const struct answer_job *job, struct instant now) {
  const struct answer_result *r = &job->result;
  if (job->tsig.error) {
    count(&o->tsig_failures[observed_tsig_error(job->tsig.error)]);
    note_refusal(o, NOTE_TSIG_FAILED, job, now);
  }
  if ((r->rcode != RCODE_REFUSED && r->rcode != RCODE_NOTAUTH) || !job->request.has_question) return;
  if (job->request.opcode == OPCODE_NOTIFY) {
    count(&o->notifies_refused);
    note_refusal(o, NOTE_NOTIFY_REFUSED, job, now);
  } else if (job->request.opcode == OPCODE_UPDATE) {
    count(&o->updates_refused);
    note_refusal(o, NOTE_UPDATE_REFUSED, job, now);
  } else if (job->request.opcode == OPCODE_QUERY && (job->request.qtype == RR_AXFR || job->request.qtype == RR_IXFR)) {
    count(&o->transfers_refused);
    note_refusal(o, NOTE_TRANSFER_REFUSED, job, now);
  }
}

void observe(struct observer *o, const struct answer_job *job, struct instant now) {
  const struct answer_result *r = &job->result;
  struct observer_tally *t = &o->listeners[job->client.listener];
  unsigned damage = zone_damage_found();
  if (damage != o->damage) {
    o->damage = damage;
    loop_wake(o->control_loop);
  }
  count(&t->requests);
  if (r->kind == ANSWER_DROP) {
    count(&t->dropped);
    return;
  }
  if (r->kind == ANSWER_UPDATE) return; /* whoever judges it counts what became of it */
  count(&t->rcodes[r->rcode < OBSERVED_RCODES ? r->rcode : OBSERVED_RCODES - 1]);
  if (r->truncated) count(&t->truncated);
  if (r->rcode != RCODE_NOERROR && r->rcode != RCODE_NXDOMAIN) observe_refusal(o, job, now);
}

/* The serial of the SOA that a NOTIFY may bring along (RFC 1996 §3.7). It is a hint: one that can't be read is none. */
static bool read_serial(const struct answer_job *job, uint32_t *serial) {
  enum { SOA_NUMBERS_BYTES = 20 };
  struct message m;
  struct message_rr rr;
  struct rd body;
  struct name qname;
  uint16_t qtype, qclass;
  uint8_t soa[2 * LIMIT_NAME_BYTES + SOA_NUMBERS_BYTES];
  struct wr w = wr_make(soa, sizeof soa);
  if (message_open(job->bytes, job->size, &m, &body) || m.counts[SECTION_ANSWER] == 0) return false;
  if (message_question(&m, &body, &qname, &qtype, &qclass) || message_rr(&m, &body, &rr)) return false;
  if (rr.type != RR_SOA || rr.class != CLASS_IN || !name_equal(&rr.owner, &qname)) return false;
  if (rr_rdata_read(&rr.rdata, rr.rdata_size, m.bytes, RR_SOA, &w) || wr_used(&w) < SOA_NUMBERS_BYTES) return false;
  *serial = get_u32(w.at - SOA_NUMBERS_BYTES);
  return true;
}

bool observe_notify(struct observer *o, const struct answer_job *job) {
  struct note n = {.kind = NOTE_NOTIFY, .from = job->client.from, .name = job->request.qname};
  n.serial_known = read_serial(job, &n.serial);
  return put(o, &n);
}

static uint64_t counted(const _Atomic uint64_t *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

void observer_add_listener(const struct observer *o, size_t listener, struct observed_tally *sum) {
  const struct observer_tally *t = &o->listeners[listener];
  sum->requests += counted(&t->requests);
  sum->dropped += counted(&t->dropped);
  sum->truncated += counted(&t->truncated);
  for (int i = 0; i < OBSERVED_RCODES; i++)
    sum->rcodes[i] += counted(&t->rcodes[i]);
}

void observer_add(const struct observer *o, struct observed *sum) {
  for (size_t i = 0; i < LIMIT_LISTENERS_COUNTED; i++)
    observer_add_listener(o, i, &sum->all);
  sum->lost_notes += counted(&o->lost_notes);
  sum->transfers_refused += counted(&o->transfers_refused);
  sum->notifies_refused += counted(&o->notifies_refused);
  sum->updates_refused += counted(&o->updates_refused);
  for (int i = 0; i < OBSERVED_TSIG_ERRORS; i++)
    sum->tsig_failures[i] += counted(&o->tsig_failures[i]);
}

enum observed_tsig observed_tsig_error(unsigned code) {
  switch (code) {
  case RCODE_BADSIG:
    return OBSERVED_BADSIG;
  case RCODE_BADKEY:
    return OBSERVED_BADKEY;
  case RCODE_BADTIME:
    return OBSERVED_BADTIME;
  case RCODE_BADTRUNC:
    return OBSERVED_BADTRUNC;
  default:
    return OBSERVED_TSIG_OTHER;
  }
}

const char *observed_tsig_text(enum observed_tsig error) {
  static const char *const texts[] = {"BADSIG", "BADKEY", "BADTIME", "BADTRUNC", "other"};
  return texts[error];
}
