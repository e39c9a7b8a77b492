#include "disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES = 128, CHANGES = 1024, NAME_BYTES = 64, SECTOR_BYTES = 512 };

struct entry {
  enum directory dir;
  char name[NAME_BYTES];
  struct inode *inode; /* NULL: free */
};

struct change { /* of names, not synced */
  enum { CHANGE_CREATE, CHANGE_RENAME, CHANGE_REMOVE } kind;
  enum directory dir;
  char name[NAME_BYTES], to[NAME_BYTES];
  struct inode *inode;
};

struct disk {
  struct node *node;
  const char *root;
  char directory[96];
  unsigned generation;
  bool ghost;
  struct entry now[NAMES], durable[NAMES];
  struct change changes[CHANGES];
  size_t change_count;
  struct disk_faults faults;
  struct vfs_shared *shared;
};

static struct disk *other;

struct disk *disk_at_hand(void) {
  if (other) return other;
  MUST(at_node);
  return at_node->disk;
}

void disk_use(struct disk *d) {
  other = d;
}

struct disk_faults *disk_faults(struct disk *d) {
  return &d->faults;
}

const char *disk_directory(const struct disk *d) {
  return d->directory;
}

struct vfs_shared **disk_shared(struct disk *d) {
  return &d->shared;
}

bool disk_is_ghost(const struct disk *d) {
  return d->ghost;
}

/* ---- calls ---- */

int disk_call(struct disk *d, enum file_call call, size_t growth) {
  static const char *const names[CALLS] = {"disk create",         "disk write",  "disk sync",     "disk rename",
                                           "disk sync directory", "disk remove", "disk truncate", "disk read"};
  struct node *n = d->node;
  if (d->ghost) return 0;
  if (n->dying) return EIO;
  if (call == CALL_READ) {
    if (!sim_chance(d->faults.fail_pm[call])) return 0;
    seen_count("disk read failed");
    n->io_failed = true;
    return EIO;
  }
  sim_trace(names[call], (uint64_t)n->index, growth, 0);
  seen_count(names[call]);
  check_observe(n);
  if (d->faults.crash_after && --d->faults.crash_after == 0) {
    sim_say("%s crashes at %s", n->name, names[call]);
    n->dying = true;
    n->by_kill = d->faults.crash_by_kill;
    return EIO;
  }
  if (d->faults.full && growth) {
    seen_count("disk full");
    return ENOSPC;
  }
  if (!sim_chance(d->faults.fail_pm[call])) return 0;
  sim_say("%s: %s fails", n->name, names[call]);
  seen_count("disk call failed");
  n->io_failed = true;
  return EIO;
}

/* ---- inodes ---- */

struct inode *inode_ref(struct inode *i) {
  i->references++;
  return i;
}

static void drop_pending(struct inode *i) {
  for (size_t k = 0; k < i->pending_count; k++)
    free(i->pending[k].bytes);
  i->pending_count = 0;
}

void inode_unref(struct inode *i) {
  if (!i || --i->references) return;
  drop_pending(i);
  free(i->pending);
  free(i->now);
  free(i->durable);
  free(i);
}

static struct inode *inode_new(bool is_real) {
  struct inode *i = calloc(1, sizeof *i);
  MUST(i);
  i->references = 1;
  i->is_real = is_real;
  return i;
}

static void add_pending(struct inode *i, const void *bytes, size_t n, uint64_t offset, bool truncate) {
  if (i->pending_count == i->pending_capacity) {
    i->pending_capacity = i->pending_capacity ? 2 * i->pending_capacity : 16;
    i->pending = realloc(i->pending, i->pending_capacity * sizeof *i->pending);
    MUST(i->pending);
  }
  struct pending_write *w = &i->pending[i->pending_count++];
  *w = (struct pending_write){.offset = offset, .size = n, .truncate = truncate};
  w->bytes = malloc(n + 1);
  MUST(w->bytes);
  if (n) memcpy(w->bytes, bytes, n);
}

