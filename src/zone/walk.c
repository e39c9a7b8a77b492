#include "zone/walk_priv.h"

#if defined(__x86_64__)
__attribute__((target("popcnt"))) static void walk_all_popcnt(struct walk *walks, size_t count) {
  walk_all_steps(walks, count);
}
#endif

void walk_all(struct walk *walks, size_t count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("popcnt")) {
    walk_all_popcnt(walks, count);
    return;
  }
#endif
  walk_all_steps(walks, count);
}
