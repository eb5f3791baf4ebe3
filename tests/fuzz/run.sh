#!/usr/bin/env bash
# Fuzzes every target for a bounded time, from the committed seeds on:
#
#     tests/fuzz/run.sh SECONDS_EACH [TARGET…]
#
# It goes the same way every time, and FUZZ_RUNS=N ends it at the same place on a slow and a fast machine, so that a change
# is not stopped by what it did not do; FUZZ_SEED=N, 0 for chance, goes another way. Coverage guides it, as with cargo-fuzz,
# and on the stable compiler; see rustc.sh. All that is built and found goes into target/fuzz, and a further run goes on from
# what was found. An input that breaks a target ends the run, which says where it lies.
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

# Where heap and code lie decides which comparisons the fuzzer learns from. Some containers do not let it be fixed.
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
        # Looks each second for what others found, where its own new inputs count as found.
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
