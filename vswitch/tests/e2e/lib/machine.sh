#!/bin/sh
# Becomes a small Debian machine: systemd as the first process of namespaces of its own.
#
#   machine.sh ROOT SCRATCH CGROUP DEBS
#
# ROOT is a Debian tree, or several, the first above the others, which stay as they are: what is written goes to SCRATCH, an empty folder. CGROUP is a
# folder of the unified hierarchy. DEBS keeps the packages that apt fetches. Called by machine.py in
# `unshare --mount --pid --ipc --uts --fork`, in a network namespace of the test's.
set -e
root=$1 scratch=$2 cgroup=$3 debs=$4

mount --make-rprivate /
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/root"
cd "$scratch/root"

mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/pts dev/shm
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mknod -m 666 dev/net/tun c 10 200
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
# This network namespace's interfaces are in it.
mount -t sysfs sysfs sys
mount -t bpf bpf sys/fs/bpf
mount --bind "$debs" var/cache/apt/archives

# Its own part of the hierarchy, as a container has it.
echo $$ >"$cgroup/cgroup.procs"
exec unshare --cgroup sh -ec '
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    exec chroot . env -i container=e2e PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
        --unit=multi-user.target --show-status=no --log-target=journal'
