#include "tandem/commands.h"

#include "base/diag.h"
#include "crypto/digest.h"
#include "tsig/tsig.h"

#include <stdio.h>
#include <string.h>

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
static int set_name(struct new_key *k, const char *text, bool json) {
  struct name name;
  size_t plain = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");
  const char *why = NULL;
  if (text[plain] || name_from_text(text, plain, &name_root, &name, NULL, &why) || name.labels == 0) {
    char what[400];
    snprintf(what, sizeof what, "`%.300s` cannot be a key's name: %s", text, why ? why : "it takes letters, digits, -, _ and dots");
    return command_failed("keygen", json, what, "");
  }
  name_lower(&name);
  name_text(&name, k->name);
  return EXIT_DONE;
}

static int set_secret(struct new_key *k, const char *algorithm, bool json) {
  enum hmac_algorithm a;
  if (tsig_algorithm_from_text(algorithm, &a)) {
    char what[100];
    snprintf(what, sizeof what, "there is no algorithm `%.64s`", algorithm);
    return command_failed("keygen", json, what, "hmac-sha256 is the one to take");
  }
  uint8_t secret[HMAC_BYTES_MAX];
  size_t size = hmac_size(a); /* RFC 8945 §8: at least as long as the MAC */
  if (random_bytes(secret, size)) return command_failed("keygen", json, "no randomness to be had", "");
  k->algorithm = tsig_algorithm_text(a);
  base64_encode(secret, size, k->secret);
  wipe(secret, sizeof secret);
  return EXIT_DONE;
}

int cmd_keygen(int argc, char **argv) {
  const char *algorithm = "hmac-sha256", *name = NULL;
  bool json = false;
  for (int i = 1; i < argc; i++) {
    bool takes = strcmp(argv[i], "--algorithm") == 0;
    if (strcmp(argv[i], "--json") == 0) json = true;
    else if (takes && i + 1 < argc) algorithm = argv[++i];
    else if (takes) return command_misused(argv[0], "--algorithm wants a value");
    else if (argv[i][0] == '-') return command_no_option(argv[0], argv[i]);
    else if (!name) name = argv[i];
    else return command_misused(argv[0], "one name is taken");
  }
  if (!name) return command_misused(argv[0], "the name of the key is wanted");
  struct new_key k = {0};
  int status = set_name(&k, name, json);
  if (!status) status = set_secret(&k, algorithm, json);
  if (status) return status;
  struct buf out = {0};
  if (json) print_json(&out, &k);
  else print_text(&out, &k);
  fputs(buf_text(&out), stdout);
  if (out.data) wipe(out.data, out.size);
  wipe(&k, sizeof k);
  buf_done(&out);
  return EXIT_DONE;
}
