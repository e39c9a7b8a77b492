/* Resource records: one row of rr_table.def a type drives text, wire, canonical form, checks, JSON and docs.
 *
 * RDATA inside Tandem is always the uncompressed wire form, checked against its row (an unknown type is opaque, RFC 3597).
 * Thread: any; no allocation except into the caller's `struct buf`. */
#ifndef WIRE_RR_H
#define WIRE_RR_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "wire/name.h"

enum { CLASS_IN = 1, CLASS_CH = 3, CLASS_HS = 4, CLASS_NONE = 254, CLASS_ANY = 255 };

/* RR_A, RR_NS ...: every row of the table. Query-only types are below. */
enum rr_type {
#define RR(mnemonic, code, flags, ...) RR_##mnemonic = code,
#define RR_DASHED(identifier, mnemonic, code, flags, ...) RR_##identifier = code,
#include "wire/rr_table.def"
#undef RR
#undef RR_DASHED
  RR_OPT = 41,
  RR_NXNAME = 128, /* RFC 9824: only in the bitmap of an NSEC */
  RR_TKEY = 249,
  RR_TSIG = 250,
  RR_IXFR = 251,
  RR_AXFR = 252,
  RR_MAILB = 253,
  RR_MAILA = 254,
  RR_ANY = 255,
};

/* What a field of RDATA is. The kind fixes its text, wire and JSON forms: one row of the table in rr_fields.c. */
enum rr_field_kind {
  FIELD_U8,
  FIELD_U16,
  FIELD_U32,
  FIELD_U64,
  FIELD_TTL, /* u32; text may use units: 1h30m */
  FIELD_IPV4,
  FIELD_IPV6,
  FIELD_NAME,           /* see FIELD_F_ below */
  FIELD_NAMES,          /* zero or more names to the end (HIP) */
  FIELD_STRING,         /* one <character-string> */
  FIELD_STRING_OR_NONE, /* may be left out (ISDN) */
  FIELD_STRINGS,        /* one or more, to the end */
  FIELD_DIGITS,         /* a <character-string> of digits (X25) */
  FIELD_DECIMAL,        /* a <character-string> holding a decimal number (GPOS) */
  FIELD_TEXT_REST,      /* the rest, as one quoted string without a length octet (URI, CAA value) */
  FIELD_TAG,            /* a length octet and letters or digits (CAA) */
  FIELD_TYPE,           /* u16 shown as an RR type */
  FIELD_ALGORITHM,      /* u8 DNSSEC algorithm: number or mnemonic in, number out */
  FIELD_DIGEST_TYPE,    /* u8 DS digest type: number or mnemonic in, number out */
  FIELD_CERT_TYPE,      /* u16: number or mnemonic in, number out */
  FIELD_SCHEME,         /* u8 DSYNC scheme: number or mnemonic */
  FIELD_TIME,           /* u32 as YYYYMMDDHHmmSS or seconds (RRSIG) */
  FIELD_BASE64,         /* the rest; blanks allowed in text */
  FIELD_BASE64_OR_NONE,
  FIELD_BASE64_OR_DASH, /* "-" for nothing (DOA) */
  FIELD_HEX,            /* the rest; blanks allowed in text */
  FIELD_HEX_OR_NONE,
  FIELD_DIGEST,      /* hex whose length must fit the FIELD_DIGEST_TYPE before it */
  FIELD_FINGERPRINT, /* the same behind the fingerprint type of SSHFP */
  FIELD_ZONE_DIGEST, /* hex of 12 octets or more, RFC 8976 §2.2.4 */
  FIELD_SALT,        /* length octet + hex; "-" for empty (NSEC3) */
  FIELD_HASH32,      /* length octet + base32hex without padding (NSEC3) */
  FIELD_TYPES,       /* type bitmap, RFC 4034 §4.1.2 */
  FIELD_TYPES_SOME,  /* the same, never empty in text (NSEC) */
  FIELD_TYPES_OLD,   /* type bitmap of NXT, RFC 2535 §5.2 */
  FIELD_SVCPARAMS,   /* RFC 9460 §2 */
  FIELD_LOC,         /* RFC 1876 */
  FIELD_EUI48,
  FIELD_EUI64,
  FIELD_NODE64,       /* NID, L64: four groups of hex */
  FIELD_NSAP,         /* 0x and hex with dots, RFC 1706 */
  FIELD_ATM,          /* ATMA: hex, or + and digits */
  FIELD_SERVICES,     /* protocol and bitmap of ports (WKS) */
  FIELD_A6,           /* prefix length, suffix, prefix name: RFC 2874 §3.1 */
  FIELD_APL,          /* RFC 3123 */
  FIELD_RELAY_TYPE,   /* AMTRELAY: discovery bit and relay type, two tokens in one octet */
  FIELD_GATEWAY_TYPE, /* IPSECKEY: u8, 0 to 3 */
  FIELD_GATEWAY,      /* IPSECKEY, AMTRELAY: by the low seven bits of RDATA's second octet */
  FIELD_HIP,          /* algorithm, HIT, key with their lengths */
  FIELD_OPAQUE,       /* the rest, only as \# n hex */
  FIELD_KIND_COUNT
};

