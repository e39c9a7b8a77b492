#include "tsig/tsig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Queries for example.com. SOA signed by BIND's dig with key.example. and the secret below, at the times in them. The last MAC is
 * cut to 128 bits. */
static const struct {
  enum hmac_algorithm algorithm;
  const char *hex;
} foreign[] = {
    {HMAC_MD5, "b5bf01200001000000000001076578616d706c6503636f6d0000060001036b6579076578616d706c650000fa00ff00000000003a08686d"
               "61632d6d6435077369672d616c670372656703696e740000006b0366dc012c0010e951bef934c7016a336c3efa754f27bdb5bf00000000"},
    {HMAC_SHA1, "435401200001000000000001076578616d706c6503636f6d0000060001036b6579076578616d706c650000fa00ff00000000002f09686d"
                "61632d736861310000006b0366dd012c0014096b4e914b07def29487dc650c51952cd7cb29f6435400000000"},
    {HMAC_SHA224, "8bad01200001000000000001076578616d706c6503636f6d0000060001036b6579076578616d706c650000fa00ff0000000000390b686d"
                  "61632d7368613232340000006b0366de012c001cca385c95de5225906d2b10ca4bdfe4918d7b3d3e390d966a14a3f6968bad00000000"},
    {HMAC_SHA256, "916b01200001000000000001076578616d706c6503636f6d0000060001036b6579076578616d706c650000fa00ff00000000003d0b686d"
                  "61632d7368613235360000006b0366df012c0020aebbf53d2a5e4b55988b2cb77942be652492803c33d0a5d5ccbf3e4cd22ef9b2916b00"
                  "000000"},
    {HMAC_SHA384, "2bdb01200001000000000001076578616d706c6503636f6d0000060001036b6579076578616d706c650000fa00ff00000000004d0b686d"
                  "61632d7368613338340000006b0366e0012c00304cc2460ecd5152ff638b567e01158c32eb21c7bb81585af368a4e99083878bc70320f1"
                  "56265374bc7c0428c739d879e92bdb00000000"},
    {HMAC_SHA512, "cd1f01200001000000000001076578616d706c6503636f6d0000060001036b6579076578616d706c650000fa00ff00000000005d0b686d"
                  "61632d7368613531320000006b0366e1012c00403a71bff5e09e791fc63ef5d5ad01d644c48701ac2e106ccf726f6ed2dd5fe7e9990b2d"
                  "0d4c4f2cbe5c99fe123363042f716a0c65078c3a316cb0d65a0b5ffa87cd1f00000000"},
    {HMAC_SHA256, "a98d01200001000000000001076578616d706c6503636f6d0000060001036b6579076578616d706c650000fa00ff00000000002d0b686d"
                  "61632d7368613235360000006b0366e2012c0010209b169063aabb4424c6c970d03c4721a98d00000000"},
};
static const char secret[] = "secret secret secret";

enum { BUFFER_BYTES = 4096, NOW_S = 1800000000 };

static size_t from_hex(const char *hex, uint8_t *out) {
  size_t n = 0;
  for (; hex[0] && hex[1]; hex += 2) {
    char pair[3] = {hex[0], hex[1], 0};
    out[n++] = (uint8_t)strtoul(pair, NULL, 16);
  }
  return n;
}

static struct name make_name(const char *text) {
  struct name n;
  assert_int_equal(name_from_text(text, strlen(text), NULL, &n, NULL, NULL), ERR_OK);
  return n;
}

static struct tsig_keyring *make_keys(enum hmac_algorithm a, const char *name, const char *key_secret) {
  struct tsig_keyring *k;
  struct name n = make_name(name);
  assert_int_equal(tsig_keyring_new(&k), ERR_OK);
  assert_int_equal(tsig_keyring_add(k, &n, a, (const uint8_t *)key_secret, strlen(key_secret)), ERR_OK);
  return k;
}

