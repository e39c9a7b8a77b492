/* Reading a backup: the manifest, and whether all it names is as it was written. */
#include "store/backup_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MANIFEST_BYTES_MOST = 1 << 30 };

struct note {
  const char *key, *value;
};

struct store_manifest {
  char *dir;
  int fd;
  struct buf text; /* its lines, each ended by a zero; everything points into it */
  struct buf lines;
  struct note *notes;
  struct store_manifest_file *files;
  size_t note_count, file_count, note_capacity, file_capacity;
};

int manifest_dir(const struct store_manifest *m) {
  return m->fd;
}

const char *manifest_dir_name(const struct store_manifest *m) {
  return m->dir;
}

void store_manifest_free(struct store_manifest *m) {
  if (!m) return;
  if (m->fd >= 0) close(m->fd);
  buf_done(&m->text);
  buf_done(&m->lines);
  free(m->notes);
  free(m->files);
  free(m->dir);
  free(m);
}

/* ---- lines ---- */

static void *grown(void *list, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return list;
  size_t more = *capacity ? 2 * *capacity : 64;
  void *bigger = realloc(list, more * size);
  if (bigger) *capacity = more;
  return bigger;
}

static int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_sum(const char *text, uint8_t out[BACKUP_SUM_BYTES]) {
  for (size_t i = 0; i < BACKUP_SUM_BYTES; i++) {
    int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
    if (low < 0) return false;
    out[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

static bool unescape(char *path) {
  char *to = path;
  for (const char *p = path; *p; p++) {
    if (*p != '%') {
      *to++ = *p;
      continue;
    }
    int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);
    if (low < 0 || (!high && !low)) return false;
    *to++ = (char)(high << 4 | low);
    p += 2;
  }
  *to = 0;
  return true;
}

/* Whatever the manifest says, no path leads out of the backup's directory. */
static bool is_inside(const char *path) {
  for (;;) {
    size_t n = strcspn(path, "/");
    if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.')) return false;
    if (!path[n]) return true;
    path += n + 1;
  }
}

/* "0600 123 SHA256 PATH" */
static enum err add_file(struct store_manifest *m, char *line) {
  struct store_manifest_file f = {0};
  char *end;
  void *files = grown(m->files, m->file_count, &m->file_capacity, sizeof *m->files);
  if (!files) return ERR_MEMORY;
  m->files = files;
  f.mode = (unsigned)strtoul(line, &end, 8);
  if (end == line || *end != ' ') return ERR_CORRUPT;
  line = end + 1;
  f.size = strtoull(line, &end, 10);
  if (end == line || *end != ' ') return ERR_CORRUPT;
  line = end + 1;
  if (strlen(line) < 2 * BACKUP_SUM_BYTES + 2 || !parse_sum(line, f.sum) || line[2 * BACKUP_SUM_BYTES] != ' ') return ERR_CORRUPT;
  line += 2 * BACKUP_SUM_BYTES + 1;
  if (!unescape(line) || !is_inside(line)) return ERR_CORRUPT;
  f.path = line;
  m->files[m->file_count++] = f;
  return ERR_OK;
}

static enum err add_note(struct store_manifest *m, char *line) {
  void *notes = grown(m->notes, m->note_count, &m->note_capacity, sizeof *m->notes);
  char *space = strchr(line, ' ');
  if (!notes) return ERR_MEMORY;
  m->notes = notes;
  if (!space) return ERR_CORRUPT;
  *space = 0;
  m->notes[m->note_count++] = (struct note){line, space + 1};
  return ERR_OK;
}

static enum err add_line(struct store_manifest *m, char *line) {
  if (strncmp(line, "note ", 5) == 0) return add_note(m, line + 5);
  if (strncmp(line, "file ", 5) != 0) return ERR_CORRUPT;
  buf_printf(&m->lines, "%s\n", line);
  return m->lines.failed ? ERR_MEMORY : add_file(m, line + 5);
}

static enum err parse(struct store_manifest *m, struct store_error *error) {
  static const char first[] = "tandem-backup ", last[] = "end ";
  enum { LAST_BYTES = sizeof last - 1 + 2 * BACKUP_SUM_BYTES + 1 };
  char *at = (char *)m->text.data;
  uint8_t sum[BACKUP_SUM_BYTES], said[BACKUP_SUM_BYTES];
  if (strncmp(at, first, sizeof first - 1) != 0)
    return store_fail(error, ERR_CORRUPT, "%.150s/manifest is not one of ours", m->dir);
  long format = strtol(at + sizeof first - 1, NULL, 10);
  if (format > BACKUP_FORMAT)
    return store_fail(error, ERR_VERSION, "%.100s was written by a newer version (format %ld, this one knows %d): use that one",
                      m->dir, format, BACKUP_FORMAT);
  size_t body = m->text.size < LAST_BYTES ? 0 : m->text.size - LAST_BYTES;
  bool ended = body && strncmp(at + body, last, sizeof last - 1) == 0 && parse_sum(at + body + sizeof last - 1, said) &&
               at[m->text.size - 1] == '\n';
  enum err err = ended ? sha256(at, body, sum) : ERR_CORRUPT;
  if (!err && memcmp(sum, said, sizeof sum) != 0) err = ERR_CORRUPT;
  at[body] = 0;
  char *next = strchr(at, '\n');
  for (at = next ? next + 1 : at + body; !err && *at; at = next + 1) {
    next = strchr(at, '\n'); /* there is one: the body ends with it */
    if (!next) break;
    *next = 0;
    err = add_line(m, at);
  }
  if (err == ERR_CORRUPT) return store_fail(error, err, "%.150s/manifest is damaged or was edited", m->dir);
  return err ? store_fail(error, err, "%.150s/manifest: %s", m->dir, err_text(err)) : ERR_OK;
}

enum err store_manifest_read(const char *dir, struct store_manifest **out, struct store_error *error) {
  struct store_manifest *m = calloc(1, sizeof *m);
  if (!m || !(m->dir = strdup(dir))) {
    free(m);
    return store_fail(error, ERR_MEMORY, "out of memory");
  }
  m->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  enum err err = m->fd < 0 ? store_fail(error, ERR_NOT_FOUND, "%.150s can't be opened: %m", dir) : ERR_OK;
  if (!err) {
    err = file_read(m->fd, "manifest", MANIFEST_BYTES_MOST, &m->text);
    if (err == ERR_NOT_FOUND)
      store_fail(error, err, "%.150s has no manifest: it is not a backup, or one that was not finished", dir);
    else if (err) store_fail(error, err, "%.150s/manifest can't be read: %m", dir);
  }
  if (!err) err = m->text.size ? parse(m, error) : store_fail(error, ERR_CORRUPT, "%.150s/manifest is empty", dir);
  if (err) store_manifest_free(m);
  else *out = m;
  return err;
}

/* ---- what it says ---- */

const char *store_manifest_note(const struct store_manifest *m, const char *key) {
  for (size_t i = 0; i < m->note_count; i++)
    if (strcmp(m->notes[i].key, key) == 0) return m->notes[i].value;
  return NULL;
}

size_t store_manifest_count(const struct store_manifest *m) {
  return m->file_count;
}

const struct store_manifest_file *store_manifest_file(const struct store_manifest *m, size_t i) {
  return &m->files[i];
}

void store_manifest_lines(const struct store_manifest *m, const char *path, struct buf *out) {
  const char *at = buf_text(&m->lines);
  for (size_t i = 0; i < m->file_count && strcmp(m->files[i].path, path) != 0; i++) {
    size_t n = strcspn(at, "\n") + 1;
    buf_add(out, at, n);
    at += n;
  }
}

/* ---- the files ---- */

/* The path inside the backup; of a long one its end, which has the file's name. */
static const char *shown(const struct store_manifest_file *f) {
  enum { MOST_BYTES = 170 };
  size_t n = strlen(f->path);
  return n > MOST_BYTES ? f->path + n - MOST_BYTES : f->path;
}

static enum err differs(const struct store_manifest_file *f, const char *how, struct store_error *error) {
  return store_fail(error, ERR_CORRUPT, "%s %s: this backup can't be trusted", shown(f), how);
}

static enum err verify_one(const struct store_manifest *m, const struct store_manifest_file *f, const struct store_watch *watch,
                           uint64_t *total, struct store_error *error) {
  uint8_t sum[BACKUP_SUM_BYTES];
  uint64_t size = 0;
  int fd = openat(m->fd, f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return differs(f, "is missing", error);
  enum err err = fd < 0 ? ERR_IO : copy_sum(fd, watch, total, &size, sum);
  if (err == ERR_IO) store_fail(error, err, "%s can't be read: %m", shown(f));
  else if (err) store_fail(error, err, "%s: %s", shown(f), err_text(err));
  if (fd >= 0) close(fd);
  if (err) return err;
  if (size != f->size) return differs(f, size < f->size ? "is cut short" : "is longer than it was", error);
  if (memcmp(sum, f->sum, sizeof sum) != 0) return differs(f, "is damaged or was edited", error);
  return ERR_OK;
}

enum err store_manifest_verify(const struct store_manifest *m, const struct store_watch *watch, struct store_error *error) {
  uint64_t total = 0;
  enum err err = ERR_OK;
  bool log = false;
  for (size_t i = 0; !err && i < m->file_count; i++) {
    err = verify_one(m, &m->files[i], watch, &total, error);
    log = log || strcmp(m->files[i].path, "state/log.db") == 0;
  }
  if (!err && !log) err = store_fail(error, ERR_CORRUPT, "%.150s holds no log", m->dir);
  return err;
}

enum err store_manifest_load(const struct store_manifest *m, const char *path, uint64_t most, struct buf *out,
                             struct store_error *error) {
  const struct store_manifest_file *f = NULL;
  for (size_t i = 0; !f && i < m->file_count; i++)
    if (strcmp(m->files[i].path, path) == 0) f = &m->files[i];
  if (!f) return store_fail(error, ERR_NOT_FOUND, "there is no %.100s in the backup", path);
  enum err err = verify_one(m, f, NULL, NULL, error);
  if (!err && f->size > most) err = store_fail(error, ERR_LIMIT, "%.100s is too large", path);
  if (err) return err;
  err = file_read(m->fd, path, f->size + FILE_BUFFER_BYTES, out);
  return err ? store_fail(error, err, "%.100s can't be read: %s", path, err_text(err)) : ERR_OK;
}
