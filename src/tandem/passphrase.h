/* What commands take from files of the caller. */
#ifndef TANDEM_PASSPHRASE_H
#define TANDEM_PASSPHRASE_H

#include "base/buf.h"

#include <stdbool.h>

/* The first line of the file, which only its owner and group may read. False: said on stderr. */
bool passphrase_read(const char *command, const char *path, struct buf *out);
void passphrase_done(struct buf *b); /* wipes and frees */
/* The path as an absolute one; links are left as they are. */
bool path_from_here(const char *path, struct buf *out);

#endif
