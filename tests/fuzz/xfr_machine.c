/* The secondaries machine under any order of events. The input is a list of octets {what, argument}; the net is made of the
 * exchanges and streams that the machine has open. Checked: tokens are kept in order, bounds hold, the machine never asks for a
 * time that does not come, and at the end nothing is left open. */
#include "xfr/incoming_priv.h"
#include "xfr/secondary.h"
#include "zone/zone_set.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ZONES = 4, OPEN_MAX = 16, QUESTION_BYTES = 600, ASKED = 4, BUILDS_MOST = 4 };

struct asked {
  uint16_t id, qtype;
  uint32_t serial; /* of the SOA in an IXFR */
  size_t question_size;
  uint8_t question[QUESTION_BYTES];
};

struct open { /* what the machine has open */
  uint64_t token;
  bool is_stream, connected;
  unsigned sent;             /* messages on it */
  struct asked asked[ASKED]; /* the last ones of them */
};

struct world {
  struct secondaries *machine;
  struct open open[OPEN_MAX];
  unsigned open_count;
  struct zone_snap *arrived[ZONES];
  struct zone_snap *content[ZONES];
  struct transfer_build *builds[BUILDS_MOST];
  unsigned build_count;
  struct instant now;
  uint64_t random;
  uint32_t serial;
  bool has_snaps;
};

static void check(bool ok) {
  if (!ok) abort();
}

/* ---- the net ---- */

static struct open *find(struct world *w, uint64_t token) {
  for (unsigned i = 0; i < w->open_count; i++)
    if (w->open[i].token == token) return &w->open[i];
  return NULL;
}

static void sent(struct open *at, const uint8_t *bytes, size_t n) {
  struct request req;
  struct asked *o = &at->asked[at->sent++ % ASKED];
  check(request_parse(bytes, n, &req) == ERR_OK && req.has_question);
  o->id = req.id;
  o->qtype = req.qtype;
  o->question_size = req.question_end - MESSAGE_HEADER_BYTES;
  check(o->question_size <= QUESTION_BYTES);
  memcpy(o->question, bytes + MESSAGE_HEADER_BYTES, o->question_size);
  check((o->qtype == RR_IXFR) == (section_count(req.counts, SECTION_AUTHORITY) == 1));
  if (o->qtype == RR_IXFR) o->serial = get_u32(bytes + n - 20); /* unsigned, so the SOA is the last */
}

static struct open *begin(struct world *w, uint64_t token, bool is_stream) {
  check(token >> 61 == (is_stream ? 2 : 0) && token != 0 && w->open_count < OPEN_MAX && !find(w, token));
  struct open *o = &w->open[w->open_count++];
  *o = (struct open){.token = token, .is_stream = is_stream};
  return o;
}

static void end(struct world *w, uint64_t token, bool is_stream) {
  struct open *o = find(w, token);
  check(o && o->is_stream == is_stream);
  *o = w->open[--w->open_count];
}

static bool chance(struct world *w) { /* one in sixteen */
  w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return w->random >> 60 == 0;
}

static enum err udp_send(void *arg, uint64_t token, const struct addr *source, const struct addr *to, const uint8_t *bytes,
                         size_t n) {
  struct world *w = arg;
  if (chance(w)) return ERR_IO;
  struct open *o = find(w, token);
  if (!o) o = begin(w, token, false);
  check(!o->is_stream);
  sent(o, bytes, n);
  return ERR_OK;
}

static void udp_close(void *arg, uint64_t token) {
  end(arg, token, false);
}

static enum err stream_connect(void *arg, uint64_t token, const struct addr *source, const struct addr *to) {
  struct world *w = arg;
  if (chance(w)) return ERR_IO;
  begin(w, token, true);
  return ERR_OK;
}

static enum err stream_send(void *arg, uint64_t token, const uint8_t *bytes, size_t n) {
  struct world *w = arg;
  struct open *o = find(w, token);
  check(o && o->is_stream && o->connected);
  if (chance(w)) return ERR_CLOSED;
  sent(o, bytes, n);
  return ERR_OK;
}

static void stream_close(void *arg, uint64_t token) {
  end(arg, token, true);
}

static uint64_t net_random(void *arg) {
  struct world *w = arg;
  chance(w);
  return w->random >> 16;
}

/* ---- the owner ---- */

static void commit(struct world *w, uint32_t id, bool taken) {
  struct zone_snap *snap = w->arrived[id];
  w->arrived[id] = NULL;
  if (!snap) return;
  if (taken) {
    zone_snap_unref(w->content[id]);
    w->content[id] = zone_snap_ref(snap);
  }
  secondary_committed(w->machine, id, taken ? snap : NULL, taken ? ERR_OK : ERR_REFUSED, "no", w->now);
  zone_snap_unref(snap);
}

static void built(struct world *w, bool run) {
  if (!w->build_count) return;
  struct transfer_build *b = w->builds[--w->build_count];
  if (run) transfer_build_run(b);
  if (run) secondary_built(w->machine, b, w->now);
  else secondary_build_dropped(b);
}

