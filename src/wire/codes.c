#include "wire/message.h"

const char *rcode_text(unsigned rcode) {
  static const char *const texts[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",  "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                      "NXRRSET", "NOTAUTH", "NOTZONE",  "DSOTYPENI", "rcode",   "rcode",   "rcode",    "rcode",
                                      "BADVERS", "BADKEY",  "BADTIME",  "BADMODE",   "BADNAME", "BADALG",  "BADTRUNC", "BADCOOKIE"};
  return rcode < sizeof texts / sizeof texts[0] ? texts[rcode] : "rcode";
}

const char *opcode_text(unsigned opcode) {
  static const char *const texts[] = {"QUERY", "IQUERY", "STATUS", "opcode", "NOTIFY", "UPDATE", "DSO"};
  return opcode < sizeof texts / sizeof texts[0] ? texts[opcode] : "opcode";
}
