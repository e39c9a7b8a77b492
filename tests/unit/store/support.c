#include "support.h"

#include "zone/zone_set.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

pid_t test_fork(void) {
  zone_grace_barrier();
  return fork();
}

/* ---- directories ---- */

void test_directory_make(struct test_directory *d) {
  const char *root = getenv("TMPDIR"); /* names a disk, when its speed is to be seen; syncing in memory costs nothing */
  if (!root) root = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
  snprintf(d->root, sizeof d->root, "%.40s/tandem-XXXXXX", root);
  assert_non_null(mkdtemp(d->root));
  snprintf(d->state, sizeof d->state, "%s/state", d->root);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  return remove(path);
}

void test_directory_done(const struct test_directory *d) {
  nftw(d->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void test_path(const struct test_directory *d, const char *name, char out[TEST_PATH_BYTES]) {
  snprintf(out, TEST_PATH_BYTES, "%.70s/%.150s", d->state, name);
}

void test_put_file(const struct test_directory *d, const char *name, const void *bytes, size_t n) {
  char path[TEST_PATH_BYTES];
  test_path(d, name, path);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  fclose(f);
}

struct store *test_open(const struct test_directory *d) {
  struct store *s = NULL;
  struct store_error error = {""};
  if (store_open(d->state, &s, &error)) fail_msg("open: %s", error.what);
  return s;
}

/* ---- zones ---- */

struct name test_name(const char *text) {
  struct name n;
  assert_int_equal(name_from_text(text, strlen(text), NULL, &n, NULL, NULL), ERR_OK);
  return n;
}

static void add(struct zone_edit *e, const struct name *owner, uint16_t type, const uint8_t *rdata, size_t size) {
  enum zone_add outcome;
  assert_int_equal(zone_edit_add(e, owner, type, 3600, rdata, (uint16_t)size, &outcome), ERR_OK);
}

struct zone_snap *test_zone(const char *apex_text, uint32_t serial, unsigned hosts) {
  struct name apex = test_name(apex_text), owner;
  struct zone_edit *e;
  struct zone_snap *snap;
  uint8_t rdata[600];
  assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
  struct wr w = wr_make(rdata, sizeof rdata);
  wr_bytes(&w, apex.octets, apex.size);
  wr_bytes(&w, apex.octets, apex.size);
  for (unsigned i = 0; i < 5; i++)
    wr_u32(&w, i ? 3600 * i : serial);
  add(e, &apex, RR_SOA, rdata, wr_used(&w));
  for (unsigned i = 0; i < hosts; i++) {
    char label[16];
    snprintf(label, sizeof label, "h%u", i);
    assert_int_equal(name_from_text(label, strlen(label), &apex, &owner, NULL, NULL), ERR_OK);
    if (i < 2) add(e, &apex, RR_NS, owner.octets, owner.size);
    put_u32(rdata, 0x0a000000 + i);
    add(e, &owner, RR_A, rdata, 4);
  }
  assert_int_equal(zone_edit_finish(e, &snap), ERR_OK);
  return snap;
}

struct store_change test_change(uint64_t zone, uint64_t version, const char *body) {
  return (struct store_change){
      .zone = zone,
      .version = version,
      .has_serial_from = version > 1,
      .serial_from = (uint32_t)version - 1,
      .serial_to = (uint32_t)version,
      .at_s = 1700000000 + (int64_t)version,
      .door = DOOR_UPDATE,
      .author = "key.example.",
      .comment = "",
      .body = (const uint8_t *)body,
      .body_size = strlen(body),
  };
}

uint64_t test_create(struct store *s, const char *apex, uint32_t serial, unsigned hosts) {
  struct store_batch *b;
  struct store_error error = {""};
  struct store_image image;
  struct name name = test_name(apex);
  uint64_t id, version;
  struct zone_snap *snap = test_zone(apex, serial, hosts);
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_create(b, &name, &id, &version), ERR_OK);
  struct store_change c = test_change(id, version + 1, "");
  c.serial_to = serial;
  assert_int_equal(store_batch_image(b, id, version + 1, snap, &c, &image), ERR_OK);
  if (store_batch_commit(b, &error)) fail_msg("commit: %s", error.what);
  zone_snap_unref(snap);
  return id;
}

void test_delta(struct store *s, uint64_t zone, uint64_t version, const char *body) {
  struct store_batch *b;
  struct store_error error = {""};
  struct store_change c = test_change(zone, version, body);
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_delta(b, &c), ERR_OK);
  if (store_batch_commit(b, &error)) fail_msg("commit: %s", error.what);
}

