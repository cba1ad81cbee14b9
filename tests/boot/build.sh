#!/bin/bash
# A Debian to boot, with what the story in it needs: build.sh DIRECTORY. Needs root, debootstrap, and Debian's and Python's package indexes.
#
# /opt/hf-proxy is for the program as root would install it, /opt/stage for what plays the Hub and tells the story: run.sh puts
# the sources' own into both. /srv/index has all the packages that a new user may want: nothing is fetched from inside.
set -euo pipefail
root=$1
sources=$(cd "$(dirname "$0")/../.." && pwd)
debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,python3,python3-venv,ca-certificates,curl,procps,iproute2,git,gnome-keyring,libsecret-tools \
    bookworm "$root"
echo "127.0.0.1 localhost" >"$root/etc/hosts"
mkdir "$root/srv/index"
for pins in runtime test hub24; do
    cp "$sources/requirements/$pins.txt" "$root/srv/index/"
    "$sources/.venv/bin/python" -I -m pip --quiet --disable-pip-version-check download --dest "$root/srv/index" \
        --require-hashes --only-binary :all: --python-version 3.11 -r "$sources/requirements/$pins.txt"
done
cat >"$root/etc/pip.conf" <<'CONF'
[global]
no-index = true
find-links = /srv/index
disable-pip-version-check = true
CONF
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"; }  # with its own pip.conf, not ours
for environment in hf-proxy:runtime stage:test; do
    inside python3 -m venv "/opt/${environment%:*}"
    inside "/opt/${environment%:*}/bin/pip" --quiet install --require-hashes -r "/srv/index/${environment#*:}.txt"
done
for user in ada eve hub; do
    inside useradd --create-home --shell /bin/bash "$user"
done
mkdir -p "$root/var/lib/systemd/linger"
touch "$root/var/lib/systemd/linger/ada"
