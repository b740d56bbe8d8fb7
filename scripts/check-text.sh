#!/bin/sh
# Fails on what a reviewer should not have to look for: Rust sources that are not ASCII, paths of
# somebody's machine, addresses in npm's lock files.
set -eu
cd "$(dirname "$0")/.."

bad=0
files() { git ls-files -z --cached --others --exclude-standard -- "$@"; }

# complain HEADING: prints standard input under the heading and remembers that there was some.
report=$(mktemp)
trap 'rm -f "$report"' EXIT
complain() {
    if [ -s "$report" ]; then
        printf '%s\n' "$1" >&2
        sed 's/^/  /' "$report" >&2
        bad=1
    fi
}

# grep's status 1 (nothing found) is the good case here, and xargs turns it into 123.
files '*.rs' | LC_ALL=C xargs -0 -r grep -nHI '[^ -~	]' >"$report" 2>/dev/null || true
complain 'not ASCII:'

files . ':!tests/fixtures' |
    LC_ALL=C xargs -0 -r grep -nHIE '(^|[^[:alnum:]_.)}/-])/(home|root|Users|work)/[[:alnum:]_.]' >"$report" 2>/dev/null || true
complain 'a path of one machine:'

files '*package-lock.json' |
    xargs -0 -r grep -nHE '"resolved": "[a-z+]+://' >"$report" 2>/dev/null || true
complain 'an address in a lock file (set omit-lockfile-registry-resolved and lock again):'

exit "$bad"
