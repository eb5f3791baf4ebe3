#!/usr/bin/env bash
# Makes a release: everything that a deployment needs, in a folder that can be deployed without Rust.
#
#   release/build.sh [--arch arm64|x86_64]... [--out FOLDER] [--built FOLDER]
#
# Needs Rust and Python 3.10 or newer; cargo-lambda, zig and what checks the bill of materials it installs into target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

own=${CARGO_TARGET_DIR:-target}/landfall
venv=$own/release-python
# Binaries that were built already need no compiler.
left_out='^$'
what='cargo-lambda and zig'
[[ " $* " == *' --built'* ]] && venv=$own/release-check left_out='^(cargo-lambda|ziglang)==' what='what checks bills of materials'
requirements=$(grep -Ev "$left_out" release/requirements.txt)
stamp=$(python3 --version | cut -d. -f1,2; printf '%s' "$requirements")
if [[ ! -f $venv/landfall-stamp || $(<"$venv/landfall-stamp") != "$stamp" ]]; then
    printf 'release: installing %s into %s (once)\n' "$what" "$venv"
    rm -rf "$venv"
    mkdir -p "$venv"
    python3 -m venv "$venv"
    # --no-deps: requirements.txt names everything, so nothing unpinned can come in.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --progress-bar off --no-deps \
        --requirement <(printf '%s\n' "$requirements")
    printf '%s\n' "$stamp" >"$venv/landfall-stamp"
fi
[[ $venv == /* ]] || venv=$PWD/$venv
PATH=$venv/bin:$PATH exec "$venv/bin/python" release/build.py "$@"
