#include "fake_primary.h"

#include "xfr/digest_option.h"

#include "base/hash.h"
#include "xfr/list_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- zones and keys ---- */

struct name name_of(const char *text) {
  struct name n;
  enum err e = name_from_text(text, strlen(text), &name_root, &n, NULL, NULL);
  assert(!e);
  return n;
}

size_t make_soa(const struct name *apex, uint32_t serial, uint32_t refresh_s, uint32_t retry_s, uint32_t expire_s,
                uint8_t out[600]) {
  struct wr w = wr_make(out, 600);
  wr_bytes(&w, "\3ns1", 4);
  wr_bytes(&w, apex->octets, apex->size);
  wr_bytes(&w, "\12hostmaster", 11);
  wr_bytes(&w, apex->octets, apex->size);
  wr_u32(&w, serial);
  wr_u32(&w, refresh_s);
  wr_u32(&w, retry_s);
  wr_u32(&w, expire_s);
  wr_u32(&w, 300);
  assert(!wr_failed(&w));
  return wr_used(&w);
}

static void add(struct zone_edit *edit, const struct name *owner, uint16_t type, const void *rdata, size_t size) {
  enum zone_add outcome;
  enum err e = zone_edit_add(edit, owner, type, 3600, rdata, (uint16_t)size, &outcome);
  assert(!e);
}

struct zone_snap *make_zone(const char *apex_text, uint32_t serial, uint32_t refresh_s, uint32_t retry_s, uint32_t expire_s,
                            unsigned hosts) {
  struct name apex = name_of(apex_text);
  struct zone_edit *edit;
  struct zone_snap *snap;
  uint8_t rdata[600];
  enum err e = zone_edit_begin(NULL, &apex, &edit);
  assert(!e);
  add(edit, &apex, RR_SOA, rdata, make_soa(&apex, serial, refresh_s, retry_s, expire_s, rdata));
  memcpy(rdata, "\3ns1", 4);
  memcpy(rdata + 4, apex.octets, apex.size);
  add(edit, &apex, RR_NS, rdata, 4u + apex.size);
  for (unsigned i = 0; i < hosts; i++) {
    char text[32 + NAME_TEXT_BYTES];
    snprintf(text, sizeof text, "host%u.%s", i, apex_text[0] == '.' ? "" : apex_text);
    struct name owner = name_of(text);
    uint8_t a[4] = {192, 0, (uint8_t)(i >> 8), (uint8_t)i};
    add(edit, &owner, RR_A, a, sizeof a);
    if (i % 10 == 0) add(edit, &owner, RR_TXT, "\14hello, world", 13);
  }
  e = zone_edit_finish(edit, &snap);
  assert(!e);
  return snap;
}

struct tsig_keyring *make_keys(const char *name, enum hmac_algorithm a, const char *secret) {
  struct tsig_keyring *k;
  struct name n = name_of(name);
  name_lower(&n);
  enum err e = tsig_keyring_new(&k);
  if (!e) e = tsig_keyring_add(k, &n, a, (const uint8_t *)secret, strlen(secret));
  assert(!e);
  return k;
}

/* ---- answers ---- */

static uint64_t apex_hash(struct name apex) {
  name_lower(&apex);
  return hash64(apex.octets, apex.size, 0);
}

static struct fake_zone *find(const struct fake_primary *p, const struct name *apex) {
  for (struct map_node *n = map_first(&p->zones, apex_hash(*apex)); n; n = map_next(n)) {
    struct fake_zone *z = MEMBER_OF(n, struct fake_zone, node);
    if (name_equal(&z->apex, apex)) return z;
  }
  return NULL;
}

struct query { /* a request as the primary sees it */
  struct request req;
  struct tsig_stream tsig;
  bool refused; /* its signature */
  struct fake_zone *zone;
};

static int64_t clock_of(const struct fake_primary *p) {
  return fake_net_now(p->net).wall_s + p->clock_off_s;
}

static bool understand(struct fake_primary *p, const uint8_t *bytes, size_t size, struct query *q) {
  memset(q, 0, sizeof *q);
  tsig_stream_none(&q->tsig);
  if (request_parse(bytes, size, &q->req)) return false;
  if (q->req.tsig_at) q->refused = tsig_verify_request(p->keys, &q->req, clock_of(p), &q->tsig) != ERR_OK;
  q->zone = find(p, &q->req.qname);
  return true;
}

static const uint8_t *soa_of(const struct zone_snap *snap, uint16_t *size) {
  struct zone_rrset set;
  const uint8_t *rdata;
  bool found = zone_find_rrset(zone_apex_node(snap), RR_SOA, &set);
  assert(found);
  zone_rr_next(&set.rrs, &rdata, size);
  return rdata;
}

static void put_soa(const struct fake_primary *p, const struct query *q, struct message_writer *w) {
  uint8_t soa[600];
  uint16_t size;
  const uint8_t *rdata = soa_of(q->zone->snap, &size);
  memcpy(soa, rdata, size);
  put_u32(soa + size - 20, get_u32(soa + size - 20) + (uint32_t)p->soa_serial_off);
  bool fits = message_put_rr(w, SECTION_ANSWER, q->req.qname.octets, RR_SOA, CLASS_IN, 3600, soa, size);
  assert(fits);
}

