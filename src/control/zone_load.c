#include "control/zone_load.h"

#include "control/reader_thread.h"
#include "zone/check.h"
#include "zonefile/zonefile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What is scanned: a file, or bytes. */
struct text {
  const char *path;
  const uint8_t *bytes; /* NULL: the file at `path` */
  size_t size;
};

struct load {
  const struct text *text;
  const struct name *apex;
  const struct zone_load_options *o;
  struct diags *diags;
  struct zone_edit *edit;
  uint64_t records; /* added */
  uint64_t ttl_sum; /* of their TTLs */
  bool has_soa;
  struct buf soa; /* RDATA of the first */
  struct zone_loaded out;
  enum err error; /* why the callback stopped the scan */
};

static enum err scan(const struct text *t, struct zonefile_options *o, const struct load *l, struct diags *diags) {
  o->origin = *l->apex;
  o->include_root = l->o ? l->o->include_root : NULL;
  o->plain = l->o && l->o->plain;
  o->kept = l->o ? l->o->kept : NULL;
  o->default_ttl = l->o ? l->o->default_ttl : 0;
  o->no_include = t->bytes && !o->include_root;
  if (t->bytes) return zonefile_scan_bytes(t->path, t->bytes, t->size, o, diags);
  return zonefile_scan(t->path, o, diags);
}

/* ---- first pass: records into the edit ---- */

struct digest128 zone_load_digest(struct digest128 so_far, struct digest128 file) {
  struct digest128 both[2] = {so_far, file};
  return hash128(both, sizeof both);
}

static void file_seen(void *arg, const struct zonefile_file *file) {
  struct load *l = arg;
  l->out.digest = zone_load_digest(l->out.digest, hash128(file->bytes, file->size));
  l->out.bytes += file->size;
  if (l->text->bytes && l->out.file_count == 0 && file->inode == 0) return;
  size_t n = l->out.file_count;
  struct zone_source_file *files = realloc(l->out.files, (n + 1) * sizeof *files);
  if (files) l->out.files = files;
  char *path = files ? strdup(file->path) : NULL;
  if (!path) {
    l->error = ERR_MEMORY;
    return;
  }
  files[n] = (struct zone_source_file){path, file->size, file->mtime_ns, file->ctime_ns, file->device, file->inode};
  l->out.file_count++;
}

static void row_error(struct load *l, const struct zonefile_record *r, enum zone_check check, const char *what) {
  const struct zone_check_row *row = zone_check_row(check);
  char owner[NAME_TEXT_BYTES];
  diag_add(l->diags, SEVERITY_ERROR, r->place, row->name, row->hint, "%s %s", name_text(&r->owner, owner), what);
}

/* Only the first SOA is added: a copy of it is fine, another one is not. */
static bool is_new_soa(struct load *l, const struct zonefile_record *r) {
  if (!name_equal(&r->owner, l->apex)) {
    row_error(l, r, ZONE_CHECK_SOA_NOT_AT_APEX, "has a SOA, but is not the zone's name");
    return false;
  }
  if (!l->has_soa) {
    l->has_soa = true;
    buf_add(&l->soa, r->rdata, r->rdata_size);
    return true;
  }
  if (rr_rdata_compare(RR_SOA, l->soa.data, l->soa.size, r->rdata, r->rdata_size) != 0)
    row_error(l, r, ZONE_CHECK_SEVERAL_SOA, "has another SOA already");
  return false;
}

static bool add_record(void *arg, const struct zonefile_record *r) {
  struct load *l = arg;
  enum zone_add outcome;
  if (r->type == RR_SOA && !is_new_soa(l, r)) return true;
  enum err e = zone_edit_add(l->edit, &r->owner, r->type, r->ttl, r->rdata, r->rdata_size, &outcome);
  if (e == ERR_RANGE) {
    char apex[NAME_TEXT_BYTES], what[NAME_TEXT_BYTES + 32];
    snprintf(what, sizeof what, "is not in the zone %s", name_text(l->apex, apex));
    row_error(l, r, ZONE_CHECK_OUT_OF_ZONE, what);
    return true;
  }
  if (e != ERR_OK && l->error == ERR_OK) l->error = e;
  l->records++;
  l->ttl_sum += r->ttl;
  if (l->o && l->o->progress && !l->o->progress(l->o->progress_arg, l->records) && !l->error) l->error = ERR_CLOSED;
  return l->error == ERR_OK;
}

