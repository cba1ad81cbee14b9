"""The candidates for completing a word of a command line, for all shells.

Commands and options come from each command's `CommandSpec`. Names of grants, accounts and profiles come from the daemon
if it answers within TIMEOUT_S. Completion prints no error, and opens no vault.
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

# Short, since the user has pressed TAB and waits.
TIMEOUT_S = 0.5
TIMES = ("15m", "1h", "8h", "1d")

Item = TypeVar("Item")
# A word and its description.
Candidate = tuple[str, str]


class Completion(NamedTuple):
    """The candidates and their kind, which is one of those of `hfproxy.cli.completion.completion`."""

    kind: str
    candidates: list[Candidate]


def complete(words: list[str]) -> Completion:
    """Return the candidates for the last of the words; the first is the program's name."""
    before, partial = words[1:-1], words[-1]
    if not before:
        return _matching("words", ((name, purpose) for name, (_, purpose) in COMMANDS.items()), partial)
    specs = pages(before[0]) if before[0] in COMMANDS else {}
    spec = specs.get(" ".join(before[:2])) or specs.get(before[0])
    subcommands = [(name.partition(" ")[2], sub.purpose) for name, sub in specs.items() if " " in name]
    if spec is None:
        return _matching("words", subcommands, partial)
    begin = len(spec.command.split())
    if subcommands and len(before) == begin == 1:
        return _matching("words", [*subcommands, *_options(spec)], partial)
    return _after_command(spec, before, begin, partial)


def _after_command(spec: CommandSpec, before: list[str], begin: int, partial: str) -> Completion:
    """Return candidates after a command: values of an option, options, or positional arguments."""
    name, equals, value = partial.partition("=")
    context = _cursor_context(spec, before, begin)
    if isinstance(context, str):
        return _value(context, _kind(spec, context), partial, "")
    index, ended = context
    if spec.starts_command and (ended or index < len(before)):
        return Completion(f"command {index + 1}", [])
    if equals and not ended and _kind(spec, name):
        return _value(name, _kind(spec, name), value, f"{name}=")
    if partial.startswith("-") and not ended:
        return _matching("words", _options(spec), partial)
    if spec.starts_command:
        return Completion(f"command {index + 1}", [] if partial else list(_options(spec)))
    return _value("", spec.positionals.strip("[].").removesuffix("..."), partial, "")


def _cursor_context(spec: CommandSpec, before: list[str], begin: int) -> str | tuple[int, bool]:
    """Return the option whose value is being typed, or (end of the options, whether `--` has ended them)."""
    index = begin
    while index < len(before):
        word = before[index]
        if word == "--":
            return index + 1, True
        has_value = word.startswith("-") and bool(_kind(spec, word))
        if has_value and index + 1 == len(before):
            return word
        if spec.starts_command and not word.startswith("-"):
            return index, False
        index += 1 + has_value
    return index, False


def _kind(spec: CommandSpec, option: str) -> str:
    return next((kind for name, kind, _ in spec.options if name == option), "")


def _options(spec: CommandSpec) -> Iterator[Candidate]:
    for name, _, description in spec.options:
        yield name, description
    yield "--help", "show the syntax"


def _value(option: str, kind: str, partial: str, prefix: str) -> Completion:
    """Return candidates for a value; `prefix` precedes the value in the same word."""
    if kind in {"FILE", "PATH"}:
        return Completion("files", [])
    source = SOURCES.get(option) or SOURCES.get(kind)
    candidates = source(partial) if source else [(word, "") for word in kind.split("|")] if "|" in kind else []
    return _matching("words", [(prefix + word, description) for word, description in candidates], prefix + partial)


def _matching(kind: str, candidates: Iterable[Candidate], partial: str) -> Completion:
    return Completion(kind, [(word, description) for word, description in candidates if word.startswith(partial)])


def _grants(_partial: str) -> list[Candidate]:
    members = ("label", "program")
    return [
        (text(grant, "id"), ", ".join(printable(grant[name]) for name in members if grant.get(name)))
        for grant in _ask_quickly(lambda: list(stream({"do": "grants"})))
    ]


def _accounts(_partial: str) -> list[Candidate]:
    return [(text(account, "name"), printable(account.get("user"))) for account in _known_accounts()]


def _profiles(_partial: str) -> list[Candidate]:
    return [(name, "") for name in _ask_quickly(lambda: texts(request({"do": "status"}), "profiles"))]


def _scopes(partial: str) -> list[Candidate]:
    """Return actions, or behind an action types and the user's namespaces."""
    from hfproxy.core.policy.access import Action, RepoType  # noqa: PLC0415  (needed for scopes only)
    from hfproxy.core.policy.scope import NAMESPACED  # noqa: PLC0415

    action, colon, target = partial.partition(":")
    if not colon:
        return [("read", "all that you may read"), *((f"{member.value}:", "") for member in Action)]
    if action in NAMESPACED:
        return [(f"{action}:{namespace}", "") for namespace in _namespaces()]
    types = [f"{repo_type.value}/" for repo_type in RepoType]
    prefix = next(filter(target.startswith, types), "")
    targets = ([] if prefix else types) + [f"{namespace}/" for namespace in _namespaces()]
    return [(f"{action}:{prefix}{target}", "") for target in targets]


def _actions(_partial: str) -> list[Candidate]:
    from hfproxy.core.policy.access import Action  # noqa: PLC0415

    return [(action.value, "") for action in Action]


def _times(_partial: str) -> list[Candidate]:
    return [(time, "") for time in TIMES]


# The source of the candidates, by the option or by the name of its value.
SOURCES: dict[str, Callable[[str], list[Candidate]]] = {
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
    """Ask the daemon; return [] if it fails or does not answer within TIMEOUT_S."""

    def on_timeout(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, on_timeout)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
    try:
        return question()
    except (HFProxyError, OSError):
        return []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
