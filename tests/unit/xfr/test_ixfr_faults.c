/* Faults in the answers to IXFR, one at a time, and what becomes of the zone. Four ways to be protected, a thousand faults in the
 * last:
 *
 *   plain     nothing but the checks of the difference sequences
 *   ZONEMD    the zone carries its digest
 *   TSIG      the transfer is signed, and the fault happens on the way
 *   DIGEST    both sides are Tandems: the primary says the digest of what its changes lead to
 *
 * A fault that makes a valid change of another kind (a record left out of a change, one put in, an address that is another one)
 * can't be told from the right one in plain: there it is counted, and only there may the copy differ. Never may a fault of another
 * kind lead to a copy that differs, and always has the zone converged within one retry interval. */
#include "testing_secondary.h"

#include "xfr/list_priv.h"
#include "zone/content.h"

#include <stdio.h>

enum protection { PLAIN, ZONEMD, TSIG, DIGEST };

enum fault {
  /* of records */
  LEAVE_OUT,
  PUT_IN,
  OTHER_RDATA,
  OTHER_TTL,
  TWICE,
  SWAP,
  FROM_SERIAL,
  STEP_SERIAL,
  FIRST_SERIAL,
  NO_END,
  BEHIND_END,
  /* of messages */
  CUT,
  STALL,
  HANG_UP,
  FLIP_BIT,
  SHORT_MESSAGE,
  MESSAGE_TWICE,
  SERVFAIL_INSTEAD,
  FAULTS
};

static bool is_of_messages(enum fault f) {
  return f >= CUT;
}

/* May make a change that is as good as the right one: also a last SOA that comes twice, where a message ends with the first of
 * them. */
static bool can_hide(enum fault f) {
  return f == LEAVE_OUT || f == PUT_IN || f == OTHER_RDATA || f == OTHER_TTL || f == TWICE || f == SWAP || f == FLIP_BIT;
}

struct injector {
  struct stage s;
  enum protection protection;
  enum fault fault;
  bool armed;
  uint64_t random;
  uint32_t serial;
  unsigned faults, differ, fell_back;
};

static struct zone_snap *served(struct injector *j) {
  size_t from = 0;
  return MEMBER_OF(map_any(&j->s.p1.zones, &from), struct fake_zone, node)->snap;
}

static size_t pick(struct injector *j, size_t count) {
  return (size_t)(next_random(&j->random) % count);
}

/* Any record between the first and the last; those that are no SOA are wanted mostly. */
static size_t pick_record(struct injector *j, const struct fake_ixfr *x) {
  size_t at = 1 + pick(j, x->count - 2);
  return x->rrs[at].type == RR_SOA ? 1 + pick(j, x->count - 2) : at;
}

static void bend_serial(struct fake_rr *rr, uint32_t by) {
  put_u32(rr->rdata + rr->size - 20, get_u32(rr->rdata + rr->size - 20) + by);
}

static size_t nth_soa(const struct fake_ixfr *x, size_t n) {
  for (size_t i = 0; i < x->count; i++)
    if (x->rrs[i].type == RR_SOA && n-- == 0) return i;
  return 0;
}

static void bend(void *arg, struct fake_primary *p, struct fake_ixfr *x) {
  struct injector *j = arg;
  if (!j->armed || is_of_messages(j->fault)) return;
  j->armed = false;
  j->faults++;
  size_t at = pick_record(j, x), other = pick_record(j, x);
  struct fake_rr *rr = &x->rrs[at], copy = *rr;
  if (j->fault == OTHER_TTL && rr->type == RR_ZONEMD) rr = &x->rrs[0]; /* its own TTL a digest can't cover */
  if (j->fault == LEAVE_OUT) fake_ixfr_remove(x, at);
  else if (j->fault == TWICE) fake_ixfr_insert(x, at, rr);
  else if (j->fault == OTHER_RDATA) rr->rdata[rr->size - 1] ^= 0x80;
  else if (j->fault == OTHER_TTL) rr->ttl ^= 64;
  else if (j->fault == FROM_SERIAL) bend_serial(&x->rrs[1], 1 + (uint32_t)pick(j, 5));
  else if (j->fault == STEP_SERIAL) bend_serial(&x->rrs[nth_soa(x, 2)], (uint32_t)pick(j, 9) - 4);
  else if (j->fault == FIRST_SERIAL) bend_serial(&x->rrs[0], 1 + (uint32_t)pick(j, 5));
  else if (j->fault == NO_END) bend_serial(&x->rrs[x->count - 1], 1);
  else if (j->fault == BEHIND_END) fake_ixfr_insert(x, x->count, &copy);
  else if (j->fault == SWAP) {
    x->rrs[at] = x->rrs[other];
    x->rrs[other] = copy;
  } else if (j->fault == PUT_IN) {
    uint8_t a[4] = {10, 9, 8, 7};
    struct fake_rr extra = {.owner = name_of("extra." ZONE), .type = RR_A, .size = 4, .ttl = 60, .rdata = a};
    fake_ixfr_insert(x, at, &extra);
  }
}

