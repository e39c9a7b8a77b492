/* What a good configuration becomes. */
#include "config_test.h"

static const char sample[] =
    "server:\n"
    "  listen: [\"127.0.0.1@5300\", \"::1@5300\", {address: \"127.0.0.2\", for: [transfers]}]\n"
    "  user: tandem\n"
    "  workers: 3\n"
    "  state: ./state\n"
    "  identity: ns1\n"
    "  rate-limit: off\n"
    "  log: {format: json, level: debug}\n"
    "  resolvers: 127.0.0.1\n"
    "store: sqlite\n"
    "history: {age: 12h, bytes-per-zone: 2K, deleted: 90}\n"
    "keys:\n"
    "  - {name: Xfr.example, algorithm: hmac-sha512, secret: AAECAwQFBgc=}\n"
    "  - {name: new.example., secret: \"/+8=\"}\n"
    "peers:\n"
    "  - {name: ns2, address: [\"192.0.2.2@5353\", \"2001:db8::2\"], keys: [new.example., xfr.example.],\n"
    "     source: \"192.0.2.1\"}\n"
    "  - {name: ns3, address: \"127.0.0.3@8531\", key: xfr.example.}\n"
    "  - {name: ns4, address: 192.0.2.4}\n"
    "templates:\n"
    "  default: {notify: [ns2], transfer: [ns2]}\n"
    "  hidden: {answer-to: [ns2, 10.0.0.0/8], strangers: drop, require-tls: true, notify: ns4}\n"
    "  customers: {file: \"zones/%s.zone\", serial: date, check: strict, include-root: inc}\n"
    "zones:\n"
    "  - {name: example.com, template: hidden, role: primary, file: example.com.zone}\n"
    "  - {name: example.net, role: secondary, primaries: [ns2, ns4], refresh-min: 0.25, refresh-max: 1h}\n"
    "  - {name: example.org, primaries: ns4, notify-from: [any], transfer: []}\n"
    "  - {name: ., file: root.zone}\n"
    "  - {name: no, file: no.zone}\n"
    "  - {name: 0/26.2.0.192.in-addr.arpa, template: customers}\n"
    "  - {name: 'a\\.b\\032c.Example.', template: customers}\n"
    "  - {name: x.example, file: x.zone, transfer: [{from: 192.0.2.0/24, key: XFR.example, tls: true}, xfr.example]}\n";

static void reads_the_server(void **state) {
  struct config *c = load_good(sample);
  const struct config_server *s = &c->server;
  char text[ADDR_TEXT_BYTES];
  assert_int_equal(s->listen.count, 3);
  assert_string_equal(addr_text(&s->listen.list[1].addr, text), "::1@5300");
  assert_true(s->listen.list[1].queries && s->listen.list[1].transfers);
  assert_string_equal(addr_text(&s->listen.list[2].addr, text), "127.0.0.2@53");
  assert_true(!s->listen.list[2].queries && s->listen.list[2].transfers);
  assert_int_equal(s->listen.list[2].place.line, 2);
  assert_string_equal(s->user, "tandem");
  assert_int_equal(s->workers, 3);
  assert_string_equal(s->state, "state");
  assert_string_equal(s->identity, "ns1");
  assert_int_equal(s->log_format, CONFIG_LOG_JSON);
  assert_int_equal(s->log_level, LOG_DEBUG);
  assert_int_equal(s->resolvers.count, 1);
  assert_string_equal(addr_text(&s->resolvers.list[0], text), "127.0.0.1@53");
  assert_int_equal(c->history.age_s, 12 * 3600);
  assert_int_equal(c->history.zone_bytes, 2048);
  assert_int_equal(c->history.deleted_s, 90);
  config_free(c);
}

