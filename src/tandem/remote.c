/* Commands to the running server: arguments become a JSON object by the words of the command's usage, its answer is printed. */
#include "tandem/remote.h"
#include "base/limits.h"
#include "config/config.h"
#include "io/unix_socket.h"
#include "tandem/commands.h"
#include "tandem/passphrase.h"

#include <ctype.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_S = 30, SAID_LATE_MS = 2000 /* the server says itself who is late */, TIMEOUT_MOST_S = 24 * 3600, USAGE_WORDS = 16 };

static const char default_config[] = "/etc/tandem/tandem.yaml";

/* ---- arguments ---- */

/* One argument that a usage line tells of: "ZONE", "[ZONE]", "[--force]", "[--at TIME]", "--from ADDRESS". */
struct word {
  char member[32]; /* in the request: "zone", "force", "at" */
  bool option, takes_value, optional;
};

static size_t usage_words(const char *usage, struct word out[USAGE_WORDS]) {
  size_t count = 0;
  while (*usage && count < USAGE_WORDS) {
    struct word *w = &out[count];
    size_t n = strcspn(usage, " "), skip = strspn(usage, "[-");
    bool bare = usage[0] == '-' && usage[n], open = bare || (usage[0] == '[' && usage[n - 1] != ']');
    *w = (struct word){.optional = usage[0] == '[', .option = skip > 1, .takes_value = skip > 1 && open};
    for (size_t i = skip, k = 0; i < n && usage[i] != ']' && k + 1 < sizeof w->member; i++, k++)
      w->member[k] = (char)tolower((unsigned char)usage[i]);
    count++;
    usage += n;
    if (w->takes_value) usage += bare ? 1 + strcspn(usage + 1, " ") : strcspn(usage, "]") + 1;
    usage += strspn(usage, " ");
  }
  return count;
}

static const struct word *find_option(const struct word *words, size_t count, const char *arg) {
  if (strncmp(arg, "--", 2) != 0) return NULL;
  for (size_t i = 0; i < count; i++)
    if (words[i].option && strcmp(words[i].member, arg + 2) == 0) return &words[i];
  return NULL;
}

static bool parse_seconds(const char *text, unsigned *ms) {
  char *end;
  double v = strtod(text, &end);
  if (end == text || *end || !(v > 0) || v > TIMEOUT_MOST_S) return false;
  *ms = v * 1000 < 1 ? 1 : (unsigned)(v * 1000);
  return true;
}

/* An option of all commands; 0: it is none of them; else how many arguments it took; -1: it is wrong. */
static int common_option(struct remote *r, int left, char **args) {
  const char *arg = args[0], *value = left > 1 ? args[1] : NULL;
  if (strcmp(arg, "--json") == 0) {
    r->json = true;
    return 1;
  }
  bool config = strcmp(arg, "-c") == 0, state = strcmp(arg, "--state") == 0, timeout = strcmp(arg, "--timeout") == 0;
  if (!config && !state && !timeout) return 0;
  if (!value) return -1;
  if (config) r->config = value;
  else if (state) r->state = value;
  else if (!parse_seconds(value, &r->timeout_ms)) return -1;
  return 2;
}

static int misused(const struct remote *r, const char *what, const char *arg) {
  char text[160];
  snprintf(text, sizeof text, what, arg);
  return command_misused(r->command->name, text);
}

/* The server stands elsewhere, and may not read our files. */
static bool take_value(struct remote *r, const struct word *w, const char *value) {
  struct buf text = {0};
  const char *member = w->member;
  bool ok = true;
  if (strcmp(w->member, "dir") == 0) {
    ok = path_from_here(value, &text);
  } else if (strcmp(w->member, "passphrase-file") == 0) {
    ok = passphrase_read(r->command->name, value, &text);
    member = "passphrase";
  } else {
    buf_add_text(&text, value);
  }
  if (ok) json_object_set_new(r->request, member, json_stringn(buf_text(&text), text.size));
  passphrase_done(&text);
  return ok;
}

