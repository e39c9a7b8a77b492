/* history, diff, export and rollback. Each is a job that control_run takes one step further, the oldest first; what it says goes to
 * the client as it comes, and a job whose client is slow waits for it. So a long answer stalls the control thread for one step at
 * most (history.h), and printing for STEP_BYTES of text. What a rollback has found is committed as any content that comes as a
 * whole (whole.h). */
#include "base/log.h"
#include "control/commands_priv.h"
#include "control/history.h"
#include "control/whole.h"
#include "control/zone_export.h"
#include "zone/content.h"
#include "zonefile/zonefile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  STEP_BYTES = 16 << 10,   /* of text printed in one step, or said that was printed before */
  STEP_TURNS = 4096,       /* of a comparison */
  BACKLOG_BYTES = 1 << 20, /* what a client has yet to take, before its job waits */
  BACKLOG_MS = 5,          /* looked at again */
  HISTORY_SHOWN = 50,      /* changes, without --limit */
  HISTORY_STEP_ROWS = 256,
};

typedef enum err job_step(struct control *c, struct job *j);

struct job {
  struct job *next;
  uint64_t token;
  struct name name;
  char zone[NAME_TEXT_BYTES];
  bool json;
  job_step *step; /* NULL: it was answered */
  struct store_error why;
  char hint[NAME_TEXT_BYTES + 160];
  const struct zone_snap *head; /* what is served, if the log has it; NULL: nothing is at hand */
  uint64_t head_version;
  struct history history;
  uint64_t left; /* changes that `history` has yet to say */
  /* what is wanted: the content at `to`, and the difference to it from `from` */
  bool only_export, rolls_back, dry_run;
  bool has_from, has_to; /* found */
  bool from_nothing;     /* `to` is the first version */
  struct history_point from, to;
  size_t from_at, to_at;
  const struct zone_snap *from_snap, *to_snap;
  struct rebuild rebuild;
  struct zone_exporter *exporter;
  struct zone_differ *differ;
  struct buf text;
  size_t told;  /* of it, by job_tell */
  json_t *last; /* behind that */
  json_t *removed, *added;
  char *author, *comment;
  struct roll_back *roll_back; /* takes the job over once this step has ended */
};

/* ---- jobs ---- */

static void start_roll_back(struct control *c, struct job *j);

static void job_free(struct job *j) {
  if (!j) return;
  zone_snap_unref(j->head);
  zone_snap_unref(j->from_snap);
  zone_snap_unref(j->to_snap);
  rebuild_done(&j->rebuild);
  history_done(&j->history);
  zone_exporter_free(j->exporter);
  zone_differ_free(j->differ);
  buf_done(&j->text);
  json_decref(j->last);
  json_decref(j->removed);
  json_decref(j->added);
  free(j->author);
  free(j->comment);
  free(j);
}

static enum err fail(struct job *j, enum err err, const char *what, const char *hint) {
  snprintf(j->why.what, sizeof j->why.what, "%s", what);
  snprintf(j->hint, sizeof j->hint, "%s", hint);
  return err;
}

static void answer_failed(struct control *c, struct job *j, enum err err) {
  char line[NAME_TEXT_BYTES + sizeof j->why.what + 8];
  snprintf(line, sizeof line, "%s: %s", j->zone, j->why.what[0] ? j->why.what : err_text(err));
  reply_error(c, j->token, line, j->hint);
}

static bool is_backlogged(const struct control *c, const struct job *j) {
  return c->events.backlog && c->events.backlog(c->events.arg, j->token) > BACKLOG_BYTES;
}

void jobs_run(struct control *c) {
  struct job **at = &c->jobs;
  if (c->now.mono_ns < c->jobs_wait_ns) return;
  c->jobs_wait_ns = 0;
  while (*at && is_backlogged(c, *at))
    at = &(*at)->next;
  struct job *j = *at;
  if (!j) {
    c->jobs_wait_ns = c->now.mono_ns + BACKLOG_MS * NS_PER_MS;
    return;
  }
  enum err err = j->step(c, j);
  if (err) answer_failed(c, j, err);
  *at = j->next; /* to the end, or away */
  j->next = NULL;
  if (!err && j->roll_back) {
    start_roll_back(c, j);
    return;
  }
  if (err || !j->step) {
    job_free(j);
    return;
  }
  for (at = &c->jobs; *at; at = &(*at)->next) {
  }
  *at = j;
}

