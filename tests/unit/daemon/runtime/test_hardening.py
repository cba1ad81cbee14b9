"""What the process does to itself, shown on a running daemon by another process of the same user.

Root may look into everything by its capabilities, so the daemon and who tries to look run without any.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import http_parser
from daemon_fixture import DaemonFixture

import hfproxy
from hfproxy.daemon.runtime import hardening
from hfproxy.errors import StartError

# Tells for each way in whether it was open.
LOOK = """
import ctypes, os, sys
pid = int(sys.argv[1])
def tried(name, way):
    try:
        way()
    except OSError as error:
        print(name, error.strerror)
    else:
        print(name, "open")
for name in ("environ", "maps", "mem", "auxv", "io"):
    tried(name, lambda: open(f"/proc/{pid}/{name}", "rb").read(0 if name == "mem" else 1))
tried("fd", lambda: os.readlink(f"/proc/{pid}/fd/0"))
tried("exe", lambda: os.readlink(f"/proc/{pid}/exe"))
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
def attach():
    if libc.ptrace(16, pid, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(pid, 0)
    libc.ptrace(17, pid, 0, 0)
tried("ptrace", attach)
class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
def peek():
    buffer = ctypes.create_string_buffer(8)
    ours, theirs = iovec(ctypes.addressof(buffer), 8), iovec(int(sys.argv[2]), 8)
    if libc.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) != 8:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
tried("process_vm_readv", peek)
"""
WAYS = ("environ", "maps", "mem", "auxv", "io", "fd", "exe", "ptrace", "process_vm_readv")


@pytest.fixture(scope="module")
def unprivileged() -> list[str]:
    """What to begin a command with, so that it may do what any user may. Root without capabilities is that."""
    if os.getuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv (Debian package util-linux), to take root's privileges away")
    return ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"]


@pytest.fixture
def daemon(unprivileged: list[str], tmp_path: Path) -> Iterator[DaemonFixture]:
    """A running daemon without privileges."""
    daemon = DaemonFixture(tmp_path / "daemon", "http://127.0.0.1:9")
    # As a developer's shell may have it: dumps of any size.
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    daemon.start(before=unprivileged, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (most, most)))
    yield daemon
    daemon.stop()
    DaemonFixture.built.remove(daemon)


def look(unprivileged: list[str], pid: int) -> dict[str, str]:
    """What a process of the same user finds out about another; for each way whether it was open."""
    stack = next(line for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if line.endswith("[stack]"))
    address = str(int(stack.split("-")[0], 16))
    done = subprocess.run(
        [*unprivileged, sys.executable, "-I", "-c", LOOK, str(pid), address],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_another_process_of_the_same_user_can_be_looked_into(unprivileged: list[str]) -> None:
    """Or what the daemon is spared would prove nothing."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [*unprivileged, sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    other.stdout.readline()
    found = look(unprivileged, other.pid)
    other.communicate()
    # A kernel with Yama keeps processes from tracing one another by itself.
    traced = {"mem", "ptrace", "process_vm_readv"}
    assert {way for way in WAYS if found[way] == "open"} | traced == set(WAYS)


def test_the_daemon_cannot_be_looked_into_by_its_own_user(unprivileged: list[str], daemon: DaemonFixture) -> None:
    assert daemon.process is not None
    found = look(unprivileged, daemon.process.pid)
    assert set(found) == set(WAYS)
    assert [way for way in WAYS if found[way] == "open"] == []
    assert daemon.cli("status").returncode == 0


def test_its_environment_was_cleaned_before_it_began(tmp_path: Path) -> None:
    """What Linux shows of a process's environment is what it was started with; root may read it."""
    daemon = DaemonFixture(tmp_path / "daemon", "http://127.0.0.1:9")
    keylog = tmp_path / "keys"
    daemon.start(
        env={"SSLKEYLOGFILE": str(keylog), "PYTHONPATH": str(tmp_path), "KEYRING_PROPERTY_X": "y", "KEPT": "1"}
    )
    assert daemon.process is not None
    process = Path(f"/proc/{daemon.process.pid}")
    environ = dict(entry.split(b"=", 1) for entry in (process / "environ").read_bytes().split(b"\0") if entry)
    arguments = (process / "cmdline").read_bytes().split(b"\0")
    daemon.stop()
    DaemonFixture.built.remove(daemon)
    assert environ[b"KEPT"] == b"1"
    assert not [name for name in environ if name.decode().startswith(hardening.DROPPED_VARIABLES)]
    assert arguments[1:4] == [b"-I", b"-m", b"hfproxy"]


HARDENED = """
import os, resource, sys
from hfproxy.daemon.runtime import hardening
hardening.harden()
print(open("/proc/self/status").read().split("Umask:")[1].split()[0], resource.getrlimit(resource.RLIMIT_CORE))
with open(sys.argv[1], "w"): pass
os.mkdir(sys.argv[1] + "d", 0o777)
"""


