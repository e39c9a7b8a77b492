/* Objects of one size that there may be a million of: cut from pieces that grow with their number, where malloc would have a page
 * fault for each page and something in front of each object. What is given back serves the next one; pieces stay until the process
 * ends. Thread: any. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <pthread.h>
#include <stddef.h>

struct pool {
  pthread_mutex_t lock;
  size_t object_bytes; /* a multiple of 8 */
  size_t bytes;        /* of all pieces */
  char *fresh;         /* the rest of the last piece */
  size_t fresh_bytes;
  void *given; /* back: each begins with a pointer to the next */
};

#define POOL_OF(type) \
  { .lock = PTHREAD_MUTEX_INITIALIZER, .object_bytes = sizeof(type) }

void *pool_take(struct pool *p);              /* zeroed; NULL: out of memory */
void pool_give(struct pool *p, void *object); /* NULL is fine */

/* The same for what has many sizes: up to POOL_SMALL_BYTES from one of the process's own pools, a pool for every 32 octets; larger
 * ones from malloc. Given back with the size it was taken with. */
enum { POOL_SMALL_BYTES = 2048 };
void *pool_take_sized(size_t n); /* zeroed; NULL: out of memory */
void pool_give_sized(void *object, size_t n);

#endif
