"""Requests on the daemon's control socket from the test's own process: a command takes 60 to 100 ms to start.

The commands are tested in `unit/cli`; the daemon sees the test as the process that called them.
"""

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 120
# The options of `mint` by the member of the request they become; a number is sent as one.
MINT_OPTIONS = {
    "--profile": "profile", "--ttl": "ttl", "--account": "account", "--label": "label", "--bind": "bind",
    "--max-up": "max_up", "--max-down": "max_down",
}  # fmt: skip
MINT_NUMBERS = {"--max-uses": "max_uses", "--max-rate": "max_rate"}
MINT_SWITCHES = {"--ambient": "ambient", "--container": "container", "--strict": "strict"}


def request(control_socket: Path, message: dict[str, Any]) -> dict[str, Any]:
    """Send a request and return its answer.

    Raises:
        AssertionError: the daemon refuses it, or hangs up.
    """
    return next(stream(control_socket, message))


def stream(control_socket: Path, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Send a request that is answered by several objects, and yield them; raises as `request`."""
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.settimeout(ANSWER_SECONDS)
        daemon.connect(str(control_socket))
        daemon.sendall(json.dumps(message).encode() + b"\n")
        with daemon.makefile("rb") as answers:
            for line in answers:
                answer: dict[str, Any] = json.loads(line)
                assert "error" not in answer, f"{message['do']}: {answer}"
                if not answer:
                    return
                yield answer
            raise AssertionError(f"{message['do']}: the daemon hung up")


def mint_request(options: Sequence[str]) -> dict[str, Any]:
    """The `mint` request of these options of the command. Bound to a process, that is the caller itself."""
    message: dict[str, Any] = {"do": "mint", "bind": "none", "scopes": []}
    words = iter(options)
    for word in words:
        if word == "--scope":
            message["scopes"].append(next(words))
        elif word in MINT_OPTIONS:
            message[MINT_OPTIONS[word]] = next(words)
        elif word in MINT_NUMBERS:
            message[MINT_NUMBERS[word]] = int(next(words))
        else:
            message[MINT_SWITCHES[word]] = True
    if message["bind"] != "none":
        message["of"] = "caller"
    return message if message["scopes"] else {key: value for key, value in message.items() if key != "scopes"}


def audit_request(options: Sequence[str]) -> dict[str, Any]:
    """The `audit` request of these options of the command."""
    message: dict[str, Any] = {"do": "audit"}
    words = iter(options)
    for word in words:
        message[word.removeprefix("--")] = True if word == "--denied" else next(words)
    return message
