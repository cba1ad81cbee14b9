"""Bodies that decide: one reading, or refused. What holds for the body of every row that reads one."""

import json
from collections.abc import Iterator

import pytest
import vectors
from hypothesis import given
from hypothesis import strategies as st
from strategies import law
from vectors import Vector
from vectors.mutated import OF_ROUTES

from hfproxy.core.policy import credential
from hfproxy.core.hub import classify
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.hub.strict_json import JSON, LFS_JSON, NDJSON, BodySpec
from hfproxy.core.hub.classify import Classified, BodyRequired
from hfproxy.core.hub.route_table import ROUTES

CREATE = "/api/repos/create"
SECRET = {"method": "POST", "target": "/api/spaces/me/demo/secrets"}
OWN = credential.encode(bytes(24))
# Every accepted request with a body, and of each row the longest, which says the most.
BODIES = [one for one in OF_ROUTES if vectors.accepted(one) and one.keys() & {"body", "lines"}]
READING = [route for route in ROUTES if isinstance(route.derives, BodySpec)]


def asked(vector: Vector, raw: bytes, content_type: str | None = None, encoding: str = "") -> list[str] | str:
    """What a vector's request would need with another body, or the refusal."""
    need = classify.classify(vector["method"], vector["target"])
    assert isinstance(need, BodyRequired)
    content_type = vector.get("type", JSON) if content_type is None else content_type
    found = classify.classify_body(need, raw, content_type, encoding)
    if isinstance(found, Deny):
        assert found.refusal is Refusal.BAD_BODY
        assert found.why.isprintable()
        assert found.why.isascii()
        assert len(found.why) < 400
    return vectors.spelled(found)


def created(raw: bytes | str | object, content_type: str = JSON, encoding: str = "") -> list[str] | str:
    """The same, for a creation."""
    if not isinstance(raw, bytes):
        raw = (raw if isinstance(raw, str) else json.dumps(raw)).encode()
    return asked({"method": "POST", "target": CREATE}, raw, content_type, encoding)


def rewritten(vector: Vector, change: object) -> Iterator[bytes]:
    """A vector's body once for each of its objects, with that object changed: `change` makes its JSON."""
    lines = vector.get("lines") or [vector["body"]]
    for number, line in enumerate(lines):
        for text in changed(line, change):
            yield b"\n".join(
                text.encode() if at == number else json.dumps(other).encode() for at, other in enumerate(lines)
            )


def changed(value: object, change: object) -> Iterator[str]:
    """Texts of a JSON value with one of the objects inside changed."""
    assert callable(change)
    match value:
        case dict():
            yield change(value)
            for key, inner in value.items():
                for text in changed(inner, change):
                    rest = "".join(f",{json.dumps(name)}:{json.dumps(v)}" for name, v in value.items() if name != key)
                    yield f"{{{json.dumps(key)}:{text}{rest}}}"
        case list():
            for number, inner in enumerate(value):
                for text in changed(inner, change):
                    yield "[" + ",".join(text if at == number else json.dumps(v) for at, v in enumerate(value)) + "]"


# --- every row that reads a body --------------------------------------------------------------------------------


def test_every_row_that_reads_a_body_has_one_among_the_vectors() -> None:
    read = [classify.classify(one["method"], one["target"]) for one in BODIES]
    assert {id(need.route) for need in read if isinstance(need, BodyRequired)} == set(map(id, READING))


@pytest.mark.parametrize("vector", vectors.cases(BODIES))
def test_a_key_that_appears_twice_is_refused_in_every_object_of_every_body(vector: Vector) -> None:
    def twice(found: dict[str, object]) -> str:
        key, value = next(iter(found.items()), ("x", 1))
        pairs = [(key, value), *found.items()] if found else [(key, value)] * 2
        return "{" + ",".join(f"{json.dumps(name)}:{json.dumps(one)}" for name, one in pairs) + "}"

    def escaped(found: dict[str, object]) -> str:
        key, value = next(iter(found.items()), ("x", 1))
        spelled = "".join(f"\\u{ord(letter):04x}" for letter in key)
        return twice(found or {"x": 1}).replace(json.dumps(key), f'"{spelled}"', 1)

    assert vectors.spelled(vectors.attempt(vector)) == vectors.expected(vector)
    for raw in [*rewritten(vector, twice), *rewritten(vector, escaped)]:
        assert asked(vector, raw) == "bad_body", raw


@pytest.mark.parametrize("vector", vectors.cases(BODIES))
def test_no_body_is_read_under_another_type_or_compressed(vector: Vector) -> None:
    raw, right = vectors.body(vector), vector.get("type", JSON).partition(";")[0]
    assert asked(vector, raw, f"{right}; charset=utf-8", "identity") == vectors.expected(vector)
    for wrong in {JSON, NDJSON, LFS_JSON, "", "text/plain", "application/x-www-form-urlencoded", "text/json"} - {right}:
        assert asked(vector, raw, wrong) == "bad_body"
    for encoding in ("gzip", "deflate", "br", "zstd", "identity, gzip", "x", "GZIP"):
        assert asked(vector, raw, encoding=encoding) == "bad_body"


