"""What is done to the process before it holds a secret, and what it refuses to run on.

The daemon starts itself again in Python's isolated mode with a clean environment: nothing that a dotfile or
another program put there may record its TLS keys, swap its certificates or load code into it.
"""

import ctypes
import os
import resource
import sys
from collections.abc import Mapping
from typing import Final

from hfproxy.errors import StartError

# SSLKEYLOGFILE makes OpenSSL write session keys; KEYRING_PROPERTY_* tells keyring in which collection to store; the
# next choose certificates or code (docs/threat-model.md#t6); the last hold tokens, which a session hands to all its
# programs.
DROPPED: Final = (
    *("SSLKEYLOGFILE", "SSL_CERT_", "LD_", "PYTHON", "DYLD_", "OPENSSL_", "KEYRING_"),
    *("HF_TOKEN", "HF_ACCESS_TOKEN", "HF_API_", "HF_OIDC_", "HUGGING"),
)
PR_SET_DUMPABLE: Final = 4
# Older ones let a request through that is read in two ways (docs/threat-model.md#t16).
OLDEST_AIOHTTP: Final = (3, 14, 4)


def scrubbed_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what could redirect or record a secret."""
    return {name: value for name, value in environ.items() if not name.startswith(DROPPED)}


def restart_isolated(arguments: list[str]) -> None:
    """Become `python -I -m hfproxy ARGUMENTS` in a clean environment; returns if that is what this is already."""
    environ = scrubbed_environment(os.environ)
    if sys.flags.isolated and environ == dict(os.environ):
        return
    os.execve(sys.executable, [sys.executable, "-I", "-m", "hfproxy", *arguments], environ)


def harden() -> None:
    """No core dump, no ptrace or /proc/PID/mem by the same user, no file that others may read.

    And as many open files as there may be: at the usual 1024 anybody on this machine could connect until nobody
    else can, not even to revoke.
    """
    os.umask(0o077)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise StartError(
                f"the process cannot be made undumpable: {os.strerror(ctypes.get_errno())}; see: man 2 prctl"
            )


def check_aiohttp(version: str | None = None, parser: type | None = None) -> None:
    """Refuse an HTTP parser that is known to be fooled; None: what is installed.

    Raises:
        StartError: names what was found and what is needed.
    """
    import aiohttp  # noqa: PLC0415  (it takes longer than all else here, and is not needed to start again)
    from aiohttp import http_parser  # noqa: PLC0415

    version, parser = version or aiohttp.__version__, parser or http_parser.HttpRequestParser
    needed = ".".join(map(str, OLDEST_AIOHTTP))
    release = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if release < OLDEST_AIOHTTP:
        raise StartError(f"aiohttp {version} is too old; hf-proxy needs {needed}: pip install 'aiohttp>={needed}'")
    if parser is http_parser.HttpRequestParserPy:
        raise StartError("aiohttp runs on its pure-Python parser; install a wheel of it: pip install -U aiohttp")
