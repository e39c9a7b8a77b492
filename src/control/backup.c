/* `backup`: the store copies itself (store/backup.h); here are the files that no store knows: the configuration as it was read,
 * zone lists, zone files with what they include, and the keys.
 *
 *   files/ABSOLUTE/PATH   each file where it was; secrets in a configuration file are struck out
 *   keys.sealed           files with secrets as they were, sealed with the passphrase: {path, 0, mode, size, octets} each
 *
 * Thread: control_backup_run on one of its own; it touches nothing of control's but its own struct and the configuration, which is
 * immutable. All else on the control thread. */
#include "base/bytes.h"
#include "base/log.h"
#include "control/commands_priv.h"
#include "crypto/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOTES_BYTES_MOST = 4096, READ_BYTES = 1 << 16, PROGRESS_TEXT_BYTES = 64 };

static const char struck_out[] = "LEFT-OUT-OF-THE-BACKUP";

struct yaml {
  struct buf text;
  unsigned mode;
  bool has_secrets;
};

struct control_backup {
  uint64_t token;
  struct store_backup *store;
  struct config *config; /* one reference */
  struct buf includes;   /* paths, each ended by a zero */
  struct buf dir, passphrase;
  char made[TIME_TEXT_BYTES];
  size_t zones;
  /* the thread's, until it has ended */
  struct buf notes; /* what the operator should know, a line each */
  struct buf plain; /* of keys.sealed */
  struct yaml *yaml;
  size_t keys_sealed, keys_left_out;
  enum err err;
  struct store_error why;
};

static void note(struct control_backup *b, const char *path, const char *what) {
  if (b->notes.size < NOTES_BYTES_MOST) buf_printf(&b->notes, "%s: %s\n", path, what);
}

/* ---- paths ---- */

/* Where a file stands in the backup: "files" and its absolute path without `.`, `..` and double slashes. */
static const char *place_of(const char *path, struct buf *out) {
  buf_clear(out);
  buf_add_text(out, "files");
  size_t root = out->size;
  while (*path) {
    size_t n = strcspn(path, "/");
    if (n == 2 && path[0] == '.' && path[1] == '.') {
      while (out->size > root && out->data[--out->size] != '/')
        continue;
    } else if (n && !(n == 1 && path[0] == '.')) {
      buf_add_byte(out, '/');
      buf_add(out, path, n);
    }
    path += n + (path[n] == '/');
  }
  if (!out->failed) out->data[out->size] = 0;
  return buf_text(out);
}

static int open_plain(const char *path, unsigned *mode) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
    *mode = st.st_mode & 0777;
    return fd;
  }
  close(fd);
  errno = EINVAL;
  return -1;
}

static bool read_plain(const char *path, struct buf *out, unsigned *mode) {
  int fd = open_plain(path, mode);
  bool ok = fd >= 0;
  for (ssize_t n = 1; ok && n > 0;) {
    uint8_t *to = buf_reserve(out, READ_BYTES);
    n = to ? read(fd, to, READ_BYTES) : -1;
    ok = n >= 0;
    if (n > 0) out->size += (size_t)n;
  }
  if (fd >= 0) close(fd);
  return ok;
}

/* ---- zone files and lists ---- */

static enum err copy_plain(struct control_backup *b, const char *path) {
  struct buf place = {0};
  unsigned mode;
  int fd = open_plain(path, &mode);
  if (fd < 0) {
    note(b, path, strerror(errno));
    return ERR_OK;
  }
  enum err err = store_backup_copy(b->store, place_of(path, &place), mode, fd, &b->why);
  close(fd);
  buf_done(&place);
  return err == ERR_EXISTS ? ERR_OK : err; /* several zones may share a file */
}

static enum err copy_zone_files(struct control_backup *b) {
  struct buf path = {0};
  enum err err = ERR_OK;
  for (size_t i = 0; !err && i < b->config->zone_count; i++) {
    const struct config_zone *z = &b->config->zones[i];
    const char *file = z->options->role == CONFIG_PRIMARY ? config_zone_file(z, &path) : "";
    if (*file) err = copy_plain(b, file);
  }
  const char *end = (const char *)b->includes.data + b->includes.size;
  for (const char *p = (const char *)b->includes.data; !err && p && p < end; p += strlen(p) + 1)
    err = copy_plain(b, p);
  buf_done(&path);
  return err;
}

