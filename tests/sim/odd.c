/* The primary of x.example: that of the unit tests (fake_primary.h), with its bad habits changing as time goes on, standing in this
 * network instead of its own. Its versions are what a secondary may serve, whatever it sends. */
#include "fake_primary.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* ---- the network it sees ---- */

struct fake_net {
  struct fake_host *host;
};

static struct fake_net net;

void fake_net_add(struct fake_net *n, struct fake_host *h) {
  n->host = h;
}

struct instant fake_net_now(const struct fake_net *n) {
  return (struct instant){sim_now_ns(), node_now(&nodes[0]).wall_s - nodes[0].wall_off_s};
}

void fake_net_reply(struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size) {
  net_host_reply(token, bytes, size);
}

void fake_net_send(struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size) {
  net_host_send(token, bytes, size);
}

void fake_net_later(struct fake_net *n, uint64_t delay_ns, void (*f)(void *arg, uint64_t token), void *arg, uint64_t token) {
  sim_later(delay_ns, f, arg, token);
}

void odd_datagram(uint64_t token, const uint8_t *bytes, size_t n) {
  net.host->datagram(net.host->arg, &net, net.host, token, bytes, n);
}

void odd_message(uint64_t token, const uint8_t *bytes, size_t n) {
  net.host->message(net.host->arg, &net, net.host, token, bytes, n);
}

/* ---- versions ---- */

static struct {
  struct fake_primary primary;
  struct zone_snap *last; /* one reference */
  uint32_t serial;
  uint64_t random;
  bool digests;     /* its versions carry a ZONEMD, so that nothing false can pass */
  bool plain;       /* it knows no TSIG: then it only does what shows all the same */
  unsigned lasting; /* what is odd for ever, and legal */
  unsigned cut_at, flip_at;
} odd;

static void serve(struct zone_snap *snap) {
  check_commit(ZONE_X, snap);
  zone_snap_unref(odd.last);
  odd.last = zone_snap_ref(snap);
  fake_primary_serve(&odd.primary, "x.example.", snap);
}

static void notify(int to) {
  uint8_t bytes[512];
  struct name apex = name_of("x.example.");
  struct message_writer w;
  struct tsig_stream tsig;
  struct addr from = party_addr(PARTY_ODD), at = party_addr(to);
  const struct name key = name_of("xfr.example.");
  from.port = 5353;
  message_start(&w, bytes, sizeof bytes, (uint16_t)sim_random(), FLAG_AA | OPCODE_NOTIFY << FLAG_OPCODE_SHIFT);
  MUST(message_put_question(&w, &apex, RR_SOA, CLASS_IN));
  size_t n = message_finish(&w, 0);
  if (!odd.plain) {
    MUST(tsig_sign_request(&tsig, tsig_keyring_find(odd.primary.keys, &key), bytes, &n, sizeof bytes, fake_net_now(&net).wall_s) ==
         ERR_OK);
  }
  net_datagram(&from, &at, bytes, n);
}

static void new_version(void) {
  odd.serial += sim_chance(50) ? (uint32_t)sim_between(1, 1 << 20) : 1;
  serve(next_version(odd.last, odd.serial, (unsigned)sim_between(1, 12), odd.digests, &odd.random));
  if (sim_chance(700)) notify(1);
  if (sim_chance(500)) notify(2);
}

/* ---- habits ---- */

/* Changes that are wrong in a way that shows: what is missing is removed, what is there is added, the ends are not ours. */
static void bend(void *arg, struct fake_primary *p, struct fake_ixfr *x) {
  uint64_t what = sim_below(odd.digests ? 6 : 4);
  size_t at = sim_below(x->count);
  seen_count("odd primary: wrong changes");
  struct fake_rr rr = x->rrs[1];
  if (what == 0) { /* from another version, of a serial that nobody ever had */
    put_u32(x->rrs[1].rdata + x->rrs[1].size - 20, get_u32(rr.rdata + rr.size - 20) ^ 0x40000000);
  } else if (what == 1) { /* removes what is not there, in place of what is */
    for (size_t i = 2; i < x->count && x->rrs[i].type != RR_SOA; i++)
      if (x->rrs[i].type == RR_A) x->rrs[i].rdata[0] ^= 0x80;
  } else if (what == 2) { /* ends elsewhere */
    uint8_t *serial = x->rrs[x->count - 1].rdata + x->rrs[x->count - 1].size - 20;
    put_u32(serial, get_u32(serial) + 1);
  } else if (what == 3) { /* breaks off */
    while (x->count > at + 1)
      fake_ixfr_remove(x, x->count - 1);
  } else if (x->rrs[at].type == RR_SOA) { /* without it, the rest could be another zone that is all right */
    return;
  } else if (what == 4) {
    fake_ixfr_remove(x, at);
  } else {
    rr = x->rrs[at];
    fake_ixfr_insert(x, sim_between(1, x->count - 1), &rr);
  }
}

