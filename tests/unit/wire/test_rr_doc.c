/* docs/record-types.md must be what rr_table.def says. */
#include "../doc_test.h"
#include "wire/rr.h"

int main(int argc, char **argv) {
  struct buf doc = {0};
  rr_types_doc(&doc);
  int status = doc_test_main(argc, argv, &doc, "src/wire/rr_table.def");
  buf_done(&doc);
  return status;
}
