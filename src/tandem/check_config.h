/* `tandem check-config FILE [--json]`: every mistake of a configuration with its place. */
#ifndef TANDEM_CHECK_CONFIG_H
#define TANDEM_CHECK_CONFIG_H

int cmd_check_config(int argc, char **argv); /* argv[0] is the command; exit code 0: good, 1: bad */

#endif
