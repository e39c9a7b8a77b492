/* Headers, operation codes, classes, EDNS and sizes: everything around the records. */
#include "ask.h"
#include "zones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char zone_text[] = "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\nwww 60 A 192.0.2.2\n";

static int setup(void **state) {
  struct asker *a = asker_new();
  zones_put(a->zones, "z.", zone_text, ZONES_UNSIGNED, NULL);
  *state = a;
  return 0;
}

static int teardown(void **state) {
  asker_free(*state);
  return 0;
}

static const char *send_changed(struct asker *a, size_t size, unsigned how) {
  asker_send(a, a->request, size, how);
  return asker_render(a);
}

static void test_flags(void **state) {
  struct asker *a = *state;
  size_t n = asker_question(a, "www.z.", RR_A, ASK_PLAIN);
  put_u16(a->request + 2, FLAG_RD | FLAG_CD | FLAG_AD | FLAG_RA | FLAG_AA | 0x0040 | RCODE_REFUSED);
  assert_string_equal(send_changed(a, n, ASK_PLAIN), "NOERROR aa rd cd\nan www.z. 60 A 192.0.2.2\n");
  assert_int_equal(get_u16(a->response + 2) & 0x0040, 0);
}

/* RFC 8906 §8.1.4, §8.1.5: always an answer, and only a header. */
static void test_opcodes(void **state) {
  struct asker *a = *state;
  for (unsigned opcode = 0; opcode < 16; opcode++) {
    size_t n = asker_question(a, "www.z.", RR_SOA, ASK_PLAIN);
    put_u16(a->request + 2, (uint16_t)(opcode << FLAG_OPCODE_SHIFT));
    const char *text = send_changed(a, n, ASK_PLAIN);
    assert_int_equal(get_u16(a->response + 2) >> FLAG_OPCODE_SHIFT & 15, opcode);
    if (opcode != OPCODE_QUERY && opcode != OPCODE_NOTIFY && opcode != OPCODE_UPDATE) {
      assert_string_equal(text, "NOTIMP noquestion\n");
      assert_int_equal(a->job.result.size, MESSAGE_HEADER_BYTES);
      asker_send(a, a->request, MESSAGE_HEADER_BYTES, ASK_PLAIN); /* nothing where a question should be */
      assert_string_equal(asker_render(a), "NOTIMP noquestion\n");
    }
  }
}

static void test_silence(void **state) {
  struct asker *a = *state;
  size_t n = asker_question(a, "www.z.", RR_A, ASK_PLAIN);
  for (size_t size = 0; size < MESSAGE_HEADER_BYTES; size++)
    assert_string_equal(send_changed(a, size, ASK_PLAIN), "drop");
  a->request[2] |= 0x80;
  assert_string_equal(send_changed(a, n, ASK_PLAIN), "drop"); /* a response */
}

static void test_malformed(void **state) {
  struct asker *a = *state;
  size_t n = asker_question(a, "www.z.", RR_A, ASK_PLAIN);
  put_u16(a->request + 4, 0);
  assert_string_equal(send_changed(a, MESSAGE_HEADER_BYTES, ASK_PLAIN), "FORMERR noquestion\n");
  put_u16(a->request + 4, 2); /* RFC 9619 */
  memcpy(a->request + n, a->request + MESSAGE_HEADER_BYTES, n - MESSAGE_HEADER_BYTES);
  assert_memory_equal(send_changed(a, 2 * n - MESSAGE_HEADER_BYTES, ASK_PLAIN), "FORMERR", 7);
  n = asker_question(a, "www.z.", RR_A, ASK_PLAIN);
  for (size_t size = MESSAGE_HEADER_BYTES; size < n; size++)
    assert_memory_equal(send_changed(a, size, ASK_PLAIN), "FORMERR", 7);
  a->request[n] = 0; /* something behind the end */
  assert_memory_equal(send_changed(a, n + 1, ASK_PLAIN), "FORMERR", 7);
}