static void has_defaults(void **state) {
  struct config *c = load_good("");
  char text[ADDR_TEXT_BYTES];
  assert_int_equal(c->server.listen.count, 2);
  assert_string_equal(addr_text(&c->server.listen.list[0].addr, text), "0.0.0.0@53");
  assert_string_equal(addr_text(&c->server.listen.list[1].addr, text), "::@53");
  assert_true(c->server.listen.list[0].queries && c->server.listen.list[0].transfers);
  assert_null(c->server.user);
  assert_null(c->server.identity);
  assert_int_equal(c->server.workers, 0);
  assert_string_equal(c->server.state, "state");
  assert_int_equal(c->server.log_format, CONFIG_LOG_TEXT);
  assert_int_equal(c->server.log_level, LOG_INFO);
  assert_int_equal(c->server.resolvers.count, 0);
  assert_int_equal(c->history.age_s, 30 * 86400);
  assert_int_equal(c->history.zone_bytes, 64 << 20);
  assert_int_equal(c->history.deleted_s, 7 * 86400);
  assert_int_equal(c->zone_count + c->key_count + c->peer_count + c->template_count, 0);
  config_free(c);

  c = load_good("zones: [{name: a, file: a}]\nkeys:\npeers:\nserver:\n  log:\n");
  const struct config_zone_options *o = c->zones[0].options;
  assert_int_equal(o->role, CONFIG_PRIMARY);
  assert_int_equal(o->serial, CONFIG_SERIAL_KEEP);
  assert_int_equal(o->check, CONFIG_CHECK_NORMAL);
  assert_int_equal(o->notify.count + o->primaries.count + o->transfer.count + o->notify_from.count + o->soa_to.count, 0);
  assert_true(!o->hidden && !o->drop_strangers && !o->require_tls);
  assert_int_equal(o->refresh_min_ms, 1000);
  assert_int_equal(o->refresh_max_ms, 14 * 86400 * 1000);
  assert_int_equal(o->retry_min_ms, 1000);
  assert_int_equal(o->retry_max_ms, 86400 * 1000);
  assert_string_equal(o->template_name, "");
  assert_null(o->include_root);
  config_free(c);
}

static void reads_keys_and_peers(void **state) {
  struct config *c = load_good(sample);
  char text[NAME_TEXT_BYTES], at[ADDR_TEXT_BYTES];
  assert_int_equal(c->key_count, 2);
  assert_string_equal(name_text(&c->keys[0].name, text), "xfr.example.");
  assert_int_equal(c->keys[0].algorithm, HMAC_SHA512);
  assert_int_equal(c->keys[0].secret_size, 8);
  assert_memory_equal(c->keys[0].secret, "\0\1\2\3\4\5\6\7", 8);
  assert_int_equal(c->keys[1].algorithm, HMAC_SHA256);
  assert_int_equal(c->keys[1].secret_size, 2);
  assert_memory_equal(c->keys[1].secret, "\xff\xef", 2);
  assert_int_equal(c->keys[1].place.line, 14);
  assert_int_equal(c->keys[1].place.column, 5);

  assert_int_equal(c->peer_count, 3);
  const struct config_peer *p = &c->peers[0];
  assert_string_equal(p->name, "ns2");
  assert_int_equal(p->addresses.count, 2);
  assert_string_equal(addr_text(&p->addresses.list[0], at), "192.0.2.2@5353");
  assert_string_equal(addr_text(&p->addresses.list[1], at), "2001:db8::2@53");
  assert_int_equal(p->keys.count, 2);
  assert_ptr_equal(p->keys.list[0], &c->keys[1]);
  assert_ptr_equal(p->keys.list[1], &c->keys[0]);
  assert_string_equal(addr_text(config_peer_source(p, &p->addresses.list[0]), at), "192.0.2.1");
  assert_int_equal(config_peer_source(p, &p->addresses.list[1])->family, 0);
  assert_int_equal(c->peers[2].keys.count, 0);
  config_free(c);
}

static bool allows(const struct acl *acl, const char *from, const struct config_key *key, bool tls) {
  struct addr a;
  assert_int_equal(addr_parse(from, 4444, &a), ERR_OK);
  struct acl_client client = {.from = &a, .tls = tls};
  if (key) client.key = (struct acl_key){key->name.octets, key->name.size};
  return acl_allows(acl, &client);
}

