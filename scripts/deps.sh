#!/bin/sh
# Makes sure that everything outside of cargo that a build needs is there.
#
#   scripts/deps.sh run     to build and run: C compiler, Node.js with npm, curl; npm packages of the page
#   scripts/deps.sh test    the same, and Python with pip, openssl, Chromium and a font for the tests, valgrind for counting
#                           instructions; npm packages of the browser test, and from PyPI what
#                           scripts/python/requirements.txt names, kubectl among it; Debian's kubectl beside it,
#                           unpacked into .tools/kubectl-debian/ and not installed
#   scripts/deps.sh vm      for scripts/test-vm.sh alone: C compiler, qemu; Debian's kernel and busybox, which are
#                           unpacked into .tools/vm/ and not installed
#
# Missing Debian packages are installed when this runs as root; otherwise it prints what to install
# and ends with 1. Where the Node.js found is too old (Debian 12), npm puts the one that
# scripts/node/package-lock.json names into .tools/, which needs no root and touches nothing else. What
# comes from PyPI is put into .tools/ too.
# Says nothing when there is nothing to do.
set -eu
cd "$(dirname "$0")/.."

# A newer Node.js where the machine's own was too old, and kubectl; make and the other scripts do the same.
PATH=$PWD/.tools/bin:$PATH
export PATH
# Debian's Node.js trusts the system's certificates, other builds only their own list: with these as
# well, all of them reach npm's registry through whatever the machine trusts.
certificates=/etc/ssl/certs/ca-certificates.crt
NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-$certificates}
export NODE_EXTRA_CA_CERTS

# What the page's build tool asks for; aggregator/web/package.json says the same.
node_wanted='20.19 (or 22.12 of a later line)'

mode=${1:-run}
case $mode in
run | test | vm) ;;
*)
    echo "usage: scripts/deps.sh [run|test|vm]" >&2
    exit 64
    ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf 'deps: %s\n' "$*"; }
fail() {
    printf 'deps: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# version_ok VERSION MAJOR MINOR: is VERSION (1.2.3, v1.2.3, 1.2.3+deb1) at least MAJOR.MINOR?
version_ok() {
    version=${1#v}
    major=${version%%.*}
    rest=${version#*.}
    minor=${rest%%[!0-9]*}
    case $major in '' | *[!0-9]*) return 1 ;; esac
    [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "${minor:-0}" -ge "$3" ]; }
}

# node_version_ok VERSION: the early releases of the 21 and 22 lines lack what 20.19 has.
node_version_ok() {
    case ${1#v} in
    20.*) version_ok "$1" 20 19 ;;
    *) version_ok "$1" 22 12 ;;
    esac
}

node_ok() { have node && node_version_ok "$(node --version 2>/dev/null || echo 0.0)"; }

# A compiler without its libc headers is of no use, so a program is built to find out.
compiler_ok() {
    have cc || return 1
    printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' >"$scratch/probe.c"
    cc -o "$scratch/probe" "$scratch/probe.c" >/dev/null 2>&1
}

node_too_old() {
    fail "the page needs Node.js $node_wanted, the node first in PATH is $(node --version 2>/dev/null || echo missing),
deps: and npm has none for $(uname -m). Use Debian 13 or newer, or put the bin directory of a newer build
deps: first in PATH, then run this again"
}

