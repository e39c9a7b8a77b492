/* `import` and `edit`: a zone's whole content goes to the server, which checks it, says what it would change, and commits it.
 * `edit` takes the content from an editor; what was written there stays in its file whenever it did not become a version. */
#include "io/unix_socket.h"
#include "tandem/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- content ---- */

static bool read_file(const struct remote *r, const char *path, struct buf *out) {
  uint8_t bytes[1 << 16];
  struct stat st;
  ssize_t n = -1;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool too_large = fd >= 0 && fstat(fd, &st) == 0 && st.st_size > UNIX_COMMAND_BYTES;
  while (fd >= 0 && !too_large && !out->failed && (n = read(fd, bytes, sizeof bytes)) > 0) {
    buf_add(out, bytes, (size_t)n);
    too_large = out->size > UNIX_COMMAND_BYTES; /* it may be a pipe */
  }
  const char *why = out->failed ? err_text(ERR_MEMORY) : too_large ? "it is larger than a command may be" : strerror(errno);
  bool ok = n == 0 && !too_large && !out->failed;
  if (!ok) {
    char what[PATH_MAX + 80];
    snprintf(what, sizeof what, "can't read %s: %s", path, why);
    command_failed(r->command->name, r->json, what, too_large ? "make it the zone's `file`, and reload" : "");
  }
  if (fd >= 0) close(fd);
  return ok;
}

/* JSON is UTF-8 and master files are octets: those that may be no UTF-8 are written as master files escape them. */
static json_t *as_json(const struct buf *content) {
  struct buf text = {0};
  for (size_t i = 0; i < content->size; i++) {
    uint8_t c = content->data[i];
    if (c >= 0x80 || c == 0) buf_printf(&text, "\\%03u", c);
    else buf_add_byte(&text, c);
  }
  json_t *out = text.failed ? NULL : json_stringn(buf_text(&text), text.size);
  buf_done(&text);
  return out;
}

int cmd_import(int argc, char **argv) {
  struct remote r;
  struct buf content = {0};
  int status = remote_begin(&r, argc, argv);
  if (!status && !read_file(&r, json_string_value(json_object_get(r.request, "file")), &content)) status = EXIT_REFUSED;
  if (!status) {
    json_object_set_new(r.request, "text", as_json(&content));
    status = remote_ask(&r, NULL, NULL);
  }
  buf_done(&content);
  remote_done(&r);
  return status;
}

/* ---- edit ---- */

struct edit {
  struct remote r;
  char path[64]; /* of the temporary file; "": none */
  struct buf before;
  json_int_t version;
  bool yes;
  bool keep; /* the file, for what is in it */
};

/* What the editor begins with where there is nothing yet. */
static void skeleton(struct buf *out) {
  buf_add_text(out, "; The zone has no content yet. Put the names of its primary server, mailbox and name servers here.\n"
                    "$TTL 3600\n@ IN SOA ns1 hostmaster 1 3600 600 1209600 300\n@ IN NS ns1\n@ IN NS ns2\n");
}

/* Zone and version; then the content as it is. */
static int fetch(struct edit *e) {
  json_t *last = NULL;
  json_object_del(e->r.request, "yes");
  json_object_set_new(e->r.request, "command", json_string("status"));
  int status = remote_ask(&e->r, &last, NULL);
  bool ok = json_is_true(json_object_get(last, "ok")), empty = !json_object_get(last, "serial");
  e->version = json_integer_value(json_object_get(last, "version"));
  if (!status && !ok) status = remote_print(&e->r, last);
  json_decref(last);
  last = NULL;
  if (status) return status;
  if (empty) {
    skeleton(&e->before);
    return 0;
  }
  json_object_set_new(e->r.request, "command", json_string("export"));
  status = remote_ask(&e->r, &last, &e->before);
  if (!status && !json_is_true(json_object_get(last, "ok"))) status = remote_print(&e->r, last);
  json_decref(last);
  return status;
}

