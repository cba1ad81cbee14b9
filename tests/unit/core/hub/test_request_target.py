"""The raw request target: read in one way, or refused."""

import string
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.hub import request_target
from hfproxy.core.policy.decision import Deny, Refusal

targets = st.text(alphabet="/aA.%2eEfF5cC0?&=;#\\~ \té" + "hot_reload[]", max_size=24).map(lambda text: "/" + text)


@given(st.text() | targets)
@law(1000)
def test_any_text_is_read_or_refused_and_what_is_read_is_kept_byte_for_byte(raw: str) -> None:
    found = request_target.parse(raw)
    if isinstance(found, Deny):
        assert found.refusal is Refusal.BAD_TARGET
        assert found.why.isprintable()
        assert found.why.isascii()
        return
    assert found.raw == raw
    assert raw.split("?")[0] == found.path
    assert raw.isascii()
    assert raw.isprintable()
    assert not set(raw) & set(" \\#")


@given(targets)
@law(1000)
def test_what_is_read_has_no_direction_however_often_it_is_decoded(raw: str) -> None:
    found = request_target.parse(raw)
    if isinstance(found, Deny) or found.path == "/":
        return
    once = unquote(found.path, errors="strict")
    for reading in (found.path, once, unquote(once)):
        parts = reading.replace("\\", "/")[1:].split("/")
        assert not {"", ".", ".."} & set(parts), reading


@pytest.mark.parametrize("character", [chr(code) for code in range(256) if chr(code) not in string.printable[:94]])
def test_no_character_but_printable_ascii_passes(character: str) -> None:
    assert isinstance(request_target.parse(f"/api/{character}x"), Deny)
    assert isinstance(request_target.parse(f"/api?{character}x"), Deny)


@pytest.mark.parametrize("code", [*range(32), 127, ord("\\")])
@pytest.mark.parametrize("form", ["%{:02x}", "%{:02X}"])
def test_control_characters_and_the_backslash_pass_nowhere_not_even_encoded(code: int, form: str) -> None:
    escape = form.format(code)
    assert isinstance(request_target.parse(f"/me/a/resolve/main/x{escape}y"), Deny)
    assert isinstance(request_target.parse(f"/me/a/resolve/x{escape}y/z"), Deny)
    assert isinstance(request_target.parse(f"/me/a?x={escape}"), Deny)


@pytest.mark.parametrize(
    ("query", "policy"),
    [
        ("x=1", {}),
        ("create_pr=1", {"create_pr": "1"}),
        ("x&create_pr=1&hot_reload=1", {"create_pr": "1", "hot_reload": "1"}),
        ("service=git-upload-pack", {"service": "git-upload-pack"}),
        ("x=create_pr=1", {}),
        ("xcreate_pr=1&create_prx=1", {}),
        ("expand[]=sha&expand%5B%5D=tags", {}),
    ],
)
def test_the_query_keys_that_decide_are_found(query: str, policy: dict[str, str]) -> None:
    found = request_target.parse(f"/api?{query}")
    assert not isinstance(found, Deny)
    assert dict(found.policy_pairs) == policy


@pytest.mark.parametrize("key", ["create_pr", "hot_reload", "service", "_method"])
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "{}=",
        "{}=2",
        "{}=true",
        "{}=%31",
        "{}[]=1",
        "{}[a]=1",
        "{}%5B%5D=1",
        "{}%5b0%5d=1",
        "[{}]=1",
        "%5B{}%5D=1",
        "[{}][]=1",
        "{}.a=1",
        "+{}=1",
        "{}+=1",
        "%20{}=1",
        "{}=1&{}=1",
        "{}=1;{}=1",
        "x;{}=2",
        "x&&{}=2",
    ],
)
def test_a_key_that_decides_is_refused_in_every_other_form(key: str, form: str) -> None:
    assert isinstance(request_target.parse(f"/api?{form.format(key, key)}"), Deny)


@pytest.mark.parametrize("key", ["create_pr", "hot_reload", "service", "_method"])
def test_a_key_that_decides_is_refused_in_another_spelling(key: str) -> None:
    for place, letter in enumerate(key):
        for other in {letter.upper(), f"%{ord(letter):02x}", f"%{ord(letter):02X}"} - {letter}:
            spelled = key[:place] + other + key[place + 1 :]
            assert isinstance(request_target.parse(f"/api?{spelled}=1"), Deny), spelled


@pytest.mark.parametrize("key", ["%ff", "%c3", "create_pr%ff", "%ffcreate_pr", "%ff[]", "a%e9b"])
def test_a_key_that_is_no_utf_8_does_not_decide(key: str) -> None:
    found = request_target.parse(f"/api?{key}=1&create_pr=1")
    assert not isinstance(found, Deny)
    assert found.policy_pairs == (("create_pr", "1"),)


@pytest.mark.parametrize(
    ("raw", "accepted"),
    [
        ("/", True),
        ("/?x", True),
        ("/a", True),
        ("/a?", False),
        ("/a?x", True),
        ("/a/", False),
        ("//a", False),
        ("/a//b", False),
        ("/a/./b", False),
        ("/a/../b", False),
        ("/a/..;x/b", False),
        ("/a/;/b", False),
        ("/a/b;x", True),
        ("/a/..b/...", True),
        ("/a/%2e%2E/b", False),
        ("/a/b%2fc", True),
        ("/a/b%2f..", False),
        ("/a/%2fb", False),
        ("/a/%ff", False),
        ("/a/%c3%a9", True),
        ("/a/%zz", False),
        ("/a/%2", False),
        ("/a%252eb", False),
        ("/a%25252fb", False),
        ("/a%2541b", True),
        ("/a?x=%252e", True),
        ("a", False),
        ("", False),
        ("http://hub/a", False),
        ("*", False),
    ],
)
def test_a_path_has_plain_segments_only(raw: str, accepted: bool) -> None:
    found = request_target.parse(raw)
    assert isinstance(found, Deny) is not accepted
    if not isinstance(found, Deny):
        assert (found.raw, found.path, found.policy_pairs) == (raw, raw.partition("?")[0], ())
