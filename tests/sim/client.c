/* The client: UPDATEs signed with TSIG, to the primary or through a secondary, over UDP and TCP; and queries for SOAs. It notes
 * what was acknowledged; what is not answered may have happened or not. */
#include "sim.h"

#include "tsig/tsig.h"
#include "wire/message.h"

#include <string.h>

enum {
  REQUESTS = 64,
  REQUEST_BYTES = 600,
  FIRST_PORT = 30000,
  PATIENCE_S = 15,
  SETTLED_S = 60, /* after so long no copy of an UPDATE is still on its way */
  NUMBERS = 8000,
};

struct request_out {
  bool used, is_stream, is_query, removal, answered;
  uint16_t id;
  unsigned number;
  int server;
  uint64_t conn, begun_ns;
  enum zone_number zone;
  struct tsig_stream tsig;
  size_t size;
  uint8_t bytes[REQUEST_BYTES];
};

static struct {
  struct request_out requests[REQUESTS];
  struct tsig_keyring *keys;
  const struct tsig_key *key;
  unsigned next;                /* number */
  uint64_t settled_ns[NUMBERS]; /* when it may be removed; 0: not sent or gone */
} client;

static const char secret[] = "sim-upd-secret";

void client_begin(void) {
  struct name name;
  memset(&client, 0, sizeof client);
  MUST(name_from_text("upd.example.", 12, NULL, &name, NULL, NULL) == ERR_OK);
  MUST(tsig_keyring_new(&client.keys) == ERR_OK);
  MUST(tsig_keyring_add(client.keys, &name, HMAC_SHA256, (const uint8_t *)secret, sizeof secret - 1) == ERR_OK);
  client.key = tsig_keyring_find(client.keys, &name);
}

static void request_done(struct request_out *r) {
  if (!r->used) return;
  if (r->is_stream) net_client_close(r->conn);
  r->used = false;
}

void client_end(void) {
  for (size_t i = 0; i < REQUESTS; i++)
    request_done(&client.requests[i]);
  tsig_keyring_unref(client.keys);
}

/* ---- messages ---- */

static void put_owner(struct wr *w, char letter, unsigned number, const struct name *apex) {
  char text[16];
  struct name owner;
  snprintf(text, sizeof text, "%c%u", letter, number);
  MUST(name_from_text(text, strlen(text), apex, &owner, NULL, NULL) == ERR_OK);
  wr_bytes(w, owner.octets, owner.size);
}

static void put_record(struct wr *w, uint16_t type, uint16_t class, uint32_t ttl, const void *rdata, size_t n) {
  wr_u16(w, type);
  wr_u16(w, class);
  wr_u32(w, ttl);
  wr_u16(w, (uint16_t)n);
  wr_bytes(w, rdata, n);
}

static void put_header(struct wr *w, uint16_t id, uint16_t flags, uint16_t prerequisites, uint16_t changes) {
  uint16_t header[] = {id, flags, 1, prerequisites, changes, 0};
  for (size_t i = 0; i < 6; i++)
    wr_u16(w, header[i]);
}

/* Two records come together, if the name is not in use; or they go together. */
static void write_update(struct request_out *r) {
  struct name apex;
  struct wr w = wr_make(r->bytes, sizeof r->bytes);
  MUST(name_from_text("u.example.", 10, NULL, &apex, NULL, NULL) == ERR_OK);
  put_header(&w, r->id, OPCODE_UPDATE << FLAG_OPCODE_SHIFT, !r->removal, 2);
  wr_bytes(&w, apex.octets, apex.size);
  wr_u16(&w, RR_SOA);
  wr_u16(&w, CLASS_IN);
  if (r->removal) {
    put_owner(&w, 't', r->number, &apex);
    put_record(&w, RR_ANY, CLASS_ANY, 0, "", 0);
    put_owner(&w, 'p', r->number, &apex);
    put_record(&w, RR_ANY, CLASS_ANY, 0, "", 0);
  } else {
    uint8_t address[4] = {10, 0, (uint8_t)(r->number >> 8), (uint8_t)r->number};
    put_owner(&w, 't', r->number, &apex);
    put_record(&w, RR_ANY, CLASS_NONE, 0, "", 0);
    put_owner(&w, 't', r->number, &apex);
    put_record(&w, RR_TXT, CLASS_IN, 60, "\5hello", 6);
    put_owner(&w, 'p', r->number, &apex);
    put_record(&w, RR_A, CLASS_IN, 60, address, sizeof address);
  }
  r->size = wr_used(&w);
  MUST(tsig_sign_request(&r->tsig, client.key, r->bytes, &r->size, sizeof r->bytes, node_now(&nodes[0]).wall_s) == ERR_OK);
}

static void write_query(struct request_out *r) {
  struct name apex;
  struct wr w = wr_make(r->bytes, sizeof r->bytes);
  MUST(name_from_text(zone_texts[r->zone], strlen(zone_texts[r->zone]), &name_root, &apex, NULL, NULL) == ERR_OK);
  put_header(&w, r->id, 0, 0, 0);
  wr_bytes(&w, apex.octets, apex.size);
  wr_u16(&w, RR_SOA);
  wr_u16(&w, CLASS_IN);
  r->size = wr_used(&w);
  tsig_stream_none(&r->tsig);
}

/* ---- sending ---- */

