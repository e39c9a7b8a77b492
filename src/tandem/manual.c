/* The manual page, made from the command table: docs/tandem.1. */
#include "tandem/manual.h"

#include "tandem/commands.h"

#include <string.h>

static const struct row {
  const char *name, *usage, *summary, *function;
} rows[] = {
#define COMMAND(name, usage, summary, run) {name, usage, summary, #run},
#include "tandem/commands.def"
#undef COMMAND
};

/* Text for roff: a hyphen is a minus sign that can be copied, and a backslash is one. */
static void add_text(struct buf *out, const char *text) {
  for (; *text; text++) {
    if (*text == '-') buf_add_text(out, "\\-");
    else if (*text == '\\') buf_add_text(out, "\\e");
    else buf_add_byte(out, (uint8_t)*text);
  }
}

static void add_command(struct buf *out, const struct row *r) {
  buf_add_text(out, ".TP\n.B ");
  add_text(out, r->name);
  if (*r->usage) {
    buf_add_text(out, " \\fR");
    add_text(out, r->usage);
  }
  buf_add_byte(out, '\n');
  char first = r->summary[0];
  buf_add_byte(out, (uint8_t)(first >= 'a' && first <= 'z' ? first - 'a' + 'A' : first));
  add_text(out, r->summary + 1);
  buf_add_text(out, ".\n");
}

static void add_commands(struct buf *out, bool remote) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if ((strcmp(rows[i].function, "cmd_remote") == 0) == remote) add_command(out, &rows[i]);
}

static const char head[] = ".\\\" Made from src/tandem/commands.def; `make test` compares.\n"
                           ".TH TANDEM 1\n"
                           ".SH NAME\n"
                           "tandem \\- authoritative DNS server: primary, secondary and hidden primary\n"
                           ".SH SYNOPSIS\n"
                           ".B tandem\n"
                           "\\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n"
                           ".SH DESCRIPTION\n"
                           "Tandem serves DNS zones from zone files or as copies of other servers' zones, makes every change "
                           "to them durable before it is served,\n"
                           "and goes on answering while the servers it copies from are gone.\n"
                           "One binary is the server and the tool to talk to it.\n"
                           ".SH COMMANDS\n";

static const char remote_head[] = ".SH COMMANDS TO A RUNNING SERVER\n"
                                  "They return when the thing is done. The server is found by its control socket:\n"
                                  ".TP\n.B \\-c\\fR FILE\nby its configuration,\n"
                                  ".TP\n.B \\-\\-state\\fR DIR\nor by its state directory.\n"
                                  ".TP\n.B \\-\\-json\nprints the answer as one JSON object.\n"
                                  ".TP\n.B \\-\\-timeout\\fR SECONDS\nwaits so long (30).\n"
                                  ".PP\nThe commands are:\n";

static const char foot[] =
    ".SH SIGNALS\n"
    ".TP\n.B SIGHUP\nreads the configuration, secrets and changed zone files anew, like\n.BR \"tandem reload\" .\n"
    ".TP\n.B SIGTERM\\fR, \\fBSIGINT\nend the server cleanly.\n"
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\ndone.\n"
    ".TP\n.B 1\nrefused or failed; of a check: there are mistakes.\n"
    ".TP\n.B 2\nthe command line or the configuration is not understood.\n"
    ".TP\n.B 3\nnot within the timeout.\n"
    ".PP\nResults go to the standard output, diagnostics and the log to the standard error. Times are UTC.\n"
    ".SH EXAMPLES\n"
    ".nf\n"
    "tandem check\\-config tandem.yaml\n"
    "tandem serve \\-c tandem.yaml\n"
    "tandem status example.com \\-c tandem.yaml\n"
    "tandem keygen xfr.example.\n"
    "source <(tandem completion bash)\n"
    ".fi\n"
    ".SH SEE ALSO\n"
    "docs/configuration.md for every option, docs/metrics.md for what Prometheus is told.\n";

void manual_page(struct buf *out) {
  buf_add_text(out, head);
  add_commands(out, false);
  buf_add_text(out, remote_head);
  add_commands(out, true);
  buf_add_text(out, foot);
}
