/* Every server is asked for every RRset over one TCP connection each, many questions at a time; what they answer is made text, and
 * compared once all have answered. Compared are the rcode, whether it is authoritative, the answer section with TTLs and
 * signatures, and for a referral the NS it names. */
#include "tandem/compare_priv.h"

#include "wire/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 64, ANSWER_TIMEOUT_S = 15, CLOSES_MOST = 3, QUERY_BYTES = 1024, RDATA_BYTES = 65535 };

struct slot { /* a question under way; free when `open` is 0 */
  struct name owner;
  uint16_t type, id;
  unsigned open; /* servers that have not answered */
  struct buf answers[COMPARE_SERVERS_MOST];
  bool answered[COMPARE_SERVERS_MOST];
  struct tsig_stream tsig[COMPARE_SERVERS_MOST];
};

struct conn {
  bool connected;
  unsigned closes; /* in a row, without an answer in between */
  uint64_t heard_ns;
};

/* The walk over all RRsets of all contents, each once. */
struct walk {
  const struct zone_snap *list[COMPARE_SERVERS_MOST + 1];
  size_t count, at;
  struct zone_cursor cursor;
  bool open;
  const struct zone_node *node;
  unsigned next; /* RRset of the node */
};

struct ask {
  struct compare *c;
  struct xfr_net net;
  struct slot *slots; /* WINDOW */
  struct conn conns[COMPARE_SERVERS_MOST];
  struct walk walk;
  bool no_more;
  unsigned busy;
  uint16_t next_id;
  uint64_t asked;
  void (*differs)(void *arg, const struct compare_difference *d);
  void *arg;
  uint8_t *scratch; /* RDATA_BYTES */
  enum err err;
  char *why;
};

/* ---- what to ask ---- */

static bool is_asked(const struct walk *w, const struct name *owner, uint16_t type) {
  uint8_t key[NAME_KEY_BYTES];
  struct zone_rrset set;
  for (size_t i = 0; i < w->at; i++) {
    struct zone_lookup q = {.snap = w->list[i], .key = key, .key_size = (uint16_t)name_key(owner, key)};
    zone_lookup(&q);
    if (q.found.node && zone_find_rrset(q.found.node, type, &set)) return true;
  }
  return false;
}

static const struct zone_node *next_node(struct walk *w) {
  for (;;) {
    if (!w->open) {
      if (w->at == w->count || zone_cursor_open(w->list[w->at], &w->cursor)) return NULL;
      w->open = true;
    }
    const struct zone_node *n = zone_cursor_next(&w->cursor);
    if (n) return n;
    zone_cursor_close(&w->cursor);
    w->open = false;
    w->at++;
  }
}

/* Signatures come along with what they cover; NSEC3 can't be asked for (RFC 5155 §7.2.8). */
static bool next_question(struct walk *w, struct name *owner, uint16_t *type) {
  for (;;) {
    while (!w->node || w->next == zone_rrset_count(w->node)) {
      w->node = next_node(w);
      w->next = 0;
      if (!w->node) return false;
    }
    struct zone_rrset set;
    zone_rrset_at(w->node, w->next++, &set);
    zone_node_owner(w->list[w->at], w->node, owner);
    *type = set.type;
    if (set.count && set.type != RR_NSEC3 && !is_asked(w, owner, set.type)) return true;
  }
}

/* ---- asking ---- */

static void fail(struct ask *a, size_t server, const char *what) {
  if (a->err) return;
  a->err = ERR_IO;
  snprintf(a->why, COMPARE_WHY_BYTES, "%s %s", a->c->servers[server].text, what);
}

static void send_question(struct ask *a, struct slot *s, size_t server, struct instant now) {
  static const uint8_t none[1];
  uint8_t message[QUERY_BYTES];
  struct message_writer w;
  const struct tsig_key *key = a->c->servers[server].primary.key;
  message_start(&w, message, sizeof message, s->id, 0);
  w.reserve = 11;
  bool ok = message_put_question(&w, &s->owner, s->type, 1) && message_put_opt(&w, 1232, 0, EDNS_F_DO, none, 0);
  size_t size = message_finish(&w, 0);
  tsig_stream_none(&s->tsig[server]);
  if (ok && key && tsig_sign_request(&s->tsig[server], key, message, &size, sizeof message, now.wall_s)) ok = false;
  if (!ok || a->net.stream_send(a->net.arg, server + 1, message, size)) fail(a, server, "can't be asked");
}

