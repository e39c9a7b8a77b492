/* What an operator is told about a file or a configuration: where, what, and what to do.
 *
 * A `struct diags` collects findings in the order found, at most LIMIT_DIAGS of them (the rest is counted), so that one
 * pass reports every mistake. Texts never hold secrets, and quote at most the offending token. Thread: the owner's. */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

struct place {
  const char *file; /* NULL: no file (then line and column are 0) */
  uint32_t line;    /* 1-based; 0 unknown */
  uint32_t column;  /* 1-based, in bytes; 0 unknown */
};

struct diag {
  enum severity severity;
  struct place place;
  const char *check; /* stable name of the check, such as "cname-and-other-data" */
  const char *what;  /* one sentence without a full stop */
  const char *hint;  /* what to do next; "" if there is nothing to say */
};

struct diags {
  struct arena arena;
  struct diag *list;
  size_t count;
  size_t capacity;
  size_t errors;   /* all found, kept or not */
  size_t warnings; /* all found, kept or not */
};

/* `check` must be a string literal; file, hint and the formatted text are copied. */
void diag_add(struct diags *d, enum severity severity, struct place place, const char *check, const char *hint, const char *format,
              ...) PRINTF_LIKE(6, 7);
void diags_done(struct diags *d);

/* "file:3:7: error: what [check]; hint" with a newline, for one finding. */
void diag_print(const struct diag *d, struct buf *out);
void diags_print(const struct diags *d, struct buf *out);
/* A JSON array of {"severity","file","line","column","check","what","hint"}. */
void diags_print_json(const struct diags *d, struct buf *out);

/* Appends `text` as a JSON string with quotes; bytes that are not UTF-8 or are control characters are escaped. */
void buf_add_json_string(struct buf *out, const char *text, size_t n);

#endif
