#include "base/give_way.h"
#include "base/pool.h"
#include "zone/image_priv.h"
#include "zone/snap_priv.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

enum { AHEAD = 12 }; /* cells fetched before they are written */

static pthread_mutex_t links_lock = PTHREAD_MUTEX_INITIALIZER;

enum err line_new(const struct name *apex, struct zone_line **out) {
  struct zone_line *line = pool_take_sized(sizeof *line + name_room(apex));
  if (!line) return ERR_MEMORY;
  struct name *own = (struct name *)(line + 1);
  name_copy(own, apex);
  line->apex = own;
  heap_init(&line->heap);
  *out = line;
  return ERR_OK;
}

void line_free(struct zone_line *line) {
  for (size_t i = 0; i < line->free_count; i++)
    span_list_done(line->free_spans + i);
  free(line->free_spans);
  heap_done(&line->heap);
  guard_free(line->guard);
  if (line->backing) line->backing->release(line->backing);
  hashing_free(line->hashing);
  pool_give_sized(line, sizeof *line + name_room(line->apex));
}

/* Their cells lie all over memory, and each becomes a link of a bin. */
static void free_list(struct heap *h, const struct span_list *l) {
  for (size_t i = 0; i < l->count; i++) {
    uint32_t ahead = l->items[i + AHEAD < l->count ? i + AHEAD : i].ref;
    if (chunk_at(h->table, ahead)) __builtin_prefetch(cell_at(h->table, ahead), 1);
    heap_free(h, l->items[i].ref, l->items[i].cells);
    give_way();
  }
}

enum err line_edit_begin(struct zone_line *line) {
  pthread_mutex_lock(&links_lock);
  bool busy = line->editing;
  line->editing = true;
  struct span_list *lists = line->free_spans;
  size_t count = line->free_count;
  if (!busy) {
    line->free_spans = NULL;
    line->free_count = line->free_capacity = 0;
  }
  pthread_mutex_unlock(&links_lock);
  if (busy) return ERR_LOCKED;
  for (size_t i = 0; i < count; i++) {
    free_list(&line->heap, lists + i);
    span_list_done(lists + i);
  }
  free(lists);
  return ERR_OK;
}

void line_edit_end(struct zone_line *line) {
  pthread_mutex_lock(&links_lock);
  line->editing = false;
  pthread_mutex_unlock(&links_lock);
}

void line_add(struct zone_line *line, struct zone_snap *s, struct zone_snap *older, struct span_list *born,
              struct span_list *dropped) {
  pthread_mutex_lock(&links_lock);
  s->born = *born;
  s->dropped = *dropped;
  *born = *dropped = (struct span_list){0};
  s->older = older;
  if (older) older->children++;
  s->last_created = line->newest;
  if (line->newest) line->newest->next_created = s;
  else line->oldest = s;
  line->newest = s;
  pthread_mutex_unlock(&links_lock);
}

/* Hands spans to the next edit. Without memory for that they stay lost until the line goes. */
static void give_back(struct zone_line *line, struct span_list *l) {
  if (l->count && line->free_count == line->free_capacity) {
    size_t capacity = line->free_capacity ? 2 * line->free_capacity : 4;
    struct span_list *lists = realloc(line->free_spans, capacity * sizeof *lists);
    if (lists) {
      line->free_spans = lists;
      line->free_capacity = capacity;
    }
  }
  if (l->count && line->free_count < line->free_capacity) {
    line->free_spans[line->free_count++] = *l;
    *l = (struct span_list){0};
  }
  span_list_done(l);
}

static void unlink_snap(struct zone_line *line, struct zone_snap *s) {
  *(s->last_created ? &s->last_created->next_created : &line->oldest) = s->next_created;
  *(s->next_created ? &s->next_created->last_created : &line->newest) = s->last_created;
  snap_free(s);
}

/* Rules 1 and 2 of the header, as far as they go from `s`, which has just died. True: the line has no snapshot left. */
static bool settle(struct zone_line *line, struct zone_snap *s) {
  while (s && s->dead && s->children == 0) {
    struct zone_snap *older = s->older;
    if (older) older->children--;
    give_back(line, &s->born);
    unlink_snap(line, s);
    s = older;
  }
  for (struct zone_snap *o = line->oldest; o && o->dead && o->children == 1; o = line->oldest) {
    struct zone_snap *child = o->next_created;
    while (child->older != o)
      child = child->next_created;
    give_back(line, &child->dropped);
    span_list_done(&child->born);
    child->older = NULL;
    unlink_snap(line, o);
  }
  return !line->oldest;
}

static void snap_died(void *arg) {
  struct zone_snap *s = arg;
  struct zone_line *line = s->line;
  pthread_mutex_lock(&links_lock);
  s->dead = true;
  bool empty = settle(line, s);
  pthread_mutex_unlock(&links_lock);
  if (empty) line_free(line);
}

struct zone_snap *zone_snap_ref(const struct zone_snap *s) {
  struct zone_snap *own = (struct zone_snap *)(uintptr_t)s; /* const for readers; the count is not content */
  unsigned before = atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
  assert(before > 0);
  (void)before;
  return own;
}

void zone_snap_unref(const struct zone_snap *s) {
  if (!s) return;
  struct zone_snap *own = (struct zone_snap *)(uintptr_t)s;
  if (atomic_fetch_sub_explicit(&own->refs, 1, memory_order_acq_rel) == 1) grace_defer(&own->grace, snap_died, own);
}
