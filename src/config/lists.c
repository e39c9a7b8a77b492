/* Zone lists: zones by the million, one name a line or one file each, all with the options of one template. What a line costs is
 * one look into the table of zones; names that need no escape are turned into wire form in place. */
#include "config/load_priv.h"

#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

enum { ZONES_AT_ONCE = 32 }; /* whose places in the table are fetched together */

struct list {
  struct loader *l;
  const struct config_zone_options *options;
  const char *name; /* of the file, for findings; kept */
  struct new_zone zones[ZONES_AT_ONCE];
  size_t count;
};

/* ---- names ---- */

/* Wire form of a name of letters, digits, - and _, in lower case; 0: it needs more care, or is none. */
static size_t plain_name(const uint8_t *text, size_t n, uint8_t out[LIMIT_NAME_BYTES]) {
  static const uint8_t lower[256] = {
      ['-'] = '-', ['_'] = '_', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5',
      ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd',
      ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l',
      ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't',
      ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b',
      ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j',
      ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r',
      ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z'};
  if (n && text[n - 1] == '.') n--;
  if (n == 0 || n + 2 > LIMIT_NAME_BYTES) return 0;
  size_t label = 0; /* where its length goes */
  for (size_t i = 0; i < n; i++) {
    uint8_t c = lower[text[i]];
    if (c) {
      out[i + 1] = c;
      continue;
    }
    size_t size = i - label;
    if (text[i] != '.' || size == 0 || size > LIMIT_LABEL_BYTES) return 0;
    out[label] = (uint8_t)size;
    label = i + 1;
  }
  size_t size = n - label;
  if (size == 0 || size > LIMIT_LABEL_BYTES) return 0;
  out[label] = (uint8_t)size;
  out[n + 1] = 0;
  return n + 2;
}

static bool flush(struct list *list) {
  bool going_on = true;
  for (size_t i = 0; going_on && i < list->count; i++)
    going_on = config_zone_add(list->l, &list->zones[i]);
  list->count = 0;
  return going_on;
}

/* A name that is not plain: with escapes, the root, or wrong. */
static bool escaped_name(const struct list *list, const uint8_t *text, size_t n, struct place place, struct new_zone *z) {
  struct name name;
  size_t bad = 0;
  const char *why = "it has no owner to stand for";
  if ((n == 1 && *text == '@') || name_from_text((const char *)text, n, &name_root, &name, &bad, &why)) {
    if (place.column) place.column += (uint32_t)bad;
    diag_add(list->l->diags, SEVERITY_ERROR, place, "bad-name", "", "`%.*s` is not a domain name: %s", n > 255 ? 255 : (int)n,
             (const char *)text, why);
    return false;
  }
  name_lower(&name);
  memcpy(z->name, name.octets, name.size);
  z->size = name.size;
  return true;
}

/* Adds the zone called so; false: stop. */
static bool add_name(struct list *list, const uint8_t *text, size_t n, const char *file, struct place place) {
  struct new_zone *z = &list->zones[list->count];
  z->size = (uint8_t)plain_name(text, n, z->name);
  if (!z->size && !escaped_name(list, text, n, place, z)) return true;
  z->options = list->options;
  z->file = file;
  z->place = place;
  config_zone_hash(list->l, z);
  return ++list->count < ZONES_AT_ONCE || flush(list);
}

/* ---- a file with one name a line ---- */

static bool is_blank(uint8_t c) {
  return c == ' ' || c == '\t' || c == '\r';
}

/* A comment begins, unless the # is escaped and so a part of the name. */
static bool begins_comment(const uint8_t *line, size_t start, size_t at) {
  return line[at] == '#' && (at == start || line[at - 1] != '\\');
}

static bool add_line(struct list *list, const uint8_t *line, size_t n, uint32_t number) {
  size_t start = 0;
  while (start < n && is_blank(line[start]))
    start++;
  size_t end = start;
  while (end < n && !is_blank(line[end]) && !begins_comment(line, start, end))
    end++;
  size_t rest = end;
  while (rest < n && is_blank(line[rest]))
    rest++;
  struct place place = {list->name, number, (uint32_t)start + 1};
  if (rest < n && line[rest] != '#') {
    place.column = (uint32_t)rest + 1;
    diag_add(list->l->diags, SEVERITY_ERROR, place, "zone-list", "a zone list holds one name a line",
             "there is more than one word in this line");
    return true;
  }
  return end == start || add_name(list, line + start, end - start, NULL, place);
}

static void add_lines(struct list *list, const uint8_t *bytes, size_t n) {
  size_t lines = 1;
  for (const uint8_t *p = bytes, *end = bytes + n; p && (p = memchr(p, '\n', (size_t)(end - p))); p++)
    lines++;
  if (!config_zone_reserve(list->l, lines)) return;
  size_t at = n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* a byte order mark */
  for (uint32_t number = 1; at < n; number++) {
    const uint8_t *end = memchr(bytes + at, '\n', n - at);
    size_t size = end ? (size_t)(end - bytes) - at : n - at;
    if (!add_line(list, bytes + at, size, number)) return;
    at += size + 1;
  }
}

static void read_list_file(struct list *list, const struct node *n, const char *path) {
  uint8_t *bytes = NULL;
  size_t size = 0;
  enum err e = config_file_read(path, LIMIT_ZONE_LIST_BYTES, &bytes, &size, NULL);
  if (e) {
    config_complain(list->l, n, "unreadable", "", "the zone list cannot be read: %s", config_file_error(e));
    return;
  }
  list->name = config_path_shown(list->l, n->source, n->text);
  config_file_note(list->l, path, CONFIG_FILE_LIST, bytes, size);
  if (list->name) add_lines(list, bytes, size);
  free(bytes);
}

/* ---- a directory with one file a zone ---- */

static int hex_value(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unescape(const char *text, size_t n, struct buf *out) {
  buf_clear(out);
  for (size_t i = 0; i < n; i++) {
    if (text[i] != '%') {
      buf_add_byte(out, (uint8_t)text[i]);
      continue;
    }
    int high = i + 2 < n ? hex_value(text[i + 1]) : -1, low = i + 2 < n ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0) return false;
    buf_add_byte(out, (uint8_t)(high << 4 | low));
    i += 2;
  }
  return true;
}

/* One entry of the directory, NAME.zone; `name` is scratch. false: stop. */
static bool add_file(struct list *list, const char *dir, const char *entry, struct buf *name) {
  struct loader *l = list->l;
  size_t dir_size = strlen(dir), size = strlen(entry);
  bool slash = dir_size && dir[dir_size - 1] != '/';
  char *path = (char *)pack_alloc(&l->pack, dir_size + slash + size + 1);
  if (!path) {
    l->exhausted = true;
    return false;
  }
  memcpy(path, dir, dir_size);
  if (slash) path[dir_size] = '/';
  memcpy(path + dir_size + slash, entry, size + 1);
  struct place place = {path, 0, 0};
  if (unescape(entry, size - strlen(".zone"), name)) return add_name(list, name->data, name->size, path, place);
  diag_add(l->diags, SEVERITY_ERROR, place, "bad-name", "an octet is written as % and two hexadecimal digits",
           "the file's name holds a %% that escapes nothing");
  return true;
}

static int is_zone_file(const struct dirent *e) {
  size_t n = strlen(e->d_name), tail = strlen(".zone");
  return e->d_name[0] != '.' && n > tail && strcmp(e->d_name + n - tail, ".zone") == 0 && e->d_type != DT_DIR;
}

static void read_list_dir(struct list *list, const struct node *n, const char *path) {
  struct dirent **found = NULL;
  int count = scandir(path, &found, is_zone_file, NULL);
  if (count < 0) {
    config_complain(list->l, n, "unreadable", "", "the directory of zone files cannot be read: %s", strerror(errno));
    return;
  }
  struct buf name = {0};
  bool going_on = config_zone_reserve(list->l, (size_t)count);
  for (int i = 0; i < count; i++) {
    going_on = going_on && add_file(list, path, found[i]->d_name, &name);
    free(found[i]);
  }
  free(found);
  buf_done(&name);
}

/* ---- entries of zone-lists ---- */

/* Whether zones of the list have what they need from their template. */
static bool check_template(struct loader *l, const struct resolved *r, const struct template *t, const struct node *n,
                           bool is_dir) {
  const struct config_zone_options *o = r->options;
  const struct node *file = t ? config_given(&t->given, SCOPE_OPTIONS, "file") : NULL;
  char at[PLACE_TEXT_BYTES];
  if (is_dir && o->role == CONFIG_SECONDARY)
    config_complain(l, n, "contradiction", "a list of secondaries is a `file`",
                    "`dir` is for primary zones, and the template makes secondaries");
  else if (is_dir && file)
    config_complain(l, n, "contradiction", "take one of them out",
                    "both `dir` and, at %s, the template's `file` say where zone files are",
                    config_place_text(node_key_place(file), at));
  else if (is_dir && o->managed)
    config_complain(l, n, "contradiction", "a list of managed zones is a `file`",
                    "`dir` has zone files, and managed zones have none");
  else if (!is_dir && !config_zone_has_source(o))
    config_complain(l, n, "missing-key", "such as file: \"zones/%s.zone\"",
                    "the template of a list of primary zones needs `file` or `managed: true`");
  else return true;
  return false;
}

static void load_list(struct loader *l, const struct node *n) {
  if (!config_need_map(l, n)) return;
  struct given given = {0};
  config_scope_read(l, SCOPE_LIST, n, NULL, &given);
  const struct node *file = config_given(&given, SCOPE_LIST, "file"), *dir = config_given(&given, SCOPE_LIST, "dir");
  const struct template *t = NULL;
  if (!file && !dir) config_complain(l, n, "missing-key", "", "the zone list has neither `file` nor `dir`");
  if (file && dir)
    config_complain_key(l, dir, "contradiction", "make two lists of it", "the zone list has a `file` in line %u and a `dir`",
                        file->key_line);
  bool known = config_template_for(l, config_given(&given, SCOPE_LIST, "template"), &t);
  if (!known || !file == !dir) return;
  const struct node *from = dir ? dir : file;
  const struct resolved *r = config_options_resolve(l, t, NULL, from);
  const char *path = r ? config_value_path(l, from) : NULL;
  if (!path || !check_template(l, r, t, from, dir != NULL)) return;
  if (!l->files_allowed) {
    config_complain(l, from, "unreadable", "", "files are not read here");
    return;
  }
  struct list *list = config_borrow(l, sizeof *list);
  if (!list) return;
  list->l = l;
  list->options = r->options;
  if (dir) read_list_dir(list, from, path);
  else read_list_file(list, from, path);
  flush(list);
}

static void load_lists(struct loader *l, const struct node *section) {
  size_t left;
  for (const struct node *n = config_items(l, section, &left); left; left--, n = n->next)
    load_list(l, n);
}

void config_load_lists(struct loader *l) {
  config_sections(l, "zone-lists", load_lists);
}
