#include "tandem/commands.h"

#include "config/config.h"

#include <stdio.h>
#include <string.h>

static void print_text(const char *path, const struct diags *diags, const struct config *c, struct buf *out) {
  diags_print(diags, out);
  if (c)
    buf_printf(out, "%s: good: %zu zone%s, %zu key%s, %zu peer%s\n", path, c->zone_count, plural(c->zone_count), c->key_count,
               plural(c->key_count), c->peer_count, plural(c->peer_count));
}

static void print_json(const char *path, const struct diags *diags, const struct config *c, struct buf *out) {
  buf_add_text(out, "{\"file\":");
  buf_add_json_string(out, path, strlen(path));
  buf_printf(out, ",\"good\":%s", c ? "true" : "false");
  if (c) buf_printf(out, ",\"zones\":%zu,\"keys\":%zu,\"peers\":%zu", c->zone_count, c->key_count, c->peer_count);
  buf_printf(out, ",\"errors\":%zu,\"warnings\":%zu,\"findings\":", diags->errors, diags->warnings);
  diags_print_json(diags, out);
  buf_add_text(out, "}\n");
}

static int check(const char *path, bool json) {
  struct diags diags = {0};
  struct config *c = NULL;
  enum err e = config_load(path, &diags, &c);
  struct buf out = {0};
  if (json) print_json(path, &diags, c, &out);
  else print_text(path, &diags, c, &out);
  fputs(buf_text(&out), stdout);
  buf_done(&out);
  diags_done(&diags);
  config_free(c);
  return e ? EXIT_REFUSED : EXIT_DONE;
}

int cmd_check_config(int argc, char **argv) {
  const char *path = NULL;
  bool json = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0) json = true;
    else if (argv[i][0] == '-') return command_no_option(argv[0], argv[i]);
    else if (!path) path = argv[i];
    else return command_misused(argv[0], "one configuration file is taken");
  }
  return path ? check(path, json) : command_misused(argv[0], "the configuration file is wanted");
}
