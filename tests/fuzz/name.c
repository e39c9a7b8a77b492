/* Any bytes as a name in text, in wire form and in a message: what reads makes the round trip through text, wire and key. */
#include "wire/name.h"

#include <assert.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const struct name *n) {
  struct name again, lower;
  char text[NAME_TEXT_BYTES];
  uint8_t key[NAME_KEY_BYTES];
  assert(n->size >= 1 && n->octets[n->size - 1] == 0 && name_wire_size(n->octets) == n->size);
  name_text(n, text);
  assert(name_from_text(text, strlen(text), NULL, &again, NULL, NULL) == ERR_OK);
  assert(name_identical(n, &again) && n->labels == again.labels);
  struct rd r = rd_make(n->octets, n->size);
  assert(name_read_plain(&r, &again) == ERR_OK && rd_left(&r) == 0 && name_identical(n, &again) && n->labels == again.labels);
  name_copy(&lower, n);
  name_lower(&lower);
  name_from_key(key, name_key(n, key), &again);
  assert(name_identical(&lower, &again) && lower.labels == again.labels);
  assert(name_equal(n, &lower) && name_compare(n, &lower) == 0 && name_is_under(n, &lower));
  for (unsigned i = 0; i <= n->labels; i++) {
    name_strip(n, i, &again);
    assert(name_is_under(n, &again));
    struct name joined;
    assert(name_join(n, i, &again, &joined) == ERR_OK && name_identical(&joined, n) && joined.labels == n->labels);
  }
}

static int sign(int d) {
  return (d > 0) - (d < 0);
}

static void check_order(const struct name *a, const struct name *b) {
  uint8_t ka[NAME_KEY_BYTES], kb[NAME_KEY_BYTES];
  size_t na = name_key(a, ka), nb = name_key(b, kb);
  int d = memcmp(ka, kb, na < nb ? na : nb);
  if (d == 0) d = (na > nb) - (na < nb);
  assert(sign(d) == sign(name_compare(a, b)) && sign(d) == -sign(name_compare(b, a)) && name_equal(a, b) == (d == 0));
}

/* The first octet written as \DDD changes nothing, but the way of reading. */
static void check_escaped(const uint8_t *data, size_t size) {
  char text[1024];
  struct name plain, escaped;
  if (size == 0 || size > sizeof text - 8 || memchr(".\\@", data[0], 3)) return;
  snprintf(text, sizeof text, "\\%03u", data[0]);
  memcpy(text + 4, data + 1, size - 1);
  enum err e = name_from_text((const char *)data, size, &name_root, &plain, NULL, NULL);
  assert(e == name_from_text(text, size + 3, &name_root, &escaped, NULL, NULL));
  assert(e != ERR_OK || (name_identical(&plain, &escaped) && plain.labels == escaped.labels));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct name n, first;
  size_t bad = 0;
  const char *why = NULL;
  if (name_from_text((const char *)data, size, &name_root, &n, &bad, &why) == ERR_OK) check_name(&n);
  else assert(why && bad <= size);
  check_escaped(data, size);
  bool have_first = false;
  for (struct rd r = rd_make(data, size); name_read_plain(&r, &n) == ERR_OK;) {
    check_name(&n);
    if (have_first) check_order(&first, &n);
    else name_copy(&first, &n);
    have_first = true;
  }
  for (size_t at = 0; at < size && at < 24; at++) {
    struct rd r = {data + at, data + size};
    if (name_read(&r, data, &n) == ERR_OK) {
      assert(r.at > data + at && r.at <= data + size);
      check_name(&n);
    }
  }
  return 0;
}
