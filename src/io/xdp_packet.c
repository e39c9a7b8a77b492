#include "io/xdp_packet.h"

#include "base/bytes.h"

#include <string.h>

enum { MAC_BYTES = 6, ETHERNET_BYTES = 14, TYPE_4 = 0x0800, TYPE_6 = 0x86dd, UDP = 17, UDP_BYTES = 8, HOPS = 64 };

/* ---- reading ---- */

static void read_addr(struct addr *out, uint8_t family, const uint8_t *octets, const uint8_t *port) {
  *out = (struct addr){.family = family, .port = get_u16(port)};
  memcpy(out->octets, octets, family == 4 ? 4 : 16);
}

/* The UDP datagram in `n` octets of an IP packet's payload. */
static bool read_udp(struct xdp_packet *p, uint8_t family, const uint8_t *source, const uint8_t *target, const uint8_t *udp,
                     size_t n) {
  if (n < UDP_BYTES) return false;
  size_t size = get_u16(udp + 4);
  if (size < UDP_BYTES || size > n) return false;
  read_addr(&p->from, family, source, udp);
  read_addr(&p->to, family, target, udp + 2);
  p->payload = udp + UDP_BYTES;
  p->size = (uint16_t)(size - UDP_BYTES);
  return true;
}

bool xdp_packet_read(const uint8_t *frame, size_t n, struct xdp_packet *p) {
  if (n < XDP_HEADERS_4) return false;
  const uint8_t *ip = frame + ETHERNET_BYTES;
  size_t left = n - ETHERNET_BYTES;
  p->frame = frame;
  if (get_u16(frame + 12) == TYPE_4) {
    size_t total = get_u16(ip + 2);
    bool whole = (get_u16(ip + 6) & 0x3fff) == 0; /* neither a fragment nor the begin of some */
    if (ip[0] != 0x45 || ip[9] != UDP || !whole || total < 20 || total > left) return false;
    return read_udp(p, 4, ip + 12, ip + 16, ip + 20, total - 20);
  }
  if (get_u16(frame + 12) != TYPE_6 || n < XDP_HEADERS_6 || ip[0] >> 4 != 6 || ip[6] != UDP) return false;
  size_t payload = get_u16(ip + 4);
  if (payload > left - 40) return false;
  return read_udp(p, 6, ip + 8, ip + 24, ip + 40, payload);
}

/* ---- writing ---- */

/* RFC 1071: the sum of 16-bit words; folded at the end. */
static uint32_t add_words(uint32_t sum, const uint8_t *bytes, size_t n) {
  for (; n >= 2; n -= 2, bytes += 2)
    sum += get_u16(bytes);
  return n ? sum + ((uint32_t)*bytes << 8) : sum;
}

static uint16_t fold(uint32_t sum) {
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

/* `addresses`: both of them, one after the other in the IP header. */
static void write_udp(const struct xdp_packet *p, uint8_t *udp, uint16_t size, const uint8_t *addresses, size_t address_bytes) {
  uint16_t length = (uint16_t)(UDP_BYTES + size);
  put_u16(udp, p->to.port);
  put_u16(udp + 2, p->from.port);
  put_u16(udp + 4, length);
  put_u16(udp + 6, 0);
  uint32_t sum = add_words((uint32_t)UDP + length, addresses, address_bytes);
  uint16_t checksum = fold(add_words(sum, udp, length));
  put_u16(udp + 6, checksum ? checksum : 0xffff); /* 0 means none (RFC 768) */
}

static void write_ip4(const struct xdp_packet *p, uint8_t *ip, uint16_t size) {
  memset(ip, 0, 20);
  ip[0] = 0x45;
  put_u16(ip + 2, (uint16_t)(20 + UDP_BYTES + size));
  ip[8] = HOPS;
  ip[9] = UDP;
  memcpy(ip + 12, p->to.octets, 4);
  memcpy(ip + 16, p->from.octets, 4);
  put_u16(ip + 10, fold(add_words(0, ip, 20)));
  write_udp(p, ip + 20, size, ip + 12, 8);
}

static void write_ip6(const struct xdp_packet *p, uint8_t *ip, uint16_t size) {
  memset(ip, 0, 8);
  ip[0] = 0x60;
  put_u16(ip + 4, (uint16_t)(UDP_BYTES + size));
  ip[6] = UDP;
  ip[7] = HOPS;
  memcpy(ip + 8, p->to.octets, 16);
  memcpy(ip + 24, p->from.octets, 16);
  write_udp(p, ip + 40, size, ip + 8, 32);
}

size_t xdp_packet_answer(const struct xdp_packet *p, uint8_t *frame, uint16_t size) {
  memcpy(frame, p->frame + MAC_BYTES, MAC_BYTES);
  memcpy(frame + MAC_BYTES, p->frame, MAC_BYTES);
  memcpy(frame + 12, p->frame + 12, 2);
  if (p->from.family == 4) write_ip4(p, frame + ETHERNET_BYTES, size);
  else write_ip6(p, frame + ETHERNET_BYTES, size);
  return xdp_headers_bytes(p) + size;
}
