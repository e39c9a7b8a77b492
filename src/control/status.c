/* What `tandem status` says, as JSON and in words. */
#include "control/serial.h"
#include "control/whole.h"
#include "zone/content.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

static const char *const phase_text[] = {
    [SECONDARY_IDLE] = "idle",
    [SECONDARY_ASKING] = "asking a primary for its serial",
    [SECONDARY_WAITING_SLOT] = "waiting for a free transfer slot",
    [SECONDARY_TRANSFERRING] = "transferring",
    [SECONDARY_COMMITTING] = "writing to the store",
};

static void set_time(json_t *o, const char *key, int64_t wall_s) {
  char text[TIME_TEXT_BYTES];
  if (wall_s) json_object_set_new(o, key, json_string(time_text(wall_s, text)));
}

/* Seconds from now to a monotonic moment; 0 if past. */
static int64_t seconds_until(const struct control *c, uint64_t mono_ns) {
  return mono_ns > c->now.mono_ns ? (int64_t)((mono_ns - c->now.mono_ns) / NS_PER_S) : 0;
}

static json_t *transfer_json(const struct secondary_status *s) {
  const struct transfer_info *t = &s->last_transfer;
  char from[ADDR_TEXT_BYTES];
  json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:I,s:I,s:I,s:I}", "result", "done", "peer", t->peer, "from",
                        addr_text(&t->from, from), "kind", t->incremental ? "ixfr" : "axfr", "transport", "tcp", "tsig",
                        t->is_signed, "bytes", (json_int_t)t->bytes, "records", (json_int_t)t->records, "dropped",
                        (json_int_t)t->dropped, "duration-us", (json_int_t)(t->duration_ns / 1000));
  if (t->has_serial_from) json_object_set_new(o, "serial-from", json_integer(t->serial_from));
  json_object_set_new(o, "serial-to", json_integer(t->serial_to));
  if (t->whole_because[0]) json_object_set_new(o, "whole-because", json_string(t->whole_because));
  set_time(o, "at", s->last_transfer_wall_s);
  return o;
}

static void add_secondary(struct control *c, const struct zone_slot *z, json_t *o) {
  struct secondary_status s;
  if (!secondary_status(c->secondaries, z->id, &s)) return;
  json_object_set_new(o, "phase", json_string(phase_text[s.phase]));
  if (s.phase == SECONDARY_IDLE) json_object_set_new(o, "next-refresh-s", json_integer(seconds_until(c, s.next_refresh_mono_ns)));
  if (z->snap && s.expires_mono_ns) json_object_set_new(o, "expires-in-s", json_integer(seconds_until(c, s.expires_mono_ns)));
  set_time(o, "last-good", s.last_good_wall_s);
  if (s.has_last_transfer) json_object_set_new(o, "last-transfer", transfer_json(&s));
  if (s.last_error[0]) json_object_set_new(o, "last-error", json_string(s.last_error));
  if (s.last_error[0]) set_time(o, "last-error-at", s.last_error_wall_s);
  json_t *primaries = json_array();
  for (unsigned i = 0; i < z->plan->primary_count; i++)
    json_array_append_new(primaries, json_string(z->plan->primaries[i].name));
  json_object_set_new(o, "primaries", primaries);
}

