/* wait: a publish barrier. It is answered when every peer in the zone's `notify` answers the serial, or when time is up, with what
 * the laggards do. */
#include "base/log.h"
#include "control/commands_priv.h"
#include "xfr/barrier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 30 * 1000, WAIT_MOST_MS = 24 * 3600 * 1000 };

static void on_passed(void *arg, uint64_t id) {
  reply_ok(arg, id, "every peer answers the serial or a higher one\n");
}

static void on_late(void *arg, uint64_t id, const struct buf *laggards) {
  json_t *list = json_array();
  const char *at = buf_text(laggards);
  for (size_t n; *at; at += n + 1) {
    n = strcspn(at, "\n");
    json_array_append_new(list, json_stringn(at, n));
  }
  reply_json(arg, id,
             json_pack("{s:b,s:b,s:s,s:s,s:s,s:o}", "ok", 0, "timed-out", 1, "text", buf_text(laggards), "error",
                       "not every peer has it yet", "hint", "`tandem notify ZONE` tells them again", "laggards", list));
}

struct barrier_events wait_events(struct control *c) {
  return (struct barrier_events){c, on_passed, on_late};
}

static bool read_serial(const char *text, uint32_t *out) {
  char *end;
  unsigned long long v = strtoull(text, &end, 10);
  if (end == text || *end || text[0] == '-' || v > UINT32_MAX) return false;
  *out = (uint32_t)v;
  return true;
}

void cmd_wait(struct control *c, uint64_t token, const json_t *args) {
  const char *text = command_text(args, "serial");
  struct zone_slot *z = command_zone(c, token, args);
  struct name name;
  uint32_t serial;
  json_int_t ms = json_integer_value(json_object_get(args, "timeout-ms"));
  if (ms <= 0 || ms > WAIT_MOST_MS) ms = WAIT_MS;
  if (!z) return;
  if (text && !read_serial(text, &serial)) {
    reply_error(c, token, "--serial wants a number", "without it the serial that is served here is waited for");
  } else if (!text && !z->snap) {
    reply_error(c, token, "the zone has no content to wait for", "`tandem status ZONE` says why");
  } else if (z->plan->notify_count == 0) {
    reply_error(c, token, "the zone has no peers to wait for", "name them in the zone's `notify`");
  } else {
    slot_name(z, &name);
    if (!text) serial = zone_serial(z->snap);
    if (barrier_watch(c->barrier, token, &name, serial, z->plan->notify, z->plan->notify_count,
                      c->now.mono_ns + (uint64_t)ms * NS_PER_MS, c->now))
      reply_error(c, token, "out of memory", "");
  }
}
