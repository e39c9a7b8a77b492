#include "config/load_priv.h"

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what the parts share ---- */

static void *note_memory(struct loader *l, void *p) {
  if (!p) l->exhausted = true;
  return p;
}

void *config_keep(struct loader *l, size_t n) {
  return note_memory(l, arena_zalloc(l->arena, n));
}

void *config_borrow(struct loader *l, size_t n) {
  return note_memory(l, arena_zalloc(&l->scratch, n));
}

const char *config_keep_text(struct loader *l, const char *text, size_t n) {
  const char *copy = pack_text(&l->pack, text, n);
  if (!copy) l->exhausted = true;
  return copy;
}

void *config_grow(struct loader *l, void *list, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return list;
  size_t more = *capacity ? 2 * *capacity : 16;
  void *grown = note_memory(l, realloc(list, more * size));
  if (grown) *capacity = more;
  return grown;
}

static void complain_at(struct loader *l, struct place place, const char *check, const char *hint, const char *format, va_list args)
    __attribute__((format(printf, 5, 0)));

static void complain_at(struct loader *l, struct place place, const char *check, const char *hint, const char *format,
                        va_list args) {
  char text[1024];
  vsnprintf(text, sizeof text, format, args);
  diag_add(l->diags, SEVERITY_ERROR, place, check, hint, "%s", text);
}

void config_complain(struct loader *l, const struct node *n, const char *check, const char *hint, const char *format, ...) {
  if (n->kind == NODE_BAD) return; /* was reported when it was read */
  va_list args;
  va_start(args, format);
  complain_at(l, node_place(n), check, hint, format, args);
  va_end(args);
}

void config_complain_key(struct loader *l, const struct node *n, const char *check, const char *hint, const char *format, ...) {
  va_list args;
  va_start(args, format);
  complain_at(l, node_key_place(n), check, hint, format, args);
  va_end(args);
}

const char *config_place_text(struct place p, char out[PLACE_TEXT_BYTES]) {
  if (p.line) snprintf(out, PLACE_TEXT_BYTES, "%.250s:%u:%u", p.file, p.line, p.column);
  else snprintf(out, PLACE_TEXT_BYTES, "%.250s", p.file);
  return out;
}

/* ---- files ---- */

static enum err read_all(int fd, size_t limit, size_t expected, uint8_t **out, size_t *n) {
  size_t size = 0, capacity = expected + 1;
  uint8_t *bytes = malloc(capacity);
  while (bytes) {
    if (size == capacity) {
      uint8_t *more = realloc(bytes, capacity *= 2);
      if (!more) break;
      bytes = more;
    }
    ssize_t got = read(fd, bytes + size, capacity - size);
    if (got < 0 && errno == EINTR) continue;
    if (got > 0) size += (size_t)got;
    if (got > 0 && size <= limit) continue;
    if (got == 0) {
      *out = bytes;
      *n = size;
      return ERR_OK;
    }
    free(bytes);
    return got < 0 ? ERR_IO : ERR_LIMIT;
  }
  free(bytes);
  return ERR_MEMORY;
}

enum err config_file_read(const char *path, size_t limit, uint8_t **out, size_t *n, struct stat *st) {
  struct stat own;
  if (!st) st = &own;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return ERR_IO;
  enum err e = fstat(fd, st) ? ERR_IO : ERR_OK;
  bool sized = !e && S_ISREG(st->st_mode) && st->st_size >= 0;
  if (!e && sized && (uint64_t)st->st_size > limit) e = ERR_LIMIT;
  if (!e) e = read_all(fd, limit, sized ? (size_t)st->st_size : 4096, out, n);
  int saved = errno;
  close(fd);
  errno = saved;
  return e;
}

const char *config_file_error(enum err e) {
  return e == ERR_IO ? strerror(errno) : e == ERR_LIMIT ? "it is too large" : err_text(e);
}

void config_file_note(struct loader *l, const char *path, enum config_file_kind kind, const uint8_t *bytes, size_t n) {
  struct config_file *files = config_grow(l, l->files, l->config->file_count, &l->file_capacity, sizeof *files);
  if (!files) return;
  l->files = files;
  l->files[l->config->file_count++] = (struct config_file){path, kind, hash128(bytes, n)};
}

/* ---- trees ---- */

