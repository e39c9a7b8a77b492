#include "tandem/metrics.h"

#include "api/metrics.h"
#include "base/log.h"
#include "io/http_pages.h"
#include "io/sockets.h"

#include <stdlib.h>
#include <unistd.h>

enum {
  LOW_PORTS = 1024,
  BUSY_SHARE = 10,      /* one part in so many of the thread's time may go into pages */
  BUSY_AT_ONCE_MS = 100 /* that much may be saved up */
};

struct metrics {
  struct loop *loop;
  const struct front *front;
  struct control *control;
  struct http_route route;
  struct addr now, next; /* family 0: none */
  int fd;                /* of next; -1: as now */
  struct http_server *server;
  struct http_pages pages;
  uint64_t page_ns;  /* when one was asked for last */
  int64_t credit_ns; /* time that may go into pages */
};

/* ---- the page ---- */

static void earn(struct metrics *m, struct instant now) {
  enum { MOST_NS = BUSY_AT_ONCE_MS * (int)NS_PER_MS };
  m->credit_ns += (int64_t)((now.mono_ns - m->page_ns) / BUSY_SHARE);
  if (m->credit_ns > MOST_NS) m->credit_ns = MOST_NS;
}

static enum err write_page(struct metrics *m, struct instant now) {
  struct buf text = {0};
  struct http_response *page;
  uint64_t begun_ns = clock_thread_ns();
  metrics_page(m->control, m->front, now, &text);
  m->credit_ns -= (int64_t)(clock_thread_ns() - begun_ns);
  enum err e = http_response_new(HTTP_OK, METRICS_CONTENT_TYPE, &text, &page);
  if (e) return e;
  http_pages_put(&m->pages, page);
  return ERR_OK;
}

/* All that ask in one turn of the loop get the same page. */
static void get_page(void *arg, struct http_request *r, struct instant turn) {
  struct metrics *m = arg;
  bool first = !http_pages_last(&m->pages);
  if (first || turn.mono_ns > m->page_ns) {
    struct instant now = clock_read();
    earn(m, now);
    m->page_ns = now.mono_ns;
    if ((first || m->credit_ns > 0) && http_pages_have_room(&m->pages) && write_page(m, now)) {
      http_reply(r, NULL);
      return;
    }
  }
  http_reply(r, http_pages_last(&m->pages));
}

/* ---- the listener ---- */

enum err metrics_new(struct loop *l, const struct front *front, struct metrics **out) {
  struct metrics *m = calloc(1, sizeof *m);
  if (!m) return ERR_MEMORY;
  *m = (struct metrics){.loop = l, .front = front, .route = {"/metrics", get_page, m}, .fd = -1};
  *out = m;
  return ERR_OK;
}

void metrics_free(struct metrics *m) {
  if (!m) return;
  metrics_abandon(m);
  http_server_free(m->server);
  http_pages_done(&m->pages);
  free(m);
}

/* Whether our own socket stands in the way of an exclusive look whether the address is free. */
static bool covers(const struct addr *a, const struct addr *b) {
  return a->family == b->family && a->port == b->port && (addr_is_any(a) || addr_is_any(b));
}

void metrics_abandon(struct metrics *m) {
  if (m->fd >= 0) close(m->fd);
  m->fd = -1;
  m->next = m->now;
}

enum err metrics_open(struct metrics *m, const struct config_metrics *config, struct buf *why) {
  metrics_abandon(m);
  m->next = config->listen;
  if (m->next.family == 0 || addr_equal(&m->now, &m->next)) return ERR_OK;
  struct socket_error error = {"out of memory", ""};
  enum err e = socket_listen(SOCKET_TCP, &m->next, covers(&m->now, &m->next), &m->fd, &error);
  if (!e) return ERR_OK;
  buf_printf(why, "metrics.listen: %s%s%s", error.what, error.hint[0] ? "; " : "", error.hint);
  metrics_abandon(m);
  return e;
}

enum err metrics_switch(struct metrics *m, struct control *control) {
  struct http_server *fresh = NULL;
  m->control = control;
  if (addr_equal(&m->now, &m->next)) return ERR_OK;
  if (m->fd >= 0) {
    enum err e = http_server_new(m->loop, m->fd, &m->route, 1, &fresh);
    if (e) {
      metrics_abandon(m);
      return e;
    }
    char text[ADDR_TEXT_BYTES];
    log_event(EV_LISTENING, LOG_TEXT("address", addr_text(&m->next, text)), LOG_TEXT("for", "metrics"));
  }
  m->fd = -1; /* the server's now */
  http_server_free(m->server);
  m->server = fresh;
  m->now = m->next;
  return ERR_OK;
}

bool metrics_has_low_port(const struct metrics *m) {
  return m->next.family != 0 && m->next.port < LOW_PORTS;
}