uint64_t jobs_deadline(const struct control *c) {
  return c->jobs ? c->jobs_wait_ns : UINT64_MAX;
}

void jobs_gone(struct control *c, uint64_t token) {
  for (struct job **at = &c->jobs; *at;) {
    struct job *j = *at;
    if (j->token != token) {
      at = &j->next;
      continue;
    }
    *at = j->next;
    job_free(j);
  }
}

void jobs_end(struct control *c, const char *why) {
  for (struct job *j; (j = c->jobs);) {
    c->jobs = j->next;
    reply_error(c, j->token, why, "try again in a moment");
    job_free(j);
  }
}

/* ---- what a job begins with ---- */

static bool keep_newest(void *arg, const struct store_zone *z) {
  *(struct store_zone *)arg = *z;
  return true;
}

static bool find_content(struct control *c, struct job *j) {
  struct zone_slot *z = registry_find(&c->registry, j->name.octets, j->name.size);
  struct store_zone kept = {0};
  j->history.store = c->store;
  if (z && z->store_id) {
    j->history.zone = z->store_id;
    j->history.next = z->head;
    if (z->snap && z->durable) j->head = zone_snap_ref(z->snap);
    j->head_version = z->version;
    return true;
  }
  enum err err = store_zones_named(c->store, j->name.octets, j->name.size, keep_newest, &kept, &j->why);
  if (!err && kept.id) {
    j->history.zone = kept.id;
    j->history.next = kept.head;
    j->head_version = kept.version;
    return true;
  }
  if (!err && z) {
    reply_error(c, j->token, "the zone has no content yet", "`tandem status ZONE` says why");
  } else if (!err) {
    char line[NAME_TEXT_BYTES + 64];
    snprintf(line, sizeof line, "no zone %s here, and none is kept", j->zone);
    reply_error(c, j->token, line, "`tandem zone list` shows the zones, `tandem zone list --deleted` those that were removed");
  } else {
    reply_error(c, j->token, j->why.what, "");
  }
  return false;
}

static bool read_point(struct control *c, uint64_t token, const char *text, struct history_point *out) {
  char hint[160], line[96];
  if (!text || history_point_read(text, out)) return true;
  snprintf(line, sizeof line, "%.60s is no version, serial or time", text);
  snprintf(hint, sizeof hint, "give %s", history_point_forms);
  reply_error(c, token, line, hint);
  return false;
}

/* NULL: it was answered. */
static struct job *job_new(struct control *c, uint64_t token, const json_t *args) {
  struct job *j = calloc(1, sizeof *j);
  if (!j) {
    reply_error(c, token, "out of memory", "");
    return NULL;
  }
  j->token = token;
  j->json = json_is_true(json_object_get(args, "json"));
  if (!command_name(c, token, args, &j->name)) {
    free(j);
    return NULL;
  }
  name_text(&j->name, j->zone);
  size_t n = strlen(j->zone);
  if (n > 1) j->zone[n - 1] = 0; /* as zones are named elsewhere, without the final dot */
  if (find_content(c, j)) return j;
  job_free(j);
  return NULL;
}

static void job_start(struct control *c, struct job *j, job_step *first) {
  struct job **at = &c->jobs;
  while (*at)
    at = &(*at)->next;
  j->step = first;
  *at = j;
}

/* ---- saying ---- */

static void say_text(struct control *c, struct job *j) {
  if (j->text.size) reply_json(c, j->token, json_pack("{s:s%}", "data", buf_text(&j->text), j->text.size));
  buf_clear(&j->text);
}

static enum err done(struct control *c, struct job *j) {
  reply_ok(c, j->token, "");
  j->step = NULL;
  return ERR_OK;
}

static enum err step_tell(struct control *c, struct job *j) {
  const char *at = (const char *)j->text.data + j->told;
  size_t left = j->text.size - j->told, n = left;
  if (n > STEP_BYTES) { /* up to the end of a line */
    const char *end = memchr(at + STEP_BYTES, '\n', left - STEP_BYTES);
    n = end ? (size_t)(end - at) + 1 : left;
  }
  if (n) reply_json(c, j->token, json_pack("{s:s%}", "data", at, n));
  j->told += n;
  if (j->told < j->text.size) return ERR_OK;
  reply_json(c, j->token, json_incref(j->last));
  j->step = NULL;
  return ERR_OK;
}

