/* The program is written down as instructions: 50 lines need no second compiler on every machine that builds this. */
#include "io/xdp_filter.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct xdp_filter {
  int queues;    /* map: queue -> socket */
  int addresses; /* map: address and port -> 1 */
  int program;
  int link;
};

/* Key of the map of addresses, as the program builds it on its stack. IPv4 stands in the first 4 octets. */
struct key {
  uint8_t address[16];
  uint16_t port; /* network order, as the next */
  uint16_t type; /* of the Ethernet frame */
};

/* ---- the program ---- */

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP };

#define OP(code, dst, src, off, imm) ((struct bpf_insn){(code), (dst), (src), (off), (imm)})
#define COPY(dst, src) OP(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define SET(dst, imm) OP(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define ADD(dst, imm) OP(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm)
#define AND(dst, imm) OP(BPF_ALU64 | BPF_AND | BPF_K, dst, 0, 0, imm)
#define LOAD(size, dst, src, off) OP(BPF_LDX | BPF_MEM | (size), dst, src, off, 0)
#define STORE(size, dst, off, src) OP(BPF_STX | BPF_MEM | (size), dst, src, off, 0)
#define STORE_IMM(size, dst, off, imm) OP(BPF_ST | BPF_MEM | (size), dst, 0, off, imm)
#define JUMP_NE(dst, imm, label) OP(BPF_JMP | BPF_JNE | BPF_K, dst, 0, label, imm)
#define JUMP_EQ(dst, imm, label) OP(BPF_JMP | BPF_JEQ | BPF_K, dst, 0, label, imm)
#define JUMP_GT(dst, src, label) OP(BPF_JMP | BPF_JGT | BPF_X, dst, src, label, 0)
#define JUMP(label) OP(BPF_JMP | BPF_JA, 0, 0, label, 0)
#define CALL(function) OP(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define MAP(dst, fd) OP(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd), OP(0, 0, 0, 0, 0)
#define EXIT OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BIG(n) __builtin_bswap16(n) /* htons, for a constant */
#else
#define BIG(n) (n)
#endif
#define LABEL(label) OP(PLACE, 0, 0, label, 0)

enum { PLACE = 0xff /* no instruction: says where a label stands */ };
enum { PASS, IS_6, LOOK, LABELS };
enum { ADDRESSES, QUEUES }; /* maps, until the program is linked */

enum {
  ETHERNET = 14,
  DNS_HEADER = 12,
  KEY_AT = -(int)sizeof(struct key), /* on the stack */
  LONGEST = 1600,                    /* a longer frame may not fit one of ours */
};

static_assert(sizeof(struct key) == 20, "the program stores the key by words");

/* At PASS: the kernel goes on with the packet. R6 context, R2 begin of the frame, R3 its end, R7 the DNS header. */
static const struct bpf_insn source[] = {
    COPY(R6, R1),
    LOAD(BPF_W, R2, R6, offsetof(struct xdp_md, data)),
    LOAD(BPF_W, R3, R6, offsetof(struct xdp_md, data_end)),
    COPY(R4, R2), /* the least: IPv4, UDP, DNS */
    ADD(R4, ETHERNET + 20 + 8 + DNS_HEADER),
    JUMP_GT(R4, R3, PASS),
    COPY(R4, R2),
    ADD(R4, LONGEST),
    JUMP_GT(R3, R4, PASS),
    STORE_IMM(BPF_W, FP, KEY_AT + 4, 0),
    STORE_IMM(BPF_W, FP, KEY_AT + 8, 0),
    STORE_IMM(BPF_W, FP, KEY_AT + 12, 0),
    LOAD(BPF_H, R5, R2, 12),
    STORE(BPF_H, FP, KEY_AT + 18, R5),
    JUMP_EQ(R5, BIG(0x86dd), IS_6),
    JUMP_NE(R5, BIG(0x0800), PASS),
    LOAD(BPF_B, R5, R2, ETHERNET),
    JUMP_NE(R5, 0x45, PASS), /* version 4, no options */
    LOAD(BPF_B, R5, R2, ETHERNET + 9),
    JUMP_NE(R5, IPPROTO_UDP, PASS),
    LOAD(BPF_H, R5, R2, ETHERNET + 6),
    AND(R5, BIG(0x3fff)), /* more fragments, offset */
    JUMP_NE(R5, 0, PASS),
    LOAD(BPF_W, R5, R2, ETHERNET + 16),
    STORE(BPF_W, FP, KEY_AT, R5),
    COPY(R7, R2),
    ADD(R7, ETHERNET + 20 + 8),
    JUMP(LOOK),
    LABEL(IS_6),
    COPY(R7, R2),
    ADD(R7, ETHERNET + 40 + 8),
    COPY(R4, R7),
    ADD(R4, DNS_HEADER),
    JUMP_GT(R4, R3, PASS),
    LOAD(BPF_B, R5, R2, ETHERNET + 6),
    JUMP_NE(R5, IPPROTO_UDP, PASS),
    LOAD(BPF_W, R5, R2, ETHERNET + 24),
    STORE(BPF_W, FP, KEY_AT, R5),
    LOAD(BPF_W, R5, R2, ETHERNET + 28),
    STORE(BPF_W, FP, KEY_AT + 4, R5),
    LOAD(BPF_W, R5, R2, ETHERNET + 32),
    STORE(BPF_W, FP, KEY_AT + 8, R5),
    LOAD(BPF_W, R5, R2, ETHERNET + 36),
    STORE(BPF_W, FP, KEY_AT + 12, R5),
    LABEL(LOOK),
    COPY(R4, R7),
    ADD(R4, DNS_HEADER),
    JUMP_GT(R4, R3, PASS),
    LOAD(BPF_B, R5, R7, 2), /* QR and opcode: a query */
    AND(R5, 0xf8),
    JUMP_NE(R5, 0, PASS),
    LOAD(BPF_H, R5, R7, -6), /* target port */
    STORE(BPF_H, FP, KEY_AT + 16, R5),
    MAP(R1, ADDRESSES),
    COPY(R2, FP),
    ADD(R2, KEY_AT),
    CALL(BPF_FUNC_map_lookup_elem),
    JUMP_EQ(R0, 0, PASS),
    MAP(R1, QUEUES),
    LOAD(BPF_W, R2, R6, offsetof(struct xdp_md, rx_queue_index)),
    SET(R3, XDP_PASS), /* without a socket */
    CALL(BPF_FUNC_redirect_map),
    EXIT,
    LABEL(PASS),
    SET(R0, XDP_PASS),
    EXIT,
};

