/* `tandem restore DIR`: makes a server's files anew from a backup, where none is running. All is looked at before anything is
 * written: the backup's own files, the passphrase, and that no file that stands there already has other content. */
#include "base/bytes.h"
#include "config/config.h"
#include "crypto/seal.h"
#include "store/backup.h"
#include "tandem/commands.h"
#include "tandem/passphrase.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEALED_BYTES_MOST = 1 << 30 };

static const char files_prefix[] = "files", sealed_path[] = "keys.sealed";

struct restore {
  const char *dir, *passphrase_file;
  struct buf state, config_dir; /* as given, absolute; empty: where they were */
  bool json, progress;
  struct store_manifest *manifest;
  struct buf keys; /* what keys.sealed holds; empty: not opened */
  struct store_error why;
  struct buf target;           /* scratch */
  size_t files, kept, missing; /* written; there already; with secrets, and left out */
};

struct secret_file { /* of keys.sealed */
  const char *path;
  uint32_t mode;
  struct rd bytes;
};

static int misused(const char *what) {
  return command_misused("restore", what);
}

static int parse(int argc, char **argv, struct restore *r) {
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    bool state = strcmp(arg, "--state") == 0, config = strcmp(arg, "--config-dir") == 0;
    bool passphrase = strcmp(arg, "--passphrase-file") == 0;
    if (strcmp(arg, "--json") == 0) r->json = true;
    else if ((state || config || passphrase) && !value) return misused("an option lacks its value");
    else if (state && !path_from_here(value, &r->state)) return misused("the directory can't be found");
    else if (config && !path_from_here(value, &r->config_dir)) return misused("the directory can't be found");
    else if (passphrase) r->passphrase_file = value;
    else if (!state && !config && arg[0] == '-') return command_no_option("restore", arg);
    else if (!state && !config && r->dir) return misused("one backup is taken");
    else if (!state && !config) r->dir = arg;
    i += state || config || passphrase;
  }
  return r->dir ? EXIT_DONE : misused("the backup's directory is wanted");
}

static bool step(void *arg, uint64_t bytes) {
  const struct restore *r = arg;
  if (r->progress) fprintf(stderr, "\rrestore: %.1f MB ", (double)bytes / 1e6);
  return true;
}

/* ---- where things go ---- */

/* Files that lay beside the configuration or below it go where --config-dir says; all others where they were. */
static const char *target_of(struct restore *r, const char *path) {
  const char *config = store_manifest_note(r->manifest, "config"), *slash = config ? strrchr(config, '/') : NULL;
  size_t n = slash ? (size_t)(slash - config) + 1 : 0;
  buf_clear(&r->target);
  if (r->config_dir.size && n && strncmp(path, config, n) == 0) {
    buf_printf(&r->target, "%s/%s", buf_text(&r->config_dir), path + n);
  } else {
    buf_add_text(&r->target, path);
  }
  return buf_text(&r->target);
}

/* "" when the file is no one that goes into the file system of its own. */
static const char *plain_path(const struct store_manifest_file *f) {
  size_t n = sizeof files_prefix - 1;
  return strncmp(f->path, files_prefix, n) == 0 && f->path[n] == '/' ? f->path + n : "";
}

static bool next_secret(struct rd *r, struct secret_file *out) {
  uint64_t size;
  const uint8_t *end = memchr(r->at, 0, rd_left(r));
  if (!end) return false;
  out->path = (const char *)r->at;
  r->at = end + 1;
  if (!rd_u32(r, &out->mode) || !rd_u64(r, &size) || size > rd_left(r)) return false;
  out->bytes = rd_make(r->at, size);
  r->at += size;
  return out->path[0] == '/';
}

static bool is_sealed(const struct restore *r, const char *path) {
  struct rd keys = rd_make(r->keys.data, r->keys.size);
  struct secret_file s;
  while (rd_left(&keys) && next_secret(&keys, &s))
    if (strcmp(s.path, path) == 0) return true;
  return false;
}

