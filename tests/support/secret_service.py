"""A real Secret Service, gnome-keyring on a bus of its own, for one test: nothing of the user's keyring is touched."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import secretstorage

PASSWORD = b"the password of the login keyring"
START_SECONDS = 20
# No activation: a service that nobody started is not there.
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={folder}</listen>
  <policy context="default">
    <allow user="root"/><allow user="{owner}"/><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
  </policy>
</busconfig>
"""


class SecretService:
    """A session bus and, once it is started, the keyring on it."""

    def __init__(self, folder: Path, **identity: Any) -> None:
        """`identity`: whose session it is, as `subprocess` takes it; ours, if nothing is said."""
        for program in ("dbus-daemon", "gnome-keyring-daemon"):
            if shutil.which(program) is None:
                pytest.skip(f"needs {program}; on Debian: apt install dbus gnome-keyring")
        self.folder, self._identity = folder, identity
        self._running: list[subprocess.Popen[bytes]] = []
        folder.mkdir(mode=0o700)
        config = folder / "bus.conf"
        config.write_text(BUS_CONFIG.format(folder=folder, owner=identity.get("user", os.getuid())))
        os.chown(folder, identity.get("user", -1), identity.get("group", -1))
        bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"],
            stdout=subprocess.PIPE,
            **identity,
        )
        self.bus = bus
        self._running.append(bus)
        assert bus.stdout is not None
        with closing(bus.stdout):
            self.address = bus.stdout.readline().decode().strip()

    @property
    def env(self) -> dict[str, str]:
        """What leads a program to this bus, and the keyring to a home of its own."""
        home = str(self.folder)
        return {
            "DBUS_SESSION_BUS_ADDRESS": self.address,
            "HOME": home,
            "XDG_RUNTIME_DIR": home,
            "XDG_DATA_HOME": f"{home}/data",
        }

    def start(self) -> None:
        """Start the keyring, unlocked, and wait until it answers."""
        keyring = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
            env={**os.environ, **self.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._identity,
        )
        self._running.append(keyring)
        assert keyring.stdin is not None
        with closing(keyring.stdin):
            keyring.stdin.write(PASSWORD)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, "gnome-keyring does not answer"
            time.sleep(0.02)

    def lock(self) -> None:
        """Lock it, as a desktop session does."""
        with closing(self.connect()) as bus:
            secretstorage.get_default_collection(bus).lock()

    def restart(self) -> None:
        """Unlocked again, as after a new login: the keyring's files are the same."""
        self.stop_keyring()
        self.start()

    def stop_keyring(self) -> None:
        """As if it had never been started: the bus has no Secret Service any more."""
        keyring = self._running.pop()
        keyring.terminate()
        keyring.wait(START_SECONDS)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It hangs: whoever asks gets no answer."""
        keyring = self._running[-1]
        keyring.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            keyring.send_signal(signal.SIGCONT)

    def items(self) -> list[tuple[str, dict[str, str], bytes]]:
        """Label, attributes and secret of each item."""
        with closing(self.connect()) as bus:
            found = list(secretstorage.get_default_collection(bus).get_all_items())
            return [(item.get_label(), item.get_attributes(), item.get_secret()) for item in found]

    def connect(self) -> "secretstorage.DBusConnection":
        from jeepney.io.blocking import open_dbus_connection

        return open_dbus_connection(self.address)

    def stop(self) -> None:
        while self._running:
            process = self._running.pop()
            process.terminate()
            process.wait(START_SECONDS)

    def _answers(self) -> bool:
        with suppress(secretstorage.exceptions.SecretStorageException), closing(self.connect()) as bus:
            return not secretstorage.get_default_collection(bus).is_locked()
        return False
