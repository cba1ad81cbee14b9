"""`scan`: find plaintext tokens, and with `--migrate` move them into the vault.

Without a PATH it searches the home, other known places of tokens, this environment, and the user's running processes.
Tokens are never printed; each is shown by a fingerprint of eight digits, equal in all places.
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
    "Find plaintext Hugging Face tokens: in your home, this environment and running processes, or below each PATH.\n"
    "Exits 1 if there are any. Directories that tools fill (.cache, node_modules, site-packages, the stores of git\n"
    "and of huggingface_hub) and large binaries are skipped.",
    ("--migrate", "", "move them into the vault, and remove them from the files"),
    ("--dry-run", "", "only print what --migrate would do"),
    ("--yes", "", "with --migrate: do not ask"),
    ("--whoami", "", "ask the Hub for the users of the tokens"),
    ("--exclude", "GLOB", "skip matching paths, as a line of .gitignore does; can be repeated"),
    ("--json", "", "as one object"),
    positionals="[PATH...]",
    max_positional=1_000_000,
)
MAX_SHOWN_PATHS = 3
PROGRESS_AFTER_S, PROGRESS_EVERY_S = 1.0, 0.2


def run(words: list[str]) -> int:
    """Scan; return 1 if a plaintext token remains.

    Raises:
        UsageError: the options contradict each other, a PATH does not exist, or there is no terminal to ask on.
        HFProxyError: the user did not confirm, or the daemon cannot be reached or refuses.
    """
    arguments = SYNTAX.read(words)
    moves, dry = arguments.switch("--migrate"), arguments.switch("--dry-run")
    if arguments.switch("--yes") and not moves:
        raise SYNTAX.usage_error("--yes goes with --migrate")
    if moves and not dry:
        if not arguments.switch("--yes"):
            prompt.require_terminal(_again(arguments, "--migrate", "--yes"))
        request({"do": "status"})
    seen, findings = _scan(arguments)
    migrations = [migrate.Migration(finding) for finding in findings]
    if arguments.switch("--whoami"):
        migrate.identify_owners(migrations)
    if dry:
        migrate.plan(migrations)
    elif moves and migrations:
        migrate.migrate(migrations, asks=not arguments.switch("--yes"))
    _report(arguments, seen, migrations)
    remaining = [migration for migration in migrations if migration.state not in migrate.DONE]
    if remaining:
        print_error(_next_step(arguments, remaining))
    return 1 if remaining else 0


def _scan(arguments: Arguments) -> tuple[ScanCounts, list[Finding]]:
    home, known = os.path.expanduser("~"), {}
    if not arguments.positionals:
        known = {os.path.realpath(path): kind for path, kind in locations.known_files(home, os.environ).items()}
    progress = Progress(sys.stderr)
    walk = Walk(Globs(arguments.values("--exclude")), known, one_system=not arguments.positionals, tick=progress.show)
    for path in arguments.positionals:
        try:
            walk.scan(path)
        except OSError as error:
            raise UsageError(
                f"{redacted(path)} cannot be searched ({error.strerror}); see: hf-proxy scan --help"
            ) from None
    in_processes = [] if arguments.positionals else list(_scan_default_places(walk, home, list(known)))
    progress.clear()
    return walk.seen, [*(finding for path in sorted(walk.findings) for finding in walk.findings[path]), *in_processes]


def _scan_default_places(walk: Walk, home: str, files: list[str]) -> Iterator[Finding]:
    """Walk the known files and directories, then yield the findings in environments and processes."""
    for path in (*files, *locations.roots_to_walk(home, os.environ)):
        with suppress(OSError):  # most do not exist
            walk.scan(path)
    yield from processes.environment(os.environb)
    yield from processes.processes(walk.seen)


class Progress:
    """A progress line on a terminal, shown after PROGRESS_AFTER_S."""

    def __init__(self, terminal: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal, self._clock, self._shown = terminal, clock, False
        self._next = clock() + PROGRESS_AFTER_S if terminal.isatty() else float("inf")

    def show(self, walk: Walk) -> None:
        """Show the counts so far, at most every PROGRESS_EVERY_S."""
        if self._clock() >= self._next:
            self._shown, self._next = True, self._clock() + PROGRESS_EVERY_S
            seen = walk.seen
            counts = f"{seen.files:,} files, {seen.bytes // 1_000_000:,} MB, {len(walk.findings)} with tokens"
            self._terminal.write(f"\r{counts}\x1b[K")
            self._terminal.flush()

    def clear(self) -> None:
        """Erase the line."""
        if self._shown:
            self._terminal.write("\r\x1b[K")
            self._terminal.flush()


def _report(arguments: Arguments, seen: ScanCounts, migrations: list[migrate.Migration]) -> None:
    if arguments.switch("--json"):
        scanned = {
            name: getattr(seen, name) for name in ("files", "bytes", "processes", "skipped", "excluded", "denied")
        }
        scanned["elsewhere"] = [redacted(path) for path in seen.elsewhere]
        show_json({"findings": [_as_json(migration) for migration in migrations], "scanned": scanned})
        return
    if migrations:
        show_table(("WHERE", "KIND", "TOKEN", "WHOSE", "NOTE"), [_row(migration) for migration in migrations])
    migrate.show_next_steps(migrations)
    show(_summary(seen, migrations))


def _as_json(migration: migrate.Migration) -> dict[str, object]:
    finding = migration.finding
    return {
        "path": redacted(finding.path),
        "line": finding.line,
        "kind": finding.kind.value,
        "shape": finding.token_kind.value,
        "token": fingerprint(finding.token),
        "variable": finding.variable and redacted(finding.variable),
        "program": finding.program and redacted(finding.program),
        "state": migration.state,
        "account": migration.account,
        "user": migration.user,
        "role": migration.role,
        "why": migration.why,
    }


def _row(migration: migrate.Migration) -> tuple[object, ...]:
    finding = migration.finding
    place = redacted(finding.path) + (f":{finding.line}" if finding.line else "")
    source = " ".join(filter(None, (finding.variable, finding.program and f"({finding.program})")))
    owner = migration.user and f"{migration.user}, {migration.role}"
    return (
        f"{place} {redacted(source)}".rstrip(),
        finding.kind.value,
        fingerprint(finding.token),
        owner,
        _note(migration),
    )


def _note(migration: migrate.Migration) -> str:
    return migrate.DONE.get(migration.state) or migration.why or ""


def _summary(seen: ScanCounts, migrations: list[migrate.Migration]) -> str:
    tokens = len({fingerprint(migration.finding.token) for migration in migrations})
    total = (
        f"{_counted(tokens, 'token')} in {_counted(len(migrations), 'place')}" if migrations else "no plaintext token"
    )
    searched = _counted(seen.files, "file") + (f" and {_counted(seen.processes, 'process')}" if seen.processes else "")
    skipped = [
        f"{number} {reason}"
        for number, reason in (
            (seen.skipped, "caches and large binaries"),
            (seen.excluded, "excluded"),
            (seen.denied, "unreadable"),
            (len(seen.elsewhere), f"other file systems (the first: {redacted((seen.elsewhere or [''])[0])})"),
        )
        if number
    ]
    return f"{total}; searched {searched}" + (f"; skipped: {', '.join(skipped)}" if skipped else "")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def _next_step(arguments: Arguments, remaining: list[migrate.Migration]) -> str:
    count = f"{_counted(len(remaining), 'place')} with a plaintext token"
    if arguments.switch("--migrate") and not arguments.switch("--dry-run"):
        return f"{count} left, as noted; once that is done: {_again(arguments)}"
    if not any(migration.movable for migration in remaining):
        return f"{count}, none that can be moved, as noted by: {_again(arguments, '--dry-run')}"
    return f"{count}; move them into the vault with: {_again(arguments, '--migrate')}"


def _again(arguments: Arguments, *options: str) -> str:
    """Return this command with other options; of more than MAX_SHOWN_PATHS paths only a placeholder is shown."""
    excluded = [word for glob in arguments.values("--exclude") for word in ("--exclude", glob)]
    paths = arguments.positionals if len(arguments.positionals) <= MAX_SHOWN_PATHS else ["PATH..."]
    return shlex.join(["hf-proxy", "scan", *options, *excluded, *map(redacted, paths)])