static void ask_more(struct ask *a, struct instant now) {
  for (size_t i = 0; i < WINDOW && !a->no_more; i++) {
    struct slot *s = &a->slots[i];
    if (s->open) continue;
    if (!next_question(&a->walk, &s->owner, &s->type)) {
      a->no_more = true;
      return;
    }
    s->id = a->next_id++;
    s->open = (unsigned)a->c->count;
    a->busy++;
    a->asked++;
    for (size_t k = 0; k < a->c->count; k++) {
      s->answered[k] = false;
      if (a->conns[k].connected) send_question(a, s, k, now);
    }
  }
}

static void connect_to(struct ask *a, size_t server, struct instant now) {
  const struct xfr_primary *p = &a->c->servers[server].primary;
  const struct addr *to = &p->address[0];
  a->conns[server].connected = false;
  a->conns[server].heard_ns = now.mono_ns;
  if (a->net.stream_connect(a->net.arg, server + 1, to->family == 4 ? &p->source4 : &p->source6, to))
    fail(a, server, "can't be connected to");
}

/* ---- what comes ---- */

static int compare_lines(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of the answer in one order: that of records in an RRset means nothing. */
static void sort_lines(struct buf *text, size_t from) {
  size_t count = 0, most = 0;
  for (size_t i = from; i < text->size; i++)
    most += text->data[i] == '\n';
  char **lines = most > 1 ? malloc(most * sizeof *lines) : NULL, *copy = lines ? strdup(buf_text(text) + from) : NULL;
  if (!copy) {
    free(lines);
    return;
  }
  for (char *at = copy, *end; count < most && (end = strchr(at, '\n')); at = end + 1) {
    *end = 0;
    lines[count++] = at;
  }
  qsort(lines, count, sizeof *lines, compare_lines);
  text->size = from;
  for (size_t i = 0; i < count; i++)
    buf_printf(text, "%s\n", lines[i]);
  free(lines);
  free(copy);
}

static enum err read_record(struct ask *a, const struct message *m, struct rd *body, const struct slot *s, bool answer,
                            struct buf *out) {
  struct message_rr rr;
  char type[RR_TYPE_TEXT_BYTES], owner[NAME_TEXT_BYTES];
  enum err err = message_rr(m, body, &rr);
  struct wr w = wr_make(a->scratch, RDATA_BYTES);
  if (!err) err = rr_rdata_read(&rr.rdata, rr.rdata_size, m->bytes, rr.type, &w);
  if (err || (!answer && rr.type != RR_NS)) return err;
  if (!name_equal(&rr.owner, &s->owner) || !answer) {
    name_lower(&rr.owner);
    buf_printf(out, "%s ", name_text(&rr.owner, owner));
  }
  rr_rdata_canonical(rr.type, a->scratch, (size_t)(w.at - a->scratch));
  buf_printf(out, "%u %s ", rr.ttl, rr_type_text(rr.type, type));
  rr_rdata_text(rr.type, a->scratch, (size_t)(w.at - a->scratch), out);
  buf_add_byte(out, '\n');
  return ERR_OK;
}

static enum err read_answer(struct ask *a, const struct slot *s, const uint8_t *bytes, size_t n, struct buf *out) {
  struct message m;
  struct rd body;
  struct name qname;
  uint16_t qtype, qclass;
  enum err err = message_open(bytes, n, &m, &body);
  for (unsigned i = 0; !err && i < m.counts[0]; i++)
    err = message_question(&m, &body, &qname, &qtype, &qclass);
  if (err) return err;
  bool referral = !m.counts[1] && !(m.flags & FLAG_AA) && message_rcode(&m) == RCODE_NOERROR;
  buf_printf(out, "%s%s\n", rcode_text(message_rcode(&m)),
             m.flags & FLAG_AA ? ""
             : referral        ? ", a referral"
                               : ", not authoritative");
  size_t from = out->size;
  for (unsigned i = 0; !err && i < m.counts[1]; i++)
    err = read_record(a, &m, &body, s, true, out);
  for (unsigned i = 0; !err && referral && i < m.counts[2]; i++)
    err = read_record(a, &m, &body, s, false, out);
  if (!err) sort_lines(out, from);
  return out->failed ? ERR_MEMORY : err;
}

static void finish_slot(struct ask *a, struct slot *s) {
  bool same = true;
  for (size_t k = 1; same && k < a->c->count; k++)
    same = strcmp(buf_text(&s->answers[0]), buf_text(&s->answers[k])) == 0;
  if (!same) a->differs(a->arg, &(struct compare_difference){&s->owner, s->type, s->answers});
  for (size_t k = 0; k < a->c->count; k++)
    buf_clear(&s->answers[k]);
  a->busy--;
}

static void stream_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  struct ask *a = arg;
  size_t server = (size_t)token - 1;
  uint16_t error;
  if (n < MESSAGE_HEADER_BYTES || !(get_u16(bytes + 2) & FLAG_QR)) return;
  a->conns[server].closes = 0;
  a->conns[server].heard_ns = now.mono_ns;
  for (size_t i = 0; i < WINDOW; i++) {
    struct slot *s = &a->slots[i];
    if (!s->open || s->id != get_u16(bytes) || s->answered[server]) continue;
    if (s->tsig[server].key && tsig_verify_response(&s->tsig[server], bytes, n, true, now.wall_s, &error))
      fail(a, server, "answers with a wrong signature: is the key the same there?");
    else if (read_answer(a, s, bytes, n, &s->answers[server])) fail(a, server, "sends a malformed answer");
    s->answered[server] = true;
    if (--s->open == 0) finish_slot(a, s);
    break;
  }
  ask_more(a, now);
}