enum { RR_FIELDS_MAX = 9 };
enum {
  FIELD_F_COMPRESS = 1, /* may be compressed in messages: the types of RFC 1035 alone (RFC 3597 §4) */
  FIELD_F_LOWER = 2,    /* lowered in canonical form (RFC 4034 §6.2, RFC 6840 §5.1) */
  FIELD_F_GLUE = 4,     /* target of additional data */
  FIELD_F_EXPAND = 8,   /* never compressed by us, but decompressed when received so (RFC 3597 §4) */
};
enum {
  RR_F_SINGLE = 1, /* one record a RRset (SOA, CNAME, DNAME) */
  RR_F_ALONE = 2,  /* no other data at the name (CNAME) */
  RR_F_PARENT = 4, /* answered on the parent's side of a cut (DS, NSEC) */
  RR_F_DNSSEC = 8, /* RRSIG, NSEC, NSEC3: made by a signer, given only with DO or when asked for */
};

struct rr_field {
  const char *name; /* as in messages: "invalid preference in MX" */
  enum rr_field_kind kind;
  uint8_t flags;
};

struct rr_row {
  const char *mnemonic;
  uint16_t type;
  uint8_t flags;
  uint8_t field_count;
  const char *rfc; /* where it is defined, for the docs */
  struct rr_field fields[RR_FIELDS_MAX];
};

/* NULL for a type without a row. Constant time. */
const struct rr_row *rr_row(uint16_t type);
size_t rr_row_count(void);
const struct rr_row *rr_row_at(size_t i); /* for docs, dictionaries, tests */

/* A Markdown page of all rows: docs/record-types.md. */
void rr_types_doc(struct buf *out);

enum { RR_TYPE_TEXT_BYTES = 12 };
const char *rr_type_text(uint16_t type, char out[RR_TYPE_TEXT_BYTES]); /* "MX", "TYPE65280"; query types, too */
/* A mnemonic or TYPEnnn, in any case. ERR_NOT_FOUND. */
MUST_CHECK enum err rr_type_from_text(const char *text, size_t n, uint16_t *out);
bool rr_type_is_data(uint16_t type); /* may stand in a zone: not a meta or query type */

/* ---- text ---- */

struct rr_token { /* a token of a master file; `text` keeps its escapes, without the quotes; alpn="h2" is one token with them */
  const char *text;
  uint32_t size;
  uint32_t line;
  uint32_t column;
  bool quoted;
};

struct rr_text_error {
  size_t token;     /* which token offends; == count: one is missing at the end */
  char what[160];   /* "invalid preference in MX: ten" */
  const char *hint; /* static */
};

/* RDATA from tokens; accepts `\# n hex` for every type. Appends the wire form to `out`. On failure fills `*error` and leaves
 * `out` where it was; ERR_SPACE if it does not fit `out` or 65,535 octets. */
