/* What a bad configuration is told: each row is one mistake and the one finding it must lead to, place and all. */
#include "config_test.h"

#define KEY "keys: [{name: k1, secret: AAAA}]\n"
#define PEER "peers: [{name: ns2, address: 192.0.2.2}]\n"

static const struct {
  const char *yaml;
  const char *at;   /* line:column */
  const char *text; /* part of the finding as printed */
} rows[] = {
    /* ---- YAML ---- */
    {"a: [*.x]", "1:5", "a text that begins with * must be quoted"},
    {"zones:\n- name: *.x\n  file: b\n", "2:9", "a text that begins with * must be quoted"},
    {"a: @", "1:4", "a text that begins with @ must be quoted"},
    {"server: {listen: [::1@53]}", "1:19", "an address with : in it must be quoted: \"::1@53\""},
    {"server: {listen: [a, ::@53]}", "1:22", "an address with : in it must be quoted"},
    {"a: `x`", "1:4", "must be quoted"},
    {"include: *x\n", "1:10",
     "aliases (*name) are not taken [yaml]; write the value out; a text that begins with * must be quoted"},
    {"include: [*x]\n", "1:11", "aliases"},
    {"zones: &all []\n", "1:8", "anchors (&name) are not taken"},
    {"zones: !!seq []\n", "1:8", "tags (!name) are not taken"},
    {"server: {user: !x y}\n", "1:16", "tags (!name) are not taken"},
    {"%TAG ! tag:x,2000:\n---\nserver: {}\n", "1:1", "tags"},
    {"server: {user: x, user: x}\n", "1:19", "`user` is given twice; first in line 1 [key-twice]"},
    {"zones: []\nzones: []\n", "2:1", "`zones` is given twice; first in line 1"},
    {"server: {}\n---\nserver: {}\n", "2:1", "a second document begins here"},
    {"server:\n\tuser: x\n", "2:1", "indent with spaces, not with tabs"},
    {"server: {user: x\n", "2:1", "cannot be read as YAML"},
    {"server: a: b\n", "1:10", "a text with \": \" in it must be quoted"},
    {"? [a]\n: b\n", "1:3", "a key must be a text"},
    {"server: {user: \"a\\0b\"}\n", "1:16", "NUL"},
    {"server: {user: \xff}\n", "1:16", "must be UTF-8"},
    {"\xc3\xa4\n", "1:1", "must be a map of options"},
    {"a: \"\xc3\xa4\xc3\xa4\", *x : b\n", "1:10", "cannot be read as YAML"},
    {"server: {user: \xc3\xa4, workers: \xc3\xa4}\n", "1:29", "`workers` must be a number"},
    {"a: [[[[[[[[[[[[[[[[[[[[[b]]]]]]]]]]]]]]]]]]]]]", "1:19", "nested too deeply"},
    {"- a\n", "1:1", "must be a map of options"},
    {"text\n", "1:1", "must be a map of options"},

    /* ---- keys and shapes ---- */
    {"serve: {}\n", "1:1", "there is no option `serve` [unknown-key]; did you mean `server`?"},
    {"server: {lisen: []}\n", "1:10", "there is no option `server.lisen` [unknown-key]; did you mean `listen`?"},
    {"server: {log: {levle: info}}\n", "1:16", "`server.log.levle` [unknown-key]; did you mean `level`?"},
    {"history: {agee: 1}\n", "1:11", "did you mean `age`?"},
    {"colour: blue\n", "1:1", "docs/configuration.md lists all keys"},
    {"templates: {a: {name: b}}\n", "1:17", "there is no option `name`"},
    {"zones: [{name: a, file: b, fiel: c}]\n", "1:28", "there is no option `zones[].fiel` [unknown-key]; did you mean `file`?"},
    {"server: [a]\n", "1:9", "`server` must be a map of options"},
    {"zones: {a: b}\n", "1:8", "`zones` must be a list"},
    {"zones: [a]\n", "1:9", "must be a map of options"},
    {"server: {user: [a]}\n", "1:16", "`user` must be a text, not a list"},
    {"server: {user: {a: b}}\n", "1:16", "`user` must be a text, not a map"},
    {"server: {user: }\n", "1:16", "`user` has no value"},
    {"server: {user: \"\"}\n", "1:16", "`user` has no value"},
    {"server: {user: \"a\\nb\"}\n", "1:16", "control character"},

    /* ---- not available yet ---- */
    {"catalogs: [{name: c}]\n", "1:1", "catalogs is not available yet in this version [not-available]"},
    {"api: {listen: \"127.0.0.1@1\"}\n", "1:1", "api is not available yet in this version"},
    {"metrics: {per-zone: some}\n", "1:21", "`per-zone` cannot be `some`"},
    {"store: postgresql://u@h/d\n", "1:1", "store other than `sqlite` is not available yet in this version"},
    {"server: {listen-tls: [\"::1@853\"]}\n", "1:10", "server.listen-tls is not available yet in this version"},
    {"server: {tls: {}}\n", "1:10", "server.tls is not available yet in this version"},
    {"server: {rate-limit: {per-second: 1}}\n", "1:10", "server.rate-limit other than `off` is not available yet"},
    {"peers: [{name: p, address: 192.0.2.2, transport: tls}]\n", "1:39", "peers[].transport other than `tcp` is not available yet"},
    {"peers: [{name: p, address: 192.0.2.2, tls: {}}]\n", "1:39", "peers[].tls is not available yet"},
    {"zones: [{name: a, file: b, update: [x]}]\n", "1:37", "there is no peer or key `x`"},
    {"zones: [{name: a, file: b, update: [{names: x}]}]\n", "1:37", "the entry names nobody"},
    {"zones: [{name: a, file: b, update: [{from: any, names: [a..b]}]}]\n", "1:57", "`a..b` is no pattern of names: empty label"},
    {"zones: [{name: a, file: b, update: [{from: any, names: []}]}]\n", "1:56", "`names` is empty"},
    {"zones: [{name: a, file: b, update: [{from: any, types: [TXT, AXFR]}]}]\n", "1:62", "no records of the type `AXFR`"},
    {"zones: [{name: a, file: b, update: [{from: any, types: {A: b}}]}]\n", "1:56", "`types` must be a list"},
    {"zones: [{name: a, file: b, update: [{from: any, name: x}]}]\n", "1:49", "there is no option `name`"},
    {"zones: [{name: a, file: b, managed: true}]\n", "1:19", "a managed zone lives in the store and has no `file`"},
    {"templates: {t: {managed: true, file: b}}\nzones: [{name: a, template: t}]\n", "2:16",
     "a managed zone has no `file`, and one is given at t.yaml:1:32"},
    {"zones: [{name: a, file: b, write-back: 0}]\n", "1:40", "`write-back` must be a time in whole seconds or never"},

    /* ---- values ---- */
    {"server: {listen: [\"127.0.0.1:53\"]}\n", "1:19", "the port stands behind an @"},
    {"server: {listen: [\"127.0.0.1@0\"]}\n", "1:19", "a port is 1 to 65535"},
    {"server: {listen: [\"127.0.0.1@65536\"]}\n", "1:19", "a port is 1 to 65535"},
    {"server: {listen: [localhost]}\n", "1:19", "`localhost` is not an address"},
    {"server: {listen: [127.0.0.0/8]}\n", "1:19", "not a prefix"},
    {"server: {listen: []}\n", "1:10", "`server.listen` names no address"},
    {"server: {listen: [127.0.0.1, 127.0.0.1@53]}\n", "1:30", "127.0.0.1@53 is listened on twice; first at t.yaml:1:19"},
    {"server: {listen: [{address: 127.0.0.1, for: [querys]}]}\n", "1:46", "a listener cannot be for `querys`"},
    {"server: {listen: [{address: 127.0.0.1, for: []}]}\n", "1:45", "`for` names nothing"},
    {"server: {listen: [{for: [queries]}]}\n", "1:19", "`address` is missing"},
    {"server: {workers: 0}\n", "1:19", "`workers` must be a number, 1..1024"},
    {"server: {workers: 1025}\n", "1:19", "`workers` must be a number"},
    {"server: {workers: 2x}\n", "1:19", "`workers` must be a number"},
    {"server: {workers: 18446744073709551617}\n", "1:19", "`workers` must be a number"},
    {"server: {log: {format: jsonn}}\n", "1:24", "`format` cannot be `jsonn` [bad-value]; did you mean `json`?"},
    {"server: {log: {level: all}}\n", "1:23", "it is one of: error, warning, info, debug"},
    {"server: {identity: 12345678901234567890123456789012345678901234567890123456789012345}\n", "1:20", "65 octets"},
    {"history: {age: 1.5}\n", "1:16", "a time in whole seconds"},
    {"history: {age: 5 d}\n", "1:16", "a time in whole seconds"},
    {"history: {age: 99999999999999999999d}\n", "1:16", "a time in whole seconds"},
    {"history: {bytes-per-zone: 64MB}\n", "1:27", "must be a size"},
    {"history: {bytes-per-zone: 99999999999T}\n", "1:27", "must be a size"},
    {PEER "zones: [{name: a, primaries: ns2, refresh-min: 0}]\n", "2:48", "between 0.001 seconds and 4 weeks"},
    {PEER "zones: [{name: a, primaries: ns2, retry-max: 5w}]\n", "2:46", "between 0.001 seconds and 4 weeks"},

    /* ---- keys ---- */
    {"keys: [{name: a}]\n", "1:8", "the key has no secret"},
    {"keys: [{secret: AAAA}]\n", "1:8", "the key has no `name`"},
    {"keys: [{name: a..b, secret: AAAA}]\n", "1:15", "`a..b` is not a domain name"},
    {"keys: [{name: any, secret: AAAA}]\n", "1:15", "a key cannot be called `any`"},
    {"keys: [{name: 192.0.2.1, secret: AAAA}]\n", "1:15", "a key cannot be called `192.0.2.1`"},
    {"keys: [{name: a, secret: AAAA, secret-file: b}]\n", "1:32", "the key has a `secret` in line 1 and a `secret-file`"},
    {"keys: [{name: a, secret: AA!A}]\n", "1:28", "the secret is not base64: its character 3 does not belong there"},
    {"keys: [{name: a, secret: \"AA!A\"}]\n", "1:29", "its character 3 does not belong there"},
    {"keys: [{name: a, secret: AAA}]\n", "1:26", "3 characters are not whole octets"},
    {"keys: [{name: a, secret: AA==AAAA}]\n", "1:30", "its character 5 does not belong there"},
    {"keys: [{name: a, secret: \"\"}]\n", "1:26", "`secret` has no value"},
    {"keys: [{name: a, secret-file: b}]\n", "1:31", "files are not read here"},
    {"keys: [{name: a, secret: AAAA, algorithm: sha256}]\n", "1:43", "there is no algorithm `sha256` [bad-value]"},
    {"keys: [{name: a, secret: AAAA, algorithm: hmac-sha255}]\n", "1:43", "did you mean `hmac-sha256`?"},
    {"keys: [{name: a, secret: AAAA}, {name: A., secret: AAAA}]\n", "1:40", "there are two keys `A.`; first at t.yaml:1:8"},

    /* ---- peers ---- */
    {"peers: [{address: 192.0.2.2}]\n", "1:9", "the peer has no `name`"},
    {"peers: [{name: a}]\n", "1:9", "the peer has no `address`"},
    {"peers: [{name: a, address: []}]\n", "1:28", "`address` names no address"},
    {"peers: [{name: a, address: [192.0.2.2, 192.0.2.2@53]}]\n", "1:40", "given twice"},
    {"peers: [{name: any, address: 192.0.2.2}]\n", "1:16", "a peer cannot be called `any`"},
    {"peers: [{name: 192.0.2.1, address: 192.0.2.2}]\n", "1:16", "a peer cannot be called `192.0.2.1`"},
    {KEY "peers: [{name: a, address: 192.0.2.2, key: k2}]\n", "2:44", "there is no key `k2` [unknown-name]; did you mean `k1`?"},
    {KEY "peers: [{name: a, address: 192.0.2.2, key: k1, keys: [k1]}]\n", "2:48", "the peer has a `key` in line 2 and `keys`"},
    {KEY "peers: [{name: a, address: 192.0.2.2, keys: [k1, K1.]}]\n", "2:50", "the key `K1.` is given twice"},
    {KEY "peers: [{name: k1, address: 192.0.2.2}]\n", "2:16", "`k1` is both a peer and a key; the key is at t.yaml:1:8"},
    {KEY "peers: [{name: K1., address: 192.0.2.2}]\n", "2:16", "is both a peer and a key"},
    {PEER "include: []\nzones: [{name: a, file: b, notify: [ns3]}]\n", "3:37",
     "there is no peer `ns3` [unknown-name]; did you mean `ns2`?"},
    {"peers: [{name: a, address: 192.0.2.2}, {name: a, address: 192.0.2.3}]\n", "1:47", "two peers `a`; first at t.yaml:1:9"},
    {"peers: [{name: a, address: 192.0.2.2, source: \"::1\"}]\n", "1:47", "`source` is an address of IPv6, and the peer has none"},
    {"peers: [{name: a, address: 192.0.2.2, source: 192.0.2.1@5}]\n", "1:47", "without a port"},
    {"peers: [{name: a, address: 192.0.2.2, source: [192.0.2.1, 192.0.2.3]}]\n", "1:59", "two addresses of IPv4"},

    /* ---- zones and templates ---- */
    {"zones: [{file: a}]\n", "1:9", "the zone has no `name`"},
    {"zones: [{name: a}]\n", "1:16", "the primary zone `a` has no `file`"},
    {"zones: [{name: a, role: secondary}]\n", "1:16", "a secondary, as said at t.yaml:1:19, needs `primaries`"},
    {"zones: [{name: a, role: secondary, primaries: []}]\n", "1:16", "needs `primaries`"},
    {"zones: [{name: a, role: primry, file: b}]\n", "1:25", "`role` cannot be `primry` [bad-value]; did you mean `primary`?"},
    {"zones: [{name: a, file: b}, {name: A., file: c}]\n", "1:36", "the zone a. is given twice; first at t.yaml:1:16"},
    {"zones: [{name: a..b, file: b}]\n", "1:16", "`a..b` is not a domain name"},
    {"zones: [{name: \"@\", file: b}]\n", "1:16", "`@` is not a domain name"},
    {"zones: [{name: a, file: b, template: c}]\n", "1:38", "there is no template `c`"},
    {"templates: {hidden: {}}\nzones: [{name: a, file: b, template: hiden}]\n", "2:38", "did you mean `hidden`?"},
    {PEER "zones: [{name: a, role: primary, file: b, primaries: [ns2]}]\n", "2:43",
     "`primaries` is for secondary zones, and `role` at t.yaml:2:19 makes this one a primary [contradiction]"},
    {PEER "zones: [{name: a, role: secondary, file: b, primaries: [ns2]}]\n", "2:36",
     "`file` is for primary zones, and `role` at t.yaml:2:19 makes this one a secondary"},
    {PEER "zones: [{name: a, file: b, primaries: [ns2]}]\n", "2:19",
     "`file` is for primary zones, and `primaries` at t.yaml:2:28 makes this one a secondary"},
    {PEER "templates: {default: {role: secondary, primaries: [ns2]}}\nzones: [{name: a, file: b}]\n", "3:19",
     "`role` at t.yaml:2:23"},
    {PEER "templates: {default: {file: a, primaries: [ns2]}}\nzones: [{name: a}]\n", "3:16", "say which with `role`"},
    {PEER "templates: {a: {role: primary, primaries: [ns2]}}\n", "2:32", "`role` at t.yaml:2:17"},
    {"zones: [{name: a, file: b, refresh-min: 5}]\n", "1:28", "`refresh-min` is for secondary zones"},
    {PEER "zones: [{name: a, primaries: [ns2], serial: keep}]\n", "2:37", "`serial` is for primary zones"},
    {PEER "zones: [{name: a, primaries: [ns2], refresh-min: 5, refresh-max: 4}]\n", "2:37",
     "`refresh-min` is longer than `refresh-max` at t.yaml:2:53"},
    {PEER "zones: [{name: a, primaries: [ns2], retry-min: 2d}]\n", "2:37", "`retry-min` is longer than `retry-max`"},
    {PEER "zones: [{name: a, primaries: [ns2, ns2]}]\n", "2:36", "the peer `ns2` is given twice"},
    {"zones: [{name: a, primaries: [192.0.2.1]}]\n", "1:31", "give the address a name under `peers`"},
    {"zones: [{name: a, file: b, strangers: accept}]\n", "1:39", "`strangers` cannot be `accept`"},
    {"zones: [{name: a, file: b, require-tls: yes}]\n", "1:41", "it is one of: false, true"},
    {"templates: []\n", "1:12", "`templates` must be a map"},

    /* ---- access lists ---- */
    {PEER "zones: [{name: a, file: b, transfer: [ns3]}]\n", "2:39",
     "there is no peer or key `ns3` [unknown-name]; did you mean `ns2`?"},
    {"zones: [{name: a, file: b, transfer: [192.0.2.1/24]}]\n", "1:39", "`192.0.2.1/24` is not an address or prefix"},
    {"zones: [{name: a, file: b, transfer: [192.0.2.0/33]}]\n", "1:39", "at most 32 or 128 bits"},
    {"zones: [{name: a, file: b, transfer: [192.0.2.1@53]}]\n", "1:39", "leave the @ and the port out"},
    {"zones: [{name: a, file: b, transfer: [\"2001:db8::1@53\"]}]\n", "1:39", "leave the @ and the port out"},
    {"zones: [{name: a, file: b, transfer: [{}]}]\n", "1:39", "the entry names nothing"},
    {"zones: [{name: a, file: b, transfer: {fro: any}}]\n", "1:39", "did you mean `from`?"},
    {PEER "zones: [{name: a, file: b, transfer: [{from: ns2}]}]\n", "2:46", "not a peer"},
    {KEY "zones: [{name: a, file: b, transfer: [{key: k2}]}]\n", "2:45", "there is no key `k2`"},
    {"zones: [{name: a, file: b, transfer: [{tls: maybe}]}]\n", "1:45", "`tls` cannot be `maybe`"},
    {"zones: [{name: a, file: b, transfer: [[any]]}]\n", "1:39", "must be a text, not a list"},

    /* ---- zone lists ---- */
    {"zone-lists: [{template: a}]\ntemplates: {a: {}}\n", "1:14", "neither `file` nor `dir`"},
    {"zone-lists: [{file: a, dir: b}]\n", "1:24", "the zone list has a `file` in line 1 and a `dir`"},
    {"zone-lists: [{file: a}]\n", "1:21", "the template of a list of primary zones needs `file`"},
    {"zone-lists: [{dir: a, template: b}]\n", "1:33", "there is no template `b`"},
    {"zone-lists: [{dir: a, template: b}]\ntemplates: {b: {file: c}}\n", "1:20",
     "both `dir` and, at t.yaml:2:17, the template's `file`"},
    {PEER "zone-lists: [{dir: a, template: b}]\ntemplates: {b: {primaries: [ns2]}}\n", "2:20", "`dir` is for primary zones"},
    {"zone-lists: [{dir: a}]\n", "1:20", "files are not read here"},
    {"include: [a]\n", "1:11", "files are not included here"},
};