/* ---- describing ---- */

struct zone_list {
  struct {
    uint64_t id, head;
  } zones[128];
  size_t count;
  struct buf *out;
  struct store *store;
};

static bool describe_zone(void *arg, const struct store_zone *z) {
  struct zone_list *l = arg;
  struct name name;
  struct store_error error = {""};
  char text[NAME_TEXT_BYTES];
  name_from_wire(z->name, &name);
  buf_printf(l->out, "zone %llu %s state %d at %lld version %llu serial %u source %.*s\n", (unsigned long long)z->id,
             name_text(&name, text), (int)z->state, (long long)z->deleted_at_s, (unsigned long long)z->version, z->serial,
             (int)z->source_size, z->source ? (const char *)z->source : "");
  if (z->image.segment) {
    struct zone_snap *snap = NULL;
    enum err err = store_open_image(l->store, &z->image, &snap, &error);
    buf_printf(l->out, "  image version %llu: %s", (unsigned long long)z->image.version, err_text(err));
    if (!err) buf_printf(l->out, " serial %u records %llu", zone_serial(snap), (unsigned long long)zone_record_count(snap));
    buf_add_text(l->out, "\n");
    zone_snap_unref(snap);
  }
  assert_true(l->count < 128);
  l->zones[l->count].id = z->id;
  l->zones[l->count++].head = z->head;
  return true;
}

static enum err describe_change(void *arg, const struct store_change *c) {
  buf_printf(arg, "  change %llu prev %llu version %llu kind %d serials %d %u %u at %lld door %d by '%s' for '%s': %.*s\n",
             (unsigned long long)c->seq, (unsigned long long)c->prev, (unsigned long long)c->version, (int)c->kind,
             c->has_serial_from, c->serial_from, c->serial_to, (long long)c->at_s, (int)c->door, c->author, c->comment,
             (int)c->body_size, c->body ? (const char *)c->body : "");
  return ERR_OK;
}

void test_describe(struct store *s, struct buf *out) {
  struct zone_list l = {.out = out, .store = s};
  struct store_error error = {""};
  buf_clear(out);
  if (store_each_zone(s, describe_zone, &l, &error)) buf_printf(out, "zones: %s\n", error.what);
  for (size_t i = 0; i < l.count; i++) {
    struct store_timer t;
    assert_int_equal(store_head(s, l.zones[i].id), l.zones[i].head);
    buf_printf(out, "zone %llu\n", (unsigned long long)l.zones[i].id);
    if (store_each_change(s, l.zones[i].id, l.zones[i].head, 0, describe_change, out, &error)) buf_printf(out, "%s\n", error.what);
    if (!store_timer_get(s, l.zones[i].id, &t)) buf_printf(out, "  timer %lld %u\n", (long long)t.good_at_s, t.expire_s);
  }
}

