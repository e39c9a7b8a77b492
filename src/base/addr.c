#include "base/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void unmap(struct addr *a) {
  if (a->family != 6 || memcmp(a->octets, mapped_prefix, sizeof mapped_prefix) != 0) return;
  memmove(a->octets, a->octets + 12, 4);
  memset(a->octets + 4, 0, 12);
  a->family = 4;
}

static enum err parse_number(const char *text, unsigned long most, unsigned long *out) {
  if (*text < '0' || *text > '9') return ERR_FORMAT;
  char *end;
  unsigned long v = strtoul(text, &end, 10);
  if (*end) return ERR_FORMAT;
  if (v > most) return ERR_RANGE;
  *out = v;
  return ERR_OK;
}

static enum err parse_host(char *text, struct addr *out) {
  struct addr a = {0};
  if (inet_pton(AF_INET, text, a.octets) == 1) {
    a.family = 4;
    *out = a;
    return ERR_OK;
  }
  char *percent = strchr(text, '%');
  if (percent) {
    *percent = 0;
    a.scope = if_nametoindex(percent + 1);
    if (!a.scope) return ERR_NOT_FOUND;
  }
  if (inet_pton(AF_INET6, text, a.octets) != 1) return ERR_FORMAT;
  a.family = 6;
  unmap(&a);
  *out = a;
  return ERR_OK;
}

static bool copy_text(const char *text, char out[ADDR_TEXT_BYTES]) {
  size_t n = strlen(text);
  if (n >= ADDR_TEXT_BYTES) return false;
  memcpy(out, text, n + 1);
  return true;
}

enum err addr_parse(const char *text, uint16_t default_port, struct addr *out) {
  char host[ADDR_TEXT_BYTES];
  if (!copy_text(text, host)) return ERR_FORMAT;
  unsigned long port = default_port;
  char *at = strchr(host, '@');
  if (at) {
    *at = 0;
    enum err e = parse_number(at + 1, 65535, &port);
    if (e) return e;
    if (port == 0) return ERR_RANGE;
  }
  struct addr a;
  enum err e = parse_host(host, &a);
  if (e) return e;
  a.port = (uint16_t)port;
  *out = a;
  return ERR_OK;
}

/* Whether all bits of the address behind the first `bits` are zero. */
static bool host_bits_zero(const struct addr *a, unsigned bits) {
  unsigned total = a->family == 4 ? 32 : 128;
  for (unsigned i = bits; i < total; i++)
    if (a->octets[i / 8] & (0x80 >> (i % 8))) return false;
  return true;
}

enum err prefix_parse(const char *text, struct prefix *out) {
  char host[ADDR_TEXT_BYTES];
  if (!copy_text(text, host)) return ERR_FORMAT;
  char *slash = strchr(host, '/');
  if (slash) *slash = 0;
  struct prefix p = {0};
  enum err e = parse_host(host, &p.addr);
  if (e) return e;
  unsigned long most = p.addr.family == 4 ? 32 : 128, bits = most;
  if (slash) e = parse_number(slash + 1, most, &bits);
  if (e) return e;
  if (!host_bits_zero(&p.addr, (unsigned)bits)) return ERR_RANGE;
  p.bits = (uint8_t)bits;
  *out = p;
  return ERR_OK;
}

static char *put_decimal(char *to, unsigned n) {
  char digits[10];
  size_t count = 0;
  do {
    digits[count++] = (char)('0' + n % 10);
  } while (n /= 10);
  while (count)
    *to++ = digits[--count];
  return to;
}

/* Without printf, which costs a changed record's log line as much as the change. Returns the end. */
static char *host_text(const struct addr *a, char out[ADDR_TEXT_BYTES]) {
  char *end = out;
  char ifname[IF_NAMESIZE];
  for (unsigned i = 0; a->family == 4 && i < 4; i++) {
    if (i) *end++ = '.';
    end = put_decimal(end, a->octets[i]);
  }
  *end = 0;
  if (a->family == 6) inet_ntop(AF_INET6, a->octets, out, ADDR_TEXT_BYTES);
  else if (a->family != 4) snprintf(out, ADDR_TEXT_BYTES, "none");
  end = out + strlen(out);
  if (a->scope && if_indextoname(a->scope, ifname)) end += snprintf(end, (size_t)(out + ADDR_TEXT_BYTES - end), "%%%s", ifname);
  return end;
}

static void put_number(char *at, char sign, unsigned n) {
  *at = sign;
  *put_decimal(at + 1, n) = 0;
}

const char *addr_text(const struct addr *a, char out[ADDR_TEXT_BYTES]) {
  char *end = host_text(a, out);
  if (a->port) put_number(end, '@', a->port);
  return out;
}

const char *prefix_text(const struct prefix *p, char out[ADDR_TEXT_BYTES]) {
  char *end = host_text(&p->addr, out);
  if (p->bits != (p->addr.family == 4 ? 32 : 128)) put_number(end, '/', p->bits);
  return out;
}

bool addr_same_host(const struct addr *a, const struct addr *b) {
  return a->family == b->family && a->scope == b->scope && memcmp(a->octets, b->octets, a->family == 4 ? 4 : 16) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b) {
  return a->port == b->port && addr_same_host(a, b);
}

bool addr_is_any(const struct addr *a) {
  return a->family != 0 && host_bits_zero(a, 0);
}

bool prefix_match(const struct prefix *p, const struct addr *a) {
  if (p->addr.family != a->family) return false;
  unsigned whole = p->bits / 8, rest = p->bits % 8;
  if (memcmp(p->addr.octets, a->octets, whole) != 0) return false;
  return rest == 0 || ((p->addr.octets[whole] ^ a->octets[whole]) >> (8 - rest)) == 0;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (a->family == 4) {
    struct sockaddr_in *sin = (struct sockaddr_in *)out;
    sin->sin_family = AF_INET;
    sin->sin_port = htons(a->port);
    memcpy(&sin->sin_addr, a->octets, 4);
    return sizeof *sin;
  }
  struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)out;
  sin6->sin6_family = AF_INET6;
  sin6->sin6_port = htons(a->port);
  sin6->sin6_scope_id = a->scope;
  memcpy(&sin6->sin6_addr, a->octets, 16);
  return sizeof *sin6;
}

bool addr_from_sockaddr(const struct sockaddr *sa, struct addr *out) {
  struct addr a = {0};
  if (sa->sa_family == AF_INET) {
    const struct sockaddr_in *sin = (const struct sockaddr_in *)sa;
    a.family = 4;
    a.port = ntohs(sin->sin_port);
    memcpy(a.octets, &sin->sin_addr, 4);
  } else if (sa->sa_family == AF_INET6) {
    const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)sa;
    a.family = 6;
    a.port = ntohs(sin6->sin6_port);
    a.scope = sin6->sin6_scope_id;
    memcpy(a.octets, &sin6->sin6_addr, 16);
    unmap(&a);
    if (a.family == 4) a.scope = 0;
  } else {
    return false;
  }
  *out = a;
  return true;
}
