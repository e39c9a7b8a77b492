/* UPDATEs on their way from the workers and the stream thread to the control thread, and where their answers go.
 *
 *   free places --> worker, stream thread: copies the request into one --> waiting --> control thread: judges, answers --> free
 * places
 *
 * LIMIT_UPDATES places, made once: whoever gets none answers SERVFAIL at once. A place is in use until its UPDATE is answered, be
 * it by a primary that it was forwarded to.
 *
 * Thread: update_queue_put_* by any that answers; the rest by the control thread. */
#ifndef TANDEM_UPDATE_QUEUE_H
#define TANDEM_UPDATE_QUEUE_H

#include "control/control.h"
#include "io/stream_server.h"
#include "io/udp_worker.h"

struct update_queue;
MUST_CHECK enum err update_queue_new(struct update_queue **out);
void update_queue_free(struct update_queue *q); /* NULL is fine */
size_t update_queue_bytes(void);                /* of memory, once all places were used */

/* Takes over what answer() left in the job, unless there is no room: then false, and the job can still be answered. */
bool update_queue_put_udp(struct update_queue *q, struct answer_job *job, const struct answer_identity *id,
                          const struct udp_packet *packet, struct instant now);
bool update_queue_put_stream(struct update_queue *q, struct answer_job *job, const struct answer_identity *id,
                             struct stream_conn *conn, struct instant now);

/* From now on nothing is taken. Any thread sees it soon. */
void update_queue_close(struct update_queue *q);
struct control_update *update_queue_take(struct update_queue *q); /* NULL: none waits */
/* Sends the answer (n == 0: none), by UDP with the next update_queue_send at the latest, and then frees the place. `streams` is
 * NULL once they have ended. */
void update_queue_answer(struct update_queue *q, struct control_update *u, struct stream_server *streams, const uint8_t *bytes,
                         size_t n);
void update_queue_send(struct update_queue *q);

#endif