@pytest.mark.parametrize("vector", vectors.cases(BODIES))
def test_a_body_that_holds_our_own_credential_is_refused_with_advice(vector: Vector) -> None:
    need = classify.classify(vector["method"], vector["target"])
    assert isinstance(need, BodyRequired)
    for raw in rewritten(vector, lambda found: json.dumps({**found, "x": f"Bearer {OWN}"})):
        found = classify.classify_body(need, raw, vector.get("type", JSON), "")
        assert isinstance(found, Deny)
        assert found.refusal is Refusal.BAD_BODY
        assert "fine-grained token" in found.why
        assert OWN not in found.why


UNKNOWN_REFUSED = {
    "/api/repos/create",
    "/api/{T}/{R}/duplicate",
    "/api/jobs/{ns}",
    "/api/scheduled-jobs/{ns}",
    "/api/settings/webhooks",
    "/api/settings/webhooks/{id}",
    "/api/repos/delete",
    "/api/repos/move",
    "/api/{T}/{R}/lfs-files/duplicate",
    "/api/{B}/lfs-files/duplicate",
}


@pytest.mark.parametrize("vector", vectors.cases(BODIES))
def test_an_unknown_field_is_refused_where_it_could_name_a_repository_or_run_something(vector: Vector) -> None:
    need = classify.classify(vector["method"], vector["target"])
    assert isinstance(need, BodyRequired)
    first, *_ = rewritten(vector, lambda found: json.dumps({**found, "unheard": 1}))
    refused = need.route.path in UNKNOWN_REFUSED
    assert asked(vector, first) == ("bad_body" if refused else vectors.expected(vector))


@pytest.mark.parametrize("vector", vectors.cases(BODIES))
@pytest.mark.parametrize("raw", [b"", b" ", b"{", b"null", b"[]", b'"x"', b"1", b"[{}]", b"{}{}", b"\xff", b"x=1"])
def test_what_is_not_one_json_object_is_refused_everywhere(vector: Vector, raw: bytes) -> None:
    assert asked(vector, raw) == "bad_body"


@pytest.mark.parametrize("route", READING, ids=lambda route: f"{route.methods} {route.path}")
def test_a_body_that_is_read_has_a_limit_that_no_client_meets(route: object) -> None:
    limits = {"/api/repos/create": 16, "/api/{B}/batch": 8, "/{W}{R}{git}/info/lfs/objects/batch": 4}
    assert isinstance(body := getattr(route, "derives", None), BodySpec)
    assert body.limit == limits.get(getattr(route, "path", ""), 1) * 1024 * 1024


def test_a_thousand_lines_are_read_and_the_last_of_them_counts() -> None:
    batch = {"method": "POST", "target": "/api/buckets/me/a/batch", "type": NDJSON}
    lines = [json.dumps({"type": "addFile", "path": f"{number}"}) for number in range(999)]
    copy = json.dumps({"type": "copyFile", "sourceRepoType": "model", "sourceRepoId": "acme/m"})
    assert asked(batch, "\n".join([*lines, copy]).encode()) == ["write buckets/me/a", "read models/acme/m"]
    assert asked(batch, "\r\n".join([*lines, copy]).encode()) == ["write buckets/me/a", "read models/acme/m"]
    assert asked(batch, "\r".join([*lines, copy]).encode()) == "bad_body"
    assert asked(batch, "\u2028".join([*lines, copy]).encode()) == "bad_body"


# --- one JSON object, plainly sent ------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [JSON, "Application/JSON", f"{JSON}; charset=utf-8", f"{JSON};charset=UTF-8"])
def test_json_is_taken_as_clients_send_it(content_type: str) -> None:
    assert created({"name": "demo", "organization": "me"}, content_type) == ["create models/me/demo"]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/x-ndjson",
        f"{JSON}, text/plain",
        f"text/plain, {JSON}",
        f"text/plain; {JSON}",
        f"{JSON}/x",
        LFS_JSON,
    ],
)
def test_another_content_type_is_refused(content_type: str) -> None:
    assert created({"name": "demo"}, content_type) == "bad_body"


