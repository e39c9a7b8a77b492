/* The metrics page in the text format of Prometheus (version 0.0.4), from one table: metrics.def. Whoever has the figures writes
 * them in the table's order:
 *
 *   metric_begin(&w, METRIC_QUERIES);
 *   metric_value(&w, 12, "127.0.0.1@53", "4", "udp");      label values in the order of the row
 *
 * Thread: a writer is its owner's. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include "base/buf.h"

enum metric {
#define GROUP(heading)
#define METRIC(id, name, type, labels, help) METRIC_##id,
#include "api/metrics.def"
#undef GROUP
#undef METRIC
  METRIC_COUNT
};

enum { METRIC_LABELS = 4 };

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics_writer {
  struct buf *out;
  enum metric at;
};

/* Families come in the table's order, each once. */
void metric_begin(struct metrics_writer *w, enum metric m);
/* A sample of the family begun last. `labels`: as many as the row has. A value that is a whole number is written without a point.
 */
void metric_write(struct metrics_writer *w, double value, const char *const *labels, size_t label_count);
#define metric_value(w, value, ...)                                                  \
  metric_write((w), (double)(value), (const char *const[]){NULL, ##__VA_ARGS__} + 1, \
               sizeof((const char *const[]){NULL, ##__VA_ARGS__}) / sizeof(char *) - 1)
/* A family with one sample and no labels. */
void metric_single(struct metrics_writer *w, enum metric m, double value);

/* The table in Markdown: docs/metrics.md. */
void metrics_doc(struct buf *out);

#endif