static size_t make_message(uint16_t id, uint16_t flags, uint8_t *out) {
  struct message_writer w;
  struct name n = make_name("example.com.");
  message_start(&w, out, BUFFER_BYTES, id, flags);
  assert_true(message_put_question(&w, &n, RR_SOA, CLASS_IN));
  return message_finish(&w, 0);
}

/* The signing time that a message states: behind owner, fixed part and algorithm of its last record. */
static int64_t time_in(const struct request *r) {
  struct rd at = rd_make(r->bytes + r->tsig_at, r->size - r->tsig_at);
  struct name n;
  uint64_t t = 0;
  assert_int_equal(name_read_plain(&at, &n), ERR_OK);
  assert_true(rd_skip(&at, 10));
  assert_int_equal(name_read_plain(&at, &n), ERR_OK);
  assert_true(rd_u48(&at, &t));
  return (int64_t)t;
}

static enum err verify_at(const struct tsig_keyring *keys, const uint8_t *message, size_t size, int64_t now_s,
                          struct tsig_stream *s) {
  struct request r;
  assert_int_equal(request_parse(message, size, &r), ERR_OK);
  assert_int_not_equal(r.tsig_at, 0);
  return tsig_verify_request(keys, &r, now_s, s);
}

static void test_foreign(void **state) {
  for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
    uint8_t message[BUFFER_BYTES];
    size_t n = from_hex(foreign[i].hex, message);
    struct tsig_keyring *keys = make_keys(foreign[i].algorithm, "Key.EXAMPLE.", secret);
    struct request r;
    struct tsig_stream s;
    assert_int_equal(request_parse(message, n, &r), ERR_OK);
    int64_t t = time_in(&r);
    assert_int_equal(tsig_verify_request(keys, &r, t + TSIG_FUDGE_S, &s), ERR_OK);
    assert_ptr_equal(tsig_verified_key(&s), s.key);
    assert_non_null(s.key);
    assert_int_equal(tsig_verify_request(keys, &r, t + TSIG_FUDGE_S + 1, &s), ERR_REFUSED);
    assert_int_equal(s.error, RCODE_BADTIME);
    assert_null(tsig_verified_key(&s));
    assert_int_equal(tsig_verify_request(keys, &r, t - TSIG_FUDGE_S - 1, &s), ERR_REFUSED);
    assert_int_equal(s.error, RCODE_BADTIME);
    tsig_keyring_unref(keys);
  }
}

/* A client and a server that share a key, with a signed request under way. */
struct pair {
  struct tsig_keyring *keys;
  struct tsig_stream client, server;
  uint8_t request[BUFFER_BYTES];
  size_t request_size;
};

static void pair_open(struct pair *p, enum hmac_algorithm a) {
  p->keys = make_keys(a, "key.example.", secret);
  struct name n = make_name("key.example.");
  p->request_size = make_message(0x1234, 0, p->request);
  assert_int_equal(tsig_sign_request(&p->client, tsig_keyring_find(p->keys, &n), p->request, &p->request_size, BUFFER_BYTES, NOW_S),
                   ERR_OK);
  assert_int_equal(verify_at(p->keys, p->request, p->request_size, NOW_S, &p->server), ERR_OK);
}

static void pair_close(struct pair *p) {
  tsig_keyring_unref(p->keys);
}

static size_t respond(struct pair *p, bool first, unsigned rcode, uint8_t *out) {
  size_t n = make_message(0x1234, (uint16_t)(FLAG_QR | rcode), out);
  size_t before = n;
  assert_int_equal(tsig_sign_response(&p->server, first, out, &n, BUFFER_BYTES, NOW_S), ERR_OK);
  assert_true(n > before);
  assert_true(n - before <= tsig_reserve(&p->server));
  return n;
}

static enum err take(struct pair *p, const uint8_t *message, size_t n, bool last, uint16_t *error) {
  *error = 0xffff;
  return tsig_verify_response(&p->client, message, n, last, NOW_S, error);
}