/* ---- the rear half of a large file, by another thread (zonefile.h) ---- */

enum { REAR_FILE_BYTES = 4 << 20 };

struct rear {
  struct load *front;
  struct zonefile_rear *half;
  pthread_t thread;
  struct zone_edit *edit; /* what was gathered; NULL: nothing */
  uint64_t records, ttl_sum;
  bool has_soa; /* one, which is judged with those of the front */
  struct zonefile_record soa;
  struct buf soa_rdata;
};

static void *run_rear(void *arg) {
  struct rear *r = arg;
  zonefile_rear_scan(r->half);
  return NULL;
}

static bool begin_rear(void *arg, struct zonefile_rear *half) {
  struct rear *r = arg;
  r->half = half;
  return reader_threads_most() > 1 && zone_edit_begin(NULL, r->front->apex, &r->edit) == ERR_OK &&
         reader_thread_start(&r->thread, run_rear, r);
}

static void wait_for_rear(void *arg) {
  struct rear *r = arg;
  pthread_join(r->thread, NULL);
}

/* The whole stands between two copies of it in what a transfer left. */
static bool keep_soa(struct rear *r, const struct zonefile_record *soa) {
  if (r->has_soa) return false;
  r->has_soa = true;
  r->soa = *soa;
  buf_add(&r->soa_rdata, soa->rdata, soa->rdata_size);
  return !r->soa_rdata.failed;
}

/* What is wrong is left to the front, which comes upon it again. */
static bool add_rear_record(void *arg, const struct zonefile_record *r) {
  struct rear *rear = arg;
  enum zone_add outcome;
  if (r->type == RR_SOA) return keep_soa(rear, r);
  if (zone_edit_add(rear->edit, &r->owner, r->type, r->ttl, r->rdata, r->rdata_size, &outcome) != ERR_OK) return false;
  rear->records++;
  rear->ttl_sum += r->ttl;
  return true;
}

static bool take_rear(void *arg) {
  struct rear *r = arg;
  struct load *l = r->front;
  l->error = zone_edit_join(l->edit, r->edit);
  r->edit = NULL;
  l->records += r->records;
  l->ttl_sum += r->ttl_sum;
  if (l->error == ERR_OK && r->has_soa) {
    r->soa.rdata = r->soa_rdata.data;
    (void)add_record(l, &r->soa);
  }
  return l->error == ERR_OK;
}

static void rear_done(struct rear *r) {
  zone_edit_abort(r->edit);
  buf_done(&r->soa_rdata);
}

/* ---- both ---- */

static enum err read_records(struct load *l) {
  struct rear rear = {.front = l};
  struct zonefile_fork fork = {.least_bytes = REAR_FILE_BYTES,
                               .begin = begin_rear,
                               .record = add_rear_record,
                               .wait = wait_for_rear,
                               .take = take_rear,
                               .arg = &rear};
  struct zonefile_options o = {.file_seen = file_seen, .record = add_record, .arg = l};
  if (l->o && l->o->two_threads) o.fork = &fork;
  enum err e = zone_edit_begin(NULL, l->apex, &l->edit);
  if (e != ERR_OK) return e;
  size_t errors_before = l->diags->errors;
  e = scan(l->text, &o, l, l->diags);
  rear_done(&rear);
  if (l->error != ERR_OK) return l->error;
  if (e != ERR_OK) return e;
  if (!l->has_soa) {
    const struct zone_check_row *row = zone_check_row(ZONE_CHECK_NO_SOA);
    char apex[NAME_TEXT_BYTES];
    /* A file that could not be read to its end may well have one. */
    if (l->diags->errors == errors_before)
      diag_add(l->diags, SEVERITY_ERROR, (struct place){l->text->path, 0, 0}, row->name, row->hint, "the zone %s has no SOA record",
               name_text(l->apex, apex));
  }
  return l->diags->errors > errors_before ? ERR_FORMAT : ERR_OK;
}

