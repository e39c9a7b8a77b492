/* Giving up privileges: the process becomes an ordinary user, for good. To be called once, when everything that needs more has been
 * opened and before any thread is started: capabilities belong to threads. Thread: the main thread. */
#ifndef IO_PRIVILEGE_H
#define IO_PRIVILEGE_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct privilege_user {
  uid_t uid;
  gid_t gid;
};

/* ERR_NOT_FOUND: there is no such user. */
MUST_CHECK enum err privilege_find_user(const char *name, struct privilege_user *out);
bool privilege_is_root(void);

/* Becomes `user` (NULL: stays who it is), without supplementary groups and with no capability, now or ever again
 * (PR_SET_NO_NEW_PRIVS), but CAP_NET_BIND_SERVICE if `keep_low_ports`: a reload can then still open ports below 1024. Root
 * that stays root keeps CAP_DAC_OVERRIDE, to read files of others. Then checks that it is so; on failure `*what` says which
 * step it was, and the process must not go on. */
MUST_CHECK enum err privilege_drop(const struct privilege_user *user, bool keep_low_ports, const char **what);

#endif
