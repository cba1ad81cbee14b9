"""It works where things are not as on a desktop: it does its work, or says in one line what it needs instead."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fakehub import FakeHub
from daemon_fixture import HFPROXY, DaemonFixture
from real_client import CANARY
from system_users import UserDaemon, SystemUsers, User, needs_root
from wire_client import ask, bearer

pytestmark = pytest.mark.needs("useradd", "userdel", "unshare", "setpriv")
WITHOUT_LOCKS = Path(__file__).parents[2] / "support" / "without_locks.py"
INFO = "/api/models/me/secret-model"
# What a client does with what it was given.
READ = f"""
import os, urllib.request
headers = {{"Authorization": "Bearer " + os.environ["HF_TOKEN"]}}
print(urllib.request.urlopen(urllib.request.Request(os.environ["HF_ENDPOINT"] + "{INFO}", headers=headers)).status)
"""
UNKNOWN = 2**31 - 9  # no user has this uid


@pytest.fixture(scope="module")
def system_users() -> Iterator[SystemUsers]:
    needs_root()
    system_users = SystemUsers()
    yield system_users
    system_users.close()


@pytest.fixture(scope="module")
def user(system_users: SystemUsers) -> User:
    return system_users.user("guest")


@pytest.fixture
def user_daemon(system_users: SystemUsers, user: User, hub: FakeHub) -> Iterator[UserDaemon]:
    """A user's directories; the daemon is not started yet."""
    user_daemon = UserDaemon(system_users, user, hub.url, hub.ca_path, "memory")
    yield user_daemon
    user_daemon.stop()
    shutil.rmtree(user_daemon.root)


def one_line(done: "subprocess.CompletedProcess[str]", code: int = 1) -> str:
    """It failed, and said so in one line."""
    assert (done.returncode, done.stdout) == (code, ""), done
    assert done.stderr.startswith("hf-proxy: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def reads(daemon: DaemonFixture, **options: Any) -> int:
    """What a private model's metadata answers to a fresh credential."""
    minted = json.loads(daemon.must("mint", "--json", "--scope", "read:me/*", **options))
    return ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"])).status


class TestAReadOnlyHome:
    """A real one: a mount that nothing can be written to."""

    @pytest.fixture
    def read_only(self, system_users: SystemUsers, user: User) -> list[str]:
        """What to begin a command with."""
        become = f"setpriv --reuid {user.name} --regid {user.name} --init-groups --"
        script = f'mount --bind {user.home} {user.home} && mount -o remount,ro,bind {user.home} && exec {become} "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh"]

    def run(self, read_only: Sequence[str], user_daemon: UserDaemon, *words: str, **env: str) -> Any:
        kept = {name: value for name, value in user_daemon.env.items() if not name.startswith("HFPROXY_")}
        command = [*read_only, *user_daemon.hfproxy, *words]
        return subprocess.run(command, env=kept | env, cwd="/", capture_output=True, text=True, timeout=60)

    def test_the_daemon_says_what_it_needs_and_doctor_as_well(
        self, read_only: list[str], user_daemon: UserDaemon, user: User
    ) -> None:
        said = one_line(self.run(read_only, user_daemon, "daemon"))
        assert "Read-only file system" in said
        assert "HFPROXY_STATE_DIR" in said
        report = json.loads(self.run(read_only, user_daemon, "doctor", "--json").stdout)
        (disk,) = [one for one in report["findings"] if one["check"] == "disk"]
        assert disk["severity"] == "problem"
        assert disk["fix"].startswith("export HFPROXY_STATE_DIR=")

    def test_with_its_state_elsewhere_all_works(
        self, system_users: SystemUsers, read_only: list[str], user_daemon: UserDaemon, user: User
    ) -> None:
        elsewhere = user.owns(Path(shutil.copytree(user_daemon.root, system_users.root / "elsewhere")))
        user_daemon.config, user_daemon.state, user_daemon.runtime = (
            elsewhere / name for name in ("config", "state", "run")
        )
        user_daemon.log = system_users.root / "daemon.log"
        nobody_else = {"user": None, "group": None, "extra_groups": None, "cwd": "/"}
        user_daemon.start(before=read_only, **nobody_else)
        user_daemon.login(CANARY)
        places = {name: value for name, value in user_daemon.env.items() if name.startswith("HFPROXY_")}
        script = [str(system_users.python), "-I", "-c", "import os; open(os.environ['HOME'] + '/x', 'w')"]
        assert "Read-only" in self.run(read_only, user_daemon, "exec", "--", *script, **places).stderr
        script[-1] = READ
        done = self.run(read_only, user_daemon, "exec", "--scope", "read:me/*", "--", *script, **places)
        assert (done.returncode, done.stdout) == (0, "200\n"), done
        user_daemon.stop()
        shutil.rmtree(elsewhere)


def test_a_home_without_locks_is_named(tmp_path: Path, hub: FakeHub) -> None:
    """Two daemons on one state would spoil it, so there is none; and it is not said that one is running."""
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    command = [sys.executable, str(WITHOUT_LOCKS), *HFPROXY, "daemon"]
    done = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=60)
    said = one_line(done)
    assert "no file can be locked (No locks available)" in said
    assert "set HFPROXY_STATE_DIR to a directory on a local disk" in said


