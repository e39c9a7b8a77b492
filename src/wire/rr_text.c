/* RDATA between text and wire: goes through a row's fields; and the form for unknown types, RFC 3597 §5. */
#include "base/diag.h"
#include "wire/encoding.h"
#include "wire/rr_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- errors ---- */

enum { QUOTED_TOKEN_BYTES = 64 }; /* at most so much of the offending token is shown */

static size_t quote_token(const struct rr_token *t, char *to, size_t capacity) {
  size_t used = 0;
  for (size_t i = 0; i < t->size && i < QUOTED_TOKEN_BYTES && used + 5 < capacity; i++) {
    uint8_t c = (uint8_t)t->text[i];
    if (c >= 0x20 && c <= 0x7e) to[used++] = (char)c;
    else used += (size_t)snprintf(to + used, 5, "\\%03u", c);
  }
  to[used] = 0;
  return used;
}

static enum err set_error(struct text_in *in, const char *hint, const char *verb) {
  struct rr_text_error *e = in->error;
  const struct rr_token *t = rr_in_peek(in);
  e->token = in->at;
  e->hint = hint;
  int n = snprintf(e->what, sizeof e->what, "%s %s in %s", verb, in->field->name, in->type_text);
  size_t used = n > 0 ? (size_t)n : 0;
  if (t && used + 2 < sizeof e->what) {
    memcpy(e->what + used, ": ", 3);
    quote_token(t, e->what + used + 2, sizeof e->what - used - 2);
  }
  return ERR_FORMAT;
}

enum err rr_in_missing(struct text_in *in, const char *hint) {
  return set_error(in, hint, "missing");
}

enum err rr_in_invalid(struct text_in *in, const char *hint) {
  return set_error(in, hint, "invalid");
}

enum err rr_in_fail(struct text_in *in, const char *hint, const char *format, ...) {
  struct rr_text_error *e = in->error;
  e->token = in->at;
  e->hint = hint;
  int n = snprintf(e->what, sizeof e->what, "invalid %s in %s: ", in->field->name, in->type_text);
  size_t used = n > 0 ? (size_t)n : 0;
  va_list args;
  va_start(args, format);
  if (used < sizeof e->what) vsnprintf(e->what + used, sizeof e->what - used, format, args);
  va_end(args);
  return ERR_FORMAT;
}

/* ---- text to wire ---- */

static bool is_generic(const struct rr_token *tokens, size_t count) {
  return count > 0 && !tokens[0].quoted && tokens[0].size == 2 && memcmp(tokens[0].text, "\\#", 2) == 0;
}

/* The tokens behind \#: a length, then that many octets in hex, in any number of tokens. */
static enum err parse_generic(uint16_t type, struct text_in *in) {
  static const struct rr_field length_field = {"length", FIELD_U16, 0}, data_field = {"data", FIELD_HEX_OR_NONE, 0};
  in->at = 1;
  in->field = &length_field;
  const struct rr_token *t = rr_in_peek(in);
  uint64_t length;
  if (!t) return rr_in_missing(in, "the number of octets that follow in hex");
  if (!rr_parse_number(t->text, t->size, UINT16_MAX, &length)) return rr_in_invalid(in, "a number from 0 to 65535");
  in->at++;
  in->field = &data_field;
  struct hex_decoder hex = {0};
  while ((t = rr_in_peek(in))) {
    if (!hex_feed(&hex, t->text, t->size, &in->out)) return rr_in_invalid(in, "hex digits");
    in->at++;
  }
  if (wr_failed(&in->out)) return ERR_OK; /* the caller sees it */
  if (!hex_complete(&hex) || wr_used(&in->out) != length) {
    in->at = 1;
    return rr_in_fail(in, "the length behind \\# must be that of the data", "%zu octet%s where \\# says %u", wr_used(&in->out),
                      plural(wr_used(&in->out)), (unsigned)length);
  }
  in->at = 0;
  if (rr_rdata_check(type, in->out.base, wr_used(&in->out)) != ERR_OK)
    return rr_in_fail(in, "use the type's own form, or correct the hex", "not well-formed for this type");
  in->at = in->count;
  return ERR_OK;
}

static enum err parse_fields(const struct rr_row *row, struct text_in *in) {
  for (unsigned i = 0; i < row->field_count; i++) {
    in->field = &row->fields[i];
    enum err e = field_codecs[in->field->kind].parse(in);
    if (e != ERR_OK || wr_failed(&in->out)) return e; /* running over is told as that */
  }
  return rr_in_peek(in) ? set_error(in, "the record should end here", "unexpected token after") : ERR_OK;
}

