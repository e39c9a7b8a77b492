/* The thread that makes large versions ready (control/images.c). Thread: the control thread's, all of it. */
#ifndef TANDEM_IMAGE_THREAD_H
#define TANDEM_IMAGE_THREAD_H

#include "control/control.h"
#include "io/loop.h"

struct image_thread;
MUST_CHECK enum err image_thread_start(struct loop *l, struct image_job *job, struct image_thread **out); /* wakes it at the end */
bool image_thread_has_ended(const struct image_thread *t);
void image_thread_free(struct image_thread *t); /* waits for its end */

#endif
