/* Where a file zone's content came from, as bytes for the store: format 3, digest, when it was read, whether as plain, then each
 * file read {size, mtime, ctime, device, inode, path}. Only this file knows the form; what it can't read counts as "changed".
 *
 * A file whose times are those of its reading may be written again without any trace in them, since file systems count in steps of
 * some milliseconds. So the times are believed only of files that were older when they were read; of others the content is hashed.
 */
#include "base/bytes.h"
#include "control/control_priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOURCE_FORMAT = 3, RACY_S = 2 };

static void add_u64(struct buf *out, uint64_t v) {
  uint8_t b[8];
  put_u64(b, v);
  buf_add(out, b, sizeof b);
}

/* Zones of one file remember the same. */
struct shared {
  size_t references, size;
  uint8_t bytes[];
};

static struct shared *shared_of(uint8_t *source) {
  return (struct shared *)(void *)(source - offsetof(struct shared, bytes));
}

uint8_t *source_share(uint8_t *like, const uint8_t *bytes, size_t n) {
  struct shared *s = like ? shared_of(like) : NULL;
  if (!s || s->size != n || (n && memcmp(s->bytes, bytes, n) != 0)) {
    s = malloc(sizeof *s + n);
    if (!s) return NULL;
    s->references = 0;
    s->size = n;
    if (n) memcpy(s->bytes, bytes, n);
  }
  s->references++;
  return s->bytes;
}

void source_drop(uint8_t *source) {
  if (source && --shared_of(source)->references == 0) free(shared_of(source));
}

enum err source_encode(const struct zone_loaded *l, struct instant now, struct buf *out) {
  buf_add_byte(out, SOURCE_FORMAT);
  add_u64(out, l->digest.high);
  add_u64(out, l->digest.low);
  add_u64(out, (uint64_t)now.wall_s);
  buf_add_byte(out, l->plain);
  add_u64(out, l->file_count);
  for (size_t i = 0; i < l->file_count; i++) {
    const struct zone_source_file *f = &l->files[i];
    add_u64(out, f->size);
    add_u64(out, (uint64_t)f->mtime_ns);
    add_u64(out, (uint64_t)f->ctime_ns);
    add_u64(out, f->device);
    add_u64(out, f->inode);
    buf_add(out, f->path, strlen(f->path) + 1);
  }
  return out->failed ? ERR_MEMORY : ERR_OK;
}

struct source {
  struct digest128 digest;
  int64_t read_at_s;
  uint8_t plain;
  uint64_t files;
  struct rd rest;
};

static bool source_decode(const struct zone_slot *z, struct source *out) {
  uint8_t format;
  uint64_t read_at;
  struct rd r = rd_make(z->source, z->source_size);
  if (!z->source || !rd_u8(&r, &format) || format != SOURCE_FORMAT) return false;
  if (!rd_u64(&r, &out->digest.high) || !rd_u64(&r, &out->digest.low) || !rd_u64(&r, &read_at) || !rd_u8(&r, &out->plain) ||
      !rd_u64(&r, &out->files))
    return false;
  out->read_at_s = (int64_t)read_at;
  out->rest = r;
  return out->files > 0 && out->files <= LIMIT_ZONE_FILES;
}

/* The path points into the bytes; zone_source_file wants no ownership for comparing. */
static bool next_file(struct rd *r, struct zone_source_file *f) {
  uint64_t mtime, ctime;
  if (!rd_u64(r, &f->size) || !rd_u64(r, &mtime) || !rd_u64(r, &ctime) || !rd_u64(r, &f->device) || !rd_u64(r, &f->inode))
    return false;
  f->mtime_ns = (int64_t)mtime;
  f->ctime_ns = (int64_t)ctime;
  const uint8_t *end = memchr(r->at, 0, rd_left(r));
  if (!end) return false;
  f->path = (char *)(uintptr_t)r->at;
  r->at = end + 1;
  return true;
}

static bool same_file(const struct zone_source_file *a, const struct zone_source_file *b) {
  return a->path && a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->device == b->device &&
         a->inode == b->inode && strcmp(a->path, b->path) == 0;
}

static bool unchanged_once(struct source_memo *memo, const struct zone_source_file *f) {
  if (!memo) return zone_load_unchanged(f, 1);
  if (same_file(&memo->unchanged, f)) return true;
  if (!zone_load_unchanged(f, 1)) return false;
  free(memo->unchanged.path);
  memo->unchanged = *f;
  memo->unchanged.path = strdup(f->path);
  return true;
}

static bool is_certain(const struct source *s, struct source_memo *memo, const struct zone_source_file *f) {
  return f->ctime_ns / (int64_t)NS_PER_S < s->read_at_s - RACY_S && unchanged_once(memo, f);
}

