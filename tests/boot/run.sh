#!/bin/bash
# Boots a Debian with its own systemd and plays in it: `hf-proxy service`, for a user and for the machine, and the first ten
# minutes of a new user: run.sh DIRECTORY.
# The directory is made by build.sh, if it is not there. Needs root, systemd-nspawn (Debian: systemd-container) and debootstrap.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$1
[ -d "$root" ] || "$here/build.sh" "$root"
install -m 755 "$here/inside.sh" "$root/root/inside.sh"
# What a new user has got hold of: the wheel, and the pins.
sources=$here/../..
rm -rf "$root/srv/download" "$root/opt/stage/tests"
mkdir "$root/srv/download" "$root/opt/stage/tests"
cp "$sources/requirements/runtime.txt" "$root/srv/download/"
"$sources/.venvs/lint/bin/python" -I -m pip --quiet --disable-pip-version-check wheel --no-deps --no-build-isolation \
    --wheel-dir "$root/srv/download" "$sources"
for environment in hf-proxy stage; do
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" sh -c \
        "/opt/$environment/bin/pip --quiet install --no-deps --force-reinstall /srv/download/hf_proxy-*.whl"
done
cp -r "$here" "$here/../support" "$root/opt/stage/tests/"
cat >"$root/etc/systemd/system/hub.service" <<'UNIT'
[Service]
Type=exec
User=hub
Environment=PYTHONPATH=/opt/stage/tests/support
ExecStart=/opt/stage/bin/python -m fakehub --keep
StandardOutput=truncate:/srv/hub.json
UNIT
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
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# nspawn keeps the kernel's keys from its machines, since they are not told apart; ours may have them, for `unlock --keep`.
# What is written in it is gone with it. A machine whose own first process is no systemd has control groups of the old kind, or
# none for us: one of the new, in a namespace of mounts of ours. And its /run is what nspawn looks at.
unshare --mount --propagation private bash -c '
    umount -l /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
    group=/sys/fs/cgroup/hf-proxy-boot-$$
    mkdir "$group"
    mount -t tmpfs -o mode=755 none /run
    mkdir -p /run/systemd/system
    (echo 0 >"$group/cgroup.procs"; exec timeout --signal=KILL 900 systemd-nspawn --quiet --register=no --keep-unit \
        --system-call-filter="add_key keyctl request_key" --private-network --boot --machine=hf-proxy-boot \
        --directory="$1" --volatile=overlay --bind="$2:/root/inside.log" --console=pipe) </dev/null >/dev/null 2>&1 || true
    echo 1 >"$group/cgroup.kill"
    sleep 1
    find "$group" -depth -type d -exec rmdir {} +
' - "$root" "$log"
cat "$log"
[ "$(tail -n 1 "$log")" = "ALL OK" ]