static bool build(void *arg, uint32_t zone_id, struct transfer_build *b) {
  struct world *w = arg;
  check(zone_id < ZONES);
  if (w->build_count == BUILDS_MOST) return false;
  w->builds[w->build_count++] = b;
  return true;
}

static void transferred(void *arg, uint32_t zone_id, struct zone_snap *snap, const struct transfer_info *info) {
  struct world *w = arg;
  check(zone_id < ZONES && !w->arrived[zone_id]);
  w->arrived[zone_id] = snap;
  w->has_snaps = true;
  check(!info->incremental || (w->content[zone_id] && zone_shares_memory(w->content[zone_id], snap)));
  if (chance(w)) commit(w, zone_id, true); /* now and then from inside */
}

static struct zone_snap *content(void *arg, uint32_t zone_id) {
  struct world *w = arg;
  return w->content[zone_id] && !chance(w) ? zone_snap_ref(w->content[zone_id]) : NULL;
}

static void fell_back(void *arg, uint32_t zone_id, const char *what, const char *peer) {
  check(zone_id < ZONES && what[0] && peer[0]);
}

static void good(void *arg, uint32_t zone_id, int64_t wall_s, uint32_t expire_s, uint64_t expires_ns) {
  struct world *w = arg;
  check(zone_id < ZONES && expires_ns >= w->now.mono_ns);
}

static void expired(void *arg, uint32_t zone_id) {
  check(zone_id < ZONES);
}

static void failed(void *arg, uint32_t zone_id, const char *what, const char *peer) {
  struct secondary_status status;
  struct world *w = arg;
  check(what[0] && secondary_status(w->machine, zone_id, &status) && status.last_error[0]);
}

static void settled(void *arg, uint32_t zone_id, bool is_good) {
  struct secondary_status status;
  struct world *w = arg;
  check(secondary_status(w->machine, zone_id, &status) && status.phase == SECONDARY_IDLE);
}

/* ---- what happens ---- */

/* A sequence from the machine's serial that adds or removes an address, which may be there or not. */
static bool put_changes(struct message_writer *m, const struct name *apex, const uint8_t soa[30], uint8_t how, uint32_t from) {
  uint8_t old[30];
  static const uint8_t a[4] = {1, 2, 3, 4};
  if (how & 32) return true; /* the whole zone instead */
  memcpy(old, soa, sizeof old);
  put_u32(old + 10, from + (how == 16));
  bool fits = message_put_rr(m, SECTION_ANSWER, apex->octets, RR_SOA, CLASS_IN, 60, old, sizeof old);
  if (how & 4) fits = fits && message_put_rr(m, SECTION_ANSWER, apex->octets, RR_A, CLASS_IN, 60, a, sizeof a);
  fits = fits && message_put_rr(m, SECTION_ANSWER, apex->octets, RR_SOA, CLASS_IN, 60, soa, sizeof old);
  if (how & 8) fits = fits && message_put_rr(m, SECTION_ANSWER, apex->octets, RR_A, CLASS_IN, 60, a, sizeof a);
  return fits;
}

static size_t put_answer(struct world *w, const struct asked *o, uint8_t how, uint8_t *out) {
  struct message_writer m;
  struct rd r = rd_make(o->question, o->question_size);
  struct name qname;
  check(name_read_plain(&r, &qname) == ERR_OK);
  uint8_t rdata[4 + 6 + 20];
  memcpy(rdata, "\2ns\0\4root\0", 10);
  put_u32(rdata + 10, w->serial + (how & 3));
  put_u32(rdata + 14, how & 4 ? 0 : 3600);
  put_u32(rdata + 18, how & 8 ? 0 : 600);
  put_u32(rdata + 22, how & 16 ? 5 : 86400);
  put_u32(rdata + 26, 1);
  message_start(&m, out, 4096, o->id, (uint16_t)(FLAG_QR | FLAG_AA | (how & 32 ? FLAG_TC : 0)));
  check(message_put_question(&m, &qname, o->qtype, CLASS_IN));
  bool fits = message_put_rr(&m, SECTION_ANSWER, qname.octets, RR_SOA, CLASS_IN, 60, rdata, sizeof rdata);
  if (o->qtype == RR_IXFR) fits = fits && put_changes(&m, &qname, rdata, how, o->serial);
  if (o->qtype != RR_SOA && !(how & 64))
    fits = fits && message_put_rr(&m, SECTION_ANSWER, qname.octets, RR_SOA, CLASS_IN, 60, rdata, sizeof rdata);
  check(fits);
  return message_finish(&m, how & 128 ? RCODE_REFUSED : RCODE_NOERROR);
}

static void answer(struct world *w, uint8_t which, uint8_t how) {
  uint8_t out[4096];
  if (!w->open_count) return;
  struct open *o = &w->open[which % w->open_count];
  uint64_t token = o->token;
  if (o->is_stream && !o->connected) {
    o->connected = true;
    check(secondaries_stream_open(w->machine, token, w->now));
  } else if (o->sent) {
    unsigned asked = o->sent < ASKED ? o->sent : ASKED;
    size_t n = put_answer(w, &o->asked[which / w->open_count % asked], how, out);
    if (o->is_stream) check(secondaries_stream_input(w->machine, token, out, n, w->now));
    else check(secondaries_udp_input(w->machine, token, out, n, w->now));
  }
}