def test_the_command_line_needs_no_locks(daemon: DaemonFixture) -> None:
    """The home is on the server; the daemon's state is not."""
    command = [sys.executable, str(WITHOUT_LOCKS), *HFPROXY, "exec", "--", "sh", "-c", "echo $HF_ENDPOINT"]
    done = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == daemon.status()["endpoint"]


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose own name takes little of the 108 bytes that a socket's may have (unix(7))."""
    with TemporaryDirectory(dir="/tmp") as short:
        yield Path(short)


@pytest.mark.needs("git")
def test_blanks_quotes_and_letters_of_all_kinds_in_paths(hub: FakeHub, short: Path) -> None:
    daemon = DaemonFixture(short / "Ein Haus, 'grün' \"家\" $HOME", hub.url, hub.ca_path)
    daemon.start()
    daemon.login(CANARY)
    assert reads(daemon) == 200
    script = "GIT_LFS_SKIP_SMUDGE=1 git clone --quiet https://huggingface.co/me/secret-model 'ein Klon' && cat 'ein Klon/config.json'"
    folder = daemon.root / "Arbeit & mehr"
    folder.mkdir()
    done = subprocess.run(
        [*HFPROXY, "exec", "--", "sh", "-c", script],
        env=daemon.env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, '{"a": 1}\n'), done.stderr
    assert "entries: " in daemon.must("audit", "verify")
    said = daemon.must("env", "--scope", "read:me/*")
    shell = subprocess.run(
        ["sh", "-c", f'{said}\nprintf %s "$HF_TOKEN_PATH"'], env=daemon.env, capture_output=True, text=True
    )
    assert shell.stdout == str(daemon.runtime / "no-token"), shell.stderr
    report = json.loads(daemon.cli("doctor", "--json").stdout)
    assert [one for one in report["findings"] if one["severity"] == "problem"] == []
    daemon.stop()


class TestWithoutATerminal:
    """Nothing waits for a person who is not there."""

    @pytest.mark.parametrize(
        ("words", "instead"),
        [
            (["login"], "hf-proxy login --token-stdin"),
            (["rotate"], "hf-proxy rotate"),
            (["unlock"], "hf-proxy unlock --passphrase-fd"),
        ],
    )
    def test_who_would_ask_says_what_to_use_instead(
        self, tmp_path: Path, hub: FakeHub, words: list[str], instead: str
    ) -> None:
        daemon = DaemonFixture(
            tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file" if words == ["unlock"] else "memory"
        )
        daemon.start()
        if words == ["rotate"]:
            daemon.login(CANARY)
        done = subprocess.run(
            [*HFPROXY, *words], env=daemon.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            start_new_session=True, timeout=60,
        )  # fmt: skip
        assert done.returncode in {1, 2}
        assert instead in done.stderr, done
        daemon.stop()

    def test_exec_and_doctor_do_their_work(self, daemon: DaemonFixture) -> None:
        for words, code in ((["exec", "--", "sh", "-c", "tty >/dev/null; exit $?"], 1), (["doctor"], 0)):
            done = subprocess.run(
                [*HFPROXY, *words], env=daemon.env, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True,
                timeout=60,
            )  # fmt: skip
            assert done.returncode == code, done


