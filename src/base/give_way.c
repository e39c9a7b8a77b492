#include "base/give_way.h"

#include <sched.h>

enum { STEPS = 256 /* of half a microsecond to some: a good tenth of a millisecond */ };

_Thread_local unsigned give_way_steps;

void give_way_from_now_on(void) {
  give_way_steps = STEPS;
}

void give_way_now(void) {
  (void)sched_yield();
  give_way_steps = STEPS;
}
