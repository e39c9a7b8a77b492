#include "io/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_A_TURN = 64 };

struct loop {
  int epoll_fd;
  struct loop_watch wake;
  struct loop_watch signals;
  atomic_bool woken; /* a wake-up is under way: further ones need no system call */
  void (*on_wake)(void *arg, struct instant now);
  void *wake_arg;
  void (*on_signal)(void *arg, int signal_number, struct instant now);
  void *signal_arg;
  struct epoll_event events[EVENTS_A_TURN];
  int event_count;
  bool crowded; /* the last wait gave as many events as it could */
};

/* Each write is an event of its own (EPOLLET), so the count is never read. */
static void wake_ready(void *arg, unsigned events, struct instant now) {
  struct loop *l = arg;
  atomic_store(&l->woken, false);
  if (l->on_wake) l->on_wake(l->wake_arg, now);
}

static void signal_ready(void *arg, unsigned events, struct instant now) {
  struct loop *l = arg;
  struct signalfd_siginfo info;
  while (read(l->signals.fd, &info, sizeof info) == sizeof info)
    l->on_signal(l->signal_arg, (int)info.ssi_signo, now);
}

static enum err watch_wake(struct loop *l) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = &l->wake};
  return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake.fd, &e) == 0 ? ERR_OK : ERR_IO;
}

enum err loop_new(struct loop **out) {
  struct loop *l = calloc(1, sizeof *l);
  if (!l) return ERR_MEMORY;
  l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  l->wake = (struct loop_watch){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), LOOP_READ, wake_ready, l};
  l->signals.fd = -1;
  if (l->epoll_fd < 0 || l->wake.fd < 0 || watch_wake(l) != ERR_OK) {
    loop_free(l);
    return ERR_IO;
  }
  *out = l;
  return ERR_OK;
}

void loop_free(struct loop *l) {
  if (!l) return;
  if (l->signals.fd >= 0) close(l->signals.fd);
  if (l->wake.fd >= 0) close(l->wake.fd);
  if (l->epoll_fd >= 0) close(l->epoll_fd);
  free(l);
}

static struct epoll_event epoll_form(struct loop_watch *w) {
  uint32_t events = (w->events & LOOP_READ ? EPOLLIN : 0) | (w->events & LOOP_WRITE ? EPOLLOUT : 0);
  return (struct epoll_event){.events = events, .data.ptr = w};
}

enum err loop_add(struct loop *l, struct loop_watch *w) {
  struct epoll_event e = epoll_form(w);
  return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &e) == 0 ? ERR_OK : ERR_IO;
}

void loop_change(struct loop *l, struct loop_watch *w, unsigned events) {
  if (w->events == events) return;
  w->events = events;
  struct epoll_event e = epoll_form(w);
  int r = epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &e);
  assert(r == 0); /* a registered descriptor can always be changed */
  (void)r;
}

void loop_remove(struct loop *l, struct loop_watch *w) {
  epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
  for (int i = 0; i < l->event_count; i++)
    if (l->events[i].data.ptr == w) l->events[i].data.ptr = NULL;
}

bool loop_send(struct loop *l, struct loop_watch *w, struct buf *queue, size_t *sent) {
  while (*sent < queue->size) {
    ssize_t n = send(w->fd, queue->data + *sent, queue->size - *sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return false;
    *sent += (size_t)n;
  }
  if (*sent == queue->size) {
    buf_clear(queue);
    *sent = 0;
  }
  loop_change(l, w, LOOP_READ | (queue->size ? LOOP_WRITE : 0u));
  return true;
}

void loop_wake(struct loop *l) {
  if (atomic_exchange(&l->woken, true)) return;
  uint64_t one = 1;
  ssize_t n = write(l->wake.fd, &one, sizeof one);
  (void)n; /* it fails only when the counter is full, and then the loop wakes anyway */
}

void loop_on_wake(struct loop *l, void (*f)(void *arg, struct instant now), void *arg) {
  l->on_wake = f;
  l->wake_arg = arg;
}

enum err loop_on_signal(struct loop *l, void (*f)(void *arg, int signal_number, struct instant now), void *arg) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return ERR_IO;
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return ERR_IO;
  l->on_signal = f;
  l->signal_arg = arg;
  l->signals = (struct loop_watch){fd, LOOP_READ, signal_ready, l};
  return loop_add(l, &l->signals);
}

/* Milliseconds to wait, rounded up: waking early would only turn the loop once more for nothing. */
static int wait_ms(uint64_t deadline_mono_ns) {
  if (deadline_mono_ns == LOOP_NEVER) return -1;
  uint64_t now_ns = clock_read().mono_ns;
  if (deadline_mono_ns <= now_ns) return 0;
  uint64_t ms = (deadline_mono_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
  return ms > INT_MAX ? INT_MAX : (int)ms;
}

static unsigned loop_form(uint32_t events) {
  if (events & (EPOLLERR | EPOLLHUP)) return LOOP_READ | LOOP_WRITE;
  return (events & EPOLLIN ? LOOP_READ : 0u) | (events & EPOLLOUT ? LOOP_WRITE : 0u);
}

void loop_turn(struct loop *l, uint64_t deadline_mono_ns, struct instant *now) {
  int n = epoll_wait(l->epoll_fd, l->events, EVENTS_A_TURN, wait_ms(deadline_mono_ns));
  struct instant t = clock_read();
  l->event_count = n > 0 ? n : 0;
  l->crowded = n == EVENTS_A_TURN;
  for (int i = 0; i < l->event_count; i++) {
    struct loop_watch *w = l->events[i].data.ptr;
    if (w) w->ready(w->arg, loop_form(l->events[i].events), t);
  }
  l->event_count = 0;
  *now = clock_read();
}

bool loop_crowded(const struct loop *l) {
  return l->crowded;
}
