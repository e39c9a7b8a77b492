#include "house.h"

#include "control/zone_export.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what control tells ---- */

static bool reconfigure(void *arg, const struct config *old_config, const struct config *new_config, struct buf *why) {
  struct house *h = arg;
  h->reconfigured++;
  if (h->refuse_sockets) buf_add_text(why, "the port is in use");
  return !h->refuse_sockets;
}

static void stop(void *arg) {
  ((struct house *)arg)->stops++;
}

static void reply(void *arg, uint64_t token, const char *json, size_t n) {
  struct house_reply *r = house_reply_of(arg, token);
  r->count++;
  snprintf(r->text, sizeof r->text, "%.*s", (int)n, json);
  buf_add(&((struct house *)arg)->said, json, n);
}

static void server_status(void *arg, struct buf *json_members) {
  buf_add_text(json_members, "\"queries\":0");
}

static void updated(void *arg, struct control_update *u, const uint8_t *bytes, size_t n) {
  struct house *h = arg;
  if (h->on_updated) h->on_updated(h, u, bytes, n);
}

static void updates_wanted(void *arg, struct instant now) {
  struct house *h = arg;
  if (h->on_updates_wanted) h->on_updates_wanted(h);
}

static void updates_told(void *arg) {
}

/* ---- images ---- */

static bool image(void *arg, struct image_job *job) {
  struct house *h = arg;
  assert_null(h->image);
  h->image = job;
  return true;
}

static void image_join(void *arg) {
  ((struct house *)arg)->image = NULL;
}

static bool go_on(void *arg, uint64_t bytes) {
  return true;
}

bool house_image(struct house *h) {
  static const struct store_watch watch = {NULL, go_on};
  if (!h->image) return false;
  control_image_run(h->image, &watch);
  return true;
}

void house_image_done(struct house *h) {
  assert_non_null(h->image);
  h->image = NULL;
  control_image_done(h->control, fake_net_now(h->net));
}

static bool any_is_coming(struct house *h) {
  struct zone_slot *z;
  for (size_t i = 0; (z = registry_next(&h->control->registry, &i));)
    if (z->coming) return true;
  return false;
}

void house_keep_files(struct house *h) {
  while (any_is_coming(h)) {
    control_run(h->control, fake_net_now(h->net));
    assert_true(house_image(h));
    house_image_done(h);
  }
}

/* ---- the net ---- */

static void udp_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  control_udp_input(((struct house *)arg)->control, token, bytes, n, now);
}

static void udp_error(void *arg, uint64_t token, struct instant now) {
  control_udp_error(((struct house *)arg)->control, token, now);
}

static void stream_open(void *arg, uint64_t token, struct instant now) {
  control_stream_open(((struct house *)arg)->control, token, now);
}

static void stream_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  struct house *h = arg;
  control_stream_input(h->control, token, bytes, n, now);
  if (!h->on_arrival || !h->control->arrival_count) return;
  void (*f)(struct house *) = h->on_arrival;
  h->on_arrival = NULL;
  f(h);
}

static void stream_closed(void *arg, uint64_t token, enum err why, struct instant now) {
  control_stream_closed(((struct house *)arg)->control, token, why, now);
}

static void run(void *arg, struct instant now) {
  control_run(((struct house *)arg)->control, now);
}

static uint64_t deadline(void *arg) {
  struct house *h = arg;
  return h->control ? control_deadline(h->control) : UINT64_MAX;
}

/* ---- coming and going ---- */

void house_init(struct house *h) {
  memset(h, 0, sizeof *h);
  memset(&faults, 0, sizeof faults);
  test_directory_make(&h->dir);
  snprintf(h->config_path, sizeof h->config_path, "%.60s/tandem.yaml", h->dir.root);
  h->net = fake_net_new(1);
  fake_primary_init(&h->p1, h->net, "192.0.2.1");
  fake_primary_init(&h->p2, h->net, "192.0.2.2");
}

void house_done(struct house *h) {
  house_stop(h);
  fake_primary_done(&h->p1);
  fake_primary_done(&h->p2);
  fake_net_free(h->net);
  buf_done(&h->said);
  zone_grace_barrier();
  test_directory_done(&h->dir);
}

