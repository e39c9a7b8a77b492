/* What NOTIFYs tell (RFC 1996), from their coming until it is here: each is told once, so nothing of it may be forgotten. And
 * forged ones must not cost much: who told of nothing is believed less. */
#include "xfr/secondary_priv.h"

#include "base/mutation.h"
#include "base/serial.h"

enum {
  FRUITLESS_MOST = 8,       /* in a row without anything new before they are slowed down ... */
  FRUITLESS_WAIT_MS = 1000, /* ... to one round in this time, */
  FRUITLESS_FORGET_S = 10,  /* until there was none for so long */
  LOOK_FIRST_MS = 1000,     /* at least, until what did not come is looked for again; doubles, ... */
  LOOKS_MOST = 6,           /* ... so often */
  IN_VAIN_MS = 500,         /* for an address to answer when another one told us of what it has */
};

/* ---- what is owed ---- */

bool round_is_owed(const struct secondary *z) {
  bool behind = !z->has_content || z->expired || serial_gt(z->told_serial, z->soa.serial);
  return z->vague || (z->told && behind);
}

/* Of several the newest serial counts, and who has it. If one named none, or may have been a lie, nobody knows who has more: all
 * are asked. */
static void take_note(struct secondary *z, uint16_t target, bool serial_known, uint32_t serial) {
  bool owed = round_is_owed(z), newer = serial_known && (!z->told || serial_gt(serial, z->told_serial));
  bool unsure = owed && (z->vague || !serial_known || z->fruitless);
  if (!owed || (newer && !unsure)) z->notify_target = target;
  else if (unsure && z->notify_target != target) z->notify_target = NO_TARGET;
  z->looks = 0;
  if (newer) z->told_serial = serial;
  z->told |= newer;
  z->vague |= !serial_known;
}

static void count_fruitless(struct secondary *z, struct instant now) {
  if (!z->notify_round) return;
  z->fruitless_s = (uint32_t)(now.mono_ns / NS_PER_S);
  if (z->fruitless < UINT8_MAX) z->fruitless++;
}

/* Who told us, or everybody, was heard since. */
static void settle_vague(struct secondary *z) {
  bool teller = z->notify_round && z->notify_target != NO_TARGET && !z->tried;
  bool all = z->tried >= z->options->target_count && !z->missed;
  if (!z->again && (teller || all)) z->vague = false;
}

void round_bore_fruit(struct secondary *z) {
  settle_vague(z);
  z->notify_round = false;
  z->fruitless = 0;
}

/* Nobody serves it yet, or nobody could be reached. Who told us will not do so again, and the SOA's timers may be hours. These
 * rounds are no NOTIFY's, and end. */
static void look_again(const struct secondaries *s, struct secondary *z, struct instant now) {
  if (z->looks == LOOKS_MOST || MUTATION(NOTIFY_DROPPED)) {
    z->told = z->vague = false;
    return;
  }
  uint64_t soon = now.mono_ns + round_jittered_ns(s, (LOOK_FIRST_MS * NS_PER_MS) << z->looks++, FRUITLESS_WAIT_MS);
  if (z->refresh_ns > soon) z->refresh_ns = soon;
}

void round_was_told(const struct secondaries *s, struct secondary *z, bool good, struct instant now) {
  count_fruitless(z, now);
  if (good) settle_vague(z);
  if (!round_is_owed(z)) z->told = false;
  else if (!z->again) look_again(s, z, now);
}

/* ---- rounds ---- */

/* Whether they brought nothing so often that a round for one more has to wait; then it is put down for soon. */
static bool too_soon(struct secondaries *s, struct secondary *z, struct instant now) {
  uint32_t now_s = (uint32_t)(now.mono_ns / NS_PER_S);
  uint64_t soon = z->round_ns + FRUITLESS_WAIT_MS * NS_PER_MS;
  if (now_s - z->fruitless_s >= FRUITLESS_FORGET_S) z->fruitless = 0;
  if (z->fruitless < FRUITLESS_MOST || now.mono_ns >= soon) return false;
  z->fruitless_s = now_s; /* most likely */
  if (z->refresh_ns > soon) z->refresh_ns = soon;
  secondary_reschedule(s, z);
  return true;
}

