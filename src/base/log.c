#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const struct {
  const char *name;
  enum log_level level;
  const char *doc;
} events[EV_COUNT] = {
#define EVENT(id, name, level, doc) [EV_##id] = {name, level, doc},
#include "base/events.def"
#undef EVENT
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool as_json;
static enum log_level most_level = LOG_INFO;
static struct {
  int64_t second;
  uint32_t written;
  uint64_t suppressed;
} rate[EV_COUNT];
static atomic_bool owed; /* some were suppressed, and nobody has said how many */

const char *log_event_name(enum log_event event) {
  return events[event].name;
}

const char *log_event_doc(enum log_event event) {
  return events[event].doc;
}

enum log_level log_event_level(enum log_event event) {
  return events[event].level;
}

void log_configure(bool json, enum log_level most) {
  pthread_mutex_lock(&lock);
  as_json = json;
  most_level = most;
  pthread_mutex_unlock(&lock);
}

/* Whether this event may be written now. */
static bool take_turn(enum log_event event, int64_t now_s) {
  if (rate[event].second != now_s) {
    rate[event].second = now_s;
    rate[event].written = 0;
  }
  if (rate[event].written >= LOG_EVENTS_PER_SECOND) {
    rate[event].suppressed++;
    atomic_store(&owed, true);
    return false;
  }
  rate[event].written++;
  return true;
}

static bool plain(const char *text) {
  if (!*text) return false;
  for (const char *p = text; *p; p++)
    if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '=' || *p == '\\') return false;
  return true;
}

static void add_field(struct buf *b, const struct log_field *f) {
  if (as_json) buf_printf(b, ",\"%s\":", f->key);
  else buf_printf(b, " %s=", f->key);
  if (!f->text) buf_printf(b, "%llu", (unsigned long long)f->number);
  else if (!as_json && plain(f->text)) buf_add_text(b, f->text);
  else buf_add_json_string(b, f->text, strlen(f->text));
}

static void format_line(struct buf *b, enum log_event event, int64_t now_s, const struct log_field *fields, uint64_t suppressed) {
  char at[TIME_TEXT_BYTES];
  const char *level = level_names[events[event].level];
  time_text(now_s, at);
  if (as_json) buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", at, level, events[event].name);
  else buf_printf(b, "%s %s %s", at, level, events[event].name);
  for (const struct log_field *f = fields; f->key; f++)
    add_field(b, f);
  if (suppressed) add_field(b, &LOG_NUMBER("suppressed", suppressed));
  buf_add_text(b, as_json ? "}\n" : "\n");
}

static void write_line(enum log_event event, int64_t now_s, const struct log_field *fields) {
  struct buf b = {0};
  format_line(&b, event, now_s, fields, rate[event].suppressed);
  rate[event].suppressed = 0;
  ssize_t n = b.failed ? 0 : write(STDERR_FILENO, b.data, b.size);
  (void)n; /* a log that can't be written has nowhere to say so */
  buf_done(&b);
}

bool log_takes(enum log_event event) {
  if (events[event].level > most_level) return false;
  int64_t now_s = clock_read().wall_s;
  pthread_mutex_lock(&lock);
  bool taken = take_turn(event, now_s);
  pthread_mutex_unlock(&lock);
  return taken;
}

void log_write(enum log_event event, const struct log_field *fields) {
  int64_t now_s = clock_read().wall_s;
  pthread_mutex_lock(&lock);
  write_line(event, now_s, fields);
  pthread_mutex_unlock(&lock);
}

bool log_owes(void) {
  return atomic_load(&owed);
}

void log_settle(int64_t now_s) {
  if (!log_owes()) return;
  bool left = false;
  pthread_mutex_lock(&lock);
  for (unsigned i = 0; i < EV_COUNT; i++) {
    if (rate[i].suppressed == 0) continue;
    if (rate[i].second == now_s) left = true;
    else if (take_turn(i, now_s)) write_line(i, now_s, &(struct log_field){0});
  }
  atomic_store(&owed, left);
  pthread_mutex_unlock(&lock);
}