@pytest.mark.parametrize("charset", ["utf-7", "utf-16", "utf-16le", "utf-32", "UTF-16", '"utf-7"', "iso-8859-1", "x"])
@pytest.mark.parametrize(
    "form", ["{}; charset={}", "{};charset={}", "{}; x=y; charset={}", "{}; charset=utf-8; charset={}"]
)
def test_another_character_set_is_refused(form: str, charset: str) -> None:
    # A reader that decodes UTF-7 finds `"organization":"acme"` inside the licence below.
    hidden = '{"name":"demo","license":"x+ACIALAAi-organization+ACIAOgAi-acme"}'
    assert created(hidden, form.format(JSON, charset)) == "bad_body"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x", "GZIP", "gzip, identity"])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    assert created({"name": "demo"}, JSON, encoding) == "bad_body"


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_identity_is_no_encoding(encoding: str) -> None:
    assert created({"name": "demo"}, JSON, encoding) == ["create models/~/demo"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"null",
        b"[]",
        b'"demo"',
        b"1",
        b"true",
        b'[{"name":"demo"}]',
        b'{"name":"demo"}x',
        b'{"name":"demo"}{"name":"other"}',
        b'{"name":"demo",}',
        b"{'name':'demo'}",
        b'{"name":"demo"}//x',
        b'\xef\xbb\xbf{"name":"demo"}',
        b'{"name":"demo"}\x00',
        b'{"name":"de\x00mo"}',
        b'{"name":"de\nmo"}',
        b'{"name":"demo","license":"\xff"}',
        b'{"name":"demo","license":"\xc0\xae"}',
        b'{"name":"demo","license":"\xed\xa0\x80"}',
        b'{"name":"demo","sleepTimeSeconds":NaN}',
        b'{"name":"demo","sleepTimeSeconds":Infinity}',
        b'{"name":"demo","sleepTimeSeconds":-Infinity}',
        b'{"name":"demo","sleepTimeSeconds":01}',
        b'{"name":"demo","sleepTimeSeconds":0x1}',
        b'{"name":"demo","sleepTimeSeconds":' + b"9" * 10_000 + b"}",
        b'{"name":"demo","files":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        '{"name":"demo"}'.encode("utf-16"),
        '{"name":"demo"}'.encode("utf-16-le"),
        '{"name":"demo"}'.encode("utf-32"),
    ],
)
def test_what_is_not_one_json_object_in_utf8_is_refused(raw: bytes) -> None:
    assert created(raw) == "bad_body"


@pytest.mark.parametrize(
    "raw",
    [
        '{"name":"demo","name":"demo"}',
        '{"name":"demo","organization":"me","organization":"acme"}',
        '{"name":"demo","organization":"me","\\u006frganization":"acme"}',
        '{"name":"demo","files":[{"path":"x","path":"y"}]}',
        '{"name":"demo","files":[{"path":"x","p\\u0061th":"y"}]}',
        '{"name":"demo","type":"model","typ\\u0065":"space"}',
    ],
)
def test_a_key_may_appear_once_however_it_is_spelled_and_however_deep(raw: str) -> None:
    assert created(raw) == "bad_body"


def test_a_key_spelled_with_escapes_means_what_it_says() -> None:
    raw = '{"\\u006e\\u0061me":"demo","\\u006frganization":"\\u0061cme","\\u0074ype":"sp\\u0061ce"}'
    assert created(raw) == ["create spaces/acme/demo"]


# --- our own credential ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({"key": "K", "value": f"Bearer {OWN}"}),
        json.dumps({"key": OWN, "value": "v"}),
        json.dumps({"key": "K", "value": {"deep": [[OWN]]}}),
        json.dumps({"key": "K", "value": "v", OWN: 1}),
        '{"key":"K","value":"' + "".join(f"\\u{ord(letter):04x}" for letter in OWN) + '"}',
        '{"key":"K","value":"\\u0068' + OWN[1:] + '"}',
    ],
)
def test_our_own_credential_is_found_wherever_and_however_it_is_spelled(raw: str) -> None:
    assert asked(SECRET, raw.encode()) == "bad_body"


def test_no_depth_of_nesting_makes_a_body_unreadable_but_not_refused() -> None:
    # The depth at which reading works and looking for our credential no longer does must not raise.
    for depth in range(1, 1100):
        asked(SECRET, f'{{"value":{"[" * depth}{"]" * depth}}}'.encode())
        asked(SECRET, ('{"value":' * depth + "1" + "}" * depth).encode())


# --- whatever comes ---------------------------------------------------------------------------------------------------


@given(st.sampled_from(BODIES), st.binary(max_size=40), st.text(max_size=20), st.text(max_size=8))
@law(400)
def test_no_bytes_make_the_reading_of_a_body_raise(
    vector: Vector, raw: bytes, content_type: str, encoding: str
) -> None:
    asked(vector, raw, content_type, encoding)
    asked(vector, raw)
    asked(vector, b'{"name":"demo","type":' + raw + b"}")


@given(st.sampled_from(BODIES), st.data())
@law(400)
def test_no_change_of_a_byte_makes_the_reading_of_a_body_raise(vector: Vector, data: st.DataObject) -> None:
    raw = bytearray(vectors.body(vector))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    asked(vector, bytes(raw))


def test_only_ndjson_is_one_object_a_line() -> None:
    assert created(b'{\n  "name": "demo"\n}') == ["create models/~/demo"]
    assert created(b'{"name": "demo"}\n') == ["create models/~/demo"]
    assert created(b'{"name": "demo"}\n{"name": "other"}') == "bad_body"
    lines = b'{"type": "addFile"}\n{"type": "copyFile", "sourceRepoType": "model", "sourceRepoId": "acme/x"}'
    batch = {"method": "POST", "target": "/api/buckets/me/b/batch"}
    assert asked(batch, lines, NDJSON) == ["write buckets/me/b", "read models/acme/x"]
    assert asked(batch, lines + b"\n", NDJSON) == ["write buckets/me/b", "read models/acme/x"]
    assert asked(batch, lines + b"\n\n", NDJSON) == "bad_body"
    assert asked(batch, b'{\n"type": "addFile"}', NDJSON) == "bad_body"
