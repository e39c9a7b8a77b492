/* Frames for AF_XDP: checksums as the kernel's, and what is not a whole datagram. */
#include "io/xdp_packet.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* 10.77.0.2.40000 > 10.77.0.1.53, four octets of payload, and padding to the least size of a frame. */
static const uint8_t frame4[60] = {2,    0,    0, 0,  0, 1,  2,    0, 0,  0,  0, 2, 8,  0,                      /* Ethernet */
                                   0x45, 0,    0, 32, 7, 7,  0x40, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1, /* IPv4 */
                                   0x9c, 0x40, 0, 53, 0, 12, 0,    0, 1,  2,  3, 4};
static const uint8_t frame6[66] = {2,    0,    0, 0,  0, 1,  2,  0,  0, 0, 0, 2, 0x86, 0xdd,       /* Ethernet */
                                   0x60, 0,    0, 0,  0, 12, 17, 64,                               /* IPv6 */
                                   0xfd, 0x77, 0, 0,  0, 0,  0,  0,  0, 0, 0, 0, 0,    0,    0, 2, /* source */
                                   0xfd, 0x77, 0, 0,  0, 0,  0,  0,  0, 0, 0, 0, 0,    0,    0, 1, /* target */
                                   0x9c, 0x40, 0, 53, 0, 12, 0,  0,  1, 2, 3, 4};

/* RFC 1071: over what carries its own checksum the sum is all ones. */
static uint32_t sum(uint32_t s, const uint8_t *bytes, size_t n) {
  for (size_t i = 0; i < n; i++)
    s += (uint32_t)bytes[i] << (i % 2 ? 0 : 8);
  while (s >> 16)
    s = (s & 0xffff) + (s >> 16);
  return s;
}

static void check_answer(const uint8_t *frame, size_t n, size_t headers, uint16_t payload) {
  struct xdp_packet p, back;
  uint8_t out[200];
  assert_true(xdp_packet_read(frame, n, &p));
  assert_int_equal(p.size, 4);
  assert_memory_equal(p.payload, "\1\2\3\4", 4);
  assert_int_equal(p.from.port, 40000);
  assert_int_equal(p.to.port, 53);
  for (uint16_t i = 0; i < payload; i++)
    out[headers + i] = (uint8_t)(i * 7 + 1);
  size_t size = xdp_packet_answer(&p, out, payload);
  assert_int_equal(size, headers + payload);
  assert_memory_equal(out, frame + 6, 6);
  assert_memory_equal(out + 6, frame, 6);
  const uint8_t *ip = out + 14, *udp = out + headers - 8;
  bool four = headers == XDP_HEADERS_4;
  if (four) assert_int_equal(sum(0, ip, 20), 0xffff);
  uint32_t pseudo = sum(17u + 8u + payload, four ? ip + 12 : ip + 8, four ? 8 : 32);
  assert_int_equal(sum(pseudo, udp, 8u + payload), 0xffff);
  assert_true(xdp_packet_read(out, size, &back));
  assert_true(addr_equal(&back.from, &p.to) && addr_equal(&back.to, &p.from));
  assert_int_equal(back.size, payload);
}

static void test_answers(void **state) {
  for (uint16_t payload = 0; payload < 40; payload++) { /* odd and even */
    check_answer(frame4, sizeof frame4, XDP_HEADERS_4, payload);
    check_answer(frame6, sizeof frame6, XDP_HEADERS_6, payload);
  }
}

static void refuse(const uint8_t *frame, size_t n, size_t at, uint8_t value) {
  uint8_t bad[80];
  struct xdp_packet p;
  memcpy(bad, frame, n);
  bad[at] = value;
  assert_false(xdp_packet_read(bad, n, &p));
}

static void test_what_is_no_whole_datagram(void **state) {
  struct xdp_packet p;
  for (size_t n = 0; n < 46; n++)
    assert_false(xdp_packet_read(frame4, n, &p));
  for (size_t n = 0; n < sizeof frame6; n++)
    assert_false(xdp_packet_read(frame6, n, &p));
  refuse(frame4, sizeof frame4, 12, 9);    /* another protocol */
  refuse(frame4, sizeof frame4, 14, 0x46); /* IP options */
  refuse(frame4, sizeof frame4, 20, 0x20); /* more fragments */
  refuse(frame4, sizeof frame4, 21, 1);    /* a later fragment */
  refuse(frame4, sizeof frame4, 23, 6);    /* TCP */
  refuse(frame4, sizeof frame4, 17, 200);  /* longer than the frame */
  refuse(frame4, sizeof frame4, 17, 19);   /* shorter than its header */
  refuse(frame4, sizeof frame4, 39, 13);   /* UDP longer than IP */
  refuse(frame4, sizeof frame4, 39, 7);    /* UDP shorter than its header */
  refuse(frame6, sizeof frame6, 20, 44);   /* an extension header */
  refuse(frame6, sizeof frame6, 19, 13);   /* longer than the frame */
  refuse(frame6, sizeof frame6, 14, 0x40); /* another version */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers), cmocka_unit_test(test_what_is_no_whole_datagram)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