/* The example of the outside contract, with one entry more. */
static void compiles_grants(void **state) {
  struct config *c = load_good("keys: [{name: acme., secret: c2VjcmV0}, {name: all.example., secret: c2VjcmV0}]\n"
                               "zones:\n"
                               "  - {name: dyn.example, file: dyn.zone, update: [{key: acme., names: [\"_acme-challenge.**\"], "
                               "types: [TXT]}, all.example., 192.0.2.0/24, {from: 10.0.0.0/8, key: acme., names: [www, \"@\"]}]}\n"
                               "  - {name: plain.example, file: plain.zone}\n"
                               "  - {name: other.example, file: other.zone, update: {key: acme., names: x}}\n");
  const struct grants *g = &zone_called(c, "dyn.example")->options->update;
  struct acl_key acme = {c->keys[0].name.octets, c->keys[0].name.size}, all = {c->keys[1].name.octets, c->keys[1].name.size};
  struct name apex, challenge, www, x;
  struct addr inside, near;
  assert_int_equal(name_from_text("dyn.example", 11, &name_root, &apex, NULL, NULL), ERR_OK);
  assert_int_equal(name_from_text("_acme-challenge.www", 19, &apex, &challenge, NULL, NULL), ERR_OK);
  assert_int_equal(name_from_text("www", 3, &apex, &www, NULL, NULL), ERR_OK);
  assert_int_equal(name_from_text("x", 1, &apex, &x, NULL, NULL), ERR_OK);
  assert_int_equal(addr_parse("10.1.2.3", 53, &inside), ERR_OK);
  assert_int_equal(addr_parse("192.0.2.9", 53, &near), ERR_OK);
  struct acl_client a = {&inside, acme, false}, b = {&inside, all, false}, n = {&near, {NULL, 0}, false};
  struct acl_client nobody = {&inside, {NULL, 0}, false};
  assert_int_equal(g->count, 4);
  assert_true(grants_allow(g, &a, &challenge, 16, &apex) && grants_allow(g, &a, &www, 1, &apex) &&
              grants_allow(g, &a, &apex, 1, &apex));
  assert_false(grants_allow(g, &a, &challenge, 1, &apex) || grants_allow(g, &a, &x, 16, &apex));
  assert_true(grants_allow(g, &b, &x, 1, &apex) && grants_allow(g, &n, &x, 1, &apex));
  assert_false(grants_admit(g, &nobody));
  assert_int_equal(zone_called(c, "plain.example")->options->update.count, 0);
  assert_int_equal(zone_called(c, "other.example")->options->update.count, 1);
  config_free(c);
}

static void compiles_access_lists(void **state) {
  struct config *c = load_good(sample);
  const struct config_key *xfr = &c->keys[0], *new_key = &c->keys[1];
  const struct config_zone_options *hidden = zone_called(c, "example.com")->options;
  assert_true(hidden->hidden && hidden->drop_strangers && hidden->require_tls);
  assert_true(allows(&hidden->answer_to, "10.1.2.3", NULL, false));
  assert_true(allows(&hidden->answer_to, "192.0.2.2", xfr, false));
  assert_true(allows(&hidden->answer_to, "2001:db8::2", new_key, false));
  assert_false(allows(&hidden->answer_to, "192.0.2.2", NULL, false)); /* the peer has keys */
  assert_false(allows(&hidden->answer_to, "192.0.2.3", xfr, false));
  assert_int_equal(hidden->transfer.count, 0); /* a template named is taken instead of the default one */
  assert_true(allows(&hidden->soa_to, "192.0.2.4", NULL, false));
  assert_false(allows(&hidden->soa_to, "192.0.2.2", xfr, false));

  const struct config_zone_options *x = zone_called(c, "x.example")->options;
  assert_false(x->hidden);
  assert_true(allows(&x->transfer, "192.0.2.77", xfr, true));
  assert_true(allows(&x->transfer, "203.0.113.1", xfr, false)); /* the key alone */
  assert_false(allows(&x->transfer, "192.0.2.77", new_key, true));
  assert_int_equal(x->transfer.count, 2);
  assert_true(x->transfer.entries[0].need_tls && !x->transfer.entries[0].any_host);
  assert_true(allows(&x->soa_to, "192.0.2.2", xfr, false)); /* notified by the default template */
  config_free(c);
}

