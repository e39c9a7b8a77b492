#include "tandem/swap.h"

#include "io/service.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBER_BYTES = 12 };

static char binary[PATH_MAX];

struct swap {
  struct loop *loop;
  struct loop_watch watch; /* the end of the pipe that the new process writes to when it serves */
  struct swap_events events;
  pid_t pid; /* 0: it serves */
};

void swap_remember_binary(void) {
  ssize_t n = readlink("/proc/self/exe", binary, sizeof binary - 1);
  binary[n > 0 ? n : 0] = 0;
}

/* ---- the new process ---- */

/* Everything is made before the fork: behind it, with other threads gone in the middle of anything, only system calls are safe. */
struct launch {
  char *arguments[5];
  char **environment;
  char pid_text[sizeof SERVICE_LISTEN_PID + 1 + NUMBER_BYTES]; /* its digits are filled in by the new process */
  char count_text[sizeof SERVICE_LISTEN_FDS + 1 + NUMBER_BYTES];
  char ready_text[sizeof SERVICE_READY_FD + 1 + NUMBER_BYTES];
  const int *sockets;
  size_t count;
  int ready_fd;
};

static bool is_variable(const char *entry, const char *name) {
  size_t n = strlen(name);
  return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static bool prepare(struct launch *l, const char *config_path) {
  extern char **environ;
  static char serve[] = "serve", c[] = "-c";
  size_t n = 0;
  while (environ[n])
    n++;
  l->environment = calloc(n + 4, sizeof *l->environment);
  char *path = strdup(config_path);
  if (!l->environment || !path) {
    free(path);
    return false;
  }
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (!is_variable(environ[i], SERVICE_LISTEN_PID) && !is_variable(environ[i], SERVICE_LISTEN_FDS) &&
        !is_variable(environ[i], SERVICE_READY_FD))
      l->environment[kept++] = environ[i];
  snprintf(l->count_text, sizeof l->count_text, "%s=%zu", SERVICE_LISTEN_FDS, l->count);
  snprintf(l->ready_text, sizeof l->ready_text, "%s=%zu", SERVICE_READY_FD, SERVICE_FIRST_FD + l->count);
  snprintf(l->pid_text, sizeof l->pid_text, "%s=", SERVICE_LISTEN_PID);
  l->environment[kept++] = l->count_text;
  l->environment[kept++] = l->ready_text;
  l->environment[kept] = l->pid_text;
  char *arguments[] = {binary, serve, c, path, NULL};
  memcpy(l->arguments, arguments, sizeof arguments);
  return true;
}

static void launch_done(struct launch *l) {
  free(l->arguments[3]);
  free(l->environment);
}

/* Appends the number's digits; no library is called. */
static void append_number(char *text, long v) {
  char digits[NUMBER_BYTES];
  size_t n = 0, end = strlen(text);
  do {
    digits[n++] = (char)('0' + v % 10);
    v /= 10;
  } while (v > 0 && n < sizeof digits - 1);
  while (n > 0)
    text[end++] = digits[--n];
  text[end] = 0;
}

/* In the new process, until the program begins. The descriptors first go where none of their places is. */
static _Noreturn void become(struct launch *l) {
  static int moved[SERVICE_PASSED_MAX + 1];
  for (size_t i = 0; i <= l->count; i++) {
    moved[i] = fcntl(i < l->count ? l->sockets[i] : l->ready_fd, F_DUPFD_CLOEXEC, SERVICE_FIRST_FD + (int)l->count + 1);
    if (moved[i] < 0) _exit(127);
  }
  for (size_t i = 0; i <= l->count; i++)
    if (dup2(moved[i], SERVICE_FIRST_FD + (int)i) < 0) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  append_number(l->pid_text, (long)getpid());
  execve(binary, l->arguments, l->environment);
  _exit(127);
}

/* ---- the old process ---- */

static void watch_done(struct swap *s) {
  if (s->watch.fd < 0) return;
  loop_remove(s->loop, &s->watch);
  close(s->watch.fd);
  s->watch.fd = -1;
}

static void explain_end(int status, char *out, size_t size) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) snprintf(out, size, "%s could not be started", binary);
  else if (WIFEXITED(status)) snprintf(out, size, "the new process ended with exit code %d; its log says why", WEXITSTATUS(status));
  else snprintf(out, size, "the new process was ended by signal %d", WTERMSIG(status));
}

static void told(void *arg, unsigned events, struct instant now) {
  struct swap *s = arg;
  char byte;
  ssize_t n = read(s->watch.fd, &byte, 1);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  pid_t pid = s->pid;
  watch_done(s);
  if (n == 1) {
    s->pid = 0;
    s->events.serves(s->events.arg, pid);
    return;
  }
  int status = 0;
  char why[PATH_MAX + 64];
  s->pid = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  explain_end(status, why, sizeof why);
  s->events.failed(s->events.arg, why);
}

static enum err fail(struct swap *s, struct buf *why, const char *what) {
  buf_printf(why, "%s: %s", what, strerror(errno));
  free(s);
  return ERR_IO;
}

enum err swap_start(struct loop *loop, const char *config_path, const int *sockets, size_t count, const struct swap_events *events,
                    struct swap **out, struct buf *why) {
  int ends[2];
  struct launch l = {.sockets = sockets, .count = count};
  struct swap *s = calloc(1, sizeof *s);
  if (!s) return ERR_MEMORY;
  if (count > SERVICE_PASSED_MAX || !binary[0]) {
    buf_printf(why, count > SERVICE_PASSED_MAX ? "%zu sockets are more than can be handed over" : "the program's file is not known",
               count);
    free(s);
    return ERR_LIMIT;
  }
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail(s, why, "pipe");
  *s = (struct swap){loop, {ends[0], LOOP_READ, told, s}, *events, 0};
  l.ready_fd = ends[1];
  bool ready = prepare(&l, config_path) && loop_add(loop, &s->watch) == ERR_OK;
  pid_t pid = ready ? fork() : -1;
  if (pid == 0) become(&l);
  launch_done(&l);
  close(ends[1]);
  if (pid > 0) {
    s->pid = pid;
    *out = s;
    return ERR_OK;
  }
  if (ready) loop_remove(loop, &s->watch);
  close(ends[0]);
  return fail(s, why, "a new process can't be made");
}

void swap_free(struct swap *s) {
  if (!s) return;
  watch_done(s);
  if (s->pid) {
    kill(s->pid, SIGKILL);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
      continue;
  }
  free(s);
}
