#include "xfr/exchange_priv.h"

#include <stdarg.h>
#include <stdio.h>

void xfr_what_set(struct xfr_what *w, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(w->text, sizeof w->text, format, args);
  va_end(args);
}

bool xfr_open(const struct xfr_exchange *x, const uint8_t *bytes, size_t size, bool question_optional, struct message *m,
              struct rd *body) {
  if (message_open(bytes, size, m, body)) return false;
  int opcode = x->purpose == XFR_NOTIFY ? OPCODE_NOTIFY : OPCODE_QUERY;
  if (m->id != x->id || !(m->flags & FLAG_QR) || (m->flags & FLAG_OPCODE_MASK) >> FLAG_OPCODE_SHIFT != opcode) return false;
  if (m->counts[0] == 0) return question_optional || message_rcode(m) != RCODE_NOERROR;
  struct name qname;
  uint16_t qtype, qclass;
  if (m->counts[0] != 1 || message_question(m, body, &qname, &qtype, &qclass)) return false;
  return qtype == x->qtype && qclass == CLASS_IN && name_equal(&qname, x->apex);
}

static const char *const asked[] = {[XFR_SOA] = "SOA query", [XFR_TRANSFER] = "transfer", [XFR_NOTIFY] = "NOTIFY"};
static const char *const lists[] = {
    [XFR_SOA] = "answer-to or transfer list", [XFR_TRANSFER] = "transfer list", [XFR_NOTIFY] = "notify-from list"};

static bool explain_tsig(const struct tsig_key *key, uint16_t error, struct xfr_what *out) {
  char name[NAME_TEXT_BYTES];
  name_text(&key->name, name);
  if (error == RCODE_BADKEY)
    xfr_what_set(out, "does not know the key %.80s with %s (BADKEY): configure the same name and algorithm there", name,
                 tsig_algorithm_text(key->algorithm));
  else if (error == RCODE_BADSIG)
    xfr_what_set(out, "finds our signature wrong (BADSIG): the secret of the key %.80s differs there", name);
  else if (error == RCODE_BADTIME)
    xfr_what_set(out, "has another time than we (BADTIME, more than %d s apart): set the clocks of both servers", TSIG_FUDGE_S);
  else if (error == RCODE_BADTRUNC)
    xfr_what_set(out, "wants longer signatures (BADTRUNC): look at its TSIG settings for the key %.80s", name);
  else return false;
  return true;
}

void xfr_explain_rcode(const struct xfr_exchange *x, const struct message *m, unsigned rcode, int64_t now_s, struct xfr_what *out) {
  uint16_t error = 0;
  if (x->tsig->key && tsig_verify_response(x->tsig, m->bytes, m->size, true, now_s, &error) == ERR_REFUSED &&
      rcode == RCODE_NOTAUTH && explain_tsig(x->tsig->key, error, out))
    return;
  const char *what = asked[x->purpose];
  if (rcode == RCODE_REFUSED)
    xfr_what_set(out, "refused the %s (REFUSED): allow our address or key in its %s", what, lists[x->purpose]);
  else if (rcode == RCODE_NOTAUTH)
    xfr_what_set(out, "does not serve the zone or does not accept us (NOTAUTH to our %s): look at its zones and keys", what);
  else if (rcode == RCODE_NXDOMAIN) xfr_what_set(out, "knows no such zone (NXDOMAIN): configure it there");
  else if (rcode == RCODE_SERVFAIL)
    xfr_what_set(out, "can't serve the zone just now (SERVFAIL to our %s): its log should say why", what);
  else if (rcode == RCODE_FORMERR)
    xfr_what_set(out, "did not understand our %s (FORMERR)%s", what, x->tsig->key ? ": perhaps it knows no TSIG" : "");
  else if (rcode == RCODE_NOTIMP) xfr_what_set(out, "does not do this (NOTIMP to our %s)", what);
  else xfr_what_set(out, "answered our %s with %s (%u)", what, rcode_text(rcode), rcode);
}

bool xfr_verify(const struct xfr_exchange *x, const struct message *m, bool last, int64_t now_s, struct xfr_what *out) {
  if (!x->tsig->key) return true;
  uint16_t error = 0;
  enum err e = tsig_verify_response(x->tsig, m->bytes, m->size, last, now_s, &error);
  if (!e) return true;
  char name[NAME_TEXT_BYTES];
  name_text(&x->tsig->key->name, name);
  if (e != ERR_REFUSED) xfr_what_set(out, "can't be verified (%s)", err_text(e));
  else if (error == RCODE_NOERROR)
    xfr_what_set(out, "sent an answer without the signature that the key %.80s asks for: is it the right server?", name);
  else if (error == RCODE_BADTIME)
    xfr_what_set(out, "signed with a time more than %d s off ours (BADTIME): set the clocks of both servers", TSIG_FUDGE_S);
  else if (error == RCODE_BADKEY) xfr_what_set(out, "signed with another key than %.80s (BADKEY)", name);
  else if (error == RCODE_BADSIG)
    xfr_what_set(out, "sent a wrong signature (BADSIG): the answer was changed on its way, or the secret of %.80s differs there",
                 name);
  else xfr_what_set(out, "sent a malformed signature (%s)", rcode_text(error));
  return false;
}

struct soa_times soa_times_read(const uint8_t *rdata, size_t size) {
  const uint8_t *p = rdata + size - 20;
  return (struct soa_times){get_u32(p), get_u32(p + 4), get_u32(p + 8), get_u32(p + 12)};
}