void job_tell(struct control *c, uint64_t token, struct buf *text, json_t *last) {
  struct job *j = calloc(1, sizeof *j);
  if (!j) {
    json_decref(last);
    reply_error(c, token, "out of memory", "");
    return;
  }
  *j = (struct job){.token = token, .step = step_tell, .text = *text, .last = last};
  *text = (struct buf){0};
  if (j->text.size > STEP_BYTES) {
    job_start(c, j, step_tell);
    return;
  }
  enum err err = step_tell(c, j);
  (void)err;
  job_free(j);
}

/* ---- history ---- */

static const char *const door_text[] = {
    [DOOR_FILE] = "file",       [DOOR_TRANSFER] = "transfer", [DOOR_UPDATE] = "update",     [DOOR_API] = "api",
    [DOOR_COMMAND] = "command", [DOOR_SIGNER] = "signer",     [DOOR_STEERING] = "steering",
};

struct telling {
  struct job *job;
  json_t *rows;
  size_t told;
  uint64_t next;
};

static json_t *change_json(const struct store_change *ch) {
  char at[TIME_TEXT_BYTES], digest[CONTENT_TEXT_BYTES];
  bool known = ch->door >= DOOR_FILE && ch->door <= DOOR_STEERING;
  json_t *o = json_pack("{s:I,s:I,s:s,s:s,s:s,s:s,s:s}", "version", (json_int_t)ch->version, "serial", (json_int_t)ch->serial_to,
                        "at", time_text(ch->at_s, at), "door", known ? door_text[ch->door] : "?", "author", ch->author, "comment",
                        ch->comment, "kind", ch->kind == STORE_FULL ? "full" : "delta");
  if (ch->has_serial_from) json_object_set_new(o, "serial-from", json_integer(ch->serial_from));
  if (!ch->has_content) return o;
  json_object_set_new(o, "removed", json_integer((json_int_t)ch->removed));
  json_object_set_new(o, "added", json_integer((json_int_t)ch->added));
  json_object_set_new(o, "digest", json_string(zone_content_text(ch->content, digest)));
  return o;
}

static void change_text(const struct store_change *ch, struct buf *out) {
  char at[TIME_TEXT_BYTES], digest[CONTENT_TEXT_BYTES];
  bool known = ch->door >= DOOR_FILE && ch->door <= DOOR_STEERING;
  buf_printf(out, "v%" PRIu64 "\t%s\tserial %u", ch->version, time_text(ch->at_s, at), ch->serial_to);
  if (ch->has_serial_from) buf_printf(out, " (from %u)", ch->serial_from);
  if (ch->has_content) buf_printf(out, "\t-%" PRIu64 " +%" PRIu64, ch->removed, ch->added);
  else buf_add_text(out, "\t-? +?");
  buf_printf(out, "\t%s%s%s\t%s\n", known ? door_text[ch->door] : "?", ch->author[0] ? " by " : "", ch->author,
             ch->has_content ? zone_content_text(ch->content, digest) : "-");
  if (ch->comment[0]) buf_printf(out, "\t%s\n", ch->comment);
}

static bool tell_change(void *arg, const struct store_change *ch) {
  struct telling *t = arg;
  if (t->job->json) json_array_append_new(t->rows, change_json(ch));
  else change_text(ch, &t->job->text);
  t->next = ch->prev;
  t->job->left--;
  return ++t->told < HISTORY_STEP_ROWS && t->job->left;
}

static enum err step_history(struct control *c, struct job *j) {
  struct telling t = {.job = j, .rows = json_array()};
  enum err err =
      j->history.next ? store_walk_back(c->store, j->history.zone, j->history.next, tell_change, &t, &j->why) : ERR_NOT_FOUND;
  if (json_array_size(t.rows)) reply_json(c, j->token, json_pack("{s:O}", "changes", t.rows));
  json_decref(t.rows);
  bool cut = err == ERR_NOT_FOUND && t.next; /* by retention */
  bool ends = err == ERR_NOT_FOUND || !t.next || !j->left;
  if (err == ERR_OK && !j->left && t.next && !j->json) buf_add_text(&j->text, "(there is more: --limit N, 0 for all)\n");
  if (cut && !j->json) buf_add_text(&j->text, "(older changes are not kept any more)\n");
  j->history.next = t.next;
  say_text(c, j);
  if (err && err != ERR_NOT_FOUND) return err;
  return ends ? done(c, j) : ERR_OK;
}