static void test_two_opts(void **state) {
  struct asker *a = *state;
  size_t plain = asker_question(a, "www.z.", RR_A, ASK_PLAIN), n = asker_question(a, "www.z.", RR_A, ASK_EDNS);
  memcpy(a->request + n, a->request + plain, n - plain);
  put_u16(a->request + 10, 2);
  assert_memory_equal(send_changed(a, 2 * n - plain, ASK_PLAIN), "FORMERR", 7);
}

static void test_version(void **state) {
  struct asker *a = *state;
  for (unsigned version = 1; version < 256; version++) {
    a->edns_version = (uint8_t)version;
    expect(a, "www.z.", RR_A, ASK_DO, "BADVERS\nopt 1232 do\n");
    assert_int_equal(a->job.result.rcode, RCODE_BADVERS);
  }
}

static void test_classes(void **state) {
  struct asker *a = *state;
  static const uint16_t classes[] = {0, 2, CLASS_CH, CLASS_HS, CLASS_NONE, CLASS_ANY, 65535};
  for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
    a->class = classes[i];
    expect(a, "www.z.", RR_A, ASK_PLAIN, "REFUSED\n");
    expect(a, "id.server.", RR_TXT, ASK_PLAIN, "REFUSED\n"); /* no identity, no answer */
  }
}

static void test_chaos(void **state) {
  struct asker *a = *state;
  memcpy(a->id.nsid, "ns1", 3);
  a->id.nsid_size = 3;
  expect(a, "id.server.", RR_TXT, ASK_PLAIN, "REFUSED\n"); /* in class IN it is only a name */
  a->class = CLASS_CH;
  expect(a, "ID.Server.", RR_TXT, ASK_PLAIN, "NOERROR aa\nan ID.Server. 0 TXT \"ns1\"\n");
  expect(a, "hostname.bind.", RR_TXT, ASK_EDNS, "NOERROR aa\nan hostname.bind. 0 TXT \"ns1\"\nopt 1232\n");
  expect(a, "version.bind.", RR_TXT, ASK_PLAIN, "NOERROR aa\nan version.bind. 0 TXT \"Tandem\"\n");
  expect(a, "version.server.", RR_ANY, ASK_PLAIN, "NOERROR aa\nan version.server. 0 TXT \"Tandem\"\n");
  expect(a, "id.server.", RR_A, ASK_PLAIN, "REFUSED\n");
  expect(a, "authors.bind.", RR_TXT, ASK_PLAIN, "REFUSED\n");
}

#define WITH(...)                                 \
  static const uint8_t options[] = {__VA_ARGS__}; \
  a->options = options;                           \
  a->options_size = sizeof options