void house_file(const struct house *h, const char *name, const char *text) {
  char path[TEST_PATH_BYTES];
  snprintf(path, sizeof path, "%.60s/%.100s", h->dir.root, name);
  FILE *f = fopen(path, "we");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

void house_zone(const struct house *h, const char *name, uint32_t serial, const char *more) {
  struct buf text = {0};
  buf_printf(&text, "@ 60 IN SOA ns1 h %u 3600 600 86400 300\n@ 60 IN NS ns1\nns1 60 IN A 192.0.2.53\n%s", serial, more);
  house_file(h, name, buf_text(&text));
  buf_done(&text);
}

void house_config(const struct house *h, const char *zones) {
  struct buf text = {0};
  buf_printf(&text,
             "server: {listen: ['127.0.0.1@5300'], state: state}\n"
             "peers:\n  - {name: p1, address: '192.0.2.1@53'}\n  - {name: p2, address: '192.0.2.2@53'}\nzones: [%s]\n",
             zones);
  house_file(h, "tandem.yaml", buf_text(&text));
  buf_done(&text);
}

void house_start(struct house *h) {
  struct store *store = NULL;
  struct store_error error = {""};
  struct diags diags = {0};
  struct config *config = NULL;
  enum err err = h->threads ? store_open(h->dir.state, &store, &error) : store_open_with(h->dir.state, &faulty_env, &store, &error);
  if (err) fail_msg("store: %s", error.what);
  if (config_load(h->config_path, &diags, &config)) fail_msg("%s", diags.count ? diags.list[0].what : "configuration");
  diags_done(&diags);
  struct control_events events = {.arg = h,
                                  .reconfigure = reconfigure,
                                  .stop = stop,
                                  .reply = reply,
                                  .server_status = server_status,
                                  .updated = updated,
                                  .updates_wanted = updates_wanted,
                                  .updates_told = updates_told};
  if (h->aside) {
    events.image = image;
    events.image_join = image_join;
  }
  struct xfr_net net = fake_net_xfr(h->net);
  assert_int_equal(control_new(config, h->config_path, store, &net, &events, &h->control), ERR_OK);
  config_free(config);
  if (h->aside) h->control->images.least_bytes = h->control->images.tail_bytes = 0;
  fake_net_attach(h->net, &(struct fake_machine){h, udp_input, udp_error, stream_open, stream_input, stream_closed, run, deadline});
  assert_int_equal(control_start(h->control, fake_net_now(h->net)), ERR_OK);
}

void house_stop(struct house *h) {
  if (h->control) control_free(h->control);
  h->control = NULL;
}

void house_restart(struct house *h) {
  house_stop(h);
  house_start(h);
}

void house_run_ms(struct house *h, uint64_t ms) {
  fake_net_run(h->net, ms * NS_PER_MS);
}

/* ---- commands ---- */

struct house_reply *house_reply_of(struct house *h, uint64_t token) {
  assert_true(token > 0 && token < HOUSE_REPLIES);
  return &h->replies[token];
}

void house_tell(struct house *h, uint64_t token, const char *json) {
  struct pieces line = {0};
  assert_int_equal(pieces_add(&line, json, strlen(json)), ERR_OK);
  control_command(h->control, token, "tester", &line, fake_net_now(h->net));
}

uint64_t house_ask(struct house *h, const char *json) {
  uint64_t token = h->last_token % (HOUSE_REPLIES - 1) + 1;
  h->last_token = token;
  h->replies[token] = (struct house_reply){0};
  buf_clear(&h->said);
  house_tell(h, token, json);
  return token;
}

uint64_t house_command(struct house *h, const char *command, const char *zone) {
  char json[512];
  if (zone) snprintf(json, sizeof json, "{\"command\":\"%s\",\"zone\":\"%s\"}", command, zone);
  else snprintf(json, sizeof json, "{\"command\":\"%s\"}", command);
  return house_ask(h, json);
}

bool house_done_at_once(struct house *h, const char *command, const char *zone, const char **text) {
  struct house_reply *r = house_reply_of(h, house_command(h, command, zone));
  assert_int_equal(r->count, 1);
  if (text) *text = r->text;
  return strstr(r->text, "\"ok\":true") != NULL;
}

/* ---- what is there ---- */

struct zone_slot *house_slot(struct house *h, const char *zone) {
  struct name name = name_of(zone);
  return registry_find(&h->control->registry, name.octets, name.size);
}

uint32_t house_serial(struct house *h, const char *zone) {
  struct name name = name_of(zone);
  uint8_t key[NAME_KEY_BYTES];
  size_t size = name_key(&name, key);
  zone_read_begin();
  const struct zone_entry *e = zone_set_exact(control_zones(h->control), key, size);
  uint32_t serial = e && e->snap ? zone_serial(e->snap) : NOT_SERVED;
  zone_read_end();
  return serial;
}

void house_export(struct house *h, const char *zone, struct buf *out) {
  struct zone_slot *z = house_slot(h, zone);
  assert_non_null(z);
  assert_int_equal(zone_export_buf(z->snap, out), ERR_OK);
}
