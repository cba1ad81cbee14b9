"""`status --watch`: what is going on, every second until Ctrl-C.

On a terminal a view that is drawn over the one before; else a line a second; with `--json` an object a line: `status`
with `granted`, the grants as `grants --json` has them, and `per_second` and `denied_per_second` since the one before.
"""

import shutil
import sys
import time
from dataclasses import dataclass

from hfproxy.cli.grants.status_view import status_lines
from hfproxy.cli.ui.render import columns, encodable, join_list, local_time, show, show_json
from hfproxy.control_client import request, stream
from hfproxy.errors import DaemonError
from hfproxy.wire import Message

EVERY_SECONDS = 1.0
HEADINGS = ("ID", "LEFT", "USES", "PROGRAM", "LABEL", "SCOPES")
UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def watch(*, as_json: bool) -> int:
    """Ends by Ctrl-C, which is no failure. Raises as `client.ask`; on a terminal only if it fails at once."""
    redrawn = not as_json and sys.stdout.isatty()
    before = View({}, [], time.monotonic())
    drawn = 0
    try:
        while True:
            view = _poll(before, patient=drawn > 0)
            if redrawn:
                drawn = _draw(view.frame(before), drawn)
            elif as_json:
                show_json(view.plain(before))
            else:
                show(view.line(before))
            sys.stdout.flush()
            before = view
            time.sleep(EVERY_SECONDS)
    except KeyboardInterrupt:
        return 0


@dataclass(frozen=True)
class View:
    """What the daemon said at a moment of the monotonic clock; `trouble`: why it did not."""

    status: Message
    granted: list[Message]
    at: float
    trouble: str = ""

    def rate(self, name: str, before: "View") -> float:
        """A counter's growth since another view, a second; a daemon that was started anew began at nought."""
        now, then = self.status.get(name), before.status.get(name)
        if not (isinstance(now, int) and isinstance(then, int)) or self.at <= before.at:
            return 0.0
        return (now - then if now >= then else now) / (self.at - before.at)

    def plain(self, before: "View") -> Message:
        """For a program."""
        rates = {"per_second": self.rate("requests", before), "denied_per_second": self.rate("denied", before)}
        return {**self.status, "granted": self.granted, **{name: round(rate, 2) for name, rate in rates.items()}}

    def line(self, before: "View") -> str:
        """For a log."""
        return f"{local_time(time.time())} {self._traffic(before)}; {len(self.granted)} grants"

    def frame(self, before: "View") -> list[str]:
        """For a terminal."""
        if self.trouble:
            return [self.trouble, "looking again every second; Ctrl-C ends it"]
        table = columns(HEADINGS, [_row(grant) for grant in self.granted]) if self.granted else []
        return [*status_lines(self.status), self._traffic(before), "", *table]

    def _traffic(self, before: "View") -> str:
        rates = f"{self.rate('requests', before):.1f} requests a second, {self.rate('denied', before):.1f} refused"
        return f"{rates} (since the start: {self.status.get('requests')}, {self.status.get('denied')})"


def _poll(before: View, *, patient: bool) -> View:
    """`patient`: a daemon that is not there may come back."""
    try:
        return View(request({"do": "status"}), list(stream({"do": "grants"})), time.monotonic())
    except DaemonError as error:
        if not patient:
            raise
        return View(before.status, [], before.at, str(error))


def _draw(frame: list[str], drawn: int) -> int:
    """Write over the frame before, of `drawn` lines; nothing wraps or scrolls, or the next could not find its place."""
    width, height = shutil.get_terminal_size()
    shown = [encodable(line)[: width - 1] for line in frame[: height - 1]]
    back = f"\x1b[{drawn}F" if drawn else ""
    sys.stdout.write(f"{back}\x1b[J" + "".join(f"{line}\n" for line in shown))
    return len(shown)


def _row(grant: Message) -> tuple[object, ...]:
    uses, program, label = (grant.get(name) for name in ("uses", "program", "label"))
    return grant.get("id"), _left(grant.get("expires_at")), uses, program, label, join_list(grant.get("scopes"))


def _left(until: object) -> str:
    """How long that is from now, in its two largest units."""
    if not isinstance(until, int):
        return ""
    left = max(0, until - int(time.time()))
    for size, unit, smaller, its_unit in UNITS:
        if left >= size:
            return f"{left // size}{unit} {left % size // smaller}{its_unit}"
    return f"{left}s"
