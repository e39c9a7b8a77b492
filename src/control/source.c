/* Where a file zone's content came from, as bytes for the store: format 1, digest, then each file read {size, mtime, ctime, device,
 * inode, path}. Only this file knows the form; what it can't read counts as "changed". */
#include "base/bytes.h"
#include "control/control_priv.h"
#include "control/zone_load.h"

#include <stdlib.h>
#include <string.h>

enum { SOURCE_FORMAT = 1, SOURCE_FILES_MAX = 1000 };

static void add_u64(struct buf *out, uint64_t v) {
  uint8_t b[8];
  put_u64(b, v);
  buf_add(out, b, sizeof b);
}

enum err source_encode(const struct zone_loaded *l, struct buf *out) {
  buf_add_byte(out, SOURCE_FORMAT);
  add_u64(out, l->digest.high);
  add_u64(out, l->digest.low);
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

static bool read_head(struct rd *r, struct digest128 *digest, uint64_t *files) {
  uint8_t format;
  return rd_u8(r, &format) && format == SOURCE_FORMAT && rd_u64(r, &digest->high) && rd_u64(r, &digest->low) && rd_u64(r, files) &&
         *files <= SOURCE_FILES_MAX;
}

/* The path points into the bytes; zone_source_file wants no ownership for comparing. */
static bool read_file(struct rd *r, struct zone_source_file *f) {
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

enum source_state source_compare(const struct zone_slot *z, const char *path) {
  struct rd r = rd_make(z->source, z->source_size);
  struct digest128 digest;
  uint64_t count;
  if (!z->source || !read_head(&r, &digest, &count) || count == 0) return SOURCE_CHANGED;
  for (uint64_t i = 0; i < count; i++) {
    struct zone_source_file f;
    if (!read_file(&r, &f)) return SOURCE_CHANGED;
    if (i == 0 && strcmp(f.path, path) != 0) return SOURCE_CHANGED;
    if (!zone_load_unchanged(&f, 1)) return SOURCE_CHANGED;
  }
  return SOURCE_SAME;
}

bool source_same_content(const struct zone_slot *z, const struct zone_loaded *l) {
  struct rd r = rd_make(z->source, z->source_size);
  struct digest128 digest;
  uint64_t count;
  return z->source && read_head(&r, &digest, &count) && digest.low == l->digest.low && digest.high == l->digest.high;
}
