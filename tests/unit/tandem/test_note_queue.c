#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "tandem/note_queue.h"

#include <pthread.h>
#include <sched.h>

static void full_and_empty_are_said(void **state) {
  struct note_queue *q;
  struct note n = {.kind = NOTE_NOTIFY};
  assert_int_equal(note_queue_new(&q), ERR_OK);
  for (uint32_t round = 0; round < 3; round++) {
    assert_false(note_queue_take(q, &n));
    for (uint32_t i = 0; i < LIMIT_NOTIFY_QUEUE; i++) {
      n.serial = round + i;
      assert_true(note_queue_put(q, &n));
    }
    assert_false(note_queue_put(q, &n));
    for (uint32_t i = 0; i < LIMIT_NOTIFY_QUEUE; i++) {
      assert_true(note_queue_take(q, &n));
      assert_int_equal(n.serial, round + i);
    }
  }
  note_queue_free(q);
}

enum { WRITERS = 4, NOTES = 20000 };

struct writer {
  struct note_queue *queue;
  uint16_t number;
};

static void *write_notes(void *arg) {
  const struct writer *w = arg;
  for (uint32_t i = 0; i < NOTES; i++) {
    struct note n = {.kind = NOTE_TSIG_FAILED, .code = w->number, .serial = i};
    memset(n.name.octets, (int)i & 0xff, sizeof n.name.octets);
    while (!note_queue_put(w->queue, &n))
      sched_yield();
  }
  return NULL;
}

/* Nothing is lost, doubled, torn, or out of its writer's order. */
static void many_writers_one_reader(void **state) {
  struct writer writers[WRITERS];
  pthread_t threads[WRITERS];
  uint32_t next[WRITERS] = {0};
  struct note_queue *q;
  assert_int_equal(note_queue_new(&q), ERR_OK);
  for (uint16_t i = 0; i < WRITERS; i++) {
    writers[i] = (struct writer){q, i};
    assert_int_equal(pthread_create(&threads[i], NULL, write_notes, &writers[i]), 0);
  }
  for (size_t left = WRITERS * NOTES; left > 0;) {
    struct note n;
    if (!note_queue_take(q, &n)) {
      sched_yield();
      continue;
    }
    left--;
    assert_in_range(n.code, 0, WRITERS - 1);
    assert_int_equal(n.serial, next[n.code]++);
    assert_int_equal(n.name.octets[0], n.serial & 0xff);
    assert_int_equal(n.name.octets[LIMIT_NAME_BYTES - 1], n.serial & 0xff);
  }
  for (int i = 0; i < WRITERS; i++)
    pthread_join(threads[i], NULL);
  note_queue_free(q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(full_and_empty_are_said),
      cmocka_unit_test(many_writers_one_reader),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