void cmd_history(struct control *c, uint64_t token, const json_t *args) {
  const char *limit = command_text(args, "limit");
  char *end = NULL;
  unsigned long long most = limit ? strtoull(limit, &end, 10) : HISTORY_SHOWN;
  if (limit && (*end || end == limit || limit[0] == '-')) {
    reply_error(c, token, "--limit wants a number", "0 shows all");
    return;
  }
  struct job *j = job_new(c, token, args);
  if (!j) return;
  j->left = most ? most : UINT64_MAX;
  job_start(c, j, step_history);
}

/* ---- finding versions ---- */

static enum err step_locate(struct control *c, struct job *j);
static enum err step_rebuild_to(struct control *c, struct job *j);

static enum err not_kept(struct job *j, const struct history_point *p) {
  char what[200], from[TIME_TEXT_BYTES], name[HISTORY_POINT_TEXT_BYTES];
  const struct history *h = &j->history;
  if (p->kind == HISTORY_VERSION) snprintf(name, sizeof name, "version v%" PRIu64, p->version);
  else if (p->kind == HISTORY_SERIAL) snprintf(name, sizeof name, "serial %u", p->serial);
  else if (p->kind == HISTORY_TIME) snprintf(name, sizeof name, "%s", time_text(p->at_s, from));
  else snprintf(name, sizeof name, "the version before");
  if (!h->count) return fail(j, ERR_NOT_FOUND, "nothing of it is kept", "");
  const struct history_entry *first = &h->list[h->count - 1];
  snprintf(what, sizeof what, "%s is not in the history that is kept: v%" PRIu64 " (%s) to v%" PRIu64, name, first->version,
           time_text(first->at_s, from), h->list[0].version);
  return fail(j, ERR_NOT_FOUND, what,
              p->kind == HISTORY_SERIAL ? "a version is written v7; `tandem history ZONE --limit 0` shows all"
                                        : "`tandem history ZONE --limit 0` shows all");
}

/* Whether the point was found in what was read so far. */
static bool locate(const struct history *h, const struct history_point *p, size_t *at) {
  *at = history_find(h, p);
  return *at < h->count;
}

/* The default to compare with: the version before. */
static bool locate_from(struct job *j) {
  if (j->from.kind != HISTORY_NEWEST) return locate(&j->history, &j->from, &j->from_at);
  j->from_at = j->to_at + 1;
  if (j->from_at < j->history.count) return true;
  j->from_nothing = !j->history.next && j->history.list[j->to_at].prev == 0;
  return j->from_nothing;
}

static enum err step_locate(struct control *c, struct job *j) {
  enum err err = history_read(&j->history, &j->why);
  if (err) return err;
  bool all = !j->history.next, wants_from = !j->only_export && !j->rolls_back;
  if (!j->history.count) return not_kept(j, &j->to);
  if (!j->has_to) j->has_to = locate(&j->history, &j->to, &j->to_at);
  if (!j->has_to) return all ? not_kept(j, &j->to) : ERR_OK;
  if (wants_from && !j->has_from) j->has_from = locate_from(j);
  if (wants_from && !j->has_from) return all ? not_kept(j, &j->from) : ERR_OK;
  j->rebuild = (struct rebuild){&j->history, j->to_at, j->head, j->head_version, NULL, 0};
  j->step = step_rebuild_to;
  return ERR_OK;
}

/* ---- rebuilding them ---- */

static enum err begin_export(struct job *j);
static enum err begin_diff(struct control *c, struct job *j);
static enum err step_roll_back(struct control *c, struct job *j);

static enum err rebuild_on(struct job *j, const struct zone_snap **out) {
  bool is_done;
  enum err err = rebuild_step(&j->rebuild, &is_done, &j->why);
  if (err == ERR_NOT_FOUND) return fail(j, err, "the content that it would be made from is not kept any more", "");
  if (err == ERR_CORRUPT && !j->why.what[0])
    return fail(j, err, "what the log leads to is not what was served then: the log is damaged", "");
  if (!err && is_done) *out = rebuild_take(&j->rebuild);
  return err;
}

