#include "config/load_priv.h"

/* What a listener is for: queries, transfers or both. */
static void read_purposes(struct loader *l, const struct node *n, struct config_listen *out) {
  size_t left;
  const struct node *item = config_items(l, n, &left);
  out->queries = out->transfers = false;
  if (!left && n->kind != NODE_MAP) config_complain(l, n, "bad-value", "it is one of: queries, transfers", "`for` names nothing");
  for (; left; left--, item = item->next) {
    if (!config_need_text(l, item)) continue;
    if (strcmp(item->text, "queries") == 0) out->queries = true;
    else if (strcmp(item->text, "transfers") == 0) out->transfers = true;
    else config_complain(l, item, "bad-value", "it is one of: queries, transfers", "a listener cannot be for `%.64s`", item->text);
  }
}

static bool read_listen(struct loader *l, const struct node *n, struct config_listen *out) {
  *out = (struct config_listen){.queries = true, .transfers = true, .place = node_place(n)};
  if (n->kind != NODE_MAP) return config_value_address(l, n, 53, &out->addr);
  struct given given = {0};
  config_scope_read(l, SCOPE_LISTEN, n, out, &given);
  const struct node *purposes = config_given(&given, SCOPE_LISTEN, "for");
  if (purposes) read_purposes(l, purposes, out);
  if (!config_given(&given, SCOPE_LISTEN, "address")) config_complain(l, n, "missing-key", "", "`address` is missing");
  return out->addr.family != 0;
}

void config_value_listen(struct loader *l, const struct node *n, struct config_listens *at) {
  size_t left;
  const struct node *item = n->kind == NODE_MAP ? n : config_items(l, n, &left);
  if (n->kind == NODE_MAP) left = 1;
  struct config_listen *list = config_keep(l, (at->count + left) * sizeof *list);
  if (!list) return;
  if (at->count) memcpy(list, at->list, at->count * sizeof *list); /* lists in several files are joined */
  size_t count = at->count;
  for (; left; left--, item = item->next) {
    if (!read_listen(l, item, &list[count])) continue;
    char first[PLACE_TEXT_BYTES], text[ADDR_TEXT_BYTES];
    for (size_t i = 0; i < count; i++)
      if (addr_equal(&list[i].addr, &list[count].addr))
        config_complain(l, item, "name-twice", "keep one of them", "%s is listened on twice; first at %s",
                        addr_text(&list[i].addr, text), config_place_text(list[i].place, first));
    count++;
  }
  *at = (struct config_listens){list, count};
}

static void load_server(struct loader *l, const struct node *section) {
  config_scope_read(l, SCOPE_SERVER, section, &l->config->server, &l->given);
  if (section->kind != NODE_MAP) return;
  for (const struct node *n = section->child; n; n = n->next)
    if (strcmp(n->key, "log") == 0) config_scope_read(l, SCOPE_LOG, n, &l->config->server, &l->given);
}

static void load_history(struct loader *l, const struct node *section) {
  config_scope_read(l, SCOPE_HISTORY, section, &l->config->history, &l->given);
}

static void load_metrics(struct loader *l, const struct node *section) {
  config_scope_read(l, SCOPE_METRICS, section, &l->config->metrics, &l->given);
  config_scope_defaults(l, SCOPE_METRICS, &l->config->metrics, &l->given);
}

void config_load_server(struct loader *l) {
  struct config *c = l->config;
  config_sections(l, "server", load_server);
  config_sections(l, "history", load_history);
  config_sections(l, "metrics", load_metrics);
  const struct node *listen = config_given(&l->given, SCOPE_SERVER, "listen");
  if (listen && listen->kind != NODE_BAD && !(listen->kind == NODE_LIST ? listen->size : !node_is_empty(listen)))
    config_complain_key(l, listen, "bad-value", "leave it out to serve all addresses", "`server.listen` names no address");
  config_scope_defaults(l, SCOPE_SERVER, &c->server, &l->given);
  config_scope_defaults(l, SCOPE_LOG, &c->server, &l->given);
  config_scope_defaults(l, SCOPE_HISTORY, &c->history, &l->given);
}
