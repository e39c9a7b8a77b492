/* Checks of hosts that records name: whether they are there, have an address, and are no aliases. */
#include "zone/check_priv.h"

enum host {
  HOST_ELSEWHERE, /* not in this zone, or in a child of it other than the one asked for: nothing can be said */
  HOST_ADDRESS,
  HOST_ALIAS,
  HOST_NO_ADDRESS,
  HOST_NO_GLUE, /* at or below the cut that names it, without an address */
  HOST_BELOW_DNAME,
};

static bool has_address(const struct zone_node *n) {
  struct zone_rrset set;
  return n && ((zone_find_rrset(n, RR_A, &set) && set.count) || (zone_find_rrset(n, RR_AAAA, &set) && set.count));
}

static bool has_alias(const struct zone_node *n) {
  struct zone_rrset set;
  return n && zone_find_rrset(n, RR_CNAME, &set) && set.count;
}

/* What this zone says of a host. */
static enum host look_at(struct check_walk *w, const struct name *host) {
  uint8_t key[NAME_KEY_BYTES];
  if (!name_is_under(host, zone_apex(w->snap))) return HOST_ELSEWHERE;
  struct zone_lookup q = {.snap = w->snap, .key = key};
  q.key_size = (uint16_t)name_key(host, key);
  zone_lookup(&q);
  if (q.found.cut) {
    if (has_address(q.found.node)) return HOST_ADDRESS;
    return q.found.cut == w->node ? HOST_NO_GLUE : HOST_ELSEWHERE;
  }
  if (q.found.dname) return HOST_BELOW_DNAME;
  const struct zone_node *node = q.found.exists ? q.found.node : q.found.wildcard;
  if (has_address(node)) return HOST_ADDRESS;
  return has_alias(node) ? HOST_ALIAS : HOST_NO_ADDRESS;
}

/* Four labels of digits at the front: somebody wrote 192.0.2.1 where a name belongs. */
static bool looks_like_address(const struct name *n) {
  const uint8_t *p = n->octets;
  if (n->labels < 4) return false;
  for (unsigned label = 0; label < 4; label++) {
    unsigned size = *p++, value = 0;
    if (size > 3) return false;
    for (unsigned i = 0; i < size; i++, p++) {
      if (*p < '0' || *p > '9') return false;
      value = value * 10 + (*p - '0');
    }
    if (value > 255) return false;
  }
  return true;
}

static void say(struct check_walk *w, enum zone_check check, enum severity severity, uint16_t type, const struct name *host,
                const char *is) {
  char owner[NAME_TEXT_BYTES], target[NAME_TEXT_BYTES], mnemonic[RR_TYPE_TEXT_BYTES];
  check_report(w, check, severity, type, "%s, which the %s of %s names, %s", name_text(host, target), rr_type_text(type, mnemonic),
               name_text(check_owner(w), owner), is);
}

static void check_ns_target(struct check_walk *w, const struct name *host, enum host is) {
  /* An alias is fatal only for the servers of this zone: nobody can follow it in a referral either, but that is the child's loss.
   */
  enum severity alias = w->at_apex ? SEVERITY_ERROR : SEVERITY_WARNING;
  if (is == HOST_ALIAS) say(w, ZONE_CHECK_NS_IS_CNAME, alias, RR_NS, host, "is an alias");
  if (is == HOST_NO_ADDRESS) say(w, ZONE_CHECK_NS_NO_ADDRESS, SEVERITY_WARNING, RR_NS, host, "has no address");
  if (is == HOST_NO_GLUE) say(w, ZONE_CHECK_GLUE_MISSING, SEVERITY_WARNING, RR_NS, host, "has no address here");
  if (is == HOST_BELOW_DNAME) say(w, ZONE_CHECK_NS_BELOW_DNAME, SEVERITY_WARNING, RR_NS, host, "is redirected by a DNAME");
}

static void check_target(struct check_walk *w, uint16_t type, const struct name *host) {
  if (host->labels == 0) return; /* RFC 7505, RFC 2782: "none", said on purpose */
  enum host is = look_at(w, host);
  if (is != HOST_ADDRESS && looks_like_address(host)) {
    say(w, ZONE_CHECK_TARGET_IS_ADDRESS, SEVERITY_WARNING, type, host, "looks like an address");
    return;
  }
  if (type == RR_NS) {
    check_ns_target(w, host, is);
    return;
  }
  if (is == HOST_ALIAS)
    say(w, type == RR_MX ? ZONE_CHECK_MX_IS_CNAME : ZONE_CHECK_SRV_IS_CNAME, SEVERITY_WARNING, type, host, "is an alias");
  if (is == HOST_NO_ADDRESS)
    say(w, type == RR_MX ? ZONE_CHECK_MX_NO_ADDRESS : ZONE_CHECK_SRV_NO_ADDRESS, SEVERITY_WARNING, type, host, "has no address");
}

void check_targets(struct check_walk *w, const struct zone_rrset *set) {
  const uint8_t *p = set->rrs;
  for (unsigned i = 0; i < set->count; i++) {
    const uint8_t *rdata, *wire;
    uint16_t size;
    struct name host;
    zone_rr_next(&p, &rdata, &size);
    if (!rr_rdata_target(set->type, rdata, size, &wire)) continue;
    name_from_wire(wire, &host);
    check_target(w, set->type, &host);
  }
}
