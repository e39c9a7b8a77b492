/* Writing messages and reading them back: compression, case, limits, rewinding. */
#include "rr_test.h"
#include "wire/message.h"

#include <stdio.h>
#include <strings.h>

static uint8_t buffer[LIMIT_MESSAGE_BYTES];
static struct message_writer writer;
static struct rdata data;

static void start(size_t limit, const char *question) {
  struct name qname;
  memset(&writer, 0xa5, sizeof writer); /* nothing may be taken over from before */
  message_start(&writer, buffer, limit, 0x1234, FLAG_QR | FLAG_AA);
  if (!question) return;
  name_of(question, &qname);
  assert_true(message_put_question(&writer, &qname, RR_A, CLASS_IN));
}

static bool put(enum section section, const char *owner, const char *type, const char *text) {
  struct name n;
  rdata_of(type, text, &data);
  if (owner) name_of(owner, &n);
  return message_put_rr(&writer, section, owner ? n.octets : NULL, type_of(type), CLASS_IN, 300, data.bytes, data.size);
}

/* All records as "owner type text" lines. */
static void read_back(size_t size, struct buf *out) {
  struct message m;
  struct rd body;
  struct name qname;
  uint16_t qtype, qclass;
  assert_int_equal(message_open(buffer, size, &m, &body), ERR_OK);
  if (m.counts[0]) assert_int_equal(message_question(&m, &body, &qname, &qtype, &qclass), ERR_OK);
  for (unsigned i = 0; i < (unsigned)m.counts[1] + m.counts[2] + m.counts[3]; i++) {
    struct message_rr rr;
    static uint8_t plain[LIMIT_MESSAGE_BYTES];
    char text[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
    struct wr w = wr_make(plain, sizeof plain);
    assert_int_equal(message_rr(&m, &body, &rr), ERR_OK);
    assert_int_equal(rr.ttl, 300);
    assert_int_equal(rr_rdata_read(&rr.rdata, rr.rdata_size, m.bytes, rr.type, &w), ERR_OK);
    buf_printf(out, "%s %s ", name_text(&rr.owner, text), rr_type_text(rr.type, type));
    rr_rdata_text(rr.type, plain, wr_used(&w), out);
    buf_add_byte(out, '\n');
  }
  assert_int_equal(rd_left(&body), 0);
}

static void assert_message(size_t want_size, const char *want) {
  struct buf text = {0};
  size_t size = message_finish(&writer, RCODE_NOERROR);
  read_back(size, &text);
  assert_string_equal(buf_text(&text), want);
  assert_int_equal(size, want_size);
  buf_done(&text);
}

enum { QUESTION_BYTES = 12 + 17 + 4 }; /* header and www.example.com. with type and class */

static void test_header(void **state) {
  start(512, NULL);
  writer.flags |= FLAG_TC;
  assert_int_equal(message_finish(&writer, RCODE_REFUSED), 12);
  assert_memory_equal(buffer, "\x12\x34\x86\x05\0\0\0\0\0\0\0\0", 12);
}

static void test_owner_is_the_question(void **state) {
  start(512, "www.example.com.");
  assert_true(put(SECTION_ANSWER, NULL, "A", "192.0.2.1"));
  assert_true(put(SECTION_ANSWER, "www.example.com.", "A", "192.0.2.2"));
  assert_true(put(SECTION_ANSWER, "WWW.Example.com.", "A", "192.0.2.3"));
  assert_message(QUESTION_BYTES + 3 * 16,
                 "www.example.com. A 192.0.2.1\nwww.example.com. A 192.0.2.2\nwww.example.com. A 192.0.2.3\n");
}

static void test_suffixes(void **state) {
  start(512, "www.example.com.");
  assert_true(put(SECTION_AUTHORITY, "example.com.", "NS", "ns1.example.com."));
  assert_true(put(SECTION_AUTHORITY, "example.com.", "NS", "ns2.example.com."));
  assert_true(put(SECTION_ADDITIONAL, "ns1.example.com.", "A", "192.0.2.1"));
  assert_true(put(SECTION_ADDITIONAL, "a.ns2.example.com.", "A", "192.0.2.2"));
  assert_true(put(SECTION_ADDITIONAL, "com.", "MX", "10 ."));
  assert_message(QUESTION_BYTES + 2 * (12 + 6) + 16 + 18 + 15,
                 "example.com. NS ns1.example.com.\nexample.com. NS ns2.example.com.\nns1.example.com. A 192.0.2.1\n"
                 "a.ns2.example.com. A 192.0.2.2\ncom. MX 10 .\n");
}

/* Owners may end in the question's name in any case; names in RDATA keep theirs. */
static void test_case(void **state) {
  start(512, "wWw.eXample.com.");
  assert_true(put(SECTION_AUTHORITY, "example.com.", "NS", "Ns.example.com."));
  assert_true(put(SECTION_ADDITIONAL, "ns.example.com.", "A", "192.0.2.1"));
  assert_true(put(SECTION_ADDITIONAL, "Ns.example.com.", "A", "192.0.2.1"));
  /* the first owner takes its case from the question; ns is not Ns; the third is the name in the NS */
  assert_message(QUESTION_BYTES + 12 + 13 + (3 + 2 + 14) + 16,
                 "eXample.com. NS Ns.example.com.\nns.example.com. A 192.0.2.1\nNs.example.com. A 192.0.2.1\n");
}

/* Only the types of RFC 1035 are compressed (RFC 3597 §4). */
static void test_rdata_of_other_types(void **state) {
  start(512, "www.example.com.");
  assert_true(put(SECTION_ANSWER, NULL, "SRV", "1 2 3 www.example.com."));
  assert_true(put(SECTION_ANSWER, NULL, "DNAME", "www.example.com."));
  assert_true(put(SECTION_ANSWER, NULL, "MX", "1 www.example.com."));
  assert_true(put(SECTION_ANSWER, NULL, "SOA", "www.example.com. host.example.com. 1 2 3 4 5"));
  assert_message(QUESTION_BYTES + (12 + 23) + (12 + 17) + (12 + 4) + (12 + 2 + 7 + 20),
                 "www.example.com. SRV 1 2 3 www.example.com.\nwww.example.com. DNAME www.example.com.\n"
                 "www.example.com. MX 1 www.example.com.\nwww.example.com. SOA www.example.com. host.example.com. 1 2 3 4 5\n");
}

static void test_no_question(void **state) {
  start(512, NULL);
  assert_true(put(SECTION_ANSWER, "a.b.", "NS", "b."));
  assert_true(put(SECTION_ANSWER, ".", "NS", "a.b."));
  assert_true(put(SECTION_ANSWER, "b.", "NS", "."));
  assert_message(12 + (5 + 10 + 2) + (1 + 10 + 2) + (2 + 10 + 1), "a.b. NS b.\n. NS a.b.\nb. NS .\n");
}

static void test_question_is_root(void **state) {
  start(512, ".");
  assert_true(put(SECTION_ANSWER, NULL, "NS", "a.b."));
  assert_true(put(SECTION_ANSWER, ".", "NS", "c.b."));
  assert_message(12 + 5 + (2 + 10 + 5) + (1 + 10 + 4), ". NS a.b.\n. NS c.b.\n");
}

/* What does not fit leaves nothing behind, at any limit; what is written after a rewind is read back right. */
static void test_no_room(void **state) {
  static const char want[] = "www.example.com. A 192.0.2.1\nx.example.com. NS y.x.example.com.\n";
  for (size_t limit = 40; limit < 140; limit++)
    for (size_t reserve = 0; reserve < 8; reserve += 7) {
      start(limit, "www.example.com.");
      writer.reserve = reserve;
      struct buf text = {0};
      bool first = put(SECTION_ANSWER, NULL, "A", "192.0.2.1");
      bool second = put(SECTION_AUTHORITY, "x.example.com.", "NS", "y.x.example.com.");
      size_t size = message_finish(&writer, RCODE_NOERROR);
      assert_true(size + reserve <= limit);
      assert_int_equal(first, limit >= QUESTION_BYTES + 16 + reserve);
      if (first) assert_int_equal(second, limit >= QUESTION_BYTES + 16 + (4 + 10 + 4) + reserve);
      read_back(size, &text);
      if (first && second) assert_string_equal(buf_text(&text), want);
      buf_done(&text);
    }
}

static void test_rewind(void **state) {
  start(512, "www.example.com.");
  struct message_mark mark = message_mark(&writer);
  assert_true(put(SECTION_ANSWER, "aaaa.bbbb.", "NS", "cccc.bbbb."));
  message_rewind(&writer, mark);
  assert_true(put(SECTION_ANSWER, "zzzzzzzz.", "TXT", "\"\004bbbb\""));
  assert_true(put(SECTION_ANSWER, "cccc.bbbb.", "NS", "aaaa.bbbb."));
  assert_message(QUESTION_BYTES + (10 + 10 + 6) + (11 + 10 + 7), "zzzzzzzz. TXT \"\\004bbbb\"\ncccc.bbbb. NS aaaa.bbbb.\n");
}

/* Packs RRs as zones do. */
static size_t pack(uint8_t *to, const char *type, const char *const *texts, unsigned count) {
  size_t used = 0;
  for (unsigned i = 0; i < count; i++) {
    rdata_of(type, texts[i], &data);
    rr_ready_put(to + used, type_of(type), 300, (uint16_t)data.size);
    memcpy(to + used + RR_READY_BYTES, data.bytes, data.size);
    used += RR_READY_BYTES + data.size;
  }
  return used;
}

/* NULL: the question's name. */
static bool put_set(enum section section, const struct name *name, const uint8_t *rrs, unsigned count) {
  struct message_owner owner;
  if (name) message_owner_name(&writer, name->octets, &owner);
  else message_owner_question(&owner);
  return message_put_rrset(&writer, section, &owner, rrs, count, 0);
}

static void test_rrset(void **state) {
  static const char *const mx[] = {"10 a.example.com.", "20 b.example.com.", "30 ."}, *const txt[] = {"one", "fo ur"};
  uint8_t rrs[512];
  struct name owner;
  name_of("example.com.", &owner);
  start(512, "www.example.com.");
  pack(rrs, "MX", mx, 3);
  assert_true(put_set(SECTION_ANSWER, NULL, rrs, 3));
  assert_true(put_set(SECTION_ANSWER, &owner, rrs, 3));
  pack(rrs, "TXT", txt, 2);
  name_of("new.example.org.", &owner);
  assert_true(put_set(SECTION_ADDITIONAL, &owner, rrs, 2));
  assert_true(put_set(SECTION_ADDITIONAL, &owner, rrs, 0));
  assert_int_equal(section_count(writer.counts, SECTION_ANSWER), 6);
  assert_int_equal(section_count(writer.counts, SECTION_ADDITIONAL), 2);
  assert_message(QUESTION_BYTES + (12 + 6) * 2 + (12 + 3) + (12 + 4) * 2 + (12 + 3) + (17 + 10 + 4) + (12 + 6),
                 "www.example.com. MX 10 a.example.com.\nwww.example.com. MX 20 b.example.com.\nwww.example.com. MX 30 .\n"
                 "example.com. MX 10 a.example.com.\nexample.com. MX 20 b.example.com.\nexample.com. MX 30 .\n"
                 "new.example.org. TXT \"one\"\nnew.example.org. TXT \"fo\" \"ur\"\n");
}

static void test_rrset_of_the_root(void **state) {
  static const char *const ns[] = {"a.root.", "b.root."};
  uint8_t rrs[256];
  pack(rrs, "NS", ns, 2);
  start(512, "www.example.com.");
  assert_true(put_set(SECTION_AUTHORITY, &name_root, rrs, 2));
  assert_message(QUESTION_BYTES + (1 + 10 + 8) + (1 + 10 + 4), ". NS a.root.\n. NS b.root.\n");
}

static void test_rrset_is_all_or_nothing(void **state) {
  static const char *const ns[] = {"a.example.net.", "b.example.net."};
  uint8_t rrs[256];
  pack(rrs, "NS", ns, 2);
  size_t whole = QUESTION_BYTES + (12 + 15) + (12 + 4);
  for (size_t limit = QUESTION_BYTES; limit <= whole; limit++) {
    start(limit, "www.example.com.");
    bool fits = put_set(SECTION_ANSWER, NULL, rrs, 2);
    assert_int_equal(fits, limit == whole);
    assert_int_equal(section_count(writer.counts, SECTION_ANSWER), fits ? 2 : 0);
    assert_int_equal(message_finish(&writer, 0), fits ? whole : QUESTION_BYTES);
  }
}

/* A target just below the zone's name costs its label and a pointer, one that the question or a name before has whole a pointer;
 * one that only ends in the same octets is written out. */
static void test_near_names(void **state) {
  static const char *const ns[] = {"a.example.com.", "b.example.com.", "www.example.com.", "c.a.example.com.", "xexample.com."};
  uint8_t rrs[256];
  start(512, "www.example.com.");
  message_expect_near(&writer, 13);
  pack(rrs, "NS", ns, 5);
  assert_true(put_set(SECTION_ANSWER, NULL, rrs, 5));
  pack(rrs, "CNAME", ns, 1);
  assert_true(put_set(SECTION_ANSWER, NULL, rrs, 1));
  assert_message(
      QUESTION_BYTES + (12 + 4) + (12 + 4) + (12 + 2) + (12 + 4) + (12 + 11) + (12 + 2),
      "www.example.com. NS a.example.com.\nwww.example.com. NS b.example.com.\nwww.example.com. NS www.example.com.\n"
      "www.example.com. NS c.a.example.com.\nwww.example.com. NS xexample.com.\nwww.example.com. CNAME a.example.com.\n");
  static const char *const below[] = {"a.b.example.com.", "a.example.com."};
  start(512, "www.b.example.com.");
  message_expect_near(&writer, 13);
  message_expect_near(&writer, 15);
  pack(rrs, "NS", below, 2);
  assert_true(put_set(SECTION_AUTHORITY, NULL, rrs, 2));
  assert_message(QUESTION_BYTES + 2 + (12 + 4) + (12 + 4),
                 "www.b.example.com. NS a.b.example.com.\nwww.b.example.com. NS a.example.com.\n");
}

/* The first record writes the owner, all others point there, also those of further sets; what did not fit is not pointed at. */
static void test_owner_written_once(void **state) {
  static const char *const ns[] = {"a.example.com.", "a.example.com."}, *const txt[] = {"one"};
  uint8_t rrs[256];
  struct message_owner owner;
  pack(rrs, "NS", ns, 2);
  start(QUESTION_BYTES + (4 + 2 + 10 + 4) + (12 + 2) + (12 + 4), "www.example.com.");
  message_owner_begun(&owner, (const uint8_t *)"\3new", 4, 12 + 4);
  assert_true(message_put_rrset(&writer, SECTION_ANSWER, &owner, rrs, 2, 0));
  assert_int_equal(owner.pointer, 0xc000 | QUESTION_BYTES);
  pack(rrs, "TXT", txt, 1);
  assert_true(message_put_rrset(&writer, SECTION_ANSWER, &owner, rrs, 1, 0));
  message_owner_begun(&owner, (const uint8_t *)"\3far", 4, 12 + 4);
  assert_false(message_put_rrset(&writer, SECTION_ANSWER, &owner, rrs, 1, 0));
  assert_int_equal(owner.pointer, 0);
  size_t next, at = message_rdata_at(&writer, QUESTION_BYTES, &next);
  assert_int_equal(at, QUESTION_BYTES + 6 + 10);
  message_owner_written(&writer, at, &owner);
  assert_int_equal(owner.pointer, 0xc000 | at);
  at = message_rdata_at(&writer, next, &next); /* there is a pointer, so that is what it is known by */
  message_owner_written(&writer, at, &owner);
  assert_int_equal(owner.pointer, get_u16(buffer + at));
  assert_message(QUESTION_BYTES + (4 + 2 + 10 + 4) + (12 + 2) + (12 + 4),
                 "new.example.com. NS a.example.com.\nnew.example.com. NS a.example.com.\nnew.example.com. TXT \"one\"\n");
}

static void test_echo(void **state) {
  struct request req;
  static const uint8_t query[] = "\xab\xcd\x01\0\0\1\0\0\0\0\0\0\3wWw\2eX\0\0\x10\0\1";
  assert_int_equal(request_parse(query, sizeof query - 1, &req), ERR_OK);
  message_start(&writer, buffer, 512, req.id, FLAG_QR);
  assert_true(message_echo_question(&writer, &req));
  assert_int_equal(message_finish(&writer, RCODE_NXDOMAIN), sizeof query - 1);
  assert_memory_equal(buffer + 12, query + 12, sizeof query - 13);
  assert_true(put(SECTION_ANSWER, NULL, "TXT", "x"));
  assert_true(put(SECTION_AUTHORITY, "ex.", "TXT", "x"));
  assert_int_equal(message_finish(&writer, 0), sizeof query - 1 + 2 * 14);
}

static void test_opt(void **state) {
  start(QUESTION_BYTES + 15, "www.example.com.");
  writer.reserve = 15;
  assert_false(put(SECTION_ANSWER, NULL, "NULL", "\\# 0"));
  assert_true(message_put_opt(&writer, 1232, RCODE_BADVERS, EDNS_F_DO, (const uint8_t *)"\0\3\0\0", 4));
  assert_int_equal(writer.reserve, 0);
  assert_false(message_put_opt(&writer, 1232, 0, 0, NULL, 0));
  assert_int_equal(message_finish(&writer, RCODE_BADVERS), QUESTION_BYTES + 15);
  assert_memory_equal(buffer + QUESTION_BYTES, "\0\0\x29\x04\xd0\1\0\x80\0\0\4\0\3\0\0", 15);
  assert_int_equal(buffer[3] & 15, 0);
}

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 32) % n;
}

