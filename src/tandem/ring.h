/* A bounded ring between threads that never waits and never allocates: items of one size are copied in and out.
 *
 * Each cell has a turn number. A writer that finds its cell's turn takes the cell by moving `head` on, fills it, and passes the
 * turn to the reader, who takes it by moving `tail` on, empties it, and passes the turn to the writer of the next round. A full
 * ring and an empty one say so. Thread: any number of writers and readers. */
#ifndef TANDEM_RING_H
#define TANDEM_RING_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct ring;
MUST_CHECK enum err ring_new(size_t capacity /* a power of two */, size_t item_bytes, struct ring **out);
void ring_free(struct ring *r);                  /* NULL is fine */
bool ring_put(struct ring *r, const void *item); /* false: full */
bool ring_take(struct ring *r, void *item);      /* false: empty */

#endif
