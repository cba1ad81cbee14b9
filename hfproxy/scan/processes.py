"""The environments and the command lines of running processes: what was in the clear when they were started.

Read from /proc (proc(5)); of our own user's processes only. Nothing there can be changed from outside.
"""

import os
from collections.abc import Iterator, Mapping

from hfproxy.detect import patterns
from hfproxy.detect.kinds import LocationKind
from hfproxy.scan.walk import Finding, ScanCounts


def environment(environ: Mapping[bytes, bytes]) -> Iterator[Finding]:
    """What is in our own, and so in that of the shell that called us."""
    for name, value in environ.items():
        for hit in patterns.find_plain(value):
            variable = os.fsdecode(name)
            yield Finding("environment", LocationKind.ENVIRONMENT, hit.token, hit.shape, variable=variable)


def processes(seen: ScanCounts, folder: str = "/proc") -> Iterator[Finding]:
    """What is in everybody else's."""
    for name in sorted(filter(str.isdigit, os.listdir(folder) if os.path.isdir(folder) else []), key=int):
        place = os.path.join(folder, name)
        try:
            if os.stat(place).st_uid == os.geteuid() and int(name) != os.getpid():
                seen.processes += 1
                yield from _process(place)
        except PermissionError:
            seen.denied += 1
        except OSError:
            pass  # it has ended


def _process(place: str) -> Iterator[Finding]:
    environ, words = (_read(os.path.join(place, name)) for name in ("environ", "cmdline"))
    if b"hf_" not in environ + words and b"api_org_" not in environ + words:
        return
    program = os.path.basename(os.fsdecode(words.split(b"\0", 1)[0]))
    for entry in environ.split(b"\0"):
        name, _, value = entry.partition(b"=")
        for hit in patterns.find_plain(value):
            path, variable = os.path.join(place, "environ"), os.fsdecode(name)
            yield Finding(path, LocationKind.PROCESS, hit.token, hit.shape, variable=variable, program=program)
    for hit in patterns.find_plain(words):
        yield Finding(os.path.join(place, "cmdline"), LocationKind.PROCESS, hit.token, hit.shape, program=program)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