/* ---- second pass: where the findings are ---- */

struct finding {
  struct zone_finding f;
  struct place place;
  struct finding *next;      /* in the order found */
  struct finding *same_slot; /* of the table */
};

enum { SLOTS = 256 };

struct locate {
  struct load *l;
  struct arena memory;
  struct finding *first, **last;
  struct finding *slots[SLOTS];      /* those not located yet, by owner and type */
  size_t count;                      /* kept */
  size_t more_errors, more_warnings; /* beyond LIMIT_DIAGS: only counted */
  size_t missing;                    /* kept and not located yet */
  bool ttl_differs;
  struct name ttl_owner; /* of the last difference said */
  uint16_t ttl_type;
  bool ttl_said;
  bool failed;
};

static size_t slot_of(const struct name *owner, uint16_t type) {
  struct name n = *owner;
  name_lower(&n);
  return hash64(n.octets, n.size, type) % SLOTS;
}

static bool keep_finding(void *arg, const struct zone_finding *f) {
  struct locate *c = arg;
  if (c->count >= LIMIT_DIAGS) {
    if (f->severity == SEVERITY_ERROR) c->more_errors++;
    else c->more_warnings++;
    return true;
  }
  struct finding *x = arena_alloc(&c->memory, sizeof *x);
  if (!x) {
    c->failed = true;
    return false;
  }
  *x = (struct finding){.f = *f, .place = {c->l->text->path, 0, 0}};
  *c->last = x;
  c->last = &x->next;
  c->count++;
  if (f->type == 0) return true;
  struct finding **slot = &c->slots[slot_of(&f->owner, f->type)];
  x->same_slot = *slot;
  *slot = x;
  c->missing++;
  return true;
}

/* A record that has not the TTL its RRset was given. */
static void compare_ttl(struct locate *c, const struct zonefile_record *r) {
  uint8_t key[NAME_KEY_BYTES];
  struct zone_rrset set;
  struct zone_lookup q = {.snap = c->l->out.snap, .key = key, .key_size = (uint16_t)name_key(&r->owner, key)};
  uint16_t type = r->type == RR_RRSIG && r->rdata_size >= 2 ? get_u16(r->rdata) : r->type;
  zone_lookup(&q);
  if (!q.found.node || !zone_find_rrset(q.found.node, type, &set)) return;
  uint32_t kept = r->type == RR_RRSIG ? set.sig_ttl : set.ttl;
  if (kept == r->ttl || (c->ttl_said && c->ttl_type == r->type && name_equal(&c->ttl_owner, &r->owner))) return;
  c->ttl_said = true;
  c->ttl_type = r->type;
  c->ttl_owner = r->owner;
  const struct zone_check_row *row = zone_check_row(ZONE_CHECK_TTL_MISMATCH);
  char owner[NAME_TEXT_BYTES], mnemonic[RR_TYPE_TEXT_BYTES];
  diag_add(c->l->diags, row->severity, r->place, row->name, row->hint, "%s %s has TTL %u here and %u elsewhere; the lower is kept",
           name_text(&r->owner, owner), rr_type_text(r->type, mnemonic), r->ttl, kept);
}

/* Findings are at the first record of their owner and type. */
static void locate_findings(struct locate *c, const struct zonefile_record *r) {
  struct finding **at = &c->slots[slot_of(&r->owner, r->type)];
  while (*at) {
    struct finding *x = *at;
    if (x->f.type != r->type || !name_equal(&x->f.owner, &r->owner)) {
      at = &x->same_slot;
      continue;
    }
    *at = x->same_slot;
    const char *file = arena_text(&c->memory, r->place.file, strlen(r->place.file));
    if (file) x->place = (struct place){file, r->place.line, r->place.column};
    c->missing--;
  }
}

