/* Room on the disk of the state directory. When there is none, SQLite can neither delete nor checkpoint: so a ballast file holds
 * room of its own, which is given up then, for housekeeping alone, and taken back once there is room for it and for changes beside
 * it.
 *
 *      free: 100 %            10 %           5 %                        0
 *   all goes |    a warning    | no bulk: only changes |  ballast given up: nothing but housekeeping
 *
 * On large disks the warning and the refusal come later: what is left is judged by what zones need. */
#include "store/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
  LOW_SHARE = 10,      /* free: 1/10 of the file system, ... */
  LOW_MOST_MIB = 8192, /* ... or so much */
  BULK_SHARE = 20,     /* half of that */
  BULK_MOST_MIB = 4096,
  BALLAST_SHARE = 64,              /* the ballast is at most 1/64 of the file system, ... */
  BALLAST_LEAST_BYTES = 256 << 10, /* ... and none is made where that is less than this */
  BESIDE_SHARE = 4,                /* room for changes: 1/4 of the ballast, ... */
  BESIDE_LEAST_BYTES = 64 << 10,   /* ... or at least this */
  BETTER_NUM = 6,                  /* once worse, it is better when there is 6/5 of what is asked for */
  BETTER_DEN = 5,
};

static const char ballast_name[] = "ballast";

bool store_room_system(int dir, uint64_t *total_bytes, uint64_t *free_bytes) {
  struct statvfs v;
  if (fstatvfs(dir, &v)) return false;
  *total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
  *free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
  return *total_bytes > 0;
}

/* What it holds; one with holes holds nothing. */
static uint64_t ballast_held(const struct store *s) {
  struct stat st;
  if (fstatat(s->dir_fd, ballast_name, &st, AT_SYMLINK_NOFOLLOW)) return 0;
  return (uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size ? (uint64_t)st.st_size : 0;
}

static uint64_t ballast_give_up(struct store *s) {
  (void)unlinkat(s->dir_fd, ballast_name, 0);
  return 0;
}

static uint64_t ballast_put(struct store *s, uint64_t bytes) {
  int fd = openat(s->dir_fd, ballast_name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return 0;
  bool held = posix_fallocate(fd, 0, (off_t)bytes) == 0;
  close(fd);
  return held ? bytes : ballast_give_up(s);
}

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static enum store_room judge(uint64_t total, uint64_t free, enum store_room before) {
  uint64_t low = least(total / LOW_SHARE, (uint64_t)LOW_MOST_MIB << 20);
  uint64_t bulk = least(total / BULK_SHARE, (uint64_t)BULK_MOST_MIB << 20);
  if (before >= STORE_ROOM_LOW) low = low / BETTER_DEN * BETTER_NUM;
  if (before >= STORE_ROOM_NO_BULK) bulk = bulk / BETTER_DEN * BETTER_NUM;
  return free < bulk ? STORE_ROOM_NO_BULK : free < low ? STORE_ROOM_LOW : STORE_ROOM_GOOD;
}

void store_disk_look(struct store *s, uint64_t ballast_bytes, struct store_disk *out) {
  struct store_disk d = {.room = STORE_ROOM_GOOD}, *before = &s->disk;
  bool was_none = before->room == STORE_ROOM_NONE, failed = s->db.no_space;
  s->db.no_space = false;
  if (!s->env.room || !s->env.room(s->dir_fd, &d.total_bytes, &d.free_bytes)) {
    *out = *before = d;
    return;
  }
  uint64_t want = least(ballast_bytes, d.total_bytes / BALLAST_SHARE), held = ballast_held(s);
  if (want < BALLAST_LEAST_BYTES) want = 0;
  uint64_t beside = want / BESIDE_SHARE > BESIDE_LEAST_BYTES ? want / BESIDE_SHARE : BESIDE_LEAST_BYTES;
  uint64_t room = d.free_bytes + held > want ? d.free_bytes + held - want : 0; /* beside the ballast */
  bool comes_back = d.free_bytes + held >= want && (room >= beside || (!failed && db_free_bytes(&s->db) >= beside));
  bool none = was_none ? !comes_back : failed && room < beside;
  if (none && held) held = ballast_give_up(s);
  else if (!none && held != want && (was_none || room >= beside)) held = want ? ballast_put(s, want) : ballast_give_up(s);
  d.known = true;
  d.ballast_bytes = held;
  if (!s->env.room(s->dir_fd, &d.total_bytes, &d.free_bytes)) d.free_bytes = 0;
  d.room = none ? STORE_ROOM_NONE : judge(d.total_bytes, held ? d.free_bytes : room, before->room);
  *out = *before = d;
}