static void test_round_trip(void **state) {
  for (unsigned a = 0; a < HMAC_COUNT; a++) {
    struct pair p;
    uint8_t message[BUFFER_BYTES];
    uint16_t error;
    pair_open(&p, (enum hmac_algorithm)a);
    size_t n = respond(&p, true, 0, message);
    assert_int_equal(take(&p, message, n, true, &error), ERR_OK);
    pair_close(&p);
  }
}

/* The message ID is not signed (the original ID is); everything else is. */
static bool is_message_id(size_t at) {
  return at < 2;
}

static void test_tampered_request(void **state) {
  struct pair p;
  pair_open(&p, HMAC_SHA256);
  for (size_t at = 0; at < p.request_size; at++) {
    if (is_message_id(at)) continue;
    for (unsigned bit = 0; bit < 8; bit++) {
      struct request r;
      struct tsig_stream s;
      p.request[at] ^= (uint8_t)(1 << bit);
      if (request_parse(p.request, p.request_size, &r) == ERR_OK && r.tsig_at) {
        enum err e = tsig_verify_request(p.keys, &r, NOW_S, &s);
        /* The case of the names of key and algorithm does not count. */
        bool folded = bit == 5 && at >= r.tsig_at && tsig_verified_key(&s);
        if (e == ERR_OK && !folded) fail_msg("octet %zu bit %u", at, bit);
        assert_true(e == ERR_OK || !tsig_verified_key(&s));
      }
      p.request[at] ^= (uint8_t)(1 << bit);
    }
  }
  pair_close(&p);
}

static void test_tampered_response(void **state) {
  struct pair p;
  uint8_t message[BUFFER_BYTES];
  pair_open(&p, HMAC_SHA512);
  size_t n = respond(&p, true, 0, message), unsigned_size = make_message(0x1234, FLAG_QR, (uint8_t[BUFFER_BYTES]){0});
  pair_close(&p);
  for (size_t at = 2; at < n; at++) {
    uint16_t error;
    pair_open(&p, HMAC_SHA512);
    message[at] ^= 0x20;
    enum err e = take(&p, message, n, true, &error);
    bool folded = at > unsigned_size && at < unsigned_size + 1 + 12;              /* the key's name */
    folded = folded || (at > unsigned_size + 23 && at < unsigned_size + 23 + 12); /* the algorithm's name */
    if (e == ERR_OK && !folded) fail_msg("octet %zu", at);
    message[at] ^= 0x20;
    pair_close(&p);
  }
}

static void test_shortened(void **state) {
  struct pair p;
  pair_open(&p, HMAC_SHA256);
  for (size_t n = MESSAGE_HEADER_BYTES; n < p.request_size; n++) {
    struct request r;
    struct tsig_stream s;
    if (request_parse(p.request, n, &r) != ERR_OK || r.tsig_at == 0) continue;
    assert_int_not_equal(tsig_verify_request(p.keys, &r, NOW_S, &s), ERR_OK);
  }
  pair_close(&p);
}

/* ---- what the server says when it does not like a request (RFC 8945 §5.2, §5.3.2) ---- */

struct seen_tsig {
  uint16_t error, mac_size, original_id, other_size;
  uint64_t time_signed;
  const uint8_t *other;
};