/* One to five labels out of few, so that the same label stands in front of many names. */
static void random_name(char *out) {
  static const char *const labels[] = {"a",    "b",    "c",       "A",       "ab",         "ba",
                                       "host", "mail", "example", "Example", "\\000\\001", "abcdefghi"};
  out[0] = 0;
  for (unsigned i = 1 + random_below(5); i > 0; i--) {
    size_t n = strlen(out);
    snprintf(out + n, 100 - n, "%s.", labels[random_below(sizeof labels / sizeof labels[0])]);
  }
}

/* A set of one. */
static bool put_alone(const char *owner, const char *target) {
  uint8_t rrs[300];
  struct name n;
  name_of(owner, &n);
  pack(rrs, "NS", &target, 1);
  return put_set(SECTION_ANSWER, &n, rrs, 1);
}

/* Some ancestor of the question is the zone that most targets are in. */
static void expect_some(const char *question) {
  struct name n;
  name_of(question, &n);
  name_strip(&n, random_below(n.labels + 1u), &n);
  message_expect_near(&writer, n.size);
}

/* Whatever is written and taken back, what stays reads as it was put in; only owners may differ in case. */
static void test_random_messages(void **state) {
  for (unsigned i = 0; i < 1500; i++) {
    char question[100], owner[100], target[100];
    struct buf want = {0}, got = {0};
    random_name(question);
    bool asked = random_below(4);
    start(200 + random_below(4000), asked ? question : NULL);
    for (unsigned k = random_below(3); asked && k > 0; k--)
      expect_some(question);
    struct message_mark mark = message_mark(&writer);
    size_t kept = 0;
    for (unsigned k = 0; k < 60; k++) {
      random_name(owner);
      random_name(target);
      if (!(random_below(2) ? put(SECTION_ANSWER, owner, "NS", target) : put_alone(owner, target))) break;
      buf_printf(&want, "%s NS %s\n", owner, target);
      if (random_below(8) == 0) {
        message_rewind(&writer, mark);
        want.size = kept;
        want.data[kept] = 0;
      } else if (random_below(3) == 0) {
        mark = message_mark(&writer);
        kept = want.size;
      }
    }
    read_back(message_finish(&writer, 0), &got);
    assert_int_equal(want.size, got.size);
    if (want.size) assert_int_equal(strncasecmp(buf_text(&want), buf_text(&got), want.size), 0);
    buf_done(&want);
    buf_done(&got);
  }
}

