/* A hash table of numbers: finds the index of something that is kept elsewhere. Open addressing, never shrinks.
 *
 * Thread: the owner's. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
  uint32_t hash; /* the upper half of the whole hash */
  uint32_t index_plus_1;
};

struct table {
  struct table_slot *slots;
  size_t mask; /* slots - 1; a power of two less one */
  size_t count;
};

/* Makes room for `count` in all; false: out of memory. */
bool table_reserve(struct table *t, size_t count);
/* The index of what `same` says is the thing with this hash; UINT32_MAX: there is none. */
uint32_t table_find(const struct table *t, uint64_t hash, bool (*same)(const void *arg, uint32_t index), const void *arg);
/* Brings to the cache what finding and adding with this hash will look at first. */
void table_prefetch(const struct table *t, uint64_t hash);
/* Adds what is known not to be in it. */
bool table_add(struct table *t, uint64_t hash, uint32_t index);
/* Takes out what is known to be in it. */
void table_remove(struct table *t, uint64_t hash, uint32_t index);
void table_done(struct table *t);

#endif
