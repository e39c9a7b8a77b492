/* tandem: one binary; its first words choose a row of commands.def. */
#include "tandem/commands.h"

#include <stdio.h>
#include <string.h>

static bool is_one_of(const char *text, const char *a, const char *b) {
  return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* Part of the product's interface, but not there yet: said so, rather than "did you mean". */
static bool is_to_come(const char *name) {
  static const char *const names[] = {"import",  "edit",  "diff",   "history", "rollback", "wait",    "held",   "confirm",
                                      "discard", "token", "backup", "restore", "rebuild",  "compare", "promote"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

static int unknown(const char *name) {
  if (is_to_come(name)) {
    fprintf(stderr, "tandem: %s is not available yet in this version\n", name);
    return EXIT_USAGE;
  }
  const char *meant = command_like(name);
  fprintf(stderr, "tandem: there is no command %.64s", name);
  if (meant) fprintf(stderr, "; did you mean %s?\n", meant);
  else fprintf(stderr, "; `tandem help` lists them\n");
  return EXIT_USAGE;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    cmd_help(1, argv);
    return EXIT_USAGE;
  }
  if (is_one_of(argv[1], "--version", "-V")) {
    printf("tandem %s\n", TANDEM_VERSION);
    return EXIT_DONE;
  }
  if (is_one_of(argv[1], "--help", "-h")) return cmd_help(1, argv);
  int words;
  const struct command *c = command_find(argc - 1, argv + 1, &words);
  if (!c) return unknown(argv[1]);
  char **args = argv + words, name[64], help[] = "help";
  int count = argc - words;
  snprintf(name, sizeof name, "%s", c->name);
  args[0] = name; /* the whole name, also when it is two words */
  for (int i = 1; i < count; i++)
    if (is_one_of(args[i], "--help", "-h")) return cmd_help(2, (char *[]){help, name});
  return c->run(count, args);
}
