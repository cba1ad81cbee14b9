"""Sockets, passed or opened here; directories and locks; and the word to the service manager."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfproxy.daemon.runtime import sockets
from hfproxy.errors import StartError
from hfproxy.daemon.runtime import state_dir
from hfproxy.daemon.runtime import systemd

HERE = "127.0.0.1"
OTHER = 65534


@pytest.fixture
def private(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server((HERE, 0)) as listener:
        yield listener.getsockname()[1]


class TestNotify:
    @pytest.mark.parametrize("name", ["{}/manager", "@hf-proxy-test-{}"])
    def test_the_manager_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """At a path, and at an abstract address, as sd_notify(3) has it."""
        address = name.format(tmp_path if "/" in name else os.getpid())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address.replace("@", "\0"))
            monkeypatch.setenv("NOTIFY_SOCKET", address)
            systemd.sd_notify("READY=1")
            assert manager.recv(100) == b"READY=1"

    def test_without_a_manager_nothing_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
        systemd.sd_notify("READY=1")

    def test_a_manager_that_is_gone_is_no_failure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its address is inherited by every shell below it."""
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
        systemd.sd_notify("READY=1")


class TestPassedSockets:
    """In a process of its own: the descriptors are fixed numbers, from 3 on."""

    CODE = (
        "import os, sys\n"
        "from hfproxy.daemon.runtime import systemd\n"
        "from hfproxy.errors import StartError\n"
        "os.environ['LISTEN_PID'] = sys.argv[1] or str(os.getpid())\n"
        "try:\n"
        "    passed = systemd.inherited_sockets()\n"
        "except StartError as error:\n"
        "    sys.exit(str(error))\n"
        "print(sorted((name, one.getsockname()[1], os.get_inheritable(one.fileno())) for name, one in passed.items()))\n"
    )

    def passed(
        self, *listeners: socket.socket, names: str, count: int, pid: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """Start with the listeners at 3, 4, …"""
        given = [one.fileno() for one in listeners]
        # First out of the way, since one may stand where another has to go.
        move = f"import fcntl, os\nfor n, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in {given}]): os.dup2(fd, 3 + n)\n"
        return subprocess.run(
            [sys.executable, "-c", move + self.CODE, pid],
            env={**os.environ, "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names},
            pass_fds=given,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def test_they_are_known_by_their_names_and_not_inherited(self) -> None:
        with socket.create_server((HERE, 0)) as one, socket.create_server((HERE, 0)) as two:
            done = self.passed(one, two, names="control:data", count=2)
            expected = [("control", one.getsockname()[1], False), ("data", two.getsockname()[1], False)]
        assert (done.returncode, done.stdout.strip()) == (0, repr(expected)), done.stderr

    @pytest.mark.parametrize(
        ("names", "count"), [("data", 2), ("data:data", 2), ("data:other", 2), ("", 1), ("a:b", 1)]
    )
    def test_others_than_the_two_are_an_error(self, names: str, count: int) -> None:
        with socket.create_server((HERE, 0)) as one, socket.create_server((HERE, 0)) as two:
            done = self.passed(one, two, names=names, count=count)
        assert done.returncode == 1
        assert "LISTEN_FDNAMES" in done.stderr

    def test_what_was_passed_to_another_process_is_not_taken(self) -> None:
        with socket.create_server((HERE, 0)) as one:
            done = self.passed(one, names="data", count=1, pid="1")
        assert done.stdout.strip() == "[]"

    def test_none_at_all_is_fine(self) -> None:
        assert self.passed(names="", count=0).stdout.strip() == "[]"


class TestDataSocket:
    def test_any_free_port_is_kept_and_tried_first(self, private: Path) -> None:
        with sockets.data_socket(None, (HERE, 0), private / "port") as first:
            port = first.getsockname()[1]
        with sockets.data_socket(None, (HERE, 0), private / "port") as second:
            assert second.getsockname() == (HERE, port)

    @pytest.mark.parametrize("remembered", ["", "no number", "70000", "-1", "1.5", "\xff"])
    def test_a_memory_that_makes_no_sense_is_replaced(self, private: Path, remembered: str) -> None:
        (private / "port").write_text(remembered, "latin-1")
        with sockets.data_socket(None, (HERE, 0), private / "port") as found:
            assert (private / "port").read_text() == str(found.getsockname()[1])

    def test_a_remembered_port_that_is_taken_is_given_up(self, private: Path, taken: int) -> None:
        (private / "port").write_text(str(taken))
        with sockets.data_socket(None, (HERE, 0), private / "port") as found:
            assert found.getsockname()[1] != taken
            assert (private / "port").read_text() == str(found.getsockname()[1])

    def test_a_named_port_that_is_taken_names_its_holder(self, private: Path, taken: int) -> None:
        with pytest.raises(StartError, match=rf"127\.0\.0\.1:{taken} .*uid {os.getuid()}; .*listen\.address"):
            sockets.data_socket(None, (HERE, taken), private / "port")
        assert not (private / "port").exists()

    @pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
    def test_another_user_who_holds_it_is_named(self, private: Path) -> None:
        code = (
            f"import os,socket,sys; os.setuid({OTHER}); s=socket.create_server(('127.0.0.1',0));"
            "print(s.getsockname()[1],flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            port = int(other.stdout.readline())
            with pytest.raises(StartError, match=f"uid {OTHER}"):
                sockets.data_socket(None, (HERE, port), private / "port")
            other.communicate()

    def test_it_is_not_inherited_by_children(self, private: Path) -> None:
        with sockets.data_socket(None, (HERE, 0), private / "port") as found:
            assert not os.get_inheritable(found.fileno())

    @pytest.mark.parametrize("named", [False, True])
    def test_a_passed_one_wins_over_port_zero_and_agrees_with_its_own(self, private: Path, named: bool) -> None:
        with socket.create_server((HERE, 0)) as passed:
            port = passed.getsockname()[1]
            assert sockets.data_socket(passed, (HERE, port if named else 0), private / "port") is passed
        assert not (private / "port").exists()

    def test_one_that_contradicts_the_config_names_both(self, private: Path) -> None:
        with socket.create_server((HERE, 0)) as passed:
            port = passed.getsockname()[1]
            with pytest.raises(StartError, match=rf"127\.0\.0\.1:{port}.*127\.0\.0\.1:4880"):
                sockets.data_socket(passed, (HERE, 4880), private / "port")

    @pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, ("0.0.0.0", 0)), (socket.AF_INET6, ("::1", 0))])
    def test_one_that_is_open_to_others_is_refused(
        self, private: Path, family: socket.AddressFamily, address: tuple[str, int]
    ) -> None:
        with socket.create_server(address, family=family) as passed, pytest.raises(StartError, match="ListenStream"):
            sockets.data_socket(passed, (HERE, 0), private / "port")


class TestPrivateDirectory:
    def test_one_that_is_not_there_is_made_for_us_alone(self, tmp_path: Path) -> None:
        made = state_dir.private_directory(tmp_path / "a" / "b")
        assert stat.S_IMODE(made.stat().st_mode) == 0o700

    def test_one_of_ours_is_taken_as_it_is(self, private: Path) -> None:
        assert state_dir.private_directory(private) == private

    @pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755, 0o777])
    def test_one_that_others_may_enter_is_refused_and_not_changed(self, tmp_path: Path, mode: int) -> None:
        tmp_path.chmod(mode)
        with pytest.raises(StartError, match=f"chmod 700 {tmp_path}"):
            state_dir.private_directory(tmp_path)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == mode

    def test_a_link_to_one_is_refused(self, private: Path) -> None:
        (private / "real").mkdir(mode=0o700)
        (private / "link").symlink_to(private / "real")
        with pytest.raises(StartError, match="not a directory of yours"):
            state_dir.private_directory(private / "link")

    @pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a directory away")
    def test_one_of_another_user_is_refused(self, private: Path) -> None:
        (private / "theirs").mkdir(mode=0o700)
        os.chown(private / "theirs", OTHER, OTHER)
        with pytest.raises(StartError, match=f"uid {OTHER}"):
            state_dir.private_directory(private / "theirs")

    def test_a_file_in_its_place_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for path in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(StartError, match="cannot be made"):
                state_dir.private_directory(path)