static void names_each_mistake(void **state) {
  unsigned wrong = 0;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct diags d = {0};
    struct config *c = NULL;
    char at[64];
    snprintf(at, sizeof at, "t.yaml:%s", rows[i].at);
    enum err e = config_load_bytes("t.yaml", (const uint8_t *)rows[i].yaml, strlen(rows[i].yaml), &d, &c);
    if (e != ERR_FORMAT || c || d.count != 1 || !has_finding(&d, at, rows[i].text)) {
      fprintf(stderr, "--- wanted %s: %s, of\n%s\n", at, rows[i].text, rows[i].yaml);
      print_findings(&d);
      wrong++;
    }
    diags_done(&d);
  }
  assert_int_equal(wrong, 0);
}

/* One pass finds all, in the order of the parts and without what only follows from another mistake. */
static void names_all_in_one_pass(void **state) {
  static const char yaml[] = "server:\n"
                             "  listen: [nowhere]\n"
                             "  wrokers: 1\n"
                             "keys:\n"
                             "  - {name: k, secret: \"====\"}\n"
                             "peers:\n"
                             "  - {name: p, address: 1.2.3, key: k}\n"
                             "zones:\n"
                             "  - {name: a, file: b, notify: [p, q]}\n"
                             "  - {name: b, file: b, notify: [p, q]}\n"
                             "  - {name: c, file: b, notify: [q, p]}\n";
  static const struct finding expected[] = {{"2:12", "not an address"}, {"3:3", "workers"},  {"5:24", "base64"},
                                            {"7:24", "not an address"}, {"9:36", "no peer"}, {"10:36", "no peer"},
                                            {"11:33", "no peer"}};
  struct diags d = {0};
  struct config *c = NULL;
  assert_int_equal(config_load_bytes("t.yaml", (const uint8_t *)yaml, strlen(yaml), &d, &c), ERR_FORMAT);
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
    if (!has_finding(&d, expected[i].at, expected[i].text)) {
      print_findings(&d);
      fail_msg("missing: %s", expected[i].at);
    }
  assert_int_equal(d.count, sizeof expected / sizeof *expected);
  diags_done(&d);
}

