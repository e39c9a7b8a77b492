/* `tandem check-zone ORIGIN FILE`: a zone file is read, built and checked as the server would. */
#include "control/zone_load.h"
#include "tandem/commands.h"
#include "tandem/names.h"
#include "zone/zone_set.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct check {
  const char *origin, *file;
  bool json;
};

static bool parse(int argc, char **argv, struct check *out) {
  struct check c = {0};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0) c.json = true;
    else if (strncmp(argv[i], "--", 2) == 0) return false;
    else if (!c.origin) c.origin = argv[i];
    else if (!c.file) c.file = argv[i];
    else return false;
  }
  *out = c;
  return c.file != NULL;
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
  if (snap) buf_printf(&out, "%s: good, %" PRIu64 " records, serial %u", zone, zone_record_count(snap), zone_serial(snap));
  else buf_printf(&out, "%s: %zu error%s", zone, d->errors, d->errors == 1 ? "" : "s");
  if (d->warnings) buf_printf(&out, ", %zu warning%s", d->warnings, d->warnings == 1 ? "" : "s");
  buf_add_byte(&out, '\n');
  fputs(buf_text(&out), stdout);
  buf_done(&out);
}

int cmd_check_zone(int argc, char **argv) {
  struct check c;
  struct name apex;
  const char *why = "";
  if (!parse(argc, argv, &c)) return command_misused(argv[0], "the zone's name and its file are wanted");
  if (name_from_text(c.origin, strlen(c.origin), &name_root, &apex, NULL, &why)) {
    fprintf(stderr, "tandem check-zone: %.300s is not a domain name: %s\n", c.origin, why);
    return EXIT_REFUSED;
  }
  struct diags diags = {0};
  struct zone_loaded loaded = {0};
  char zone[NAME_TEXT_BYTES];
  zone_reader_register();
  enum err e = zone_load_file(c.file, &apex, &(struct zone_load_options){.two_threads = true}, &diags, &loaded);
  if (e == ERR_MEMORY) fprintf(stderr, "tandem check-zone: out of memory\n");
  else if (c.json) print_json(&diags, loaded.snap);
  else print_text(&diags, loaded.snap, zone_text(&apex, zone));
  zone_loaded_done(&loaded);
  diags_done(&diags);
  zone_grace_barrier();
  zone_reader_unregister();
  return e ? EXIT_REFUSED : EXIT_DONE;
}
