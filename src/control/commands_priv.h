/* What the files of commands share: commands.c has the table, the replies and those that wait; the others a group of commands each.
 */
#ifndef CONTROL_COMMANDS_PRIV_H
#define CONTROL_COMMANDS_PRIV_H

#include "control/control_priv.h"

#include <jansson.h>

typedef void command_run(struct control *c, uint64_t token, const json_t *args);

/* One line of an answer; the object is taken over. The last one has "ok". */
void reply_json(struct control *c, uint64_t token, json_t *object);
/* A member that has to be a text; NULL: it is not there. */
const char *command_text(const json_t *args, const char *member);
/* The name that the command gives; answers an error and says false if it is none. */
bool command_name(struct control *c, uint64_t token, const json_t *args, struct name *out);
/* The zone that the command names; answers an error and gives NULL if there is none. */
struct zone_slot *command_zone(struct control *c, uint64_t token, const json_t *args);
/* Whether commands may change the zone's content (who owns it); answers an error if not. */
bool command_may_write(struct control *c, uint64_t token, const struct zone_slot *z);

command_run command_import;                        /* commands_content.c */
command_run command_zone_add, command_zone_delete; /* run_time.c */

/* A text of any length, taken over, and then the object that ends the answer: as the client takes it. */
void job_tell(struct control *c, uint64_t token, struct buf *text, json_t *last);

command_run cmd_history, cmd_diff, cmd_export, cmd_rollback; /* commands_history.c */
command_run cmd_wait;                                        /* commands_wait.c */

#endif
