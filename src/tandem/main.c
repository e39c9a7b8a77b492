/* tandem: one binary; its first words choose a row of commands.def. */
#include "tandem/commands.h"

#include <stdio.h>
#include <string.h>

static bool is_one_of(const char *text, const char *a, const char *b) {
  return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* A result that nobody could read is none. */
static int run(const struct command *c, int argc, char **argv) {
  int status = c->run(argc, argv);
  if (fflush(stdout) == 0 && !ferror(stdout)) return status;
  fprintf(stderr, "tandem %s: what it has to say could not be written\n", c->name);
  return status ? status : EXIT_REFUSED;
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
  if (!c) return command_unknown(argv[1]);
  char **args = argv + words, name[64], help[] = "help";
  int count = argc - words;
  snprintf(name, sizeof name, "%s", c->name);
  args[0] = name; /* the whole name, also when it is two words */
  for (int i = 1; i < count; i++)
    if (is_one_of(args[i], "--help", "-h")) return cmd_help(2, (char *[]){help, name});
  return run(c, count, args);
}
