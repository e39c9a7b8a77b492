/* Any bytes behind a plain question, as its additional records: OPT with options, TSIG, and what must not be there. The quick way
 * through request_parse and the general one must agree. */
#include "wire/message.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t question[] = {3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};
/* An address record before the OPT sends the parser the general way. */
static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1};

static enum err parse(unsigned additional, bool general, const uint8_t *data, size_t size, struct request *out, uint8_t **bytes) {
  size_t n = 12 + sizeof question + (general ? sizeof record : 0) + size;
  uint8_t *m = malloc(n), *p = m; /* exact size, so that a read past the end is seen */
  if (!m) abort();
  memset(m, 0, 12);
  put_u16(m + 4, 1);
  put_u16(m + 6, general);
  put_u16(m + 10, (uint16_t)additional);
  p += 12;
  memcpy(p, question, sizeof question);
  p += sizeof question;
  if (general) memcpy(p, record, sizeof record);
  p += general ? sizeof record : 0;
  if (size) memcpy(p, data, size);
  *bytes = m;
  return request_parse(m, n, out);
}

static void check_same(const struct edns *a, const struct edns *b) {
  assert(a->present == b->present && a->dnssec_ok == b->dnssec_ok && a->version == b->version && a->udp_bytes == b->udp_bytes);
  assert(a->nsid == b->nsid && a->expire == b->expire && a->keepalive == b->keepalive && a->padding == b->padding);
  assert(a->zoneversion == b->zoneversion && a->cookie == b->cookie && a->subnet == b->subnet);
  assert(a->options_size == b->options_size && (!a->options_size || memcmp(a->options, b->options, a->options_size) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 4096) return 0;
  unsigned additional = data[0] % 5;
  struct request quick, general;
  uint8_t *quick_bytes, *general_bytes;
  enum err e = parse(additional, false, data + 1, size - 1, &quick, &quick_bytes);
  enum err f = parse(additional, true, data + 1, size - 1, &general, &general_bytes);
  assert((e == ERR_OK || e == ERR_FORMAT) && quick.has_question && quick.question_end == 12 + sizeof question);
  bool pointers = false; /* what they lead to differs between the two */
  for (size_t i = 1; i < size; i++)
    pointers |= data[i] >= 0xc0;
  if (!pointers) {
    assert(e == f);
    if (e == ERR_OK) check_same(&quick.edns, &general.edns);
    if (e == ERR_OK) assert(quick.tsig_at ? general.tsig_at == quick.tsig_at + sizeof record : general.tsig_at == 0);
  }
  if (e == ERR_OK && quick.edns.present) assert(quick.edns.udp_bytes >= LIMIT_UDP_PLAIN_BYTES);
  free(quick_bytes);
  free(general_bytes);
  return 0;
}
