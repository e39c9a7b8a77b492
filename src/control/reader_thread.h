/* Threads that read zone files beside the one that wants them. */
#ifndef CONTROL_READER_THREAD_H
#define CONTROL_READER_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* How many at once are of use: one for each CPU that this process may use. */
unsigned reader_threads_most(void);
/* Signals are the main thread's. False: there is none. */
bool reader_thread_start(pthread_t *out, void *(*run)(void *arg), void *arg);

#endif
