/* Error codes shared by every room.
 *
 * Functions that can fail return `enum err` and write their outputs only on ERR_OK. A bug asserts; hostile input gets
 * a code (and a counter where it is handled); an operator's mistake also gets a `struct diag` (diag.h); exhaustion
 * keeps the old state. Thread: any. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err {
  ERR_OK = 0,
  ERR_MEMORY, /* allocation failed */
  ERR_SPACE,  /* the output does not fit its buffer */
  ERR_SHORT,  /* the input ends too early */
  ERR_FORMAT, /* the input is malformed */
  ERR_RANGE,  /* a value is outside what its field can hold */
  ERR_LIMIT,  /* a named limit (limits.h) was reached */
  ERR_NOT_FOUND,
  ERR_EXISTS,
  ERR_REFUSED,     /* policy says no */
  ERR_UNSUPPORTED, /* understood, but not offered here */
  ERR_IO,          /* the operating system failed; errno says how */
  ERR_LOCKED,      /* somebody else owns it */
  ERR_VERSION,     /* a file of a newer format: left untouched */
  ERR_CORRUPT,     /* a checksum or an invariant of stored data does not hold */
  ERR_TIMEOUT,
  ERR_AGAIN,  /* not now: would block, or busy */
  ERR_CLOSED, /* the other side is gone */
  ERR_COUNT
};

/* A short lower-case phrase for messages, such as "malformed input". Never NULL. */
const char *err_text(enum err e);

#endif
