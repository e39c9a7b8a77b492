/* Ethernet frames that hold a DNS datagram: taken apart and made. What the kernel's own path does for a socket, for AF_XDP. Plain
 * functions over bytes, any thread. */
#ifndef IO_XDP_PACKET_H
#define IO_XDP_PACKET_H

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  XDP_HEADERS_4 = 14 + 20 + 8, /* Ethernet, IPv4 without options, UDP */
  XDP_HEADERS_6 = 14 + 40 + 8, /* Ethernet, IPv6 without extensions, UDP */
};

struct xdp_packet {
  const uint8_t *frame;
  struct addr from, to;
  const uint8_t *payload;
  uint16_t size;
};

/* False: not a whole UDP datagram in one of the two forms. Ethernet may have padded it. */
bool xdp_packet_read(const uint8_t *frame, size_t n, struct xdp_packet *out);
/* Where the payload of an answer stands in its frame. */
static inline size_t xdp_headers_bytes(const struct xdp_packet *p) {
  return p->from.family == 4 ? XDP_HEADERS_4 : XDP_HEADERS_6;
}
/* Writes the headers of the answer to `p` in front of a payload of `size` octets that stands in the frame already, back to whoever
 * the frame came from. Returns the frame's size. */
size_t xdp_packet_answer(const struct xdp_packet *p, uint8_t *frame, uint16_t size);

#endif
