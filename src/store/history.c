/* What a zone was before: changesets newest first, images that full changes replaced, the seed beside a log that goes its own way.
 */
#include "store/store_priv.h"

#include <stdlib.h>

/* ---- snapshots beside the newest ones ---- */

bool kept_reserve(struct kept_table *t, size_t more) {
  if (t->count + more <= t->capacity) return true;
  size_t capacity = t->capacity ? 2 * t->capacity : 16;
  if (capacity < t->count + more) capacity = t->count + more;
  struct kept *list = realloc(t->list, capacity * sizeof *list);
  if (!list) return false;
  t->list = list;
  t->capacity = capacity;
  return true;
}

/* The first one of the zone, or where it would stand. */
static size_t first_of(const struct kept_table *t, uint64_t zone) {
  size_t low = 0, high = t->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (t->list[middle].zone < zone) low = middle + 1;
    else high = middle;
  }
  return low;
}

void kept_add(struct kept_table *t, const struct kept *k) {
  size_t at = first_of(t, k->zone);
  while (at < t->count && t->list[at].zone == k->zone && t->list[at].image.version <= k->image.version)
    at++;
  memmove(&t->list[at + 1], &t->list[at], (t->count - at) * sizeof *t->list);
  t->list[at] = *k;
  t->count++;
}

struct kept *kept_find(const struct kept_table *t, uint64_t zone, uint64_t snapshot) {
  for (size_t i = first_of(t, zone); i < t->count && t->list[i].zone == zone; i++)
    if (t->list[i].snapshot == snapshot) return &t->list[i];
  return NULL;
}

const struct kept *kept_seed(const struct kept_table *t, uint64_t zone) {
  for (size_t i = first_of(t, zone); i < t->count && t->list[i].zone == zone; i++)
    if (t->list[i].kind == SNAPSHOT_SEED) return &t->list[i];
  return NULL;
}

void kept_remove(struct kept_table *t, struct kept *k) {
  size_t at = (size_t)(k - t->list);
  memmove(k, k + 1, (t->count - at - 1) * sizeof *t->list);
  t->count--;
}

void store_seed_of(const struct store *s, uint64_t zone, struct store_image *out) {
  const struct kept *k = kept_seed(&s->kept, zone);
  *out = k ? k->image : (struct store_image){0};
}

enum err store_image_at(struct store *s, uint64_t zone, uint64_t version, struct store_image *out) {
  const struct zone_row *row = zones_find(s, zone);
  const struct store_image *best = row && row->image.segment && row->image.version <= version ? &row->image : NULL;
  for (size_t i = first_of(&s->kept, zone); i < s->kept.count && s->kept.list[i].zone == zone; i++) {
    const struct kept *k = &s->kept.list[i];
    if (k->kind != SNAPSHOT_KEPT || k->image.version > version) continue;
    if (!best || k->image.version > best->version) best = &k->image;
  }
  if (!best) return ERR_NOT_FOUND;
  *out = *best;
  return ERR_OK;
}

void store_hold(struct store *s) {
  s->holds++;
}

void store_release(struct store *s) {
  if (s->holds) s->holds--;
}

/* ---- changesets ---- */

enum err store_walk_back(struct store *s, uint64_t zone, uint64_t head, bool (*f)(void *arg, const struct store_change *c),
                         void *arg, struct store_error *error) {
  if (!s->db.connection) return store_fail(error, ERR_IO, "the log could not be opened again after an error of the disk");
  return change_walk_back(&s->db, zone, head, f, arg, error);
}

/* Each row is a statement of its own: no transaction stays open that would keep the WAL from being used again. */
struct store_reader {
  struct db db;
};

enum err store_reader_open(const struct store *s, struct store_reader **out, struct store_error *error) {
  struct store_reader *r = calloc(1, sizeof *r);
  if (!r) return store_fail(error, ERR_MEMORY, "out of memory");
  enum err err = db_open_reader(&r->db, s->dir, s->env.vfs, error);
  if (err) {
    free(r);
    return err;
  }
  *out = r;
  return ERR_OK;
}

void store_reader_close(struct store_reader *r) {
  if (!r) return;
  db_close(&r->db);
  free(r);
}

enum err store_reader_hold(struct store_reader *r) {
  return sqlite3_exec(r->db.connection, "BEGIN", NULL, NULL, NULL) == SQLITE_OK ? ERR_OK : ERR_IO;
}

enum err store_reader_each_change(struct store_reader *r, uint64_t zone, uint64_t head, uint64_t after,
                                  enum err (*f)(void *arg, const struct store_change *c), void *arg, struct store_error *error) {
  return change_each(&r->db, zone, head, after, f, arg, error);
}

bool store_has_readers(const struct store *s) {
  return !s->env.vfs;
}

enum err store_reader_walk_back(struct store_reader *r, uint64_t zone, uint64_t head,
                                bool (*f)(void *arg, const struct store_change *c), void *arg, struct store_error *error) {
  return change_walk_back(&r->db, zone, head, f, arg, error);
}
