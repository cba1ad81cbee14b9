#!/bin/bash
# A Debian to boot, with hf-proxy in it: build.sh DIRECTORY. Needs root, debootstrap, and Debian's and Python's package indexes.
set -euo pipefail
root=$1
sources=$(cd "$(dirname "$0")/../.." && pwd)
debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,python3,python3-venv,ca-certificates,curl,procps \
    bookworm "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$sources/.venvs/lint/bin/python" -I -m pip --quiet --disable-pip-version-check wheel --no-deps --no-build-isolation \
    --wheel-dir "$work" "$sources"
# The same version of Python fetches, the booted one's own; nothing is fetched from inside.
"$sources/.venv/bin/python" -I -m pip --quiet --disable-pip-version-check download --dest "$work" \
    --require-hashes --only-binary :all: --python-version 3.11 -r "$sources/requirements/runtime.txt"
mkdir "$root/wheels"
cp "$work"/*.whl "$root/wheels/"
chroot "$root" python3 -m venv /opt/hf-proxy
chroot "$root" /opt/hf-proxy/bin/python -m pip --quiet install --no-index --no-deps --find-links /wheels $(ls "$root/wheels" | sed 's#^#/wheels/#')
rm -r "$root/wheels"
chroot "$root" useradd --create-home --shell /bin/bash ada
chroot "$root" useradd --create-home --shell /bin/bash eve
mkdir -p "$root/var/lib/systemd/linger"
touch "$root/var/lib/systemd/linger/ada"
