"""The places where tokens are known to be stored (docs/hub-protocol.md#token-files), and the directories that a scan
skips."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

from hfproxy.detect.kinds import LocationKind

# Directories that tools fill with downloaded or generated files, and refill when they are removed.
SKIPPED_DIRECTORIES: Final = frozenset(
    (
        *".cache __pycache__ .mypy_cache .ruff_cache .pytest_cache .hypothesis .tox .nox".split(),
        *"node_modules site-packages dist-packages .npm _cacache .rustup CachedData Cache GPUCache".split(),
        "Code Cache",
    )
)
# Directories of huggingface_hub's cache, at any place: models--org--name.
HUB_CACHES: Final = ("models--", "datasets--", "spaces--", "kernels--")
# Subdirectories of a git directory, which is recognized by its HEAD.
GIT_STORES: Final = frozenset({"objects", "lfs", "annex"})

# Files that are read although `.cache` is skipped.
FILES_IN_HOME: Final = tuple(
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
    """Return the files to read wherever they are, each with its kind if the name does not tell it."""
    files: dict[str, LocationKind | None] = {os.path.join(home, name): None for name in FILES_IN_HOME}
    hf_home = environ.get("HF_HOME")
    if hf_home:
        files[os.path.join(hf_home, "token")] = LocationKind.TOKEN_FILE
        files[os.path.join(hf_home, "stored_tokens")] = LocationKind.STORED_TOKENS
    for variable in FILE_VARIABLES:
        if environ.get(variable):
            files[environ[variable]] = _KIND_BY_VARIABLE.get(variable)
    if environ.get("HF_TOKEN_PATH"):  # huggingface_hub stores `stored_tokens` beside it
        files[os.path.join(os.path.dirname(environ["HF_TOKEN_PATH"]), "stored_tokens")] = LocationKind.STORED_TOKENS
    return files


_KIND_BY_VARIABLE: Final = {
    "HF_TOKEN_PATH": LocationKind.TOKEN_FILE,
    "NETRC": LocationKind.NETRC,
    "HISTFILE": LocationKind.SHELL_HISTORY,
    "GIT_CONFIG_GLOBAL": LocationKind.GIT_CONFIG,
}


def roots_to_walk(home: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the directories to walk: the home, and directories outside of it that environment variables name."""
    yield home
    for variable in TREE_VARIABLES:
        tree = environ.get(variable)
        if tree and os.path.isabs(tree) and os.path.commonpath((home, tree)) != home:
            yield tree
