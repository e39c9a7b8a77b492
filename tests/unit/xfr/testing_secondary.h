/* One or two primaries, an owner with secondary zones, and the net between them. */
#ifndef TESTS_XFR_TESTING_SECONDARY_H
#define TESTS_XFR_TESTING_SECONDARY_H

#include "testing.h"

#include "fake_owner.h"
#include "fake_primary.h"
#include "zone/zone_set.h"

#define ZONE "example.com."

struct stage {
  struct fake_net *net;
  struct fake_primary p1, p2;
  struct fake_owner o;
  struct xfr_primary primaries[2];
  struct secondary_options so;
};

static inline void stage_peer(struct xfr_primary *x, const char *name, const struct fake_primary *p) {
  memset(x, 0, sizeof *x);
  memcpy(x->name, name, strlen(name) + 1);
  x->address[0] = p->host.addr;
  x->address_count = 1;
}

/* `count` primaries; SOA timers of the zones decide unless a test sets bounds. */
static inline void stage_init(struct stage *s, uint64_t seed, unsigned count, uint32_t zones) {
  memset(s, 0, sizeof *s);
  s->net = fake_net_new(seed);
  fake_primary_init(&s->p1, s->net, "192.0.2.1");
  fake_primary_init(&s->p2, s->net, "2001:db8::2@5300");
  fake_owner_init(&s->o, s->net, zones);
  stage_peer(&s->primaries[0], "p1", &s->p1);
  stage_peer(&s->primaries[1], "p2", &s->p2);
  s->so = (struct secondary_options){.primaries = s->primaries,
                                     .primary_count = count,
                                     .refresh_min_ms = 1000,
                                     .refresh_max_ms = 14 * 86400 * 1000u,
                                     .retry_min_ms = 1000,
                                     .retry_max_ms = 86400 * 1000,
                                     .transfer_max_bytes = LIMIT_TRANSFER_IN_BYTES,
                                     .transfer_timeout_ms = 30000};
}

static inline void stage_done(struct stage *s) {
  fake_owner_done(&s->o);
  fake_primary_done(&s->p1);
  fake_primary_done(&s->p2);
  fake_net_free(s->net);
  zone_grace_barrier();
}

static inline void stage_run_ms(struct stage *s, uint64_t ms) {
  fake_net_run(s->net, ms * NS_PER_MS);
}

static inline uint64_t stage_now_ns(const struct stage *s) {
  return fake_net_now(s->net).mono_ns;
}

/* Serves the zone at p1 and has it transferred. */
static inline void stage_first(struct stage *s, uint32_t serial, uint32_t refresh_s, uint32_t retry_s, uint32_t expire_s) {
  fake_primary_serve(&s->p1, ZONE, make_zone(ZONE, serial, refresh_s, retry_s, expire_s, 20));
  fake_owner_configure(&s->o, 0, ZONE, &s->so);
  stage_run_ms(s, 100);
  assert_int_equal(fake_owner_serial(&s->o, 0), serial);
}

static inline void stage_notify(struct stage *s, const struct fake_primary *from, uint32_t serial) {
  struct addr a = from->host.addr;
  a.port = 40000;
  secondary_notified(s->o.machine, 0, &a, serial != 0, serial, fake_net_now(s->net));
}

#endif
