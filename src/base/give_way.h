/* Long computations beside threads that must not wait. The kernel lets a thread that computes keep the CPU for milliseconds
 * although another has something to do; so the loops that may take that long say at each step that now is a good moment, and every
 * 256th time the thread lets others go first. Only threads that asked for it do so; for all others it is a test of a thread-local
 * word. */
#ifndef BASE_GIVE_WAY_H
#define BASE_GIVE_WAY_H

extern _Thread_local unsigned give_way_steps; /* until others go first; 0: never */

void give_way_from_now_on(void); /* the calling thread asks for it */
void give_way_now(void);

static inline void give_way(void) {
  if (give_way_steps && --give_way_steps == 0) give_way_now();
}

#endif
