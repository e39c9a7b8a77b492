/* The odd secondary: the primaries' `notify` and `transfer` name it, and it does what no secondary should. It answers NOTIFY late,
 * wrongly, twice or never; asks for changes from serials that never were; sends rubbish; asks for much at once, reads it slowly and
 * hangs up in the middle. What it gets must be right all the same (here), the servers keep little for it (check_bounds), and the
 * others notice nothing (all other checks). It goes on when faults are over. */
#include "base/serial.h"
#include "fake_primary.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum {
  FIRST_PORT = 50000,
  PORTS = 64,
  VISITS = 16,
  AT_ONCE = 40,    /* questions of one visit, at most: more than one window of the net holds of their answers */
  STAYS_S = 40,    /* a visit, at most */
  NOTIFY_S = 70,   /* an answer to NOTIFY, at most: nobody waits so long */
  BYTES = 900,     /* of a message of ours */
  PAUSE_MS = 4000, /* between two deeds, at most */
};

struct asked {
  bool by_stream;
  int server;
  enum zone_number zone;
  uint16_t type, id, count; /* so many are asked the same, with ids in a row */
  uint32_t serial;          /* that it says to have */
};

struct visit {   /* a stream */
  uint64_t conn; /* 0: free */
  struct asked asked;
  unsigned patience; /* for so many messages */
};

static struct {
  struct tsig_keyring *keys;
  uint32_t heard[ZONES]; /* the newest serial it was told */
  struct asked asked[PORTS];
  struct visit visits[VISITS];
} asker;

/* Not in each seed, and in none by which a bug was found before there was one. */
bool asker_is_here(void) {
  return sim_seed() % 7 == 3 || sim_seed() % 7 == 4;
}

/* ---- messages ---- */

static size_t spoil(uint8_t *bytes, size_t n) {
  uint64_t what = sim_below(3);
  seen_count("odd secondary: rubbish");
  if (what == 0) return sim_between(1, n);
  for (uint64_t flips = what == 1 ? sim_between(1, 8) : n; flips > 0; flips--)
    bytes[sim_below(n)] ^= (uint8_t)(1 << sim_below(8));
  return n;
}

static struct name apex_of(enum zone_number z) {
  return name_of(zone_texts[z]);
}

static size_t write_question(const struct asked *a, unsigned number, uint8_t bytes[BYTES]) {
  struct message_writer w;
  struct tsig_stream tsig;
  struct name apex = apex_of(a->zone), key = name_of("xfr.example.");
  uint8_t soa[600];
  message_start(&w, bytes, BYTES, (uint16_t)(a->id + number), 0);
  MUST(message_put_question(&w, &apex, a->type, CLASS_IN));
  if (a->type == RR_IXFR && !sim_chance(50))
    MUST(message_put_rr(&w, SECTION_AUTHORITY, apex.octets, RR_SOA, CLASS_IN, 0, soa,
                        (uint16_t)make_soa(&apex, a->serial, REFRESH_S, RETRY_S, EXPIRE_S, soa)));
  size_t n = message_finish(&w, 0);
  if (!sim_chance(100)) {
    const struct tsig_key *k = tsig_keyring_find(asker.keys, &key);
    MUST(tsig_sign_request(&tsig, k, bytes, &n, BYTES, node_now(&nodes[a->server]).wall_s) == ERR_OK);
  }
  return sim_chance(150) ? spoil(bytes, n) : n;
}

static bool read_soa(const struct message *m, struct rd *body, uint32_t *serial) {
  struct message_rr rr;
  if (message_rr(m, body, &rr) || rr.type != RR_SOA) return false;
  *serial = get_u32(rr.rdata.at + rr.rdata_size - 20);
  return true;
}

/* The first message of an answer: changes are from where the question said, or it is the whole zone, or all that is new. */
static void judge(const struct asked *a, const uint8_t *bytes, size_t n) {
  struct message m;
  struct rd body;
  struct name apex = apex_of(a->zone), qname;
  uint16_t type, class;
  uint32_t serial, from;
  if (message_open(bytes, n, &m, &body) || !m.counts[SECTION_QUESTION] || (uint16_t)(m.id - a->id) >= a->count) return;
  if (message_question(&m, &body, &qname, &type, &class) || type != a->type || !name_equal(&qname, &apex)) return;
  if (message_rcode(&m) != RCODE_NOERROR || !m.counts[SECTION_ANSWER]) return;
  MUST(read_soa(&m, &body, &serial));
  check_answered_serial(a->zone, serial);
  asker.heard[a->zone] = serial;
  if (type != RR_IXFR || !a->by_stream) return;
  if (m.counts[SECTION_ANSWER] == 1) {
    if (serial_gt(serial, a->serial)) sim_fail("serial %u has nothing new, it says, for one who has %u", serial, a->serial);
    return;
  }
  bool changes = read_soa(&m, &body, &from);
  seen_count(changes ? "odd secondary: got changes" : "odd secondary: got the zone for changes");
  if (!changes) return;
  if (a->serial != from) sim_fail("changes from serial %u for one who has %u", from, a->serial);
  check_answered_serial(a->zone, from);
}

/* ---- asking ---- */

static uint32_t some_serial(enum zone_number z) {
  uint32_t newest = asker.heard[z];
  switch (sim_below(5)) {
  case 0:
    return newest;
  case 1:
    return newest - (uint32_t)sim_below(20);
  case 2:
    return newest + (uint32_t)sim_between(1, 5);
  case 3:
    return newest ^ 0x80000000;
  default:
    return (uint32_t)sim_random();
  }
}

