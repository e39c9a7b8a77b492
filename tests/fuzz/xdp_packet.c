/* Frames from a network interface: what is read lies inside the frame, and the answer to an answer is the question's way again. */
#include "io/xdp_packet.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static uint8_t there[2048], back[2048];
  struct xdp_packet p, q, r;
  if (n > 1792 || !xdp_packet_read(bytes, n, &p)) return 0;
  assert(p.payload >= bytes && p.payload + p.size <= bytes + n);
  size_t headers = xdp_headers_bytes(&p);
  memcpy(there + headers, p.payload, p.size);
  size_t size = xdp_packet_answer(&p, there, p.size);
  assert(size == headers + p.size && xdp_packet_read(there, size, &q));
  assert(addr_equal(&q.from, &p.to) && addr_equal(&q.to, &p.from) && q.size == p.size);
  assert(memcmp(q.payload, there + headers, q.size) == 0 && memcmp(there, bytes + 6, 6) == 0 && memcmp(there + 6, bytes, 6) == 0);
  memcpy(back + headers, q.payload, q.size);
  size = xdp_packet_answer(&q, back, q.size);
  assert(xdp_packet_read(back, size, &r) && addr_equal(&r.from, &p.from) && addr_equal(&r.to, &p.to));
  return 0;
}
