"""What hypothesis draws from: the words of the domain, in alphabets small enough that values meet each other.

Everything is derandomised and keeps no database, so that a run today and a run tomorrow are the same run.
"""

from budgets import EXAMPLES_PERCENT
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hfproxy.core.policy.access import NEW_PULL_REQUEST, Access, Action, Need, RepoType, Target
from hfproxy.core.policy.caveats import Caveat, Ceiling, Expires, InScopes, InTree, MaxBytes, MaxRate, MaxUses, Usage
from hfproxy.core.policy.scope import NAMESPACED, Scope, parse


def law(examples: int = 200) -> settings:
    """Settings of a property: so many examples (or that share of them, `budgets`), always the same."""
    return settings(
        max_examples=max(25, examples * EXAMPLES_PERCENT // 100),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


SHA = "0123456789abcdef0123456789abcdef01234567"
SHORT_SHA = SHA[:7]

names = st.sampled_from(["me", "Me", "acme", "gpt2", "demo", "foo-bar", "foo-baz", "a.b", "x_1"])
refs = st.sampled_from(
    [
        "main",
        "dev",
        "refs/heads/main",
        "refs/heads/feature/x",
        "feature/x",
        "feature/y",
        "refs/pr/1",
        "refs/pr/12",
        NEW_PULL_REQUEST,
        "v1.0",
        SHA,
        SHORT_SHA,
        f"refs/heads/{SHORT_SHA}",
    ]
)
types = st.sampled_from(RepoType)
repo_actions = st.sampled_from([action for action in Action if action not in NAMESPACED])

segments = st.one_of(names, st.sampled_from(["*", "foo-*", "*-bar", "m*", "**", "*a*"]))
ref_patterns = st.one_of(refs, st.sampled_from(["*", "refs/pr/*", "feature/*", "m*n", "*/*", "refs/*/*", "0*"]))


@st.composite
def scope_texts(draw: st.DrawFn) -> str:
    """A scope as a person could type it, by the grammar in core/policy/scope.py."""
    action: Action = draw(st.sampled_from(list(Action)))
    if action in NAMESPACED:
        # Not a type word: `jobs:models` would be a type, which these words do not take.
        segment = draw(st.none() | segments)
        return action.value if segment is None else f"{action}:{segment}"
    parts = draw(st.lists(segments, min_size=0, max_size=2))
    kind = draw(st.none() | types)
    place = "/".join([*([kind.value] if kind else []), *parts])
    if not place:
        return action.value
    ref = draw(st.none() | ref_patterns)
    return f"{action}:{place}" + ("" if ref is None else f"@{ref}")


scopes: st.SearchStrategy[Scope] = scope_texts().map(parse)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    """A repository, legacy ones included, with or without a ref."""
    return Target(draw(types), draw(names), draw(st.none() | names), draw(st.none() | refs))


@st.composite
def needs(draw: st.DrawFn) -> Need:
    """A need as routes make them: only a ref-less write can be an LFS upload."""
    action = draw(st.one_of(repo_actions, st.sampled_from([Action.READ, Action.WRITE])))
    target = draw(targets())
    lfs = action is Action.WRITE and target.ref is None and draw(st.booleans())
    return Need(action, target, any_ref=lfs)


accesses = st.lists(needs(), min_size=1, max_size=3).map(lambda found: Access(tuple(found)))

scope_tuples = st.lists(scopes, min_size=1, max_size=3).map(tuple)
moments_s = st.integers(min_value=0, max_value=20)
caveats: st.SearchStrategy[Caveat] = st.one_of(
    st.builds(InScopes, scope_tuples, st.booleans()),
    st.builds(Ceiling, scope_tuples),
    st.builds(Expires, moments_s),
    st.builds(InTree),
    st.builds(MaxUses, st.integers(min_value=0, max_value=4)),
    st.builds(MaxRate, st.integers(min_value=0, max_value=4)),
    st.builds(MaxBytes, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)),
)
counts = st.integers(min_value=0, max_value=5)
moments = st.builds(Usage, moments_s, counts, counts, counts, counts, st.booleans())
entropies = st.binary(min_size=24, max_size=24)
