#!/bin/bash
# Boots a Debian with its own systemd and plays `hf-proxy service` in it, for a user and for the machine: run.sh DIRECTORY.
# The directory is made by build.sh, if it is not there. Needs root, systemd-nspawn (Debian: systemd-container) and debootstrap.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$1
[ -d "$root" ] || "$here/build.sh" "$root"
install -m 755 "$here/inside.sh" "$root/root/inside.sh"
cat >"$root/etc/systemd/system/inside.service" <<'UNIT'
[Service]
Type=exec
ExecStart=/root/inside.sh
StandardOutput=file:/root/inside.log
StandardError=inherit
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../inside.service "$root/etc/systemd/system/multi-user.target.wants/inside.service"
rm -f "$root/root/inside.log"
# A machine whose own first process is no systemd has control groups of the old kind, or none for us: one of the new, in a
# namespace of mounts of ours. And its /run is what nspawn looks at.
unshare --mount --propagation private bash -c '
    umount -l /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
    group=/sys/fs/cgroup/hf-proxy-boot-$$
    mkdir "$group"
    mount -t tmpfs -o mode=755 none /run
    mkdir -p /run/systemd/system
    (echo 0 >"$group/cgroup.procs"; exec timeout --signal=KILL 300 systemd-nspawn --quiet --register=no --keep-unit \
        --private-network --boot --machine=hf-proxy-boot --directory="$1" --console=pipe) </dev/null >/dev/null 2>&1 || true
    sleep 1
    find "$group" -depth -type d -exec rmdir {} +
' - "$root"
cat "$root/root/inside.log"
[ "$(tail -n 1 "$root/root/inside.log")" = "ALL OK" ]