/* A transfer's message: full, every name right, and the table's bounds leave it well compressed. */
static void test_full_message(void **state) {
  struct buf want = {0}, got = {0};
  unsigned records = 0;
  size_t plain = 0;
  start(LIMIT_MESSAGE_BYTES, "example.com.");
  for (;; records++) {
    char owner[100], text[100];
    snprintf(owner, sizeof owner, "host%u.sub%u.example.com.", records, records / 100);
    snprintf(text, sizeof text, "10 mail%u.sub%u.example.com.", records % 7, records / 100);
    if (!put(SECTION_ANSWER, owner, "MX", text)) break;
    plain += strlen(owner) + 1 + 10 + data.size;
    buf_printf(&want, "%s MX %s\n", owner, text);
  }
  size_t size = message_finish(&writer, 0);
  read_back(size, &got);
  assert_string_equal(buf_text(&got), buf_text(&want));
  assert_true(records > 1500 && size < plain * 7 / 10);
  buf_done(&want);
  buf_done(&got);
}

/* Offsets from 0x4000 on can't be pointed at. */
static void test_far_names(void **state) {
  struct buf got = {0};
  static uint8_t big[16384];
  start(LIMIT_MESSAGE_BYTES, "a.");
  assert_true(message_put_rr(&writer, SECTION_ANSWER, NULL, 65280, CLASS_IN, 300, big, sizeof big));
  for (unsigned i = 0; i < 3; i++)
    assert_true(put(SECTION_ANSWER, "far.away.", "NS", "x.far.away."));
  size_t size = message_finish(&writer, 0);
  assert_int_equal(size, 12 + 7 + 12 + sizeof big + 3 * (10 + 10 + 12));
  read_back(size, &got);
  assert_non_null(strstr(buf_text(&got), "far.away. NS x.far.away.\n"));
  static const char *const ns[] = {"a.", "x.far.away."};
  uint8_t rrs[192];
  struct name owner;
  pack(rrs, "NS", ns, 2);
  name_of("very.far.away.", &owner);
  assert_true(put_set(SECTION_ANSWER, &owner, rrs, 2));
  buf_clear(&got);
  read_back(message_finish(&writer, 0), &got);
  assert_non_null(strstr(buf_text(&got), "very.far.away. NS a.\nvery.far.away. NS x.far.away.\n"));
  buf_done(&got);
}

