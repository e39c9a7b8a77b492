#include "config/load_priv.h"

#include "base/limits.h"
#include "tsig/tsig.h"

#include <stdio.h>

/* ---- texts ---- */

static const char *read_text(struct loader *l, const struct node *n) {
  if (!config_need_text(l, n)) return NULL;
  for (uint32_t i = 0; i < n->size; i++)
    if ((uint8_t)n->text[i] < ' ' || n->text[i] == 0x7f) {
      config_complain(l, n, "bad-value", "", "`%.64s` holds a control character", n->key ? n->key : "an entry");
      return NULL;
    }
  return config_keep_text(l, n->text, n->size);
}

const char *config_value_path(struct loader *l, const struct node *n) {
  return read_text(l, n) ? config_path_beside(l, n->source, n->text) : NULL;
}

static const char *read_identity(struct loader *l, const struct node *n) {
  const char *text = read_text(l, n);
  if (!text || n->size <= LIMIT_IDENTITY_BYTES) return text;
  config_complain(l, n, "bad-value", "", "the identity has %u octets, at most %d are told", n->size, LIMIT_IDENTITY_BYTES);
  return NULL;
}

/* The place of `text` among "a|b|c"; an empty alternative counts but is never meant. */
static bool read_choice(struct loader *l, const struct option *o, const struct node *n, unsigned *out) {
  if (!config_need_text(l, n)) return false;
  struct suggestion s = {.word = n->text};
  char all[100] = "";
  unsigned index = 0;
  for (const char *p = o->argument;; index++) {
    size_t size = strcspn(p, "|");
    if (size == n->size && memcmp(p, n->text, size) == 0) {
      *out = index;
      return true;
    }
    char word[32];
    snprintf(word, sizeof word, "%.*s", (int)size, p);
    config_suggest(&s, word);
    size_t used = strlen(all);
    if (size) snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "it is one of: ", word);
    if (!p[size]) break;
    p += size + 1;
  }
  config_complain(l, n, "bad-value", config_suggestion(&s, all), "`%.64s` cannot be `%.64s`", o->key, n->text);
  return false;
}

static void read_algorithm(struct loader *l, const struct node *n, enum hmac_algorithm *at) {
  if (!config_need_text(l, n) || tsig_algorithm_from_text(n->text, at) == ERR_OK) return;
  struct suggestion s = {.word = n->text};
  for (int a = 0; a < HMAC_COUNT; a++)
    config_suggest(&s, tsig_algorithm_text((enum hmac_algorithm)a));
  config_complain(l, n, "bad-value", config_suggestion(&s, "hmac-sha256 is the one to take"), "there is no algorithm `%.64s`",
                  n->text);
}

/* ---- numbers ---- */

/* Digits at `*p`; false: none, or more than 64 bits hold. */
static bool take_number(const char **p, uint64_t *out) {
  uint64_t v = 0;
  const char *at = *p;
  for (; *at >= '0' && *at <= '9'; at++)
    if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*at - '0'), &v)) return false;
  if (at == *p) return false;
  *p = at;
  *out = v;
  return true;
}

static void read_number(struct loader *l, const struct option *o, const struct node *n, uint32_t *at) {
  if (!config_need_text(l, n)) return;
  const char *p = o->argument;
  uint64_t least = 0, most = 0, v = 0;
  bool ranged = take_number(&p, &least) && strncmp(p, "..", 2) == 0 && (p += 2, take_number(&p, &most));
  p = n->text;
  if (ranged && take_number(&p, &v) && !*p && v >= least && v <= most) *at = (uint32_t)v;
  else config_complain(l, n, "bad-value", "", "`%s` must be a number, %s", o->key, o->argument);
}