static void see_tsig(const uint8_t *bytes, size_t n, const char *key, const char *algorithm, struct seen_tsig *out) {
  struct message m;
  struct rd body;
  struct name name;
  uint16_t type, class;
  struct message_rr rr;
  assert_int_equal(message_open(bytes, n, &m, &body), ERR_OK);
  assert_int_equal(m.counts[3], 1);
  assert_int_equal(message_question(&m, &body, &name, &type, &class), ERR_OK);
  assert_int_equal(message_rr(&m, &body, &rr), ERR_OK);
  assert_int_equal(rr.type, RR_TSIG);
  assert_int_equal(rr.class, CLASS_ANY);
  assert_int_equal(rr.ttl, 0);
  struct name key_name = make_name(key), algorithm_name = make_name(algorithm), seen;
  assert_true(name_identical(&rr.owner, &key_name));
  assert_int_equal(name_read_plain(&rr.rdata, &seen), ERR_OK);
  assert_true(name_identical(&seen, &algorithm_name));
  uint16_t fudge = 0;
  assert_true(rd_u48(&rr.rdata, &out->time_signed) && rd_u16(&rr.rdata, &fudge) && rd_u16(&rr.rdata, &out->mac_size));
  assert_int_equal(fudge, TSIG_FUDGE_S);
  assert_true(rd_skip(&rr.rdata, out->mac_size) && rd_u16(&rr.rdata, &out->original_id) && rd_u16(&rr.rdata, &out->error));
  assert_true(rd_u16(&rr.rdata, &out->other_size) && rd_bytes(&rr.rdata, out->other_size, &out->other));
  assert_int_equal(rd_left(&rr.rdata), 0);
}

static void check_refusal(const struct tsig_keyring *server_keys, int64_t server_now_s, uint16_t error, struct seen_tsig *seen,
                          struct pair *p, uint8_t *message) {
  assert_int_equal(verify_at(server_keys, p->request, p->request_size, server_now_s, &p->server), ERR_REFUSED);
  assert_int_equal(p->server.error, error);
  assert_null(tsig_verified_key(&p->server));
  size_t n = make_message(0x1234, FLAG_QR | RCODE_NOTAUTH, message), before = n;
  assert_int_equal(tsig_sign_response(&p->server, true, message, &n, BUFFER_BYTES, server_now_s), ERR_OK);
  assert_int_equal(n - before, tsig_reserve(&p->server));
  see_tsig(message, n, "key.example.", "hmac-sha256.", seen);
  assert_int_equal(seen->error, error);
  assert_int_equal(seen->original_id, 0x1234);
  uint16_t told;
  assert_int_equal(take(p, message, n, true, &told), ERR_REFUSED);
  assert_int_equal(told, error);
}

static void test_bad_key(void **state) {
  struct pair p;
  struct seen_tsig seen;
  uint8_t message[BUFFER_BYTES];
  pair_open(&p, HMAC_SHA256);
  struct tsig_keyring *others = make_keys(HMAC_SHA256, "other.example.", secret);
  struct tsig_keyring *other_algorithm = make_keys(HMAC_SHA512, "key.example.", secret);
  check_refusal(others, NOW_S, RCODE_BADKEY, &seen, &p, message);
  assert_int_equal(seen.mac_size, 0);
  assert_int_equal(seen.other_size, 0);
  check_refusal(other_algorithm, NOW_S, RCODE_BADKEY, &seen, &p, message);
  assert_int_equal(seen.mac_size, 0);
  check_refusal(NULL, NOW_S, RCODE_BADKEY, &seen, &p, message);
  assert_int_equal(seen.mac_size, 0);
  tsig_keyring_unref(others);
  tsig_keyring_unref(other_algorithm);
  pair_close(&p);
}

static void test_bad_signature(void **state) {
  struct pair p;
  struct seen_tsig seen;
  uint8_t message[BUFFER_BYTES];
  pair_open(&p, HMAC_SHA256);
  struct tsig_keyring *others = make_keys(HMAC_SHA256, "key.example.", "another secret");
  check_refusal(others, NOW_S, RCODE_BADSIG, &seen, &p, message);
  assert_int_equal(seen.mac_size, 0);
  assert_int_equal(seen.other_size, 0);
  /* the key is looked at before the clock: no BADTIME for whoever can't sign */
  check_refusal(others, NOW_S + 10000, RCODE_BADSIG, &seen, &p, message);
  tsig_keyring_unref(others);
  pair_close(&p);
}