static void stream_open(void *arg, uint64_t token, struct instant now) {
  struct ask *a = arg;
  size_t server = (size_t)token - 1;
  a->conns[server].connected = true;
  a->conns[server].heard_ns = now.mono_ns;
  for (size_t i = 0; i < WINDOW; i++)
    if (a->slots[i].open && !a->slots[i].answered[server]) send_question(a, &a->slots[i], server, now);
}

static void stream_closed(void *arg, uint64_t token, enum err why, struct instant now) {
  struct ask *a = arg;
  size_t server = (size_t)token - 1;
  if (++a->conns[server].closes >= CLOSES_MOST) fail(a, server, "takes no questions over TCP");
  else connect_to(a, server, now);
}

static void udp_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
}

static void udp_error(void *arg, uint64_t token, struct instant now) {
}

static void look_at_silence(struct ask *a, struct instant now) {
  for (size_t k = 0; k < a->c->count; k++) {
    bool waits = false;
    for (size_t i = 0; i < WINDOW && !waits; i++)
      waits = a->slots[i].open && !a->slots[i].answered[k];
    if (!waits) a->conns[k].heard_ns = now.mono_ns;
    else if (now.mono_ns - a->conns[k].heard_ns > ANSWER_TIMEOUT_S * NS_PER_S) fail(a, k, "does not answer");
  }
}

static void run(struct ask *a) {
  struct instant now = clock_read();
  for (size_t k = 0; k < a->c->count && !a->err; k++)
    connect_to(a, k, now);
  ask_more(a, now);
  while (a->busy && !a->err) {
    loop_turn(a->c->loop, now.mono_ns + NS_PER_S, &now);
    look_at_silence(a, now);
  }
  for (size_t k = 0; k < a->c->count; k++)
    a->net.stream_close(a->net.arg, k + 1);
}

static void walk_begin(struct walk *w, const struct compare *c) {
  if (c->file) w->list[w->count++] = c->file;
  for (size_t i = 0; i < c->count; i++)
    if (c->servers[i].zone) w->list[w->count++] = c->servers[i].zone;
}

enum err compare_ask(struct compare *c, void (*differs)(void *arg, const struct compare_difference *d), void *arg, uint64_t *asked,
                     char why[COMPARE_WHY_BYTES]) {
  struct ask a = {.c = c, .net = network_interface(c->network), .differs = differs, .arg = arg, .why = why};
  struct network_listener listener = {&a, udp_input, udp_error, stream_open, stream_input, stream_closed};
  a.slots = calloc(WINDOW, sizeof *a.slots);
  a.scratch = malloc(RDATA_BYTES);
  if (a.slots && a.scratch) {
    walk_begin(&a.walk, c);
    network_listen(c->network, &listener);
    run(&a);
  } else {
    a.err = ERR_MEMORY;
  }
  if (a.walk.open) zone_cursor_close(&a.walk.cursor);
  for (size_t i = 0; a.slots && i < WINDOW; i++)
    for (size_t k = 0; k < c->count; k++)
      buf_done(&a.slots[i].answers[k]);
  free(a.slots);
  free(a.scratch);
  *asked = a.asked;
  return a.err;
}
