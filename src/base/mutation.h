/* Faults put into the server on purpose, to prove that the simulator finds them (docs/design/simulator.md). Only a build with
 * -Dmutations=true has them, one at a time; in every other MUTATION() is false at compile time and leaves nothing behind. */
#ifndef BASE_MUTATION_H
#define BASE_MUTATION_H

#ifdef TANDEM_MUTATIONS
enum mutation {
  MUTATION_NONE,
#define MUTATION_ROW(id, doc) MUTATION_##id,
#include "base/mutations.def"
#undef MUTATION_ROW
  MUTATIONS
};
extern enum mutation mutation_on;
#define MUTATION(id) (mutation_on == MUTATION_##id)
#else
#define MUTATION(id) false
#endif

#endif