static bool on_the_way(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  struct injector *j = arg;
  if (!j->armed || !is_of_messages(j->fault)) return true;
  bool here = j->fault == SERVFAIL_INSTEAD || pick(j, 2) == 0;
  if (!here) return true;
  j->armed = false;
  j->faults++;
  if (j->fault == HANG_UP) fake_net_hang_up(p->net, &p->host, token);
  if (j->fault == CUT) {
    *size = *size / 2;
    fake_net_send(p->net, &p->host, token, bytes, *size);
    fake_net_hang_up(p->net, &p->host, token);
  }
  if (j->fault == FLIP_BIT) bytes[2 + pick(j, *size - 2)] ^= (uint8_t)(1u << pick(j, 8));
  if (j->fault == SHORT_MESSAGE) *size -= 1 + pick(j, *size - 12);
  if (j->fault == MESSAGE_TWICE) fake_net_send(p->net, &p->host, token, bytes, *size);
  if (j->fault == SERVFAIL_INSTEAD) {
    bytes[3] = (uint8_t)((bytes[3] & 0xf0) | RCODE_SERVFAIL);
    memset(bytes + 6, 0, 6);
    *size = MESSAGE_HEADER_BYTES;
    if (bytes[5]) bytes[5] = 0;
  }
  return j->fault != HANG_UP && j->fault != CUT && j->fault != STALL;
}

static void next(struct injector *j, unsigned versions) {
  for (unsigned i = 0; i < versions; i++) {
    j->serial++;
    struct zone_snap *snap = next_version(served(j), j->serial, 1 + (unsigned)pick(j, 6), j->protection == ZONEMD, &j->random);
    struct digest128 digest;
    if (j->protection == DIGEST && !zone_content_whole(snap, &digest)) zone_content_set(snap, digest);
    fake_primary_serve(&j->s.p1, ZONE, snap);
  }
}

static bool has_serial(void *arg) {
  struct injector *j = arg;
  return fake_owner_serial(&j->s.o, 0) == j->serial;
}

static void begin(struct injector *j, enum protection protection, uint64_t seed) {
  *j = (struct injector){.protection = protection, .random = seed, .serial = 10};
  stage_init(&j->s, seed, 1, 1);
  j->s.so.transfer_timeout_ms = 2000;
  if (protection == TSIG) {
    struct name name = name_of("xfr.example.");
    j->s.p1.keys = make_keys("xfr.example.", HMAC_SHA256, "a secret of some length");
    j->s.p1.need_key = true;
    j->s.primaries[0].keys = j->s.p1.keys;
    j->s.primaries[0].key = tsig_keyring_find(j->s.p1.keys, &name);
  }
  j->s.p1.gives_changes = true;
  j->s.p1.ixfr_most = 4;
  stage_first(&j->s, j->serial, 3600, 10, 360000);
  j->s.p1.bend = bend;
  j->s.p1.habit = on_the_way;
  j->s.p1.bend_arg = j->s.p1.habit_arg = j;
}

/* The primary's changes do not stay distrusted, so that each fault meets an IXFR. */
static void wait_for_trust(struct injector *j) {
  stage_run_ms(&j->s, (LIMIT_IXFR_AVOID_MOST_S + 10) * UINT64_C(1000));
}

static void one(struct injector *j, enum fault fault) {
  unsigned before = j->s.o.zones[0].fell_back;
  uint64_t asked = j->s.p1.ixfr_asked;
  next(j, 1 + (unsigned)pick(j, 3));
  j->fault = fault;
  j->armed = true;
  stage_notify(&j->s, &j->s.p1, j->serial);
  assert_true(fake_net_run_until(j->s.net, 10 * NS_PER_S, has_serial, j));
  assert_true(j->s.p1.ixfr_asked > asked);
  j->armed = false;
  bool fell_back = j->s.o.zones[0].fell_back > before;
  j->fell_back += fell_back;
  assert_int_equal(j->s.o.zones[0].expirations, 0);
  if (!zone_equal(j->s.o.zones[0].content, served(j))) {
    if (j->protection != PLAIN || !can_hide(fault)) fail_msg("fault %d went unseen with protection %d", fault, j->protection);
    j->differ++;
    secondary_retransfer(j->s.o.machine, 0, fake_net_now(j->s.net));
    stage_run_ms(&j->s, 1000);
    assert_true(zone_equal(j->s.o.zones[0].content, served(j)));
  }
  if (fell_back) wait_for_trust(j);
}

static void inject(enum protection protection, unsigned count, unsigned differ_most) {
  static struct injector j;
  begin(&j, protection, 7 + protection);
  for (unsigned i = 0; j.faults < count; i++) {
    enum fault fault = (enum fault)(i % FAULTS);
    if (protection == TSIG && !is_of_messages(fault)) continue; /* what the primary itself does wrong it signs, too */
    one(&j, fault);
  }
  printf("%u faults: %u times the whole zone was taken, %u copies that differed\n", j.faults, j.fell_back, j.differ);
  assert_true(j.fell_back >= count / 3);
  assert_true(j.differ <= differ_most);
  assert_int_equal(secondaries_counts(j.s.o.machine).digest_refused > count / 10, protection == DIGEST);
  stage_done(&j.s);
}

static void test_plain(void **state) {
  inject(PLAIN, 400, 400 / 4);
}

static void test_zonemd(void **state) {
  inject(ZONEMD, 350, 0);
}

static void test_tsig(void **state) {
  inject(TSIG, 250, 0);
}

static void test_digest(void **state) {
  inject(DIGEST, 1000, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain), cmocka_unit_test(test_zonemd), cmocka_unit_test(test_tsig),
                                     cmocka_unit_test(test_digest)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
