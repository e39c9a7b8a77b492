/* Images: what was written opens to the same zone at any address, edits go on on top of it, and no damage passes. */
#include "model.h"

#include "base/hash.h"
#include "zone/content.h"
#include "zone/image_priv.h"
#include "zone/zone_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
  uint8_t *data; /* 8-byte aligned */
  size_t size, capacity;
  size_t fail_after; /* bytes taken before the sink says no */
};

static bool take(void *arg, const void *bytes, size_t n) {
  struct bytes *b = arg;
  if (!n) return true;
  if (b->size + n > b->fail_after) return false;
  if (b->size + n > b->capacity) {
    b->capacity = 2 * (b->size + n);
    b->data = realloc(b->data, b->capacity);
    assert_non_null(b->data);
  }
  memcpy(b->data + b->size, bytes, n);
  b->size += n;
  return true;
}

static struct bytes write_image(const struct zone_snap *s) {
  struct bytes b = {.fail_after = SIZE_MAX};
  uint64_t n;
  assert_int_equal(zone_image_write(s, take, &b, &n), ERR_OK);
  assert_int_equal(n, b.size);
  assert_int_equal(n % 8, 0);
  return b;
}

/* A block of exactly n bytes, so that the sanitizer sees a read behind it. */
static uint8_t *exact_copy(const uint8_t *data, size_t n) {
  uint8_t *p = malloc(n ? n : 1);
  assert_non_null(p);
  memcpy(p, data, n);
  return p;
}

struct backing {
  struct image_backing base;
  uint8_t *data;
  unsigned released;
};

static void release(struct image_backing *base) {
  struct backing *b = (struct backing *)base;
  free(b->data);
  b->data = NULL;
  b->released++;
}

static void release_all(struct image_backing *base) {
  free(((struct backing *)base)->data);
  free(base);
}

/* Of what its size makes it, whatever the header says. */
static size_t directory_bytes(const struct bytes *b) {
  size_t rest = b->size - sizeof(struct image_header), blocks = 0;
  while (blocks * (IMAGE_BLOCK_BYTES + 8) < rest)
    blocks++;
  return 8 * blocks;
}

static void nsec3_zone(struct model *m, struct dice *d, unsigned owners) {
  struct model_record param = record_nsec3param(&m->apex, 0, "s");
  model_add(m, &param);
  for (unsigned i = 0; i < owners; i++) {
    uint8_t label[32];
    struct name n;
    for (unsigned j = 0; j < sizeof label; j++)
      label[j] = (uint8_t) "0123456789abcdefghijklmnopqrstuv"[dice_below(d, 32)];
    name_prepend(label, sizeof label, &m->apex, &n);
    struct model_record r = record_nsec3(&n, 0, "s");
    model_add(m, &r);
  }
}

static void test_round_trip(void **state) {
  (void)state;
  static const char *const apexes[] = {"Test.", ".", "a.B.c.test."};
  for (uint64_t seed = 1; seed <= 30; seed++) {
    struct dice d = {seed};
    struct model m;
    model_start(&m, apexes[seed % 3]);
    model_fill(&m, &d, dice_below(&d, 120));
    if (seed % 2) nsec3_zone(&m, &d, dice_below(&d, 40));
    struct zone_snap *s = model_build(&m), *opened, *edited;
    struct bytes b = write_image(s);
    struct backing backing = {{.release = release}, exact_copy(b.data, b.size), 0};
    assert_int_equal(image_open(backing.data, b.size, &backing.base, seed % 4 < 2 ? 0 : SIZE_MAX, &opened), ERR_OK);
    check_content(opened, &m);
    assert_true(zone_equal(s, opened));
    assert_true(name_identical(zone_apex(opened), &m.apex));
    assert_int_equal(zone_serial(opened), zone_serial(s));
    assert_int_equal(zone_has_nsec3(opened), zone_has_nsec3(s));
    struct bytes again = write_image(opened); /* canonical: the same bytes */
    assert_int_equal(again.size, b.size);
    assert_memory_equal(again.data, b.data, b.size);
    free(again.data);

    struct zone_edit *e; /* changes on top, of which some come back into an image */
    assert_int_equal(zone_edit_begin(opened, NULL, &e), ERR_OK);
    for (int i = 0; i < 40 && m.count > 1; i++) {
      struct model_record r = m.records[1 + dice_below(&d, (unsigned)m.count - 1)];
      if (r.type == RR_SOA) continue;
      model_remove(&m, &r);
      edit_remove(e, &r);
      if (i % 3 == 0) continue;
      r.owner = random_name(&d, &m.apex, 4);
      if (r.type == RR_NSEC3) r.type = RR_TXT;
      if (r.type == RR_RRSIG || r.type == RR_TXT) r = record_a(&r.owner, dice_below(&d, 9));
      model_add(&m, &r);
      edit_add(e, &r);
    }
    assert_int_equal(zone_edit_finish(e, &edited), ERR_OK);
    zone_snap_unref(opened);
    zone_snap_unref(s);
    zone_grace_barrier();
    assert_int_equal(backing.released, 0);
    check_content(edited, &m);
    again = write_image(edited);
    assert_int_equal(zone_image_open(again.data, again.size, NULL, &opened), ERR_OK);
    check_content(opened, &m);
    zone_snap_unref(opened);
    zone_snap_unref(edited);
    zone_grace_barrier();
    assert_int_equal(backing.released, 1);
    free(again.data);
    free(b.data);
    model_done(&m);
  }
}

