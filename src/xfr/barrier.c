#include "xfr/barrier.h"

#include "base/serial.h"
#include "xfr/soa_query_priv.h"
#include "xfr/tokens_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
  REST_FIRST_MS = 10, /* doubles with each answer that is too low */
  REST_MOST_MS = 1000,
  ANSWER_MS = 1000, /* how long one address is listened to */
};

struct probe { /* of one peer */
  struct watch *watch;
  struct xfr_primary peer; /* with a reference on its keyring */
  unsigned address;
  uint64_t token;
  bool is_open, passed, plain; /* plain: it takes no EDNS */
  struct soa_query query;
  uint64_t at_ns, rest_ns; /* the next question, or the end of listening */
  struct xfr_what what;    /* what it does instead of passing */
};

struct watch {
  struct watch *next;
  uint64_t id;
  struct name apex;
  uint32_t serial;
  uint64_t until_ns;
  unsigned count;
  struct probe probes[];
};

struct barrier {
  struct xfr_net net;
  struct barrier_events events;
  struct tokens tokens;
  struct watch *watches;
};

enum err barrier_new(const struct xfr_net *net, const struct barrier_events *events, struct barrier **out) {
  struct barrier *b = calloc(1, sizeof *b);
  if (!b) return ERR_MEMORY;
  b->net = *net;
  b->events = *events;
  b->tokens.machine = TOKENS_BARRIER;
  *out = b;
  return ERR_OK;
}

/* ---- probes ---- */

static void probe_close(struct barrier *b, struct probe *p) {
  if (!p->is_open) return;
  b->net.udp_close(b->net.arg, p->token);
  tokens_drop(&b->tokens, p->token);
  p->is_open = false;
}

static void probe_done(struct barrier *b, struct probe *p) {
  probe_close(b, p);
  soa_query_done(&p->query);
  tsig_keyring_unref(p->peer.keys);
}

static void probe_rest(struct barrier *b, struct probe *p, struct instant now) {
  probe_close(b, p);
  p->at_ns = now.mono_ns + p->rest_ns;
  p->rest_ns = 2 * p->rest_ns < REST_MOST_MS * NS_PER_MS ? 2 * p->rest_ns : REST_MOST_MS * NS_PER_MS;
}

/* The address at hand is of no use now; the peer may have another. */
static void probe_failed(struct barrier *b, struct probe *p, const char *what, struct instant now) {
  char host[ADDR_TEXT_BYTES];
  xfr_what_set(&p->what, "%s %s", addr_text(&p->peer.address[p->address], host), what);
  p->address = (p->address + 1) % p->peer.address_count;
  probe_rest(b, p, now);
}

static void probe_ask(struct barrier *b, struct probe *p, struct instant now) {
  const struct addr *to = &p->peer.address[p->address], *source = to->family == 4 ? &p->peer.source4 : &p->peer.source6;
  uint16_t id = (uint16_t)b->net.random(b->net.arg);
  probe_close(b, p);
  enum err e = soa_query_write(&p->query, &p->watch->apex, p->peer.key, !p->plain, id, now.wall_s);
  if (!e) e = tokens_take(&b->tokens, p, &p->token);
  if (!e) {
    p->is_open = true;
    e = b->net.udp_send(b->net.arg, p->token, source, to, p->query.bytes, p->query.size);
  }
  p->at_ns = now.mono_ns + ANSWER_MS * NS_PER_MS;
  if (!e) return;
  struct xfr_what what;
  xfr_what_set(&what, "can't be sent a question (%s): is there a route to it?", err_text(e));
  probe_failed(b, p, what.text, now);
}

static void probe_answered(struct barrier *b, struct probe *p, uint32_t serial, struct instant now) {
  char host[ADDR_TEXT_BYTES];
  uint32_t want = p->watch->serial;
  p->passed = serial == want || serial_gt(serial, want);
  if (p->passed) {
    probe_close(b, p);
    return;
  }
  xfr_what_set(&p->what, "%s answers serial %u", addr_text(&p->peer.address[p->address], host), serial);
  probe_rest(b, p, now);
}

/* ---- watches ---- */

static void watch_free(struct barrier *b, struct watch *w) {
  for (struct watch **at = &b->watches; *at; at = &(*at)->next) {
    if (*at != w) continue;
    *at = w->next;
    break;
  }
  for (unsigned i = 0; i < w->count; i++)
    probe_done(b, &w->probes[i]);
  free(w);
}