int remote_begin(struct remote *r, int argc, char **argv) {
  *r = (struct remote){.command = command_by_name(argv[0]), .timeout_ms = TIMEOUT_S * 1000, .request = json_object()};
  if (!r->request) return EXIT_REFUSED;
  char name[32]; /* "zone list" is "zone-list" on the socket */
  snprintf(name, sizeof name, "%s", argv[0]);
  for (char *p = name; *p; p++)
    if (*p == ' ') *p = '-';
  json_object_set_new(r->request, "command", json_string(name));
  struct word words[USAGE_WORDS];
  size_t count = usage_words(r->command->usage, words), at = 0;
  for (int i = 1; i < argc;) {
    int took = common_option(r, argc - i, argv + i);
    if (took < 0) return misused(r, "%.40s wants a value that makes sense", argv[i]);
    i += took;
    if (took) continue;
    const struct word *w = find_option(words, count, argv[i]);
    if (!w && argv[i][0] == '-') return command_no_option(r->command->name, argv[i]);
    if (!w) {
      while (at < count && words[at].option)
        at++;
      if (at == count) return misused(r, "%.40s is one argument too many", argv[i]);
      if (!take_value(r, &words[at++], argv[i++])) return EXIT_REFUSED;
    } else if (!w->takes_value) {
      json_object_set_new(r->request, w->member, json_true());
      i++;
    } else if (i + 1 < argc) {
      if (!take_value(r, w, argv[i + 1])) return EXIT_REFUSED;
      i += 2;
    } else {
      return misused(r, "%.40s wants a value", argv[i]);
    }
  }
  for (; at < count; at++)
    if (!words[at].optional && !words[at].option) return misused(r, "the %.40s is missing", words[at].member);
  return 0;
}

/* ---- where the server is ---- */

static int find_socket(struct remote *r, struct buf *path) {
  const char *config_path = r->config;
  if (r->state) {
    buf_printf(path, "%s/control.sock", r->state);
    return 0;
  }
  if (!config_path && access(default_config, R_OK) == 0) config_path = default_config;
  if (!config_path) return misused(r, "which server? name its configuration or its state directory%s", "");
  struct diags diags = {0};
  struct buf state = {0};
  enum err e = config_find_state(config_path, &diags, &state);
  if (e) {
    struct buf text = {0};
    diags_print(&diags, &text);
    fputs(buf_text(&text), stderr);
    command_failed(r->command->name, r->json, "the configuration does not say where the state directory is",
                   "name it with --state DIR");
    buf_done(&text);
  } else {
    buf_printf(path, "%s/control.sock", buf_text(&state));
  }
  buf_done(&state);
  diags_done(&diags);
  return e ? EXIT_REFUSED : 0;
}

/* ---- the answer ---- */

struct answer {
  struct remote *remote;
  bool shown;       /* a line that says how far it is */
  json_t *last;     /* the object that has "ok" */
  json_t *parts;    /* for --json: what the lines before have; lists grow from line to line */
  struct buf data;  /* pieces of text, for --json */
  struct buf *keep; /* pieces go here instead of stdout; NULL: they don't */
};

static void print_text(FILE *to, const char *text) {
  if (!text || !*text) return;
  fputs(text, to);
  if (text[strlen(text) - 1] != '\n') fputc('\n', to);
}

static void add_parts(json_t *parts, json_t *line) {
  const char *key;
  json_t *value;
  json_object_foreach(line, key, value) {
    json_t *there = json_object_get(parts, key);
    if (strcmp(key, "data") == 0 || strcmp(key, "progress") == 0) continue;
    if (json_is_array(there) && json_is_array(value)) json_array_extend(there, value);
    else json_object_set(parts, key, value);
  }
}

/* One line of the answer: pieces of output, then the object with "ok". */
static bool take_line(void *arg, const char *text, size_t n) {
  struct answer *a = arg;
  json_t *o = json_loadb(text, n, 0, NULL);
  json_t *data = json_object_get(o, "data");
  if (data && json_is_string(data)) {
    if (a->keep) buf_add(a->keep, json_string_value(data), json_string_length(data));
    else if (a->remote->json) buf_add(&a->data, json_string_value(data), json_string_length(data));
    else fwrite(json_string_value(data), 1, json_string_length(data), stdout);
  }
  const char *progress = json_string_value(json_object_get(o, "progress"));
  if (progress && isatty(STDERR_FILENO)) {
    fprintf(stderr, "\r%s: %s ", a->remote->command->name, progress);
    a->shown = true;
  }
  if (json_object_get(o, "warnings")) print_text(stderr, json_string_value(json_object_get(o, "warnings")));
  if (json_object_get(o, "ok")) {
    if (a->shown) fputc('\n', stderr);
    a->last = o;
    return false;
  }
  if (a->remote->json) add_parts(a->parts, o);
  json_decref(o);
  return true;
}