static bool read_bytes(int fd, uint8_t *bytes, size_t n) {
  for (size_t got = 0; got < n;) {
    ssize_t r = read(fd, bytes + got, n - got);
    if (r <= 0) return false;
    got += (size_t)r;
  }
  return true;
}

static bool hash_bytes(int fd, uint64_t size, struct digest128 *out) {
  static const size_t most = 128 * 1024; /* stays in the cache */
  uint8_t *piece = malloc(most);
  struct hash128_pieces *h = piece ? hash128_begin() : NULL;
  bool ok = h;
  for (uint64_t left = size; ok && left;) {
    size_t n = left < most ? (size_t)left : most;
    ok = read_bytes(fd, piece, n);
    if (ok) hash128_more(h, piece, n);
    left -= n;
  }
  if (h) {
    struct digest128 sum = hash128_end(h);
    if (ok) *out = sum;
  }
  free(piece);
  return ok;
}

/* Only of a plain file of the size it had: another size is another content. */
static bool hash_file(const char *path, uint64_t size, struct digest128 *out) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return false;
  bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size && hash_bytes(fd, size, out);
  close(fd);
  return ok;
}

void source_forget(struct source_memo *memo) {
  free(memo->path);
  free(memo->unchanged.path);
  free(memo->same_path);
  source_drop(memo->same);
  *memo = (struct source_memo){0};
}

static bool hash_once(struct source_memo *memo, const char *path, uint64_t size, struct digest128 *out) {
  if (!memo->path || strcmp(memo->path, path) != 0) {
    free(memo->path);
    memo->path = NULL;
    if (!hash_file(path, size, &memo->digest)) return false;
    memo->path = strdup(path);
  }
  *out = memo->digest;
  return true;
}

/* Where a file is now that was read beside or below the zone's own, when that was at `was` and is at `is`: a restore may have put
 * all of them elsewhere. */
static const char *moved_path(const char *path, const char *was, const char *is, struct buf *out) {
  const char *was_end = strrchr(was, '/'), *is_end = strrchr(is, '/');
  size_t n = was_end ? (size_t)(was_end - was) + 1 : 0;
  if (strcmp(path, was) == 0) return is;
  if (strcmp(was, is) == 0 || strncmp(path, was, n) != 0) return path;
  buf_clear(out);
  buf_add(out, is, is_end ? (size_t)(is_end - is) + 1 : 0);
  buf_add_text(out, path + n);
  return buf_text(out);
}

static enum source_state compare(const struct zone_slot *z, const char *path, struct source_memo *memo) {
  struct source s;
  struct zone_source_file f;
  bool certain = true;
  if (!source_decode(z, &s)) return SOURCE_CHANGED;
  const char *was = path;
  struct rd r = s.rest;
  for (uint64_t i = 0; i < s.files; i++) {
    if (!next_file(&r, &f)) return SOURCE_CHANGED;
    if (i == 0) was = f.path;
    certain = certain && is_certain(&s, memo, &f);
  }
  if (certain && strcmp(was, path) == 0) return SOURCE_SAME;
  if (!memo) return SOURCE_CHANGED;
  struct digest128 all = {0}, one;
  struct buf scratch = {0};
  bool same = true;
  r = s.rest;
  for (uint64_t i = 0; same && i < s.files; i++) {
    same = next_file(&r, &f) && hash_once(memo, moved_path(f.path, was, path, &scratch), f.size, &one);
    if (same) all = zone_load_digest(all, one);
  }
  buf_done(&scratch);
  return same && all.low == s.digest.low && all.high == s.digest.high ? SOURCE_SAME : SOURCE_CHANGED;
}

enum source_state source_compare(const struct zone_slot *z, const char *path, struct source_memo *memo) {
  if (memo && memo->same_path && z->source == memo->same && strcmp(path, memo->same_path) == 0) return SOURCE_SAME;
  enum source_state state = compare(z, path, memo);
  if (!memo || state != SOURCE_SAME) return state;
  free(memo->same_path);
  source_drop(memo->same);
  memo->same = source_share(z->source, z->source, z->source_size);
  memo->same_path = strdup(path);
  return state;
}

void source_included(const struct zone_slot *z, struct buf *out) {
  struct source s;
  struct zone_source_file f;
  if (!source_decode(z, &s)) return;
  for (uint64_t i = 0; i < s.files && next_file(&s.rest, &f); i++)
    if (i > 0) buf_add(out, f.path, strlen(f.path) + 1);
}

bool source_is_plain(const struct zone_slot *z) {
  struct source s;
  return source_decode(z, &s) && s.plain;
}
