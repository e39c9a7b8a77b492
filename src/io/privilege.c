#include "io/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

enum err privilege_find_user(const char *name, struct privilege_user *out) {
  errno = 0;
  const struct passwd *p = getpwnam(name);
  if (!p) return ERR_NOT_FOUND;
  *out = (struct privilege_user){p->pw_uid, p->pw_gid};
  return ERR_OK;
}

bool privilege_is_root(void) {
  return geteuid() == 0;
}

struct kept {
  cap_value_t list[2];
  int count;
};

/* What may stay, as far as we have it. */
static struct kept choose(bool low_ports, bool stays_root) {
  struct kept k = {.count = 0};
  cap_t have = cap_get_proc();
  cap_flag_value_t on;
  if (have && low_ports && cap_get_flag(have, CAP_NET_BIND_SERVICE, CAP_PERMITTED, &on) == 0 && on == CAP_SET)
    k.list[k.count++] = CAP_NET_BIND_SERVICE;
  if (have && stays_root && cap_get_flag(have, CAP_DAC_OVERRIDE, CAP_PERMITTED, &on) == 0 && on == CAP_SET)
    k.list[k.count++] = CAP_DAC_OVERRIDE;
  if (have) cap_free(have);
  return k;
}

static cap_t make_set(const struct kept *k) {
  cap_t set = cap_init();
  if (!set || k->count == 0) return set;
  if (cap_set_flag(set, CAP_PERMITTED, k->count, k->list, CAP_SET) == 0 &&
      cap_set_flag(set, CAP_EFFECTIVE, k->count, k->list, CAP_SET) == 0)
    return set;
  cap_free(set);
  return NULL;
}

/* What a program that we might start could ever get: nothing. Only who has CAP_SETPCAP can and need say so. */
static bool empty_bounding_set(void) {
  for (cap_value_t c = 0; cap_get_bound(c) >= 0; c++)
    if (cap_get_bound(c) == 1 && cap_drop_bound(c) != 0) return errno == EPERM && !privilege_is_root();
  return true;
}

static bool is_user(const struct privilege_user *u) {
  uid_t r, e, s;
  gid_t rg, eg, sg;
  return getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0 && r == u->uid && e == u->uid && s == u->uid && rg == u->gid &&
         eg == u->gid && sg == u->gid && getgroups(0, NULL) == 0 && (u->uid == 0 || setuid(0) != 0);
}

/* A process that took over from one that had dropped its own (tandem/swap.h) is that user already, and could not become it. */
static bool become(const struct privilege_user *u) {
  return is_user(u) ||
         (setgroups(0, NULL) == 0 && setresgid(u->gid, u->gid, u->gid) == 0 && setresuid(u->uid, u->uid, u->uid) == 0);
}

static bool has_only(cap_t set) {
  cap_t now = cap_get_proc();
  bool same = now && cap_compare(now, set) == 0;
  if (now) cap_free(now);
  return same && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

enum err privilege_drop(const struct privilege_user *user, bool keep_low_ports, const char **what) {
  bool stays_root = privilege_is_root() && (!user || user->uid == 0);
  struct kept kept = choose(keep_low_ports, stays_root);
  cap_t set = make_set(&kept);
  const char *failed = NULL;
  if (!set) failed = "making a capability set";
  else if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) failed = "PR_SET_KEEPCAPS";
  else if (!empty_bounding_set()) failed = "emptying the bounding set";
  else if (user && privilege_is_root() && !become(user)) failed = "changing to the user";
  else if (cap_reset_ambient() != 0) failed = "emptying the ambient set";
  else if (cap_set_proc(set) != 0) failed = "setting capabilities";
  else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) failed = "PR_SET_NO_NEW_PRIVS";
  /* A process that changed its user can't be dumped or traced by it; a crash should still leave its core where the
   * administrator allowed one (core files are off by default). */
  else if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) failed = "PR_SET_DUMPABLE";
  else if (!has_only(set) || (user && !is_user(user))) failed = "the check that they are gone";
  if (set) cap_free(set);
  if (!failed) return ERR_OK;
  *what = failed;
  return ERR_REFUSED;
}