/* Milliseconds in a time such as 90, 0.5, 15m or 30d. */
static bool parse_time(const char *text, uint64_t *out_ms) {
  uint64_t whole, fraction_ms = 0, unit_s = 1;
  const char *p = text;
  if (!take_number(&p, &whole)) return false;
  if (*p == '.') {
    if (*++p < '0' || *p > '9') return false;
    for (uint64_t digit = 100; *p >= '0' && *p <= '9'; p++, digit /= 10)
      fraction_ms += digit * (uint64_t)(*p - '0');
  }
  static const struct {
    char letter;
    uint32_t seconds;
  } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
  for (size_t i = 0; *p && i < sizeof units / sizeof *units; i++)
    if (units[i].letter == *p) {
      unit_s = units[i].seconds;
      p++;
      break;
    }
  uint64_t ms;
  if (*p || __builtin_mul_overflow(whole, 1000, &ms) || __builtin_add_overflow(ms, fraction_ms, &ms)) return false;
  return !__builtin_mul_overflow(ms, unit_s, out_ms);
}

static void read_seconds(struct loader *l, const struct option *o, const struct node *n, uint64_t *at) {
  uint64_t ms;
  if (!config_need_text(l, n)) return;
  if (*o->argument && strcmp(n->text, o->argument) == 0) *at = 0;
  else if (parse_time(n->text, &ms) && ms % 1000 == 0 && (ms || !*o->argument)) *at = ms / 1000;
  else
    config_complain(l, n, "bad-value", "such as 90, 15m, 12h or 30d", "`%s` must be a time in whole seconds%s%s", o->key,
                    *o->argument ? " or " : "", o->argument);
}

static void read_milliseconds(struct loader *l, const struct option *o, const struct node *n, uint32_t *at) {
  enum { MOST_MS = 4 * 604800 * 1000u };
  uint64_t ms;
  if (!config_need_text(l, n)) return;
  if (parse_time(n->text, &ms) && ms >= 1 && ms <= MOST_MS) *at = (uint32_t)ms;
  else
    config_complain(l, n, "bad-value", "such as 0.5, 90, 15m or 12h", "`%s` must be a time between 0.001 seconds and 4 weeks",
                    o->key);
}

static void read_bytes(struct loader *l, const struct option *o, const struct node *n, uint64_t *at) {
  if (!config_need_text(l, n)) return;
  static const char letters[] = "KMGT";
  uint64_t v;
  const char *p = n->text;
  bool good = take_number(&p, &v);
  const char *letter = good && *p ? strchr(letters, *p) : NULL;
  if (letter) {
    good = !__builtin_mul_overflow(v, UINT64_C(1024) << (10 * (letter - letters)), &v);
    p++;
  }
  if (good && !*p) *at = v;
  else config_complain(l, n, "bad-value", "such as 65536, 64M or 2G", "`%s` must be a size", o->key);
}

/* ---- addresses and names ---- */

bool config_value_address(struct loader *l, const struct node *n, uint16_t default_port, struct addr *out) {
  if (!config_need_text(l, n)) return false;
  enum err e = addr_parse(n->text, default_port, out);
  if (!e) return true;
  const char *hint = "such as \"192.0.2.1@53\" or \"2001:db8::1@53\"";
  if (strchr(n->text, '/')) hint = "a single address is meant, not a prefix";
  else if (e == ERR_RANGE) hint = "a port is 1 to 65535";
  else if (e == ERR_NOT_FOUND) hint = "there is no such interface";
  else if (strchr(n->text, '#') || (strchr(n->text, ':') && strchr(n->text, '.')) || strchr(n->text, '['))
    hint = "the port stands behind an @, as in \"192.0.2.1@53\"";
  config_complain(l, n, "bad-address", hint, "`%.80s` is not an address", n->text);
  return false;
}

static void read_addresses(struct loader *l, const struct option *o, const struct node *n, struct config_addrs *at) {
  const char *p = o->argument;
  uint64_t port = 0;
  if (!take_number(&p, &port)) return;
  size_t left;
  const struct node *item = config_items(l, n, &left);
  struct addr *list = config_keep(l, (at->count + left) * sizeof *list);
  if (!list) return;
  if (at->count) memcpy(list, at->list, at->count * sizeof *list); /* lists in several files are joined */
  size_t count = at->count;
  for (; left; left--, item = item->next) {
    if (!config_value_address(l, item, (uint16_t)port, &list[count])) continue;
    for (size_t i = 0; i < count; i++)
      if (addr_equal(&list[i], &list[count])) config_complain(l, item, "name-twice", "", "`%s` is given twice", item->text);
    count++;
  }
  *at = (struct config_addrs){list, count};
}

