/* Any bytes as a request and as a response. A request that is understood is echoed; every record that reads well is written
 * into a new message, which must read back as the same records. */
#include "wire/message.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[LIMIT_MESSAGE_BYTES], plain[LIMIT_MESSAGE_BYTES], again[LIMIT_MESSAGE_BYTES];

static void check_request(const uint8_t *data, size_t size) {
  struct request q;
  enum err e = request_parse(data, size, &q);
  assert(e == ERR_OK || e == ERR_FORMAT || e == ERR_SHORT);
  if (e == ERR_SHORT) return;
  assert(q.id == get_u16(data) && q.question_end <= size && q.tsig_at < size);
  if (q.edns.present && q.edns.options_size) assert(q.edns.options >= data && q.edns.options + q.edns.options_size <= data + size);
  if (!q.has_question) return;
  struct message_writer w;
  struct message m;
  struct rd body;
  struct name qname;
  uint16_t qtype, qclass;
  message_start(&w, out, 512, q.id, FLAG_QR);
  assert(message_echo_question(&w, &q));
  assert(message_open(out, message_finish(&w, RCODE_FORMERR), &m, &body) == ERR_OK);
  assert(message_question(&m, &body, &qname, &qtype, &qclass) == ERR_OK && rd_left(&body) == 0);
  assert(name_identical(&qname, &q.qname) && qname.labels == q.qname.labels && qtype == q.qtype && qclass == q.qclass);
}

/* A record with RDATA uncompressed, in `to`. False at the first that does not read. */
static bool next_record(const struct message *m, struct rd *body, struct message_rr *rr, uint8_t *to, size_t *n) {
  struct wr w = wr_make(to, LIMIT_MESSAGE_BYTES);
  if (message_rr(m, body, rr) != ERR_OK) return false;
  struct rd rdata = rr->rdata;
  if (rr_rdata_read(&rdata, rr->rdata_size, m->bytes, rr->type, &w) != ERR_OK) return false;
  *n = wr_used(&w);
  assert(rr_rdata_check(rr->type, to, *n) == ERR_OK);
  return true;
}

static void check_records(const uint8_t *data, size_t size) {
  struct message m, copy;
  struct rd body, copy_body;
  struct name qname;
  uint16_t qtype, qclass;
  if (message_open(data, size, &m, &body) != ERR_OK) return;
  struct message_writer w;
  size_t limit = 12 + (size_t)m.id % (LIMIT_MESSAGE_BYTES - 12), n, copy_n;
  message_start(&w, out, limit, m.id, m.flags);
  bool has_question = m.counts[0] > 0 && message_question(&m, &body, &qname, &qtype, &qclass) == ERR_OK;
  if (has_question) has_question = message_put_question(&w, &qname, qtype, qclass);
  struct rd first = body;
  struct message_rr rr, copy_rr;
  unsigned written = 0;
  while (next_record(&m, &body, &rr, plain, &n)) {
    size_t before = wr_used(&w.out);
    if (!message_put_rr(&w, SECTION_ANSWER, rr.owner.octets, rr.type, rr.class, rr.ttl, plain, n)) {
      assert(wr_used(&w.out) == before);
      break;
    }
    written++;
  }
  size_t used = message_finish(&w, 0);
  assert(used <= limit && message_open(out, used, &copy, &copy_body) == ERR_OK && copy.counts[1] == written);
  if (has_question) assert(message_question(&copy, &copy_body, &qname, &qtype, &qclass) == ERR_OK);
  body = first;
  for (unsigned i = 0; i < written; i++) {
    assert(next_record(&m, &body, &rr, plain, &n) && next_record(&copy, &copy_body, &copy_rr, again, &copy_n));
    assert(name_equal(&rr.owner, &copy_rr.owner) && rr.type == copy_rr.type && rr.class == copy_rr.class && rr.ttl == copy_rr.ttl);
    assert(n == copy_n && memcmp(plain, again, n) == 0);
  }
  assert(rd_left(&copy_body) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > LIMIT_MESSAGE_BYTES) return 0;
  check_request(data, size);
  check_records(data, size);
  return 0;
}