json_t *status_zone_json(struct control *c, const struct zone_slot *z) {
  char name[NAME_TEXT_BYTES], digest_text[CONTENT_TEXT_BYTES];
  struct digest128 digest;
  const char *state = zone_state_text[slot_state(z)];
  json_t *o = json_pack("{s:s,s:s,s:s,s:I}", "zone", slot_name_text(z, name), "role",
                        slot_is_secondary(z) ? "secondary" : "primary", "state", state, "version", (json_int_t)z->version);
  if (z->snap) {
    json_object_set_new(o, "serial", json_integer(zone_serial(z->snap)));
    json_object_set_new(o, "records", json_integer((json_int_t)zone_record_count(z->snap)));
    json_object_set_new(o, "names", json_integer((json_int_t)zone_name_count(z->snap)));
    json_object_set_new(o, "memory-bytes", json_integer((json_int_t)zone_memory_bytes(z->snap)));
    json_object_set_new(o, "signed", json_boolean(zone_is_signed(z->snap)));
    json_object_set_new(o, "durable", json_boolean(z->durable));
    if (zone_content(z->snap, &digest)) json_object_set_new(o, "digest", json_string(zone_content_text(digest, digest_text)));
    set_time(o, "since", z->since_s);
    json_object_set_new(o, "age-s", json_integer(c->now.wall_s > z->since_s ? c->now.wall_s - z->since_s : 0));
  }
  json_object_set_new(o, "hidden", json_boolean(z->plan->policy.hidden));
  if (slot_is_secondary(z)) {
    add_secondary(c, z, o);
  } else {
    struct buf path = {0};
    bool managed = z->config->options->managed;
    json_object_set_new(o, "owner", json_string(config_zone_has_writers(z->config->options) ? "log" : "file"));
    if (!managed) json_object_set_new(o, "file", json_string(config_zone_file(z->config, &path)));
    if (!managed) json_object_set_new(o, "edited-beside-file", json_boolean(z->departed));
    if (z->write_ns) json_object_set_new(o, "write-back-in-s", json_integer(seconds_until(c, z->write_ns)));
    buf_done(&path);
  }
  json_object_set_new(o, "notify-pending", json_integer(notifier_pending(c->notifier, z->id)));
  struct buf under_way = {0};
  if (whole_progress(c, z->id, &under_way)) json_object_set_new(o, "under-way", json_string(buf_text(&under_way)));
  buf_done(&under_way);
  if (slot_wrong(z)) json_object_set_new(o, "trouble", json_string(slot_wrong(z)));
  if (z->restored && !slot_is_secondary(z))
    json_object_set_new(o, "restored",
                        json_string("from a backup: `tandem rebuild` takes what a secondary has since then, the next change"
                                    " overwrites it"));
  return o;
}

/* One "key: value" line of a JSON object's member, if it is there. */
static void text_member(json_t *o, const char *key, const char *label, struct buf *out) {
  json_t *v = json_object_get(o, key);
  if (!v) return;
  buf_printf(out, "  %-14s ", label);
  if (json_is_string(v)) buf_printf(out, "%s\n", json_string_value(v));
  else if (json_is_integer(v)) buf_printf(out, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(v));
  else buf_printf(out, "%s\n", json_is_true(v) ? "yes" : "no");
}

void status_zone_text(json_t *zone, struct buf *out) {
  static const char *const rows[][2] = {
      {"role", "role"},
      {"state", "state"},
      {"trouble", "trouble"},
      {"under-way", "under way"},
      {"restored", "restored"},
      {"serial", "serial"},
      {"version", "version"},
      {"digest", "digest"},
      {"since", "served since"},
      {"age-s", "age, s"},
      {"records", "records"},
      {"names", "names"},
      {"memory-bytes", "memory, bytes"},
      {"durable", "durable"},
      {"signed", "signed"},
      {"hidden", "hidden"},
      {"owner", "owner"},
      {"file", "file"},
      {"edited-beside-file", "ahead of file"},
      {"write-back-in-s", "written in, s"},
      {"phase", "transfers"},
      {"next-refresh-s", "refresh in, s"},
      {"expires-in-s", "expires in, s"},
      {"last-good", "last good"},
      {"last-error", "last error"},
      {"last-error-at", "error at"},
  };
  buf_printf(out, "%s\n", json_string_value(json_object_get(zone, "zone")));
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    text_member(zone, rows[i][0], rows[i][1], out);
  json_t *t = json_object_get(zone, "last-transfer");
  if (!t) return;
  json_int_t records = json_integer_value(json_object_get(t, "records"));
  buf_printf(out, "  %-14s %s from %s (%s), %" JSON_INTEGER_FORMAT " record%s, %" JSON_INTEGER_FORMAT " bytes, %.1f ms, %s, %s\n",
             "last transfer", json_string_value(json_object_get(t, "kind")), json_string_value(json_object_get(t, "peer")),
             json_string_value(json_object_get(t, "from")), records, plural((uint64_t)records),
             json_integer_value(json_object_get(t, "bytes")), (double)json_integer_value(json_object_get(t, "duration-us")) / 1000,
             json_string_value(json_object_get(t, "transport")), json_is_true(json_object_get(t, "tsig")) ? "signed" : "unsigned");
  text_member(t, "serial-from", "  from serial", out);
  text_member(t, "serial-to", "  to serial", out);
  text_member(t, "whole-because", "  no changes", out);
}

