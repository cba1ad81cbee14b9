"""The logs: JSON lines that hold no secret, whatever field, exception or library it comes from."""

import json
import logging
import subprocess
import sys

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.policy import credential
from hfproxy.daemon.runtime import logs
from hfproxy.secret import Secret

TOKEN = "hf_" + "CANARYcanary" * 2 + "CANARYcanA"
SECRETS = (
    TOKEN,
    "api_org_" + TOKEN[3:],
    "hf_oauth_eyJhbGciOi.eyJzdWIiOi-_x.SflKxwRJSM",
    "hf_jwt_eyJhbGciOi.eyJzdWIiOi-_x.SflKxwRJSM",
    credential.encode(bytes(range(24))),
)
# What may stand before and after one in a text. Not letters, digits, dots: there it would not be one any more.
SEPARATORS = st.sampled_from(["", " ", "\n", "'", '"', "/", ":", "@", "=", "(", ")", ",", "\\n", "\x00", "é", "%20"])


@given(st.text(max_size=30), SEPARATORS, st.sampled_from(SECRETS), SEPARATORS, st.text(max_size=30))
@law()
def test_no_secret_survives_in_a_text(before: str, left: str, secret: str, right: str, after: str) -> None:
    hidden = logs.redact(before + left + secret + right + after)
    assert secret not in hidden
    assert secret[-12:] not in hidden or secret[-12:] in before + after


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", "BASIC"])
@pytest.mark.parametrize("value", ["c2VjcmV0OnNlY3JldA==", "opaque.xet-token_1~2", "a+b/c=dddddd"])
def test_what_follows_an_authorization_scheme_is_hidden(scheme: str, value: str) -> None:
    """Whatever it looks like: xet tokens and others' have no shape to know them by."""
    assert logs.redact(f"x Authorization: {scheme} {value} y") == f"x Authorization: {logs.REDACTED} y"


@given(st.text(alphabet=st.characters(exclude_characters="_")))
@example("hf-proxy 0.1.0 at http://127.0.0.1:4880, since 2026-01-01")
@example("a basic fact; the bearer of news")
@law()
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    if "bearer" not in text.lower().split() and "basic" not in text.lower().split():
        assert logs.redact(text) == text


class Awkward:
    """A value whose text holds what it should not."""

    def __str__(self) -> str:
        return f"<request with {TOKEN}>"

    __repr__ = __str__


VALUES = st.recursive(
    st.one_of(
        st.sampled_from([*SECRETS, Awkward(), TOKEN.encode(), Secret(TOKEN), ValueError(TOKEN)]),
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=10),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([TOKEN, "a"]), inner, max_size=2)),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["event", "endpoint", "exception", "said"]), VALUES))
@law()
def test_no_value_of_any_type_carries_one(event: dict[str, object]) -> None:
    safe = logs.redact_event(None, "", dict(event))
    written = json.dumps(safe)
    assert [secret for secret in SECRETS if secret in written] == []
    assert safe.keys() == event.keys()


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)))
@law()
def test_numbers_stay_numbers(value: object) -> None:
    assert logs.redact_event(None, "", {"x": value}) == {"x": value}


# Everything that the process writes, in a process of its own, since logging is set up for a whole process.
PROGRAM = """
import asyncio, logging, sys, structlog
from hfproxy.daemon.runtime import logs
from hfproxy.secret import Secret
token = sys.argv[1]
logs.set_up(sys.argv[2])
log = structlog.get_logger()
log.debug("fine_print", said=token)
log.info(f"event {token}", endpoint=f"http://u:{token}@h", secret=Secret(token), many=[{"a": token}])
log.bind(account=token).warning("bound")
def inner(token):
    raise ValueError(f"header was Authorization: Bearer {token}") from KeyError(token)
try:
    inner(token)
except ValueError:
    log.exception("failed")
    logging.getLogger("aiohttp.server").exception("Error handling request with %s", token)
logging.getLogger("asyncio").error("Task %r", {"token": token})
logging.getLogger("aiohttp.access").info("GET /?token=%s", token)
async def forgotten():
    asyncio.get_running_loop().call_exception_handler({"message": token, "exception": RuntimeError(token)})
asyncio.run(forgotten())
"""


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("level", ["debug", "info"])
def test_nothing_that_is_logged_in_any_way_holds_one(secret: str, level: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, secret, level], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""
    assert secret not in done.stderr
    assert secret[8:24] not in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    events = [line["event"] for line in lines]
    assert ("fine_print" in events) == (level == "debug")
    # Those of libraries come through the same gate, and only their warnings do.
    assert events.count("library") == 3
    assert any("ValueError" in line.get("exception", "") for line in lines)
    for line in lines:
        assert line["level"] in {"debug", "info", "warning", "error"}
        assert line["timestamp"].endswith("Z")


@pytest.fixture
def _as_before() -> object:
    """What `set_up` changes for the whole process, put back."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize(("level", "heard"), [("error", 1), ("warning", 2), ("info", 3), ("debug", 4)])
def test_a_level_keeps_the_lesser_ones_quiet(level: str, heard: int, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(level)
    log = structlog.get_logger()
    for said in ("debug", "info", "warning", "error"):
        getattr(log, said)(said)
    assert len(capsys.readouterr().err.splitlines()) == heard
