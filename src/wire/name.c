#include "wire/name.h"

#include <assert.h>

const struct name name_root = {.size = 1, .labels = 0, .octets = {0}};

/* ---- from and to wire ---- */

enum err name_read_plain(struct rd *r, struct name *out) {
  const uint8_t *start = r->at, *p = start;
  unsigned labels = 0;
  for (;; labels++) {
    if (p >= r->end) return ERR_SHORT;
    unsigned n = *p;
    if (n == 0) break;
    if (n > LIMIT_LABEL_BYTES || p - start + n + 1 >= LIMIT_NAME_BYTES) return ERR_FORMAT;
    p += n + 1;
  }
  size_t size = (size_t)(p + 1 - start);
  out->size = (uint8_t)size;
  out->labels = (uint8_t)labels;
  memcpy(out->octets, start, size);
  r->at = p + 1;
  return ERR_OK;
}

enum err name_read(struct rd *r, const uint8_t *message, struct name *out) {
  const uint8_t *p = r->at, *behind = NULL;
  const uint8_t *segment = p; /* where the run of labels being read began: a pointer must go before it */
  struct name n;              /* not initialised: its octets are written in order */
  n.size = n.labels = 0;
  for (unsigned hops = 0;;) {
    if (p >= r->end) return ERR_SHORT;
    unsigned length = *p;
    if (length == 0) break;
    if (length <= LIMIT_LABEL_BYTES) {
      if ((size_t)(r->end - p) <= length) return ERR_SHORT;
      if (n.size + length + 1 >= LIMIT_NAME_BYTES) return ERR_FORMAT;
      bytes_copy(n.octets + n.size, p, length + 1);
      n.size = (uint8_t)(n.size + length + 1);
      n.labels++;
      p += length + 1;
      continue;
    }
    if (length < 0xc0) return ERR_FORMAT;
    if (r->end - p < 2) return ERR_SHORT;
    size_t target = (size_t)(length & 0x3f) << 8 | p[1];
    if (target < 12 || target >= (size_t)(segment - message) || ++hops > LIMIT_COMPRESSION_HOPS) return ERR_FORMAT;
    if (!behind) behind = p + 2;
    p = segment = message + target;
  }
  n.octets[n.size++] = 0;
  r->at = behind ? behind : p + 1;
  out->size = n.size;
  out->labels = n.labels;
  bytes_copy(out->octets, n.octets, n.size);
  return ERR_OK;
}

size_t name_wire_size(const uint8_t *octets) {
  size_t size = 0;
  while (octets[size]) {
    assert(octets[size] <= LIMIT_LABEL_BYTES);
    size += octets[size] + 1u;
  }
  return size + 1;
}

void name_from_wire(const uint8_t *octets, struct name *out) {
  size_t size = 0;
  unsigned labels = 0;
  for (; octets[size]; labels++) {
    assert(octets[size] <= LIMIT_LABEL_BYTES);
    size += octets[size] + 1u;
    assert(size < LIMIT_NAME_BYTES);
  }
  out->size = (uint8_t)(size + 1);
  out->labels = (uint8_t)labels;
  memcpy(out->octets, octets, size + 1);
}

/* ---- comparing ---- */

/* Length octets are below 'A', so folding whole names folds labels only. */
static bool equal_folded(const uint8_t *a, const uint8_t *b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (a[i] != b[i] && ascii_lower(a[i]) != ascii_lower(b[i])) return false;
  return true;
}

bool name_equal(const struct name *a, const struct name *b) {
  return a->size == b->size && a->labels == b->labels && equal_folded(a->octets, b->octets, a->size);
}

bool name_identical(const struct name *a, const struct name *b) {
  return a->size == b->size && memcmp(a->octets, b->octets, a->size) == 0;
}

/* Offsets of the labels' length octets, and the size of the name; returns how many there are. */
static inline unsigned label_offsets(const uint8_t *octets, uint8_t at[LIMIT_NAME_LABELS], size_t *size) {
  unsigned labels = 0, i = 0;
  for (; octets[i]; i += octets[i] + 1u)
    at[labels++] = (uint8_t)i;
  *size = i + 1;
  return labels;
}

static int compare_labels(const uint8_t *a, const uint8_t *b) {
  unsigned n = a[0] < b[0] ? a[0] : b[0];
  for (unsigned i = 1; i <= n; i++) {
    int d = ascii_lower(a[i]) - ascii_lower(b[i]);
    if (d) return d;
  }
  return a[0] - b[0];
}

