/* UPDATE judged: every prerequisite form (RFC 2136 §2.4), every row of §3.4.2, the prescan, permissions, atomicity, the serial. */
#include "testing.h"

#include "base/buf.h"
#include "xfr/update.h"
#include "zone/zone_set.h"

#include <stdio.h>

enum { ROOM = 65535 };

/* ---- a zone and messages for it ---- */

static struct name name_of(const char *text) {
  struct name n, origin;
  assert_ok(name_from_text("example.", 8, NULL, &origin, NULL, NULL));
  if (name_from_text(text, strlen(text), &origin, &n, NULL, NULL)) fail_msg("name %s", text);
  return n;
}

/* RDATA from text whose tokens are separated by blanks. */
static uint16_t rdata_of(uint16_t type, const char *text, uint8_t *room) {
  struct rr_token tokens[32];
  struct rr_text_error error;
  struct name origin = name_of("@");
  struct wr w = wr_make(room, 512);
  size_t count = 0;
  for (const char *p = text; *p;) {
    size_t n = strcspn(p, " ");
    tokens[count++] = (struct rr_token){p, (uint32_t)n, 1, 1, false};
    p += n + (p[n] == ' ');
  }
  if (rr_rdata_from_text(type, tokens, count, &origin, &w, &error)) fail_msg("%s: %s", text, error.what);
  return (uint16_t)wr_used(&w);
}

static uint16_t type_of(const char *text) {
  uint16_t type;
  if (rr_type_from_text(text, strlen(text), &type) == ERR_OK) return type;
  static const char *const names[] = {"ANY", "AXFR", "IXFR", "MAILA", "MAILB", "TSIG"};
  static const uint16_t types[] = {RR_ANY, RR_AXFR, RR_IXFR, RR_MAILA, RR_MAILB, RR_TSIG};
  for (size_t i = 0; i < 6; i++)
    if (strcmp(text, names[i]) == 0) return types[i];
  fail_msg("type %s", text);
  return 0;
}

static void add(struct zone_edit *e, const char *owner, const char *type, uint32_t ttl, const char *value) {
  uint8_t rdata[512];
  enum zone_add outcome;
  struct name n = name_of(owner);
  uint16_t t = type_of(type), size = rdata_of(t, value, rdata);
  assert_ok(zone_edit_add(e, &n, t, ttl, rdata, size, &outcome));
}

static struct zone_snap *make_zone(void) {
  struct zone_edit *e;
  struct zone_snap *s;
  struct name apex = name_of("@");
  assert_ok(zone_edit_begin(NULL, &apex, &e));
  add(e, "@", "SOA", 3600, "ns1 h 10 3600 600 86400 300");
  add(e, "@", "NS", 3600, "ns1");
  add(e, "@", "NS", 3600, "ns2");
  add(e, "@", "MX", 3600, "10 www");
  add(e, "ns1", "A", 300, "192.0.2.1");
  add(e, "www", "A", 300, "192.0.2.2");
  add(e, "www", "A", 300, "192.0.2.3");
  add(e, "www", "TXT", 300, "hello");
  add(e, "cn", "CNAME", 300, "www");
  add(e, "dn", "DNAME", 300, "elsewhere.");
  add(e, "a.b", "A", 300, "192.0.2.4");
  add(e, "wks", "WKS", 300, "192.0.2.1 6 25");
  add(e, "sub", "NS", 300, "ns.sub");
  assert_ok(zone_edit_finish(e, &s));
  return s;
}

struct message_text {
  uint8_t bytes[ROOM];
  struct wr w;
};

static void begin(struct message_text *m, const char *zone, uint16_t type) {
  struct name n = name_of(zone);
  m->w = wr_make(m->bytes, sizeof m->bytes);
  uint16_t header[] = {0x1234, OPCODE_UPDATE << FLAG_OPCODE_SHIFT, 1, 0, 0, 0};
  for (size_t i = 0; i < 6; i++)
    wr_u16(&m->w, header[i]);
  wr_bytes(&m->w, n.octets, n.size);
  wr_u16(&m->w, type);
  wr_u16(&m->w, CLASS_IN);
}

static void put(struct message_text *m, size_t section, const char *owner, uint16_t class, uint32_t ttl, uint16_t type,
                const uint8_t *rdata, uint16_t size) {
  struct name n = name_of(owner);
  wr_bytes(&m->w, n.octets, n.size);
  wr_u16(&m->w, type);
  wr_u16(&m->w, class);
  wr_u32(&m->w, ttl);
  wr_u16(&m->w, size);
  wr_bytes(&m->w, rdata, size);
  assert_false(wr_failed(&m->w));
  put_u16(m->bytes + 4 + 2 * section, (uint16_t)(get_u16(m->bytes + 4 + 2 * section) + 1));
}

/* "www IN 60 A 192.0.2.1", "www ANY 0 A", in lines; one that begins with ? is a prerequisite. "~" stands for empty RDATA of class
 * IN. */