static void put(uint8_t **bytes, size_t *size, size_t *capacity, const void *from, size_t n, uint64_t offset) {
  size_t end = (size_t)offset + n;
  if (end > *capacity) {
    *capacity = end * 2;
    *bytes = realloc(*bytes, *capacity);
    MUST(*bytes);
  }
  if (offset > *size) memset(*bytes + *size, 0, (size_t)offset - *size);
  memcpy(*bytes + offset, from, n);
  if (end > *size) *size = end;
}

void inode_write(struct inode *i, const void *bytes, size_t n, uint64_t offset) {
  put(&i->now, &i->size, &i->capacity, bytes, n, offset);
  add_pending(i, bytes, n, offset, false);
}

void inode_truncate(struct inode *i, uint64_t size) {
  if (size < i->size) i->size = (size_t)size;
  add_pending(i, NULL, 0, size, true);
}

static void apply(uint8_t **bytes, size_t *size, size_t *capacity, const struct pending_write *w, size_t from, size_t n) {
  if (w->truncate) {
    if (w->offset < *size) *size = (size_t)w->offset;
    return;
  }
  put(bytes, size, capacity, w->bytes + from, n, w->offset + from);
}

static void apply_all(struct inode *i) {
  size_t capacity = i->durable_size;
  for (size_t k = 0; k < i->pending_count; k++)
    apply(&i->durable, &i->durable_size, &capacity, &i->pending[k], 0, i->pending[k].size);
}

static void inode_settle(struct inode *i) {
  apply_all(i);
  drop_pending(i);
}

int disk_sync(struct disk *d, struct inode *i) {
  int error = disk_call(d, CALL_SYNC, 0);
  if (!error) inode_settle(i);
  else if (!d->node->dying) drop_pending(i); /* never durable, and no later sync says so */
  return error;
}

/* ---- names ---- */

static struct entry *entry_find(struct entry *list, enum directory dir, const char *name) {
  for (size_t k = 0; k < NAMES; k++)
    if (list[k].inode && list[k].dir == dir && strcmp(list[k].name, name) == 0) return &list[k];
  return NULL;
}

static void entry_set(struct entry *list, enum directory dir, const char *name, struct inode *inode) {
  struct entry *e = entry_find(list, dir, name);
  for (size_t k = 0; !e && k < NAMES; k++)
    if (!list[k].inode) e = &list[k];
  MUST(e);
  inode_ref(inode);
  inode_unref(e->inode);
  e->dir = dir;
  e->inode = inode;
  snprintf(e->name, sizeof e->name, "%s", name);
}

static void entry_remove(struct entry *list, enum directory dir, const char *name) {
  struct entry *e = entry_find(list, dir, name);
  if (!e) return;
  inode_unref(e->inode);
  e->inode = NULL;
}

static void change_apply(struct entry *list, const struct change *c) {
  if (c->kind == CHANGE_RENAME || c->kind == CHANGE_REMOVE) entry_remove(list, c->dir, c->name);
  if (c->kind == CHANGE_CREATE) entry_set(list, c->dir, c->name, c->inode);
  if (c->kind == CHANGE_RENAME) entry_set(list, c->dir, c->to, c->inode);
}

static void change(struct disk *d, struct change c, const char *name, const char *to) {
  MUST(d->change_count < CHANGES && strlen(name) < NAME_BYTES && strlen(to) < NAME_BYTES);
  memcpy(c.name, name, strlen(name) + 1);
  memcpy(c.to, to, strlen(to) + 1);
  inode_ref(c.inode);
  change_apply(d->now, &c);
  d->changes[d->change_count++] = c;
}

struct inode *disk_find(struct disk *d, enum directory dir, const char *name) {
  struct entry *e = entry_find(d->now, dir, name);
  return e ? e->inode : NULL;
}

struct inode *disk_create(struct disk *d, enum directory dir, const char *name, bool is_real) {
  struct inode *i = inode_new(is_real);
  change(d, (struct change){.kind = CHANGE_CREATE, .dir = dir, .inode = i}, name, "");
  inode_unref(i);
  return i;
}

void disk_rename(struct disk *d, enum directory dir, const char *from, const char *to) {
  struct inode *i = disk_find(d, dir, from);
  MUST(i);
  change(d, (struct change){.kind = CHANGE_RENAME, .dir = dir, .inode = i}, from, to);
}

