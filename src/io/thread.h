/* Threads: named, with every signal blocked, so that signals come to the loop of the main thread alone. */
#ifndef IO_THREAD_H
#define IO_THREAD_H

#include "base/err.h"

#include <pthread.h>

/* `name` has at most 15 characters (what the kernel keeps). `cpu` < 0: not pinned. */
MUST_CHECK enum err thread_start(pthread_t *out, const char *name, int cpu, void *(*run)(void *arg), void *arg);

/* The calling thread lets all others have CPU and disk first; what it can't get so, it does without. */
void thread_stand_back(void);

/* The calling thread is given the CPU as soon as it has something to do, for it never needs it for long: the kernel's share for
 * each stays as it is. Linux 6.12 and later; elsewhere nothing changes. */
void thread_come_quickly(void);

/* The calling thread computes for long beside workers: it lets them go first at every 256th give_way() (base/give_way.h). What it
 * forgoes by that is a slice, so it takes the shortest, too. Threads that it starts are as they would be without. */
void thread_give_way(void);

/* A thread that waits in system calls and looks at a flag in between: thread_interruptible lets it be woken, and thread_interrupt,
 * once the flag is set, wakes it until it has ended. */
void thread_interruptible(void);
void thread_interrupt(pthread_t t);

#endif