static unsigned rcode_of(const struct fake_primary *p, const struct query *q, int habit) {
  if (q->refused) return RCODE_NOTAUTH;
  if (q->req.edns.present && p->no_edns) return RCODE_FORMERR;
  if (habit) return (unsigned)habit;
  bool allowed = q->zone && q->zone->snap && (!p->need_key || tsig_verified_key(&q->tsig));
  return allowed ? RCODE_NOERROR : RCODE_REFUSED;
}

/* A response with at most a SOA; returns its size. */
static size_t respond(struct fake_primary *p, struct query *q, unsigned rcode, bool with_soa, bool truncated, uint8_t *out) {
  struct message_writer w;
  unsigned flags = FLAG_QR | (q->req.flags & FLAG_OPCODE_MASK) | (p->no_authority ? 0 : FLAG_AA) | (truncated ? FLAG_TC : 0);
  message_start(&w, out, LIMIT_MESSAGE_BYTES, q->req.id, (uint16_t)flags);
  w.reserve = 2048;
  bool fits = message_echo_question(&w, &q->req);
  assert(fits);
  if (rcode == RCODE_NOERROR && with_soa && !truncated && !p->no_soa) put_soa(p, q, &w);
  if (q->req.edns.present && !p->no_edns) {
    uint8_t option[8] = {0, EDNS_EXPIRE, 0, 4};
    put_u32(option + 4, p->expire_s);
    message_put_opt(&w, 1232, rcode, 0, option, p->has_expire ? sizeof option : 0);
  }
  size_t size = message_finish(&w, rcode);
  if (!p->unsigned_answers && tsig_sign_response(&q->tsig, true, out, &size, LIMIT_MESSAGE_BYTES, clock_of(p))) abort();
  return size;
}

static void on_datagram(void *arg, struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size) {
  struct fake_primary *p = arg;
  struct query q;
  static uint8_t out[LIMIT_MESSAGE_BYTES];
  if (!understand(p, bytes, size, &q)) return;
  bool notify = q.req.opcode == OPCODE_NOTIFY;
  if (notify) p->notifies++;
  else p->soa_queries++;
  size_t n_out = respond(p, &q, rcode_of(p, &q, p->soa_rcode), !notify, p->truncates, out);
  if (p->strange_id) out[0] ^= 0x55;
  if (p->forged_first) { /* the same with another serial and a wrong signature, ahead of the right one */
    uint8_t *forged = malloc(n_out);
    assert(forged);
    memcpy(forged, out, n_out);
    forged[n_out - 8] ^= 1; /* in the MAC */
    fake_net_reply(n, h, token, forged, n_out);
    free(forged);
  }
  fake_net_reply(n, h, token, out, n_out);
}

/* ---- transfers ---- */

struct sending {
  struct sending *next;
  struct fake_primary *p;
  struct axfr_out *out;
  unsigned number;
};

static void sending_free(struct sending *s) {
  struct sending **at = &s->p->sending;
  while (*at != s)
    at = &(*at)->next;
  *at = s->next;
  axfr_out_free(s->out);
  free(s);
}

static void send_next(void *arg, uint64_t token) {
  struct sending *s = arg;
  struct fake_primary *p = s->p;
  static uint8_t buffer[LIMIT_MESSAGE_BYTES];
  for (bool done = false; !done;) {
    size_t size = 0;
    if (axfr_out_next(s->out, buffer, sizeof buffer, clock_of(p), &size, &done)) abort();
    if (p->habit && !p->habit(p->habit_arg, p, token, s->number, buffer, &size)) break;
    s->number++;
    fake_net_send(p->net, &p->host, token, buffer, size);
    if (p->pace_ns && !done) {
      fake_net_later(p->net, p->pace_ns, send_next, s, token);
      return;
    }
  }
  sending_free(s);
}

/* ---- changes ---- */

static bool client_serial(const struct query *q, uint32_t *out) {
  struct message m;
  struct rd body;
  struct message_rr rr;
  uint8_t soa[600];
  if (message_open(q->req.bytes, q->req.size, &m, &body)) return false;
  body.at = q->req.bytes + q->req.question_end;
  struct wr w = wr_make(soa, sizeof soa);
  if (message_rr(&m, &body, &rr) || rr_rdata_read(&rr.rdata, rr.rdata_size, m.bytes, RR_SOA, &w)) return false;
  *out = get_u32(soa + wr_used(&w) - 20);
  return true;
}

static size_t version_of(const struct fake_zone *z, uint32_t serial) { /* old_count: not kept */
  size_t i = 0;
  while (i < z->old_count && zone_serial(z->old[i]) != serial)
    i++;
  return i;
}

static bool has_changes(const struct fake_primary *p, const struct query *q, size_t *from) {
  uint32_t serial;
  if (q->req.qtype != RR_IXFR || !p->gives_changes || !client_serial(q, &serial)) return false;
  *from = version_of(q->zone, serial);
  return *from < q->zone->old_count;
}

