/* `tandem compare ZONE SERVER SERVER...`: whether the servers answer alike. The names come from the zone of whoever lets it be
 * transferred, from all that do; each server is then asked for each RRset, as a resolver would over TCP. */
#include "tandem/compare_priv.h"

#include "control/zone_load.h"
#include "tandem/commands.h"
#include "zone/zone_set.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct args {
  const char *zone, *config, *key, *file;
  const char *servers[COMPARE_SERVERS_MOST];
  size_t count;
  bool json;
};

struct comparison {
  struct compare compare;
  struct config *config; /* NULL: none was named */
  struct tsig_keyring *keys;
  const struct tsig_key *key; /* of --key */
  bool json;
  json_t *list;
  uint64_t differences, asked;
};

static int misused(const char *what) {
  return command_misused("compare", what);
}

static int parse(int argc, char **argv, struct args *out) {
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    const char **option = strcmp(arg, "-c") == 0       ? &out->config
                          : strcmp(arg, "--key") == 0  ? &out->key
                          : strcmp(arg, "--file") == 0 ? &out->file
                                                       : NULL;
    if (strcmp(arg, "--json") == 0) out->json = true;
    else if (option && !value) return misused("an option lacks its value");
    else if (option) *option = argv[++i];
    else if (arg[0] == '-') return command_no_option("compare", arg);
    else if (!out->zone) out->zone = arg;
    else if (out->count == COMPARE_SERVERS_MOST) return misused("those are too many servers");
    else out->servers[out->count++] = arg;
  }
  if (out->key && !out->config) return misused("--key names a key of the configuration that -c names");
  return out->count < 2 ? misused("a zone and two servers at least are wanted") : EXIT_DONE;
}

/* ---- who is asked ---- */

static int refuse(const struct comparison *c, const char *what, const char *detail) {
  char text[600];
  snprintf(text, sizeof text, "%.200s%s%.300s", what, *detail ? ": " : "", detail);
  return command_failed("compare", c->json, text, "");
}

static int load_config(struct comparison *c, const struct args *a) {
  struct diags diags = {0};
  struct buf text = {0};
  struct name name;
  enum err err = config_load(a->config, &diags, &c->config);
  if (err) diags_print(&diags, &text);
  fputs(buf_text(&text), stderr);
  buf_done(&text);
  diags_done(&diags);
  if (err) return refuse(c, "the configuration has mistakes", a->config);
  err = tsig_keyring_new(&c->keys);
  for (size_t i = 0; !err && i < c->config->key_count; i++) {
    const struct config_key *k = &c->config->keys[i];
    err = tsig_keyring_add(c->keys, &k->name, k->algorithm, k->secret, k->secret_size);
  }
  if (err) return refuse(c, "keys", err_text(err));
  if (!a->key) return EXIT_DONE;
  if (!name_from_text(a->key, strlen(a->key), &name_root, &name, NULL, NULL)) c->key = tsig_keyring_find(c->keys, &name);
  return c->key ? EXIT_DONE : refuse(c, "the configuration has no such key", a->key);
}

static const struct config_peer *find_peer(const struct comparison *c, const char *name) {
  for (size_t i = 0; c->config && i < c->config->peer_count; i++)
    if (strcmp(c->config->peers[i].name, name) == 0) return &c->config->peers[i];
  return NULL;
}

static int add_server(struct comparison *c, const char *text) {
  struct compare_server *s = &c->compare.servers[c->compare.count];
  struct xfr_primary *p = &s->primary;
  const struct config_peer *peer = find_peer(c, text);
  enum err err = peer ? ERR_OK : addr_parse(text, 53, &p->address[0]);
  if (err) return refuse(c, "neither an address nor the name of a peer", text);
  if (peer) {
    p->address[0] = peer->addresses.list[0];
    p->source4 = peer->source4;
    p->source6 = peer->source6;
    if (peer->keys.count) p->key = tsig_keyring_find(c->keys, &peer->keys.list[0]->name);
  }
  if (c->key) p->key = c->key;
  p->address_count = 1;
  p->keys = c->keys;
  snprintf(s->text, sizeof s->text, "%.60s", text);
  snprintf(p->name, sizeof p->name, "%.60s", text);
  c->compare.count++;
  return EXIT_DONE;
}

