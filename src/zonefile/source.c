/* Files: opening, reading, and what may be included. */
#include "zonefile/scan_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEPT_BYTES_MOST = 1 << 20 };

static int64_t time_ns(struct timespec t) {
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void see(struct scan *s, const struct zonefile_file *file) {
  if (s->o->file_seen) s->o->file_seen(s->o->arg, file);
}

bool source_memory(struct scan *s, const char *name, const uint8_t *bytes, size_t n, struct source *out) {
  uint8_t *copy = malloc(n + SCAN_PAD_BYTES);
  if (!copy) {
    s->stop = ERR_MEMORY;
    return false;
  }
  if (n) memcpy(copy, bytes, n);
  memset(copy + n, 0, SCAN_PAD_BYTES);
  *out = (struct source){.path = name, .bytes = copy, .size = n};
  see(s, &(struct zonefile_file){.path = name, .bytes = copy, .size = n});
  return true;
}

void source_close(struct source *src) {
  if (!src->is_kept) free(src->bytes);
  *src = (struct source){0};
}

/* ---- the file that is kept ---- */

void zonefile_kept_done(struct zonefile_kept *k) {
  free(k->path);
  free(k->bytes);
  *k = (struct zonefile_kept){0};
}

static struct source kept_source(struct scan *s, const char *path) {
  const struct zonefile_kept *k = s->o->kept;
  return (struct source){.path = path,
                         .bytes = k->bytes,
                         .size = k->file.size,
                         .on_disk = true,
                         .is_kept = true,
                         .device = k->file.device,
                         .inode = k->file.inode};
}

static bool find_kept(struct scan *s, const char *path, struct source *out) {
  const struct zonefile_kept *k = s->o->kept;
  if (!k || s->src || !k->path || strcmp(k->path, path) != 0) return false;
  struct zonefile_file file = k->file;
  file.path = path;
  *out = kept_source(s, path);
  see(s, &file);
  return true;
}

/* In place of the one before. Out of memory: it is not kept. */
static void keep(struct scan *s, const struct zonefile_file *file, struct source *src) {
  struct zonefile_kept *k = s->o->kept;
  if (!k || s->src || file->size > KEPT_BYTES_MOST) return;
  zonefile_kept_done(k);
  k->path = strdup(file->path);
  if (!k->path) return;
  k->bytes = src->bytes;
  k->file = *file;
  *src = kept_source(s, src->path);
}

/* ---- reading ---- */

static bool refuse(struct scan *s, struct place at, const char *path, const char *hint, const char *why) {
  SCAN_ERROR(s, at, MISTAKE_FILE, hint, "can't read %s: %s", path, why);
  return false;
}

/* The file must be there, regular, and not too large with what was read before. */
static bool check_file(struct scan *s, const struct stat *st, struct place at, const char *path) {
  if (S_ISDIR(st->st_mode)) return refuse(s, at, path, "name a file in it", "it is a directory");
  if (!S_ISREG(st->st_mode)) return refuse(s, at, path, "", "it is not a regular file");
  if ((uint64_t)st->st_size > LIMIT_ZONE_FILE_BYTES - s->files_bytes || s->files_count >= LIMIT_ZONE_FILES)
    return refuse(s, at, path, "", "too large, or too many files are included");
  return true;
}

/* Reads up to n bytes; fewer if the file ends. */
static bool read_all(int fd, uint8_t *to, size_t n, size_t *got) {
  *got = 0;
  while (*got < n) {
    ssize_t r = read(fd, to + *got, n - *got);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return false;
    if (r == 0) break;
    *got += (size_t)r;
  }
  return true;
}

static bool same_version(const struct stat *a, const struct stat *b) {
  return a->st_size == b->st_size && time_ns(a->st_mtim) == time_ns(b->st_mtim) && time_ns(a->st_ctim) == time_ns(b->st_ctim);
}

static bool read_source(struct scan *s, int fd, const char *path, struct place at, struct source *out) {
  struct stat st, after;
  if (fstat(fd, &st) != 0) return refuse(s, at, path, "", strerror(errno));
  if (!check_file(s, &st, at, path)) return false;
  size_t size = (size_t)st.st_size, got;
  uint8_t *bytes = malloc(size + SCAN_PAD_BYTES);
  if (!bytes) {
    s->stop = ERR_MEMORY;
    return false;
  }
  const char *why = NULL, *hint = "";
  if (!read_all(fd, bytes, size, &got) || fstat(fd, &after) != 0) {
    why = strerror(errno);
  } else if (got != size || !same_version(&st, &after)) {
    why = "it changed while it was read";
    hint = "write a new file beside it and rename it into place";
  }
  if (why) {
    free(bytes);
    return refuse(s, at, path, hint, why);
  }
  memset(bytes + size, 0, SCAN_PAD_BYTES);
  s->files_bytes += size;
  s->files_count++;
  *out = (struct source){.path = path, .bytes = bytes, .size = size, .on_disk = true, .device = st.st_dev, .inode = st.st_ino};
  struct zonefile_file file = {path, bytes, size, time_ns(st.st_mtim), time_ns(st.st_ctim), st.st_dev, st.st_ino};
  keep(s, &file, out);
  see(s, &file);
  return true;
}

bool source_open(struct scan *s, const char *path, struct place at, struct source *out) {
  if (find_kept(s, path, out)) return true;
  /* O_NONBLOCK: a FIFO must not keep us waiting; it is refused by its kind. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return refuse(s, at, path, errno == EACCES ? "let the server's user read it" : "", strerror(errno));
  bool ok = read_source(s, fd, path, at, out);
  close(fd);
  return ok;
}

/* ---- $INCLUDE ---- */

static bool is_under(const char *path, const char *root) {
  size_t n = strlen(root);
  if (n == 1) return true; /* "/" */
  return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static const char *directory_of(struct scan *s, const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return ".";
  return arena_text(&s->paths, path, slash == path ? 1 : (size_t)(slash - path));
}

/* The tree that included files must stand in, resolved; NULL: reported. */
static const char *include_root(struct scan *s, struct place at) {
  if (s->include_root) return s->include_root;
  const struct source *main_file = s->src;
  while (main_file->includer)
    main_file = main_file->includer;
  const char *root = s->o->include_root ? s->o->include_root : directory_of(s, main_file->path);
  s->include_root = root ? realpath(root, NULL) : NULL;
  if (!s->include_root)
    SCAN_ERROR(s, at, MISTAKE_INCLUDE, "", "the directory of included files can't be used: %s", strerror(errno));
  return s->include_root;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* The token's text without its escapes (\X, \DDD), in the arena; NULL: out of memory. */
static char *plain_text(struct scan *s, const struct rr_token *t) {
  char *out = arena_alloc(&s->paths, (size_t)t->size + 1);
  size_t n = 0;
  for (uint32_t i = 0; out && i < t->size; i++) {
    const char *p = t->text + i;
    if (*p == '\\' && t->size - i > 3 && is_digit(p[1]) && is_digit(p[2]) && is_digit(p[3])) {
      out[n++] = (char)((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
      i += 3;
    } else {
      if (*p == '\\' && t->size - i > 1) i++;
      out[n++] = t->text[i];
    }
  }
  if (out) out[n] = 0;
  return out;
}

/* The directory that relative names are relative to: that of the file they stand in. */
static const char *include_base(struct scan *s) {
  return s->src->on_disk ? directory_of(s, s->src->path) : s->o->include_root;
}

/* The path as it is opened and shown. */
static const char *joined_path(struct scan *s, const char *name) {
  if (name[0] == '/') return name;
  const char *base = include_base(s);
  if (!base || strcmp(base, ".") == 0) return base ? name : NULL;
  size_t bn = strlen(base), nn = strlen(name);
  char *path = arena_alloc(&s->paths, bn + nn + 2);
  if (!path) return NULL;
  memcpy(path, base, bn);
  path[bn] = '/';
  memcpy(path + bn + 1, name, nn + 1);
  return path;
}

/* Whether the text of a relative name leads out of `root` from a directory inside it. */
static bool climbs_out(const char *root, const char *from, const char *name) {
  size_t below = 0;
  for (const char *p = from + strlen(root); *p; p++)
    below += p[0] == '/' || p == from + 1;
  for (const char *p = name; *p;) {
    size_t n = strcspn(p, "/");
    if (n == 2 && memcmp(p, "..", 2) == 0) {
      if (below-- == 0) return true;
    } else if (n > 0 && !(n == 1 && *p == '.')) {
      below++;
    }
    p += n + strspn(p + n, "/");
  }
  return false;
}

/* By where links really lead; by text what is not there, so that nobody learns from our words what stands outside the tree. */
static bool leaves_tree(struct scan *s, const char *root, const char *name, const char *path) {
  bool inside_by_text = name[0] == '/' && is_under(name, root) && !strstr(name, "/..");
  if (name[0] != '/') {
    char *from = realpath(include_base(s), NULL);
    inside_by_text = from && is_under(from, root) && !climbs_out(root, from, name);
    free(from);
  }
  char *real = realpath(path, NULL);
  bool leaves = real ? !is_under(real, root) : !inside_by_text;
  free(real);
  return leaves;
}

const char *include_path(struct scan *s, const struct rr_token *t) {
  struct place at = place_of_token(s, t);
  if (s->o->no_include || (!s->src->on_disk && !s->o->include_root)) {
    SCAN_ERROR(s, at, MISTAKE_INCLUDE, "put the records into the file itself", "$INCLUDE is not allowed here");
    return NULL;
  }
  const char *root = include_root(s, at);
  if (!root) return NULL;
  const char *name = plain_text(s, t);
  const char *path = name ? joined_path(s, name) : NULL;
  if (!path) {
    s->stop = ERR_MEMORY;
    return NULL;
  }
  if (name[0] == 0 || leaves_tree(s, root, name, path)) {
    SCAN_ERROR(s, at, MISTAKE_INCLUDE, "included files stay in the directory tree of the zone file", "%s is outside the tree of %s",
               token_shown(t).text, root);
    return NULL;
  }
  return path;
}
