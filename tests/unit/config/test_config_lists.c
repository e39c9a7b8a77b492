/* Zone lists: what counts as a name, what is told of the rest, and a million of them. */
#include "config_test.h"

#include "base/clock.h"

static const struct finding nothing_more = {NULL, NULL};

static void reads_lines(void **state) {
  struct files f;
  char path[512];
  struct buf file = {0};
  files_begin(&f);
  files_write(&f, "t.yaml",
              "templates: {c: {file: 'z/%s.zone'}, s: {primaries: [p]}}\n"
              "peers: [{name: p, address: 192.0.2.1}]\n"
              "zones: [{name: first, file: f}]\n"
              "zone-lists: [{file: c.txt, template: c}, {file: s.txt, template: s}]\n");
  files_write(&f, "c.txt",
              "\xef\xbb\xbf"
              "Example.COM\n\n# note\n  b.example. # why\r\n\t.\n0/26.2.0.192.in-addr.arpa\na\\.b.example#x\nno.\n_x-1.example");
  files_write(&f, "s.txt", "s.example\r\n\r\n");
  struct config *c = files_load_good(&f, "t.yaml");
  static const char *const names[] = {"first.",         "example.com.", "b.example.",   ".", "0/26.2.0.192.in-addr.arpa.",
                                      "a\\.b.example.", "no.",          "_x-1.example."};
  if (c->zone_count != 9) fail_msg("%zu zones", c->zone_count);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct name name;
    char text[NAME_TEXT_BYTES];
    name_from_wire(c->zones[i].name, &name);
    assert_string_equal(name_text(&name, text), names[i]);
  }
  assert_string_equal(config_zone_file(&c->zones[1], &file), files_path(&f, "z/example.com.zone", path));
  assert_string_equal(config_zone_file(&c->zones[3], &file), files_path(&f, "z/%2E.zone", path));
  assert_ptr_equal(c->zones[1].options, c->zones[7].options);
  assert_int_equal(c->zones[2].place.line, 4);
  assert_int_equal(c->zones[2].place.column, 3);
  assert_string_equal(c->zones[2].place.file, files_path(&f, "c.txt", path));
  assert_int_equal(c->zones[8].options->role, CONFIG_SECONDARY);
  buf_done(&file);
  config_free(c);
  files_end(&f);
}

static void names_bad_lines(void **state) {
  struct files f;
  files_begin(&f);
  files_write(&f, "t.yaml",
              "templates: {c: {file: 'z/%s.zone'}}\n"
              "zones: [{name: b, file: f}]\n"
              "zone-lists:\n- {file: c.txt, template: c}\n- {file: none.txt, template: c}\n- {file: d.txt, template: c}\n");
  files_write(&f, "c.txt",
              "a\nb # given before\na..c\n a x\n@\nB.\n"
              "123456789012345678901234567890123456789012345678901234567890123\n"
              "1234567890123456789012345678901234567890123456789012345678901234\n"
              "ok.x.1234567890123456789012345678901234567890123456789012345678901234\n");
  files_write(&f, "d.txt", "A\n");
  files_load_bad(&f, "t.yaml",
                 (const struct finding[]){{"c.txt:2:1", "the zone b. is given twice; first at /tmp/test-config-"},
                                          {"c.txt:3:3", "`a..c` is not a domain name"},
                                          {"c.txt:4:4", "a zone list holds one name a line"},
                                          {"c.txt:5:1", "`@` is not a domain name"},
                                          {"c.txt:6:1", "the zone b. is given twice"},
                                          {"c.txt:8:64", "label"},
                                          {"c.txt:9:69", "label"},
                                          {"d.txt:1:1", "c.txt:1:1"},
                                          {"t.yaml:5:10", "the zone list cannot be read: No such file"},
                                          nothing_more});
  files_end(&f);
}

