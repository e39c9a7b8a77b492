#include "io/http_server.h"

#include "base/limits.h"

#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections that were pushed out are open a moment longer: the library counts them still. */
enum { PUSHED_OUT = 64 };

struct connection { /* one that was not pushed out; the HTTP thread's */
  struct connection *next, *before;
  int fd;
  uint64_t begun_ns;
};

struct http_request {
  struct http_request *next, *before; /* while nobody has replied; under the server's lock */
  struct http_server *server;
  struct MHD_Connection *connection; /* suspended until the reply */
  const struct http_route *route;
  bool taken;                  /* by the owner's thread */
  struct http_request *behind; /* then: the next of those that were taken together */
  struct http_response *response;
};

struct http_response {
  struct MHD_Response *mhd;
  unsigned status;
  atomic_uint references;
};

struct http_server {
  struct MHD_Daemon *daemon;
  struct loop *loop;
  struct loop_watch watch; /* of an eventfd: there are requests to take */
  const struct http_route *routes;
  size_t route_count;
  struct connection *oldest, *newest; /* the HTTP thread's */
  unsigned connection_count;
  pthread_mutex_t lock;
  struct http_request *waiting; /* without a reply, newest first */
  bool ending;
};

/* ---- responses ---- */

static enum err response_make(unsigned status, const char *type, void *bytes, size_t n, struct http_response **out) {
  struct http_response *r = malloc(sizeof *r);
  struct MHD_Response *mhd = r ? MHD_create_response_from_buffer_with_free_callback(n, bytes, free) : NULL;
  if (!mhd) {
    free(bytes);
    free(r);
    return ERR_MEMORY;
  }
  bool whole = MHD_add_response_header(mhd, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
               MHD_add_response_header(mhd, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
  if (whole && status == HTTP_METHOD_NOT_ALLOWED) whole = MHD_add_response_header(mhd, MHD_HTTP_HEADER_ALLOW, "GET") == MHD_YES;
  if (!whole) {
    MHD_destroy_response(mhd);
    free(r);
    return ERR_MEMORY;
  }
  r->mhd = mhd;
  r->status = status;
  atomic_init(&r->references, 1);
  *out = r;
  return ERR_OK;
}

enum err http_response_new(unsigned status, const char *content_type, struct buf *body, struct http_response **out) {
  struct buf taken = *body;
  *body = (struct buf){0};
  if (!taken.failed) return response_make(status, content_type, taken.data, taken.size, out);
  buf_done(&taken);
  return ERR_MEMORY;
}

void http_response_free(struct http_response *r) {
  if (!r || atomic_fetch_sub(&r->references, 1) != 1) return;
  MHD_destroy_response(r->mhd);
  free(r);
}

bool http_response_is_sent(const struct http_response *r) {
  return atomic_load(&r->references) == 1;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *error) {
  struct buf body = {0};
  struct http_response *r;
  buf_printf(&body, "{\"error\": \"%s\"}\n", error);
  if (http_response_new(status, "application/json", &body, &r)) return MHD_NO; /* closes the connection */
  enum MHD_Result queued = MHD_queue_response(connection, status, r->mhd);
  http_response_free(r);
  return queued;
}

/* ---- connections: on the HTTP thread ---- */

static void connection_forget(struct http_server *s, struct connection *c) {
  *(c->before ? &c->before->next : &s->oldest) = c->next;
  *(c->next ? &c->next->before : &s->newest) = c->before;
  c->fd = -1;
  s->connection_count--;
}

/* The oldest ones go that there is no room for, and those that had time enough: the library's own time limit begins anew with
 * every octet. It sees that their sockets are shut down and closes them. */
static void connections_push_out(struct http_server *s, uint64_t now_ns) {
  struct connection *c;
  while ((c = s->oldest) &&
         (s->connection_count > LIMIT_HTTP_CONNECTIONS || now_ns - c->begun_ns > LIMIT_HTTP_CONNECTION_S * NS_PER_S)) {
    shutdown(c->fd, SHUT_RDWR);
    connection_forget(s, c);
  }
}

static void connection_begun(struct http_server *s, struct MHD_Connection *connection, void **context) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  struct connection *c = info ? malloc(sizeof *c) : NULL;
  if (!c) { /* can't be bounded: it is not wanted */
    if (info) shutdown(info->connect_fd, SHUT_RDWR);
    return;
  }
  *c = (struct connection){.before = s->newest, .fd = info->connect_fd, .begun_ns = clock_read().mono_ns};
  *(s->newest ? &s->newest->next : &s->oldest) = c;
  s->newest = c;
  s->connection_count++;
  *context = c;
  connections_push_out(s, c->begun_ns);
}

static void notice_connection(void *arg, struct MHD_Connection *connection, void **context,
                              enum MHD_ConnectionNotificationCode what) {
  struct http_server *s = arg;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    *context = NULL;
    connection_begun(s, connection, context);
    return;
  }
  struct connection *c = *context;
  if (c && c->fd >= 0) connection_forget(s, c);
  free(c);
}

/* ---- requests ---- */