/* ---- secrets ---- */

static void secret_text(const struct config_key *key, struct buf *out) {
  buf_clear(out);
  char *to = (char *)buf_reserve(out, 4 * ((key->secret_size + 2) / 3) + 1);
  if (!to) return;
  base64_encode(key->secret, key->secret_size, to);
  out->size = strlen(to);
}

/* Every place of `what` in `text` becomes struck_out; whether there was one. */
static bool strike_out(struct buf *text, const struct buf *what) {
  struct buf out = {0};
  bool found = false;
  const uint8_t *at = text->data, *end = at + text->size, *hit;
  while (text->size && what->size && (hit = memmem(at, (size_t)(end - at), what->data, what->size))) {
    buf_add(&out, at, (size_t)(hit - at));
    buf_add_text(&out, struck_out);
    at = hit + what->size;
    found = true;
  }
  if (!found) return false;
  buf_add(&out, at, (size_t)(end - at));
  wipe(text->data, text->size);
  buf_done(text);
  *text = out;
  return true;
}

/* A file with secrets as it is, for keys.sealed. */
static void seal_file(struct control_backup *b, const char *path, const struct buf *text, unsigned mode) {
  uint8_t number[8];
  if (!b->passphrase.size) return;
  buf_add(&b->plain, path, strlen(path) + 1);
  put_u32(number, mode);
  buf_add(&b->plain, number, 4);
  put_u64(number, text->size);
  buf_add(&b->plain, number, 8);
  buf_add(&b->plain, text->data, text->size);
}

static void read_yaml(struct control_backup *b, size_t i) {
  const struct config_file *f = &b->config->files[i];
  struct yaml *y = &b->yaml[i];
  if (!read_plain(f->path, &y->text, &y->mode)) {
    note(b, f->path, strerror(errno));
    return;
  }
  struct digest128 digest = hash128(y->text.data, y->text.size);
  if (digest.low != f->digest.low || digest.high != f->digest.high)
    note(b, f->path, "has changed since it was loaded; the backup has it as it is now");
  if (f->kind == CONFIG_FILE_SECRET) y->has_secrets = true;
}

/* Files with secrets go among the sealed as they are, then the secrets are struck out. A secret that stands nowhere as it is was
 * written in another way, such as with escapes: then no configuration file can be shown. */
static void take_secrets(struct control_backup *b) {
  struct buf text = {0};
  size_t count = b->config->file_count, missing = 0;
  for (size_t k = 0; k < b->config->key_count; k++) {
    bool found = false;
    secret_text(&b->config->keys[k], &text);
    for (size_t i = 0; i < count && text.size; i++)
      if (b->yaml[i].text.size && memmem(b->yaml[i].text.data, b->yaml[i].text.size, text.data, text.size))
        b->yaml[i].has_secrets = found = true;
    missing += !found;
    if (text.size) wipe(text.data, text.size);
  }
  for (size_t i = 0; i < count; i++) /* what could not be read was told */
    if (b->config->files[i].kind == CONFIG_FILE_SECRET && !b->yaml[i].text.size && missing) missing--;
  bool hidden = missing > 0;
  for (size_t i = 0; i < count; i++) {
    if (b->config->files[i].kind == CONFIG_FILE_YAML && hidden) b->yaml[i].has_secrets = true;
    if (b->yaml[i].has_secrets) seal_file(b, b->config->files[i].path, &b->yaml[i].text, b->yaml[i].mode);
  }
  for (size_t k = 0; k < b->config->key_count; k++) {
    secret_text(&b->config->keys[k], &text);
    for (size_t i = 0; i < count; i++)
      if (b->config->files[i].kind == CONFIG_FILE_YAML) strike_out(&b->yaml[i].text, &text);
    if (text.size) wipe(text.data, text.size);
  }
  for (size_t i = 0; i < count && hidden; i++) {
    if (b->config->files[i].kind != CONFIG_FILE_YAML) continue;
    wipe(b->yaml[i].text.data, b->yaml[i].text.size);
    buf_done(&b->yaml[i].text);
    note(b, b->config->files[i].path,
         b->passphrase.size ? "only among what is sealed, since a secret stands in it in a form of its own"
                            : "left out, since a secret stands in it in a form of its own");
  }
  *(b->passphrase.size ? &b->keys_sealed : &b->keys_left_out) = b->config->key_count;
  buf_done(&text);
}

