/* Memory that comes by the megabyte. Where the system has large pages, it may give them: a page fault instead of hundreds. Only for
 * what is written all over: what of it is never touched would take memory, too. Thread: any. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* All of these octets are about to be written. A hint: nothing may fail. */
void pages_expect(void *at, size_t n);

#endif