static void test_bad_time(void **state) {
  struct pair p;
  struct seen_tsig seen;
  uint8_t message[BUFFER_BYTES];
  pair_open(&p, HMAC_SHA256);
  check_refusal(p.keys, NOW_S + 1000, RCODE_BADTIME, &seen, &p, message);
  assert_int_equal(seen.mac_size, 32); /* signed */
  assert_int_equal(seen.time_signed, NOW_S);
  assert_int_equal(seen.other_size, 6);
  assert_int_equal(get_u48(seen.other), NOW_S + 1000);
  pair_close(&p);
}

/* Cuts the MAC of the request to n octets, as a client that was told so would. */
static void cut_mac(struct pair *p, size_t full, size_t n) {
  uint8_t *end = p->request + p->request_size, *mac = end - 6 - full;
  put_u16(mac - 2, (uint16_t)n);
  uint8_t *length = mac - 2 - 8 - 13 - 2; /* in front of the algorithm's 13 octets, time, fudge */
  put_u16(length, (uint16_t)(get_u16(length) - (full - n)));
  memmove(mac + n, mac + full, 6);
  p->request_size -= full - n;
}

static void test_truncated_mac(void **state) {
  static const struct {
    size_t bytes;
    enum err e;
  } cases[] = {{32, ERR_OK}, {31, ERR_OK}, {16, ERR_OK}, {15, ERR_FORMAT}, {10, ERR_FORMAT}, {1, ERR_FORMAT}, {0, ERR_FORMAT}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct pair p;
    pair_open(&p, HMAC_SHA256);
    cut_mac(&p, 32, cases[i].bytes);
    assert_int_equal(verify_at(p.keys, p.request, p.request_size, NOW_S, &p.server), cases[i].e);
    if (cases[i].e == ERR_OK) { /* the answer covers the MAC as it was sent */
      uint8_t message[BUFFER_BYTES];
      size_t n = respond(&p, true, 0, message);
      struct seen_tsig seen;
      see_tsig(message, n, "key.example.", "hmac-sha256.", &seen);
      assert_int_equal(seen.mac_size, 32);
      assert_int_equal(p.server.mac_size, 32);
    }
    pair_close(&p);
  }
}

/* A forwarder changes the ID; the original one is in the TSIG. */
static void test_original_id(void **state) {
  struct pair p;
  struct seen_tsig seen;
  uint8_t message[BUFFER_BYTES];
  pair_open(&p, HMAC_SHA256);
  put_u16(p.request, 0x4321);
  assert_int_equal(verify_at(p.keys, p.request, p.request_size, NOW_S, &p.server), ERR_OK);
  size_t n = make_message(0x4321, FLAG_QR, message);
  assert_int_equal(tsig_sign_response(&p.server, true, message, &n, BUFFER_BYTES, NOW_S), ERR_OK);
  see_tsig(message, n, "key.example.", "hmac-sha256.", &seen);
  assert_int_equal(seen.original_id, 0x1234);
  uint16_t error;
  put_u16(message, 0x1234);
  assert_int_equal(take(&p, message, n, true, &error), ERR_OK);
  pair_close(&p);
}

static void test_no_room(void **state) {
  struct pair p;
  uint8_t message[BUFFER_BYTES];
  pair_open(&p, HMAC_SHA256);
  size_t n = make_message(0x1234, FLAG_QR, message), before = n;
  size_t need = n + tsig_reserve(&p.server);
  assert_int_equal(tsig_sign_response(&p.server, true, message, &n, need - 1, NOW_S), ERR_SPACE);
  assert_int_equal(n, before);
  assert_int_equal(get_u16(message + 10), 0);
  assert_int_equal(tsig_sign_response(&p.server, true, message, &n, need, NOW_S), ERR_OK);
  assert_int_equal(n, need);
  pair_close(&p);
}

static void test_unsigned_exchange(void **state) {
  struct tsig_stream s;
  uint8_t message[BUFFER_BYTES];
  tsig_stream_none(&s);
  size_t n = make_message(1, FLAG_QR, message), before = n;
  assert_int_equal(tsig_reserve(&s), 0);
  assert_int_equal(tsig_sign_response(&s, true, message, &n, BUFFER_BYTES, NOW_S), ERR_OK);
  assert_int_equal(n, before);
}