def test_no_core_and_no_file_for_others(tmp_path: Path) -> None:
    path = tmp_path / "made"
    done = subprocess.run(
        [sys.executable, "-c", HARDENED, str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        umask=0,
    )
    assert done.stdout.split(maxsplit=1) == ["0077", "(0, 0)\n"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert Path(f"{path}d").stat().st_mode & 0o777 == 0o700


def test_more_than_a_thousand_connections_leave_room_for_one_more(tmp_path: Path) -> None:
    """By anybody, since who is connected is known only once it is connected. 1024 is what most sessions begin with."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < 3000:
        pytest.skip("needs a hard limit of 3000 open files (ulimit -Hn)")
    daemon = DaemonFixture(tmp_path / "daemon", "http://127.0.0.1:9")
    daemon.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, most)))
    port = int(daemon.status()["endpoint"].rpartition(":")[2])
    code = f"""
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (3000, {most}))
idle = [socket.create_connection(("127.0.0.1", {port}), 20) for _ in range(1200)]
print(len(idle), flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == b"1200\n"
        assert daemon.cli("status").returncode == 0
        crowd.communicate()
    daemon.stop()
    DaemonFixture.built.remove(daemon)


def test_a_crash_of_the_daemon_leaves_no_core(daemon: DaemonFixture) -> None:
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGSEGV)
    _, status = os.waitpid(daemon.process.pid, 0)
    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert not os.WCOREDUMP(status)


def test_an_installation_that_isolated_python_cannot_see_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """As `pip install --user` makes it: the interpreter is no venv's, and the package lies in the user's site directory."""
    interpreter = os.path.realpath(sys.executable)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONUSERBASE": str(tmp_path / "base")}
    ask = [interpreter, "-c", "import site; print(site.getusersitepackages())"]
    directory = Path(subprocess.run(ask, env=env, capture_output=True, text=True, check=True).stdout.strip())
    shutil.copytree(Path(hfproxy.__file__).parent, directory / "hfproxy", ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    env |= {f"HFPROXY_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "STATE", "RUNTIME")}
    command = [interpreter, "-m", "hfproxy", "daemon"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "pipx install" in done.stderr


class TestClean:
    def test_what_could_redirect_or_record_a_secret_is_dropped_and_the_rest_kept(self) -> None:
        dropped = {
            "SSLKEYLOGFILE": "/tmp/keys", "SSL_CERT_FILE": "x", "SSL_CERT_DIR": "x", "LD_PRELOAD": "x", "LD_LIBRARY_PATH": "x",
            "PYTHONPATH": "x", "PYTHONHOME": "x", "PYTHONSTARTUP": "x", "PYTHONWARNINGS": "x", "DYLD_INSERT_LIBRARIES": "x",
            "OPENSSL_CONF": "x", "OPENSSL_MODULES": "x", "KEYRING_PROPERTY_KEYCHAIN": "x",
            "HF_TOKEN": "x", "HUGGING_FACE_HUB_TOKEN": "x", "HUGGINGFACE_API_KEY": "x", "HF_API_KEY": "x",
        }  # fmt: skip
        kept = {"PATH": "/bin", "HOME": "/h", "HTTPS_PROXY": "http://p:1", "LISTEN_FDS": "2", "NOTIFY_SOCKET": "@x", "DBUS_SESSION_BUS_ADDRESS": "u"}  # fmt: skip
        assert hardening.scrubbed_environment({**dropped, **kept}) == kept


class TestAiohttp:
    def test_the_installed_one_is_good(self) -> None:
        hardening.check_aiohttp()
        assert http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy

    @pytest.mark.parametrize("version", ["3.14.3", "3.13.99", "2.9.9", "3.14", "3.14.4rc0", "0.1", "x"])
    def test_an_old_or_unknown_one_is_refused_with_the_command_for_a_newer(self, version: str) -> None:
        with pytest.raises(StartError, match=rf"aiohttp {version} .* pip install 'aiohttp>=3\.14\.4'"):
            hardening.check_aiohttp(version)

    @pytest.mark.parametrize("version", ["3.14.4", "3.14.5", "3.14.10", "3.15.0", "3.15.0a1", "4.0"])
    def test_a_newer_one_is_not(self, version: str) -> None:
        hardening.check_aiohttp(version)

    def test_its_pure_python_parser_is_refused(self) -> None:
        with pytest.raises(StartError, match="pure-Python parser"):
            hardening.check_aiohttp(parser=http_parser.HttpRequestParserPy)

    def test_the_daemon_does_not_start_on_it(self, tmp_path: Path) -> None:
        daemon = DaemonFixture(tmp_path / "daemon", "http://127.0.0.1:9")
        done = daemon.cli("daemon", env={"AIOHTTP_NO_EXTENSIONS": "1"})
        DaemonFixture.built.remove(daemon)
        assert (done.returncode, done.stdout) == (1, "")
        assert "pure-Python parser" in done.stderr
        assert done.stderr.count("\n") == 1
        assert not daemon.state.exists()
