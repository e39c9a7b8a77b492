/* Requests: what is understood, what is FORMERR, and what is left for the FORMERR to echo. */
#include "rr_test.h"
#include "wire/message.h"

#define HEADER(flags, qd, an, ns, ar) "1234" flags qd an ns ar
#define QUERY HEADER("0100", "0001", "0000", "0000", "0000")
#define QUERY_AR1 HEADER("0100", "0001", "0000", "0000", "0001")
#define QUESTION               \
  "03575757076578616D706C6500" \
  "00010001"
#define OPT(class, ttl, size) "000029" class ttl size
#define TSIG_KEY "036B657900"

static struct rdata message;
static struct request request;

static enum err parse(const char *hex) {
  rdata_of_hex(hex, &message);
  memset(&request, 0xa5, sizeof request); /* nothing may be taken over from before */
  uint8_t *exact = test_malloc(message.size ? message.size : 1);
  memcpy(exact, message.bytes, message.size);
  enum err e = request_parse(exact, message.size, &request);
  test_free(exact);
  return e;
}

static void test_plain(void **state) {
  struct name want;
  assert_int_equal(parse(QUERY QUESTION), ERR_OK);
  assert_int_equal(request.id, 0x1234);
  assert_int_equal(request.flags, 0x0100);
  assert_int_equal(request.opcode, OPCODE_QUERY);
  assert_true(request.has_question);
  name_of("WWW.example.", &want);
  assert_true(name_identical(&request.qname, &want));
  assert_int_equal(request.qname.labels, 2);
  assert_int_equal(request.shared, 0);
  assert_int_equal(request.qtype, RR_A);
  assert_int_equal(request.qclass, CLASS_IN);
  assert_int_equal(request.question_end, 12 + 13 + 4);
  assert_false(request.edns.present);
  assert_int_equal(request.tsig_at, 0);
}

static void test_no_answer(void **state) {
  assert_int_equal(parse(""), ERR_SHORT);
  assert_int_equal(parse("1234010000010000000000"), ERR_SHORT);
  assert_int_equal(parse(HEADER("8100", "0001", "0000", "0000", "0000") QUESTION), ERR_SHORT);
}

static void test_opt(void **state) {
  assert_int_equal(parse(QUERY_AR1 QUESTION OPT("04D0", "00008000", "0000")), ERR_OK);
  assert_true(request.edns.present && request.edns.dnssec_ok && !request.edns.nsid);
  assert_int_equal(request.edns.udp_bytes, 1232);
  assert_int_equal(request.edns.version, 0);
  assert_int_equal(parse(QUERY_AR1 QUESTION OPT("0000", "00000000",
                                                "0004"
                                                "00030000")),
                   ERR_OK);
  assert_true(request.edns.nsid && !request.edns.dnssec_ok);
  assert_int_equal(request.edns.udp_bytes, 512);
  assert_int_equal(request.edns.options_size, 4);
  assert_int_equal(parse(QUERY_AR1 QUESTION OPT("1000", "00000000", "0024") "0009000000080000000B0000000C000200000013000000"
                                                                            "0A00080102030405060708"
                                                                            "FDE90000"),
                   ERR_FORMAT);
  assert_int_equal(parse(QUERY_AR1 QUESTION OPT("1000", "00000000", "0026") "0009000000080000000B0000000C0002000000130000"
                                                                            "000A00080102030405060708"
                                                                            "FDE90000"),
                   ERR_OK);
  assert_true(request.edns.expire && request.edns.subnet && request.edns.keepalive && request.edns.padding);
  assert_true(request.edns.zoneversion && request.edns.cookie);
}

/* The shape of another version's options is not known: BADVERS is for the caller to say. */
static void test_opt_of_another_version(void **state) {
  assert_int_equal(parse(QUERY_AR1 QUESTION OPT("04D0", "00010000",
                                                "0003"
                                                "000300")),
                   ERR_OK);
  assert_int_equal(request.edns.version, 1);
}