static enum err write_yaml(struct control_backup *b, size_t i) {
  const struct config_file *f = &b->config->files[i];
  const struct yaml *y = &b->yaml[i];
  struct buf place = {0};
  if (f->kind != CONFIG_FILE_YAML || !y->text.size) return ERR_OK;
  enum err err = store_backup_add(b->store, place_of(f->path, &place), y->mode, y->text.data, y->text.size, &b->why);
  buf_done(&place);
  return err;
}

static enum err copy_config(struct control_backup *b) {
  const struct config *cfg = b->config;
  enum err err = ERR_OK;
  b->yaml = calloc(cfg->file_count + 1, sizeof *b->yaml);
  if (!b->yaml) return ERR_MEMORY;
  for (size_t i = 0; i < cfg->file_count; i++)
    if (cfg->files[i].kind != CONFIG_FILE_LIST) read_yaml(b, i);
  take_secrets(b);
  for (size_t i = 0; !err && i < cfg->file_count; i++)
    err = cfg->files[i].kind == CONFIG_FILE_LIST ? copy_plain(b, cfg->files[i].path) : write_yaml(b, i);
  return err;
}

static enum err write_sealed(struct control_backup *b) {
  struct buf sealed = {0};
  const struct buf *lines = store_backup_lines(b->store);
  if (!b->passphrase.size) return ERR_OK;
  enum err err = b->plain.failed || lines->failed ? ERR_MEMORY : ERR_OK;
  if (!err)
    err = seal_close((struct seal_text){b->passphrase.data, b->passphrase.size}, (struct seal_text){lines->data, lines->size},
                     (struct seal_text){b->plain.data, b->plain.size}, &sealed);
  if (!err) err = store_backup_add(b->store, "keys.sealed", 0600, sealed.data, sealed.size, &b->why);
  buf_done(&sealed);
  return err;
}

/* ---- the thread ---- */

void control_backup_run(struct control_backup *b, const struct store_watch *watch) {
  enum err err = store_backup_run(b->store, watch, &b->why);
  if (!err) err = copy_config(b);
  if (!err) err = copy_zone_files(b);
  if (!err) err = write_sealed(b);
  store_backup_note(b->store, "version", TANDEM_VERSION);
  store_backup_note(b->store, "made", b->made);
  store_backup_note(b->store, "config", b->config->path);
  store_backup_note(b->store, "state", b->config->server.state);
  if (!err) err = store_backup_finish(b->store, &b->why);
  b->err = err;
}

/* ---- the control thread ---- */

void backup_free(struct control *c) {
  struct control_backup *b = c->backup;
  if (!b) return;
  store_backup_end(c->store, b->store);
  for (size_t i = 0; b->yaml && i < b->config->file_count; i++) {
    if (b->yaml[i].text.size) wipe(b->yaml[i].text.data, b->yaml[i].text.size);
    buf_done(&b->yaml[i].text);
  }
  free(b->yaml);
  config_free(b->config);
  if (b->plain.size) wipe(b->plain.data, b->plain.size);
  if (b->passphrase.size) wipe(b->passphrase.data, b->passphrase.size);
  buf_done(&b->plain);
  buf_done(&b->passphrase);
  buf_done(&b->includes);
  buf_done(&b->notes);
  buf_done(&b->dir);
  free(b);
  c->backup = NULL;
}

static void scale(uint64_t bytes, char out[PROGRESS_TEXT_BYTES]) {
  snprintf(out, PROGRESS_TEXT_BYTES, "%.1f MB", (double)bytes / 1e6);
}

void control_backup_progress(struct control *c, uint64_t bytes) {
  char size[PROGRESS_TEXT_BYTES];
  if (!c->backup) return;
  scale(bytes, size);
  reply_json(c, c->backup->token, json_pack("{s:s,s:I}", "progress", size, "bytes", (json_int_t)bytes));
}