/* ---- malformed records ---- */

static void check_malformed(size_t at_from_tsig, uint8_t value) {
  struct pair p;
  struct request r;
  pair_open(&p, HMAC_SHA256);
  assert_int_equal(request_parse(p.request, p.request_size, &r), ERR_OK);
  p.request[r.tsig_at + at_from_tsig] = value;
  assert_int_equal(tsig_verify_request(p.keys, &r, NOW_S, &p.server), ERR_FORMAT);
  assert_null(p.server.key);
  pair_close(&p);
}

static void test_malformed(void **state) {
  enum { NAME = 13, CLASS = NAME + 2, TTL = CLASS + 2, RDATA = TTL + 6, ALGORITHM = 13, MAC_SIZE = RDATA + ALGORITHM + 8 };
  check_malformed(CLASS + 1, CLASS_IN);
  check_malformed(TTL + 3, 1);
  check_malformed(TTL + 5, 200);             /* RDLENGTH over the end */
  check_malformed(RDATA, 0xc0);              /* the algorithm's name is never compressed */
  check_malformed(MAC_SIZE, 0xff);           /* MAC over the end */
  check_malformed(MAC_SIZE + 1, 31);         /* fields no longer fill RDATA */
  check_malformed(MAC_SIZE + 2 + 32 + 5, 1); /* other data over the end */
}

/* ---- streams (RFC 8945 §5.3.1) ---- */

static void test_stream(void **state) {
  struct pair p;
  uint8_t message[BUFFER_BYTES];
  uint16_t error;
  pair_open(&p, HMAC_SHA256);
  for (unsigned i = 0; i < 250; i++) {
    size_t n = respond(&p, i == 0, 0, message);
    assert_int_equal(take(&p, message, n, i == 249, &error), ERR_OK);
  }
  pair_close(&p);
}

/* Some servers sign the first, the last, and every so many: `signed_every` apart. The signer's digest is made by hand here. */
static enum err run_sparse(unsigned messages, unsigned signed_every, bool last_signed, unsigned *taken) {
  struct pair p;
  uint16_t error = 0xffff;
  enum err e = ERR_OK;
  pair_open(&p, HMAC_SHA256);
  struct hmac_key *key;
  struct hmac h;
  assert_int_equal(hmac_key_new(HMAC_SHA256, (const uint8_t *)secret, strlen(secret), &key), ERR_OK);
  for (unsigned i = 0; e == ERR_OK && i < messages; i++) {
    uint8_t message[BUFFER_BYTES];
    size_t n = make_message(0x1234, FLAG_QR, message);
    bool last = i + 1 == messages;
    if (i == 0) {
      assert_int_equal(tsig_sign_response(&p.server, true, message, &n, BUFFER_BYTES, NOW_S), ERR_OK);
    } else {
      bool sign = last ? last_signed : i % signed_every == 0;
      uint8_t timers[8], mac[HMAC_BYTES_MAX], size[2] = {0, 32};
      if ((i - 1) % signed_every == 0) { /* behind a signed one: its MAC starts the digest */
        hmac_begin(&h, key);
        hmac_add(&h, size, 2);
        hmac_add(&h, p.server.mac, 32);
      }
      hmac_add(&h, message, n);
      if (sign) {
        put_u48(timers, NOW_S);
        put_u16(timers + 6, TSIG_FUDGE_S);
        hmac_add(&h, timers, 8);
        hmac_finish(&h, mac);
        assert_int_equal(tsig_sign_response(&p.server, false, message, &n, BUFFER_BYTES, NOW_S), ERR_OK);
        memcpy(message + n - 6 - 32, mac, 32);
        memcpy(p.server.mac, mac, 32);
      }
    }
    e = take(&p, message, n, last, &error);
    if (e == ERR_OK) (*taken)++;
  }
  if (e) assert_int_equal(error, 0); /* missing, not wrong */
  hmac_key_free(key);
  pair_close(&p);
  return e;
}

