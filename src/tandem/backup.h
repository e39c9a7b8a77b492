/* The thread that makes a backup. Thread: the control thread's, all of it. */
#ifndef TANDEM_BACKUP_H
#define TANDEM_BACKUP_H

#include "control/control.h"
#include "io/loop.h"

struct backup_thread;
/* Wakes the loop now and then, and when it has ended. */
MUST_CHECK enum err backup_thread_start(struct loop *l, struct control_backup *b, struct backup_thread **out);
/* Whether it has ended; if not, how many octets it has written. */
bool backup_thread_look(const struct backup_thread *t, uint64_t *bytes);
void backup_thread_free(struct backup_thread *t); /* has it end early if it still runs, and waits for that */

#endif
