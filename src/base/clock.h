/* Time is given, not taken: only io/ and tandem/ read the system's clocks (clock_read), everybody else receives
 * `struct instant`. The simulator hands out its own. Thread: any. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

struct instant {
  uint64_t mono_ns; /* never goes back; counts from the start of the machine */
  int64_t wall_s;   /* seconds since 1970 UTC; may jump */
};

struct instant clock_read(void);
/* The time of the system's last tick, up to 10 ms ago, and never ahead of clock_read: for what looks at a clock with every packet.
 * It takes an eighth of the time. */
struct instant clock_read_tick(void);

/* What this thread has computed so far: what others take of the CPU is not in it. */
uint64_t clock_thread_ns(void);

/* A number of the time since the machine was started: mono_ns of two processes can be compared if they have the same. 0: not known.
 */
uint64_t clock_boot(void);

enum { TIME_TEXT_BYTES = 32 };
/* RFC 3339 in UTC, such as 2026-11-22T21:16:56Z. */
const char *time_text(int64_t wall_s, char out[TIME_TEXT_BYTES]);

#endif
