#!/bin/sh
# Installs what `cargo xtask test` needs beside Rust: ip, nsenter, curl, systemd-analyze, node, Java, and cargo-nextest
# where it can be had.
# Does nothing for what is there already.
set -eu

packages=""
command -v ip >/dev/null 2>&1 || [ -x /sbin/ip ] || packages="$packages iproute2"
command -v curl >/dev/null 2>&1 || packages="$packages curl"
command -v nsenter >/dev/null 2>&1 || packages="$packages util-linux"
command -v systemd-analyze >/dev/null 2>&1 || packages="$packages systemd"
command -v node >/dev/null 2>&1 || packages="$packages nodejs"
command -v javac >/dev/null 2>&1 || packages="$packages default-jdk-headless"
command -v cc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"

if [ -n "$packages" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "install-test-tools: missing:$packages; run: sudo apt-get install$packages" >&2
        exit 1
    fi
    apt-get update -q
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
fi

# Faster and better to read than `cargo test`, which does as well: not having it is no failure.
if ! cargo nextest --version >/dev/null 2>&1; then
    cargo install --locked cargo-nextest || echo "install-test-tools: no cargo-nextest; cargo test will do"
fi
