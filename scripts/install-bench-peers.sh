#!/bin/sh
# Installs whom `cargo xtask bench xdp` measures beside the gateway: xdp-filter, nftables, iptables (Debian).
# Does nothing for what is there already. Not needed for tests, and CI does not run it.
set -eu

there() {
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]
}

packages=""
there ip || packages="$packages iproute2"
there nsenter || packages="$packages util-linux"
there xdp-filter || packages="$packages xdp-tools"
there nft || packages="$packages nftables"
there iptables || packages="$packages iptables"

[ -n "$packages" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "install-bench-peers: missing:$packages; run: sudo apt-get install$packages" >&2
    exit 1
fi
apt-get update -q
# shellcheck disable=SC2086  # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
