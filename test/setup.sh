#!/usr/bin/env bash
# Makes sure that the systems which tests talk to are on this machine, then runs
# the command given, as in `test/setup.sh go test ./...`. As root on Debian it
# installs what is missing. Otherwise it says exactly what to install, and the
# tests that need it are skipped; with CI=true it fails instead.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
missing=

say() { printf '%s\n' "$*" >&2; }

# lacking NAME ADVICE: NAME cannot be had here; what the last command said follows.
lacking() {
    missing="$missing
  $1: $2"
    tail -n 20 "$log" | sed 's/^/    /' >&2
    : >"$log"
}

# quietly COMMAND...: its output is kept for lacking.
quietly() { "$@" >"$log" 2>&1 </dev/null; }

# debian PACKAGE...: installs packages, or fails where we may not.
debian() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "setup: installing $*"
    export DEBIAN_FRONTEND=noninteractive
    [ -n "${updated:-}" ] || quietly apt-get -q -o DPkg::Lock::Timeout=300 update || return 1
    updated=yes
    quietly apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

# PostgreSQL 15: the tests start servers of their own, so Debian's package must
# not create and start one for the whole machine.
postgres() {
    if command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then return; fi
    hold=/etc/postgresql-common/createcluster.d/tenu-test.conf
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "${hold%/*}"
        echo 'create_main_cluster = false' >"$hold"
    fi
    debian postgresql-15 || lacking PostgreSQL \
        "as root, 'apt-get install postgresql-15' (any PostgreSQL from 15 on whose initdb is on the PATH will do)"
    rm -f "$hold"
}

# strace, which makes single system calls of a process fail.
strace_tool() {
    command -v strace >/dev/null || debian strace || lacking strace "as root, 'apt-get install strace'"
}

# Kannel's SMS centre for tests. Debian's package would also start a gateway for WAP,
# but not in runlevel 1.
kannel() {
    [ -x /usr/lib/kannel/test/drive_smpp ] || RUNLEVEL=1 debian kannel-extras || lacking Kannel "as root, 'apt-get install kannel-extras'"
}

# SIPp, which makes telephone calls, and Python for the manual's telephone system.
telephones() {
    command -v python3 >/dev/null || debian python3 || lacking Python "as root, 'apt-get install python3'"
    command -v sipp >/dev/null || debian sip-tester || lacking SIPp "as root, 'apt-get install sip-tester'"
}

# Chromium, for the pages.
browser() { # not called chromium: it would be found in its place
    command -v chromium >/dev/null || debian chromium || lacking Chromium "as root, 'apt-get install chromium'"
}

# CGRateS 0.10, the charging system: compiled here, so that tests only link it.
cgrates() {
    say "setup: building CGRateS (about two minutes the first time)"
    quietly env GOFLAGS=-mod=readonly GOWORK=off go build -C test/cgrates -o /dev/null \
        github.com/cgrates/cgrates/cmd/cgr-engine ||
        lacking CGRateS "'go build github.com/cgrates/cgrates/cmd/cgr-engine' must work in test/cgrates (it needs a Go module proxy)"
}

# The peers that are npm packages, each with its lock file in a folder of test/.
node_peers() {
    command -v npm >/dev/null || debian nodejs npm ||
        { lacking Node.js "as root, 'apt-get install nodejs npm' (any Node.js from 18 on will do)"; return; }
    for lock in test/*/package-lock.json; do
        [ -e "$lock" ] || continue
        dir=${lock%/*}
        [ "$dir/node_modules/.package-lock.json" -nt "$lock" ] && continue
        say "setup: installing the packages of $dir"
        quietly npm ci --prefix "$dir" --no-audit --no-fund --ignore-scripts ||
            lacking "$dir" "'npm ci' must work in $dir"
    done
}

postgres
strace_tool
kannel
telephones
browser
cgrates
node_peers

if [ -z "$missing" ]; then
    export TENU_REQUIRE_PEERS=1
else
    say "setup: not on this machine:$missing"
    [ "${CI:-}" != true ] || exit 1
    say "setup: the tests that need them will be skipped"
fi
[ $# -gt 0 ] || exit 0
status=0
"$@" || status=$?
[ -z "$missing" ] || say "These tests ran without:$missing"
exit $status