static void test_read_refuses(void **state) {
  struct message m;
  struct rd body;
  struct message_rr rr;
  assert_int_equal(message_open(buffer, 11, &m, &body), ERR_SHORT);
  start(512, NULL);
  assert_true(put(SECTION_ANSWER, "a.", "A", "192.0.2.1"));
  put_u32(buffer + 12 + 3 + 4, 0x80000000);
  size_t size = message_finish(&writer, RCODE_REFUSED);
  for (size_t n = 12; n < size; n++) {
    assert_int_equal(message_open(buffer, n, &m, &body), ERR_OK);
    assert_int_not_equal(message_rr(&m, &body, &rr), ERR_OK);
  }
  assert_int_equal(message_open(buffer, size, &m, &body), ERR_OK);
  assert_int_equal(message_rcode(&m), RCODE_REFUSED);
  assert_int_equal(message_rr(&m, &body, &rr), ERR_OK);
  assert_int_equal(rr.ttl, 0);
}

static void test_codes(void **state) {
  assert_string_equal(rcode_text(RCODE_NXDOMAIN), "NXDOMAIN");
  assert_string_equal(rcode_text(RCODE_BADTRUNC), "BADTRUNC");
  assert_string_equal(rcode_text(4095), "rcode");
  assert_string_equal(opcode_text(OPCODE_UPDATE), "UPDATE");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_header),
      cmocka_unit_test(test_owner_is_the_question),
      cmocka_unit_test(test_suffixes),
      cmocka_unit_test(test_case),
      cmocka_unit_test(test_rdata_of_other_types),
      cmocka_unit_test(test_no_question),
      cmocka_unit_test(test_question_is_root),
      cmocka_unit_test(test_no_room),
      cmocka_unit_test(test_rewind),
      cmocka_unit_test(test_rrset),
      cmocka_unit_test(test_near_names),
      cmocka_unit_test(test_owner_written_once),
      cmocka_unit_test(test_rrset_of_the_root),
      cmocka_unit_test(test_rrset_is_all_or_nothing),
      cmocka_unit_test(test_echo),
      cmocka_unit_test(test_opt),
      cmocka_unit_test(test_random_messages),
      cmocka_unit_test(test_full_message),
      cmocka_unit_test(test_far_names),
      cmocka_unit_test(test_read_refuses),
      cmocka_unit_test(test_codes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
