#include "zone/grace_priv.h"
#include "zone/zone_set.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ThreadSanitizer does not see how liburcu orders readers before reclamation, nor a deferral before its call; under it both go
 * through a variable that it sees. */
#if defined(__SANITIZE_THREAD__)
#define GRACE_SHOW_ORDER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GRACE_SHOW_ORDER 1
#endif
#endif
#ifdef GRACE_SHOW_ORDER
static _Atomic unsigned shown;
#define SHOW_ORDER() ((void)atomic_fetch_add(&shown, 1))
#else
#define SHOW_ORDER() ((void)0)
#endif

static _Atomic size_t deferred; /* calls that have not run yet */
static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER; /* `deferred` fell to 0 */
static _Thread_local unsigned registrations;
static pthread_once_t caller_once = PTHREAD_ONCE_INIT;

void zone_reader_register(void) {
  if (registrations++ == 0) urcu_memb_register_thread();
}

void zone_reader_unregister(void) {
  if (--registrations == 0) urcu_memb_unregister_thread();
}

void zone_read_begin(void) {
  urcu_memb_read_lock();
}

void zone_read_end(void) {
  SHOW_ORDER();
  urcu_memb_read_unlock();
}

/* The thread that runs deferred calls takes no signals. */
static void caller_start(void) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  (void)urcu_memb_get_default_call_rcu_data();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void grace_over(struct rcu_head *head) {
  struct grace *g = caa_container_of(head, struct grace, head);
  SHOW_ORDER();
  registrations = 1; /* this is liburcu's own thread, which registered itself */
  g->f(g->arg);
  if (atomic_fetch_sub(&deferred, 1) > 1) return;
  pthread_mutex_lock(&idle_lock);
  pthread_cond_broadcast(&idle);
  pthread_mutex_unlock(&idle_lock);
}

void grace_defer(struct grace *g, void (*f)(void *arg), void *arg) {
  pthread_once(&caller_once, caller_start);
  g->f = f;
  g->arg = arg;
  atomic_fetch_add(&deferred, 1);
  SHOW_ORDER();
  zone_reader_register(); /* liburcu wants a registered caller; this is free for one that is */
  urcu_memb_call_rcu(&g->head, grace_over);
  zone_reader_unregister();
}

struct own_grace {
  struct grace grace;
  void (*f)(void *arg);
  void *arg;
};

static void own_grace_over(void *arg) {
  struct own_grace *o = arg;
  o->f(o->arg);
  free(o);
}

void zone_after_grace(void (*f)(void *), void *arg) {
  struct own_grace *o = malloc(sizeof *o);
  if (!o) { /* slower, but it works */
    urcu_memb_synchronize_rcu();
    f(arg);
    return;
  }
  o->f = f;
  o->arg = arg;
  grace_defer(&o->grace, own_grace_over, o);
}

void zone_grace_barrier(void) {
  pthread_mutex_lock(&idle_lock);
  while (atomic_load(&deferred)) /* what a call defers is counted before the call is over */
    pthread_cond_wait(&idle, &idle_lock);
  pthread_mutex_unlock(&idle_lock);
}
