#!/bin/sh
# Runs the tests of cgroups v2 (agent/tests/real_cgroups/v2.rs) on a kernel that has them: Debian's, in a
# virtual machine that qemu emulates in software, so that it needs no right and no processor for it.
#
# The machine is a kernel and an archive with busybox, the test program, the agent and their libraries;
# scripts/vm-init.sh is its first process. It has no network, and its disk is a file that is gone afterwards.
#
#   ALLOW_NO_CGROUP2=1    leaves it out, and says so
#   VM_SECONDS=480        how long it may take, s
#   VM_SHOW=1             prints the console also when all is well
set -eu
cd "$(dirname "$0")/.."

if [ "${ALLOW_NO_CGROUP2:-}" = 1 ]; then
    echo 'test-vm: SKIPPED, for ALLOW_NO_CGROUP2=1 is set: nothing of cgroups v2 was tested on a kernel that has them' >&2
    exit 0
fi

fail() {
    printf 'test-vm: %s\n' "$*" >&2
    exit 1
}

scripts/deps.sh vm ||
    fail 'what the virtual machine needs is missing (above); ALLOW_NO_CGROUP2=1 leaves it out, and cgroups v2 untested'
began=$(date +%s)
vm=$PWD/.tools/vm
scratch=$(mktemp -d)
qemu=
# A machine that is still there when this is ended goes with it.
trap '[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The same programs that `make test` builds: with features for the whole workspace, none is built twice.
# shellcheck disable=SC2086 # a list of arguments
${CARGO:-cargo} test ${CARGO_ARGS:-} --workspace --test real_cgroups --no-run --message-format=json >"$scratch/built" ||
    fail 'the tests could not be built (above)'
# built KIND NAME: the program that cargo made of this target.
built() {
    sed -n "/\"kind\":\\[\"$1\"\\].*\"name\":\"$2\"/s/.*\"executable\":\"\\([^\"]*\\)\".*/\\1/p" "$scratch/built" | tail -n 1
}
tests=$(built test real_cgroups)
agent=$(built bin cairn-agent)
[ -x "$tests" ] || fail 'cargo named no program of the tests real_cgroups'
[ -x "$agent" ] || fail 'cargo named no program of cairn-agent'
expected=$("$tests" v2:: --list --format=terse | grep -c ': test$') || fail "$tests has no test of v2"

# What is in the machine, one line a file.
root=$scratch/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp"
cp scripts/vm-init.sh "$root/init"
cp "$vm/busybox" "$root/bin/busybox"
for applet in $("$vm/busybox" --list | grep -Ex 'sh|mount|mke2fs|poweroff|uname|cat'); do
    ln -s busybox "$root/bin/$applet"
done
strip --strip-debug -o "$root/bin/real-cgroups" "$tests"
strip --strip-debug -o "$root/bin/cairn-agent" "$agent"
# Each where the program looks for it.
ldd "$tests" "$agent" | grep -o '/[^ ]*\.so[^ ]*' | sort -u | while IFS= read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
(cd "$root" && find . | "$vm/busybox" cpio -o -H newc) >"$scratch/root.cpio" 2>/dev/null
truncate -s 64M "$scratch/disk"

# Without -cpu max, libraries might want what the plain one lacks. Who runs this has no use for mitigations.
timeout --foreground "${VM_SECONDS:-480}" qemu-system-x86_64 -machine q35,accel=tcg -cpu max -smp 2 -m 512M \
    -nodefaults -no-reboot -display none -serial "file:$scratch/console" \
    -kernel "$vm/vmlinuz" -initrd "$scratch/root.cpio" \
    -append 'console=ttyS0 quiet loglevel=1 panic=-1 psi=1 mitigations=off' \
    -drive "file=$scratch/disk,format=raw,if=none,id=disk" -device nvme,drive=disk,serial=disk \
    </dev/null >"$scratch/qemu" 2>&1 &
qemu=$!
ended=0
wait "$qemu" || ended=$?
qemu=

touch "$scratch/console"
tr -d '\r' <"$scratch/console" >"$scratch/told"
bad() {
    cat "$scratch/qemu" "$scratch/told" >&2
    fail "$*: the machine's console is above"
}
[ "$ended" -ne 124 ] || bad "not done after ${VM_SECONDS:-480} s (VM_SECONDS=900 waits longer)"
[ "$ended" -eq 0 ] || bad "qemu ended with $ended"
# All of them ran, and none was left out: nothing less is a pass.
grep -q "^test result: ok\. $expected passed; 0 failed; 0 ignored; " "$scratch/told" || bad "not all $expected tests passed"
grep -qx 'vm: tests ended with 0' "$scratch/told" || bad 'the tests gave no verdict'
! grep -q SKIPPED "$scratch/told" || bad 'a test was left out'
[ "${VM_SHOW:-}" != 1 ] || cat "$scratch/told"
kernel=$(sed -n 's/^vm: \(Linux [^,]*\),.*/\1/p' "$scratch/told")
echo "test-vm: $expected tests passed on $kernel with cgroups v2, in $(($(date +%s) - began)) s"