int name_compare(const struct name *a, const struct name *b) {
  uint8_t a_at[LIMIT_NAME_LABELS], b_at[LIMIT_NAME_LABELS];
  size_t size;
  unsigned i = label_offsets(a->octets, a_at, &size), j = label_offsets(b->octets, b_at, &size);
  while (i > 0 && j > 0) {
    int d = compare_labels(a->octets + a_at[--i], b->octets + b_at[--j]);
    if (d) return d;
  }
  return i > 0 ? 1 : j > 0 ? -1 : 0;
}

/* Offset behind the `count` leftmost labels. */
static unsigned offset_of_label(const struct name *n, unsigned count) {
  assert(count <= n->labels);
  unsigned at = 0;
  while (count--)
    at += n->octets[at] + 1u;
  return at;
}

bool name_is_under(const struct name *n, const struct name *ancestor) {
  if (n->labels < ancestor->labels || n->size < ancestor->size) return false;
  unsigned at = offset_of_label(n, (unsigned)(n->labels - ancestor->labels));
  return n->size - at == ancestor->size && equal_folded(n->octets + at, ancestor->octets, ancestor->size);
}

bool name_is_wildcard(const struct name *n) {
  return n->octets[0] == 1 && n->octets[1] == '*';
}

/* ---- taking apart and putting together ---- */

void name_lower(struct name *n) {
  unsigned size = n->size; /* or the octets might be it */
  for (unsigned i = 0; i < size; i++)
    n->octets[i] = ascii_lower(n->octets[i]);
}

void name_strip(const struct name *n, unsigned count, struct name *out) {
  unsigned at = offset_of_label(n, count);
  uint8_t size = (uint8_t)(n->size - at), labels = (uint8_t)(n->labels - count);
  memmove(out->octets, n->octets + at, size); /* out may be n */
  out->size = size;
  out->labels = labels;
}

enum err name_join(const struct name *n, unsigned prefix_labels, const struct name *suffix, struct name *out) {
  unsigned at = offset_of_label(n, prefix_labels);
  if (at + suffix->size > LIMIT_NAME_BYTES) return ERR_RANGE;
  uint8_t size = (uint8_t)(at + suffix->size), labels = (uint8_t)(prefix_labels + suffix->labels);
  uint8_t octets[LIMIT_NAME_BYTES]; /* out may be n or suffix */
  memcpy(octets, n->octets, at);
  memcpy(octets + at, suffix->octets, suffix->size);
  memcpy(out->octets, octets, size);
  out->size = size;
  out->labels = labels;
  return ERR_OK;
}

enum err name_wildcard_of(const struct name *n, struct name *out) {
  static const struct name star = {.size = 3, .labels = 1, .octets = {1, '*', 0}};
  return name_join(&star, 1, n, out);
}

/* ---- order keys ---- */

enum { KEY_ESCAPE = 1 }; /* octets 00 and 01 of a label become 01 01 and 01 02 */

static uint8_t *key_label_bytewise(const uint8_t *label, unsigned n, uint8_t *to) {
  for (unsigned i = 0; i < n; i++) {
    uint8_t c = ascii_lower(label[i]);
    if (c <= KEY_ESCAPE) {
      *to++ = KEY_ESCAPE;
      c++;
    }
    *to++ = c;
  }
  return to;
}

enum { WORD_BYTES = 16, FAST_NAME_BYTES = LIMIT_NAME_BYTES - WORD_BYTES + 1 };
typedef uint8_t word __attribute__((vector_size(WORD_BYTES)));
typedef uint64_t halves __attribute__((vector_size(WORD_BYTES)));

static inline word word_load(const uint8_t *p) {
  word w;
  memcpy(&w, p, sizeof w);
  return w;
}

/* What octets of a word are: all bits of those are set. */
struct word_octets {
  word escaped, upper;
};

/* Folds a word of a label into the key; its first octets that are in `own` count. */
static inline void key_word(const uint8_t *label, word own, struct word_octets *seen, uint8_t *to) {
  word w = word_load(label), upper = (word)(w - 'A' < 26), folded = w | (upper & 0x20);
  memcpy(to, &folded, sizeof folded);
  seen->escaped |= (word)(w <= KEY_ESCAPE) & own;
  seen->upper |= upper & own;
}

static inline bool word_any(word w) {
  halves h = (halves)w;
  return h[0] | h[1];
}

