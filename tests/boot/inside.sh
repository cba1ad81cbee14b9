#!/bin/bash
# Runs within the booted machine, as root, when it is up. Says "ok: WHAT" for each thing that holds; ends at the first that does not.
set -Eeuo pipefail
trap 'echo "FAILED at line $LINENO: $BASH_COMMAND"; journalctl --no-pager -n 30 -u hf-proxy.service' ERR
trap 'systemctl poweroff' EXIT
hf=/opt/hf-proxy/bin/hf-proxy
as() { runuser -u "$1" -- env HOME="/home/$1" XDG_RUNTIME_DIR="/run/user/$(id -u "$1")" "${@:2}"; }
ok() { echo "ok: $*"; }
refusal() { curl -s -o /dev/null -D - "$1/api/models/a/b" | tr -d '\r' | sed -n 's/^x-hf-proxy-refusal: //Ip'; }

ok "booted: $(systemctl --version | head -n 1), $(systemctl is-system-running --wait || true)"
# The Hub of this machine: another user's, on loopback.
systemctl start hub.service
until [ -s /srv/hub.json ]; do sleep 0.1; done
of_hub() { /opt/stage/bin/python -c 'import json, sys; print(json.load(open("/srv/hub.json"))[sys.argv[1]])' "$1"; }
install -m 644 "$(of_hub ca_path)" /srv/hub-ca.pem

# --- the user's service
until [ -S "/run/user/$(id -u ada)/systemd/private" ]; do sleep 0.2; done
as ada mkdir -p /home/ada/.config/hf-proxy
as ada tee /home/ada/.config/hf-proxy/config.toml >/dev/null <<<'[vault]
backend = "memory"'
as ada "$hf" service install
as ada "$hf" service status
pid=$(as ada systemctl --user show --property=MainPID --value hf-proxy.service)
[ "$(as ada "$hf" status --json | sed 's/.*"pid": \([0-9]*\).*/\1/')" = "$pid" ]
[ "$(as ada curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:4880/api/models/a/b)" = 401 ]
[ "$(refusal http://127.0.0.1:4880)" = peer ]
ok "user: installed, answers its user, refuses root as another user"
for _ in $(seq 10); do
    as ada systemctl --user reset-failed hf-proxy.service  # more starts in ten seconds than systemd takes for sane
    as ada systemctl --user restart hf-proxy.service &
    for _ in $(seq 10); do
        [ "$(as ada curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:4880/api/models/a/b)" = 401 ]
    done
    wait $!
done
ok "user: 10 restarts, 100 connections meanwhile, none refused"
as ada "$hf" service uninstall
[ -z "$(find /home/ada/.config/systemd ! -type d)" ]
ok "user: nothing of it is left"

# --- under a user of its own
mkdir -p /etc/hf-proxy
echo '[vault]
backend = "memory"' >/etc/hf-proxy/config.toml
"$hf" service --system install
"$hf" service --system status
[ "$(stat -c '%U %G %a' /run/hf-proxy)" = "hf-proxy hf-proxy 750" ]
[ "$(stat -c '%U %G %a' /run/hf-proxy/control.sock)" = "hf-proxy hf-proxy 660" ]
[ "$(stat -c '%U %G %a' /var/lib/hf-proxy)" = "hf-proxy hf-proxy 700" ]
[ "$(ps -o user= -p "$(systemctl show --property=MainPID --value hf-proxy.service)")" = hf-proxy ]
ok "system: installed, runs as hf-proxy"
usermod --append --groups hf-proxy ada
as ada env HFPROXY_RUNTIME_DIR=/run/hf-proxy "$hf" status
ok "system: a member of the group is answered"
if as eve env HFPROXY_RUNTIME_DIR=/run/hf-proxy "$hf" status; then false; fi
ok "system: who is no member is not"
systemctl stop hf-proxy.service
as ada env HFPROXY_RUNTIME_DIR=/run/hf-proxy "$hf" status
ok "system: the first command starts it"
pid=$(systemctl show --property=MainPID --value hf-proxy.service)
if as ada cat "/proc/$pid/environ" >/dev/null 2>&1; then false; fi
if as ada cat /var/lib/hf-proxy/daemon.lock >/dev/null 2>&1; then false; fi
ok "system: its process and its files are closed to the members"
# A vault under a passphrase, and somebody's token in it; then the passphrase as a credential that lies encrypted on disk.
member() { as ada env HFPROXY_RUNTIME_DIR=/run/hf-proxy "$@"; }
locked() { member "$hf" status --json | grep -o '"locked": [a-z]*'; }
echo "[upstream]
hub = \"$(of_hub url)\"
ca_file = \"/srv/hub-ca.pem\"
[vault]
backend = \"sealed-file\"" >/etc/hf-proxy/config.toml
systemctl restart hf-proxy.service
token=$(PYTHONPATH=/opt/stage/tests/support /opt/stage/bin/python -c 'import canary; print(canary.made_up())')
hub() { curl -sf --json @- "$(of_hub control_url)/call" >/dev/null; }
hub <<<"{\"method\": \"add_user\", \"args\": [\"ada\", \"$token\"]}"
hub <<<'{"method": "add_repo", "args": ["model", "ada/private"], "kwargs": {"private": true}}'
member "$hf" unlock --passphrase-fd 3 3<<<'a passphrase of the test'
member "$hf" login --token-stdin <<<"$token"
systemctl restart hf-proxy.service
[ "$(locked)" = '"locked": true' ]
ok "system: the vault is a sealed file, and locked after a restart"
printf 'a passphrase of the test' | systemd-creds encrypt --with-key=host --name=hf-proxy-passphrase - /tmp/credential
install -D -m 600 /tmp/credential /etc/credstore.encrypted/hf-proxy-passphrase
systemctl restart hf-proxy.service
[ "$(locked)" = '"locked": false' ]
member "$hf" exec -- bash -c 'curl -sf -o /dev/null -H "Authorization: Bearer $HF_TOKEN" "$HF_ENDPOINT/api/models/ada/private"'
ok "system: with the passphrase as an encrypted credential it opens by itself, and the token in it is used"
pid=$(systemctl show --property=MainPID --value hf-proxy.service)
kill -STOP "$pid"
ok "system: $(systemctl show --property=WatchdogUSec hf-proxy.service), stopped by hand"
until [ "$(systemctl show --property=NRestarts --value hf-proxy.service)" = 1 ]; do sleep 0.5; done
as ada env HFPROXY_RUNTIME_DIR=/run/hf-proxy "$hf" status
ok "system: the watchdog started it again"
"$hf" service --system uninstall | tee /tmp/uninstalled
[ ! -e /run/hf-proxy ]
[ -z "$(find /etc/systemd /etc/tmpfiles.d /etc/sysusers.d -name '*hf-proxy*')" ]
[ -d /var/lib/hf-proxy/journal ]
ok "system: nothing of it is left but its journal and its vault"
eval "$(sed -n 's/.*to remove all: //p' /tmp/uninstalled)"
if id hf-proxy 2>/dev/null || [ -e /var/lib/hf-proxy ]; then false; fi
ok "system: and these neither, with the command that it named"

# --- the first ten minutes
useradd --create-home --shell /bin/bash grace
su --login grace --command "PYTHONPATH=/opt/stage/tests/support /opt/stage/bin/python -B /opt/stage/tests/boot/first_ten_minutes.py /srv/hub.json /srv/hub-ca.pem"
echo ALL OK
