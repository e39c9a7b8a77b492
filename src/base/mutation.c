#include "base/mutation.h"

#ifdef TANDEM_MUTATIONS
enum mutation mutation_on;
#endif
