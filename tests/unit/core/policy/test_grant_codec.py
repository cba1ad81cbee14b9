"""A grant survives being written down, and nothing but a grant is read back as one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import caveats, entropies, law, scope_tuples

from hfproxy.core.policy import grant_codec
from hfproxy.core.policy.grant import NO_UID, Bind, Grant, GrantTerms
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.caveats import InTree, MaxBytes, MaxRate
from hfproxy.errors import StoreError

more = st.one_of(
    caveats,
    st.just(InTree()),
    st.builds(MaxRate, st.integers(1, 100)),
    st.builds(MaxBytes, st.none() | st.integers(1, 10**12), st.none() | st.integers(1, 10**12)),
)
texts = st.none() | st.text(max_size=8)
numbers = st.none() | st.integers(0, 2**40)


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    """A grant as the broker makes it, with whatever it was used for."""
    order = GrantTerms(
        account=draw(st.text(min_size=1, max_size=8)),
        scopes=draw(scope_tuples),
        ttl=draw(st.integers(1, 10**6)),
        caveats=tuple(draw(st.lists(more, max_size=3))),
        label=draw(texts),
        bind=draw(st.sampled_from(Bind)),
        pid=draw(numbers),
        program=draw(texts),
        strict=draw(st.booleans()),
        start=draw(numbers),
        ambient=draw(st.booleans()),
        renews=draw(st.booleans()),
        uid=draw(st.integers(0, 2**32 - 2)),
    )
    grant, _ = Broker().mint(order, draw(entropies), draw(st.integers(0, 2**33)))
    grant.uses, grant.bytes_up = draw(st.integers(0, 9)), draw(st.integers(0, 2**50))
    for at in sorted(draw(st.lists(st.integers(0, 2**33), max_size=grant.uses))):
        grant.restore_recent_uses([(at, 1)])
    return grant


@given(grants())
@law(300)
def test_what_was_spelled_is_read_again(grant: Grant) -> None:
    again = grant_codec.decode(grant_codec.encode(grant))
    assert again == grant
    assert again.id == grant.id


@given(grants())
@law(50)
def test_the_credential_is_there_as_its_digest_only(grant: Grant) -> None:
    assert "hf_px_" not in grant_codec.encode(grant).replace(json.dumps(grant.terms.label), "")


def spelled(**changes: object) -> str:
    """The spelling of a grant, changed."""
    return json.dumps({**json.loads(grant_codec.encode(GRANT)), **changes})


GRANT = Broker().mint(
    GrantTerms("me", tuple(map(grant_codec.scope.parse, ["read:me/*"])), 60, caveats=(MaxRate(3),)), bytes(24), 100
)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "00"},
        {"digest": "zz"},
        {"digest": None},
        {"order": {}},
        {"order": None},
        {"caveats": []},
        {"caveats": None},
        {"caveats": [["expires", {"at": 160}]]},
        {"caveats": [["expires", {"at": 10**12}], ["in_scopes", {"scopes": ["read:me/*"], "strict": False}]]},
        {"caveats": [["expires", {"at": 160}], ["in_scopes", {"scopes": ["write"], "strict": False}]]},
        {"caveats": [["expires", {"at": 160}], ["in_scopes", {"scopes": ["read:me/*"], "strict": False}], ["new", {}]]},
        {
            "caveats": [
                ["expires", {"at": 160}],
                ["in_scopes", {"scopes": ["read:me/*"], "strict": False}],
                ["max_uses", {"uses": "3"}],
            ]
        },
        {"minted_at": "100"},
        {"minted_at": -1},
        {"expires_at": 10**12},
        {"expires_at": True},
        {"uses": -1},
        {"uses": 1.5},
    ],
)
def test_what_contradicts_itself_or_is_not_understood_is_no_grant(change: dict[str, object]) -> None:
    with pytest.raises(StoreError):
        grant_codec.decode(spelled(**change))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "1", "x" * 1000, "[" * 10_000])
def test_what_is_no_grant_at_all_is_refused(text: str) -> None:
    with pytest.raises(StoreError):
        grant_codec.decode(text)


@given(st.data())
@law(200)
def test_a_changed_byte_never_crashes_it(data: st.DataObject) -> None:
    text = grant_codec.encode(GRANT)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.characters(codec="ascii")) + text[place + 1 :]
    try:
        grant_codec.decode(changed)
    except StoreError:
        pass


def test_a_grant_that_does_not_say_whose_it_is_is_nobody_s() -> None:
    found = json.loads(grant_codec.encode(GRANT))
    del found["order"]["uid"]
    assert grant_codec.decode(json.dumps(found)).terms.uid == NO_UID
