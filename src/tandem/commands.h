/* The command table: one row a command (commands.def) drives dispatch, help, the arguments of commands to the server, and shell
 * completion. */
#ifndef TANDEM_COMMANDS_H
#define TANDEM_COMMANDS_H

#include "base/buf.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_TIMED_OUT = 3 };

struct command {
  const char *name;  /* "zone list" */
  const char *usage; /* its arguments: "ZONE [--at TIME]"; for a command to the server each word becomes a member of the request */
  const char *summary;               /* one line */
  int (*run)(int argc, char **argv); /* argv[0] is the name */
};

extern const struct command commands[];
extern const size_t command_count;

/* The row that the first words name; `*words` of them. NULL: none. */
const struct command *command_find(int argc, char **argv, int *words);
const struct command *command_by_name(const char *name);
/* The name that somebody may have meant; NULL: none is near. */
const char *command_like(const char *name);
/* "usage: tandem NAME ARGUMENTS\n" */
void command_usage(const struct command *c, struct buf *out);
/* Prints usage on stderr; returns EXIT_USAGE. */
int command_misused(const char *name, const char *what);
int command_no_option(const char *name, const char *arg);
/* The same for a first word that begins no command. */
int command_unknown(const char *name);
/* Says on stderr what went wrong, and with `json` on stdout as well; returns EXIT_REFUSED. */
int command_failed(const char *name, bool json, const char *what, const char *hint);
/* Whether it is sent to the running server. */
bool command_is_remote(const struct command *c);

int cmd_check_config(int argc, char **argv);
int cmd_check_zone(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_edit(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_remote(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_serve(int argc, char **argv);

#endif
