/* The timer file: when each secondary zone was last known good. Node-local and not in the log, since it changes with every refresh.
 *
 * Records of 32 octets in network order: {u64 zone, i64 good at, u32 expire, u32 good at by the monotonic clock, u64 XXH3 of the 24
 * before}, behind a first one with a magic in place of the zone and the boot (base/clock.h) in place of the time. Each stands
 * alone, so a torn or damaged file loses only the records that do not hold: a stale timer means one SOA query too many, or an
 * expiry a minute early. */
#include "store/store_priv.h"

static const char timer_file[] = "timers";

enum { TIMER_RECORD_BYTES = 32, TIMER_MOST_BYTES = 1 << 30 };

#define TIMER_MAGIC UINT64_C(0x54414e4454494d31) /* "TANDTIM1" */

static void make_record(uint8_t out[TIMER_RECORD_BYTES], uint64_t zone, uint64_t good_at_s, uint32_t expire_s,
                        uint32_t good_mono_s) {
  put_u64(out, zone);
  put_u64(out + 8, good_at_s);
  put_u32(out + 16, expire_s);
  put_u32(out + 20, good_mono_s);
  put_u64(out + 24, hash64(out, 24, 0));
}

static bool record_holds(const uint8_t *record) {
  return get_u64(record + 24) == hash64(record, 24, 0);
}

void timers_load(struct store *s) {
  struct buf file = {0};
  if (file_read(s->dir_fd, timer_file, TIMER_MOST_BYTES, &file)) file.size = 0;
  struct rd r = rd_make(file.data, file.size);
  const uint8_t *record;
  if (!rd_bytes(&r, TIMER_RECORD_BYTES, &record) || get_u64(record) != TIMER_MAGIC || !record_holds(record)) r.at = r.end;
  else s->boot = get_u64(record + 8);
  while (rd_bytes(&r, TIMER_RECORD_BYTES, &record)) {
    struct zone_row *row = record_holds(record) ? zones_find(s, get_u64(record)) : NULL;
    if (!row) continue;
    row->good_at_s = (int64_t)get_u64(record + 8);
    row->expire_s = get_u32(record + 16);
    row->good_mono_s = get_u32(record + 20);
    row->has_timer = true;
  }
  buf_done(&file);
}

void store_timers_boot(struct store *s, uint64_t boot) {
  bool same = boot && boot == s->boot;
  for (size_t i = 0; i < s->zones.count && !same; i++)
    s->zones.rows[i].good_mono_s = 0;
  s->boot = boot;
}

enum err store_timer_get(struct store *s, uint64_t zone, struct store_timer *out) {
  const struct zone_row *row = zones_find(s, zone);
  if (!row || !row->has_timer) return ERR_NOT_FOUND;
  *out = (struct store_timer){zone, row->good_at_s, row->expire_s, row->good_mono_s};
  return ERR_OK;
}

enum err store_timer_put(struct store *s, const struct store_timer *t) {
  struct zone_row *row = zones_find(s, t->zone);
  if (!row) return ERR_NOT_FOUND;
  if (row->has_timer && row->good_at_s == t->good_at_s && row->expire_s == t->expire_s && row->good_mono_s == t->good_mono_s)
    return ERR_OK;
  row->good_at_s = t->good_at_s;
  row->expire_s = t->expire_s;
  row->good_mono_s = t->good_mono_s;
  row->has_timer = true;
  s->timers_dirty = true;
  return ERR_OK;
}

enum err store_timers_flush(struct store *s, struct store_error *error) {
  struct file_out o;
  uint8_t record[TIMER_RECORD_BYTES];
  if (!s->timers_dirty) return ERR_OK;
  enum err err = file_out_begin(&o, s->env.ops, s->dir_fd, timer_file);
  if (err) return store_fail(error, err, "the timer file can't be written: %m");
  make_record(record, TIMER_MAGIC, s->boot, 0, 0);
  file_out_write(&o, record, sizeof record);
  for (size_t i = 0; i < s->zones.count; i++) {
    const struct zone_row *row = &s->zones.rows[i];
    if (!row->has_timer) continue;
    make_record(record, row->id, (uint64_t)row->good_at_s, row->expire_s, row->good_mono_s);
    file_out_write(&o, record, sizeof record);
  }
  err = file_out_finish(&o);
  if (!err && s->env.ops->sync_dir(s->dir_fd)) err = ERR_IO;
  if (err) return store_fail(error, err, "the timer file can't be written: %m");
  s->timers_dirty = false;
  return ERR_OK;
}