static void make_changes(const struct fake_zone *z, size_t from, struct fake_ixfr *out) {
  size_t count = z->old_count - from + 1;
  struct zone_snap **versions = malloc(count * sizeof *versions);
  assert(versions);
  memcpy(versions, z->old + from, (count - 1) * sizeof *versions);
  versions[count - 1] = z->snap;
  fake_ixfr_make(out, versions, count);
  free(versions);
}

static void send_changes(struct fake_primary *p, struct query *q, size_t from, uint64_t token) {
  static uint8_t out[LIMIT_MESSAGE_BYTES];
  struct fake_ixfr x;
  make_changes(q->zone, from, &x);
  if (p->bend) p->bend(p->bend_arg, p, &x);
  size_t next = 0;
  for (unsigned number = 0; next < x.count; number++) {
    struct message_writer w;
    message_start(&w, out, 16000, q->req.id, FLAG_QR | FLAG_AA);
    w.reserve = 500;
    if (number == 0 && !message_echo_question(&w, &q->req)) abort();
    fake_ixfr_write(&x, &next, p->ixfr_most ? p->ixfr_most : SIZE_MAX, &w);
    uint8_t option[DIGEST_OPTION_BYTES];
    size_t option_size = number == 0 && digest_option_asked(&q->req) ? digest_option_write(q->zone->snap, option) : 0;
    if (option_size && !message_put_opt(&w, 1232, 0, 0, option, option_size)) abort();
    size_t size = message_finish(&w, 0);
    if (tsig_sign_response(&q->tsig, number == 0, out, &size, sizeof out, clock_of(p))) abort();
    if (p->habit && !p->habit(p->habit_arg, p, token, number, out, &size)) break;
    fake_net_send(p->net, &p->host, token, out, size);
  }
  fake_ixfr_done(&x);
}

static void on_message(void *arg, struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size) {
  struct fake_primary *p = arg;
  struct query q;
  static uint8_t out[LIMIT_MESSAGE_BYTES];
  if (!understand(p, bytes, size, &q)) return;
  bool axfr = q.req.qtype == RR_AXFR || q.req.qtype == RR_IXFR;
  if (axfr) p->transfers++;
  else p->soa_queries++;
  p->last_transfer_ns = fake_net_now(n).mono_ns;
  p->ixfr_asked += q.req.qtype == RR_IXFR;
  p->axfr_asked += q.req.qtype == RR_AXFR;
  int bad = !axfr ? p->soa_rcode : q.req.qtype == RR_IXFR && p->ixfr_rcode ? p->ixfr_rcode : p->axfr_rcode;
  unsigned rcode = rcode_of(p, &q, bad);
  if (!axfr || rcode != RCODE_NOERROR) {
    fake_net_send(n, h, token, out, respond(p, &q, rcode, !axfr, false, out));
    return;
  }
  size_t from;
  if (has_changes(p, &q, &from)) {
    send_changes(p, &q, from, token);
    return;
  }
  struct sending *s = calloc(1, sizeof *s);
  assert(s);
  s->p = p;
  s->next = p->sending;
  p->sending = s;
  if (axfr_out_begin(q.zone->snap, &q.req, &q.tsig, &s->out)) abort();
  send_next(s, token);
}

void fake_primary_init(struct fake_primary *p, struct fake_net *n, const char *address) {
  memset(p, 0, sizeof *p);
  p->net = n;
  p->host.arg = p;
  p->host.datagram = on_datagram;
  p->host.message = on_message;
  enum err e = map_init(&p->zones);
  if (!e) e = addr_parse(address, 53, &p->host.addr);
  assert(!e);
  fake_net_add(n, &p->host);
}

void fake_primary_serve(struct fake_primary *p, const char *apex_text, struct zone_snap *snap) {
  struct name apex = name_of(apex_text);
  struct fake_zone *z = find(p, &apex);
  if (!z) {
    z = calloc(1, sizeof *z);
    assert(z);
    z->apex = apex;
    map_add(&p->zones, &z->node, apex_hash(apex));
  }
  if (z->snap && p->gives_changes) {
    z->old = realloc(z->old, (z->old_count + 1) * sizeof *z->old);
    assert(z->old);
    z->old[z->old_count++] = z->snap;
  } else {
    zone_snap_unref(z->snap);
  }
  z->snap = snap;
}

void fake_primary_done(struct fake_primary *p) {
  while (p->sending)
    sending_free(p->sending);
  size_t from = 0;
  for (struct map_node *n; (n = map_any(&p->zones, &from));) {
    struct fake_zone *z = MEMBER_OF(n, struct fake_zone, node);
    map_remove(&p->zones, n);
    for (size_t i = 0; i < z->old_count; i++)
      zone_snap_unref(z->old[i]);
    free(z->old);
    zone_snap_unref(z->snap);
    free(z);
  }
  map_done(&p->zones);
  tsig_keyring_unref(p->keys);
}
