/* Configurations from hostile bytes, without files.
 *
 * Holds: either there are errors or a configuration; findings stand inside the text; a good configuration keeps what config.h
 * promises, and reading it again gives the same; the tree written as JSON reads back equal. */
#include "config/config.h"
#include "config/yaml_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

static void check_findings(const struct diags *d, const uint8_t *data, size_t size) {
  uint32_t lines = 1;
  for (size_t i = 0; i < size; i++)
    lines += data[i] == '\n' || data[i] == '\r' || data[i] == 0x85 || data[i] == 0xa8 || data[i] == 0xa9; /* and NEL, LS, PS */
  for (size_t i = 0; i < d->count; i++) {
    require(d->list[i].place.line <= lines);
    require(d->list[i].place.column <= size + 1);
    require(d->list[i].what[0] && d->list[i].check[0]);
  }
}

static int compare_names(const void *a, const void *b) {
  const struct config_zone *x = a, *y = b;
  struct name m, n;
  name_from_wire(x->name, &m);
  name_from_wire(y->name, &n);
  return name_compare(&m, &n);
}

static void check_zones(const struct config *c) {
  struct buf path = {0};
  for (size_t i = 0; i < c->zone_count; i++) {
    const struct config_zone_options *o = c->zones[i].options;
    struct name name, lower;
    name_from_wire(c->zones[i].name, &name);
    lower = name;
    name_lower(&lower);
    require(name_identical(&name, &lower));
    require(o->role == CONFIG_PRIMARY || o->role == CONFIG_SECONDARY);
    require((o->role == CONFIG_PRIMARY) == (config_zone_file(&c->zones[i], &path)[0] != 0));
    require((o->role == CONFIG_SECONDARY) == (o->primaries.count > 0));
    require(o->refresh_min_ms <= o->refresh_max_ms && o->retry_min_ms <= o->retry_max_ms);
  }
  buf_done(&path);
  struct config_zone *sorted = malloc((c->zone_count + 1) * sizeof *sorted);
  require(sorted);
  for (size_t i = 0; i < c->zone_count; i++)
    sorted[i] = c->zones[i];
  qsort(sorted, c->zone_count, sizeof *sorted, compare_names);
  for (size_t i = 1; i < c->zone_count; i++)
    require(compare_names(&sorted[i - 1], &sorted[i]) != 0);
  free(sorted);
}

static void check_good(const struct config *c) {
  require(c->server.listen.count > 0 && c->server.state && c->server.state[0]);
  for (size_t i = 0; i < c->key_count; i++)
    require(c->keys[i].secret_size > 0 && c->keys[i].algorithm < HMAC_COUNT);
  for (size_t i = 0; i < c->peer_count; i++) {
    require(c->peers[i].addresses.count > 0);
    for (size_t a = 0; a < c->peers[i].addresses.count; a++)
      require(c->peers[i].addresses.list[a].port && c->peers[i].addresses.list[a].family);
  }
  check_zones(c);
}

static void check_again(const struct config *c, const uint8_t *data, size_t size) {
  struct diags d = {0};
  struct config *again = NULL;
  require(config_load_bytes("fuzz", data, size, &d, &again) == ERR_OK);
  require(again->zone_count == c->zone_count);
  for (size_t i = 0; i < c->zone_count; i++)
    require(memcmp(&c->zones[i].options->digest, &again->zones[i].options->digest, sizeof(struct digest128)) == 0);
  diags_done(&d);
  config_free(again);
}

static bool is_ascii(const char *text) {
  while ((uint8_t)*text - 1u < 0x7e)
    text++;
  return !*text;
}

/* false: it holds what JSON text or a key of libyaml cannot. */
static bool to_json(const struct node *n, struct buf *out) {
  if (n->kind == NODE_BAD) return false;
  if (n->kind == NODE_TEXT) {
    buf_add_json_string(out, n->text, n->size);
    return is_ascii(n->text);
  }
  buf_add_byte(out, n->kind == NODE_LIST ? '[' : '{');
  for (const struct node *child = n->child; child; child = child->next) {
    if (child != n->child) buf_add_text(out, ", ");
    if (child->key) {
      if (strlen(child->key) > 150 || !is_ascii(child->key)) return false;
      buf_add_json_string(out, child->key, strlen(child->key));
      buf_add_text(out, ": ");
    }
    if (!to_json(child, out)) return false;
  }
  buf_add_byte(out, n->kind == NODE_LIST ? ']' : '}');
  return true;
}

static bool equal(const struct node *a, const struct node *b) {
  if (a->kind != b->kind || a->size != b->size || !a->key != !b->key || (a->key && strcmp(a->key, b->key) != 0)) return false;
  if (a->kind == NODE_TEXT) return strcmp(a->text, b->text) == 0;
  const struct node *x = a->child, *y = b->child;
  for (; x && y; x = x->next, y = y->next)
    if (!equal(x, y)) return false;
  return !x && !y;
}

static void check_json(const uint8_t *data, size_t size) {
  static const struct source source = {"fuzz", ""};
  struct arena arena = {0};
  struct diags d = {0};
  struct buf json = {0};
  const struct node *tree = config_yaml_read(&arena, &source, data, size, &d);
  if (tree && d.errors == 0 && to_json(tree, &json)) {
    const struct node *again = config_yaml_read(&arena, &source, json.data, json.size, &d);
    require(again && d.errors == 0 && equal(tree, again));
  }
  buf_done(&json);
  diags_done(&d);
  arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct diags d = {0};
  struct config *c = NULL;
  enum err e = config_load_bytes("fuzz", data, size, &d, &c);
  require((e == ERR_OK) == (d.errors == 0) && (e == ERR_OK) == (c != NULL));
  check_findings(&d, data, size);
  if (c) {
    check_good(c);
    check_again(c, data, size);
  }
  check_json(data, size);
  diags_done(&d);
  config_free(c);
  return 0;
}
