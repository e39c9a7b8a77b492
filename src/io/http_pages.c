#include "io/http_pages.h"

#include <assert.h>

struct http_response *http_pages_last(const struct http_pages *p) {
  return p->list[p->last];
}

/* Where a new version goes: in place of the last one if nobody is being sent that. LIMIT_HTTP_PAGES: nowhere. */
static size_t find_room(const struct http_pages *p) {
  size_t at = p->last;
  if (!p->list[at] || http_response_is_sent(p->list[at])) return at;
  for (at = 0; at < LIMIT_HTTP_PAGES && p->list[at]; at++)
    ;
  return at;
}

bool http_pages_have_room(struct http_pages *p) {
  for (size_t i = 0; i < LIMIT_HTTP_PAGES; i++) {
    if (i == p->last || !p->list[i] || !http_response_is_sent(p->list[i])) continue;
    http_response_free(p->list[i]);
    p->list[i] = NULL;
  }
  return find_room(p) < LIMIT_HTTP_PAGES;
}

void http_pages_put(struct http_pages *p, struct http_response *r) {
  size_t at = find_room(p);
  assert(at < LIMIT_HTTP_PAGES);
  http_response_free(p->list[at]);
  p->list[at] = r;
  p->last = at;
}

void http_pages_done(struct http_pages *p) {
  for (size_t i = 0; i < LIMIT_HTTP_PAGES; i++)
    http_response_free(p->list[i]);
  *p = (struct http_pages){0};
}
