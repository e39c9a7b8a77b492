/* What the files of UPDATEs share: updates.c takes, answers and forwards them, update_batch.c judges. */
#ifndef CONTROL_UPDATES_PRIV_H
#define CONTROL_UPDATES_PRIV_H

#include "control/control_priv.h"
#include "xfr/update.h"

/* Updates of one zone by one author that follow each other and become one version, one changeset. */
struct update_runner {
  struct zone_slot *zone; /* NULL: there is none */
  struct update_run made;
  struct update_list list;
};

struct update_batch {
  struct control *control;
  struct pipeline *pipeline; /* NULL: no memory */
  bool blind;                /* the store may not know what it has: a change that was called failed may be there after a restart */
  bool doubtful;             /* a change that others were judged on was not made */
  struct update_runner run;
  struct update_list decided; /* to be answered once it is known whether the batch is durable */
};

/* Judges all that wait, and all that come meanwhile: they would have to wait for a sync more. */
void update_batch_judge(struct update_batch *b);

void update_append(struct update_list *list, struct control_update *u);
void update_outcome(struct control_update *u, unsigned rcode, int ede, const char *ede_text);
/* SERVFAIL, logged and counted. */
void update_failed(struct control *c, struct control_update *u, const char *why);

struct acl_client update_client_of(const struct control_update *u);
enum { AUTHOR_BYTES = NAME_TEXT_BYTES + ADDR_TEXT_BYTES };
/* The name of the key, or the address. */
const char *update_author_text(const struct control_update *u, char out[AUTHOR_BYTES]);
void update_log_refusal(const struct control_update *u, enum log_event event, unsigned rcode, const char *why);

#endif
