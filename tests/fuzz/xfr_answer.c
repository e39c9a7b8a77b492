/* What answers our SOA queries and NOTIFYs. Input: {u8 which, message}; bit 0 of `which`: NOTIFY, bit 1: signed, bit 2: keep the
 * message's ID instead of making it ours. */
#include "xfr/notify_priv.h"
#include "xfr/soa_query_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct name apex = {13, 2, "\7example\3com"};
enum { NOTIFY = 1, SIGNED = 2, KEEP_ID = 4, ID = 0x1234 };

static void check(bool ok) {
  if (!ok) abort();
}

static const struct tsig_key *the_key(void) {
  static struct tsig_keyring *keys;
  static const struct name name = {5, 1, "\3key"};
  if (!keys) {
    check(tsig_keyring_new(&keys) == ERR_OK);
    check(tsig_keyring_add(keys, &name, HMAC_SHA256, (const uint8_t *)"secret", 6) == ERR_OK);
  }
  return tsig_keyring_find(keys, &name);
}

static void judge_soa(const struct tsig_key *key, const uint8_t *message, size_t size) {
  struct soa_query q = {0};
  struct soa_answer answer;
  struct xfr_what what = {""};
  check(soa_query_write(&q, &apex, key, true, ID, 0) == ERR_OK);
  struct request req;
  check(request_parse(q.bytes, q.size, &req) == ERR_OK && req.edns.expire);
  enum soa_verdict v = soa_query_judge(&q, &apex, message, size, 0, &answer, &what);
  if (v == SOA_GIVEN)
    check(!key && size > 12 && get_u16(message) == ID &&
          (get_u16(message + 2) & (FLAG_QR | FLAG_AA | FLAG_TC | FLAG_RCODE_MASK)) == (FLAG_QR | FLAG_AA));
  check((v != SOA_FAILED && v != SOA_DOUBTFUL) || what.text[0]);
  check(v == SOA_STRANGE || get_u16(message) == ID);
  soa_query_done(&q);
}

static void judge_notify(const struct tsig_key *key, const uint8_t *message, size_t size) {
  struct notify n = {0};
  struct notify_soa soa = {.ttl = 1, .size = 22};
  struct xfr_what what = {""};
  uint8_t bytes[NOTIFY_BYTES];
  size_t written;
  check(notify_write(&n, &apex, &soa, key, ID, 0, bytes, &written) == ERR_OK);
  enum notify_verdict v = notify_judge(&n, &apex, message, size, 0, &what);
  check(v != NOTIFY_TAKEN || (!key && (get_u16(message + 2) & FLAG_RCODE_MASK) == 0));
  check((v != NOTIFY_REFUSED && v != NOTIFY_DOUBTFUL) || what.text[0]);
  check(v == NOTIFY_STRANGE || get_u16(message) == ID);
  notify_done(&n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  size_t n = size - 1;
  uint8_t *message = malloc(n ? n : 1);
  check(message != NULL);
  if (n) memcpy(message, data + 1, n);
  if (n >= 2 && !(data[0] & KEEP_ID)) put_u16(message, ID);
  const struct tsig_key *key = data[0] & SIGNED ? the_key() : NULL;
  if (data[0] & NOTIFY) judge_notify(key, message, n);
  else judge_soa(key, message, n);
  free(message);
  return 0;
}
