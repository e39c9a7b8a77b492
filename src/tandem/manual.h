/* The manual page in roff, made from the command table: docs/tandem.1. Thread: any. */
#ifndef TANDEM_MANUAL_H
#define TANDEM_MANUAL_H

#include "base/buf.h"

void manual_page(struct buf *out);

#endif
