#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tandem/update_queue.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static bool put(struct update_queue *q) {
  static const uint8_t bytes[32];
  static const struct answer_identity id;
  struct sockaddr_in6 from = {.sin6_family = AF_INET6};
  struct udp_socket socket = {.fd = -1};
  struct msghdr asked = {.msg_name = &from, .msg_namelen = sizeof from};
  struct udp_packet packet = {.bytes = bytes, .size = sizeof bytes, .socket = &socket, .asked = &asked};
  struct answer_job *job = calloc(1, sizeof *job);
  assert_non_null(job);
  job->bytes = bytes;
  job->size = sizeof bytes;
  bool taken = update_queue_put_udp(q, job, &id, &packet, (struct instant){0});
  free(job);
  return taken;
}

static void give_back(struct update_queue *q, struct control_update *u) {
  update_queue_answer(q, u, NULL, NULL, 0);
}

/* One after the other they all use one place, whose memory is in the caches. */
static void the_first_free_place_is_taken(void **state) {
  struct update_queue *q;
  assert_int_equal(update_queue_new(&q), ERR_OK);
  assert_true(put(q));
  struct control_update *first = update_queue_take(q), *second;
  assert_null(update_queue_take(q));
  assert_true(put(q));
  second = update_queue_take(q);
  assert_ptr_not_equal(first, second);
  for (int i = 0; i < 2 * LIMIT_UPDATES; i++) {
    give_back(q, first);
    assert_true(put(q));
    assert_ptr_equal(update_queue_take(q), first);
  }
  give_back(q, second);
  update_queue_free(q);
}

static void full_is_said(void **state) {
  static struct control_update *all[LIMIT_UPDATES];
  struct update_queue *q;
  assert_int_equal(update_queue_new(&q), ERR_OK);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < LIMIT_UPDATES; i++) {
      assert_true(put(q));
      all[i] = update_queue_take(q);
    }
    assert_false(put(q));
    give_back(q, all[777]);
    assert_true(put(q));
    assert_ptr_equal(update_queue_take(q), all[777]);
    for (int i = 0; i < LIMIT_UPDATES; i++)
      give_back(q, all[i]);
  }
  update_queue_close(q);
  assert_false(put(q));
  update_queue_free(q);
}

enum { WRITERS = 3, UPDATES = 5000 };

static void *write_many(void *arg) {
  for (int i = 0; i < UPDATES; i++)
    while (!put(arg))
      sched_yield();
  return NULL;
}

/* No place is given twice: each comes out again before it is used anew. */
static void many_writers_one_reader(void **state) {
  enum { AT_ONCE = 100 };
  struct control_update *held[AT_ONCE] = {0};
  pthread_t threads[WRITERS];
  struct update_queue *q;
  assert_int_equal(update_queue_new(&q), ERR_OK);
  for (int i = 0; i < WRITERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, write_many, q), 0);
  for (int taken = 0; taken < WRITERS * UPDATES;) {
    struct control_update *u = update_queue_take(q);
    if (!u) {
      sched_yield();
      continue;
    }
    for (int i = 0; i < AT_ONCE; i++)
      assert_ptr_not_equal(held[i], u);
    if (held[taken % AT_ONCE]) give_back(q, held[taken % AT_ONCE]);
    held[taken++ % AT_ONCE] = u;
  }
  for (int i = 0; i < WRITERS; i++)
    pthread_join(threads[i], NULL);
  update_queue_free(q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_free_place_is_taken),
      cmocka_unit_test(full_is_said),
      cmocka_unit_test(many_writers_one_reader),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