/* The path up to its last slash, that included; "" without one. */
static const char *keep_dir(struct loader *l, const char *path) {
  const char *slash = strrchr(path, '/');
  return config_keep_text(l, path, slash ? (size_t)(slash - path) + 1 : 0);
}

/* `path` as it stands in file `name` whose directory is `dir`: absolute ones stay. */
static const char *join(struct loader *l, const char *dir, const char *path) {
  if (path[0] == '/') return config_keep_text(l, path, strlen(path));
  while (path[0] == '.' && path[1] == '/')
    path += 2;
  size_t a = strlen(dir), b = strlen(path);
  char *out = (char *)pack_alloc(&l->pack, a + b + 1);
  if (!out) {
    l->exhausted = true;
    return NULL;
  }
  memcpy(out, dir, a);
  memcpy(out + a, path, b + 1);
  return out;
}

const char *config_path_beside(struct loader *l, const struct source *s, const char *path) {
  return join(l, s->dir, path);
}

const char *config_path_shown(struct loader *l, const struct source *s, const char *path) {
  const char *dir = keep_dir(l, s->name);
  return dir ? join(l, dir, path) : NULL;
}

static struct tree *new_tree(struct loader *l, const char *name, const char *dir, const struct tree *from) {
  struct tree **trees = config_grow(l, l->trees, l->tree_count, &l->tree_capacity, sizeof *trees);
  if (trees) l->trees = trees;
  struct tree *t = trees ? config_borrow(l, sizeof *t) : NULL;
  if (!t || !name || !dir) return NULL;
  t->source = (struct source){name, dir};
  t->from = from;
  l->trees[l->tree_count++] = t;
  return t;
}

/* Whether the file was read before: an include in a circle, or two patterns that match the same. */
static bool seen_before(struct loader *l, const struct tree *t, const struct node *by) {
  for (const struct tree *up = t->from; up; up = up->from)
    if (up->device == t->device && up->inode == t->inode) {
      config_complain(l, by, "include", "take it out of the pattern", "%s is included from itself", t->source.name);
      return true;
    }
  for (size_t i = 0; i < l->tree_count; i++)
    if (l->trees[i] != t && l->trees[i]->device == t->device && l->trees[i]->inode == t->inode) {
      config_complain(l, by, "include", "include it once", "%s is included twice", t->source.name);
      return true;
    }
  return false;
}

static void include_all(struct loader *l, const struct tree *t);

static void read_tree(struct loader *l, struct tree *t, const uint8_t *bytes, size_t n) {
  t->root = config_yaml_read(&l->scratch, &t->source, bytes, n, l->diags);
  if (t->root && config_need_map(l, t->root)) include_all(l, t);
}

/* `by` is the entry of `include`, NULL for the first file. */
static void load_file(struct loader *l, const char *name, const char *path, const struct tree *from, const struct node *by) {
  struct tree *t = name && path ? new_tree(l, name, keep_dir(l, path), from) : NULL;
  if (!t) return;
  uint8_t *bytes = NULL;
  size_t n = 0;
  struct stat st;
  enum err e = config_file_read(path, LIMIT_CONFIG_BYTES, &bytes, &n, &st);
  if (e) {
    struct place place = by ? node_place(by) : (struct place){name, 0, 0};
    diag_add(l->diags, SEVERITY_ERROR, place, "unreadable", "", "%s cannot be read: %s", by ? name : "the file",
             config_file_error(e));
    return;
  }
  t->device = st.st_dev;
  t->inode = st.st_ino;
  config_file_note(l, path, CONFIG_FILE_YAML, bytes, n);
  if (!by || !seen_before(l, t, by)) read_tree(l, t, bytes, n);
  wipe(bytes, n); /* may hold secrets */
  free(bytes);
}

/* `dir` with what glob would take for a pattern made plain, and the pattern behind it. */
static void glob_pattern(struct buf *out, const char *dir, const char *pattern) {
  for (const char *p = pattern[0] == '/' ? "" : dir; *p; p++) {
    if (strchr("*?[\\", *p)) buf_add_byte(out, '\\');
    buf_add_byte(out, (uint8_t)*p);
  }
  buf_add_text(out, pattern);
}

