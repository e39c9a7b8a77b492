/* The walk over a zone's names, and the checks that need one name alone. Those that follow names are in check_target.c. */
#include "zone/check_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct zone_check_row rows[] = {
#define CHECK(id, name, severity, on, doc, hint) {name, severity, on, doc, hint},
#include "zone/checks.def"
#undef CHECK
};

const struct zone_check_row *zone_check_row(enum zone_check c) {
  return &rows[c];
}

const struct name *check_owner(struct check_walk *w) {
  if (!w->has_owner) zone_node_owner(w->snap, w->node, &w->owner);
  w->has_owner = true;
  return &w->owner;
}

void check_report(struct check_walk *w, enum zone_check check, enum severity severity, uint16_t type, const char *format, ...) {
  if (w->stopped) return;
  if (severity == SEVERITY_ERROR) w->totals.errors++;
  else w->totals.warnings++;
  struct zone_finding f = {.check = check, .severity = severity, .owner = *check_owner(w), .type = type};
  va_list args;
  va_start(args, format);
  vsnprintf(f.what, sizeof f.what, format, args);
  va_end(args);
  w->stopped = !w->sink(w->arg, &f);
}

/* A finding that says no more than its owner. */
static void report(struct check_walk *w, enum zone_check check, uint16_t type, const char *what) {
  char owner[NAME_TEXT_BYTES];
  check_report(w, check, rows[check].severity, type, "%s %s", name_text(check_owner(w), owner), what);
}

/* ---- one name ---- */

/* Types that may stand beside a CNAME: what denies and signs it (RFC 4035 §2.5). */
static bool fits_cname(uint16_t type) {
  return type == RR_CNAME || type == RR_NSEC || type == RR_RRSIG;
}

bool zone_cname_conflict(const struct zone_node *n) {
  struct zone_rrset set;
  if (!zone_find_rrset(n, RR_CNAME, &set) || set.count == 0) return false;
  for (unsigned i = 0; i < zone_rrset_count(n); i++) {
    zone_rrset_at(n, i, &set);
    if (set.count && !fits_cname(set.type)) return true;
  }
  return false;
}

