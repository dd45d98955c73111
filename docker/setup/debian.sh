#!/usr/bin/env bash
# Runs inside an image: installs the Debian packages in the given lists, and sets the time zone to $TZ.
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
apt-get update
sed -e '/^#/d' -- "$@" | xargs apt-get install -y --no-install-recommends
if [ -n "${TZ:-}" ]; then
    [ -e "/usr/share/zoneinfo/$TZ" ] || { echo "TZ=$TZ: there is no such time zone; an example is Asia/Tokyo" >&2; exit 1; }
    ln -sf "/usr/share/zoneinfo/$TZ" /etc/localtime
    echo "$TZ" > /etc/timezone
fi
apt-get clean
rm -rf /var/lib/apt/lists/*