MUST_CHECK enum err rr_rdata_from_text(uint16_t type, const struct rr_token *tokens, size_t count, const struct name *origin,
                                       struct wr *out, struct rr_text_error *error);
/* The one field of an A record. 16 octets may be read from `text` on, whatever they are. */
bool rr_ipv4_from_text(const char *text, size_t n, uint8_t out[4]);
/* RDATA (checked) as text; an unknown type as `\# n hex`. */
void rr_rdata_text(uint16_t type, const uint8_t *rdata, size_t n, struct buf *out);
/* RDATA (checked) as a JSON object of the row's field names ('_' for their blanks): numbers as numbers, all else as its text.
 * An unknown type has one member, "data", in hex. */
void rr_rdata_json(uint16_t type, const uint8_t *rdata, size_t n, struct buf *out);

/* ---- wire ---- */

/* Checks RDATA in uncompressed wire form against its row. */
MUST_CHECK enum err rr_rdata_check(uint16_t type, const uint8_t *rdata, size_t n);
/* Reads RDATA of `n` octets at `r` from a message (names of RFC 1035 types may be compressed), appends the uncompressed
 * form. `r` ends up behind the RDATA. Malformed: ERR_FORMAT. */
MUST_CHECK enum err rr_rdata_read(struct rd *r, size_t n, const uint8_t *message, uint16_t type, struct wr *out);
/* Canonical form (RFC 4034 §6.2): lowers the names that are to be lowered, in place. */
void rr_rdata_canonical(uint16_t type, uint8_t *rdata, size_t n);
/* Order of RDATA as left-justified octet strings (RFC 4034 §6.3), after folding the names that canonical form folds. 0: the
 * same record. */
int rr_rdata_compare(uint16_t type, const uint8_t *a, size_t an, const uint8_t *b, size_t bn);
/* Offset of the first name with FIELD_F_COMPRESS in RDATA, or -1. The set is closed (RFC 3597 §4: no new type may be
 * compressed), so it is a constant of the packet path; a test holds it against the table. */
static inline int rr_compress_offset(uint16_t type) {
  enum { AT_0 = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 12 | 1 << 14, AT_2 = 1 << 15 };
  if (type > 15) return -1;
  return AT_0 >> type & 1 ? 0 : AT_2 >> type & 1 ? 2 : -1;
}
/* How many names stand there, one behind the other. */
static inline unsigned rr_compress_count(uint16_t type) {
  return type == 6 || type == 14 ? 2 : 1; /* SOA, MINFO */
}
/* Where names stand in RDATA (checked): those that canonical form lowers, and targets of additional data. How many. */
struct name_range {
  uint32_t at, size;
};
enum { RR_NAMES_MAX = 4 };
unsigned rr_rdata_names(uint16_t type, const uint8_t *rdata, size_t n, struct name_range out[RR_NAMES_MAX]);
/* The target name for additional data (FIELD_F_GLUE): NS, MX, SRV, SVCB, NAPTR...; false if there is none. */
bool rr_rdata_target(uint16_t type, const uint8_t *rdata, size_t n, const uint8_t **target_wire);

/* ---- ready RRs ---- */

/* An RR as zones keep it: the octets of a response whose question has its owner.
 *
 *   C0 0C | type | class IN | TTL | RDLENGTH | RDATA, its names uncompressed */
enum { RR_READY_BYTES = 12, RR_READY_OWNER = 0xc00c };
static inline uint16_t rr_ready_type(const uint8_t *rr) {
  return get_u16(rr + 2);
}
static inline uint32_t rr_ready_ttl(const uint8_t *rr) {
  return get_u32(rr + 6);
}
static inline uint16_t rr_ready_size(const uint8_t *rr) { /* of its RDATA */
  return get_u16(rr + 10);
}
/* All in front of the RDATA. */
static inline void rr_ready_put(uint8_t *out, uint16_t type, uint32_t ttl, uint16_t size) {
  put_u64(out, (uint64_t)RR_READY_OWNER << 48 | (uint64_t)type << 32 | CLASS_IN << 16 | ttl >> 16);
  put_u32(out + 8, ttl << 16 | size);
}

#endif
