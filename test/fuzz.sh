#!/usr/bin/env bash
# Runs each fuzz target for FUZZTIME (30s), as many side by side as there are
# cores, and says of each in a line what it did. `test/fuzz.sh ./internal/api
# FuzzCursor` runs what matches: a package, and a regular expression of targets.
#
# What a target finds interesting is kept in Go's build cache. What makes one
# fail is written below the package's testdata/fuzz and stays there as a seed:
# it belongs to the change that mends it.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

time=${FUZZTIME:-30s}
package=${1:-.}
wanted=${2:-.}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# target NAME BINARY FOLDER IMPORT: runs one target and tells of it.
target() {
    local name=$1 binary=$2 folder=$3 import=$4 log status=0 last
    log=$(mktemp -p "$work")
    (cd "$folder" && exec "$binary" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$time" -test.fuzzminimizetime 200x -test.parallel 1 \
        -test.timeout 0 -test.fuzzcachedir "$cache/fuzz/$import") >"$log" 2>&1 </dev/null || status=$?
    last=$(grep '^fuzz: elapsed: .*execs: ' "$log" | tail -n 1 || true)
    # Go may call it a failure that time ran out while an input was made smaller.
    if [ $status != 0 ] && [ "$(grep -vE '^(fuzz: |--- FAIL|FAIL|$)' "$log")" = '    context deadline exceeded' ]; then status=0; fi
    if [ $status = 0 ] && [ -n "$last" ]; then
        sed -E 's/^fuzz: elapsed: ([^,]+), execs: ([0-9]+) \(.*, new interesting: ([0-9]+) \(total: ([0-9]+)\).*/\1 \2 \3 \4/' <<<"$last" |
            while read -r elapsed execs new total; do
                printf '%-34s %-22s %6s %10s execs %5s new of %5s\n' "$folder" "$name" "$elapsed" "$execs" "$new" "$total"
            done
        return 0
    fi
    if [ $status = 0 ]; then
        printf '%-34s %-22s %6s: too short for more than the inputs that are kept\n' "$folder" "$name" "$time"
        return 0
    fi
    printf '%-34s %-22s FAILED\n' "$folder" "$name"
    sed 's/^/    /' "$log"
    return 1
}
export -f target
cache=$(go env GOCACHE)
export work time cache

# binaries: builds one instrumented binary for each package, however many targets it
# has, without what only debuggers read, and names its targets as soon as it is there.
binaries() {
    local folder names binary import name
    while read -r folder; do
        names=$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(f \*testing\.F\).*/\1/p' "$folder"/*_test.go | grep -E -- "$wanted" || true)
        [ -n "$names" ] || continue
        binary=$work/${folder//\//_}.test
        go test -c -fuzz . -ldflags '-s -w' -o "$binary" "./$folder" || return 1
        import=$(go list "./$folder")
        : >"$work/found"
        for name in $names; do printf '%s\n' "$name" "$binary" "$folder" "$import"; done
    done < <(grep -rlE --include='*_test.go' '^func Fuzz' "$package" | xargs -n 1 dirname | sed 's#^\./##' | sort -u)
}

# The targets of one package run while the next is built.
binaries | xargs -r -d '\n' -n 4 -P "$(nproc)" bash -c 'target "$@" || exit 1' target ||
    { printf 'A fuzz target failed.\n' >&2; exit 1; }
[ -e "$work/found" ] || { printf 'no fuzz target matches\n' >&2; exit 1; }
