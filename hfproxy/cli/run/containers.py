"""Passes the credential's variables to a container by name, since values in a command line are visible to all users.

With `--env NAME` a container engine takes the value from its own environment, which `exec` has set.
"""

import os
from collections.abc import Mapping

ENGINES = frozenset({"docker", "podman", "nerdctl"})
START_COMMANDS = frozenset({"run", "create"})
VARIABLES = ("HF_ENDPOINT", "HF_TOKEN", "NO_PROXY", "no_proxy", "GIT_CONFIG_COUNT")


def for_container(child: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a container, from the environment that `exec` would give a command."""
    git_names = [
        f"GIT_CONFIG_{part}_{number}" for number in range(int(child["GIT_CONFIG_COUNT"])) for part in ("KEY", "VALUE")
    ]
    return {name: child[name] for name in (*VARIABLES, *git_names)}


def with_variables(command: list[str], child: Mapping[str, str]) -> list[str]:
    """Turn `docker run IMAGE` into `docker run --env HF_TOKEN ... IMAGE`; return any other command unchanged."""
    if os.path.basename(command[0]) not in ENGINES:
        return command
    index = 2 if command[1:2] == ["container"] else 1
    if command[index : index + 1] == [] or command[index] not in START_COMMANDS:
        return command
    flags = [word for name in for_container(child) for word in ("--env", name)]
    return [*command[: index + 1], *flags, *command[index + 1 :]]
