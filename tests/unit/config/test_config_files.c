/* Includes, secret files and relative names: what a configuration says about other files. */
#include "config_test.h"

static const struct finding nothing_more = {NULL, NULL};

static void joins_included_lists(void **state) {
  struct files f;
  char path[512];
  files_begin(&f);
  files_mkdir(&f, "conf.d");
  files_mkdir(&f, "conf.d/deep");
  files_write(&f, "t.yaml",
              "include: [\"conf.d/*.yaml\", extra.yaml, \"none/*.yaml\"]\n"
              "server: {listen: [127.0.0.1@5300], workers: 2}\n"
              "zones: [{name: a, file: a.zone, notify: [p]}]\n");
  files_write(&f, "conf.d/1.yaml", "zones: [{name: b, file: b.zone}]\nserver: {listen: 127.0.0.2@5300, state: st}\n");
  files_write(&f, "conf.d/2.yaml", "include: [deep/x.yaml]\nzones: [{name: c, file: /abs/c.zone, template: t}]\n");
  files_write(&f, "conf.d/deep/x.yaml", "templates: {t: {include-root: inc}}\n");
  files_write(&f, "extra.yaml", "peers: [{name: p, address: 192.0.2.1}]\n");
  struct config *c = files_load_good(&f, "t.yaml");
  assert_string_equal(c->path, files_path(&f, "t.yaml", path));
  assert_int_equal(c->zone_count, 3);
  assert_int_equal(c->server.listen.count, 2);
  assert_int_equal(c->server.workers, 2);
  assert_string_equal(c->server.state, files_path(&f, "conf.d/st", path));
  assert_string_equal(zone_called(c, "a")->file, files_path(&f, "a.zone", path));
  assert_string_equal(zone_called(c, "b")->file, files_path(&f, "conf.d/b.zone", path));
  assert_string_equal(zone_called(c, "c")->file, "/abs/c.zone");
  assert_string_equal(zone_called(c, "c")->options->include_root, files_path(&f, "conf.d/deep/inc", path));
  assert_int_equal(zone_called(c, "a")->options->notify.count, 1);
  assert_string_equal(zone_called(c, "b")->place.file, files_path(&f, "conf.d/1.yaml", path));
  config_free(c);
  files_write(&f, "t.yaml", "zones: []\n");
  c = files_load_good(&f, "t.yaml");
  assert_string_equal(c->server.state, files_path(&f, "state", path)); /* beside the configuration */
  config_free(c);
  files_end(&f);
}

/* The same words in two files name different directories, though zones that say the same share their options. */
static void tells_files_apart(void **state) {
  struct files f;
  char path[512];
  files_begin(&f);
  files_mkdir(&f, "x");
  files_mkdir(&f, "y");
  files_write(&f, "t.yaml", "include: [x/z.yaml, y/z.yaml]\n");
  files_write(&f, "x/z.yaml", "zones: [{name: x, file: f, include-root: r}, {name: x2, file: f2, include-root: r}]\n");
  files_write(&f, "y/z.yaml", "zones: [{name: y, file: f, include-root: r}]\n");
  struct config *c = files_load_good(&f, "t.yaml");
  assert_string_equal(zone_called(c, "x")->options->include_root, files_path(&f, "x/r", path));
  assert_string_equal(zone_called(c, "y")->options->include_root, files_path(&f, "y/r", path));
  assert_ptr_equal(zone_called(c, "x")->options, zone_called(c, "x2")->options);
  config_free(c);
  files_end(&f);
}

static void names_both_places(void **state) {
  struct files f;
  files_begin(&f);
  files_write(&f, "t.yaml",
              "include: [i.yaml]\n"
              "keys: [{name: k, secret: AAAA}]\n"
              "peers: [{name: p, address: 192.0.2.1}]\n"
              "templates: {t: {}}\n"
              "server: {user: a}\n"
              "zones: [{name: a, file: a}]\n");
  files_write(&f, "i.yaml",
              "keys: [{name: k, secret: AAAA}]\n"
              "peers: [{name: p, address: 192.0.2.1}]\n"
              "templates: {t: {}}\n"
              "server: {user: a}\n"
              "zones: [{name: a, file: a}]\n"
              "store: sqlite\n");
  files_load_bad(&f, "t.yaml",
                 (const struct finding[]){{"i.yaml:1:15", "t.yaml:2:8"},
                                          {"i.yaml:2:16", "t.yaml:3:9"},
                                          {"i.yaml:3:13", "t.yaml:4:13"},
                                          {"i.yaml:4:10", "t.yaml:5:10"},
                                          {"i.yaml:5:16", "t.yaml:6:16"},
                                          nothing_more});
  files_end(&f);
}

static void bounds_includes(void **state) {
  struct files f;
  files_begin(&f);
  files_write(&f, "loop.yaml", "include: [loop2.yaml]\n");
  files_write(&f, "loop2.yaml", "include:\n  - loop.yaml\n");
  files_load_bad(&f, "loop.yaml", (const struct finding[]){{"loop2.yaml:2:5", "is included from itself"}, nothing_more});
  files_write(&f, "twice.yaml", "include: [a.yaml, \"a*.yaml\"]\n");
  files_write(&f, "a.yaml", "zones: []\n");
  files_load_bad(&f, "twice.yaml", (const struct finding[]){{"twice.yaml:1:19", "a.yaml is included twice"}, nothing_more});
  files_write(&f, "gone.yaml", "include: [nope.yaml]\nzones: x\n");
  files_load_bad(&f, "gone.yaml",
                 (const struct finding[]){{"gone.yaml:1:11", "nope.yaml cannot be read: No such file"}, nothing_more});
  for (int i = 0; i < 20; i++) {
    char name[16], text[64];
    snprintf(name, sizeof name, "d%d.yaml", i);
    snprintf(text, sizeof text, "include: d%d.yaml\n", i + 1);
    files_write(&f, name, text);
  }
  files_load_bad(&f, "d0.yaml", (const struct finding[]){{"d16.yaml:1:10", "more than 16 deep"}, nothing_more});
  files_load_bad(&f, "none.yaml", (const struct finding[]){{"none.yaml", "cannot be read: No such file"}, nothing_more});
  files_load_bad(&f, ".", (const struct finding[]){{"/.", "cannot be read: Is a directory"}, nothing_more});
  files_end(&f);
}

