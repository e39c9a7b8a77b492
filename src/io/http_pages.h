/* A page that is written anew from time to time: its last version, and older ones for as long as slow readers take them. There are
 * at most LIMIT_HTTP_PAGES, so readers who stop reading hold a bounded number of copies. Zero-initialised is empty.
 * Thread: the owner's. */
#ifndef IO_HTTP_PAGES_H
#define IO_HTTP_PAGES_H

#include "base/limits.h"
#include "io/http_server.h"

struct http_pages {
  struct http_response *list[LIMIT_HTTP_PAGES]; /* NULL: free */
  size_t last;
};

/* NULL: none was put yet. Stays the pages'. */
struct http_response *http_pages_last(const struct http_pages *p);
/* Whether a new version can be put now. Forgets those that nobody takes any more. */
bool http_pages_have_room(struct http_pages *p);
/* Takes over the response, which is the last version from now on. Only where there is room. */
void http_pages_put(struct http_pages *p, struct http_response *r);
void http_pages_done(struct http_pages *p);

#endif
