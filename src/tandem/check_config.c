#include "tandem/commands.h"

#include "config/config.h"

#include <getopt.h>
#include <stdio.h>

static void print_text(const char *path, const struct diags *diags, const struct config *c, struct buf *out) {
  diags_print(diags, out);
  if (c) buf_printf(out, "%s: good: %zu zones, %zu keys, %zu peers\n", path, c->zone_count, c->key_count, c->peer_count);
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
  bool said = !out.failed && fwrite(buf_text(&out), 1, out.size, stdout) == out.size && fflush(stdout) == 0;
  if (!said) fputs("tandem check-config: the findings could not be written\n", stderr);
  buf_done(&out);
  diags_done(&diags);
  config_free(c);
  return !e && said ? 0 : 1;
}

int cmd_check_config(int argc, char **argv) {
  static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
  bool json = false, good = true;
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (c == 'j') json = true;
    else good = false;
  }
  if (!good || argc - optind != 1) return command_misused(argv[0], "the configuration file is wanted");
  return check(argv[optind], json);
}