static void put_lines(struct message_text *m, const char *lines) {
  char line[300];
  for (const char *p = lines; *p;) {
    size_t n = strcspn(p, "\n");
    snprintf(line, sizeof line, "%.*s", (int)n, p);
    p += n + (p[n] == '\n');
    char owner[100], class_text[8], type_text[20];
    unsigned ttl;
    int value = 0;
    const char *text = line + (line[0] == '?');
    if (sscanf(text, "%99s %7s %u %19s %n", owner, class_text, &ttl, type_text, &value) < 4) fail_msg("line %s", line);
    uint16_t class = strcmp(class_text, "IN") == 0    ? CLASS_IN
                     : strcmp(class_text, "ANY") == 0 ? CLASS_ANY
                     : strcmp(class_text, "CH") == 0  ? CLASS_CH
                                                      : CLASS_NONE;
    uint8_t rdata[512];
    uint16_t type = type_of(type_text), size = 0;
    if (text[value] && text[value] != '~') size = rdata_of(type, text + value, rdata);
    put(m, line[0] == '?' ? 1 : 2, owner, class, ttl, type, rdata, size);
  }
}

/* ---- judging ---- */

static const struct acl_entry everybody = {.any_host = true};
static const struct grant all_granted = {.who = {&everybody, 1}};
static const struct grants all = {&all_granted, 1};
static const struct addr somewhere = {.family = 4, .octets = {192, 0, 2, 99}, .port = 53};

static struct update_verdict judge_as(const struct zone_snap *base, const struct grants *grants, bool sees,
                                      const struct message_text *m) {
  struct update_client client = {{&somewhere, {NULL, 0}, false}, sees};
  struct update_verdict v;
  assert_ok(update_judge(m->bytes, wr_used(&m->w), base, grants, &client, 11, &v));
  if (v.rcode) assert_null(v.snap);
  return v;
}

static struct update_verdict judge(const struct zone_snap *base, const char *lines) {
  static struct message_text m;
  begin(&m, "@", RR_SOA);
  put_lines(&m, lines);
  return judge_as(base, &all, true, &m);
}

static void assert_rcode(const struct zone_snap *base, const char *lines, unsigned rcode) {
  struct update_verdict v = judge(base, lines);
  if (v.rcode != rcode) fail_msg("%s: got %s (%s), wanted %s", lines, rcode_text(v.rcode), v.why, rcode_text(rcode));
  zone_snap_unref(v.snap);
}

/* ---- what came of it ---- */

static bool list_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size);
static bool list_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size);

static void list_one(struct buf *out, char sign, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                     uint16_t size) {
  char name[NAME_TEXT_BYTES], type_name[RR_TYPE_TEXT_BYTES];
  if (type == RR_SOA) { /* only its serial is told */
    if (sign == '+') buf_printf(out, "serial %u\n", get_u32(rdata + size - 20));
    return;
  }
  name_text(owner, name);
  buf_printf(out, "%c%s %u %s ", sign, name, ttl, rr_type_text(type, type_name));
  rr_rdata_text(type, rdata, size, out);
  buf_add_byte(out, '\n');
}

static bool list_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  list_one(arg, '-', owner, type, ttl, rdata, size);
  return true;
}

static bool list_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  list_one(arg, '+', owner, type, ttl, rdata, size);
  return true;
}

/* `wanted` is the difference; "" if nothing may change. */
static void assert_change(const struct zone_snap *base, const char *lines, const char *wanted) {
  struct update_verdict v = judge(base, lines);
  struct buf got = {0};
  if (v.rcode) fail_msg("%s: %s (%s)", lines, rcode_text(v.rcode), v.why);
  if (v.snap) assert_ok(zone_diff(base, v.snap, &(struct zone_diff){list_removed, list_added, &got}));
  if (strcmp(buf_text(&got), wanted) != 0) fail_msg("%s\ngot:\n%swanted:\n%s", lines, buf_text(&got), wanted);
  assert_int_equal(v.snap != NULL, wanted[0] != 0);
  zone_snap_unref(v.snap);
  buf_done(&got);
}

/* ---- tests ---- */

