/* The AXFR reader. Input: {u16 size, message} again and again; the ID of each message is made ours, the rest is the fuzzer's.
 * What is taken as a whole zone must survive a transfer out and in again. */
#include "xfr/axfr_in_priv.h"
#include "xfr/axfr_out.h"
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
  struct axfr_in *in;
  struct axfr_out *out;
  struct request req;
  struct tsig_stream tsig;
  struct zone_snap *copy;
  size_t size;
  bool done = false;
  tsig_stream_none(&tsig);
  check(axfr_in_new(&apex, NULL, ID, UINT64_MAX, 0, &in) == ERR_OK);
  const uint8_t *ask = axfr_in_request(in, &size);
  check(request_parse(ask, size, &req) == ERR_OK);
  check(axfr_out_begin(snap, &req, &tsig, &out) == ERR_OK);
  while (!done) {
    check(axfr_out_next(out, buffer, sizeof buffer, 0, &size, &done) == ERR_OK);
    check(axfr_in_message(in, buffer, size, 0) == (done ? AXFR_IN_DONE : AXFR_IN_MORE));
  }
  check(axfr_in_count(in).dropped == 0);
  check(axfr_in_finish(in, &copy) == ERR_OK);
  axfr_out_free(out);
  axfr_in_free(in);
  return copy;
}

static void check_whole(struct axfr_in *in) {
  struct zone_snap *snap;
  uint32_t serial = 0;
  struct axfr_in_count count = axfr_in_count(in);
  check(axfr_in_serial(in, &serial));
  check(axfr_in_finish(in, &snap) == ERR_OK);
  check(zone_serial(snap) == serial);
  check(zone_record_count(snap) + 1 <= count.records);
  struct zone_snap *copy = again(snap);
  check(zone_equal(snap, copy));
  zone_snap_unref(snap);
  zone_snap_unref(copy);
  zone_grace_barrier();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct axfr_in *in;
  struct rd r = rd_make(data, size), body;
  enum axfr_in_state state = AXFR_IN_MORE;
  uint16_t n;
  uint64_t messages = 0;
  check(axfr_in_new(&apex, NULL, ID, 1 << 20, 0, &in) == ERR_OK);
  while (rd_u16(&r, &n)) {
    if (n > rd_left(&r)) n = (uint16_t)rd_left(&r);
    check(rd_sub(&r, n, &body));
    uint8_t *message = malloc(n ? n : 1); /* exact, so that a read past the end is seen */
    check(message != NULL);
    if (n) memcpy(message, body.at, n);
    if (n >= 2) put_u16(message, ID);
    enum axfr_in_state next = axfr_in_message(in, message, n, 0);
    free(message);
    if (state == AXFR_IN_MORE) messages++;
    check(state == AXFR_IN_MORE || next == AXFR_IN_FAILED);
    check(next != AXFR_IN_FAILED || axfr_in_what(in)[0] != 0);
    check(axfr_in_count(in).messages == messages);
    state = next;
    if (state == AXFR_IN_DONE && rd_left(&r) < 2) check_whole(in);
  }
  axfr_in_free(in);
  return 0;
}
