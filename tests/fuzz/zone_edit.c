/* Edits as a program of four octets a step, against a table of what is there: every version shows what the table said when it was
 * made, by lookup, in order, and as a difference from the one before. */
#include "zone/zone.h"
#include "zone/zone_set.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { APEX = 1, NAMES = 256, TYPES = 4, VALUES = 4, STEPS_MOST = 200 };

static const uint16_t types[TYPES] = {RR_A, RR_NS, RR_DNAME, RR_RRSIG};

struct table {
  bool there[NAMES][TYPES][VALUES];
};

static struct name apex;

/* A number that stands for a name: pairs of bits behind a leading one. */
static bool is_name(unsigned number) {
  while (number > 1)
    number /= 4;
  return number == 1;
}

/* Up to four labels of four kinds, a pair of bits each, in front of the apex. */
static struct name name_number(unsigned number) {
  static const struct {
    uint8_t size;
    uint8_t octets[3];
  } labels[4] = {{1, {'*'}}, {2, {'a', 0}}, {1, {'a'}}, {3, {'a', '-', 0xff}}};
  struct name n = apex;
  for (; number > 1; number /= 4) {
    uint8_t size = labels[number % 4].size;
    memmove(n.octets + size + 1, n.octets, n.size);
    n.octets[0] = size;
    memcpy(n.octets + 1, labels[number % 4].octets, size);
    n.size = (uint8_t)(n.size + size + 1);
    n.labels++;
  }
  return n;
}

static uint16_t make_rdata(unsigned type, unsigned value, uint8_t out[32]) {
  memset(out, 0, 32);
  out[1] = types[type] == RR_RRSIG ? RR_A : 0; /* covers A */
  if (types[type] == RR_A || types[type] == RR_RRSIG) out[3] = (uint8_t)value;
  if (types[type] == RR_A) return 4;
  if (types[type] == RR_RRSIG) return 20;
  out[0] = 1; /* a name of one label */
  out[1] = (uint8_t)('p' + value);
  return 3;
}

static struct zone_snap *make_base(void) {
  uint8_t soa[22] = {0};
  struct zone_edit *e;
  struct zone_snap *s;
  enum zone_add outcome;
  if (name_from_text("x.", 2, NULL, &apex, NULL, NULL) || zone_edit_begin(NULL, &apex, &e)) abort();
  if (zone_edit_add(e, &apex, RR_SOA, 60, soa, sizeof soa, &outcome) || zone_edit_finish(e, &s)) abort();
  return s;
}

static void step(struct zone_edit *e, struct table *t, const uint8_t *at) {
  unsigned number = is_name(at[1]) ? at[1] : APEX, type = at[2] % TYPES, value = at[3] % VALUES;
  struct name n = name_number(number);
  uint8_t rdata[32];
  uint16_t size = make_rdata(type, value, rdata);
  bool *there = &t->there[number][type][value];
  enum zone_add outcome;
  if (at[0] % 2) {
    enum err err = zone_edit_remove(e, &n, types[type], rdata, size);
    assert(err == (*there ? ERR_OK : ERR_NOT_FOUND));
    (void)err;
    *there = false;
    return;
  }
  if (zone_edit_add(e, &n, types[type], 60, rdata, size, &outcome)) abort();
  assert(outcome == (*there ? ZONE_ADD_DUPLICATE : ZONE_ADD_NEW));
  *there = true;
}

static bool has_type(const struct table *t, unsigned number, unsigned type) {
  for (unsigned v = 0; v < VALUES; v++)
    if (t->there[number][type][v]) return true;
  return false;
}

static bool owns(const struct table *t, unsigned number) {
  for (unsigned type = 0; type < TYPES; type++)
    if (has_type(t, number, type)) return true;
  return number == APEX;
}

static void check_rrset(const struct table *t, unsigned number, const struct zone_node *n) {
  struct zone_rrset set = {0};
  unsigned count = 0, signatures = 0;
  bool found = zone_find_rrset(n, RR_A, &set);
  for (unsigned v = 0; v < VALUES; v++) {
    count += t->there[number][0][v];
    signatures += t->there[number][3][v];
  }
  assert(found == (count + signatures > 0) && set.count == count && set.sig_count == signatures);
  (void)found;
}

/* All names at once, in lockstep. */
static void check_names(const struct zone_snap *s, const struct table *t) {
  static uint8_t keys[NAMES][NAME_KEY_BYTES];
  static uint16_t sizes[NAMES];
  struct zone_lookup lookups[NAMES], *order[NAMES];
  unsigned numbers[NAMES], count = 0;
  for (unsigned i = 0; i < NAMES; i++) {
    if (!is_name(i)) continue;
    struct name n = name_number(i);
    if (!sizes[i]) sizes[i] = (uint16_t)name_key(&n, keys[i]);
    lookups[count] = (struct zone_lookup){.snap = s, .key = keys[i], .key_size = sizes[i]};
    order[count] = lookups + count;
    numbers[count++] = i;
  }
  zone_lookup_batch(order, count);
  for (unsigned i = 0; i < count; i++) {
    const struct zone_node *n = lookups[i].found.node;
    assert(owns(t, numbers[i]) == (n != NULL));
    if (n) check_rrset(t, numbers[i], n);
  }
}

struct change_count {
  uint64_t removed, added;
};

static bool count_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  ((struct change_count *)arg)->removed++;
  return true;
}

static bool count_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  ((struct change_count *)arg)->added++;
  return true;
}

static void check_diff(const struct zone_snap *a, const struct table *x, const struct zone_snap *b, const struct table *y) {
  struct change_count c = {0}, want = {0};
  struct zone_diff d = {count_removed, count_added, &c};
  const bool *p = &x->there[0][0][0], *q = &y->there[0][0][0];
  for (size_t i = 0; i < sizeof x->there; i++) {
    want.removed += p[i] && !q[i];
    want.added += q[i] && !p[i];
  }
  enum err err = zone_diff(a, b, &d);
  assert(!err && c.removed == want.removed && c.added == want.added);
  (void)err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct table now, before;
  struct zone_snap *s = make_base();
  memset(&now, 0, sizeof now);
  size_t steps = size / 4 < STEPS_MOST ? size / 4 : STEPS_MOST;
  for (size_t i = 0; i < steps;) {
    struct zone_edit *e;
    struct zone_snap *next = NULL;
    before = now;
    if (zone_edit_begin(s, NULL, &e)) abort();
    uint8_t last = 0;
    for (; i < steps && last < 192; i++) { /* a large first octet ends the edit */
      last = data[4 * i];
      step(e, &now, data + 4 * i);
    }
    if (last >= 240) { /* given up */
      zone_edit_abort(e);
      now = before;
    } else if (zone_edit_finish(e, &next)) {
      abort();
    }
    if (!next || i == steps) check_names(s, &before);
    if (!next) continue;
    check_names(next, &now);
    check_diff(s, &before, next, &now);
    zone_snap_unref(s);
    s = next;
  }
  zone_snap_unref(s);
  static unsigned runs;
  if (++runs % 64 == 0) zone_grace_barrier();
  return 0;
}