static void resolves_options(void **state) {
  struct config *c = load_good(sample);
  const struct config_zone_options *net = zone_called(c, "example.net")->options;
  assert_int_equal(net->role, CONFIG_SECONDARY);
  assert_int_equal(net->primaries.count, 2);
  assert_ptr_equal(net->primaries.list[0], &c->peers[0]);
  assert_int_equal(net->refresh_min_ms, 250);
  assert_int_equal(net->refresh_max_ms, 3600000);
  assert_int_equal(net->notify_from.count, 5); /* the primaries: two addresses with two keys each, and one */
  assert_true(allows(&net->notify_from, "192.0.2.4", NULL, false));
  assert_int_equal(net->notify.count, 1);

  const struct config_zone_options *org = zone_called(c, "example.org")->options;
  assert_int_equal(org->role, CONFIG_SECONDARY); /* follows from its primaries */
  assert_true(allows(&org->notify_from, "203.0.113.9", NULL, false));
  assert_int_equal(org->transfer.count, 0);

  const struct config_zone_options *list = zone_called(c, "0/26.2.0.192.in-addr.arpa")->options;
  assert_int_equal(list->serial, CONFIG_SERIAL_DATE);
  assert_int_equal(list->check, CONFIG_CHECK_STRICT);
  assert_string_equal(list->include_root, "inc");
  assert_string_equal(list->template_name, "customers");
  assert_ptr_equal(zone_called(c, "a\\.b\\032c.example")->options, list);
  assert_ptr_equal(zone_called(c, ".")->options, zone_called(c, "no")->options);
  assert_ptr_not_equal(zone_called(c, ".")->options, list);

  assert_int_equal(c->template_count, 3);
  assert_non_null(config_template_find(c, "hidden"));
  assert_null(config_template_find(c, "hidde"));
  config_free(c);
}

/* Who owns a zone decides what its serials follow, unless that is said. */
static void knows_who_owns_a_zone(void **state) {
  struct config *c =
      load_good("keys: [{name: k, secret: c2VjcmV0c2VjcmV0}]\n"
                "templates: {m: {managed: true}, bare: {serial: date}, half: {role: secondary}}\n"
                "zones:\n  - {name: file, file: f}\n  - {name: update, file: f, update: [k]}\n"
                "  - {name: editable, file: f, editable: true, write-back: 5m}\n  - {name: managed, template: m}\n"
                "  - {name: keeps, file: f, editable: true, serial: keep}\n  - {name: date, file: f, template: bare}\n");
  static const struct {
    const char *zone;
    bool writers;
    enum config_serial serial;
  } rows[] = {
      {"file", false, CONFIG_SERIAL_KEEP},         {"update", true, CONFIG_SERIAL_INCREMENT},
      {"editable", true, CONFIG_SERIAL_INCREMENT}, {"managed", true, CONFIG_SERIAL_INCREMENT},
      {"keeps", true, CONFIG_SERIAL_KEEP},         {"date", false, CONFIG_SERIAL_DATE},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct config_zone_options *o = zone_called(c, rows[i].zone)->options;
    assert_int_equal(config_zone_has_writers(o), rows[i].writers);
    assert_int_equal(o->serial, rows[i].serial);
  }
  assert_int_equal(zone_called(c, "editable")->options->write_back_s, 300);
  assert_int_equal(zone_called(c, "update")->options->write_back_s, CONFIG_NEVER_S);
  assert_ptr_equal(config_template_find(c, "m")->options, zone_called(c, "managed")->options);
  assert_null(config_template_find(c, "bare")->options);
  assert_non_null(strstr(config_template_find(c, "bare")->lacks, "neither `file`"));
  assert_null(config_template_find(c, "half")->options);
  assert_non_null(strstr(config_template_find(c, "half")->lacks, "needs `primaries`"));
  config_free(c);
}