static void breaks(struct world *w, uint8_t which) {
  if (!w->open_count) return;
  struct open *o = &w->open[which % w->open_count];
  uint64_t token = o->token;
  if (o->is_stream) {
    end(w, token, true);
    check(secondaries_stream_closed(w->machine, token, ERR_CLOSED, w->now));
    check(!secondaries_stream_closed(w->machine, token, ERR_CLOSED, w->now));
  } else {
    check(secondaries_udp_error(w->machine, token, w->now));
  }
}

static void run_for(struct world *w, uint64_t ns) {
  uint64_t until = w->now.mono_ns + ns, at;
  for (unsigned runs = 0; (at = secondaries_deadline(w->machine)) <= until; runs++) {
    check(runs < 20000);
    if (at > w->now.mono_ns) w->now.mono_ns = at;
    secondaries_run(w->machine, w->now);
  }
  w->now.mono_ns = until;
}

static void configure(struct world *w, uint32_t id, uint8_t how) {
  static const struct name apexes[ZONES] = {{3, 1, "\1a"}, {3, 1, "\1b"}, {3, 1, "\1c"}, {1, 0, ""}};
  static struct xfr_primary sets[2][2];
  for (unsigned i = 0; i < 4; i++) {
    struct xfr_primary *p = &sets[i / 2][i % 2];
    memcpy(p->name, i % 2 ? "two" : "one", 4);
    p->address_count = 1 + i % 2;
    for (unsigned k = 0; k < p->address_count; k++)
      p->address[k] = (struct addr){.family = 4, .port = 53, .octets = {10, (uint8_t)i, 0, (uint8_t)k}};
  }
  struct secondary_options o = {.primaries = sets[how & 1],
                                .primary_count = how >> 1 & 3 ? 2 : 1,
                                .refresh_min_ms = how & 8 ? 0 : 1000,
                                .refresh_max_ms = how & 16 ? 3000 : 86400000,
                                .retry_min_ms = how & 32 ? 0 : 1000,
                                .retry_max_ms = how & 64 ? 2000 : 86400000,
                                .transfer_max_bytes = 1 << 20,
                                .transfer_timeout_ms = 30000};
  if (how == 255) o.primary_count = 0;
  check(secondary_configure(w->machine, id, &apexes[id], &o, w->content[id], NULL, w->now) == ERR_OK);
}

static void happen(struct world *w, uint8_t what, uint8_t arg) {
  uint32_t id = arg % ZONES;
  struct addr from = {.family = 4, .port = 9, .octets = {10, (uint8_t)(arg >> 6), 0, (uint8_t)(arg >> 5 & 1)}};
  switch (what % 15) {
  case 0:
    configure(w, id, (uint8_t)(arg / ZONES * 7 + what));
    break;
  case 1:
    answer(w, what / 14, arg);
    break;
  case 2:
    answer(w, 0, 0);
    break;
  case 3:
    answer(w, arg, 1);
    break;
  case 4:
    breaks(w, arg);
    break;
  case 5:
    run_for(w, arg * NS_PER_MS * 4);
    break;
  case 6:
    run_for(w, arg * NS_PER_S * 4);
    break;
  case 7:
    secondary_notified(w->machine, id, &from, arg & 16, w->serial + (arg >> 2 & 3), w->now);
    break;
  case 8:
    secondary_retransfer(w->machine, id, w->now);
    break;
  case 9:
    secondary_refresh(w->machine, id, w->now);
    break;
  case 10:
    commit(w, id, !(arg & 16));
    break;
  case 11:
    commit(w, id, true);
    secondary_remove(w->machine, id);
    zone_snap_unref(w->content[id]);
    w->content[id] = NULL;
    break;
  case 12:
    w->serial += arg;
    break;
  case 13:
    built(w, true);
    break;
  default:
    w->now.wall_s += (int64_t)arg * 100000 - 12700000;
    break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct world w = {.now = {NS_PER_S, 1790000000}, .random = size, .serial = 4294967290u};
  struct xfr_net net = {&w, udp_send, udp_close, stream_connect, stream_send, stream_close, net_random};
  struct secondary_events events = {&w, transferred, good, expired, failed, settled, content, build, fell_back};
  check(secondaries_new(&net, &events, &w.machine) == ERR_OK);
  secondaries_build_from(w.machine, 1 + size % 5);
  for (size_t i = 0; i + 1 < size && i < 600; i += 2)
    happen(&w, data[i], data[i + 1]);
  while (w.build_count)
    built(&w, false);
  for (uint32_t id = 0; id < ZONES; id++) {
    commit(&w, id, true);
    secondary_remove(w.machine, id);
    zone_snap_unref(w.content[id]);
  }
  run_for(&w, (LIMIT_CHANNEL_IDLE_MS + 1) * NS_PER_MS);
  check(w.open_count == 0 && secondaries_deadline(w.machine) == UINT64_MAX);
  secondaries_free(w.machine);
  if (w.has_snaps) zone_grace_barrier(); /* only then: it waits for a thread */
  return 0;
}
