"""What a container is given: the variables by name, since a value in a command line is there for everybody to read.

An engine's `--env NAME` takes the value from its own environment, which is the one that `exec` made.
"""

import os
from collections.abc import Mapping

ENGINES = frozenset({"docker", "podman", "nerdctl"})
STARTS = frozenset({"run", "create"})
NAMES = ("HF_ENDPOINT", "HF_TOKEN", "NO_PROXY", "no_proxy", "GIT_CONFIG_COUNT")


def for_container(child: Mapping[str, str]) -> dict[str, str]:
    """Of the environment that `exec` would give a command, what a container needs of it."""
    git = [
        f"GIT_CONFIG_{what}_{number}" for number in range(int(child["GIT_CONFIG_COUNT"])) for what in ("KEY", "VALUE")
    ]
    return {name: child[name] for name in (*NAMES, *git)}


def with_variables(command: list[str], child: Mapping[str, str]) -> list[str]:
    """`docker run IMAGE` as `docker run --env HF_TOKEN ... IMAGE`; any other command as it is."""
    if os.path.basename(command[0]) not in ENGINES:
        return command
    begin = 2 if command[1:2] == ["container"] else 1
    if command[begin : begin + 1] == [] or command[begin] not in STARTS:
        return command
    flags = [word for name in for_container(child) for word in ("--env", name)]
    return [*command[: begin + 1], *flags, *command[begin + 1 :]]