/* Hands it to the owner's thread. The lock is held while the connection is put to sleep, so that no reply can come before. */
static enum MHD_Result hand_over(struct http_server *s, const struct http_route *route, struct MHD_Connection *connection,
                                 void **context) {
  struct http_request *r = malloc(sizeof *r);
  if (!r) return MHD_NO;
  *r = (struct http_request){.server = s, .connection = connection, .route = route};
  pthread_mutex_lock(&s->lock);
  bool ending = s->ending;
  if (!ending) {
    MHD_suspend_connection(connection);
    r->next = s->waiting;
    if (r->next) r->next->before = r;
    s->waiting = r;
    *context = r;
  }
  pthread_mutex_unlock(&s->lock);
  if (ending) {
    free(r);
    return refuse(connection, HTTP_UNAVAILABLE, "the server is ending");
  }
  uint64_t one = 1;
  ssize_t told = write(s->watch.fd, &one, sizeof one);
  (void)told; /* fails only when it has been told 2^64 times */
  return MHD_YES;
}

static enum MHD_Result send_reply(const struct http_request *r) {
  if (!r->response) return refuse(r->connection, HTTP_UNAVAILABLE, "not now");
  return MHD_queue_response(r->connection, r->response->status, r->response->mhd);
}

/* Called when a request's header is here, and again when its connection was woken. */
static enum MHD_Result take_request(void *arg, struct MHD_Connection *connection, const char *path, const char *method,
                                    const char *version, const char *bytes, size_t *n, void **context) {
  struct http_server *s = arg;
  if (*context) return send_reply(*context);
  for (size_t i = 0; i < s->route_count; i++) {
    if (strcmp(path, s->routes[i].path) != 0) continue;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0) return hand_over(s, &s->routes[i], connection, context);
    return refuse(connection, HTTP_METHOD_NOT_ALLOWED, "only GET is understood here");
  }
  return refuse(connection, HTTP_NOT_FOUND, "there is nothing here");
}

static void end_request(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode how) {
  struct http_request *r = *context;
  *context = NULL;
  if (!r) return;
  http_response_free(r->response);
  free(r);
}

void http_reply(struct http_request *r, struct http_response *response) {
  struct http_server *s = r->server;
  if (response) atomic_fetch_add(&response->references, 1);
  pthread_mutex_lock(&s->lock);
  *(r->before ? &r->before->next : &s->waiting) = r->next;
  if (r->next) r->next->before = r->before;
  r->response = response;
  MHD_resume_connection(r->connection); /* from now on the HTTP thread's */
  pthread_mutex_unlock(&s->lock);
}

/* All that wait now. Who comes later, maybe because one of these was answered, is of another turn. */
static struct http_request *take_waiting(struct http_server *s) {
  struct http_request *first = NULL;
  pthread_mutex_lock(&s->lock);
  for (struct http_request *r = s->waiting; r; r = r->next) {
    if (r->taken) continue;
    r->taken = true;
    r->behind = first;
    first = r;
  }
  pthread_mutex_unlock(&s->lock);
  return first;
}

static void told(void *arg, unsigned events, struct instant now) {
  struct http_server *s = arg;
  uint64_t times;
  ssize_t n = read(s->watch.fd, &times, sizeof times);
  (void)n; /* the list says what there is */
  for (struct http_request *r = take_waiting(s), *behind; r; r = behind) {
    behind = r->behind; /* who is answered may be gone */
    r->route->get(r->route->arg, r, now);
  }
}

/* ---- the server ---- */

/* Paths are compared as they were sent: what is written otherwise is another path, and no %00 cuts one short. */
static size_t keep_escaped(void *arg, struct MHD_Connection *connection, char *text) {
  return strlen(text);
}

/* The library's thread is to take no signals: they are the main thread's. */
static struct MHD_Daemon *start_daemon(struct http_server *s, int fd) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  struct MHD_Daemon *d = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, take_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)(LIMIT_HTTP_CONNECTIONS + PUSHED_OUT), MHD_OPTION_CONNECTION_TIMEOUT,
      (unsigned)LIMIT_HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMIT_HTTP_REQUEST_BYTES,
      MHD_OPTION_NOTIFY_CONNECTION, notice_connection, s, MHD_OPTION_NOTIFY_COMPLETED, end_request, s, MHD_OPTION_UNESCAPE_CALLBACK,
      keep_escaped, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return d;
}

enum err http_server_new(struct loop *l, int fd, const struct http_route *routes, size_t route_count, struct http_server **out) {
  struct http_server *s = calloc(1, sizeof *s);
  if (!s) return ERR_MEMORY;
  s->loop = l;
  s->routes = routes;
  s->route_count = route_count;
  pthread_mutex_init(&s->lock, NULL);
  s->watch = (struct loop_watch){eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), LOOP_READ, told, s};
  bool watched = s->watch.fd >= 0 && loop_add(l, &s->watch) == ERR_OK;
  s->daemon = watched ? start_daemon(s, fd) : NULL;
  if (s->daemon) {
    *out = s;
    return ERR_OK;
  }
  if (watched) loop_remove(l, &s->watch);
  if (s->watch.fd >= 0) close(s->watch.fd);
  pthread_mutex_destroy(&s->lock);
  free(s);
  return ERR_IO;
}

void http_server_free(struct http_server *s) {
  if (!s) return;
  pthread_mutex_lock(&s->lock);
  s->ending = true; /* the library can't end while a connection sleeps */
  pthread_mutex_unlock(&s->lock);
  for (struct http_request *r; (r = s->waiting);) /* only this thread takes any out, and none comes in any more */
    http_reply(r, NULL);
  MHD_stop_daemon(s->daemon);
  loop_remove(s->loop, &s->watch);
  close(s->watch.fd);
  pthread_mutex_destroy(&s->lock);
  free(s);
}