static int print_answer(struct answer *a) {
  bool ok = json_is_true(json_object_get(a->last, "ok"));
  const char *text = json_string_value(json_object_get(a->last, "text"));
  const char *error = json_string_value(json_object_get(a->last, "error"));
  const char *hint = json_string_value(json_object_get(a->last, "hint"));
  if (a->remote->json) {
    if (ok) json_object_del(a->last, "text"); /* else it says what is wrong where */
    json_object_update(a->last, a->parts);
    if (a->data.size) json_object_set_new(a->last, "data", json_stringn(buf_text(&a->data), a->data.size));
    json_dumpf(a->last, stdout, JSON_INDENT(2));
    fputc('\n', stdout);
  } else if (ok) {
    print_text(stdout, text);
  }
  if (!ok) {
    if (!a->remote->json) print_text(stderr, text);
    fprintf(stderr, "tandem %s: %s%s%s\n", a->remote->command->name, error ? error : "refused", hint && *hint ? "; " : "",
            hint ? hint : "");
  }
  if (json_is_true(json_object_get(a->last, "timed-out"))) return EXIT_TIMED_OUT;
  return fflush(stdout) == 0 && ok ? EXIT_DONE : EXIT_REFUSED;
}

static int explain(const struct remote *r, const char *path, enum err e) {
  char what[PATH_MAX + 80];
  const char *hint = "";
  snprintf(what, sizeof what, "%s: %s", path, err_text(e));
  if (e == ERR_NOT_FOUND) {
    snprintf(what, sizeof what, "no server is running there (nobody answers at %s)", path);
    hint = "`tandem serve -c FILE` starts one";
  } else if (e == ERR_REFUSED) {
    snprintf(what, sizeof what, "%s is not ours to use", path);
    hint = "run it as the server's user or as root";
  } else if (e == ERR_TIMEOUT) {
    snprintf(what, sizeof what, "not done within %g seconds", r->timeout_ms / 1000.0);
    hint = "it may still be under way (--timeout SECONDS waits longer)";
  } else if (e == ERR_CLOSED) {
    snprintf(what, sizeof what, "the server ended before it answered");
    hint = "its log says why";
  }
  int status = command_failed(r->command->name, r->json, what, hint);
  return e == ERR_TIMEOUT ? EXIT_TIMED_OUT : status;
}

int remote_ask(struct remote *r, json_t **last, struct buf *data) {
  struct buf path = {0};
  int status = find_socket(r, &path);
  json_object_set_new(r->request, "timeout-ms", json_integer(r->timeout_ms));
  if (r->json) json_object_set_new(r->request, "json", json_true());
  char *request = status ? NULL : json_dumps(r->request, JSON_COMPACT);
  if (!status && (!request || path.failed)) status = EXIT_REFUSED;
  if (!status) {
    unsigned late_ms = strcmp(r->command->name, "wait") == 0 ? SAID_LATE_MS : 0;
    struct answer a = {.remote = r, .parts = json_object(), .keep = data};
    enum err e = unix_client_call(buf_text(&path), request, strlen(request), r->timeout_ms + late_ms, take_line, &a);
    if (e) {
      status = explain(r, buf_text(&path), e);
    } else if (last) {
      *last = json_incref(a.last);
    } else {
      status = print_answer(&a);
    }
    json_decref(a.last);
    json_decref(a.parts);
    buf_done(&a.data);
  }
  free(request);
  buf_done(&path);
  return status;
}

int remote_print(struct remote *r, json_t *last) {
  struct answer a = {.remote = r, .last = last};
  return print_answer(&a);
}

void remote_done(struct remote *r) {
  json_decref(r->request);
}

int cmd_remote(int argc, char **argv) {
  struct remote r;
  int status = remote_begin(&r, argc, argv);
  if (!status) status = remote_ask(&r, NULL, NULL);
  remote_done(&r);
  return status;
}
