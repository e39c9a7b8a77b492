/* TSIG keys. A secret goes from the file into the configuration and nowhere else: no message quotes any of it, and what held it on
 * the way is wiped. */
#include "config/load_priv.h"

#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECRET_TEXT_BYTES = 4 * LIMIT_SECRET_BYTES / 3 + 4 };

/* Offset of the first octet that base64 does not have (RFC 4648 §4), or `n`. */
static size_t base64_span(const char *text, size_t n) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t i = 0;
  while (i < n && text[i] && strchr(alphabet, text[i]))
    i++;
  while (i < n && text[i] == '=')
    i++;
  return i;
}

/* `place` is where the text begins, column 0 if it may not be counted on. */
static void decode_secret(struct loader *l, struct config_key *key, const char *text, size_t n, struct place place) {
  uint8_t secret[LIMIT_SECRET_BYTES];
  size_t size = 0, span = base64_span(text, n);
  enum err e = n > SECRET_TEXT_BYTES ? ERR_LIMIT : span < n ? ERR_FORMAT : base64_decode(text, n, secret, sizeof secret, &size);
  if (span < n) place.column += (uint32_t)span;
  const char *hint = "`tandem keygen NAME` makes a key";
  if (!e && size) {
    key->secret = arena_copy(l->arena, secret, size);
    key->secret_size = size;
    if (!key->secret) l->exhausted = true;
  } else if (n == 0) {
    diag_add(l->diags, SEVERITY_ERROR, place, "secret", hint, "the secret is empty");
  } else if (e == ERR_LIMIT || e == ERR_SPACE) {
    diag_add(l->diags, SEVERITY_ERROR, place, "secret", hint, "the secret is longer than %d octets", LIMIT_SECRET_BYTES);
  } else if (span < n) {
    diag_add(l->diags, SEVERITY_ERROR, place, "secret", hint, "the secret is not base64: its character %zu does not belong there",
             span + 1);
  } else {
    diag_add(l->diags, SEVERITY_ERROR, place, "secret", hint, "the secret is not base64: %zu characters are not whole octets", n);
  }
  wipe(secret, sizeof secret);
}

static void read_secret(struct loader *l, struct config_key *key, const struct node *n) {
  if (!config_need_text(l, n)) return;
  struct place place = node_place(n);
  if (n->quoted) place.column++; /* the quotation mark */
  decode_secret(l, key, n->text, n->size, place);
  wipe((char *)n->text, n->size);
}

static void read_secret_file(struct loader *l, struct config_key *key, const struct node *n) {
  const char *path = config_value_path(l, n);
  if (!path) return;
  if (!l->files_allowed) {
    config_complain(l, n, "secret", "", "files are not read here");
    return;
  }
  uint8_t *bytes = NULL;
  size_t size = 0;
  struct stat st;
  enum err e = config_file_read(path, SECRET_TEXT_BYTES + 2, &bytes, &size, &st);
  if (e) {
    config_complain(l, n, "secret", "", "the secret file cannot be read: %s", config_file_error(e));
    return;
  }
  config_file_note(l, path, CONFIG_FILE_SECRET, bytes, size);
  if (st.st_mode & (S_IROTH | S_IWOTH)) {
    char hint[300];
    snprintf(hint, sizeof hint, "chmod o-rwx %.250s", path);
    config_complain(l, n, "secret", hint, "the secret file is open to everybody");
  } else {
    const char *text = (const char *)bytes;
    size_t n_text = size;
    while (n_text && strchr(" \t\r\n", text[n_text - 1]) && text[n_text - 1])
      n_text--;
    decode_secret(l, key, text, n_text, (struct place){config_path_shown(l, n->source, n->text), 1, 1});
  }
  wipe(bytes, size);
  free(bytes);
}

static void read_one_secret(struct loader *l, struct config_key *key, const struct given *given, const struct node *n) {
  const struct node *secret = config_given(given, SCOPE_KEY, "secret"), *file = config_given(given, SCOPE_KEY, "secret-file");
  if (secret && file)
    config_complain_key(l, file, "contradiction", "keep one of them", "the key has a `secret` in line %u and a `secret-file`",
                        secret->key_line);
  else if (secret) read_secret(l, key, secret);
  else if (file) read_secret_file(l, key, file);
  else config_complain(l, n, "missing-key", "give `secret-file`, or `secret`", "the key has no secret");
}

struct wanted_key {
  const struct loader *l;
  const struct name *name;
};

static bool same_key(const void *arg, uint32_t index) {
  const struct wanted_key *w = arg;
  return name_identical(&w->l->keys[index].name, w->name);
}

static uint64_t name_hash(const struct name *n) {
  return hash64(n->octets, n->size, 0);
}

const struct config_key *config_find_key(const struct loader *l, const struct name *name) {
  uint32_t i = table_find(&l->key_table, name_hash(name), same_key, &(struct wanted_key){l, name});
  return i == UINT32_MAX ? NULL : &l->keys[i];
}

static void add_key(struct loader *l, const struct config_key *key, const struct node *name) {
  const struct config_key *before = config_find_key(l, &key->name);
  if (before) {
    char first[PLACE_TEXT_BYTES];
    config_complain(l, name, "name-twice", "rename or remove one of them", "there are two keys `%.255s`; first at %s", name->text,
                    config_place_text(before->place, first));
    if (key->secret) wipe((uint8_t *)key->secret, key->secret_size);
    return;
  }
  if (config_name_is_taken(name->text))
    config_complain(l, name, "bad-name", "choose another name", "a key cannot be called `%.255s`, which means something else",
                    name->text);
  size_t count = l->config->key_count;
  if (!table_add(&l->key_table, name_hash(&key->name), (uint32_t)count)) l->exhausted = true;
  l->keys[count] = *key;
  l->config->key_count++;
}

static void load_keys(struct loader *l, const struct node *section) {
  size_t left;
  for (const struct node *n = config_items(l, section, &left); left; left--, n = n->next) {
    if (!config_need_map(l, n)) continue;
    struct config_key key = {.place = node_place(n)};
    struct given given = {0};
    config_scope_read(l, SCOPE_KEY, n, &key, &given);
    config_scope_defaults(l, SCOPE_KEY, &key, &given);
    const struct node *name = config_given(&given, SCOPE_KEY, "name");
    if (!name) config_complain(l, n, "missing-key", "", "the key has no `name`");
    read_one_secret(l, &key, &given, n);
    if (key.name.size) add_key(l, &key, name); /* also a bad one: what refers to it is not wrong */
  }
}

void config_load_keys(struct loader *l) {
  size_t count = config_section_items(l, "keys");
  if (count > LIMIT_TSIG_KEYS) {
    diag_add(l->diags, SEVERITY_ERROR, (struct place){l->trees[0]->source.name, 0, 0}, "limit", "", "more than %d keys",
             LIMIT_TSIG_KEYS);
    return;
  }
  l->keys = config_keep(l, count * sizeof *l->keys);
  l->config->keys = l->keys;
  if (l->keys) config_sections(l, "keys", load_keys);
}