static void check_cname(struct check_walk *w, const struct zone_rrset *set) {
  if (set->count > 1) report(w, ZONE_CHECK_CNAME_SEVERAL, RR_CNAME, "has more than one CNAME");
  unsigned n = zone_rrset_count(w->node);
  for (unsigned i = 0; i < n; i++) {
    struct zone_rrset other;
    char owner[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
    zone_rrset_at(w->node, i, &other);
    if (other.count == 0 || fits_cname(other.type)) continue;
    check_report(w, ZONE_CHECK_CNAME_AND_OTHER_DATA, SEVERITY_ERROR, RR_CNAME, "%s has a CNAME and also %s",
                 name_text(check_owner(w), owner), rr_type_text(other.type, type));
    return;
  }
}

static void check_dname(struct check_walk *w, const struct zone_rrset *set) {
  struct zone_rrset ns;
  if (set->count > 1) report(w, ZONE_CHECK_DNAME_SEVERAL, RR_DNAME, "has more than one DNAME");
  if (!w->at_apex && zone_find_rrset(w->node, RR_NS, &ns) && ns.count)
    report(w, ZONE_CHECK_DNAME_AND_NS, RR_DNAME, "has a DNAME and is delegated");
  if (name_is_wildcard(check_owner(w))) report(w, ZONE_CHECK_WILDCARD_DNAME, RR_DNAME, "is a wildcard with a DNAME");
}

static void check_soa_timers(struct check_walk *w, const struct zone_rrset *set) {
  const uint8_t *p = set->rrs, *rdata;
  uint16_t size;
  zone_rr_next(&p, &rdata, &size);
  if (size < 20) return;
  uint32_t refresh = get_u32(rdata + size - 16), retry = get_u32(rdata + size - 12), expire = get_u32(rdata + size - 8);
  const char *what = NULL;
  if (expire <= refresh) what = "expires before it is refreshed: expire is not above refresh";
  else if (retry > refresh) what = "is tried again later than it is refreshed: retry is above refresh";
  if (what) report(w, ZONE_CHECK_SOA_TIMERS, RR_SOA, what);
}

static void check_ds(struct check_walk *w) {
  struct zone_rrset ns;
  if (w->at_apex) report(w, ZONE_CHECK_DS_AT_APEX, RR_DS, "is the apex and has a DS");
  else if (!zone_find_rrset(w->node, RR_NS, &ns)) report(w, ZONE_CHECK_DS_WITHOUT_NS, RR_DS, "has a DS, but is not delegated");
}

/* Letters, digits and hyphens; a wildcard label in front. */
static bool is_host_name(const struct name *n) {
  const uint8_t *p = n->octets;
  for (unsigned label = 0; label < n->labels; label++) {
    unsigned size = *p++;
    if (label == 0 && size == 1 && *p == '*') {
      p++;
      continue;
    }
    if (p[0] == '-' || p[size - 1] == '-') return false;
    for (unsigned i = 0; i < size; i++, p++) {
      uint8_t c = ascii_lower(*p);
      if (c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z')) return false;
    }
  }
  return true;
}

static void check_host_name(struct check_walk *w, uint16_t type) {
  if (w->all && !is_host_name(check_owner(w))) report(w, ZONE_CHECK_HOST_NAME, type, "is no host name");
}

static void check_set(struct check_walk *w, const struct zone_rrset *set) {
  char owner[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
  if (set->count == 0 && set->sig_count) {
    check_report(w, ZONE_CHECK_RRSIG_WITHOUT_SET, SEVERITY_WARNING, RR_RRSIG, "%s has a RRSIG for %s, but no such record",
                 name_text(check_owner(w), owner), rr_type_text(set->type, type));
    return;
  }
  switch (set->type) {
  case RR_CNAME:
    check_cname(w, set);
    break;
  case RR_DNAME:
    check_dname(w, set);
    break;
  case RR_DS:
    check_ds(w);
    break;
  case RR_SOA:
    if (w->at_apex) check_soa_timers(w, set);
    else report(w, ZONE_CHECK_SOA_NOT_AT_APEX, RR_SOA, "has a SOA, but is not the apex");
    break;
  case RR_NS:
    if (!w->at_apex && name_is_wildcard(check_owner(w))) report(w, ZONE_CHECK_WILDCARD_NS, RR_NS, "is a wildcard with an NS");
    check_targets(w, set);
    break;
  case RR_MX:
    check_host_name(w, RR_MX);
    check_targets(w, set);
    break;
  case RR_SRV:
    check_targets(w, set);
    break;
  case RR_A:
  case RR_AAAA:
    check_host_name(w, set->type);
    break;
  case RR_NSEC3PARAM:
    if (!w->at_apex) report(w, ZONE_CHECK_NSEC3PARAM_NOT_AT_APEX, set->type, "has a NSEC3PARAM, but is not the apex");
    break;
  case RR_DNSKEY:
    if (!w->at_apex) report(w, ZONE_CHECK_DNSKEY_NOT_AT_APEX, set->type, "has a DNSKEY, but is not the apex");
    break;
  case RR_CDS:
  case RR_CDNSKEY:
    if (!w->at_apex) report(w, ZONE_CHECK_CDS_NOT_AT_APEX, set->type, "has a CDS or CDNSKEY, but is not the apex");
    break;
  default:
    break;
  }
}

/* ---- what hides other names ---- */

/* Records that are of use at a cut: the delegation itself, and addresses as glue (RFC 4035 §2.4, RFC 9471). */
static bool fits_cut(uint16_t type, bool at_cut) {
  if (type == RR_A || type == RR_AAAA) return true;
  return at_cut && (type == RR_NS || type == RR_DS || type == RR_NSEC || type == RR_RRSIG || type == RR_DNAME || type == RR_CNAME);
}

static void check_occluded(struct check_walk *w, bool at_cut) {
  unsigned n = zone_rrset_count(w->node);
  for (unsigned i = 0; i < n; i++) {
    struct zone_rrset set;
    char owner[NAME_TEXT_BYTES], cut[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
    zone_rrset_at(w->node, i, &set);
    if (set.count == 0 || fits_cut(set.type, at_cut)) continue;
    check_report(w, ZONE_CHECK_OCCLUDED, SEVERITY_WARNING, set.type, "%s of %s is hidden by the delegation of %s",
                 rr_type_text(set.type, type), name_text(check_owner(w), owner), name_text(&w->hider, cut));
    return; /* one a name */
  }
}

static void check_below_dname(struct check_walk *w) {
  if (w->hider_reported) return; /* one a DNAME */
  struct zone_rrset first;
  char owner[NAME_TEXT_BYTES], dname[NAME_TEXT_BYTES];
  zone_rrset_at(w->node, 0, &first);
  check_report(w, ZONE_CHECK_DNAME_WITH_CHILDREN, SEVERITY_WARNING, first.type, "%s stands below the DNAME of %s",
               name_text(check_owner(w), owner), name_text(&w->hider, dname));
  w->hider_reported = true;
}

/* Names come in canonical order, so all that a cut or a DNAME hides follows it directly. */
static void check_hidden(struct check_walk *w) {
  struct zone_rrset set;
  if (w->hides != HIDES_NOTHING && !name_is_under(check_owner(w), &w->hider)) w->hides = HIDES_NOTHING;
  if (w->hides == HIDES_CUT) check_occluded(w, false);
  if (w->hides == HIDES_DNAME && !zone_find_rrset(w->node, RR_NSEC3, &set)) check_below_dname(w);
  if (w->hides != HIDES_NOTHING) return;
  bool cut = !w->at_apex && zone_find_rrset(w->node, RR_NS, &set) && set.count;
  bool dname = !cut && zone_find_rrset(w->node, RR_DNAME, &set) && set.count;
  if (!cut && !dname) return;
  w->hides = cut ? HIDES_CUT : HIDES_DNAME;
  w->hider = *check_owner(w);
  w->hider_reported = false;
  if (cut) check_occluded(w, true);
}

static void check_node(struct check_walk *w, const struct zone_node *node) {
  w->node = node;
  w->has_owner = false;
  w->at_apex = node == w->apex;
  check_hidden(w);
  bool occluded = w->hides != HIDES_NOTHING && !name_equal(check_owner(w), &w->hider);
  unsigned n = zone_rrset_count(node);
  for (unsigned i = 0; i < n; i++) {
    struct zone_rrset set;
    zone_rrset_at(node, i, &set);
    w->totals.ttl_sum += (uint64_t)set.count * set.ttl + (uint64_t)set.sig_count * set.sig_ttl;
    /* What is never found does no harm by being wrong, but a second SOA is a sign of two files in one. */
    if (!occluded || set.type == RR_SOA) check_set(w, &set);
  }
}

enum err zone_check(const struct zone_snap *s, const struct zone_check_options *o, zone_finding_sink *sink, void *arg,
                    struct zone_check_totals *totals) {
  struct check_walk w = {.snap = s, .apex = zone_apex_node(s), .sink = sink, .arg = arg, .all = o && o->all};
  struct zone_cursor cursor;
  struct zone_rrset ns;
  enum err e = zone_cursor_open(s, &cursor);
  if (e != ERR_OK) return e;
  for (const struct zone_node *node; !w.stopped && (node = zone_cursor_next(&cursor));) {
    check_node(&w, node);
    if (w.at_apex && !zone_find_rrset(node, RR_NS, &ns))
      check_report(&w, ZONE_CHECK_NO_APEX_NS, SEVERITY_ERROR, RR_SOA, "the zone has no NS record at its apex");
  }
  zone_cursor_close(&cursor);
  *totals = w.totals;
  return ERR_OK;
}
