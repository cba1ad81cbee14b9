"""Scopes: the text in which a user states the permissions of a credential, and whether a scope admits a need.

    SCOPE  := ACTION [":" TARGET]
    TARGET := [TYPE "/"] NAMESPACE ["/" NAME] ["@" REF]      TYPE: models datasets spaces kernels buckets

`parse` and `str` are inverse: a scope prints as it was typed. A first segment that is a TYPE word is the TYPE (so
`read:models` is all models). `*` matches any run of characters inside one segment. Namespaces and names compare without
regard to case, refs with it and without `refs/heads/`.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from hfproxy.core.policy.access import NEW_PULL_REQUEST, Action, Need, RepoType
from hfproxy.errors import UsageError

TYPES = frozenset(RepoType)
# Actions on an account or an organisation, not on repositories.
NAMESPACED = frozenset(
    {
        Action.ENDPOINTS,
        Action.JOBS,
        Action.WEBHOOKS,
        Action.COLLECTIONS,
        Action.PROFILE,
        Action.BILLING,
        Action.ORG,
    }
)
SEGMENT = re.compile(r"[A-Za-z0-9._*-]+")
# Without the characters that git refuses in a ref name (git-check-ref-format(1)), and without a colon and a blank,
# which would not print back.
REF = re.compile(r"(?:(?!\.\.)[!-9;=@-Z\]_`a-}])+")
# What git resolves to a commit by its id: at least four hexadecimal digits, and the output of `git describe`
# (gitrevisions(7)).
COMMIT = re.compile(r"(?:.*-g)?[0-9a-fA-F]{4,64}")
EXAMPLE = "for example read:meta-llama/* or write:spaces/me/demo"


@dataclass(frozen=True, slots=True)
class Scope:
    """One action on the targets that a pattern covers; a part that is None covers everything."""

    action: Action
    type: RepoType | None = None
    namespace: str | None = None
    name: str | None = None
    ref: str | None = None

    def __str__(self) -> str:
        place = "/".join(part for part in (self.type, self.namespace, self.name) if part is not None)
        ref = "" if self.ref is None else f"@{self.ref}"
        return f"{self.action}:{place}{ref}" if place else self.action.value

    def admits(self, need: Need) -> bool:
        """Return whether this scope covers the need."""
        target = need.target
        return (
            self._covers_action(need)
            and (self.type is None or self.type is target.type)
            and _id_matches(self.namespace, target.namespace)
            and _id_matches(self.name, target.name)
            and (self.ref is None or self._covers_ref(self.ref, need))
        )

    def covers_namespace(self, namespace: str) -> bool:
        """Return whether anything in a namespace is covered."""
        return _id_matches(self.namespace, namespace)

    def _covers_action(self, need: Need) -> bool:
        if self.action is need.action:
            return True
        if self.action is Action.WRITE:
            return need.action is Action.READ
        # Opening a pull request is a write to a new ref; `discuss` suffices for that.
        return self.action is Action.DISCUSS and need.action is Action.WRITE and need.target.ref == NEW_PULL_REQUEST

    def _covers_ref(self, ref: str, need: Need) -> bool:
        if need.target.ref is None:
            return need.action is Action.READ or need.any_ref
        return _ref_matches(ref, need.target.ref)


def _id_matches(pattern: str | None, text: str | None) -> bool:
    if pattern is None or pattern in ("*", text):
        return True
    return text is not None and _glob(pattern.lower(), text.lower())


def _ref_matches(pattern: str, ref: str) -> bool:
    pattern, ref = _branch(pattern), _branch(ref)
    # A ref that may be a commit id is compared in full: a glob for branch names must not match it.
    if COMMIT.fullmatch(ref):
        return pattern == ref
    patterns, segments = pattern.split("/"), ref.split("/")
    return len(patterns) == len(segments) and all(map(_glob, patterns, segments))


def _branch(ref: str) -> str:
    """Remove `refs/heads/`, unless the rest would then read as a commit id or as another full ref."""
    short = ref.removeprefix("refs/heads/")
    return ref if COMMIT.fullmatch(short) or short.startswith("refs/") else short


def _glob(pattern: str, text: str) -> bool:
    """Match one segment. Not by a regular expression: with many stars one may backtrack for hours (ReDoS)."""
    head, *inner = pattern.split("*")
    if not inner:
        return pattern == text
    tail = inner.pop()
    if len(text) < len(head) + len(tail) or not (text.startswith(head) and text.endswith(tail)):
        return False
    rest = text[len(head) : len(text) - len(tail)]
    for part in filter(None, inner):
        _, found, rest = rest.partition(part)
        if not found:
            return False
    return True


def parse(text: str) -> Scope:
    """Parse one scope.

    Raises:
        UsageError: it is malformed; the message says why and shows a well-formed one.
    """
    word, colon, place = text.partition(":")
    action = _action(text, word)
    if not colon:
        return Scope(action)
    place, at, ref = place.partition("@")
    if at and not REF.fullmatch(ref):
        raise _malformed(text, "there is no valid ref after '@'")
    segments = place.split("/")
    kind = RepoType(segments.pop(0)) if segments[0] in TYPES else None
    if not all(SEGMENT.fullmatch(segment) for segment in segments):
        raise _malformed(text, "a namespace or name is letters, digits, '.', '_', '-' and '*'")
    if len(segments) > 2:
        raise _malformed(text, f"at most NAMESPACE/NAME may follow a TYPE ({', '.join(RepoType)})")
    if action in NAMESPACED and (kind or len(segments) != 1 or at):
        raise _malformed(text, f"'{action}' takes a namespace only, as in {action}:me")
    namespace, name = (*segments, None, None)[:2]
    return Scope(action, kind, namespace, name, ref if at else None)


def _action(text: str, word: str) -> Action:
    try:
        return Action(word)
    except ValueError:
        near = get_close_matches(word, Action, n=1)
        hint = f"did you mean {near[0]}? All" if near else "all"
        raise _malformed(text, f"unknown action ({hint} are in: man hf-proxy)") from None


def _malformed(text: str, why: str) -> UsageError:
    shown = text if len(text) <= 80 and text.isprintable() else ascii(text)[:80]
    return UsageError(f"malformed scope '{shown}': {why}; {EXAMPLE}")


def scope_for(need: Need) -> Scope:
    """Return the scope that a person would type to allow this need, without a ref."""
    target = need.target
    return Scope(need.action, target.type, target.namespace or None, target.name or None)
