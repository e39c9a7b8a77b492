#include "config/load_priv.h"

#include "base/limits.h"
#include "base/pages.h"

#include <stdlib.h>

/* ---- templates ---- */

struct wanted_template {
  const struct loader *l;
  const char *name;
};

static bool same_template(const void *arg, uint32_t index) {
  const struct wanted_template *w = arg;
  return strcmp(w->l->templates[index].name, w->name) == 0;
}

const struct template *config_find_template(const struct loader *l, const char *name) {
  uint32_t i = table_find(&l->template_table, hash64(name, strlen(name), 0), same_template, &(struct wanted_template){l, name});
  return i == UINT32_MAX ? NULL : &l->templates[i];
}

bool config_template_for(struct loader *l, const struct node *n, const struct template **out) {
  if (!n) {
    *out = config_find_template(l, "default");
    return true;
  }
  if (!config_need_text(l, n)) return false;
  const struct template *t = config_find_template(l, n->text);
  if (t) {
    *out = t;
    return true;
  }
  struct suggestion s = {.word = n->text};
  for (size_t i = 0; i < l->config->template_count && l->diags->count < LIMIT_DIAGS; i++)
    config_suggest(&s, l->templates[i].name);
  config_complain(l, n, "unknown-name", config_suggestion(&s, "it must stand under `templates`"), "there is no template `%.255s`",
                  n->text);
  return false;
}

static void load_template(struct loader *l, const struct node *n) {
  struct template *t = &l->templates[l->config->template_count];
  const struct template *before = config_find_template(l, n->key);
  char first[PLACE_TEXT_BYTES];
  if (n->kind == NODE_BAD) return;
  if (before) {
    config_complain_key(l, n, "name-twice", "rename or remove one of them", "there are two templates `%.255s`; first at %s", n->key,
                        config_place_text(node_key_place(before->node), first));
    return;
  }
  *t = (struct template){
      .name = config_keep_text(l, n->key, strlen(n->key)), .node = n, .options = config_keep(l, sizeof *t->options)};
  if (!t->name || !t->options) return;
  *t->options = l->base;
  t->options->template_name = t->name;
  config_scope_read(l, SCOPE_OPTIONS, n, t->options, &t->given);
  config_options_check(l, t);
  if (!table_add(&l->template_table, hash64(t->name, strlen(t->name), 0), (uint32_t)l->config->template_count)) l->exhausted = true;
  l->config->template_count++;
}

static void load_templates(struct loader *l, const struct node *section) {
  if (!config_need_map(l, section)) return;
  for (const struct node *n = section->child; n; n = n->next)
    load_template(l, n);
}

/* Templates as users of the configuration see them. What a template lacks for a zone of its own is no mistake: zones may add it. */
static void publish_template(struct loader *l, const struct template *t, struct config_template *out) {
  struct diags quiet = {0}, *loud = l->diags;
  l->diags = &quiet;
  const struct resolved *r = config_options_resolve(l, t, NULL, t->node);
  l->diags = loud;
  *out = (struct config_template){.name = t->name, .lacks = "", .place = node_key_place(t->node)};
  if (r && !r->bad && !config_zone_has_source(r->options))
    out->lacks = "it names neither `file` nor `managed: true` nor `primaries`";
  else if (r && r->bad && quiet.count) out->lacks = config_keep_text(l, quiet.list[0].what, strlen(quiet.list[0].what));
  if (r && !r->bad && !*out->lacks) out->options = r->options;
  diags_done(&quiet);
}

static void publish_templates(struct loader *l) {
  struct config_template *list = config_keep(l, l->config->template_count * sizeof *list);
  for (size_t i = 0; list && i < l->config->template_count; i++)
    publish_template(l, &l->templates[i], &list[i]);
  l->config->templates = list;
}

void config_load_templates(struct loader *l) {
  struct given none = {0};
  config_scope_defaults(l, SCOPE_OPTIONS, &l->base, &none);
  l->templates = config_borrow(l, config_section_items(l, "templates") * sizeof *l->templates);
  if (!l->templates) return;
  config_sections(l, "templates", load_templates);
  publish_templates(l);
}

/* ---- zones ---- */

struct wanted_zone {
  const struct loader *l;
  const uint8_t *name;
  size_t size;
};

static bool same_zone(const void *arg, uint32_t index) {
  const struct wanted_zone *w = arg;
  const uint8_t *name = w->l->whole->zones[index].name;
  return name_wire_size(name) == w->size && memcmp(name, w->name, w->size) == 0;
}

bool config_zone_reserve(struct loader *l, size_t more) {
  size_t want = l->config->zone_count + more;
  if (want > LIMIT_ZONES) want = LIMIT_ZONES;
  if (want > l->zone_capacity) {
    struct config_zone *zones = realloc(l->whole->zones, want * sizeof *zones);
    if (!zones || !table_reserve(&l->zone_table, want)) l->exhausted = true;
    if (!zones) return false;
    pages_expect(zones, want * sizeof *zones);
    l->config->zones = l->whole->zones = zones;
    l->zone_capacity = want;
  }
  return !l->exhausted;
}

static void complain_zone_twice(struct loader *l, const uint8_t *wire, uint32_t before, struct place place) {
  struct name name;
  char text[NAME_TEXT_BYTES], first[PLACE_TEXT_BYTES];
  name_from_wire(wire, &name);
  diag_add(l->diags, SEVERITY_ERROR, place, "name-twice", "keep one of them", "the zone %s is given twice; first at %s",
           name_text(&name, text), config_place_text(l->whole->zones[before].place, first));
}