static enum err step_rebuild_from(struct control *c, struct job *j) {
  enum err err = rebuild_on(j, &j->from_snap);
  return err || !j->from_snap ? err : begin_diff(c, j);
}

static enum err step_rebuild_to(struct control *c, struct job *j) {
  enum err err = rebuild_on(j, &j->to_snap);
  if (err || !j->to_snap) return err;
  if (j->only_export) return begin_export(j);
  if (j->rolls_back) {
    j->step = step_roll_back;
    return ERR_OK;
  }
  if (j->from_nothing) return begin_diff(c, j);
  /* On the way to an older version its neighbour is nearer than what is served. */
  bool older = j->from_at >= j->to_at;
  const struct zone_snap *base = older ? j->to_snap : j->head;
  j->rebuild =
      (struct rebuild){&j->history, j->from_at, base, older ? j->history.list[j->to_at].version : j->head_version, NULL, 0};
  j->step = step_rebuild_from;
  return ERR_OK;
}

/* ---- export ---- */

static enum err step_export(struct control *c, struct job *j) {
  bool more;
  enum err err = zone_exporter_step(j->exporter, &j->text, STEP_BYTES, &more);
  if (err) return err;
  say_text(c, j);
  return more ? ERR_OK : done(c, j);
}

static enum err begin_export(struct job *j) {
  j->step = step_export;
  return zone_exporter_new(j->to_snap, &j->exporter);
}

void cmd_export(struct control *c, uint64_t token, const json_t *args) {
  const char *at = command_text(args, "at");
  struct history_point to = {0};
  struct zone_slot *z;
  if (!read_point(c, token, at, &to)) return;
  struct job *j = job_new(c, token, args);
  if (!j) return;
  j->to = to;
  j->only_export = true;
  z = registry_find(&c->registry, j->name.octets, j->name.size);
  if (at || !z || !z->snap) {
    job_start(c, j, step_locate);
    return;
  }
  j->to_snap = zone_snap_ref(z->snap);
  job_start(c, j, step_export);
  enum err err = begin_export(j);
  if (!err) return;
  answer_failed(c, j, err);
  jobs_gone(c, token);
}

/* ---- diff ---- */

static bool say_record(struct job *j, char sign, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                       uint16_t size) {
  if (!j->json) buf_add_byte(&j->text, (uint8_t)sign);
  size_t from = j->text.size;
  zonefile_print_record(owner, ttl, type, rdata, size, &j->text);
  if (!j->json || j->text.failed) return true;
  json_array_append_new(sign == '-' ? j->removed : j->added,
                        json_stringn((const char *)j->text.data + from, j->text.size - from - 1));
  return true;
}

static bool say_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  return say_record(arg, '-', owner, type, ttl, rdata, size);
}

static bool say_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  return say_record(arg, '+', owner, type, ttl, rdata, size);
}

static enum err step_diff(struct control *c, struct job *j) {
  bool more = true;
  j->removed = json_array();
  j->added = json_array();
  for (int turns = 0; more && turns < STEP_TURNS && j->text.size < STEP_BYTES; turns++)
    more = zone_differ_step(j->differ, &(struct zone_diff){say_removed, say_added, j}, 1);
  if (j->text.failed) return ERR_MEMORY;
  if (j->json) {
    if (j->text.size) reply_json(c, j->token, json_pack("{s:O,s:O}", "removed", j->removed, "added", j->added));
    buf_clear(&j->text);
  }
  json_decref(j->removed);
  json_decref(j->added);
  j->removed = j->added = NULL;
  say_text(c, j);
  return more ? ERR_OK : done(c, j);
}

static json_t *side_json(const struct history_entry *e) {
  char at[TIME_TEXT_BYTES];
  return json_pack("{s:I,s:I,s:s}", "version", (json_int_t)e->version, "serial", (json_int_t)e->serial, "at",
                   time_text(e->at_s, at));
}

static void side_text(const char *mark, const struct history_entry *e, struct buf *out) {
  char at[TIME_TEXT_BYTES];
  buf_printf(out, "%s v%" PRIu64 ", serial %u, %s\n", mark, e->version, e->serial, time_text(e->at_s, at));
}