static void assert_formerr(const char *hex, bool has_question) {
  if (parse(hex) != ERR_FORMAT) fail_msg("%s is taken", hex);
  assert_int_equal(request.id, 0x1234);
  assert_int_equal(request.has_question, has_question);
  if (has_question) assert_int_equal(request.question_end, 12 + 13 + 4);
}

static void test_formerr(void **state) {
  assert_formerr(HEADER("0100", "0002", "0000", "0000", "0000") QUESTION QUESTION, false);
  assert_formerr(HEADER("2800", "0002", "0000", "0000", "0000") QUESTION QUESTION, false);
  assert_formerr(QUERY, false);
  assert_formerr(QUERY "03575757076578616D706C6500"
                       "0001",
                 false);
  assert_formerr(QUERY "035757", false);
  assert_formerr(QUERY "03575757C00C00010001", false);
  assert_formerr(QUERY "C00C00010001", false);
  assert_formerr(QUERY "C00000010001", false);
  assert_formerr(QUERY "4157575700010001", false);
  assert_formerr(QUERY QUESTION "00", true);
  assert_formerr(QUERY_AR1 QUESTION, true);
  assert_formerr(QUERY_AR1 QUESTION OPT("04D0", "00000000", "0000") "00", true);
  assert_formerr(QUERY_AR1 QUESTION OPT("04D0", "00000000", "0001"), true);
  assert_formerr(QUERY_AR1 QUESTION OPT("04D0", "00000000",
                                        "0003"
                                        "000300"),
                 true);
  assert_formerr(QUERY_AR1 QUESTION OPT("04D0", "00000000",
                                        "0004"
                                        "00030001"),
                 true);
  assert_formerr(QUERY_AR1 QUESTION OPT("04D0", "00000000",
                                        "0005"
                                        "000A000101"),
                 true);                                                            /* a cookie of one octet */
  assert_formerr(QUERY_AR1 QUESTION "0161" OPT("04D0", "00000000", "0000"), true); /* owner a. */
  assert_formerr(HEADER("0100", "0001", "0000", "0000", "0002") QUESTION OPT("04D0", "00000000", "0000")
                     OPT("04D0", "00000000", "0000"),
                 true);
  assert_formerr(HEADER("0100", "0001", "0001", "0000", "0000") QUESTION OPT("04D0", "00000000", "0000"), true);
  assert_formerr(HEADER("0100", "0001", "0000", "0001", "0000") QUESTION OPT("04D0", "00000000", "0000"), true);
  assert_formerr(HEADER("0100", "0001", "0001", "0000", "0000") QUESTION "C00C"
                                                                         "00010001"
                                                                         "00000000"
                                                                         "0005"
                                                                         "01020304",
                 true);
  assert_formerr(HEADER("0100", "0001", "0001", "0000", "0000") QUESTION "C0FF"
                                                                         "00010001"
                                                                         "00000000"
                                                                         "0004"
                                                                         "01020304",
                 true);
  assert_formerr(HEADER("0100", "0001", "FFFF", "0000", "0000") QUESTION "C00C"
                                                                         "00010001"
                                                                         "00000000"
                                                                         "0004"
                                                                         "01020304",
                 true);
}

static void test_tsig(void **state) {
  assert_int_equal(parse(QUERY_AR1 QUESTION TSIG_KEY "00FA"
                                                     "00FF"
                                                     "00000000"
                                                     "0002"
                                                     "ABCD"),
                   ERR_OK);
  assert_int_equal(request.tsig_at, 29);
  assert_int_equal(parse(HEADER("0100", "0001", "0000", "0000", "0002") QUESTION OPT("04D0", "00000000", "0000") TSIG_KEY "00FA"
                                                                                                                          "00FF"
                                                                                                                          "00000000"
                                                                                                                          "0000"),
                   ERR_OK);
  assert_int_equal(request.tsig_at, 40);
  assert_true(request.edns.present);
  assert_formerr(QUERY_AR1 QUESTION TSIG_KEY "00FA"
                                             "0001"
                                             "00000000"
                                             "0000",
                 true);
  assert_formerr(QUERY_AR1 QUESTION TSIG_KEY "00FA"
                                             "00FF"
                                             "00000001"
                                             "0000",
                 true);
  assert_formerr(HEADER("0100", "0001", "0000", "0000", "0002") QUESTION TSIG_KEY "00FA"
                                                                                  "00FF"
                                                                                  "00000000"
                                                                                  "0000" OPT("04D0", "00000000", "0000"),
                 true);
  assert_formerr(HEADER("0100", "0001", "0000", "0001", "0000") QUESTION TSIG_KEY "00FA"
                                                                                  "00FF"
                                                                                  "00000000"
                                                                                  "0000",
                 true);
}

