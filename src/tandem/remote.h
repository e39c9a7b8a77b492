/* One command to the running server, for those that do more than send what they were given. Thread: the process's only one. */
#ifndef TANDEM_REMOTE_H
#define TANDEM_REMOTE_H

#include "tandem/commands.h"

#include <jansson.h>
#include <stdbool.h>

struct remote {
  const struct command *command;
  const char *config, *state;
  bool json;
  unsigned timeout_ms;
  json_t *request; /* by the words of the command's usage */
};

/* Reads the arguments; 0, or the exit status of what was wrong and was said. remote_done is due either way. */
int remote_begin(struct remote *r, int argc, char **argv);
void remote_done(struct remote *r);
/* Sends the request. With `last` the final object is given there, one reference, and nothing is printed; without it the answer is
 * printed. Pieces of output go to `data` if that is given, else to stdout. An exit status. */
int remote_ask(struct remote *r, json_t **last, struct buf *data);
/* Prints what a final object says, as remote_ask does; the exit status. */
int remote_print(struct remote *r, json_t *last);

#endif
