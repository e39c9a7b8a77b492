/* Octets sealed with a passphrase: scrypt (RFC 7914) makes the key, AES-256-GCM (NIST SP 800-38D) keeps secret and whole. Thread:
 * any; 32 MiB and some tenths of a second a call. */
#ifndef CRYPTO_SEAL_H
#define CRYPTO_SEAL_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct seal_text {
  const void *bytes;
  size_t size;
};

/* Appends to `out`. `beside` is not in it, but must be the same when it is opened. */
MUST_CHECK enum err seal_close(struct seal_text passphrase, struct seal_text beside, struct seal_text plain, struct buf *out);
/* Appends what was sealed; the caller wipes it. ERR_REFUSED: another passphrase, or it or what is beside it was changed;
 * ERR_FORMAT: not sealed by this; ERR_VERSION: by a newer version. */
MUST_CHECK enum err seal_open(struct seal_text passphrase, struct seal_text beside, struct seal_text sealed, struct buf *out);

#endif