static struct addr port_of(const struct request_out *r) {
  struct addr a = party_addr(PARTY_CLIENT);
  a.port = (uint16_t)(FIRST_PORT + (r - client.requests));
  return a;
}

static void lose_patience(void *arg, uint64_t begun_ns) {
  struct request_out *r = arg;
  if (!r->used || r->begun_ns != begun_ns) return;
  if (!r->is_query) seen_count("update never answered");
  request_done(r);
}

static void send_out(struct request_out *r) {
  struct addr from = port_of(r), to = party_addr(r->server);
  r->begun_ns = sim_now_ns();
  if (r->is_stream) r->conn = net_connect(PARTY_CLIENT, r->server, 0);
  else net_datagram(&from, &to, r->bytes, r->size);
  sim_later(PATIENCE_S * NS_PER_S, lose_patience, r, r->begun_ns);
}

/* One that has long been sent and is not removed; 0: none. */
static unsigned removable(void) {
  if (client.next < 2) return 0;
  unsigned n = 1 + (unsigned)sim_below(client.next - 1);
  return client.settled_ns[n] && client.settled_ns[n] < sim_now_ns() ? n : 0;
}

static struct request_out *request_new(void) {
  for (size_t i = 0; i < REQUESTS; i++) {
    struct request_out *r = &client.requests[i];
    if (r->used) continue;
    *r = (struct request_out){.used = true, .id = (uint16_t)sim_random()};
    return r;
  }
  return NULL;
}

static void update(void) {
  struct request_out *r = request_new();
  if (!r) return;
  unsigned old = sim_chance(300) ? removable() : 0;
  if (!old && client.next + 1 >= NUMBERS) {
    r->used = false;
    return;
  }
  r->removal = old != 0;
  r->number = old ? old : ++client.next;
  r->server = sim_chance(700) ? 0 : 1;
  r->is_stream = sim_chance(400);
  client.settled_ns[r->number] = old ? 0 : sim_now_ns() + SETTLED_S * NS_PER_S;
  check_sent(r->number, r->removal);
  if (r->server) seen_count("update forwarded");
  write_update(r);
  send_out(r);
}

static void query(void) {
  struct request_out *r = request_new();
  if (!r) return;
  r->is_query = true;
  r->zone = (enum zone_number)sim_below(ZONES);
  r->server = (int)sim_below(NODES);
  write_query(r);
  send_out(r);
}

void client_act(void) {
  if (sim_chance(300)) {
    query();
    return;
  }
  for (uint64_t n = sim_chance(300) ? sim_between(2, 6) : 1; n > 0; n--)
    update();
}

/* ---- answers ---- */

static bool read_serial(const struct request_out *r, const uint8_t *bytes, size_t n, uint32_t *serial) {
  struct message m;
  struct rd body;
  struct name qname;
  uint16_t type, class;
  struct message_rr rr;
  if (message_open(bytes, n, &m, &body) || message_rcode(&m) != RCODE_NOERROR || !m.counts[SECTION_ANSWER]) return false;
  if (message_question(&m, &body, &qname, &type, &class) || message_rr(&m, &body, &rr) || rr.type != RR_SOA) return false;
  *serial = get_u32(rr.rdata.at + rr.rdata_size - 20);
  return true;
}

static void take_update(struct request_out *r, const uint8_t *bytes, size_t n) {
  uint16_t error;
  unsigned rcode = bytes[3] & FLAG_RCODE_MASK;
  /* A primary whose clock is off, and a secondary that could not forward, can't say yes. */
  bool is_signed = tsig_verify_response(&r->tsig, bytes, n, true, node_now(&nodes[0]).wall_s, &error) == ERR_OK;
  if (!is_signed || (rcode != RCODE_NOERROR && rcode != RCODE_YXDOMAIN)) {
    seen_count("update failed");
    return;
  }
  seen_count(rcode ? "update refused by its prerequisite" : "update acknowledged");
  if (r->removal && rcode) sim_fail("the removal of %u has no prerequisite and was answered YXDOMAIN", r->number);
  check_acknowledged(r->number, r->removal);
}

static void take(struct request_out *r, const uint8_t *bytes, size_t n) {
  uint32_t serial;
  if (!r->used || n < MESSAGE_HEADER_BYTES || get_u16(bytes) != r->id) return;
  if (!r->is_query) take_update(r, bytes, n);
  else if (read_serial(r, bytes, n, &serial)) check_answered_serial(r->zone, serial);
  request_done(r);
}

void client_datagram(const struct addr *from, const struct addr *to, const uint8_t *bytes, size_t n) {
  if (to->port >= FIRST_PORT && to->port < FIRST_PORT + REQUESTS) take(&client.requests[to->port - FIRST_PORT], bytes, n);
}

static struct request_out *of_conn(uint64_t conn) {
  for (size_t i = 0; i < REQUESTS; i++)
    if (client.requests[i].used && client.requests[i].is_stream && client.requests[i].conn == conn) return &client.requests[i];
  return NULL;
}

void client_opened(uint64_t conn) {
  struct request_out *r = of_conn(conn);
  if (r) net_client_send(conn, r->bytes, r->size);
}

void client_message(uint64_t conn, const uint8_t *bytes, size_t n) {
  struct request_out *r = of_conn(conn);
  if (r) take(r, bytes, n);
}

void client_closed(uint64_t conn) {
  struct request_out *r = of_conn(conn);
  if (!r) return;
  seen_count("update never answered");
  request_done(r);
}
