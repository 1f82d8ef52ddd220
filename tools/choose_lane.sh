#!/bin/sh
# Prints which lane this machine gets, 1.16 or 1.21, by its C library; an argument chooses it by hand.
#
# With --why the line says the reason too.
set -eu

NEEDED=2.39 # by the native wheels of TFX 1.21

why=
if [ "${1:-}" = --why ]; then
    why=1
    shift
fi

installed=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2) || installed=
if [ -n "${1:-}" ]; then
    lane=$1
    reason="as LANE=$1 asks for"
elif [ -z "$installed" ]; then
    lane=1.16
    reason="the C library is not glibc"
elif [ "$(printf '%s\n' "$NEEDED" "$installed" | sort -V | head -n 1)" = "$NEEDED" ]; then
    lane=1.21
    reason="glibc is $installed, at least $NEEDED"
else
    lane=1.16
    reason="glibc is $installed, older than the $NEEDED that TFX 1.21 needs"
fi

case $lane in
    1.16 | 1.21) ;;
    *)
        echo "error: there is no lane '$lane': LANE is 1.16 or 1.21" >&2
        exit 2
        ;;
esac
if [ -n "$why" ]; then
    echo "TFX $lane: $reason"
else
    echo "$lane"
fi
