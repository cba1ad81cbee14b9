"""Where tokens are known to lie (docs/hub-protocol.md#token-files), where nobody has to look, and what kind of place a
file is."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

from hfproxy.detect.kinds import LocationKind

# Directories that tools fill, and fill again: what is in there came from elsewhere, and there is much of it.
SKIPPED: Final = frozenset(
    (
        *".cache __pycache__ .mypy_cache .ruff_cache .pytest_cache .hypothesis .tox .nox".split(),
        *"node_modules site-packages dist-packages .npm _cacache .rustup CachedData Cache GPUCache".split(),
        "Code Cache",
    )
)
# The caches of huggingface_hub, wherever they are: models--org--name.
HUB_CACHES: Final = ("models--", "datasets--", "spaces--", "kernels--")
# Below a directory with a HEAD, which git keeps.
GIT_STORES: Final = frozenset({"objects", "lfs", "annex"})

# `.cache` is skipped, but for these.
IN_HOME: Final = tuple(
    f".cache/{home}/{name}" for home in ("huggingface", "huggingface_staging") for name in ("token", "stored_tokens")
)
FILE_VARIABLES: Final = (
    "HF_TOKEN_PATH",
    "NETRC",
    "HISTFILE",
    "GIT_CONFIG_GLOBAL",
    "PIP_CONFIG_FILE",
    "NPM_CONFIG_USERCONFIG",
)
TREE_VARIABLES: Final = ("XDG_CONFIG_HOME", "DOCKER_CONFIG", "ZDOTDIR", "CLAUDE_CONFIG_DIR", "CODEX_HOME")


def known_files(home: str, environ: Mapping[str, str]) -> dict[str, LocationKind | None]:
    """The files to look into wherever they are; their kind, where their names do not say it."""
    files: dict[str, LocationKind | None] = {os.path.join(home, name): None for name in IN_HOME}
    hub = environ.get("HF_HOME")
    if hub:
        files[os.path.join(hub, "token")] = LocationKind.TOKEN_FILE
        files[os.path.join(hub, "stored_tokens")] = LocationKind.STORED_TOKENS
    for variable in FILE_VARIABLES:
        if environ.get(variable):
            files[environ[variable]] = _KIND_BY_VARIABLE.get(variable)
    if environ.get("HF_TOKEN_PATH"):  # huggingface_hub keeps the others beside it
        files[os.path.join(os.path.dirname(environ["HF_TOKEN_PATH"]), "stored_tokens")] = LocationKind.STORED_TOKENS
    return files


_KIND_BY_VARIABLE: Final = {
    "HF_TOKEN_PATH": LocationKind.TOKEN_FILE,
    "NETRC": LocationKind.NETRC,
    "HISTFILE": LocationKind.SHELL_HISTORY,
    "GIT_CONFIG_GLOBAL": LocationKind.GIT_CONFIG,
}


def roots_to_walk(home: str, environ: Mapping[str, str]) -> Iterator[str]:
    """The directories to walk: the home, and what variables have put outside of it."""
    yield home
    for variable in TREE_VARIABLES:
        tree = environ.get(variable)
        if tree and os.path.isabs(tree) and os.path.commonpath((home, tree)) != home:
            yield tree
