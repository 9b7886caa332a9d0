#!/bin/sh
# Installs what `cargo xtask ebpf` needs on Debian 12 or later: rustc with its sources, LLVM, bpf-linker.
# Nobody needs it to build or run the gateway: the compiled object is in gateway-ebpf/object.
# What is already there is left alone; run it as often as you like. Root (or sudo) is needed for packages only.
set -eu

LLVM=22
BPF_LINKER=0.13.0
PACKAGES="rustc-web rust-web-src llvm-$LLVM-dev build-essential"

say() { echo "install-ebpf-toolchain: $*"; }

installed() { dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep --quiet '^installed$'; }

missing=
for package in $PACKAGES; do
    installed "$package" || missing="$missing $package"
done
if [ -n "$missing" ]; then
    say "installing$missing"
    sudo=
    if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
    $sudo apt-get update --quiet
    # shellcheck disable=SC2086 # a list of words
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $missing
else
    say "packages are there: $PACKAGES"
fi

PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
if [ "$(bpf-linker --version 2>/dev/null || true)" = "bpf-linker $BPF_LINKER" ]; then
    say "bpf-linker $BPF_LINKER is there"
else
    command -v cargo >/dev/null || { say "cargo is missing: install stable Rust first, https://rustup.rs"; exit 1; }
    say "building bpf-linker $BPF_LINKER on LLVM $LLVM (about a minute)"
    LLVM_PREFIX="/usr/lib/llvm-$LLVM" cargo install bpf-linker --version "$BPF_LINKER" \
        --no-default-features --features "llvm-$LLVM" --locked --force
fi

say "ready: cargo xtask ebpf"