static enum err open_only(const uint8_t *data, size_t n) {
  struct zone_snap *s;
  enum err e = zone_image_open(data, n, NULL, &s);
  if (e == ERR_OK) zone_snap_unref(s);
  return e;
}

static struct bytes small_image(struct dice *d, unsigned owners) {
  struct model m;
  model_start(&m, "test.");
  model_fill(&m, d, owners);
  nsec3_zone(&m, d, owners / 4);
  struct zone_snap *s = model_build(&m);
  struct bytes b = write_image(s);
  zone_snap_unref(s);
  model_done(&m);
  return b;
}

static void test_every_bit(void **state) {
  (void)state;
  struct dice d = {1};
  struct bytes b = small_image(&d, 20);
  assert_int_equal(open_only(b.data, b.size), ERR_OK);
  for (size_t bit = 0; bit < 8 * b.size; bit++) {
    b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    assert_int_equal(open_only(b.data, b.size), ERR_CORRUPT);
    b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  for (size_t n = 0; n < b.size; n++) {
    uint8_t *cut = exact_copy(b.data, n);
    assert_int_equal(open_only(cut, n), ERR_CORRUPT);
    free(cut);
  }
  free(b.data);
}

/* Seals a changed image as its writer would. */
static void reseal(struct bytes *b) {
  struct image_header *h = (struct image_header *)b->data;
  uint64_t *sums = (uint64_t *)(h + 1);
  size_t directory = directory_bytes(b);
  for (size_t i = 0, at = sizeof *h + directory; at < b->size; i++, at += IMAGE_BLOCK_BYTES)
    sums[i] = hash64(b->data + at, b->size - at < IMAGE_BLOCK_BYTES ? b->size - at : IMAGE_BLOCK_BYTES, 0);
  h->mark = hash64(h, offsetof(struct image_header, mark), 0);
  h->checksum = hash64(b->data + offsetof(struct image_header, bytes), sizeof *h - offsetof(struct image_header, bytes),
                       hash64(sums, directory, 0));
}

/* Whatever passes must be good for reading: all of it is read. */
static void read_all(const struct zone_snap *s) {
  struct zone_cursor c;
  const struct zone_node *n;
  assert_int_equal(zone_cursor_open(s, &c), ERR_OK);
  while ((n = zone_cursor_next(&c))) {
    struct name owner;
    uint8_t key[NAME_KEY_BYTES];
    zone_node_owner(s, n, &owner);
    struct zone_lookup l = {.snap = s, .key = key, .key_size = (uint16_t)name_key(&owner, key)};
    zone_lookup(&l);
    (void)zone_nsec_cover(s, key, l.key_size);
    const uint8_t *hash = zone_nsec3_hash(s, n);
    bool match;
    if (hash) (void)zone_nsec3_find(s, hash, &match);
    for (unsigned i = 0; i < zone_rrset_count(n); i++) {
      struct zone_rrset set;
      zone_rrset_at(n, i, &set);
      const uint8_t *at = set.rrs, *rdata;
      uint16_t size;
      unsigned sum = 0;
      for (unsigned j = 0; j < set.count + set.sig_count; j++) {
        if (j == set.count) at = set.sigs;
        zone_rr_next(&at, &rdata, &size);
        for (unsigned k = 0; k < size; k++)
          sum += rdata[k];
      }
      assert_true(sum < UINT32_MAX);
    }
  }
  zone_cursor_close(&c);
}

static struct model_record large_text(unsigned i) {
  static uint8_t rdata[256] = {255};
  struct name large = name_of("bbbbbbb.test.");
  put_u32(rdata + 1, i);
  return record_of(&large, RR_TXT, 60, rdata, sizeof rdata);
}

/* So many names with an address, and one with so many texts. */
static struct zone_snap *flat_zone(unsigned names, unsigned texts) {
  struct name apex = name_of("test."), n;
  struct zone_edit *e;
  struct zone_snap *s;
  assert_int_equal(zone_edit_begin(NULL, &apex, &e), ERR_OK);
  struct model_record soa = record_soa(&apex, 1), r;
  edit_add(e, &soa);
  for (unsigned i = 0; i < names; i++) {
    uint8_t label[8];
    for (unsigned j = 0; j < sizeof label; j++)
      label[j] = (uint8_t)('a' + (i >> (2 * j) & 3));
    name_prepend(label, sizeof label, &apex, &n);
    r = record_a(&n, i);
    edit_add(e, &r);
  }
  for (unsigned i = 0; i < texts; i++) {
    r = large_text(i);
    edit_add(e, &r);
  }
  assert_int_equal(zone_edit_finish(e, &s), ERR_OK);
  return s;
}

static enum err prove(const struct zone_snap *s) {
  bool more = true;
  enum err e = ERR_OK;
  while (e == ERR_OK && more)
    e = zone_image_prove(s, &more);
  return e;
}

/* A forger who knows the checksums: every bit, and random bytes, with a right seal. Nothing may be read out of bounds. */
static void forge(size_t lazy_bytes) {
  struct dice d = {2};
  struct bytes b = small_image(&d, 30);
  unsigned opened = 0;
  for (size_t bit = 8 * offsetof(struct image_header, bytes); bit < 8 * b.size; bit++) {
    uint8_t *p = b.data + bit / 8, was = *p;
    *p ^= (uint8_t)(1u << (bit % 8));
    if (bit % 3 == 0) *p = (uint8_t)dice_next(&d);
    reseal(&b);
    struct zone_snap *s;
    struct backing *backing = malloc(sizeof *backing);
    assert_non_null(backing);
    *backing = (struct backing){{.release = release_all}, exact_copy(b.data, b.size), 0};
    enum err e = image_open(backing->data, b.size, &backing->base, lazy_bytes, &s);
    assert_true(e == ERR_OK || e == ERR_CORRUPT);
    if (e == ERR_OK) {
      read_all(s);
      e = prove(s);
      opened += e == ERR_OK;
      read_all(s);
      zone_snap_unref(s);
    } else {
      release_all(&backing->base);
    }
    *p = was;
  }
  assert_true(opened > 0); /* an octet of an address, or the like */
  free(b.data);
  zone_grace_barrier();
  assert_int_equal(zone_damage(), 0);
}

static void test_forged(void **state) {
  (void)state;
  forge(SIZE_MAX);
}

static void test_forged_unproven(void **state) {
  (void)state;
  forge(0);
}

static uint64_t count_names(const struct zone_snap *s) {
  struct zone_cursor c;
  uint64_t n = 0;
  assert_int_equal(zone_cursor_open(s, &c), ERR_OK);
  while (zone_cursor_next(&c))
    n++;
  zone_cursor_close(&c);
  return n;
}

/* Damage that opening does not see: what is read of it is known for what it is, at the latest by the proof, and nothing is made of
 * it. */
static void test_damage_found_later(void **state) {
  (void)state;
  struct zone_snap *s = flat_zone(8000, 0), *edited;
  struct bytes b = write_image(s);
  zone_snap_unref(s);
  assert_true(b.size > 4 * IMAGE_BLOCK_BYTES);
  unsigned late = 0;
  for (size_t at = sizeof(struct image_header); at < b.size; at += 4096 + 8) {
    b.data[at] ^= 0x10;
    enum err e = image_open(b.data, b.size, NULL, 0, &s);
    if (e == ERR_OK) {
      late++;
      uint64_t names = count_names(s);
      assert_true(zone_is_damaged(s));
      assert_int_equal(zone_damage(), 1);
      assert_true(names > 0);
      read_all(s);
      assert_int_equal(prove(s), ERR_CORRUPT);
      struct bytes again = {.fail_after = SIZE_MAX};
      uint64_t bytes;
      assert_int_equal(zone_image_write(s, take, &again, &bytes), ERR_CORRUPT);
      free(again.data);
      struct zone_edit *edit;
      struct name n = name_of("new.test.");
      struct model_record r = record_a(&n, 1);
      assert_int_equal(zone_edit_begin(s, NULL, &edit), ERR_OK);
      edit_add(edit, &r);
      assert_int_equal(zone_edit_finish(edit, &edited), ERR_CORRUPT);
      zone_snap_unref(s);
      zone_grace_barrier();
      assert_int_equal(zone_damage(), 0);
    } else {
      assert_int_equal(e, ERR_CORRUPT);
    }
    b.data[at] ^= 0x10;
  }
  assert_true(late > b.size / 4104 / 2);
  free(b.data);
}

/* Edits and lookups before, while and after the image is proven. */
static void test_proven_on_the_way(void **state) {
  (void)state;
  struct dice d = {6};
  struct model m;
  model_start(&m, "test.");
  model_fill(&m, &d, 4000);
  struct zone_snap *built = model_build(&m), *s, *edited;
  struct bytes b = write_image(built);
  assert_int_equal(image_open(b.data, b.size, NULL, 0, &s), ERR_OK);
  bool more = true;
  for (unsigned i = 0; i < 4; i++) {
    struct name n = random_name(&d, &m.apex, 3);
    struct model_record r = record_a(&n, i);
    struct zone_edit *e;
    assert_int_equal(zone_edit_begin(s, NULL, &e), ERR_OK);
    edit_add(e, &r);
    model_add(&m, &r);
    assert_int_equal(zone_edit_finish(e, &edited), ERR_OK);
    check_content(edited, &m);
    zone_snap_unref(s);
    s = edited;
    if (i == 1) assert_int_equal(zone_image_prove(s, &more), ERR_OK);
    if (i == 2) assert_int_equal(prove(s), ERR_OK);
  }
  assert_false(zone_is_damaged(s));
  assert_int_equal(prove(s), ERR_OK);
  check_content(s, &m);
  zone_snap_unref(s);
  zone_snap_unref(built);
  zone_grace_barrier();
  free(b.data);
  model_done(&m);
}

/* The map lost under a snapshot, proven long ago or not yet: all of it is zeros, its header, too. */
static void test_lost(void **state) {
  (void)state;
  for (unsigned lazy = 0; lazy < 2; lazy++) {
    struct dice d = {7};
    struct bytes b = small_image(&d, 400), again = {.fail_after = SIZE_MAX};
    struct backing backing = {{.release = release}, b.data, 0};
    struct zone_snap *s, *edited;
    struct zone_edit *edit;
    struct name apex = name_of("test.");
    uint64_t bytes;
    assert_int_equal(image_open(b.data, b.size, &backing.base, lazy ? 0 : SIZE_MAX, &s), ERR_OK);
    assert_false(zone_is_damaged(s));
    image_backing_lose(&backing.base);
    image_backing_lose(&backing.base);
    memset(b.data, 0, b.size);
    read_all(s);
    assert_true(zone_is_damaged(s));
    assert_true(name_equal(zone_apex(s), &apex));
    assert_int_equal(prove(s), ERR_CORRUPT);
    assert_int_not_equal(zone_image_write(s, take, &again, &bytes), ERR_OK);
    assert_int_equal(zone_edit_begin(s, NULL, &edit), ERR_OK);
    assert_int_equal(zone_edit_finish(edit, &edited), ERR_CORRUPT);
    free(again.data);
    image_backing_done(&backing.base);
    zone_snap_unref(s);
    zone_grace_barrier();
    assert_int_equal(zone_damage(), 0);
  }
}

/* Images that earlier versions wrote (tests/data/images), and what their content was. */
static const struct {
  const char *file;
  uint64_t records;
  const char *content;
} old_images[] = {
    {"nsec-2.image", 30, "9cbd6ce13f87a52000d084197e2bdfcf"},
    {"nsec3-2.image", 36, "f60979f0ec74f7e25519a17cf2606b56"},
    {"types-2.image", 18, "35f7869587c72f1fc917445965ce59a1"},
};
enum { OLD_IMAGES = sizeof old_images / sizeof old_images[0] };

static struct bytes old_image(unsigned i) {
  char path[512];
  struct bytes b = {.capacity = 4096};
  snprintf(path, sizeof path, "%s/images/%s", getenv("TEST_DATA"), old_images[i].file);
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  b.data = malloc(b.capacity);
  assert_non_null(b.data);
  b.size = fread(b.data, 1, b.capacity, f);
  fclose(f);
  return b;
}

/* An image of format 2 becomes one of format 1: no directory, and one checksum chained over blocks of 1 MiB. */
static void make_oldest(struct bytes *b) {
  struct image_header *h = (struct image_header *)b->data;
  size_t directory = directory_bytes(b);
  memmove(b->data + sizeof *h, b->data + sizeof *h + directory, b->size - sizeof *h - directory);
  h->bytes = b->size -= directory;
  h->format = 1;
  uint64_t hash = 0;
  for (size_t at = sizeof *h; at < b->size; at += 1 << 20)
    hash = hash64(b->data + at, b->size - at < 1 << 20 ? b->size - at : 1 << 20, hash);
  h->mark = hash64(h, offsetof(struct image_header, mark), 0);
  h->checksum = hash64(b->data + offsetof(struct image_header, bytes), sizeof *h - offsetof(struct image_header, bytes), hash);
}

/* They are opened as what they were, keep nothing of the file, and are written in today's format. */
static void test_old_formats(void **state) {
  (void)state;
  for (unsigned i = 0; i < 2 * OLD_IMAGES; i++) {
    struct bytes b = old_image(i / 2);
    if (i % 2) make_oldest(&b);
    struct backing backing = {{.release = release}, exact_copy(b.data, b.size), 0};
    struct zone_snap *s, *again;
    struct digest128 content;
    char text[CONTENT_TEXT_BYTES];
    assert_int_equal(image_open(backing.data, b.size, &backing.base, 0, &s), ERR_OK);
    assert_int_equal(backing.released, 1);
    assert_int_equal(zone_content_whole(s, &content), ERR_OK);
    assert_string_equal(zone_content_text(content, text), old_images[i / 2].content);
    assert_int_equal(zone_record_count(s), old_images[i / 2].records);
    assert_int_equal(zone_mapped_bytes(s), 0);
    assert_int_equal(prove(s), ERR_OK);
    read_all(s);
    struct bytes today = write_image(s);
    assert_int_equal(((struct image_header *)today.data)->format, IMAGE_FORMAT);
    assert_int_equal(zone_image_open(today.data, today.size, NULL, &again), ERR_OK);
    assert_true(zone_equal(s, again));
    zone_snap_unref(again);
    zone_snap_unref(s);
    zone_grace_barrier();
    free(today.data);
    b.data[b.size - 1] ^= 1;
    assert_int_equal(open_only(b.data, b.size), ERR_CORRUPT);
    free(b.data);
  }
}

/* From a forger who knows the checksums: each octet in turn is another one. What opens is a zone to its last octet. */
static void test_old_forged(void **state) {
  (void)state;
  unsigned opened = 0, refused = 0;
  for (unsigned i = 0; i < OLD_IMAGES; i++) {
    struct bytes b = old_image(i);
    for (size_t at = sizeof(struct image_header) + directory_bytes(&b); at < b.size; at++) {
      uint8_t was = b.data[at];
      struct zone_snap *s;
      b.data[at] = (uint8_t)(at % 3 == 0 ? 0 : at % 3 == 1 ? was + 1 : ~was);
      reseal(&b);
      uint8_t *copy = exact_copy(b.data, b.size);
      enum err e = zone_image_open(copy, b.size, NULL, &s);
      free(copy); /* nothing of it is kept */
      if (e == ERR_OK) {
        read_all(s);
        zone_snap_unref(s);
        opened++;
      } else {
        assert_int_equal(e, ERR_CORRUPT);
        refused++;
      }
      b.data[at] = was;
    }
    free(b.data);
  }
  zone_grace_barrier();
  assert_true(opened > 1000 && refused > 1000);
}

static void test_other_formats(void **state) {
  (void)state;
  struct dice d = {3};
  struct bytes b = small_image(&d, 3);
  struct image_header *h = (struct image_header *)b.data;
  h->format = IMAGE_FORMAT + 1;
  reseal(&b);
  assert_int_equal(open_only(b.data, b.size), ERR_VERSION);
  h->format = __builtin_bswap32(IMAGE_FORMAT);
  h->byte_order = __builtin_bswap32(IMAGE_BYTE_ORDER);
  reseal(&b);
  h->mark = __builtin_bswap64(h->mark); /* as a machine of the other byte order wrote it */
  assert_int_equal(open_only(b.data, b.size), ERR_VERSION);
  free(b.data);
}

static void test_full_disk(void **state) {
  (void)state;
  struct dice d = {4};
  struct model m;
  model_start(&m, "test.");
  model_fill(&m, &d, 50);
  struct zone_snap *s = model_build(&m);
  struct bytes whole = write_image(s);
  for (size_t n = 0; n < whole.size; n += 97) {
    struct bytes b = {.fail_after = n};
    uint64_t bytes = 12345;
    assert_int_equal(zone_image_write(s, take, &b, &bytes), ERR_IO);
    assert_int_equal(bytes, 12345);
    free(b.data);
  }
  free(whole.data);
  zone_snap_unref(s);
  model_done(&m);
}

/* Several chunks, an object larger than a chunk across their borders, and RAM chunks behind them. */
static void test_large(void **state) {
  (void)state;
  enum { NAMES = 40000, TEXTS = 6000 };
  struct zone_edit *e;
  struct zone_snap *s = flat_zone(NAMES, TEXTS), *opened, *edited;
  struct model_record r = large_text(TEXTS - 1);
  struct bytes b = write_image(s);
  assert_true(b.size > 3u << 20);
  assert_int_equal(zone_image_open(b.data, b.size, NULL, &opened), ERR_OK);
  bool more;
  assert_int_equal(zone_image_prove(opened, &more), ERR_OK);
  assert_true(more);
  assert_true(zone_equal(s, opened));
  assert_int_equal(zone_edit_begin(opened, NULL, &e), ERR_OK);
  edit_remove(e, &r); /* rewrites the large one */
  assert_int_equal(zone_edit_finish(e, &edited), ERR_OK);
  assert_int_equal(zone_record_count(edited), 1 + NAMES + TEXTS - 1);
  read_all(edited);
  assert_false(zone_equal(s, edited));
  assert_int_equal(prove(edited), ERR_OK);
  read_all(edited);
  zone_snap_unref(edited);
  zone_snap_unref(opened);
  zone_snap_unref(s);
  zone_grace_barrier();
  free(b.data);
}

static int finish(void **state) {
  (void)state;
  zone_grace_barrier();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_every_bit),          cmocka_unit_test(test_forged),
      cmocka_unit_test(test_other_formats), cmocka_unit_test(test_full_disk),          cmocka_unit_test(test_large),
      cmocka_unit_test(test_old_formats),   cmocka_unit_test(test_forged_unproven),    cmocka_unit_test(test_lost),
      cmocka_unit_test(test_old_forged),    cmocka_unit_test(test_damage_found_later), cmocka_unit_test(test_proven_on_the_way),
  };
  return cmocka_run_group_tests(tests, NULL, finish);
}