static bool locate_record(void *arg, const struct zonefile_record *r) {
  struct locate *c = arg;
  if (c->ttl_differs) compare_ttl(c, r);
  if (c->missing) locate_findings(c, r);
  return c->missing || c->ttl_differs;
}

static void say_findings(struct locate *c) {
  for (const struct finding *x = c->first; x; x = x->next) {
    const struct zone_check_row *row = zone_check_row(x->f.check);
    diag_add(c->l->diags, x->f.severity, x->place, row->name, row->hint, "%s", x->f.what);
  }
  c->l->diags->errors += c->more_errors;
  c->l->diags->warnings += c->more_warnings;
}

/* Checks the snapshot; says what was found with places. */
static enum err check(struct load *l) {
  struct locate c = {.l = l};
  struct zone_check_totals totals;
  c.last = &c.first;
  struct zone_check_options o = {.all = l->o && l->o->all_checks};
  enum err e = zone_check(l->out.snap, &o, keep_finding, &c, &totals);
  if (e == ERR_OK && c.failed) e = ERR_MEMORY;
  if (e == ERR_OK) {
    c.ttl_differs = totals.ttl_sum != l->ttl_sum;
    struct zonefile_options scan_options = {.record = locate_record, .arg = &c};
    struct diags again = {0}; /* the text had no mistakes; should it have changed, places are missing and nothing else */
    if (c.missing || c.ttl_differs) {
      enum err ignored = scan(l->text, &scan_options, l, &again);
      (void)ignored;
    }
    diags_done(&again);
    say_findings(&c);
    if (totals.errors) e = ERR_FORMAT;
  }
  arena_done(&c.memory);
  return e;
}

/* ---- both passes ---- */

static enum err load(const struct text *text, const struct name *apex, const struct zone_load_options *o, struct diags *diags,
                     struct zone_loaded *out) {
  struct load l = {.text = text, .apex = apex, .o = o, .diags = diags};
  enum err e = read_records(&l);
  if (e == ERR_OK) {
    e = zone_edit_finish(l.edit, &l.out.snap);
  } else {
    zone_edit_abort(l.edit);
  }
  if (e == ERR_OK) e = check(&l);
  buf_done(&l.soa);
  l.out.plain = o && o->plain;
  if (e == ERR_OK) *out = l.out;
  else zone_loaded_done(&l.out);
  return e;
}

enum err zone_load_file(const char *path, const struct name *apex, const struct zone_load_options *o, struct diags *diags,
                        struct zone_loaded *out) {
  struct text text = {.path = path};
  return load(&text, apex, o, diags, out);
}

enum err zone_load_bytes(const char *name, const uint8_t *bytes, size_t n, const struct name *apex,
                         const struct zone_load_options *o, struct diags *diags, struct zone_loaded *out) {
  struct text text = {name, bytes ? bytes : (const uint8_t *)"", bytes ? n : 0};
  return load(&text, apex, o, diags, out);
}

struct zone_snap *zone_loaded_take(struct zone_loaded *l) {
  struct zone_snap *s = l->snap;
  l->snap = NULL;
  return s;
}

void zone_loaded_done(struct zone_loaded *l) {
  zone_snap_unref(l->snap);
  for (size_t i = 0; i < l->file_count; i++)
    free(l->files[i].path);
  free(l->files);
  *l = (struct zone_loaded){0};
}

int64_t zone_load_time_ns(struct timespec t) {
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool zone_load_unchanged(const struct zone_source_file *files, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct zone_source_file *f = &files[i];
    struct stat st;
    if (stat(f->path, &st) != 0 || (uint64_t)st.st_size != f->size || st.st_dev != f->device || st.st_ino != f->inode) return false;
    if (zone_load_time_ns(st.st_mtim) != f->mtime_ns || zone_load_time_ns(st.st_ctim) != f->ctime_ns) return false;
  }
  return true;
}
