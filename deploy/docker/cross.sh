#!/bin/sh
# Builds one binary for the architecture of an image, inside of the images' build stages.
#
#   cross.sh install ARCH                 the target's standard library, C compiler and linker (ring has assembly)
#   cross.sh build ARCH PACKAGE PROFILE FILE
#                                         the package's binary, built with the profile, as FILE
#
# ARCH is the container world's name: amd64 or arm64.
set -eu

case ${2:-} in
amd64) target=x86_64-unknown-linux-gnu gnu=x86-64-linux-gnu ;;
arm64) target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu ;;
*)
    echo "cross.sh: no architecture '${2:-}': amd64 and arm64 are built" >&2
    exit 64
    ;;
esac
tool=${target%%-*}-linux-gnu
variable=$(echo "$target" | tr 'a-z-' 'A-Z_')

case $1 in
install)
    # The image of the compiler has what its own architecture needs.
    [ "$(dpkg --print-architecture)" != "$2" ] || exit 0
    apt-get update
    apt-get install -y --no-install-recommends "gcc-$gnu" "libc6-dev-$2-cross"
    rm -rf /var/lib/apt/lists/*
    rustup target add "$target"
    ;;
build)
    export "CARGO_TARGET_${variable}_LINKER=$tool-gcc" "CC_$(echo "$target" | tr - _)=$tool-gcc"
    # The agent carries its own C library, see scripts/agent.sh.
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
    [ "$4" != agent ] || export "CARGO_TARGET_${variable}_RUSTFLAGS=-C target-feature=+crt-static"
    cargo build --locked --profile "$4" --target "$target" -p "$3"
    mkdir -p "${5%/*}"
    cp "target/$target/$4/$3" "$5"
    ;;
*)
    echo 'usage: cross.sh install ARCH | build ARCH PACKAGE PROFILE FILE' >&2
    exit 64
    ;;
esac
