"""How a run of the program may end."""

import subprocess
from collections.abc import Callable

Result = subprocess.CompletedProcess[str]
HfProxy = Callable[..., Result]


def failed(result: Result, code: int) -> str:
    """A failed command: stdout empty, one line on stderr. Returns that line."""
    assert (result.returncode, result.stdout) == (code, ""), result
    assert result.stderr.startswith("hf-proxy: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    return result.stderr


def done(result: Result) -> str:
    """It went well and had nothing to complain of. Returns stdout."""
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout
