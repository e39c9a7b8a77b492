#include "tandem/commands.h"
#include "base/diag.h"
#include "tandem/manual.h"

#include <stdio.h>
#include <string.h>

const struct command commands[] = {
#define COMMAND(name, usage, summary, run) {name, usage, summary, run},
#include "tandem/commands.def"
#undef COMMAND
};
const size_t command_count = sizeof commands / sizeof commands[0];

static const char *const remote_usage = "[-c FILE | --state DIR] [--json] [--timeout SECONDS]";

bool command_is_remote(const struct command *c) {
  return c->run == cmd_remote || c->run == cmd_import || c->run == cmd_edit;
}

const struct command *command_by_name(const char *name) {
  for (size_t i = 0; i < command_count; i++)
    if (strcmp(commands[i].name, name) == 0) return &commands[i];
  return NULL;
}

const struct command *command_find(int argc, char **argv, int *words) {
  if (argc >= 2) {
    char two[64];
    snprintf(two, sizeof two, "%s %s", argv[0], argv[1]);
    const struct command *c = command_by_name(two);
    if (c) {
      *words = 2;
      return c;
    }
  }
  *words = 1;
  return argc >= 1 ? command_by_name(argv[0]) : NULL;
}

/* How many letters have to be put in, left out or changed (Levenshtein); names are short. */
static size_t distance(const char *a, const char *b) {
  enum { LONGEST = 32 };
  size_t n = strlen(b), row[LONGEST + 1];
  if (n > LONGEST || strlen(a) > LONGEST) return LONGEST;
  for (size_t j = 0; j <= n; j++)
    row[j] = j;
  for (size_t i = 0; a[i]; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < n; j++) {
      size_t best = diagonal + (a[i] != b[j]);
      if (row[j] + 1 < best) best = row[j] + 1;
      diagonal = row[j + 1];
      if (diagonal + 1 < best) best = diagonal + 1;
      row[j + 1] = best;
    }
  }
  return row[n];
}

const char *command_like(const char *name) {
  const char *best = NULL;
  size_t least = 3; /* more than two slips is another word */
  for (size_t i = 0; i < command_count; i++) {
    size_t d = distance(name, commands[i].name);
    if (d >= least) continue;
    least = d;
    best = commands[i].name;
  }
  return best;
}

void command_usage(const struct command *c, struct buf *out) {
  buf_printf(out, "usage: tandem %s%s%s", c->name, *c->usage ? " " : "", c->usage);
  if (command_is_remote(c)) buf_printf(out, " %s", remote_usage);
  buf_add_byte(out, '\n');
}

int command_misused(const char *name, const char *what) {
  struct buf usage = {0};
  const struct command *c = command_by_name(name);
  if (c) command_usage(c, &usage);
  fprintf(stderr, "tandem %s: %s\n%s", name, what, buf_text(&usage));
  buf_done(&usage);
  return EXIT_USAGE;
}

int command_no_option(const char *name, const char *arg) {
  char what[80];
  snprintf(what, sizeof what, "there is no option %.40s", arg);
  return command_misused(name, what);
}