void disk_remove(struct disk *d, enum directory dir, const char *name) {
  struct inode *i = disk_find(d, dir, name);
  if (i) change(d, (struct change){.kind = CHANGE_REMOVE, .dir = dir, .inode = i}, name, "");
}

static void drop_changes(struct disk *d) {
  for (size_t k = 0; k < d->change_count; k++)
    inode_unref(d->changes[k].inode);
  d->change_count = 0;
}

static bool is_about(const struct change *c, const char *name) {
  return !name || strcmp(c->name, name) == 0 || strcmp(c->to, name) == 0;
}

/* Those of a directory, or of one name alone, become durable; the others go on waiting, in their order. */
static void sync_names(struct disk *d, enum directory dir, const char *name) {
  size_t kept = 0;
  for (size_t k = 0; k < d->change_count; k++) {
    if (d->changes[k].dir == dir && is_about(&d->changes[k], name)) {
      change_apply(d->durable, &d->changes[k]);
      inode_unref(d->changes[k].inode);
    } else {
      d->changes[kept++] = d->changes[k];
    }
  }
  d->change_count = kept;
}

void disk_sync_names(struct disk *d, enum directory dir) {
  sync_names(d, dir, NULL);
}

void disk_sync_name(struct disk *d, enum directory dir, const char *name) {
  sync_names(d, dir, name);
}

/* ---- what is left ---- */

enum mercy { LOSE_ALL, KEEP_ALL, LOSE_SOME };

/* A torn write: some of its sectors came through. */
static void apply_torn(struct inode *i, const struct pending_write *w, size_t *capacity) {
  size_t at = 0;
  while (at < w->size) {
    size_t edge = SECTOR_BYTES - (size_t)((w->offset + at) % SECTOR_BYTES), n = w->size - at < edge ? w->size - at : edge;
    if (sim_chance(500)) apply(&i->durable, &i->durable_size, capacity, w, at, n);
    at += n;
  }
  seen_count("disk write torn");
}

static void inode_crash(struct inode *i, enum mercy mercy) {
  size_t capacity = i->durable_size;
  for (size_t k = 0; k < i->pending_count && mercy != LOSE_ALL; k++) {
    struct pending_write *w = &i->pending[k];
    uint64_t fate = mercy == KEEP_ALL ? 0 : sim_below(3);
    if (fate == 0) apply(&i->durable, &i->durable_size, &capacity, w, 0, w->size);
    else if (fate == 1 && !w->truncate) apply_torn(i, w, &capacity);
    else seen_count("disk write dropped");
  }
  drop_pending(i);
  i->now = realloc(i->now, i->durable_size + 1);
  MUST(i->now);
  if (i->durable_size) memcpy(i->now, i->durable, i->durable_size);
  i->size = i->durable_size;
  i->capacity = i->durable_size + 1;
}

static void real_path(const struct disk *d, const struct entry *e, char *out, size_t n) {
  snprintf(out, n, "%s/%s%s", d->directory, e->dir == DIR_SEGMENTS ? "segments/" : "", e->name);
}

/* A new directory, so that whatever of the old life still maps or holds open its files keeps them. */
static void make_directory(struct disk *d) {
  char path[256];
  snprintf(d->directory, sizeof d->directory, "%s/%s%d-%u", d->root, d->ghost ? "ghost" : "n", d->node->index, d->generation++);
  snprintf(path, sizeof path, "%s/segments", d->directory);
  MUST(mkdir(d->directory, 0700) == 0 && mkdir(path, 0700) == 0);
  for (size_t k = 0; k < NAMES; k++) {
    const struct entry *e = &d->now[k];
    if (!e->inode || !e->inode->is_real) continue;
    real_path(d, e, path, sizeof path);
    FILE *f = fopen(path, "we");
    size_t n = e->inode->size;
    MUST(f && (n == 0 || fwrite(e->inode->now, 1, n, f) == n) && fclose(f) == 0);
  }
}

