#include "xfr/digest_option.h"

enum { KIND_CONTENT = 1 };

bool digest_option_asked(const struct request *req) {
  struct rd options = rd_make(req->edns.options, req->edns.options_size);
  while (req->edns.present && rd_left(&options)) {
    uint16_t code, size;
    struct rd value;
    if (!rd_u16(&options, &code) || !rd_u16(&options, &size) || !rd_sub(&options, size, &value)) return false;
    if (code == EDNS_ZONE_DIGEST) return true;
  }
  return false;
}

size_t digest_option_write(const struct zone_snap *s, uint8_t out[DIGEST_OPTION_BYTES]) {
  struct digest128 digest;
  if (!zone_content(s, &digest)) return 0;
  struct wr w = wr_make(out, DIGEST_OPTION_BYTES);
  wr_u16(&w, EDNS_ZONE_DIGEST);
  wr_u16(&w, DIGEST_OPTION_BYTES - 4);
  wr_u8(&w, KIND_CONTENT);
  wr_u32(&w, zone_serial(s));
  wr_u64(&w, digest.high);
  wr_u64(&w, digest.low);
  return wr_used(&w);
}

bool digest_option_read(struct rd options, struct digest_option *out) {
  while (rd_left(&options)) {
    uint16_t code, size;
    uint8_t kind;
    struct rd value;
    struct digest_option o = {.present = true};
    if (!rd_u16(&options, &code) || !rd_u16(&options, &size) || !rd_sub(&options, size, &value)) return false;
    if (code != EDNS_ZONE_DIGEST || !rd_u8(&value, &kind) || kind != KIND_CONTENT) continue;
    if (!rd_u32(&value, &o.serial) || !rd_u64(&value, &o.digest.high) || !rd_u64(&value, &o.digest.low)) return false;
    *out = o;
  }
  return true;
}

bool digest_option_fits(const struct digest_option *o, const struct zone_snap *base, const struct zone_snap *made,
                        struct xfr_what *what) {
  struct digest128 digest;
  struct delta_size size;
  char ours[CONTENT_TEXT_BYTES], theirs[CONTENT_TEXT_BYTES];
  if (!o->present || o->serial != zone_serial(made)) return true;
  enum err e = zone_content(base, &digest) ? zone_content_diff(base, made, &digest, &size) : zone_content_whole(made, &digest);
  if (e) return true; /* out of memory: not compared */
  zone_content_set(made, digest);
  if (zone_content_equal(digest, o->digest)) return true;
  xfr_what_set(what, "sent changes that lead to another zone (serial %u) than it has: digest %.16s, there %.16s", o->serial,
               zone_content_text(digest, ours), zone_content_text(o->digest, theirs));
  return false;
}