/* Part of the product's interface, but not there yet: said so, rather than "did you mean". */
static bool is_to_come(const char *name) {
  static const char *const names[] = {"held", "confirm", "discard", "token", "promote"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

int command_unknown(const char *name) {
  struct buf whole = {0}; /* names of two words that begin with it */
  size_t n = strlen(name);
  for (size_t i = 0; i < command_count; i++)
    if (strncmp(commands[i].name, name, n) == 0 && commands[i].name[n] == ' ')
      buf_printf(&whole, "%s%s", whole.size ? ", " : "", commands[i].name);
  const char *meant = command_like(name);
  if (whole.size) fprintf(stderr, "tandem: a word is missing or wrong behind %s: there are %s\n", name, buf_text(&whole));
  else if (is_to_come(name)) fprintf(stderr, "tandem: %s is not available yet in this version\n", name);
  else if (meant) fprintf(stderr, "tandem: there is no command %.64s; did you mean %s?\n", name, meant);
  else fprintf(stderr, "tandem: there is no command %.64s; `tandem help` lists them\n", name);
  buf_done(&whole);
  return EXIT_USAGE;
}

int command_failed(const char *name, bool json, const char *what, const char *hint) {
  struct buf out = {0};
  fprintf(stderr, "tandem %s: %s%s%s\n", name, what, *hint ? "; " : "", hint);
  if (!json) return EXIT_REFUSED;
  buf_add_text(&out, "{\"ok\":false,\"error\":");
  buf_add_json_string(&out, what, strlen(what));
  buf_add_text(&out, ",\"hint\":");
  buf_add_json_string(&out, hint, strlen(hint));
  buf_add_byte(&out, '}');
  puts(buf_text(&out));
  buf_done(&out);
  return EXIT_REFUSED;
}

static void help_one(const struct command *c, struct buf *out) {
  buf_printf(out, "tandem %s: %s\n", c->name, c->summary);
  command_usage(c, out);
  if (!command_is_remote(c)) return;
  buf_add_text(out, "Talks to the running server over its control socket, found by its configuration or its state directory,\n"
                    "and returns when the thing is done: 0 done, 1 refused or failed, 3 not within the timeout (30 seconds).\n");
}

static void help_all(struct buf *out) {
  buf_add_text(out, "tandem: an authoritative DNS server\n\n");
  for (size_t i = 0; i < command_count; i++)
    buf_printf(out, "  %-14s %-34s %s\n", commands[i].name, commands[i].usage, commands[i].summary);
  buf_printf(out,
             "\nCommands to a running server also take %s.\n"
             "`tandem help COMMAND` says more; `tandem --version` says which this is.\n",
             remote_usage);
}

int cmd_help(int argc, char **argv) {
  struct buf text = {0};
  int words, status = EXIT_DONE;
  bool manual = argc == 2 && strcmp(argv[1], "--man") == 0;
  const struct command *c = argc > 1 && !manual ? command_find(argc - 1, argv + 1, &words) : NULL;
  if (manual) {
    manual_page(&text);
  } else if (argc > 1 && !c) {
    status = command_unknown(argv[1]);
  } else if (c) {
    help_one(c, &text);
  } else {
    help_all(&text);
  }
  fputs(buf_text(&text), stdout);
  buf_done(&text);
  return status;
}

/* First words, and for each of them its second words and options. */
int cmd_completion(int argc, char **argv) {
  if (argc != 2 || strcmp(argv[1], "bash") != 0) return command_misused(argv[0], "it is made for bash");
  fputs("_tandem() {\n  local word=\"${COMP_WORDS[COMP_CWORD]}\" list=\"\"\n"
        "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    list=\"--version",
        stdout);
  for (size_t i = 0; i < command_count; i++)
    printf(" %.*s", (int)strcspn(commands[i].name, " "), commands[i].name);
  fputs("\"\n  else\n    case \"${COMP_WORDS[1]}\" in\n", stdout);
  for (size_t i = 0; i < command_count; i++) {
    const struct command *c = &commands[i];
    size_t first = strcspn(c->name, " ");
    printf("    %.*s) list=\"%s", (int)first, c->name, c->name + first);
    for (const char *at = c->usage; (at = strstr(at, "--")); at += 2)
      printf(" %.*s", (int)strcspn(at, " ]"), at);
    fputs(command_is_remote(c) ? " -c --state --json --timeout\" ;;\n" : "\" ;;\n", stdout);
  }
  fputs("    help) list=\"", stdout);
  for (size_t i = 0; i < command_count; i++)
    printf("%s ", commands[i].name);
  fputs("\" ;;\n    esac\n  fi\n"
        "  COMPREPLY=($(compgen -W \"$list\" -- \"$word\"))\n"
        "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$word\"))\n}\ncomplete -F _tandem tandem\n",
        stdout);
  return EXIT_DONE;
}
