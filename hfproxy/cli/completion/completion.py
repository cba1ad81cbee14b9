"""`completion`: lines for a shell to evaluate, which complete the words of `hf-proxy`.

They know nothing themselves. At a TAB they call `completion --next WORD...`, whose first line says what kind of answer
it is, followed by one candidate a line: the word, a tab, and a few words about it.

    words        these and nothing else
    files        the name of a file
    command N    the words from N on (0 is hf-proxy) are a command of its own, or one of these
"""

import os
import sys

from hfproxy.cli.completion.candidates import complete
from hfproxy.cli.completion.scripts import SCRIPTS
from hfproxy.cli.ui.arguments import CommandSpec

SYNTAX = CommandSpec(
    "completion",
    'Print what a shell evaluates to complete our words: eval "$(hf-proxy completion bash)"',
    rest="|".join(SCRIPTS),
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Raises UsageError for a shell that is not known."""
    if words[:1] == ["--next"]:
        kind, candidates = complete(words[1:] or [""])
        lines = [kind, *(f"{word}\t{what}" for word, what in candidates)]
        sys.stdout.buffer.write(os.fsencode("\n".join(lines) + "\n"))
        return 0
    wanted = SYNTAX.read(words).rest
    if not wanted or wanted[0] not in SCRIPTS:
        raise SYNTAX.usage_error(f"name a shell: {', '.join(SCRIPTS)}")
    sys.stdout.write(SCRIPTS[wanted[0]])
    return 0
