"""What the journal adds to a read: at most a tenth of the request.

Two daemons before the same Hub, one of which writes down nothing, are asked in turn over one connection each, so that
what disturbs one disturbs the other, and the medians are compared. Exits 1 above the bar.
"""

import contextlib
import http.client
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUESTS = 2000
WARM_UP = 200
BAR = 1.10
READ = "/api/models/me/secret-model"
# The daemon, but for the journal's two ways in (and for starting itself again, which would bring them back).
WITHOUT = """
from hfproxy.daemon import journal, main
async def nothing(self, event): pass
journal.Journal.record, journal.Journal.note = nothing, lambda self, event: None
main.hardening.restart_isolated = lambda arguments: None
main.run(None, "warning")
"""


def minted(daemon: object) -> tuple[http.client.HTTPConnection, dict[str, str]]:
    """A connection and the header for it."""
    made = daemon.mint("--scope", "read:me/*")
    return http.client.HTTPConnection(made["endpoint"].removeprefix("http://")), {
        "Authorization": f"Bearer {made['credential']}"
    }


def ask(connection: http.client.HTTPConnection, headers: dict[str, str]) -> float:
    """Milliseconds of one request."""
    start = time.perf_counter()
    connection.request("GET", READ, headers=headers)
    reply = connection.getresponse()
    reply.read()
    assert reply.status == 200
    return 1000 * (time.perf_counter() - start)


def main() -> int:
    """Returns 0 when the bar is held."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
    import daemon_fixture as daemon_fixture  # noqa: PLC0415
    from canary import made_up  # noqa: PLC0415
    from fakehub.remote import FakeHubProcess  # noqa: PLC0415

    token = made_up()
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        hub = stack.enter_context(FakeHubProcess())
        hub.add_user("me", token)
        hub.add_repo("model", "me/secret-model", private=True, files={"config.json": b"{}"})
        asked = {}
        for name in ("with", "without"):
            daemon = daemon_fixture.DaemonFixture(Path(directory, name), hub.url, hub.ca_path)
            stack.callback(daemon.stop)
            daemon.start(before=[daemon_fixture.PYTHON, "-I", "-c", WITHOUT] if name == "without" else [])
            daemon.login(token)
            asked[name] = minted(daemon)
        taken: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(WARM_UP + REQUESTS):
            for name, (connection, headers) in asked.items():
                taken[name].append(ask(connection, headers))
        assert not Path(directory, "without/state/journal/00000001.jsonl").stat().st_size
    return told({name: times[WARM_UP:] for name, times in taken.items()})


def told(taken: dict[str, list[float]]) -> int:
    """Print the medians; returns the exit code."""
    for name, times in taken.items():
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"{name} a journal: median {statistics.median(times):.3f} ms, p99 {p99:.3f}, of {len(times)} reads")
    ratio = statistics.median(taken["with"]) / statistics.median(taken["without"])
    print(f"ratio: {ratio:.3f} (bar {BAR})")
    return int(ratio > BAR)


if __name__ == "__main__":
    sys.exit(main())
