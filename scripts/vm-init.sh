#!/bin/sh
# The first process of the virtual machine of scripts/test-vm.sh: mounts what a node has, runs the tests of
# cgroups v2 once, says how they ended, and turns the machine off. busybox is all there is besides.
export PATH=/bin

# Whatever fails, the host sees no verdict, and waits no longer than it must.
trap 'poweroff -f' EXIT

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# A file system on a disk, past whose cache can be written.
mke2fs /dev/nvme0n1 >/dev/null && mount -t ext4 /dev/nvme0n1 /tmp || exit 1

echo "vm: Linux $(uname -r), controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
# One after the other: all of them make the pods of the one tree.
CAIRN_TEST_VM=1 CAIRN_TEST_AGENT=/bin/cairn-agent /bin/real-cgroups v2:: --test-threads=1 --nocapture
echo "vm: tests ended with $?"
