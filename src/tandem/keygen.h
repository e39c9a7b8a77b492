/* `tandem keygen NAME [--algorithm hmac-sha256] [--json]`: a new TSIG key, as it is written here and in other servers. */
#ifndef TANDEM_KEYGEN_H
#define TANDEM_KEYGEN_H

int cmd_keygen(int argc, char **argv); /* argv[0] is the command; exit code 0, or 1 for a bad call */

#endif
