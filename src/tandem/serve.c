/* `tandem serve`: starts in the order
 *
 *   configuration, store, sockets, privileges dropped, zones loaded, workers and streams, ready
 *
 * then the main thread is the control thread: one loop for commands, signals, transfers in, and what the workers note. */
#include "base/log.h"
#include "io/privilege.h"
#include "io/service.h"
#include "io/thread.h"
#include "io/unix_socket.h"
#include "tandem/backup.h"
#include "tandem/commands.h"
#include "tandem/front.h"
#include "tandem/image_thread.h"
#include "tandem/metrics.h"
#include "tandem/names.h"
#include "tandem/network.h"
#include "tandem/note_queue.h"
#include "tandem/observe.h"
#include "tandem/swap.h"
#include "tandem/update_queue.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  EXIT_BAD_CONFIG = 2,
  FILES_WANTED = 1 << 17,
  FLUSH_MS = 500,
  NOTES_A_TURN = 256,
  STOP_GRACE_MS = 500,
  SWAP_GRACE_MS = 60000
};

struct server {
  struct config *config; /* as started with; NULL once control has it */
  struct loop *loop;
  struct store *store; /* NULL once control has it */
  struct network *network;
  struct front *front;
  struct metrics *metrics;
  struct note_queue *notes;
  struct unix_server *commands;
  struct control *control;
  struct buf state; /* directory */
  const char *config_path;
  struct backup_thread *backup; /* under way; NULL: none */
  struct image_thread *image;   /* the same */
  struct swap *swap;            /* under way or done; NULL: none */
  uint64_t swap_token;          /* of the command that wants it */
  unsigned reloads;             /* under way, of signals */
  bool handed_over;             /* another process serves */
  bool readers;                 /* this thread is registered as a reader */
  bool stopping;
};

/* ---- what comes to the loop ---- */

static void take_note(struct server *s, const struct note *n, struct instant now) {
  char name[NAME_TEXT_BYTES], from[ADDR_TEXT_BYTES];
  if (n->kind == NOTE_NOTIFY) {
    control_notified(s->control, &n->name, &n->from, n->serial_known, n->serial, now);
    return;
  }
  zone_text(&n->name, name);
  addr_text(&n->from, from);
  if (n->kind == NOTE_TSIG_FAILED)
    log_event(EV_TSIG_FAILED, LOG_TEXT("from", from), LOG_TEXT("key", name),
              LOG_TEXT("error", observed_tsig_text(observed_tsig_error(n->code))));
  else
    log_event(n->kind == NOTE_NOTIFY_REFUSED   ? EV_NOTIFY_REFUSED
              : n->kind == NOTE_UPDATE_REFUSED ? EV_UPDATE_REFUSED
                                               : EV_TRANSFER_REFUSED,
              LOG_TEXT("zone", name), LOG_TEXT("from", from), LOG_TEXT("rcode", rcode_text(n->code)));
}

/* All that wait: they are one batch. */
static void take_updates(void *arg, struct instant now) {
  struct server *s = arg;
  for (struct control_update *u; (u = front_take_update(s->front));)
    control_update(s->control, u, now);
}

static void settle_updates(void *arg) {
  struct server *s = arg;
  struct instant now = clock_read();
  if (!s->control) return;
  take_updates(s, now);
  control_updates_settle(s->control, now);
}

static void answer_update(void *arg, struct control_update *u, const uint8_t *bytes, size_t n) {
  front_answer_update(((struct server *)arg)->front, u, bytes, n);
}

static void send_updates(void *arg) {
  front_send_updates(((struct server *)arg)->front);
}

static bool begin_backup(void *arg, struct control_backup *b) {
  struct server *s = arg;
  return backup_thread_start(s->loop, b, &s->backup) == ERR_OK;
}

static void look_at_backup(struct server *s) {
  uint64_t bytes;
  if (!s->backup) return;
  if (!backup_thread_look(s->backup, &bytes)) {
    control_backup_progress(s->control, bytes);
    return;
  }
  backup_thread_free(s->backup);
  s->backup = NULL;
  control_backup_done(s->control);
}

static bool begin_image(void *arg, struct image_job *job) {
  struct server *s = arg;
  return image_thread_start(s->loop, job, &s->image) == ERR_OK;
}

static void join_image(void *arg) {
  struct server *s = arg;
  image_thread_free(s->image);
  s->image = NULL;
}

static void look_at_image(struct server *s, struct instant now) {
  if (!s->image || !image_thread_has_ended(s->image)) return;
  join_image(s);
  control_image_done(s->control, now);
}

static void take_notes(void *arg, struct instant now) {
  struct server *s = arg;
  look_at_backup(s);
  look_at_image(s, now);
  take_updates(s, now);
  struct note n;
  int left = NOTES_A_TURN;
  while (left > 0 && note_queue_take(s->notes, &n)) {
    take_note(s, &n, now);
    left--;
  }
  if (left == 0) loop_wake(s->loop); /* others get their turn, then we go on */
}