static bool make_file(struct edit *e) {
  const char *dir = getenv("TMPDIR");
  snprintf(e->path, sizeof e->path, "%.30s/tandem-XXXXXX.zone", dir && *dir && strlen(dir) <= 30 ? dir : "/tmp");
  int fd = mkstemps(e->path, 5);
  bool ok = fd >= 0 && write(fd, e->before.data, e->before.size) == (ssize_t)e->before.size;
  if (!ok) fprintf(stderr, "tandem edit: can't write %s: %m\n", e->path);
  if (fd >= 0) close(fd);
  else e->path[0] = 0;
  return ok;
}

static bool run_editor(const char *path) {
  const char *editor = getenv("VISUAL");
  char command[1000];
  int status = -1;
  if (!editor || !*editor) editor = getenv("EDITOR");
  if (!editor || !*editor) editor = "vi";
  snprintf(command, sizeof command, "%.900s \"$1\"", editor);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", command, "edit", path, (char *)NULL);
    _exit(127);
  }
  bool ended = pid > 0 && waitpid(pid, &status, 0) == pid;
  if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  fprintf(stderr, "tandem edit: the editor %.200s failed\n", editor);
  return false;
}

/* The first letter of the answer; 0: there was none. */
static char ask(const char *question) {
  char line[64];
  printf("%s ", question);
  fflush(stdout);
  if (!fgets(line, sizeof line, stdin)) return 0;
  return line[0] == '\n' ? 'n' : line[0];
}

/* Sends the content; with `dry_run` what it changes is printed. */
static int send_content(struct edit *e, const struct buf *content, bool dry_run, bool *ok, bool *same) {
  json_t *last = NULL;
  json_object_set_new(e->r.request, "command", json_string("import"));
  json_object_set_new(e->r.request, "text", as_json(content));
  json_object_set_new(e->r.request, "file", json_string(e->path));
  json_object_set_new(e->r.request, "base", json_integer(e->version));
  json_object_set_new(e->r.request, "dry-run", json_boolean(dry_run));
  int status = remote_ask(&e->r, &last, NULL);
  if (!status) {
    *ok = json_is_true(json_object_get(last, "ok"));
    *same = json_is_true(json_object_get(last, "same"));
    status = remote_print(&e->r, last);
  }
  json_decref(last);
  return status;
}

/* One round of the editor. True: once more. */
static bool edit_round(struct edit *e, int *status) {
  struct buf content = {0};
  bool ok = false, same = false, again = false;
  *status = EXIT_REFUSED;
  if (run_editor(e->path) && read_file(&e->r, e->path, &content)) {
    e->keep = true;
    if (content.size == e->before.size && memcmp(content.data, e->before.data, content.size) == 0) {
      puts("nothing changed");
      e->keep = false;
      *status = EXIT_DONE;
    } else {
      *status = send_content(e, &content, true, &ok, &same);
      char answer = *status && !ok ? (e->yes ? 'n' : ask("edit again? [y/n]")) : same || e->yes ? 'y' : ask("commit? [y/n/e]");
      again = (!ok && answer == 'y') || answer == 'e';
      if (same) e->keep = false;
      else if (ok && answer == 'y') *status = send_content(e, &content, false, &ok, &same), e->keep = *status != 0;
      else if (ok && !again) *status = EXIT_REFUSED;
    }
  }
  buf_done(&content);
  return again;
}

int cmd_edit(int argc, char **argv) {
  struct edit e = {0};
  int status = remote_begin(&e.r, argc, argv);
  e.yes = json_is_true(json_object_get(e.r.request, "yes"));
  if (!status) status = fetch(&e);
  if (!status && !make_file(&e)) status = EXIT_REFUSED;
  for (bool again = !status; again;)
    again = edit_round(&e, &status);
  if (e.keep) fprintf(stderr, "tandem edit: what was written stays in %s\n", e.path);
  else if (e.path[0]) unlink(e.path);
  buf_done(&e.before);
  remote_done(&e.r);
  return status;
}
