"""How long running transfers go on after `revoke`: at most 500 ms until the last of them is cut.

    python tests/bench/bench_revoke.py

Forty streams of one grant, five times. Exits 1 above the bar.
"""

import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from fakehub import in_thread
from daemon_fixture import DaemonFixture

STREAMS, TIMES = 40, 5
BAR_S = 0.5
TOKEN = "hf_bench"


def stream(endpoint: str, credential: str) -> socket.socket:
    """A stream of events that has begun."""
    place = urlsplit(endpoint)
    client = socket.create_connection((place.hostname, place.port), timeout=30)
    client.sendall(
        f"GET /api/spaces/me/demo/events HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Authorization: Bearer {credential}\r\n\r\n".encode()
    )
    client.recv(65536)
    return client


def drained(client: socket.socket, ended: list[float]) -> None:
    """Read until it is cut, and note when that was."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    ended.append(time.monotonic())
    client.close()


def once(daemon: DaemonFixture) -> tuple[float, float]:
    """Seconds until the last stream ended: from when `revoke` was typed, and from when it was answered."""
    minted, ended = daemon.mint(), []
    threads = [
        threading.Thread(target=drained, args=(stream(minted["endpoint"], minted["credential"]), ended))
        for _ in range(STREAMS)
    ]
    for thread in threads:
        thread.start()
    typed = time.monotonic()
    daemon.must("revoke", minted["id"])
    answered = time.monotonic()
    for thread in threads:
        thread.join()
    return max(ended) - typed, max(ended) - answered


def main() -> int:
    """Returns 0 when the bar is held."""
    with tempfile.TemporaryDirectory() as folder, in_thread(idle_seconds=600) as hub:
        hub.add_user("me", TOKEN)
        hub.add_space("me/demo")
        daemon = DaemonFixture(Path(folder) / "daemon", hub.url, hub.ca_path)
        daemon.start()
        daemon.login(TOKEN)
        taken = [once(daemon) for _ in range(TIMES)]
        hub.wake()
        daemon.stop()
    typed, answered = zip(*taken, strict=True)
    print(
        f"{STREAMS} streams cut: {1000 * statistics.median(typed):.0f} ms after revoke was typed, most {1000 * max(typed):.0f};"
    )
    print(
        f"after it was answered: {1000 * statistics.median(answered):.0f} ms, most {1000 * max(answered):.0f} (bar {1000 * BAR_S:.0f})"
    )
    return int(max(typed) > BAR_S)


if __name__ == "__main__":
    sys.exit(main())
