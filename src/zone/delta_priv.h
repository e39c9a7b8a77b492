/* What delta.c and delta_chain.c share. */
#ifndef ZONE_DELTA_PRIV_H
#define ZONE_DELTA_PRIV_H

#include "zone/delta.h"

size_t delta_record_bytes(const struct delta_record *r); /* in a body */
bool delta_put(struct buf *out, const struct delta_record *r);

#endif