/* ---- looking first ---- */

static enum err open_keys(struct restore *r) {
  struct buf sealed = {0}, beside = {0}, passphrase = {0};
  bool there = false;
  for (size_t i = 0; i < store_manifest_count(r->manifest); i++)
    there = there || strcmp(store_manifest_file(r->manifest, i)->path, sealed_path) == 0;
  if (!there || !r->passphrase_file) {
    if (!there && !r->passphrase_file) return ERR_OK;
    snprintf(r->why.what, sizeof r->why.what, "%s",
             there ? "the backup holds keys: give --passphrase-file FILE"
                   : "the backup holds no keys: leave --passphrase-file out");
    return ERR_REFUSED;
  }
  if (!passphrase_read("restore", r->passphrase_file, &passphrase)) {
    passphrase_done(&passphrase);
    snprintf(r->why.what, sizeof r->why.what, "without its passphrase the backup's keys can't be opened");
    return ERR_REFUSED;
  }
  enum err err = store_manifest_load(r->manifest, sealed_path, SEALED_BYTES_MOST, &sealed, &r->why);
  store_manifest_lines(r->manifest, sealed_path, &beside);
  if (!err) {
    err = seal_open((struct seal_text){passphrase.data, passphrase.size}, (struct seal_text){beside.data, beside.size},
                    (struct seal_text){sealed.data, sealed.size}, &r->keys);
    if (err == ERR_REFUSED)
      snprintf(r->why.what, sizeof r->why.what, "%s", "the passphrase is another one, or the backup was edited");
    else if (err) snprintf(r->why.what, sizeof r->why.what, "%s: %s", sealed_path, err_text(err));
  }
  passphrase_done(&passphrase);
  buf_done(&sealed);
  buf_done(&beside);
  return err;
}

static enum err taken(struct restore *r, const char *path) {
  snprintf(r->why.what, sizeof r->why.what, "%.180s is there with other content; move it away first", path);
  return ERR_EXISTS;
}

static enum err look_at_targets(struct restore *r) {
  struct rd keys = rd_make(r->keys.data, r->keys.size);
  struct secret_file s;
  for (size_t i = 0; i < store_manifest_count(r->manifest); i++) {
    const struct store_manifest_file *f = store_manifest_file(r->manifest, i);
    const char *path = plain_path(f);
    if (!*path || is_sealed(r, path)) continue;
    if (store_restore_differs(target_of(r, path), f->size, f->sum)) return taken(r, buf_text(&r->target));
  }
  while (rd_left(&keys)) {
    uint8_t sum[BACKUP_SUM_BYTES];
    if (!next_secret(&keys, &s) || sha256(s.bytes.at, rd_left(&s.bytes), sum)) return ERR_CORRUPT;
    if (store_restore_differs(target_of(r, s.path), rd_left(&s.bytes), sum)) return taken(r, buf_text(&r->target));
  }
  return ERR_OK;
}

/* ---- writing ---- */

static enum err write_plain(struct restore *r, const struct store_manifest_file *f, const char *path) {
  const char *to = target_of(r, path);
  if (access(to, F_OK) == 0) {
    r->kept++;
    return ERR_OK;
  }
  r->files++;
  return store_restore_file(r->manifest, f, to, &r->why);
}

static enum err write_files(struct restore *r) {
  struct rd keys = rd_make(r->keys.data, r->keys.size);
  struct secret_file s;
  enum err err = ERR_OK;
  for (size_t i = 0; !err && i < store_manifest_count(r->manifest); i++) {
    const struct store_manifest_file *f = store_manifest_file(r->manifest, i);
    const char *path = plain_path(f);
    if (*path && !is_sealed(r, path)) err = write_plain(r, f, path);
  }
  while (!err && rd_left(&keys) && next_secret(&keys, &s)) {
    const char *to = target_of(r, s.path);
    if (access(to, F_OK) == 0) {
      r->kept++;
      continue;
    }
    r->files++;
    err = store_restore_bytes(to, s.mode, s.bytes.at, rd_left(&s.bytes), &r->why);
  }
  return err;
}

