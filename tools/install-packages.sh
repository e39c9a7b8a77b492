#!/bin/sh
# Installs what is missing of the named groups of packaging/debian-packages.txt, and says so. Servers among them (the peers of
# the tests, the resolver of the demo) are kept from starting as services.
#   tools/install-packages.sh build demo
set -eu
list=$(dirname "$0")/../packaging/debian-packages.txt
missing=
for group in "$@"; do
  for package in $(sed -e 's/#.*//' "$list" | awk -v g="$group" '$1 == g {print $2}'); do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
  done
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "These Debian packages (or your system's like) are needed:$missing" >&2
  exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "Run as root once: apt-get install --no-install-recommends$missing" >&2; exit 1; }
  as_root=sudo
fi
echo "Installing Debian packages:$missing"
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e $policy ]; then # no installed server may start as a service
  printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
  $as_root chmod 755 $policy
  made_policy=1
fi
clean_up() { [ -z "$made_policy" ] || $as_root rm -f $policy; }
trap clean_up EXIT
log=$(mktemp)
try() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends install $missing >"$log" 2>&1; }
if ! try; then
  $as_root apt-get update >/dev/null
  try || { tail -20 "$log" >&2; echo "Installing failed; the whole output is in $log" >&2; exit 1; }
fi
rm -f "$log"
