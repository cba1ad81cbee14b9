"""`hf-proxy service` with a real systemd of a user: installed, used, restarted, hung, removed."""

import json
import socket
import subprocess
from collections.abc import Iterator

import pytest
import user_manager
from fakehub import FakeHub
from daemon_fixture import PYTHON
from real_client import CANARY
from user_manager import UID, UserManager, until

SERVICE = "hf-proxy.service"
CONFIG = '[listen]\naddress = "127.0.0.1:0"\n[vault]\nbackend = "memory"\n'
UNITS = ".config/systemd/user"


@pytest.fixture
def manager() -> Iterator[UserManager]:
    reason = user_manager.missing()
    if reason:
        pytest.skip(reason)
    manager = UserManager(PYTHON)
    manager.must("mkdir", "-p", f"{manager.home}/.config/hf-proxy")
    configure(manager, CONFIG)
    yield manager
    manager.close()


def configure(manager: UserManager, text: str) -> None:
    manager.must("tee", f"{manager.home}/.config/hf-proxy/config.toml", stdin=text)


def install(manager: UserManager) -> str:
    done = manager.hfproxy("service", "install")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def status(manager: UserManager) -> dict[str, object]:
    done = manager.hfproxy("status", "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def shown(manager: UserManager, unit: str, name: str) -> str:
    return manager.must("systemctl", "--user", "show", f"--property={name}", "--value", unit).strip()


def files(manager: UserManager, below: str = ".config/systemd") -> list[str]:
    """What is there, links too, by its path below a directory of the home."""
    found = manager.run("find", f"{manager.home}/{below}", "!", "-type", "d", "-printf", "%P\n").stdout
    return sorted(found.splitlines())


INSTALLED = [
    "user/hf-proxy-data.socket",
    "user/hf-proxy.service",
    "user/hf-proxy.socket",
    "user/sockets.target.wants/hf-proxy-data.socket",
    "user/sockets.target.wants/hf-proxy.socket",
]


def test_it_is_installed_with_one_command_and_removed_with_another(manager: UserManager) -> None:
    """Its interpreter and its home have spaces, `%`, `$` and letters of all kinds in their paths."""
    said = install(manager)
    answer = status(manager)
    assert str(answer["endpoint"]) in said
    assert answer["pid"] == int(shown(manager, SERVICE, "MainPID"))
    assert files(manager) == INSTALLED
    told = manager.hfproxy("service", "status")
    assert (told.returncode, told.stdout.count("as installed, active")) == (0, 3), told.stdout + told.stderr
    gone = manager.hfproxy("service", "uninstall")
    assert gone.returncode == 0, gone.stderr
    assert f"{manager.home}/.local/state/hf-proxy/journal" in gone.stdout
    assert files(manager) == []
    assert "hf-proxy" not in manager.must(
        "systemctl", "--user", "list-units", "--all", "--type=service,socket", "--no-pager"
    )
    assert manager.hfproxy("status").returncode == 1
    assert not (manager.root / f"run/user/{UID}/hf-proxy").exists()
    assert manager.hfproxy("service", "uninstall").stdout == "hf-proxy is not installed as a service\n"
    manager.must("sh", "-c", gone.stdout.partition("to remove all: ")[2])
    assert manager.run("find", manager.home, "-name", "*hf-proxy*").stdout == ""


def test_installing_again_changes_nothing_and_cuts_nobody(manager: UserManager) -> None:
    install(manager)
    before = status(manager)
    units = [f"{manager.home}/.config/systemd/{name}" for name in INSTALLED]
    written = manager.must("stat", "--format=%n %Y %i", *units)
    install(manager)
    assert status(manager) == before
    assert manager.must("stat", "--format=%n %Y %i", *units) == written


def test_the_first_command_starts_it_and_a_request_does_too(manager: UserManager) -> None:
    install(manager)
    endpoint = str(status(manager)["endpoint"])
    for ask in (["status"], None):
        manager.must("systemctl", "--user", "stop", SERVICE)
        assert shown(manager, SERVICE, "ActiveState") == "inactive"
        if ask:
            assert manager.hfproxy(*ask).returncode == 0
        else:
            code = manager.must("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{endpoint}/api/models/a/b")
            assert code == "401"
        assert shown(manager, SERVICE, "ActiveState") == "active"


def test_it_sees_whose_connections_it_serves(manager: UserManager) -> None:
    """Another user is refused as such, and its namespaces are those of its user: nothing that it is under hides others."""
    install(manager)
    answer = status(manager)
    url = f"{answer['endpoint']}/api/models/a/b"
    ours = manager.must("curl", "-s", "-D", "-", "-o", "/dev/null", url)
    theirs = subprocess.run(["curl", "-s", "-D", "-", "-o", "/dev/null", url], capture_output=True, text=True).stdout
    assert "x-hf-proxy-refusal: no_credential" in ours.lower()
    assert "x-hf-proxy-refusal: peer" in theirs.lower()


def test_a_day_of_work_goes_on_under_the_restrictions_of_its_unit(manager: UserManager, hub: FakeHub) -> None:
    """A sealed vault made and opened, a token brought, a request through to the Hub; and again after a restart."""
    manager.must("tee", f"{manager.home}/ca.pem", stdin=hub.ca_path.read_text())
    upstream = f'[upstream]\nhub = "{hub.url}"\nca_file = "{manager.home}/ca.pem"\n'
    configure(manager, CONFIG.replace('"memory"', '"sealed-file"') + upstream)
    install(manager)

    def unlock() -> None:
        script = 'exec "$0" -I -m hfproxy unlock --passphrase-fd 3 3<<<"a passphrase of the test"'
        manager.must("bash", "-c", script, manager.python)

    def asked(minted: dict[str, str]) -> str:
        header = f"Authorization: Bearer {minted['credential']}"
        url = f"{minted['endpoint']}/api/models/me/secret-model"
        return manager.must("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, url)

    unlock()
    manager.must(manager.python, "-I", "-m", "hfproxy", "login", "--token-stdin", stdin=CANARY)
    minted = json.loads(manager.must(manager.python, "-I", "-m", "hfproxy", "mint", "--json"))
    assert asked(minted) == "200"
    manager.must("systemctl", "--user", "restart", SERVICE)
    unlock()
    assert asked(minted) == "200"


def test_a_daemon_that_hangs_is_started_again(manager: UserManager) -> None:
    """With a watchdog that is quicker than the one it is shipped with."""
    install(manager)
    manager.must("mkdir", f"{manager.home}/{UNITS}/{SERVICE}.d")
    manager.must("tee", f"{manager.home}/{UNITS}/{SERVICE}.d/quick.conf", stdin="[Service]\nWatchdogSec=3\n")
    manager.must("systemctl", "--user", "daemon-reload")
    manager.must("systemctl", "--user", "restart", SERVICE)
    first = status(manager)["pid"]
    manager.must("kill", "-STOP", str(first))
    until(lambda: shown(manager, SERVICE, "NRestarts") == "1")
    assert status(manager)["pid"] != first


def test_one_that_is_well_is_left_alone_however_long_it_runs(manager: UserManager) -> None:
    install(manager)
    manager.must("mkdir", f"{manager.home}/{UNITS}/{SERVICE}.d")
    manager.must("tee", f"{manager.home}/{UNITS}/{SERVICE}.d/quick.conf", stdin="[Service]\nWatchdogSec=3\n")
    manager.must("systemctl", "--user", "daemon-reload")
    manager.must("systemctl", "--user", "restart", SERVICE)
    heard = {shown(manager, SERVICE, "WatchdogTimestampMonotonic")}
    until(lambda: heard.add(shown(manager, SERVICE, "WatchdogTimestampMonotonic")) or len(heard) > 4)  # > 6 s
    assert shown(manager, SERVICE, "NRestarts") == "0"


def test_a_unit_that_was_changed_is_never_overwritten_nor_removed(manager: UserManager) -> None:
    install(manager)
    unit = f"{manager.home}/{UNITS}/{SERVICE}"
    manager.must("sed", "-i", "s/^UMask=.*/UMask=0027/", unit)
    changed = manager.must("cat", unit)
    for verb in ("install", "uninstall"):
        done = manager.hfproxy("service", verb)
        assert done.returncode == 1
        assert f"mv {unit} {unit}.old" in done.stderr
        assert manager.must("cat", unit) == changed
    manager.must("mv", unit, f"{unit}.old")
    install(manager)


def test_what_stood_there_before_is_not_ours_to_replace(manager: UserManager) -> None:
    """A unit written by hand, as it was done once, and a mask."""
    manager.must("mkdir", "-p", f"{manager.home}/{UNITS}")
    unit = f"{manager.home}/{UNITS}/hf-proxy.socket"
    manager.must("ln", "-s", "/dev/null", unit)
    done = manager.hfproxy("service", "install")
    assert (done.returncode, done.stdout) == (1, "")
    assert "was left alone" in done.stderr
    assert files(manager) == ["user/hf-proxy.socket"]


def test_a_daemon_that_cannot_start_leaves_nothing_behind(manager: UserManager) -> None:
    manager.must("mkdir", "-p", f"{manager.home}/.local/state/hf-proxy/grants/grants.sqlite")
    manager.must("chmod", "700", f"{manager.home}/.local/state/hf-proxy")
    done = manager.hfproxy("service", "install")
    assert (done.returncode, done.stdout) == (1, "")
    assert "journalctl --user -u hf-proxy.service" in done.stderr
    assert files(manager) == []
    assert "hf-proxy" not in manager.must(
        "systemctl", "--user", "list-units", "--all", "--type=service,socket", "--no-pager"
    )


def test_a_port_of_another_program_is_said_before_anything_is_written(manager: UserManager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configure(manager, CONFIG.replace(":0", f":{port}"))
        done = manager.hfproxy("service", "install")
    assert done.returncode == 1
    assert f"127.0.0.1:{port} is held by a program of uid 0" in done.stderr
    assert files(manager) == []


def test_another_port_in_the_config_is_taken_over_by_installing_again(manager: UserManager) -> None:
    install(manager)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configure(manager, CONFIG.replace(":0", f":{port}"))
    assert f"127.0.0.1:{port}" in install(manager)
    assert status(manager)["endpoint"] == f"http://127.0.0.1:{port}"


def test_without_a_systemd_of_the_user_it_says_what_to_do_and_writes_nothing(manager: UserManager) -> None:
    manager.must("mkdir", f"{manager.home}/elsewhere")
    done = manager.hfproxy("service", "install", env={"XDG_RUNTIME_DIR": f"{manager.home}/elsewhere"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "there is no systemd for your user" in done.stderr
    assert "hf-proxy daemon &" in done.stderr
    without = ["env", f"PATH={manager.home}/elsewhere", manager.python, "-I", "-m", "hfproxy"]
    none = manager.run(*without, "service", "install")
    assert "there is no systemd here" in none.stderr
    assert files(manager) == []
