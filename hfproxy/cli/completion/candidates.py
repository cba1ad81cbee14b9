"""What may be typed next: the answer to a TAB, for whatever shell.

Commands and options come from each command's `Syntax`. Names come from the daemon if it answers at once; a TAB
prints no error, opens no vault and waits for nobody.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from hfproxy.cli.commands import COMMANDS
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.help_pages import pages
from hfproxy.cli.ui.render import printable
from hfproxy.control_client import request, rows, stream, text, texts
from hfproxy.errors import HFProxyError
from hfproxy.wire import Message

# Somebody waits at the keyboard.
TIMEOUT_S = 0.5
TIMES = ("15m", "1h", "8h", "1d")

Item = TypeVar("Item")
# A word, and what there is to say about it.
Candidate = tuple[str, str]


class Completion(NamedTuple):
    """What kind it is, and the candidates. The kinds are those of `completion`."""

    kind: str
    candidates: list[Candidate]


def complete(words: list[str]) -> Completion:
    """For the words so far, the program's name first; the last is the one that is being typed."""
    before, typed = words[1:-1], words[-1]
    if not before:
        return _matching("words", ((name, purpose) for name, (_, purpose) in COMMANDS.items()), typed)
    known = pages(before[0]) if before[0] in COMMANDS else {}
    page = known.get(" ".join(before[:2])) or known.get(before[0])
    below = [(name.partition(" ")[2], one.purpose) for name, one in known.items() if " " in name]
    if page is None:
        return _matching("words", below, typed)
    begin = len(page.command.split())
    if below and len(before) == begin == 1:
        return _matching("words", [*below, *_options(page)], typed)
    return _after_command(page, before, begin, typed)


def _after_command(page: CommandSpec, before: list[str], begin: int, typed: str) -> Completion:
    """After a command: the value of an option, an option, or what else it takes."""
    name, equals, value = typed.partition("=")
    place = _cursor_context(page, before, begin)
    if isinstance(place, str):
        return _value(place, _kind(page, place), typed, "")
    at, ended = place
    if page.starts_command and (ended or at < len(before)):
        return Completion(f"command {at + 1}", [])
    if equals and not ended and _kind(page, name):
        return _value(name, _kind(page, name), value, f"{name}=")
    if typed.startswith("-") and not ended:
        return _matching("words", _options(page), typed)
    if page.starts_command:
        return Completion(f"command {at + 1}", [] if typed else list(_options(page)))
    return _value("", page.rest.strip("[].").removesuffix("..."), typed, "")


def _cursor_context(page: CommandSpec, before: list[str], begin: int) -> str | tuple[int, bool]:
    """The option whose value is being typed; or how far options go, and whether `--` has ended them."""
    at = begin
    while at < len(before):
        word = before[at]
        if word == "--":
            return at + 1, True
        valued = word.startswith("-") and bool(_kind(page, word))
        if valued and at + 1 == len(before):
            return word
        if page.starts_command and not word.startswith("-"):
            return at, False
        at += 1 + valued
    return at, False


def _kind(page: CommandSpec, option: str) -> str:
    return next((kind for name, kind, _ in page.options if name == option), "")


def _options(page: CommandSpec) -> Iterator[Candidate]:
    for name, _, what in page.options:
        yield name, what
    yield "--help", "what it takes"


def _value(option: str, kind: str, typed: str, prefix: str) -> Completion:
    """What may be given for an option, or without one; `prefix` is what stands before it in the same word."""
    if kind in {"FILE", "PATH"}:
        return Completion("files", [])
    named = NAMED.get(option) or NAMED.get(kind)
    found = named(typed) if named else [(word, "") for word in kind.split("|")] if "|" in kind else []
    return _matching("words", [(prefix + word, what) for word, what in found], prefix + typed)


def _matching(kind: str, candidates: Iterable[Candidate], typed: str) -> Completion:
    return Completion(kind, [(word, what) for word, what in candidates if word.startswith(typed)])


def _grants(_typed: str) -> list[Candidate]:
    about = ("label", "program")
    return [
        (text(grant, "id"), ", ".join(printable(grant[name]) for name in about if grant.get(name)))
        for grant in _ask_quickly(lambda: list(stream({"do": "grants"})))
    ]


def _accounts(_typed: str) -> list[Candidate]:
    return [(text(account, "name"), printable(account.get("user"))) for account in _known_accounts()]


def _profiles(_typed: str) -> list[Candidate]:
    return [(name, "") for name in _ask_quickly(lambda: texts(request({"do": "status"}), "profiles"))]


def _scopes(typed: str) -> list[Candidate]:
    """An action; behind it what it may be done to: a type, or a namespace that is ours."""
    from hfproxy.core.policy.access import Action, RepoType  # noqa: PLC0415  (only this pays for it)
    from hfproxy.core.policy.scope import NAMESPACED  # noqa: PLC0415

    action, colon, target = typed.partition(":")
    if not colon:
        return [("read", "all that you may read"), *((f"{one.value}:", "") for one in Action)]
    if action in NAMESPACED:
        return [(f"{action}:{one}", "") for one in _namespaces()]
    types = [f"{one.value}/" for one in RepoType]
    begun = next(filter(target.startswith, types), "")
    return [(f"{action}:{begun}{one}", "") for one in ([] if begun else types) + [f"{one}/" for one in _namespaces()]]


def _actions(_typed: str) -> list[Candidate]:
    from hfproxy.core.policy.access import Action  # noqa: PLC0415

    return [(one.value, "") for one in Action]


def _times(_typed: str) -> list[Candidate]:
    return [(one, "") for one in TIMES]


# By the option, or by what its value is called.
NAMED: dict[str, Callable[[str], list[Candidate]]] = {
    "--account": _accounts,
    "--profile": _profiles,
    "ID": _grants,
    "SCOPE": _scopes,
    "ACTION": _actions,
    "TIME": _times,
}


def _namespaces() -> list[str]:
    return list(dict.fromkeys(text(account, "user") for account in _known_accounts()))


def _known_accounts() -> list[Message]:
    return _ask_quickly(lambda: rows(request({"do": "status"}), "accounts"))


def _ask_quickly(question: Callable[[], list[Item]]) -> list[Item]:
    """What the daemon says, if it says so in time."""

    def too_late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
    try:
        return question()
    except (HFProxyError, OSError):
        return []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