missing_packages() {
    compiler_ok || printf 'gcc libc6-dev '
    if [ "$mode" = vm ]; then
        have qemu-system-x86_64 || printf 'qemu-system-x86 '
        return 0
    fi
    have curl || printf 'curl '
    # Node.js of Debian trusts the system's certificates only.
    [ -e "$certificates" ] || printf 'ca-certificates '
    [ "$mode" = test ] || return 0
    have python3 || printf 'python3 '
    have openssl || printf 'openssl '
    python3 -m pip --version >/dev/null 2>&1 || printf 'python3-pip '
    [ -x "${CAIRN_CHROMIUM:-/usr/bin/chromium}" ] || printf 'chromium '
    [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || printf 'fonts-dejavu-core '
    # A developer is not kept from testing by it: scripts/check-instructions.sh says that it is missing.
    have valgrind || { [ "$(id -u)" -ne 0 ] && [ -z "${CI:-}" ]; } || printf 'valgrind '
}

# apt LABEL ARGUMENTS...: one apt-get call; shows its output only when it fails.
apt() {
    label=$1
    shift
    say "$label"
    began=$(date +%s)
    if ! DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" \
        >"$scratch/apt.log" 2>&1 </dev/null; then
        tail -n 20 "$scratch/apt.log" >&2
        fail "apt-get failed (above): check the network and /etc/apt/sources.list, then run this again"
    fi
    say "done in $(($(date +%s) - began)) s"
}

# The virtual machine needs no Node.js, so it is never missing there.
node_there() { [ "$mode" = vm ] || have node; }
npm_there() { [ "$mode" = vm ] || have npm; }

are_lists_new=
install_packages() {
    packages=$(missing_packages)
    node_there || packages="${packages}nodejs "
    if [ -z "$packages" ] && npm_there; then
        return 0
    fi
    if ! have apt-get || [ "$(id -u)" -ne 0 ]; then
        npm_there || packages="${packages}npm "
        fail "missing on this machine. As root: apt-get update && apt-get install -y --no-install-recommends ${packages% }"
    fi
    apt "updating the package lists" update
    are_lists_new=yes
    if [ -n "$packages" ]; then
        # shellcheck disable=SC2086 # a list of package names
        apt "installing ${packages% }" install -y --no-install-recommends $packages
    fi
    # Some builds of nodejs bring npm along and conflict with Debian's, so this one comes after.
    npm_there || apt "installing npm" install -y --no-install-recommends npm
    left=$(missing_packages)
    [ -z "$left" ] || fail "still missing after the installation: ${left% }"
}

# tools_directory NAME: makes .tools/NAME.
tools_directory() {
    mkdir -p ".tools/$1"
    # Ignores itself, in every checkout.
    echo '*' >.tools/.gitignore
}

# A newer Node.js below .tools/ when the machine's own is too old. The npm packages used here are
# nothing but the node binary of one architecture each; npm itself stays the machine's.
newer_node() {
    ! node_ok || return 0
    say "Node.js is $(node --version 2>/dev/null || echo broken), and $node_wanted is needed: installing a newer one into .tools"
    began=$(date +%s)
    rm -rf .tools/bin/node .tools/node_modules
    tools_directory bin
    cp scripts/node/package.json scripts/node/package-lock.json .tools/
    npm_ci .tools
    # Not left to npm's own links: Debian 12's npm makes none for these packages.
    for node in .tools/node_modules/node-linux-*/bin/node; do
        [ ! -x "$node" ] || ln -sf "../${node#.tools/}" .tools/bin/node
    done
    # The shell remembers where it found the old one.
    hash -r
    node_ok || node_too_old
    say "done in $(($(date +%s) - began)) s"
}

check_cargo() {
    have cargo || fail "cargo is missing: install Rust from https://rustup.rs, then run this again"
    wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    found=$(cargo --version | cut -d' ' -f2)
    minor=${wanted#*.}
    version_ok "$found" "${wanted%%.*}" "${minor%%.*}" ||
        fail "cargo is $found, and $wanted is needed: install Rust from https://rustup.rs, which reads rust-toolchain.toml"
}

# npm_ci DIRECTORY: exactly what its lock file says, checked against the hashes in there.
npm_ci() {
    (cd "$1" && npm ci --no-audit --no-fund --loglevel=error) >"$scratch/npm.log" 2>&1 </dev/null || {
        tail -n 20 "$scratch/npm.log" >&2
        fail "npm ci failed in $1 (above): check the network and npm's registry setting, then run this again"
    }
}

# npm_packages DIRECTORY: installs what its lock file says, once per content of the lock file.
npm_packages() {
    [ -f "$1/package-lock.json" ] || fail "$1/package-lock.json is missing: is the checkout complete?"
    stamp=$1/node_modules/.cairn-lock
    key="$(node --version) $(sha256sum <"$1/package-lock.json")"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ]; then
        return 0
    fi
    say "installing the npm packages of $1"
    began=$(date +%s)
    npm_ci "$1"
    printf '%s\n' "$key" >"$stamp"
    say "done in $(($(date +%s) - began)) s"
}

# unpack PACKAGE DIRECTORY...: what a Debian package has below these, into the scratch directory.
unpack() {
    package=$1
    shift
    dpkg-deb --fsys-tarfile "$scratch/$package"_*.deb | tar -x -C "$scratch" --wildcards "$@" ||
        fail "Debian's package $package has not what was expected: $*"
}

# The kernel and the programs of the virtual machine, once. Nothing of it becomes part of this machine.
vm_files() {
    if [ -x .tools/vm/busybox ] && [ -e .tools/vm/vmlinuz ]; then
        return 0
    fi
    if ! have apt-get || ! have dpkg-deb; then
        fail "the kernel of the virtual machine comes from Debian's archive, and apt-get or dpkg-deb is missing"
    fi
    # The archive keeps no kernel that was replaced, so old lists name one that is gone.
    if [ "$(id -u)" -eq 0 ] && [ -z "$are_lists_new" ]; then
        apt "updating the package lists" update
    fi
    kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$kernel" ] || fail "the package lists have no linux-image-cloud-amd64: check that /etc/apt/sources.list is of Debian
deps: for amd64. As root: apt-get update"
    tools_directory vm
    here=$PWD
    cd "$scratch"
    # Downloaded as whoever runs this: apt's own user may not write here.
    apt "downloading $kernel and busybox-static" -o APT::Sandbox::User=root download "$kernel" busybox-static
    cd "$here"
    unpack "$kernel" './boot/vmlinuz-*'
    unpack busybox-static '*/bin/busybox'
    mv "$scratch"/boot/vmlinuz-* .tools/vm/vmlinuz
    find "$scratch" -type f -path '*/bin/busybox' -exec mv {} .tools/vm/busybox ';'
    [ -x .tools/vm/busybox ] || fail "Debian's package busybox-static has no busybox that can be run"
}

# What the tests take from PyPI, once per content of the list and version of Python. With --target nothing of
# it becomes part of the machine's Python, so Debian's accepts it without a virtual environment.
python_packages() {
    wanted=scripts/python/requirements.txt
    stamp=.tools/python/.cairn-lock
    key="$(python3 -c 'import platform; print(platform.python_version(), platform.machine())') $(sha256sum <$wanted)"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ] && [ -x .tools/bin/kubectl ]; then
        return 0
    fi
    say "installing from PyPI what $wanted names"
    began=$(date +%s)
    rm -rf .tools/python
    tools_directory bin
    python3 -m pip install --target .tools/python --require-hashes --no-deps --only-binary :all: --no-compile \
        --no-input --disable-pip-version-check --quiet --requirement $wanted >"$scratch/pip.log" 2>&1 </dev/null || {
        tail -n 20 "$scratch/pip.log" >&2
        fail "pip failed (above): check the network and pip's index setting (python3 -m pip config list), then run this again"
    }
    ln -sf ../python/bin/kubectl .tools/bin/kubectl
    .tools/bin/kubectl version --client >/dev/null 2>&1 ||
        fail "the kubectl that pip installed into .tools/python/bin does not run on this $(uname -m)"
    printf '%s\n' "$key" >"$stamp"
    say "done in $(($(date +%s) - began)) s"
}