void round_again(struct secondaries *s, struct secondary *z, struct instant now) {
  bool wanted = z->again && (!z->again_notify || round_is_owed(z)), notify = z->again_notify && !z->again_force;
  uint16_t target = z->again_notify ? z->notify_target : NO_TARGET;
  bool force = z->again_force;
  z->again = z->again_force = z->again_notify = false;
  if (!wanted || (notify && too_soon(s, z, now))) return;
  z->force = force;
  z->urgent = true;
  z->notify_round = notify;
  round_begin(s, z, target, now);
}

/* One that names a newer serial tells what the SOA query would, so the changes are asked for at once. It may be a lie: one that
 * brought nothing makes the next ones be looked into first, and without content that changes lead from it would cost a whole
 * zone. */
bool round_goes_direct(const struct secondaries *s, struct secondary *z, struct instant now) {
  if (!z->notify_round || !z->told || z->tried || z->notify_target == NO_TARGET || z->fruitless) return false;
  if (!z->has_content || z->expired || z->lives_less) return false;
  z->promised_serial = z->told_serial;
  return transfer_is_of_changes(s, z, now);
}

/* ---- one that comes while the zone is busy ---- */

bool round_in_vain(const struct secondary *z) {
  const struct exchange *x = z->exchange;
  bool begun = x->stage == STAGE_XFR && x->progress_ns != x->started_ns;
  bool other = z->again_notify && z->notify_target != NO_TARGET && z->notify_target != target_at_hand(z);
  return other && !begun && !z->fruitless;
}

void round_anew(struct secondaries *s, struct secondary *z, struct instant now) {
  z->again_force |= z->force;
  count_fruitless(z, now);
  secondary_give_up(s, z, now);
  round_again(s, z, now);
}

/* It is not to wait for the zone's turn among others that are only refreshed, nor long for a primary that is silent. */
static void make_way(struct secondaries *s, struct secondary *z, struct instant now) {
  struct exchange *x = z->exchange;
  if (z->phase == SECONDARY_WAITING_SLOT && !z->urgent) {
    round_anew(s, z, now);
  } else if (x && round_in_vain(z) && x->deadline_ns > x->started_ns + IN_VAIN_MS * NS_PER_MS) {
    x->deadline_ns = x->started_ns + IN_VAIN_MS * NS_PER_MS;
    secondary_reschedule(s, z);
  }
}

/* ---- what comes ---- */

static uint16_t target_of(struct secondaries *s, const struct secondary *z, const struct addr *from) {
  for (uint16_t i = 0; i < z->options->target_count; i++) {
    struct target t = secondary_target(z, i);
    if (!addr_same_host(t.address, from)) continue;
    struct remote *r = remote_find(&s->remotes, t.address);
    if (r) r->silent = 0; /* whoever notifies is up */
    return i;
  }
  return NO_TARGET;
}

void secondary_notified(struct secondaries *s, uint32_t zone_id, const struct addr *from, bool serial_known, uint32_t serial,
                        struct instant now) {
  struct secondary *z = secondary_find(s, zone_id);
  if (!z) return;
  s->counts.notifies++;
  if (serial_known && z->has_content && !z->expired && !serial_gt(serial, z->soa.serial)) {
    s->counts.notifies_known++;
    return;
  }
  bool busy = z->phase != SECONDARY_IDLE;
  s->counts.notifies_busy += busy;
  uint16_t target = target_of(s, z, from);
  if (busy && MUTATION(NOTIFY_BUSY)) return;
  take_note(z, target, serial_known, serial);
  if (!z->again) z->again = z->again_notify = true;
  if (busy) make_way(s, z, now);
  else round_again(s, z, now);
  secondaries_pump(s, now);
}
