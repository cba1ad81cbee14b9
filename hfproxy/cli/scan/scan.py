"""`scan`: find tokens that lie about in the clear, and with `--migrate` move them into the vault.

Without a PATH: the home with what is known to hold tokens, this environment, and the user's running processes. No token
is ever printed: each is shown by eight digits, the same wherever it lies.
"""

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TextIO

from hfproxy.cli.scan import migrate
from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import Arguments, CommandSpec
from hfproxy.cli.ui.render import print_error, show, show_json, show_table
from hfproxy.control_client import request
from hfproxy.detect.patterns import fingerprint, redacted
from hfproxy.errors import UsageError
from hfproxy.scan import locations, processes
from hfproxy.scan.globs import Globs
from hfproxy.scan.walk import Finding, ScanCounts, Walk

SYNTAX = CommandSpec(
    "scan",
    "Find Hugging Face tokens in the clear: in your home, this environment and running processes, or below each PATH.\n"
    "Exits 1 if there are any. Directories that tools fill (.cache, node_modules, site-packages, the stores of git\n"
    "and of huggingface_hub) and large binaries are not looked into.",
    ("--migrate", "", "move them into the vault, and take them out of the files"),
    ("--dry-run", "", "only say what --migrate would do"),
    ("--yes", "", "with --migrate: do not ask"),
    ("--whoami", "", "ask the Hub whose they are"),
    ("--exclude", "GLOB", "leave out what it fits, as a line of .gitignore would; may be given more than once"),
    ("--json", "", "as one object"),
    rest="[PATH...]",
    max_positional=1_000_000,
)
FEW = 3
AFTER_S, AGAIN_S = 1.0, 0.2


def run(words: list[str]) -> int:
    """Returns 1 if a token is in the clear, and still is. Raises as `client.ask`; UsageError: there is no such PATH."""
    arguments = SYNTAX.read(words)
    moves, dry = arguments.switch("--migrate"), arguments.switch("--dry-run")
    if arguments.switch("--yes") and not moves:
        raise SYNTAX.usage_error("--yes goes with --migrate")
    if moves and not dry:
        if not arguments.switch("--yes"):
            prompt.needs_terminal(_again(arguments, "--migrate", "--yes"))
        request({"do": "status"})
    seen, findings = _scan(arguments)
    fates = [migrate.Migration(finding) for finding in findings]
    if arguments.switch("--whoami"):
        migrate.identify_owners(fates)
    if dry:
        migrate.plan(fates)
    elif moves and fates:
        migrate.migrate(fates, asks=not arguments.switch("--yes"))
    _report(arguments, seen, fates)
    left = [fate for fate in fates if fate.state not in migrate.DONE]
    if left:
        print_error(_next(arguments, left))
    return 1 if left else 0


def _scan(arguments: Arguments) -> tuple[ScanCounts, list[Finding]]:
    home, known = os.path.expanduser("~"), {}
    if not arguments.rest:
        known = {os.path.realpath(path): kind for path, kind in locations.known_files(home, os.environ).items()}
    progress = Progress(sys.stderr)
    walk = Walk(Globs(arguments.all("--exclude")), known, one_system=not arguments.rest, tick=progress.show)
    for path in arguments.rest:
        try:
            walk.scan(path)
        except OSError as error:
            raise UsageError(
                f"{redacted(path)} cannot be looked into ({error.strerror}); see: hf-proxy scan --help"
            ) from None
    elsewhere = [] if arguments.rest else list(_at_home(walk, home, list(known)))
    progress.clear()
    return walk.seen, [*(finding for path in sorted(walk.findings) for finding in walk.findings[path]), *elsewhere]


def _at_home(walk: Walk, home: str, files: list[str]) -> Iterator[Finding]:
    for path in (*files, *locations.roots_to_walk(home, os.environ)):
        with suppress(OSError):  # most are not there
            walk.scan(path)
    yield from processes.environment(os.environb)
    yield from processes.processes(walk.seen)