static void answer_done(struct control *c, struct control_backup *b) {
  struct buf text = {0};
  char size[PROGRESS_TEXT_BYTES];
  uint64_t bytes = store_backup_bytes(b->store);
  scale(bytes, size);
  buf_printf(&text, "%s: %zu zone%s, %s\n%s", buf_text(&b->dir), b->zones, plural(b->zones), size, buf_text(&b->notes));
  if (b->keys_left_out)
    buf_printf(&text, "left out: %zu key%s; --passphrase-file FILE seals keys in the backup\n", b->keys_left_out,
               plural(b->keys_left_out));
  else if (b->keys_sealed)
    buf_printf(&text, "sealed in it: %zu key%s; keep the passphrase elsewhere\n", b->keys_sealed, plural(b->keys_sealed));
  log_event(EV_BACKUP_DONE, LOG_TEXT("dir", buf_text(&b->dir)), LOG_NUMBER("zones", b->zones), LOG_NUMBER("bytes", bytes));
  reply_json(c, b->token,
             json_pack("{s:b,s:s,s:I,s:I,s:I,s:I,s:s}", "ok", 1, "text", buf_text(&text), "zones", (json_int_t)b->zones, "bytes",
                       (json_int_t)bytes, "keys-sealed", (json_int_t)b->keys_sealed, "keys-left-out", (json_int_t)b->keys_left_out,
                       "notes", buf_text(&b->notes)));
  buf_done(&text);
}

void control_backup_done(struct control *c) {
  struct control_backup *b = c->backup;
  if (b->err) {
    const char *why = b->why.what[0] ? b->why.what : err_text(b->err);
    log_event(EV_BACKUP_FAILED, LOG_TEXT("dir", buf_text(&b->dir)), LOG_TEXT("why", why));
    reply_error(c, b->token, why, "what was written is no backup");
  } else {
    answer_done(c, b);
  }
  backup_free(c);
}

/* What only this thread may look at. */
static void look_at_zones(struct control *c, struct control_backup *b) {
  struct zone_slot *z;
  char name[NAME_TEXT_BYTES];
  for (size_t i = 0; (z = registry_next(&c->registry, &i));) {
    b->zones++;
    source_included(z, &b->includes);
    if (z->snap && !z->durable)
      note(b, slot_name_text(z, name),
           z->coming ? "it is not in the backup: it was loaded for the first time just now, and is on its way into the store"
                     : "its newest version is not in the backup: the store could not keep it");
  }
}

static enum err prepare(struct control *c, struct control_backup *b, const char *dir, const json_t *passphrase) {
  time_text(c->now.wall_s, b->made);
  b->config = config_ref(c->epoch->config);
  buf_add_text(&b->dir, dir);
  if (passphrase) buf_add(&b->passphrase, json_string_value(passphrase), json_string_length(passphrase));
  look_at_zones(c, b);
  enum err err = b->dir.failed || b->passphrase.failed || b->includes.failed ? ERR_MEMORY : ERR_OK;
  return err ? err : store_backup_begin(c->store, dir, &b->store, &b->why);
}

void backup_command(struct control *c, uint64_t token, const json_t *args) {
  const char *dir = json_string_value(json_object_get(args, "dir"));
  const json_t *passphrase = json_object_get(args, "passphrase");
  struct control_backup *b = NULL;
  if (!dir || dir[0] != '/') {
    reply_error(c, token, "the directory's absolute path is wanted", "");
  } else if (passphrase && json_string_length(passphrase) == 0) {
    reply_error(c, token, "the passphrase is empty", "");
  } else if (c->backup) {
    reply_error(c, token, "another backup is under way", "try again when it is done");
  } else if (!(b = calloc(1, sizeof *b))) {
    reply_error(c, token, "out of memory", "");
  } else {
    b->token = token;
    c->backup = b;
    enum err err = prepare(c, b, dir, passphrase);
    if (!err && c->events.backup(c->events.arg, b)) return;
    b->err = err ? err : ERR_MEMORY;
    control_backup_done(c);
  }
}
