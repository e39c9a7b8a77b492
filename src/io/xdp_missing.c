/* In place of xdp_worker.c and xdp_filter.c where the libraries are not there. */
#include "io/xdp_worker.h"

bool xdp_is_built(void) {
  return false;
}

enum err xdp_open(const char *interface, const struct xdp_address *addresses, size_t count, struct xdp_device **out,
                  struct buf *why) {
  buf_printf(why, "%s: this build has no AF_XDP: it was made without libxdp and libbpf", interface);
  return ERR_UNSUPPORTED;
}

/* There is never a device. */
unsigned xdp_queue_count(const struct xdp_device *d) {
  return 0;
}

const char *xdp_mode_text(const struct xdp_device *d) {
  return "";
}

enum err xdp_start(struct xdp_device *d, unsigned queue, const struct udp_handler *handler) {
  return ERR_UNSUPPORTED;
}

void xdp_addresses(struct xdp_device *d, const struct xdp_address *addresses, size_t count) {
}

void xdp_counters(const struct xdp_device *d, struct udp_counters *sum) {
}

void xdp_close(struct xdp_device *d, struct udp_counters *sum) {
}