class Progress:
    """One line on a terminal, once it has taken a second."""

    def __init__(self, terminal: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal, self._clock, self._shown = terminal, clock, False
        self._next = clock() + AFTER_S if terminal.isatty() else float("inf")

    def show(self, walk: Walk) -> None:
        """Say how far it is; not more often than a person reads."""
        if self._clock() >= self._next:
            self._shown, self._next = True, self._clock() + AGAIN_S
            seen = walk.seen
            far = f"{seen.files:,} files, {seen.bytes // 1_000_000:,} MB, {len(walk.findings)} with tokens"
            self._terminal.write(f"\r{far}\x1b[K")
            self._terminal.flush()

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            self._terminal.write("\r\x1b[K")
            self._terminal.flush()


def _report(arguments: Arguments, seen: ScanCounts, fates: list[migrate.Migration]) -> None:
    if arguments.switch("--json"):
        scanned = {
            name: getattr(seen, name) for name in ("files", "bytes", "processes", "skipped", "excluded", "denied")
        }
        scanned["elsewhere"] = [redacted(path) for path in seen.elsewhere]
        show_json({"findings": [_as_json(fate) for fate in fates], "scanned": scanned})
        return
    if fates:
        show_table(("WHERE", "KIND", "TOKEN", "WHOSE", "NOTE"), [_row(fate) for fate in fates])
    migrate.tell_after(fates)
    show(_summary(seen, fates))


def _as_json(fate: migrate.Migration) -> dict[str, object]:
    found = fate.finding
    return {
        "path": redacted(found.path),
        "line": found.line,
        "kind": found.kind.value,
        "shape": found.shape.value,
        "token": fingerprint(found.token),
        "variable": found.variable and redacted(found.variable),
        "program": found.program and redacted(found.program),
        "state": fate.state,
        "account": fate.account,
        "user": fate.user,
        "role": fate.role,
        "why": fate.why,
    }


def _row(fate: migrate.Migration) -> tuple[object, ...]:
    found = fate.finding
    where = redacted(found.path) + (f":{found.line}" if found.line else "")
    inside = " ".join(filter(None, (found.variable, found.program and f"({found.program})")))
    whose = fate.user and f"{fate.user}, {fate.role}"
    return f"{where} {redacted(inside)}".rstrip(), found.kind.value, fingerprint(found.token), whose, _note(fate)


def _note(fate: migrate.Migration) -> str:
    return migrate.DONE.get(fate.state) or fate.why or ""


def _summary(seen: ScanCounts, fates: list[migrate.Migration]) -> str:
    tokens = len({fingerprint(fate.finding.token) for fate in fates})
    found = f"{_counted(tokens, 'token')} in {_counted(len(fates), 'place')}" if fates else "no token in the clear"
    among = _counted(seen.files, "file") + (f" and {_counted(seen.processes, 'process')}" if seen.processes else "")
    left_out = [
        f"{number} {what}"
        for number, what in (
            (seen.skipped, "caches and large binaries"),
            (seen.excluded, "excluded"),
            (seen.denied, "that may not be read"),
            (len(seen.elsewhere), f"other file systems (the first: {redacted((seen.elsewhere or [''])[0])})"),
        )
        if number
    ]
    return f"{found}; looked into {among}" + (f"; not looked into: {', '.join(left_out)}" if left_out else "")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 'es' if what.endswith('s') else 's'}"


def _next(arguments: Arguments, left: list[migrate.Migration]) -> str:
    what = f"{_counted(len(left), 'place')} with a token in the clear"
    if arguments.switch("--migrate") and not arguments.switch("--dry-run"):
        return f"{what} left, as noted; once that is done: {_again(arguments)}"
    if not any(fate.movable for fate in left):
        return f"{what}, none that can be moved, as noted by: {_again(arguments, '--dry-run')}"
    return f"{what}; move them into the vault with: {_again(arguments, '--migrate')}"


def _again(arguments: Arguments, *options: str) -> str:
    """The same command with other options; without the paths where they are many."""
    excluded = [word for glob in arguments.all("--exclude") for word in ("--exclude", glob)]
    paths = arguments.rest if len(arguments.rest) <= FEW else ["PATH..."]
    return shlex.join(["hf-proxy", "scan", *options, *excluded, *map(redacted, paths)])
