#!/bin/sh
# Fails on source files that have outgrown one idea. Functions are measured by clippy.
set -eu
cd "$(dirname "$0")/.."

limit=500

git ls-files --cached --others --exclude-standard -- '*.rs' '*.ts' '*.tsx' | {
    bad=0
    while IFS= read -r file; do
        [ -f "$file" ] || continue
        lines=$(wc -l <"$file")
        if [ "$lines" -gt "$limit" ]; then
            printf '%s: %s lines, and %s is the limit: split it by responsibility\n' "$file" "$lines" "$limit" >&2
            bad=1
        fi
    done
    exit "$bad"
}