static void test_sparse_stream(void **state) {
  unsigned taken = 0;
  assert_int_equal(run_sparse(301, 100, true, &taken), ERR_OK); /* 99 between two signed ones */
  assert_int_equal(taken, 301);
  taken = 0;
  assert_int_equal(run_sparse(301, 101, true, &taken), ERR_REFUSED);
  assert_int_equal(taken, 100);
  taken = 0;
  assert_int_equal(run_sparse(10, 100, false, &taken), ERR_REFUSED); /* the last one must be signed */
  assert_int_equal(taken, 9);
  taken = 0;
  assert_int_equal(run_sparse(5, 1, true, &taken), ERR_OK);
}

static void test_first_must_be_signed(void **state) {
  struct pair p;
  uint8_t message[BUFFER_BYTES];
  uint16_t error;
  pair_open(&p, HMAC_SHA256);
  size_t n = make_message(0x1234, FLAG_QR, message);
  assert_int_equal(take(&p, message, n, false, &error), ERR_REFUSED);
  assert_int_equal(error, 0);
  pair_close(&p);
}

/* Leaving out, doubling or swapping messages of a stream is noticed. */
static void test_stream_order(void **state) {
  for (unsigned how = 0; how < 3; how++) {
    struct pair p;
    uint8_t messages[4][BUFFER_BYTES];
    size_t sizes[4];
    uint16_t error;
    pair_open(&p, HMAC_SHA256);
    for (unsigned i = 0; i < 4; i++)
      sizes[i] = respond(&p, i == 0, 0, messages[i]);
    static const unsigned orders[3][4] = {{0, 2, 3, 3}, {0, 1, 1, 2}, {0, 2, 1, 3}};
    enum err e = ERR_OK;
    for (unsigned i = 0; i < 4 && e == ERR_OK; i++)
      e = take(&p, messages[orders[how][i]], sizes[orders[how][i]], false, &error);
    assert_int_equal(e, ERR_REFUSED);
    assert_int_equal(error, RCODE_BADSIG);
    pair_close(&p);
  }
}

static void test_response_late(void **state) {
  struct pair p;
  uint8_t message[BUFFER_BYTES];
  uint16_t error = 0;
  pair_open(&p, HMAC_SHA256);
  size_t n = respond(&p, true, 0, message);
  assert_int_equal(tsig_verify_response(&p.client, message, n, true, NOW_S + TSIG_FUDGE_S + 1, &error), ERR_REFUSED);
  assert_int_equal(error, RCODE_BADTIME);
  pair_close(&p);
}

static void test_response_of_other_key(void **state) {
  struct pair p, q;
  uint8_t message[BUFFER_BYTES];
  uint16_t error;
  pair_open(&p, HMAC_SHA256);
  pair_open(&q, HMAC_SHA384);
  size_t n = respond(&q, true, 0, message);
  assert_int_equal(take(&p, message, n, true, &error), ERR_REFUSED);
  assert_int_equal(error, RCODE_BADKEY);
  pair_close(&p);
  pair_close(&q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_foreign),
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_tampered_request),
      cmocka_unit_test(test_tampered_response),
      cmocka_unit_test(test_shortened),
      cmocka_unit_test(test_bad_key),
      cmocka_unit_test(test_bad_signature),
      cmocka_unit_test(test_bad_time),
      cmocka_unit_test(test_truncated_mac),
      cmocka_unit_test(test_original_id),
      cmocka_unit_test(test_no_room),
      cmocka_unit_test(test_unsigned_exchange),
      cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_stream),
      cmocka_unit_test(test_sparse_stream),
      cmocka_unit_test(test_first_must_be_signed),
      cmocka_unit_test(test_stream_order),
      cmocka_unit_test(test_response_late),
      cmocka_unit_test(test_response_of_other_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
