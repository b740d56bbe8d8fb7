#!/bin/sh
# Builds the agent as it is shipped, for this machine: with its own profile, and with its C library linked
# into it. agent.sh [FILE] copies it there too; without, it is target/agent/cairn-agent.
#
# A library that is shared with nobody else on the node costs an agent more than the part of it that it uses.
set -eu
cd "$(dirname "$0")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-target}/$target/agent/cairn-agent
file=${1:-${CARGO_TARGET_DIR:-target}/agent/cairn-agent}
variable=$(echo "$target" | tr 'a-z-' 'A-Z_')
# These would stand in the place of the flags below.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export "CARGO_TARGET_${variable}_RUSTFLAGS=-C target-feature=+crt-static"
# shellcheck disable=SC2086 # a list of arguments
${CARGO:-cargo} build ${CARGO_ARGS:-} --profile agent --target "$target" -p cairn-agent
mkdir -p "${file%/*}"
# What is there may be cargo's own, under two names, or run.
cp --remove-destination "$built" "$file"