/* Labels become distances, names of maps their descriptors. `out` has room for all of `source`; returns how many there are. */
static size_t link_program(struct bpf_insn *out, int addresses, int queues) {
  size_t n = 0;
  short places[LABELS];
  for (size_t i = 0; i < sizeof source / sizeof source[0]; i++)
    if (source[i].code == PLACE) places[source[i].off] = (short)n;
    else out[n++] = source[i];
  for (size_t i = 0; i < n; i++) {
    unsigned operation = out[i].code & ~(unsigned)BPF_X;
    bool jumps = (out[i].code & 7) == BPF_JMP && operation != (BPF_JMP | BPF_CALL) && operation != (BPF_JMP | BPF_EXIT);
    if (jumps) out[i].off = (short)(places[out[i].off] - (short)i - 1);
    if (out[i].src_reg == BPF_PSEUDO_MAP_FD && out[i].code == (BPF_LD | BPF_DW | BPF_IMM))
      out[i].imm = out[i].imm == ADDRESSES ? addresses : queues;
  }
  return n;
}

/* ---- making it ---- */

static enum err make_maps(struct xdp_filter *f) {
  f->queues = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "tandem_queues", 4, 4, XDP_FILTER_QUEUES, NULL);
  if (f->queues < 0) return ERR_IO;
  f->addresses = bpf_map_create(BPF_MAP_TYPE_HASH, "tandem_addrs", sizeof(struct key), 1, XDP_FILTER_ADDRESSES, NULL);
  return f->addresses < 0 ? ERR_IO : ERR_OK;
}

static enum err attach(struct xdp_filter *f, unsigned interface, bool *native) {
  LIBBPF_OPTS(bpf_link_create_opts, own, .flags = XDP_FLAGS_DRV_MODE);
  f->link = bpf_link_create(f->program, (int)interface, BPF_XDP, &own);
  *native = f->link >= 0;
  if (f->link >= 0) return ERR_OK;
  LIBBPF_OPTS(bpf_link_create_opts, general, .flags = XDP_FLAGS_SKB_MODE);
  f->link = bpf_link_create(f->program, (int)interface, BPF_XDP, &general);
  return f->link < 0 ? ERR_IO : ERR_OK;
}

enum err xdp_filter_new(unsigned interface, struct xdp_filter **out, bool *native, const char **what) {
  struct bpf_insn code[sizeof source / sizeof source[0]];
  struct xdp_filter *f = malloc(sizeof *f);
  *what = "memory";
  if (!f) return ERR_MEMORY;
  *f = (struct xdp_filter){-1, -1, -1, -1};
  *what = "making the filter's tables";
  enum err e = make_maps(f);
  if (!e) {
    *what = "loading the filter";
    f->program =
        bpf_prog_load(BPF_PROG_TYPE_XDP, "tandem_dns", "Apache-2.0", code, link_program(code, f->addresses, f->queues), NULL);
    e = f->program < 0 ? ERR_IO : ERR_OK;
  }
  if (!e) {
    *what = "attaching the filter to the interface";
    e = attach(f, interface, native);
  }
  if (e) {
    int saved = errno;
    xdp_filter_free(f);
    errno = saved;
    return e;
  }
  *out = f;
  return ERR_OK;
}

void xdp_filter_free(struct xdp_filter *f) {
  if (!f) return;
  int fds[] = {f->link, f->program, f->addresses, f->queues};
  for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
    if (fds[i] >= 0) close(fds[i]);
  free(f);
}

static struct key key_of(const struct addr *to) {
  struct key k = {.port = htons(to->port), .type = htons(to->family == 4 ? 0x0800 : 0x86dd)};
  memcpy(k.address, to->octets, to->family == 4 ? 4 : 16);
  return k;
}

void xdp_filter_leave(struct xdp_filter *f, const struct addr *to) {
  struct key k = key_of(to);
  int r = bpf_map_delete_elem(f->addresses, &k);
  (void)r; /* it was not there */
}

enum err xdp_filter_take(struct xdp_filter *f, const struct addr *to) {
  struct key k = key_of(to);
  uint8_t one = 1;
  return bpf_map_update_elem(f->addresses, &k, &one, BPF_ANY) == 0 ? ERR_OK : ERR_LIMIT;
}

enum err xdp_filter_queue(struct xdp_filter *f, unsigned queue, int xsk_fd) {
  return bpf_map_update_elem(f->queues, &queue, &xsk_fd, BPF_ANY) == 0 ? ERR_OK : ERR_IO;
}
