/* The reference and the completion list: options.def printed. */
#include "config/config.h"
#include "config/options_priv.h"

static const char intro[] =
    "# Configuration\n\n"
    "<!-- Made from src/config/options.def; `make test` compares. -->\n\n"
    "The configuration is YAML, or JSON. Every value is a text: a zone may be called `no`. Anchors, aliases, tags and a key given "
    "twice\n"
    "are mistakes, and so is every key that is not listed here. `tandem check-config FILE` says every mistake with its place.\n"
    "A text that begins with `*`, `@`, `&`, `!`, `%`, `[` or `{`, and an IPv6 address inside `[...]`, must be quoted.\n"
    "File names are relative to the file they stand in. Where a list is taken, one entry may stand without brackets.\n\n"
    "An **access list** holds any of: `any`; an address or a prefix; the name of a peer, which matches from any of its addresses "
    "and,\n"
    "where it has keys, signed by one of them; the name of a key; or a map as described below.\n";

/* What may be written for a value of this kind; "" where the description says it. */
static const char *kind_doc(enum option_kind kind) {
  static const char *const texts[KIND_COUNT] = {
      [KIND_TEXTS] = "a list of texts",
      [KIND_TEXT] = "a text",
      [KIND_IDENTITY] = "a text",
      [KIND_PATH] = "a file name",
      [KIND_NUMBER] = "a number",
      [KIND_SECONDS] = "a time: seconds, or with `s`, `m`, `h`, `d` or `w`",
      [KIND_MILLISECONDS] = "a time, also below a second: `0.5`, `90`, `15m`",
      [KIND_BYTES] = "a size, with `K`, `M`, `G` or `T` for powers of 1024",
      [KIND_ADDRESS] = "an address",
      [KIND_ADDRESSES] = "a list of addresses",
      [KIND_INTERFACES] = "a list of network interfaces",
      [KIND_NAME] = "a domain name",
      [KIND_ALGORITHM] = "an algorithm",
      [KIND_LISTEN] = "a list of addresses or maps",
      [KIND_KEYS] = "a list of names of keys",
      [KIND_PEERS] = "a list of names of peers",
      [KIND_ACCESS] = "an access list",
      [KIND_GRANTS] = "a list of entries of an access list, or maps",
  };
  return texts[kind] ? texts[kind] : "";
}

static void print_choices(const struct option *o, struct buf *out) {
  const char *sep = "";
  for (const char *p = o->argument; *p;) {
    size_t n = strcspn(p, "|");
    if (n) buf_printf(out, "%s`%.*s`", sep, (int)n, p);
    if (n) sep = " or ";
    p += n + (p[n] == '|');
  }
}

static void print_default(const struct option *o, struct buf *out) {
  size_t n = strlen(o->default_text);
  if (n == 0) return;
  if (o->default_text[0] == '(') buf_printf(out, "%.*s", (int)n - 2, o->default_text + 1);
  else buf_printf(out, "`%s`", o->default_text);
}

static void print_option(const struct option *o, struct buf *out) {
  buf_printf(out, "| `%s` | ", o->key);
  if (o->kind == KIND_CHOICE || o->kind == KIND_FLAG) print_choices(o, out);
  else buf_add_text(out, kind_doc(o->kind));
  if (o->kind == KIND_NUMBER) buf_printf(out, ", %s", o->argument);
  buf_add_text(out, " | ");
  print_default(o, out);
  buf_add_text(out, " | ");
  if (o->state == OPTION_LATER) buf_printf(out, "*%sot available yet.* ", o->default_text[0] ? "Anything else is n" : "N");
  if (o->roles != ROLES_ANY) buf_printf(out, "(%s zones) ", o->roles == ROLES_PRIMARY ? "primary" : "secondary");
  buf_printf(out, "%s |\n", o->doc);
}

void config_options_doc(struct buf *out) {
  buf_add_text(out, intro);
  for (size_t i = 0; i < OPTION_COUNT; i++) {
    const struct scope_info *s = &config_scope_table[config_option_table[i].scope];
    if (i == 0 || config_option_table[i].scope != config_option_table[i - 1].scope)
      buf_printf(out, "\n## %s\n\n%s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", s->heading, s->doc);
    print_option(&config_option_table[i], out);
  }
}

void config_options_list(struct buf *out) {
  for (size_t i = 0; i < OPTION_COUNT; i++) {
    const struct option *o = &config_option_table[i];
    bool available = o->state == OPTION_READY || o->default_text[0];
    if (!available || o->scope == SCOPE_ACCESS || o->scope == SCOPE_GRANT) continue;
    if (o->scope == SCOPE_OPTIONS) buf_printf(out, "templates[].%s\nzones[].%s\n", o->key, o->key);
    else buf_printf(out, "%s%s\n", config_scope_table[o->scope].path, o->key);
  }
}
