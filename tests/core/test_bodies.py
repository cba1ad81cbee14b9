"""Bodies that decide: one reading, or refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core import credential, routes
from hfproxy.core.access import Deny, Refusal
from hfproxy.core.routes import NeedBody
from vectors import spelled

CREATE = "/api/repos/create"
SECRETS = "/api/spaces/me/demo/secrets"
BATCH = "/me/demo.git/info/lfs/objects/batch"
JSON, LFS = "application/json", "application/vnd.git-lfs+json"
OWN = credential.make(bytes(24))


def asked(target: str, raw: bytes | str | object, content_type: str = JSON, encoding: str = "") -> list[str] | str:
    """What a POST with this body would need, or the refusal."""
    need = routes.classify("POST", target)
    assert isinstance(need, NeedBody)
    if not isinstance(raw, bytes):
        raw = (raw if isinstance(raw, str) else json.dumps(raw)).encode()
    found = routes.classify_body(need, raw, content_type, encoding)
    if isinstance(found, Deny):
        assert found.refusal is Refusal.BAD_BODY
        assert found.why.isprintable()
        assert found.why.isascii()
        assert len(found.why) < 400
    return spelled(found)


# --- one JSON object, plainly sent ------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [JSON, "Application/JSON", f"{JSON}; charset=utf-8", f"{JSON};charset=UTF-8"])
def test_json_is_taken_as_clients_send_it(content_type: str) -> None:
    assert asked(CREATE, {"name": "demo", "organization": "me"}, content_type) == ["create models/me/demo"]


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
        LFS,
    ],
)
def test_another_content_type_is_refused(content_type: str) -> None:
    assert asked(CREATE, {"name": "demo"}, content_type) == "bad_body"


@pytest.mark.parametrize("charset", ["utf-7", "utf-16", "utf-16le", "utf-32", "UTF-16", '"utf-7"', "iso-8859-1", "x"])
@pytest.mark.parametrize(
    "form", ["{}; charset={}", "{};charset={}", "{}; x=y; charset={}", "{}; charset=utf-8; charset={}"]
)
def test_another_character_set_is_refused(form: str, charset: str) -> None:
    # A reader that decodes UTF-7 finds `"organization":"acme"` inside the licence below.
    hidden = '{"name":"demo","license":"x+ACIALAAi-organization+ACIAOgAi-acme"}'
    assert asked(CREATE, hidden, form.format(JSON, charset)) == "bad_body"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x", "GZIP", "gzip, identity"])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    assert asked(CREATE, {"name": "demo"}, JSON, encoding) == "bad_body"


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_identity_is_no_encoding(encoding: str) -> None:
    assert asked(CREATE, {"name": "demo"}, JSON, encoding) == ["create models/~/demo"]


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
    assert asked(CREATE, raw) == "bad_body"


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
    assert asked(CREATE, raw) == "bad_body"


def test_a_key_spelled_with_escapes_means_what_it_says() -> None:
    raw = '{"\\u006e\\u0061me":"demo","\\u006frganization":"\\u0061cme","\\u0074ype":"sp\\u0061ce"}'
    assert asked(CREATE, raw) == ["create spaces/acme/demo"]


# --- creating --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({"name": "demo"}, ["create models/~/demo"]),
        ({"name": "demo", "organization": None}, ["create models/~/demo"]),
        ({"name": "demo", "type": None}, ["create models/~/demo"]),
        ({"name": "demo", "type": "dataset", "private": True}, ["create datasets/~/demo"]),
        ({"name": "a", "type": "space", "secrets": [{"key": "K"}]}, ["create spaces/~/a", "secrets spaces/~/a"]),
        ({"name": "a", "type": "space", "variables": [{"key": "K"}]}, ["create spaces/~/a", "secrets spaces/~/a"]),
        ({"name": "a", "type": "space", "secrets": {"K": "v"}}, ["create spaces/~/a", "secrets spaces/~/a"]),
        ({"name": "a", "type": "space", "hardware": "t4-small"}, ["create spaces/~/a", "run spaces/~/a"]),
        ({"name": "a", "type": "space", "sleepTimeSeconds": 0}, ["create spaces/~/a", "run spaces/~/a"]),
        ({"name": "a", "type": "space", "devModeEnabled": True}, ["create spaces/~/a", "run spaces/~/a"]),
    ],
)
def test_creating_needs_what_the_body_asks_for(body: object, needs: list[str]) -> None:
    assert asked(CREATE, body) == needs


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": ""},
        {"name": 1},
        {"name": ["demo"]},
        {"name": "acme/demo"},
        {"name": ".."},
        {"name": "."},
        {"name": "a..b"},
        {"name": "-a"},
        {"name": "a\n"},
        {"name": "a b"},
        {"name": "démo"},
        {"name": "a%2Fb"},
        {"name": "*"},
        {"name": "a" * 97},
        {"organization": ""},
        {"organization": False},
        {"organization": 0},
        {"organization": []},
        {"organization": {}},
        {"organization": ["acme"]},
        {"organization": "acme/x"},
        {"organization": "*"},
        {"type": "models"},
        {"type": "Model"},
        {"type": "bucket"},
        {"type": "kernel"},
        {"type": 1},
        {"type": True},
        {"type": ["space"]},
        {"type": {"space": 1}},
        {"type": []},
        {"type": {}},
        {"type": ""},
        {"type": 0},
        {"type": False},
        {"owner": "acme"},
        {"Organization": "acme"},
        {"namespace": "acme"},
        {"repoId": "acme/demo"},
        {"__proto__": {"organization": "acme"}},
        {"volumes": {}},
        {"volumes": "x"},
        {"volumes": ["x"]},
        {"volumes": [None]},
        {"volumes": [{}]},
        {"volumes": [{"type": "model"}]},
        {"volumes": [{"type": ["model"], "source": "me/a"}]},
        {"volumes": [{"type": "models", "source": "me/a"}]},
        {"volumes": [{"type": "model", "source": "me/../a"}]},
        {"volumes": [{"type": "model", "source": "me/a/b"}]},
        {"volumes": [{"type": "model", "source": "me/*"}]},
        {"volumes": [{"type": "model", "source": ["me", "a"]}]},
        {"volumes": [{"type": "model", "source": "me/a", "revision": ["dev"]}]},
    ],
)
def test_a_creation_that_is_not_plain_is_refused(change: dict[str, object]) -> None:
    assert asked(CREATE, {"name": "demo", "organization": "me", "type": "space", **change}) == "bad_body"


def test_each_volume_adds_a_read_of_its_source_at_its_revision() -> None:
    volumes = [
        {"type": "bucket", "source": "me/b", "mountPath": "/b", "readOnly": True},
        {"type": "dataset", "source": "acme/d", "mountPath": "/d"},
        {"type": "model", "source": "acme/m", "mountPath": "/m", "revision": "dev"},
    ]
    assert asked(CREATE, {"name": "a", "organization": "me", "type": "space", "volumes": volumes}) == [
        "create spaces/me/a",
        "run spaces/me/a",
        "read buckets/me/b",
        "read datasets/acme/d",
        "read models/acme/m@dev",
    ]


# --- our own credential ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({"key": "HF_TOKEN", "value": OWN}),
        json.dumps({"key": "K", "value": f"Bearer {OWN}"}),
        json.dumps({"key": OWN, "value": "v"}),
        json.dumps({"key": "K", "value": {"deep": [[OWN]]}}),
        json.dumps({"key": "K", "value": "v", OWN: 1}),
        '{"key":"K","value":"' + "".join(f"\\u{ord(letter):04x}" for letter in OWN) + '"}',
        '{"key":"K","value":"\\u0068' + OWN[1:] + '"}',
    ],
)
@pytest.mark.parametrize("target", [SECRETS, "/api/spaces/me/demo/variables"])
def test_a_secret_that_holds_our_own_credential_is_refused_with_advice(raw: str, target: str) -> None:
    need = routes.classify("POST", target)
    assert isinstance(need, NeedBody)
    found = routes.classify_body(need, raw.encode(), JSON, "")
    assert isinstance(found, Deny)
    assert "fine-grained token" in found.why
    assert OWN not in found.why


def test_a_creation_that_holds_our_own_credential_is_refused() -> None:
    assert asked(CREATE, {"name": "a", "type": "space", "secrets": [{"key": "K", "value": OWN}]}) == "bad_body"


def test_no_depth_of_nesting_makes_a_body_unreadable_but_not_refused() -> None:
    # The depth at which reading works and looking for our credential no longer does must not raise.
    for depth in range(1, 1100, 1):
        asked(SECRETS, '{"value":' + "[" * depth + "]" * depth + "}")
        asked(SECRETS, '{"value":' * depth + "1" + "}" * depth)


# --- LFS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({"operation": "upload", "objects": []}, ["lfs models/me/demo"]),
        ({"operation": "download", "objects": [], "ref": {"name": "refs/heads/main"}}, ["read models/me/demo"]),
        ({"operation": "upload", "ref": {"name": "dev"}}, ["lfs models/me/demo"]),
    ],
)
def test_the_operation_of_a_batch_decides(body: object, needs: list[str]) -> None:
    assert asked(BATCH, body, LFS) == needs
    assert asked(BATCH, body, f"{LFS}; charset=utf-8") == needs


@pytest.mark.parametrize(
    "raw",
    [
        "{}",
        '{"operation":null}',
        '{"operation":"Upload"}',
        '{"operation":"verify"}',
        '{"operation":["download"]}',
        '{"operation":{"download":1}}',
        '{"operation":" download"}',
        '{"operation":"download","operation":"upload"}',
        '{"operation":"download","operatio\\u006e":"upload"}',
    ],
)
def test_a_batch_with_another_operation_is_refused(raw: str) -> None:
    assert asked(BATCH, raw, LFS) == "bad_body"


def test_a_batch_is_lfs_json_and_nothing_else() -> None:
    assert asked(BATCH, {"operation": "download"}, JSON) == "bad_body"


# --- whatever comes ---------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["me/a", "space"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = "name organization type visibility secrets variables hardware volumes files operation key value x".split()
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)
volume_lists = st.lists(
    st.dictionaries(st.sampled_from(["type", "source", "revision"]), values, max_size=3) | values, max_size=2
)


@given(st.sampled_from([CREATE, SECRETS, BATCH]), objects | values, st.sampled_from([JSON, LFS]))
@law(300)
def test_no_object_makes_the_reading_of_a_body_raise(target: str, body: object, content_type: str) -> None:
    asked(target, body, content_type)


@given(values, values, volume_lists)
@law(300)
def test_no_creation_makes_the_reading_of_a_body_raise(kind: object, organization: object, volumes: object) -> None:
    asked(CREATE, {"name": "demo", "type": kind, "organization": organization, "volumes": volumes})


@given(st.sampled_from([CREATE, SECRETS, BATCH]), st.binary(max_size=40), st.text(max_size=20), st.text(max_size=8))
@law(200)
def test_no_bytes_make_the_reading_of_a_body_raise(target: str, raw: bytes, content_type: str, encoding: str) -> None:
    asked(target, raw, content_type, encoding)
    asked(target, raw, JSON)
    asked(target, b'{"name":"demo","type":' + raw + b"}", JSON)


def test_a_needed_body_has_a_limit() -> None:
    for target in (CREATE, SECRETS, BATCH):
        need = routes.classify("POST", target)
        assert isinstance(need, NeedBody)
        assert 0 < need.limit <= 4 * 1024 * 1024
