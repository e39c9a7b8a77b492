#include "ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct asker *asker_new(void) {
  struct asker *a = calloc(1, sizeof *a);
  assert_non_null(a);
  assert_int_equal(zone_set_new(&a->zones), ERR_OK);
  a->memory = answer_memory_new();
  assert_non_null(a->memory);
  a->id.udp_bytes = LIMIT_UDP_RESPONSE_BYTES;
  a->id.keepalive_100ms = 300;
  a->now = (struct instant){.mono_ns = 1000 * NS_PER_S, .wall_s = 1800000000};
  a->edns_bytes = 1232;
  a->class = CLASS_IN;
  assert_int_equal(addr_parse("192.0.2.99@4242", 0, &a->from), ERR_OK);
  return a;
}

void asker_free(struct asker *a) {
  tsig_keyring_unref(a->id.keys);
  answer_memory_free(a->memory);
  zone_set_free(a->zones);
  zone_grace_barrier();
  free(a);
}

static uint16_t flags_of(unsigned how) {
  unsigned opcode = how & ASK_NOTIFY ? OPCODE_NOTIFY : how & ASK_UPDATE ? OPCODE_UPDATE : OPCODE_QUERY;
  return (uint16_t)(opcode << FLAG_OPCODE_SHIFT | (how & ASK_RD ? FLAG_RD : 0));
}

size_t asker_question(struct asker *a, const char *name, uint16_t type, unsigned how) {
  struct message_writer w;
  struct name qname;
  assert_int_equal(name_from_text(name, strlen(name), NULL, &qname, NULL, NULL), ERR_OK);
  message_start(&w, a->request, sizeof a->request, 0x1234, flags_of(how));
  assert_true(message_put_question(&w, &qname, type, a->class));
  if (type == RR_IXFR && !(how & ASK_BARE)) {
    static const uint8_t soa[22] = {0}; /* root, root, serial 0 and so on */
    assert_true(message_put_rr(&w, SECTION_AUTHORITY, qname.octets, RR_SOA, CLASS_IN, 0, soa, sizeof soa));
  }
  if (how & (ASK_EDNS | ASK_DO)) {
    uint8_t rdata[512];
    if (a->options_size) memcpy(rdata, a->options, a->options_size);
    uint32_t ttl = (uint32_t)a->edns_version << 16 | (how & ASK_DO ? EDNS_F_DO : 0);
    assert_true(message_put_rr(&w, SECTION_ADDITIONAL, name_root.octets, RR_OPT, a->edns_bytes, ttl, rdata, a->options_size));
  }
  size_t size = message_finish(&w, 0);
  if (a->key) {
    struct tsig_stream s;
    assert_int_equal(tsig_sign_request(&s, a->key, a->request, &size, sizeof a->request, a->now.wall_s), ERR_OK);
  }
  return size;
}

void asker_send(struct asker *a, const uint8_t *bytes, size_t size, unsigned how) {
  struct answer_job *job = &a->job;
  memset(&job->result, 0xee, sizeof job->result);
  job->bytes = bytes;
  job->size = size;
  job->client.from = a->from;
  job->client.transport = how & ASK_TLS ? TRANSPORT_TLS : how & ASK_TCP ? TRANSPORT_TCP : TRANSPORT_UDP;
  job->client.queries_only = a->queries_only;
  job->client.transfers_only = a->transfers_only;
  job->out = a->response;
  job->capacity = how & (ASK_TLS | ASK_TCP) ? LIMIT_MESSAGE_BYTES : LIMIT_UDP_RESPONSE_BYTES;
  zone_read_begin();
  answer(a->zones, &a->id, a->memory, job, a->now);
  zone_read_end();
}

/* ---- reading ---- */

static void render_opt(const struct message_rr *rr, struct buf *out) {
  buf_printf(out, "opt %u%s", rr->class, rr->ttl & EDNS_F_DO ? " do" : "");
  if (rr->ttl >> 16 & 0xff) buf_printf(out, " version=%u", rr->ttl >> 16 & 0xff);
  struct rd r = rr->rdata, value;
  uint16_t code, size;
  while (rd_u16(&r, &code) && rd_u16(&r, &size) && rd_sub(&r, size, &value)) {
    if (code == EDNS_EDE && size >= 2) {
      buf_printf(out, " ede=%u", get_u16(value.at));
      if (size > 2) buf_printf(out, "(%.*s)", size - 2, (const char *)value.at + 2);
      continue;
    }
    if (code == EDNS_PADDING) {
      buf_printf(out, " padding");
      continue;
    }
    buf_printf(out, code == EDNS_NSID          ? " nsid="
                    : code == EDNS_EXPIRE      ? " expire="
                    : code == EDNS_KEEPALIVE   ? " keepalive="
                    : code == EDNS_ZONEVERSION ? " zoneversion="
                                               : " option?=");
    for (uint16_t i = 0; i < size; i++)
      buf_printf(out, "%02x", value.at[i]);
  }
  assert_int_equal(rd_left(&r), 0);
  buf_add_text(out, "\n");
}