@pytest.mark.needs("sudo")
class TestSudo:
    """Another user's shell, with nothing of that user's session in the environment."""

    @pytest.fixture
    def session(self, user: User, user_daemon: UserDaemon) -> Iterator[Path]:
        """Where systemd makes a session's runtime directory."""
        session = Path(f"/run/user/{user.uid}")
        session.mkdir(mode=0o700, parents=True)
        os.chown(session, user.uid, user.gid)
        yield session
        shutil.rmtree(session)

    def sudo(self, user: User, user_daemon: UserDaemon, *words: str, stdin: str = "") -> Any:
        command = ["sudo", "-n", "-H", "-u", user.name, "--", *user_daemon.hfproxy, *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, cwd="/")

    def test_the_daemon_of_that_user_s_session_is_found(
        self, user: User, user_daemon: UserDaemon, session: Path
    ) -> None:
        user_daemon.config, user_daemon.state = (
            user.home / ".config" / "hf-proxy",
            user.home / ".local" / "state" / "hf-proxy",
        )
        user_daemon.runtime = session / "hf-proxy"
        user_daemon.config.mkdir(parents=True)
        user_daemon.configure()
        user.owns(user.home)
        user_daemon.start()
        assert "account default: me" in self.sudo(user, user_daemon, "login", "--token-stdin", stdin=CANARY).stdout
        done = self.sudo(user, user_daemon, "exec", "--", "sh", "-c", 'echo "$HF_ENDPOINT"; id -u')
        assert done.stdout.splitlines() == [user_daemon.status()["endpoint"], str(user.uid)], done
        shutil.rmtree(user.home / ".config")

    def test_a_root_shell_is_not_served_by_a_user_s_daemon(self, user: User, user_daemon: UserDaemon) -> None:
        """As after `sudo -E`, or `su` without a dash: the environment is the user's, the uid is not."""
        user_daemon.start()
        user_daemon.login(CANARY)
        env = user_daemon.env
        done = subprocess.run(
            ["sudo", "-n", "-E", "--preserve-env", *user_daemon.hfproxy, "mint"],
            env=env,
            capture_output=True,
            text=True,
        )
        said = one_line(done)
        assert f"belongs to uid {user.uid}" in said


class TestAContainer:
    """Namespaces of its own, a bare environment, a user that the system has never heard of."""

    @pytest.fixture
    def contained(self, system_users: SystemUsers) -> list[str]:
        """A process tree, mounts and a /proc of its own; then a user without a name."""
        become = ["setpriv", f"--reuid={UNKNOWN}", f"--regid={UNKNOWN}", "--clear-groups", "--"]
        return ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "--ipc", *become]

    def test_without_a_home_it_says_what_to_set(self, system_users: SystemUsers, contained: list[str]) -> None:
        hfproxy = [str(system_users.python), "-I", "-m", "hfproxy"]
        for words, code in ((["status"], 1), (["daemon"], 1), (["exec", "--", "true"], 125), (["doctor"], 1)):
            done = subprocess.run(
                [*contained, *hfproxy, *words], env={"PATH": "/usr/bin:/bin"}, cwd="/", capture_output=True, text=True,
                timeout=60,
            )  # fmt: skip
            assert "set HOME, or HFPROXY_CONFIG_DIR" in one_line(done, code)

    def test_with_one_all_works(self, system_users: SystemUsers, contained: list[str], hub: FakeHub) -> None:
        """The daemon and a command of it, as an entry point starts them."""
        home = system_users.root / "container"
        (home / ".config" / "hf-proxy").mkdir(parents=True)
        shutil.copy(hub.ca_path, home / "ca.pem")
        (home / ".config" / "hf-proxy" / "config.toml").write_text(
            f'[listen]\naddress = "127.0.0.1:0"\n[upstream]\nhub = "{hub.url}"\nca_file = "{home}/ca.pem"\n'
            '[vault]\nbackend = "memory"\n'
        )
        for one in (home, *home.rglob("*")):
            os.chown(one, UNKNOWN, UNKNOWN)
        script = """
            hf() { "$PYTHON" -I -m hfproxy "$@"; }
            "$PYTHON" -I -m hfproxy daemon 2>"$HOME/log" &
            until hf status >/dev/null 2>&1; do kill -0 $! || { cat "$HOME/log"; exit 1; }; sleep 0.1; done
            printf %s "$TOKEN" | hf login --token-stdin >/dev/null
            hf exec --scope 'read:me/*' -- "$PYTHON" -I -c "$READ"
            hf doctor
            kill $!; wait $!
        """
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "PYTHON": str(system_users.python),
            "TOKEN": CANARY,
            "READ": READ,
        }
        done = subprocess.run(
            [*contained, "sh", "-c", script], env=env, cwd="/", capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done
        status, *report = done.stdout.splitlines()
        assert status == "200"
        assert [line for line in report if line.startswith("PROBLEM")] == []
        assert "another program of this user can neither read" in done.stdout
