#!/bin/sh
# The other stores that `make bench-rivals` compares with.
#
#   scripts/rivals.sh fetch          makes sure that their programs are there
#   scripts/rivals.sh run ARGUMENTS  runs the built benchmark with a directory on tmpfs of its own
#
# A program that is not in PATH is taken out of its Debian package into .tools/rivals/. Nothing is
# installed: no service is started or enabled, no user is added, no root is needed, and `make clean`
# takes it away again.
set -eu
cd "$(dirname "$0")/.."

packages='prometheus victoria-metrics influxdb'
unpacked=$PWD/.tools/rivals
PATH=$PATH:$unpacked/usr/bin
export PATH

say() { printf 'rivals: %s\n' "$*"; }
fail() {
    printf 'rivals: %s\n' "$*" >&2
    exit 1
}

# program PACKAGE: the name of the server in it.
program() {
    case $1 in
    influxdb) echo influxd ;;
    *) echo "$1" ;;
    esac
}

have() { command -v "$(program "$1")" >/dev/null 2>&1; }

# version PACKAGE: of the unpacked package, or of the installed one where that comes first.
version() {
    case $(command -v "$(program "$1")") in
    "$unpacked"/*) cat "$unpacked/$1.version" ;;
    *) dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo 'of unknown version' ;;
    esac
}

# download PACKAGES...: the newest .deb of each into the scratch directory, checked by apt.
download() {
    # The unprivileged user that apt would rather download as may not write there.
    (cd "$scratch" && apt-get -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 download "$@") \
        >"$scratch/apt.log" 2>&1 </dev/null
}

fetch() {
    missing=
    for package in $packages; do
        have "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
        fail "not in PATH:$missing. They are taken from Debian packages, and this machine has no apt-get: put them into PATH, then run this again"
    fi
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    say "fetching$missing"
    # shellcheck disable=SC2086 # a list of package names
    if ! download $missing; then
        # The package lists may be missing or old; only root can renew them.
        if [ "$(id -u)" -eq 0 ]; then
            apt-get update >/dev/null 2>&1 </dev/null || true
        fi
        # shellcheck disable=SC2086 # a list of package names
        download $missing || {
            tail -n 5 "$scratch/apt.log" >&2
            fail "cannot download$missing (above): check the network, and as root: apt-get update. Debian 12 has all of them"
        }
    fi
    mkdir -p "$unpacked"
    # Ignores itself, in every checkout.
    echo '*' >.tools/.gitignore
    for deb in "$scratch"/*.deb; do
        dpkg-deb -x "$deb" "$unpacked"
        dpkg-deb -f "$deb" Version >"$unpacked/$(dpkg-deb -f "$deb" Package).version"
    done
    for package in $missing; do
        "$(program "$package")" --help >/dev/null 2>"$scratch/help" </dev/null || [ $? -eq 2 ] || {
            tail -n 2 "$scratch/help" >&2
            fail "$package does not run here (above): install it as root, without its service, then run this again"
        }
    done
}

run() {
    for package in $packages; do
        have "$package" || fail "$package is not there: scripts/rivals.sh fetch"
    done
    # Of the package victoria-metrics, as its server is.
    command -v vmagent >/dev/null 2>&1 || fail 'vmagent is not there: it is in the package victoria-metrics, scripts/rivals.sh fetch'
    [ -x target/release/bench-rivals ] || fail 'bench-rivals is not built: make bench-rivals'
    [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] || fail '/dev/shm is no tmpfs on this machine'
    data=$(mktemp -d /dev/shm/cairn-rivals.XXXXXX)
    trap 'rm -rf "$data"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    for package in $packages; do
        printf '# rival   %s %s\n' "$package" "$(version "$package")"
    done
    target/release/bench-rivals --dir "$data" "$@"
}

mode=${1:-}
case $mode in
fetch | run)
    shift
    "$mode" "$@"
    ;;
*)
    echo 'usage: scripts/rivals.sh fetch | run [ARGUMENTS]' >&2
    exit 64
    ;;
esac