void config_zone_hash(struct loader *l, struct new_zone *z) {
  z->hash = hash64(z->name, z->size, 0);
  table_prefetch(&l->zone_table, z->hash);
}

bool config_zone_add(struct loader *l, const struct new_zone *z) {
  uint32_t before = table_find(&l->zone_table, z->hash, same_zone, &(struct wanted_zone){l, z->name, z->size});
  if (before != UINT32_MAX) {
    complain_zone_twice(l, z->name, before, z->place);
    return true;
  }
  size_t count = l->config->zone_count;
  if (count == l->zone_capacity && (!config_zone_reserve(l, count / 2 + 1024) || count == l->zone_capacity)) {
    if (!l->exhausted) diag_add(l->diags, SEVERITY_ERROR, z->place, "limit", "", "more than %d zones", LIMIT_ZONES);
    return false;
  }
  uint8_t *copy = pack_alloc(&l->pack, z->size);
  if (!copy || !table_add(&l->zone_table, z->hash, (uint32_t)count)) {
    l->exhausted = true;
    return false;
  }
  memcpy(copy, z->name, z->size);
  l->whole->zones[count] = (struct config_zone){copy, z->options, z->file, z->place};
  l->config->zone_count++;
  return true;
}

static const struct node *child_of(const struct node *map, const char *key) {
  for (const struct node *n = map->child; n; n = n->next)
    if (strcmp(n->key, key) == 0) return n;
  return NULL;
}

/* The zone's own file against what it has become. */
static const char *read_file(struct loader *l, const struct resolved *r, const struct node *file, const struct node *name) {
  char at[PLACE_TEXT_BYTES];
  if (file && r->options->role == CONFIG_SECONDARY) {
    config_complain_key(l, file, "contradiction", "take one of them out",
                        "`file` is for primary zones, and `%s` at %s makes this one a secondary",
                        r->role_at ? r->role_at->key : "role", r->role_at ? config_place_text(node_key_place(r->role_at), at) : "");
  } else if (file && r->options->managed) {
    config_complain_key(l, file, "contradiction", "take one of them out", "a managed zone lives in the store and has no `file`");
  } else if (file) {
    return config_value_path(l, file);
  } else if (!config_zone_has_source(r->options)) {
    config_complain(l, name, "missing-key", "give `file`, `managed: true`, or `primaries` for a secondary",
                    "the primary zone `%.255s` has no `file`", name->text);
  }
  return NULL;
}

static void load_zone(struct loader *l, const struct node *n) {
  if (!config_need_map(l, n)) return;
  const struct node *name_node = child_of(n, "name"), *file = child_of(n, "file");
  const struct template *t = NULL;
  struct name name = {0};
  if (!name_node) config_complain(l, n, "missing-key", "", "the zone has no `name`");
  if (name_node && !config_value_name(l, name_node, &name)) name.size = 0;
  bool known = config_template_for(l, child_of(n, "template"), &t);
  if (!known) return; /* what it lacks may stand in the template that was meant */
  const struct resolved *r = config_options_resolve(l, t, n, name_node ? name_node : n);
  if (!r) return;
  const char *path = name_node ? read_file(l, r, file, name_node) : NULL;
  if (!name.size) return;
  struct new_zone z = {.options = r->options, .file = path, .place = node_place(name_node), .size = name.size};
  memcpy(z.name, name.octets, name.size);
  config_zone_hash(l, &z);
  config_zone_add(l, &z);
}

static void load_zones(struct loader *l, const struct node *section) {
  size_t left;
  for (const struct node *n = config_items(l, section, &left); left; left--, n = n->next)
    load_zone(l, n);
}

void config_load_zones(struct loader *l) {
  if (config_zone_reserve(l, config_section_items(l, "zones"))) config_sections(l, "zones", load_zones);
}

/* ---- what users of a configuration ask ---- */

const struct config_template *config_template_find(const struct config *c, const char *name) {
  for (size_t i = 0; i < c->template_count; i++)
    if (strcmp(c->templates[i].name, name) == 0) return &c->templates[i];
  return NULL;
}

/* A zone's name as part of a file name: see `file` in options.def. */
static void add_file_name(struct buf *out, const struct config_zone *z) {
  struct name name;
  char text[NAME_TEXT_BYTES];
  name_from_wire(z->name, &name);
  name_text(&name, text);
  size_t n = strlen(text);
  if (n > 1) n--; /* without the final dot, but for the root */
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || (c == '.' && i > 0);
    if (plain) buf_add_byte(out, (uint8_t)c);
    else buf_printf(out, "%%%02X", (uint8_t)c);
  }
}

const char *config_zone_file(const struct config_zone *z, struct buf *scratch) {
  const char *pattern = z->file ? z->file : z->options->file;
  const char *hole = pattern ? strstr(pattern, "%s") : NULL;
  if (!hole) return pattern ? pattern : "";
  buf_clear(scratch);
  for (; hole; hole = strstr(pattern, "%s")) {
    buf_add(scratch, pattern, (size_t)(hole - pattern));
    add_file_name(scratch, z);
    pattern = hole + 2;
  }
  buf_add_text(scratch, pattern);
  return buf_text(scratch);
}
