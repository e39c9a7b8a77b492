/* The metrics page: an HTTP listener (io/http_server.h), the table (api/metrics.h), and where the figures come from.
 *
 *   metrics_open(configuration)   opens the listener if it is another; says what is wrong; nothing changes yet
 *   metrics_switch()              the new one serves, then the old one ends
 *
 * The page is written on the control thread, where the zones and the transfer machines can be asked without a lock; the counters of
 * the workers and streams are atomic, and nobody waits for anybody. However many ask and however large the page is, writing it
 * takes at most about a tenth of that thread's time: beyond that, and while slow readers hold too many copies, the last page is
 * sent again. Thread: the control thread. */
#ifndef TANDEM_METRICS_H
#define TANDEM_METRICS_H

#include "tandem/front.h"

struct metrics;

MUST_CHECK enum err metrics_new(struct loop *l, const struct front *front, struct metrics **out);
void metrics_free(struct metrics *m); /* NULL is fine */

/* On failure `*why` says which address and what to do. */
MUST_CHECK enum err metrics_open(struct metrics *m, const struct config_metrics *config, struct buf *why);
void metrics_abandon(struct metrics *m); /* closes what the last metrics_open opened; nothing to do after a switch */
/* `control` answers for the zones. Starts a thread: not before privileges were dropped. */
MUST_CHECK enum err metrics_switch(struct metrics *m, struct control *control);
bool metrics_has_low_port(const struct metrics *m); /* below 1024, in what was opened last */

/* Memory of the process: resident in all, and of that the mapped files. */
void metrics_memory(uint64_t *resident, uint64_t *mapped);
/* Writes the page. */
void metrics_page(struct control *control, const struct front *front, struct instant now, struct buf *out);

#endif