static void render_tsig(const struct message_rr *rr, struct buf *out) {
  struct rd r = rr->rdata;
  struct name algorithm;
  uint16_t mac_size = 0, error = 0;
  assert_int_equal(name_read_plain(&r, &algorithm), ERR_OK);
  assert_true(rd_skip(&r, 8) && rd_u16(&r, &mac_size) && rd_skip(&r, mac_size + 2u) && rd_u16(&r, &error));
  buf_printf(out, "tsig %s%s\n",
             error == RCODE_BADKEY    ? "BADKEY"
             : error == RCODE_BADSIG  ? "BADSIG"
             : error == RCODE_BADTIME ? "BADTIME"
                                      : "ok",
             mac_size ? " signed" : "");
}

static void render_rr(const struct message *m, const char *section, struct message_rr *rr, struct buf *out) {
  char owner[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
  uint8_t rdata[LIMIT_MESSAGE_BYTES];
  if (rr->type == RR_OPT) {
    render_opt(rr, out);
    return;
  }
  if (rr->type == RR_TSIG) {
    render_tsig(rr, out);
    return;
  }
  buf_printf(out, "%s %s %u %s", section, name_text(&rr->owner, owner), rr->ttl, rr_type_text(rr->type, type));
  struct wr w = wr_make(rdata, sizeof rdata);
  assert_int_equal(rr_rdata_read(&rr->rdata, rr->rdata_size, m->bytes, rr->type, &w), ERR_OK);
  assert_int_equal(rr_rdata_check(rr->type, rdata, wr_used(&w)), ERR_OK);
  if (rr->type == RR_RRSIG) buf_printf(out, " %s", rr_type_text(get_u16(rdata), type));
  else if (rr->type != RR_NSEC && rr->type != RR_NSEC3 && rr->type != RR_DNSKEY && rr->type != RR_SOA) {
    buf_add_text(out, " ");
    rr_rdata_text(rr->type, rdata, wr_used(&w), out);
  }
  buf_add_text(out, "\n");
}

static unsigned extended_rcode(const struct message *m, struct rd body) {
  unsigned rcode = message_rcode(m);
  for (unsigned i = 0; i < (unsigned)m->counts[1] + m->counts[2] + m->counts[3]; i++) {
    struct message_rr rr;
    assert_int_equal(message_rr(m, &body, &rr), ERR_OK);
    if (rr.type == RR_OPT) rcode |= rr.ttl >> 24 << 4;
  }
  return rcode;
}

static void render_message(const uint8_t *bytes, size_t size, struct buf *out) {
  static const char *const sections[] = {"qd", "an", "au", "ad"};
  struct message m;
  struct rd body;
  assert_int_equal(message_open(bytes, size, &m, &body), ERR_OK);
  assert_true(m.flags & FLAG_QR);
  for (unsigned i = 0; i < m.counts[0]; i++) {
    struct name qname;
    uint16_t type, class;
    assert_int_equal(message_question(&m, &body, &qname, &type, &class), ERR_OK);
  }
  unsigned rcode = extended_rcode(&m, body);
  buf_printf(out, "%s%s%s%s%s%s%s%s\n", rcode == RCODE_BADVERS ? "BADVERS" : rcode_text(rcode), m.flags & FLAG_AA ? " aa" : "",
             m.flags & FLAG_TC ? " tc" : "", m.flags & FLAG_RD ? " rd" : "", m.flags & FLAG_RA ? " ra" : "",
             m.flags & FLAG_AD ? " ad" : "", m.flags & FLAG_CD ? " cd" : "", m.counts[0] ? "" : " noquestion");
  for (unsigned s = 1; s < 4; s++)
    for (unsigned i = 0; i < m.counts[s]; i++) {
      struct message_rr rr;
      assert_int_equal(message_rr(&m, &body, &rr), ERR_OK);
      render_rr(&m, sections[s], &rr, out);
    }
  assert_int_equal(rd_left(&body), 0);
}

const char *asker_render(struct asker *a) {
  const struct answer_result *result = &a->job.result;
  static const char *const kinds[] = {[ANSWER_DROP] = "drop", [ANSWER_UPDATE] = "update", [ANSWER_TRANSFER] = "transfer"};
  if (result->kind != ANSWER_REPLY && result->kind != ANSWER_NOTIFY) {
    assert_int_equal(result->size, 0);
    return kinds[result->kind];
  }
  assert_true(result->size <= a->job.capacity);
  assert_int_equal(get_u16(a->response), get_u16(a->job.bytes));
  struct buf out = {0};
  if (result->kind == ANSWER_NOTIFY) buf_add_text(&out, "notify ");
  render_message(a->response, result->size, &out);
  snprintf(a->text, sizeof a->text, "%s", buf_text(&out));
  buf_done(&out);
  return a->text;
}

const char *ask(struct asker *a, const char *name, uint16_t type, unsigned how) {
  asker_send(a, a->request, asker_question(a, name, type, how), how);
  return asker_render(a);
}

void expect(struct asker *a, const char *name, uint16_t type, unsigned how, const char *expected) {
  const char *seen = ask(a, name, type, how);
  if (strcmp(seen, expected) == 0) return;
  char type_text[RR_TYPE_TEXT_BYTES];
  fail_msg("%s %s (how %u)\n--- expected\n%s--- seen\n%s", name, rr_type_text(type, type_text), how, expected, seen);
}
