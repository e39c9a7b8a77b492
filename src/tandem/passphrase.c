#include "tandem/passphrase.h"

#include "crypto/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSPHRASE_BYTES_MOST = 4096 };

bool passphrase_read(const char *command, const char *path, struct buf *out) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  uint8_t *to = buf_reserve(out, PASSPHRASE_BYTES_MOST);
  ssize_t n = fd < 0 || !to || fstat(fd, &st) ? -1 : read(fd, to, PASSPHRASE_BYTES_MOST);
  int saved = errno;
  if (fd >= 0) close(fd);
  if (n < 0) {
    fprintf(stderr, "tandem %s: %s can't be read: %s\n", command, path, strerror(saved));
    return false;
  }
  uint8_t *end = memchr(to, '\n', (size_t)n);
  out->size = end ? (size_t)(end - to) : (size_t)n;
  if (st.st_mode & (S_IROTH | S_IWOTH))
    fprintf(stderr, "tandem %s: %s is open to everybody; chmod o-rwx %s\n", command, path, path);
  else if (out->size == 0) fprintf(stderr, "tandem %s: %s is empty\n", command, path);
  else if (n == PASSPHRASE_BYTES_MOST) fprintf(stderr, "tandem %s: %s is too large for a passphrase\n", command, path);
  else return true;
  return false;
}

void passphrase_done(struct buf *b) {
  if (b->data) wipe(b->data, b->capacity);
  buf_done(b);
}

bool path_from_here(const char *path, struct buf *out) {
  char here[PATH_MAX];
  if (path[0] != '/') {
    if (!getcwd(here, sizeof here)) return false;
    buf_printf(out, "%s/", here);
  }
  buf_add_text(out, path);
  return !out->failed;
}
