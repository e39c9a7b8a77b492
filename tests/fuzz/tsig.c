/* TSIG: nothing that was not signed with the key is taken, and what was signed is. */
#include "tsig/tsig.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW_S = 1800000000, BUFFER_BYTES = LIMIT_MESSAGE_BYTES + TSIG_RR_BYTES_MAX };

static struct tsig_keyring *keys;
static struct name key_name = {13, 2, "\3key\7example"};
static uint8_t buffer[BUFFER_BYTES];

static void make_keys(void) {
  if (keys) return;
  enum err e = tsig_keyring_new(&keys);
  if (!e) e = tsig_keyring_add(keys, &key_name, HMAC_SHA256, (const uint8_t *)"secret", 6);
  if (e) abort();
}

static void as_request(const uint8_t *data, size_t size) {
  struct request req;
  struct tsig_stream s;
  if (request_parse(data, size, &req) || req.tsig_at == 0) return;
  enum err e = tsig_verify_request(keys, &req, NOW_S, &s);
  assert(e == ERR_OK || e == ERR_REFUSED || e == ERR_FORMAT);
  assert((e == ERR_OK) == (tsig_verified_key(&s) != NULL));
  assert((e == ERR_REFUSED) == (s.error != 0));
  size_t n = MESSAGE_HEADER_BYTES, before = n;
  memset(buffer, 0, n);
  if (tsig_sign_response(&s, true, buffer, &n, sizeof buffer, NOW_S)) abort();
  assert(n - before <= tsig_reserve(&s) && n - before <= TSIG_RR_BYTES_MAX);
  assert((n > before) == (e != ERR_FORMAT));
}

/* A signed question of ours, as both sides see it. */
static void open_exchange(struct tsig_stream *client, struct tsig_stream *server) {
  static const uint8_t question[] = {0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1};
  uint8_t message[sizeof question + TSIG_RR_BYTES_MAX];
  size_t n = sizeof question;
  struct request req;
  memcpy(message, question, n);
  if (tsig_sign_request(client, tsig_keyring_find(keys, &key_name), message, &n, sizeof message, NOW_S)) abort();
  if (request_parse(message, n, &req) || tsig_verify_request(keys, &req, NOW_S, server)) abort();
}

/* Whether a message is whole and holds no TSIG: then it can be signed, and the signature found. */
static bool is_whole(const uint8_t *data, size_t size) {
  struct message m;
  struct message_rr rr;
  struct rd body;
  struct name name;
  uint16_t type, class;
  if (message_open(data, size, &m, &body)) return false;
  for (unsigned i = 0; i < m.counts[0]; i++)
    if (message_question(&m, &body, &name, &type, &class)) return false;
  for (unsigned i = 0; i < (unsigned)m.counts[1] + m.counts[2] + m.counts[3]; i++)
    if (message_rr(&m, &body, &rr) || rr.type == RR_TSIG) return false;
  return rd_left(&body) == 0;
}

static void as_response(const uint8_t *data, size_t size) {
  struct tsig_stream client, server;
  uint16_t error;
  open_exchange(&client, &server);
  assert(tsig_verify_response(&client, data, size, true, NOW_S, &error) == ERR_REFUSED); /* nobody signed it */
  if (size < MESSAGE_HEADER_BYTES || size > LIMIT_MESSAGE_BYTES) return;
  open_exchange(&client, &server);
  size_t n = size;
  memcpy(buffer, data, size);
  if (tsig_sign_response(&server, true, buffer, &n, sizeof buffer, NOW_S) == ERR_OK) {
    enum err e = tsig_verify_response(&client, buffer, n, true, NOW_S, &error);
    assert(e == ERR_OK || (e == ERR_REFUSED && !is_whole(data, size)));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  make_keys();
  as_request(data, size);
  as_response(data, size);
  return 0;
}
