"""Logging: JSON lines on stderr, with short fixed event names, fields, and no secrets.

No code logs a token. Should one get into a message nevertheless (an exception of a library that quotes a header), the
last processor before the output replaces everything that has the shape of a token or credential.
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
REDACTED_SHAPES = re.compile(
    r"(?:hf_|api_org_)[A-Za-z0-9._-]{8,}|(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,}",
)
REDACTED = "<hidden>"


def set_up(level: str) -> None:
    """Send the daemon's events, and libraries' log records from warning on, to stderr as JSON.

    Args:
        level: The least level of the daemon's events: debug, info, warning or error.
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
    # aiohttp and asyncio log through the standard module; their records pass through these processors, too.
    logging.basicConfig(level=logging.WARNING, handlers=[_StdlibHandler()], force=True)


class _Stderr:
    """Standard error; a write that fails (a file on a full disk) loses its line and nothing else."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class _StdlibHandler(logging.Handler):
    """Forwards records of the standard logging module to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().warning(
            "library", name=record.name, said=record.getMessage(), exc_info=record.exc_info or False
        )


def redact_event(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Redact every value of an event: numbers, booleans and None pass, all else becomes redacted text."""
    return {key: _safe(value) for key, value in event.items()}


def _safe(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def redact(text: str) -> str:
    """Return the text with everything that has the shape of a token or credential replaced by `REDACTED`."""
    return REDACTED_SHAPES.sub(REDACTED, text)