# download PACKAGE: Debian's, into the scratch directory, checked by apt.
download() {
    # Downloaded as whoever runs this: apt's own user may not write here.
    (cd "$scratch" && apt-get -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 download "$1") \
        >"$scratch/apt.log" 2>&1 </dev/null
}

# Debian's kubectl, which is years older than the one of PyPI, once. It is unpacked and not installed.
debians_kubectl() {
    if [ -x .tools/kubectl-debian/usr/bin/kubectl ]; then
        return 0
    fi
    if ! have apt-get || ! have dpkg-deb; then
        fail "the older kubectl of the tests comes from Debian's package kubernetes-client, and apt-get or dpkg-deb is missing"
    fi
    say "unpacking Debian's kubernetes-client into .tools"
    began=$(date +%s)
    if ! download kubernetes-client; then
        # The package lists may be missing or old; only root can renew them.
        if [ "$(id -u)" -eq 0 ]; then
            apt "updating the package lists" update
        fi
        download kubernetes-client || {
            tail -n 5 "$scratch/apt.log" >&2
            fail "cannot download kubernetes-client (above): check the network, and as root: apt-get update"
        }
    fi
    tools_directory kubectl-debian
    dpkg-deb -x "$scratch"/kubernetes-client_*.deb .tools/kubectl-debian
    .tools/kubectl-debian/usr/bin/kubectl version --client >/dev/null 2>&1 || {
        rm -rf .tools/kubectl-debian
        fail "the kubectl of Debian's kubernetes-client does not run on this $(uname -m)"
    }
    say "done in $(($(date +%s) - began)) s"
}

check_cargo
if [ "$mode" = vm ]; then
    [ "$(uname -m)" = x86_64 ] || fail "the virtual machine is one of x86_64, whose programs this $(uname -m) does not build"
    install_packages
    vm_files
    exit 0
fi
install_packages
newer_node
npm_packages aggregator/web
if [ "$mode" = test ]; then
    npm_packages tests/browser
    python_packages
    debians_kubectl
fi
