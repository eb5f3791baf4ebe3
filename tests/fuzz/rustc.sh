#!/usr/bin/env bash
# Stands before rustc, and has libFuzzer's coverage counted in the crates that decode: in all of them, SDKs included, it
# would cost many times the build. They must be those that Cargo.toml builds in a way of their own, because Cargo does not
# know of it and would take them for the main workspace's.
set -euo pipefail

name=
for ((i = 1; i < $#; i++)); do
    [[ ${!i} == --crate-name ]] && i=$((i + 1)) && name=${!i} && break
done
# Build scripts and macros run in the compiler, not in a target.
[[ " $* " == *" opt-level=2 "* ]] || exec "$@"
case $name in
    landfall_formats | landfall_output | hayro_syntax | quick_xml | rawzip)
        exec "$@" \
            -Cpasses=sancov-module \
            -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
            -Cllvm-args=-sanitizer-coverage-pc-table \
            -Cllvm-args=-sanitizer-coverage-trace-compares
        ;;
    *) exec "$@" ;;
esac
