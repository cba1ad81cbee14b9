"""What bodies ask for. That every row's body is understood, the vectors show; here is what they could leave out."""

import json

import pytest
import vectors
from hypothesis import given
from hypothesis import strategies as st
from strategies import law
from vectors import Vector
from vectors.mutated import OF_ROUTES

from hfproxy.core.hub import body_needs, classify
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.hub.strict_json import JSON, BodyError
from hfproxy.core.hub.classify import BodyRequired

CREATE = {"method": "POST", "target": "/api/repos/create"}
VOLUMES = {"method": "PUT", "target": "/api/spaces/me/a/volumes"}
BODIES = [one for one in OF_ROUTES if vectors.accepted(one) and one.keys() & {"body", "lines"}]


def asked(request: Vector, body: object) -> list[str] | str:
    """What a request with this body would need, or the refusal."""
    return vectors.spelled(vectors.attempt({**request, "body": body}))


@pytest.mark.parametrize("vector", vectors.cases(BODIES))
def test_a_body_gives_every_need_of_its_vector(vector: Vector) -> None:
    assert vectors.spelled(vectors.attempt(vector)) == vectors.expected(vector)


@pytest.mark.parametrize("missing", ["fromRepo", "toRepo"])
def test_a_move_names_both_ends(missing: str) -> None:
    move = {"method": "POST", "target": "/api/repos/move"}
    ends = {"fromRepo": "me/a", "toRepo": "acme/b"}
    assert asked(move, ends) == ["move models/me/a", "move models/acme/b"]
    assert asked(move, {name: end for name, end in ends.items() if name != missing}) == "bad_body"


def created(change: dict[str, object]) -> list[str] | str:
    return asked(CREATE, {"name": "demo", "organization": "me", "type": "space", **change})


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
    assert created(change) == "bad_body"


@pytest.mark.parametrize("empty", [None, [], {}, ""])
def test_secrets_that_are_none_need_nothing(empty: object) -> None:
    assert created({"secrets": empty, "variables": empty}) == ["create spaces/me/demo"]
    assert created({"secrets": empty, "variables": [{"key": "K"}]}) == [
        "create spaces/me/demo",
        "secrets spaces/me/demo",
    ]


@pytest.mark.parametrize("nothing", [0, -1, "", False, "cpu-basic"])
@pytest.mark.parametrize("field", ["hardware", "sleepTimeSeconds", "devModeEnabled", "storageTier"])
def test_what_runs_a_space_counts_whatever_its_value(field: str, nothing: object) -> None:
    assert created({field: nothing}) == ["create spaces/me/demo", "run spaces/me/demo"]
    assert created({field: None}) == ["create spaces/me/demo"]


@pytest.mark.parametrize("read_only", [None, False, 0, 1, "true", "false", [], {}])
def test_a_bucket_is_mounted_for_writing_unless_it_plainly_says_otherwise(read_only: object) -> None:
    volume = {"type": "bucket", "source": "me/b", "mountPath": "/b"}
    assert asked(VOLUMES, {"volumes": [{**volume, "readOnly": read_only}]}) == ["run spaces/me/a", "write buckets/me/b"]
    assert asked(VOLUMES, {"volumes": [{**volume, "readOnly": True}]}) == ["run spaces/me/a", "read buckets/me/b"]


@pytest.mark.parametrize(
    "publishing",
    [{"visibility": v} for v in ("public", "protected", "", 0, [], {}, True)]
    + [{"private": v} for v in (False, 0, "", "false", [], {})],
)
def test_a_duplicate_that_may_be_seen_by_others_needs_settings(publishing: dict[str, object]) -> None:
    duplicate = {"method": "POST", "target": "/api/spaces/acme/a/duplicate"}
    private = ["read spaces/acme/a", "create spaces/me/a"]
    assert asked(duplicate, {"repository": "me/a", **publishing}) == [*private, "settings spaces/me/a"]
    for plain in ({}, {"visibility": None}, {"visibility": "private"}, {"private": True}, {"private": None}):
        assert asked(duplicate, {"repository": "me/a", **plain}) == private
    both = {"repository": "me/a", "visibility": "private", "private": False}
    assert asked(duplicate, both) == [*private, "settings spaces/me/a"]


@pytest.mark.parametrize("overwrite", [True, 1, "true", "false", [0]])
def test_overwriting_a_branch_is_losing_it(overwrite: object) -> None:
    branch = {"method": "POST", "target": "/api/models/me/a/branch/dev"}
    assert asked(branch, {"overwrite": overwrite}) == ["write models/me/a@dev", "delete models/me/a@dev"]
    for plain in (False, None, 0, ""):
        assert asked(branch, {"overwrite": plain}) == ["write models/me/a@dev"]


def test_the_same_need_twice_is_one() -> None:
    volume = {"type": "model", "source": "acme/m", "mountPath": "/m"}
    assert asked(VOLUMES, {"volumes": [volume, {**volume, "mountPath": "/n"}]}) == [
        "run spaces/me/a",
        "read models/acme/m",
    ]


def test_a_body_of_a_route_without_a_repository_in_its_address_is_refused() -> None:
    # No row is so; a row that were must not act on nothing.
    with pytest.raises(BodyError):
        body_needs.needs_of_mounts(None, {"volumes": []})


# --- whatever comes ---------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["me/a", "a", "acme", "space", "model", "bucket", "org", "copyFile", "download", "main", "public"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = sorted(
    body_needs.CREATE_KEYS | body_needs.DUPLICATE_KEYS | body_needs.JOB_KEYS | body_needs.SCHEDULE_KEYS | body_needs.WEBHOOK_KEYS
    | set("fromRepo toRepo target sourceRepoType sourceRepoId startingPoint overwrite tag operation key value x".split())
    | set("namespace item source mountPath revision readOnly".split())
)  # fmt: skip
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)


@given(st.sampled_from(BODIES), st.data())
@law(1500)
def test_no_object_makes_the_reading_of_a_body_raise(vector: Vector, data: st.DataObject) -> None:
    need = classify.classify(vector["method"], vector["target"])
    assert isinstance(need, BodyRequired)
    whole = data.draw(objects)
    if isinstance(right := vector.get("body"), dict):
        # A right body with a few fields changed gets further than one that is all made up.
        known = {
            **dict.fromkeys(right, values),
            **{key: objects for key, one in right.items() if isinstance(one, dict)},
        }
        whole = (
            right | data.draw(st.fixed_dictionaries({}, optional=known)) | (whole if data.draw(st.booleans()) else {})
        )
    found = classify.classify_body(need, json.dumps(whole).encode(), vector.get("type", JSON), "")
    assert not isinstance(found, Deny) or found.refusal is Refusal.BAD_BODY


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["type", "source", "revision", "readOnly"]), values, max_size=4) | values,
        max_size=2,
    )
)
@law(300)
def test_no_volumes_make_the_reading_of_a_body_raise(volumes: object) -> None:
    asked(VOLUMES, {"volumes": volumes})


@given(st.lists(st.dictionaries(st.sampled_from(["type", "name"]), values, max_size=2), max_size=2))
@law(300)
def test_nothing_watched_makes_the_reading_of_a_body_raise(watched: object) -> None:
    asked({"method": "POST", "target": "/api/settings/webhooks"}, {"watched": watched})
