/* What the tests of the store share: a directory, small zones, everything a store says in one text, and faults. */
#ifndef TESTS_STORE_SUPPORT_H
#define TESTS_STORE_SUPPORT_H

#include "store/store_priv.h"

#include <sys/types.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

enum { TEST_PATH_BYTES = 256 };

/* A new directory with a path for the state in it that is not there yet; the directory goes with test_directory_done. */
struct test_directory {
  char root[64];
  char state[TEST_PATH_BYTES];
};
void test_directory_make(struct test_directory *d);
/* fork(2) while no thread of liburcu's holds a lock that the child would wait for. */
pid_t test_fork(void);
void test_directory_done(const struct test_directory *d);
void test_path(const struct test_directory *d, const char *name, char out[TEST_PATH_BYTES]);
void test_put_file(const struct test_directory *d, const char *name, const void *bytes, size_t n);

struct store *test_open(const struct test_directory *d); /* has to work */

struct name test_name(const char *text);
/* SOA with this serial, two NS, and `hosts` A records. */
struct zone_snap *test_zone(const char *apex, uint32_t serial, unsigned hosts);

/* A zone made with a full image in a batch of its own. */
uint64_t test_create(struct store *s, const char *apex, uint32_t serial, unsigned hosts);
/* A change with the zone's next version; the body is not a delta of zone/, the store does not look. */
struct store_change test_change(uint64_t zone, uint64_t version, const char *body);
void test_delta(struct store *s, uint64_t zone, uint64_t version, const char *body);

/* Everything that can be asked of a store, but for numbers of segments. */
void test_describe(struct store *s, struct buf *out);

/* Rows of a table of the log. */
uint64_t test_rows(struct store *s, const char *table);

/* Counts every call that changes a file (ours and SQLite's), and at the `at`th one (from 1) does what `mode` says. */
enum fault_mode { FAULT_NONE, FAULT_ONCE, FAULT_FROM_THEN_ON, FAULT_CRASH };
struct faults {
  unsigned count, at;
  enum fault_mode mode;
  int error;       /* errno: EIO or ENOSPC */
  bool unreadable; /* SQLite can't read either; not counted */
  /* A letter a call. Ours: create, write, sync, rename, sync of a directory = d, remove = x. SQLite's: Write, Sync, Truncate,
   * Xdelete. */
  char trace[512];
  void (*on_call)(char call); /* before it; NULL: nobody looks */
};
extern struct faults faults;
extern const struct store_env faulty_env;
void test_no_faults(void);
struct store *test_open_faulty(const struct test_directory *d);
enum { FAULT_CRASH_EXIT = 77 };

#endif
