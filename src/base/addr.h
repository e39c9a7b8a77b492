/* IP addresses with ports, prefixes, and who a client is.
 *
 * Text form of the configuration: "192.0.2.1@53", "::1@5300", "192.0.2.0/24". Thread: any; no allocation. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
  uint8_t family; /* 4 or 6; 0: none. IPv4-mapped IPv6 is always turned into 4 */
  uint16_t port;  /* host order; 0: none given */
  uint32_t scope; /* IPv6 zone index of a link-local address */
  uint8_t octets[16];
};

struct prefix {
  struct addr addr; /* port unused, host bits zero */
  uint8_t bits;
};

enum { ADDR_TEXT_BYTES = 72 };

/* `default_port` is used when the text names none. */
MUST_CHECK enum err addr_parse(const char *text, uint16_t default_port, struct addr *out);
MUST_CHECK enum err prefix_parse(const char *text, struct prefix *out); /* host bits set: ERR_RANGE */
const char *addr_text(const struct addr *a, char out[ADDR_TEXT_BYTES]); /* "192.0.2.1@53"; without port if 0 */
const char *prefix_text(const struct prefix *p, char out[ADDR_TEXT_BYTES]);

bool addr_equal(const struct addr *a, const struct addr *b);     /* with the port */
bool addr_same_host(const struct addr *a, const struct addr *b); /* without the port */
bool addr_is_any(const struct addr *a);                          /* 0.0.0.0 or :: */
bool prefix_match(const struct prefix *p, const struct addr *a);

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out);
bool addr_from_sockaddr(const struct sockaddr *sa, struct addr *out);

#endif