static void names_files(void **state) {
  struct config *c = load_good(sample);
  struct buf path = {0};
  assert_string_equal(config_zone_file(zone_called(c, "example.com"), &path), "example.com.zone");
  assert_string_equal(config_zone_file(zone_called(c, "example.net"), &path), "");
  assert_string_equal(config_zone_file(zone_called(c, "0/26.2.0.192.in-addr.arpa"), &path),
                      "zones/0%2F26.2.0.192.in-addr.arpa.zone");
  assert_string_equal(config_zone_file(zone_called(c, "a\\.b\\032c.example"), &path), "zones/a%5C.b%5C032c.example.zone");
  config_free(c);
  c = load_good("templates: {default: {file: '%s/%s'}}\nzones: [{name: .}, {name: B.C}, {name: d, file: '/e'}]\n");
  assert_string_equal(config_zone_file(&c->zones[0], &path), "%2E/%2E");
  assert_string_equal(config_zone_file(&c->zones[1], &path), "b.c/b.c");
  assert_string_equal(config_zone_file(&c->zones[2], &path), "/e");
  config_free(c);
  buf_done(&path);
}

static void takes_json(void **state) {
  struct config *c = load_good("{\"server\": {\"listen\": [\"127.0.0.1@5300\"], \"workers\": 2},\n"
                               " \"zones\": [{\"name\": \"example.com\", \"file\": \"a\\u002fb\"}]}\n");
  assert_int_equal(c->server.workers, 2);
  assert_string_equal(c->zones[0].file, "a/b");
  assert_int_equal(c->zones[0].place.line, 2);
  assert_int_equal(c->zones[0].place.column, 21);
  config_free(c);
}

/* What a reload goes by: equal digests for equal options, whatever the order of zones and keys. */
static void digests_tell_changes(void **state) {
  static const char before[] = "keys: [{name: k, secret: AAAA}]\n"
                               "peers: [{name: p, address: 192.0.2.1, key: k}, {name: q, address: 192.0.2.2}]\n"
                               "templates: {t: {notify: [p]}}\n"
                               "zones: [{name: a, file: a, template: t}, {name: b, file: b, notify: [p]}, {name: c, file: c}]\n";
  static const char after[] = "keys: [{name: l, secret: BBBB}, {name: k, secret: AAAB}]\n"
                              "peers: [{name: q, address: 192.0.2.2}, {name: p, address: 192.0.2.1, key: k}]\n"
                              "templates: {t: {notify: [q]}}\n"
                              "zones: [{name: c, file: d}, {name: b, file: b, notify: [p]}, {name: a, file: a, template: t}]\n";
  struct config *x = load_good(before), *y = load_good(before), *z = load_good(after);
  for (size_t i = 0; i < 3; i++)
    assert_memory_equal(&x->zones[i].options->digest, &y->zones[i].options->digest, sizeof(struct digest128));
  assert_memory_equal(&x->zones[0].options->digest, &x->zones[1].options->digest, sizeof(struct digest128));
  assert_memory_equal(&x->zones[2].options->digest, &z->zones[0].options->digest, sizeof(struct digest128));
  assert_memory_not_equal(&x->zones[1].options->digest, &z->zones[1].options->digest, sizeof(struct digest128)); /* the secret */
  assert_memory_not_equal(&x->zones[0].options->digest, &z->zones[2].options->digest, sizeof(struct digest128)); /* the peer */
  config_free(x);
  config_free(y);
  config_free(z);
}

static void is_counted(void **state) {
  struct config *c = load_good(sample);
  assert_ptr_equal(config_ref(c), c);
  config_free(c);
  assert_string_equal(c->server.identity, "ns1"); /* still there */
  config_free(c);
  config_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_the_server),
      cmocka_unit_test(has_defaults),
      cmocka_unit_test(reads_keys_and_peers),
      cmocka_unit_test(compiles_access_lists),
      cmocka_unit_test(compiles_grants),
      cmocka_unit_test(resolves_options),
      cmocka_unit_test(knows_who_owns_a_zone),
      cmocka_unit_test(names_files),
      cmocka_unit_test(takes_json),
      cmocka_unit_test(is_counted),
      cmocka_unit_test(digests_tell_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