static void test_nsid(void **state) {
  struct asker *a = *state;
  WITH(0, EDNS_NSID, 0, 0);
  expect(a, "www.z.", RR_A, ASK_EDNS, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232\n");
  memcpy(a->id.nsid, "ns1", 3);
  a->id.nsid_size = 3;
  expect(a, "www.z.", RR_A, ASK_EDNS, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232 nsid=6e7331\n");
  expect(a, "elsewhere.", RR_A, ASK_EDNS, "REFUSED\nopt 1232 nsid=6e7331 ede=20\n");
  a->options_size = 0;
  expect(a, "www.z.", RR_A, ASK_EDNS, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232\n");
}

static void test_unknown_options(void **state) {
  struct asker *a = *state;
  WITH(0xff, 0xf0, 0, 3, 1, 2, 3, 0, EDNS_COOKIE, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, EDNS_ECS, 0, 7, 0, 1, 24, 0, 192, 0, 2);
  expect(a, "www.z.", RR_A, ASK_EDNS, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232\n");
}

static void test_expire(void **state) {
  struct asker *a = *state;
  static const struct zone_policy policy;
  struct name apex = zones_name("s.");
  struct zone_entry *e = zones_entry(1, zones_build("s.", zone_text, ZONES_UNSIGNED), &policy);
  e->expire_s = 4;
  e->expires_mono_ns = a->now.mono_ns + 3600 * NS_PER_S;
  assert_int_equal(zone_set_put(a->zones, &apex, e), ERR_OK);
  WITH(0, EDNS_EXPIRE, 0, 0);
  expect(a, "s.", RR_SOA, ASK_EDNS, "NOERROR aa\nan s. 60 SOA\nopt 1232 expire=00000e10\n");
  a->now.mono_ns += 3599 * NS_PER_S + NS_PER_S / 2;
  expect(a, "s.", RR_SOA, ASK_EDNS, "NOERROR aa\nan s. 60 SOA\nopt 1232 expire=00000000\n");
  expect(a, "s.", RR_A, ASK_EDNS, "NOERROR aa\nau s. 5 SOA\nopt 1232\n");
  e = zones_entry(2, zones_build("p.", zone_text, ZONES_UNSIGNED), &policy);
  e->expire_s = 4;
  apex = zones_name("p.");
  assert_int_equal(zone_set_put(a->zones, &apex, e), ERR_OK);
  expect(a, "p.", RR_SOA, ASK_EDNS, "NOERROR aa\nan p. 60 SOA\nopt 1232 expire=00000004\n");
  expect(a, "elsewhere.", RR_SOA, ASK_EDNS, "REFUSED\nopt 1232 ede=20\n");
}

static void test_keepalive(void **state) {
  struct asker *a = *state;
  WITH(0, EDNS_KEEPALIVE, 0, 0);
  expect(a, "www.z.", RR_A, ASK_EDNS, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232\n");
  expect(a, "www.z.", RR_A, ASK_EDNS | ASK_TCP, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232 keepalive=012c\n");
  expect(a, "www.z.", RR_A, ASK_EDNS | ASK_TLS, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232 keepalive=012c\n");
}

static void test_zoneversion(void **state) {
  struct asker *a = *state;
  WITH(0, EDNS_ZONEVERSION, 0, 0);
  expect(a, "www.z.", RR_A, ASK_EDNS, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232 zoneversion=010000000001\n");
  expect(a, "no.z.", RR_A, ASK_EDNS, "NXDOMAIN aa\nau z. 5 SOA\nopt 1232 zoneversion=010000000001\n");
  expect(a, "elsewhere.", RR_A, ASK_EDNS, "REFUSED\nopt 1232 ede=20\n");
}

static void test_padding(void **state) {
  struct asker *a = *state;
  WITH(0, EDNS_PADDING, 0, 2, 0, 0);
  expect(a, "www.z.", RR_A, ASK_EDNS | ASK_TCP, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232\n");
  expect(a, "www.z.", RR_A, ASK_EDNS | ASK_TLS, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232 padding\n");
  assert_int_equal(a->job.result.size % 468, 0);
  struct name good = zones_name("good.key.");
  assert_int_equal(tsig_keyring_new(&a->id.keys), ERR_OK);
  assert_int_equal(tsig_keyring_add(a->id.keys, &good, HMAC_SHA256, (const uint8_t *)"good", 4), ERR_OK);
  a->key = tsig_keyring_find(a->id.keys, &good);
  ask(a, "www.z.", RR_A, ASK_EDNS | ASK_TLS);
  assert_int_equal(a->job.result.size % 468, 0);
}

/* ---- sizes ---- */

/* n addresses at "many", n text records of 200 octets at "big". */
static void put_many(struct asker *a, unsigned n, enum zones_chain chain) {
  struct buf text = {0};
  buf_add_text(&text, zone_text);
  for (unsigned i = 0; i < n; i++) {
    buf_printf(&text, "many 60 A 10.0.%u.%u\n", i >> 8, i & 255);
    buf_printf(&text, "big 60 TXT \"%0200u\"\n", i);
    buf_printf(&text, "big 60 A 10.0.%u.%u\n", i >> 8, i & 255);
    buf_printf(&text, "mx 60 MX %u many\n", i);
  }
  buf_add_text(&text, "tobig 60 CNAME big\n");
  zones_put(a->zones, "m.", buf_text(&text), chain, NULL);
  buf_done(&text);
}

static unsigned count_lines(const char *text, const char *part) {
  unsigned n = 0;
  for (const char *at = text; (at = strstr(at, part)); at++)
    n++;
  return n;
}

static void test_truncation(void **state) {
  struct asker *a = *state;
  put_many(a, 40, ZONES_UNSIGNED);
  expect(a, "many.m.", RR_A, ASK_PLAIN, "NOERROR aa tc\n"); /* 40 * 16 > 512 */
  assert_true(a->job.result.truncated);
  assert_int_equal(count_lines(ask(a, "many.m.", RR_A, ASK_EDNS), "an many.m."), 40);
  assert_false(a->job.result.truncated);
  a->edns_bytes = 600;
  expect(a, "many.m.", RR_A, ASK_EDNS, "NOERROR aa tc\nopt 1232\n");
  a->edns_bytes = 100; /* less than 512 means 512 */
  expect(a, "www.z.", RR_A, ASK_EDNS, "NOERROR aa\nan www.z. 60 A 192.0.2.2\nopt 1232\n");
  a->edns_bytes = 65535;
  expect(a, "big.m.", RR_TXT, ASK_EDNS, "NOERROR aa tc\nopt 1232\n"); /* never over our own limit */
  assert_int_equal(count_lines(ask(a, "big.m.", RR_TXT, ASK_TCP), "an big.m."), 40);
  expect(a, "tobig.m.", RR_TXT, ASK_PLAIN, "NOERROR aa tc\nan tobig.m. 60 CNAME big.m.\n"); /* whole RRsets only */
}

/* Every size from 512 on: never larger than asked for, and complete or marked. */
static void test_every_size(void **state) {
  struct asker *a = *state;
  put_many(a, 20, ZONES_NSEC);
  static const char *const names[] = {"many.m.", "mx.m.", "big.m.", "nothing.m.", "tobig.m."};
  for (unsigned bytes = 512; bytes <= 1300; bytes++)
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
      a->edns_bytes = (uint16_t)bytes;
      const char *text = ask(a, names[i], i == 1 ? RR_MX : RR_A, ASK_DO);
      assert_true(a->job.result.size <= bytes && a->job.result.size <= LIMIT_UDP_RESPONSE_BYTES);
      unsigned data = count_lines(text, "an "), truncated = a->job.result.truncated;
      assert_true(truncated || i == 3 || data >= 21);
      assert_non_null(strstr(text, "\nopt 1232 do\n"));
    }
}

/* Question and signature of the longest names take more than 512 octets by themselves; they come back all the same. */
static void test_longest_names(void **state) {
  struct asker *a = *state;
  char qname[256] = "", key_text[256] = "";
  for (unsigned i = 0; i < 126; i++) {
    memcpy(qname + 2 * i, "q.", 3);
    memcpy(key_text + 2 * i, "k.", 3);
  }
  memcpy(qname + 2 * 126, "z.", 3);
  struct name key_name = zones_name(key_text);
  struct tsig_keyring *strangers;
  assert_int_equal(tsig_keyring_new(&a->id.keys), ERR_OK);
  assert_int_equal(tsig_keyring_new(&strangers), ERR_OK);
  assert_int_equal(tsig_keyring_add(a->id.keys, &key_name, HMAC_SHA512, (const uint8_t *)"good", 4), ERR_OK);
  assert_int_equal(tsig_keyring_add(strangers, &key_name, HMAC_SHA512, (const uint8_t *)"bad", 3), ERR_OK);
  a->key = tsig_keyring_find(a->id.keys, &key_name);
  expect(a, qname, RR_A, ASK_PLAIN, "NXDOMAIN aa tc\ntsig ok signed\n");
  expect(a, qname, RR_A, ASK_EDNS, "NXDOMAIN aa\nau z. 5 SOA\nopt 1232\ntsig ok signed\n");
  a->key = tsig_keyring_find(strangers, &key_name);
  expect(a, qname, RR_A, ASK_PLAIN, "NOTAUTH\ntsig BADSIG\n");
  tsig_keyring_unref(strangers);
}

/* RFC 9471: glue in the delegated zone must fit; what is only helpful is left out silently. */
static void test_glue_and_size(void **state) {
  struct asker *a = *state;
  struct buf text = {0};
  buf_add_text(&text, zone_text);
  for (unsigned i = 0; i < 12; i++) {
    buf_printf(&text, "in 60 NS ns%02u.in\nns%02u.in 60 A 10.0.0.%u\nns%02u.in 60 AAAA 2001:db8::%u\n", i, i, i, i, i);
    buf_printf(&text, "out 60 NS ns%02u.in\n", i);
  }
  zones_put(a->zones, "g.", buf_text(&text), ZONES_UNSIGNED, NULL);
  buf_done(&text);
  const char *seen = ask(a, "x.in.g.", RR_A, ASK_PLAIN);
  assert_memory_equal(seen, "NOERROR tc\n", 11);
  assert_int_equal(count_lines(seen, "au in.g. 60 NS"), 12);
  seen = ask(a, "x.in.g.", RR_A, ASK_EDNS);
  assert_memory_equal(seen, "NOERROR\n", 8);
  assert_int_equal(count_lines(seen, "ad ns"), 24);
  seen = ask(a, "x.out.g.", RR_A, ASK_PLAIN); /* siblings: as far as they fit */
  assert_memory_equal(seen, "NOERROR\n", 8);
  assert_int_equal(count_lines(seen, "au out.g. 60 NS"), 12);
  assert_true(count_lines(seen, "ad ns") > 0 && count_lines(seen, "ad ns") < 24);
}

static void test_additional_never_truncates(void **state) {
  struct asker *a = *state;
  struct buf text = {0};
  buf_add_text(&text, zone_text);
  for (unsigned i = 0; i < 14; i++) {
    buf_printf(&text, "@ 60 MX %u mail%02u\n", i, i);
    for (unsigned k = 0; k < 4; k++)
      buf_printf(&text, "mail%02u 60 A 10.0.%u.%u\n", i, i, k);
  }
  zones_put(a->zones, "x.", buf_text(&text), ZONES_UNSIGNED, NULL);
  buf_done(&text);
  const char *seen = ask(a, "x.", RR_MX, ASK_PLAIN);
  assert_memory_equal(seen, "NOERROR aa\n", 11);
  assert_int_equal(count_lines(seen, "an x. 60 MX"), 14);
  assert_int_equal(count_lines(seen, "ad mail") % 4, 0); /* whole RRsets */
  assert_true(a->job.result.size <= 512);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
      cmocka_unit_test_setup_teardown(test_opcodes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
      cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
      cmocka_unit_test_setup_teardown(test_two_opts, setup, teardown),
      cmocka_unit_test_setup_teardown(test_version, setup, teardown),
      cmocka_unit_test_setup_teardown(test_classes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_chaos, setup, teardown),
      cmocka_unit_test_setup_teardown(test_nsid, setup, teardown),
      cmocka_unit_test_setup_teardown(test_unknown_options, setup, teardown),
      cmocka_unit_test_setup_teardown(test_expire, setup, teardown),
      cmocka_unit_test_setup_teardown(test_keepalive, setup, teardown),
      cmocka_unit_test_setup_teardown(test_zoneversion, setup, teardown),
      cmocka_unit_test_setup_teardown(test_padding, setup, teardown),
      cmocka_unit_test_setup_teardown(test_truncation, setup, teardown),
      cmocka_unit_test_setup_teardown(test_every_size, setup, teardown),
      cmocka_unit_test_setup_teardown(test_longest_names, setup, teardown),
      cmocka_unit_test_setup_teardown(test_glue_and_size, setup, teardown),
      cmocka_unit_test_setup_teardown(test_additional_never_truncates, setup, teardown),
  };
  zone_reader_register();
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  zone_reader_unregister();
  return failed;
}
