#include "tandem/commands.h"

#include "base/diag.h"
#include "crypto/digest.h"
#include "tsig/tsig.h"

#include <getopt.h>
#include <stdio.h>

enum { SECRET_TEXT_BYTES = 4 * ((HMAC_BYTES_MAX + 2) / 3) + 1 };

struct new_key {
  char name[NAME_TEXT_BYTES]; /* lower case, with a final dot */
  const char *algorithm;
  char secret[SECRET_TEXT_BYTES];
};

/* How a server's configuration spells a key: $n is the name, $a the algorithm, $s the secret. */
static const struct {
  const char *id, *title, *form;
} servers[] = {
    {"yaml", "Tandem", "keys:\n  - {name: \"$n\", algorithm: $a, secret: \"$s\"}\n"},
    {"bind", "BIND, named.conf", "key \"$n\" {\n  algorithm $a;\n  secret \"$s\";\n};\n"},
    {"knot", "Knot DNS, knot.conf", "key:\n  - id: \"$n\"\n    algorithm: $a\n    secret: \"$s\"\n"},
    {"nsd", "NSD, nsd.conf", "key:\n  name: \"$n\"\n  algorithm: $a\n  secret: \"$s\"\n"},
    {"powerdns", "PowerDNS, a command", "pdnsutil import-tsig-key $n $a '$s'\n"},
};

enum { SERVERS = sizeof servers / sizeof servers[0] };

static void add_form(struct buf *out, size_t i, const struct new_key *k) {
  for (const char *p = servers[i].form; *p; p++) {
    if (*p != '$') {
      buf_add_byte(out, (uint8_t)*p);
      continue;
    }
    p++;
    buf_add_text(out, *p == 'n' ? k->name : *p == 'a' ? k->algorithm : k->secret);
  }
}

static void print_text(struct buf *out, const struct new_key *k) {
  for (size_t i = 0; i < SERVERS; i++) {
    buf_printf(out, "%s# %s\n", i ? "\n" : "", servers[i].title);
    add_form(out, i, k);
  }
}

static void print_json(struct buf *out, const struct new_key *k) {
  struct buf form = {0};
  buf_add_text(out, "{\"name\":");
  buf_add_json_string(out, k->name, strlen(k->name));
  buf_printf(out, ",\"algorithm\":\"%s\",\"secret\":\"%s\"", k->algorithm, k->secret);
  for (size_t i = 0; i < SERVERS; i++) {
    buf_clear(&form);
    add_form(&form, i, k);
    buf_printf(out, ",\"%s\":", servers[i].id);
    buf_add_json_string(out, buf_text(&form), form.size);
  }
  buf_add_text(out, "}\n");
  if (form.failed) out->failed = true;
  buf_done(&form);
}

/* Letters, digits, - and _ only: other servers spell the rest each in its own way. */
static bool set_name(struct new_key *k, const char *text) {
  struct name name;
  size_t plain = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");
  const char *why = NULL;
  if (text[plain] || name_from_text(text, plain, &name_root, &name, NULL, &why) || name.labels == 0) {
    fprintf(stderr, "tandem keygen: `%s` cannot be a key's name: %s\n", text,
            why ? why : "it takes letters, digits, -, _ and dots");
    return false;
  }
  name_lower(&name);
  name_text(&name, k->name);
  return true;
}

static bool set_secret(struct new_key *k, const char *algorithm) {
  enum hmac_algorithm a;
  if (tsig_algorithm_from_text(algorithm, &a)) {
    fprintf(stderr, "tandem keygen: there is no algorithm `%s`\n", algorithm);
    return false;
  }
  uint8_t secret[HMAC_BYTES_MAX];
  size_t size = hmac_size(a); /* RFC 8945 §8: at least as long as the MAC */
  if (random_bytes(secret, size)) {
    fputs("tandem keygen: no randomness to be had\n", stderr);
    return false;
  }
  k->algorithm = tsig_algorithm_text(a);
  base64_encode(secret, size, k->secret);
  wipe(secret, sizeof secret);
  return true;
}

int cmd_keygen(int argc, char **argv) {
  static const struct option options[] = {
      {"algorithm", required_argument, NULL, 'a'}, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
  const char *algorithm = "hmac-sha256";
  bool json = false, good = true;
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (c == 'a') algorithm = optarg;
    else if (c == 'j') json = true;
    else good = false;
  }
  if (!good || argc - optind != 1) return command_misused(argv[0], "the name of the key is wanted");
  struct new_key k = {0};
  if (!set_name(&k, argv[optind]) || !set_secret(&k, algorithm)) return 1;
  struct buf out = {0};
  if (json) print_json(&out, &k);
  else print_text(&out, &k);
  bool said = !out.failed && fwrite(buf_text(&out), 1, out.size, stdout) == out.size && fflush(stdout) == 0;
  if (!said) fputs("tandem keygen: the key could not be written\n", stderr);
  if (out.data) wipe(out.data, out.size);
  wipe(&k, sizeof k);
  buf_done(&out);
  return said ? 0 : 1;
}
