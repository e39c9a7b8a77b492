/* The reader of transfers, once as the answer to an AXFR and once to an IXFR. Input: {u16 size, message} again and again; the ID of
 * each message is made ours, the rest is the fuzzer's. What is taken as a zone must survive a transfer out and in again. */
#include "xfr/axfr_out.h"
#include "xfr/incoming_priv.h"
#include "zone/zone_set.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct name apex = {13, 2, "\7example\3com"};
static uint8_t buffer[LIMIT_MESSAGE_BYTES];
enum { ID = 0x1234 };

static void check(bool ok) {
  if (!ok) abort();
}

static struct zone_snap *again(const struct zone_snap *snap) {
  struct incoming *in;
  struct axfr_out *out;
  struct request req;
  struct tsig_stream tsig;
  struct zone_snap *copy;
  size_t size;
  bool done = false;
  tsig_stream_none(&tsig);
  check(incoming_new(&apex, NULL, NULL, ID, UINT64_MAX, 0, &in) == ERR_OK);
  const uint8_t *ask = incoming_request(in, &size);
  check(request_parse(ask, size, &req) == ERR_OK);
  check(axfr_out_begin(snap, &req, &tsig, &out) == ERR_OK);
  while (!done) {
    check(axfr_out_next(out, buffer, sizeof buffer, 0, &size, &done) == ERR_OK);
    check(incoming_message(in, buffer, size, 0) == (done ? INCOMING_DONE : INCOMING_MORE));
  }
  check(incoming_count(in).dropped == 0);
  check(incoming_finish(in, &copy) == ERR_OK);
  axfr_out_free(out);
  incoming_free(in);
  return copy;
}

static void check_whole(struct incoming *in) {
  struct zone_snap *snap;
  uint32_t serial = 0;
  struct incoming_count count = incoming_count(in);
  check(incoming_serial(in, &serial));
  check(incoming_finish(in, &snap) == ERR_OK);
  check(zone_serial(snap) == serial);
  if (incoming_kind(in) == INCOMING_CHANGES) check(zone_shares_memory(incoming_base(in), snap));
  else check(zone_record_count(snap) + 1 <= count.records);
  struct zone_snap *copy = again(snap);
  check(zone_equal(snap, copy));
  zone_snap_unref(snap);
  zone_snap_unref(copy);
  zone_grace_barrier();
}

/* Serial 1, and an address at the apex. */
static struct zone_snap *make_base(void) {
  static const uint8_t soa[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}, a[] = {1, 2, 3, 4};
  struct zone_edit *e;
  struct zone_snap *snap;
  enum zone_add outcome;
  check(zone_edit_begin(NULL, &apex, &e) == ERR_OK);
  check(zone_edit_add(e, &apex, RR_SOA, 60, soa, sizeof soa, &outcome) == ERR_OK);
  check(zone_edit_add(e, &apex, RR_A, 60, a, sizeof a, &outcome) == ERR_OK);
  check(zone_edit_finish(e, &snap) == ERR_OK);
  return snap;
}

static void read_as(const struct zone_snap *base, const uint8_t *data, size_t size) {
  struct incoming *in;
  struct rd r = rd_make(data, size), body;
  enum incoming_state state = INCOMING_MORE;
  uint16_t n;
  uint64_t messages = 0;
  check(incoming_new(&apex, base, NULL, ID, 1 << 20, 0, &in) == ERR_OK);
  while (rd_u16(&r, &n)) {
    if (n > rd_left(&r)) n = (uint16_t)rd_left(&r);
    check(rd_sub(&r, n, &body));
    uint8_t *message = malloc(n ? n : 1); /* exact, so that a read past the end is seen */
    check(message != NULL);
    if (n) memcpy(message, body.at, n);
    if (n >= 2) put_u16(message, ID);
    enum incoming_state next = incoming_message(in, message, n, 0);
    free(message);
    if (state == INCOMING_MORE) messages++;
    check(state == INCOMING_MORE || next == INCOMING_FAILED);
    check(next != INCOMING_FAILED || incoming_what(in)[0] != 0);
    check(incoming_count(in).messages == messages);
    state = next;
    if (state == INCOMING_DONE && rd_left(&r) < 2 && incoming_kind(in) != INCOMING_NOTHING) check_whole(in);
  }
  incoming_free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct zone_snap *base; /* kept from one input to the next */
  if (!base) base = make_base();
  read_as(NULL, data, size);
  read_as(base, data, size);
  return 0;
}
