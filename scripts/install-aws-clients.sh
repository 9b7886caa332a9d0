#!/bin/sh
# Installs the real aws cli and boto3 into a virtual environment of this repository (target/aws-clients), for the tests
# of the AWS API. Does nothing when the same versions are there already.
set -eu
cd "$(dirname "$0")/.."
wanted="boto3==1.44.8 awscli==1.46.3"
venv="${CARGO_TARGET_DIR:-target}/aws-clients"

if [ -f "$venv/installed" ] && [ "$(cat "$venv/installed")" = "$wanted" ]; then
    exit 0
fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "install-aws-clients: missing: python3-venv; run: sudo apt-get install python3-venv" >&2
        exit 1
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3 python3-venv
fi
rm -rf "$venv"
python3 -m venv "$venv"
# shellcheck disable=SC2086  # a list of words
"$venv/bin/pip" install --quiet --disable-pip-version-check $wanted
printf '%s' "$wanted" >"$venv/installed"
