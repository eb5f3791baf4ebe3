#!/usr/bin/env bash
# Makes a release: everything that a deployment needs, in a folder that can be deployed without Rust.
#
#   release/build.sh [--arch arm64|x86_64]... [--out FOLDER]
#
# Needs Rust and Python 3.10 or newer; cargo-lambda, zig and what checks the bill of materials it installs into target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

own=${CARGO_TARGET_DIR:-target}/landfall
venv=$own/release-python
stamp=$(python3 --version | cut -d. -f1,2; cat release/requirements.txt)
if [[ ! -f $venv/landfall-stamp || $(<"$venv/landfall-stamp") != "$stamp" ]]; then
    printf 'release: installing cargo-lambda and zig into %s (once, about 350 MB)\n' "$venv"
    mkdir -p "$own"
    rm -rf "$venv"
    python3 -m venv "$venv"
    # --no-deps: requirements.txt names everything, so nothing unpinned can come in.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --progress-bar off --no-deps \
        --requirement release/requirements.txt
    printf '%s\n' "$stamp" >"$venv/landfall-stamp"
fi
PATH=$PWD/$venv/bin:$PATH exec "$venv/bin/python" release/build.py "$@"
