#!/usr/bin/env bash
# Wraps rustc to add libFuzzer's coverage to the crates that decode. In all crates, SDKs included, it would make the
# build many times slower. These must be the crates that Cargo.toml builds with a profile of their own, because Cargo
# does not know of the wrapper and would reuse those of the main workspace.
set -euo pipefail

name=
for ((i = 1; i < $#; i++)); do
    [[ ${!i} == --crate-name ]] && i=$((i + 1)) && name=${!i} && break
done
# Build scripts and macros run in the compiler and not in a target.
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
