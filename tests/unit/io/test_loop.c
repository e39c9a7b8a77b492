#include "io_test.h"

#include "io/loop.h"
#include "io/thread.h"
#include "io/token_map.h"

#include <signal.h>
#include <stdlib.h>

struct pipe_end {
  struct loop_watch watch;
  struct loop *loop;
  struct pipe_end *removes; /* taken out of the loop by this one's handler */
  int calls;
};

static void end_ready(void *arg, unsigned events, struct instant now) {
  struct pipe_end *e = arg;
  e->calls++;
  if (e->removes) loop_remove(e->loop, &e->removes->watch);
  loop_remove(e->loop, &e->watch);
}

static void make_end(struct loop *l, struct pipe_end *e, int *writer) {
  int fds[2];
  assert_int_equal(pipe(fds), 0);
  *e = (struct pipe_end){.watch = {fds[0], LOOP_READ, end_ready, e}, .loop = l};
  *writer = fds[1];
  assert_int_equal(loop_add(l, &e->watch), ERR_OK);
}

/* Two are ready in one turn; the first takes the second away: its event must not come any more. */
static void removed_watch_is_silent(void **state) {
  struct loop *l;
  struct pipe_end ends[2];
  int writers[2];
  struct instant now;
  assert_int_equal(loop_new(&l), ERR_OK);
  for (int i = 0; i < 2; i++) {
    make_end(l, &ends[i], &writers[i]);
    assert_int_equal(write(writers[i], "x", 1), 1);
  }
  ends[0].removes = &ends[1];
  ends[1].removes = &ends[0];
  loop_turn(l, LOOP_NEVER, &now);
  assert_int_equal(ends[0].calls + ends[1].calls, 1);
  loop_turn(l, now.mono_ns, &now);
  assert_int_equal(ends[0].calls + ends[1].calls, 1);
  for (int i = 0; i < 2; i++) {
    close(writers[i]);
    close(ends[i].watch.fd);
  }
  loop_free(l);
}

static void deadline_is_kept(void **state) {
  struct loop *l;
  struct instant now;
  assert_int_equal(loop_new(&l), ERR_OK);
  uint64_t at = clock_read().mono_ns + 20 * NS_PER_MS;
  loop_turn(l, at, &now);
  assert_true(now.mono_ns >= at);
  loop_free(l);
}

static void count_wake(void *arg, struct instant now) {
  (*(int *)arg)++;
}

static void *wake_often(void *arg) {
  for (int i = 0; i < 1000; i++)
    loop_wake(arg);
  return NULL;
}

static void wakes_come_and_are_gathered(void **state) {
  struct loop *l;
  struct instant now;
  pthread_t thread;
  int wakes = 0;
  assert_int_equal(loop_new(&l), ERR_OK);
  loop_on_wake(l, count_wake, &wakes);
  assert_int_equal(thread_start(&thread, "waker", -1, wake_often, l), ERR_OK);
  pthread_join(thread, NULL);
  loop_turn(l, LOOP_NEVER, &now);
  assert_int_equal(wakes, 1);
  loop_wake(l);
  loop_turn(l, LOOP_NEVER, &now);
  assert_int_equal(wakes, 2);
  loop_free(l);
}

static void keep_signal(void *arg, int signal_number, struct instant now) {
  *(int *)arg = signal_number;
}

static void signals_are_events(void **state) {
  struct loop *l;
  struct instant now;
  int seen = 0;
  assert_int_equal(loop_new(&l), ERR_OK);
  assert_int_equal(loop_on_signal(l, keep_signal, &seen), ERR_OK);
  kill(getpid(), SIGHUP);
  loop_turn(l, LOOP_NEVER, &now);
  assert_int_equal(seen, SIGHUP);
  loop_free(l);
}

/* Against a plain array as the model: tokens that collide, and removals in the middle of runs. */
static void token_map_is_a_map(void **state) {
  enum { TOKENS = 300, STEPS = 20000 };
  static int things[TOKENS];
  bool in[TOKENS] = {false};
  struct token_map m = {0};
  uint32_t random = 12345;
  size_t count = 0;
  for (int step = 0; step < STEPS; step++) {
    random = random * 1664525 + 1013904223;
    size_t i = (random >> 8) % TOKENS;
    uint64_t token = (uint64_t)(i + 1) << (i % 3 * 16);
    assert_ptr_equal(token_map_get(&m, token), in[i] ? &things[i] : NULL);
    if (in[i]) token_map_remove(&m, token);
    else assert_int_equal(token_map_put(&m, token, &things[i]), ERR_OK);
    in[i] = !in[i];
    count += in[i] ? 1 : (size_t)-1;
    assert_int_equal(m.count, count);
  }
  size_t cursor = 0, seen = 0;
  for (int *thing; (thing = token_map_next(&m, &cursor)); seen++)
    assert_true(in[thing - things]);
  assert_int_equal(seen, count);
  token_map_done(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(removed_watch_is_silent),     cmocka_unit_test(deadline_is_kept),
      cmocka_unit_test(wakes_come_and_are_gathered), cmocka_unit_test(signals_are_events),
      cmocka_unit_test(token_map_is_a_map),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