static void tells_no_secret(void **state) {
  static const char *const bad[] = {"keys: [{name: a, secret: SeCrEt!}]\n", "keys: [{name: a, secret: SeCrEtX}]\n",
                                    "keys: [{name: a, secret: SeCrEtXX, algorithm: x}]\n",
                                    "keys: [{name: a, secret: [SeCrEtXX]}]\n",
                                    "keys: [{name: a, secret: SeCrEtXX}, {name: a, secret: SeCrEtXX}]\n"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct diags d = {0};
    struct config *c = NULL;
    struct buf out = {0};
    assert_int_equal(config_load_bytes("t.yaml", (const uint8_t *)bad[i], strlen(bad[i]), &d, &c), ERR_FORMAT);
    diags_print(&d, &out);
    assert_null(strstr(buf_text(&out), "SeCrEt"));
    buf_done(&out);
    diags_done(&d);
  }
}

/* Good, but probably not meant so. */
static void warns(void **state) {
  static const char yaml[] = "zones: [{name: a, file: b, strangers: drop}]\n";
  struct diags d = {0};
  struct config *c = NULL;
  assert_int_equal(config_load_bytes("t.yaml", (const uint8_t *)yaml, strlen(yaml), &d, &c), ERR_OK);
  assert_int_equal(d.warnings, 1);
  assert_true(has_finding(&d, "1:28", "warning: there are no strangers to drop"));
  diags_done(&d);
  config_free(c);
}