/* Told twice, it does not wait for what the store has not yet. */
static void stop(void *arg) {
  struct server *s = arg;
  if (s->stopping) {
    control_hurry(s->control);
    return;
  }
  s->stopping = true;
  log_event(EV_SERVER_STOPPING, LOG_NUMBER("pid", getpid()));
  if (!s->handed_over) service_notify("STOPPING=1");
}

static void take_signal(void *arg, int signal_number, struct instant now) {
  struct server *s = arg;
  if (signal_number != SIGHUP) {
    stop(s);
  } else if (!s->stopping) {
    if (!s->reloads++) service_notify("RELOADING=1");
    control_reload(s->control, now);
  }
}

static void reloaded(void *arg) {
  struct server *s = arg;
  if (!--s->reloads && !s->stopping) service_notify("READY=1");
}

static void take_command(void *arg, uint64_t token, unsigned uid, struct pieces *line, struct instant now) {
  char author[64];
  const struct passwd *user = getpwuid(uid);
  if (user) snprintf(author, sizeof author, "%s", user->pw_name);
  else snprintf(author, sizeof author, "uid %u", uid);
  control_command(((struct server *)arg)->control, token, author, line, now);
}

static size_t backlog(void *arg, uint64_t token) {
  const struct server *s = arg;
  return s->commands ? unix_server_backlog(s->commands, token) : 0;
}

static void command_gone(void *arg, uint64_t token) {
  control_command_gone(((struct server *)arg)->control, token);
}

static void reply(void *arg, uint64_t token, const char *json, size_t n) {
  struct server *s = arg;
  if (s->commands) unix_server_reply(s->commands, token, json, n);
}

static void server_status(void *arg, struct buf *json_members) {
  uint64_t resident, mapped;
  front_status(((struct server *)arg)->front, json_members);
  metrics_memory(&resident, &mapped);
  buf_printf(json_members, ",\"memory\":{\"resident-bytes\":%llu,\"mapped-bytes\":%llu,\"queues-bytes\":%zu}",
             (unsigned long long)resident, (unsigned long long)mapped, note_queue_bytes() + update_queue_bytes());
}

/* ---- configuration in force ---- */

static void warn_unchanged(const char *option) {
  char what[96];
  snprintf(what, sizeof what, "a changed %s takes effect when the server is started again", option);
  log_event(EV_CONFIG_WARNING, LOG_TEXT("what", what));
}

static bool same_text(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_interfaces(const struct config_texts *a, const struct config_texts *b) {
  bool same = a->count == b->count;
  for (size_t i = 0; same && i < a->count; i++)
    same = strcmp(a->list[i], b->list[i]) == 0;
  return same;
}

static bool reconfigure(void *arg, const struct config *old_config, const struct config *new_config, struct buf *why) {
  struct server *s = arg;
  const struct config_server *now = &new_config->server;
  if (front_open(s->front, now, why)) return false;
  if (metrics_open(s->metrics, &new_config->metrics, why)) {
    front_abandon(s->front);
    return false;
  }
  enum err e = front_switch(s->front, s->control, s->notes, s->loop);
  if (!e) e = metrics_switch(s->metrics, s->control);
  if (e) {
    metrics_abandon(s->metrics);
    buf_printf(why, "the listeners could not be changed: %s", err_text(e));
    return false;
  }
  log_configure(now->log_format == CONFIG_LOG_JSON, now->log_level);
  if (!same_text(old_config->server.state, now->state)) warn_unchanged("server.state");
  if (!same_text(old_config->server.user, now->user)) warn_unchanged("server.user");
  if (!same_interfaces(&old_config->server.xdp, &now->xdp)) warn_unchanged("server.xdp");
  return true;
}

/* ---- the swap of the binary ---- */

/* The store and the sockets that only one process can have are ours again. */
static enum err take_back(struct server *s, struct store_error *why) {
  struct store *store;
  struct buf text = {0};
  const struct config *config = control_config(s->control);
  enum err e = store_open(config->server.state, &store, why);
  if (e) return e;
  store_timers_boot(store, clock_boot());
  e = control_thaw(s->control, store, clock_read());
  if (e) {
    store_close(store);
    return e;
  }
  if (unix_server_reclaim(s->commands)) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "the control socket can't be opened again"));
  e = metrics_new(s->loop, s->front, &s->metrics);
  if (!e) e = metrics_open(s->metrics, &config->metrics, &text);
  if (!e) e = metrics_switch(s->metrics, s->control);
  if (e) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "metrics can't be shown again"), LOG_TEXT("why", buf_text(&text)));
  buf_done(&text);
  return ERR_OK;
}