static void test_no_question(void **state) {
  assert_int_equal(parse(HEADER("0100", "0000", "0000", "0000", "0000")), ERR_OK);
  assert_false(request.has_question);
  assert_int_equal(request.question_end, 12);
  assert_int_equal(request.qname.size, 0);
  assert_int_equal(parse(HEADER("0100", "0000", "0000", "0000", "0001") OPT("04D0", "00000000",
                                                                            "000C"
                                                                            "000A00080102030405060708")),
                   ERR_OK);
  assert_true(request.edns.cookie && !request.has_question);
}

static void test_notify_and_update(void **state) {
  assert_int_equal(parse(HEADER("2400", "0001", "0001", "0000", "0000") QUESTION "C00C"
                                                                                 "00060001"
                                                                                 "00000E10"
                                                                                 "0016"
                                                                                 "C00CC00C"
                                                                                 "0000000100000002000000030000000400000005"),
                   ERR_FORMAT);
  assert_int_equal(parse(HEADER("2400", "0001", "0001", "0000", "0000") QUESTION "C00C"
                                                                                 "00060001"
                                                                                 "00000E10"
                                                                                 "0018"
                                                                                 "C00CC00C"
                                                                                 "0000000100000002000000030000000400000005"),
                   ERR_OK);
  assert_int_equal(request.opcode, OPCODE_NOTIFY);
  assert_int_equal(section_count(request.counts, SECTION_ANSWER), 1);
  assert_int_equal(parse(HEADER("2800", "0001", "0001", "0001", "0000") QUESTION "C00C"
                                                                                 "00FF00FF"
                                                                                 "00000000"
                                                                                 "0000"
                                                                                 "C010"
                                                                                 "000100FE"
                                                                                 "00000000"
                                                                                 "0004"
                                                                                 "C0000201"),
                   ERR_OK);
  assert_int_equal(request.opcode, OPCODE_UPDATE);
}

/* RFC 8906 §4: NOTIMP, whatever the body looks like. */
static void test_unknown_opcode(void **state) {
  assert_int_equal(parse(HEADER("7800", "0000", "0000", "0000", "0000")), ERR_OK);
  assert_int_equal(request.opcode, 15);
  assert_int_equal(parse(HEADER("1800", "0001", "0000", "0000", "0001") QUESTION OPT("04D0", "00000000", "0000")), ERR_OK);
  assert_true(!request.has_question && request.edns.present);
  assert_int_equal(parse(HEADER("1800", "0007", "0001", "0002", "0003") "00"), ERR_OK);
  assert_false(request.has_question);
  assert_int_equal(parse(HEADER("3000", "0000", "0000", "0000", "0000") "DEADBEEF"), ERR_OK);
  assert_false(request.edns.present);
  assert_int_equal(parse(HEADER("1800", "0001", "0000", "0000", "0001") QUESTION OPT("04D0", "00000000", "0009")), ERR_OK);
  assert_true(!request.has_question && !request.edns.present);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_plain),
      cmocka_unit_test(test_no_answer),
      cmocka_unit_test(test_opt),
      cmocka_unit_test(test_opt_of_another_version),
      cmocka_unit_test(test_formerr),
      cmocka_unit_test(test_tsig),
      cmocka_unit_test(test_no_question),
      cmocka_unit_test(test_notify_and_update),
      cmocka_unit_test(test_unknown_opcode),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
