/* A doubly linked list through its members. A list is its own sentinel; a member that stands in no list points to itself, so
 * taking it out twice is harmless. Thread: the owner's. */
#ifndef XFR_LIST_PRIV_H
#define XFR_LIST_PRIV_H

#include <stdbool.h>
#include <stddef.h>

struct list {
  struct list *next, *prev;
};

/* The struct of `type` whose `member` is at `ptr`. */
#define MEMBER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l) {
  l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l) {
  return l->next == l;
}

static inline void list_remove(struct list *member) {
  member->prev->next = member->next;
  member->next->prev = member->prev;
  list_init(member);
}

static inline void list_push_back(struct list *l, struct list *member) {
  member->prev = l->prev;
  member->next = l;
  l->prev->next = member;
  l->prev = member;
}

#endif