class TestControlSocket:
    def test_it_is_for_us_alone(self, private: Path) -> None:
        with sockets.control_socket(None, private / "control.sock") as listener:
            assert stat.S_IMODE((private / "control.sock").stat().st_mode) == 0o600
            assert not os.get_inheritable(listener.fileno())

    def test_one_that_a_crash_left_behind_is_replaced(self, private: Path) -> None:
        sockets.control_socket(None, private / "control.sock").close()
        with sockets.control_socket(None, private / "control.sock"), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(private / "control.sock"))

    def test_a_living_daemon_keeps_its_own(self, private: Path) -> None:
        with sockets.control_socket(None, private / "control.sock") as first:
            with pytest.raises(StartError, match="another daemon answers"):
                sockets.control_socket(None, private / "control.sock")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(private / "control.sock"))
                first.accept()[0].close()

    def test_a_passed_one_is_used_and_nothing_is_made(self, private: Path) -> None:
        with socket.socket(socket.AF_UNIX) as passed:
            assert sockets.control_socket(passed, private / "control.sock") is passed
        assert list(private.iterdir()) == []

    def test_a_path_too_long_for_a_socket_names_the_variable_to_set(self, private: Path) -> None:
        path = private / ("d" * 120)
        path.mkdir()
        with pytest.raises(StartError, match="HFPROXY_RUNTIME_DIR"):
            sockets.control_socket(None, path / "control.sock")

    def test_a_directory_in_its_place_is_said_and_kept(self, private: Path) -> None:
        (private / "control.sock").mkdir()
        with pytest.raises(StartError, match=r"control\.sock cannot be made"):
            sockets.control_socket(None, private / "control.sock")
        assert (private / "control.sock").is_dir()


class TestOnlyOne:
    def test_a_second_is_refused_and_told_the_first_ones_pid(self, private: Path) -> None:
        lock = state_dir.lock_state_dir(private)
        with pytest.raises(StartError, match=rf"pid {os.getpid()}\)"):
            state_dir.lock_state_dir(private)
        os.close(lock)

    def test_it_ends_with_its_holder(self, private: Path) -> None:
        """However that ended: a lock file that is only there locks nothing."""
        code = f"import os,signal; from pathlib import Path; from hfproxy.daemon.runtime import state_dir; state_dir.lock_state_dir(Path({str(private)!r})); os.kill(os.getpid(), signal.SIGKILL)"
        assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == -9
        lock = state_dir.lock_state_dir(private)
        assert (private / "daemon.lock").read_text() == str(os.getpid())
        os.close(lock)

    def test_it_is_not_inherited_by_children(self, private: Path) -> None:
        lock = state_dir.lock_state_dir(private)
        assert not os.get_inheritable(lock)
        os.close(lock)

    def test_a_link_in_its_place_is_not_followed(self, private: Path, tmp_path: Path) -> None:
        (private / "daemon.lock").symlink_to(private / "elsewhere")
        with pytest.raises(StartError, match="cannot be written: .*symbolic"):
            state_dir.lock_state_dir(private)
        assert not (private / "elsewhere").exists()