static void warns_of_write_back_without_effect(void **state) {
  static const struct {
    const char *yaml, *at, *what;
  } cases[] = {
      {"zones: [{name: a, file: b, write-back: 5}]\n", "1:28", "warning: nothing is ever written back: only its file"},
      {"zones: [{name: a, managed: true, write-back: 5}]\n", "1:34", "warning: nothing is ever written back: the zone has no file"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct diags d = {0};
    struct config *c = NULL;
    assert_int_equal(config_load_bytes("t.yaml", (const uint8_t *)cases[i].yaml, strlen(cases[i].yaml), &d, &c), ERR_OK);
    assert_true(has_finding(&d, cases[i].at, cases[i].what));
    diags_done(&d);
    config_free(c);
  }
}

/* What holds anyway may be written, also of options that are still to come. */
static void takes_what_holds_anyway(void **state) {
  config_free(load_good("store: sqlite\nserver: {rate-limit: off}\npeers: [{name: p, address: 192.0.2.1, transport: tcp}]\n"
                        "zones: [{name: a, file: b, managed: false, editable: false, write-back: never}]\n"));
}

/* A bad entry repeated a million times must not cost memory or time for findings that nobody reads. */
static void bounds_findings(void **state) {
  struct buf yaml = {0};
  buf_add_text(&yaml, "zones:\n");
  for (int i = 0; i < 5000; i++)
    buf_printf(&yaml, "- {name: z%d, file: a, notify: [x]}\n", i);
  struct diags d = {0};
  struct config *c = NULL;
  assert_int_equal(config_load_bytes("t.yaml", yaml.data, yaml.size, &d, &c), ERR_FORMAT);
  assert_int_equal(d.count, LIMIT_DIAGS);
  buf_done(&yaml);
  diags_done(&d);
}

/* A map with many keys is checked another way than a small one. */
static void finds_doubles_among_many_keys(void **state) {
  struct buf yaml = {0};
  buf_add_text(&yaml, "templates:\n");
  for (int i = 0; i < 200; i++)
    buf_printf(&yaml, "  t%d: {}\n", i == 150 || i == 170 ? 42 : i);
  struct diags d = {0};
  struct config *c = NULL;
  assert_int_equal(config_load_bytes("t.yaml", yaml.data, yaml.size, &d, &c), ERR_FORMAT);
  assert_int_equal(d.count, 2);
  assert_true(has_finding(&d, "t.yaml:152:3", "`t42` is given twice; first in line 44"));
  assert_true(has_finding(&d, "t.yaml:172:3", "`t42` is given twice; first in line 44"));
  buf_done(&yaml);
  diags_done(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_each_mistake),
      cmocka_unit_test(names_all_in_one_pass),
      cmocka_unit_test(tells_no_secret),
      cmocka_unit_test(warns),
      cmocka_unit_test(warns_of_write_back_without_effect),
      cmocka_unit_test(takes_what_holds_anyway),
      cmocka_unit_test(bounds_findings),
      cmocka_unit_test(finds_doubles_among_many_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
