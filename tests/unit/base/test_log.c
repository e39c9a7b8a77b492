/* The log: one line an event, in both forms; nothing in a value forges a line or a field; ten of an event a second, the rest
 * counted. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Stderr goes to a file meanwhile. */
struct catch {
  FILE *file;
  int stderr_fd;
};

static void catch_begin(struct catch *c) {
  c->file = tmpfile();
  assert_non_null(c->file);
  c->stderr_fd = dup(STDERR_FILENO);
  assert_true(dup2(fileno(c->file), STDERR_FILENO) == STDERR_FILENO);
}

static void catch_end(struct catch *c, struct buf *out) {
  char bytes[4096];
  size_t n;
  assert_true(dup2(c->stderr_fd, STDERR_FILENO) == STDERR_FILENO);
  close(c->stderr_fd);
  rewind(c->file);
  buf_clear(out);
  while ((n = fread(bytes, 1, sizeof bytes, c->file)) > 0)
    buf_add(out, bytes, n);
  fclose(c->file);
}

static void next_second(void) {
  int64_t now_s = clock_read().wall_s;
  while (clock_read().wall_s == now_s) {
  }
}

/* What is behind the time of a line that must begin with one: "2026-11-28T10:00:00Z ". */
static const char *behind_time(const char *line) {
  static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
  for (size_t i = 0; form[i]; i++)
    assert_true(form[i] == 'd' ? line[i] >= '0' && line[i] <= '9' : line[i] == form[i]);
  return line + sizeof form;
}

static void test_text(void **state) {
  (void)state;
  struct catch c;
  struct buf out = {0};
  catch_begin(&c);
  log_event(EV_ZONE_LOADED, LOG_TEXT("zone", "example.com"), LOG_NUMBER("serial", 7));
  log_event(EV_ZONE_REFUSED, LOG_TEXT("what", "a=\"b\" c\n2026-11-28T10:00:00Z error zone-expired\x01\\"), LOG_TEXT("who", ""));
  catch_end(&c, &out);
  char *second = strchr(buf_text(&out), '\n') + 1;
  assert_true(strncmp(behind_time(buf_text(&out)), "info zone-loaded zone=example.com serial=7\n", 43) == 0);
  assert_string_equal(behind_time(second), "error zone-refused what=\"a=\\\"b\\\" c\\u000a2026-11-28T10:00:00Z error "
                                           "zone-expired\\u0001\\\\\" who=\"\"\n");
  buf_done(&out);
}

static void test_json_and_level(void **state) {
  (void)state;
  struct catch c;
  struct buf out = {0};
  catch_begin(&c);
  log_configure(true, LOG_WARNING);
  log_event(EV_LISTENING, LOG_TEXT("address", "not said at this level"));
  log_event(EV_TSIG_FAILED, LOG_TEXT("key", "a\"}\n{"), LOG_NUMBER("code", 16));
  log_configure(false, LOG_INFO);
  catch_end(&c, &out);
  const char *line = buf_text(&out);
  assert_true(strncmp(line, "{\"time\":\"", 9) == 0);
  assert_string_equal(behind_time(line + 9) - 1,
                      "\",\"level\":\"warning\",\"event\":\"tsig-failed\",\"key\":\"a\\\"}\\u000a{\",\"code\":16}\n");
  buf_done(&out);
}

/* Lines with `word` in all, the most of them in one second, and the sum of what they say was suppressed. */
struct tally {
  unsigned lines, most;
  unsigned long suppressed;
};

static struct tally tally(const char *text, const char *word) {
  struct tally t = {0};
  const char *second = text;
  unsigned here = 0;
  for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
    const char *end = strchr(p, '\n'), *found = strstr(p, word), *said = strstr(p, "suppressed=");
    if (!found || found > end) continue;
    if (said && said < end) t.suppressed += strtoul(said + 11, NULL, 10);
    here = strncmp(p, second, (size_t)(behind_time(p) - p)) == 0 ? here + 1 : 1;
    second = p;
    t.lines++;
    if (here > t.most) t.most = here;
  }
  return t;
}

static void test_ten_a_second_and_the_rest_counted(void **state) {
  (void)state;
  enum { WRITTEN = 50 };
  struct catch c;
  struct buf out = {0};
  catch_begin(&c);
  next_second();
  for (unsigned i = 0; i < WRITTEN; i++)
    log_event(EV_NOTIFY_REFUSED, LOG_NUMBER("number", i));
  log_event(EV_ZONE_ADDED, LOG_TEXT("zone", "another event has a count of its own"));
  bool owes = log_owes();
  next_second();
  log_settle(clock_read().wall_s);
  bool owes_still = log_owes();
  log_event(EV_NOTIFY_REFUSED, LOG_TEXT("number", "once more"));
  catch_end(&c, &out);
  struct tally all = tally(buf_text(&out), "notify-refused"), numbered = tally(buf_text(&out), "number=");
  assert_true(owes);
  assert_false(owes_still);
  assert_int_equal(numbered.lines + all.suppressed, WRITTEN + 1);
  assert_int_equal(all.most, LOG_EVENTS_PER_SECOND);
  assert_int_equal(all.lines, numbered.lines + 1);
  assert_non_null(strstr(buf_text(&out), "zone-added"));
  buf_done(&out);
}

static void test_names(void **state) {
  (void)state;
  for (int i = 0; i < EV_COUNT; i++) {
    assert_true(strspn(log_event_name(i), "abcdefghijklmnopqrstuvwxyz-") == strlen(log_event_name(i)));
    assert_true(log_event_doc(i)[0] != 0 && log_event_level(i) <= LOG_DEBUG);
    for (int k = 0; k < i; k++)
      assert_string_not_equal(log_event_name(i), log_event_name(k));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_json_and_level),
      cmocka_unit_test(test_ten_a_second_and_the_rest_counted),
      cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
