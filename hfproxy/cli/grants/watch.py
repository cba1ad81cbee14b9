"""`status --watch`: show the daemon's activity every second until Ctrl-C.

On a terminal each view replaces the one before; otherwise a line a second is printed; with `--json` an object a line:
that of `status` with `granted` (the grants in the shape of `grants --json`), and with `per_second` and
`denied_per_second` since the previous line.
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
    """Watch until Ctrl-C, which is not a failure.

    Raises:
        HFProxyError: the daemon cannot be reached or refuses; on a terminal only if the first request fails.
    """
    redraw = not as_json and sys.stdout.isatty()
    before = View({}, [], time.monotonic())
    drawn = 0
    try:
        while True:
            view = _poll(before, tolerate_failure=drawn > 0)
            if redraw:
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
    """The daemon's state at a time of the monotonic clock; `trouble` is the reason why the daemon did not answer."""

    status: Message
    granted: list[Message]
    at: float
    trouble: str = ""

    def rate(self, name: str, before: "View") -> float:
        """Return a counter's growth per second since another view; the counters of a restarted daemon begin at 0."""
        now, then = self.status.get(name), before.status.get(name)
        if not (isinstance(now, int) and isinstance(then, int)) or self.at <= before.at:
            return 0.0
        return (now - then if now >= then else now) / (self.at - before.at)

    def plain(self, before: "View") -> Message:
        """Return the view as a JSON object for a program."""
        rates = {"per_second": self.rate("requests", before), "denied_per_second": self.rate("denied", before)}
        return {**self.status, "granted": self.granted, **{name: round(rate, 2) for name, rate in rates.items()}}

    def line(self, before: "View") -> str:
        """Return the view as a line for a log."""
        return f"{local_time(time.time())} {self._traffic(before)}; {len(self.granted)} grants"

    def frame(self, before: "View") -> list[str]:
        """Return the view as the lines of a terminal screen."""
        if self.trouble:
            return [self.trouble, "retrying every second; end with Ctrl-C"]
        table = columns(HEADINGS, [_row(grant) for grant in self.granted]) if self.granted else []
        return [*status_lines(self.status), self._traffic(before), "", *table]

    def _traffic(self, before: "View") -> str:
        rates = f"{self.rate('requests', before):.1f} requests a second, {self.rate('denied', before):.1f} refused"
        return f"{rates} (since the start: {self.status.get('requests')}, {self.status.get('denied')})"


def _poll(before: View, *, tolerate_failure: bool) -> View:
    """Ask the daemon for its state; with `tolerate_failure` return a view of the failure instead of raising."""
    try:
        return View(request({"do": "status"}), list(stream({"do": "grants"})), time.monotonic())
    except DaemonError as error:
        if not tolerate_failure:
            raise
        return View(before.status, [], before.at, str(error))


def _draw(frame: list[str], drawn: int) -> int:
    """Draw a frame over the previous one of `drawn` lines, and return its number of lines.

    Lines are cut to the terminal's size, since wrapping or scrolling would misplace the next frame.
    """
    width, height = shutil.get_terminal_size()
    lines = [encodable(line)[: width - 1] for line in frame[: height - 1]]
    move_up = f"\x1b[{drawn}F" if drawn else ""
    sys.stdout.write(f"{move_up}\x1b[J" + "".join(f"{line}\n" for line in lines))
    return len(lines)


def _row(grant: Message) -> tuple[object, ...]:
    uses, program, label = (grant.get(name) for name in ("uses", "program", "label"))
    return grant.get("id"), _time_left(grant.get("expires_at")), uses, program, label, join_list(grant.get("scopes"))


def _time_left(until: object) -> str:
    """Format the time from now until a time in seconds since the epoch, in its two largest units."""
    if not isinstance(until, int):
        return ""
    seconds = max(0, until - int(time.time()))
    for size, unit, smaller_size, smaller_unit in UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // smaller_size}{smaller_unit}"
    return f"{seconds}s"