static int load_file(struct comparison *c, const char *path) {
  struct diags diags = {0};
  struct buf text = {0};
  struct zone_loaded loaded = {0};
  struct zone_load_options o = {0};
  enum err err = zone_load_file(path, &c->compare.apex, &o, &diags, &loaded);
  if (err) diags_print(&diags, &text);
  else c->compare.file = zone_loaded_take(&loaded);
  fputs(buf_text(&text), stderr);
  buf_done(&text);
  diags_done(&diags);
  zone_loaded_done(&loaded);
  return err ? refuse(c, "the zone file has mistakes", path) : EXIT_DONE;
}

static int prepare(struct comparison *c, const struct args *a) {
  const char *why = "";
  if (name_from_text(a->zone, strlen(a->zone), &name_root, &c->compare.apex, NULL, &why))
    return refuse(c, "not a domain name", why);
  int status = a->config ? load_config(c, a) : EXIT_DONE;
  for (size_t i = 0; !status && i < a->count; i++)
    status = add_server(c, a->servers[i]);
  if (!status && a->file) status = load_file(c, a->file);
  if (status) return status;
  enum err err = loop_new(&c->compare.loop);
  if (!err) err = network_new(c->compare.loop, &c->compare.network);
  return err ? refuse(c, "start", err_text(err)) : EXIT_DONE;
}

/* ---- asking and telling ---- */

static int fetch_names(struct comparison *c) {
  bool any = c->compare.file != NULL;
  for (size_t i = 0; i < c->compare.count; i++) {
    struct compare_server *s = &c->compare.servers[i];
    enum err err = compare_transfer(&c->compare, s);
    if (err) return refuse(c, s->text, err_text(err));
    any = any || s->zone;
  }
  if (any) return EXIT_DONE;
  for (size_t i = 0; i < c->compare.count; i++)
    fprintf(stderr, "%s: %s\n", c->compare.servers[i].text, c->compare.servers[i].why);
  return command_failed("compare", c->json, "nobody gives the zone's names",
                        "let one be transferred from (--key NAME signs), or name its zone file with --file");
}

static void print_answer(const char *server, const char *answer) {
  for (bool first = true; *answer; first = false) {
    size_t n = strcspn(answer, "\n");
    printf("  %-24s %.*s\n", first ? server : "", (int)n, answer);
    answer += n + (answer[n] == '\n');
  }
}

static void tell_difference(void *arg, const struct compare_difference *d) {
  struct comparison *c = arg;
  char owner[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
  c->differences++;
  name_text(d->owner, owner);
  rr_type_text(d->type, type);
  if (!c->json) printf("%s %s\n", owner, type);
  json_t *answers = c->json ? json_array() : NULL;
  for (size_t i = 0; i < c->compare.count; i++) {
    const char *server = c->compare.servers[i].text, *answer = buf_text(&d->answers[i]);
    if (c->json) json_array_append_new(answers, json_pack("{s:s,s:s}", "server", server, "answer", answer));
    else print_answer(server, answer);
  }
  if (c->json) json_array_append_new(c->list, json_pack("{s:s,s:s,s:o}", "name", owner, "type", type, "answers", answers));
}

static int compare(struct comparison *c) {
  char why[COMPARE_WHY_BYTES] = "";
  int status = fetch_names(c);
  if (status) return status;
  enum err err = compare_ask(&c->compare, tell_difference, c, &c->asked, why);
  if (err) return refuse(c, why[0] ? why : err_text(err), "");
  if (c->json) {
    json_t *o = json_pack("{s:b,s:b,s:I,s:I,s:O}", "ok", 1, "identical", c->differences == 0, "rrsets", (json_int_t)c->asked,
                          "different", (json_int_t)c->differences, "differences", c->list);
    json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
  } else if (c->differences) {
    printf("RRsets that differ: %llu of %llu\n", (unsigned long long)c->differences, (unsigned long long)c->asked);
  } else {
    printf("%zu servers answer alike for %llu RRset%s\n", c->compare.count, (unsigned long long)c->asked, plural(c->asked));
  }
  return c->differences ? EXIT_REFUSED : EXIT_DONE;
}

int cmd_compare(int argc, char **argv) {
  struct args args = {0};
  int status = parse(argc, argv, &args);
  if (status) return status;
  struct comparison c = {.json = args.json, .list = json_array()};
  status = prepare(&c, &args);
  if (!status) status = compare(&c);
  for (size_t i = 0; i < c.compare.count; i++)
    zone_snap_unref(c.compare.servers[i].zone);
  zone_snap_unref(c.compare.file);
  zone_grace_barrier();
  network_free(c.compare.network);
  loop_free(c.compare.loop);
  tsig_keyring_unref(c.keys);
  config_free(c.config);
  json_decref(c.list);
  return status;
}