static json_int_t count_state(const struct control_figures *f, enum zone_state state) {
  return (json_int_t)(f->zones[state].primary + f->zones[state].secondary);
}

enum { TROUBLES_SHOWN = 100 };

/* Where memory goes; what the process has in all is known to whoever runs it. */
static json_t *memory_json(const struct control *c, const struct control_figures *f, json_t *of_process) {
  json_t *o = json_copy(of_process);
  struct zone_memory m;
  control_memory(c, &m);
  json_t *resident = json_object_get(o, "resident-bytes");
  if (resident && f->records)
    json_object_set_new(o, "bytes-a-record", json_integer(json_integer_value(resident) / (json_int_t)f->records));
  json_object_set_new(o, "zones-bytes", json_integer((json_int_t)f->zone_memory_bytes));
  json_object_set_new(o, "zones-records-bytes", json_integer((json_int_t)m.records));
  json_object_set_new(o, "zones-trie-bytes", json_integer((json_int_t)m.trie));
  json_object_set_new(o, "zones-free-bytes", json_integer((json_int_t)m.free));
  json_object_set_new(o, "images-bytes", json_integer((json_int_t)f->zone_mapped_bytes));
  json_object_set_new(o, "zone-table-bytes", json_integer((json_int_t)f->zone_table_bytes));
  if (f->store_known) json_object_set_new(o, "log-bytes", json_integer((json_int_t)f->store.memory_bytes));
  return o;
}

static json_t *disk_json(const struct store_disk *d) {
  static const char *const rooms[] = {
      [STORE_ROOM_GOOD] = "good", [STORE_ROOM_LOW] = "low", [STORE_ROOM_NO_BULK] = "no-bulk", [STORE_ROOM_NONE] = "full"};
  json_t *o = json_pack("{s:s,s:I,s:I,s:I}", "room", rooms[d->room], "free-bytes", (json_int_t)d->free_bytes, "bytes",
                        (json_int_t)d->total_bytes, "ballast-bytes", (json_int_t)d->ballast_bytes);
  if (d->room != STORE_ROOM_GOOD) json_object_set_new(o, "trouble", json_string(upkeep_room_text(d->room)));
  return o;
}

json_t *status_server_json(struct control *c) {
  struct control_figures f;
  struct zone_slot *z;
  char name[NAME_TEXT_BYTES];
  json_t *troubles = json_array();
  control_figures(c, &f);
  for (size_t i = 0; f.troubled && (z = registry_next(&c->registry, &i));) {
    if (slot_wrong(z) && json_array_size(troubles) < TROUBLES_SHOWN)
      json_array_append_new(troubles, json_pack("{s:s,s:s}", "zone", slot_name_text(z, name), "trouble", slot_wrong(z)));
  }
  json_t *o = json_pack("{s:s,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "version", TANDEM_VERSION, "pid", (int)getpid(),
                        "uptime-s", (json_int_t)(c->now.wall_s - f.started_wall_s), "zones", (json_int_t)f.zone_count, "served",
                        count_state(&f, ZONE_READY), "not-loaded", count_state(&f, ZONE_NOT_LOADED), "expired",
                        count_state(&f, ZONE_EXPIRED), "not-durable", (json_int_t)f.not_durable, "records", (json_int_t)f.records,
                        "zone-memory-bytes", (json_int_t)(f.zone_memory_bytes + f.zone_mapped_bytes), "troubles", troubles);
  const struct store_usage *u = &f.store;
  if (f.store_known)
    json_object_set_new(o, "store",
                        json_pack("{s:I,s:I,s:I,s:I}", "database-bytes", (json_int_t)u->database_bytes, "segment-bytes",
                                  (json_int_t)u->segment_bytes, "segments", (json_int_t)u->segments, "changesets",
                                  (json_int_t)u->changesets));
  if (f.disk.known) json_object_set_new(o, "disk", disk_json(&f.disk));
  struct buf more = {0};
  buf_add_byte(&more, '{');
  c->events.server_status(c->events.arg, &more);
  buf_add_byte(&more, '}');
  json_t *counters = json_loadb((const char *)more.data, more.size, 0, NULL);
  if (counters) {
    json_object_set_new(o, "memory", memory_json(c, &f, json_object_get(counters, "memory")));
    json_object_del(counters, "memory");
    json_object_set_new(o, "counters", counters);
  }
  buf_done(&more);
  return o;
}

