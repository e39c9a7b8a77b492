/* What the two halves of the pipeline share: pipeline.c queues changes and writes them into the store's batch, commit.c makes the
 * batch durable and readers see it. */
#ifndef CONTROL_PIPELINE_PRIV_H
#define CONTROL_PIPELINE_PRIV_H

#include "control/control_priv.h"

/* A change of the batch. Those of one zone follow each other: each builds on the one before. */
struct pending {
  struct zone_slot *zone;
  const struct zone_snap *snap; /* the zone's content with this change, one reference; NULL: none */
  bool content;                 /* a new version; otherwise only the source or the seed is new */
  bool created;                 /* the batch makes the zone's row in the store */
  bool served;                  /* by the slot already: only the store lacks it */
  bool superseded;              /* a later change of the batch stands for the zone */
  bool left_out;                /* of the store's batch: there is too little room for a whole zone, or */
  bool aside;                   /* its image is written by the image thread, while it is served */
  /* the log once this is in it */
  uint64_t store_id;
  uint64_t version;
  struct store_image image; /* the newest image; segment 0: none */
  uint64_t tail_bytes;      /* of deltas behind it */
  bool departed;            /* as in the slot */
  uint64_t new_image_bytes; /* written for this change */
  /* for when it can't be kept */
  enum store_door door;
  char *author, *comment;
  uint8_t *source;
  size_t source_size;
};

struct pipeline {
  struct control *control;
  struct store_batch *batch;
  struct pending *list;
  size_t count, capacity;
  enum err broken; /* the store refused a step: nothing of the batch can become durable */
  enum store_room room;
  bool left_out;     /* a change was, for lack of room */
  bool serves_first; /* pipeline_serve_first */
};

void pipeline_free(struct pipeline *p);

#endif
