/* `tandem check-zone ORIGIN FILE`: a zone file is read, built and checked as the server would. */
#include "control/zone_load.h"
#include "tandem/commands.h"
#include "tandem/names.h"
#include "zone/zone_set.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct check {
  const char *origin, *file;
  bool json;
};

static int parse(int argc, char **argv, struct check *out) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0) out->json = true;
    else if (argv[i][0] == '-') return command_no_option(argv[0], argv[i]);
    else if (!out->origin) out->origin = argv[i];
    else if (!out->file) out->file = argv[i];
    else return command_misused(argv[0], "one zone and one file are taken");
  }
  return out->file ? EXIT_DONE : command_misused(argv[0], "the zone's name and its file are wanted");
}

static void print_json(const struct diags *d, const struct zone_snap *snap) {
  struct buf out = {0};
  buf_printf(&out, "{\"ok\":%s,", snap ? "true" : "false");
  if (snap) buf_printf(&out, "\"serial\":%u,\"records\":%" PRIu64 ",", zone_serial(snap), zone_record_count(snap));
  buf_printf(&out, "\"errors\":%zu,\"warnings\":%zu,\"findings\":", d->errors, d->warnings);
  diags_print_json(d, &out);
  buf_add_text(&out, "}\n");
  fputs(buf_text(&out), stdout);
  buf_done(&out);
}

static void print_text(const struct diags *d, const struct zone_snap *snap, const char *zone) {
  struct buf out = {0};
  diags_print(d, &out);
  uint64_t records = snap ? zone_record_count(snap) : 0;
  if (snap) buf_printf(&out, "%s: good, %" PRIu64 " record%s, serial %u", zone, records, plural(records), zone_serial(snap));
  else buf_printf(&out, "%s: %zu error%s", zone, d->errors, plural(d->errors));
  if (d->warnings) buf_printf(&out, ", %zu warning%s", d->warnings, plural(d->warnings));
  buf_add_byte(&out, '\n');
  fputs(buf_text(&out), stdout);
  buf_done(&out);
}

int cmd_check_zone(int argc, char **argv) {
  struct check c = {0};
  struct name apex;
  const char *why = "";
  int status = parse(argc, argv, &c);
  if (status) return status;
  if (access(c.origin, F_OK) == 0 && access(c.file, F_OK) != 0)
    return command_misused(argv[0], "the zone's name comes first, and then its file");
  if (name_from_text(c.origin, strlen(c.origin), &name_root, &apex, NULL, &why)) {
    char what[400];
    snprintf(what, sizeof what, "`%.300s` is not a domain name: %s", c.origin, why);
    return command_failed(argv[0], c.json, what, "");
  }
  struct diags diags = {0};
  struct zone_loaded loaded = {0};
  char zone[NAME_TEXT_BYTES];
  zone_reader_register();
  enum err e = zone_load_file(c.file, &apex, &(struct zone_load_options){.two_threads = true}, &diags, &loaded);
  if (e == ERR_MEMORY) command_failed(argv[0], c.json, "out of memory", "");
  else if (c.json) print_json(&diags, loaded.snap);
  else print_text(&diags, loaded.snap, zone_text(&apex, zone));
  zone_loaded_done(&loaded);
  diags_done(&diags);
  zone_grace_barrier();
  zone_reader_unregister();
  return e ? EXIT_REFUSED : EXIT_DONE;
}
