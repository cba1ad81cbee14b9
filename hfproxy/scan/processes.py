"""Finds tokens in the environments and command lines of running processes, as they were when the process started.

Both are read from /proc (proc(5)), for processes of the current user only. They cannot be changed from outside.
"""

import os
from collections.abc import Iterator, Mapping

from hfproxy.detect import patterns
from hfproxy.detect.kinds import LocationKind
from hfproxy.scan.walk import Finding, ScanCounts


def environment(environ: Mapping[bytes, bytes]) -> Iterator[Finding]:
    """Yield the tokens in this process's environment, which is that of the calling shell."""
    for name, value in environ.items():
        for hit in patterns.find_plain(value):
            variable = os.fsdecode(name)
            yield Finding("environment", LocationKind.ENVIRONMENT, hit.token, hit.token_kind, variable=variable)


def processes(counts: ScanCounts, proc: str = "/proc") -> Iterator[Finding]:
    """Yield the tokens of all other processes of this user, and count the processes in `counts`."""
    for name in sorted(filter(str.isdigit, os.listdir(proc) if os.path.isdir(proc) else []), key=int):
        directory = os.path.join(proc, name)
        try:
            if os.stat(directory).st_uid == os.geteuid() and int(name) != os.getpid():
                counts.processes += 1
                yield from _process(directory)
        except PermissionError:
            counts.denied += 1
        except OSError:
            pass  # it has ended


def _process(directory: str) -> Iterator[Finding]:
    environ, words = (_read(os.path.join(directory, name)) for name in ("environ", "cmdline"))
    if b"hf_" not in environ + words and b"api_org_" not in environ + words:
        return
    program = os.path.basename(os.fsdecode(words.split(b"\0", 1)[0]))
    for entry in environ.split(b"\0"):
        name, _, value = entry.partition(b"=")
        for hit in patterns.find_plain(value):
            path, variable = os.path.join(directory, "environ"), os.fsdecode(name)
            yield Finding(path, LocationKind.PROCESS, hit.token, hit.token_kind, variable=variable, program=program)
    for hit in patterns.find_plain(words):
        yield Finding(
            os.path.join(directory, "cmdline"), LocationKind.PROCESS, hit.token, hit.token_kind, program=program
        )


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