/* As if the zone had changed during the transfer: an address is another one, and so is the SOA at the end. */
static void end_otherwise(uint8_t *bytes, size_t size) {
  struct message m;
  struct rd body;
  struct name qname;
  uint16_t type, class;
  struct message_rr rr;
  uint8_t *address = NULL;
  if (message_open(bytes, size, &m, &body) || (m.counts[0] && message_question(&m, &body, &qname, &type, &class))) return;
  for (unsigned i = 0; i < m.counts[SECTION_ANSWER] && !message_rr(&m, &body, &rr); i++)
    if (rr.type == RR_A) address = bytes + (rr.rdata.at - bytes);
  if (rr.type != RR_SOA || !address) return;
  address[3] ^= 0x40;
  bytes[size - 17] ^= 1; /* of the serial; nothing stands behind the SOA of an unsigned message */
  seen_count("odd primary: another zone at the end");
}

static bool cut_or_flip(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (number == odd.cut_at) {
    seen_count("odd primary: cut");
    if (sim_chance(500)) net_host_hang_up(token);
    return false;
  }
  if (odd.plain) {
    end_otherwise(bytes, *size);
  } else if (number == odd.flip_at) {
    seen_count("odd primary: damaged");
    bytes[MESSAGE_HEADER_BYTES + sim_below(*size - MESSAGE_HEADER_BYTES)] ^= (uint8_t)(1 << sim_below(8));
  }
  return true;
}

static void good(void) {
  struct fake_primary *p = &odd.primary;
  p->soa_rcode = p->axfr_rcode = p->ixfr_rcode = 0;
  p->gives_changes = odd.lasting != 1;
  p->ixfr_most = 0;
  p->bend = NULL;
  p->no_edns = odd.lasting == 2;
  p->truncates = odd.lasting == 3;
  p->ixfr_rcode = odd.lasting == 4 ? RCODE_NOTIMP : odd.lasting == 5 ? RCODE_FORMERR : 0;
  p->no_authority = p->no_soa = p->unsigned_answers = p->strange_id = p->forged_first = false;
  p->clock_off_s = 0;
  p->soa_serial_off = 0;
  p->pace_ns = 0;
  p->habit = NULL;
}

static void bad(void) {
  static const int rcodes[] = {RCODE_SERVFAIL, RCODE_REFUSED, RCODE_FORMERR, RCODE_NOTIMP, RCODE_NOTAUTH};
  struct fake_primary *p = &odd.primary;
  int rcode = rcodes[sim_below(5)];
  good();
  switch (sim_below(14)) {
  case 0:
  case 1:
  case 2:
    p->bend = bend;
    p->ixfr_most = sim_between(1, 10);
    break;
  case 3:
    p->soa_rcode = rcode;
    break;
  case 4:
    p->axfr_rcode = rcode;
    break;
  case 5:
    p->ixfr_rcode = rcode;
    break;
  case 6:
    p->soa_serial_off = (int32_t)sim_between(0, 4) - 2;
    seen_count("odd primary: wrong serial");
    break;
  case 7:
    p->gives_changes = false;
    seen_count("odd primary: whole zone for changes");
    break;
  case 8:
    p->unsigned_answers = true;
    break;
  case 9:
    p->strange_id = true;
    break;
  case 10:
    p->forged_first = true;
    break;
  case 11:
    p->no_soa = true;
    break;
  default:
    p->habit = cut_or_flip;
    odd.cut_at = sim_chance(400) ? (unsigned)sim_below(3) : UINT32_MAX;
    odd.flip_at = (unsigned)sim_below(4);
    p->ixfr_most = sim_between(1, 20);
    if (odd.plain) p->ixfr_most = 0; /* the SOA at the end of a message is the last one */
    p->pace_ns = sim_chance(500) ? sim_between(1000000, 900000000) : 0;
    break;
  }
  if (p->soa_rcode || p->axfr_rcode || p->ixfr_rcode) seen_count("odd primary: error");
}

/* ---- coming, acting, going ---- */

void odd_begin(void) {
  memset(&odd, 0, sizeof odd);
  fake_primary_init(&odd.primary, &net, "192.0.2.4");
  odd.plain = sim_chance(350);
  if (!odd.plain) odd.primary.keys = make_keys("xfr.example.", HMAC_SHA256, "sim-xfr-secret");
  odd.primary.need_key = !odd.plain;
  odd.random = sim_random();
  odd.digests = sim_chance(500);
  odd.lasting = (unsigned)sim_below(12);
  odd.serial = sim_chance(200) ? UINT32_MAX - 3 : 1;
  odd.cut_at = odd.flip_at = UINT32_MAX;
  serve(make_zone("x.example.", odd.serial, REFRESH_S, RETRY_S, EXPIRE_S, (unsigned)sim_between(20, 60)));
  good();
}

bool odd_is_plain(void) {
  return odd.plain;
}

void odd_act(void) {
  uint64_t what = sim_below(10);
  if (what < 6) new_version();
  else if (what < 9) bad();
  else good();
}

void odd_behave(void) {
  good();
  new_version();
}

void odd_tell(void) {
  serve(next_version(odd.last, ++odd.serial, (unsigned)sim_between(1, 12), odd.digests, &odd.random));
  notify(1);
  notify(2);
}

void odd_end(void) {
  zone_snap_unref(odd.last);
  fake_primary_done(&odd.primary);
}
