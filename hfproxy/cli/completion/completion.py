"""`completion`: print a script for a shell to evaluate, which completes the words of `hf-proxy`.

The scripts hold no candidates. At a TAB they call `completion --next WORD...`, which prints the kind of the completion
on its first line, and then one candidate a line: the word, a tab, and its description.

    words        one of the candidates
    files        the name of a file
    command N    the words from N on (0 is hf-proxy) are another command, or one of the candidates
"""

import os
import sys

from hfproxy.cli.completion.candidates import complete
from hfproxy.cli.completion.scripts import SCRIPTS
from hfproxy.cli.ui.arguments import CommandSpec

SYNTAX = CommandSpec(
    "completion",
    'Print a script that completes the words of hf-proxy: eval "$(hf-proxy completion bash)"',
    positionals="|".join(SCRIPTS),
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Print a script or candidates. Raises UsageError if the shell is unknown."""
    if words[:1] == ["--next"]:
        kind, candidates = complete(words[1:] or [""])
        lines = [kind, *(f"{word}\t{description}" for word, description in candidates)]
        sys.stdout.buffer.write(os.fsencode("\n".join(lines) + "\n"))
        return 0
    shells = SYNTAX.read(words).positionals
    if not shells or shells[0] not in SCRIPTS:
        raise SYNTAX.usage_error(f"name a shell: {', '.join(SCRIPTS)}")
    sys.stdout.write(SCRIPTS[shells[0]])
    return 0
