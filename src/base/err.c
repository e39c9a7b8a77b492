#include "base/err.h"

static const char *const texts[ERR_COUNT] = {
    [ERR_OK] = "ok",
    [ERR_MEMORY] = "out of memory",
    [ERR_SPACE] = "does not fit",
    [ERR_SHORT] = "input ends too early",
    [ERR_FORMAT] = "malformed input",
    [ERR_RANGE] = "value out of range",
    [ERR_LIMIT] = "limit reached",
    [ERR_NOT_FOUND] = "not found",
    [ERR_EXISTS] = "exists already",
    [ERR_REFUSED] = "refused by policy",
    [ERR_UNSUPPORTED] = "not supported",
    [ERR_IO] = "input/output error",
    [ERR_LOCKED] = "in use by another process",
    [ERR_VERSION] = "written by a newer version",
    [ERR_CORRUPT] = "stored data is damaged",
    [ERR_TIMEOUT] = "timed out",
    [ERR_AGAIN] = "busy, try again",
    [ERR_CLOSED] = "closed by the other side",
};

const char *err_text(enum err e) {
  return (unsigned)e < ERR_COUNT && texts[e] ? texts[e] : "unknown error";
}