enum err rr_rdata_from_text(uint16_t type, const struct rr_token *tokens, size_t count, const struct name *origin, struct wr *out,
                            struct rr_text_error *error) {
  static const struct rr_field all = {"RDATA", FIELD_OPAQUE, 0};
  char type_text[RR_TYPE_TEXT_BYTES];
  const struct rr_row *row = rr_row(type);
  size_t room = wr_left(out) < UINT16_MAX ? wr_left(out) : UINT16_MAX;
  struct text_in in = {.type_text = row ? row->mnemonic : rr_type_text(type, type_text),
                       .field = &all,
                       .tokens = tokens,
                       .count = count,
                       .origin = origin,
                       .out = wr_make(out->at, wr_failed(out) ? 0 : room),
                       .error = error};
  enum err e;
  if (is_generic(tokens, count)) e = parse_generic(type, &in);
  else if (row) e = parse_fields(row, &in);
  else e = set_error(&in, "a type without a form of its own is written \\# length hex", count ? "invalid" : "missing");
  if (e != ERR_OK) return e;
  if (wr_failed(&in.out)) {
    error->token = 0;
    error->hint = "RDATA has at most 65535 octets";
    snprintf(error->what, sizeof error->what, "RDATA too long in %s", in.type_text);
    return ERR_SPACE;
  }
  out->at = in.out.at;
  return ERR_OK;
}

/* ---- wire to text ---- */

static void print_generic(const uint8_t *rdata, size_t n, struct buf *out) {
  buf_add_text(out, "\\# ");
  rr_print_number(n, out);
  if (n) buf_add_byte(out, ' ');
  hex_print(rdata, n, out);
}

/* Goes through the fields of checked RDATA. False at the first that has no text, or that is not what its row says. */
struct field_walk {
  struct rd left;
  const struct rr_row *row;
  const uint8_t *rdata, *at; /* the field */
  size_t size;
  unsigned next;
};

static bool walk_field(struct field_walk *w, const struct field_codec **codec) {
  *codec = &field_codecs[w->row->fields[w->next++].kind];
  w->at = w->left.at;
  if (!(*codec)->scan(&w->left, w->rdata)) return false;
  w->size = (size_t)(w->left.at - w->at);
  return !(*codec)->has_text || (*codec)->has_text(w->at, w->size, w->rdata);
}

static bool has_text(const struct rr_row *row, const uint8_t *rdata, size_t n) {
  struct field_walk w = {.left = {rdata, rdata + n}, .row = row, .rdata = rdata};
  const struct field_codec *codec;
  if (!row) return false;
  while (w.next < row->field_count)
    if (!walk_field(&w, &codec)) return false;
  return rd_left(&w.left) == 0;
}

void rr_rdata_text(uint16_t type, const uint8_t *rdata, size_t n, struct buf *out) {
  const struct rr_row *row = rr_row(type);
  if (!has_text(row, rdata, n)) {
    print_generic(rdata, n, out);
    return;
  }
  struct field_walk w = {.left = {rdata, rdata + n}, .row = row, .rdata = rdata};
  const struct field_codec *codec;
  for (bool first = true; w.next < row->field_count;) {
    if (!walk_field(&w, &codec)) return;
    if (w.size == 0 && !codec->prints_empty) continue;
    if (!first) buf_add_byte(out, ' ');
    codec->print(w.at, w.size, rdata, out);
    first = false;
  }
}

static void json_key(const char *name, bool first, struct buf *out) {
  buf_add_text(out, first ? "\"" : ",\"");
  for (; *name; name++)
    buf_add_byte(out, *name == ' ' ? '_' : (uint8_t)*name);
  buf_add_text(out, "\":");
}

void rr_rdata_json(uint16_t type, const uint8_t *rdata, size_t n, struct buf *out) {
  const struct rr_row *row = rr_row(type);
  buf_add_byte(out, '{');
  if (!has_text(row, rdata, n)) {
    json_key("data", true, out);
    buf_add_byte(out, '"');
    hex_print(rdata, n, out);
    buf_add_text(out, "\"}");
    return;
  }
  struct field_walk w = {.left = {rdata, rdata + n}, .row = row, .rdata = rdata};
  const struct field_codec *codec;
  while (w.next < row->field_count) {
    json_key(row->fields[w.next].name, w.next == 0, out);
    if (!walk_field(&w, &codec)) break;
    struct buf text = {0};
    codec->print(w.at, w.size, rdata, &text);
    if (codec->is_number) buf_add(out, text.data, text.size);
    else buf_add_json_string(out, buf_text(&text), text.size);
    if (text.failed) out->failed = true;
    buf_done(&text);
  }
  buf_add_byte(out, '}');
}
