#!/usr/bin/env bash
# Fuzzes every target for a bounded time, starting from the committed seeds:
#
#     tests/fuzz/run.sh SECONDS_EACH [TARGET…]
#
# Each run is the same, and FUZZ_RUNS=N ends it at the same place on slow and fast machines, so that a change does not
# fail by chance. FUZZ_SEED=N gives another run, and 0 a random one. Coverage guides the fuzzer as with cargo-fuzz, but
# on the stable compiler; see rustc.sh. Everything that is built and found is in target/fuzz, and the next run continues
# from it. An input that breaks a target ends the run, which prints its path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:?usage: tests/fuzz/run.sh SECONDS_EACH [TARGET…]}
shift
targets=("$@")
((${#targets[@]})) || targets=(csv jsonl jsonl_gzip orc pdf excel sniff report)
declare -A longest=([csv]=4096 [jsonl]=4096 [jsonl_gzip]=4096 [orc]=8192 [pdf]=8192 [excel]=16384 [sniff]=4096 [report]=4096)
for target in "${targets[@]}"; do
    [[ -n ${longest[$target]-} ]] || {
        printf 'fuzz: there is no target %s; there are %s\n' "$target" "${!longest[*]}" >&2
        exit 1
    }
done
here=tests/fuzz
build=${CARGO_TARGET_DIR:-target}
out=$build/fuzz

command -v c++ >/dev/null || {
    printf 'fuzz: there is no C++ compiler, which libFuzzer is built with. On Debian and Ubuntu: apt install g++\n' >&2
    exit 1
}

RUSTC_WRAPPER=$PWD/$here/rustc.sh cargo build --locked --quiet --manifest-path "$here/Cargo.toml" --target-dir "$build" --bins

# The fuzzer learns from comparisons that depend on the addresses of heap and code. Some containers do not allow fixed
# addresses.
steady=()
setarch --addr-no-randomize true 2>/dev/null && steady=(setarch --addr-no-randomize)

for target in "${targets[@]}"; do
    found=$out/found/$target
    mkdir -p "$out/corpus/$target" "$found"
    corpus=("$out/corpus/$target")
    for folder in "tests/data/seeds/$target" "tests/data/seeds/$target-mended"; do
        [[ -d $folder ]] && corpus+=("$folder")
    done
    [[ $target == sniff ]] && corpus+=(tests/data/seeds/{csv,jsonl,orc})
    options=(
        -seed="${FUZZ_SEED:-1}" -runs="${FUZZ_RUNS:--1}" -max_total_time="$seconds" -max_len="${longest[$target]}"
        # Every second, look for inputs that the others found. Its own new inputs count as found.
        -reload=0
        -rss_limit_mb=512 -timeout=10 -print_final_stats=1 -artifact_prefix="$found/"
    )
    [[ -f $here/dictionaries/$target.dict ]] && options+=(-dict="$here/dictionaries/$target.dict")
    [[ $target == sniff ]] && options+=(-dict="$here/dictionaries/csv.dict")
    if ! "${steady[@]}" "$build/debug/fuzz-$target" "${options[@]}" "${corpus[@]}" >"$out/$target.log" 2>&1; then
        tail -n 60 "$out/$target.log" >&2
        printf 'fuzz: %s broke; the input lies in %s; to try it again:\n    %s %s\n' \
            "$target" "$found" "$build/debug/fuzz-$target" "$(ls -t "$found"/* 2>/dev/null | head -n 1)" >&2
        exit 1
    fi
    awk -v target="$target" '
        /^stat::number_of_executed_units:/ { runs = $2 }
        /^stat::new_units_added:/ { new = $2 }
        /^stat::peak_rss_mb:/ { peak = $2 }
        END { printf "fuzz: %-10s %9d runs, %6d new inputs, at most %d MB\n", target, runs, new, peak }
    ' "$out/$target.log"
done
