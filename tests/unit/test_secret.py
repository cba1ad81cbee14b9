"""A secret gets out by `reveal()` and by nothing else."""

import copy
import dataclasses
import hashlib
import io
import json
import logging
import marshal
import pickle
import pprint
import string
import sys
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.secret import HIDDEN, Secret

TEXT = "hf_CANARYcanaryCANARYcanaryCANARYcan"
SECRET = Secret(TEXT)


@dataclasses.dataclass
class Holder:
    """Something that has a secret among its fields."""

    name: str
    token: Secret


def test_whoever_asks_for_it_by_name_gets_it() -> None:
    assert SECRET.reveal() == TEXT


@pytest.mark.parametrize(
    "text", [TEXT, "", "ünï", "\udcff"], ids=["token", "empty", "not ascii", "a byte that is no text"]
)
def test_its_digest_is_the_sha256_of_its_bytes(text: str) -> None:
    assert Secret(text).sha256() == hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


SHOWN: dict[str, Any] = {
    "str": str,
    "repr": repr,
    "ascii": ascii,
    "f-string": lambda secret: f"{secret}",
    "f-string with a width": lambda secret: f"{secret:>80}",
    "f-string with repr": lambda secret: f"{secret!r:^50}",
    "f-string, self-documenting": lambda secret: f"{secret=}",
    "format": lambda secret: format(secret, "s"),
    "str.format": lambda secret: "{} {!r} {!s} {!a}".format(secret, secret, secret, secret),
    "percent s": lambda secret: "%s" % secret,
    "percent r": lambda secret: "%(t)r" % {"t": secret},
    "template": lambda secret: string.Template("$t").substitute(t=secret),
    "pprint": pprint.pformat,
    "in a list": lambda secret: str([secret]),
    "in a dict": lambda secret: str({"token": secret}),
    "in a dataclass": lambda secret: repr(Holder("x", secret)),
    "as a dict": lambda secret: str(dataclasses.asdict(Holder("x", secret))),
    "json by str": lambda secret: json.dumps({"t": secret}, default=str),
    "json by repr": lambda secret: json.dumps({"t": secret}, default=repr),
    "an exception": lambda secret: str(ValueError(secret)),
    "the repr of an exception": lambda secret: repr(ValueError("x", secret)),
}


@pytest.mark.parametrize("way", SHOWN)
def test_nothing_shows_it(way: str) -> None:
    shown = SHOWN[way](SECRET)
    assert TEXT not in shown
    assert HIDDEN in shown


TAKEN: dict[str, Any] = {
    "json": json.dumps,
    "json in a dict": lambda secret: json.dumps({"t": secret}),
    "marshal": marshal.dumps,
    "bytes": bytes,
    "iter": iter,
    "list": list,
    "len": len,
    "join": lambda secret: "".join([secret]),
    "add": lambda secret: "x" + secret,
    "index": lambda secret: secret[0],
    "contains": lambda secret: "h" in secret,
    "hash": hash,
    "a set": lambda secret: {secret},
    "a dict key": lambda secret: {secret: 1},
    "compare": lambda secret: secret < secret,
    "vars": vars,
    "a header": lambda secret: "Bearer " + secret,
    "write": lambda secret: io.StringIO().write(secret),
    "int": int,
    "__reduce__": lambda secret: secret.__reduce__(),
    "__reduce_ex__": lambda secret: secret.__reduce_ex__(4),
    "__getstate__": lambda secret: secret.__getstate__(),
    "object.__reduce_ex__": lambda secret: object.__reduce_ex__(secret, 4),
}


@pytest.mark.parametrize("way", TAKEN)
def test_nothing_takes_it_for_a_text(way: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        TAKEN[way](SECRET)
    assert TEXT not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "wrap",
    [lambda secret: secret, lambda secret: [secret], lambda secret: Holder("x", secret)],
    ids=["alone", "listed", "held"],
)
def test_nothing_pickles_it(protocol: int, wrap: Any) -> None:
    with pytest.raises(TypeError, match="cannot be copied or serialised"):
        pickle.dumps(wrap(SECRET), protocol)


def test_a_copy_is_the_same_object() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy(SECRET) is SECRET
    assert copy.deepcopy([SECRET])[0] is SECRET
    assert dataclasses.replace(Holder("x", SECRET), name="y").token is SECRET


def test_no_traceback_shows_it_even_with_local_variables() -> None:
    def fails(token: Secret) -> None:
        held = {"authorization": token}
        raise RuntimeError(held, token)

    with pytest.raises(RuntimeError) as caught:
        fails(SECRET)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert HIDDEN in shown
    assert TEXT not in shown


def test_no_log_shows_it() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(message)s %(token)s"))
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s %r", (SECRET, {"t": SECRET}), None)
    record.token = SECRET
    handler.emit(record)
    assert HIDDEN in out.getvalue()
    assert TEXT not in out.getvalue()


def test_no_structured_log_shows_it() -> None:
    structlog = pytest.importorskip("structlog")
    for renderer in (
        structlog.processors.JSONRenderer(),
        structlog.processors.KeyValueRenderer(),
        structlog.processors.LogfmtRenderer(),
        structlog.dev.ConsoleRenderer(colors=False),
    ):
        event = {"event": "x", "token": SECRET}
        if not isinstance(renderer, structlog.processors.LogfmtRenderer):
            event["held"] = [SECRET]
        assert TEXT not in str(renderer(None, "info", event))


def test_no_fast_encoder_takes_it() -> None:
    msgspec = pytest.importorskip("msgspec")
    for encode in (msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins):
        with pytest.raises(TypeError):
            encode({"token": SECRET})


def test_it_says_whether_there_is_anything() -> None:
    assert SECRET
    assert not Secret("")


def test_it_has_no_room_for_anything_else() -> None:
    with pytest.raises(AttributeError):
        SECRET.note = TEXT  # type: ignore[attr-defined]
    assert not hasattr(SECRET, "__dict__")
    assert sys.getsizeof(SECRET) < 100


@given(st.text(), st.text())
@law()
def test_two_are_equal_where_their_texts_are(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert (Secret(one) != Secret(other)) == (one != other)


@pytest.mark.parametrize("other", [TEXT, TEXT[:-1].encode(), None, 0, object(), HIDDEN])
def test_it_equals_nothing_but_another_secret(other: object) -> None:
    assert other != SECRET
    assert not SECRET == other  # noqa: SIM201


def test_an_undecodable_text_is_compared_without_being_shown() -> None:
    # Text from the environment may hold lone surrogates; an encoding error would carry the whole of it.
    held = TEXT + "\udcff"
    assert Secret(held) == Secret(held)
    assert Secret(held) != Secret(TEXT)
