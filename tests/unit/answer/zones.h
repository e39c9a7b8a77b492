/* Zones for tests of answers, made from a few lines of text and, if wanted, signed: signatures are of the right form and size
 * but prove nothing; the NSEC and NSEC3 chains are right. A mistake in a test's zone aborts. */
#ifndef TESTS_ANSWER_ZONES_H
#define TESTS_ANSWER_ZONES_H

#include "wire/message.h"
#include "zone/zone_set.h"

enum zones_chain { ZONES_UNSIGNED, ZONES_NSEC, ZONES_NSEC3, ZONES_OPT_OUT };

/* Lines of "owner ttl type rdata"; owners are relative to origin, "@" is the origin. With NSEC3: salt AABBCCDD and 12 iterations,
 * as in RFC 5155 appendix A. */
struct zone_snap *zones_build(const char *origin, const char *text, enum zones_chain chain);
struct zone_snap *zones_build_nsec3(const char *origin, const char *text, bool opt_out, uint16_t iterations);
/* What becomes of `from` by the changes that make it `to`. */
struct zone_snap *zones_turn(const struct zone_snap *from, const struct zone_snap *to);
/* A ready entry with this policy (NULL: open to questions, nothing else), taking over the reference. */
struct zone_entry *zones_entry(uint32_t id, struct zone_snap *snap, const struct zone_policy *policy);
void zones_put(struct zone_set *set, const char *origin, const char *text, enum zones_chain chain,
               const struct zone_policy *policy);
struct name zones_name(const char *text);
/* A well-formed message without compression, owners in lower case: the same of two messages that say the same. Returns its size. */
size_t zones_spell(const uint8_t *message, size_t size, uint8_t *out, size_t room);

#endif