static struct asked some_question(bool by_stream) {
  static const uint16_t types[] = {RR_SOA, RR_SOA, RR_IXFR, RR_IXFR, RR_IXFR, RR_AXFR};
  struct asked a = {.by_stream = by_stream, .server = (int)sim_below(2), .zone = (enum zone_number)sim_below(ZONES)};
  a.type = types[sim_below(6)];
  a.id = (uint16_t)sim_random();
  a.count = 1;
  a.serial = some_serial(a.zone);
  return a;
}

static void send_datagram(void) {
  uint8_t bytes[BYTES];
  size_t port = sim_below(PORTS);
  struct asked *a = &asker.asked[port];
  *a = some_question(false);
  struct addr from = party_addr(PARTY_ASKER), to = party_addr(a->server);
  from.port = (uint16_t)(FIRST_PORT + port);
  net_datagram(&from, &to, bytes, write_question(a, 0, bytes));
}

static void leave(void *arg, uint64_t conn) {
  struct visit *v = arg;
  if (v->conn != conn) return;
  v->conn = 0;
  seen_count("odd secondary: hung up");
  net_client_close(conn);
}

static void begin_visit(void) {
  struct visit *v = asker.visits;
  while (v < asker.visits + VISITS && v->conn)
    v++;
  if (v == asker.visits + VISITS) return;
  v->asked = some_question(true);
  if (sim_chance(300)) v->asked.count = (uint16_t)sim_between(2, AT_ONCE);
  v->patience = sim_chance(500) ? (unsigned)sim_below(v->asked.count) : UINT32_MAX;
  v->conn = net_connect(PARTY_ASKER, v->asked.server, sim_chance(400) ? sim_between(1, 20) * NS_PER_S : 0);
  sim_later(sim_below(STAYS_S * 1000) * NS_PER_MS, leave, v, v->conn);
}

static void act(void *arg, uint64_t token) {
  if (sim_chance(600)) begin_visit();
  else
    for (uint64_t n = sim_chance(100) ? PORTS : 1; n > 0; n--)
      send_datagram();
  sim_later(sim_between(1, PAUSE_MS) * NS_PER_MS, act, NULL, 0);
}

/* ---- being answered ---- */

static struct visit *visit_of(uint64_t conn) {
  for (size_t i = 0; i < VISITS; i++)
    if (asker.visits[i].conn == conn) return &asker.visits[i];
  return NULL;
}

void asker_opened(uint64_t conn) {
  const struct visit *v = visit_of(conn);
  uint8_t bytes[BYTES];
  for (unsigned i = 0; v && i < v->asked.count; i++)
    net_client_send(conn, bytes, write_question(&v->asked, i, bytes));
}

void asker_message(uint64_t conn, const uint8_t *bytes, size_t n) {
  struct visit *v = visit_of(conn);
  if (!v) return;
  judge(&v->asked, bytes, n);
  if (v->patience-- == 0) leave(v, conn);
}

void asker_closed(uint64_t conn) {
  struct visit *v = visit_of(conn);
  if (v) v->conn = 0;
}

/* ---- being told ---- */

struct reply {
  struct addr to;
  size_t size;
  uint8_t bytes[BYTES];
};

static void send_reply(void *arg, uint64_t token) {
  struct reply *r = arg;
  struct addr from = party_addr(PARTY_ASKER);
  net_datagram(&from, &r->to, r->bytes, r->size);
  free(r);
}

static void write_reply(struct reply *r, const struct request *req, int64_t now_s) {
  static const unsigned rcodes[] = {RCODE_SERVFAIL, RCODE_REFUSED, RCODE_NOTIMP, RCODE_FORMERR, RCODE_NOTAUTH};
  struct message_writer w;
  struct tsig_stream tsig;
  enum err known = tsig_verify_request(asker.keys, req, now_s, &tsig);
  message_start(&w, r->bytes, BYTES, req->id, FLAG_QR | FLAG_AA | OPCODE_NOTIFY << FLAG_OPCODE_SHIFT);
  MUST(message_echo_question(&w, req));
  r->size = message_finish(&w, sim_chance(300) ? rcodes[sim_below(5)] : RCODE_NOERROR);
  if (!known && !sim_chance(100)) MUST(tsig_sign_response(&tsig, true, r->bytes, &r->size, BYTES, now_s) == ERR_OK);
  if (sim_chance(150)) r->size = spoil(r->bytes, r->size);
}

static void take_notify(const struct addr *from, const struct request *req) {
  for (uint64_t copies = sim_below(3); copies > 0; copies--) {
    struct reply *r = calloc(1, sizeof *r);
    bool late = sim_chance(400);
    MUST(r);
    r->to = *from;
    write_reply(r, req, node_now(&nodes[party_of(from)]).wall_s);
    if (late) seen_count("odd secondary: NOTIFY answered late");
    sim_later(late ? sim_below(NOTIFY_S * 1000) * NS_PER_MS : 0, send_reply, r, 0);
  }
}

void asker_datagram(const struct addr *from, const struct addr *to, const uint8_t *bytes, size_t n) {
  struct request req;
  if (to->port >= FIRST_PORT && to->port < FIRST_PORT + PORTS) judge(&asker.asked[to->port - FIRST_PORT], bytes, n);
  else if (!request_parse(bytes, n, &req) && req.opcode == OPCODE_NOTIFY && req.tsig_at) take_notify(from, &req);
}

/* ---- coming and going ---- */

void asker_begin(void) {
  memset(&asker, 0, sizeof asker);
  if (!asker_is_here()) return;
  asker.keys = make_keys("xfr.example.", HMAC_SHA256, "sim-xfr-secret");
  act(NULL, 0);
}

void asker_end(void) {
  tsig_keyring_unref(asker.keys);
}