/* Every broken file is reported, but nothing that only looks wrong because a file could not be read. */
static void reports_every_broken_file(void **state) {
  struct files f;
  files_begin(&f);
  files_write(&f, "t.yaml", "include: [x.yaml, y.yaml, z.yaml]\nzones: [{name: a, file: b, notify: [from-x]}]\n");
  files_write(&f, "x.yaml", "peers: [@]\n");
  files_write(&f, "y.yaml", "peers: {\n");
  files_write(&f, "z.yaml", "text\n");
  files_load_bad(&f, "t.yaml",
                 (const struct finding[]){{"x.yaml:1:9", "quoted"}, {"y.yaml:2:1", "YAML"}, {"z.yaml:1:1", "map"}, nothing_more});
  files_end(&f);
}

static void reads_secret_files(void **state) {
  struct files f;
  char path[512];
  files_begin(&f);
  files_write(&f, "t.yaml", "keys: [{name: k, secret-file: k.key}]\n");
  files_write(&f, "k.key", "AAEC\r\n");
  struct config *c = files_load_good(&f, "t.yaml");
  assert_int_equal(c->keys[0].secret_size, 3);
  assert_memory_equal(c->keys[0].secret, "\0\1\2", 3);
  config_free(c);

  assert_int_equal(chmod(files_path(&f, "k.key", path), 0644), 0);
  files_load_bad(&f, "t.yaml", (const struct finding[]){{"t.yaml:1:31", "chmod o-rwx /tmp/test-config-"}, nothing_more});
  files_write(&f, "k.key", "AA?C\n");
  files_load_bad(&f, "t.yaml", (const struct finding[]){{"k.key:1:3", "its character 3 does not belong there"}, nothing_more});
  files_write(&f, "k.key", "\n");
  files_load_bad(&f, "t.yaml", (const struct finding[]){{"k.key:1:1", "the secret is empty"}, nothing_more});
  assert_int_equal(unlink(path), 0);
  files_load_bad(&f, "t.yaml", (const struct finding[]){{"t.yaml:1:31", "cannot be read: No such file"}, nothing_more});
  files_end(&f);
}

/* A name with what glob takes for a pattern in it. */
static void takes_odd_directories(void **state) {
  struct files f;
  files_begin(&f);
  files_mkdir(&f, "o[d]*d");
  files_write(&f, "o[d]*d/t.yaml", "include: [\"i*.yaml\"]\n");
  files_write(&f, "o[d]*d/i1.yaml", "zones: [{name: a, file: a}]\n");
  struct config *c = files_load_good(&f, "o[d]*d/t.yaml");
  assert_int_equal(c->zone_count, 1);
  config_free(c);
  files_end(&f);
}

/* What a zone lacks is not the configuration's mistake. */
static void leaves_zone_files_alone(void **state) {
  struct files f;
  files_begin(&f);
  files_write(&f, "t.yaml", "zones: [{name: a, file: missing.zone}]\n");
  config_free(files_load_good(&f, "t.yaml"));
  files_end(&f);
}

static void finds_only_the_state(void **state) {
  struct files f;
  char path[512], want[512];
  struct diags d = {0};
  struct buf out = {0};
  files_begin(&f);
  files_write(&f, "t.yaml", "include: [\"i*.yaml\"]\nkeys: [{name: k, secret-file: none}]\nzones: nonsense\nunknown: 1\n");
  files_write(&f, "i1.yaml", "zones: [{\n");
  assert_int_equal(config_find_state(files_path(&f, "t.yaml", path), &d, &out), ERR_OK);
  assert_string_equal(buf_text(&out), files_path(&f, "state", want));
  files_write(&f, "i2.yaml", "server: {state: deep/st, listen: [nowhere]}\n");
  assert_int_equal(config_find_state(path, &d, &out), ERR_OK);
  assert_string_equal(buf_text(&out), files_path(&f, "deep/st", want));
  files_write(&f, "t.yaml", "server: {\n");
  assert_int_equal(config_find_state(path, &d, &out), ERR_FORMAT);
  assert_true(has_finding(&d, "t.yaml:2:1", "cannot be read as YAML"));
  assert_int_equal(config_find_state(files_path(&f, "none.yaml", path), &d, &out), ERR_FORMAT);
  buf_done(&out);
  diags_done(&d);
  files_end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(joins_included_lists),  cmocka_unit_test(names_both_places),         cmocka_unit_test(tells_files_apart),
      cmocka_unit_test(bounds_includes),       cmocka_unit_test(reports_every_broken_file), cmocka_unit_test(reads_secret_files),
      cmocka_unit_test(takes_odd_directories), cmocka_unit_test(leaves_zone_files_alone),   cmocka_unit_test(finds_only_the_state),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