/* The quick way to turn a name into wire form against the careful one. */
static void agrees_with_name_from_text(void **state) {
  static const char *const texts[] = {"a",
                                      "a2.",
                                      "A.b-C_d.0",
                                      "a.b.c.d.e.f",
                                      "xn--abc.example",
                                      "-.-",
                                      "a\\065.x",
                                      "*.a",
                                      "123456789012345678901234567890123456789012345678901234567890123.x.y"};
  struct files f;
  struct buf list = {0};
  char name[256];
  files_begin(&f);
  files_write(&f, "t.yaml", "templates: {default: {file: x}}\nzone-lists: [{file: l.txt}]\n");
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    buf_printf(&list, "%s\n", texts[i]);
  for (size_t n = 245; n <= 253; n++) { /* up to the longest name there is */
    for (size_t i = 0; i < n; i++)
      name[i] = i % 50 == 49 && i + 1 < n ? '.' : 'x';
    buf_printf(&list, "%.*s\n", (int)n, name);
  }
  files_write(&f, "l.txt", buf_text(&list));
  struct config *c = files_load_good(&f, "t.yaml");
  const char *line = buf_text(&list);
  for (size_t i = 0; i < c->zone_count; i++) {
    size_t n = strcspn(line, "\n");
    struct name want, have;
    assert_int_equal(name_from_text(line, n, &name_root, &want, NULL, NULL), ERR_OK);
    name_lower(&want);
    name_from_wire(c->zones[i].name, &have);
    assert_true(name_identical(&want, &have));
    line += n + 1;
  }
  assert_int_equal(c->zone_count, sizeof texts / sizeof *texts + 9);
  config_free(c);
  buf_done(&list);
  files_end(&f);
}

static void reads_directories(void **state) {
  struct files f;
  char path[512];
  files_begin(&f);
  files_mkdir(&f, "zones");
  files_mkdir(&f, "zones/sub.zone");
  files_write(&f, "t.yaml", "zone-lists: [{dir: zones}]\n");
  files_write(&f, "zones/b.example.zone", "");
  files_write(&f, "zones/0%2F26.2.0.192.in-addr.arpa.zone", "");
  files_write(&f, "zones/%2E.zone", "");
  files_write(&f, "zones/a%5C.b.zone", "");
  files_write(&f, "zones/.hidden.zone", "");
  files_write(&f, "zones/.zone", "");
  files_write(&f, "zones/notes.txt", "");
  struct config *c = files_load_good(&f, "t.yaml");
  assert_int_equal(c->zone_count, 4);
  struct buf file = {0};
  assert_string_equal(config_zone_file(zone_called(c, "."), &file), files_path(&f, "zones/%2E.zone", path));
  assert_string_equal(config_zone_file(zone_called(c, "a\\.b"), &file), files_path(&f, "zones/a%5C.b.zone", path));
  zone_called(c, "0/26.2.0.192.in-addr.arpa");
  config_free(c);
  buf_done(&file);

  files_write(&f, "zones/B.example.zone", "");
  files_write(&f, "zones/c%2.zone", "");
  files_write(&f, "zones/d..e.zone", "");
  files_load_bad(&f, "t.yaml",
                 (const struct finding[]){{"zones/b.example.zone", "the zone b.example. is given twice"},
                                          {"zones/c%2.zone", "escapes nothing"},
                                          {"zones/d..e.zone", "is not a domain name"},
                                          nothing_more});
  files_write(&f, "t.yaml", "zone-lists: [{dir: nope}]\n");
  files_load_bad(&f, "t.yaml", (const struct finding[]){{"t.yaml:1:20", "cannot be read: No such file"}, nothing_more});
  files_end(&f);
}

/* How long a million takes is printed, not judged: the machine may be busy. */
static void reads_a_million(void **state) {
  enum { ZONES = 1000000 };
  struct files f;
  struct buf list = {0};
  files_begin(&f);
  files_write(&f, "t.yaml", "templates: {default: {file: 'zones/%s.zone'}}\nzone-lists: [{file: million.txt}]\n");
  for (unsigned i = 0; i < ZONES; i++)
    buf_printf(&list, "zone-%u.example\n", i * 2654435761u);
  files_write(&f, "million.txt", buf_text(&list));
  buf_done(&list);
  struct instant begin = clock_read();
  struct config *c = files_load_good(&f, "t.yaml");
  printf("%d names: %.3f s\n", ZONES, (double)(clock_read().mono_ns - begin.mono_ns) / 1e9);
  assert_int_equal(c->zone_count, ZONES);
  config_free(c);
  files_end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_lines),       cmocka_unit_test(names_bad_lines), cmocka_unit_test(agrees_with_name_from_text),
      cmocka_unit_test(reads_directories), cmocka_unit_test(reads_a_million),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