static void include_matches(struct loader *l, const struct tree *t, const struct node *n) {
  struct buf pattern = {0};
  glob_t found = {0};
  glob_pattern(&pattern, t->source.dir, n->text);
  int failed = pattern.failed ? GLOB_NOSPACE : glob(buf_text(&pattern), 0, NULL, &found);
  buf_done(&pattern);
  if (failed && failed != GLOB_NOMATCH) config_complain(l, n, "include", "", "the directory cannot be read: %s", strerror(errno));
  size_t skip = n->text[0] == '/' ? 0 : strlen(t->source.dir);
  for (size_t i = 0; !failed && i < found.gl_pathc; i++) {
    const char *path = found.gl_pathv[i];
    load_file(l, config_path_shown(l, &t->source, path + skip), config_keep_text(l, path, strlen(path)), t, n);
  }
  globfree(&found);
}

static void include_one(struct loader *l, const struct tree *t, unsigned depth, const struct node *n) {
  if (!config_need_text(l, n)) return;
  if (!l->files_allowed) config_complain(l, n, "include", "", "files are not included here");
  else if (depth >= LIMIT_INCLUDE_DEPTH)
    config_complain(l, n, "include", "", "included files include files more than %d deep", LIMIT_INCLUDE_DEPTH);
  else if (l->tree_count >= LIMIT_CONFIG_FILES) config_complain(l, n, "include", "", "more than %d files", LIMIT_CONFIG_FILES);
  else if (strpbrk(n->text, "*?[")) include_matches(l, t, n);
  else load_file(l, config_path_shown(l, &t->source, n->text), config_path_beside(l, &t->source, n->text), t, n);
}

static void include_all(struct loader *l, const struct tree *t) {
  unsigned depth = 0;
  for (const struct tree *up = t->from; up; up = up->from)
    depth++;
  for (const struct node *key = t->root->child; key; key = key->next) {
    if (strcmp(key->key, "include") != 0) continue;
    size_t left;
    for (const struct node *n = config_items(l, key, &left); left; left--, n = n->next)
      include_one(l, t, depth, n);
  }
}

/* ---- the order of everything ---- */

void config_sections(struct loader *l, const char *key, void (*each)(struct loader *l, const struct node *section)) {
  for (size_t i = 0; i < l->tree_count; i++)
    for (const struct node *n = l->trees[i]->root->child; n; n = n->next)
      if (strcmp(n->key, key) == 0 && !node_is_empty(n)) each(l, n);
}

size_t config_section_items(const struct loader *l, const char *key) {
  size_t count = 0;
  for (size_t i = 0; i < l->tree_count; i++)
    for (const struct node *n = l->trees[i]->root->child; n; n = n->next)
      if (strcmp(n->key, key) == 0) count += n->kind == NODE_TEXT ? 1 : n->size;
  return count;
}

/* A first look at every file's own keys: what is unknown or not available, and the scalars of the root. */
static void check_roots(struct loader *l) {
  for (size_t i = 0; i < l->tree_count; i++)
    config_scope_read(l, SCOPE_ROOT, l->trees[i]->root, l->config, &l->given);
  config_scope_defaults(l, SCOPE_ROOT, l->config, &l->given);
}

static bool all_read(const struct loader *l) {
  for (size_t i = 0; i < l->tree_count; i++)
    if (!l->trees[i]->root || l->trees[i]->root->kind != NODE_MAP) return false;
  return l->tree_count > 0;
}

static void load_sections(struct loader *l) {
  check_roots(l);
  config_load_server(l);
  config_load_keys(l);
  config_load_peers(l);
  config_load_templates(l);
  config_load_zones(l);
  config_load_lists(l);
}

static struct config_whole *new_whole(void) {
  struct config_whole *w = calloc(1, sizeof *w);
  if (w) atomic_init(&w->references, 1);
  return w;
}

static void loader_done(struct loader *l) {
  free(l->files);
  free(l->trees);
  free(l->resolved);
  table_done(&l->key_table);
  table_done(&l->peer_table);
  table_done(&l->template_table);
  table_done(&l->zone_table);
  table_done(&l->resolved_table);
  buf_done(&l->signature);
  buf_done(&l->entries);
  arena_done(&l->scratch);
}

