/* Asking the answer room and reading what it says, as text that a test can be compared with:
 *
 *   NOERROR aa
 *   an www.example. 300 A 192.0.2.1
 *   au example. 3600 SOA ...
 *   ad ns.example. 300 A 192.0.2.2
 *   opt 1232 do nsid=6e7331 ede=20
 *   tsig BADKEY
 *
 * RDATA of RRSIG is the type covered, that of NSEC, NSEC3, DNSKEY and SOA is left out. */
#ifndef TESTS_ANSWER_ASK_H
#define TESTS_ANSWER_ASK_H

#include "answer/answer.h"

enum { /* how to ask */
       ASK_PLAIN = 0,
       ASK_TCP = 1,
       ASK_TLS = 2,
       ASK_EDNS = 4,
       ASK_DO = 8, /* with EDNS */
       ASK_RD = 16,
       ASK_NOTIFY = 32,
       ASK_UPDATE = 64,
       ASK_BARE = 128, /* IXFR without the client's SOA */
};

struct asker {
  struct zone_set *zones;
  struct answer_memory *memory;
  struct answer_identity id;
  struct instant now;
  struct addr from;
  bool queries_only, transfers_only;
  uint16_t edns_bytes;
  uint16_t class;
  uint8_t edns_version;
  const uint8_t *options; /* for the OPT of the next question */
  size_t options_size;
  const struct tsig_key *key; /* signs the next question */

  struct answer_job job; /* of the last question */
  uint8_t request[4096];
  uint8_t response[LIMIT_MESSAGE_BYTES];
  char text[1 << 20];
};

struct asker *asker_new(void);
void asker_free(struct asker *a);

size_t asker_question(struct asker *a, const char *name, uint16_t type, unsigned how);
/* Sends octets as they are; the job tells the rest. */
void asker_send(struct asker *a, const uint8_t *bytes, size_t size, unsigned how);
/* Asks and returns the response as text; "drop", "transfer", "update" if there is none. */
const char *ask(struct asker *a, const char *name, uint16_t type, unsigned how);
/* The last response as text. */
const char *asker_render(struct asker *a);
/* Asks and compares; on a difference prints both and fails. */
void expect(struct asker *a, const char *name, uint16_t type, unsigned how, const char *expected);

#endif
