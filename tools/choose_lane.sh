#!/bin/sh
# Prints which lane this machine gets, 1.16 or 1.21, by its C library; an argument chooses it by hand.
#
# With --why the line says the reason too. A lane that can't be installed here is refused.
set -eu

NEEDED=2.39 # by the native wheels of TFX 1.21

why=
if [ "${1:-}" = --why ]; then
    why=1
    shift
fi

fail() {
    echo "error: $1" >&2
    exit 2
}

installed=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2) || installed=
if [ -z "$installed" ]; then
    lane=1.16
    reason="the C library is not glibc, which TFX 1.21 needs"
elif [ "$(printf '%s\n' "$NEEDED" "$installed" | sort -V | head -n 1)" = "$NEEDED" ]; then
    lane=1.21
    reason="glibc is $installed, at least $NEEDED"
else
    lane=1.16
    reason="glibc is $installed, older than the $NEEDED that TFX 1.21 needs"
fi

case ${1:-$lane} in
    "$lane") ;;
    1.16)
        lane=1.16
        reason="as LANE asks for; $reason"
        ;;
    1.21) fail "TFX 1.21 can't be installed here: $reason (make test-lane runs its tests in a Debian 13 tree)" ;;
    *) fail "there is no lane '$1': LANE is 1.16 or 1.21" ;;
esac
if [ -n "$why" ]; then
    echo "TFX $lane: $reason"
else
    echo "$lane"
fi