/* Where the restored configuration says the state is; when it can't be read, where it was. */
static void find_state(struct restore *r, struct buf *out) {
  const char *config = store_manifest_note(r->manifest, "config"), *state = store_manifest_note(r->manifest, "state");
  struct diags diags = {0};
  if (!config || access(target_of(r, config), R_OK) != 0 || config_find_state(buf_text(&r->target), &diags, out)) {
    buf_clear(out);
    buf_add_text(out, state ? state : "");
  }
  diags_done(&diags);
}

static enum err restore(struct restore *r, struct buf *said) {
  struct store_watch watch = {r, step};
  enum err err = store_manifest_read(r->dir, &r->manifest, &r->why);
  if (!err) err = store_manifest_verify(r->manifest, &watch, &r->why);
  if (!err) err = open_keys(r);
  if (!err) err = look_at_targets(r);
  /* The state first: it is what another restore would refuse to touch. */
  struct buf state = {0};
  if (!err && !r->state.size) {
    const char *was = store_manifest_note(r->manifest, "state");
    buf_add_text(&state, was ? target_of(r, was) : "");
    buf_add(&r->state, state.data, state.size);
  }
  if (!err && !r->state.size) {
    snprintf(r->why.what, sizeof r->why.what, "name the state directory with --state DIR");
    err = ERR_REFUSED;
  }
  if (!err) err = store_restore_state(r->manifest, buf_text(&r->state), &watch, &r->why);
  if (!err) err = write_files(r);
  buf_clear(&state);
  if (!err) find_state(r, &state);
  if (!err && strcmp(buf_text(&state), buf_text(&r->state)) != 0)
    buf_printf(said, "the configuration says server.state: %s; make it %s\n", buf_text(&state), buf_text(&r->state));
  buf_done(&state);
  return err;
}

/* ---- telling ---- */

static void tell(struct restore *r, const struct buf *said) {
  const char *made = store_manifest_note(r->manifest, "made"), *config = store_manifest_note(r->manifest, "config");
  const char *to = config ? target_of(r, config) : "";
  bool no_keys = !r->keys.size;
  if (r->json) {
    json_t *o =
        json_pack("{s:b,s:s,s:s,s:s,s:I,s:I,s:b,s:s}", "ok", 1, "made", made ? made : "", "state", buf_text(&r->state), "config",
                  to, "files", (json_int_t)r->files, "files-kept", (json_int_t)r->kept, "keys", !no_keys, "text", buf_text(said));
    json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
    return;
  }
  printf("restored the backup of %s: %s, and %zu file%s (there already: %zu)\n%s", made ? made : "?", buf_text(&r->state), r->files,
         plural(r->files), r->kept, buf_text(said));
  if (no_keys) printf("no keys were in it: secrets have to be put in place again\n");
  printf("secondaries may have later versions: `tandem rebuild ZONE --from ADDRESS` takes them;\n"
         "else each zone's next change gets a serial that is above theirs\n");
  if (*to) printf("`tandem serve -c %s` starts it\n", to);
}

int cmd_restore(int argc, char **argv) {
  struct restore r = {.progress = isatty(STDERR_FILENO)};
  struct buf said = {0};
  int status = parse(argc, argv, &r);
  if (!status) {
    enum err err = restore(&r, &said);
    if (r.progress) fputc('\n', stderr);
    if (!err) tell(&r, &said);
    else status = command_failed("restore", r.json, r.why.what[0] ? r.why.what : err_text(err), "");
  }
  store_manifest_free(r.manifest);
  passphrase_done(&r.keys);
  buf_done(&said);
  buf_done(&r.target);
  buf_done(&r.state);
  buf_done(&r.config_dir);
  return status;
}
