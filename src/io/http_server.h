/* HTTP/1.1 for operators' programs, such as Prometheus: libmicrohttpd on a thread of its own.
 *
 *   client --> HTTP thread: parses, limits, refuses --a GET of a route--> the owner's loop: route->get
 *          <-- HTTP thread: sends as the client takes it <--http_reply--- (at once or later)
 *
 * What strangers send costs that thread alone, and whoever answers does so on its own thread among its own data: only requests and
 * responses change hands, under one lock. Nothing but GET of a route gets that far; the rest is 404 or 405 at once.
 *
 * A connection carries one request, has bounded memory, and is closed after LIMIT_HTTP_IDLE_S without progress. When there are
 * LIMIT_HTTP_CONNECTIONS of them the oldest makes room for the next: idle ones keep nobody out.
 *
 * Thread: the owner's, that of the loop. */
#ifndef IO_HTTP_SERVER_H
#define IO_HTTP_SERVER_H

#include "base/buf.h"
#include "io/loop.h"

#include <stdbool.h>

enum { HTTP_OK = 200, HTTP_NOT_FOUND = 404, HTTP_METHOD_NOT_ALLOWED = 405, HTTP_UNAVAILABLE = 503 };

struct http_server;
struct http_request;
struct http_response; /* may be the answer to many requests */

struct http_route {
  const char *path; /* "/metrics" */
  void (*get)(void *arg, struct http_request *r, struct instant now);
  void *arg;
};

/* Takes over the listening TCP socket on success. `routes` must outlive the server. */
MUST_CHECK enum err http_server_new(struct loop *l, int fd, const struct http_route *routes, size_t route_count,
                                    struct http_server **out);
/* Requests that wait for a reply are answered 503, and are not to be replied to any more. NULL is fine. */
void http_server_free(struct http_server *s);

/* Takes over the body's memory in any case. */
MUST_CHECK enum err http_response_new(unsigned status, const char *content_type, struct buf *body, struct http_response **out);
void http_response_free(struct http_response *r);          /* those who are being sent it still get it; NULL is fine */
bool http_response_is_sent(const struct http_response *r); /* nobody is being sent it any more */
/* Exactly once a request; the response stays the caller's. NULL: 503. */
void http_reply(struct http_request *r, struct http_response *response);

#endif
