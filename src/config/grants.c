/* `update`: who may change what, compiled to what wire/grant.h walks. */
#include "config/load_priv.h"

#include "base/limits.h"
#include "wire/rr.h"

static void read_pattern(struct loader *l, const struct node *n, struct buf *patterns) {
  uint8_t octets[GRANT_PATTERN_BYTES];
  struct grant_pattern p;
  const char *why;
  if (!config_need_text(l, n)) return;
  if (grant_pattern_parse(n->text, n->size, octets, &p.size, &why)) {
    config_complain(l, n, "bad-name", "such as host, \"*\", \"_acme-challenge.**\" or \"**.dyn.example.com.\"",
                    "`%.255s` is no pattern of names: %s", n->text, why);
    return;
  }
  p.octets = arena_copy(l->arena, octets, p.size);
  if (!p.octets) l->exhausted = true;
  buf_add(patterns, &p, sizeof p);
}

static void read_type(struct loader *l, const struct node *n, struct buf *types) {
  uint16_t type;
  if (!config_need_text(l, n)) return;
  if (rr_type_from_text(n->text, n->size, &type) || !rr_type_is_data(type)) {
    config_complain(l, n, "bad-value", "such as TXT, AAAA or TYPE65280; leave `types` out for all of them",
                    "there are no records of the type `%.64s`", n->text);
    return;
  }
  buf_add(types, &type, sizeof type);
}

/* Each of a list's texts by `read` into `items`; an empty list would allow everything, which nobody means by it. */
static void read_items(struct loader *l, const struct node *n, struct buf *items,
                       void (*read)(struct loader *l, const struct node *n, struct buf *items)) {
  size_t left;
  const struct node *item = config_items(l, n, &left);
  if (!left && n->kind != NODE_MAP && n->kind != NODE_BAD)
    config_complain(l, n, "bad-value", "leave it out to allow all", "`%.64s` is empty", n->key);
  for (; left; left--, item = item->next)
    read(l, item, items);
}

static const void *keep_items(struct loader *l, const struct buf *items) {
  const void *copy = items->failed ? NULL : items->size ? arena_copy(l->arena, items->data, items->size) : items;
  if (!copy) l->exhausted = true;
  return items->size ? copy : NULL;
}

/* {key: NAME, from: PREFIX, tls: true, names: [...], types: [...]} */
static void read_map(struct loader *l, const struct node *n, struct grant *g) {
  struct given given = {0};
  struct buf names = {0}, types = {0};
  config_acl_read_map(l, SCOPE_GRANT, n, &l->entries, &given);
  const struct node *names_at = config_given(&given, SCOPE_GRANT, "names"), *types_at = config_given(&given, SCOPE_GRANT, "types");
  if (names_at) read_items(l, names_at, &names, read_pattern);
  if (types_at) read_items(l, types_at, &types, read_type);
  g->names = keep_items(l, &names);
  g->name_count = g->names ? names.size / sizeof *g->names : 0;
  g->types = keep_items(l, &types);
  g->type_count = g->types ? types.size / sizeof *g->types : 0;
  buf_done(&names);
  buf_done(&types);
}

void config_value_grants(struct loader *l, const struct node *n, struct grants *at) {
  size_t left = 1, count = 0;
  const struct node *item = n->kind == NODE_MAP ? n : config_items(l, n, &left);
  struct grant *list = config_keep(l, (left + 1) * sizeof *list);
  if (!list) return;
  for (; left; left--, item = item->next) {
    buf_clear(&l->entries);
    if (item->kind == NODE_MAP) read_map(l, item, &list[count]);
    else config_acl_read_word(l, item, &l->entries);
    if (config_acl_keep(l, &l->entries, &list[count].who)) count++;
  }
  if (count > LIMIT_ACL_ENTRIES)
    config_complain(l, n, "limit", "", "`%.64s` has at most %d entries", n->key ? n->key : "update", LIMIT_ACL_ENTRIES);
  *at = (struct grants){list, count};
}
