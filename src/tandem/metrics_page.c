/* The figures of the metrics page, in the order of api/metrics.def. */
#include "api/metrics.h"
#include "base/limits.h"
#include "control/figures.h"
#include "tandem/metrics.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- the process ---- */

static double cpu_seconds(void) {
  struct rusage u;
  if (getrusage(RUSAGE_SELF, &u) != 0) return 0;
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void metrics_memory(uint64_t *resident, uint64_t *mapped) {
  unsigned long long pages = 0, shared = 0;
  *resident = *mapped = 0;
  FILE *f = fopen("/proc/self/statm", "re");
  if (!f) return;
  if (fscanf(f, "%*u %llu %llu", &pages, &shared) != 2) pages = shared = 0;
  fclose(f);
  *resident = pages * (uint64_t)sysconf(_SC_PAGESIZE);
  *mapped = shared * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_process(struct metrics_writer *w, const struct control_figures *f) {
  uint64_t resident, mapped;
  metrics_memory(&resident, &mapped);
  metric_begin(w, METRIC_BUILD_INFO);
  metric_value(w, 1, TANDEM_VERSION);
  metric_single(w, METRIC_START_TIME, f->started_wall_s);
  metric_single(w, METRIC_CPU, cpu_seconds());
  metric_single(w, METRIC_MEMORY, (double)resident);
  metric_single(w, METRIC_CONFIG_REFUSED, f->config_refused);
  metric_single(w, METRIC_CONFIG_LOADED, f->config_loaded_wall_s);
}

/* ---- requests ---- */

struct listener_labels {
  char address[ADDR_TEXT_BYTES];
  const char *family;
};

static void label_listener(const struct addr *a, struct listener_labels *out) {
  out->family = a->family == 4 ? "4" : a->family == 6 ? "6" : "other";
  if (a->family) addr_text(a, out->address);
  else snprintf(out->address, sizeof out->address, "other");
}

static void write_rcodes(struct metrics_writer *w, const struct listener_labels *l, const char *transport,
                         const struct observed_tally *t) {
  const uint64_t usual = 1u << RCODE_NOERROR | 1u << RCODE_FORMERR | 1u << RCODE_SERVFAIL | 1u << RCODE_NXDOMAIN |
                         1u << RCODE_NOTIMP | 1u << RCODE_REFUSED | 1u << RCODE_NOTAUTH;
  for (unsigned i = 0; i < OBSERVED_RCODES; i++) {
    char number[16];
    const char *name = rcode_text(i);
    if (t->rcodes[i] == 0 && !(usual >> i & 1)) continue;
    if (strcmp(name, "rcode") == 0) { /* without a name */
      snprintf(number, sizeof number, "RCODE%u", i);
      name = number;
    }
    metric_value(w, t->rcodes[i], l->address, l->family, transport, name);
  }
}

static void write_tally(struct metrics_writer *w, enum metric m, const struct listener_labels *l, const char *transport,
                        const struct observed_tally *t) {
  if (m == METRIC_RESPONSES) write_rcodes(w, l, transport, t);
  else
    metric_value(w,
                 m == METRIC_QUERIES     ? t->requests
                 : m == METRIC_TRUNCATED ? t->truncated
                                         : t->dropped,
                 l->address, l->family, transport);
}

static void write_listeners(struct metrics_writer *w, const struct front *front) {
  static const enum metric families[] = {METRIC_QUERIES, METRIC_RESPONSES, METRIC_TRUNCATED, METRIC_DROPPED};
  for (size_t k = 0; k < sizeof families / sizeof families[0]; k++) {
    struct front_listener_counts c;
    struct listener_labels labels;
    metric_begin(w, families[k]);
    for (size_t i = 0; front_count_listener(front, i, &c); i++) {
      label_listener(&c.addr, &labels);
      write_tally(w, families[k], &labels, "udp", &c.udp);
      write_tally(w, families[k], &labels, "tcp", &c.tcp);
    }
  }
}

static void write_requests(struct metrics_writer *w, const struct front_counts *c, const struct front *front) {
  write_listeners(w, front);
  metric_begin(w, METRIC_TSIG_FAILURES);
  for (unsigned i = 0; i < OBSERVED_TSIG_ERRORS; i++)
    metric_value(w, c->observed.tsig_failures[i], observed_tsig_text(i));
  metric_single(w, METRIC_UDP_TOO_LONG, c->udp.too_long);
  metric_single(w, METRIC_UDP_SEND_FAILED, c->udp.send_failed);
  metric_single(w, METRIC_TCP_CONNECTIONS, c->streams.connections);
  metric_single(w, METRIC_TCP_ACCEPTED, c->streams.accepted);
  metric_single(w, METRIC_TCP_TIMED_OUT, c->streams.timed_out);
  metric_single(w, METRIC_TCP_EVICTED, c->streams.evicted);
  metric_single(w, METRIC_NOTES_LOST, c->observed.lost_notes);
}

/* ---- transfers, zones, store ---- */

static void write_transfers(struct metrics_writer *w, const struct front_counts *c, const struct control_figures *f) {
  metric_begin(w, METRIC_TRANSFERS_IN);
  metric_value(w, f->transfers_in, "done");
  metric_value(w, f->secondary.transfers_failed, "failed");
  metric_single(w, METRIC_TRANSFERS_IN_CHANGES, f->secondary.transfers_changes);
  metric_single(w, METRIC_TRANSFERS_IN_FELL_BACK, f->secondary.transfers_fell_back);
  metric_single(w, METRIC_DIGEST_REFUSED, f->secondary.digest_refused);
  metric_single(w, METRIC_ZONEMD_REFUSED, f->secondary.zonemd_refused);
  metric_begin(w, METRIC_TRANSFERS_OUT);
  metric_value(w, c->transfers_done, "done");
  metric_value(w, c->transfers_failed, "failed");
  metric_value(w, c->observed.transfers_refused, "refused");
  metric_single(w, METRIC_TRANSFERS_OUT_RUNNING, c->transfers_running);
  metric_single(w, METRIC_SOA_QUERIES, f->secondary.soa_queries);
  metric_single(w, METRIC_SOA_SILENT, f->secondary.soa_silent);
  metric_begin(w, METRIC_UPDATES);
  metric_value(w, f->updates_done, "done");
  metric_value(w, f->updates_unchanged, "unchanged");
  metric_value(w, f->updates_refused + c->observed.updates_refused, "refused");
  metric_value(w, f->updates_failed, "failed");
  metric_value(w, f->updates_forwarded, "forwarded");
  metric_begin(w, METRIC_NOTIFIES_IN);
  metric_value(w, f->notifies_in, "taken");
  metric_value(w, c->observed.notifies_refused, "refused");
  metric_begin(w, METRIC_NOTIFIES_OUT);
  metric_value(w, f->notifies_out, "done");
  metric_value(w, f->notifies_out_failed, "failed");
}

static void write_zones(struct metrics_writer *w, const struct control_figures *f) {
  metric_begin(w, METRIC_ZONES);
  for (unsigned i = 0; i < ZONE_STATES; i++) {
    if (i != ZONE_EXPIRED) metric_value(w, f->zones[i].primary, "primary", zone_state_text[i]);
    metric_value(w, f->zones[i].secondary, "secondary", zone_state_text[i]);
  }
  metric_single(w, METRIC_ZONES_TROUBLED, f->troubled);
  metric_single(w, METRIC_ZONES_NOT_DURABLE, f->not_durable);
  metric_single(w, METRIC_EXPIRIES, f->secondary.expired);
  metric_single(w, METRIC_RECORDS, f->records);
  metric_single(w, METRIC_ZONE_MEMORY, f->zone_memory_bytes);
  metric_single(w, METRIC_ZONE_MAPPED, f->zone_mapped_bytes);
}

static void write_store(struct metrics_writer *w, const struct control_figures *f) {
  if (f->store_known) { /* a store that is broken is no store of size 0 */
    metric_single(w, METRIC_STORE_DATABASE, f->store.database_bytes);
    metric_single(w, METRIC_STORE_SEGMENT_BYTES, f->store.segment_bytes);
    metric_single(w, METRIC_STORE_SEGMENTS, f->store.segments);
    metric_single(w, METRIC_STORE_CHANGES, f->store.changesets);
  }
  if (f->disk.known) {
    metric_single(w, METRIC_DISK_FREE, f->disk.free_bytes);
    metric_single(w, METRIC_DISK_LEVEL, f->disk.room);
  }
  metric_single(w, METRIC_BULK_REFUSED, f->bulk_refused);
}

/* ---- each zone: one walk, and a text for each metric, for the samples of one stand together ---- */

enum { EACH_FIRST = METRIC_ZONE_SERVED, EACH_COUNT = METRIC_COUNT - EACH_FIRST };

struct each {
  struct buf text[EACH_COUNT];
};

static void sample(struct each *e, enum metric m, const struct zone_figures *z, double value) {
  struct metrics_writer w = {&e->text[m - EACH_FIRST], m};
  metric_value(&w, value, z->name, z->secondary ? "secondary" : "primary");
}

static void write_zone(void *arg, const struct zone_figures *z) {
  sample(arg, METRIC_ZONE_SERVED, z, z->state == ZONE_READY);
  if (z->has_content) sample(arg, METRIC_ZONE_SERIAL, z, z->serial);
  if (z->has_content) sample(arg, METRIC_ZONE_RECORDS, z, z->records);
  if (z->can_expire) sample(arg, METRIC_ZONE_EXPIRES, z, z->expires_s);
  if (z->has_last_good) sample(arg, METRIC_ZONE_GOOD, z, z->last_good_s);
}

static void write_each(struct metrics_writer *w, struct control *control, struct instant now) {
  enum config_per_zone which = control_config(control)->metrics.per_zone;
  if (which == CONFIG_PER_ZONE_OFF) return;
  struct each e = {0};
  control_each_zone(control, which == CONFIG_PER_ZONE_WORST ? LIMIT_WORST_ZONES : 0, now, write_zone, &e);
  for (unsigned i = 0; i < EACH_COUNT; i++) {
    metric_begin(w, EACH_FIRST + i);
    buf_add(w->out, e.text[i].data, e.text[i].size);
    if (e.text[i].failed) w->out->failed = true;
    buf_done(&e.text[i]);
  }
}

void metrics_page(struct control *control, const struct front *front, struct instant now, struct buf *out) {
  struct metrics_writer w = {.out = out};
  struct control_figures f;
  struct front_counts c;
  control_figures(control, &f);
  front_count(front, &c);
  write_process(&w, &f);
  write_requests(&w, &c, front);
  write_transfers(&w, &c, &f);
  write_zones(&w, &f);
  write_store(&w, &f);
  write_each(&w, control, now);
}
