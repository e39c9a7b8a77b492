/* docs/metrics.md is made from the table of metrics. */
#include "../doc_test.h"
#include "api/metrics.h"

int main(int argc, char **argv) {
  struct buf doc = {0};
  metrics_doc(&doc);
  int status = doc_test_main(argc, argv, &doc, "src/api/metrics.def");
  buf_done(&doc);
  return status;
}
