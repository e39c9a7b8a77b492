#include "wire/rr.h"

static void add_row(const struct rr_row *row, struct buf *out) {
  buf_printf(out, "| %s | %u | ", row->mnemonic, row->type);
  for (unsigned i = 0; i < row->field_count; i++)
    buf_printf(out, "%s%s", i ? ", " : "", row->fields[i].name);
  buf_printf(out, " | %s |\n", row->rfc);
}

void rr_types_doc(struct buf *out) {
  buf_add_text(
      out, "# Record types\n\n"
           "Made from `src/wire/rr_table.def`; `make test` compares. Every type, these and any other, is also read as `TYPEn` and\n"
           "`\\# length hex` (RFC 3597). Field names are those of error messages (\"invalid preference in MX\") and of JSON.\n\n"
           "| type | code | fields | defined in |\n|---|---|---|---|\n");
  for (size_t i = 0; i < rr_row_count(); i++)
    add_row(rr_row_at(i), out);
}