static enum err begin_diff(struct control *c, struct job *j) {
  const struct history_entry *from = j->from_nothing ? NULL : &j->history.list[j->from_at], *to = &j->history.list[j->to_at];
  if (j->json) {
    json_t *o = json_pack("{s:o,s:[],s:[]}", "to", side_json(to), "removed", "added");
    if (from) json_object_set_new(o, "from", side_json(from));
    reply_json(c, j->token, o);
  } else {
    if (from) side_text("---", from, &j->text);
    else buf_add_text(&j->text, "--- nothing\n");
    side_text("+++", to, &j->text);
  }
  j->step = step_diff;
  return zone_differ_new(j->from_snap, j->to_snap, &j->differ);
}

void cmd_diff(struct control *c, uint64_t token, const json_t *args) {
  struct history_point from = {0}, to = {0};
  if (!read_point(c, token, command_text(args, "from"), &from) || !read_point(c, token, command_text(args, "to"), &to)) return;
  struct job *j = job_new(c, token, args);
  if (!j) return;
  j->from = from;
  j->to = to;
  job_start(c, j, step_locate);
}

/* ---- rollback ---- */

/* What is signed elsewhere would need a new signature for its new serial. */
static bool may_roll_back(struct control *c, uint64_t token, const struct zone_slot *z) {
  if (!command_may_write(c, token, z)) return false;
  if (!z->snap) reply_error(c, token, "the zone has no content now", "`tandem status ZONE` says why");
  else if (zone_is_signed(z->snap)) reply_error(c, token, "the zone is signed elsewhere", "roll it back where it is signed");
  return z->snap && !zone_is_signed(z->snap);
}

struct roll_back {
  struct whole whole;
  struct job *job;
  bool aside;
  const struct zone_snap *content; /* where it is wanted as this thread has it: a copy if it is another one; one reference */
};

static bool roll_back_begin(struct control *c, struct whole *w, struct zone_slot *z) {
  const struct job *j = ((struct roll_back *)w)->job;
  if (z->store_id == j->history.zone) return may_roll_back(c, w->token, z);
  reply_error(c, w->token, "the zone was removed meanwhile", "");
  return false;
}

/* What is put on top of what is served has a serial of its own. Only the control thread may build on what history has made. */
static enum err roll_back_work(struct whole *w) {
  struct roll_back *r = (struct roll_back *)w;
  struct zone_snap *copy = NULL;
  enum err err = !r->content && r->aside ? whole_copy(r->job->to_snap, &copy) : ERR_OK;
  if (err) return err;
  if (!r->content) r->content = copy ? copy : zone_snap_ref(r->job->to_snap);
  return w->next ? ERR_OK : whole_settle(w, zone_snap_ref(r->content), true);
}

static enum err commit(struct control *c, const struct whole *w, struct job *j, struct zone_slot *z, const struct ready *ready,
                       size_t *changed) {
  struct buf note = {0};
  char comment[64 + HISTORY_POINT_TEXT_BYTES];
  snprintf(comment, sizeof comment, "rollback to v%" PRIu64, j->history.list[j->to_at].version);
  struct change_info info = {.door = DOOR_COMMAND,
                             .author = w->author,
                             .comment = w->comment && *w->comment ? w->comment : comment,
                             .fresh_serial = true,
                             .ready = ready};
  enum err err = pipeline_change(c, z, w->next, &info, &note, changed, &j->why);
  buf_done(&note);
  return err;
}

static enum err roll_back(struct control *c, const struct whole *w, struct job *j, struct zone_slot *z, const struct ready *ready) {
  size_t changed;
  char text[NAME_TEXT_BYTES + 160];
  uint64_t version = j->history.list[j->to_at].version;
  enum err err = commit(c, w, j, z, ready, &changed);
  if (err) return err;
  if (changed)
    snprintf(text, sizeof text, "%s: v%" PRIu64 " is back as v%" PRIu64 ", serial %u\n", j->zone, version, z->version,
             zone_serial(z->snap));
  else snprintf(text, sizeof text, "%s: what is served is as in v%" PRIu64 ": nothing changed\n", j->zone, version);
  reply_json(c, j->token,
             json_pack("{s:b,s:s,s:I,s:I,s:b}", "ok", 1, "text", text, "version", (json_int_t)z->version, "serial",
                       (json_int_t)zone_serial(z->snap), "changed", changed != 0));
  return ERR_OK;
}

