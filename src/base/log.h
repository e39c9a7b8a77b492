/* The log: one event a line on stderr, logfmt or JSON, UTC. Never called on the packet path.
 *
 * Events are rows of events.def; their names and fields are part of the product. Values are quoted here, so a name
 * from a packet can't forge a line. The same event is written at most LOG_EVENTS_PER_SECOND times a second; the rest is
 * counted and said in a later second as suppressed=N, with the next such event or by log_settle. Thread: any (one lock, off the
 * packet path). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_EVENTS_PER_SECOND = 10 };

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

enum log_event {
#define EVENT(id, name, level, doc) EV_##id,
#include "base/events.def"
#undef EVENT
  EV_COUNT
};

struct log_field {
  const char *key;  /* NULL ends the list */
  const char *text; /* NULL: the number is meant */
  uint64_t number;
};

#define LOG_TEXT(key, text) ((struct log_field){(key), (text), 0})
#define LOG_NUMBER(key, number) ((struct log_field){(key), NULL, (uint64_t)(number)})

/* log_event(EV_ZONE_LOADED, LOG_TEXT("zone", name), LOG_NUMBER("serial", serial)); */
#define log_event(event, ...) \
  ((void)(log_takes(event) && (log_write((event), (const struct log_field[]){__VA_ARGS__, {NULL, NULL, 0}}), true)))

bool log_takes(enum log_event event); /* whether it is written now; otherwise its fields are not even made, and it is counted */
void log_write(enum log_event event, const struct log_field *fields); /* what was taken */
void log_configure(bool json, enum log_level most);                   /* default: text, info */
/* Says the counts of earlier seconds that nothing was written since to say them with. Whoever runs a loop calls it from time to
 * time, within a second or so while log_owes(). */
void log_settle(int64_t now_s);
bool log_owes(void);
const char *log_event_name(enum log_event event);
const char *log_event_doc(enum log_event event);
enum log_level log_event_level(enum log_event event);

#endif
