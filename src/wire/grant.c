#include "wire/grant.h"

enum {
  ONE_LABEL = 0x40, /* above any label's length */
  ANY_LABELS = 0x80,
  AT_ROOT = 0x00, /* ends */
  AT_APEX = 0xff,
};

/* ---- compiling ---- */

/* One label's text up to a dot that is not escaped. */
static size_t label_size(const char *text, size_t n) {
  size_t i = 0;
  while (i < n && text[i] != '.')
    i += text[i] == '\\' && i + 1 < n ? 2 : 1;
  return i < n ? i : n;
}

static enum err put_literal(const char *text, size_t n, struct wr *out, const char **why) {
  struct name label;
  *why = "`@` stands alone";
  if (name_from_text(text, n, &name_root, &label, NULL, why) || label.labels != 1) return ERR_FORMAT;
  name_lower(&label);
  wr_bytes(out, label.octets, label.size - 1u); /* without the root's octet */
  return ERR_OK;
}

static enum err put_label(const char *text, size_t n, struct wr *out, const char **why) {
  *why = "empty label";
  if (n == 0) return ERR_FORMAT;
  if (n == 1 && text[0] == '*') wr_u8(out, ONE_LABEL);
  else if (n == 2 && text[0] == '*' && text[1] == '*') wr_u8(out, ANY_LABELS);
  else return put_literal(text, n, out, why);
  return ERR_OK;
}

enum err grant_pattern_parse(const char *text, size_t n, uint8_t out[GRANT_PATTERN_BYTES], uint16_t *size, const char **why) {
  struct wr w = wr_make(out, GRANT_PATTERN_BYTES);
  bool at_apex = true;
  *why = "empty pattern";
  if (n == 0) return ERR_FORMAT;
  bool apex = n == 1 && text[0] == '@', root = n == 1 && text[0] == '.';
  for (size_t at = 0; !apex && !root && at < n;) {
    size_t label = label_size(text + at, n - at);
    enum err e = put_label(text + at, label, &w, why);
    if (e) return e;
    at += label + 1;
    at_apex = at > n; /* no dot behind the last label */
  }
  if (root) at_apex = false;
  wr_u8(&w, at_apex ? AT_APEX : AT_ROOT);
  *why = "name longer than 255 octets";
  if (wr_failed(&w)) return ERR_FORMAT;
  *size = (uint16_t)wr_used(&w);
  return ERR_OK;
}

/* ---- matching ---- */

/* The next label of a name, or its end if `left` labels were enough. */
struct labels {
  const uint8_t *at;
  unsigned left;
};

static void labels_step(struct labels *l) {
  l->at += 1u + *l->at;
  l->left--;
}

/* Whether the pattern's label, which is no ANY_LABELS, is this one. */
static bool label_matches(const uint8_t *pattern, const uint8_t *label) {
  if (*pattern == ONE_LABEL) return true;
  if (*pattern != *label) return false;
  for (unsigned i = 1; i <= *label; i++)
    if (pattern[i] != ascii_lower(label[i])) return false;
  return true;
}

static const uint8_t *pattern_step(const uint8_t *p) {
  return *p == ONE_LABEL || *p == ANY_LABELS ? p + 1 : p + 1 + *p;
}

/* As file name patterns are matched: only the last `**` is ever tried again with one label more. */
static bool match(const uint8_t *p, struct labels l) {
  const uint8_t *again = NULL;
  struct labels from = {0};
  for (;;) {
    if (*p == ANY_LABELS) {
      again = ++p;
      from = l;
    } else if (*p != AT_ROOT && *p != AT_APEX && l.left && label_matches(p, l.at)) {
      p = pattern_step(p);
      labels_step(&l);
    } else if ((*p == AT_ROOT || *p == AT_APEX) && l.left == 0) {
      return true;
    } else if (again && from.left) {
      labels_step(&from);
      l = from;
      p = again;
    } else {
      return false;
    }
  }
}

bool grant_pattern_matches(const struct grant_pattern *p, const struct name *owner, const struct name *apex) {
  struct labels l = {owner->octets, owner->labels};
  if (p->octets[p->size - 1] == AT_APEX) {
    if (!name_is_under(owner, apex)) return false;
    l.left -= apex->labels;
  }
  return match(p->octets, l);
}

static bool names_match(const struct grant *g, const struct name *owner, const struct name *apex) {
  for (size_t i = 0; i < g->name_count; i++)
    if (grant_pattern_matches(&g->names[i], owner, apex)) return true;
  return g->name_count == 0;
}

static bool types_match(const struct grant *g, uint16_t type) {
  for (size_t i = 0; i < g->type_count; i++)
    if (g->types[i] == type) return true;
  return g->type_count == 0 || type == GRANT_ANY_TYPE;
}

bool grants_admit(const struct grants *g, const struct acl_client *client) {
  for (size_t i = 0; i < g->count; i++)
    if (acl_allows(&g->list[i].who, client)) return true;
  return false;
}

bool grants_allow(const struct grants *g, const struct acl_client *client, const struct name *owner, uint16_t type,
                  const struct name *apex) {
  for (size_t i = 0; i < g->count; i++) {
    const struct grant *one = &g->list[i];
    if (types_match(one, type) && names_match(one, owner, apex) && acl_allows(&one->who, client)) return true;
  }
  return false;
}
