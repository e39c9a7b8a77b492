/* Responses that are sent later than in the handler. */
#include "io/udp_priv.h"

#include <assert.h>
#include <netinet/udp.h>
#include <string.h>

void udp_packet_return(const struct udp_packet *p, struct udp_return *out) {
  const struct msghdr *asked = p->asked;
  out->fd = p->socket->fd;
  memcpy(&out->from, asked->msg_name, sizeof out->from); /* the worker's room is as large, whatever is in it */
  out->control_size = 0;
  if (!p->socket->wildcard || asked->msg_controllen == 0 || asked->msg_controllen > sizeof out->control) return;
  out->control_size = (uint32_t)asked->msg_controllen;
  memcpy(out->control, asked->msg_control, out->control_size);
}

static bool goes_with(const struct msghdr *a, const struct msghdr *b) {
  return a->msg_iov->iov_len == b->msg_iov->iov_len && a->msg_namelen == b->msg_namelen && a->msg_controllen == b->msg_controllen &&
         memcmp(a->msg_name, b->msg_name, a->msg_namelen) == 0 &&
         (!a->msg_controllen || memcmp(a->msg_control, b->msg_control, a->msg_controllen) == 0);
}

/* Many for one client and of one size go as one, which the system takes apart where it leaves (UDP_SEGMENT): a fraction of what
 * each alone would cost. False: it can't, by this way out. */
static bool send_together(int fd, const struct msghdr *first, size_t n) {
  _Alignas(struct cmsghdr) uint8_t control[sizeof((struct udp_return *)0)->control + CMSG_SPACE(sizeof(uint16_t))] = {0};
  uint16_t size = (uint16_t)first->msg_iov->iov_len;
  struct msghdr h = *first;
  size_t used = CMSG_ALIGN(h.msg_controllen);
  struct cmsghdr *c = (struct cmsghdr *)(void *)(control + used);
  if (used) memcpy(control, h.msg_control, h.msg_controllen);
  *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof size), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT};
  memcpy(CMSG_DATA(c), &size, sizeof size);
  h.msg_iovlen = n;
  h.msg_control = control;
  h.msg_controllen = used + CMSG_SPACE(sizeof size);
  return sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static struct msghdr header_of(const struct udp_late *l, struct iovec *iov) {
  struct udp_return *to = l->to;
  *iov = (struct iovec){(uint8_t *)(uintptr_t)l->bytes, l->size};
  struct msghdr h = {.msg_name = &to->from, .msg_iov = iov, .msg_iovlen = 1};
  h.msg_namelen = to->from.sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof to->from;
  if (to->control_size) {
    h.msg_control = to->control;
    h.msg_controllen = to->control_size;
    udp_from_asked(&h);
  }
  return h;
}

void udp_late_send(const struct udp_late *list, size_t n) {
  struct mmsghdr out[LIMIT_BATCH];
  struct iovec iov[LIMIT_BATCH];
  int fds[LIMIT_BATCH];
  size_t left = 0;
  assert(n <= LIMIT_BATCH);
  for (size_t i = 0; i < n; i++)
    out[i] = (struct mmsghdr){.msg_hdr = header_of(&list[i], &iov[i])};
  for (size_t first = 0, end; first < n; first = end) {
    int fd = list[first].to->fd;
    for (end = first + 1; end < n && list[end].to->fd == fd && goes_with(&out[first].msg_hdr, &out[end].msg_hdr);)
      end++;
    if (end - first > 1 && send_together(fd, &out[first].msg_hdr, end - first)) continue;
    for (size_t i = first; i < end; i++) {
      fds[left] = fd;
      out[left++] = out[i];
    }
  }
  for (size_t first = 0, end; first < left; first = end) {
    for (end = first + 1; end < left && fds[end] == fds[first];)
      end++;
    udp_send_all(fds[first], out + first, (unsigned)(end - first));
  }
}