/* The key of the `count` leftmost labels a word at a time, which reads and writes up to WORD_BYTES - 1 octets past the end of each.
 * 0: some octet needs an escape, or there is no label. `upper` may be NULL. */
static inline size_t key_wordwise(const struct name *n, const uint8_t *label_at, unsigned count, uint8_t *out, bool *upper) {
  static const uint8_t firsts[2 * WORD_BYTES] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  struct word_octets seen = {0};
  uint8_t *to = out;
  for (unsigned i = count; i-- > 0;) {
    const uint8_t *label = n->octets + label_at[i] + 1;
    unsigned left = label[-1];
    for (; left > WORD_BYTES; left -= WORD_BYTES, label += WORD_BYTES, to += WORD_BYTES)
      key_word(label, word_load(firsts), &seen, to);
    key_word(label, word_load(firsts + WORD_BYTES - left), &seen, to);
    to += left;
    *to++ = 0;
  }
  if (word_any(seen.escaped)) return 0;
  if (upper) *upper = word_any(seen.upper);
  return (size_t)(to - out);
}

static inline size_t key_labels(const struct name *n, const uint8_t *label_at, unsigned count, uint8_t *out, bool *upper) {
  if (n->size <= FAST_NAME_BYTES) { /* reading past the last label stays inside the name's room */
    size_t size = key_wordwise(n, label_at, count, out, upper);
    if (size) return size;
  }
  uint8_t *to = out;
  if (upper) *upper = false;
  for (unsigned i = count; i-- > 0;) {
    const uint8_t *label = n->octets + label_at[i];
    for (unsigned k = 1; upper && k <= label[0]; k++)
      *upper |= label[k] != ascii_lower(label[k]);
    to = key_label_bytewise(label + 1, label[0], to);
    *to++ = 0;
  }
  return (size_t)(to - out);
}

size_t name_key_labels(const struct name *n, const uint8_t *label_at, unsigned count, uint8_t out[NAME_KEY_BYTES], bool *upper) {
  return key_labels(n, label_at, count, out, upper);
}

size_t name_key_at(const struct name *n, const uint8_t *label_at, uint8_t out[NAME_KEY_BYTES]) {
  return key_labels(n, label_at, n->labels, out, NULL);
}

size_t name_key_beside(const uint8_t *parent_key, size_t parent_size, const struct name *n, uint8_t out[NAME_KEY_BYTES]) {
  static const uint8_t first_label_at[] = {0};
  for (size_t i = 0; i < parent_size; i += WORD_BYTES)
    memcpy(out + i, parent_key + i, WORD_BYTES);
  return parent_size + key_labels(n, first_label_at, 1, out + parent_size, NULL);
}

size_t name_key(const struct name *n, uint8_t out[NAME_KEY_BYTES]) {
  uint8_t at[LIMIT_NAME_LABELS];
  size_t size;
  label_offsets(n->octets, at, &size);
  return name_key_at(n, at, out);
}

size_t name_key_wire(const uint8_t *octets, uint8_t out[NAME_KEY_BYTES]) {
  struct name n; /* name_key_at reads past its end */
  uint8_t at[LIMIT_NAME_LABELS];
  size_t size;
  n.labels = (uint8_t)label_offsets(octets, at, &size);
  assert(size <= sizeof n.octets);
  n.size = (uint8_t)size;
  bytes_copy(n.octets, octets, size);
  return name_key_at(&n, at, out);
}

void name_from_key(const uint8_t *key, size_t size, struct name *out) {
  uint8_t *front = out->octets + LIMIT_NAME_BYTES; /* built from the back: the key runs from the root down */
  *--front = 0;
  unsigned labels = 0;
  for (size_t i = 0; i < size; labels++) {
    uint8_t label[LIMIT_LABEL_BYTES];
    unsigned n = 0;
    for (; key[i] != 0; i++) {
      bool escaped = key[i] == KEY_ESCAPE;
      i += escaped;
      assert(n < LIMIT_LABEL_BYTES && i + 1 < size);
      uint8_t c = (uint8_t)(key[i] - escaped);
      label[n++] = c;
    }
    i++;
    assert(n > 0 && front - out->octets > (ptrdiff_t)n);
    front -= n;
    memcpy(front, label, n);
    *--front = (uint8_t)n;
  }
  size_t used = (size_t)(out->octets + LIMIT_NAME_BYTES - front);
  memmove(out->octets, front, used);
  out->size = (uint8_t)used;
  out->labels = (uint8_t)labels;
}