static void forget_directory(const struct disk *d, const struct entry *names) {
  char path[256];
  for (size_t k = 0; k < NAMES; k++) {
    if (!names[k].inode || !names[k].inode->is_real) continue;
    real_path(d, &names[k], path, sizeof path);
    unlink(path);
  }
  static const char *const more[] = {"lock", "log.db", "segments", ""};
  for (size_t k = 0; k < sizeof more / sizeof *more; k++) {
    snprintf(path, sizeof path, "%s/%s", d->directory, more[k]);
    remove(path);
  }
}

static void forget_names(struct entry *list) {
  for (size_t k = 0; k < NAMES; k++) {
    inode_unref(list[k].inode);
    list[k].inode = NULL;
  }
}

/* Changes of names go through in their order up to some moment, or, of a file system that promises nothing, any of them. */
static void lose_names(struct disk *d, enum mercy mercy) {
  bool in_order = sim_chance(700);
  size_t upto = mercy == LOSE_ALL ? 0 : mercy == KEEP_ALL ? d->change_count : sim_below(d->change_count + 1);
  for (size_t k = 0; k < d->change_count; k++) {
    bool through = mercy != LOSE_SOME || in_order ? k < upto : sim_chance(500);
    if (through) change_apply(d->durable, &d->changes[k]);
    else seen_count("disk change of names undone");
  }
  drop_changes(d);
  forget_names(d->now);
}

static void lose_power(struct disk *d) {
  enum mercy mercy = (enum mercy)sim_below(3);
  check_power_lost(d->node);
  lose_names(d, mercy);
  for (size_t k = 0; k < NAMES; k++) {
    if (!d->durable[k].inode) continue;
    inode_crash(d->durable[k].inode, mercy);
    d->now[k] = d->durable[k];
    inode_ref(d->now[k].inode);
  }
}

void disk_crash(struct disk *d, bool by_kill) {
  forget_directory(d, d->now);
  if (!by_kill) lose_power(d);
  vfs_shared_free(d->shared);
  d->shared = NULL;
  d->faults.crash_after = 0;
  make_directory(d);
}

/* ---- coming and going ---- */

struct disk *disk_new(struct node *n, const char *root) {
  struct disk *d = calloc(1, sizeof *d);
  MUST(d);
  d->node = n;
  d->root = root;
  make_directory(d);
  return d;
}

void disk_free(struct disk *d) {
  if (!d) return;
  forget_directory(d, d->now);
  drop_changes(d);
  forget_names(d->now);
  forget_names(d->durable);
  vfs_shared_free(d->shared);
  free(d);
}

static struct inode *inode_copy(const struct inode *from, bool synced_only) {
  struct inode *i = inode_new(from->is_real);
  const uint8_t *bytes = synced_only ? from->durable : from->now;
  size_t n = synced_only ? from->durable_size : from->size;
  if (n) inode_write(i, bytes, n, 0);
  inode_settle(i);
  return i;
}

struct disk *disk_image(const struct disk *d, bool synced_only) {
  static unsigned number;
  struct disk *g = calloc(1, sizeof *g);
  MUST(g);
  g->node = d->node;
  g->root = d->root;
  g->ghost = true;
  g->generation = number++;
  const struct entry *from = synced_only ? d->durable : d->now;
  for (size_t k = 0; k < NAMES; k++) {
    if (!from[k].inode) continue;
    struct inode *i = inode_copy(from[k].inode, synced_only);
    entry_set(g->now, from[k].dir, from[k].name, i);
    entry_set(g->durable, from[k].dir, from[k].name, i);
    inode_unref(i);
  }
  make_directory(g);
  return g;
}

enum err disk_open_store(struct disk *d, struct store **out, struct store_error *error) {
  static const struct store_env env = {&sim_file_ops, sim_vfs_name, NULL};
  return store_open_with(d->directory, &env, out, error);
}

bool disk_finds_directory(const struct disk *d, int fd, enum directory *out) {
  struct stat at, is;
  char path[160];
  if (fstat(fd, &at)) return false;
  for (int k = 0; k < DIRS; k++) {
    snprintf(path, sizeof path, "%s%s", d->directory, k == DIR_SEGMENTS ? "/segments" : "");
    if (stat(path, &is) || is.st_ino != at.st_ino || is.st_dev != at.st_dev) continue;
    *out = (enum directory)k;
    return true;
  }
  return false;
}