/* The job goes on, and says the difference. */
static enum err show_roll_back(struct control *c, struct roll_back *r, const struct zone_slot *z) {
  const struct whole *w = &r->whole;
  struct job *j = r->job;
  struct history_entry *now = &j->history.list[0], *then = &j->history.list[j->to_at];
  zone_snap_unref(j->to_snap);
  j->to_snap = zone_snap_ref(w->next);
  j->from_snap = zone_snap_ref(w->same ? w->next : z->snap); /* but for the serial, which does not move then */
  now->serial = zone_serial(z->snap);
  then->serial = zone_serial(j->to_snap);
  j->from_at = 0;
  enum err err = begin_diff(c, j);
  if (err) return err;
  r->job = NULL;
  job_start(c, j, j->step);
  return ERR_OK;
}

static void roll_back_done(struct control *c, struct whole *w, struct zone_slot *z, const struct ready *ready) {
  struct roll_back *r = (struct roll_back *)w;
  struct job *j = r->job;
  enum err err = w->err;
  if (!err) err = w->only_shown ? show_roll_back(c, r, z) : roll_back(c, w, j, z, ready);
  if (err) answer_failed(c, j, err);
}

static void roll_back_refused(struct control *c, struct whole *w, const char *why, const char *hint) {
  reply_error(c, w->token, why, hint);
}

static void roll_back_free(struct whole *w) {
  struct roll_back *r = (struct roll_back *)w;
  job_free(r->job);
  zone_snap_unref(r->content);
  free(r);
}

static const struct whole_use roll_back_use = {.begin = roll_back_begin,
                                               .work = roll_back_work,
                                               .done = roll_back_done,
                                               .refused = roll_back_refused,
                                               .free = roll_back_free,
                                               .what = "rollback"};

/* A small step back, as most are, costs what it changes. */
static bool is_large(const struct control *c, const struct job *j, const struct zone_slot *z) {
  uint64_t bytes = 0;
  if (!zone_shares_memory(z->snap, j->to_snap)) return whole_is_large(c, z, zone_memory_bytes(j->to_snap));
  for (size_t i = 0; i < j->to_at; i++)
    bytes += j->history.list[i].bytes;
  return bytes > c->images.whole_bytes;
}

static enum err step_roll_back(struct control *c, struct job *j) {
  const struct zone_slot *z = registry_find(&c->registry, j->name.octets, j->name.size);
  if (!z || z->store_id != j->history.zone) return fail(j, ERR_NOT_FOUND, "the zone was removed meanwhile", "");
  j->step = NULL;
  if (!may_roll_back(c, j->token, z)) return ERR_OK;
  struct roll_back *r = calloc(1, sizeof *r);
  if (!r) return ERR_MEMORY;
  c->author = j->author;
  c->comment = j->comment;
  whole_init(c, &r->whole, &roll_back_use, z, j->token);
  c->author = c->comment = NULL;
  r->whole.only_shown = j->dry_run;
  r->aside = is_large(c, j, z);
  j->roll_back = r;
  return ERR_OK;
}

static void start_roll_back(struct control *c, struct job *j) {
  struct roll_back *r = j->roll_back;
  r->job = j;
  j->roll_back = NULL;
  whole_start(c, &r->whole, r->aside);
}

void cmd_rollback(struct control *c, uint64_t token, const json_t *args) {
  struct history_point to;
  struct zone_slot *z = command_zone(c, token, args);
  const char *version = command_text(args, "version");
  if (!z || !may_roll_back(c, token, z) || !read_point(c, token, version, &to)) return;
  if (!version) {
    reply_error(c, token, "to which version?", "`tandem history ZONE` shows them");
    return;
  }
  struct job *j = job_new(c, token, args);
  if (!j) return;
  j->to = to;
  j->rolls_back = true;
  j->dry_run = json_is_true(json_object_get(args, "dry-run"));
  j->author = strdup(c->author ? c->author : "");
  j->comment = strdup(c->comment ? c->comment : "");
  job_start(c, j, step_locate);
}
