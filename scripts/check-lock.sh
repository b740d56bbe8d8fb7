#!/bin/sh
# The part of deny.toml that needs no tool: fails when Cargo.lock has a banned crate, a crate from
# another registry than the public one, or more crates in two versions than are accounted for.
set -eu
cd "$(dirname "$0")/.."

# Crates in more than one version, on any platform. Raise it only with the reason why both are needed.
doubles_limit=8

bad=0
complain() {
    printf 'Cargo.lock: %s\n' "$*" >&2
    bad=1
}

# A ban with wrappers is about direct use only, which the lock file does not show so plainly.
banned=$(sed -n '/wrappers/d; s/^ *{ crate = "\([^"]*\)".*/\1/p' deny.toml)
for crate in $banned; do
    if grep -qxF "name = \"$crate\"" Cargo.lock; then
        complain "$crate is banned (see deny.toml): cargo tree -i $crate shows who brings it"
    fi
done

# Paths of the workspace have no source line at all; everything else comes from one registry.
sources=$(grep '^source = ' Cargo.lock | LC_ALL=C sort -u)
case $sources in
    *"
"*) complain "crates come from more than one place: $(printf '%s' "$sources" | tr '\n' ' ')" ;;
    'source = "registry+'*) ;;
    *) complain "crates come from no registry: $sources" ;;
esac

doubles=$(sed -n 's/^name = "\(.*\)"/\1/p' Cargo.lock | LC_ALL=C sort | uniq -d)
count=$(printf '%s' "$doubles" | grep -c . || true)
if [ "$count" -gt "$doubles_limit" ]; then
    complain "$count crates in more than one version, and $doubles_limit are accounted for:" \
        "$(printf '%s' "$doubles" | tr '\n' ' ')(cargo tree -d shows why)"
fi

exit "$bad"
