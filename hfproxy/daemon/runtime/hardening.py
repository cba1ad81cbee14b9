"""Hardening of the process, before it holds a secret: isolated Python, a scrubbed environment, no dumps.

The daemon re-executes itself in Python's isolated mode (`python -I`) with a scrubbed environment, so that no dotfile
and no other program can make it record its TLS keys, replace its certificates or load code.
"""

import ctypes
import os
import resource
import site
import sys
from collections.abc import Mapping
from typing import Final

from hfproxy.errors import StartError

# SSLKEYLOGFILE makes OpenSSL write session keys; KEYRING_PROPERTY_* tells keyring in which collection to store; the
# next choose certificates or code (docs/threat-model.md#t6); the last hold tokens, which a session hands to all its
# programs.
DROPPED_VARIABLES: Final = (
    *("SSLKEYLOGFILE", "SSL_CERT_", "LD_", "PYTHON", "DYLD_", "OPENSSL_", "KEYRING_"),
    *("HF_TOKEN", "HF_ACCESS_TOKEN", "HF_API_", "HF_OIDC_", "HUGGING"),
)
PR_SET_DUMPABLE: Final = 4
# Older ones let a request through that is read in two ways (docs/threat-model.md#t16).
OLDEST_AIOHTTP: Final = (3, 14, 4)


def scrubbed_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the variables that could redirect or record a secret (`DROPPED`)."""
    return {name: value for name, value in environ.items() if not name.startswith(DROPPED_VARIABLES)}


def restart_isolated(arguments: list[str]) -> None:
    """Re-execute as `python -I -m hfproxy ARGUMENTS` in the scrubbed environment; returns if that was done already.

    Raises:
        StartError: isolated Python would not find this program.
    """
    environ = scrubbed_environment(os.environ)
    if sys.flags.isolated and environ == dict(os.environ):
        return
    if site.ENABLE_USER_SITE and _is_inside(__file__, site.getusersitepackages()):
        raise StartError(
            "hf-proxy is installed in the user's site directory, which isolated Python does not read; install it in an"
            " environment of its own: pipx install, uv tool install, or pip in a venv"
        )
    os.execve(sys.executable, [sys.executable, "-I", "-m", "hfproxy", *arguments], environ)


def _is_inside(path: str, directory: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(directory) + os.sep)


def harden() -> None:
    """Restrict the process: no core dump, no ptrace or /proc/PID/mem by its own user, no file that others may read.

    Also raise the limit on open files to the hard limit (getrlimit(2)). At the usual 1024 any user of this machine
    could open connections until no other client can connect, not even to revoke.

    Raises:
        StartError: the kernel does not make the process undumpable.
    """
    os.umask(0o077)
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux"):
        # Not dumpable: /proc/PID belongs to root, and ptrace(2) needs CAP_SYS_PTRACE (PR_SET_DUMPABLE, prctl(2)).
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise StartError(
                f"the process cannot be made undumpable: {os.strerror(ctypes.get_errno())}; see: man 2 prctl"
            )


def check_aiohttp(version: str | None = None, parser: type | None = None) -> None:
    """Refuse an aiohttp with an HTTP parser that is known to read a request otherwise than a server behind it.

    Args:
        version: None: the installed one.
        parser: The class that parses requests; None: the installed one.

    Raises:
        StartError: the version is too old, or the parser is the pure-Python one; names the command that helps.
    """
    import aiohttp  # noqa: PLC0415  (slow to import, and not needed by the process that re-executes itself)
    from aiohttp import http_parser  # noqa: PLC0415

    version, parser = version or aiohttp.__version__, parser or http_parser.HttpRequestParser
    needed = ".".join(map(str, OLDEST_AIOHTTP))
    release = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if release < OLDEST_AIOHTTP:
        raise StartError(f"aiohttp {version} is too old; hf-proxy needs {needed}: pip install 'aiohttp>={needed}'")
    if parser is http_parser.HttpRequestParserPy:
        raise StartError("aiohttp runs on its pure-Python parser; install a wheel of it: pip install -U aiohttp")
