#!/bin/sh
# Parses every shell script, and runs shellcheck over them where it is installed.
set -eu
cd "$(dirname "$0")/.."

for script in scripts/*.sh deploy/docker/*.sh; do
    sh -n "$script"
done
bash -n .ci/run

if command -v shellcheck >/dev/null 2>&1; then
    shellcheck scripts/*.sh deploy/docker/*.sh .ci/run
else
    echo 'check-shell: shellcheck is not installed, parsed only'
fi
