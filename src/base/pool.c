#include "base/pool.h"

#include "base/pages.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Under AddressSanitizer each object comes from malloc, so that one that is used too long is found. */
#if defined(__SANITIZE_ADDRESS__)
#define POOL_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_MALLOC 1
#endif
#endif
#ifndef POOL_MALLOC
#define POOL_MALLOC 0
#endif

enum { FIRST_PIECE_BYTES = 1 << 16, SIZE_STEP = 32, SIZES = POOL_SMALL_BYTES / SIZE_STEP };

static struct pool sized[SIZES];
static pthread_once_t sized_once = PTHREAD_ONCE_INIT;

/* Each piece is as large as all before it. What of it is not used yet takes no memory. */
static bool grow(struct pool *p) {
  size_t size = p->bytes ? p->bytes : FIRST_PIECE_BYTES;
  void *piece = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (piece == MAP_FAILED) return false;
  pages_expect(piece, size);
  p->bytes += size;
  p->fresh = piece;
  p->fresh_bytes = size;
  return true;
}

void *pool_take(struct pool *p) {
  if (POOL_MALLOC) return calloc(1, p->object_bytes);
  pthread_mutex_lock(&p->lock);
  void *object = p->given, *used = object;
  if (object) {
    memcpy(&p->given, object, sizeof p->given);
  } else if (p->fresh_bytes >= p->object_bytes || grow(p)) {
    object = p->fresh;
    p->fresh += p->object_bytes;
    p->fresh_bytes -= p->object_bytes;
  }
  pthread_mutex_unlock(&p->lock);
  return used ? memset(used, 0, p->object_bytes) : object;
}

void pool_give(struct pool *p, void *object) {
  if (!object) return;
  if (POOL_MALLOC) {
    free(object);
    return;
  }
  pthread_mutex_lock(&p->lock);
  memcpy(object, &p->given, sizeof p->given);
  p->given = object;
  pthread_mutex_unlock(&p->lock);
}

static void sized_init(void) {
  for (size_t i = 0; i < SIZES; i++) {
    pthread_mutex_init(&sized[i].lock, NULL);
    sized[i].object_bytes = (i + 1) * SIZE_STEP;
  }
}

static struct pool *sized_pool(size_t n) {
  return !POOL_MALLOC && n && n <= POOL_SMALL_BYTES ? &sized[(n - 1) / SIZE_STEP] : NULL;
}

void *pool_take_sized(size_t n) {
  struct pool *p = sized_pool(n);
  if (!p) return calloc(1, n);
  pthread_once(&sized_once, sized_init);
  return pool_take(p);
}

void pool_give_sized(void *object, size_t n) {
  struct pool *p = sized_pool(n);
  if (p) pool_give(p, object);
  else free(object);
}
