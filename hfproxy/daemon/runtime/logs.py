"""Logs: JSON lines on stderr, short fixed event names with fields, and no way for a secret into them.

Nothing here is told a token. Should one slip into a message all the same (an exception of a library that
quotes a header), the last processor before the output takes out whatever has the shape of one.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TextIO, cast

import structlog

# Tokens, OAuth and repository JWTs, our credentials (docs/hub-protocol.md#token-shapes), and what follows an
# authorization scheme.
SECRETS = re.compile(
    r"(?:hf_|api_org_)[A-Za-z0-9._-]{8,}|(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,}",
)
REDACTED = "<hidden>"


def set_up(level: str) -> None:
    """Send the program's own events, and warnings of libraries, to stderr as JSON.

    Args:
        level: debug, info, warning or error.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact_event,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Stderr())),
    )
    # aiohttp and asyncio log through the standard module; they pass the same gate.
    logging.basicConfig(level=logging.WARNING, handlers=[_StdlibHandler()], force=True)


class _Stderr:
    """Standard error, which may be a file on a full disk: then a line is lost, and nothing else."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class _StdlibHandler(logging.Handler):
    """Hands a standard log record to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().warning(
            "library", name=record.name, said=record.getMessage(), exc_info=record.exc_info or False
        )


def redact_event(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Replace every value by one that is safe: numbers as they are, anything else as text without secrets."""
    return {key: _safe(value) for key, value in event.items()}


def _safe(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def redact(text: str) -> str:
    """A text without what looks like a token or a credential in it."""
    return SECRETS.sub(REDACTED, text)