static void swap_failed(void *arg, const char *why) {
  struct server *s = arg;
  struct store_error store_why = {""};
  struct buf text = {0};
  buf_add_text(&text, why);
  enum err e = take_back(s, &store_why);
  if (e) {
    buf_printf(&text, "; the store can't be taken back (%s): questions are answered, nothing can be changed, until a restart",
               store_why.what[0] ? store_why.what : "the new process has written to it");
  }
  log_event(EV_SERVER_ERROR, LOG_TEXT("what", "swap"), LOG_TEXT("why", buf_text(&text)));
  control_swapped(s->control, s->swap_token, 0, buf_text(&text));
  buf_done(&text);
  swap_free(s->swap);
  s->swap = NULL;
}

static void swap_serves(void *arg, pid_t pid) {
  struct server *s = arg;
  char text[32];
  snprintf(text, sizeof text, "MAINPID=%ld", (long)pid);
  service_notify(text);
  control_swapped(s->control, s->swap_token, pid, NULL);
  s->handed_over = true;
  stop(s);
}

/* A configuration that a new process would refuse must not cost us the store. */
static bool configuration_is_good(const struct server *s, struct buf *why) {
  struct diags diags = {0};
  struct config *config;
  enum err e = config_load(s->config_path, &diags, &config);
  if (e) diags_print(&diags, why);
  else config_free(config);
  diags_done(&diags);
  return e == ERR_OK;
}

static void begin_swap(void *arg, uint64_t token) {
  struct server *s = arg;
  struct buf why = {0};
  int *sockets = NULL;
  size_t count;
  if (!configuration_is_good(s, &why) || front_sockets(s->front, &sockets, &count)) {
    control_swapped(s->control, token, 0, why.size ? buf_text(&why) : err_text(ERR_MEMORY));
    buf_done(&why);
    return;
  }
  log_event(EV_SERVER_SWAPPING, LOG_NUMBER("pid", getpid()));
  s->swap_token = token;
  settle_updates(s);
  control_freeze(s->control, clock_read());
  metrics_free(s->metrics);
  s->metrics = NULL;
  unix_server_yield(s->commands);
  struct swap_events events = {s, swap_serves, swap_failed};
  if (swap_start(s->loop, s->config_path, sockets, count, &events, &s->swap, &why)) swap_failed(s, buf_text(&why));
  buf_done(&why);
  free(sockets);
}

/* ---- start ---- */

static int failed(const char *what, const char *detail) {
  log_event(EV_SERVER_ERROR, LOG_TEXT("what", what), LOG_TEXT("why", detail));
  return EXIT_REFUSED;
}

static int load_config(struct server *s, const char *path) {
  struct diags diags = {0};
  struct buf text = {0};
  enum err e = config_load(path, &diags, &s->config);
  diags_print(&diags, &text);
  fputs(buf_text(&text), stderr);
  buf_done(&text);
  diags_done(&diags);
  if (e) return EXIT_BAD_CONFIG;
  log_configure(s->config->server.log_format == CONFIG_LOG_JSON, s->config->server.log_level);
  buf_add_text(&s->state, s->config->server.state);
  return s->state.failed ? failed("start", err_text(ERR_MEMORY)) : 0;
}

static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  struct rlimit wanted = {limit.rlim_max, limit.rlim_max};
  if (privilege_is_root() && wanted.rlim_max < FILES_WANTED) wanted = (struct rlimit){FILES_WANTED, FILES_WANTED};
  if (setrlimit(RLIMIT_NOFILE, &wanted) != 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

static int open_all(struct server *s) {
  struct store_error error = {""};
  struct buf why = {0};
  if (store_open(s->config->server.state, &s->store, &error)) return failed("store", error.what);
  store_timers_boot(s->store, clock_boot());
  log_event(EV_STORE_OPENED, LOG_TEXT("state", s->config->server.state));
  if (front_open(s->front, &s->config->server, &why) || metrics_open(s->metrics, &s->config->metrics, &why)) {
    int status = failed("listen", buf_text(&why));
    buf_done(&why);
    return status;
  }
  service_drop_rest();
  if (front_open_xdp(s->front, &s->config->server)) return failed("start", err_text(ERR_MEMORY));
  struct buf path = {0};
  buf_printf(&path, "%s/control.sock", buf_text(&s->state));
  enum err e = unix_server_new(s->loop, buf_text(&path), &(struct unix_server_events){s, take_command, command_gone}, &s->commands);
  buf_done(&path);
  return e ? failed("control socket", strerror(errno)) : 0;
}

/* Whom to become. `*found` is false when there is nobody. */
static int choose_user(const struct server *s, struct privilege_user *user, bool *found) {
  const char *name = s->config->server.user;
  *found = privilege_is_root() && privilege_find_user(name ? name : "tandem", user) == ERR_OK;
  if (!privilege_is_root() || *found) return 0;
  if (name) return failed("server.user: there is no such user", name);
  log_event(EV_SERVER_NO_USER, LOG_TEXT("what", "running as root; make a user `tandem` or name one in server.user"));
  return 0;
}

static int drop_privileges(struct server *s) {
  struct privilege_user user;
  bool found;
  const char *what;
  struct store_error error = {""};
  int status = choose_user(s, &user, &found);
  if (status) return status;
  if (found && store_chown(s->store, user.uid, user.gid, &error)) return failed("store", error.what);
  if (found && front_chown(s->front, user.uid, user.gid)) return failed("sockets", strerror(errno));
  if (found) unix_server_chown(s->commands, user.uid, user.gid);
  if (privilege_drop(found ? &user : NULL, front_has_low_ports(s->front) || metrics_has_low_port(s->metrics), &what))
    return failed("privileges could not be dropped", what);
  return 0;
}

static int load_zones(struct server *s, const char *config_path) {
  struct control_events events = {
      s,           reconfigure, stop,          reply,        backlog,      server_status, begin_swap, begin_backup,
      begin_image, join_image,  answer_update, take_updates, send_updates, reloaded};
  struct xfr_net net = network_interface(s->network);
  enum err e = control_new(s->config, config_path, s->store, &net, &events, &s->control);
  if (e) return failed("start", err_text(e));
  s->store = NULL;
  network_tell(s->network, s->control);
  e = control_start(s->control, clock_read());
  config_free(s->config);
  s->config = NULL;
  return e ? failed("start", err_text(e)) : 0;
}

static int start(struct server *s, const char *config_path) {
  int status = load_config(s, config_path);
  if (status) return status;
  signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  enum err e = loop_new(&s->loop);
  if (!e) e = loop_on_signal(s->loop, take_signal, s);
  if (!e) e = note_queue_new(&s->notes);
  if (!e) e = network_new(s->loop, &s->network);
  if (!e) e = front_new(&s->front);
  if (!e) e = metrics_new(s->loop, s->front, &s->metrics);
  if (e) return failed("start", err_text(e));
  loop_on_wake(s->loop, take_notes, s);
  front_on_settle(s->front, settle_updates, s);
  status = open_all(s);
  if (!status) status = drop_privileges(s);
  if (status) return status;
  zone_reader_register();
  s->readers = true;
  status = load_zones(s, config_path);
  if (status) return status;
  e = front_switch(s->front, s->control, s->notes, s->loop);
  if (!e) e = metrics_switch(s->metrics, s->control);
  return e ? failed("start of the threads", err_text(e)) : 0;
}

static void say_ready(void) {
  (void)dprintf(STDOUT_FILENO, "ready\n"); /* nobody has to listen */
  service_ready();
  log_event(EV_SERVER_STARTED, LOG_TEXT("version", TANDEM_VERSION), LOG_NUMBER("pid", getpid()));
}

static uint64_t deadline(const struct server *s, struct instant now) {
  uint64_t control = control_deadline(s->control), log = log_owes() ? now.mono_ns + NS_PER_S : UINT64_MAX;
  return control < log ? control : log;
}

static void run(struct server *s) {
  thread_give_way();
  struct instant now = clock_read();
  while (!s->stopping || !control_is_settled(s->control)) {
    if (control_deadline(s->control) <= now.mono_ns) control_run(s->control, now);
    loop_turn(s->loop, deadline(s, now), &now);
    log_settle(now.wall_s);
  }
}

/* Readers go first, then what they read; the control thread's things may call each other until control is gone. */
static void finish(struct server *s) {
  metrics_free(s->metrics);
  swap_free(s->swap);
  front_stop(s->front, s->handed_over ? SWAP_GRACE_MS : STOP_GRACE_MS);
  if (s->backup) {
    backup_thread_free(s->backup); /* ends it early, unless it is done */
    control_backup_done(s->control);
  }
  if (s->commands) unix_server_flush(s->commands, FLUSH_MS);
  unix_server_free(s->commands);
  s->commands = NULL;
  control_free(s->control);
  network_free(s->network);
  front_free(s->front);
  store_close(s->store);
  if (s->readers) zone_reader_unregister();
  config_free(s->config);
  note_queue_free(s->notes);
  loop_free(s->loop);
  buf_done(&s->state);
}

int cmd_serve(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (argv[i][0] == '-' && strcmp(argv[i], "-c") != 0) return command_no_option(argv[0], argv[i]);
  if (argc != 3 || strcmp(argv[1], "-c") != 0) return command_misused(argv[0], "the configuration is wanted");
  swap_remember_binary();
  struct server s = {.config_path = argv[2]};
  int status = start(&s, argv[2]);
  if (!status) {
    say_ready();
    run(&s);
  }
  finish(&s);
  return status;
}