static json_int_t number(json_t *o, const char *key) {
  return json_integer_value(json_object_get(o, key));
}

static void memory_text(json_t *memory, struct buf *out) {
  static const char *const rows[][2] = {
      {"resident-bytes", "resident in all"},
      {"mapped-bytes", "of it files, mapped"},
      {"bytes-a-record", "for each record"},
      {"zones-bytes", "zones"},
      {"zones-records-bytes", "records of zones, images too"},
      {"zones-trie-bytes", "tries of zones, images too"},
      {"zones-free-bytes", "free for further changes"},
      {"images-bytes", "mapped images, resident or not"},
      {"zone-table-bytes", "table of zones"},
      {"log-bytes", "the log's cache"},
      {"queues-bytes", "queues, at most"},
  };
  buf_add_text(out, "memory, bytes:\n");
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (json_object_get(memory, rows[i][0]))
      buf_printf(out, "  %-30s %" JSON_INTEGER_FORMAT "\n", rows[i][1], number(memory, rows[i][0]));
}

void status_server_text(json_t *server, struct buf *out) {
  buf_printf(out, "tandem %s, pid %d, up %" JSON_INTEGER_FORMAT " s\n", json_string_value(json_object_get(server, "version")),
             (int)number(server, "pid"), number(server, "uptime-s"));
  buf_printf(out,
             "zones: %" JSON_INTEGER_FORMAT ", served %" JSON_INTEGER_FORMAT ", not loaded %" JSON_INTEGER_FORMAT
             ", expired %" JSON_INTEGER_FORMAT "\n",
             number(server, "zones"), number(server, "served"), number(server, "not-loaded"), number(server, "expired"));
  buf_printf(out, "records: %" JSON_INTEGER_FORMAT "\n", number(server, "records"));
  memory_text(json_object_get(server, "memory"), out);
  json_t *counters = json_object_get(server, "counters"), *v;
  const char *key;
  size_t i;
  json_object_foreach(counters, key, v) {
    if (json_is_integer(v)) buf_printf(out, "%s: %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(v));
  }
  json_array_foreach(json_object_get(counters, "listeners"), i, v) {
    buf_printf(out, "at %s: %" JSON_INTEGER_FORMAT " over UDP, %" JSON_INTEGER_FORMAT " over TCP\n",
               json_string_value(json_object_get(v, "address")), number(v, "udp"), number(v, "tcp"));
  }
  if (number(server, "not-durable"))
    buf_printf(out, "NOT DURABLE: %" JSON_INTEGER_FORMAT " zone%s served from memory only\n", number(server, "not-durable"),
               plural((uint64_t)number(server, "not-durable")));
  v = json_object_get(json_object_get(server, "disk"), "trouble");
  if (v) buf_printf(out, "DISK: %s\n", json_string_value(v));
  json_array_foreach(json_object_get(server, "troubles"), i, v) {
    buf_printf(out, "%s: %s\n", json_string_value(json_object_get(v, "zone")), json_string_value(json_object_get(v, "trouble")));
  }
}