static enum err finish(struct loader *l, size_t errors_before, struct config **out) {
  if (l->files && !(l->config->files = arena_copy(l->arena, l->files, l->config->file_count * sizeof *l->files)))
    l->exhausted = true;
  if (l->exhausted) diag_add(l->diags, SEVERITY_ERROR, (struct place){0}, "memory", "", "out of memory");
  enum err e = l->exhausted ? ERR_MEMORY : l->diags->errors > errors_before ? ERR_FORMAT : ERR_OK;
  struct config *c = l->config;
  loader_done(l);
  if (e) config_free(c);
  else *out = c;
  return e;
}

static bool begin(struct loader *l, struct diags *diags, bool files_allowed) {
  *l = (struct loader){.diags = diags, .files_allowed = files_allowed, .whole = new_whole()};
  if (!l->whole) return false;
  l->config = &l->whole->config;
  l->arena = &l->whole->arena;
  l->pack = (struct pack){.arena = l->arena};
  return true;
}

/* Without resolving links: the name the operator knows. */
static const char *absolute(struct loader *l, const char *path) {
  char here[4096];
  if (path[0] == '/' || !getcwd(here, sizeof here - 1)) return config_keep_text(l, path, strlen(path));
  size_t n = strlen(here);
  if (here[n - 1] != '/') {
    here[n] = '/';
    here[n + 1] = 0;
  }
  return join(l, here, path);
}

enum err config_load(const char *path, struct diags *diags, struct config **out) {
  struct loader l;
  if (!begin(&l, diags, true)) return ERR_MEMORY;
  size_t errors = diags->errors;
  l.config->path = absolute(&l, path);
  load_file(&l, config_keep_text(&l, path, strlen(path)), l.config->path, NULL, NULL);
  if (all_read(&l)) load_sections(&l);
  return finish(&l, errors, out);
}

enum err config_load_bytes(const char *name, const uint8_t *bytes, size_t n, struct diags *diags, struct config **out) {
  struct loader l;
  if (!begin(&l, diags, false)) return ERR_MEMORY;
  size_t errors = diags->errors;
  l.config->path = config_keep_text(&l, name, strlen(name));
  struct tree *t = new_tree(&l, l.config->path, "", NULL);
  if (t) read_tree(&l, t, bytes, n);
  if (all_read(&l)) load_sections(&l);
  return finish(&l, errors, out);
}

/* The first file that names a state directory; NULL: none does. */
static const struct node *state_node(const struct loader *l) {
  for (size_t i = 0; i < l->tree_count; i++) {
    const struct node *root = l->trees[i]->root;
    for (const struct node *n = root ? root->child : NULL; n; n = n->next)
      for (const struct node *m = n->key && strcmp(n->key, "server") == 0 ? n->child : NULL; m; m = m->next)
        if (m->key && strcmp(m->key, "state") == 0 && m->kind == NODE_TEXT && m->size) return m;
  }
  return NULL;
}

enum err config_find_state(const char *path, struct diags *diags, struct buf *out) {
  struct loader l;
  if (!begin(&l, diags, true)) return ERR_MEMORY;
  l.config->path = absolute(&l, path);
  load_file(&l, config_keep_text(&l, path, strlen(path)), l.config->path, NULL, NULL);
  bool readable = l.tree_count > 0 && l.trees[0]->root && l.trees[0]->root->kind == NODE_MAP;
  if (readable) {
    const struct node *n = state_node(&l);
    const char *text = n ? n->text : config_option_find(SCOPE_SERVER, "state")->default_text;
    const char *state = config_path_beside(&l, n ? n->source : &l.trees[0]->source, text);
    buf_clear(out);
    if (state) buf_add_text(out, state);
  }
  enum err e = l.exhausted || out->failed ? ERR_MEMORY : readable ? ERR_OK : ERR_FORMAT;
  struct config *c = l.config;
  loader_done(&l);
  config_free(c);
  return e;
}

struct config *config_ref(struct config *c) {
  atomic_fetch_add(&((struct config_whole *)c)->references, 1);
  return c;
}

void config_free(struct config *c) {
  struct config_whole *w = (struct config_whole *)c;
  if (!w || atomic_fetch_sub(&w->references, 1) != 1) return;
  for (size_t i = 0; i < c->key_count; i++)
    if (c->keys[i].secret) wipe((uint8_t *)c->keys[i].secret, c->keys[i].secret_size);
  free(w->zones);
  arena_done(&w->arena);
  free(w);
}