enum err barrier_watch(struct barrier *b, uint64_t id, const struct name *apex, uint32_t serial, const struct xfr_primary *peers,
                       unsigned count, uint64_t until_ns, struct instant now) {
  struct watch *w = calloc(1, sizeof *w + count * sizeof w->probes[0]);
  if (!w) return ERR_MEMORY;
  w->id = id;
  name_copy(&w->apex, apex);
  w->serial = serial;
  w->until_ns = until_ns;
  for (unsigned i = 0; i < count; i++) {
    if (!peers[i].address_count) continue;
    struct probe *p = &w->probes[w->count++];
    p->watch = w;
    p->peer = peers[i];
    p->peer.keys = peers[i].key ? tsig_keyring_ref(peers[i].keys) : NULL;
    p->at_ns = now.mono_ns;
    p->rest_ns = REST_FIRST_MS * NS_PER_MS;
    tsig_stream_none(&p->query.tsig);
    xfr_what_set(&p->what, "was not asked yet");
  }
  w->next = b->watches;
  b->watches = w;
  return ERR_OK;
}

void barrier_forget(struct barrier *b, uint64_t id) {
  for (struct watch *w = b->watches; w; w = w->next) {
    if (w->id != id) continue;
    watch_free(b, w);
    return;
  }
}

void barrier_free(struct barrier *b) {
  if (!b) return;
  while (b->watches)
    watch_free(b, b->watches);
  tokens_done(&b->tokens);
  free(b);
}

static bool watch_is_passed(const struct watch *w) {
  bool all = true;
  for (unsigned i = 0; i < w->count; i++)
    all = all && w->probes[i].passed;
  return all;
}

static void watch_ends(struct barrier *b, struct watch *w, bool passed) {
  struct buf laggards = {0};
  uint64_t id = w->id;
  for (unsigned i = 0; i < w->count; i++) {
    const struct probe *p = &w->probes[i];
    if (!p->passed) buf_printf(&laggards, "%.*s: %s\n", (int)sizeof p->peer.name, p->peer.name, p->what.text);
  }
  watch_free(b, w);
  if (passed) b->events.passed(b->events.arg, id);
  else b->events.late(b->events.arg, id, &laggards);
  buf_done(&laggards);
}

/* ---- events and deadlines ---- */

bool barrier_udp_input(struct barrier *b, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  struct probe *p = tokens_find(&b->tokens, token);
  if (!p) return false;
  struct soa_answer answer;
  struct xfr_what what;
  switch (soa_query_judge(&p->query, &p->watch->apex, bytes, n, now.wall_s, &answer, &what)) {
  case SOA_GIVEN:
    probe_answered(b, p, answer.soa.serial, now);
    break;
  case SOA_TRUNCATED:
    probe_failed(b, p, "answers our SOA query only over TCP", now);
    break;
  case SOA_NO_EDNS:
    p->plain = true;
    probe_ask(b, p, now);
    break;
  case SOA_FAILED:
    probe_failed(b, p, what.text, now);
    break;
  case SOA_DOUBTFUL: /* perhaps a forgery: a better one may come */
    xfr_what_set(&p->what, "%.150s", what.text);
    break;
  case SOA_STRANGE:
    break;
  }
  return true;
}

bool barrier_udp_error(struct barrier *b, uint64_t token, struct instant now) {
  struct probe *p = tokens_find(&b->tokens, token);
  if (!p) return false;
  probe_failed(b, p, "has nobody listening there (port unreachable): is the server running?", now);
  return true;
}

static void probe_run(struct barrier *b, struct probe *p, struct instant now) {
  if (p->passed || p->at_ns > now.mono_ns) return;
  if (p->is_open) probe_failed(b, p, "does not answer: is it up, and reachable from here?", now);
  else probe_ask(b, p, now);
}

void barrier_run(struct barrier *b, struct instant now) {
  for (struct watch *w = b->watches, *next; w; w = next) {
    next = w->next;
    for (unsigned i = 0; i < w->count; i++)
      probe_run(b, &w->probes[i], now);
    bool passed = watch_is_passed(w);
    if (passed || now.mono_ns >= w->until_ns) watch_ends(b, w, passed);
  }
}

uint64_t barrier_deadline(const struct barrier *b) {
  uint64_t at = UINT64_MAX;
  for (const struct watch *w = b->watches; w; w = w->next) {
    if (watch_is_passed(w)) return 0;
    if (w->until_ns < at) at = w->until_ns;
    for (unsigned i = 0; i < w->count; i++)
      if (!w->probes[i].passed && w->probes[i].at_ns < at) at = w->probes[i].at_ns;
  }
  return at;
}
