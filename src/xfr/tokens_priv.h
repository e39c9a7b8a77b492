/* Tokens of exchanges and streams: a slot's number and how often it was used, so that a late event of a dead one finds nobody.
 *
 *   63..61   60..32       31..0
 *   machine  generation   slot + 1
 *
 * Thread: the owner's. */
#ifndef XFR_TOKENS_PRIV_H
#define XFR_TOKENS_PRIV_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { TOKENS_SECONDARIES, TOKENS_FORWARDER, TOKENS_CHANNELS, TOKENS_BARRIER, TOKENS_NOTIFIER }; /* bits 63 to 61 */

struct tokens {
  struct token_slot *slots;
  uint32_t count, free; /* `free`: 1-based head of the list of free slots */
  uint64_t machine;
};

/* `owner` is what tokens_find will give. */
MUST_CHECK enum err tokens_take(struct tokens *t, void *owner, uint64_t *token);
void tokens_drop(struct tokens *t, uint64_t token);
void *tokens_find(const struct tokens *t, uint64_t token); /* NULL: not ours, or dead */
void tokens_done(struct tokens *t);

#endif