static void read_interfaces(struct loader *l, const struct node *n, struct config_texts *at) {
  enum { MOST_BYTES = 15 }; /* what the kernel takes */
  size_t left;
  const struct node *item = config_items(l, n, &left);
  const char **list = config_keep(l, (at->count + left) * sizeof *list);
  if (!list) return;
  if (at->count) memcpy(list, at->list, at->count * sizeof *list);
  size_t count = at->count;
  for (; left; left--, item = item->next) {
    const char *text = read_text(l, item);
    if (!text) continue;
    if (item->size == 0 || item->size > MOST_BYTES || strchr(item->text, '/'))
      config_complain(l, item, "bad-value", "`ip link` lists those there are", "`%.80s` is not the name of an interface",
                      item->text);
    for (size_t i = 0; i < count; i++)
      if (strcmp(list[i], text) == 0) config_complain(l, item, "name-twice", "", "`%s` is given twice", text);
    list[count++] = text;
  }
  *at = (struct config_texts){list, count};
}

bool config_value_name(struct loader *l, const struct node *n, struct name *out) {
  if (!config_need_text(l, n)) return false;
  size_t bad = 0;
  const char *why = NULL;
  struct name name;
  if (strcmp(n->text, "@") != 0 && name_from_text(n->text, n->size, &name_root, &name, &bad, &why) == ERR_OK) {
    name_lower(&name);
    *out = name;
    return true;
  }
  if (!why) why = "it has no owner to stand for";
  config_complain(l, n, "bad-name", "", "`%.255s` is not a domain name: %s", n->text, why);
  return false;
}

void config_value(struct loader *l, const struct option *o, const struct node *n, void *at) {
  unsigned index;
  const char *text = NULL;
  switch (o->kind) {
  case KIND_TEXT:
  case KIND_PATH:
  case KIND_IDENTITY:
    text = o->kind == KIND_TEXT ? read_text(l, n) : o->kind == KIND_PATH ? config_value_path(l, n) : read_identity(l, n);
    if (text) *(const char **)at = text;
    return;
  case KIND_NUMBER:
    read_number(l, o, n, at);
    return;
  case KIND_SECONDS:
    read_seconds(l, o, n, at);
    return;
  case KIND_MILLISECONDS:
    read_milliseconds(l, o, n, at);
    return;
  case KIND_BYTES:
    read_bytes(l, o, n, at);
    return;
  case KIND_CHOICE:
    if (read_choice(l, o, n, &index)) *(unsigned *)at = index; /* an enum without negative values */
    return;
  case KIND_FLAG:
    if (read_choice(l, o, n, &index)) *(bool *)at = index != 0;
    return;
  case KIND_ADDRESS:
    config_value_address(l, n, 53, at);
    return;
  case KIND_ADDRESSES:
    read_addresses(l, o, n, at);
    return;
  case KIND_INTERFACES:
    read_interfaces(l, n, at);
    return;
  case KIND_NAME:
    config_value_name(l, n, at);
    return;
  case KIND_ALGORITHM:
    read_algorithm(l, n, at);
    return;
  case KIND_LISTEN:
    config_value_listen(l, n, at);
    return;
  case KIND_KEYS:
    config_value_keys(l, n, at);
    return;
  case KIND_PEERS:
    config_value_peers(l, n, at);
    return;
  case KIND_ACCESS:
    config_value_access(l, n, at);
    return;
  case KIND_GRANTS:
    config_value_grants(l, n, at);
    return;
  case KIND_SECTION:
  case KIND_TEXTS:
  case KIND_COUNT:
    return;
  }
}
