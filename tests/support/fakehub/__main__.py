"""Run a fake Hub as a process: `python -m fakehub [--ready-fd N] [--settings JSON] [--seed FILE]`.

One JSON line with the addresses, the CA path and the control URL goes to the ready descriptor (standard
output by default). The process ends when its standard input ends, or on SIGTERM or SIGINT. A seed file is a
JSON list of control calls: `[{"method": "add_user", "args": ["me", "hf_demo"]}, …]`.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from .control import Control, decode
from .server import FakeHub


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="fakehub")
    parser.add_argument("--ready-fd", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="fields of fakehub.Settings as JSON")
    parser.add_argument("--seed", type=Path, help="a JSON list of control calls to make at start")
    parser.add_argument("--keep", action="store_true", help="do not end with standard input")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    """Serve until told to stop."""
    async with FakeHub(**options.settings) as hub:
        control = Control(hub)
        for step in decode(json.loads(options.seed.read_text())) if options.seed else []:
            control.calls[step["method"]](*step.get("args", []), **step.get("kwargs", {}))
        runner, control_url = await control.listen()
        announce(options.ready_fd, hub, control_url)
        await stopped(watch_input=not options.keep)
        await runner.cleanup()


def announce(descriptor: int, hub: FakeHub, control_url: str) -> None:
    """Write the addresses as one line."""
    info = {
        "url": hub.url,
        "storage_url": hub.storage_url,
        "cas_url": hub.cas_url,
        "ca_path": str(hub.ca_path),
        "control_url": control_url,
        "pid": os.getpid(),
    }
    os.write(descriptor, (json.dumps(info) + "\n").encode())


async def stopped(*, watch_input: bool) -> None:
    """Return on a signal, or when standard input ends."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if watch_input:
        # Epoll refuses regular files and /dev/null; such an input has nothing to say anyway.
        with suppress(PermissionError):
            loop.add_reader(sys.stdin.fileno(), _at_end, stop)
    await stop.wait()


def _at_end(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
