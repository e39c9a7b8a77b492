/* Deferral past the readers of now (RCU, liburcu's memb flavour): what zone_set.h's zone_after_grace is made of, without an
 * allocation for objects that carry their own `struct grace`. */
#ifndef ZONE_GRACE_PRIV_H
#define ZONE_GRACE_PRIV_H

#include <urcu/urcu-memb.h>

struct grace {
  struct rcu_head head;
  void (*f)(void *arg);
  void *arg;
};

/* f(arg) runs on another thread once every read section of now has ended. `g` lives until then and is not used after f began. */
void grace_defer(struct grace *g, void (*f)(void *arg), void *arg);

#endif
