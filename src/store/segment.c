/* Segment files: zone images packed one behind the other, written once and never changed.
 *
 *   0   "TANDSEG\0"   8   format   12  0        16  number   24  store id (16)   40  0   56  XXH3 of the 56 octets before
 *   64  image, padded to 64 octets, image, ...
 *
 * Numbers are in network order; images bring their own byte order mark. Magic, format and checksum keep their places in every
 * format to come: a newer one has a header that is whole, else it is damage. Each segment is mapped at most once, read-only, and
 * the map lives until the last snapshot that reads from it is gone, even when the file was deleted long before. At most
 * LIMIT_SEGMENT_MAPS files are mapped (the system's bound is 65,530 maps a process): an image of a further one is read into
 * memory of its own. */
#include "store/store_priv.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t segment_magic[8] = "TANDSEG";

enum {
  CHECKSUM_AT = 56,         /* in the file's header */
  DIGEST_PREFIX_BYTES = 256 /* holds the image's header, which holds the checksum of the rest */
};

/* ---- the table ---- */

static size_t lower_bound(const struct segment_table *t, uint64_t number) {
  size_t low = 0, high = t->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (t->list[middle].number < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

struct segment *segment_find(const struct segment_table *t, uint64_t number) {
  size_t at = lower_bound(t, number);
  return at < t->count && t->list[at].number == number ? &t->list[at] : NULL;
}

struct segment *segment_get(struct segment_table *t, uint64_t number) {
  size_t at = lower_bound(t, number);
  if (at < t->count && t->list[at].number == number) return &t->list[at];
  if (t->count == t->capacity) {
    size_t capacity = t->capacity ? 2 * t->capacity : 16;
    struct segment *list = realloc(t->list, capacity * sizeof *list);
    if (!list) return NULL;
    t->list = list;
    t->capacity = capacity;
  }
  memmove(&t->list[at + 1], &t->list[at], (t->count - at) * sizeof *t->list);
  t->list[at] = (struct segment){.number = number};
  t->count++;
  return &t->list[at];
}

/* ---- maps ---- */

struct segment_map { /* one mapped file, or one image read into memory */
  struct image_backing backing;
  atomic_uint references; /* the table's and one for each snapshot */
  const uint8_t *bytes;
  size_t size;
  bool mapped;
};

static atomic_uint maps_open;

unsigned segment_map_count(void) {
  return atomic_load(&maps_open);
}

static void map_release(struct image_backing *backing) {
  struct segment_map *m = (struct segment_map *)backing; /* its first member */
  if (atomic_fetch_sub(&m->references, 1) != 1) return;
  if (m->mapped) {
    fault_unwatch(m->bytes);
    munmap((void *)(uintptr_t)m->bytes, m->size);
    atomic_fetch_sub(&maps_open, 1);
  } else {
    free((void *)(uintptr_t)m->bytes);
  }
  image_backing_done(backing);
  free(m);
}

static struct segment_map *map_new(const uint8_t *bytes, size_t size, bool mapped) {
  struct segment_map *m = malloc(sizeof *m);
  if (!m) return NULL;
  *m = (struct segment_map){.backing = {.release = map_release}, .bytes = bytes, .size = size, .mapped = mapped};
  atomic_init(&m->references, 1);
  if (!mapped) return m;
  if (!fault_watch(bytes, size, &m->backing)) {
    free(m);
    return NULL;
  }
  atomic_fetch_add(&maps_open, 1);
  return m;
}

void segment_count(struct store *s, const struct store_image *image, bool added) {
  struct segment *segment = image->segment ? segment_find(&s->segments, image->segment) : NULL;
  if (!segment) return;
  segment->images += added ? 1 : -UINT64_C(1);
  segment->live_bytes += added ? image->size_bytes : -image->size_bytes;
  if (segment->images || !segment->map) return;
  map_release(&segment->map->backing); /* snapshots that read it have references of their own */
  segment->map = NULL;
}

void segment_drop(struct segment_table *t, uint64_t number) {
  struct segment *found = segment_find(t, number);
  if (!found) return;
  if (found->map) map_release(&found->map->backing);
  size_t at = (size_t)(found - t->list);
  memmove(found, found + 1, (t->count - at - 1) * sizeof *found);
  t->count--;
}

void segment_table_done(struct segment_table *t) {
  for (size_t i = 0; i < t->count; i++)
    if (t->list[i].map) map_release(&t->list[i].map->backing);
  free(t->list);
  *t = (struct segment_table){0};
}

/* ---- files ---- */

void segment_name(uint64_t number, char out[FILE_NAME_BYTES]) {
  snprintf(out, FILE_NAME_BYTES, "%llu.seg", (unsigned long long)number);
}

/* The number of "12.seg"; 0 for any other name, such as "012.seg". */
static uint64_t number_of(const char *name) {
  char again[FILE_NAME_BYTES];
  if (*name < '1' || *name > '9') return 0;
  uint64_t number = strtoull(name, NULL, 10);
  segment_name(number, again);
  return strcmp(again, name) ? 0 : number;
}

static void make_header(const struct store *s, uint64_t number, uint8_t out[SEGMENT_HEADER_BYTES]) {
  memset(out, 0, SEGMENT_HEADER_BYTES);
  memcpy(out, segment_magic, sizeof segment_magic);
  put_u32(out + 8, SEGMENT_FORMAT);
  put_u64(out + 16, number);
  put_u64(out + 24, s->id[0]);
  put_u64(out + 32, s->id[1]);
  put_u64(out + CHECKSUM_AT, hash64(out, CHECKSUM_AT, 0));
}

static bool is_header(const uint8_t *bytes, size_t n) {
  return n >= SEGMENT_HEADER_BYTES && !memcmp(bytes, segment_magic, sizeof segment_magic) &&
         get_u64(bytes + CHECKSUM_AT) == hash64(bytes, CHECKSUM_AT, 0);
}

static enum err check_header(const struct store *s, uint64_t number, const uint8_t *bytes, size_t n, struct store_error *error) {
  uint8_t expected[SEGMENT_HEADER_BYTES];
  unsigned long long file = number;
  if (is_header(bytes, n) && get_u32(bytes + 8) > SEGMENT_FORMAT)
    return store_fail(error, ERR_VERSION,
                      "segments/%llu.seg was written by a newer version (format %u, this one knows %d): start that one", file,
                      (unsigned)get_u32(bytes + 8), SEGMENT_FORMAT);
  make_header(s, number, expected);
  if (n < SEGMENT_HEADER_BYTES || memcmp(bytes, expected, sizeof expected))
    return store_fail(error, ERR_CORRUPT, "segments/%llu.seg is damaged or belongs to another store", file);
  return ERR_OK;
}

/* One file of the directory goes into the table. Only a newer format is an error here: damage costs the zones that are in it,
 * when they are opened. */
static enum err scan_file(struct store *s, const char *name, struct store_error *error) {
  uint64_t number = number_of(name);
  if (!number) return ERR_OK;
  uint8_t header[SEGMENT_HEADER_BYTES];
  struct stat st;
  int fd = openat(s->segments_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return ERR_OK;
  ssize_t n = pread(fd, header, sizeof header, 0);
  uint64_t size = fstat(fd, &st) ? 0 : (uint64_t)st.st_size;
  close(fd);
  if (n > 0 && check_header(s, number, header, (size_t)n, error) == ERR_VERSION) return ERR_VERSION;
  struct segment *segment = segment_get(&s->segments, number);
  if (!segment) return store_fail(error, ERR_MEMORY, "out of memory for the segments of the store");
  segment->size_bytes = size;
  if (number > s->last_segment) s->last_segment = number;
  return ERR_OK;
}

enum err segment_scan(struct store *s, struct store_error *error) {
  int fd = openat(s->segments_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d) {
    if (fd >= 0) close(fd);
    return store_fail(error, ERR_IO, "segments can't be read: %m");
  }
  enum err err = ERR_OK;
  for (struct dirent *e; !err && (e = readdir(d));)
    err = scan_file(s, e->d_name, error);
  closedir(d);
  return err;
}

/* ---- writing ---- */

enum err segment_begin(struct store *s, uint64_t number, struct file_out *o) {
  char name[FILE_NAME_BYTES];
  uint8_t header[SEGMENT_HEADER_BYTES];
  segment_name(number, name);
  enum err err = file_out_begin(o, s->env.ops, s->segments_fd, name);
  if (err) return err;
  make_header(s, number, header);
  file_out_write(o, header, sizeof header);
  return ERR_OK;
}

struct image_writer {
  struct file_out *file;
  uint64_t size;
  uint8_t prefix[DIGEST_PREFIX_BYTES];
};

static bool take_image(void *arg, const void *bytes, size_t n) {
  struct image_writer *w = arg;
  if (w->size < sizeof w->prefix) {
    size_t room = sizeof w->prefix - (size_t)w->size;
    memcpy(w->prefix + w->size, bytes, n < room ? n : room);
  }
  w->size += n;
  return n ? file_out_write(w->file, bytes, n) : file_out_ask(w->file);
}

static uint64_t image_digest(const uint8_t *image, uint64_t size) {
  return hash64(image, size < DIGEST_PREFIX_BYTES ? (size_t)size : DIGEST_PREFIX_BYTES, size);
}

static uint64_t align(struct file_out *o) {
  static const uint8_t zeros[SEGMENT_ALIGN_BYTES];
  size_t over = o->size_bytes % SEGMENT_ALIGN_BYTES;
  if (over) file_out_write(o, zeros, SEGMENT_ALIGN_BYTES - over);
  return o->size_bytes;
}

enum err segment_append(struct file_out *o, const struct zone_snap *snap, struct store_image *image) {
  struct image_writer w = {.file = o};
  uint64_t bytes, offset = align(o);
  enum err err = zone_image_write(snap, take_image, &w, &bytes);
  if (err) return err;
  assert(bytes == w.size);
  image->offset_bytes = offset;
  image->size_bytes = bytes;
  image->digest = image_digest(w.prefix, bytes);
  return ERR_OK;
}

/* ---- opening ---- */

static enum err unreadable(const struct store_image *image, struct store_error *error) {
  return store_fail(error, ERR_CORRUPT, "segments/%llu.seg can't be read: %m", (unsigned long long)image->segment);
}

static enum err map_file(const struct store *s, int fd, const struct store_image *image, size_t size, struct segment_map **out,
                         struct store_error *error) {
  void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) return unreadable(image, error);
  struct segment_map *m = map_new(bytes, size, true);
  if (!m) {
    munmap(bytes, size);
    return store_fail(error, ERR_MEMORY, "out of memory for a segment");
  }
  enum err err = check_header(s, image->segment, bytes, size, error);
  if (err) map_release(&m->backing);
  else *out = m;
  return err;
}

static bool read_at(int fd, uint8_t *bytes, uint64_t size, uint64_t offset) {
  while (size) {
    ssize_t n = pread(fd, bytes, size, (off_t)offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes += n;
    size -= (uint64_t)n;
    offset += (uint64_t)n;
  }
  return true;
}

/* One image alone, when there are too many maps. Bounds are checked. */
static enum err read_image(const struct store *s, int fd, const struct store_image *image, struct segment_map **out,
                           struct store_error *error) {
  uint8_t header[SEGMENT_HEADER_BYTES];
  if (!read_at(fd, header, sizeof header, 0)) return unreadable(image, error);
  enum err err = check_header(s, image->segment, header, sizeof header, error);
  if (err) return err;
  uint8_t *bytes =
      aligned_alloc(SEGMENT_ALIGN_BYTES, (image->size_bytes + SEGMENT_ALIGN_BYTES - 1) & ~(uint64_t)(SEGMENT_ALIGN_BYTES - 1));
  struct segment_map *m = bytes ? map_new(bytes, image->size_bytes, false) : NULL;
  if (!m) err = store_fail(error, ERR_MEMORY, "out of memory for an image");
  else if (!read_at(fd, bytes, image->size_bytes, image->offset_bytes)) err = unreadable(image, error);
  if (!err) {
    *out = m;
  } else {
    free(bytes);
    free(m);
  }
  return err;
}

/* The bytes of an image with a reference for the caller. */
static enum err find_bytes(struct store *s, const struct store_image *image, struct segment_map **map, const uint8_t **bytes,
                           struct store_error *error) {
  struct segment *segment = segment_find(&s->segments, image->segment);
  bool inside = image->size_bytes && image->offset_bytes % 8 == 0 && image->offset_bytes >= SEGMENT_HEADER_BYTES;
  if (segment && segment->map && atomic_load(&segment->map->backing.lost)) { /* the file may be whole again, or a part of it */
    map_release(&segment->map->backing);
    segment->map = NULL;
  }
  if (segment && segment->map) {
    *map = segment->map;
    atomic_fetch_add(&segment->map->references, 1);
  } else {
    char name[FILE_NAME_BYTES];
    struct stat st;
    segment_name(image->segment, name);
    int fd = openat(s->segments_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st)) {
      enum err err = unreadable(image, error);
      if (fd >= 0) close(fd);
      return err;
    }
    uint64_t size = (uint64_t)st.st_size;
    inside = inside && image->offset_bytes <= size && image->size_bytes <= size - image->offset_bytes;
    bool map_it = segment && segment_map_count() < LIMIT_SEGMENT_MAPS;
    enum err err = !inside  ? store_fail(error, ERR_CORRUPT, "segments/%s ends before the zone's image", name)
                   : map_it ? map_file(s, fd, image, (size_t)size, map, error)
                            : read_image(s, fd, image, map, error);
    close(fd);
    if (err) return err;
    if (map_it) { /* one reference is the table's from now on */
      segment->map = *map;
      atomic_fetch_add(&segment->map->references, 1);
    }
  }
  const struct segment_map *m = *map;
  if (m->mapped && (!inside || image->offset_bytes > m->size || image->size_bytes > m->size - image->offset_bytes)) {
    map_release(&(*map)->backing);
    return store_fail(error, ERR_CORRUPT, "segments/%llu.seg ends before the zone's image", (unsigned long long)image->segment);
  }
  *bytes = m->mapped ? m->bytes + image->offset_bytes : m->bytes;
  return ERR_OK;
}

enum err store_find_image(struct store *s, const struct store_image *image, struct store_found *out, struct store_error *error) {
  if (!image->segment) return store_fail(error, ERR_NOT_FOUND, "the zone has no image");
  return find_bytes(s, image, &out->map, &out->bytes, error);
}

void store_found_done(struct store_found *f) {
  if (f->map) map_release(&f->map->backing);
  f->map = NULL;
}

enum err store_open_found(struct store_found *f, const struct store_image *image, struct zone_snap **out,
                          struct store_error *error) {
  enum err err = ERR_CORRUPT;
  if (image_digest(f->bytes, image->size_bytes) == image->digest)
    err = zone_image_open(f->bytes, image->size_bytes, &f->map->backing, out);
  if (!err) { /* the reference is the snapshot's */
    f->map = NULL;
    return ERR_OK;
  }
  store_found_done(f);
  if (err == ERR_VERSION)
    return store_fail(error, err, "an image in segments/%llu.seg was written by a newer version: start that one",
                      (unsigned long long)image->segment);
  if (err == ERR_CORRUPT)
    return store_fail(error, err, "the zone's image in segments/%llu.seg at %llu is damaged", (unsigned long long)image->segment,
                      (unsigned long long)image->offset_bytes);
  return store_fail(error, err, "the zone's image can't be opened: %s", err_text(err));
}

enum err store_open_image(struct store *s, const struct store_image *image, struct zone_snap **out, struct store_error *error) {
  struct store_found found;
  enum err err = store_find_image(s, image, &found, error);
  return err ? err : store_open_found(&found, image, out, error);
}

enum err segment_copy(struct store *s, struct file_out *o, const struct store_image *from, struct store_image *image) {
  struct segment_map *map;
  const uint8_t *bytes;
  enum err err = find_bytes(s, from, &map, &bytes, NULL);
  if (err) return err;
  if (image_digest(bytes, from->size_bytes) != from->digest) {
    err = ERR_CORRUPT;
  } else {
    *image = *from;
    image->offset_bytes = align(o);
    file_out_write(o, bytes, from->size_bytes);
    if (atomic_load(&map->backing.lost)) err = ERR_CORRUPT;
  }
  map_release(&map->backing);
  return err;
}
