/* Records as text: what zonefile_scan reads back to the same octets. */
#include "zonefile/zonefile.h"

void zonefile_print_record(const struct name *owner, uint32_t ttl, uint16_t type, const uint8_t *rdata, uint16_t size,
                           struct buf *out) {
  char name[NAME_TEXT_BYTES], mnemonic[RR_TYPE_TEXT_BYTES];
  buf_printf(out, "%s %u IN %s ", name_text(owner, name), ttl, rr_type_text(type, mnemonic));
  rr_rdata_text(type, rdata, size, out);
  buf_add_byte(out, '\n');
}
