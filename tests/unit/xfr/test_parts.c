/* The parts that the machines are made of: timers, lanes, tokens, the map. */
#include "testing.h"

#include "xfr/map_priv.h"
#include "xfr/remotes_priv.h"
#include "xfr/timers_priv.h"
#include "xfr/tokens_priv.h"

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

static void test_timers_against_a_list(void **state) {
  enum { COUNT = 500 };
  struct timers h = {0};
  struct timer timers[COUNT] = {{0}};
  uint64_t due[COUNT];
  for (unsigned i = 0; i < COUNT; i++)
    due[i] = UINT64_MAX;
  assert_ok(timers_reserve(&h, COUNT));
  for (unsigned round = 0; round < 50000; round++) {
    unsigned i = (unsigned)(next_random() % COUNT);
    due[i] = next_random() % 3 == 0 ? UINT64_MAX : next_random() % 1000;
    timer_set(&h, &timers[i], due[i]);
    uint64_t least = UINT64_MAX;
    for (unsigned k = 0; k < COUNT; k++)
      if (due[k] < least) least = due[k];
    assert_int_equal(timers_next(&h), least);
    if (least == UINT64_MAX) continue;
    assert_null(least > 0 ? timers_due(&h, least - 1) : NULL);
    struct timer *t = timers_due(&h, least);
    assert_non_null(t);
    assert_int_equal(due[t - timers], least);
  }
  timers_done(&h);
}

struct waiter {
  struct lane_wait wait;
  unsigned who;
};

static void wait_init(struct waiter *w, unsigned who) {
  list_init(&w->wait.link);
  w->wait.lane = NULL;
  w->who = who;
}

static unsigned who_is(struct lane_wait *w) {
  return MEMBER_OF(w, struct waiter, wait)->who;
}

static struct addr address(uint16_t port) {
  return (struct addr){.family = 4, .port = port, .octets = {192, 0, 2, 1}};
}

static void test_lanes_take_turns(void **state) {
  struct map remotes;
  struct lanes lanes;
  struct waiter w[6];
  assert_ok(map_init(&remotes));
  lanes_init(&lanes, 3, 2);
  struct addr a = address(1), b = address(2);
  struct remote *ra = remote_get(&remotes, &a), *rb = remote_get(&remotes, &b);
  assert_ptr_equal(remote_get(&remotes, &a), ra);
  for (unsigned i = 0; i < 6; i++)
    wait_init(&w[i], i);
  for (unsigned i = 0; i < 4; i++)
    lane_wait(&lanes, &ra->datagrams, &w[i].wait, i == 3);
  lane_wait(&lanes, &rb->datagrams, &w[4].wait, false);
  lane_wait(&lanes, &rb->datagrams, &w[5].wait, false);
  struct lane *lane;
  assert_int_equal(who_is(lanes_next(&lanes, &lane)), 3); /* urgent */
  assert_ptr_equal(lane, &ra->datagrams);
  assert_int_equal(who_is(lanes_next(&lanes, &lane)), 4); /* the other address's turn */
  assert_int_equal(who_is(lanes_next(&lanes, &lane)), 0);
  assert_null(lanes_next(&lanes, &lane)); /* three are under way in all */
  lane_release(&lanes, &rb->datagrams);
  assert_int_equal(who_is(lanes_next(&lanes, &lane)), 5); /* a has its two */
  lane_leave(&lanes, &w[1].wait);
  lane_leave(&lanes, &w[1].wait);
  lane_release(&lanes, &ra->datagrams);
  assert_int_equal(who_is(lanes_next(&lanes, &lane)), 2);
  lane_release(&lanes, &ra->datagrams);
  lane_release(&lanes, &ra->datagrams);
  remote_put(&remotes, rb);
  assert_non_null(remote_find(&remotes, &b)); /* still something under way */
  lane_release(&lanes, &rb->datagrams);
  remote_put(&remotes, ra);
  remote_put(&remotes, rb);
  assert_null(remote_find(&remotes, &a));
  assert_int_equal(remotes.count, 0);
  map_done(&remotes);
}

static void test_tokens_die(void **state) {
  struct tokens t = {.machine = TOKENS_NOTIFIER};
  uint64_t token[100], old;
  int owner[100];
  for (unsigned i = 0; i < 100; i++) {
    assert_ok(tokens_take(&t, &owner[i], &token[i]));
    assert_true(token[i] >> 63);
  }
  for (unsigned i = 0; i < 100; i++)
    assert_ptr_equal(tokens_find(&t, token[i]), &owner[i]);
  old = token[50];
  tokens_drop(&t, old);
  assert_null(tokens_find(&t, old));
  assert_ok(tokens_take(&t, &owner[0], &token[50]));
  assert_true(token[50] != old);
  assert_null(tokens_find(&t, old));
  assert_null(tokens_find(&t, 0));
  assert_null(tokens_find(&t, token[50] & ~(UINT64_C(1) << 63)));
  assert_null(tokens_find(&t, UINT64_MAX));
  tokens_done(&t);
}

struct member {
  struct map_node node;
  unsigned key;
};

static struct member *find(const struct map *m, unsigned key, uint64_t hash) {
  for (struct map_node *n = map_first(m, hash); n; n = map_next(n))
    if (MEMBER_OF(n, struct member, node)->key == key) return MEMBER_OF(n, struct member, node);
  return NULL;
}

static void test_map_keeps_all(void **state) {
  enum { COUNT = 5000 };
  struct map m;
  struct member *members = calloc(COUNT, sizeof *members);
  assert_ok(map_init(&m));
  for (unsigned i = 0; i < COUNT; i++) {
    members[i].key = i;
    map_add(&m, &members[i].node, i / 3); /* three share a hash */
  }
  for (unsigned i = 0; i < COUNT; i += 2)
    map_remove(&m, &members[i].node);
  for (unsigned i = 0; i < COUNT; i++) {
    if (i % 2) assert_ptr_equal(find(&m, i, i / 3), &members[i]);
    else assert_null(find(&m, i, i / 3));
  }
  size_t from = 0, count = 0;
  for (struct map_node *n; (n = map_any(&m, &from)); count++)
    map_remove(&m, n);
  assert_int_equal(count, COUNT / 2);
  map_done(&m);
  free(members);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_timers_against_a_list),
      cmocka_unit_test(test_lanes_take_turns),
      cmocka_unit_test(test_tokens_die),
      cmocka_unit_test(test_map_keeps_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
