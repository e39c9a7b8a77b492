/* Every limit has its name here. Units are in the names. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include <stdint.h>

enum {
  LIMIT_NAME_BYTES = 255,                    /* RFC 1035 §2.3.4 */
  LIMIT_LABEL_BYTES = 63,                    /* RFC 1035 §2.3.4 */
  LIMIT_NAME_LABELS = 128,                   /* with the root */
  LIMIT_MESSAGE_BYTES = 65535,               /* RFC 1035 §4.2.2 */
  LIMIT_UDP_RESPONSE_BYTES = 1232,           /* RFC 9715 §3; what we send and advertise */
  LIMIT_UDP_PLAIN_BYTES = 512,               /* RFC 1035 §4.2.1, without EDNS */
  LIMIT_COMPRESSION_HOPS = 127,              /* pointers followed in one name */
  LIMIT_CHAIN_LINKS = 16,                    /* CNAME and DNAME links followed in one answer */
  LIMIT_NSEC3_ITERATIONS = 2500,             /* RFC 5155 §10.3; over it there is no answer that needs a proof */
  LIMIT_BATCH = 32,                          /* packets a worker takes at once */
  LIMIT_DIAGS = 1000,                        /* findings kept for one file or configuration */
  LIMIT_INCLUDE_DEPTH = 16,                  /* $INCLUDE in zone files, include: in configuration */
  LIMIT_LINE_TOKENS = 65600,                 /* tokens of one record in a zone file: 65,535 empty strings of a TXT fit */
  LIMIT_TOKEN_BYTES = 1 << 18,               /* one token of a zone file: a base64 key of 64 KiB and more */
  LIMIT_GENERATE_RECORDS = 65536,            /* records of one $GENERATE line */
  LIMIT_GENERATE_WIDTH = 255,                /* digits of one number made by $GENERATE */
  LIMIT_ZONE_FILES = 65536,                  /* files read for one zone: itself and its $INCLUDEs, each time they are read */
  LIMIT_ACL_ENTRIES = 4096,                  /* entries of one access list */
  LIMIT_CONFIG_BYTES = 1 << 28,              /* one file of the configuration */
  LIMIT_CONFIG_DEPTH = 16,                   /* lists and maps inside each other in the configuration */
  LIMIT_CONFIG_FILES = 4096,                 /* files of one configuration, without zone lists */
  LIMIT_ZONE_LIST_BYTES = 1 << 30,           /* one zone list */
  LIMIT_IDENTITY_BYTES = 64,                 /* server.identity */
  LIMIT_SECRET_BYTES = 1024,                 /* one TSIG secret */
  LIMIT_WORKERS = 1024,                      /* worker threads */
  LIMIT_TSIG_KEYS = 4096,                    /* keys of a configuration */
  LIMIT_PEER_ADDRESSES = 16,                 /* addresses of one peer */
  LIMIT_ZONE_PRIMARIES = 16,                 /* primaries of one zone */
  LIMIT_ZONES = 16 * 1024 * 1024,            /* zones of one server */
  LIMIT_CHANGE_BYTES = 4 << 20,              /* body of one changeset in the log; a bigger change is written as an image */
  LIMIT_SEGMENT_MAPS = 256,                  /* segment files mapped at once; images of further ones are read into memory */
  LIMIT_STREAMS = 8192,                      /* TCP connections of one stream thread */
  LIMIT_STREAM_PIPELINE = 64,                /* unanswered messages of one connection */
  LIMIT_IXFR_BYTES = 16 << 20,               /* changes gathered for one incremental transfer out; more is sent as the whole zone */
  LIMIT_TRANSFERS_OUT = 1024,                /* running at once; each pins a version of its zone */
  LIMIT_STREAM_BUFFER_BYTES = 128 << 20,     /* input and output kept for slow clients of one stream thread */
  LIMIT_UDP_REQUEST_BYTES = 4096,            /* of a longer datagram the rest is lost; larger updates come over TCP */
  LIMIT_UDP_CLIENTS = 4096,                  /* exchanges of our own over UDP at once */
  LIMIT_STREAM_CLIENTS = 256,                /* connections of our own at once */
  LIMIT_STREAM_CLIENT_QUEUE_BYTES = 1 << 20, /* queued to be sent on one of them */
  LIMIT_CONTROL_CLIENTS = 64,                /* connections to the control socket */
  LIMIT_CONTROL_REPLY_BYTES = 1 << 30,       /* of a reply that waits for its client */
  LIMIT_LISTENERS_COUNTED = 64,              /* listen addresses with counters of their own; further ones share the last */
  LIMIT_HTTP_CONNECTIONS = 32,               /* HTTP connections at once; a further one pushes the oldest out */
  LIMIT_HTTP_REQUEST_BYTES = 16384,          /* memory of one: a longer header is refused */
  LIMIT_HTTP_IDLE_S = 10,                    /* of one, without an octet */
  LIMIT_HTTP_CONNECTION_S = 60,              /* of one that is in no hurry, when another comes */
  LIMIT_HTTP_PAGES = 4,                      /* versions of one page kept for slow readers; then they get the last one */
  LIMIT_WORST_ZONES = 20,                    /* zones shown by metrics.per-zone: worst */
  LIMIT_NOTIFY_QUEUE = 8192,                 /* NOTIFY on their way from the workers to the control thread; a power of two */
  LIMIT_UPDATES = 1024,                      /* UPDATEs from their arrival to their answer; a power of two */
  LIMIT_UPDATE_WAIT_MS = 1000,               /* one that waits longer to be judged is answered SERVFAIL */
  LIMIT_FORWARDS = 64,                       /* UPDATEs on their way to a primary at once; further ones wait */
  LIMIT_FORWARD_CONNECT_MS = 2000,           /* to reach a primary, before the next one is tried */
  LIMIT_FORWARD_ANSWER_MS = 8000,            /* for its answer */
  LIMIT_TRANSFER_IN_BYTES = 1 << 30,         /* of one incoming transfer that has no option for it */
  LIMIT_TRANSFER_IN_S = 7200,                /* one incoming transfer, from the first octet to the last */
  LIMIT_TRANSFER_STALL_BYTES = 4096,         /* an incoming transfer must bring as much in every transfer timeout */
  LIMIT_BUILD_RECORDS = 16384,               /* of one, that another thread lays out while more comes */
  LIMIT_TRANSFER_CONNECT_MS = 10000,         /* to open the connection for one */
  LIMIT_NOTIFY_DIRECT_MS = 1000,             /* for the first of the changes that a NOTIFY promised, before the SOA is asked for */
  LIMIT_IXFR_SECOND_MS = 5000,               /* for more after an IXFR was answered with a newer SOA alone */
  LIMIT_IXFR_AVOID_LEAST_S = 60,             /* a primary whose IXFR was of no use is asked for AXFR so long, then doubling ... */
  LIMIT_IXFR_AVOID_MOST_S = 86400,           /* ... up to so long */
  LIMIT_TRANSFERS_IN = 64,                   /* incoming transfers at once, and as many of changes that NOTIFYs told of */
  LIMIT_TRANSFERS_IN_ADDRESS = 16,           /* of them from one address */
  LIMIT_CHANNELS_ADDRESS = 4,                /* connections to one primary; more when it handles one question at a time */
  LIMIT_CHANNEL_ASKS = 16,                   /* unanswered questions on one of them */
  LIMIT_CHANNEL_IDLE_MS = 3000,              /* without a question, before it is closed */
  LIMIT_CHANNEL_SLOW_MS = 1000,              /* a question that waits so long has others go to another one */
  LIMIT_CHANNEL_REPEATS = 2,                 /* times that a question is asked again because its connection ended */
  LIMIT_CHANNEL_SHY_S = 600,                 /* a primary that cuts connections short is asked one question at a time so long */
  LIMIT_CHANNEL_STRAY_BYTES = 1 << 20,       /* of answers that were given up, before the connection is closed */
  LIMIT_SOA_EXCHANGES = 512,                 /* SOA queries to primaries at once */
  LIMIT_SOA_EXCHANGES_ADDRESS = 64,          /* of them to one address */
  LIMIT_NOTIFY_EXCHANGES = 512,              /* unanswered NOTIFY at once */
  LIMIT_NOTIFY_EXCHANGES_ADDRESS = 64,       /* of them to one address */
  LIMIT_NOTIFY_SECOND = 5000,                /* to one address in a second, of zones that changed ... */
  LIMIT_NOTIFY_START_SECOND = 500,           /* ... and of those that are told because we started */
  LIMIT_NOTIFY_BURST = 500,                  /* at once, before that */
  LIMIT_NOTIFY_TRIES = 10,                   /* to one peer for one serial */
  LIMIT_ZONE_WAKES = 1024                    /* zones that one run of the transfer machines wakes up */
};

#define LIMIT_ZONE_FILE_BYTES (UINT64_C(1) << 34) /* of a zone file with all it includes */
#define LIMIT_TTL 2147483647u                     /* RFC 2181 §8 */

#endif
