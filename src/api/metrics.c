#include "api/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum metric_type { COUNTER, GAUGE };

static const struct metric_row {
  const char *name;
  enum metric_type type;
  const char *labels; /* "listen,transport" */
  const char *help;
} rows[METRIC_COUNT] = {
#define GROUP(heading)
#define METRIC(id, name, type, labels, help) {name, type, labels, help},
#include "api/metrics.def"
#undef GROUP
#undef METRIC
};

static const char *type_text(enum metric_type type) {
  return type == COUNTER ? "counter" : "gauge";
}

/* Label values escape three octets. */
static void add_label(struct buf *out, const char *text) {
  for (size_t n; buf_add(out, text, n = strcspn(text, "\n\"\\")), text[n]; text += n + 1)
    buf_add(out, text[n] == '\n' ? "\\n" : text[n] == '"' ? "\\\"" : "\\\\", 2);
}

static void add_number(struct buf *out, double value) {
  char text[32];
  bool whole = value == floor(value) && fabs(value) < 9e15;
  int n = whole ? snprintf(text, sizeof text, " %lld\n", (long long)value) : snprintf(text, sizeof text, " %.15g\n", value);
  buf_add(out, text, (size_t)n);
}

void metric_begin(struct metrics_writer *w, enum metric m) {
  const struct metric_row *row = &rows[m];
  w->at = m;
  buf_printf(w->out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, type_text(row->type));
}

void metric_write(struct metrics_writer *w, double value, const char *const *labels, size_t label_count) {
  const struct metric_row *row = &rows[w->at];
  const char *name = row->labels;
  buf_add_text(w->out, row->name);
  size_t i = 0;
  for (; *name; i++) {
    assert(i < label_count);
    size_t n = strcspn(name, ",");
    buf_add_byte(w->out, i ? ',' : '{');
    buf_add(w->out, name, n);
    buf_add_text(w->out, "=\"");
    add_label(w->out, labels[i]);
    buf_add_byte(w->out, '"');
    name += n + (name[n] == ',');
  }
  assert(i == label_count);
  if (i) buf_add_byte(w->out, '}');
  add_number(w->out, value);
}

void metric_single(struct metrics_writer *w, enum metric m, double value) {
  metric_begin(w, m);
  metric_write(w, value, NULL, 0);
}

/* ---- docs/metrics.md ---- */

static const char intro[] =
    "# Metrics\n\n"
    "<!-- Made from src/api/metrics.def; `make test` compares. -->\n\n"
    "With `metrics: {listen: \"127.0.0.1@9153\"}` the server answers `GET /metrics` over HTTP in the text format of Prometheus.\n"
    "Nothing protects the page: listen where only the monitoring can reach it. Names and labels stay as they are between "
    "versions.\n"
    "Counters count from the server's start; a reload does not set them back.\n\n"
    "`metrics.per-zone` adds the figures of each zone: `all`, or for servers with very many zones `worst`, the 20 zones with the\n"
    "smallest share of their expire time left (those without content and the expired ones first, those that never expire last).\n\n"
    "| label | values |\n|---|---|\n"
    "| `listen` | an address of `server.listen`, such as `192.0.2.1@53`; it keeps its counters when it goes and comes again |\n"
    "| `family` | `4`, `6` |\n| `transport` | `udp`, `tcp` |\n| `role` | `primary`, `secondary` |\n"
    "| `zone` | the zone's name without the final dot |\n";

static void doc_group(struct buf *out, const char *heading) {
  buf_printf(out, "\n## %s\n\n| name | type | labels | meaning |\n|---|---|---|---|\n", heading);
}

static void doc_row(struct buf *out, const struct metric_row *row) {
  buf_printf(out, "| `%s` | %s | ", row->name, type_text(row->type));
  for (const char *name = row->labels; *name;) {
    int n = (int)strcspn(name, ",");
    buf_printf(out, "`%.*s`%s", n, name, name[n] ? ", " : "");
    name += n + (name[n] == ',');
  }
  buf_printf(out, " | %s |\n", row->help);
}

void metrics_doc(struct buf *out) {
  buf_add_text(out, intro);
#define GROUP(heading) doc_group(out, heading);
#define METRIC(id, name, type, labels, help) doc_row(out, &rows[METRIC_##id]);
#include "api/metrics.def"
#undef GROUP
#undef METRIC
}