static void prerequisites(void **state) {
  struct zone_snap *z = make_zone();
  static const struct {
    const char *line;
    unsigned rcode;
  } rows[] = {
      /* §2.4.1 RRset exists, value independent */
      {"?www ANY 0 A", RCODE_NOERROR},
      {"?WWW ANY 0 A", RCODE_NOERROR},
      {"?www ANY 0 MX", RCODE_NXRRSET},
      {"?nobody ANY 0 A", RCODE_NXRRSET},
      {"?ns.sub ANY 0 A", RCODE_NXRRSET},
      /* §2.4.2 RRset exists, value dependent */
      {"?www IN 0 A 192.0.2.2\n?www IN 0 A 192.0.2.3", RCODE_NOERROR},
      {"?www IN 0 A 192.0.2.3\n?ns1 IN 0 A 192.0.2.1\n?www IN 0 A 192.0.2.2", RCODE_NOERROR},
      {"?www IN 0 A 192.0.2.2\n?www IN 0 A 192.0.2.3\n?www IN 0 A 192.0.2.2", RCODE_NOERROR},
      {"?cn IN 0 CNAME WWW.Example.", RCODE_NOERROR},
      {"?www IN 0 A 192.0.2.2", RCODE_NXRRSET},
      {"?www IN 0 A 192.0.2.2\n?www IN 0 A 192.0.2.3\n?www IN 0 A 192.0.2.4", RCODE_NXRRSET},
      {"?www IN 0 A 192.0.2.2\n?www IN 0 A 192.0.2.9", RCODE_NXRRSET},
      {"?www IN 0 MX 10 a", RCODE_NXRRSET},
      {"?nobody IN 0 A 192.0.2.2", RCODE_NXRRSET},
      /* §2.4.3 RRset does not exist */
      {"?www NONE 0 MX", RCODE_NOERROR},
      {"?nobody NONE 0 A", RCODE_NOERROR},
      {"?www NONE 0 A", RCODE_YXRRSET},
      /* §2.4.4 name is in use */
      {"?www ANY 0 ANY", RCODE_NOERROR},
      {"?nobody ANY 0 ANY", RCODE_NXDOMAIN},
      {"?b ANY 0 ANY", RCODE_NXDOMAIN}, /* an empty non-terminal is not in use */
      {"?sub ANY 0 ANY", RCODE_NOERROR},
      /* §2.4.5 name is not in use */
      {"?nobody NONE 0 ANY", RCODE_NOERROR},
      {"?b NONE 0 ANY", RCODE_NOERROR},
      {"?www NONE 0 ANY", RCODE_YXDOMAIN},
      /* §3.2.1 to §3.2.3 */
      {"?www ANY 60 A", RCODE_FORMERR},
      {"?www NONE 60 A", RCODE_FORMERR},
      {"?www IN 60 A 192.0.2.2", RCODE_FORMERR},
      {"?www ANY 0 A 192.0.2.2", RCODE_FORMERR},
      {"?www NONE 0 A 192.0.2.2", RCODE_FORMERR},
      {"?www CH 0 A 192.0.2.2", RCODE_FORMERR},
      {"?other. ANY 0 ANY", RCODE_NOTZONE},
      {"?other. IN 0 A 192.0.2.2", RCODE_NOTZONE},
      {"?www ANY 0 RRSIG", RCODE_NXRRSET},
      {"?www NONE 0 RRSIG", RCODE_NOERROR},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    assert_rcode(z, rows[i].line, rows[i].rcode);
  assert_rcode(z, "?www ANY 0 ANY\n?nobody ANY 0 ANY\nnew IN 60 A 192.0.2.1", RCODE_NXDOMAIN); /* all must hold */
  assert_change(z, "?www ANY 0 ANY\nnew IN 60 A 192.0.2.1", "serial 11\n+new.example. 60 A 192.0.2.1\n");
  zone_snap_unref(z);
}

static void prescan(void **state) {
  struct zone_snap *z = make_zone();
  static const struct {
    const char *line;
    unsigned rcode;
  } rows[] = {
      {"new.other. IN 60 A 192.0.2.1", RCODE_NOTZONE},
      {"new CH 60 A 192.0.2.1", RCODE_FORMERR},
      {"new IN 60 A ~", RCODE_FORMERR},
      {"www ANY 60 A", RCODE_FORMERR},
      {"www ANY 0 A 192.0.2.2", RCODE_FORMERR},
      {"www ANY 0 AXFR", RCODE_FORMERR},
      {"www ANY 0 MAILA", RCODE_FORMERR},
      {"www ANY 0 MAILB", RCODE_FORMERR},
      {"www ANY 0 TSIG", RCODE_FORMERR},
      {"www NONE 60 A 192.0.2.2", RCODE_FORMERR},
      {"www NONE 0 A", RCODE_FORMERR},
      {"www NONE 0 ANY", RCODE_FORMERR},
      {"www NONE 0 AXFR", RCODE_FORMERR},
      {"www ANY 0 NSEC", RCODE_REFUSED},
      {"www ANY 0 NSEC3", RCODE_REFUSED},
      {"www ANY 0 RRSIG", RCODE_REFUSED},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char both[200];
    snprintf(both, sizeof both, "new IN 60 TXT good\n%s", rows[i].line);
    assert_rcode(z, rows[i].line, rows[i].rcode);
    assert_rcode(z, both, rows[i].rcode);
  }
  for (uint16_t type = 249; type <= 255; type++) { /* class IN */
    static struct message_text m;
    begin(&m, "@", RR_SOA);
    put(&m, 2, "www", CLASS_IN, 60, type, (const uint8_t *)"", 0);
    assert_int_equal(judge_as(z, &all, true, &m).rcode, RCODE_FORMERR);
  }
  zone_snap_unref(z);
}

static void adding(void **state) {
  struct zone_snap *z = make_zone();
  assert_change(z, "new IN 60 A 192.0.2.1", "serial 11\n+new.example. 60 A 192.0.2.1\n");
  assert_change(z, "www IN 300 A 192.0.2.9", "serial 11\n+www.example. 300 A 192.0.2.9\n");
  assert_change(z, "www IN 300 A 192.0.2.2", ""); /* there already */
  assert_change(z, "WWW IN 300 A 192.0.2.2", "");
  assert_change(z, "www IN 60 A 192.0.2.2",
                "serial 11\n-www.example. 300 A 192.0.2.2\n-www.example. 300 A 192.0.2.3\n"
                "+www.example. 60 A 192.0.2.2\n+www.example. 60 A 192.0.2.3\n");
  assert_change(z, "www IN 600 A 192.0.2.2", /* upwards, too */
                "serial 11\n-www.example. 300 A 192.0.2.2\n-www.example. 300 A 192.0.2.3\n"
                "+www.example. 600 A 192.0.2.2\n+www.example. 600 A 192.0.2.3\n");
  /* CNAME and other data */
  assert_change(z, "www IN 60 CNAME a", "");
  assert_change(z, "cn IN 60 A 192.0.2.1", "");
  assert_change(z, "@ IN 60 CNAME a", "");
  assert_change(z, "new IN 60 CNAME a\nnew IN 60 A 192.0.2.1", "serial 11\n+new.example. 60 CNAME a.example.\n");
  assert_change(z, "new IN 60 A 192.0.2.1\nnew IN 60 CNAME a", "serial 11\n+new.example. 60 A 192.0.2.1\n");
  assert_change(z, "cn IN 300 CNAME other",
                "serial 11\n-cn.example. 300 CNAME www.example.\n+cn.example. 300 CNAME other.example.\n");
  assert_change(z, "cn IN 60 CNAME www", "serial 11\n-cn.example. 300 CNAME www.example.\n+cn.example. 60 CNAME www.example.\n");
  assert_change(z, "cn IN 300 CNAME www", "");
  assert_change(z, "www ANY 0 ANY\nwww IN 60 CNAME a",
                "serial 11\n-www.example. 300 A 192.0.2.2\n-www.example. 300 A 192.0.2.3\n-www.example. 300 TXT \"hello\"\n"
                "+www.example. 60 CNAME a.example.\n");
  assert_change(z, "www ANY 0 A\nwww IN 60 CNAME a", "serial 11\n-www.example. 300 A 192.0.2.2\n-www.example. 300 A 192.0.2.3\n");
  assert_change(z, "cn NONE 0 CNAME www\ncn IN 60 A 192.0.2.1",
                "serial 11\n-cn.example. 300 CNAME www.example.\n+cn.example. 60 A 192.0.2.1\n");
  assert_change(z, "*.w IN 60 NS ns1\n*.w IN 60 DNAME a.", "");
  /* one DNAME, one WKS for an address and protocol */
  assert_change(z, "dn IN 300 DNAME b.", "serial 11\n-dn.example. 300 DNAME elsewhere.\n+dn.example. 300 DNAME b.\n");
  assert_change(z, "wks IN 300 WKS 192.0.2.1 6 80",
                "serial 11\n-wks.example. 300 WKS 192.0.2.1 6 25\n+wks.example. 300 WKS 192.0.2.1 6 80\n");
  assert_change(z, "wks IN 300 WKS 192.0.2.1 17 53", "serial 11\n+wks.example. 300 WKS 192.0.2.1 17 53\n");
  zone_snap_unref(z);
}

static void the_soa(void **state) {
  struct zone_snap *z = make_zone();
  assert_change(z, "@ IN 3600 SOA ns1 h 20 3600 600 86400 300", "serial 20\n");
  assert_change(z, "@ IN 3600 SOA ns1 h 10 1 1 1 1", "");
  assert_change(z, "@ IN 3600 SOA ns1 h 9 1 1 1 1", "");
  assert_change(z, "www IN 3600 SOA ns1 h 20 3600 600 86400 300", "");
  assert_change(z, "@ IN 3600 SOA ns1 h 20 3600 600 86400 300\nnew IN 60 A 192.0.2.1", "serial 20\n+new.example. 60 A 192.0.2.1\n");
  assert_change(z, "@ IN 3600 SOA ns1 h 9 3600 600 86400 300\nnew IN 60 A 192.0.2.1", "serial 11\n+new.example. 60 A 192.0.2.1\n");
  assert_change(z, "@ ANY 0 SOA", "");
  assert_change(z, "@ NONE 0 SOA ns1 h 10 3600 600 86400 300", "");
  zone_snap_unref(z);
}

static void deleting(void **state) {
  struct zone_snap *z = make_zone();
  assert_change(z, "www ANY 0 A", "serial 11\n-www.example. 300 A 192.0.2.2\n-www.example. 300 A 192.0.2.3\n");
  assert_change(z, "www ANY 0 MX", "");
  assert_change(z, "nobody ANY 0 ANY", "");
  assert_change(z, "www ANY 0 ANY",
                "serial 11\n-www.example. 300 A 192.0.2.2\n-www.example. 300 A 192.0.2.3\n-www.example. 300 TXT \"hello\"\n");
  assert_change(z, "@ ANY 0 ANY", "-example. 3600 MX 10 www.example.\nserial 11\n"); /* SOA and NS stay */
  assert_change(z, "@ ANY 0 NS", "");
  assert_change(z, "sub ANY 0 NS", "serial 11\n-sub.example. 300 NS ns.sub.example.\n");
  assert_change(z, "www NONE 0 A 192.0.2.2", "serial 11\n-www.example. 300 A 192.0.2.2\n");
  assert_change(z, "WWW NONE 0 A 192.0.2.2", "serial 11\n-www.example. 300 A 192.0.2.2\n");
  assert_change(z, "www NONE 0 A 192.0.2.9", "");
  assert_change(z, "@ NONE 0 NS ns1", "-example. 3600 NS ns1.example.\nserial 11\n");
  assert_change(z, "@ NONE 0 NS ns1\n@ NONE 0 NS ns2", "-example. 3600 NS ns1.example.\nserial 11\n"); /* the last one stays */
  assert_change(z, "@ NONE 0 NS ns1\n@ IN 3600 NS ns.a.\n@ NONE 0 NS ns2",
                "-example. 3600 NS ns1.example.\n-example. 3600 NS ns2.example.\n+example. 3600 NS ns.a.\nserial 11\n");
  /* what ends where it began is no change */
  assert_change(z, "www NONE 0 A 192.0.2.2\nwww IN 300 A 192.0.2.2", "");
  assert_change(z, "new IN 60 A 192.0.2.1\nnew ANY 0 ANY", "");
  assert_change(z, "www IN 60 A 192.0.2.2\nwww IN 300 A 192.0.2.2", "");
  zone_snap_unref(z);
}

static void name_servers_stay_usable(void **state) {
  struct zone_snap *z = make_zone();
  assert_rcode(z, "ns1 ANY 0 ANY\nns1 IN 60 CNAME www", RCODE_REFUSED);
  assert_rcode(z, "ns1 ANY 0 A", RCODE_REFUSED);
  assert_rcode(z, "ns1 NONE 0 A 192.0.2.1\nns1 IN 60 AAAA 2001:db8::1", RCODE_NOERROR);
  assert_rcode(z, "ns2 IN 60 TXT x\nwww NONE 0 A 192.0.2.2", RCODE_NOERROR); /* it had no address before */
  assert_rcode(z, "@ IN 3600 NS www\nwww ANY 0 A", RCODE_REFUSED);
  assert_rcode(z, "@ IN 0 DS 1 8 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A", RCODE_REFUSED);
  assert_rcode(z, "@ IN 60 DNAME other.", RCODE_REFUSED);
  assert_rcode(z, "@ IN 3600 NS cn", RCODE_REFUSED);
  assert_rcode(z, "@ IN 3600 NS nobody", RCODE_REFUSED);
  assert_rcode(z, "@ IN 3600 NS x.dn", RCODE_REFUSED);
  assert_rcode(z, "@ IN 3600 NS ns.sub\n@ IN 3600 NS ns.elsewhere.", RCODE_NOERROR);
  zone_snap_unref(z);
}

/* A wildcard's address reaches a name until something stands at or below the next closer name (RFC 4592 §3.3.1). */
static void name_servers_keep_the_address_of_a_wildcard(void **state) {
  struct zone_snap *first = make_zone();
  struct update_verdict v = judge(first, "*.w IN 60 AAAA 2001:db8::1\n@ IN 3600 NS ns.x.w");
  struct zone_snap *z = v.snap;
  assert_non_null(z);
  assert_rcode(z, "ns.x.w IN 60 TXT x", RCODE_REFUSED);
  assert_rcode(z, "a.ns.x.w IN 60 TXT x", RCODE_REFUSED);
  assert_rcode(z, "X.W IN 60 TXT x", RCODE_REFUSED);
  assert_rcode(z, "*.x.w IN 60 TXT x", RCODE_REFUSED);
  assert_rcode(z, "b.x.w IN 60 A 192.0.2.1", RCODE_REFUSED);
  assert_rcode(z, "*.w ANY 0 ANY", RCODE_REFUSED);
  assert_rcode(z, "ns.x.w IN 60 TXT x\nns.x.w IN 60 A 192.0.2.1", RCODE_NOERROR);
  assert_rcode(z, "b.x.w IN 60 A 192.0.2.1\n*.x.w IN 60 A 192.0.2.1", RCODE_NOERROR);
  assert_rcode(z, "b.x.w IN 60 A 192.0.2.1\nb.x.w ANY 0 ANY", RCODE_NOERROR);
  assert_rcode(z, "y.w IN 60 TXT x\nw IN 60 TXT x", RCODE_NOERROR);
  assert_rcode(z, "ns.x.w ANY 0 TXT", RCODE_NOERROR);
  zone_snap_unref(z);
  zone_snap_unref(first);
}

static void what_is_not_granted_refuses_all(void **state) {
  struct zone_snap *z = make_zone();
  uint8_t room[GRANT_PATTERN_BYTES];
  const char *why;
  struct grant_pattern challenge = {room, 0};
  assert_ok(grant_pattern_parse("_acme-challenge.**", 18, room, &challenge.size, &why));
  uint16_t txt = RR_TXT;
  struct grant one = {.who = {&everybody, 1}, .names = &challenge, .name_count = 1, .types = &txt, .type_count = 1};
  struct grants acme = {&one, 1};
  static struct message_text m;
  static const struct {
    const char *lines;
    bool sees;
    unsigned rcode;
    const char *why;
  } rows[] = {
      {"_acme-challenge IN 60 TXT x\n_acme-challenge.www IN 60 TXT x", false, RCODE_NOERROR, ""},
      {"_acme-challenge ANY 0 TXT", false, RCODE_NOERROR, ""},
      {"_acme-challenge ANY 0 ANY", false, RCODE_NOERROR, ""},
      {"_acme-challenge IN 60 TXT x\nwww IN 60 TXT x", true, RCODE_REFUSED, "not granted: TXT www.example."},
      {"_acme-challenge IN 60 A 192.0.2.1", true, RCODE_REFUSED, "not granted: A _acme-challenge.example."},
      {"www ANY 0 ANY", true, RCODE_REFUSED, "not granted: ANY www.example."},
      {"?www ANY 0 A\n_acme-challenge IN 60 TXT x", true, RCODE_NOERROR, ""},
      {"?www ANY 0 A\n_acme-challenge IN 60 TXT x", false, RCODE_REFUSED,
       "prerequisite of a name that is not granted: A www.example."},
      {"?_acme-challenge NONE 0 ANY\n_acme-challenge IN 60 TXT x", false, RCODE_NOERROR, ""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    begin(&m, "@", RR_SOA);
    put_lines(&m, rows[i].lines);
    struct update_verdict v = judge_as(z, &acme, rows[i].sees, &m);
    if (v.rcode != rows[i].rcode) fail_msg("%s: %s (%s)", rows[i].lines, rcode_text(v.rcode), v.why);
    assert_string_equal(v.why, rows[i].why);
    zone_snap_unref(v.snap);
  }
  /* Deleting a name needs a grant for each type that is there. */
  struct update_verdict before = judge(z, "_acme-challenge IN 60 TXT x\n_acme-challenge IN 60 A 192.0.2.1");
  begin(&m, "@", RR_SOA);
  put_lines(&m, "_acme-challenge ANY 0 ANY");
  struct update_verdict v = judge_as(before.snap, &acme, true, &m);
  assert_int_equal(v.rcode, RCODE_REFUSED);
  assert_string_equal(v.why, "not granted: A _acme-challenge.example.");
  zone_snap_unref(before.snap);
  zone_snap_unref(z);
}

/* ---- runs ---- */

static enum err join(struct update_run *r, const struct grants *grants, const char *lines, unsigned *rcode) {
  static struct message_text m;
  struct update_client client = {{&somewhere, {NULL, 0}, false}, true};
  struct update_verdict v;
  begin(&m, "@", RR_SOA);
  put_lines(&m, lines);
  enum err e = update_run_judge(r, m.bytes, wr_used(&m.w), grants, &client, &v);
  *rcode = v.rcode;
  return e;
}

static void assert_joins(struct update_run *r, const char *lines, unsigned wanted) {
  unsigned rcode;
  assert_ok(join(r, &all, lines, &rcode));
  if (rcode != wanted) fail_msg("%s: %s, wanted %s", lines, rcode_text(rcode), rcode_text(wanted));
  assert_false(r->broken);
}

static void assert_becomes(struct update_run *r, const char *wanted) {
  struct zone_snap *made;
  struct buf got = {0};
  assert_ok(update_run_finish(r, 11, &made));
  if (made) assert_ok(zone_diff(r->base, made, &(struct zone_diff){list_removed, list_added, &got}));
  assert_string_equal(buf_text(&got), wanted);
  assert_int_equal(made != NULL, wanted[0] != 0);
  zone_snap_unref(made);
  buf_done(&got);
}

static void a_run_is_one_version(void **state) {
  struct zone_snap *z = make_zone();
  struct update_run r = {.base = z};
  assert_becomes(&r, "");
  assert_joins(&r, "?nobody ANY 0 ANY\nnew IN 60 A 192.0.2.1", RCODE_NXDOMAIN);
  assert_joins(&r, "?new NONE 0 ANY\nnew IN 60 A 192.0.2.1", RCODE_NOERROR);
  assert_joins(&r, "?new NONE 0 ANY\nnew IN 60 A 192.0.2.2", RCODE_YXDOMAIN);
  assert_joins(&r, "?new IN 0 A 192.0.2.1\nnew IN 60 A 192.0.2.2", RCODE_NOERROR);
  assert_joins(&r, "?new IN 0 A 192.0.2.1\nnew IN 60 A 192.0.2.3", RCODE_NXRRSET);
  assert_joins(&r, "?www ANY 0 TXT\nwww ANY 0 TXT", RCODE_NOERROR);
  assert_joins(&r, "?www ANY 0 TXT\nwww ANY 0 ANY", RCODE_NXRRSET);
  assert_joins(&r, "new IN 60 CNAME a", RCODE_NOERROR); /* beside other data: no change */
  assert_becomes(&r, "serial 11\n+new.example. 60 A 192.0.2.1\n+new.example. 60 A 192.0.2.2\n-www.example. 300 TXT \"hello\"\n");
  /* what ends where it began is no change */
  assert_joins(&r, "new IN 60 A 192.0.2.1", RCODE_NOERROR);
  assert_joins(&r, "?new ANY 0 A\nnew ANY 0 A\nwww ANY 0 ANY", RCODE_NOERROR);
  assert_joins(&r, "www IN 60 A 192.0.2.2", RCODE_NOERROR);
  assert_joins(&r, "www IN 300 A 192.0.2.3\nwww IN 300 TXT hello", RCODE_NOERROR);
  assert_becomes(&r, "");
  assert_joins(&r, "?www ANY 0 ANY", RCODE_NOERROR); /* only asks */
  assert_becomes(&r, "");
  zone_snap_unref(z);
}

static void what_does_not_go_with_others(void **state) {
  struct zone_snap *z = make_zone();
  struct update_run r = {.base = z};
  unsigned rcode;
  static const char *const alone[] = {
      "?@ ANY 0 SOA",
      "?@ IN 0 SOA ns1 h 10 3600 600 86400 300\nnew IN 60 A 192.0.2.1",
      "@ IN 3600 SOA ns1 h 20 3600 600 86400 300",
      "ns1 ANY 0 A",
      "ns1 NONE 0 A 192.0.2.1",
      "ns1 ANY 0 ANY",
      "NS1 IN 60 CNAME www",
      "*.example. ANY 0 A",
      "@ IN 60 NS www",
      "@ NONE 0 NS ns1",
      "@ IN 60 DNAME a.",
  };
  static const char *const together[] = {"@ ANY 0 A",      "@ IN 60 A 192.0.2.1",   "www ANY 0 ANY",
                                         "*.www ANY 0 A",  "ns1 IN 60 A 192.0.2.9", "sub ANY 0 ANY",
                                         "x.ns1 ANY 0 ANY"};
  assert_joins(&r, "new IN 60 A 192.0.2.1", RCODE_NOERROR);
  for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
    if (join(&r, &all, alone[i], &rcode) != ERR_AGAIN) fail_msg("%s", alone[i]);
    assert_false(r.broken);
  }
  for (size_t i = 0; i < sizeof together / sizeof together[0]; i++)
    assert_joins(&r, together[i], RCODE_NOERROR);
  update_run_abort(&r);
  zone_snap_unref(z);
}

/* Some of it is done when it turns out that it may not be: nothing of it stays, and if others are in the run, nothing of that. */
static void refused_half_way(void **state) {
  struct zone_snap *z = make_zone();
  struct update_run r = {.base = z};
  uint16_t types[] = {RR_A, RR_MX};
  struct grant one = {.who = {&everybody, 1}, .types = types, .type_count = 2};
  struct grants addresses = {&one, 1};
  unsigned rcode;
  static const char half[] = "new IN 60 A 192.0.2.1\nwww ANY 0 ANY"; /* whose TXT is not granted */
  assert_ok(join(&r, &addresses, half, &rcode));
  assert_int_equal(rcode, RCODE_REFUSED);
  assert_joins(&r, "?new NONE 0 ANY\nother IN 60 A 192.0.2.1", RCODE_NOERROR);
  assert_ok(join(&r, &addresses, "www ANY 0 ANY", &rcode)); /* before anything is done */
  assert_int_equal(rcode, RCODE_REFUSED);
  assert_false(r.broken);
  assert_int_equal(join(&r, &addresses, half, &rcode), ERR_AGAIN);
  assert_true(r.broken);
  update_run_abort(&r);
  assert_joins(&r, "?new NONE 0 ANY\n?other NONE 0 ANY\nother IN 60 A 192.0.2.1", RCODE_NOERROR);
  assert_becomes(&r, "serial 11\n+other.example. 60 A 192.0.2.1\n");
  zone_snap_unref(z);
}

static void a_run_has_an_end(void **state) {
  struct zone_snap *z = make_zone();
  struct update_run r = {.base = z};
  static struct message_text m;
  struct update_client client = {{&somewhere, {NULL, 0}, false}, true};
  struct update_verdict v;
  static const uint8_t rdata[40000] = {0};
  unsigned count = 0;
  while (!update_run_is_full(&r)) {
    char owner[30];
    snprintf(owner, sizeof owner, "n%u", count++);
    begin(&m, "@", RR_SOA);
    put(&m, 2, owner, CLASS_IN, 60, 65280, rdata, sizeof rdata);
    assert_ok(update_run_judge(&r, m.bytes, wr_used(&m.w), &all, &client, &v));
  }
  assert_int_equal(count, LIMIT_CHANGE_BYTES / 2 / sizeof rdata + 1);
  update_run_abort(&r);
  zone_snap_unref(z);
}

static void broken_messages(void **state) {
  struct zone_snap *z = make_zone();
  static struct message_text m;
  begin(&m, "other.", RR_SOA);
  assert_int_equal(judge_as(z, &all, true, &m).rcode, RCODE_NOTAUTH);
  begin(&m, "www", RR_SOA);
  assert_int_equal(judge_as(z, &all, true, &m).rcode, RCODE_NOTAUTH);
  begin(&m, "@", RR_A);
  assert_int_equal(judge_as(z, &all, true, &m).rcode, RCODE_FORMERR);
  for (uint16_t zones = 0; zones <= 2; zones += 2) {
    begin(&m, "@", RR_SOA);
    put_u16(m.bytes + 4, zones);
    assert_int_equal(judge_as(z, &all, true, &m).rcode, RCODE_FORMERR);
  }
  begin(&m, "@", RR_SOA);
  put_lines(&m, "?www ANY 0 ANY\nnew IN 60 A 192.0.2.1\nnew2 IN 60 MX 10 a.b.c");
  size_t whole = wr_used(&m.w);
  for (size_t n = 0; n < whole; n++) { /* cut anywhere */
    m.w.at = m.bytes + n;
    assert_int_equal(judge_as(z, &all, true, &m).rcode, RCODE_FORMERR);
  }
  put_u16(m.bytes + 8, 65535); /* a count that can't be true costs nothing */
  m.w.at = m.bytes + whole;
  assert_int_equal(judge_as(z, &all, true, &m).rcode, RCODE_FORMERR);
  zone_snap_unref(z);
}

static void a_zone_signed_elsewhere_is_left_alone(void **state) {
  struct zone_snap *z = make_zone(), *s;
  struct zone_edit *e;
  uint8_t sig[60] = {0, RR_SOA, 8, 1};
  sig[18] = 0; /* signed by the root */
  enum zone_add outcome;
  struct name apex = name_of("@");
  assert_ok(zone_edit_begin(z, NULL, &e));
  add(e, "@", "DNSKEY", 300, "256 3 8 AAAA");
  assert_ok(zone_edit_add(e, &apex, RR_RRSIG, 300, sig, 23, &outcome));
  assert_ok(zone_edit_finish(e, &s));
  assert_true(zone_is_signed(s));
  assert_rcode(s, "new IN 60 A 192.0.2.1", RCODE_REFUSED);
  assert_rcode(s, "?www ANY 0 ANY", RCODE_NOERROR);
  assert_rcode(s, "?www ANY 0 RRSIG", RCODE_NXRRSET);
  assert_rcode(s, "?@ ANY 0 RRSIG", RCODE_NOERROR);
  zone_snap_unref(s);
  zone_snap_unref(z);
}

/* As many as a message holds, to one name and to many; each alone takes a fraction of a second. */
static void thousands_of_changes(void **state) {
  struct zone_snap *z = make_zone();
  static struct message_text m;
  for (int one_name = 0; one_name <= 1; one_name++) {
    begin(&m, "@", RR_SOA);
    unsigned count = 0;
    char owner[30] = "many";
    while (wr_left(&m.w) > 60) {
      uint8_t rdata[4] = {10, (uint8_t)(count >> 16), (uint8_t)(count >> 8), (uint8_t)count};
      if (!one_name) snprintf(owner, sizeof owner, "n%u", count);
      put(&m, 2, owner, CLASS_IN, 60, RR_A, rdata, 4);
      count++;
    }
    struct update_verdict v = judge_as(z, &all, true, &m);
    assert_int_equal(v.rcode, RCODE_NOERROR);
    assert_int_equal(v.added, count);
    assert_int_equal(zone_record_count(v.snap), zone_record_count(z) + count);
    begin(&m, "@", RR_SOA);
    put_lines(&m, one_name ? "many ANY 0 ANY" : "n0 ANY 0 ANY");
    struct update_verdict less = judge_as(v.snap, &all, true, &m);
    assert_int_equal(less.removed, one_name ? count : 1);
    zone_snap_unref(less.snap);
    zone_snap_unref(v.snap);
  }
  zone_snap_unref(z);
}

static int setup(void **state) {
  zone_reader_register();
  return 0;
}

static int teardown(void **state) {
  zone_grace_barrier();
  zone_reader_unregister();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(prerequisites),
      cmocka_unit_test(prescan),
      cmocka_unit_test(adding),
      cmocka_unit_test(the_soa),
      cmocka_unit_test(deleting),
      cmocka_unit_test(name_servers_stay_usable),
      cmocka_unit_test(name_servers_keep_the_address_of_a_wildcard),
      cmocka_unit_test(what_is_not_granted_refuses_all),
      cmocka_unit_test(a_run_is_one_version),
      cmocka_unit_test(what_does_not_go_with_others),
      cmocka_unit_test(refused_half_way),
      cmocka_unit_test(a_run_has_an_end),
      cmocka_unit_test(broken_messages),
      cmocka_unit_test(a_zone_signed_elsewhere_is_left_alone),
      cmocka_unit_test(thousands_of_changes),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