uint64_t test_rows(struct store *s, const char *table) {
  char sql[80];
  sqlite3_stmt *st;
  snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
  assert_int_equal(sqlite3_prepare_v2(s->db.connection, sql, -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  uint64_t rows = (uint64_t)sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  return rows;
}

/* ---- faults: our files ---- */

struct faults faults;

/* Whether this call is to fail; does not come back from a crash. */
static bool fault(char call) {
  if (faults.count < sizeof faults.trace - 1) faults.trace[faults.count] = call;
  faults.count++;
  if (faults.on_call) faults.on_call(call);
  bool here = faults.mode == FAULT_FROM_THEN_ON ? faults.count >= faults.at : faults.count == faults.at;
  if (!here || faults.mode == FAULT_NONE) return false;
  if (faults.mode == FAULT_CRASH) _exit(FAULT_CRASH_EXIT);
  errno = faults.error;
  return true;
}

static int faulty_create(int dir, const char *name) {
  return fault('c') ? -1 : file_ops_system.create(dir, name);
}

/* Half of it is written first, as a full disk or a torn write does. */
static ssize_t faulty_write(int fd, const void *bytes, size_t n) {
  if (faults.mode == FAULT_CRASH && faults.count + 1 == faults.at) (void)!write(fd, bytes, n / 2);
  return fault('w') ? -1 : write(fd, bytes, n);
}

static int faulty_sync(int fd) {
  return fault('s') ? -1 : file_ops_system.sync(fd);
}

static int faulty_rename(int dir, const char *from, const char *to) {
  return fault('r') ? -1 : file_ops_system.rename(dir, from, to);
}

static int faulty_sync_dir(int dir) {
  return fault('d') ? -1 : file_ops_system.sync_dir(dir);
}

static int faulty_remove(int dir, const char *name) {
  return fault('x') ? -1 : file_ops_system.remove(dir, name);
}

static const struct file_ops faulty_ops = {faulty_create, faulty_write, faulty_sync, faulty_rename, faulty_sync_dir, faulty_remove};

/* ---- faults: SQLite's files, through a VFS on top of the default one ---- */

struct faulty_file {
  sqlite3_file base;
  sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs, faulty_vfs;

static sqlite3_file *real_of(sqlite3_file *f) {
  return ((struct faulty_file *)f)->real;
}

static int vfs_close(sqlite3_file *f) {
  return real_of(f)->pMethods->xClose(real_of(f));
}

static int vfs_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at) {
  if (faults.unreadable) return SQLITE_IOERR_READ;
  return real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}

static int vfs_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at) {
  if (faults.mode == FAULT_CRASH && faults.count + 1 == faults.at) (void)real_of(f)->pMethods->xWrite(real_of(f), from, n / 2, at);
  if (fault('W')) return faults.error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  return real_of(f)->pMethods->xWrite(real_of(f), from, n, at);
}

static int vfs_truncate(sqlite3_file *f, sqlite3_int64 size) {
  return fault('T') ? SQLITE_IOERR_TRUNCATE : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int vfs_sync(sqlite3_file *f, int flags) {
  return fault('S') ? SQLITE_IOERR_FSYNC : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int vfs_size(sqlite3_file *f, sqlite3_int64 *size) {
  return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int vfs_lock(sqlite3_file *f, int level) {
  return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int vfs_unlock(sqlite3_file *f, int level) {
  return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int vfs_reserved(sqlite3_file *f, int *out) {
  return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int vfs_control(sqlite3_file *f, int op, void *arg) {
  return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int vfs_sector(sqlite3_file *f) {
  return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int vfs_traits(sqlite3_file *f) {
  return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int vfs_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out) {
  return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

static int vfs_shm_lock(sqlite3_file *f, int offset, int n, int flags) {
  return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void vfs_shm_barrier(sqlite3_file *f) {
  real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int vfs_shm_unmap(sqlite3_file *f, int remove_it) {
  return real_of(f)->pMethods->xShmUnmap(real_of(f), remove_it);
}

static const sqlite3_io_methods faulty_methods = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_reserved,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector,
    .xDeviceCharacteristics = vfs_traits,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out) {
  struct faulty_file *faulty = (struct faulty_file *)f;
  faulty->real = (sqlite3_file *)(faulty + 1);
  int rc = real_vfs->xOpen(real_vfs, name, faulty->real, flags, out);
  f->pMethods = faulty->real->pMethods ? &faulty_methods : NULL;
  return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync) {
  return fault('X') ? SQLITE_IOERR_DELETE : real_vfs->xDelete(real_vfs, name, sync);
}

__attribute__((constructor)) static void make_vfs(void) {
  sqlite3_initialize();
  real_vfs = sqlite3_vfs_find(NULL);
  faulty_vfs = *real_vfs;
  faulty_vfs.zName = "faulty";
  faulty_vfs.szOsFile = (int)sizeof(struct faulty_file) + real_vfs->szOsFile;
  faulty_vfs.xOpen = vfs_open;
  faulty_vfs.xDelete = vfs_delete;
  sqlite3_vfs_register(&faulty_vfs, 0);
}

const struct store_env faulty_env = {&faulty_ops, "faulty", NULL};

struct store *test_open_faulty(const struct test_directory *d) {
  struct store *s = NULL;
  struct store_error error = {""};
  if (store_open_with(d->state, &faulty_env, &s, &error)) fail_msg("open: %s", error.what);
  return s;
}

void test_no_faults(void) {
  faults = (struct faults){0};
}
